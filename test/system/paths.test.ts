/** Paths that lead to no plain file: for everything that opens one, one sentence, and nothing waits for ever. */
import { execFileSync, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync, chmodSync, chownSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { modelFolder, root } from "../support/fixtures";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lmt-paths-"));
  symlinkSync("loop", join(folder, "loop"));
  symlinkSync("nowhere", join(folder, "dangling"));
  mkdirSync(join(folder, "dir"));
  writeFileSync(join(folder, "file"), "x");
  execFileSync("mkfifo", [join(folder, "pipe")]);
  writeFileSync(join(folder, "closed"), "x");
  chmodSync(join(folder, "closed"), 0);
  mkdirSync(join(folder, "shut"));
  writeFileSync(join(folder, "shut/file"), "x");
  chmodSync(join(folder, "shut"), 0);
  // Others than root must get as far as that.
  chmodSync(folder, 0o755);
  if (process.getuid?.() === 0) chownSync(folder, 65534, 65534);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const PATHS: readonly (readonly [string, string])[] = [
  ["NUL", "a\0b"],
  ["links in a circle", "loop"],
  ["a path through links in a circle", "loop/x"],
  ["a link to nothing", "dangling"],
  ["a name that is too long", "x".repeat(300)],
  ["a path that is too long", "x/".repeat(3000)],
  ["nothing", "none"],
  ["a path through a file", "file/x"],
  ["a folder", "dir"],
  ["a pipe", "pipe"],
  ["a device without end", "/dev/zero"],
  ["a file that may not be read", "closed"],
  ["a folder that may not be entered", "shut/file"],
];

/** Runs in a child that root has given up its rights in. Everything that opens files that somebody names. */
const PROGRAM = `
const path = require("node:path");
const { loadModel, readPrompts } = require("./index.js");
const { loadConfig, readDataset, readConfig } = require("./config/index.js");
const { openGguf, openFolder } = require("./model/open.js");
const { readSafetensors } = require("./model/safetensors.js");
const { outlineOfGguf } = require("./model/gguf-limits.js");
const { readTextFile } = require("./system/read.js");
const { writeFileAtomically } = require("./system/write.js");
const { notebookPage } = require("./export/notebook.js");
const all = async (lines) => { for await (const line of lines) void line; };
const WAYS = {
  loadModel: (file) => loadModel(file),
  "a GGUF file": (file) => openGguf(file),
  "a model's folder": (file) => openFolder(file),
  "a safetensors file": (file) => readSafetensors(file),
  "a GGUF header": (file) => outlineOfGguf(file),
  "a configuration": (file) => loadConfig(file),
  "a file of prompts": (file) => all(readPrompts(file)),
  "a file of prompts in JSON lines": (file) => all(readPrompts(file)),
  "prompts of a configuration": (file) => readConfig({ preloaded_dataset_filename: file, models: {} }),
  "a dataset": (file) => readDataset(file, [process.cwd()]),
  "a text": (file) => readTextFile(file),
  "an output": (file) => (/\\/(none|dangling)$/.test(file) ? undefined : writeFileAtomically(file, "x")),
};
async function main() {
  if (process.getuid() === 0) { process.setgroups([]); process.setgid(65534); process.setuid(65534); }
  const answers = [];
  for (const file of JSON.parse(process.argv[1])) {
    for (const [way, open] of Object.entries(WAYS)) {
      let answer = { file, way };
      try { await open(file); } catch (error) { answer = { ...answer, name: error.name, code: error.code, message: error.message }; }
      answers.push(answer);
    }
  }
  process.stdout.write(JSON.stringify(answers), () => process.exit(0));
}
void main();
`;

interface Answer {
  readonly file: string;
  readonly way: string;
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
}

/** Output of a process that is ended after a minute. */
function run(
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<{ readonly stdout: string; readonly stderr: string; readonly code: number | null; readonly late: boolean }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: join(root, "dist"), env, stdio: ["ignore", "pipe", "pipe"] });
    let [stdout, stderr, late] = ["", "", false];
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, 60_000);
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ stdout, stderr, code, late });
    });
  });
}

