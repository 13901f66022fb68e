/**
 * From cells, in a real JupyterLab: links cut and made, selections set, read and refused, classes and styles of one's
 * own, comparisons with their detail.
 */
import fs from "node:fs";
import path from "node:path";
import { eventually } from "../support/eventually";
import { modelFolder } from "../support/fixtures";
import { type Jupyter, type NotebookPage, makeNotebook, startJupyter } from "../support/jupyter";

const CELLS = {
  begin: `import { workbench, Explorer, flowCompare, flowGraph, FlowGraph, lensGrid, loadModel, type Run, SharedSelection } from "lm-transparency";
import { HTML } from "lm-transparency/ipywidgets";
const model = await loadModel(${JSON.stringify(modelFolder("gpt2-tiny"))});
const [a, b] = await model.run([[5, 9, 17, 30, 2], [8, 5, 9, 17, 31, 2]]);
const graph = flowGraph(a);
graph`,
  alone:
    'const alone = flowGraph(a, { link: new SharedSelection(a), style: { "--lmt-attention": "rgb(1, 2, 3)" } });\nalone',
  cut: "alone.select({ start: 1 });\nJSON.stringify([alone.selection.start, graph.selection.start])",
  linked:
    "alone.linkTo(graph);\ngraph.select({ start: 2 });\nJSON.stringify([alone.selection.start, graph.selection.start])",
  refused: 'graph.select({ focus: { kind: "node", node: "I99_0" } })',
  unknown: "graph.select({ strat: 3 } as object)",
  mine: `class Mine extends FlowGraph {
  readonly seen: number[] = [];
  constructor(run: Run) {
    super(run, { compact: true, detail: false });
    this.on("select", ({ start }) => void this.seen.push(start));
  }
}
const mine = new Mine(a);
mine`,
  heard: "mine.select({ start: 3 });\nJSON.stringify(mine.seen)",
  style: 'new HTML({ value: "<style>lmt-flow-panel::part(legend) { letter-spacing: 3px }</style>" })',
  compare: "const compare = flowCompare(a, b);\ncompare",
  selected: "JSON.stringify(compare.selection.focus)",
  targets:
    "const targets = flowCompare(a, a, { link: new SharedSelection(a), contrasts: [{ token: 7 }, { token: 9, versus: 7 }] });\ntargets",
  why: "JSON.stringify([targets.selection.contrast, targets.selection.secondContrast])",
  page: 'await compare.save("compare.html");',
  parts: `const tool = new Explorer(a);
tool`,
  savedParts: `tool.select({ focus: { kind: "edge", source: "I0_2", target: "A1_4" }, head: { layer: 1, head: 2 } });
const saved = (part: "heads" | "maps" | "effect") => tool.save(part + ".csv", { part }).then(() => true, () => false);
for (let i = 0; i < 200; i++) {
  if (await saved("heads") && await saved("maps") && await saved("effect")) break;
  await new Promise((resolve) => setTimeout(resolve, 300));
}
const said: string[] = [];
for (const [part, ending] of [["graph", "svg"], ["heads", "csv"], ["maps", "png"], ["maps", "csv"], ["effect", "csv"], ["follow", "csv"], ["heads", "svg"], ["heads", "png"], ["effect", "png"]] as const) {
  try { await tool.save(part + "." + ending, { part }); } catch (error) { said.push((error as Error).message); }
}
console.log(JSON.stringify(said))`,
  wrongPart: 'await tool.save("x.csv", { part: "everything" as "heads" })',
  whole: `const everything = workbench(model, { prompt: "A cat" });
everything`,
  savedWhole:
    'await everything.session.settled();\nawait everything.save("whole.png");\nawait everything.save("heads-of-whole.csv", { part: "graph" });',
  saved: 'for (const ending of ["svg", "png", "csv"]) await compare.save("compare." + ending);',
};
type Cell = keyof typeof CELLS;
const at = (cell: Cell): number => Object.keys(CELLS).indexOf(cell);

let jupyter: Jupyter;
let notebook: NotebookPage;
beforeAll(async () => {
  jupyter = await startJupyter({ files: { "together.ipynb": makeNotebook(Object.values(CELLS)) } });
  notebook = await jupyter.open("together.ipynb", { width: 1500, height: 1500 });
  notebook.page.setDefaultTimeout(90_000);
  await notebook.run(at("begin"));
}, 240_000);
afterAll(() => jupyter?.stop(), 30_000);

/** Runs a cell and gives what it says, or its error. */
async function says(cell: Cell): Promise<string> {
  await notebook.run(at(cell));
  const [output] = await notebook.outputData(at(cell));
  if (output?.evalue !== undefined) return output.evalue;
  if (output?.text !== undefined) return [output.text].flat().join("");
  return ((output?.data?.["text/plain"] as string | undefined) ?? "").replace(/^'|'$/g, "");
}
const shown = (cell: Cell) => notebook.outputs(at(cell));

