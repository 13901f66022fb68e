/** `table`, `decode`, places of edges, pins, and the cell of a view. */
import { runInThisContext } from "node:vm";
import * as library from "../../src/index";
import { flowCompare, loadModel, table, type Run, type TransparentModel } from "../../src/index";
import { JUPYTER_DISPLAY } from "../../src/jupyter/comm-host";
import { inflateSync } from "node:zlib";
import { answerQuestion, runFacts } from "../../src/notebook/answers";
import { StoredAnswers } from "../../src/payload/read";
import { alignmentOf, LEAST_INFLOW, unseenTargets, type Answer } from "../../src/protocol";
import { selectionOf } from "../../src/notebook/selection";
import { cellOf } from "../../widgets/core/cell";
import type { Selection } from "../../src/protocol";
import { modelFolder } from "../support/fixtures";

const folder = modelFolder("gpt2-tiny");
let model: TransparentModel;
let run: Run;
beforeAll(async () => {
  model = await loadModel(folder);
  run = await model.run("The war lasted");
}, 60_000);
afterAll(() => model.dispose());

test("a table: columns in order, numbers alike, texts escaped, what is left out said", async () => {
  const rows = [
    { name: "<b>", value: 0.25, more: 1 },
    { name: " x", value: 1 / 3, extra: null },
  ];
  const bundle = table(rows)[JUPYTER_DISPLAY]();
  expect(bundle["text/plain"]).toBe("name  value  more  extra\n<b>   0.250     1\n·x    0.333");
  expect(bundle["text/html"]).toContain("&lt;b&gt;");
  expect(bundle["text/html"]).not.toContain("<b>");
  const short = table(rows, { columns: ["value"], limit: 1 })[JUPYTER_DISPLAY]();
  expect(short["text/plain"]).toBe("value\n0.250\n1 of 2 rows");
  expect(() => table(rows, { columns: ["nothing"] })).toThrow('No row has the column "nothing"');
  expect(() => table(rows, { limit: 0 })).toThrow("limit is 0");
});

test("decode gives back what was tokenised, whole characters for their bytes", () => {
  for (const text of ["The war", "日本 👩‍👩‍👧 é", "a\n\t<0xE2>b", ""]) {
    const ids = model.tokenize(text, { addSpecialTokens: false }).map(({ id }) => id);
    expect(model.decode!(ids)).toBe(text);
  }
  expect(() => model.decode!("text" as never)).toThrow(/list of token ids/);
  expect(() => model.decode!([-1])).toThrow(RangeError);
});

test("an edge knows its places, and no file repeats them", async () => {
  const graph = await run.routes();
  const [edge] = graph.edges;
  expect(edge.from).toEqual(library.parseNode(edge.source));
  expect(edge.to).toEqual(library.parseNode(edge.target));
  expect(JSON.stringify(graph)).not.toContain('"to":');
});

test("pins and the kind of an edge are part of the selection, and checked", () => {
  const selection = selectionOf(run);
  selection.select({ pins: [{ name: "mover", note: "copies", nodes: ["A1_2", "M0_1"] }] });
  expect(selection.value.pins).toEqual([{ name: "mover", note: "copies", nodes: ["A1_2", "M0_1"] }]);
  expect(() => selection.select({ pins: [{ name: "x", note: "", nodes: ["A9_2"] }] })).toThrow(RangeError);
  expect(() => selection.select({ pins: [{ name: "x", note: "", nodes: [] }] })).toThrow(/1 to 200 nodes/);
  selection.select({ focus: { kind: "edge", source: "I0_2", target: "A1_2", edge: "residual" } });
  expect(selection.value.focus).toMatchObject({ edge: "residual" });
  expect(() => selection.select({ focus: { kind: "edge", source: "I0_1", target: "A1_2", edge: "residual" } })).toThrow(
    /no residual edge/,
  );
  selection.select({ pins: [], focus: null });
});

