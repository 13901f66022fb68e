/** The steps and parts of `npm test`; docs/start.md describes them. */
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import {
  ROOT,
  VENV_PYTHON,
  findPython,
  installDefaultModel,
  installDependencies,
  installVenv,
  jupyterEnvironment,
} from "./install.mjs";
import { withLock } from "./lock.mjs";
import { Tally } from "./tally.mjs";
import { StepError, Steps, causeOf, lastLines, runProgram } from "./steps.mjs";

/** Folders of test/ that a part takes; "unit" takes what no other part names, "browser" whatever opens a browser. */
const FOLDERS = {
  conformance: ["conformance", "model-real"],
  kernel: ["kernel", "ipywidgets"],
  package: ["package", "start"],
};
const PARTS = ["lint", "types", "unit", "conformance", "kernel", "package", "browser"];
const NEEDS_JUPYTER = ["kernel", "package", "browser"];

const PART_MINUTES = 25;

const at = (...parts) => path.join(ROOT, ...parts);

/** True where a test, or what it imports from test/, drives a browser. */
function usesBrowser(file, seen = new Set()) {
  if (seen.has(file)) return false;
  seen.add(file);
  const text = fs.readFileSync(file, "utf8");
  if (/from "playwright-core"/.test(text)) return true;
  return [...text.matchAll(/from "(\.[^"]+)"/g)].some(([, name]) => {
    const imported = path.resolve(path.dirname(file), `${name}.ts`);
    return imported.startsWith(at("test") + path.sep) && fs.existsSync(imported) && usesBrowser(imported, seen);
  });
}

/** The test files of a part. */
function filesOf(part) {
  const files = fs
    .readdirSync(at("test"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts"))
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort();
  const partOf = (file) => {
    const folder = path.relative(at("test"), file).split(path.sep)[0];
    if (path.relative(at("test"), file) === path.join("fuzz", "kernel.test.ts")) return "kernel";
    return usesBrowser(file)
      ? "browser"
      : (Object.keys(FOLDERS).find((name) => FOLDERS[name].includes(folder)) ?? "unit");
  };
  return files.filter((file) => partOf(file) === part).map((file) => path.relative(ROOT, file));
}

/** Where a Chromium may be; the harness (test/support/jupyter.ts) reads LM_TRANSPARENCY_CHROMIUM. */
const CHROMIUM = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/usr/bin/google-chrome-stable",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

async function installChromium(note) {
  const wish = process.env.LM_TRANSPARENCY_CHROMIUM;
  if (wish && !fs.existsSync(wish))
    throw new StepError(
      `LM_TRANSPARENCY_CHROMIUM is set to ${JSON.stringify(wish)}, which does not exist: correct or unset it.`,
    );
  let found = wish || CHROMIUM.find((file) => fs.existsSync(file));
  if (found === undefined) {
    const say = `no Chromium found for the browser tests: install it ("apt install chromium") or set LM_TRANSPARENCY_CHROMIUM to its path`;
    if (process.platform !== "linux" || process.getuid() !== 0 || !fs.existsSync("/usr/bin/apt-get"))
      throw new StepError(`${say}.`);
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    note("apt-get update");
    await runProgram("apt-get", ["update", "-qq"], { env });
    note("apt-get install chromium");
    const { code, output } = await runProgram(
      "apt-get",
      ["install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"],
      { env },
    );
    found = CHROMIUM.find((file) => fs.existsSync(file));
    if (code !== 0 || found === undefined)
      throw new StepError(`${say}; apt-get could not (exit code ${code}).`, { detail: lastLines(output) });
  }
  process.env.LM_TRANSPARENCY_CHROMIUM = found;
  const { code, output } = await runProgram(found, ["--version"]);
  if (code !== 0) throw new StepError(`${found} does not run.`, { detail: lastLines(output) });
  return output.trim().split("\n").pop();
}

/** Runs one part with its output shown; resolves to the exit code. */
function show(args, env) {
  return new Promise((done) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ["ignore", "inherit", "inherit"] });
    // A part that hangs must not hang the whole run.
    const limit = setTimeout(() => {
      console.error(`stopped after ${PART_MINUTES} minutes`);
      child.kill("SIGKILL");
    }, PART_MINUTES * 60_000);
    const end = (code) => {
      clearTimeout(limit);
      done(code ?? 1);
    };
    child.once("error", () => end(1));
    child.once("close", end);
  });
}

const tally = new Tally();
const since = (start) => (performance.now() - start) / 1000;

async function lint(env) {
  const start = performance.now();
  const programs = [
    ["node_modules/eslint/bin/eslint.js", "."],
    ["node_modules/prettier/bin/prettier.cjs", "--check", "--log-level", "warn", "."],
  ];
  let failed = 0;
  for (const program of programs) if ((await show(program, env)) !== 0) failed++;
  tally.add("lint", since(start), { passed: programs.length - failed, failed });
}

/** The library, and each folder with a tsconfig of its own (browser side, tests). */
async function types(env) {
  const projects = [
    "tsconfig.json",
    ...["widgets", "labextension", "test"]
      .map((folder) => `${folder}/tsconfig.json`)
      .filter((file) => fs.existsSync(at(file))),
  ];
  for (const project of projects) {
    const start = performance.now();
    const code = await show(["node_modules/typescript/bin/tsc", "-p", project, "--noEmit", "--pretty", "false"], env);
    tally.add(`types ${path.dirname(project)}`, since(start), {
      passed: code === 0 ? 1 : 0,
      failed: code === 0 ? 0 : 1,
    });
  }
}

