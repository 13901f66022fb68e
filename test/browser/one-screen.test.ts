/**
 * A laptop's screen, 1280 × 720, and the default model: every click in the Explorer is answered where it can be seen, and
 * one edge has the same number wherever it is said.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { inflateSync } from "node:zlib";
import type { Locator } from "playwright-core";
import type { Payload } from "../../src/payload/format";
import { StoredAnswers } from "../../src/payload/read";
import type { RoutesAnswer } from "../../src/protocol";
import { EDGE_KINDS } from "../../src/protocol";
import { type Jupyter, type NotebookPage, makeNotebook, startJupyter } from "../support/jupyter";

const HEIGHT = 720;
const PROMPT = "When Mary and John went to the store, John gave a drink to";
const CELLS = {
  show: [
    'import { explorer, loadModel } from "lm-transparency";',
    "const model = await loadModel();",
    `const run = await model.run(${JSON.stringify(PROMPT)});`,
    "const tool = explorer(run);",
    "tool",
  ].join("\n"),
  selection: "console.log(JSON.stringify(tool.selection))",
  edge: [
    "await (async () => {",
    "  const { source, target } = tool.selection.focus as { source: string; target: string };",
    "  const edge = (await run.routes()).edges.find((one) => one.source === source && one.target === target && one.kind === 'attention')!;",
    "  await tool.save('edges.csv', { part: 'graph' });",
    "  console.log(JSON.stringify({ weight: edge.weight, contribution: edge.contribution, layer: edge.to!.layer }));",
    "})()",
  ].join("\n"),
  cut: [
    "await (async () => {",
    "  const cut = await run.intervene(tool.selection.removed.map((target) => ({ target, do: 'zero' as const })));",
    "  const [best] = await run.lens('I29_13', { topK: 1 });",
    "  const after = (await cut.lens('I29_13', { topK: 1000 })).find(({ id }) => id === best.id)!;",
    "  console.log(JSON.stringify({ before: best.probability, after: after.probability }));",
    "})()",
  ].join("\n"),
};
type Cell = keyof typeof CELLS;
const at = (cell: Cell): number => Object.keys(CELLS).indexOf(cell);

let jupyter: Jupyter;
let notebook: NotebookPage;
let tool: Locator;

beforeAll(async () => {
  jupyter = await startJupyter({ files: { "screen.ipynb": makeNotebook(Object.values(CELLS)) } });
  notebook = await jupyter.open("screen.ipynb", { width: 1280, height: HEIGHT });
  await notebook.run(at("show"));
  tool = notebook.outputs(at("show")).locator("lmt-explorer");
  await tool.locator("[data-edge]").first().waitFor({ state: "attached" });
  await onTop();
}, 240_000);
afterAll(() => jupyter?.stop(), 30_000);

/** The picture at the top of the notebook, as someone would scroll it. */
async function onTop(): Promise<void> {
  await tool.evaluate((element) => element.scrollIntoView({ block: "start" }));
  await notebook.page.waitForTimeout(200);
}

async function says<T>(cell: Cell): Promise<T> {
  await notebook.run(at(cell));
  const outputs = await notebook.outputData(at(cell));
  const text = outputs.map((output) => [output.text ?? output.evalue ?? ""].flat().join("")).join("");
  await onTop();
  return JSON.parse(text) as T;
}

/** All of it is within the window. */
async function seen(what: Locator): Promise<void> {
  await what.first().waitFor();
  // What grows while its answer comes has settled soon.
  let box: Awaited<ReturnType<Locator["boundingBox"]>> = null;
  for (const end = Date.now() + 4000; Date.now() < end; await notebook.page.waitForTimeout(100)) {
    box = await what.first().boundingBox();
    if (box && box.y >= 0 && box.y + box.height <= HEIGHT) return;
  }
  expect(box && box.y >= 0 ? box.y + box.height : undefined).toBeLessThanOrEqual(HEIGHT);
}

test("it opens with its story: the strongest edge into the start token, and its best head", async () => {
  await tool
    .locator("lmt-story")
    .getByText(/reaches.*in layer \d+.*through head \d+/)
    .waitFor();
  const { focus, head } = await says<{ focus: { kind: string; target: string }; head: { layer: number } }>("selection");
  expect(focus).toMatchObject({ kind: "edge", source: "I22_1", target: "A23_13" });
  expect(head.layer).toBe(23);
  await seen(tool.locator("lmt-story"));
  await seen(tool.locator("lmt-flow-graph svg.plot"));
  await notebook.screenshot("one-screen-1-story");
}, 120_000);

