/** What a layer's graph is told of positions: the mask with ALiBi's distances, and the rotary tables. */
import { roundToHalf } from "./precision";
import type { Array32 } from "./sessions";

/** Tokens that a graph sees as queries: `nTokens` of them, the first at position `from`. */
export interface Queries {
  readonly from: number;
  readonly nTokens: number;
  /** Places for the keys before them, of which the first `from` are filled. Default `from`. */
  readonly slots?: number;
}

/**
 * Added to the scores: −∞ where a query may not look, else ALiBi's slope times the distance, or 0. [T, S], or [H, T, S]
 * with slopes; S counts the slots of earlier keys and the queries' own.
 */
export function mask(
  { from, nTokens, slots = from }: Queries,
  window = Infinity,
  slopes?: Float64Array,
  roundedScale?: number,
): Array32 {
  const heads = slopes ?? Float64Array.of(0);
  const total = from + nTokens;
  // [head, position]: what is added to the scores of a key there, up to a constant that softmax does not see.
  let bias = Float64Array.from({ length: heads.length * total }, (_, i) => heads[Math.floor(i / total)] * (i % total));
  if (roundedScale !== undefined) {
    const positions = roundToHalf(
      Float32Array.from({ length: total }, (_, position) => position),
      "bfloat16",
    );
    const rounded = roundToHalf(Float32Array.from(heads), "bfloat16");
    const products = roundToHalf(
      Float32Array.from(bias, (_, i) => rounded[Math.floor(i / total)] * positions[i % total]),
      "bfloat16",
    );
    bias = Float64Array.from(products, (product) => product * roundedScale);
  }
  const width = slots + nTokens;
  const data = new Float32Array(heads.length * nTokens * width).fill(-Infinity);
  for (let head = 0; head < heads.length; head++) {
    for (let row = 0; row < nTokens; row++) {
      const query = from + row;
      const at = (head * nTokens + row) * width;
      for (let key = Math.max(0, query - window + 1); key <= query; key++)
        data[at + (key < from ? key : slots + key - from)] = bias[head * total + key] - bias[head * total + query];
    }
  }
  return { data, dims: slopes ? [heads.length, nTokens, width] : [nTokens, width] };
}

/** `[T, dims / 2]`: cos or sin of the queries' positions. */
export function rotaryTable(
  of: "cos" | "sin",
  frequencies: Float64Array,
  scale: number,
  { from, nTokens }: Queries,
): Array32 {
  const half = frequencies.length;
  const data = new Float32Array(nTokens * half);
  for (let row = 0; row < nTokens; row++) {
    for (let i = 0; i < half; i++) data[row * half + i] = Math[of]((from + row) * frequencies[i]) * scale;
  }
  return { data, dims: [nTokens, half] };
}
