/** The package as its users get it: packed, installed into an empty folder, required, imported, typed and called. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { defaultModelFile } from "../support/default-model";
import { KernelClient } from "../support/kernel-client";

const ROOT = path.resolve(__dirname, "..", "..");
const manifest = JSON.parse(fs.readFileSync(path.join(ROOT, "package.json"), "utf8")) as {
  name: string;
  version: string;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  exports: Record<string, string | object>;
};
/** What can be imported, with a name of each that proves it. */
const ENTRIES = Object.keys(manifest.exports).filter((entry) => typeof manifest.exports[entry] === "object");
const PROOF: Record<string, string> = { ".": "loadModel", "./ipywidgets": "IntSlider" };
const specifier = (entry: string) => manifest.name + entry.slice(1);

const npm = (cwd: string, ...args: string[]): string => {
  const script = process.env.npm_execpath;
  const [file, first] = script && fs.existsSync(script) ? [process.execPath, [script]] : ["npm", []];
  return execFileSync(file, [...first, ...args, "--loglevel=error", "--no-audit", "--no-fund"], {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" },
    maxBuffer: 1 << 26,
  });
};
const node = (cwd: string, type: "commonjs" | "module", source: string): string =>
  execFileSync(process.execPath, [`--input-type=${type}`, "-e", source], {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });

