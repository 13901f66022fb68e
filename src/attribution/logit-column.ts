import { parseNode } from "../model/names";
import type { RouteEdge } from "../model/types";
import type { AttentionBlock } from "./attention";
import type { KeptColumn, KeptLayer, LogitKey, LogitShare } from "./kept-column";
import { dot } from "./readout";

/**
 * What was written to one token's residual stream in a layer, each part by what it adds to a logit, or to the difference
 * of two: `g · z` (ALTI-Logit: Ferrando et al. 2023, arXiv 2305.12535). H heads.
 */
export interface LogitLayer {
  /** `[position + 1, H]`: what each head wrote from each key. */
  readonly terms: Float64Array;
  /** What no edge carries: the block's output bias. */
  readonly bias: number;
  readonly ffn: number;
  /** The states before the layer and after its attention, each the sum of everything that was written before. */
  readonly pre: number;
  readonly mid: number;
}

/** A token's residual stream as a sum of logits. Its embedding is `layers[0].pre`. */
export interface LogitColumn {
  readonly position: number;
  readonly nHeads: number;
  readonly parallelBlocks: boolean;
  readonly layers: readonly LogitLayer[];
}

/** This many of the strongest parts are drawn at any threshold, and half as many of the strongest to each side. */
const ALWAYS = 10;

/** The event loop gets its turn after this many multiplications. */
const SLICE_STEPS = 1 << 20;

