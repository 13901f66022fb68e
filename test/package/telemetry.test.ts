/**
 * onnxruntime's official builds send telemetry and write a device id below the user's folders unless told not to before
 * the native library loads. Whoever uses this package must not notice that: no file but our own may appear in an empty
 * home.
 */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { defaultModelFile } from "../support/default-model";

const ROOT = path.resolve(__dirname, "..", "..");

/** The environment of a person at a terminal: onnxruntime keeps quiet by itself where it sees CI. */
function personsEnvironment(home: string): NodeJS.ProcessEnv {
  return {
    PATH: process.env.PATH,
    LANG: process.env.LANG,
    HOME: home,
    USERPROFILE: home,
    LOCALAPPDATA: path.join(home, "AppData", "Local"),
    TMPDIR: path.join(home, "tmp"),
  };
}

function filesIn(folder: string): string[] {
  return fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
}

let home: string;
beforeEach(() => {
  home = fs.mkdtempSync(path.join(os.tmpdir(), "lmt-home-"));
  fs.mkdirSync(path.join(home, "tmp"));
});
afterEach(() => fs.rmSync(home, { recursive: true, force: true }));

const USE = (file: string) => `
  const model = await loadModel(${JSON.stringify(file)});
  const run = await model.run("The capital of France is");
  if ((await run.lens("I29_4"))[0].text !== " Paris") throw new Error("wrong answer");
  await model.dispose();
  // Telemetry is written by a thread of its own.
  await new Promise((done) => setTimeout(done, 1500));
`;

test.each(["require", "import"])(
  "a program that loads the package by %s leaves no file in the home folder",
  async (how) => {
    const file = await defaultModelFile();
    const load =
      how === "require"
        ? `const { loadModel } = require("lm-transparency");`
        : `import { loadModel } from "lm-transparency";`;
    const body =
      how === "require"
        ? `(async () => { ${USE(file)} })().catch((error) => { console.error(error); process.exitCode = 1; })`
        : USE(file);
    execFileSync(
      process.execPath,
      [`--input-type=${how === "require" ? "commonjs" : "module"}`, "-e", `${load}\n${body}`],
      { cwd: ROOT, env: personsEnvironment(home), stdio: ["ignore", "pipe", "inherit"], timeout: 100_000 },
    );
    expect(filesIn(home)).toEqual([]);
  },
  120_000,
);

test("the command line leaves no file in the home folder", async () => {
  const file = await defaultModelFile();
  const text = execFileSync(
    process.execPath,
    ["dist/cli/main.js", "trace", "--model", file, "--text", "The capital of France is", "--json", "-"],
    {
      cwd: ROOT,
      env: personsEnvironment(home),
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
      timeout: 100_000,
      maxBuffer: 1 << 26,
    },
  );
  expect((JSON.parse(text) as { predictions: { text: string }[] }).predictions[0].text).toBe(" Paris");
  expect(filesIn(home)).toEqual([]);
}, 120_000);
