/**
 * Cells that import what lies around the notebook: files that change, other folders, packages that come and go. One
 * kernel for all.
 */
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { KernelClient } from "../support/kernel-client";

jest.setTimeout(240_000);

// notebooks/ beside src/, as in most repositories.
const root = realpathSync(mkdtempSync(join(tmpdir(), "local-files-")));
const notebooks = join(root, "notebooks");
let kernel: KernelClient;

function write(path: string, text: string): void {
  const file = join(notebooks, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

beforeAll(async () => {
  mkdirSync(notebooks);
  write(
    "../tsconfig.json",
    '{ // for tools\n "extends": "./tsconfig.base.json", "compilerOptions": { "strict": true } }',
  );
  write("../tsconfig.base.json", '{ "compilerOptions": { "paths": { "@lib/*": ["./lib/*"] } } }');
  kernel = await KernelClient.start({ cwd: notebooks });
});
afterAll(async () => {
  await KernelClient.closeAll();
  rmSync(root, { recursive: true, force: true });
});

async function text(code: string): Promise<unknown> {
  const run = await kernel.execute(code);
  if (run.error !== undefined) throw new Error(`${run.error.ename}: ${run.error.evalue}`);
  return run.result?.["text/plain"];
}

async function failure(code: string): Promise<string> {
  const run = await kernel.execute(code);
  return run.error === undefined
    ? `no error, ${JSON.stringify(run.result)}`
    : run.error.traceback.join("\n").replace(/\u001b\[[0-9;]*m/g, "");
}

async function matches(code: string): Promise<string[]> {
  return (await kernel.request("complete_request", { code, cursor_pos: code.length }))["matches"] as string[];
}

describe("edited files", () => {
  test("the next import sees a file behind the imported one, and JSON", async () => {
    write("base.ts", "export const rate = 1;\n");
    write("calc.ts", "import { rate } from './base';\nexport const total = () => 10 * rate;\n");
    write("data.json", '{"n":1}');
    const cell = "import { total } from './calc';\nimport data from './data.json';\n[total(), data.n]";
    expect(await text(cell)).toBe("[ 10, 1 ]");
    write("base.ts", "export const rate = 7;\n");
    write("data.json", '\ufeff{"n":2}');
    expect(await text(cell)).toBe("[ 70, 2 ]");
  });

  test("what has not changed keeps its state; what imports something changed is run anew, circles too", async () => {
    write("kept.ts", "export const state = { n: 0 };");
    write(
      "left.ts",
      "import { state } from './kept';\nimport { right } from './right';\nexport const left = (): string => 'left ' + right();\nexport const loads = ++state.n;",
    );
    write(
      "right.ts",
      "import * as left from './left';\nexport const right = (): string => 'right ' + typeof left.left;",
    );
    const cell = "import { left, loads } from './left';\nimport { state } from './kept';\n[left(), loads, state.n]";
    expect(await text(cell)).toBe("[ 'left right function', 1, 1 ]");
    expect(await text(cell)).toBe("[ 'left right function', 1, 1 ]");
    write("right.ts", "import * as left from './left';\nexport const right = (): string => 'new ' + typeof left.left;");
    expect(await text(cell)).toBe("[ 'left new function', 2, 2 ]");
    // A part that another cell had reloaded before.
    write("kept.ts", "export const state = { n: 40 };");
    expect(await text("import { state as fresh } from './kept';\nfresh.n")).toBe("40");
    expect(await text(cell)).toBe("[ 'left new function', 41, 41 ]");
  });

  test("types change with the files; files come and go", async () => {
    write("shape.ts", "export interface Shape { a: string }\nexport const one: Shape = { a: 'x' };");
    expect(await text("import { one, type Shape } from './shape';\none.a.toUpperCase()")).toBe("'X'");
    write("shape.ts", "export interface Shape { a: number }\nexport const one: Shape = { a: 3 };");
    expect(await failure("import { one } from './shape';\none.a.toUpperCase()")).toContain(
      "Property 'toUpperCase' does not exist on type 'number'",
    );
    expect(await text("import { one } from './shape';\none.a.toFixed(1)")).toBe("'3.0'");
    expect(await failure("import { late } from './late';")).toContain("Cannot find module './late'");
    write("late.ts", "export const late = 'came';");
    expect(await text("1 + 1")).toBe("2");
    expect(await text("import { late } from './late';\nlate")).toBe("'came'");
    rmSync(join(notebooks, "late.ts"));
    write("late/index.ts", "export const late = 'folder';");
    expect(await text("import { late } from './late';\nlate")).toBe("'folder'");
    rmSync(join(notebooks, "late"), { recursive: true });
    expect(await failure("import { late } from './late';")).toContain("Cannot find module './late'");
  });

  test("a mistake in an imported file is named by file and line, and gone when it is mended", async () => {
    write("../src/wrong.ts", "export const a = 1;\nexport const b: string = 2;");
    expect(await failure("import { b } from '../src/wrong';\nb")).toContain(
      "../src/wrong.ts, line 2, column 14: Type 'number' is not assignable to type 'string'.",
    );
    write("../src/wrong.ts", "export const a = 1;\nexport const b: string = '2';");
    expect(await text("import { b } from '../src/wrong';\nb")).toBe("'2'");
    write("broken.js", "module.exports = {;");
    expect(await failure("import * as broken from './broken.js';\nbroken")).toContain("broken.js, line 1, column 19");
    write("broken.json", "{ 'a': 1 }");
    expect(await failure("require('./broken.json')")).toContain("broken.json is not JSON");
  });
});

describe("places", () => {
  test("parent folders, absolute paths, paths of tsconfig.json, sources of a workspace's package", async () => {
    write("../src/up.ts", "import { wide } from '@lib/wide';\nexport const up = (n: number): number => wide * n;");
    write("../lib/wide.ts", "export const wide = 3;");
    write("../src/up.json", "[1, 2]");
    write("../packages/work/package.json", '{ "name": "work", "version": "1.0.0", "main": "src/index.ts" }');
    write("../packages/work/src/index.ts", "export * from './inner.js';");
    write("../packages/work/src/inner.ts", "export const inner = { n: 1 };");
    mkdirSync(join(root, "node_modules"), { recursive: true });
    symlinkSync("../packages/work", join(root, "node_modules", "work"));
    expect(
      await text(
        `import { up } from "../src/up";\nimport list from "../src/up.json";\nimport { up as same } from ${JSON.stringify(join(root, "src", "up"))};\nimport { wide } from "@lib/wide";\nimport { inner } from "work";\n[up(2), list.length, same === up, wide, inner.n]`,
      ),
    ).toBe("[ 6, 2, true, 3, 1 ]");
    write("../packages/work/src/inner.ts", "export const inner = { n: 2 };");
    expect(await text('import { inner } from "work";\ninner.n')).toBe("2");
  });

  test("CommonJS again and again, ES modules, .mts, .tsx, folders, awaits at the top, import.meta", async () => {
    write(
      "plain.js",
      "const { sep } = require('node:path');\nexports.sep = sep;\nexports.name = __filename;\nexports.here = this === exports;",
    );
    write("whole.cjs", "module.exports = function whole() { return 'whole'; };");
    for (let round = 0; round < 3; round++)
      expect(
        await text(
          "import { sep, name, here } from './plain.js';\nimport whole from './whole.cjs';\n[sep, name.endsWith('plain.js'), here, whole()]",
        ),
      ).toBe("[ '/', true, true, 'whole' ]");
    write("esm.mjs", "export default 3;\nexport const { url, dirname, filename } = import.meta;");
    write("typed.mts", "export const t: number = 4;");
    write(
      "slow.ts",
      "import { t } from './typed.mjs';\nexport const slow = await new Promise<number>((done) => setTimeout(() => done(t + 1), 5));",
    );
    write("after.ts", "import { slow } from './slow';\nexport const after = slow + 1;");
    write(
      "view.tsx",
      "const h = (tag: string, props: unknown, ...inner: unknown[]) => ({ tag, props, inner });\nconst React = { createElement: h };\ndeclare global { namespace JSX { interface IntrinsicElements { [name: string]: any } } }\nexport const view = <div id='a'>hi</div>;",
    );
    write("lib/index.ts", "export const idx = 'index';");
    expect(
      await text(
        "import three, * as esm from './esm.mjs';\nimport { after } from './after';\nimport { view } from './view';\nimport { idx } from './lib';\n[three, esm.url, esm.dirname, esm.filename, after, view.tag, idx]",
      ),
    ).toBe(
      [
        "[",
        `  3,`,
        `  '${pathToFileURL(join(notebooks, "esm.mjs")).href}',`,
        `  '${notebooks}',`,
        `  '${join(notebooks, "esm.mjs")}',`,
        "  6,",
        "  'div',",
        "  'index'",
        "]",
      ].join("\n"),
    );
    expect(
      await text(
        "const name = 'typed';\nconst loaded = await import(`./${name}.mts`) as { t: number };\n[loaded.t, import.meta.dirname === process.cwd()]",
      ),
    ).toBe("[ 4, true ]");
  });

  test("stacks name the .ts file's line, also when its functions are called later", async () => {
    write(
      "boom.ts",
      "interface Gap { a: string }\n\nexport function boom(gap?: Gap): never {\n  for (const one of [gap]) void one;\n  throw new Error('in file');\n}\n",
    );
    const stack = await failure("import { boom } from './boom';\nboom();");
    expect(stack).toContain(`at boom (${join(notebooks, "boom.ts")}:5:9)`);
    expect(stack).toMatch(/at cell \[\d+\]:2:/);
    const later = await kernel.execute("try { boom(); } catch (error) { console.log((error as Error).stack); }");
    expect(later.stdout).toContain(`${join(notebooks, "boom.ts")}:5:9`);
    expect(later.stdout).toMatch(/at cell \[\d+\]:1:7/);
  });

  test("JSX in a cell uses the factory that is there, or says what is missing; assertions by <T> stay", async () => {
    expect(await text("const seven = <number>(7 as unknown);\nconst same = <T>(a: T) => a;\nsame(seven)")).toBe("7");
    expect(await failure("const element = <p>text</p>;")).toMatch(/line 1, column 18: .*'React'/);
    await text(
      "const React = { createElement: (tag: unknown, props: unknown, ...inner: unknown[]) => [tag, props, inner] };",
    );
    expect(await text("<p id='x'>{1 + 1}</p>")).toBe("[ 'p', { id: 'x' }, [ 2 ] ]");
  });
});

describe("packages", () => {
  function install(name: string, version: string, files: Record<string, string>, fields = "{}"): void {
    for (const [path, content] of Object.entries(files)) write(`../node_modules/${name}/${path}`, content);
    write(`../node_modules/${name}/package.json`, JSON.stringify({ name, version, ...(JSON.parse(fields) as object) }));
    write("../node_modules/.package-lock.json", JSON.stringify({ name, version, now: performance.now() }));
  }

  test("one that was installed while the kernel ran is there, with its types, and its name completes", async () => {
    expect(await failure('import { grown } from "grown";')).toContain("Cannot find module 'grown'");
    expect(await matches('import { } from "gro')).toEqual([]);
    install(
      "grown",
      "1.0.0",
      { "index.js": "exports.grown = 5;", "index.d.ts": "export declare const grown: number;" },
      '{"types":"index.d.ts"}',
    );
    expect(await text("1 + 1")).toBe("2");
    expect(await matches('import { } from "gro')).toEqual(["grown"]);
    expect(await text('import { grown } from "grown";\ngrown.toFixed(1)')).toBe("'5.0'");
    expect(await matches('const grownToo = require("gro')).toEqual(["grown"]);
    install("@scope/part", "1.0.0", { "index.js": "" });
    expect(await matches('await import("@sco')).toEqual(["@scope/part"]);
    rmSync(join(root, "node_modules", "grown"), { recursive: true });
    expect(await failure('import { grown as gone } from "grown";')).toContain("Cannot find module 'grown'");
    expect(await matches('import { } from "gro')).toEqual([]);
    write("fresh-name.ts", "export {};");
    expect(await matches('import { } from "./fresh')).toEqual(["fresh-name"]);
    expect(await matches('import { } from "../src/u')).toEqual(expect.arrayContaining(["up"]));
  });

  test("one that only `import` may load, one that awaits, behind a local file too", async () => {
    install(
      "only-import",
      "1.0.0",
      { "index.js": "export const only = 1;", "index.d.ts": "export declare const only: number;" },
      '{"type":"module","exports":{"import":"./index.js"}}',
    );
    install(
      "awaits",
      "1.0.0",
      {
        "index.js": "export const waited = await Promise.resolve(2);",
        "index.d.ts": "export declare const waited: number;",
      },
      '{"type":"module","exports":"./index.js","types":"./index.d.ts"}',
    );
    write("uses.ts", "import { waited } from 'awaits';\nexport const uses = waited + 1;");
    expect(await text("import { only } from 'only-import';\nimport { uses } from './uses';\n[only, uses]")).toBe(
      "[ 1, 3 ]",
    );
  });

  test("types that a package does not export, as pnpm's layout has them, are known to the next cell", async () => {
    const store = "../node_modules/.pnpm/deep@1.0.0/node_modules/deep";
    write(
      `${store}/package.json`,
      '{"name":"deep","version":"1.0.0","main":"index.js","types":"index.d.ts","exports":{".":{"types":"./index.d.ts","default":"./index.js"}}}',
    );
    write(`${store}/index.d.ts`, "import { Hidden } from './hidden';\nexport declare function make(): Hidden;");
    write(`${store}/hidden.d.ts`, "export declare class Hidden { private secret; n: number; }");
    write(`${store}/index.js`, "exports.make = () => ({ n: 1 });");
    write(
      "../node_modules/.pnpm/top@1.0.0/node_modules/top/package.json",
      '{"name":"top","version":"1.0.0","main":"index.js","types":"index.d.ts"}',
    );
    write("../node_modules/.pnpm/top@1.0.0/node_modules/top/index.d.ts", "export { make } from 'deep';");
    write("../node_modules/.pnpm/top@1.0.0/node_modules/top/index.js", "exports.make = require('deep').make;");
    symlinkSync("../../deep@1.0.0/node_modules/deep", join(root, "node_modules/.pnpm/top@1.0.0/node_modules/deep"));
    symlinkSync(".pnpm/top@1.0.0/node_modules/top", join(root, "node_modules/top"));
    expect(existsSync(join(root, "node_modules/top/index.js"))).toBe(true);
    for (let round = 0; round < 3; round++) await text("import { make } from 'top';\nconst made = make();");
    expect(await text("made.n")).toBe("1");
    expect(await failure("const wrong: string = made.n;")).toContain(
      "Type 'number' is not assignable to type 'string'",
    );
  });
});

describe("types that no declaration can write", () => {
  test("an interface that is not exported, expressions with private members, mixins, local types", async () => {
    write("hidden.ts", "interface Hidden { a: number }\nexport function make(): Hidden { return { a: 1 }; }");
    await text(
      "import { make as makeHidden } from './hidden';\nconst h = makeHidden();\nlet other = makeHidden(), plain = 3;\nconst nested = { list: [makeHidden()] };",
    );
    expect(await text("other = { a: 5 };\n[h.a, other.a, plain, nested.list[0].a]")).toBe("[ 1, 5, 3, 1 ]");
    expect(await failure("const wrong: string = h.a;")).toContain("Type 'number' is not assignable to type 'string'");
    expect(
      await text(
        "const Counter = class { private n = 0; up() { return ++this.n; } };\nconst counter = new Counter();\ncounter.up()",
      ),
    ).toBe("1");
    expect(await text("counter.up() + new Counter().up()")).toBe("3");
    await text(
      "function Mixin<T extends new (...a: any[]) => object>(Base: T) { return class extends Base { protected tag = 1; show() { return this.tag; } }; }",
    );
    await text("class Mixed extends Mixin(Object) { more() { return this.tag + 1; } }");
    expect(await text("const mixed: Mixed = new Mixed();\n[mixed.show(), mixed.more()]")).toBe("[ 1, 2 ]");
    await text(
      "function local() { interface Local { deep: number } return { deep: 2 } as Local; }\nconst found = local();\nif (found) { var inBlock = found.deep; }",
    );
    expect(await text("[found.deep.toFixed(1), inBlock]")).toBe("[ '2.0', 2 ]");
    // Declared anew, they are what they are now.
    expect(await text("const h = 'text', Counter = 2;\nh.length + Counter")).toBe("6");
  });
});

describe("the language", () => {
  test("is TypeScript 5.9: using, import attributes, import = require, newer types", async () => {
    write("attributes.json", '{"v":1}');
    const run = await kernel.execute(
      "import attributes from './attributes.json' with { type: 'json' };\nimport paths = require('node:path');\nusing resource = { [Symbol.dispose]() { console.log('disposed'); } };\nfunction one<const T>(t: T) { return t; }\n[attributes.v, paths.sep, one(['a'])[0]]",
    );
    expect(run.error).toBeUndefined();
    expect(run.stdout).toBe("disposed\n");
    expect(run.result).toEqual({ "text/plain": "[ 1, '/', 'a' ]" });
    expect((await kernel.request("kernel_info_request"))["language_info"]).toMatchObject({
      version: expect.stringMatching(/^5\.9\./),
    });
  });

  test("variables of earlier cells: in calls, patterns, namespaces, global types", async () => {
    await text(
      "let n = 1;\nfunction inner(this: unknown) { return this === undefined || this === globalThis; }\nenum E { A = 2 }\nconst enum C { Q = 7 }\nnamespace N { export const z = 3; export interface I { k: number } }\ndeclare global { interface Array<T> { second(): T } }\nArray.prototype.second = function () { return this[1]; };\nconst tag = (parts: TemplateStringsArray) => parts[0];",
    );
    expect(
      await text(
        "({ n } = { n: 5 });\n[n] = [n + 1];\nJSON.stringify([n, inner(), inner?.call(undefined), E.A, C.Q, N.z, { n, E }.n, tag`t`, [1, 2].second(), ({ k: 4 } satisfies N.I).k])",
      ),
    ).toBe("'[6,true,true,2,7,3,6,\"t\",2,4]'");
  });
});
