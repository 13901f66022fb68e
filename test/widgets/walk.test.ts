/**
 * The paper's walk in a real JupyterLab on the default model: prompt, graph, start token, state, edge, head, block,
 * neuron.
 */
import { type Jupyter, type NotebookPage, makeNotebook, startJupyter } from "../support/jupyter";

let jupyter: Jupyter;
let notebook: NotebookPage;

beforeAll(async () => {
  jupyter = await startJupyter({
    files: {
      "walk.ipynb": makeNotebook([
        'import { flowGraph, loadModel } from "lm-transparency";\nconst model = await loadModel();\nconst run = await model.run("The capital of France is");\nconst graph = flowGraph(run);\ngraph',
        "graph.selection",
        'graph.select({ focus: { kind: "ffn", layer: 29, position: 4 } })',
        "await run.lens('I20_4', { topK: 3 })",
      ]),
    },
  });
  notebook = await jupyter.open("walk.ipynb", { width: 1500, height: 1300 });
  notebook.page.setDefaultTimeout(90_000);
  await notebook.run(0);
  expect((await notebook.outputData(0)).map((output) => output.evalue).filter(Boolean)).toEqual([]);
}, 240_000);
afterAll(() => jupyter?.stop(), 30_000);

const panel = () => notebook.outputs(0).locator("lmt-flow-panel");

test("the graph is drawn with tokens and predictions", async () => {
  await panel().locator("[data-node]").first().waitFor();
  await panel().locator("lmt-prompt-strip .prediction").first().getByText("·Paris").waitFor();
  await panel().locator("[data-edge][data-kind=attention]").nth(3).waitFor({ state: "attached" });
  await notebook.screenshot("walk-1-graph");
}, 120_000);

test("single keys belong to the picture while the focus is in it, not to the notebook's shortcuts", async () => {
  const slider = panel().locator("lmt-flow-graph input[type=range]").first();
  const before = await slider.inputValue();
  await slider.focus();
  await notebook.page.keyboard.press("ArrowRight");
  await notebook.page.waitForFunction((old) => {
    const graph = document.querySelector("lmt-flow-panel")?.shadowRoot?.querySelector("lmt-flow-graph")?.shadowRoot;
    return graph?.querySelector<HTMLInputElement>("input[type=range]")?.value !== old;
  }, before);
  await notebook.page.keyboard.press("ArrowLeft");
  const plot = panel().locator("lmt-flow-graph svg.plot").first();
  await plot.focus();
  await notebook.page.keyboard.press("ArrowDown");
  await panel()
    .locator("lmt-flow-graph [role=status]")
    .first()
    .getByText("I28_4")
    .or(panel().locator("lmt-flow-graph [role=status]").first().getByText("I29_4"))
    .waitFor();
  // Keys with a modifier stay the notebook's.
  expect(
    await notebook.page
      .locator("lmt-flow-panel")
      .first()
      .evaluate((element) => {
        element.dispatchEvent(new KeyboardEvent("keydown", { key: "s", ctrlKey: true, bubbles: true, composed: true }));
        return element.hasAttribute("data-lm-suppress-shortcuts");
      }),
  ).toBe(false);
}, 120_000);

test("a click on a state shows the tokens that the kernel gives for it", async () => {
  await panel().locator('[data-node="I20_4"]').click();
  const row = panel().locator("lmt-token-table tbody tr").first();
  await row.waitFor();
  await notebook.run(3);
  const [output] = await notebook.outputData(3);
  const text = String(output.data?.["text/plain"]);
  const shown = (await row.locator(".token").innerText()).replaceAll("·", " ").trim();
  expect(text).toContain(shown);
  await notebook.screenshot("walk-2-state");
}, 120_000);

test("a click on an attention edge shows every head; a head, what it promotes", async () => {
  const edge = panel().locator("[data-edge][data-kind=attention]").last();
  await edge.dispatchEvent("click");
  await panel().locator("lmt-head-bars [role=option]").nth(2).waitFor();
  // As many as fit, and the others on request.
  const more = panel().locator("lmt-head-bars button.more");
  if (await more.count()) await more.click();
  await panel().locator("lmt-head-bars [data-head='8']").waitFor();
  expect(await panel().locator("lmt-head-bars [role=option]").count()).toBe(1 + 9);
  await panel().locator("lmt-head-bars [data-head='3']").click();
  await panel().locator("lmt-effect-table").getByText("head 3 of layer").waitFor();
  await notebook.screenshot("walk-3-heads");
}, 120_000);

test("cells set the selection and read it; a square shows neurons", async () => {
  await notebook.run(2);
  await panel().locator("lmt-neuron-bars [data-neuron]").first().click();
  await panel()
    .locator("lmt-effect-table")
    .getByText(/neuron \d+ of layer 29/)
    .waitFor();
  await panel().locator("[data-start='2']").first().click();
  await notebook.run(1);
  const [output] = await notebook.outputData(1);
  expect(String(output.data?.["text/plain"])).toMatch(/start: 2/);
  await notebook.screenshot("walk-4-neurons");
  await notebook.theme("dark");
  await panel().locator("lmt-flow-graph[data-theme=dark]").first().waitFor();
  await notebook.screenshot("walk-5-dark");
}, 120_000);
