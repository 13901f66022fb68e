/** Reading scores over a vocabulary: the best, the worst, ranks, probabilities. Ties go to the smaller id, always. */

/** True where `a` comes before `b` among best-first ids. */
function before(scores: Float32Array, a: number, b: number): boolean {
  return scores[a] > scores[b] || (scores[a] === scores[b] && a < b);
}

/** Ids of the `k` highest scores, best first; NaN is refused. One pass with a heap of k. */
export function topIds(scores: Float32Array, k: number): number[] {
  const size = Math.min(k, scores.length);
  if (size <= 0) return [];
  // A heap with the worst of the best at its root.
  const heap: number[] = [];
  const down = (start: number): void => {
    let i = start;
    for (;;) {
      let worst = i;
      const left = 2 * i + 1;
      if (left < heap.length && before(scores, heap[worst], heap[left])) worst = left;
      if (left + 1 < heap.length && before(scores, heap[worst], heap[left + 1])) worst = left + 1;
      if (worst === i) return;
      [heap[i], heap[worst]] = [heap[worst], heap[i]];
      i = worst;
    }
  };
  for (let id = 0; id < scores.length; id++) {
    if (Number.isNaN(scores[id])) throw new RangeError(`The score of token ${id} is not a number.`);
    if (heap.length < size) {
      heap.push(id);
      if (heap.length === size) for (let i = size >> 1; i >= 0; i--) down(i);
    } else if (scores[id] > scores[heap[0]]) {
      heap[0] = id;
      down(0);
    }
  }
  return heap.sort((a, b) => (before(scores, a, b) ? -1 : 1));
}

/** Ids of the `k` lowest scores, lowest first. */
export function bottomIds(scores: Float32Array, k: number): number[] {
  return topIds(
    scores.map((score) => -score),
    k,
  );
}

/** The rank of each of `ids` (0 is best), in one pass over the scores. */
export function ranks(scores: Float32Array, ids: readonly number[]): number[] {
  const sorted = [...ids].sort((a, b) => (before(scores, a, b) ? -1 : a === b ? 0 : 1));
  // ahead[i]: how many ids lie between sorted[i - 1] and sorted[i].
  const ahead = new Float64Array(sorted.length + 1);
  const last = sorted[sorted.length - 1];
  for (let id = 0; id < scores.length; id++) {
    if (sorted.length === 0 || !before(scores, id, last)) continue;
    let low = 0;
    let high = sorted.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (before(scores, id, sorted[middle])) high = middle;
      else low = middle + 1;
    }
    ahead[low]++;
  }
  const rankOf = new Map<number, number>();
  let rank = 0;
  sorted.forEach((id, i) => {
    rank += ahead[i];
    rankOf.set(id, rank);
  });
  return ids.map((id) => rankOf.get(id) as number);
}

/** `softmax(scores)[id]` for each of `ids`, in float64. */
export function probabilities(scores: Float32Array, ids: readonly number[]): number[] {
  let largest = -Infinity;
  for (const score of scores) if (score > largest) largest = score;
  let sum = 0;
  for (let i = 0; i < scores.length; i++) sum += Math.exp(scores[i] - largest);
  return ids.map((id) => Math.exp(scores[id] - largest) / sum);
}
