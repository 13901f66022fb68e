/** The strongest of many parts, kept in bounded memory. */
import fc from "fast-check";
import { Strongest } from "../../src/attribution/relp";

test("the strongest of any parts, in their order, and the sums of all", () =>
  fc.assert(
    fc.property(
      // Few values, so that many are equal.
      fc.array(fc.integer({ min: -9, max: 9 }), { maxLength: 200 }),
      fc.integer({ min: 1, max: 20 }),
      (values, most) => {
        const strongest = new Strongest(most);
        values.forEach((value, i) => strongest.add(i, 0, 0, 0, value));
        const expected = values
          .map((relevance, layer) => ({ layer, position: 0, index: 0, key: 0, relevance }))
          .sort((a, b) => Math.abs(b.relevance) - Math.abs(a.relevance) || a.layer - b.layer);
        for (const count of [1, 3, most, 1000])
          expect(strongest.top(count)).toEqual(expected.slice(0, Math.min(count, most)));
        const sum = (of: (value: number) => number): number => values.reduce((total, value) => total + of(value), 0);
        expect(strongest.size).toBe(sum(Math.abs));
        expect(strongest.supports).toBe(sum((value) => Math.max(value, 0)));
        expect(strongest.opposes).toBe(sum((value) => Math.min(value, 0)));
        expect(strongest.length).toBe(Math.min(values.length, most));
        expect(strongest.complete).toBe(values.length <= most);
      },
    ),
    { numRuns: 500 },
  ));
