/** Routes by relevance: what of the start goes through each edge, and the sets that a budget keeps. */
import fc from "fast-check";
import type { RouteEdge, RouteGraph, Run } from "../../src/index";
import { loadModel } from "../../src/index";
import { modelFolder } from "../support/fixtures";
import { ToyModel } from "../support/toy-model";

const shape = { nLayers: 3, nHeads: 3, dHead: 2, dModel: 7, dFfn: 5, dVocab: 11 };
const TOKENS = [1, 5, 2, 9];
const toy = fc.record({ seed: fc.nat(), biases: fc.boolean(), parallelBlocks: fc.boolean(), postNorm: fc.boolean() });
const keyOf = ({ source, target, kind }: RouteEdge): string => `${kind} ${source} ${target}`;
const inputs = ({ edges }: RouteGraph): number =>
  edges.reduce((sum, { source, relevance }) => sum + (source.startsWith("X") ? relevance! : 0), 0);

/** By the definition, from the contributions alone: relevances of all edges, by name. */
async function expected(run: Run, start: number): Promise<Map<string, number>> {
  const { nLayers, nHeads, parallelBlocks } = run.model.info;
  const T = run.tokens.length;
  const found = new Map<string, number>();
  const give = (name: string, relevance: number): void => void found.set(name, (found.get(name) ?? 0) + relevance);
  let state = run.tokens.map((_, t): number => (t === start ? 1 : 0));
  for (let layer = nLayers - 1; layer >= 0; layer--) {
    const { terms, residual, ffn: parallelFfn } = await run.attentionContributions(layer);
    const { ffn } = await run.ffnContributions(layer);
    const below = run.tokens.map(() => 0);
    const name = (t: number): string => (layer === 0 ? `X0_${t}` : `I${layer - 1}_${t}`);
    const mixed = parallelBlocks ? "I" : "A";
    for (let q = 0; q < T; q++) {
      const R = state[q];
      if (R === 0) continue;
      const c = parallelBlocks ? parallelFfn!.data[q] : ffn.data[q];
      give(`ffn-out M${layer}_${q} I${layer}_${q}`, R * c);
      give(`ffn-in ${parallelBlocks ? name(q) : `A${layer}_${q}`} M${layer}_${q}`, R * c);
      if (parallelBlocks) below[q] += R * c;
      else give(`residual A${layer}_${q} I${layer}_${q}`, R * (1 - c));
      give(`residual ${name(q)} ${mixed}${layer}_${q}`, R * residual.data[q]);
      below[q] += R * residual.data[q];
      for (let k = 0; k <= q; k++)
        for (let h = 0; h < nHeads; h++) {
          const part = R * terms.data[(q * T + k) * nHeads + h];
          give(`attention ${name(k)} ${mixed}${layer}_${q}`, part);
          below[k] += part;
        }
    }
    state = below;
  }
  return found;
}

test("with everything kept, every edge has the products of contributions along all paths, and inputs sum to 1", () =>
  fc.assert(
    fc.asyncProperty(toy, async (kind) => {
      const run = await new ToyModel({ ...shape, ...kind }).run(TOKENS);
      const graph = await run.routes({ select: { relevance: 1 } });
      expect(inputs(graph)).toBeCloseTo(1, 6);
      const own = new Map(graph.edges.map((edge) => [keyOf(edge), edge.relevance!]));
      for (const [name, relevance] of await expected(run, 3)) expect(own.get(name) ?? 0).toBeCloseTo(relevance, 6);
      // A threshold of 0 keeps the same: both say the same of each edge.
      const all = await run.routes({ threshold: 0 });
      for (const edge of all.edges) {
        expect(edge.relevance).toBeCloseTo(own.get(keyOf(edge)) ?? 0, 6);
        const same = graph.edges.find((other) => keyOf(other) === keyOf(edge));
        if (same) expect(same.contribution).toBeCloseTo(edge.contribution!, 6);
      }
    }),
    { numRuns: 25 },
  ));

test("budgets keep nested sets that hang together with the start, and keep what they promise", () =>
  fc.assert(
    fc.asyncProperty(toy, fc.boolean(), async (kind, about) => {
      const run = await new ToyModel({ ...shape, ...kind }).run(TOKENS);
      const contrast = about ? { contrast: { token: 4, versus: 7 } } : {};
      const everything = await run.routes({ select: { relevance: 1 }, ...contrast });
      let smaller = new Set<string>();
      for (const relevance of [0, 0.1, 0.3, 0.5, 0.8, 0.95, 1]) {
        const graph = await run.routes({ select: { relevance }, ...contrast });
        const set = new Set(graph.edges.map(keyOf));
        for (const edge of smaller) expect(set).toContain(edge);
        smaller = set;
        // What the parts that are kept let through, heads by their shares.
        const sums = new Map(graph.from.map((name) => [name as string, 1]));
        const order = [...graph.edges].reverse();
        const seen = new Set<string>(graph.from);
        for (const edge of order) {
          const flow = sums.get(edge.target) ?? 0;
          seen.add(edge.target);
          if (edge.kind === "ffn-in") continue;
          const c = edge.contribution!;
          sums.set(edge.source, (sums.get(edge.source) ?? 0) + flow * c);
          if (edge.kind === "ffn-out") {
            const into = graph.edges.find(({ kind, target }) => kind === "ffn-in" && target === edge.source)!;
            sums.set(into.source, (sums.get(into.source) ?? 0) + flow * c);
          }
        }
        // Every node but the start is reached by an edge.
        const reached = new Set([...graph.from, ...graph.edges.map(({ source }) => source)]);
        for (const { name } of graph.nodes) expect(reached).toContain(name);
        for (const { target } of graph.edges) expect(reached).toContain(target);
        const through = graph.nodes
          .filter(({ kind }) => kind === "X")
          .reduce((sum, { name }) => sum + (sums.get(name) ?? 0), 0);
        // Edges count all of their heads here: at least what is promised goes through.
        if (!kind.biases || !about) expect(through).toBeGreaterThanOrEqual(relevance * inputs(everything) - 1e-6);
      }
      let last = 0;
      for (const edges of [1, 4, 8, 15, 30, 60, 1000]) {
        const graph = await run.routes({ select: { edges }, ...contrast });
        expect(graph.edges.length).toBeLessThanOrEqual(edges);
        expect(graph.edges.length).toBeGreaterThanOrEqual(last);
        last = graph.edges.length;
      }
      expect(last).toBe(everything.edges.length);
    }),
    { numRuns: 15 },
  ));

