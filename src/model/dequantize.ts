/** Values of stored number types as float32. Block formats: https://github.com/ggml-org/ggml (ggml-common.h). */
import {
  IQ1_M,
  IQ1_S,
  IQ2_S,
  IQ2_XS,
  IQ2_XXS,
  IQ3_S,
  IQ3_XXS,
  IQ4_NL,
  IQ4_XS,
  MXFP4,
  TQ1_0,
  TQ2_0,
} from "./dequantize-coded";
import { type StoredType, halfAt, halfValues } from "./stored-type";
import type { WeightType } from "./weights";

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

// The sums and products below are rounded to float32 where ggml rounds them, so that values agree to the bit.

/** 32 values: float16 scale, 16 bytes of two 4-bit values (low nibbles first). */
const Q4_0: StoredType = {
  block: 32,
  bytes: 18,
  decode(from, blocks, target, to) {
    const half = halfValues();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 18, t += 32) {
      const d = halfAt(half, from, p);
      for (let i = 0; i < 16; i++) {
        const q = from[p + 2 + i];
        target[t + i] = d * ((q & 15) - 8);
        target[t + 16 + i] = d * ((q >> 4) - 8);
      }
    }
  },
};

/** As Q4_0 with a float16 minimum after the scale. */
const Q4_1: StoredType = {
  block: 32,
  bytes: 20,
  decode(from, blocks, target, to) {
    const half = halfValues();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 20, t += 32) {
      const d = halfAt(half, from, p);
      const m = halfAt(half, from, p + 2);
      for (let i = 0; i < 16; i++) {
        const q = from[p + 4 + i];
        target[t + i] = Math.fround(d * (q & 15)) + m;
        target[t + 16 + i] = Math.fround(d * (q >> 4)) + m;
      }
    }
  },
};

/** As Q4_0 with the fifth bits of all 32 values in 4 bytes after the scale. */
const Q5_0: StoredType = {
  block: 32,
  bytes: 22,
  decode(from, blocks, target, to) {
    const half = halfValues();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 22, t += 32) {
      const d = halfAt(half, from, p);
      const high = from[p + 2] | (from[p + 3] << 8) | (from[p + 4] << 16) | (from[p + 5] << 24);
      for (let i = 0; i < 16; i++) {
        const q = from[p + 6 + i];
        target[t + i] = d * (((q & 15) | (((high >>> i) & 1) << 4)) - 16);
        target[t + 16 + i] = d * (((q >> 4) | (((high >>> (i + 16)) & 1) << 4)) - 16);
      }
    }
  },
};

const Q5_1: StoredType = {
  block: 32,
  bytes: 24,
  decode(from, blocks, target, to) {
    const half = halfValues();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 24, t += 32) {
      const d = halfAt(half, from, p);
      const m = halfAt(half, from, p + 2);
      const high = from[p + 4] | (from[p + 5] << 8) | (from[p + 6] << 16) | (from[p + 7] << 24);
      for (let i = 0; i < 16; i++) {
        const q = from[p + 8 + i];
        target[t + i] = Math.fround(d * ((q & 15) | (((high >>> i) & 1) << 4))) + m;
        target[t + 16 + i] = Math.fround(d * ((q >> 4) | (((high >>> (i + 16)) & 1) << 4))) + m;
      }
    }
  },
};

/** 32 values: float16 scale, 32 signed bytes. */
const Q8_0: StoredType = {
  block: 32,
  bytes: 34,
  decode(from, blocks, target, to) {
    const half = halfValues();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 34, t += 32) {
      const d = halfAt(half, from, p);
      for (let i = 0; i < 32; i++) target[t + i] = d * ((from[p + 2 + i] << 24) >> 24);
    }
  },
};

/** 256 values: 16 bytes of 4-bit scale and minimum, 64 bytes of 2-bit values, float16 scale of scales, of minima. */
const Q2_K: StoredType = {
  block: 256,
  bytes: 84,
  decode(from, blocks, target, to) {
    const half = halfValues();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 84, t += 256) {
      const d = halfAt(half, from, p + 80);
      const dmin = halfAt(half, from, p + 82);
      for (let group = 0; group < 16; group++) {
        const scale = Math.fround(d * (from[p + group] & 15));
        const min = Math.fround(dmin * (from[p + group] >> 4));
        // Groups of 16: 8 to each run of 32 bytes, two halves, four shifts.
        const bytes = p + 16 + 32 * (group >> 3) + 16 * (group & 1);
        const shift = 2 * ((group >> 1) & 3);
        for (let i = 0; i < 16; i++)
          target[t + 16 * group + i] = Math.fround(scale * ((from[bytes + i] >> shift) & 3)) - min;
      }
    }
  },
};

/**
 * 256 values: 32 bytes of third bits, 64 bytes of 2-bit values, 16 6-bit scales in 12 bytes, float16 scale of scales.
 */
