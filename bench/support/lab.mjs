/** A real JupyterLab with Chromium before it, for benches. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Path of Chromium; undefined where there is none. */
export const chromiumPath = [
  process.env.LM_TRANSPARENCY_CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
].find((file) => file && existsSync(file));

/** Chromium without a graphics processor; `args` are added. */
export function launchChromium(...args) {
  return chromium.launch({
    executablePath: chromiumPath,
    args: ["--disable-gpu", "--disable-quic", ...args, ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])],
  });
}

/**
 * Starts JupyterLab with a notebook of these cells, opened in Chromium; undefined where Chromium or .venv is missing.
 */
export async function startLab(cells, viewport = { width: 1800, height: 1500 }) {
  if (chromiumPath === undefined || !existsSync(join(root, ".venv"))) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "lmt-bench-"));
  const code = cells.map((source, i) => ({
    cell_type: "code",
    id: `c${i}`,
    metadata: {},
    execution_count: null,
    outputs: [],
    source,
  }));
  writeFileSync(
    join(folder, "work.ipynb"),
    JSON.stringify({
      nbformat: 4,
      nbformat_minor: 5,
      metadata: {
        kernelspec: { name: "lm-transparency", display_name: "TypeScript (lm-transparency)", language: "typescript" },
      },
      cells: code,
    }),
  );
  const server = spawn(
    process.execPath,
    [
      join(root, "test/support/lab-server.mjs"),
      JSON.stringify({
        home: join(folder, "home"),
        folder,
        app: "lab",
        args: ["--LabApp.expose_app_in_browser=True"],
        env: { ORT_DISABLE_TELEMETRY: "1" },
      }),
    ],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  let browser;
  const stop = async () => {
    await browser?.close();
    server.stdin.end();
    await new Promise((resolve) => (server.exitCode === null ? server.once("exit", resolve) : resolve()));
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    const { base, token } = JSON.parse(
      await new Promise((resolve, reject) => {
        let text = "";
        server.stdout.on("data", (chunk) => (text += chunk).includes("\n") && resolve(text));
        server.once("exit", () => reject(new Error("JupyterLab did not start.")));
      }),
    );
    browser = await launchChromium();
    const page = await browser.newPage({ viewport });
    await page.goto(`${base}lab/tree/work.ipynb?token=${token}&reset`);
    await page.locator(".jp-Notebook .jp-Cell").first().waitFor({ timeout: 60_000 });
    await page.evaluate(async () => {
      while (window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.connectionStatus !== "connected")
        await new Promise((resolve) => setTimeout(resolve, 50));
    });
    /** Selects a cell and starts it; `output(page)` is where its picture comes. */
    const run = (cell) =>
      page.evaluate(async (index) => {
        const { content } = window.jupyterapp.shell.currentWidget;
        content.activeCellIndex = index;
        content.mode = "command";
        const done = window.jupyterapp.commands.execute("notebook:run-cell");
        window.cellDone = Promise.resolve(done).then(() => performance.now());
        return performance.now();
      }, cell);
    /** Waits until the cell that was started last has ended; throws what it threw. */
    const ended = (cell) =>
      page.evaluate(async (index) => {
        const end = await window.cellDone;
        const outputs = window.jupyterapp.shell.currentWidget.content.widgets[index].model.outputs?.toJSON() ?? [];
        const error = outputs.find((output) => output.output_type === "error");
        if (error) throw new Error(`${error.ename}: ${error.evalue}`);
        return end;
      }, cell);
    return { page, run, ended, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
