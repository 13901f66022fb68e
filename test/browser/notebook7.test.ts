/** The first notebook in Jupyter Notebook 7: the same extension, kernel and clicks. */
import { type Jupyter, type NotebookPage, startJupyter } from "../support/jupyter";

let jupyter: Jupyter;
let notebook: NotebookPage;
let graph = -1;

beforeAll(async () => {
  jupyter = await startJupyter({ app: "notebook", notebooks: ["notebooks/01-first-look.ipynb"] });
  notebook = await jupyter.open("01-first-look.ipynb", { width: 1300, height: 1100 });
  graph = (await notebook.sources()).findIndex((source) => source.startsWith("flowGraph(run"));
  await notebook.runAll();
}, 300_000);
afterAll(() => jupyter?.stop(), 30_000);

test("runs without an error and draws the graph", async () => {
  for (let i = 0; i < (await notebook.cellCount()); i++)
    expect((await notebook.outputData(i)).filter((output) => output.output_type === "error")).toEqual([]);
  await notebook.outputs(graph).locator("lmt-flow-panel [data-node]").first().waitFor();
});

test("answers a click from the kernel", async () => {
  const panel = notebook.outputs(graph).locator("lmt-flow-panel");
  await panel.locator('[data-node="I29_4"]').click();
  await panel.locator("lmt-token-table tbody tr").first().getByText("Paris").waitFor();
  await notebook.screenshot("notebook7", notebook.cell(graph));
  expect(jupyter.outside).toEqual([]);
});
