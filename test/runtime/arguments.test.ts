import type { NodeName } from "../../src/model/types";
/** Every argument that does not exist is refused in one sentence that says what does. */
import { loadModel, type Component, type Run, type TransparentModel } from "../../src/index";
import { modelFolder } from "../support/fixtures";
import { ToyModel } from "../support/toy-model";

const shape = { nLayers: 2, nHeads: 3, dHead: 2, dModel: 6, dFfn: 5, dVocab: 9 };
const model = new ToyModel(shape);
let run: Run;
beforeAll(async () => {
  run = await model.run([1, 2, 3, 4]);
});

const refusals: readonly (readonly [string, () => Promise<unknown>, string])[] = [
  ["layer", () => run.residual(2, "pre"), "There is no layer 2: layers go from 0 to 1."],
  ["layer -1", () => run.attentionPattern(-1), "There is no layer -1: layers go from 0 to 1."],
  ["layer 0.5", () => run.ffnContributions(0.5), "There is no layer 0.5: layers go from 0 to 1."],
  ["point", () => run.residual(0, "middle" as "mid"), 'The point "middle" is unknown: use "pre" or "mid" or "post".'],
  ["position of logits", () => run.logits({ position: 4 }), "There is no position 4: positions go from 0 to 3."],
  ["position of a head", () => run.headOut(0, 9), "There is no position 9: positions go from 0 to 3."],
  [
    "positions",
    () => run.attentionContributions(0, { positions: [0, 7] }),
    "There is no position 7: positions go from 0 to 3.",
  ],
  [
    "value bias",
    () => run.headOut(0, 0, { valueBias: "both" as "term" }),
    'valueBias "both" is unknown: use "output" or "term".',
  ],
  [
    "head",
    () => run.effect({ kind: "attention", layer: 0, position: 0, head: 3 }),
    "There is no head 3: heads go from 0 to 2.",
  ],
  [
    "neuron",
    () => run.effect({ kind: "ffn", layer: 0, position: 0, neuron: 5 }),
    "There is no neuron 5: neurons go from 0 to 4.",
  ],
  [
    "component",
    () => run.effect({ kind: "mlp", layer: 0, position: 0 } as unknown as Component),
    'The component\'s kind "mlp" is unknown: use "attention" or "ffn".',
  ],
  ["topK", () => run.lens("I0_0", { topK: 0 }), "topK is 0: it must be an integer of at least 1."],
  [
    "topK of neurons",
    () => run.neuronContributions(0, 0, { topK: 1.5 }),
    "topK is 1.5: it must be an integer of at least 1.",
  ],
  ["threshold", () => run.routes({ threshold: NaN }), "The threshold is NaN: it must be a number from 0 to 1."],
  ["start token", () => run.routes({ from: 4 }), "There is no token 4: tokens go from 0 to 3."],
  [
    "no start",
    () => run.routes({ from: [] }),
    'A trace needs a start: give a token, several, a node\'s name or "all".',
  ],
  [
    "start node",
    () => run.routes({ from: "I2_0" }),
    'There is no node "I2_0": nodes are X0_t, A{l}_t, M{l}_t or I{l}_t with layer l from 0 to 1 and token t from 0 to 3.',
  ],
  [
    "lens of a block",
    () => run.lens("M1_2"),
    'M1_2 is a block, not a state of the residual stream: read what it wrote with effect({ kind: "ffn", layer: 1, position: 2 }).',
  ],
  [
    "node",
    () => run.lens("X1_0" as NodeName),
    'There is no node "X1_0": nodes are X0_t, A{l}_t, M{l}_t or I{l}_t with layer l from 0 to 1 and token t from 0 to 3.',
  ],
  ["empty prompt", () => model.run(""), "The prompt is empty: it has no tokens, and a model needs at least one."],
  ["empty ids", () => model.run([]), "The prompt is empty: it has no tokens, and a model needs at least one."],
  [
    "empty prompt of a batch",
    () => model.run(["a", ""]),
    "Prompt 1 is empty: it has no tokens, and a model needs at least one.",
  ],
  [
    "token id",
    () => model.run([1, 9]),
    "Token id 9 at position 1 of the prompt is outside the vocabulary: ids go from 0 to 8.",
  ],
  [
    "too long",
    () => model.run(new Array<number>(65).fill(1)),
    "The prompt has 65 tokens, and toy was made for at most 64.",
  ],
];
test.each(refusals)("%s", async (_, ask, sentence) => {
  await expect(ask()).rejects.toThrow(new RangeError(sentence));
});

test("a prompt of another type", async () => {
  await expect(model.run(undefined as unknown as string)).rejects.toThrow(
    new TypeError("The prompt is of type undefined: give a text or an array of token ids."),
  );
  await expect(model.run(["a", 3] as unknown as string[])).rejects.toThrow(
    new TypeError("Prompt 1 is of type number: give a text or an array of token ids."),
  );
});

test("the last token is traced by default; repeated starts count once", async () => {
  expect((await run.routes()).from).toEqual(["I1_3"]);
  expect((await run.routes({ from: [2, 2] })).from).toEqual(["I1_2"]);
  expect((await run.routes({ from: ["A0_1", "I0_2"] })).from).toEqual(["A0_1", "I0_2"]);
  expect((await run.routes({ from: "all" })).from).toEqual(["I1_0", "I1_1", "I1_2", "I1_3"]);
  const { nodes, edges } = await run.routes({ from: "X0_2" });
  expect([nodes.map(({ name }) => name), edges]).toEqual([["X0_2"], []]);
});

