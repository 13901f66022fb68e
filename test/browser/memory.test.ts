/**
 * A picture's cell that runs again and again in a real JupyterLab: the page lets go of what it showed, without a word
 * of error.
 */
import type { CDPSession } from "playwright-core";
import { modelFolder } from "../support/fixtures";
import { type Jupyter, makeNotebook, type NotebookPage, startJupyter } from "../support/jupyter";

const COLLECT = `import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
setFlagsFromString("--expose-gc");
const collectOnce = runInNewContext("gc") as () => void;
async function collect() { for (let i = 0; i < 5; i++) { await new Promise((resolve) => setTimeout(resolve, 20)); collectOnce(); } }`;
const [SETUP, PLAIN, FLOW, EXPLORER, WIDGETS, CALM] = [0, 1, 2, 3, 4, 5];

let jupyter: Jupyter;
let notebook: NotebookPage;
let cdp: CDPSession;
const errors: string[] = [];

beforeAll(async () => {
  const cells = [
    `${COLLECT}\nimport { explorer, flowGraph, loadModel } from "lm-transparency";\nimport { Button, display, HTML, updateDisplay, VBox } from "lm-transparency/ipywidgets";\nconst model = await loadModel(${JSON.stringify(modelFolder("llama-tiny"))});\nlet round = 0;`,
    'const html = (text: string) => ({ [Symbol.for("Jupyter.display")]: () => ({ "text/html": `<b>${text}</b>` }) });\nawait display(html("first"), { displayId: `place ${round}` });\nawait updateDisplay(`place ${round++}`, html("plain"));',
    "const run = await model.run([1, 2, 3, 4, 5]);\nflowGraph(run)",
    "const other = await model.run([1, 2, 3, 4]);\nexplorer(other)",
    'new VBox([new Button({ description: "press" }), new HTML({ value: `${round++}` })])',
    "await collect();",
  ];
  jupyter = await startJupyter({ files: { "memory.ipynb": makeNotebook(cells) } });
  notebook = await jupyter.open("memory.ipynb", { width: 1400, height: 1200 });
  notebook.page.on("pageerror", (error) => errors.push(error.message));
  notebook.page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  cdp = await notebook.page.context().newCDPSession(notebook.page);
  await cdp.send("Performance.enable");
  await notebook.run(SETUP);
}, 300_000);
afterAll(() => jupyter?.stop(), 60_000);

/** What the page holds, when it has let go of what nothing needs. */
async function held(): Promise<{ readonly nodes: number; readonly listeners: number }> {
  await notebook.run(CALM);
  let least = { nodes: Infinity, listeners: Infinity };
  // What was replaced goes some frames, and some collections, later.
  for (let i = 0; i < 6; i++) {
    await notebook.page.waitForTimeout(250);
    await cdp.send("HeapProfiler.collectGarbage");
    const { metrics } = await cdp.send("Performance.getMetrics");
    const value = (name: string): number => metrics.find((metric) => metric.name === name)?.value ?? NaN;
    least = {
      nodes: Math.min(least.nodes, value("Nodes")),
      listeners: Math.min(least.listeners, value("JSEventListeners")),
    };
  }
  return least;
}

async function shown(cell: number): Promise<void> {
  const outputs = notebook.outputs(cell);
  if (cell === FLOW || cell === EXPLORER) {
    await outputs.locator("[data-edge]").first().waitFor({ state: "attached" });
    await outputs.locator(".lm-transparency[data-state=live]").first().waitFor({ state: "attached" });
  } else if (cell === WIDGETS) await outputs.locator("button").getByText("press").waitFor();
  else await outputs.getByText("plain").waitFor();
}

/** By how much that grows when a cell runs ten times more. */
async function growth(cell: number): Promise<{ readonly nodes: number; readonly listeners: number }> {
  const again = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i++) {
      await notebook.run(cell);
      await shown(cell);
    }
  };
  await again(3);
  const before = await held();
  await again(10);
  const after = await held();
  return { nodes: after.nodes - before.nodes, listeners: after.listeners - before.listeners };
}

/** JupyterLab's own growth: toolbars of cells, mostly. */
let own: { readonly nodes: number; readonly listeners: number } | undefined;

test.each([
  ["a flow graph", FLOW],
  ["an Explorer", EXPLORER],
  ["widgets in a box", WIDGETS],
])(
  "%s: nodes and listeners return to their number",
  async (_what, cell) => {
    own ??= await growth(PLAIN);
    const more = await growth(cell);
    // A picture has hundreds of nodes, and dozens of listeners; a stock widget leaves its model's nodes to JupyterLab's
    // widget manager.
    expect(more.listeners - own.listeners).toBeLessThanOrEqual(5);
    expect(more.nodes - own.nodes).toBeLessThanOrEqual(cell === WIDGETS ? 250 : 60);
    expect(
      await notebook.page.getByText(/Error (displaying|creating) widget|could not be (found|loaded)/i).count(),
    ).toBe(0);
    expect(errors).toEqual([]);
  },
  300_000,
);
