import type { AttentionBlock } from "./attention";
import { proximity, sizeOfRow } from "./contributions";

/** Signed proximities at one query position: `(‖y‖₁ − ‖y − z‖₁) / ‖y‖₁` of each part z of the whole y. */
export interface SignedRow {
  readonly position: number;
  /** `[position + 1, H]`: key, head. */
  readonly terms: Float32Array;
  readonly residual: number;
  /** 0 where the bias is no part. */
  readonly bias: number;
  /** 0 where blocks are not parallel. */
  readonly ffn: number;
}

/** The event loop gets its turn after this many multiplications. */
const SLICE_STEPS = 1 << 21;

/**
 * Signed proximities of every (key, head) term and of what stands beside them, in float64, one row after the other: they
 * are asked for by single clicks. Cost: T · H · d steps a row.
 */
export async function signedRows(
  block: AttentionBlock,
  positions: readonly number[],
  signal?: AbortSignal,
): Promise<SignedRow[]> {
  const { nTokens, nHeads, dModel, pattern, valueOut, valueBiasOut, termScale, whole, residual, bias, rest, ffn } =
    block;
  const rows: SignedRow[] = [];
  let steps = 0;
  for (const position of positions) {
    const at = position * dModel;
    const size = sizeOfRow(whole, position, dModel) || 1;
    const scale = termScale ? termScale[position] : 1;
    const written = new Float32Array(dModel);
    const terms = new Float32Array((position + 1) * nHeads);
    for (let j = 0; j < terms.length; j++) {
      const key = Math.floor(j / nHeads);
      const head = j - key * nHeads;
      const factor = pattern[(head * nTokens + position) * nTokens + key] * scale;
      let part = valueOut;
      let partAt = j * dModel;
      if (valueBiasOut) {
        for (let i = 0; i < dModel; i++) written[i] = valueOut[j * dModel + i] + valueBiasOut[head * dModel + i];
        [part, partAt] = [written, 0];
      }
      terms[j] = factor === 0 ? 0 : proximity(part, partAt, whole, at, dModel, factor) / size;
      if ((steps += dModel) > SLICE_STEPS) {
        steps = 0;
        await new Promise((resolve) => setImmediate(resolve));
        signal?.throwIfAborted();
      }
    }
    rows.push({
      position,
      terms,
      residual: proximity(residual, at, whole, at, dModel) / size,
      bias: rest
        ? proximity(rest, at, whole, at, dModel) / size
        : bias
          ? proximity(bias, 0, whole, at, dModel, scale) / size
          : 0,
      ffn: ffn ? proximity(ffn, at, whole, at, dModel) / size : 0,
    });
  }
  return rows;
}
