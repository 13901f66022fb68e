/**
 * The first five minutes: the first notebook in a real JupyterLab with the default model, run from its first cell to
 * its last, then a click on a state, on an attention edge and on an FFN square. What appears is compared with what the
 * library says.
 */
import { loadModel } from "../../src/index";
import type { Run, TransparentModel } from "../../src/model/types";
import { defaultModelFile } from "../support/default-model";
import { type Jupyter, type NotebookPage, startJupyter } from "../support/jupyter";

const TEXT = "The capital of France is";
let jupyter: Jupyter;
let notebook: NotebookPage;
let model: TransparentModel;
let run: Run;
/** Index of the cell whose source has the text. */
const cells = new Map<string, number>();

beforeAll(async () => {
  model = await loadModel(await defaultModelFile());
  run = await model.run(TEXT);
  jupyter = await startJupyter({ notebooks: ["notebooks/01-first-look.ipynb"] });
  notebook = await jupyter.open("01-first-look.ipynb", { width: 1400, height: 1200 });
  for (const [i, source] of (await notebook.sources()).entries()) {
    for (const name of ["loadModel(", "model.run(", "topPredictions(run)", "flowGraph(run)", "run.routes("])
      if (source.includes(name) && !source.startsWith("#")) cells.set(name, i);
  }
  await notebook.runAll();
}, 300_000);
afterAll(async () => {
  await jupyter?.stop();
  await model?.dispose();
}, 180_000);

const cell = (name: string): number => {
  const index = cells.get(name);
  if (index === undefined) throw new Error(`no cell has ${name}`);
  return index;
};
const panel = () => notebook.outputs(cell("flowGraph(run)")).locator("lmt-flow-panel");
/** Text as a table shows it: blanks are made visible. */
const plain = (text: string) => text.replaceAll("·", " ");

test("every cell ran without an error", async () => {
  for (let i = 0; i < (await notebook.cellCount()); i++)
    expect((await notebook.outputData(i)).filter((output) => output.output_type === "error")).toEqual([]);
});

test("shows the tokens and the top predictions, Paris first", async () => {
  const tokens = (await notebook.outputData(cell("model.run(")))[0].data?.["text/plain"];
  for (const token of run.tokens) expect(tokens).toContain(JSON.stringify(token.text).slice(1, -1));
  const first = notebook.outputs(cell("topPredictions(run)")).locator("tbody tr").first();
  await first.waitFor();
  expect(plain(await first.innerText())).toContain(" Paris");
});

test("draws the graph inline: tokens, states, edges and squares of the routes at threshold 0.04", async () => {
  await panel().locator("[data-node]").first().waitFor();
  await notebook.screenshot("first-look-1-graph", notebook.cell(cell("flowGraph(run)")));
  const routes = await run.routes({ threshold: 0.04 });
  expect(await panel().locator("[data-edge][data-kind=attention]").count()).toBe(
    routes.edges.filter((edge) => edge.kind === "attention" && !sameColumn(edge.source, edge.target)).length +
      (await selfEdges(routes)),
  );
  expect(await panel().locator("[data-ffn]").count()).toBeGreaterThanOrEqual(
    routes.nodes.filter((node) => node.kind === "M").length,
  );
  for (let t = 0; t < run.tokens.length; t++)
    expect(await panel().locator(`[data-start="${t}"]`).count()).toBeGreaterThan(0);
});

const sameColumn = (a: string, b: string) => a.split("_")[1] === b.split("_")[1];
/** Attention of a token to itself may be drawn apart; all or none of them are. */
async function selfEdges(routes: Awaited<ReturnType<Run["routes"]>>): Promise<number> {
  const drawn = await panel().locator("[data-edge][data-kind=attention]").count();
  const self = routes.edges.filter((edge) => edge.kind === "attention" && sameColumn(edge.source, edge.target)).length;
  return drawn === routes.edges.filter((edge) => edge.kind === "attention").length ? self : 0;
}

