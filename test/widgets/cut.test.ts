/** Routes within a budget: what a page cuts out of the largest ones is what the kernel traces. */
import fc from "fast-check";
import { flowGraph } from "../../src/index";
import { largestRoutes, questionKey, type Answer, type Question, type RouteBudget } from "../../src/protocol";
import { cuttableRoutes } from "../../src/payload/cut";
import { answerQuestion, runFacts } from "../../src/notebook/answers";
import { CachedSource } from "../../widgets/core/source";
import { ToyModel } from "../support/toy-model";

const shape = { nLayers: 3, nHeads: 3, dHead: 2, dModel: 7, dFfn: 5, dVocab: 11 };
const toy = fc.record({ seed: fc.nat(), biases: fc.boolean(), parallelBlocks: fc.boolean(), postNorm: fc.boolean() });
const budgets: fc.Arbitrary<RouteBudget> = fc.oneof(
  fc.record({ edges: fc.integer({ min: 1, max: 200 }) }),
  fc.record({ relevance: fc.double({ min: 0.05, max: 0.99, noNaN: true }) }),
);

interface Edge {
  readonly key: string;
  readonly weight: number;
  readonly relevance: number;
  readonly logit: number;
  readonly heads: Readonly<Record<number, number>>;
}

function edgesOf(answer: Answer<"routes">): Map<string, Edge> {
  return new Map(
    Array.from(answer.kinds.data, (kind, e) => {
      const key = `${answer.nodes[answer.sources.data[e]]} ${answer.nodes[answer.targets.data[e]]} ${kind}`;
      const heads: Record<number, number> = {};
      for (let i = answer.headStarts.data[e]; i < answer.headStarts.data[e + 1]; i++)
        heads[answer.heads.data[i]] = answer.headWeights.data[i];
      return [
        key,
        {
          key,
          weight: answer.weights.data[e],
          relevance: answer.relevances!.data[e],
          logit: answer.logits?.data[e] ?? 0,
          heads,
        },
      ];
    }),
  );
}

test("a page cuts the kernel's routes, of states and of contrasts, for any budget", () =>
  fc.assert(
    fc.asyncProperty(toy, budgets, fc.boolean(), fc.boolean(), async (options, select, renormalize, contrast) => {
      const run = await new ToyModel({ ...shape, ...options }).run([1, 5, 5, 2, 7]);
      const question: Question<"routes"> = {
        kind: "routes",
        from: 4,
        threshold: 0,
        renormalize,
        select,
        ...(contrast ? { contrast: { token: 3, versus: 8 } } : {}),
      };
      const asked: string[] = [];
      const source = new CachedSource({
        facts: runFacts(run),
        ask: (async (wanted: Question) => {
          asked.push(questionKey(wanted));
          return answerQuestion(run, wanted);
        }) as never,
      });
      const [page, kernel] = [await source.ask(question), await answerQuestion(run, question)] as Answer<"routes">[];
      const [own, wanted] = [edgesOf(page), edgesOf(kernel)];
      expect([...own.keys()]).toEqual([...wanted.keys()]);
      expect(page.nodes).toEqual(kernel.nodes);
      for (const [key, edge] of wanted) {
        const cut = own.get(key)!;
        for (const name of ["weight", "relevance", "logit"] as const)
          expect(Math.abs(cut[name] - edge[name])).toBeLessThan(1e-5);
        expect(Object.keys(cut.heads)).toEqual(Object.keys(edge.heads));
        for (const [head, share] of Object.entries(edge.heads))
          expect(Math.abs(cut.heads[Number(head)] - share)).toBeLessThan(1e-5);
      }
      for (const side of ["supports", "opposes"] as const)
        expect(page.contrast?.rest?.[side] ?? 0).toBeCloseTo(kernel.contrast?.rest?.[side] ?? 0, 4);
      const others = ({ nodes, otherTargets, otherHeads }: Answer<"routes">): string[] =>
        Array.from(otherTargets!.data, (target, o) => `${nodes[target]} ${otherHeads!.data[o]}`);
      expect(others(page)).toEqual(others(kernel));
      // Another position of the slider asks nothing; a share of a contrast is asked for as it is.
      const before = asked.length;
      await source.ask({ ...question, select: { edges: 17 } });
      await source.ask({ ...question, select: { edges: 40 } });
      expect(asked.length - before).toBe(contrast && "relevance" in select ? 1 : 0);
      expect(asked[0]).toBe(questionKey(largestRoutes(question) ?? question));
    }),
    { numRuns: 60 },
  ));

test("routes of a model without relevances are asked for as they are", async () => {
  const run = await new ToyModel(shape).run([1, 5, 2]);
  const bare = (await answerQuestion(run, {
    kind: "routes",
    from: 2,
    threshold: 0.1,
    renormalize: true,
  })) as Answer<"routes">;
  expect(cuttableRoutes({ ...bare, relevances: undefined }, { ...run.model.info, nTokens: 3 })).toBeUndefined();
});

test("a budget is a selection's: cells set it, a threshold ends it, files keep it", async () => {
  const run = await new ToyModel(shape).run([1, 5, 2, 4]);
  const graph = flowGraph(run, { budget: { edges: 12 } });
  expect(graph.selection.budget).toEqual({ edges: 12 });
  graph.select({ budget: { relevance: 0.5 } });
  graph.select({ start: 2 });
  expect(graph.selection.budget).toEqual({ relevance: 0.5 });
  graph.select({ threshold: 0.1 });
  expect(graph.selection).toMatchObject({ threshold: 0.1, budget: null });
  for (const budget of [{ edges: 0 }, { edges: 1.5 }, { relevance: 2 }, { share: 1 }, 5, { edges: 3, relevance: 1 }])
    expect(() => graph.select({ budget: budget as never })).toThrow(/^budget is .*, but has to be \{ edges: 60 \}/);
  graph.close();
});
