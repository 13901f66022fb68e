import { nodeName, parseNode } from "../model/names";
import type { NodeName } from "../model/types";

/**
 * Which token of one prompt is which of another: so that what is selected in one run is found in the other, and their
 * difference is of the same places.
 */
export interface Alignment {
  /** For each token of the first prompt its place in the second, −1 where it has none there. */
  readonly forth: Int32Array;
  /** The same the other way round. */
  readonly back: Int32Array;
}

/** Beyond so many pairs of tokens only the beginning and the end that two prompts share are found. */
const MOST_PAIRS = 4_000_000;

/**
 * Aligns two prompts by their tokens' texts: by a longest common subsequence (Hunt & Szymanski 1977); what lies between
 * two of its tokens was exchanged for one another and is paired from the right, where sentences end alike; the rest has
 * no partner. Prompts of one length are aligned place by place where that leaves as many tokens equal: one was made from
 * the other by exchanging words.
 *
 * @param first texts of the first prompt's tokens
 * @param second texts of the second prompt's tokens
 */
export function alignTokens(
  first: readonly (string | undefined)[],
  second: readonly (string | undefined)[],
): Alignment {
  const forth = new Int32Array(first.length).fill(-1);
  const back = new Int32Array(second.length).fill(-1);
  const pair = (a: number, b: number): void => {
    forth[a] = b;
    back[b] = a;
  };
  const anchors = commonTokens(first, second);
  const inPlace = first.reduce((count, text, i) => count + (text === second[i] ? 1 : 0), 0);
  if (first.length === second.length && inPlace >= anchors.length) {
    first.forEach((_, i) => pair(i, i));
    return { forth, back };
  }
  let [a, b] = [0, 0];
  for (const [nextA, nextB] of [...anchors, [first.length, second.length] as const]) {
    for (let i = nextA - 1, j = nextB - 1; i >= a && j >= b; i--, j--) pair(i, j);
    if (nextA < first.length && nextB < second.length) pair(nextA, nextB);
    [a, b] = [nextA + 1, nextB + 1];
  }
  return { forth, back };
}

/** Places of a longest common subsequence in both, in order; of very long prompts their common beginning and end. */
function commonTokens(
  first: readonly (string | undefined)[],
  second: readonly (string | undefined)[],
): (readonly [number, number])[] {
  let [from, endA, endB] = [0, first.length, second.length];
  const end: (readonly [number, number])[] = [];
  while (endA > 0 && endB > 0 && first[endA - 1] === second[endB - 1]) end.unshift([--endA, --endB]);
  const common: (readonly [number, number])[] = [];
  while (from < endA && from < endB && first[from] === second[from]) common.push([from, from++]);
  const [n, m] = [endA - from, endB - from];
  if (n * m > 0 && n * m <= MOST_PAIRS) {
    // lengths[i][j]: of the longest common subsequence of what is left from i and from j on.
    const lengths = new Uint16Array((n + 1) * (m + 1));
    const at = (i: number, j: number): number => i * (m + 1) + j;
    for (let i = n - 1; i >= 0; i--)
      for (let j = m - 1; j >= 0; j--)
        lengths[at(i, j)] =
          first[from + i] === second[from + j]
            ? lengths[at(i + 1, j + 1)] + 1
            : Math.max(lengths[at(i + 1, j)], lengths[at(i, j + 1)]);
    for (let i = 0, j = 0; i < n && j < m;) {
      if (first[from + i] === second[from + j]) common.push([from + i++, from + j++]);
      else if (lengths[at(i + 1, j)] >= lengths[at(i, j + 1)]) i++;
      else j++;
    }
  }
  return [...common, ...end];
}

/** Of an edge, what says where it is. */
interface Placed {
  readonly source: NodeName;
  readonly target: NodeName;
  readonly kind: string;
}

/**
 * States whose parts have to be known to compare two routes: those into which an edge of the other side leads that is
 * not on this one. In a fixed order, so that the question about them is the same wherever it is asked.
 *
 * @param forth for each token of the other prompt its place in this one
 */
export function unseenTargets(own: Iterable<Placed>, other: Iterable<Placed>, forth: Int32Array): NodeName[] {
  const known = new Set<string>();
  for (const { source, target, kind } of own) known.add(`${source} ${target} ${kind}`);
  const names = new Set<NodeName>();
  for (const { source, target, kind } of other) {
    const [from, to] = [parseNode(source), parseNode(target)];
    if (!from || !to || kind === "ffn-in") continue;
    const [a, b] = [forth[from.position] ?? -1, forth[to.position] ?? -1];
    if (a < 0 || b < 0) continue;
    const [here, into] = [nodeName(from.kind, from.layer, a), nodeName(to.kind, to.layer, b)];
    if (!known.has(`${here} ${into} ${kind}`)) names.add(into);
  }
  return [...names].sort();
}
