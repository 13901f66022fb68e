import fc from "fast-check";
import { effectTokens, lensTokens } from "../../src/lens/lens";
import { bottomIds, probabilities, ranks, topIds } from "../../src/lens/vocabulary";

// Few distinct values, so that ties are common.
const scores = fc
  .array(fc.constantFrom(-3, -1, -0, 0, 0.5, 2, 7), { minLength: 1, maxLength: 60 })
  .map((values) => Float32Array.from(values));
const bestFirst = (s: Float32Array): number[] => Array.from(s.keys()).sort((a, b) => s[b] - s[a] || a - b);
const worstFirst = (s: Float32Array): number[] => Array.from(s.keys()).sort((a, b) => s[a] - s[b] || a - b);

test("best, worst and ranks equal a full sort, ties by id", () => {
  fc.assert(
    fc.property(scores, fc.integer({ min: 0, max: 70 }), fc.array(fc.nat(), { maxLength: 12 }), (s, k, picks) => {
      expect(topIds(s, k)).toEqual(bestFirst(s).slice(0, k));
      expect(bottomIds(s, k)).toEqual(worstFirst(s).slice(0, k));
      const ids = picks.map((pick) => pick % s.length);
      const order = bestFirst(s);
      expect(ranks(s, ids)).toEqual(ids.map((id) => order.indexOf(id)));
    }),
    { numRuns: 500 },
  );
});

test("probabilities are a softmax, also of large scores and after a mask", () => {
  const s = Float32Array.from([1000, 1000, 999, -Infinity]);
  const e = Math.exp(-1);
  const p = probabilities(s, [0, 1, 2, 3]);
  [1, 1, e, 0].forEach((x, i) => expect(p[i]).toBeCloseTo(x / (2 + e), 12));
});

test("rank change counts against the state below, and is left out at the bottom", () => {
  const token = (id: number) => ({ id, text: String(id) });
  const here = Float32Array.from([1, 3, 2]);
  const below = Float32Array.from([5, 1, 2]);
  expect(lensTokens(here, below, 3, token).map(({ id, rank, rankChange }) => [id, rank, rankChange])).toEqual([
    [1, 0, 2],
    [2, 1, 0],
    [0, 2, -2],
  ]);
  expect(lensTokens(here, undefined, 3, token).every((entry) => !("rankChange" in entry))).toBe(true);
  expect(effectTokens(here, 1, token)).toEqual({
    promoted: [{ id: 1, text: "1", score: 3 }],
    suppressed: [{ id: 0, text: "0", score: 1 }],
  });
});

test("a score that is no number is refused", () => {
  expect(() => topIds(Float32Array.from([1, NaN]), 1)).toThrow("The score of token 1 is not a number.");
});
