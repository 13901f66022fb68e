/** The terms of a row that can pass a threshold of at least `FLOOR`. */
export interface NotableTerms {
  /** Terms above the floor, j = key · H + head, ascending. */
  readonly indices: Uint32Array;
  /** Their contributions. */
  readonly values: Float32Array;
  /** The largest term, the first of equal ones, whether above the floor or not. */
  readonly best: number;
  readonly bestValue: number;
}

/** Fewer than 1 / FLOOR terms of a row are above it, as all parts sum to 1. */
export const FLOOR = 1 / 256;

/** The terms above `floor`. */
export function notableTerms(terms: Float32Array, floor = FLOOR): NotableTerms {
  const indices: number[] = [];
  let best = 0;
  for (let j = 0; j < terms.length; j++) {
    if (terms[j] > floor) indices.push(j);
    if (terms[j] > terms[best]) best = j;
  }
  return { indices: Uint32Array.from(indices), values: Float32Array.from(indices, j => terms[j]), best, bestValue: terms[best] };
}
