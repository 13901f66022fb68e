/**
 * GGUF's quantised matrices as the blocks that onnxruntime multiplies with, without changing a value.
 * Source of the layouts: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h and ggml-quants.c.
 */
import { type Blocks, fromFloat16Bits } from "./precision";

interface Repacking {
  /** Bits of a code here: what fits the file's. */
  readonly bits: 4 | 8;
  /** Inputs that share a scale. */
  readonly size: 16 | 32;
  /** One group of the file: its values and bytes. */
  readonly values: number;
  readonly bytes: number;
  /** Blocks have a shift of their own. */
  readonly shifts: boolean;
  /** Unpacks the group at byte `from`; its first block has the number `block`. */
  readonly unpack: (target: Target, raw: Uint8Array, from: number, block: number) => void;
}

interface Target {
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  readonly shifts: Float32Array;
  /** Values of all float16 bit patterns. */
  readonly halves: Float32Array;
}

function half({ halves }: Target, raw: Uint8Array, at: number): number {
  return halves[raw[at] | (raw[at + 1] << 8)];
}

/**
 * 32 codes of 4 bits: the file has the first 16 in the low halves of 16 bytes and the last 16 in the high ones; here
 * neighbours share a byte.
 */
function interleave(codes: Uint8Array, to: number, raw: Uint8Array, from: number): void {
  for (let i = 0; i < 8; i++) {
    const first = raw[from + 2 * i];
    const second = raw[from + 2 * i + 1];
    codes[to + i] = (first & 0x0f) | (second << 4);
    codes[to + 8 + i] = (first >> 4) | (second & 0xf0);
  }
}

/** Scale and minimum of the j-th of 8 blocks of a K-quant, 6 bits each, from the 12 bytes that hold them. */
function sixBitScale(raw: Uint8Array, at: number, j: number): number {
  return j < 4 ? raw[at + j] & 63 : (raw[at + j + 4] & 0x0f) | ((raw[at + j - 4] >> 6) << 4);
}

function sixBitMinimum(raw: Uint8Array, at: number, j: number): number {
  return j < 4 ? raw[at + j + 4] & 63 : (raw[at + j + 4] >> 4) | ((raw[at + j] >> 6) << 4);
}

const repackings = {
  Q4_0: {
    bits: 4,
    size: 32,
    values: 32,
    bytes: 18,
    shifts: false,
    unpack: (target, raw, from, block) => {
      target.scales[block] = half(target, raw, from);
      interleave(target.codes, block * 16, raw, from + 2);
    },
  },
  Q4_1: {
    bits: 4,
    size: 32,
    values: 32,
    bytes: 20,
    shifts: true,
    unpack: (target, raw, from, block) => {
      const scale = (target.scales[block] = half(target, raw, from));
      // Codes count from 0 there, from the middle here.
      target.shifts[block] = half(target, raw, from + 2) + 8 * scale;
      interleave(target.codes, block * 16, raw, from + 4);
    },
  },
  Q8_0: {
    bits: 8,
    size: 32,
    values: 32,
    bytes: 34,
    shifts: false,
    unpack: (target, raw, from, block) => {
      target.scales[block] = half(target, raw, from);
      for (let i = 0; i < 32; i++) target.codes[block * 32 + i] = raw[from + 2 + i] ^ 0x80;
    },
  },
  Q4_K: {
    bits: 4,
    size: 32,
    values: 256,
    bytes: 144,
    shifts: true,
    unpack: (target, raw, from, block) => {
      const scale = half(target, raw, from);
      const minimum = half(target, raw, from + 2);
      for (let j = 0; j < 8; j++) {
        const own = (target.scales[block + j] = scale * sixBitScale(raw, from + 4, j));
        target.shifts[block + j] = 8 * own - minimum * sixBitMinimum(raw, from + 4, j);
        // Two blocks share 32 bytes: one in the low halves, one in the high ones.
        const data = from + 16 + (j >> 1) * 32;
        const move = j & 1 ? 4 : 0;
        const to = (block + j) * 16;
        for (let i = 0; i < 16; i++)
          target.codes[to + i] = ((raw[data + 2 * i] >> move) & 0x0f) | (((raw[data + 2 * i + 1] >> move) & 0x0f) << 4);
      }
    },
  },
  Q5_K: {
    bits: 8,
    size: 32,
    values: 256,
    bytes: 176,
    shifts: true,
    unpack: (target, raw, from, block) => {
      const scale = half(target, raw, from);
      const minimum = half(target, raw, from + 2);
      for (let j = 0; j < 8; j++) {
        target.scales[block + j] = scale * sixBitScale(raw, from + 4, j);
        target.shifts[block + j] = -minimum * sixBitMinimum(raw, from + 4, j);
        const data = from + 48 + (j >> 1) * 32;
        const move = j & 1 ? 4 : 0;
        const to = (block + j) * 32;
        for (let i = 0; i < 32; i++)
          target.codes[to + i] = 128 + (((raw[data + i] >> move) & 0x0f) | (((raw[from + 16 + i] >> j) & 1) << 4));
      }
    },
  },
  Q6_K: {
    bits: 8,
    size: 16,
    values: 256,
    bytes: 210,
    shifts: false,
    unpack: (target, raw, from, block) => {
      const scale = half(target, raw, from + 208);
      for (let j = 0; j < 16; j++) target.scales[block + j] = scale * ((raw[from + 192 + j] << 24) >> 24);
      for (let i = 0; i < 256; i++) {
        // Halves of 128 values; in each, four quarters of 32 share 64 bytes of low and 32 bytes of high bits.
        const upper = i >> 7;
        const quarter = (i >> 5) & 3;
        const place = i & 31;
        const low = (raw[from + upper * 64 + (quarter & 1) * 32 + place] >> (quarter > 1 ? 4 : 0)) & 0x0f;
        const high = (raw[from + 128 + upper * 32 + place] >> (2 * quarter)) & 3;
        target.codes[block * 16 + i] = 128 - 32 + (low | (high << 4));
      }
    },
  },
} as const satisfies Readonly<Record<string, Repacking>>;

export type GgufBlockType = keyof typeof repackings;

export function isGgufBlockType(type: string): type is GgufBlockType {
  return type in repackings;
}

/** How the type is held: bits of a code, inputs that share a scale, and inputs that the file keeps together. */
export function ggufBlockShape(type: GgufBlockType): Pick<Repacking, "bits" | "size" | "values" | "shifts"> {
  return repackings[type];
}

/** Values of all float16 bit patterns, made when first used. */
let halves: Float32Array | undefined;

/** `raw` holds whole groups. */
export function fromGgufBlocks(raw: Uint8Array, type: GgufBlockType): Blocks {
  const { bits, size, values, bytes, shifts, unpack }: Repacking = repackings[type];
  halves ??= Float32Array.from({ length: 1 << 16 }, (_, pattern) => fromFloat16Bits(pattern));
  const groups = raw.length / bytes;
  const blocks = groups * (values / size);
  const target: Target = {
    codes: new Uint8Array((blocks * size * bits) / 8),
    scales: new Float32Array(blocks),
    shifts: new Float32Array(shifts ? blocks : 0),
    halves,
  };
  for (let group = 0; group < groups; group++) unpack(target, raw, group * bytes, group * (values / size));
  return { bits, size, codes: target.codes, scales: target.scales, shifts: shifts ? target.shifts : undefined };
}
