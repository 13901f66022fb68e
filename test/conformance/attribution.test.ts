import type { NodeName } from "../../src/model/types";
/** Every number of attribution and lens against values made by the published tool, over all reference models. */
import { loadModel } from "../../src/index";
import type { Component, Effect, Run, TransparentModel, ValueBias } from "../../src/index";
import { flat, goldenNames, maxDifference, modelFolder, readGolden, type Golden } from "../support/fixtures";

type Ends = Readonly<Record<"top" | "bottom", readonly (readonly [number, number])[]>>;
type Effects = Readonly<Record<"norm" | "raw", Ends>>;
interface Promoted {
  readonly attn: Readonly<Record<string, Effects>>;
  readonly ffn: Readonly<Record<string, Effects>>;
  readonly head_last_pos: Readonly<Record<string, Readonly<Record<"peer" | "corrected", Effects>>>>;
  readonly neuron_last_pos: Readonly<
    Record<string, { readonly neuron: number; readonly activation_post: number; readonly times_activation: Effects }>
  >;
}
type Lens = Readonly<Record<string, Readonly<Record<"norm" | "raw", readonly (readonly [number, number])[]>>>>;
type Edge = readonly [string, string, number];

const CONTRIBUTION = 5e-5;
const STATE = 1e-4;
/** Float32 noise of scores that come out of a sum over d with weights as large as those of the reference models. */
const SCORE = 1e-3;
const readings: readonly (readonly ["peer" | "corrected", ValueBias])[] = [
  ["peer", "output"],
  ["corrected", "term"],
];
const normalizations = [
  ["norm", true],
  ["raw", false],
] as const;

/** Best-first lists agree: the scores in order, and each id where no other score is close. */
function expectScores(
  actual: readonly { readonly id: number; readonly score: number }[],
  expected: readonly (readonly [number, number])[],
  tolerance = SCORE,
): void {
  expect(actual.length).toBe(expected.length);
  const scale = Math.max(1, ...expected.map(([, score]) => Math.abs(score)));
  expected.forEach(([id, score], i) => {
    expect(Math.abs(actual[i].score - score)).toBeLessThanOrEqual(tolerance * scale);
    const close = (j: number): boolean =>
      j >= 0 && j < expected.length && Math.abs(expected[j][1] - score) <= 2 * tolerance * scale;
    if (!close(i - 1) && !close(i + 1) && i < expected.length - 1) expect(actual[i].id).toBe(id);
  });
}

function expectEnds(actual: Effect, expected: Ends): void {
  expectScores(actual.promoted, expected.top);
  expectScores(actual.suppressed, expected.bottom);
}

/** Residual edge and attention of a token to itself as one, as the reference values have it; weights by "from to". */
function merged(edges: Awaited<ReturnType<Run["routes"]>>["edges"]): Map<string, number> {
  const weights = new Map<string, number>();
  for (const { source, target, weight } of edges)
    weights.set(`${source} ${target}`, (weights.get(`${source} ${target}`) ?? 0) + weight);
  return weights;
}

/** Compares weights; an edge may be missing on one side only where its weight is within the tolerance of `cut`. */
function expectEdges(actual: Map<string, number>, expected: readonly Edge[], cut: number): void {
  const rest = new Map(actual);
  for (const [from, to, weight] of expected) {
    const key = `${from} ${to}`;
    const found = actual.get(key);
    rest.delete(key);
    if (found === undefined) expect(weight).toBeLessThanOrEqual(cut + CONTRIBUTION);
    else expect(Math.abs(found - weight)).toBeLessThanOrEqual(CONTRIBUTION);
  }
  for (const weight of rest.values()) expect(weight).toBeLessThanOrEqual(cut + CONTRIBUTION);
}

/** "from to" is the input of an attention block at the same token. */
function isSelf(key: string): boolean {
  return /^[XI]\d+_(\d+) A\d+_\1$/.test(key);
}

/** Those of the edges "from to" that are reached downward from a node. */
function reached(edges: readonly string[], start: string): Set<string> {
  const nodes = new Set([start]);
  const found = new Set<string>();
  for (let size = -1; size !== found.size;) {
    size = found.size;
    for (const edge of edges) {
      const [from, to] = edge.split(" ");
      if (!nodes.has(to)) continue;
      nodes.add(from);
      found.add(edge);
    }
  }
  return found;
}

/** The weight of those of the edges between two nodes that do not pass by themselves. */
function partBelow(
  edges: Awaited<ReturnType<Run["routes"]>>["edges"],
  from: string,
  to: string,
  threshold: number,
): number {
  return edges
    .filter(({ source, target, weight }) => source === from && target === to && weight <= threshold)
    .reduce((sum, { weight }) => sum + weight, 0);
}

