import type { NodeName } from "../../src/model/types";
/**
 * Identities that hold for every model, over random ones: sequential and parallel blocks, biases, a norm behind
 * attention.
 */
import fc from "fast-check";
import type { EdgeKind, Run, ValueBias } from "../../src/index";
import { maxDifference } from "../support/fixtures";
import { referenceRow, row, shares } from "../support/contributions-reference";
import { ToyModel, type ToyShape } from "../support/toy-model";

const shapes: fc.Arbitrary<ToyShape> = fc.record({
  nLayers: fc.integer({ min: 1, max: 4 }),
  nHeads: fc.integer({ min: 1, max: 4 }),
  dHead: fc.integer({ min: 1, max: 4 }),
  dModel: fc.integer({ min: 2, max: 13 }),
  dFfn: fc.integer({ min: 1, max: 9 }),
  dVocab: fc.integer({ min: 2, max: 20 }),
  parallelBlocks: fc.boolean(),
  biases: fc.boolean(),
  postNorm: fc.boolean(),
  seed: fc.nat(),
});
const prompts = fc.array(fc.nat(), { minLength: 1, maxLength: 9 });
const options = fc.record({ valueBias: fc.constantFrom<ValueBias>("output", "term"), includeBias: fc.boolean() });

function forModels(
  check: (
    model: ToyModel,
    run: Run,
    ids: number[],
    o: { readonly valueBias: ValueBias; readonly includeBias: boolean },
  ) => Promise<void>,
  numRuns = 40,
): Promise<void> {
  return fc.assert(
    fc.asyncProperty(shapes, prompts, options, async (shape, picks, o) => {
      const model = new ToyModel(shape);
      const ids = picks.map((pick) => pick % shape.dVocab);
      await check(model, await model.run(ids), ids, o);
    }),
    { numRuns },
  );
}

const add = (...rows: ArrayLike<number>[]): number[] =>
  Array.from(rows[0], (_, i) => rows.reduce((sum, r) => sum + r[i], 0));
const all = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

test("heads, biases and blocks sum to the states", () =>
  forModels(async ({ info, shape }, run) => {
    const { dModel: d, nHeads } = info;
    for (const layer of all(info.nLayers)) {
      const [pre, post, attention, ffn] = await Promise.all([
        run.residual(layer, "pre"),
        run.residual(layer, "post"),
        run.attentionOut(layer),
        run.ffnOut(layer),
      ]);
      // float32 keeps seven digits: of states with values of hundreds, differences of single numbers lose the rest.
      const bound =
        1e-6 *
        [pre, post, attention, ffn].reduce(
          (most, { data }) => data.reduce((a, x) => Math.max(a, Math.abs(x)), most),
          10,
        );
      expect(maxDifference(add(pre.data, attention.data, ffn.data), post.data)).toBeLessThan(bound);
      if (layer > 0) expect(Array.from(pre.data)).toEqual(Array.from((await run.residual(layer - 1, "post")).data));
      if (!shape.biases) {
        for (const t of all(run.tokens.length)) {
          const heads = await run.headOut(layer, t);
          expect(
            maxDifference(add(...all(nHeads).map((h) => row(heads.data, h, d))), row(attention.data, t, d)),
          ).toBeLessThan(bound);
        }
      }
    }
  }));

