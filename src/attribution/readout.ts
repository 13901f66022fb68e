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
    // The mean is linear: taking it from the state or from the direction is the same.
    if (norm.kind === "layernorm") centre(direction);
    const size = sizeOf(state, norm);
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

/** An update [d] as the unembedding sees it, the norm's statistic that of `state` [d]. */
export function throughNorm(update: Float32Array, state: Float32Array, norm: ReadoutNorm | undefined): Float32Array {
  if (!norm) return update;
  const x = Float64Array.from(update);
  if (norm.kind === "layernorm") centre(x);
  const size = sizeOf(state, norm);
  return Float32Array.from(x, (value, i) => (value * (norm.weight?.[i] ?? 1)) / size);
}

/** What a soft cap `cap · tanh(logit / cap)` multiplies a logit with, where it came out as `capped`. */
export function capFactor(capped: number, cap: number | undefined): number {
  if (cap === undefined || capped === 0) return 1;
  const share = capped / cap;
  // Rounded, a capped logit can reach the cap itself.
  return share / Math.atanh(Math.max(-1 + 1e-7, Math.min(1 - 1e-7, share)));
}

function centre(x: Float64Array): void {
  const mean = x.reduce((sum, v) => sum + v, 0) / x.length;
  for (let i = 0; i < x.length; i++) x[i] -= mean;
}

/** What a norm divides `state` by. */
function sizeOf(state: Float32Array, { kind, epsilon }: ReadoutNorm): number {
  const x = Float64Array.from(state);
  if (kind === "layernorm") centre(x);
  return Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length + epsilon);
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
