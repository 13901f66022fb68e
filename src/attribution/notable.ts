/** The terms of a row that can pass a threshold of at least `FLOOR`, one by one or summed over heads. */
export interface NotableTerms {
  /** Terms above the floor, j = key · H + head, ascending. */
  readonly indices: Uint32Array;
  /** Their contributions. */
  readonly values: Float32Array;
  /** The largest term, the first of equal ones, whether above the floor or not. */
  readonly best: number;
  readonly bestValue: number;
  readonly keys: NotableKeys;
  /** `[H]`: sums over all keys. Missing where not all were stored. */
  readonly heads?: Float32Array;
}

/** The keys of a row whose sum over heads is above a floor, and the query itself. */
export interface NotableKeys {
  /** Ascending; the last is the query. */
  readonly keys: Uint32Array;
  /** `[keys, H]`: all of their terms. */
  readonly terms: Float32Array;
}

/** Fewer than 1 / FLOOR terms of a row are above it, and as few keys, as all parts sum to 1. */
export const FLOOR = 1 / 256;

/** The terms above `floor`. */
export function notableTerms(terms: Float32Array, nHeads: number, floor = FLOOR): NotableTerms {
  const indices: number[] = [];
  let best = 0;
  const sums = new Float64Array(nHeads);
  for (let j = 0; j < terms.length; j++) {
    if (terms[j] > floor) indices.push(j);
    if (terms[j] > terms[best]) best = j;
    sums[j % nHeads] += terms[j];
  }
  return {
    indices: Uint32Array.from(indices),
    values: Float32Array.from(indices, (j) => terms[j]),
    best,
    bestValue: terms[best],
    keys: notableKeys(terms, nHeads, floor),
    heads: Float32Array.from(sums),
  };
}

/** The keys above `floor`. */
export function notableKeys(terms: Float32Array, nHeads: number, floor: number): NotableKeys {
  const last = terms.length / nHeads - 1;
  const keys: number[] = [];
  for (let key = 0; key <= last; key++) if (key === last || sumOverHeads(terms, key, nHeads) > floor) keys.push(key);
  const own = new Float32Array(keys.length * nHeads);
  keys.forEach((key, i) => own.set(terms.subarray(key * nHeads, (key + 1) * nHeads), i * nHeads));
  return { keys: Uint32Array.from(keys), terms: own };
}

/** The sum of row `index` of terms [.., H]. */
export function sumOverHeads(terms: Float32Array, index: number, nHeads: number): number {
  let sum = 0;
  for (let j = index * nHeads; j < (index + 1) * nHeads; j++) sum += terms[j];
  return sum;
}
