/** Values of stored number types as float32. Block formats: https://github.com/ggml-org/ggml (ggml-common.h). */
import type { WeightType } from "./weights";

/** One stored type: blocks of `block` values, each `bytes` long. `decode` writes `blocks * block` values at `to`. */
export interface StoredType {
  readonly block: number;
  readonly bytes: number;
  decode(from: Uint8Array, blocks: number, target: Float32Array, to: number): void;
}

let halfTable: Float32Array | undefined;

/** [65536]: the value of every float16 bit pattern. */
export function halfValues(): Float32Array {
  if (halfTable === undefined) {
    halfTable = new Float32Array(65536);
    for (let bits = 0; bits < 65536; bits++) {
      const exponent = (bits >> 10) & 31;
      const fraction = bits & 1023;
      const magnitude =
        exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? (fraction === 0 ? Infinity : NaN) : (1 + fraction / 1024) * 2 ** (exponent - 15);
      halfTable[bits] = bits & 0x8000 ? -magnitude : magnitude;
    }
  }
  return halfTable;
}

const F32: StoredType = {
  block: 1,
  bytes: 4,
  decode(from, blocks, target, to) {
    new Uint8Array(target.buffer, target.byteOffset + 4 * to, 4 * blocks).set(from.subarray(0, 4 * blocks));
  },
};

const F64: StoredType = {
  block: 1,
  bytes: 8,
  decode(from, blocks, target, to) {
    const view = new DataView(from.buffer, from.byteOffset);
    for (let i = 0; i < blocks; i++) target[to + i] = view.getFloat64(8 * i, true);
  },
};

const F16: StoredType = {
  block: 1,
  bytes: 2,
  decode(from, blocks, target, to) {
    const half = halfValues();
    for (let i = 0, p = 0; i < blocks; i++, p += 2) target[to + i] = half[from[p] | (from[p + 1] << 8)];
  },
};

const BF16: StoredType = {
  block: 1,
  bytes: 2,
  decode(from, blocks, target, to) {
    const bits = new Uint32Array(target.buffer, target.byteOffset + 4 * to, blocks);
    for (let i = 0, p = 0; i < blocks; i++, p += 2) bits[i] = (from[p] | (from[p + 1] << 8)) << 16;
  },
};

export const STORED_TYPES: ReadonlyMap<WeightType, StoredType> = new Map<WeightType, StoredType>([
  ["F32", F32], ["F64", F64], ["F16", F16], ["BF16", BF16],
]);