const CLASSES: Readonly<Record<string, RegExp>> = {
  loadModel: /^ModelFileError$/,
  "a GGUF file": /^ModelFileError$/,
  "a model's folder": /^ModelFileError$/,
  "a safetensors file": /^ModelFileError$/,
  "a GGUF header": /^ModelFileError$/,
  "a configuration": /^ConfigError$/,
  "prompts of a configuration": /^ConfigError$/,
  "a dataset": /^(Error|FileError)$/,
};
/** What an output may be written to. */
const WRITABLE: ReadonlySet<string> = new Set(["a link to nothing", "a device without end"]);

function expectSentence(what: string, message: string | undefined): void {
  if (message === undefined) throw new Error(`${what}: no error`);
  if (
    message.includes("\n") ||
    message.includes("\0") ||
    message.length < 10 ||
    message.length > 13_000 ||
    !message.endsWith(".") ||
    /\b(E[A-Z]{3,}|ERR_\w+|syscall|undefined|at \w+ \()\b/.test(message)
  )
    throw new Error(`${what}: ${JSON.stringify(message)}`);
}

test.each(PATHS.filter(([name]) => name !== "a pipe"))(
  "%s",
  async (name, path) => {
    const { stdout, stderr, late } = await run([
      "-e",
      PROGRAM,
      JSON.stringify([path.startsWith("/") ? path : join(folder, path)]),
    ]);
    expect({ stderr, late }).toEqual({ stderr: "", late: false });
    const answers = JSON.parse(stdout) as Answer[];
    expect(answers.length).toBe(12);
    for (const { way, message, name: type } of answers) {
      if (way === "an output" && (WRITABLE.has(name) || name === "nothing")) continue;
      expectSentence(`${way}, ${name}`, message);
      expect(`${way}: ${type}`).toMatch(new RegExp(`: ${(CLASSES[way] ?? /^FileError$/).source.slice(1)}`));
    }
  },
  70_000,
);

test("a pipe that nobody writes to is not waited for", async () => {
  const { stdout, late } = await run([
    "-e",
    PROGRAM.replace(/"an output".*\n/, ""),
    JSON.stringify([join(folder, "pipe")]),
  ]);
  expect(late).toBe(false);
  for (const { way, message } of JSON.parse(stdout) as Answer[]) expectSentence(way, message);
});

describe("inside a model's folder", () => {
  const FILES = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
  test.each(
    PATHS.filter(([name]) => !/NUL|too long|through|entered|nothing$/.test(name) || name === "a link to nothing"),
  )("%s", async (_, path) => {
    const sources = FILES.map((file) => {
      const to = join(folder, `model-${path.replace(/\W/g, "")}-${file}`);
      cpSync(modelFolder("llama-tiny"), to, { recursive: true });
      rmSync(join(to, file));
      symlinkSync(path.startsWith("/") ? path : join(folder, path), join(to, file));
      return to;
    });
    const { stdout, late } = await run([
      "-e",
      PROGRAM.replace(/const WAYS = \{[^]*?\n\};/, "const WAYS = { loadModel };"),
      JSON.stringify(sources),
    ]);
    expect(late).toBe(false);
    for (const { file, message, name } of JSON.parse(stdout) as Answer[]) {
      expectSentence(file, message);
      expect(name).toBe("ModelFileError");
    }
  });
});

describe("the command line", () => {
  const main = join(root, "dist/cli/main.js");
  // A path with NUL cannot be an argument of a process.
  test.each(PATHS.filter(([name]) => !/NUL|may not/.test(name)))(
    "%s",
    async (name, path) => {
      const file = path.startsWith("/") ? path : join(folder, path);
      const model = modelFolder("llama-tiny");
      const calls: readonly (readonly string[])[] = [
        ["trace", "--model", file, "--text", "a"],
        ["aggregate", "--model", model, "--prompts", file],
        ["export", file],
        ...(WRITABLE.has(name) || name === "nothing" || name === "a pipe"
          ? []
          : [["trace", "--model", model, "--text", "a", "--json", file]]),
      ];
      for (const result of await Promise.all(calls.map((call) => run([main, ...call])))) {
        expect(result.late).toBe(false);
        expect(result.code).not.toBe(0);
        const line = result.stderr.replace(/\n$/, "");
        expect(line).toMatch(/^lm-transparency: /);
        expectSentence(name, line.replace(/[^.]$/, "$&."));
      }
    },
    120_000,
  );
});
