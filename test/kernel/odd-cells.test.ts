/**
 * Cells that people write although no example does: code pasted from modules, scripts that exit, children that print,
 * objects that cannot be shown.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KernelClient } from "../support/kernel-client";

jest.setTimeout(240_000);

const folder = mkdtempSync(join(tmpdir(), "odd-cells-"));
let kernel: KernelClient;
beforeAll(async () => {
  mkdirSync(join(folder, "parts"));
  writeFileSync(
    join(folder, "parts", "one.ts"),
    "export enum Colour { Red = 1 }\nexport const twice = (n: number): number => 2 * n;\n",
  );
  writeFileSync(join(folder, "data.json"), '{ "a": [1, 2] }');
  kernel = await KernelClient.start({ cwd: folder });
});
afterAll(async () => {
  await KernelClient.closeAll();
  rmSync(folder, { recursive: true, force: true });
});

async function text(code: string): Promise<unknown> {
  const run = await kernel.execute(code);
  if (run.error !== undefined) throw new Error(`${run.error.ename}: ${run.error.evalue}`);
  return run.result?.["text/plain"];
}

function plain(lines: readonly string[] | undefined): string {
  return (lines ?? []).join("\n").replace(/\u001b\[[0-9;]*m/g, "");
}

describe("code from modules", () => {
  test("`export` before a declaration changes nothing; places in errors stay what they are", async () => {
    await text(
      "export const five = 5;\nexport function six(): number { return 6; }\nexport class Seven {}\nexport interface Point { x: number }\nexport enum Kind { A }\nexport default five;",
    );
    expect(await text("[five, six(), new Seven(), Kind.A, { x: 1 } satisfies Point]")).toBe(
      "[ 5, 6, Seven {}, 0, { x: 1 } ]",
    );
    const wrong = await kernel.execute("export const one = 1;\nexport const two: string = 2;");
    expect(wrong.error?.evalue).toContain("line 2, column 14");
    const completed = await kernel.request("complete_request", { code: "export const y = fiv", cursor_pos: 20 });
    expect(completed).toMatchObject({ cursor_start: 17, cursor_end: 20 });
    expect(completed["matches"]).toContain("five");
  });

  test("decorators, namespaces, abstract classes, private and accessor members, labels, overloads", async () => {
    expect(
      await text(
        "const seen: string[] = [];\nfunction log(_target: unknown, name: string) { seen.push(name); }\nclass Marked { @log run() { return 1; } }\nnew Marked().run() + seen.join()",
      ),
    ).toBe("'1run'");
    expect(
      await text(
        "namespace Inner { export const z = 4; export interface I { a: number } }\nabstract class Base<T> { static #count = 0; accessor y = 2; abstract get(): T; static next() { return ++Base.#count; } }\nclass Made extends Base<string> { override get() { return 'v'; } }",
      ),
    ).toBeUndefined();
    expect(
      await text("const i: Inner.I = { a: Inner.z };\n[i.a, new Made().get(), new Made().y, Base.next(), Base.next()]"),
    ).toBe("[ 4, 'v', 2, 1, 2 ]");
    expect(
      await text(
        "outer: for (const a of [1, 2, 3]) { for (;;) { if (a === 2) break outer; continue outer; } }\nfunction over(a: string): string;\nfunction over(a: number): number;\nfunction over(a: unknown) { return a; }\nover(3)",
      ),
    ).toBe("3");
  });

  test("files beside the notebook are imported with and without their ending, statically and dynamically; JSON too", async () => {
    expect(
      await text(
        'import { Colour, twice } from "./parts/one";\nimport { twice as again } from "./parts/one.ts";\nimport data from "./data.json";\n[Colour.Red, twice(2), again(3), data.a]',
      ),
    ).toBe("[ 1, 4, 6, [ 1, 2 ] ]");
    expect(
      await text(
        'const one = await import("./parts/one.ts");\n[one.twice(4), (require("./data.json") as { a: number[] }).a.length]',
      ),
    ).toBe("[ 8, 2 ]");
  });
});

describe("values", () => {
  test("an anonymous function has no name of ours", async () => {
    expect(await text("(a: number) => a")).toBe("[Function (anonymous)]");
  });

  test("an error that is shown or printed names places in cells and no frames of the kernel", async () => {
    await text(
      "const spacer = 1;\nfunction fail(): Error {\n  return new RangeError('far', { cause: new Error('why') });\n}",
    );
    const shown = String(await text("[fail()]"));
    expect(shown).toMatch(/RangeError: far\n\s+at fail \(cell \[\d+\]:3:10\)\n\s+at cell \[\d+\]:1:2/);
    expect(shown).toContain("[cause]: Error: why");
    const { stderr, stdout } = await kernel.execute(
      "try { throw fail(); } catch (error) { console.error(error); console.log((error as Error).stack); }\nconsole.trace('here');",
    );
    for (const printed of [stderr, stdout]) {
      expect(printed).toMatch(/at fail \(cell \[\d+\]:3:10\)/);
      expect(printed).not.toMatch(/dist.kernel|node:vm/);
    }
    expect(stderr).toMatch(/Trace: here\n\s+at cell \[\d+\]:2:9/);
  });

  test("what cannot be looked at fails its own cell only", async () => {
    for (const [code, evalue] of [
      ["throw new Proxy(new Error('p'), { get() { throw new Error('trap'); } });", "something that cannot be shown"],
      ["new Proxy({}, { get() { throw new Error('trap'); } })", "trap"],
      ["({ [Symbol.for('nodejs.util.inspect.custom')]() { throw new Error('custom'); } })", "custom"],
      [
        "({ [Symbol.for('Jupyter.display')]() { const o: { o?: unknown } = {}; o.o = o; return { 'application/json': o }; } })",
        "circular",
      ],
      ["throw undefined;", "undefined"],
    ] as const) {
      const run = await kernel.execute(code, {}, 60_000);
      expect(run.reply["status"]).toBe("error");
      expect(run.error?.evalue).toContain(evalue);
    }
    expect(await text("({ get boom() { throw new Error('getter'); } })")).toBe("{ boom: [Getter] }");
  });

  test("a cell's own way to prepare stacks does not break the report", async () => {
    await text("const prepare = Error.prepareStackTrace;");
    const run = await kernel.execute("Error.prepareStackTrace = () => 'mine';\nthrow new Error('own');");
    expect(run.error).toMatchObject({ ename: "Error", evalue: "own" });
    await text("Error.prepareStackTrace = prepare;");
  });
});

describe("help while typing", () => {
  test("a module's name is completed in place; positions count code points", async () => {
    for (const code of ["import { } from 'node:os", "const 😀 = 1; import { } from 'node:os"]) {
      const end = [...code].length;
      const typed = "node:os";
      const answer = await kernel.request("complete_request", { code, cursor_pos: end });
      expect(answer).toMatchObject({ status: "ok", cursor_start: end - typed.length, cursor_end: end });
      for (const match of answer["matches"] as string[]) expect(match.startsWith(typed)).toBe(true);
      expect((answer["matches"] as string[]).length).toBeGreaterThan(0);
    }
    await text("const größe = { länge: 1 };");
    expect(await kernel.request("complete_request", { code: "'😀'; größe.l", cursor_pos: 12 })).toMatchObject({
      matches: ["länge"],
      cursor_start: 11,
      cursor_end: 12,
    });
  });

  test("a name that nothing declares is not found", async () => {
    expect(
      await kernel.request("inspect_request", { code: "nothingOfThisName", cursor_pos: 4, detail_level: 0 }),
    ).toMatchObject({ status: "ok", found: false });
    expect(
      await kernel.request("inspect_request", { code: "'😀'; größe", cursor_pos: 8, detail_level: 0 }),
    ).toMatchObject({ found: true });
  });
});

describe("processes", () => {
  test("process.exit ends the cell and says so; the kernel keeps its variables", async () => {
    await text("const kept = 'kept';");
    const run = await kernel.execute("console.log('before');\nprocess.exit(3);");
    expect(run.stdout).toBe("before\n");
    expect(run.error).toMatchObject({ ename: "ExitError", evalue: expect.stringContaining("process.exit(3)") });
    expect(plain(run.error?.traceback)).toContain("> 2 | process.exit(3);");
    const later = await kernel.execute(
      "setTimeout(() => process.exit(4), 1);\nawait new Promise((r) => setTimeout(r, 50));\nkept",
    );
    expect(later.error?.evalue).toContain("process.exit(4)");
    expect(later.result).toEqual({ "text/plain": "'kept'" });
  });

  test("what children write to inherited streams shows in the cell", async () => {
    const node = JSON.stringify(process.execPath);
    const script = (code: string): string => JSON.stringify(["-e", code]);
    await text(
      'import { execFileSync, fork, spawn, spawnSync } from "node:child_process";\nimport { once } from "node:events";',
    );
    const spawned = await kernel.execute(
      `const child = spawn(${node}, ${script("console.log('out'); console.error('err')")}, { stdio: "inherit" });\nawait once(child, "close");\n[child.stdout, child.stdio.length]`,
    );
    expect(spawned).toMatchObject({ stdout: "out\n", stderr: "err\n", result: { "text/plain": "[ null, 3 ]" } });
    const sync = await kernel.execute(
      `spawnSync(${node}, ${script("console.log('one')")}, { stdio: "inherit" });\nexecFileSync(${node}, ${script("console.error('two'); console.log('piped')")}, { stdio: ["ignore", "pipe", "inherit"] }).toString()`,
    );
    expect(sync).toMatchObject({ stdout: "one\n", stderr: "two\n", result: { "text/plain": "'piped\\n'" } });
    const failed = await kernel.execute(
      `execFileSync(${node}, ${script("console.log('last words'); process.exit(5)")}, { stdio: "inherit" });`,
    );
    expect(failed.stdout).toBe("last words\n");
    expect(failed.error?.evalue).toContain("Command failed");
    expect(await text(`spawnSync(${node}, ${script("console.log('own')")}).stdout.toString()`)).toBe("'own\\n'");
  });
});
