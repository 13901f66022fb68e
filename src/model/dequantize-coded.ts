/**
 * GGUF's types whose codes are looked up: code books (IQ1 to IQ3), lists of values (IQ4, MXFP4), ternary digits (TQ).
 * Layouts: https://github.com/ggml-org/ggml (ggml-common.h). Products are rounded to float32 where the gguf package
 * rounds them, so that values agree to the bit.
 */
import { IQ1_S_BOOK, IQ2_S_BOOK, IQ2_XS_BOOK, IQ2_XXS_BOOK, IQ3_S_BOOK, IQ3_XXS_BOOK } from "./iq-books";
import { type StoredType, halfAt, halfValues } from "./stored-type";

/** A code book, `[entries * size]`, unpacked when it is first needed. `bits` of the text are one index into `values`. */
function book(text: string, bits: 2 | 4, values: readonly number[]): () => Float32Array {
  let unpacked: Float32Array | undefined;
  return () => {
    if (unpacked === undefined) {
      const packed = Buffer.from(text, "base64");
      const each = 8 / bits;
      unpacked = new Float32Array(packed.length * each);
      for (let i = 0; i < unpacked.length; i++)
        unpacked[i] = values[(packed[Math.floor(i / each)] >> (bits * (i % each))) & (values.length === 3 ? 3 : 7)];
    }
    return unpacked;
  };
}

const TERNARY = [-1, 0, 1];
const TWO_BITS = [8, 25, 43];
const iq1Book = book(IQ1_S_BOOK, 2, TERNARY);
const iq2xxsBook = book(IQ2_XXS_BOOK, 2, TWO_BITS);
const iq2xsBook = book(IQ2_XS_BOOK, 2, TWO_BITS);
const iq2sBook = book(IQ2_S_BOOK, 2, TWO_BITS);
const iq3xxsBook = book(IQ3_XXS_BOOK, 4, [4, 12, 20, 28, 36, 44, 52, 62]);
const iq3sBook = book(IQ3_S_BOOK, 4, [1, 3, 5, 7, 9, 11, 13, 15]);

/** Eight signs from seven bits: the eighth makes the number of minus signs even. */
function evenSigns(seven: number): number {
  let parity = seven ^ (seven >> 4);
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  return seven | ((parity & 1) << 7);
}

function u16(from: Uint8Array, p: number): number {
  return from[p] | (from[p + 1] << 8);
}

function u32(from: Uint8Array, p: number): number {
  return (from[p] | (from[p + 1] << 8) | (from[p + 2] << 16) | (from[p + 3] << 24)) >>> 0;
}

/** `count` values of a book from `entry` on, times `scale`, each with minus where its bit of `signs` is set. */
function signed(
  target: Float32Array,
  to: number,
  values: Float32Array,
  entry: number,
  count: number,
  scale: number,
  signs: number,
): void {
  for (let i = 0; i < count; i++) {
    const value = scale * values[entry + i];
    target[to + i] = (signs >> i) & 1 ? -value : value;
  }
}

/** 256 values: float16 scale; for each 32 four bytes of entries, then four times seven signs and a 4-bit scale. */
export const IQ2_XXS: StoredType = {
  block: 256,
  bytes: 66,
  decode(from, blocks, target, to) {
    const half = halfValues();
    const values = iq2xxsBook();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 66, t += 256) {
      const d = halfAt(half, from, p);
      for (let group = 0; group < 8; group++) {
        const at = p + 2 + 8 * group;
        const rest = u32(from, at + 4);
        const scale = Math.fround(d * (0.5 + (rest >>> 28))) * 0.25;
        for (let j = 0; j < 4; j++)
          signed(
            target,
            t + 32 * group + 8 * j,
            values,
            8 * from[at + j],
            8,
            scale,
            evenSigns((rest >>> (7 * j)) & 127),
          );
      }
    }
  },
};

/** 256 values: float16 scale; 32 times 9 bits of entry and seven signs; 16 scales of 4 bits. */
export const IQ2_XS: StoredType = {
  block: 256,
  bytes: 74,
  decode(from, blocks, target, to) {
    const half = halfValues();
    const values = iq2xsBook();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 74, t += 256) {
      const d = halfAt(half, from, p);
      for (let j = 0; j < 32; j++) {
        const code = u16(from, p + 2 + 2 * j);
        const group = j >> 1;
        const bits = (from[p + 66 + (group >> 1)] >> (4 * (group & 1))) & 15;
        const scale = Math.fround(d * (0.5 + bits)) * 0.25;
        signed(target, t + 8 * j, values, 8 * (code & 511), 8, scale, evenSigns(code >> 9));
      }
    }
  },
};