test("a trace from an FFN block follows its one input", async () => {
  const { edges } = await run.routes({ from: "M1_2", threshold: 1 });
  expect(edges.find(({ kind }) => kind === "ffn-in")).toEqual({
    source: "A1_2",
    target: "M1_2",
    kind: "ffn-in",
    weight: 1,
    contribution: 1,
    relevance: 1,
  });
});

test("a block that is a start keeps that weight where another start reaches it", async () => {
  const { edges } = await run.routes({ from: ["I1_2", "M1_2"], threshold: 0 });
  expect(edges.find(({ kind, target }) => kind === "ffn-in" && target === "M1_2")?.weight).toBe(1);
  expect(edges.find(({ kind, source }) => kind === "ffn-out" && source === "M1_2")?.weight).toBeLessThan(1);
});

test("parallel blocks have no state between attention and FFN", async () => {
  const parallel = await new ToyModel({ ...shape, parallelBlocks: true }).run([1, 2]);
  await expect(parallel.residual(0, "mid")).rejects.toThrow('There is no residual "mid" in this model');
  await expect(parallel.lens("A0_0")).rejects.toThrow(
    "there is no state between them; nodes are X0_t, M{l}_t or I{l}_t",
  );
  const { nodes } = await parallel.routes({ from: "all", threshold: 0 });
  expect(nodes.some(({ kind }) => kind === "A")).toBe(false);
  expect(nodes.some(({ kind }) => kind === "M")).toBe(true);
});

test("an abort stops a trace with the signal's reason; the run goes on answering", async () => {
  const controller = new AbortController();
  const asked = run.routes({
    from: "all",
    signal: controller.signal,
    onProgress: () => controller.abort(new Error("stop")),
  });
  await expect(asked).rejects.toThrow("stop");
  await expect(run.routes({ signal: controller.signal })).rejects.toThrow("stop");
  expect((await run.routes({ from: "all" })).edges.length).toBeGreaterThan(0);
});

test("progress of a trace counts layers", async () => {
  const seen: string[] = [];
  await run.routes({ onProgress: ({ stage, done, total, unit }) => seen.push(`${stage} ${done}/${total} ${unit}`) });
  expect(seen).toEqual(["routes 1/2 layers", "routes 2/2 layers"]);
});

test("questions to a disposed run are refused", async () => {
  const gone = await model.run([1]);
  await gone.dispose();
  await expect(gone.lens("I0_0")).rejects.toThrow("This run was disposed: run the prompt again.");
});

test("loadModel returns what already is a model, and names what an object lacks", async () => {
  expect(await loadModel(model)).toBe(model);
  await expect(loadModel({ info: {}, run: () => undefined } as unknown as TransparentModel)).rejects.toThrow(
    "The object given as a model lacks tokenize, token, unembed, neuronOutput, dispose: see the interface TransparentModel.",
  );
  await expect(loadModel(3 as unknown as string)).rejects.toThrow(TypeError);
});

describe("a model from files", () => {
  let local: TransparentModel;
  beforeAll(async () => {
    local = await loadModel(modelFolder("llama-tiny"));
  });
  afterAll(() => local.dispose());

  test("ids, vectors and tokens outside the model are refused", async () => {
    const { dVocab, dModel, dFfn } = local.info;
    await expect(local.run([dVocab])).rejects.toThrow(
      `Token id ${dVocab} at position 0 of the prompt is outside the vocabulary: ids go from 0 to ${dVocab - 1}.`,
    );
    expect(() => local.token(-1)).toThrow(`There is no token id -1: token ids go from 0 to ${dVocab - 1}.`);
    await expect(local.unembed(new Float32Array(3))).rejects.toThrow(
      `A vector to unembed is a Float32Array of ${dModel} numbers, not 3.`,
    );
    await expect(local.neuronOutput(0, dFfn)).rejects.toThrow(
      `There is no neuron ${dFfn}: neurons go from 0 to ${dFfn - 1}.`,
    );
  });

  test("token ids are used exactly as given; a text gets the tokenizer's special tokens unless told otherwise", async () => {
    const withSpecial = local.tokenize("The cat");
    const without = local.tokenize("The cat", { addSpecialTokens: false });
    expect(withSpecial.length).toBe(without.length + 1);
    const [a, b] = [
      await local.run("The cat", { addSpecialTokens: false }),
      await local.run(without.map(({ id }) => id)),
    ];
    expect(a.tokens).toEqual(b.tokens);
    expect(Array.from((await a.logits()).data)).toEqual(Array.from((await b.logits()).data));
  });

  test("a batch equals its runs alone, and routes asked for lazily those after everything was computed, to the bit", async () => {
    const prompts = [[1, 5, 9, 5], [7], [2, 2, 2, 8, 4, 1, 6]];
    const batch = await local.run(prompts);
    for (const [i, prompt] of prompts.entries()) {
      const [alone, full] = [await local.run(prompt), batch[i]];
      for (let layer = 0; layer < local.info.nLayers; layer++) await full.attentionContributions(layer);
      for (const from of [prompt.length - 1, "all"] as const)
        expect((await full.routes({ from })).toJSON()).toEqual((await alone.routes({ from })).toJSON());
      expect(Array.from((await full.logits()).data)).toEqual(Array.from((await alone.logits()).data));
      expect(await full.lens(`I1_${prompt.length - 1}`)).toEqual(await alone.lens(`I1_${prompt.length - 1}`));
    }
  });

  test("a run ends with its model", async () => {
    const other = await loadModel(modelFolder("llama-tiny"));
    const run = await other.run([1, 2]);
    await other.dispose();
    await expect(run.routes()).rejects.toThrow("This run was disposed");
    await expect(other.run([1])).rejects.toThrow("The model llama-tiny was disposed: load it again.");
  });
});
