import type { AttentionRow } from "./attention-row";
import { CONTROL } from "./jobs";
import { sharedPool } from "./pool";

/**
 * One layer's attention block as a sum of parts. T tokens, H heads, d model width. Arrays backed by SharedArrayBuffers
 * go to the threads without a copy; others are copied once a call.
 */
export interface AttentionBlock {
  readonly nTokens: number;
  readonly nHeads: number;
  readonly dModel: number;
  /** `[H, T, T]`, query before key. */
  readonly pattern: Float32Array;
  /** `[T, H, d]`: what head h writes per unit of attention to key k, value bias left out. */
  readonly valueOut: Float32Array;
  /** `[H, d]`: `b_V[h] W_O^h`, where it is to be part of each term. */
  readonly valueBiasOut?: Float32Array;
  /** `[T]`: multiplies terms and bias of a query (a norm behind the block, its statistic fixed). */
  readonly termScale?: Float32Array;
  /** `[T, d]`: the whole, `resid_mid`; `resid_post` where blocks are parallel. */
  readonly whole: Float32Array;
  /** `[T, d]`: `resid_pre`. */
  readonly residual: Float32Array;
  /** `[d]`: output bias, where it is to be a part. */
  readonly bias?: Float32Array;
  /** `[T, d]`: in its place, what of each whole is none of the other parts; not scaled. */
  readonly rest?: Float32Array;
  /** `[T, d]`: the FFN's output, where blocks are parallel. */
  readonly ffn?: Float32Array;
}

export type { AttentionRow } from "./attention-row";

/** Bytes of prepared wholes a thread holds at a time (8 bytes a value). */
const WHOLES_BYTES = 8 << 20;
/** Bytes of `value_out` a chunk: fits a core's second cache beside the wholes in use. */
const CHUNK_BYTES = 192 << 10;

function share(array: Float32Array): Float32Array {
  if (array.buffer instanceof SharedArrayBuffer) return array;
  const copy = new Float32Array(new SharedArrayBuffer(array.byteLength));
  copy.set(array);
  return copy;
}

/**
 * Contributions of every (key, head) term, the residual and, where given, bias and FFN to the wholes at `positions`, in
 * that order: `c(z) = max(‖y‖₁ − ‖z − y‖₁, ε) / Σ`, ε = 1e-5 (Ferrando & Voita 2024, equation 2). Keys after a query
 * have no part.
 */
export async function attentionRows(
  block: AttentionBlock,
  positions: readonly number[],
  signal?: AbortSignal,
): Promise<AttentionRow[]> {
  const { nHeads, dModel } = block;
  const ascending = [...new Set(positions)].sort((a, b) => a - b);
  const optional = (array: Float32Array | undefined): Float32Array | undefined => array && share(array);
  const inputs = {
    nTokens: block.nTokens,
    nHeads,
    dModel,
    pattern: share(block.pattern),
    valueOut: share(block.valueOut),
    valueBiasOut: optional(block.valueBiasOut),
    termScale: optional(block.termScale),
    whole: share(block.whole),
    residual: share(block.residual),
    bias: optional(block.bias),
    rest: optional(block.rest),
    ffn: optional(block.ffn),
  };
  const chunkTerms = Math.max(8, Math.min(512, Math.floor(CHUNK_BYTES / (dModel * 4))));
  const groupRows = Math.max(4, Math.floor(WHOLES_BYTES / (dModel * 8) / 4) * 4);
  const rows = new Map<number, AttentionRow>();
  for (let begin = 0; begin < ascending.length; begin += groupRows) {
    const group = ascending.slice(begin, begin + groupRows);
    const nTerms = (group[group.length - 1] + 1) * nHeads;
    const nOut = group.reduce((sum, position) => sum + (position + 1) * nHeads, 0);
    const terms = new Float32Array(new SharedArrayBuffer(nOut * 4));
    const others = new Float32Array(new SharedArrayBuffer(group.length * 12));
    const control = new Int32Array(new SharedArrayBuffer(CONTROL.length * 4));
    control[CONTROL.chunksLeft] = Math.ceil(nTerms / chunkTerms);
    await sharedPool().run({ ...inputs, positions: group, terms, others, chunkTerms, control }, signal);
    let at = 0;
    group.forEach((position, row) => {
      const length = (position + 1) * nHeads;
      rows.set(position, {
        position,
        terms: terms.subarray(at, at + length),
        residual: others[row * 3],
        bias: others[row * 3 + 1],
        ffn: others[row * 3 + 2],
      });
      at += length;
    });
  }
  return positions.map((position) => rows.get(position) as AttentionRow);
}

/** The event loop gets its turn after this many multiplications. */
const SLICE_STEPS = 1 << 22;

/** `[T, d]`: what is left of the wholes at `positions` without terms, residual and FFN; 0 at others. */
export async function restOfBlock(
  block: Omit<AttentionBlock, "bias" | "rest">,
  positions: readonly number[],
  signal?: AbortSignal,
): Promise<Float32Array> {
  const { nTokens, nHeads, dModel, pattern, valueOut, valueBiasOut, termScale, whole, residual, ffn } = block;
  const rest = new Float32Array(new SharedArrayBuffer(4 * nTokens * dModel));
  const sum = new Float64Array(dModel);
  let steps = 0;
  for (const position of positions) {
    const at = position * dModel;
    sum.fill(0);
    for (let head = 0; head < nHeads; head++) {
      let total = 0;
      for (let key = 0; key <= position; key++) {
        const weight = pattern[(head * nTokens + position) * nTokens + key];
        total += weight;
        if (weight === 0) continue;
        const from = (key * nHeads + head) * dModel;
        for (let i = 0; i < dModel; i++) sum[i] += weight * valueOut[from + i];
      }
      if (valueBiasOut) for (let i = 0; i < dModel; i++) sum[i] += total * valueBiasOut[head * dModel + i];
    }
    const scale = termScale ? termScale[position] : 1;
    for (let i = 0; i < dModel; i++)
      rest[at + i] = whole[at + i] - residual[at + i] - (ffn ? ffn[at + i] : 0) - sum[i] * scale;
    steps += (position + 1) * nHeads * dModel;
    if (steps > SLICE_STEPS) {
      steps = 0;
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    }
  }
  return rest;
}
