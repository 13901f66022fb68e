/** Direct logit attribution, contrasts, and what a head writes from each key. */
import fc from "fast-check";
import { BaseRun, loadModel, type BaseModel, type LogitAttribution, type RouteGraph } from "../../src/index";
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

const toy = fc.record({
  seed: fc.nat(),
  biases: fc.boolean(),
  parallelBlocks: fc.boolean(),
  postNorm: fc.boolean(),
  valueBias: fc.constantFrom("output" as const, "term" as const),
});

/** Constant, what is no edge, and the logits of all edges into the token's stream but the sums that residual edges carry. */
const total = ({ contrast, edges }: RouteGraph): number =>
  edges.reduce(
    (sum, { kind, source, logit = 0 }) => sum + (kind === "residual" && !source.startsWith("X") ? 0 : logit),
    contrast!.constant! + contrast!.rest!.supports + contrast!.rest!.opposes,
  );

test("in the routes of a contrast every update of its token counts by its logits, whichever way they point", () =>
  fc.assert(
    fc.asyncProperty(toy, async ({ valueBias, ...kind }) => {
      const model = new ToyModel({ ...shape, ...kind });
      const run = await model.run([1, 5, 2, 9]);
      const t = 3;
      const asked = { token: 4, versus: 7 };
      const graph = await run.routes({ from: t, threshold: 0, contrast: asked, valueBias });
      const logits = (await run.logits({ position: t })).data;
      expect(graph.contrast).toMatchObject({ token: model.token(4), versus: model.token(7) });
      expect(graph.contrast!.logit).toBeCloseTo(logits[4] - logits[7], 5);
      expect(total(graph)).toBeCloseTo(logits[4] - logits[7], 4);
      const edges = new Map(graph.edges.map((edge) => [`${edge.kind} ${edge.source} ${edge.target}`, edge]));
      const { parts } = await run.logitAttribution({ position: t, ...asked, valueBias });
      const into = kind.parallelBlocks ? "I" : "A";
      let most = Math.abs(parts[0].logit);
      for (const part of parts) {
        const { layer = 0 } = part;
        const below = layer === 0 ? "X0" : `I${layer - 1}`;
        if (part.kind === "embedding")
          expect(edges.get(`residual X0_${t} ${into}0_${t}`)?.logit).toBeCloseTo(part.logit, 5);
        if (part.kind === "ffn") {
          expect(edges.get(`ffn-out M${layer}_${t} I${layer}_${t}`)?.logit).toBeCloseTo(part.logit, 5);
          most = Math.max(most, Math.abs(part.logit));
        }
        if (part.kind === "head") {
          const keys = all(t + 1).map((key) => edges.get(`attention ${below}_${key} ${into}${layer}_${t}`));
          const sum = keys.reduce((logit, edge) => logit + (edge?.headLogits?.[part.head!] ?? 0), 0);
          expect(sum).toBeCloseTo(part.logit, 5);
          for (const edge of keys) {
            const own = Object.values(edge?.headLogits ?? {});
            expect(own.reduce((a, b) => a + b, 0)).toBeCloseTo(edge?.logit ?? 0, 10);
            most = Math.max(
              most,
              own.reduce((a, b) => a + Math.abs(b), 0),
            );
          }
        }
      }
      for (const { kind, weight, logit, heads, headLogits } of graph.edges) {
        if (logit === undefined || kind === "residual") continue;
        const size = headLogits ? Object.values(headLogits).reduce((a, b) => a + Math.abs(b), 0) : Math.abs(logit);
        expect(weight).toBeCloseTo(size / most, 4);
        if (heads) expect(Object.values(heads).reduce((a, b) => a + b, 0)).toBeCloseTo(weight, 10);
      }
      // Other tokens are reached through attention, and are what they always are.
      const plain = await run.routes({ from: t, threshold: 0, valueBias });
      const elsewhere = (graph: RouteGraph): unknown =>
        graph.edges
          .filter(({ target }) => !target.endsWith(`_${t}`))
          .map(({ source, target, weight, contribution, heads, logit }) => [
            source,
            target,
            weight,
            contribution,
            heads,
            logit,
          ]);
      expect(elsewhere(graph)).toEqual(elsewhere(plain));
      expect(plain.edges.some(({ logit }) => logit !== undefined)).toBe(false);
    }),
    { numRuns: 25 },
  ));

test("at any threshold the strongest parts of either sign are there, and what is not is summed up", () =>
  fc.assert(
    fc.asyncProperty(toy, fc.double({ min: 0, max: 1, noNaN: true }), async ({ valueBias, ...kind }, threshold) => {
      const run = await new ToyModel({ ...shape, nLayers: 4, ...kind }).run([1, 5, 2, 9]);
      const contrast = { token: 4, versus: 7 };
      const { parts } = await run.logitAttribution({ ...contrast, valueBias });
      const graph = await run.routes({ threshold, contrast, valueBias });
      expect(total(graph)).toBeCloseTo(graph.contrast!.logit!, 4);
      const drawn = (layer: number, head?: number): number[] =>
        graph.edges.flatMap(({ kind, target, logit, headLogits }) => {
          if (logit === undefined || target.slice(1) !== `${layer}_3`) return [];
          if (head === undefined) return kind === "ffn-out" ? [logit] : [];
          return headLogits?.[head] === undefined ? [] : [headLogits[head]];
        });
      const components = parts.filter(({ kind }) => kind === "head" || kind === "ffn");
      components.sort((a, b) => b.logit - a.logit);
      for (const sign of [1, -1]) {
        const strongest = (sign > 0 ? components : [...components].reverse()).slice(0, 5);
        for (const { layer, head, logit } of strongest)
          if (sign * logit > 1e-6) expect(drawn(layer!, head).some((part) => sign * part > 0)).toBe(true);
      }
    }),
    { numRuns: 25 },
  ));

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
