/** Direct logit attribution, contrasts, and what a head writes from each key. */
import fc from "fast-check";
import { BaseRun, loadModel, type BaseModel, type LogitAttribution } from "../../src/index";
import { familyFolders } from "../support/families";
import { maxDifference } from "../support/fixtures";
import { ToyModel } from "../support/toy-model";

const sum = ({ parts }: LogitAttribution): number => parts.reduce((total, { logit }) => total + logit, 0);
const shape = { nLayers: 3, nHeads: 3, dHead: 2, dModel: 7, dFfn: 5, dVocab: 11 };
const all = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

test("parts sum to the logit and to the difference of two, over random models", () =>
  fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.boolean(),
      fc.boolean(),
      fc.boolean(),
      fc.constantFrom("output" as const, "term" as const),
      async (seed, biases, parallelBlocks, postNorm, valueBias) => {
        const run = await new ToyModel({ ...shape, seed, biases, parallelBlocks, postNorm }).run([1, 5, 5, 2]);
        for (const position of all(4)) {
          const logits = (await run.logits({ position })).data;
          const single = await run.logitAttribution({ position, token: 3, valueBias });
          expect(single.logit).toBeCloseTo(logits[3], 5);
          expect(sum(single)).toBeCloseTo(logits[3], 4);
          const pair = await run.logitAttribution({ position, token: 3, versus: 8, valueBias });
          expect(pair.logit).toBeCloseTo(logits[3] - logits[8], 5);
          expect(sum(pair)).toBeCloseTo(logits[3] - logits[8], 4);
          expect(pair.parts.length).toBe(1 + 3 * (3 + 2) + 1);
        }
      },
    ),
    { numRuns: 25 },
  ));

test("the best prediction is the default token, the last position the default place", async () => {
  const run = await new ToyModel(shape).run([1, 5, 2]);
  const logits = (await run.logits({ position: 2 })).data;
  const { token, position, versus } = await run.logitAttribution();
  expect([token.id, position, versus]).toEqual([logits.indexOf(Math.max(...logits)), 2, undefined]);
});

test("a head's output is the sum of what it writes from each key", async () => {
  const run = await new ToyModel({ ...shape, biases: true, postNorm: true }).run([1, 5, 2, 9]);
  for (const valueBias of ["output", "term"] as const) {
    const whole = (await run.headOut(1, 3, { valueBias })).data;
    for (const head of all(3)) {
      const parts = await Promise.all(
        all(4).map((key) => run.update({ kind: "attention", layer: 1, position: 3, head, key }, valueBias)),
      );
      expect(
        maxDifference(
          all(7).map((i) => parts.reduce((total, part) => total + part[i], 0)),
          whole.subarray(head * 7, head * 7 + 7),
        ),
      ).toBeLessThan(1e-6);
    }
  }
  const scores = async (key?: number) =>
    new Map(
      (
        await run.effect({ kind: "attention", layer: 1, position: 3, head: 2, key }, { topK: 11, normalize: false })
      ).promoted.map(({ id, score }) => [id, score]),
    );
  const [together, ...apart] = await Promise.all([scores(), ...all(4).map(scores)]);
  for (const [id, score] of together)
    expect(apart.reduce((total, part) => total + (part.get(id) as number), 0)).toBeCloseTo(score, 5);
});

