/** What interventions refuse: one sentence that says what was wrong and what there is. */
import { loadModel, patchGrid, type Intervention, type Run, type TransparentModel } from "../../src/index";
import { maxDifference, modelFolder } from "../support/fixtures";
import { checkRoom } from "../../src/runtime/interventions";
import { ToyModel } from "../support/toy-model";
import { familyFolders } from "../support/families";

const { folders, remove } = familyFolders();
const models: TransparentModel[] = [];
const load = async (folder: string): Promise<TransparentModel> => {
  models.push(await loadModel(folder));
  return models[models.length - 1];
};
let run: Run;
let longer: Run;
let foreign: Run;

beforeAll(async () => {
  const model = await load(modelFolder("llama-tiny"));
  run = await model.run([1, 5, 9, 4]);
  longer = await model.run([1, 5, 9, 4, 7]);
  foreign = await (await load(modelFolder("llama-tiny"))).run([1, 5, 9, 4]);
});
afterAll(async () => {
  for (const model of models) await model.dispose();
  remove();
});

const zero = (target: unknown): unknown => [{ target, do: "zero" }];
const d = (): Float32Array => new Float32Array(run.model.info.dModel);

test.each<readonly [string, () => unknown, RegExp]>([
  ["no list", () => ({ target: "I0_1", do: "zero" }), /^Interventions are a list/],
  ["nothing", () => [null], /^Intervention 0 is null/],
  ["no target", () => [{ do: "zero" }], /^Intervention 0 has no target/],
  ["an unknown deed", () => [{ target: "I0_1", do: "erase" }], /"erase" is unknown: use "zero" or/],
  ["an unknown kind", () => zero({ kind: "mlp", layer: 0 }), /"mlp" is unknown: use "attention" or "ffn" or "edge"/],
  ["a number as target", () => zero(3), /^The target is 3: give/],
  ["no such layer", () => zero({ kind: "ffn", layer: 99 }), /^There is no layer 99: layers go from 0 to/],
  ["no such head", () => zero({ kind: "attention", layer: 0, head: 99 }), /^There is no head 99/],
  ["no such neuron", () => zero({ kind: "ffn", layer: 0, neuron: -1 }), /^There is no neuron -1/],
  [
    "no such position",
    () => zero({ kind: "ffn", layer: 0, position: 4 }),
    /^There is no position 4: positions go from 0 to 3/,
  ],
  ["a head of an FFN", () => zero({ kind: "ffn", layer: 0, head: 1 }), /^A feed-forward block has no heads/],
  ["a neuron of attention", () => zero({ kind: "attention", layer: 0, neuron: 1 }), /^Attention has no neurons/],
  ["no such state", () => zero("I0_7"), /^There is no node "I0_7"/],
  ["a block as a state", () => zero("M0_1"), /^M0_1 is a block, not a state/],
  [
    "a later key",
    () => zero({ kind: "edge", layer: 0, query: 1, key: 2 }),
    /^There is no key 2 for the query 1: keys go from 0 to 1\.$/,
  ],
  ["no factor", () => [{ target: "I0_1", do: "scale" }], /^A scale is a finite number/],
  ["an infinite factor", () => [{ target: "I0_1", do: "scale", by: Infinity }], /not Infinity/],
  [
    "a vector on a block",
    () => [{ target: { kind: "ffn", layer: 0 }, do: "add", vector: d() }],
    /^A vector is added to a state/,
  ],
  [
    "a short vector",
    () => [{ target: "I0_1", do: "add", vector: new Float32Array(3) }],
    /finite numbers, this one has 3\.$/,
  ],
  ["a list as vector", () => [{ target: "I0_1", do: "add", vector: [1, 2] }], /is a Float32Array of/],
  [
    "a blocked head",
    () => [{ target: { kind: "attention", layer: 0, head: 0 }, do: "block" }],
    /^Only an edge can be blocked/,
  ],
  [
    "a row that sees nothing",
    () => [{ target: { kind: "edge", layer: 0, query: 0, key: 0 }, do: "block" }],
    /sees nothing at query 0 any more/,
  ],
  ["no run to patch from", () => [{ target: "I0_1", do: "patch" }], /^"from" is missing/],
  [
    "another length",
    () => [{ target: "I0_1", do: "patch", from: longer }],
    /has 5 tokens and this one 4: name one of its positions/,
  ],
  [
    "another length of all",
    () => [{ target: { kind: "ffn", layer: 0 }, do: "patch", from: longer }],
    /5 tokens and this one 4/,
  ],
  [
    "a position that is not there",
    () => [{ target: "I0_1", do: "patch", from: longer, position: 5 }],
    /^There is no position 5 in the run to patch from/,
  ],
  [
    "an edge from a position",
    () => [{ target: { kind: "edge", layer: 0, query: 1, key: 0 }, do: "patch", from: run, position: 1 }],
    /takes no position/,
  ],
  ["another model's run", () => [{ target: "I0_1", do: "patch", from: foreign }], /is not of this model/],
  ["a mean of nothing", () => [{ target: "I0_1", do: "mean", of: [] }], /empty list/],
  [
    "one state twice",
    () => [
      { target: "I0_1", do: "zero" },
      { target: "I0_1", do: "add", vector: d() },
    ],
    /^Interventions 0 and 1 are both for the state after layer 0 at position 1/,
  ],
  [
    "a head at one position and at all",
    () => [
      { target: { kind: "attention", layer: 0, head: 1 }, do: "zero" },
      { target: { kind: "attention", layer: 0, head: 1, position: 2 }, do: "zero" },
    ],
    /both for head 1 of layer 0 at position 2/,
  ],
  [
    "an edge of one head and of all",
    () => [
      { target: { kind: "edge", layer: 0, query: 2, key: 1 }, do: "zero" },
      { target: { kind: "edge", layer: 0, query: 2, key: 1, head: 0 }, do: "block" },
    ],
    /both for the edge from key 1 to query 2 of layer 0/,
  ],
  ["keep without a way", () => [{ keep: {}, others: "nothing" }], /"nothing" is unknown/],
  ["keep of no routes", () => [{ keep: {}, others: "zero" }], /^The routes to keep are a RouteGraph/],
  [
    "a path of a scale",
    () => [{ target: "I0_1", do: "scale", by: 2, into: "I1_1" }],
    /^A path is for zero, mean and patch/,
  ],
  [
    "a path downward",
    () => [{ target: { kind: "ffn", layer: 1 }, do: "zero", into: { kind: "attention", layer: 1 } }],
    /does not read the feed-forward block of layer 1/,
  ],
  ["a path to nobody", () => [{ target: "I0_1", do: "zero", into: [] }], /into is an empty list/],
])("%s", async (_, interventions, sentence) => {
  await expect(run.intervene!(interventions() as Intervention[])).rejects.toThrow(sentence);
});