test("contributions equal the formula and sum to 1; nothing comes from later tokens", () =>
  forModels(async (model, run, ids, o) => {
    const { info, layers } = model;
    const { dModel, nHeads } = info;
    const T = ids.length;
    for (const layer of all(info.nLayers)) {
      const actual = await run.attentionContributions(layer, o);
      expect(actual.terms.dims).toEqual([T, T, nHeads]);
      expect(actual.bias !== undefined).toBe(o.includeBias);
      expect(actual.ffn !== undefined).toBe(info.parallelBlocks);
      // The parts once more, from the model's own matrices.
      const pre = (await run.residual(layer, "pre")).data;
      const multiply = (x: ArrayLike<number>, m: Float64Array[]): number[] =>
        Array.from(m[0], (_, j) => m.reduce((sum, r, i) => sum + x[i] * r[j], 0));
      const { value, output, valueBias, outputBias } = layers[layer];
      const valueOut = all(T).flatMap((k) =>
        all(nHeads).flatMap((h) => multiply(multiply(row(pre, k, dModel), value[h]), output[h])),
      );
      const biasOut = all(nHeads).map((h) => multiply(valueBias[h], output[h]));
      const pattern = (await run.attentionPattern(layer)).data;
      const attention = (await run.attentionOut(layer)).data;
      const unscaled = all(T).map((q) => {
        const sum = Array.from(outputBias);
        return all(nHeads)
          .reduce((total, h) => add(total, biasOut[h]), sum)
          .map(
            (x, i) =>
              x +
              all(q + 1).reduce(
                (s, k) =>
                  s +
                  all(nHeads).reduce(
                    (u, h) => u + pattern[(h * T + q) * T + k] * valueOut[(k * nHeads + h) * dModel + i],
                    0,
                  ),
                0,
              ),
          );
      });
      const ratio = (q: number): number => {
        const i = unscaled[q].reduce((best, x, j) => (Math.abs(x) > Math.abs(unscaled[q][best]) ? j : best), 0);
        return attention[q * dModel + i] / unscaled[q][i];
      };
      const whole = (await run.residual(layer, info.parallelBlocks ? "post" : "mid")).data;
      for (const q of all(T)) {
        const expected = referenceRow(
          {
            nTokens: T,
            nHeads,
            dModel,
            pattern,
            valueOut,
            whole,
            residual: pre,
            valueBiasOut: o.valueBias === "term" ? biasOut.flat() : undefined,
            termScale: model.shape.postNorm ? all(T).map(ratio) : undefined,
            bias:
              o.includeBias && model.shape.biases
                ? o.valueBias === "term"
                  ? Array.from(outputBias)
                  : biasOut.reduce((a, b) => add(a, b), Array.from(outputBias))
                : undefined,
            ffn: info.parallelBlocks ? (await run.ffnOut(layer)).data : undefined,
          },
          q,
        );
        const own = row(actual.terms.data, q, T * nHeads);
        expect(maxDifference(own.slice(0, (q + 1) * nHeads), expected.terms)).toBeLessThan(2e-5);
        expect(own.slice((q + 1) * nHeads).every((c) => c === 0)).toBe(true);
        expect(
          maxDifference(
            [actual.residual.data[q], actual.bias?.data[q] ?? 0, actual.ffn?.data[q] ?? 0],
            [expected.residual, expected.bias, expected.ffn],
          ),
        ).toBeLessThan(2e-5);
        expect(
          Math.abs(
            add([0], [own.reduce((a, b) => a + b)])[0] +
              actual.residual.data[q] +
              (actual.bias?.data[q] ?? 0) +
              (actual.ffn?.data[q] ?? 0) -
              1,
          ),
        ).toBeLessThan(1e-5);
      }
    }
  }));

test("FFN and neuron contributions equal the formula; best neurons first", () =>
  forModels(async ({ info, layers }, run, ids) => {
    const { dModel: d } = info;
    for (const layer of all(info.nLayers)) {
      const { ffn, residual } = await run.ffnContributions(layer);
      const [pre, post, attention, out] = [
        (await run.residual(layer, "pre")).data,
        (await run.residual(layer, "post")).data,
        (await run.attentionOut(layer)).data,
        (await run.ffnOut(layer)).data,
      ];
      for (const t of all(ids.length)) {
        const other = add(row(pre, t, d), row(attention, t, d));
        expect(
          maxDifference([ffn.data[t], residual.data[t]], shares([row(out, t, d), other], row(post, t, d))),
        ).toBeLessThan(2e-5);
        const neurons = await run.neuronContributions(layer, t);
        const activations = (await run.neuronActivations(layer, t, "post")).data;
        const parts = layers[layer].ffnOutput.map((r, n) => Array.from(r, (w) => w * activations[n]));
        const expected = shares([...parts, other], row(post, t, d));
        expect(neurons.length).toBe(info.dFfn);
        for (const { neuron, contribution, activation } of neurons) {
          expect(Math.abs(contribution - expected[neuron])).toBeLessThan(2e-5);
          expect(activation).toBe(activations[neuron]);
        }
        for (let i = 1; i < neurons.length; i++)
          expect(neurons[i].contribution).toBeLessThanOrEqual(neurons[i - 1].contribution);
        expect(await run.neuronContributions(layer, t, { topK: 1 })).toEqual(neurons.slice(0, 1));
      }
    }
  }));