test("a contrast measures along the direction of the two logits at its token, and as ever elsewhere", async () => {
  const model = new ToyModel({ ...shape, biases: true });
  const run = await model.run([1, 5, 2, 9]);
  const t = 3;
  const plain = await run.routes({ from: t, threshold: 0, renormalize: false });
  const contrast = await run.routes({ from: t, threshold: 0, renormalize: false, contrast: { token: 4, versus: 7 } });
  expect(contrast.contrast).toEqual({ token: model.token(4), versus: model.token(7) });
  expect(plain.contrast).toBeUndefined();
  const direction = model.unembedding.map((row) => row[4] - row[7]);
  const project = (x: ArrayLike<number>): number => direction.reduce((total, g, i) => total + g * x[i], 0);
  const share = (parts: number[], whole: number): number[] => {
    const proximities = parts.map((part) => Math.max(Math.abs(whole) - Math.abs(whole - part), 1e-5));
    const total = proximities.reduce((a, b) => a + b, 0);
    return proximities.map((p) => p / total);
  };
  const at = (data: Float32Array, position: number): Float32Array => data.subarray(position * 7, position * 7 + 7);
  const weights = new Map(contrast.edges.map((edge) => [`${edge.kind} ${edge.source} ${edge.target}`, edge]));
  for (const layer of all(3)) {
    const [pre, mid, post] = await Promise.all(
      (["pre", "mid", "post"] as const).map(async (point) => at((await run.residual(layer, point)).data, t)),
    );
    const below = layer === 0 ? "X0" : `I${layer - 1}`;
    const terms: number[] = [];
    for (const key of all(t + 1))
      for (const head of all(3))
        terms.push(project(await run.update({ kind: "attention", layer, position: t, head, key })));
    const [residual, ...own] = share([project(pre), ...terms], project(mid));
    expect(weights.get(`residual ${below}_${t} A${layer}_${t}`)?.weight ?? 0).toBeCloseTo(residual, 4);
    for (const key of all(t + 1)) {
      const edge = weights.get(`attention ${below}_${key} A${layer}_${t}`);
      for (const head of all(3)) expect(edge?.heads?.[head] ?? 0).toBeCloseTo(own[key * 3 + head], 4);
    }
    const ffn = at((await run.ffnOut(layer)).data, t);
    const [out, beside] = share([project(ffn), project(mid)], project(post));
    expect(weights.get(`ffn-out M${layer}_${t} I${layer}_${t}`)?.weight ?? 0).toBeCloseTo(out, 4);
    expect(weights.get(`residual A${layer}_${t} I${layer}_${t}`)?.weight ?? 0).toBeCloseTo(beside, 4);
  }
  const elsewhere = (edges: typeof plain.edges) => edges.filter(({ target }) => !target.endsWith(`_${t}`));
  expect(elsewhere(contrast.edges)).toEqual(elsewhere(plain.edges));
});

test("contrasts that are none, and texts that are not one token, are refused", async () => {
  const run = await new ToyModel(shape).run([1, 5]);
  await expect(run.logitAttribution({ token: 2, versus: 2 })).rejects.toThrow(
    'Both tokens of the contrast are "t2" (2): their logits do not differ.',
  );
  await expect(run.logitAttribution({ token: "ab" })).rejects.toThrow(
    '"ab" is 2 tokens ("t9", "t10"): give a text that is exactly one, or a token id.',
  );
  await expect(run.logitAttribution({ token: 11 })).rejects.toThrow(
    "There is no token id 11: token ids go from 0 to 10.",
  );
  await expect(run.routes({ from: "all", contrast: { token: 1 } })).rejects.toThrow(
    "A contrast is traced from one token: give from as a number from 0 to 1.",
  );
  await expect(run.routes({ from: "I0_1", contrast: { token: 1 } })).rejects.toThrow(
    "A contrast is traced from one token",
  );
  await expect(run.update({ kind: "attention", layer: 0, position: 0, head: 0, key: 1 })).rejects.toThrow(
    "There is no key 1 for the query at 0: keys go from 0 to 0.",
  );
});

/** A run that has to find out by questions how its logits are read out. */
const asking = BaseRun.prototype as unknown as {
  readReadouts(position: number, ids: readonly number[]): Promise<{ direction: Float64Array; constant: number }[]>;
};

const { folders, remove } = familyFolders();
afterAll(remove);

test.each(folders)("parts sum to logits: %s", async (_, folder) => {
  const model: BaseModel = await loadModel(folder);
  try {
    const run = await model.run([1, 7, 3, 5]);
    for (const position of [0, 3]) {
      const found = await run.logitAttribution({ position, token: 9, versus: 4 });
      const scale = Math.max(1, ...found.parts.map(({ logit }) => Math.abs(logit)));
      expect(Math.abs(sum(found) - found.logit)).toBeLessThan(1e-4 * scale);
      const single = await run.logitAttribution({ position, token: 9, valueBias: "term" });
      expect(Math.abs(sum(single) - single.logit)).toBeLessThan(
        1e-4 * Math.max(1, ...single.parts.map(({ logit }) => Math.abs(logit))),
      );
    }
    // A cap is no part of what questions can find.
    if (/gemma2|capped/.test(folder)) return;
    const told = await (run as unknown as typeof asking).readReadouts(3, [9, 4]);
    const found = await asking.readReadouts.call(run, 3, [9, 4]);
    told.forEach(({ direction, constant }, n) => {
      const scale = Math.max(...direction.map(Math.abs));
      expect(
        maxDifference(
          found[n].direction.map((x) => x / scale),
          direction.map((x) => x / scale),
        ),
      ).toBeLessThan(2e-3);
      expect(Math.abs(found[n].constant - constant)).toBeLessThan(1e-3);
    });
  } finally {
    await model.dispose();
  }
});
