/**
 * Routes of a contrast and of any node as the pictures ask for them: the same as the library's own, checked, shared,
 * and stored.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { inflateSync } from "node:zlib";
import {
  flowCompare,
  flowGraph,
  type FlowCompare,
  type FlowGraph,
  loadModel,
  selectionOf,
  type Run,
  type TransparentModel,
} from "../../src/index";
import { answerQuestion } from "../../src/notebook/answers";
import type { SelectionChange } from "../../src/notebook/selection";
import {
  type Answer,
  changedSelection,
  initialSelection,
  mirroredSelection,
  type Question,
  readSelection,
  routesQuestion,
  type Selection,
} from "../../src/protocol";
import { JUPYTER_DISPLAY } from "../../src/jupyter/comm-host";
import { type Payload, PAYLOAD_MIME } from "../../src/payload/format";
import { routesAnswer } from "../../src/payload/routes";
import { StoredAnswers } from "../../src/payload/read";
import { modelFolder } from "../support/fixtures";

let model: TransparentModel;
let run: Run;
let other: Run;
beforeAll(async () => {
  model = await loadModel(modelFolder("llama-tiny"));
  run = await model.run([1, 2, 3, 4, 5]);
  other = await model.run([9, 8, 1, 2, 3, 4, 6]);
}, 60_000);
afterAll(() => model.dispose());

/** Everything that the output of a picture keeps. */
async function storedOf(picture: FlowGraph | FlowCompare): Promise<StoredAnswers> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "lmt-contrast-"));
  // Saving waits until all is collected.
  await picture.save(path.join(folder, "picture.html"));
  fs.rmSync(folder, { recursive: true });
  const payload = (await picture[JUPYTER_DISPLAY]())[PAYLOAD_MIME] as Payload;
  return new StoredAnswers(inflateSync(Buffer.from(payload.data, "base64")));
}

const routes = (question: Question<"routes">): Promise<Answer<"routes">> =>
  answerQuestion(run, question) as Promise<Answer<"routes">>;
const plain = (answer: Answer<"routes">): unknown => ({
  ...answer,
  weights: [...answer.weights.data],
  sources: [...answer.sources.data],
  targets: [...answer.targets.data],
  contrast: answer.contrast && Object.values(answer.contrast).map(({ id }) => id),
});

test("a contrast's routes are the run's own, and name their tokens", async () => {
  const logits = (await run.logits({ position: 4 })).data;
  const best = logits.indexOf(Math.max(...logits));
  for (const [contrast, options] of [
    [
      { token: 7, versus: 9 },
      { token: 7, versus: 9 },
    ],
    [{ token: null, versus: 9 }, { versus: 9 }],
    [{ token: 7, versus: null }, { token: 7 }],
    [{ token: null, versus: null }, {}],
  ] as const) {
    const answer = await routes({ kind: "routes", from: 4, threshold: 0.04, renormalize: true, contrast });
    const own = await run.routes({ from: 4, contrast: options });
    expect(plain(answer)).toEqual(plain(routesAnswer(own)));
    expect(answer.contrast?.token.id).toBe(contrast.token ?? best);
    expect(answer.contrast?.versus?.id).toBe(contrast.versus ?? undefined);
  }
  const without = await routes({ kind: "routes", from: 4, threshold: 0.04, renormalize: true });
  const along = await routes({
    kind: "routes",
    from: 4,
    threshold: 0.04,
    renormalize: true,
    contrast: { token: 7, versus: 9 },
  });
  expect(plain(along)).not.toEqual(plain(without));
});

test("routes begin at any node, without a kernel too", async () => {
  const stored = await storedOf(flowGraph(run));
  const graph = await run.routes();
  const { nLayers } = model.info;
  for (const { name } of graph.nodes) {
    const question = { kind: "routes" as const, from: name, threshold: 0.04, renormalize: true };
    const [own, kernel] = [await stored.answer(question), await run.routes({ from: name })];
    expect(own?.from).toEqual([name]);
    expect(own?.nodes).toEqual(kernel.nodes.map((node) => node.name));
  }
  expect(
    await stored.answer({ kind: "routes", from: `I${nLayers}_0`, threshold: 0.04, renormalize: true }),
  ).toBeUndefined();
  expect(await stored.answer({ kind: "routes", from: 99, threshold: 0.04, renormalize: true })).toBeUndefined();
  // What speaks for a token does not follow from what is stored, and is not made up.
  expect(
    await stored.answer({
      kind: "routes",
      from: 4,
      threshold: 0.04,
      renormalize: true,
      contrast: { token: 7, versus: 9 },
    }),
  ).toBeUndefined();
});