test("a contrast's parts have the relevance of their logits: each its size beside all sizes", async () => {
  const run = await new ToyModel(shape).run(TOKENS);
  const contrast = { token: 4, versus: 7 };
  const graph = await run.routes({ select: { relevance: 1 }, contrast });
  const sizes = graph.edges.map(({ kind, source, logit, headLogits }) =>
    logit === undefined || (kind === "residual" && !source.startsWith("X"))
      ? 0
      : headLogits
        ? Object.values(headLogits).reduce((sum, part) => sum + Math.abs(part), 0)
        : Math.abs(logit),
  );
  const sum = sizes.reduce((a, b) => a + b, 0);
  graph.edges.forEach((edge, i) => {
    // Of attention from a token to itself only the part that it carries; below it other paths join.
    if (sizes[i] > 0 && !(edge.kind === "residual" && edge.source.startsWith("X")))
      expect(edge.relevance!).toBeGreaterThan((0.999999 * sizes[i]) / sum);
  });
  const last = graph.edges.findIndex(({ kind, target }) => kind === "ffn-out" && target === "I2_3");
  expect(graph.edges[last].relevance).toBeCloseTo(sizes[last] / sum, 6);
  const { contrast: about, edges } = await run.routes({ select: { edges: 12 }, contrast });
  const shown = edges
    .filter(({ kind, source }) => kind !== "residual" || source.startsWith("X"))
    .reduce((total, { logit = 0 }) => total + logit, 0);
  const embedding = edges.some(({ source }) => source === "X0_3")
    ? 0
    : (await run.logitAttribution(contrast)).parts[0].logit;
  expect(shown + embedding + about!.constant! + about!.rest!.supports + about!.rest!.opposes).toBeCloseTo(
    about!.logit!,
    4,
  );
});

test("a threshold's relevance counts the paths on the routes: never more than over all paths", async () => {
  const model = await loadModel(modelFolder("llama-tiny"));
  const run = await model.run([1, 2, 3, 4, 5, 6]);
  const full = new Map((await run.routes({ select: { relevance: 1 } })).edges.map((edge) => [keyOf(edge), edge]));
  const graph = await run.routes({ threshold: 0.04 });
  expect(graph.edges.length).toBeGreaterThan(10);
  for (const edge of graph.edges) {
    expect(edge.relevance!).toBeLessThanOrEqual(full.get(keyOf(edge))!.relevance! + 1e-6);
    expect(edge.contribution!).toBeCloseTo(full.get(keyOf(edge))!.contribution!, 6);
  }
  // In the order of every graph.
  const order = (await run.routes({ threshold: 0 })).edges.map(keyOf);
  const own = [...full.keys()];
  expect(own).toEqual(order.filter((name) => full.has(name)));
  // Several starts share it.
  expect(inputs(await run.routes({ from: "all", select: { relevance: 1 } }))).toBeCloseTo(1, 6);
  for (const from of ["M1_3", "A1_3", "X0_2"] as const)
    expect((await run.routes({ from, select: { relevance: 1 } })).nodes.some(({ name }) => name === from)).toBe(true);
  await model.dispose();
});

test.each<[object, string]>([
  [{ select: { relevance: 2 } }, "The relevance to keep is 2: it must be a number from 0 to 1."],
  [{ select: { edges: 0 } }, "The number of edges to keep is 0: it must be an integer of at least 1."],
  [{ select: { edges: 1.5 } }, "The number of edges to keep is 1.5: it must be an integer of at least 1."],
  [{ select: { threshold: -1 } }, "The threshold is -1: it must be a number from 0 to 1."],
  [{ select: {} }, "select is {}: give { threshold }, { relevance } or { edges }, and one of them."],
  [
    { select: { edges: 3, relevance: 1 } },
    'select is {"edges":3,"relevance":1}: give { threshold }, { relevance } or { edges }, and one of them.',
  ],
  [{ select: "all" }, 'select is "all": give { threshold }, { relevance } or { edges }, and one of them.'],
  [{ select: { edges: 3 }, threshold: 0.1 }, "Routes are kept by threshold or by select: give one of the two."],
])("%j is refused", async (options, sentence) => {
  const run = await new ToyModel(shape).run(TOKENS);
  await expect(run.routes(options)).rejects.toThrow(new RangeError(sentence));
});

test("a threshold in select is the threshold", async () => {
  const run = await new ToyModel(shape).run(TOKENS);
  expect(JSON.stringify(await run.routes({ select: { threshold: 0.1 } }))).toBe(
    JSON.stringify(await run.routes({ threshold: 0.1 })),
  );
});