test("routes of another prompt, and of another length", async () => {
  const other = await run.model.run([1, 5, 9, 3]);
  await expect(run.intervene!([{ keep: await other.routes(), others: "zero" }])).rejects.toThrow(/of another prompt/);
  const keep = await run.routes();
  await expect(run.intervene!([{ keep, others: "patch", of: longer }])).rejects.toThrow(
    /of as many tokens: "of" has 5, this one 4/,
  );
  await expect(run.intervene!([{ keep, others: "patch" }])).rejects.toThrow(/^"of" is missing/);
  await expect(run.intervene!([{ keep, others: "patch", of: [other, other] }])).rejects.toThrow(
    /from one run; "of" has 2/,
  );
  await expect(
    run.intervene!([
      { keep: { ...keep, nodes: [], edges: [] }, others: "zero" },
      { target: { kind: "ffn", layer: 0 }, do: "zero" },
    ]),
  ).rejects.toThrow(/^Interventions 0 and 1 are both for the feed-forward block of layer 0 at position 0/);
});

test("no state between parallel blocks, nothing outside a window", async () => {
  const parallel = await (await load(modelFolder("phi-tiny"))).run([1, 5, 9]);
  await expect(parallel.intervene!([{ target: "A0_1", do: "zero" }])).rejects.toThrow(/blocks are parallel/);
  await expect(
    parallel.intervene!([{ target: { kind: "attention", layer: 0 }, do: "zero", into: { kind: "ffn", layer: 0 } }]),
  ).rejects.toThrow(/does not read/);
  const [, folder] = folders.find(([name]) => name === "mistral")!;
  const windowed = await (await load(folder)).run([1, 5, 9, 4, 7, 8, 6]);
  await expect(
    windowed.intervene!([{ target: { kind: "edge", layer: 0, query: 6, key: 1 }, do: "zero" }]),
  ).rejects.toThrow("Query 6 does not see key 1 in layer 0, which looks back 5 tokens: its keys go from 2 to 6.");
});