test("the contrast that a picture is saved with is stored, with the heads of its edges", async () => {
  const picture = flowGraph(run, { selection: { contrast: { token: 7, versus: 9 } } });
  expect(String((await picture[JUPYTER_DISPLAY]())["text/html"])).toMatch(/why .* rather than /);
  const stored = await storedOf(picture);
  expect(stored.head.selection.contrast).toEqual({ token: 7, versus: 9 });
  const question = routesQuestion(stored.head.selection);
  const own = await stored.answer(question);
  expect(own && plain(own)).toEqual(plain(await routes(question)));
  for (const { kind, source, target } of (await run.routes({ contrast: { token: 7, versus: 9 } })).edges) {
    if (kind !== "attention") continue;
    const [layer, query] = target.slice(1).split("_").map(Number);
    expect(await stored.answer({ kind: "heads", layer, query, key: Number(source.split("_")[1]) })).toBeDefined();
  }
  picture.select({ contrast: null });
});

test("tokens to choose from: the likeliest, and those that begin with what is typed", async () => {
  const logits = (await run.logits({ position: 2 })).data;
  const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a] || a - b);
  const ask = async (text: string, topK = 8): Promise<Answer<"targets">["tokens"]> =>
    ((await answerQuestion(run, { kind: "targets", position: 2, text, topK })) as Answer<"targets">).tokens;
  const likeliest = await ask("");
  expect(likeliest.map(({ id }) => id)).toEqual(order.slice(0, 8));
  expect(likeliest[0].probability).toBeGreaterThan(likeliest[7].probability);
  const word = Array.from({ length: model.info.dVocab }, (_, id) => model.token(id)).find(({ text }) =>
    /^ ?[A-Za-z]{3,}$/.test(text),
  )!;
  const typed = await ask(word.text.trim(), 50);
  expect(typed.length).toBeGreaterThan(0);
  expect(typed.some(({ id }) => id === word.id)).toBe(true);
  // The likeliest first; what is just the word is there however unlikely it is.
  const places = typed.map(({ id }) => order.indexOf(id));
  expect(places).toEqual([...places].sort((a, b) => a - b));
  const one = await ask(word.text.trim()[0], 3);
  const exact = Array.from({ length: model.info.dVocab }, (_, id) => id).filter(
    (id) => model.token(id).text.trim() === word.text.trim()[0],
  );
  expect(exact.length).toBeGreaterThan(0);
  expect(one.some(({ id }) => exact.includes(id))).toBe(true);
  for (const { text } of typed) expect(text.trim().toLowerCase().startsWith(word.text.trim().toLowerCase())).toBe(true);
  expect(await ask("\u{1F9FF} no such token")).toEqual([]);
  await expect(answerQuestion(run, { kind: "targets", position: 5, text: "", topK: 3 })).rejects.toThrow(/from 0 to 4/);
});

test("start, origin and contrast make room for each other", () => {
  const at = (change: Partial<Selection>, from: Partial<Selection> = {}): Selection =>
    changedSelection({ ...initialSelection(5), ...from }, change);
  expect(at({ origin: "I0_2" })).toMatchObject({ start: 2, origin: "I0_2" });
  expect(at({ start: 3 }, { origin: "I0_2", start: 2 })).toMatchObject({ start: 3, origin: null });
  expect(at({ start: 2 }, { origin: "I0_2", start: 2 })).toMatchObject({ start: 2, origin: null });
  expect(at({ threshold: 0.1 }, { origin: "I0_2", start: 2 })).toMatchObject({ start: 2, origin: "I0_2" });
  expect(at({ contrast: { token: 1, versus: null } }, { origin: "I0_2", start: 2 })).toMatchObject({
    start: 2,
    origin: null,
  });
  expect(at({ origin: "I0_2" }, { contrast: { token: 1, versus: null } })).toMatchObject({ contrast: null });
  expect(at({ start: 1 }, { contrast: { token: 1, versus: null } })).toMatchObject({
    start: 1,
    contrast: { token: 1, versus: null },
  });
  expect(routesQuestion(at({ origin: "M0_2" }))).toEqual({
    kind: "routes",
    from: "M0_2",
    threshold: 0.04,
    renormalize: true,
  });
  expect(routesQuestion(at({}))).toEqual({ kind: "routes", from: 4, threshold: 0.04, renormalize: true });
  // Stored by an earlier version: without either.
  const old = { ...initialSelection(5), origin: undefined, contrast: undefined, secondContrast: undefined };
  expect(readSelection(old, initialSelection(5))).toEqual(initialSelection(5));
});

