/**
 * A real JupyterLab (or Notebook 7) with a real Chromium before it, for tests: its own home folder, its own notebook
 * folder, nothing of the machine's Jupyter. Needs `.venv` (`npm test` and `npm start` make it) and a built package.
 *
 *     const jupyter = await startJupyter({ notebooks: ["notebooks/01-first-look.ipynb"] });
 *     const notebook = await jupyter.open("01-first-look.ipynb");
 *     await notebook.runAll();
 *     await notebook.outputs(2).getByText("Paris").waitFor();
 *     await notebook.screenshot("first-look");          // test/.artifacts/first-look.png
 *     await jupyter.stop();
 */
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type Browser, type BrowserContext, type Locator, type Page, chromium } from "playwright-core";

export const ROOT = path.resolve(__dirname, "..", "..");
export const ARTIFACTS = path.join(ROOT, "test", ".artifacts");

const CHROMIUM = [
  process.env.LM_TRANSPARENCY_CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/usr/bin/google-chrome-stable",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

export function chromiumPath(): string {
  const found = CHROMIUM.find((file) => file !== undefined && fs.existsSync(file));
  if (found === undefined)
    throw new Error(
      'no Chromium found: install it ("apt install chromium") or set LM_TRANSPARENCY_CHROMIUM to its path',
    );
  return found;
}

/** How long a wait for something on a page may take: what an idle machine shows in a moment takes a busy one long. */
export const BUSY_MS = 90_000;

const CHROMIUM_ARGS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
];

export function launchChromium(env: Readonly<Record<string, string>> = {}): Promise<Browser> {
  // As root, Chromium's sandbox does not start.
  return chromium.launch({
    executablePath: chromiumPath(),
    env: { ...(process.env as Record<string, string>), ...env },
    args: [...CHROMIUM_ARGS, ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])],
  });
}

export interface JupyterOptions {
  /** Notebooks (relative to the repository) that are copied into the server's folder under their own name. */
  readonly notebooks?: readonly string[];
  /** More files of that folder: name → content; objects are written as JSON. */
  readonly files?: Readonly<Record<string, string | object>>;
  readonly app?: "lab" | "notebook";
  /** Without it JupyterLab does not find our extension; default true. */
  readonly extension?: boolean;
  /** Without it Jupyter does not find our kernel; default true. */
  readonly kernel?: boolean;
  /** Environment of the server and its kernels. */
  readonly env?: Readonly<Record<string, string>>;
  /** Run in the repository's own folder (notebooks by their path there) instead of a copy. */
  readonly inPlace?: boolean;
  /** JupyterLab settings: plugin id → settings. */
  readonly settings?: Readonly<Record<string, object>>;
}

/** One output of a cell as the notebook file has it. */
export interface Output {
  readonly output_type: string;
  readonly text?: string | string[];
  readonly data?: Readonly<Record<string, unknown>>;
  readonly ename?: string;
  readonly evalue?: string;
}

export class Jupyter {
  /** URLs outside 127.0.0.1 that pages asked for (they are refused). */
  readonly outside: string[] = [];
  constructor(
    readonly base: string,
    readonly token: string,
    readonly folder: string,
    readonly home: string,
    readonly app: "lab" | "notebook",
    private readonly server: ChildProcess,
    readonly browser: Browser,
    private readonly temporary: string,
  ) {}

  /** A fresh browser profile. */
  async context(options: { readonly width?: number; readonly height?: number } = {}): Promise<BrowserContext> {
    const context = await this.browser.newContext({
      viewport: { width: options.width ?? 1400, height: options.height ?? 1000 },
      acceptDownloads: true,
    });
    context.setDefaultTimeout(BUSY_MS);
    await refuseOutside(context, this.outside);
    return context;
  }

