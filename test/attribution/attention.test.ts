import fc from "fast-check";
import { attentionRows, type AttentionBlock } from "../../src/attribution/attention";
import { maxDifference } from "../support/fixtures";
import { referenceRow } from "../support/contributions-reference";
import { random } from "../support/toy-model";

interface BlockShape {
  readonly T: number;
  readonly H: number;
  readonly d: number;
  readonly seed: number;
  readonly inTerms: boolean;
  readonly scaled: boolean;
  readonly bias: boolean;
  readonly parallel: boolean;
  readonly window: number;
  readonly shared: boolean;
}

/** An attention block whose parts sum to its whole. Keys outside `window` have attention 0. */
function makeBlock({ T, H, d, seed, inTerms, scaled, bias, parallel, window, shared }: BlockShape): AttentionBlock {
  const next = random(seed);
  const array = (length: number, scale = 1): Float32Array => {
    const data = new Float32Array(shared ? new SharedArrayBuffer(length * 4) : new ArrayBuffer(length * 4));
    for (let i = 0; i < length; i++) data[i] = next() * scale;
    return data;
  };
  const pattern = array(H * T * T);
  for (let h = 0; h < H; h++) {
    for (let q = 0; q < T; q++) {
      const at = (h * T + q) * T;
      let sum = 0;
      for (let k = 0; k < T; k++) sum += pattern[at + k] = k > q || k + window <= q ? 0 : Math.exp(4 * pattern[at + k]);
      for (let k = 0; k < T; k++) pattern[at + k] /= sum;
    }
  }
  const valueOut = array(T * H * d);
  const valueBiasOut = inTerms ? array(H * d, 0.5) : undefined;
  const termScale = scaled ? array(T).map((x) => Math.abs(x) + 0.1) : undefined;
  const residual = array(T * d);
  const constant = array(d, 0.4);
  const ffn = parallel ? array(T * d) : undefined;
  const whole = array(T * d, 0);
  for (let q = 0; q < T; q++) {
    for (let i = 0; i < d; i++) {
      let sum = constant[i];
      for (let k = 0; k <= q; k++)
        for (let h = 0; h < H; h++)
          sum += pattern[(h * T + q) * T + k] * (valueOut[(k * H + h) * d + i] + (valueBiasOut?.[h * d + i] ?? 0));
      whole[q * d + i] = sum * (termScale?.[q] ?? 1) + residual[q * d + i] + (ffn?.[q * d + i] ?? 0);
    }
  }
  return {
    nTokens: T,
    nHeads: H,
    dModel: d,
    pattern,
    valueOut,
    valueBiasOut,
    termScale,
    whole,
    residual,
    ffn,
    bias: bias ? constant : undefined,
  };
}

async function expectRows(block: AttentionBlock, positions: readonly number[]): Promise<void> {
  const rows = await attentionRows(block, positions);
  expect(rows.map(({ position }) => position)).toEqual([...positions]);
  for (const actual of rows) {
    const expected = referenceRow(block, actual.position);
    expect(maxDifference(actual.terms, expected.terms)).toBeLessThan(2e-6);
    expect(
      maxDifference([actual.residual, actual.bias, actual.ffn], [expected.residual, expected.bias, expected.ffn]),
    ).toBeLessThan(2e-6);
    const sum = actual.terms.reduce((a, b) => a + b, actual.residual + actual.bias + actual.ffn);
    expect(Math.abs(sum - 1)).toBeLessThan(1e-5);
  }
}

const plain = { seed: 7, inTerms: false, scaled: false, bias: false, parallel: false, window: 1e9, shared: true };

test("every part equals the formula, for any shape and any choice of rows", async () => {
  const shapes = fc.record({
    T: fc.integer({ min: 1, max: 11 }),
    H: fc.integer({ min: 1, max: 5 }),
    d: fc.integer({ min: 1, max: 37 }),
    seed: fc.integer(),
    inTerms: fc.boolean(),
    scaled: fc.boolean(),
    bias: fc.boolean(),
    parallel: fc.boolean(),
    window: fc.integer({ min: 1, max: 12 }),
    shared: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(shapes, fc.array(fc.nat(), { minLength: 1, maxLength: 14 }), (shape, picks) =>
      expectRows(
        makeBlock(shape),
        picks.map((pick) => pick % shape.T),
      ),
    ),
    { numRuns: 150 },
  );
});

test("more terms than a chunk and more rows than a group", async () => {
  await expectRows(makeBlock({ ...plain, T: 70, H: 12, d: 96 }), [69, 0, 33, 34, 35]);
  // 8 MiB of wholes are 128 rows at d = 8192.
  await expectRows(makeBlock({ ...plain, T: 131, H: 1, d: 8192 }), [130, 128, 127, 126, 2, 1, 0]);
});

test("small parts are not drowned by rounding: 2,000 terms below the floor stay at the floor", async () => {
  const [T, H, d] = [200, 10, 64];
  const block = makeBlock({ ...plain, T, H, d });
  block.pattern.fill(1e-9);
  for (let i = 0; i < T * d; i++) block.whole[i] = (i % 2 ? 1 : -1) * (300 + (i % 7));
  block.residual.set(block.whole);
  const [{ terms, residual }] = await attentionRows(block, [T - 1]);
  const whole = block.whole.subarray((T - 1) * d).reduce((sum, y) => sum + Math.abs(y), 0);
  expect(terms[0] / (1e-5 / (whole + T * H * 1e-5))).toBeCloseTo(1, 3);
  expect(new Set(terms).size).toBe(1);
  expect(Math.abs(residual - whole / (whole + T * H * 1e-5))).toBeLessThan(1e-7);
});

test("an abort rejects with its reason, and the threads go on serving", async () => {
  const block = makeBlock({ ...plain, T: 40, H: 4, d: 64 });
  const controller = new AbortController();
  const running = attentionRows(block, [39, 38, 37], controller.signal);
  controller.abort(new Error("enough"));
  await expect(running).rejects.toThrow("enough");
  await expect(attentionRows(block, [1], controller.signal)).rejects.toThrow("enough");
  await expectRows(block, [39]);
});

test("many questions at once get their own answers", async () => {
  const blocks = Array.from({ length: 8 }, (_, i) => makeBlock({ ...plain, seed: i + 1, T: 9 + i, H: 3, d: 20 + i }));
  await Promise.all(blocks.map((block, i) => expectRows(block, [8 + i, 0, 5])));
});