test("the graph, tip, table, payload, CSV and library say one number for an edge", async () => {
  const { weight, contribution } = await says<{ weight: number; contribution: number }>("edge");
  expect(Math.abs(weight - contribution)).toBeGreaterThan(0.01);
  const [drawn, all] = [weight.toFixed(3), contribution.toFixed(3)];
  // Table: both numbers, with words.
  await tool.locator("lmt-head-bars [data-head=all]").getByText(all).waitFor();
  await tool.locator("lmt-head-bars .about").getByText(`${drawn} of what passed`).waitFor();
  await tool.locator("lmt-story").getByText(`${all} of everything`).waitFor();
  // Tip.
  await tool.locator('[data-edge="I22_1>A23_13:attention"]').dispatchEvent("pointermove", { buttons: 0 });
  await tool.locator(".tip").getByText(`contribution ${drawn} of what passed, ${all} of everything`).waitFor();
  // CSV.
  const csv = fs.readFileSync(path.join(jupyter.folder, "edges.csv"), "utf8");
  const [, , , written] = csv
    .split("\r\n")
    .find((line) => line.startsWith("I22_1,A23_13,attention"))!
    .split(",");
  expect(Number(written)).toBeCloseTo(weight, 6);
  // What the notebook keeps.
  await expectEventually(async () => {
    const [output] = await notebook.outputData(at("show"));
    const payload = output.data?.["application/vnd.lm-transparency+json"] as Payload;
    const stored = new StoredAnswers(inflateSync(Buffer.from(payload.data, "base64")));
    const question = { kind: "routes", from: 13, threshold: 0.04, renormalize: true } as const;
    const answer = (await stored.answer(question)) as RoutesAnswer;
    const e = Array.from(answer.kinds.data, (_, i) => i).find(
      (i) =>
        answer.nodes[answer.sources.data[i]] === "I22_1" &&
        answer.nodes[answer.targets.data[i]] === "A23_13" &&
        EDGE_KINDS[answer.kinds.data[i]] === "attention",
    );
    return [answer.weights.data[e ?? -1], answer.contributions?.data[e ?? -1]].map((value) => value?.toFixed(3));
  }, [drawn, all]);
}, 180_000);

async function expectEventually<T>(read: () => Promise<T>, wanted: T): Promise<void> {
  for (const end = Date.now() + 60_000; ; await notebook.page.waitForTimeout(200)) {
    const value = await read().catch(String);
    if (JSON.stringify(value) === JSON.stringify(wanted)) return;
    if (Date.now() > end) return void expect(value).toEqual(wanted);
  }
}

test("without the story's head the kernel predicts something else, said within the window and in cells alike", async () => {
  await tool.locator("[data-act=remove]").click();
  await seen(tool.locator("lmt-removed .pair").nth(3));
  await seen(tool.locator("lmt-removed [role=status]").getByText(/^\s*After .*probability .* → .*logit/s));
  await seen(tool.locator("lmt-flow-graph svg.plot"));
  await tool.locator("lmt-flow-graph path.cut").first().waitFor({ state: "attached" });
  await notebook.screenshot("one-screen-removed");
  const { removed, head } = await says<{ removed: unknown; head: { layer: number; head: number } }>("selection");
  expect(removed).toEqual([{ kind: "attention", ...head }]);
  const said = await says<{ before: number; after: number }>("cut");
  const percents = `${(100 * said.before).toFixed(1)} % → ${(100 * said.after).toFixed(1)} %`;
  await tool.locator("lmt-removed").getByText(percents).waitFor();
  await tool.locator("lmt-removed .chip button").click();
  await expectEventually(async () => (await says<{ removed: unknown }>("selection")).removed, []);
}, 120_000);

