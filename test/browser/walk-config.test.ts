/**
 * `npm start -- --config my.json`: the Explorer is there without a key pressed; a wrong file is said in sentences; no
 * other notebook runs by being opened.
 */
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Browser } from "playwright-core";
import { modelFolder } from "../support/fixtures";
import { BUSY_MS, launchChromium, makeNotebook, refuseOutside, ROOT } from "../support/jupyter";

let folder: string;
let browser: Browser;
/** A name of our own, so that nobody's notebook is touched. */
const stem = `test-${process.pid}`;
const explorer = (name: string): string => path.join(ROOT, "explorer", name);

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "lmt-config-"));
  browser = await launchChromium();
}, 180_000);
afterAll(async () => {
  await browser?.close();
  fs.rmSync(folder, { recursive: true, force: true });
  for (const name of [`${stem}.ipynb`, `${stem}-other.ipynb`]) fs.rmSync(explorer(name), { force: true });
  fs.rmSync(path.join(ROOT, ".cache", "explorer", `${stem}.ipynb`), { recursive: true, force: true });
}, 180_000);

function start(file: string): {
  text(): string;
  until(pattern: RegExp): Promise<RegExpMatchArray>;
  ended: Promise<number | null>;
  stop(): void;
} {
  const env = { ...process.env };
  for (const name of ["npm_lifecycle_event", "INIT_CWD"]) delete env[name];
  const child = spawn(
    process.execPath,
    [path.join(ROOT, "scripts/start.mjs"), "--no-browser", "--no-model", "--config", file],
    { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] },
  );
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  const ended = new Promise<number | null>((done) => child.once("close", done));
  return {
    text: () => text,
    ended,
    stop: () => child.kill("SIGTERM"),
    async until(pattern) {
      for (const end = Date.now() + 240_000; ; await new Promise((done) => setTimeout(done, 100))) {
        const found = pattern.exec(text);
        if (found) return found;
        if (child.exitCode !== null || Date.now() > end) throw new Error(`${pattern} did not come:\n${text}`);
      }
    },
  };
}

test("the Explorer of a configuration opens by itself, once; paths are those of where it was called", async () => {
  fs.writeFileSync(path.join(folder, "prompts.txt"), "One two three\nA cat sat on the mat\n");
  fs.mkdirSync(path.join(folder, "config"));
  const file = path.join("config", `${stem}.json`);
  // As the published tool has it: the prompts beside where the program is called, not beside the file.
  fs.writeFileSync(
    path.join(folder, file),
    JSON.stringify({
      models: { "": null, tiny: modelFolder("gpt2-tiny") },
      default_model: "tiny",
      preloaded_dataset_filename: "prompts.txt",
      demo_mode: true,
    }),
  );
  const server = start(file);
  try {
    const [, url] = await server.until(/JupyterLab is up:\s+(\S+)/);
    expect(url).toContain(`explorer/${stem}.ipynb`);
    const outside: string[] = [];
    const context = await browser.newContext({ viewport: { width: 1400, height: 1000 } });
    context.setDefaultTimeout(BUSY_MS);
    await refuseOutside(context, outside);
    const page = await context.newPage();
    await page.goto(url);
    const tool = page.locator("lmt-explore");
    await tool.locator("[data-edge]").first().waitFor({ timeout: 120_000 });
    await tool.locator("lmt-prompt-strip").getByText("cat").waitFor();
    expect(await tool.locator("lmt-prompt-bar option").allTextContents()).toEqual([
      "One two three",
      "A cat sat on the mat",
    ]);
    expect(await tool.locator("lmt-prompt-bar textarea").count()).toBe(0);
    expect(await tool.count()).toBe(1);

    // Another notebook is opened and nothing runs, even by the same address and with the same words in it.
    fs.writeFileSync(
      explorer(`${stem}-other.ipynb`),
      JSON.stringify({
        ...makeNotebook(["1 + 1"]),
        metadata: {
          kernelspec: { name: "lm-transparency", display_name: "x" },
          lmTransparencyRun: `explorer/${stem}-other.ipynb`,
        },
      }),
    );
    const other = await context.newPage();
    await other.goto(
      url
        .replace(`${stem}.ipynb`, `${stem}-other.ipynb`)
        .replace("?", `?lmTransparencyRun=explorer/${stem}-other.ipynb&reset&`),
    );
    await other.locator(".jp-Notebook .jp-Cell").first().waitFor();
    await other.waitForTimeout(4000);
    expect(await other.locator(".jp-Notebook:visible .jp-InputPrompt").first().textContent()).toBe("[ ]:");
    expect(outside).toEqual([]);
    await context.close();
  } finally {
    server.stop();
    await server.ended;
  }
}, 400_000);

test("a configuration with problems is not opened: each is a sentence, and the exit code says so", async () => {
  fs.writeFileSync(path.join(folder, "wrong.json"), JSON.stringify({ demo_mode: "yes", modells: {} }));
  const server = start("wrong.json");
  expect(await server.ended).toBe(2);
  expect(server.text()).toContain('demo_mode is "yes", but has to be true or false.');
  expect(server.text()).toContain('"modells" is not a key of a configuration; did you mean "models"?');
  expect(server.text()).not.toContain("JupyterLab is up");

  const none = start("none.json");
  expect(await none.ended).toBe(2);
  expect(none.text()).toContain("none.json does not exist.");
}, 300_000);