async function jest(part, env, patterns) {
  const start = performance.now();
  const files = filesOf(part).filter(
    (name) => patterns.length === 0 || patterns.some((pattern) => name.split(path.sep).join("/").startsWith(pattern)),
  );
  if (files.length === 0) return;
  console.log(`\n=== ${part}`);
  const file = path.join(os.tmpdir(), `lmt-jest-${process.pid}-${part}.json`);
  // Browser and kernel tests start servers of several processes: one file at a time.
  const workers =
    part === "unit" || part === "conformance"
      ? ["--maxWorkers=2"]
      : ["--runInBand", "--setupFilesAfterEnv=<rootDir>/scripts/lib/jest-retry.cjs"];
  const code = await show(
    [
      "node_modules/jest/bin/jest.js",
      "--runTestsByPath",
      ...files,
      ...workers,
      "--forceExit",
      "--reporters=default",
      "--reporters=<rootDir>/scripts/lib/jest-counts.cjs",
    ],
    { ...env, LM_TRANSPARENCY_COUNTS: file },
  );
  let result;
  try {
    result = JSON.parse(fs.readFileSync(file, "utf8"));
  } catch {
    tally.add(part, since(start), { passed: 0, failed: 1 });
    return;
  } finally {
    fs.rmSync(file, { force: true });
  }
  // A file that could not be run at all has no tests that failed, and is a failure; so is a part without any test.
  const broken = result.numRuntimeErrorTestSuites;
  const failed = result.numFailedTests + broken;
  tally.add(part, since(start), {
    passed: result.numPassedTests,
    failed: failed === 0 && (code !== 0 || result.numTotalTests === 0) ? 1 : failed,
    skipped: result.numPendingTests + result.numTodoTests,
    retried: result.retried,
  });
}

export async function main(args) {
  const parts = args.filter((arg) => PARTS.includes(arg));
  const patterns = args.filter((arg) => arg.startsWith("test/"));
  const wrong = args.find((arg) => !PARTS.includes(arg) && !arg.startsWith("test/"));
  if (wrong !== undefined) {
    console.error(
      `npm test: unknown part ${JSON.stringify(wrong)}; the parts are ${PARTS.join(", ")}, and test/… names files`,
    );
    process.exit(2);
  }
  // Files belong to one part each: where files are named, every part is asked for its own of them.
  const isFiles = (part) => part !== "lint" && part !== "types";
  const chosen = PARTS.filter((part) =>
    patterns.length > 0 ? isFiles(part) || parts.includes(part) : parts.length === 0 || parts.includes(part),
  );
  try {
    await withLock(
      at(".cache", "start.lock"),
      async () => {
        const jupyter = chosen.some((part) => NEEDS_JUPYTER.includes(part)) || chosen.includes("unit");
        const steps = new Steps(5 + (jupyter ? 1 : 0));
        let python;
        await steps.run("Python", async () => {
          python = await findPython();
          return `${python.version.join(".")} (${python.executable})`;
        });
        await steps.run("npm dependencies", installDependencies);
        const requirements = ["requirements.txt", "test/requirements.txt"].filter((file) => fs.existsSync(at(file)));
        await steps.run("Python packages in .venv", (note) => installVenv(python, requirements, note));
        if (jupyter) await steps.run("Chromium", installChromium);
        await steps.run("build", async (note) => {
          const { build, BuildError } = await import("../build.mjs");
          try {
            const built = await build({ say: () => {}, begin: note });
            return built.length > 0 ? built.join(", ") : "up to date";
          } catch (error) {
            if (error instanceof BuildError)
              throw new StepError(
                causeOf(error.message, "npm")?.concat(".") ?? "the sources do not build; the messages are below.",
                { detail: error.message },
              );
            throw error;
          }
        });
        await steps.run("default model", installDefaultModel);
      },
      (pid) => console.log(`waiting for process ${pid}, which is installing in this clone`),
    );
  } catch (error) {
    if (!(error instanceof StepError)) console.error(error);
    else {
      if (error.detail) console.error(`\n${error.detail}`);
      console.error(`\nnpm test: ${error.step ? `step "${error.step}": ` : ""}${error.message}`);
    }
    console.log("0 passed, 1 failed");
    process.exit(1);
  }

  const env = {
    ...process.env,
    ORT_DISABLE_TELEMETRY: "1",
    LM_TRANSPARENCY_PYTHON: VENV_PYTHON,
    FORCE_COLOR: process.stdout.isTTY ? "1" : "0",
  };
  env.PATH = jupyterEnvironment().PATH;
  for (const part of chosen) {
    if (part === "lint" || part === "types") console.log(`\n=== ${part}`);
    if (part === "lint") await lint(env);
    else if (part === "types") await types(env);
    else await jest(part, env, patterns);
  }
  console.log(tally.lines().join("\n"));
  process.exit(tally.failed === 0 && tally.passed > 0 ? 0 : 1);
}
