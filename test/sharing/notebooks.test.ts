/**
 * The example notebooks as they are committed: executed, without errors, in the form that `npm run notebooks` gives
 * them.
 */
import fs from "node:fs";
import path from "node:path";
import { inflateSync } from "node:zlib";
import { readPayload } from "../../src/payload/format";
import { StoredAnswers } from "../../src/payload/read";
import { ROOT } from "../support/jupyter";
import { program } from "./support";

const folder = path.join(ROOT, "notebooks");
const names = fs.readdirSync(folder).filter((name) => name.endsWith(".ipynb"));

interface Notebook {
  readonly cells: readonly {
    readonly cell_type: string;
    readonly execution_count?: number | null;
    readonly outputs?: readonly { readonly output_type: string; readonly data?: Readonly<Record<string, unknown>> }[];
  }[];
}

test("there are examples", () => expect(names.length).toBeGreaterThan(0));

describe.each(names)("%s", (name) => {
  const text = fs.readFileSync(path.join(folder, name), "utf8");
  const notebook = JSON.parse(text) as Notebook;
  const code = notebook.cells.filter(({ cell_type }) => cell_type === "code");
  const outputs = code.flatMap((cell) => cell.outputs ?? []);

  test("was run from the first cell to the last without an error", () => {
    expect(code.map(({ execution_count }) => execution_count)).toEqual(code.map((_, i) => i + 1));
    expect(outputs.filter(({ output_type }) => output_type === "error")).toEqual([]);
  });

  test("is stored in the form that diffs well, and small", async () => {
    const script = `import(${JSON.stringify(`file://${path.join(ROOT, "scripts", "notebooks.mjs")}`)}).then(({ normalised, written }) => process.stdout.write(written(normalised(JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"))))))`;
    expect(await program(process.execPath, ["-e", script, path.join(folder, name)])).toBe(text);
    expect(text.length).toBeLessThan(800_000);
    expect(text).not.toContain("vnd.jupyter.widget-state");
  });

  test("its pictures can be read without a kernel", async () => {
    const payloads = outputs.flatMap(({ data }) =>
      data?.["application/vnd.lm-transparency+json"] === undefined
        ? []
        : [readPayload(data["application/vnd.lm-transparency+json"])],
    );
    expect(payloads.length).toBeGreaterThan(0);
    for (const payload of payloads) {
      const answers = new StoredAnswers(inflateSync(Buffer.from(payload.data, "base64")));
      const { start, threshold, renormalize } = answers.head.selection;
      if (payload.picture === "token-matrix") expect(answers.keys("maps").length).toBeGreaterThan(3);
      else
        expect(
          (await answers.answer({ kind: "routes", from: start, threshold, renormalize }))?.nodes.length,
        ).toBeGreaterThan(10);
    }
  });
});