  /**
   * Opens a notebook of the server's folder in a new browser profile and waits until it is drawn (and its kernel, if
   * any, is idle).
   */
  async open(
    name: string,
    options: { readonly width?: number; readonly height?: number; readonly kernel?: "start" | "none" } = {},
  ): Promise<NotebookPage> {
    const page = await (await this.context(options)).newPage();
    const where = this.app === "lab" ? "lab/tree" : "notebooks";
    await page.goto(
      `${this.base}${where}/${name.split("/").map(encodeURIComponent).join("/")}?token=${this.token}&reset`,
      { waitUntil: "domcontentloaded" },
    );
    await page.locator(".jp-Notebook .jp-Cell").first().waitFor();
    const notebook = new NotebookPage(page, this.app);
    if (options.kernel === "none") {
      // Where the notebook's kernel does not exist, Jupyter asks which other one to take.
      const dialog = page.locator(".jp-Dialog");
      await dialog.waitFor();
      await dialog.locator("select").selectOption({ label: "No Kernel" });
      await dialog.locator("button.jp-mod-accept").click();
      await dialog.waitFor({ state: "detached" });
    } else await notebook.waitForKernel();
    return notebook;
  }

  async stop(): Promise<void> {
    await this.browser.close();
    const ended = new Promise((done) => this.server.once("exit", done));
    if (this.server.exitCode === null) {
      this.server.stdin?.end();
      await ended;
    }
    fs.rmSync(this.temporary, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Refuses every request that leaves the machine, and remembers it in `list`. */
export async function refuseOutside(context: BrowserContext, list: string[]): Promise<void> {
  await context.route(
    (url) => !["127.0.0.1", "localhost"].includes(url.hostname) && /^(https?|wss?|ftp):$/.test(url.protocol),
    (route) => {
      list.push(route.request().url());
      return route.abort();
    },
  );
}

/** What we use of JupyterLab's own application object. */
interface LabWindow {
  jupyterapp: {
    commands: { execute(id: string, args?: object): Promise<unknown>; hasCommand(id: string): boolean };
    shell: { currentWidget: LabPanel | null; widgets(area: string): Iterable<LabPanel> };
  };
}
interface LabPanel {
  context?: { save(): Promise<void>; ready: Promise<void> };
  sessionContext?: { session?: { kernel?: { status: string; connectionStatus: string } | null } | null };
  content?: {
    widgets: {
      model: {
        type: string;
        executionCount?: number;
        executionState?: string;
        trusted: boolean;
        sharedModel: { getSource(): string; setSource(text: string): void };
        outputs?: { toJSON(): unknown };
      };
    }[];
    activeCellIndex: number;
  };
}

export class NotebookPage {
  constructor(
    readonly page: Page,
    readonly app: "lab" | "notebook",
  ) {}

  /** Runs `action(panel, app, argument)` in the page on the notebook that is shown. */
  #inPage<A, R>(
    action: (panel: LabPanel, app: LabWindow["jupyterapp"], argument: A) => R | Promise<R>,
    argument: A,
  ): Promise<R> {
    return this.page.evaluate(
      ([source, given]) => {
        const app = (window as unknown as LabWindow).jupyterapp;
        const panel = [app.shell.currentWidget, ...app.shell.widgets("main")].find(
          (widget) => widget?.content?.widgets !== undefined,
        );
        if (!panel) throw new Error("no notebook is open");
        return (0, eval)(`(${source})`)(panel, app, given);
      },
      [action.toString(), argument] as const,
    ) as Promise<R>;
  }

  /** Runs one of JupyterLab's commands, e.g. "notebook:restart-kernel". */
  command(id: string, args: object = {}): Promise<void> {
    return this.#inPage(
      async (_panel, app, [name, given]: readonly [string, object]) => {
        await app.commands.execute(name, given);
      },
      [id, args] as const,
    );
  }

  kernelStatus(): Promise<string> {
    return this.#inPage((panel) => panel.sessionContext?.session?.kernel?.status ?? "none", undefined);
  }

  /** Until the kernel is connected and idle. */
  async waitForKernel(timeout = BUSY_MS): Promise<void> {
    const end = Date.now() + timeout;
    for (;;) {
      const status = await this.#inPage((panel) => {
        const kernel = panel.sessionContext?.session?.kernel;
        return kernel ? `${kernel.connectionStatus} ${kernel.status}` : "none";
      }, undefined).catch((error: Error) => error.message.split("\n")[0]);
      if (status === "connected idle") return;
      if (Date.now() > end) throw new Error(`the kernel is not idle after ${timeout / 1000} s: ${status}`);
      await this.page.waitForTimeout(100);
    }
  }

  /** Runs every cell and waits until the last has ended. */
  async runAll(timeout = 240_000): Promise<void> {
    await this.waitForKernel();
    await withTimeout(
      this.#inPage(async (_panel, app) => {
        await app.commands.execute("notebook:run-all-cells");
      }, undefined),
      timeout,
      "running all cells",
    );
  }

  /** Runs one cell (0 is the first, Markdown cells count) and waits until it has ended. */
  async run(index: number, timeout = 120_000): Promise<void> {
    await withTimeout(
      this.#inPage(async (panel, app, i: number) => {
        if (panel.content) panel.content.activeCellIndex = i;
        await app.commands.execute("notebook:run-cell");
      }, index),
      timeout,
      `running cell ${index}`,
    );
  }

  /** The cell's element. */
  cell(index: number): Locator {
    return this.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-Cell").nth(index);
  }

  /** The cell's output area. */
  outputs(index: number): Locator {
    return this.cell(index).locator(".jp-OutputArea").first();
  }

  /** The cell's outputs as they would be saved. */
  outputData(index: number): Promise<Output[]> {
    return this.#inPage(
      (panel, _app, i: number) => (panel.content?.widgets[i].model.outputs?.toJSON() ?? []) as Output[],
      index,
    );
  }

  /** The cells' sources. */
  sources(): Promise<string[]> {
    return this.#inPage(
      (panel) => (panel.content?.widgets ?? []).map((cell) => cell.model.sharedModel.getSource()),
      undefined,
    );
  }

  /** Adds a code cell at the end; returns its index. */
  append(source: string): Promise<number> {
    return this.#inPage(async (panel, app, text: string) => {
      if (!panel.content) throw new Error("no notebook is open");
      panel.content.activeCellIndex = panel.content.widgets.length - 1;
      await app.commands.execute("notebook:insert-cell-below");
      const last = panel.content.widgets.length - 1;
      panel.content.widgets[last].model.sharedModel.setSource(text);
      return last;
    }, source);
  }

  cellCount(): Promise<number> {
    return this.#inPage((panel) => panel.content?.widgets.length ?? 0, undefined);
  }

  /** True where every code cell is trusted. */
  trusted(): Promise<boolean> {
    return this.#inPage(
      (panel) => (panel.content?.widgets ?? []).every((cell) => cell.model.type !== "code" || cell.model.trusted),
      undefined,
    );
  }

  async save(): Promise<void> {
    await this.#inPage(async (panel) => {
      await panel.context?.save();
    }, undefined);
  }

  async theme(kind: "light" | "dark"): Promise<void> {
    await this.command("apputils:change-theme", { theme: kind === "dark" ? "JupyterLab Dark" : "JupyterLab Light" });
    await this.page.locator(`body[data-jp-theme-light="${kind === "light"}"]`).waitFor({ state: "attached" });
  }

  /** Writes test/.artifacts/NAME.png: of `target`, or of what is in view. */
  async screenshot(name: string, target?: Locator): Promise<string> {
    fs.mkdirSync(ARTIFACTS, { recursive: true });
    const file = path.join(ARTIFACTS, `${name}.png`);
    if (target !== undefined) await target.screenshot({ path: file });
    else await this.page.screenshot({ path: file });
    return file;
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }
}