test("a changed run is not continued, nor are its routes put to the test; its changes add up", async () => {
  const cut = await run.intervene!([{ target: "I0_1", do: "zero" }]);
  await expect(cut.generate!()).rejects.toThrow(/under interventions is not continued/);
  await expect(cut.faithfulness!()).rejects.toThrow(/without interventions/);
  const more = await cut.intervene!([{ target: "I0_2", do: "zero" }]);
  expect(more.base).toBe(cut);
  expect(more.interventions).toHaveLength(2);
  const both = await run.intervene!([
    { target: "I0_1", do: "zero" },
    { target: "I0_2", do: "zero" },
  ]);
  expect((await more.logits()).data).toEqual((await both.logits()).data);
  await expect(cut.intervene!([{ target: "I0_1", do: "zero" }])).rejects.toThrow(/both for the state after layer 0/);
});

test("runs that were generated, and runs that somebody wrapped, are changed like others", async () => {
  const answer = await run.generate!({ maxTokens: 3 });
  const own = await answer.intervene!([{ target: { kind: "attention", layer: 0 }, do: "zero" }]);
  const whole = await run.model.run(answer.tokens.map(({ id }) => id));
  const same = await whole.intervene!([{ target: { kind: "attention", layer: 0 }, do: "zero" }]);
  expect(maxDifference((await own.logits()).data, (await same.logits()).data)).toBeLessThan(1e-4);
  expect(own.promptLength).toBe(4);
  const wrapped = Object.create(run) as Run;
  const cut = await wrapped.intervene!([{ target: "I0_1", do: "patch", from: wrapped }]);
  expect(cut.base).toBe(wrapped);
  expect(maxDifference((await cut.logits()).data, (await run.logits()).data)).toBeLessThan(1e-5);
});

test("a signal ends it", async () => {
  await expect(run.intervene!([], { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
  const stop = new AbortController();
  const steps: number[] = [];
  await expect(
    run.intervene!([{ target: "X0_0", do: "zero" }], {
      signal: stop.signal,
      onProgress: ({ done }) => {
        steps.push(done);
        stop.abort(new Error("enough"));
      },
    }),
  ).rejects.toThrow("enough");
  expect(steps.length).toBeGreaterThan(0);
});

test("long prompts of large models, whose terms would take all memory", () => {
  const ground = { info: { nLayers: 32, nHeads: 32 }, tokens: { length: 1000 } } as unknown as Parameters<
    typeof checkRoom
  >[0];
  expect(() => checkRoom(ground, 8e9)).toThrow(
    "Keeping some terms of 1000 tokens in 32 layers takes 9.2 GB, and 8.0 GB are free: take a shorter prompt.",
  );
  expect(() => checkRoom(ground, 20e9)).not.toThrow();
});

test("grids: prompts of one length, of a model that can be changed", async () => {
  await expect(patchGrid(run, longer, { over: "residual" })).rejects.toThrow(
    /^The prompts have different numbers of tokens: clean 4 \(".*"\), corrupted 5 \(".*"\)\.$/,
  );
  await expect(patchGrid(run, run, { over: "states" as "residual" })).rejects.toThrow(/"states" is unknown/);
  const toy = new ToyModel({
    nLayers: 1,
    nHeads: 1,
    dHead: 2,
    dModel: 3,
    dFfn: 2,
    dVocab: 5,
    parallelBlocks: false,
    biases: false,
    postNorm: false,
    seed: 1,
  });
  const own = await toy.run([1, 2]);
  await expect(patchGrid(own, own, { over: "residual" })).rejects.toThrow(/no interventions/);
});