/** 256 values: float16 scale; 32 bytes of entries, 32 of signs, 8 of the entries' high bits; 16 scales of 4 bits. */
export const IQ2_S: StoredType = {
  block: 256,
  bytes: 82,
  decode(from, blocks, target, to) {
    const half = halfValues();
    const values = iq2sBook();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 82, t += 256) {
      const d = halfAt(half, from, p);
      for (let j = 0; j < 32; j++) {
        const high = (from[p + 66 + (j >> 2)] >> (2 * (j & 3))) & 3;
        const group = j >> 1;
        const bits = (from[p + 74 + (group >> 1)] >> (4 * (group & 1))) & 15;
        const scale = Math.fround(d * (0.5 + bits)) * 0.25;
        signed(target, t + 8 * j, values, 8 * (from[p + 2 + j] | (high << 8)), 8, scale, from[p + 34 + j]);
      }
    }
  },
};

/** 256 values: float16 scale; 64 bytes of entries; for each 32 four times seven signs and a 4-bit scale. */
export const IQ3_XXS: StoredType = {
  block: 256,
  bytes: 98,
  decode(from, blocks, target, to) {
    const half = halfValues();
    const values = iq3xxsBook();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 98, t += 256) {
      const d = halfAt(half, from, p);
      for (let group = 0; group < 8; group++) {
        const rest = u32(from, p + 66 + 4 * group);
        const scale = Math.fround(d * (0.5 + (rest >>> 28))) * 0.5;
        for (let j = 0; j < 8; j++) {
          const signs = evenSigns((rest >>> (7 * (j >> 1))) & 127) >> (4 * (j & 1));
          signed(target, t + 32 * group + 4 * j, values, 4 * from[p + 2 + 8 * group + j], 4, scale, signs);
        }
      }
    }
  },
};

/** 256 values: float16 scale; 64 bytes of entries, 8 of their ninth bits, 32 of signs; 8 scales of 4 bits. */
export const IQ3_S: StoredType = {
  block: 256,
  bytes: 110,
  decode(from, blocks, target, to) {
    const half = halfValues();
    const values = iq3sBook();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 110, t += 256) {
      const d = halfAt(half, from, p);
      for (let j = 0; j < 64; j++) {
        const high = (from[p + 66 + (j >> 3)] >> (j & 7)) & 1;
        const group = j >> 3;
        const scale = Math.fround(d * (1 + 2 * ((from[p + 106 + (group >> 1)] >> (4 * (group & 1))) & 15)));
        const signs = from[p + 74 + (j >> 1)] >> (4 * (j & 1));
        signed(target, t + 4 * j, values, 4 * (from[p + 2 + j] | (high << 8)), 4, scale, signs);
      }
    }
  },
};

/** 256 values: float16 scale; 32 bytes of entries; for each 32 four times their 3 high bits, a 3-bit scale, a shift. */
export const IQ1_S: StoredType = {
  block: 256,
  bytes: 50,
  decode(from, blocks, target, to) {
    const half = halfValues();
    const values = iq1Book();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 50, t += 256) {
      const d = halfAt(half, from, p);
      for (let j = 0; j < 32; j++) {
        const rest = u16(from, p + 34 + 2 * (j >> 2));
        const scale = Math.fround(d * (2 * ((rest >> 12) & 7) + 1));
        const shift = rest & 0x8000 ? -0.125 : 0.125;
        const entry = 8 * (from[p + 2 + j] | (((rest >> (3 * (j & 3))) & 7) << 8));
        for (let i = 0; i < 8; i++) target[t + 8 * j + i] = scale * (values[entry + i] + shift);
      }
    }
  },
};

/**
 * 256 values: 32 bytes of entries; 16 of 3 high bits and a shift, twice each; 16 3-bit scales in four 16-bit numbers,
 * whose upper 4 bits are the float16 scale.
 */
