import type { NeuronContribution } from "../model/types";
import { EPSILON } from "./jobs";

/**
 * `‖y‖₁ − ‖y − z‖₁`, z = `factor · part`, for rows of length d that start at `partAt` and `wholeAt`; summed in float64.
 */
export function proximity(
  part: Float32Array,
  partAt: number,
  whole: Float32Array,
  wholeAt: number,
  d: number,
  factor = 1,
): number {
  let sum = 0;
  for (let i = 0; i < d; i++) {
    const y = whole[wholeAt + i];
    sum += Math.abs(y) - Math.abs(y - factor * part[partAt + i]);
  }
  return sum;
}

/** `‖y‖₁` of row `position` of [T, d]. */
export function sizeOfRow(whole: Float32Array, position: number, d: number): number {
  let sum = 0;
  for (let i = position * d; i < (position + 1) * d; i++) sum += Math.abs(whole[i]);
  return sum;
}

/**
 * Contributions of a block with two parts to their sum at one position; they sum to 1. Each array is [T, d].
 */
export function pairContributions(
  first: Float32Array,
  second: Float32Array,
  whole: Float32Array,
  position: number,
  d: number,
): readonly [number, number] {
  const at = position * d;
  const a = Math.max(proximity(first, at, whole, at, d), EPSILON);
  const b = Math.max(proximity(second, at, whole, at, d), EPSILON);
  return [a / (a + b), b / (a + b)];
}

/**
 * Contributions of single neurons to `resid_post` at one position, best first (equal ones by index); together with that
 * of the one other part, everything the FFN was added to, they sum to 1.
 *
 * @param proximities [f]: `‖y‖₁ − ‖y − a[n] W_out[n]‖₁`
 * @param other the same of the one other part
 * @param activations [f]: what W_out's rows are multiplied with
 * @param logits [f]: what each adds to a logit; where given, they are listed by its size
 */
export function neuronContributions(
  proximities: ArrayLike<number>,
  other: number,
  activations: Float32Array,
  topK = proximities.length,
  logits?: Float64Array,
): NeuronContribution[] {
  const f = proximities.length;
  let sum = Math.max(other, EPSILON);
  for (let n = 0; n < f; n++) sum += Math.max(proximities[n], EPSILON);
  const order = Uint32Array.from({ length: f }, (_, n) => n);
  // Neurons at the floor tie exactly.
  const value = (n: number): number => Math.max(proximities[n], EPSILON);
  order.sort((a, b) => (logits ? Math.abs(logits[b]) - Math.abs(logits[a]) || a - b : value(b) - value(a) || a - b));
  return Array.from(order.subarray(0, topK), (neuron) => ({
    neuron,
    activation: activations[neuron],
    contribution: value(neuron) / sum,
    ...(logits ? { logit: logits[neuron] } : {}),
  }));
}
