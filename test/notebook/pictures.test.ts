/** Pictures as values: what they show where nothing runs, and how they share a selection. */
import { flowGraph, loadModel, selectionOf, topPredictions, type Run, type TransparentModel } from "../../src/index";
import { staticSvg } from "../../src/notebook/static-picture";
import { JUPYTER_DISPLAY } from "../../src/jupyter/comm-host";
import { modelFolder } from "../support/fixtures";

let model: TransparentModel;
let run: Run;
beforeAll(async () => {
  model = await loadModel(modelFolder("llama-tiny"));
  run = await model.run([1, 2, 3, 4, 5]);
}, 60_000);
afterAll(() => model.dispose());

/** A run whose tokens say something hostile. */
function withTexts(texts: readonly string[]): Run {
  const tokens = run.tokens.map((token, i) => ({ ...token, text: texts[i] ?? token.text }));
  return new Proxy(run, {
    get: (target, key) =>
      key === "tokens"
        ? tokens
        : typeof Reflect.get(target, key, target) === "function"
          ? (Reflect.get(target, key, target) as (...a: unknown[]) => unknown).bind(target)
          : Reflect.get(target, key, target),
  });
}

test("a picture's bundle has text and HTML with the predictions", async () => {
  const bundle = await flowGraph(run)[JUPYTER_DISPLAY]();
  const [best] = await topPredictions(run, { topK: 1 });
  expect(bundle["text/plain"]).toMatch(/^FlowGraph of ".*; predicts /);
  expect(bundle["text/html"]).toContain(`${(100 * best.probability).toFixed(1)} %`);
  expect(bundle["text/html"]).toContain("data:image/svg+xml;base64,");
});

test("token texts never become markup", async () => {
  const hostile = withTexts(["<script>alert(1)</script>", '"onload="x', "&amp;", "\u0000\ud800", "</svg><b>"]);
  const bundle = await flowGraph(hostile)[JUPYTER_DISPLAY]();
  const html = String(bundle["text/html"]);
  expect(html).not.toMatch(/<script|<b>|"onload/i);
  expect(html).toContain("&lt;script&gt;");
  const graph = await run.routes();
  const svg = staticSvg({ ...graph, tokens: hostile.tokens, toJSON: () => ({}) });
  expect(svg).not.toMatch(/<script|<\/svg>.*<\/svg>|<b>/i);

  expect(svg).not.toMatch(/[\u0000-\u0008]|[\ud800-\udbff](?![\udc00-\udfff])/);
});

test("the static picture draws what is in the graph", async () => {
  const graph = await run.routes({ threshold: 0.02 });
  const svg = staticSvg(graph);
  const count = (marks: RegExp, each: RegExp): number =>
    (svg.match(marks) ?? []).reduce((sum, path) => sum + (path.match(each)?.length ?? 0), 0);
  expect(count(/<path fill="none"[^>]*>/g, /M/g)).toBe(graph.edges.length);
  const { nLayers } = model.info;
  // A state is a line of no length with round ends.
  expect(count(/<path stroke="[^>]*>/g, /h0/g)).toBe(5 * (2 * nLayers + 1));
});

test("the static picture of a long prompt folds what is off the routes, and draws the rest", async () => {
  const long = await model.run(Array.from({ length: 60 }, (_, i) => (i * 7) % 50));
  const graph = await long.routes({ threshold: 0.2 });
  const svg = staticSvg(graph);
  const on = new Set(graph.nodes.map(({ position }) => position)).add(59);
  const drawn = Array.from({ length: 60 }, (_, i) => (on.has(i) ? "x" : ".")).join("");
  // Three tokens in a row are folded, fewer are drawn.
  const gaps = (drawn.match(/\.{3,}/g) ?? []).map(({ length }) => length);
  expect(gaps.length).toBeGreaterThan(0);
  expect([...svg.matchAll(/>… (\d+) tokens</g)].map(([, count]) => Number(count))).toEqual(gaps);
  const edges = (svg.match(/<path fill="none"[^>]*>/g) ?? []).join("").match(/M/g) ?? [];
  expect(edges).toHaveLength(graph.edges.length);
  await long.dispose();
});

test("pictures of a run share one selection; a link can be cut and made", () => {
  const a = flowGraph(run);
  const b = flowGraph(run);
  const seen: number[] = [];
  b.on("select", ({ start }) => void seen.push(start));
  a.select({ start: 2 });
  expect(b.selection.start).toBe(2);
  expect(seen).toEqual([2]);
  expect(selectionOf(run).value.start).toBe(2);
  expect(() => a.select({ start: 5 })).toThrow(/start is 5, but has to be a position from 0 to 4/);
  expect(() => a.select({ focus: { kind: "node", node: "I99_0" } })).toThrow(/There is no node "I99_0"/);
  expect(() => flowGraph(run, { threshold: 2 })).toThrow(/The threshold is 2/);
  expect(a.selection.start).toBe(2);
});

test("predictions are a table", async () => {
  const table = await topPredictions(run, { topK: 3 });
  expect(table.length).toBe(3);
  expect(table[0].probability).toBeGreaterThanOrEqual(table[1].probability);
  expect(String(table[JUPYTER_DISPLAY]()["text/plain"]).split("\n").length).toBe(4);
  expect(Array.isArray(table.map((p) => p.id))).toBe(true);
  await expect(topPredictions(run, { position: 9 })).rejects.toThrow(/9/);
});
