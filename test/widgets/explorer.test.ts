/** The Explorer in a real JupyterLab on a GPT-2: one line shows the whole tool, and everything follows every click. */
import fs from "node:fs";
import path from "node:path";
import { eventually } from "../support/eventually";
import { modelFolder } from "../support/fixtures";
import { type Jupyter, type NotebookPage, makeNotebook, startJupyter } from "../support/jupyter";

let jupyter: Jupyter;
let notebook: NotebookPage;

beforeAll(async () => {
  jupyter = await startJupyter({
    files: {
      "explorer.ipynb": makeNotebook([
        `import { BaseRun, explorer, loadModel, tokenMatrix } from "lm-transparency";\nconst model = await loadModel(${JSON.stringify(modelFolder("gpt2-tiny"))});\nconst run = await model.run("The war lasted from the year 1732");\nconst tool = explorer(run);\ntool`,
        "tokenMatrix(run)",
        "tool.selection",
        'import { flowCompare } from "lm-transparency";\nconst [a, b] = await model.run([[5, 9, 17, 30, 2], [5, 9, 17, 31, 2]]);\nflowCompare(a, b)',
        `import { FloatSlider, HBox, VBox } from "lm-transparency/ipywidgets";
import { flowGraph, tokenTable } from "lm-transparency";
const graph = flowGraph(a, { detail: false });
const slider = new FloatSlider({ value: 0.04, min: 0, max: 0.5, step: 0.01, description: "threshold" });
slider.observe("value", (change) => graph.select({ threshold: change.new }));
new VBox([slider, new HBox([graph, tokenTable(a)])])`,
        "slider.value = 0.2",
        `for (const ending of ["svg", "png", "csv"]) await graph.save("saved." + ending);
let refused = "";
try { await tokenTable(a).save("saved.png"); } catch (error) { refused = (error as Error).message; }
refused`,
      ]),
    },
  });
  notebook = await jupyter.open("explorer.ipynb", { width: 1500, height: 1500 });
  notebook.page.setDefaultTimeout(90_000);
  await notebook.run(0);
  expect((await notebook.outputData(0)).map((output) => output.evalue).filter(Boolean)).toEqual([]);
}, 240_000);
afterAll(() => jupyter?.stop(), 30_000);

const tool = () => notebook.outputs(0).locator("lmt-explorer");

test("edge, heads, maps, a head's tokens, and a second picture that follows", async () => {
  await notebook.run(1);
  await tool().locator("[data-edge][data-kind=attention]").first().waitFor();
  await tool().locator("[data-edge][data-kind=attention]").last().dispatchEvent("click");
  await tool().locator("lmt-head-bars [data-head='1']").click();
  await tool().locator("lmt-token-matrix canvas.map").nth(1).waitFor();
  await tool().locator("[data-tab=effect]").click();
  await tool()
    .locator("lmt-effect-table")
    .getByText(/head 1 of layer/)
    .waitFor();
  const other = notebook.outputs(1).locator("lmt-token-matrix");
  await other.getByText(/Head 1 of layer/).waitFor();
  await notebook.screenshot("explorer-1-edge");
}, 120_000);

test("a token is pinned and followed; the state of a point is selected", async () => {
  await tool().locator("[data-tab=tokens]").click();
  await tool().locator("lmt-token-table tbody button").first().click();
  const chart = tool().locator("lmt-follow-chart");
  await chart.locator("circle.point").first().waitFor();
  await chart.locator("circle.hit").first().click();
  await tool().locator("lmt-token-table h3 [title^=X0_]").waitFor();
  await notebook.run(2);
  const [output] = await notebook.outputData(2);
  expect(String(output.data?.["text/plain"])).toMatch(/node: 'X0_\d+'/);
  await notebook.screenshot("explorer-2-follow");
}, 120_000);

test("after a reload with the kernel alive everything is there as it was", async () => {
  await notebook.save();
  const again = await jupyter.open("explorer.ipynb", { width: 1500, height: 1500 });
  const there = again.outputs(0).locator("lmt-explorer");
  await there.locator("lmt-token-table h3 [title^=X0_]").waitFor();
  await there.locator("[data-ffn]").first().dispatchEvent("click");
  await there.locator("lmt-neuron-bars [data-neuron]").first().waitFor();
  // The first page follows the second: they show one selection.
  await tool().locator("lmt-neuron-bars").scrollIntoViewIfNeeded();
  await tool().locator("lmt-neuron-bars [data-neuron]").first().waitFor();
  await again.close();
}, 120_000);

test("two runs side by side, and their difference", async () => {
  await notebook.run(3);
  const compare = notebook.outputs(3).locator("lmt-flow-compare");
  await compare.scrollIntoViewIfNeeded();
  await compare.locator("lmt-flow-graph").nth(1).locator("[data-edge]").first().waitFor({ state: "attached" });
  await compare.getByRole("button", { name: "Difference" }).click();
  await compare.locator(".edge.more, .edge.less").first().waitFor({ state: "attached" });
  await compare.locator("[data-token]").filter({ hasText: " | " }).first().waitFor({ state: "attached" });
  await notebook.screenshot("explorer-3-difference");
}, 120_000);

test("parts lie in stock boxes, beside stock controls that drive them", async () => {
  await notebook.run(4);
  const box = notebook.outputs(4);
  await box.locator("lmt-flow-graph").scrollIntoViewIfNeeded();
  await box.locator("[data-edge]").first().waitFor({ state: "attached" });
  const before = await box.locator("[data-edge]").count();
  await box.locator('[data-node="I1_2"]').click();
  await box.locator("lmt-token-table h3 [title^=I1_2]").waitFor();
  await notebook.screenshot("explorer-4-boxes");
  await notebook.run(5);
  // The slider was set from a cell; the graph follows it.
  await box.locator("lmt-flow-panel output").getByText("0.2").waitFor();
  await eventually(
    () => box.locator("[data-edge]").count(),
    (count) => expect(count).toBeLessThan(before),
  );
}, 120_000);

test("pictures are saved from code", async () => {
  await notebook.run(6);
  const [output] = await notebook.outputData(6);
  expect(output.evalue).toBeUndefined();
  expect(String(output.data?.["text/plain"])).toMatch(/cannot be saved as \.png; it can as \.csv/);
  const read = (name: string): Buffer => fs.readFileSync(path.join(jupyter.folder, name));
  expect(read("saved.svg").toString()).toMatch(/^<svg/);
  expect(read("saved.png").subarray(1, 4).toString()).toBe("PNG");
  expect(read("saved.csv").toString()).toMatch(/^source,target,kind,weight,heads\r\n/);
}, 120_000);