test("what is removed is part of the selection, and checked", () => {
  const selection = selectionOf(run);
  const removed = [
    { kind: "attention", layer: 1, head: 0 },
    { kind: "edge", layer: 0, query: 2, key: 1 },
  ] as const;
  selection.select({ removed });
  expect(selection.value.removed).toEqual(removed);
  const refused = (given: unknown): (() => void) => {
    return () => selection.select({ removed: given as never });
  };
  expect(refused("all")).toThrow(/list of up to 50 parts/);
  expect(refused([{ kind: "head", layer: 1 }])).toThrow(/has to be "attention", "ffn" or "edge"/);
  expect(refused([{ kind: "ffn", layer: 99 }])).toThrow(RangeError);
  expect(refused([{ kind: "ffn", layer: 1, head: 1 }])).toThrow(/has no "head"; it has layer, position, neuron/);
  expect(refused([{ kind: "attention", layer: 1, head: 99 }])).toThrow(/removed\[0\].head/);
  expect(refused([{ kind: "edge", layer: 1, query: 1, key: 2 }])).toThrow(/sees none after itself/);
  expect(refused([...removed, { kind: "attention", layer: 1 }])).toThrow(/removed\[0\] is gone with removed\[2\]/);
  expect(selection.value.removed).toEqual(removed);
  selection.select({ removed: [] });
});

test("the cell of a view names model, tokens and selection", async () => {
  const facts = runFacts(run);
  const text = cellOf(
    facts,
    { ...selectionOf(run).value, threshold: 0.08, focus: { kind: "node", node: "I1_2" } },
    "explorer",
  );
  expect(text).toContain("gpt2-tiny");
  expect(text).toContain(`model.run([${run.tokens.map(({ id }) => id).join(", ")}])`);
  expect(text).toContain('focus: { kind: "node", node: "I1_2" }');
  expect(text).toContain("threshold: 0.08");
  expect(text).not.toContain("writer");
  // Run, it shows the same view.
  const body = text.replace(/^import .*$/m, "").replace(/^explorer\(/m, "return explorer(");
  type Made = { selection: Selection; close(): void };
  const make = runInThisContext(`(async (loadModel, explorer) => { ${body} })`) as (
    load: () => unknown,
    show: typeof library.explorer,
  ) => Promise<Made>;
  const again = await make(() => model, library.explorer);
  expect(again.selection).toMatchObject({
    threshold: 0.08,
    focus: { kind: "node", node: "I1_2" },
    start: facts.tokens.length - 1,
  });
  again.close();
});

test("a stored comparison knows what edges of one side contribute on the other, and says where it does not", async () => {
  const other = await model.run("The war began");
  const picture = flowCompare(run, other, { mode: "difference" });
  await picture.collected();
  const { payload } = await picture.kept();
  const stored = new StoredAnswers(inflateSync(Buffer.from(payload.data, "base64")));
  const [a, b] = await Promise.all([run.routes(), other.routes()]);
  const { forth, back } = alignmentOf(run, other);
  const here = unseenTargets(a.edges, b.edges, back);
  const there = unseenTargets(b.edges, a.edges, forth);
  expect(Math.min(here.length, there.length)).toBeGreaterThan(0);
  const mine = (await stored.answer({ kind: "inflow", nodes: here })) as Answer<"inflow">;
  expect(mine).toEqual(await answerQuestion(run, { kind: "inflow", nodes: here }));
  const theirs = (await stored.answer({
    kind: "second",
    question: { kind: "inflow", nodes: there },
  })) as Answer<"second">;
  expect(theirs.answer).toEqual(await answerQuestion(other, { kind: "inflow", nodes: there }));
  // Any other state: from the stored rows, which leave out what cannot pass the stored threshold.
  const coarse = (await stored.answer({ kind: "inflow", nodes: ["A1_2"] })) as Answer<"inflow">;
  expect(coarse.least).toBeGreaterThan(LEAST_INFLOW);
  picture.close();
});
