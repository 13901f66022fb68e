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
export function dot(direction: Float64Array | Float32Array, rows: ArrayLike<number>, at: number): number {
  let sum = 0;
  for (let i = 0; i < direction.length; i++) sum += direction[i] * rows[at + i];
  return sum;
}