test("a click on a state asks the kernel and shows its top tokens", async () => {
  const node = "I25_4";
  await panel().locator(`[data-node="${node}"]`).click();
  const expected = await run.lens(node, { topK: 5 });
  const rows = panel().locator("lmt-token-table tbody tr");
  await rows.nth(4).waitFor();
  for (const [i, token] of expected.entries()) expect(plain(await rows.nth(i).innerText())).toContain(token.text);
  await notebook.screenshot("first-look-2-state", notebook.cell(cell("flowGraph(run)")));
});

test("a click on an attention edge shows the contribution of every head", async () => {
  const edge = panel().locator("[data-edge][data-kind=attention]").last();
  // A real click: the middle of the line, where the pointer would be.
  const point = await edge.evaluate((element) => {
    const line = element as SVGGeometryElement;
    const middle = line.getPointAtLength(line.getTotalLength() / 2).matrixTransform(line.getScreenCTM() ?? undefined);
    return { x: middle.x, y: middle.y };
  });
  await edge.scrollIntoViewIfNeeded();
  await notebook.page.mouse.click(point.x, point.y);
  const bars = panel().locator("lmt-head-bars [data-head]");
  await bars.nth(2).waitFor();
  const more = panel().locator("lmt-head-bars button.more");
  if (await more.count()) await more.click();
  await bars.nth(model.info.nHeads - 1).waitFor();
  for (let head = 0; head < model.info.nHeads; head++)
    expect(await panel().locator(`lmt-head-bars [data-head="${head}"]`).count()).toBe(1);
  await notebook.screenshot("first-look-3-edge", notebook.cell(cell("flowGraph(run)")));
});

test("a click on an FFN square shows the neurons that contributed most", async () => {
  const square = panel().locator("[data-ffn]").first();
  const [layer, position] = String(await square.getAttribute("data-ffn"))
    .split("_")
    .map(Number);
  await square.click();
  const best = await run.neuronContributions(layer, position, { topK: 3 });
  await panel().locator(`lmt-neuron-bars [data-neuron="${best[0].neuron}"]`).waitFor();
  const shown = await panel()
    .locator("lmt-neuron-bars [data-neuron]")
    .evaluateAll((elements) => elements.map((element) => Number(element.getAttribute("data-neuron"))));
  expect(shown.slice(0, 3)).toEqual(best.map((neuron) => neuron.neuron));
  await notebook.screenshot("first-look-4-ffn", notebook.cell(cell("flowGraph(run)")));
});

test("looks right in the dark theme too, and nothing asked for anything outside the machine", async () => {
  await notebook.theme("dark");
  await panel().locator("lmt-flow-graph[data-theme=dark]").waitFor();
  await notebook.screenshot("first-look-5-dark", notebook.cell(cell("flowGraph(run)")));
  await notebook.theme("light");
  expect(jupyter.outside).toEqual([]);
});

test("a cell that throws, an empty prompt and a broken model file each give one clear sentence; the kernel lives", async () => {
  const before = await notebook.cellCount();
  for (const [source, sentence] of [
    ['throw new Error("something of mine")', /something of mine/],
    ['await model.run("")', /prompt.*(no tokens|empty)|empty.*prompt|no tokens/i],
    ['await loadModel("01-first-look.ipynb")', /01-first-look\.ipynb/],
  ] as const) {
    await notebook.append(source);
    const index = (await notebook.cellCount()) - 1;
    await notebook.run(index);
    const [error] = (await notebook.outputData(index)).filter((output) => output.output_type === "error");
    expect(error?.evalue).toMatch(sentence);
    expect(String(error?.evalue).split("\n")).toHaveLength(1);
  }
  await notebook.append("6 * 7");
  await notebook.run(before + 3);
  expect((await notebook.outputData(before + 3))[0].data?.["text/plain"]).toBe("42");
}, 120_000);
