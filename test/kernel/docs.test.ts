/** Every TypeScript example of the documentation runs as it stands, pasted cell by cell into a notebook. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defaultModelFile } from "../support/default-model";
import { KernelClient, packageRoot } from "../support/kernel-client";

/** A part of a file of the library, not a cell. */
const EXCERPTS = ["docs/adding-a-family.md", "docs/adding-a-picture.md", "docs/adding-a-question.md"];

const pages = [
  "README.md",
  ...readdirSync(join(packageRoot, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
].filter((page) => !EXCERPTS.includes(page));

/** The examples of a page in order. Commands and other formats are not run. */
function examplesOf(page: string): string[] {
  return [...readFileSync(join(packageRoot, page), "utf8").matchAll(/^```ts\n([^]*?)^```/gm)].map(([, code]) => code);
}

const withExamples = pages.filter((page) => examplesOf(page).length > 0);

test("there are examples", () =>
  expect(withExamples).toEqual(expect.arrayContaining(["README.md", "docs/ipywidgets.md", "docs/own-models.md"])));

describe.each(withExamples)("%s", (page) => {
  let kernel: KernelClient;
  beforeAll(async () => {
    await defaultModelFile();
    kernel = await KernelClient.start();
  }, 120_000);
  afterAll(() => KernelClient.closeAll());

  test("runs from the first example to the last", async () => {
    for (const code of examplesOf(page)) {
      // Who waits for a person's hand gets it.
      const waits = /await (\w+)\.changed\("value"\)/.exec(code);
      const hand = waits ? `setTimeout(() => { ${waits[1]}.value = 3; }, 500);\n` : "";
      const { error, stderr } = await kernel.execute(hand + code);
      if (error) throw new Error(`${code}\n${error.ename}: ${error.evalue}`);
      expect(stderr).toBe("");
    }
  }, 240_000);
});
