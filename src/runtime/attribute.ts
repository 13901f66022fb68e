import type { Readout } from "../attribution/readout";
import {
  backwardParts,
  backwardRoutes,
  eachTerm,
  Strongest,
  walkBack,
  type BackwardParts,
  type LayerRelevance,
  type RankedPart,
  type RelevanceSource,
} from "../attribution/relp";
import { checkIndex, checkOneOf, checkTopK, checkValueBias } from "../model/check";
import type {
  AttributedPart,
  Attribution,
  AttributionOptions,
  AttributionTarget,
  ContributionOptions,
  ModelInfo,
  ResidualPoint,
  RouteEdge,
  RouteNode,
  RouteSelection,
} from "../model/types";
import type { ByteCache } from "./byte-cache";

/** A layer backwards as a model gives it, without value biases in the terms. */
export interface LayerBackward extends LayerRelevance {
  /** `[H, n]`: what one unit of attention to a value bias adds; where asked for; undefined without value biases. */
  readonly biasTerms?: Float32Array;
}

/** What of a layer backwards is wanted. */
export interface BackwardOptions {
  /** `neurons` too. */
  readonly neurons: boolean;
  /** `biasTerms` too. */
  readonly biasTerms: boolean;
  /**
   * `[n, d]`: coefficients of the state after attention that stand for those that come through the layer. Given where
   * the parts of this run are read along another one's coefficients.
   */
  readonly midCoefficients?: Float32Array;
  /** Ends the computation: the call rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What a run says for its parts to be attributed. */
export interface AttributedRun {
  readonly info: ModelInfo;
  /** `coefficients` [n, d]: of the state behind the layer, of the first n tokens. */
  backward(layer: number, coefficients: Float32Array, options: BackwardOptions): Promise<LayerBackward>;
  /** `[T, d]` */
  state(layer: number, point: ResidualPoint): Promise<Float32Array>;
  /** `[H, T, T]` */
  pattern(layer: number): Promise<Float32Array>;
}

/** A logit, or the difference of two, at a position. */
export type AttributedLogit = Pick<Attribution, "from" | "token" | "versus" | "logit" | "counterfactual"> & {
  readonly readout: Readout;
  /** The run of `counterfactual`. */
  readonly other?: AttributedRun;
};

const TARGETS: readonly AttributionTarget[] = ["tokens", "heads", "neurons", "ffn", "attention-terms"];

/** Parts that are listed where there are very many. */
const LISTED = 100;

/** Throws a `RangeError` where the options are none. */
export function checkAttribution(
  { method = "relp", from, over = "tokens", topK, valueBias }: AttributionOptions,
  nTokens: number,
): void {
  checkOneOf("The method", method, ["relp"]);
  checkOneOf("What is attributed to", over, TARGETS);
  checkValueBias(valueBias);
  if (from !== undefined) checkIndex("token", from, nTokens);
  if (topK !== undefined) checkTopK(topK);
}

type SourceOptions = Pick<ContributionOptions, "valueBias" | "signal"> & { readonly neurons?: boolean };

/** A run's layer backwards, value biases in its terms where they are asked for. */
async function layerBackward(
  run: AttributedRun,
  layer: number,
  coefficients: Float32Array,
  { valueBias, signal, neurons = false }: SourceOptions,
  midCoefficients?: Float32Array,
): Promise<LayerRelevance> {
  const { nHeads, dModel } = run.info;
  const nTokens = coefficients.length / dModel;
  const biased = valueBias === "term";
  const relevance = await run.backward(layer, coefficients, { neurons, biasTerms: biased, midCoefficients, signal });
  const { terms, biasTerms } = relevance;
  if (!biased || !biasTerms) return relevance;
  const pattern = await run.pattern(layer);
  const all = Math.round(Math.sqrt(pattern.length / nHeads));
  const whole = Float32Array.from(terms);
  for (let row = 0; row < nHeads * nTokens; row++) {
    const at = (Math.floor(row / nTokens) * all + (row % nTokens)) * all;
    for (let key = 0; key < nTokens; key++) whole[row * nTokens + key] += pattern[at + key] * biasTerms[row];
  }
  return { ...relevance, terms: whole };
}

const less = (a: Float32Array, b: Float32Array): Float32Array => a.map((x, i) => x - b[i]);

/**
 * Where a walk backwards from a position gets its layers from. Later tokens have no part in it. With another run, what
 * each part is less what it is there, along the coefficients of the first.
 */
function sourceOf(
  run: AttributedRun,
  other: AttributedRun | undefined,
  nTokens: number,
  options: SourceOptions,
): RelevanceSource {
  const { nLayers, nHeads, dModel, dFfn, parallelBlocks } = run.info;
  return {
    nTokens,
    nLayers,
    nHeads,
    dModel,
    dFfn,
    parallelBlocks,
    state: async (layer, point) => {
      const state = await run.state(layer, point);
      return other ? less(state, await other.state(layer, point)) : state;
    },
    backward: async (layer, coefficients) => {
      const own = await layerBackward(run, layer, coefficients, options);
      if (!other) return own;
      const there = await layerBackward(other, layer, coefficients, options, own.toMid);
      const none = new Float32Array(nTokens);
      return {
        ...own,
        terms: less(own.terms, there.terms),
        ffn: less(own.ffn, there.ffn),
        neurons: own.neurons && there.neurons && less(own.neurons, there.neurons),
        // Biases are the same in both.
        attentionConstant: none,
        ffnConstant: none,
      };
    },
  };
}

/** The relevance of parts to a logit. Options are checked already. */
export async function attribute(
  run: AttributedRun,
  { readout, other, ...about }: AttributedLogit,
  options: AttributionOptions,
): Promise<Attribution> {
  options.signal?.throwIfAborted();
  const { over = "tokens" } = options;
  const { nHeads, dFfn } = run.info;
  const nTokens = about.from + 1;
  const source = sourceOf(run, other, nTokens, { ...options, neurons: over === "neurons" });
  const { topK = over === "neurons" || over === "attention-terms" ? LISTED : Infinity } = options;
  // Of what is listed whole, memory grows with what there is.
  const strongest = new Strongest(Math.min(topK, 2 ** 24));
  const { tokens, constant } = await walkBack(
    source,
    readout,
    async (layer, { terms, ffn, neurons }) => {
      if (over === "ffn") ffn.forEach((relevance, t) => strongest.add(layer, t, -1, t, relevance));
      if (over === "neurons" && neurons) {
        for (let i = 0; i < neurons.length; i++) {
          if (neurons[i] !== 0) strongest.add(layer, Math.floor(i / dFfn), i % dFfn, 0, neurons[i]);
        }
      }
      if (over === "attention-terms") {
        await eachTerm(source, terms, (query, head, key, relevance) =>
          strongest.add(layer, query, head, key, relevance),
        );
      }
      if (over === "heads") {
        const heads = new Float64Array(nTokens * nHeads);
        await eachTerm(source, terms, (query, head, _, relevance) => {
          heads[query * nHeads + head] += relevance;
        });
        heads.forEach((relevance, i) => strongest.add(layer, Math.floor(i / nHeads), i % nHeads, 0, relevance));
      }
    },
    options,
  );
  if (over === "tokens") tokens.forEach((relevance, t) => strongest.add(-1, t, 0, 0, relevance));
  const ranked = strongest.top(topK);
  if (over === "tokens") ranked.sort((a, b) => a.position - b.position);
  const parts = ranked.map((part) => attributed(over, part));
  let { supports, opposes } = strongest;
  for (const { relevance } of parts) {
    if (relevance > 0) supports -= relevance;
    else opposes -= relevance;
  }
  // What is left of sums of which everything was taken away is rounding.
  const all = strongest.complete;
  return {
    method: "relp",
    ...about,
    constant: other ? 0 : constant,
    over,
    parts,
    rest: all ? { supports: 0, opposes: 0 } : { supports: Math.max(0, supports), opposes: Math.min(0, opposes) },
  };
}

function attributed(over: AttributionTarget, { layer, position, index, key, relevance }: RankedPart): AttributedPart {
  switch (over) {
    case "tokens":
      return { kind: "token", position, relevance };
    case "heads":
      return { kind: "head", layer, head: index, position, relevance };
    case "attention-terms":
      return { kind: "attention-term", layer, head: index, position, key, relevance };
    case "ffn":
      return { kind: "ffn", layer, position, relevance };
    case "neurons":
      return { kind: "neuron", layer, neuron: index, position, relevance };
  }
}

/** Routes of the parts whose relevance to the logit is largest. Another selection computes nothing again. */
export async function relevanceRoutes(
  run: AttributedRun,
  { readout, from, token, versus, counterfactual, other }: AttributedLogit,
  selection: RouteSelection,
  digests: ByteCache,
  options: Pick<AttributionOptions, "valueBias" | "signal" | "onProgress">,
): Promise<{ readonly nodes: RouteNode[]; readonly edges: RouteEdge[]; readonly constant: number }> {
  options.signal?.throwIfAborted();
  const source = sourceOf(run, other, from + 1, options);
  const ids = counterfactual?.tokens.map(({ id }) => id).join() ?? "";
  const parts = await digests.get(
    `relp ${from} ${token.id} ${versus?.id} ${options.valueBias === "term"} ${ids}`,
    (): Promise<BackwardParts> => backwardParts(source, readout, options),
    ({ byteLength }) => byteLength,
  );
  return { ...backwardRoutes(source, parts, selection), constant: other ? 0 : parts.constant };
}
