import { readFileSync } from "node:fs";
import { join } from "node:path";
import { STORED_TYPES } from "../../src/model/dequantize";
import { halfValues } from "../../src/model/stored-type";
import type { WeightType } from "../../src/model/weights";

/** Blocks of random bytes and their values by the gguf package (test/reference/gguf_values.py). */
const reference = JSON.parse(readFileSync(join(__dirname, "data/gguf-values.json"), "utf8")) as Record<
  string,
  { bytes: string; values: string }
>;

function decode(type: WeightType, bytes: Uint8Array): Float32Array {
  const stored = STORED_TYPES.get(type);
  if (stored === undefined) throw new Error(`no ${type}`);
  const blocks = bytes.length / stored.bytes;
  const target = new Float32Array(blocks * stored.block + 3);
  stored.decode(bytes, blocks, target, 3);
  return target.subarray(3);
}

test("every quantised type is covered by the reference", () => {
  expect(Object.keys(reference).sort()).toEqual(
    [...STORED_TYPES.keys()].filter((type) => type !== "F32" && type !== "F64").sort(),
  );
});

test.each(Object.keys(reference))("%s equals the gguf package to the bit", (type) => {
  const values = new Float32Array(new Uint8Array(Buffer.from(reference[type].values, "base64")).buffer);
  const ours = decode(type as WeightType, new Uint8Array(Buffer.from(reference[type].bytes, "base64")));
  expect(ours.length).toBe(values.length);
  const different = [...values.keys()].filter(
    (i) => !Object.is(ours[i], values[i]) && !(ours[i] === 0 && values[i] === 0),
  );
  expect(different).toEqual([]);
});

test("F32 and F64 pass through", () => {
  const numbers = [1.5, -0, 3e38, 1e-40, Infinity];
  expect([...decode("F32", new Uint8Array(Float32Array.from(numbers).buffer))]).toEqual(numbers.map(Math.fround));
  expect([...decode("F64", new Uint8Array(Float64Array.from(numbers).buffer))]).toEqual(numbers.map(Math.fround));
});

test("float16 has its special values", () => {
  const half = halfValues();
  expect([half[0x3c00], half[0xbc00], half[0x7bff], half[0x0001], half[0x7c00], half[0xfc00]]).toEqual([
    1,
    -1,
    65504,
    2 ** -24,
    Infinity,
    -Infinity,
  ]);
  expect(half[0x7e00]).toBeNaN();
  expect(Object.is(half[0x8000], -0)).toBe(true);
});
