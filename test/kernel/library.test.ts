import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { modelFolder } from "../support/fixtures";
import { KernelClient, packageRoot } from "../support/kernel-client";

jest.setTimeout(240_000);

/** A folder of the user's, somewhere else, and the one inside the package. */
const elsewhere = mkdtempSync(join(tmpdir(), "notebook-"));
afterAll(() => rmSync(elsewhere, { recursive: true, force: true }));

describe.each([
  ["inside the package", join(packageRoot, "notebooks")],
  ["in any other folder", elsewhere],
])("%s", (_where, cwd) => {
  let kernel: KernelClient;
  beforeAll(async () => {
    kernel = await KernelClient.start({ cwd });
  });
  afterAll(() => kernel.close());

  test("the library is imported with its types", async () => {
    const run = await kernel.execute(
      'import { loadModel, type Token } from "lm-transparency";\nconst token: Token = { id: 1, text: "x" };\ntypeof loadModel',
    );
    expect(run.error).toBeUndefined();
    expect(run.result).toEqual({ "text/plain": "'function'" });
    const wrong = await kernel.execute("const other: Token = { id: 'no', text: 'x' };");
    expect(wrong.error?.evalue).toContain("Type 'string' is not assignable to type 'number'");
  });

  test("a variable may have a type that no cell imported", async () => {
    const first = await kernel.execute(
      `import { flowGraph, loadModel } from "lm-transparency";\nconst tiny = await loadModel(${JSON.stringify(modelFolder("gpt2-tiny"))});\nconst short = await tiny.run([1, 2]);`,
    );
    expect(first.error).toBeUndefined();
    const second = await kernel.execute(
      "const shown = await (async () => { const picture = flowGraph(short); return picture; })();\nshown.selection.start",
    );
    expect(second.error).toBeUndefined();
    expect((await kernel.execute("await tiny.dispose();\nconst wrong: string = shown;")).error?.evalue).toContain(
      "FlowGraph",
    );
  });

  test("names and members complete; a name is explained with its documentation", async () => {
    const names = await kernel.request("complete_request", { code: "loadMo", cursor_pos: 6 });
    expect(names).toMatchObject({ status: "ok", cursor_start: 0, cursor_end: 6 });
    expect(names["matches"]).toContain("loadModel");
    const members = await kernel.request("complete_request", { code: "token.", cursor_pos: 6 });
    expect(members["matches"]).toEqual(expect.arrayContaining(["id", "text"]));
    const info = await kernel.request("inspect_request", { code: "loadModel", cursor_pos: 9, detail_level: 0 });
    expect(info).toMatchObject({ status: "ok", found: true });
    expect((info["data"] as Record<string, string>)["text/plain"]).toMatch(/function loadModel.*\n\n.*[Mm]odel/s);
  });

  test("Node's own modules have types", async () => {
    const run = await kernel.execute(
      'import { basename } from "node:path";\nconst name: string = basename("/a/b.txt");\nname',
    );
    expect(run.result).toEqual({ "text/plain": "'b.txt'" });
  });

  test("no telemetry: the switch is set before any cell runs", async () => {
    expect((await kernel.execute("process.env.ORT_DISABLE_TELEMETRY")).result).toEqual({ "text/plain": "'1'" });
  });
});

describe("modules beside the notebook", () => {
  let kernel: KernelClient;
  const folder = mkdtempSync(join(tmpdir(), "modules-"));
  beforeAll(async () => {
    writeFileSync(
      join(folder, "local.ts"),
      "import { base } from './second';\nexport const answer: number = base + 2;\n",
    );
    writeFileSync(join(folder, "second.ts"), "export const base = 40;\n");
    kernel = await KernelClient.start({ cwd: folder });
  });
  afterAll(async () => {
    await kernel.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("a TypeScript file is imported and type-checked, with what it imports itself", async () => {
    expect((await kernel.execute('import { answer } from "./local";\nanswer')).result).toEqual({ "text/plain": "42" });
  });

  test("packages with `exports` only, with subpaths, and ES modules that await at their top", async () => {
    const { mkdirSync } = await import("node:fs");
    const make = (name: string, files: Record<string, string>): void => {
      const root = join(folder, "node_modules", name);
      mkdirSync(root, { recursive: true });
      for (const [file, text] of Object.entries(files)) writeFileSync(join(root, file), text);
    };
    make("exports-only", {
      "package.json": JSON.stringify({
        name: "exports-only",
        type: "module",
        exports: { ".": { types: "./a.d.ts", default: "./a.js" }, "./sub": { types: "./b.d.ts", default: "./b.js" } },
      }),
      "a.js": "export const a = 1;",
      "a.d.ts": "export declare const a: number;",
      "b.js": "export const b = await Promise.resolve(2);",
      "b.d.ts": "export declare const b: number;",
    });
    const run = await kernel.execute(
      'import { a } from "exports-only";\nimport { b } from "exports-only/sub";\nconst sum: number = a + b;\nsum',
    );
    expect(run.error).toBeUndefined();
    expect(run.result).toEqual({ "text/plain": "3" });
  });

  test("a cell that names itself a module is imported by that name", async () => {
    await kernel.execute("/** @module shared */\nexport const secret: string = 'm';");
    expect((await kernel.execute('import { secret } from "./shared";\nsecret')).result).toEqual({
      "text/plain": "'m'",
    });
  });
});