interface PlainEdge {
  readonly source: string;
  readonly target: string;
  readonly kind: EdgeKind;
  readonly weight: number;
  readonly heads?: Record<number, number>;
}

/** The whole graph after the threshold, by the words of the definition, then what is reached from `from`. */
async function literalRoutes(
  run: Run,
  from: string[],
  threshold: number,
  renormalize: boolean,
  o: { readonly valueBias: ValueBias; readonly includeBias: boolean },
): Promise<PlainEdge[]> {
  const { nLayers, nHeads, parallelBlocks } = run.model.info;
  const T = run.tokens.length;
  const edges: PlainEdge[] = [];
  const after = (parts: number[]): number[] => {
    if (!renormalize) return parts.map((c) => (c > threshold ? c : 0));
    let kept = parts.map((c) => (c > threshold ? c : 0));
    if (kept.every((c) => c === 0)) kept = parts.map((c, i) => (i === parts.indexOf(Math.max(...parts)) ? c : 0));
    const sum = kept.reduce((a, b) => a + b, 0);
    return kept.map((c) => c / sum);
  };
  for (const l of all(nLayers)) {
    const c = await run.attentionContributions(l, o);
    const f = parallelBlocks ? undefined : await run.ffnContributions(l);
    const below = (t: number): string => (l === 0 ? `X0_${t}` : `I${l - 1}_${t}`);
    for (const t of all(T)) {
      const terms = Array.from(c.terms.data.subarray(t * T * nHeads, (t * T + t + 1) * nHeads));
      const rest = [c.residual.data[t], c.bias?.data[t] ?? 0, c.ffn?.data[t] ?? 0];
      const target = `${parallelBlocks ? "I" : "A"}${l}_${t}`;
      // Without renormalisation it is the sum over heads that has to pass.
      const [residual, , ffn, ...kept] = renormalize ? after([...rest, ...terms]) : [...after(rest), ...terms];
      if (residual > 0) edges.push({ source: below(t), target, kind: "residual", weight: residual });
      for (const k of all(t + 1)) {
        const heads = kept.slice(k * nHeads, (k + 1) * nHeads);
        const weight = heads.reduce((a, b) => a + b, 0);
        if (renormalize ? weight === 0 : weight <= threshold) continue;
        edges.push({
          source: below(k),
          target,
          kind: "attention",
          weight,
          heads: Object.fromEntries(heads.map((w, h) => [h, w] as const).filter(([, w]) => w > 0)),
        });
      }
      if (parallelBlocks && ffn > 0)
        edges.push(
          { source: below(t), target: `M${l}_${t}`, kind: "ffn-in", weight: ffn },
          { source: `M${l}_${t}`, target, kind: "ffn-out", weight: ffn },
        );
      if (f) {
        const [out, beside] = after([f.ffn.data[t], f.residual.data[t]]);
        if (beside > 0) edges.push({ source: `A${l}_${t}`, target: `I${l}_${t}`, kind: "residual", weight: beside });
        if (out > 0)
          edges.push(
            { source: `A${l}_${t}`, target: `M${l}_${t}`, kind: "ffn-in", weight: out },
            { source: `M${l}_${t}`, target: `I${l}_${t}`, kind: "ffn-out", weight: out },
          );
      }
    }
  }
  const reached = new Set(from);
  const taken = new Set<PlainEdge>();
  for (let size = -1; size !== taken.size;) {
    size = taken.size;
    for (const edge of edges) {
      if (!reached.has(edge.target)) continue;
      reached.add(edge.source);
      taken.add(edge);
    }
  }
  return [...taken];
}

const key = ({ source, target, kind }: { source: string; target: string; kind: string }): string =>
  `${kind} ${source} ${target}`;