describe("package.json and its lock", () => {
  test("every direct dependency is pinned to one version", () => {
    for (const version of Object.values({ ...manifest.dependencies, ...manifest.devDependencies }))
      expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test("the lock has the optional packages of every platform: npm ci refuses one that lacks them", () => {
    const { packages } = JSON.parse(fs.readFileSync(path.join(ROOT, "package-lock.json"), "utf8")) as {
      packages: Record<string, { optionalDependencies?: Record<string, string>; optional?: boolean }>;
    };
    const missing: string[] = [];
    for (const [where, entry] of Object.entries(packages)) {
      for (const name of Object.keys(entry.optionalDependencies ?? {})) {
        // As Node looks for it: in the package's own node_modules, then in those above.
        const parts = where === "" ? [] : where.split("/node_modules/");
        const found =
          [...parts.keys(), parts.length].some(
            (depth) =>
              packages[
                [...parts.slice(0, depth), ""]
                  .join("/node_modules/")
                  .replace(/^\/|\/$/g, "")
                  .replace(/^$/, "node_modules") + `/${name}`
              ] !== undefined,
          ) ||
          packages[`node_modules/${name}`] !== undefined ||
          packages[`${where}/node_modules/${name}`] !== undefined;
        if (!found) missing.push(`${where}: ${name}`);
      }
    }
    expect(missing).toEqual([]);
  });

  test("requirements.txt pins every package", () => {
    for (const file of ["requirements.txt", "test/requirements.txt"].filter((name) =>
      fs.existsSync(path.join(ROOT, name)),
    )) {
      for (const line of fs.readFileSync(path.join(ROOT, file), "utf8").split("\n"))
        if (line.trim() && !line.startsWith("#")) expect(line).toMatch(/^[a-z0-9][a-z0-9._-]*==[\w.]+( ; .*)?$/i);
    }
  });
});

describe("by its own name, in the clone", () => {
  test.each(ENTRIES)("%s: require and import give the same things, not two copies", (entry) => {
    const names = node(
      ROOT,
      "module",
      `import { createRequire } from "node:module";
       import * as imported from "${specifier(entry)}";
       const required = createRequire(process.cwd() + "/x.js")("${specifier(entry)}");
       for (const name of Object.keys(required)) if (name !== "__esModule" && required[name] !== imported[name]) throw new Error(name);
       console.log(Object.keys(imported).join(" "));`,
    );
    expect(names.trim().split(" ")).toContain(PROOF[entry]);
  });

  test("what is not exported stays inside", () => {
    expect(() => node(ROOT, "commonjs", `require("lm-transparency/dist/model/gguf.js")`)).toThrow(
      /ERR_PACKAGE_PATH_NOT_EXPORTED/,
    );
    expect(node(ROOT, "commonjs", `console.log(require("lm-transparency/package.json").version)`).trim()).toBe(
      manifest.version,
    );
  });
});

describe("packed and installed into an empty folder", () => {
  let scratch: string;
  let outside: string;
  let files: string[];
  beforeAll(() => {
    scratch = fs.mkdtempSync(path.join(os.tmpdir(), "lmt-package-"));
    outside = fs.mkdtempSync(path.join(os.tmpdir(), "lmt-notebooks-"));
    const [packed] = JSON.parse(npm(ROOT, "pack", "--json", "--ignore-scripts", "--pack-destination", scratch)) as {
      filename: string;
      files: { path: string }[];
    }[];
    files = packed.files.map((file) => file.path);
    fs.writeFileSync(path.join(scratch, "package.json"), JSON.stringify({ name: "consumer", private: true }));
    npm(scratch, "install", "--ignore-scripts", "--prefer-offline", path.join(scratch, packed.filename));
  }, 300_000);
  afterAll(() => {
    for (const folder of [scratch, outside]) fs.rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  });

  test("the archive has what is needed and nothing else", () => {
    for (const needed of [
      "dist/index.js",
      "dist/index.mjs",
      "dist/index.d.ts",
      "dist/index.d.mts",
      "dist/cli/main.js",
      "share/jupyter/kernels/lm-transparency/kernel.json",
      "share/jupyter/labextensions/lm-transparency/package.json",
      "LICENSE",
      "NOTICE",
      "README.md",
      "docs/img/first-look.png",
      "package.json",
    ])
      expect(files).toContain(needed);
    expect(files.some((file) => file.endsWith(".wasm"))).toBe(true);
    expect(
      files.filter(
        (file) =>
          !/^(dist\/|share\/|schema\/|scripts\/(lab\.py|lib\/(explorer|install|lab|lock|steps)\.mjs)$|requirements\.txt$|docs\/[\w-]+\.md$|docs\/img\/[\w-]+\.png$|LICENSE$|NOTICE$|CITATION\.cff$|(README|CHANGELOG|SECURITY)\.md$|package\.json$)/.test(
            file,
          ),
      ),
    ).toEqual([]);
    // The README's links and picture lead somewhere in it, and every map has its sources.
    const readme = fs.readFileSync(path.join(ROOT, "README.md"), "utf8");
    const links = [...readme.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, link]) => link);
    expect(links.length).toBeGreaterThan(10);
    expect(links.filter((link) => !files.includes(link))).toEqual([]);
    const maps = files.filter((file) => file.endsWith(".js.map"));
    expect(maps.length).toBeGreaterThan(100);
    for (const file of maps) {
      const map = JSON.parse(fs.readFileSync(path.join(ROOT, file), "utf8")) as { sourcesContent?: string[] };
      expect([file, map.sourcesContent?.length]).toEqual([file, 1]);
    }
    expect(files.filter((file) => /\.(gguf|safetensors|tsbuildinfo|test\.js|node)$/.test(file))).toEqual([]);
  });

  test.each(ENTRIES)("%s: require and import work", (entry) => {
    const name = PROOF[entry];
    expect(node(scratch, "commonjs", `console.log(typeof require("${specifier(entry)}").${name})`).trim()).toBe(
      "function",
    );
    expect(
      node(scratch, "module", `import { ${name} } from "${specifier(entry)}"; console.log(typeof ${name})`).trim(),
    ).toBe("function");
  });

  test.each([
    ["commonjs", "nodenext"],
    ["module", "nodenext"],
    ["module", "bundler"],
  ] as const)(
    "a TypeScript program of type %s with module resolution %s sees the types",
    (type, resolution) => {
      const folder = path.join(scratch, `${type}-${resolution}`);
      fs.mkdirSync(folder);
      fs.writeFileSync(path.join(folder, "package.json"), JSON.stringify({ name: "x", private: true, type }));
      fs.writeFileSync(
        path.join(folder, "good.ts"),
        `import { loadModel, type RouteGraph, type Tensor } from "lm-transparency";
       import { IntSlider } from "lm-transparency/ipywidgets";
       export const slider = new IntSlider({ value: 3 });
       export async function main(): Promise<RouteGraph> {
         const model = await loadModel("x.gguf", { device: "cpu" });
         const layers: number = model.info.nLayers;
         const run = await model.run("text");
         const logits: Tensor = await run.logits({ position: layers });
         return run.routes({ threshold: logits.data[0] });
       }`,
      );
      // Must not compile: a check that lets everything pass checks nothing.
      fs.writeFileSync(
        path.join(folder, "bad.ts"),
        `import { loadModel } from "lm-transparency";\nexport const main = async () => (await loadModel("x")).info.nLayerz;`,
      );
      const compile = (file: string) =>
        execFileSync(
          process.execPath,
          [
            path.join(ROOT, "node_modules/typescript/bin/tsc"),
            "--noEmit",
            "--strict",
            "--target",
            "es2022",
            "--module",
            resolution === "bundler" ? "esnext" : resolution,
            "--moduleResolution",
            resolution,
            "--types",
            "node",
            "--typeRoots",
            path.join(ROOT, "node_modules/@types"),
            file,
          ],
          { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] },
        );
      try {
        compile("good.ts");
      } catch (error) {
        throw new Error((error as { stdout: string }).stdout);
      }
      let said = "";
      try {
        compile("bad.ts");
      } catch (error) {
        said = (error as { stdout: string }).stdout;
      }
      expect(said).toMatch(/nLayerz/);
    },
    60_000,
  );

  test("the command is there and answers for a real model", async () => {
    const file = await defaultModelFile();
    const bin = path.join(
      scratch,
      "node_modules",
      ".bin",
      process.platform === "win32" ? "lm-transparency.cmd" : "lm-transparency",
    );
    const text = execFileSync(bin, ["trace", "--model", file, "--text", "The capital of France is", "--json", "-"], {
      cwd: scratch,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      maxBuffer: 1 << 26,
    });
    const trace = JSON.parse(text) as { schema: string; predictions: { text: string }[] };
    expect(trace.schema).toBe("lm-transparency/trace@1");
    expect(trace.predictions[0].text).toBe(" Paris");
  }, 60_000);

  test("the kernel that Jupyter is told to start is in it", () => {
    const folder = path.join(
      scratch,
      "node_modules",
      "lm-transparency",
      "share",
      "jupyter",
      "kernels",
      "lm-transparency",
    );
    const spec = JSON.parse(fs.readFileSync(path.join(folder, "kernel.json"), "utf8")) as {
      argv: string[];
      language: string;
    };
    expect(spec.language).toBe("typescript");
    const program = spec.argv[1].replace("{resource_dir}", folder);
    expect(fs.existsSync(path.resolve(program))).toBe(true);
  });

  test("a cell has the types of Node 20 and of the package, with nothing else installed", async () => {
    const kernel = await KernelClient.start({
      cwd: scratch,
      main: path.join(scratch, "node_modules", manifest.name, "dist", "jupyter", "kernel", "main.js"),
    });
    const run = await kernel.execute(
      'import { parseEnv } from "node:util";\nimport { IntSlider } from "lm-transparency/ipywidgets";\n[parseEnv("A=1").A, new IntSlider({ value: 3 }).value]',
    );
    await kernel.close();
    expect(run.error?.evalue).toBeUndefined();
    expect(run.result).toEqual({ "text/plain": "[ '1', 3 ]" });
  }, 120_000);

  // One import, one load, one run, one picture: each cell needs the types of those before it.
  test.each(["inside the project", "outside of it", "in another project with a copy of its own"])(
    "separate cells in a notebook that lies %s",
    async (where) => {
      const file = await defaultModelFile();
      const installed = path.join(scratch, "node_modules", manifest.name);
      const folder = path.join(where === "inside the project" ? scratch : outside, where.replaceAll(" ", "-"));
      fs.mkdirSync(folder);
      if (where.startsWith("in another")) {
        fs.mkdirSync(path.join(folder, "node_modules"));
        fs.symlinkSync(installed, path.join(folder, "node_modules", manifest.name), "junction");
      }
      const kernel = await KernelClient.start({
        cwd: folder,
        main: path.join(installed, "dist", "jupyter", "kernel", "main.js"),
      });
      const last = await (async () => {
        for (const cell of [
          'import { flowGraph, loadModel } from "lm-transparency";\nimport { IntSlider } from "lm-transparency/ipywidgets";',
          `const model = await loadModel(${JSON.stringify(file)}, { device: "cpu" });`,
          'const run = await model.run("The capital of France is");\nconst slider = new IntSlider({ value: 3 });',
          "const { nodes } = await run.routes({ threshold: 0.1 });\nconst picture = flowGraph(run);",
        ]) {
          const { error } = await kernel.execute(cell);
          if (error !== undefined) throw new Error(`${cell}\n${error.evalue}`);
        }
        // The types are the real ones, not `any`.
        expect((await kernel.execute("run.noSuchMember")).error?.evalue).toMatch(/noSuchMember/);
        expect((await kernel.execute("slider.noSuchMember")).error?.evalue).toMatch(/noSuchMember/);
        return kernel.execute("[nodes.length > 0, slider.value, picture.constructor.name]");
      })().finally(() => kernel.close());
      expect(last.error?.evalue).toBeUndefined();
      expect(last.result?.["text/plain"]).toMatch(/^\[ true, 3, '\w+' \]$/);
    },
    120_000,
  );

  test("declarations of later cells name the package's types, wherever it is installed", () => {
    const program = `const { CellCompiler } = require(${JSON.stringify(path.join(scratch, "node_modules", manifest.name, "dist", "jupyter", "kernel", "cell-compiler.js"))});
      const compiler = new CellCompiler({ cwd: ${JSON.stringify(outside)}, packageRoot: ${JSON.stringify(path.join(scratch, "node_modules", manifest.name))}, packageName: "lm-transparency" });
      let state = { declarations: "", kept: {}, modules: {} };
      for (const cell of ['import { loadModel } from "lm-transparency";', "const model = await loadModel();", 'const run = await model.run("x");', "const { nodes } = await run.routes();"]) {
        const converted = compiler.convert(state, cell);
        if (converted.diagnostics.length > 0) throw new Error(converted.diagnostics[0].messageText);
        state = converted.state;
      }
      console.log(JSON.stringify({ kept: Object.keys(state.kept), text: state.declarations }));`;
    const state = JSON.parse(node(outside, "commonjs", program)) as { kept: string[]; text: string };
    expect(state.kept).toEqual([]);
    expect(state.text).toMatch(/const nodes: readonly import\("[^"]*"\)\.RouteNode\[\];/);
  }, 60_000);

  test("the browser part is named and versioned as the package: the widget manager asks by both", () => {
    const folder = path.join(
      scratch,
      "node_modules",
      "lm-transparency",
      "share",
      "jupyter",
      "labextensions",
      "lm-transparency",
    );
    const extension = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8")) as {
      name: string;
      version: string;
      jupyterlab: { _build: { load: string } };
    };
    expect(extension).toMatchObject({ name: manifest.name, version: manifest.version });
    expect(fs.existsSync(path.join(folder, extension.jupyterlab._build.load))).toBe(true);
  });
});