describe.each(goldenNames)("%s", (name) => {
  const golden: Golden = readGolden(name);
  const values = golden as unknown as { readonly logit_lens: Lens; readonly promoted: Promoted };
  const nTokens = golden.token_ids.length;
  const nLayers = golden.resid_pre.length;
  const layers = Array.from({ length: nLayers }, (_, l) => l);
  /** Parallel blocks are not served by the published tool: there are no values. */
  const served: typeof test | ((name: string, check: () => Promise<void>) => void) = golden.resid_mid
    ? test
    : () => undefined;
  let model: TransparentModel;
  let run: Run;

  beforeAll(async () => {
    model = await loadModel(modelFolder(golden.model));
    run = await model.run(golden.token_ids);
  });
  afterAll(() => model?.dispose());

  test("states, patterns and logits", async () => {
    for (const layer of layers) {
      expect(maxDifference((await run.residual(layer, "pre")).data, flat(golden.resid_pre[layer]))).toBeLessThanOrEqual(
        STATE,
      );
      if (golden.resid_mid)
        expect(
          maxDifference((await run.residual(layer, "mid")).data, flat(golden.resid_mid[layer])),
        ).toBeLessThanOrEqual(STATE);
      expect(
        maxDifference((await run.residual(layer, "post")).data, flat(golden.resid_post[layer])),
      ).toBeLessThanOrEqual(STATE);
      expect(maxDifference((await run.attentionOut(layer)).data, flat(golden.attn_out[layer]))).toBeLessThanOrEqual(
        STATE,
      );
      expect(maxDifference((await run.ffnOut(layer)).data, flat(golden.mlp_out[layer]))).toBeLessThanOrEqual(STATE);
      expect(
        maxDifference((await run.attentionPattern(layer)).data, flat(golden.attn_pattern[layer])),
      ).toBeLessThanOrEqual(STATE);
    }
    expect(maxDifference((await run.logits({ position: nTokens - 1 })).data, golden.logits_last)).toBeLessThanOrEqual(
      STATE,
    );
  });

  test("logit lens with and without the final norm", async () => {
    for (const [node, lens] of Object.entries(values.logit_lens)) {
      for (const [key, normalize] of normalizations) {
        const tokens = await run.lens(node as NodeName, { normalize, topK: 10 });
        expectScores(
          tokens.map(({ id, logit }) => ({ id, score: logit })),
          lens[key],
        );
      }
    }
  });

  test("promoted and suppressed tokens of blocks", async () => {
    for (const kind of ["attn", "ffn"] as const) {
      for (const [place, effects] of Object.entries(values.promoted[kind])) {
        const [layer, position] = place.split("_").map(Number);
        const component: Component = { kind: kind === "attn" ? "attention" : "ffn", layer, position };
        for (const [key, normalize] of normalizations)
          expectEnds(await run.effect(component, { normalize, topK: 10 }), effects[key]);
      }
    }
  });

  test.each(readings)("promoted and suppressed tokens of heads, %s", async (reading, valueBias) => {
    for (const [place, effects] of Object.entries(values.promoted.head_last_pos)) {
      const [layer, head] = place.split("_").map(Number);
      for (const [key, normalize] of normalizations) {
        expectEnds(
          await run.effect(
            { kind: "attention", layer, position: nTokens - 1, head },
            { normalize, topK: 10, valueBias },
          ),
          effects[reading][key],
        );
      }
    }
  });

  test("promoted and suppressed tokens of neurons: what they wrote", async () => {
    for (const [place, { neuron, activation_post, times_activation }] of Object.entries(
      values.promoted.neuron_last_pos,
    )) {
      const layer = Number(place);
      const { data } = await run.neuronActivations(layer, nTokens - 1, "post");
      expect(Math.abs(data[neuron] - activation_post)).toBeLessThanOrEqual(STATE);
      for (const [key, normalize] of normalizations) {
        expectEnds(
          await run.effect({ kind: "ffn", layer, position: nTokens - 1, neuron }, { normalize, topK: 10 }),
          times_activation[key],
        );
      }
    }
  });

  served("neurons", async () => {
    for (const layer of layers) {
      const actual = await run.neuronContributions(layer, nTokens - 1);
      const by = new Map(actual.map(({ neuron, contribution }) => [neuron, contribution]));
      const { residual, sorted } = neuronsOf(golden.peer, layer);
      for (const [neuron, contribution] of sorted)
        expect(Math.abs((by.get(neuron) as number) - contribution)).toBeLessThanOrEqual(CONTRIBUTION);
      const sum = actual.reduce((total, { contribution }) => total + contribution, 0);
      expect(Math.abs(1 - sum - residual)).toBeLessThanOrEqual(CONTRIBUTION);
      for (let i = 1; i < actual.length; i++)
        expect(actual[i].contribution).toBeLessThanOrEqual(actual[i - 1].contribution);
    }
  });

  describe.each(readings)("%s values with valueBias", (reading, valueBias) => {
    const expected = golden[reading];
    test("head outputs", async () => {
      if (!expected) throw new Error(`${name} has no ${reading} values.`);
      for (const layer of layers) {
        for (let position = 0; position < nTokens; position++) {
          const { data } = await run.headOut(layer, position, { valueBias });
          expect(maxDifference(data, flat(expected.head_out[layer][position]))).toBeLessThanOrEqual(STATE);
        }
      }
    });

    served("contributions", async () => {
      if (!expected) throw new Error(`${name} has no ${reading} values.`);
      for (const layer of layers) {
        const { terms, residual } = await run.attentionContributions(layer, { valueBias });
        expect(maxDifference(terms.data, flat(expected.attn_contrib[layer]))).toBeLessThanOrEqual(CONTRIBUTION);
        expect(maxDifference(residual.data, flat(expected.attn_resid_contrib[layer]))).toBeLessThanOrEqual(
          CONTRIBUTION,
        );
        const ffn = await run.ffnContributions(layer);
        expect(maxDifference(ffn.ffn.data, flat(expected.ffn_contrib[layer]))).toBeLessThanOrEqual(CONTRIBUTION);
        expect(maxDifference(ffn.residual.data, flat(expected.ffn_resid_contrib[layer]))).toBeLessThanOrEqual(
          CONTRIBUTION,
        );
      }
    });

    served("graphs and paths", async () => {
      if (!expected) throw new Error(`${name} has no ${reading} values.`);
      const whole = await run.routes({ from: "all", threshold: 0, renormalize: false, valueBias });
      expectEdges(merged(whole.edges), expected.graph["renorm_none"], 0);
      for (let t = 0; t < nTokens; t++) {
        for (const [graph, renormalize] of [
          ["renorm_none", false],
          ["renorm_0.04_ffnfix", true],
        ] as const) {
          const { edges } = await run.routes({ from: t, threshold: 0.04, renormalize, valueBias });
          const weights = new Map(expected.graph[graph].map(([from, to, weight]) => [`${from} ${to}`, weight]));
          const path = (
            expected.paths[`${graph}__thr_0.04`][t] as unknown as readonly (readonly [string, string])[]
          ).map((edge) => edge.join(" "));
          const start = `I${nLayers - 1}_${t}`;
          // The reference has the residual and a token's attention to itself as one edge; `joinSelf` takes them through
          // the threshold as one.
          const joined = merged(
            (await run.routes({ from: t, threshold: 0.04, renormalize, joinSelf: true, valueBias })).edges,
          );
          expect(new Set(joined.keys())).toEqual(new Set(path));
          for (const [key, weight] of joined)
            expect(Math.abs(weight - (weights.get(key) as number))).toBeLessThanOrEqual(CONTRIBUTION);
          // Without it each passes by itself.
          const passing = [...weights].filter(([, weight]) => weight > 0.04).map(([key]) => key);
          expect(reached(passing, start)).toEqual(new Set(path));
          const alone = passing.filter((key) => {
            const [from, to] = key.split(" ");
            return (
              renormalize ||
              !isSelf(key) ||
              whole.edges.some(({ source, target, weight }) => source === from && target === to && weight > 0.04)
            );
          });
          const mine = merged(edges);
          expect(new Set(mine.keys())).toEqual(reached(alone, start));
          for (const [key, weight] of mine) {
            const [from, to] = key.split(" ");
            const dropped = !renormalize && isSelf(key) ? partBelow(whole.edges, from, to, 0.04) : 0;
            expect(Math.abs(weight + dropped - (weights.get(key) as number))).toBeLessThanOrEqual(CONTRIBUTION);
          }
        }
      }
    });
  });
});

interface GoldenNeurons {
  readonly layer: number;
  readonly residual: number;
  readonly sorted: readonly (readonly [number, number])[];
}

function neuronsOf(expected: unknown, layer: number): GoldenNeurons {
  const all = (expected as { readonly neurons_last_pos: readonly GoldenNeurons[] }).neurons_last_pos;
  const found = all.find((neurons) => neurons.layer === layer);
  if (!found) throw new Error(`The reference values have no neurons of layer ${layer}.`);
  return found;
}