test("edge, head, feed-forward block, neuron, state, pin: every click is answered within the window", async () => {
  await tool.locator("[data-edge][data-kind=attention]").nth(2).dispatchEvent("click");
  await seen(tool.locator("lmt-head-bars [role=listbox]"));
  await seen(tool.locator("lmt-effect-table tbody tr"));
  await tool.locator("lmt-head-bars [data-head]").nth(1).click();
  await seen(tool.locator("lmt-token-matrix canvas.map").nth(1));
  await tool.locator("[data-ffn]").last().dispatchEvent("click");
  await seen(tool.locator("lmt-neuron-bars [role=listbox]"));
  await tool.locator("lmt-neuron-bars [data-neuron]").first().click();
  await seen(tool.locator("lmt-effect-table").getByText(/neuron \d+ of layer/));
  await seen(tool.locator("lmt-effect-table tbody tr").nth(3));
  await tool.locator("lmt-flow-graph [data-node=I20_13]").click();
  await seen(tool.locator("lmt-inflow [role=listbox]"));
  await seen(tool.locator("lmt-token-table tbody tr").nth(4));
  // A residual edge: what flows past the block, and no heads.
  await tool.locator("lmt-inflow [role=option]").first().click();
  expect((await says<{ focus: { edge?: string } }>("selection")).focus.edge).toBe("residual");
  expect(await tool.locator("lmt-head-bars").count()).toBe(0);
  await tool.locator("[data-tab=tokens]").click();
  await tool.locator("lmt-token-table tbody button").first().click();
  await seen(tool.locator("lmt-follow-chart svg"));
  await tool.locator("[data-act=pin]").click();
  await seen(tool.locator("lmt-pins input"));
  await notebook.screenshot("one-screen-2-pin");
  expect((await says<{ pins: unknown[] }>("selection")).pins).toHaveLength(1);
  await tool.locator("[data-tab=lens]").click();
  await tool.locator("lmt-lens-grid [role=gridcell]").first().waitFor();
}, 240_000);

test("back and forward; leaving the routes of a state returns to what was studied", async () => {
  await tool.locator("lmt-flow-graph [data-node=I9_3]").dispatchEvent("click");
  await tool.locator("lmt-flow-graph [data-node=I10_4]").dispatchEvent("click");
  await tool.getByRole("button", { name: "Back", exact: true }).click();
  expect((await says<{ focus: unknown }>("selection")).focus).toEqual({ kind: "node", node: "I9_3" });
  await tool.getByRole("button", { name: "Forward", exact: true }).click();
  await tool.locator("[data-act=here]").click();
  const traced = await says<{ origin: string; start: number }>("selection");
  expect(traced).toMatchObject({ origin: "I10_4", start: 4 });
  await tool.getByRole("button", { name: "Back to the top" }).click();
  expect(await says("selection")).toMatchObject({ origin: null, start: 13 });
}, 120_000);

test("the tour has five steps, and the window holds each", async () => {
  await tool.getByRole("button", { name: /^Help/ }).click();
  await tool.locator("[data-act=tour]").click();
  for (let step = 1; step <= 5; step++) {
    await tool.getByText(`${step} of 5`).waitFor();
    await seen(tool.locator("lmt-guide .card"));
    if (step < 5) await tool.locator("[data-act=next]").click();
  }
  await notebook.screenshot("one-screen-3-tour");
  await tool.locator("lmt-guide").getByRole("button", { name: "Close" }).click();
}, 120_000);

test("a kernel that is gone is one line, and its button makes the picture live again", async () => {
  await notebook.save();
  await notebook.command("kernelmenu:shutdown");
  await notebook.page.waitForTimeout(1000);
  // Far from every route: not kept.
  await tool.locator("lmt-flow-graph [data-node=I28_5]").dispatchEvent("click");
  const line = tool.locator(".unavailable").first();
  await line.getByText(/kernel|not stored|before this was collected/).waitFor();
  expect(await tool.locator("[role=alert]").count()).toBe(0);
  expect(await tool.locator(".busy[data-on]").count()).toBe(0);
  await notebook.screenshot("one-screen-4-gone");
  await line.getByRole("button", { name: "Run" }).click();
  await notebook.page.waitForTimeout(4000);
  await notebook.screenshot("one-screen-5-run");
  await tool.locator("lmt-flow-graph [data-node=I28_5]").dispatchEvent("click");
  await tool.locator("lmt-token-table tbody tr").first().waitFor();
}, 180_000);