test.each<[SelectionChange | object, RegExp]>([
  [{ start: 5 }, /^start is 5, but has to be a position from 0 to 4\.$/],
  [{ start: "2" }, /^start is "2"/],
  [{ strat: 2 }, /^A selection has no "strat"; it has start, /],
  [{ threshold: 4 }, /^The threshold is 4: it must be a number from 0 to 1\.$/],
  [{ renormalize: "yes" }, /^renormalize is "yes", but has to be true or false\.$/],
  [{ focus: "I1_3" }, /^focus is "I1_3", but has to be a node \(/],
  [{ focus: { kind: "banana" } }, /^focus\.kind is "banana", but has to be "node", "edge" or "ffn"\.$/],
  [{ focus: { kind: "node", node: "I99_0" } }, /^There is no node "I99_0": /],
  [{ focus: { kind: "ffn", layer: 99, position: 0 } }, /^There is no layer 99: /],
  [
    { focus: { kind: "edge", source: "I0_3", target: "A1_2" } },
    /^There is no edge from I0_3 to A1_2: edges lead from a state to the next one up, of the same or a later token\.$/,
  ],
  [{ head: { layer: 0, head: 99 } }, /^There is no head 99: /],
  [{ head: 3 }, /^head is 3, but has to be \{ layer, head \}, or null\.$/],
  [{ neuron: { layer: 0, position: 0, neuron: 1e6 } }, /^There is no neuron 1000000: /],
  [{ token: -1 }, /^There is no token id -1: /],
  [{ origin: "Q" }, /^There is no node "Q": /],
  [{ contrast: { token: 1e9 } }, /^There is no token id 1000000000: /],
  [{ contrast: { token: 3, versus: 3 } }, /^Both tokens of contrast are /],
  [{ contrast: " a b c d" }, /^contrast is " a b c d", but has to be \{ token: /],
  [
    { contrast: { token: " this is no single token at all" } },
    /is \d+ tokens \(.*give a text that is exactly one, or a token id\.$/,
  ],
])("%j is refused with a sentence, and nothing changes", (change, sentence) => {
  const before = selectionOf(run).value;
  let message = "";
  try {
    selectionOf(run).select(change);
  } catch (error) {
    message = (error as Error).message;
  }
  expect(message).toMatch(sentence);
  expect(selectionOf(run).value).toEqual(before);
});

test("texts name tokens from a cell", () => {
  const { text, id } = model.token(40);
  if (model.tokenize(text, { addSpecialTokens: false }).length !== 1)
    throw new Error("The fixture's token 40 is not one token by itself.");
  const picture = flowGraph(run);
  picture.select({ contrast: { token: text } });
  expect(picture.selection.contrast).toEqual({ token: id, versus: null });
  picture.select({ focus: { kind: "node", node: "M1_2" }, contrast: null });
  expect(picture.selection.focus).toEqual({ kind: "ffn", layer: 1, position: 2 });
  picture.select({ focus: null });
});

test("the second graph of a comparison selects the same places, counted from the end, and back", () => {
  const of = (nTokens: number, nLayers = 3, parallelBlocks = false) => ({
    tokens: Array.from({ length: nTokens }),
    model: { nLayers, parallelBlocks },
  });
  const selection: Selection = {
    ...initialSelection(5),
    origin: "I1_4",
    focus: { kind: "edge", source: "I0_2", target: "A1_4" },
    neuron: { layer: 1, position: 3, neuron: 2 },
    contrast: { token: 1, versus: 2 },
  };
  const there = mirroredSelection(selection, of(5), of(7));
  expect(there).toMatchObject({
    start: 6,
    origin: "I1_6",
    focus: { source: "I0_4", target: "A1_6" },
    neuron: { position: 5 },
    contrast: null,
    secondContrast: { token: 1, versus: 2 },
  });
  expect(mirroredSelection(there, of(7), of(5))).toEqual(selection);
  // What the shorter one does not have is not selected there.
  expect(mirroredSelection({ ...there, focus: { kind: "node", node: "X0_1" } }, of(7), of(5)).focus).toBeNull();
  expect(mirroredSelection(selection, of(5), of(5, 1)).focus).toBeNull();
  expect(
    mirroredSelection({ ...selection, focus: { kind: "node", node: "A0_1" } }, of(5), of(5, 3, true)).focus,
  ).toBeNull();
});

test("two targets of one run: each side has its own routes, alive and stored", async () => {
  const picture = flowCompare(run, run, { contrasts: [{ token: 7 }, { token: 9, versus: 7 }], share: "routes" });
  expect(picture.selection).toMatchObject({
    contrast: { token: 7, versus: null },
    secondContrast: { token: 9, versus: 7 },
  });
  const bundle = await picture[JUPYTER_DISPLAY]();
  expect((String(bundle["image/svg+xml"]).match(/why/g) ?? []).length).toBe(2);
  picture.select({ contrast: null, secondContrast: null });
});

test("a comparison's file has the drill-down of both runs", async () => {
  const picture = flowCompare(run, other, { share: "routes" });
  const stored = await storedOf(picture);
  const graph = await other.routes();
  const ask = (question: Question): Promise<unknown> =>
    stored.answer({ kind: "second", question } as Question<"second">);
  expect(await ask({ kind: "routes", from: 6, threshold: 0.04, renormalize: true })).toBeDefined();
  for (const { name, kind, layer, position } of graph.nodes) {
    if (kind === "M") expect(await ask({ kind: "neurons", layer, position, topK: 20 })).toBeDefined();
    else expect(await ask({ kind: "lens", node: name, normalize: true, topK: 30 })).toBeDefined();
  }
  for (const { kind, source, target } of graph.edges) {
    if (kind !== "attention") continue;
    const [layer, query] = target.slice(1).split("_").map(Number);
    const answer = (await ask({ kind: "heads", layer, query, key: Number(source.split("_")[1]) })) as {
      answer: Answer<"heads">;
    };
    expect(answer.answer.contributions.data.length).toBe(model.info.nHeads);
  }
});