/** The attention block's terms and bias at one query along `direction` `[d]`. */
export async function attentionLogits(
  direction: Float64Array,
  block: AttentionBlock,
  position: number,
): Promise<{ readonly terms: Float64Array; readonly bias: number }> {
  const { nTokens, nHeads, dModel, pattern, valueOut, valueBiasOut, termScale } = block;
  const scale = termScale ? termScale[position] : 1;
  const biases = Array.from({ length: nHeads }, (_, head) =>
    valueBiasOut ? dot(direction, valueBiasOut, head * dModel) : 0,
  );
  const terms = new Float64Array((position + 1) * nHeads);
  let steps = 0;
  for (let j = 0; j < terms.length; j++) {
    if ((steps += dModel) > SLICE_STEPS) {
      steps = 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
    const key = Math.floor(j / nHeads);
    const head = j - key * nHeads;
    const attention = pattern[(head * nTokens + position) * nTokens + key] * scale;
    terms[j] = attention * (dot(direction, valueOut, j * dModel) + biases[head]);
  }
  if (block.rest) return { terms, bias: dot(direction, block.rest, position * dModel) };
  return { terms, bias: block.bias ? dot(direction, block.bias, 0) * scale : 0 };
}

interface Part {
  readonly layer: number;
  /** key · H + head; -1: the FFN. */
  readonly term: number;
  readonly logit: number;
}

const size = ({ logit }: Part): number => Math.abs(logit);

/**
 * The parts whose logit is more than `threshold` of the largest that an edge carries, whichever way it points; besides
 * them always the strongest ones, and of the strongest heads and FFNs of either sign at least their largest part.
 */
export function keptColumn({ position, nHeads, parallelBlocks, layers }: LogitColumn, threshold: number): KeptColumn {
  const parts: Part[] = [];
  /** The same with a head's keys together, and the largest part of it that points the same way. */
  const components: { readonly logit: number; readonly part: Part }[] = [];
  let most = Math.abs(layers[0]?.pre ?? 0);
  layers.forEach(({ terms, ffn }, layer) => {
    for (let key = 0; key <= position; key++) {
      let sum = 0;
      for (let j = key * nHeads; j < (key + 1) * nHeads; j++) {
        parts.push({ layer, term: j, logit: terms[j] });
        sum += Math.abs(terms[j]);
      }
      most = Math.max(most, sum);
    }
    for (let head = 0; head < nHeads; head++) {
      let logit = 0;
      for (let j = head; j < terms.length; j += nHeads) logit += terms[j];
      let best = head;
      for (let j = head; j < terms.length; j += nHeads)
        if (terms[j] * Math.sign(logit) > terms[best] * Math.sign(logit)) best = j;
      components.push({ logit, part: { layer, term: best, logit: terms[best] } });
    }
    const block = { layer, term: -1, logit: ffn };
    parts.push(block);
    components.push({ logit: ffn, part: block });
    most = Math.max(most, Math.abs(ffn));
  });
  const kept = new Set<string>();
  const name = ({ layer, term }: Part): string => `${layer} ${term}`;
  for (const part of parts) if (size(part) > threshold * most) kept.add(name(part));
  parts.sort((a, b) => size(b) - size(a));
  for (const part of parts.slice(0, ALWAYS)) if (size(part) > 0) kept.add(name(part));
  components.sort((a, b) => b.logit - a.logit);
  for (const { logit, part } of components.slice(0, ALWAYS / 2)) if (logit > 0) kept.add(name(part));
  for (const { logit, part } of components.slice(-ALWAYS / 2)) if (logit < 0) kept.add(name(part));

  const weight = (logit: number): number => (most > 0 ? Math.min(1, Math.abs(logit) / most) : 0);
  const share = (logit: number, contribution: number): LogitShare => ({ logit, weight: weight(logit), contribution });
  // The sizes of all parts that were written so far.
  let written = Math.abs(layers[0]?.pre ?? 0);
  const kepts = layers.map(({ terms, bias, ffn, pre, mid }, layer): KeptLayer => {
    const attention = terms.reduce((sum, logit) => sum + Math.abs(logit), Math.abs(bias));
    // Where blocks are parallel, both are parts of one state.
    const beside = written + attention + (parallelBlocks ? Math.abs(ffn) : 0);
    const after = written + attention + Math.abs(ffn);
    const of = (part: number, whole: number): number => (whole > 0 ? part / whole : 0);
    const keys: LogitKey[] = [];
    for (let key = 0; key <= position; key++) {
      const heads: Record<number, number> = {};
      const headLogits: Record<number, number> = {};
      let [logit, size] = [0, 0];
      for (let head = 0; head < nHeads; head++) {
        const j = key * nHeads + head;
        size += Math.abs(terms[j]);
        if (!kept.has(`${layer} ${j}`)) continue;
        headLogits[head] = terms[j];
        heads[head] = weight(terms[j]);
        logit += terms[j];
      }
      const shares = Object.values(heads);
      if (shares.length > 0)
        keys.push({
          key,
          logit,
          weight: shares.reduce((sum, share) => sum + share, 0),
          contribution: of(size, beside),
          heads,
          headLogits,
        });
    }
    const own = {
      keys,
      ffn: kept.has(`${layer} -1`) ? share(ffn, of(Math.abs(ffn), after)) : undefined,
      pre: share(pre, of(written, beside)),
      mid: share(mid, of(written + attention, after)),
    };
    written = after;
    return own;
  });
  return { position, layers: kepts };
}

/** Sums of the parts, by their sign, that are no edges into the column. */
export function restOfColumn(
  { position, layers }: LogitColumn,
  edges: readonly RouteEdge[],
): { readonly supports: number; readonly opposes: number } {
  let [supports, opposes] = [0, 0];
  const count = (logit: number, sign: 1 | -1): void => {
    if (logit > 0) supports += sign * logit;
    else opposes += sign * logit;
  };
  for (const { terms, bias, ffn } of layers) {
    terms.forEach((logit) => count(logit, 1));
    count(bias, 1);
    count(ffn, 1);
  }
  for (const { target, kind, logit, headLogits } of edges) {
    if (logit === undefined || kind === "residual" || parseNode(target)?.position !== position) continue;
    for (const part of headLogits ? Object.values(headLogits) : [logit]) count(part, -1);
  }
  return { supports, opposes };
}
