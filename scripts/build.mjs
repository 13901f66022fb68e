/**
 * `npm run build`: makes the package out of the sources. Needs nothing but `npm ci`.
 *
 *   library      src/**            → dist/                                       (tsc)
 *   esm          dist/index.js, …  → dist/index.mjs, dist/index.d.mts, …         (names only; one copy of the code)
 *   wasm         src/**\/wasm       → dist/                                       (scripts/build-wasm.mjs)
 *   kernelspec   src/jupyter/kernel/kernelspec → share/jupyter/kernels/lm-transparency
 *   widgets      widgets, labextension → share/jupyter/labextensions/lm-transparency, share/jupyter/nbextensions,
 * dist/static (webpack)
 *   nbconvert    labextension/nbconvert → share/jupyter/nbconvert/templates/lm-transparency
 *
 * A step whose inputs have the same contents as last time, and whose files are all there, is skipped. `--force` builds
 * all.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { filesUnder, hashFiles, readState, writeState } from "./lib/build-state.mjs";
import { withLock } from "./lib/lock.mjs";
import { runProgram } from "./lib/steps.mjs";

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const at = (...parts) => path.join(ROOT, ...parts);

export class BuildError extends Error {}

/** Runs a program of node_modules with this Node. Its output is shown only when it fails. */
async function node(step, script, args = []) {
  if (!fs.existsSync(at(script))) throw new BuildError(`${step}: ${script} is missing: run "npm ci" first`);
  const { code, signal, output, error } = await runProgram(process.execPath, [at(script), ...args], {
    cwd: ROOT,
    env: { ...process.env, XDG_CACHE_HOME: at(".cache", "build") },
  });
  if (error) throw new BuildError(`${step}: ${error.message}`);
  if (code !== 0)
    throw new BuildError(
      `${step}: ${path.basename(script)} failed (${signal ?? `exit code ${code}`})\n${output.trim()}`,
    );
}

/** What webpack read last time, so that a change of any of it, wherever it lies, builds the bundle again. */
const BUNDLED = ".cache/bundled.json";

const isSource = (file) => file.endsWith(".ts") && !file.endsWith(".as.ts");

