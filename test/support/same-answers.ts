/** Two runs of the same tokens, question by question. */
import type { NodeName, RouteGraph, Run } from "../../src/model/types";
import { maxDifference } from "./fixtures";

/** Weights of a graph's edges by their ends and kind. */
const weights = ({ edges }: RouteGraph): ReadonlyMap<string, number> =>
  new Map(edges.map(({ source, target, kind, weight }) => [`${source} ${target} ${kind}`, weight]));

/** The largest difference of two lists of names with numbers; a name that one of them lacks counts as 0 there. */
function mapDifference(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): number {
  const names = [...new Set([...a.keys(), ...b.keys()])];
  return maxDifference(
    names.map((name) => a.get(name) ?? 0),
    names.map((name) => b.get(name) ?? 0),
  );
}

/**
 * By question: the largest difference of what two runs answer, over the largest number of the answer where that is more
 * than 1. Layers and positions are `layers` and `positions`; lists are compared whole, by their ids.
 */
export async function differences(
  a: Run,
  b: Run,
  layers: readonly number[],
  positions: readonly number[],
): Promise<ReadonlyMap<string, number>> {
  const { dVocab, parallelBlocks } = b.model.info;
  const found = new Map<string, number>();
  const note = (name: string, difference: number): void => {
    const known = found.get(name) ?? 0;
    // NaN stays.
    found.set(name, difference <= known ? known : difference);
  };
  const both = async (name: string, ask: (run: Run) => Promise<ArrayLike<number>>): Promise<void> => {
    const [one, other] = [await ask(a), await ask(b)];
    let size = 1;
    for (let i = 0; i < other.length; i++) size = Math.max(size, Math.abs(other[i]));
    note(name, maxDifference(one, other) / size);
  };
  const byId = async (
    name: string,
    ask: (run: Run) => Promise<readonly (readonly [number | string, number])[]>,
  ): Promise<void> => {
    const maps = await Promise.all([a, b].map(async (run) => new Map((await ask(run)).map(([id, x]) => [`${id}`, x]))));
    const size = Math.max(1, ...[...maps[1].values()].map(Math.abs));
    note(name, mapDifference(maps[0], maps[1]) / size);
  };
  const all = { topK: dVocab };
  // The norm of an update that is next to nothing would show its rounding large.
  const raw = { ...all, normalize: false };
  await both("logits", async (run) => (await run.logits()).data);
  for (const layer of layers) {
    for (const point of parallelBlocks ? (["pre", "post"] as const) : (["pre", "mid", "post"] as const))
      await both(`residual ${point}`, async (run) => (await run.residual(layer, point)).data);
    await both("attentionPattern", async (run) => (await run.attentionPattern(layer)).data);
    await both("attentionOut", async (run) => (await run.attentionOut(layer)).data);
    await both("ffnOut", async (run) => (await run.ffnOut(layer)).data);
    await both("ffnContributions", async (run) => (await run.ffnContributions(layer)).ffn.data);
    await both("attentionContributions", async (run) => (await run.attentionContributions(layer)).terms.data);
    for (const position of positions) {
      await both("headOut", async (run) => (await run.headOut(layer, position, { valueBias: "term" })).data);
      for (const point of ["pre", "post"] as const)
        await both("neuronActivations", async (run) => (await run.neuronActivations(layer, position, point)).data);
      await byId("neuronContributions", async (run) =>
        (await run.neuronContributions(layer, position)).map(({ neuron, contribution }) => [neuron, contribution]),
      );
      const node: NodeName = `I${layer}_${position}`;
      await byId("lens", async (run) => (await run.lens(node, all)).map(({ id, logit }) => [id, logit]));
      for (const component of [
        { kind: "attention", layer, position } as const,
        { kind: "attention", layer, position, head: 0 } as const,
        { kind: "ffn", layer, position, neuron: 1 } as const,
      ])
        await byId("effect", async (run) =>
          (await run.effect(component, raw)).promoted.map(({ id, score }) => [id, score]),
        );
    }
  }
  for (const position of positions) {
    await both("logitAttribution", async (run) =>
      (await run.logitAttribution({ position, token: 3, versus: 4 })).parts.map(({ logit }) => logit),
    );
  }
  for (const from of positions) {
    for (const options of [{}, { threshold: 0, renormalize: false }]) {
      const [one, other] = [await a.routes({ from, ...options }), await b.routes({ from, ...options })];
      note("routes", mapDifference(weights(one), weights(other)));
    }
  }
  return found;
}