test("a link is cut and made; a style belongs to one picture", async () => {
  await notebook.run(at("alone"));
  await shown("alone").locator("[data-edge]").first().waitFor({ state: "attached" });
  expect(await says("cut")).toBe("[1,4]");
  await eventually(
    () => shown("alone").locator(".chip[aria-pressed=true]").getAttribute("data-start"),
    (start) => expect(start).toBe("1"),
  );
  await shown("begin").locator("lmt-flow-graph").scrollIntoViewIfNeeded();
  expect(await shown("begin").locator(".chip[aria-pressed=true]").getAttribute("data-start")).toBe("4");
  const color = (cell: Cell): Promise<string> =>
    shown(cell)
      .locator("lmt-flow-graph")
      .evaluate((element) => getComputedStyle(element).getPropertyValue("--_attention").trim());
  expect(await color("alone")).toBe("rgb(1, 2, 3)");
  expect(await color("begin")).not.toBe("rgb(1, 2, 3)");

  expect(await says("linked")).toBe("[2,2]");
  await eventually(
    () => shown("alone").locator(".chip[aria-pressed=true]").getAttribute("data-start"),
    (start) => expect(start).toBe("2"),
  );
  await shown("alone").locator(".chip").nth(3).click();
  await eventually(
    () => shown("begin").locator(".chip[aria-pressed=true]").getAttribute("data-start"),
    (start) => expect(start).toBe("3"),
  );
}, 120_000);

test("what cannot be selected is refused below the cell, and nothing changes", async () => {
  expect(await says("refused")).toMatch(/^There is no node "I99_0": nodes are /);
  expect(await says("unknown")).toMatch(/^A selection has no "strat"; it has start, /);
  expect(await shown("begin").locator(".chip[aria-pressed=true]").getAttribute("data-start")).toBe("3");
}, 180_000);

test("a class of one's own, and parts in a style sheet", async () => {
  await notebook.run(at("mine"));
  await shown("mine").locator("lmt-flow-graph").scrollIntoViewIfNeeded();
  await shown("mine").locator("[data-edge]").first().waitFor({ state: "attached" });
  await notebook.run(at("style"));
  const spacing = (): Promise<string> =>
    shown("mine")
      .locator("lmt-flow-graph .legend")
      .evaluate((element) => getComputedStyle(element).letterSpacing);
  await eventually(spacing, (value) => expect(value).toBe("3px"));
  expect(JSON.parse(await says("heard"))).toContain(3);
}, 120_000);

test("an edge of a comparison is looked at on both sides, also in the difference", async () => {
  await notebook.run(at("compare"));
  const compare = shown("compare").locator("lmt-flow-compare");
  await compare.scrollIntoViewIfNeeded();
  const second = compare.locator("lmt-flow-graph").nth(1);
  await second.locator("[data-edge]").first().waitFor({ state: "attached" });
  await second.locator("[data-node='I2_4']").dispatchEvent("click");
  // Beside the graphs stands the detail of the one that was clicked; the other's is a click away.
  for (const side of ["B", "A"]) {
    await compare.getByRole("button", { name: `Detail of ${side}` }).click();
    await compare.locator(`section[aria-label='Detail of ${side}'] lmt-token-table tbody tr`).first().waitFor();
  }
  // The second prompt has a token more: places are found by the tokens' texts.
  expect(JSON.parse(await says("selected"))).toEqual({ kind: "node", node: "I2_3" });
  // Of the first token the first prompt has nothing.
  await second.locator("[data-node='I2_0']").dispatchEvent("click");
  await compare.getByRole("button", { name: "Detail of A" }).click();
  await compare.getByText("This side has no such place").waitFor();
  expect(await says("selected")).toBe("null");
  await compare
    .locator("lmt-flow-graph")
    .nth(0)
    .locator("[data-edge][data-kind=attention]")
    .last()
    .dispatchEvent("click");
  await compare.getByRole("button", { name: "Detail of B" }).click();
  await compare.locator("section[aria-label='Detail of B'] lmt-head-bars [role=option]").nth(1).waitFor();
  await compare.locator("[part=numbers] [data-side=A]").getByText(/0\.\d/).waitFor();
  await notebook.screenshot("together-1-compare");
}, 120_000);

test("two targets of one run, each with its own routes; the difference has both numbers", async () => {
  await notebook.run(at("targets"));
  const targets = shown("targets").locator("lmt-flow-compare");
  await targets.scrollIntoViewIfNeeded();
  await targets.locator("lmt-flow-graph").nth(1).locator("[data-edge]").first().waitFor({ state: "attached" });
  expect(await targets.locator("lmt-trace-bar").nth(1).locator("input").nth(1).inputValue()).not.toBe("");
  expect(JSON.parse(await says("why"))).toEqual([
    { token: 7, versus: null },
    { token: 9, versus: 7 },
  ]);
  await targets.getByRole("button", { name: "Difference" }).click();
  await targets.locator(".edge.more, .edge.less").first().waitFor({ state: "attached" });
  await targets.locator("[data-ffn]").first().dispatchEvent("click");
  const numbers = targets.locator("[part=numbers]");
  await numbers.waitFor();
  const read = async (side: string): Promise<number> =>
    Number(
      /[+−]?[\d.]+$/
        .exec(((await numbers.locator(`[data-side=${side}]`).textContent()) ?? "").trim())?.[0]
        .replace("−", "-") ?? 0,
    );
  expect((await read("A")) - (await read("B"))).toBeCloseTo(await read("difference"), 2);
  await notebook.screenshot("together-2-targets");
  // The other side's token is chosen there.
  await targets
    .locator("lmt-trace-bar")
    .nth(1)
    .getByRole("button", { name: /^Clear/ })
    .click();
  await eventually(
    () => says("why"),
    (text) => expect(JSON.parse(text)).toEqual([{ token: 7, versus: null }, null]),
  );
}, 120_000);

