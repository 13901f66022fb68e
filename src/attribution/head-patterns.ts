/**
 * What attention heads attend to, as scores: the attention that falls on keys of a kind, averaged over the queries that
 * have such keys. Previous token and induction: Elhage et al. 2021, Olsson et al. 2022; duplicate token: Wang et al.
 * 2022.
 */
export const HEAD_PATTERNS = ["previous token", "first token", "induction", "duplicate token"] as const;
/** A pattern that heads follow; docs/method.md has the definitions and their sources. */
export type HeadPattern = (typeof HEAD_PATTERNS)[number];

/**
 * The keys each query would attend to if a head did nothing but one pattern; empty where a query does not count.
 * Queries 0 and 1 count for none: there, first, previous and own token are hardly different keys.
 *
 * - previous token: the key before the query
 * - first token: key 0
 * - induction: keys that follow an earlier occurrence of the query's token
 * - duplicate token: earlier occurrences of the query's token
 */
export function patternKeys(tokenIds: readonly number[]): Record<HeadPattern, number[][]> {
  const keys: Record<HeadPattern, number[][]> = {
    "previous token": [],
    "first token": [],
    induction: [],
    "duplicate token": [],
  };
  const earlier = new Map<number, number[]>();
  tokenIds.forEach((id, query) => {
    const same = earlier.get(id) ?? [];
    const counts = query >= 2;
    keys["previous token"].push(counts ? [query - 1] : []);
    keys["first token"].push(counts ? [0] : []);
    keys["duplicate token"].push(counts ? [...same] : []);
    // After the token just before comes the query itself, which says nothing.
    keys.induction.push(counts ? same.map((key) => key + 1).filter((key) => key < query) : []);
    earlier.set(id, [...same, query]);
  });
  return keys;
}

/**
 * Adds one layer's attention to sums by pattern and head.
 *
 * @param pattern [H, T, T]
 * @param sums by pattern [H]
 * @returns number of queries that counted, by pattern
 */
export function addPatterns(
  pattern: Float32Array,
  nHeads: number,
  keys: Record<HeadPattern, number[][]>,
  sums: Record<HeadPattern, Float64Array>,
): Record<HeadPattern, number> {
  const counted: Record<HeadPattern, number> = {
    "previous token": 0,
    "first token": 0,
    induction: 0,
    "duplicate token": 0,
  };
  for (const name of HEAD_PATTERNS) {
    const nTokens = keys[name].length;
    keys[name].forEach((own, query) => {
      if (own.length === 0) return;
      counted[name]++;
      for (let head = 0; head < nHeads; head++) {
        for (const key of own) sums[name][head] += pattern[(head * nTokens + query) * nTokens + key];
      }
    });
  }
  return counted;
}
