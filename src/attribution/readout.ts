import type { AttentionBlock, AttentionRow } from "./attention";
import { EPSILON } from "./jobs";

/**
 * How a logit, or the difference of two, is read out of the residual stream with the final norm's statistic fixed:
 * `logit = direction · resid_post + constant`.
 */
export interface Readout {
  /** `[d]` */
  readonly direction: Float64Array;
  readonly constant: number;
}

/** The final norm and the cap of the logits, as far as a readout needs them. */
export interface ReadoutNorm {
  readonly kind: "layernorm" | "rmsnorm";
  readonly epsilon: number;
  /** `[d]`, any offset already added. */
  readonly weight?: Float32Array;
  readonly bias?: Float32Array;
}

/**
 * The readout of one token at one state.
 *
 * @param state [d]: `resid_post` of the last layer
 * @param row [d]: the token's row of the unembedding
 * @param cap a soft cap `cap · tanh(logit / cap)` is taken as the factor that it is at this logit
 */
export function readoutOf(
  state: Float32Array,
  row: Float32Array,
  bias: number,
  norm: ReadoutNorm | undefined,
  scale = 1,
  cap?: number,
): Readout {
  const d = state.length;
  const direction = Float64Array.from(row, (w, i) => w * (norm?.weight?.[i] ?? 1) * scale);
  let constant = bias * scale;
  if (norm) {
    const centre = (x: Float64Array): void => {
      const mean = x.reduce((sum, v) => sum + v, 0) / d;
      for (let i = 0; i < d; i++) x[i] -= mean;
    };
    const centred = Float64Array.from(state);
    if (norm.kind === "layernorm") {
      centre(centred);
      // The mean is linear: taking it from the state or from the direction is the same.
      centre(direction);
    }
    const size = Math.sqrt(centred.reduce((sum, v) => sum + v * v, 0) / d + norm.epsilon);
    for (let i = 0; i < d; i++) {
      direction[i] /= size;
      constant += scale * row[i] * (norm.bias?.[i] ?? 0);
    }
  }
  if (cap !== undefined) {
    const logit = dot(direction, state, 0) + constant;
    const factor = logit === 0 ? 1 : (cap * Math.tanh(logit / cap)) / logit;
    for (let i = 0; i < d; i++) direction[i] *= factor;
    constant *= factor;
  }
  return { direction, constant };
}

/** What reads out the difference of two logits. */
export function difference(a: Readout, b: Readout): Readout {
  return { direction: a.direction.map((x, i) => x - b.direction[i]), constant: a.constant - b.constant };
}

/** `direction · rows[at ...]` */
export function dot(direction: Float64Array, rows: ArrayLike<number>, at: number): number {
  let sum = 0;
  for (let i = 0; i < direction.length; i++) sum += direction[i] * rows[at + i];
  return sum;
}

/** The contribution formula in one dimension: all parts and the whole are numbers along a direction. */
function along(part: number, whole: number): number {
  return Math.max(Math.abs(whole) - Math.abs(whole - part), EPSILON);
}

/** The event loop gets its turn after this many multiplications. */
const SLICE_STEPS = 1 << 20;

/** Contributions at one query, all parts measured along a direction instead of by their l1 norm. */
export async function attentionRowAlong(
  direction: Float64Array,
  block: AttentionBlock,
  position: number,
): Promise<AttentionRow> {
  const { nTokens, nHeads, dModel, pattern, valueOut, valueBiasOut, termScale } = block;
  const at = position * dModel;
  const whole = dot(direction, block.whole, at);
  const scale = termScale ? termScale[position] : 1;
  const terms = new Float64Array((position + 1) * nHeads);
  const biases = Array.from({ length: nHeads }, (_, head) =>
    valueBiasOut ? dot(direction, valueBiasOut, head * dModel) : 0,
  );
  let sum = 0;
  let steps = 0;
  for (let j = 0; j < terms.length; j++) {
    if ((steps += dModel) > SLICE_STEPS) {
      steps = 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
    const key = Math.floor(j / nHeads);
    const head = j - key * nHeads;
    const attention = pattern[(head * nTokens + position) * nTokens + key] * scale;
    sum += terms[j] = along(attention * (dot(direction, valueOut, j * dModel) + biases[head]), whole);
  }
  const residual = along(dot(direction, block.residual, at), whole);
  const bias = block.bias ? along(dot(direction, block.bias, 0) * scale, whole) : 0;
  const ffn = block.ffn ? along(dot(direction, block.ffn, at), whole) : 0;
  sum += residual + bias + ffn;
  return {
    position,
    terms: Float32Array.from(terms, (c) => c / sum),
    residual: residual / sum,
    bias: bias / sum,
    ffn: ffn / sum,
  };
}

/** The same for a block with two parts, each [T, d]. */
export function pairAlong(
  direction: Float64Array,
  first: Float32Array,
  second: Float32Array,
  whole: Float32Array,
  position: number,
): readonly [number, number] {
  const at = position * direction.length;
  const y = dot(direction, whole, at);
  const a = along(dot(direction, first, at), y);
  const b = along(dot(direction, second, at), y);
  return [a / (a + b), b / (a + b)];
}