test("a comparison is saved with both graphs", async () => {
  expect(await says("saved")).toBe("");
  const read = (name: string): Buffer => fs.readFileSync(path.join(jupyter.folder, name));
  expect(read("compare.svg").toString()).toMatch(
    /Information flow routes of token .* \| Information flow routes of token /,
  );
  expect(read("compare.png").subarray(1, 4).toString()).toBe("PNG");
  expect(read("compare.csv").toString()).toMatch(
    /^source,target,kind,weight A,weight B,contribution A,contribution B,tokens of\r\n/,
  );
}, 120_000);

test("a comparison's page has both sides' detail without a kernel; what needs one says so", async () => {
  expect(await says("page")).toBe("");
  const page = await notebook.page.context().newPage();
  page.setDefaultTimeout(60_000);
  await page.setContent(fs.readFileSync(path.join(jupyter.folder, "compare.html"), "utf8"));
  const compare = page.locator("lmt-flow-compare");
  const second = compare.locator("lmt-flow-graph").nth(1);
  await second.locator("[data-edge][data-kind=attention]").first().waitFor({ state: "attached" });
  await second.locator("[data-edge][data-kind=attention]").last().dispatchEvent("click");
  const heads = compare.locator("section[aria-label='Detail of B'] lmt-head-bars [role=option]");
  await heads.nth(1).waitFor();
  await second.locator("[data-ffn]").last().dispatchEvent("click");
  await compare.locator("section[aria-label='Detail of B'] lmt-neuron-bars [data-neuron]").first().waitFor();
  await compare.locator("section[aria-label='Detail of B'] lmt-effect-table tbody tr").first().waitFor();

  const why = compare.locator("lmt-trace-bar").nth(1);
  await why.getByRole("button", { name: /^Why this prediction/ }).click();
  // Nothing is wrong with it: it is said, not cried.
  await second
    .locator(".unavailable")
    .getByText(
      /keeps the routes of no contrast but the one that it was saved with.*It needs the kernel: run the cell again\./,
    )
    .waitFor();
  await why.locator("lmt-token-picker#versus input").click();
  await why
    .locator("lmt-token-picker#versus")
    .getByText(/Only the kernel can look up other tokens/)
    .waitFor();
  await why.getByRole("button", { name: /^Clear/ }).click();
  await second.locator("[data-edge]").first().waitFor({ state: "attached" });
  expect(await second.locator("[role=alert], .unavailable").count()).toBe(0);
  await page.close();
}, 120_000);

test("parts of the Explorer are saved from code, also within the whole tool", async () => {
  await notebook.run(at("parts"));
  await shown("parts").locator("lmt-explorer").scrollIntoViewIfNeeded();
  await shown("parts").locator("[data-edge]").first().waitFor({ state: "attached" });
  const said = JSON.parse(await says("savedParts")) as string[];
  expect(said).toEqual([
    'This picture shows no part "follow" now: select what it is about first.',
    'Its part "effect" cannot be saved as .png; it can as .csv.',
  ]);
  const read = (name: string): Buffer => fs.readFileSync(path.join(jupyter.folder, name));
  expect(read("graph.svg").toString()).toMatch(/^<svg/);
  expect(read("heads.csv").toString()).toMatch(/^head,contribution,attention\r\n0,/);
  expect(read("heads.svg").toString()).toMatch(/^<svg.*>All heads<.*>Head 3</s);
  expect(read("heads.png").subarray(1, 4).toString()).toBe("PNG");
  expect(read("maps.png").subarray(1, 4).toString()).toBe("PNG");
  expect(read("maps.csv").toString().length).toBeGreaterThan(100);
  expect(read("effect.csv").toString()).toMatch(/promoted/);
  expect(await says("wrongPart")).toMatch(/^part "everything" is unknown: use "graph" or "heads"/);

  await notebook.run(at("whole"));
  await shown("whole").locator("lmt-explore").scrollIntoViewIfNeeded();
  await shown("whole").locator("[data-edge]").first().waitFor({ state: "attached" });
  expect(await says("savedWhole")).toBe("");
  expect(read("whole.png").subarray(1, 4).toString()).toBe("PNG");
  expect(read("heads-of-whole.csv").toString()).toMatch(/^source,target,kind/);
}, 120_000);