test("routes are what the definition says, from any residual node, lazily or after everything was computed", () =>
  forModels(async (model, run, ids, o) => {
    const { nLayers, parallelBlocks } = model.info;
    const kinds = parallelBlocks ? (["I"] as const) : (["I", "A"] as const);
    const starts: NodeName[][] = [
      [`I${nLayers - 1}_${ids.length - 1}`],
      all(ids.length).map((t) => `I${nLayers - 1}_${t}` as const),
      [`${kinds[ids[0] % kinds.length]}${ids[0] % nLayers}_${ids.length >> 1}`, "X0_0"],
    ];
    for (const from of starts) {
      for (const threshold of [0, 0.04, 0.3, 1]) {
        for (const renormalize of [true, false]) {
          const lazy = await (await model.run(ids)).routes({ from, threshold, renormalize, ...o });
          const expected = new Map(
            (await literalRoutes(run, from, threshold, renormalize, o)).map((edge) => [key(edge), edge]),
          );
          expect(new Set(lazy.edges.map(key))).toEqual(new Set(expected.keys()));
          for (const edge of lazy.edges) {
            const { weight, heads } = expected.get(key(edge)) as PlainEdge;
            expect(Math.abs(edge.weight - weight)).toBeLessThan(1e-6);
            expect(Object.keys(edge.heads ?? {})).toEqual(Object.keys(heads ?? {}));
            if (edge.heads)
              expect(Math.abs(Object.values(edge.heads).reduce((a, b) => a + b, 0) - edge.weight)).toBeLessThan(1e-6);
          }
          const names = new Set<string>(lazy.edges.flatMap(({ source, target }) => [source, target]).concat(from));
          expect(new Set(lazy.nodes.map(({ name }) => name))).toEqual(names);
          // Nodes bottom layer first, A, M, I, by position; edges by target, then source, a residual before the same
          // token's attention.
          const place = ({ layer, kind, position }: { layer: number; kind: string; position: number }): number =>
            (layer * 4 + "XAMI".indexOf(kind)) * 100 + position;
          lazy.nodes.forEach((node, i) => {
            if (i > 0) expect(place(node)).toBeGreaterThan(place(lazy.nodes[i - 1]));
          });
          const order = new Map<string, number>(lazy.nodes.map(({ name }, i) => [name, i]));
          const rank = ({ source, target, kind }: { source: string; target: string; kind: string }): number =>
            ((order.get(target) as number) * 1000 + (order.get(source) as number)) * 2 + (kind === "attention" ? 1 : 0);
          lazy.edges.forEach((edge, i) => {
            if (i > 0) expect(rank(edge)).toBeGreaterThan(rank(lazy.edges[i - 1]));
          });
          // The same question after all others, from what is remembered.
          expect((await run.routes({ from, threshold, renormalize, ...o })).edges).toEqual(lazy.edges);
        }
      }
    }
  }, 15));

test("weights into a node sum to 1 with renormalisation; a higher threshold only removes; no edge from a later token", () =>
  forModels(async (model, run) => {
    let previous: Set<string> | undefined;
    for (const threshold of [0, 0.01, 0.04, 0.1, 0.3, 0.7, 1]) {
      const { edges } = await run.routes({ from: "all", threshold });
      const sums = new Map<string, number>();
      for (const { source, target, kind, weight } of edges) {
        if (kind !== "ffn-in") sums.set(target, (sums.get(target) ?? 0) + weight);
        expect(Number(source.split("_")[1])).toBeLessThanOrEqual(Number(target.split("_")[1]));
      }
      for (const sum of sums.values()) expect(Math.abs(sum - 1)).toBeLessThan(1e-5);
      const now = new Set(edges.map(key));
      if (previous) expect([...now].every((edge) => previous?.has(edge))).toBe(true);
      previous = now;
    }
  }));

test("a batch is a list of runs, each as if alone", () =>
  forModels(async (model, run, ids, o) => {
    const runs = await model.run([ids, [ids[0]], [...ids].reverse()]);
    expect(runs.length).toBe(3);
    expect((await runs[0].routes({ from: "all", ...o })).toJSON()).toEqual(
      (await run.routes({ from: "all", ...o })).toJSON(),
    );
    expect(Array.from((await runs[0].logits()).data)).toEqual(Array.from((await run.logits()).data));
    expect(runs[1].tokens.length).toBe(1);
  }, 10));
