/**
 * The kernel under the programs that people use it with, each in a process of its own. Needs .venv with
 * test/requirements.txt.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageRoot } from "../support/kernel-client";

jest.setTimeout(240_000);

const bin = join(packageRoot, ".venv", process.platform === "win32" ? "Scripts" : "bin");
const folder = mkdtempSync(join(tmpdir(), "jupyter-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ran {
  readonly code: number;
  readonly text: string;
}

function python(
  args: readonly string[],
  options: { readonly input?: string; readonly ok?: boolean } = {},
): Promise<Ran> {
  if (!existsSync(bin)) throw new Error('.venv is missing: "npm test" makes it.');
  return new Promise((resolve, reject) => {
    const child = execFile(
      join(bin, "python"),
      args,
      {
        cwd: folder,
        timeout: 220_000,
        env: {
          ...process.env,
          JUPYTER_PATH: join(packageRoot, "share", "jupyter"),
          HOME: folder,
          IPYTHONDIR: join(folder, "ipython"),
          JUPYTER_PLATFORM_DIRS: "1",
        },
      },
      (error, stdout, stderr) => {
        const ran = {
          code: error === null ? 0 : typeof error.code === "number" ? error.code : -1,
          text: stdout + stderr,
        };
        if (ran.code !== 0 && options.ok !== false)
          reject(new Error(`python ${args.join(" ")} ended with ${ran.code}:\n${ran.text.slice(-3000)}`));
        else resolve(ran);
      },
    );
    child.stdin?.end(options.input ?? "");
  });
}

interface Cell {
  readonly outputs: {
    readonly output_type: string;
    readonly text?: string[];
    readonly data?: Record<string, string[]>;
    readonly ename?: string;
  }[];
}

function notebook(name: string, cells: readonly string[], tags: Readonly<Record<number, string[]>> = {}): string {
  writeFileSync(
    join(folder, name),
    JSON.stringify({
      nbformat: 4,
      nbformat_minor: 5,
      metadata: {
        kernelspec: { name: "lm-transparency", display_name: "TypeScript (lm-transparency)", language: "typescript" },
      },
      cells: cells.map((source, n) => ({
        cell_type: "code",
        id: `c${n}`,
        metadata: tags[n] === undefined ? {} : { tags: tags[n] },
        execution_count: null,
        outputs: [],
        source,
      })),
    }),
  );
  return name;
}

function outputs(name: string): string[] {
  const { cells } = JSON.parse(readFileSync(join(folder, name), "utf8")) as { cells: Cell[] };
  return cells.flatMap((cell) =>
    cell.outputs.map((output) =>
      [output.text, output.data?.["text/plain"], output.ename].flat().filter(Boolean).join(""),
    ),
  );
}

const CELLS = [
  "console.log('begun');\nconst x: number = await Promise.resolve(20);",
  "import { IntSlider } from 'lm-transparency/ipywidgets';\nnew IntSlider({ value: x })",
  "x * 2",
];
const SHOWN = ["begun\n", expect.stringContaining("IntSlider("), "40"];

test("jupyter_kernel_test passes with every capability switched on, none skipped", async () => {
  const { text } = await python([join(packageRoot, "test", "kernel", "conformance.py"), "-v"]);
  expect(text).toMatch(/Ran 1[0-9] tests/);
  expect(text).not.toContain("skipped");
  expect(text.trim().endsWith("OK")).toBe(true);
});

test("jupyter execute keeps results and the state of widgets", async () => {
  notebook("execute.ipynb", CELLS);
  await python(["-m", "nbclient", "--inplace", "execute.ipynb"]).catch(() =>
    python(["-m", "jupyter", "execute", "--inplace", "execute.ipynb"]),
  );
  expect(outputs("execute.ipynb")).toEqual(SHOWN);
  const { metadata } = JSON.parse(readFileSync(join(folder, "execute.ipynb"), "utf8")) as {
    metadata: {
      widgets: Record<string, { state: Record<string, { model_name: string; state: Record<string, unknown> }> }>;
    };
  };
  const states = Object.values(metadata.widgets["application/vnd.jupyter.widget-state+json"]?.state ?? {});
  expect(states.find((one) => one.model_name === "IntSliderModel")?.state).toMatchObject({ value: 20, max: 100 });
});

test("nbconvert --execute makes HTML; a cell that throws ends it with the error's name", async () => {
  notebook("convert.ipynb", CELLS);
  await python(["-m", "jupyter", "nbconvert", "--execute", "--to", "html", "convert.ipynb"]);
  expect(readFileSync(join(folder, "convert.html"), "utf8")).toContain("begun");
  notebook("throws.ipynb", ["1", "throw new RangeError('too far')", "2"]);
  const { code, text } = await python(["-m", "jupyter", "nbconvert", "--execute", "--to", "notebook", "throws.ipynb"], {
    ok: false,
  });
  expect(code).not.toBe(0);
  expect(text).toContain("too far");
});

test("papermill runs a notebook and records each cell", async () => {
  notebook("mill.ipynb", CELLS);
  await python(["-m", "papermill", "mill.ipynb", "milled.ipynb"]);
  expect(outputs("milled.ipynb")).toEqual(SHOWN);
});

test("papermill's parameters reach the cells", async () => {
  notebook(
    "parameters.ipynb",
    ["let count: number = 0;\nlet word = 'none';\nlet flag = false;", "[count + 1, word, flag]"],
    { 0: ["parameters"] },
  );
  writeFileSync(join(folder, "values.yaml"), 'count: 41\nword: "a \\"b\\" c"\nflag: true\n');
  await python([
    "-m",
    "papermill",
    "parameters.ipynb",
    "given.ipynb",
    "--language",
    ".net-csharp",
    "-f",
    "values.yaml",
  ]);
  expect(outputs("given.ipynb")).toEqual(["[ 42, 'a \"b\" c', true ]"]);
});

test("jupyter console shows results and errors, and goes on after them", async () => {
  const { text } = await python(["-m", "jupyter", "console", "--kernel=lm-transparency", "--simple-prompt"], {
    input: "1 + 41\nthrow new Error('mistake')\n'still ' + 'here'\nexit\n",
    ok: false,
  });
  expect(text).toContain("42");
  expect(text).toContain("mistake");
  expect(text).toContain("still here");
});