export const IQ1_M: StoredType = {
  block: 256,
  bytes: 56,
  decode(from, blocks, target, to) {
    const half = halfValues();
    const values = iq1Book();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 56, t += 256) {
      let pattern = 0;
      for (let i = 0; i < 4; i++) pattern |= (u16(from, p + 48 + 2 * i) >> 12) << (4 * i);
      const d = half[pattern];
      for (let j = 0; j < 32; j++) {
        const group = j >> 1;
        const scale = Math.fround(d * (2 * ((u16(from, p + 48 + 2 * (group >> 2)) >> (3 * (group & 3))) & 7) + 1));
        const rest = from[p + 32 + (j >> 1)] >> (4 * (j & 1));
        const shift = rest & 8 ? -0.125 : 0.125;
        const entry = 8 * (from[p + j] | ((rest & 7) << 8));
        for (let i = 0; i < 8; i++) target[t + 8 * j + i] = scale * (values[entry + i] + shift);
      }
    }
  },
};

const IQ4_VALUES = Float32Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

/** 32 values of 16 bytes at `p`: the low halves, then the high ones. */
function nibbles(
  from: Uint8Array,
  p: number,
  target: Float32Array,
  to: number,
  values: Float32Array,
  scale: number,
): void {
  for (let i = 0; i < 16; i++) {
    target[to + i] = scale * values[from[p + i] & 15];
    target[to + 16 + i] = scale * values[from[p + i] >> 4];
  }
}

/** 32 values: float16 scale, 16 bytes of two 4-bit codes (low halves first). */
export const IQ4_NL: StoredType = {
  block: 32,
  bytes: 18,
  decode(from, blocks, target, to) {
    const half = halfValues();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 18, t += 32)
      nibbles(from, p + 2, target, t, IQ4_VALUES, halfAt(half, from, p));
  },
};

/** 256 values: float16 scale; 8 6-bit scales as 2 bytes of high and 4 of low bits; 128 bytes as in IQ4_NL. */
export const IQ4_XS: StoredType = {
  block: 256,
  bytes: 136,
  decode(from, blocks, target, to) {
    const half = halfValues();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 136, t += 256) {
      const d = halfAt(half, from, p);
      const high = u16(from, p + 2);
      for (let group = 0; group < 8; group++) {
        const low = (from[p + 4 + (group >> 1)] >> (4 * (group & 1))) & 15;
        const scale = Math.fround(d * ((low | (((high >> (2 * group)) & 3) << 4)) - 32));
        nibbles(from, p + 8 + 16 * group, target, t + 32 * group, IQ4_VALUES, scale);
      }
    }
  },
};

/** E2M1, doubled: https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf */
const E2M1_VALUES = Float32Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

/** 32 values: an exponent, 16 bytes of two 4-bit codes (low halves first). */
export const MXFP4: StoredType = {
  block: 32,
  bytes: 17,
  decode(from, blocks, target, to) {
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 17, t += 32)
      nibbles(from, p + 1, target, t, E2M1_VALUES, 2 ** (from[p] - 128));
  },
};

const POWERS_OF_THREE = [1, 3, 9, 27, 81];

/** 256 values -1, 0, 1: 48 bytes of five ternary digits and 4 of four, each digit a run; float16 scale. */
export const TQ1_0: StoredType = {
  block: 256,
  bytes: 54,
  decode(from, blocks, target, to) {
    const half = halfValues();
    for (let b = 0, p = 0; b < blocks; b++, p += 54) {
      const d = halfAt(half, from, p + 52);
      let t = to + 256 * b;
      const digits = (first: number, length: number, count: number): void => {
        for (let digit = 0; digit < count; digit++)
          for (let i = 0; i < length; i++)
            target[t++] = d * (((((from[p + first + i] * POWERS_OF_THREE[digit]) & 255) * 3) >> 8) - 1);
      };
      digits(0, 32, 5);
      digits(32, 16, 5);
      digits(48, 4, 4);
    }
  },
};

/** 256 values -1 to 2: 64 bytes of four 2-bit codes, each place a run of 32; float16 scale. */
export const TQ2_0: StoredType = {
  block: 256,
  bytes: 66,
  decode(from, blocks, target, to) {
    const half = halfValues();
    for (let b = 0, p = 0, t = to; b < blocks; b++, p += 66, t += 256) {
      const d = halfAt(half, from, p + 64);
      for (let i = 0; i < 256; i++)
        target[t + i] = d * (((from[p + 32 * (i >> 7) + (i & 31)] >> (2 * ((i >> 5) & 3))) & 3) - 1);
    }
  },
};
