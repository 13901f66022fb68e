/**
 * Panels put together from pictures and stock controls: live with their controls, and, opened again without a kernel or
 * exported as a page, with everything that the pictures keep.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { notebookPage } from "../../src/export/notebook";
import { modelFolder } from "../support/fixtures";
import { type Jupyter, launchChromium, type NotebookPage, makeNotebook, startJupyter } from "../support/jupyter";

const CELLS = [
  [
    'import { flowGraph, layout, loadModel, tokenTable } from "lm-transparency";',
    'import { FloatSlider, HBox, HTML, VBox } from "lm-transparency/ipywidgets";',
    `const model = await loadModel(${JSON.stringify(modelFolder("gpt2-tiny"))});`,
    'const run = await model.run("The war lasted");',
    "const slider = new FloatSlider({ value: 0.05, max: 0.2 });",
  ].join("\n"),
  "new HBox([flowGraph(run, { detail: false }), tokenTable(run)])",
  'layout([new VBox([slider, flowGraph(run, { detail: false })]), tokenTable(run)], { as: "tabs", titles: ["Graph", "Tokens"] })',
  'new HBox([new HTML({ value: "<b>alone</b>" })])',
];

let jupyter: Jupyter;
let notebook: NotebookPage;

beforeAll(async () => {
  jupyter = await startJupyter({ files: { "layouts.ipynb": makeNotebook(CELLS) } });
  notebook = await jupyter.open("layouts.ipynb", { width: 1400, height: 1600 });
  for (let i = 0; i < CELLS.length; i++) await notebook.run(i);
}, 240_000);
afterAll(() => jupyter?.stop(), 30_000);

const output = (page: NotebookPage, cell: number) => page.outputs(cell);

test("live, a panel is its box with its controls, and its pictures share a selection", async () => {
  const box = output(notebook, 1);
  await box.scrollIntoViewIfNeeded();
  await box.locator("lmt-flow-graph [data-edge]").first().waitFor({ state: "attached" });
  await box.locator('[data-node="I1_2"]').dispatchEvent("click");
  await box.locator("lmt-token-table h3 [title^=I1_2]").waitFor();
  await output(notebook, 2).locator(".widget-slider, .jupyter-widget-slider").first().waitFor();
  // A box without pictures is what it was.
  const [plain] = await notebook.outputData(3);
  expect(Object.keys(plain.data ?? {})).not.toContain("application/vnd.lm-transparency+json");
  await notebook.screenshot("layouts-1-live");
}, 120_000);

test("opened again without a kernel it is there, and answers", async () => {
  // What was clicked is kept some time after the last click.
  await notebook.page.waitForTimeout(3000);
  await notebook.save();
  await notebook.command("kernelmenu:shutdown");
  await notebook.close();
  const again = await jupyter.open("layouts.ipynb", { width: 1400, height: 1600 });
  await again.command("kernelmenu:shutdown").catch(() => undefined);
  for (const cell of [1, 2]) {
    const box = output(again, cell);
    await box.scrollIntoViewIfNeeded();
    await box.locator("lmt-flow-graph [data-edge]").first().waitFor({ state: "attached" });
  }
  const box = output(again, 1);
  await box.locator('[data-node="I0_1"]').dispatchEvent("click");
  await box.locator("lmt-token-table tbody tr").first().waitFor();
  expect(await box.getByText("Error displaying widget").count()).toBe(0);
  await output(again, 2)
    .getByText(/needs the kernel: run the cell again/)
    .waitFor();
  await output(again, 2).getByText("Tokens", { exact: true }).first().waitFor();
  await again.screenshot("layouts-2-stored");
}, 180_000);

test("an exported page has it, and asks for nothing", async () => {
  const file = path.join(jupyter.folder, "layouts.ipynb");
  const page = path.join(jupyter.folder, "layouts.html");
  fs.writeFileSync(page, await notebookPage(fs.readFileSync(file, "utf8"), file));
  const browser = await launchChromium();
  try {
    const shown = await browser.newPage();
    const requests: string[] = [];
    shown.on("request", (request) => requests.push(request.url()));
    await shown.goto(`file://${page}`);
    await shown.locator("lmt-flow-graph [data-edge]").first().waitFor({ state: "attached" });
    expect(await shown.locator("lmt-flow-graph").count()).toBe(2);
    expect(requests.filter((url) => !/^(data|blob|about|file):/.test(url))).toEqual([]);
  } finally {
    await browser.close();
  }
}, 120_000);