/** Files that tsc made from a source that is gone would otherwise be packed and found by `require`. */
function removeOrphans() {
  for (const file of filesUnder(ROOT, ["dist"], (name) => /\.(js|js\.map|d\.ts)$/.test(name))) {
    const stem = file.replace(/^dist\//, "").replace(/\.(js|js\.map|d\.ts)$/, "");
    if (
      !fs.existsSync(at("src", `${stem}.ts`)) &&
      fs.existsSync(at("dist", `${stem}.d.ts`)) &&
      fs.existsSync(at("dist", `${stem}.js.map`))
    ) {
      for (const end of [".js", ".js.map", ".d.ts"]) fs.rmSync(at("dist", stem + end), { force: true });
    }
  }
}

/** The package's entry points ("dist/index", …) that are served to `import` as well as to `require`. */
function entries() {
  const { exports } = JSON.parse(fs.readFileSync(at("package.json"), "utf8"));
  return Object.values(exports)
    .map((entry) => entry.import?.default)
    .filter((file) => file?.endsWith(".mjs"))
    .map((file) => file.replace(/^\.\//, "").replace(/\.mjs$/, ""));
}

/** Copies a folder, replacing what was there. */
function copyFolder(from, to) {
  fs.rmSync(at(to), { recursive: true, force: true });
  fs.cpSync(at(from), at(to), { recursive: true });
}

const STEPS = [
  {
    name: "library",
    inputs: () => ["package.json", "tsconfig.json", ...filesUnder(ROOT, ["src"], isSource)],
    made: () => [
      "dist/index.js",
      ...filesUnder(ROOT, ["src"], isSource)
        .filter((file) => !file.endsWith(".d.ts"))
        .map((file) => file.replace(/^src/, "dist").replace(/ts$/, "js")),
    ],
    async run() {
      await node("library", "node_modules/typescript/bin/tsc", ["-p", "tsconfig.json", "--pretty", "false"]);
      removeOrphans();
      const binary = JSON.parse(fs.readFileSync(at("package.json"), "utf8")).bin["lm-transparency"];
      if (fs.existsSync(at(binary))) fs.chmodSync(at(binary), 0o755);
    },
  },
  {
    name: "wasm",
    inputs: () => [
      "scripts/build-wasm.mjs",
      ...filesUnder(ROOT, ["src"], (file) => file.includes("/wasm/") || file.endsWith(".as.ts")),
    ],
    made: () => filesUnder(ROOT, ["dist"], (file) => file.endsWith(".wasm")),
    run: () => node("wasm", "scripts/build-wasm.mjs"),
  },
  {
    name: "esm",
    inputs: () => ["package.json", ...filesUnder(ROOT, ["src"], isSource)],
    made: () => entries().flatMap((stem) => [`${stem}.mjs`, `${stem}.d.mts`]),
    run() {
      // The names are asked of the CommonJS build itself; its code stays the only copy, so classes and caches are
      // shared by whoever requires and whoever imports.
      for (const stem of entries()) {
        const list = `process.stdout.write(JSON.stringify(Object.keys(require(${JSON.stringify(at(`${stem}.js`))}))))`;
        const child = spawnSync(process.execPath, ["-e", list], {
          encoding: "utf8",
          env: { ...process.env, ORT_DISABLE_TELEMETRY: "1" },
        });
        if (child.status !== 0) throw new BuildError(`esm: ${stem}.js does not load\n${child.stderr}`);
        const names = JSON.parse(child.stdout)
          .filter((name) => name !== "default" && name !== "__esModule")
          .sort();
        const file = `./${path.basename(stem)}.js`;
        fs.writeFileSync(
          at(`${stem}.mjs`),
          [
            `import library from "${file}";`,
            ...names.map((name) => `export const ${name} = library.${name};`),
            "",
          ].join("\n"),
        );
        fs.writeFileSync(at(`${stem}.d.mts`), `export * from "${file}";\n`);
      }
    },
  },
  {
    name: "kernelspec",
    inputs: () => filesUnder(ROOT, ["src/jupyter/kernel/kernelspec"]),
    made: () => filesUnder(ROOT, ["share/jupyter/kernels"]),
    run: () => copyFolder("src/jupyter/kernel/kernelspec", "share/jupyter/kernels/lm-transparency"),
  },
  {
    name: "widgets",
    inputs: () => [
      "webpack.config.js",
      "package.json",
      "package-lock.json",
      ...filesUnder(ROOT, ["widgets", "labextension", "src/protocol"]),
      ...(readState(at(BUNDLED)).files ?? []),
    ],
    made: () => filesUnder(ROOT, ["share/jupyter/labextensions", "share/jupyter/nbextensions", "dist/static"]),
    run: () => node("widgets", "scripts/lib/webpack.mjs", ["webpack.config.js", BUNDLED]),
  },
  {
    name: "nbconvert",
    inputs: () => [
      "scripts/lib/nbconvert.mjs",
      "src/export/page.ts",
      "dist/static/picture.js",
      ...filesUnder(ROOT, ["labextension/nbconvert"]),
    ],
    made: () => filesUnder(ROOT, ["share/jupyter/nbconvert"]),
    run: () =>
      node("nbconvert", "scripts/lib/nbconvert.mjs", [
        ROOT,
        at("labextension/nbconvert/lm-transparency"),
        at("share/jupyter/nbconvert/templates/lm-transparency"),
      ]),
  },
];

/**
 * Builds what is out of date. Calls `begin(name)` before and `say(line)` after each step. Throws `BuildError` with the
 * step's name and its output.
 */
export async function build({
  force = false,
  only = undefined,
  say = (line) => console.log(line),
  begin = () => {},
} = {}) {
  const stateFile = at(".cache", "build.json");
  return withLock(
    at(".cache", "build.lock"),
    async () => {
      const built = [];
      for (const step of STEPS) {
        if (only !== undefined && !only.includes(step.name)) continue;
        const inputs = [...new Set(step.inputs())];
        if (inputs.length === 0 || !fs.existsSync(at(inputs[0]))) continue;
        const known = new Map();
        const hashInputs = (files) =>
          hashFiles(ROOT, [...files.filter((file) => fs.existsSync(at(file))).sort(), "scripts/build.mjs"], known);
        const hash = hashInputs(inputs);
        const state = readState(stateFile);
        const last = state[step.name];
        if (!force && last?.inputs === hash && last.made.every((file) => fs.existsSync(at(file)))) {
          say(`${step.name}: up to date`);
          continue;
        }
        const start = performance.now();
        delete state[step.name];
        writeState(stateFile, state);
        begin(step.name);
        await step.run();
        // Running a step can tell more about what goes into it.
        writeState(stateFile, {
          ...state,
          [step.name]: { inputs: hashInputs([...new Set(step.inputs())]), made: step.made() },
        });
        built.push(step.name);
        say(`${step.name}: built in ${((performance.now() - start) / 1000).toFixed(1)} s`);
      }
      return built;
    },
    (pid) => {
      begin(`waiting for the build of process ${pid}`);
      say(`waiting for the build of process ${pid}`);
    },
  );
}

if (process.argv[1] && import.meta.url === pathToFileURL(fs.realpathSync(process.argv[1])).href) {
  const args = process.argv.slice(2);
  const names = STEPS.map((step) => step.name);
  const wrong = args.find((arg) => arg !== "--force" && !names.includes(arg));
  if (wrong !== undefined) {
    console.error(
      `build: unknown argument ${JSON.stringify(wrong)}; allowed are --force and the steps ${names.join(", ")}`,
    );
    process.exit(2);
  }
  const only = args.filter((arg) => arg !== "--force");
  build({ force: args.includes("--force"), only: only.length > 0 ? only : undefined }).catch((error) => {
    console.error(error instanceof BuildError ? `build: ${error.message}` : error);
    process.exit(1);
  });
}