const Q3_K: StoredType = {
  block: 256,
  bytes: 110,
  decode(from, blocks, target, to) {
    const half = halfValues();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 110, t += 256) {
      const d = halfAt(half, from, p + 108);
      const scales = p + 96;
      for (let group = 0; group < 16; group++) {
        const low = group < 8 ? from[scales + group] & 15 : from[scales + group - 8] >> 4;
        const high = (from[scales + 8 + (group & 3)] >> (2 * (group >> 2))) & 3;
        const scale = Math.fround(d * ((low | (high << 4)) - 32));
        const bits = group >> 1;
        const mask = p + 16 * (group & 1);
        const bytes = p + 32 + 32 * (group >> 3) + 16 * (group & 1);
        const shift = 2 * (bits & 3);
        for (let i = 0; i < 16; i++) {
          const value = ((from[bytes + i] >> shift) & 3) - (((from[mask + i] >> bits) & 1) === 1 ? 0 : 4);
          target[t + 16 * group + i] = scale * value;
        }
      }
    }
  },
};

/**
 * The 6-bit scale and minimum of group `g` (0 to 7) in the 12 packed bytes of Q4_K and Q5_K at `p`: scale | minimum <<
 * 8.
 */
function scaleAndMin(from: Uint8Array, p: number, g: number): number {
  if (g < 4) return (from[p + g] & 63) | ((from[p + 4 + g] & 63) << 8);
  const scale = (from[p + 4 + g] & 15) | ((from[p + g - 4] >> 2) & 48);
  const min = (from[p + 4 + g] >> 4) | ((from[p + g] >> 2) & 48);
  return scale | (min << 8);
}

/** 256 values: float16 scale of scales, of minima, 8 6-bit scales and minima, 128 bytes of 4-bit values. */
const Q4_K: StoredType = {
  block: 256,
  bytes: 144,
  decode(from, blocks, target, to) {
    const half = halfValues();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 144, t += 256) {
      const d = halfAt(half, from, p);
      const dmin = halfAt(half, from, p + 2);
      for (let group = 0; group < 8; group++) {
        const packed = scaleAndMin(from, p + 4, group);
        const scale = Math.fround(d * (packed & 255));
        const min = Math.fround(dmin * (packed >> 8));
        const bytes = p + 16 + 32 * (group >> 1);
        const shift = 4 * (group & 1);
        for (let i = 0; i < 32; i++)
          target[t + 32 * group + i] = Math.fround(scale * ((from[bytes + i] >> shift) & 15)) - min;
      }
    }
  },
};

/** As Q4_K with 32 bytes of fifth bits before the values. */
const Q5_K: StoredType = {
  block: 256,
  bytes: 176,
  decode(from, blocks, target, to) {
    const half = halfValues();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 176, t += 256) {
      const d = halfAt(half, from, p);
      const dmin = halfAt(half, from, p + 2);
      for (let group = 0; group < 8; group++) {
        const packed = scaleAndMin(from, p + 4, group);
        const scale = Math.fround(d * (packed & 255));
        const min = Math.fround(dmin * (packed >> 8));
        const bytes = p + 48 + 32 * (group >> 1);
        const shift = 4 * (group & 1);
        for (let i = 0; i < 32; i++) {
          const value = ((from[bytes + i] >> shift) & 15) | (((from[p + 16 + i] >> group) & 1) << 4);
          target[t + 32 * group + i] = Math.fround(scale * value) - min;
        }
      }
    }
  },
};

/** 256 values: 128 bytes of low 4 bits, 64 bytes of high 2 bits, 16 signed scales, float16 scale of scales. */
const Q6_K: StoredType = {
  block: 256,
  bytes: 210,
  decode(from, blocks, target, to) {
    const half = halfValues();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 210, t += 256) {
      const d = halfAt(half, from, p + 208);
      for (let group = 0; group < 8; group++) {
        // Two halves of 128 values; in each, 32 values to a group.
        const inHalf = group & 3;
        const low = p + 64 * (group >> 2) + 32 * (inHalf & 1);
        const lowShift = 4 * (inHalf >> 1);
        const high = p + 128 + 32 * (group >> 2);
        const highShift = 2 * inHalf;
        for (let i = 0; i < 32; i++) {
          const scale = Math.fround(d * ((from[p + 192 + 2 * group + (i >> 4)] << 24) >> 24));
          const value = (((from[low + i] >> lowShift) & 15) | (((from[high + i] >> highShift) & 3) << 4)) - 32;
          target[t + 32 * group + i] = scale * value;
        }
      }
    }
  },
};

/** Every stored type that can be read. */
export const STORED_TYPES: ReadonlyMap<WeightType, StoredType> = new Map<WeightType, StoredType>([
  ["F32", F32],
  ["F64", F64],
  ["F16", F16],
  ["BF16", BF16],
  ["Q4_0", Q4_0],
  ["Q4_1", Q4_1],
  ["Q5_0", Q5_0],
  ["Q5_1", Q5_1],
  ["Q8_0", Q8_0],
  ["Q2_K", Q2_K],
  ["Q3_K", Q3_K],
  ["Q4_K", Q4_K],
  ["Q5_K", Q5_K],
  ["Q6_K", Q6_K],
  ["IQ1_S", IQ1_S],
  ["IQ1_M", IQ1_M],
  ["IQ2_XXS", IQ2_XXS],
  ["IQ2_XS", IQ2_XS],
  ["IQ2_S", IQ2_S],
  ["IQ3_XXS", IQ3_XXS],
  ["IQ3_S", IQ3_S],
  ["IQ4_NL", IQ4_NL],
  ["IQ4_XS", IQ4_XS],
  ["MXFP4", MXFP4],
  ["TQ1_0", TQ1_0],
  ["TQ2_0", TQ2_0],
]);