async function withTimeout<T>(promise: Promise<T>, timeout: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>(
    (_, fail) => (timer = setTimeout(() => fail(new Error(`${what} did not end within ${timeout / 1000} s`)), timeout)),
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Starts a server with a folder and a home of its own, and a Chromium. */
export async function startJupyter(options: JupyterOptions = {}): Promise<Jupyter> {
  const python = path.join(ROOT, ".venv", process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
  if (!fs.existsSync(python)) throw new Error('.venv is missing: "npm test" or "npm start" makes it');
  const app = options.app ?? "lab";
  const temporary = fs.mkdtempSync(path.join(os.tmpdir(), "lmt-jupyter-"));
  const home = path.join(temporary, "home");
  // Inside a folder without node_modules above it: a notebook that lies anywhere must find the package through the
  // kernel.
  const folder = options.inPlace ? ROOT : path.join(temporary, "work");
  fs.mkdirSync(folder, { recursive: true });
  for (const notebook of options.notebooks ?? [])
    if (!options.inPlace) fs.copyFileSync(path.join(ROOT, notebook), path.join(folder, path.basename(notebook)));
  for (const [name, content] of Object.entries(options.files ?? {})) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), typeof content === "string" ? content : JSON.stringify(content, null, 1));
  }
  const settings: Record<string, object> = {
    // All cells are in the page, whether in view or not.
    "@jupyterlab/notebook-extension:tracker": { windowingMode: "none" },
    ...options.settings,
  };
  for (const [plugin, values] of Object.entries(settings)) {
    const [scope, name] = plugin.split(":");
    const file = path.join(home, "config", "lab", "user-settings", scope, `${name}.jupyterlab-settings`);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, JSON.stringify(values));
  }
  let jupyterPath: string | undefined;
  if (options.extension === false || options.kernel === false) {
    jupyterPath = path.join(temporary, "share");
    for (const [part, wanted] of [
      ["kernels", options.kernel],
      ["labextensions", options.extension],
      ["nbconvert", true],
    ] as const) {
      const source = path.join(ROOT, "share", "jupyter", part);
      if (wanted === false || !fs.existsSync(source)) continue;
      fs.mkdirSync(jupyterPath, { recursive: true });
      fs.symlinkSync(source, path.join(jupyterPath, part));
    }
  }
  const expose =
    app === "lab" ? "--LabApp.expose_app_in_browser=True" : "--JupyterNotebookApp.expose_app_in_browser=True";
  const server = spawn(
    process.execPath,
    [
      path.join(__dirname, "lab-server.mjs"),
      JSON.stringify({
        home,
        folder,
        app,
        args: [expose],
        env: { HOME: home, XDG_CACHE_HOME: path.join(os.homedir(), ".cache"), ...options.env },
        jupyterPath,
      }),
    ],
    { stdio: ["pipe", "pipe", "pipe"] },
  );
  let errors = "";
  server.stderr.setEncoding("utf8").on("data", (text: string) => (errors = (errors + text).slice(-20_000)));
  const first = await new Promise<string>((done, fail) => {
    let text = "";
    server.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      if (text.includes("\n")) done(text);
    });
    server.once("exit", (code) => fail(new Error(`Jupyter did not start (exit code ${code})\n${errors}`)));
    server.once("error", fail);
  });
  const { base, token } = JSON.parse(first) as { base: string; token: string };
  try {
    return new Jupyter(base, token, folder, home, app, server, await launchChromium(), temporary);
  } catch (error) {
    server.stdin.end();
    throw error;
  }
}

/** A notebook (nbformat 4.5) for our kernel from the sources of its code cells; for Python with `kernel: "python3"`. */
export function makeNotebook(
  cells: readonly string[],
  kernel: "lm-transparency" | "python3" = "lm-transparency",
): object {
  return {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: {
      kernelspec:
        kernel === "python3"
          ? { name: "python3", display_name: "Python 3", language: "python" }
          : { name: "lm-transparency", display_name: "TypeScript (lm-transparency)", language: "typescript" },
    },
    cells: cells.map((source, i) => ({
      cell_type: "code",
      id: `cell-${i}`,
      metadata: {},
      execution_count: null,
      outputs: [],
      source,
    })),
  };
}
