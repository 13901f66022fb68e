import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";

/** Key of the page's configuration that names the notebook to run, as a path of the server's folder. */
const OPTION = "lmTransparencyRun";
/** A slow machine may take a while to restore its layout and start a kernel. */
const PATIENCE_MS = 120_000;
const INTERVAL_MS = 200;

/** What is used of a notebook's panel. */
interface NotebookPanel {
  readonly id: string;
  readonly context?: {
    readonly path: string;
    readonly ready: Promise<void>;
    readonly sessionContext: { readonly ready: Promise<void>; readonly session: { readonly kernel: unknown } | null };
  };
  readonly content?: {
    readonly widgets?: readonly {
      readonly model: { readonly type: string; readonly executionCount?: number | null };
    }[];
  };
}

/** A value of the page's configuration, which the server alone writes. */
function pageOption(name: string): string {
  try {
    const config = JSON.parse(document.getElementById("jupyter-config-data")?.textContent ?? "{}") as Record<
      string,
      unknown
    >;
    return typeof config[name] === "string" ? config[name] : "";
  } catch {
    return "";
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function runWhenOpen(app: JupyterFrontEnd, path: string): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  let panel: NotebookPanel | undefined;
  while (
    !(panel = [...app.shell.widgets("main")]
      .map((widget) => widget as unknown as NotebookPanel)
      .find((widget) => widget.context?.path === path && widget.content?.widgets))
  ) {
    if (Date.now() > end) return;
    await pause(INTERVAL_MS);
  }
  await panel.context?.ready;
  await panel.context?.sessionContext.ready;
  while (!panel.context?.sessionContext.session?.kernel || (panel.content?.widgets ?? []).length === 0) {
    if (Date.now() > end) return;
    await pause(INTERVAL_MS);
  }
  // After a reload of the page it has been run already, and what was chosen in it is still there.
  const codes = (panel.content?.widgets ?? []).filter((cell) => cell.model.type === "code");
  if (codes.some((cell) => typeof cell.model.executionCount === "number")) return;
  app.shell.activateById(panel.id);
  await app.commands.execute("notebook:run-all-cells");
}

/**
 * Runs the one notebook that the server's own configuration names (`npm start -- --config`), once, when it is open.
 * Neither a link nor anything in a notebook can ask for it: opening a notebook of someone else runs nothing.
 */
export const runOnStart: JupyterFrontEndPlugin<void> = {
  id: "lm-transparency:run-on-start",
  description: "Runs the notebook that npm start -- --config made.",
  autoStart: true,
  activate: (app: JupyterFrontEnd) => {
    const path = pageOption(OPTION);
    if (path) void app.restored.then(() => runWhenOpen(app, path));
  },
};
