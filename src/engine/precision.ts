/**
 * Number formats of weights: rounding to 16 bits, and quantisation in blocks of 32 inputs as MatMulNBits takes it
 * (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits).
 */

/** What `dtype` can be: what weights are rounded to. "auto" leaves them as the file has them. */
export const dtypes = ["auto", "float32", "float16", "bfloat16", "q8", "q4"] as const;
export type Dtype = (typeof dtypes)[number];

/** Inputs that share a scale. */
export const BLOCK = 32;

const bits = new Uint32Array(1);
const number = new Float32Array(bits.buffer);

/** bfloat16 bits of a float32 value, rounded to nearest, ties to even. */
export function bfloat16Bits(value: number): number {
  number[0] = value;
  if (Number.isNaN(value)) return 0x7fc0;
  return ((bits[0] + 0x7fff + ((bits[0] >>> 16) & 1)) >>> 16) & 0xffff;
}

/** float16 bits of a float32 value, rounded to nearest, ties to even. */
export function float16Bits(value: number): number {
  number[0] = value;
  const sign = (bits[0] >>> 16) & 0x8000;
  const magnitude = bits[0] & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Subnormal: a whole number of 2⁻²⁴.
    const scaled = Math.abs(value) * 2 ** 24;
    const floor = Math.floor(scaled);
    const rest = scaled - floor;
    return sign | (floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0));
  }
  const rebased = magnitude - 0x38000000;
  return sign | ((rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13);
}

/** The value of float16 bits. */
export function fromFloat16Bits(half: number): number {
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The value of bfloat16 bits. */
export function fromBfloat16Bits(half: number): number {
  bits[0] = half << 16;
  return number[0];
}

/** 16-bit patterns of all values. */
export function toHalfBits(values: Float32Array, type: "float16" | "bfloat16"): Uint16Array {
  const convert = type === "float16" ? float16Bits : bfloat16Bits;
  const result = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) result[i] = convert(values[i]);
  return result;
}

/** Rounds all values in place to what 16 bits can hold. */
export function roundToHalf(values: Float32Array, type: "float16" | "bfloat16"): Float32Array {
  const halves = toHalfBits(values, type);
  const back = type === "float16" ? fromFloat16Bits : fromBfloat16Bits;
  for (let i = 0; i < values.length; i++) values[i] = back(halves[i]);
  return values;
}

/** A matrix [outputs, inputs] in blocks of `BLOCK` inputs: `scale * (code - 2^(bits - 1))`, with `shift` added where it is there. */
export interface Blocks {
  readonly bits: 4 | 8;
  /** [outputs, blocks, BLOCK * bits / 8], the first of two 4-bit codes in the low half. */
  readonly codes: Uint8Array;
  /** [outputs, blocks] */
  readonly scales: Float32Array;
  /** [outputs, blocks] */
  readonly shifts?: Float32Array;
}

/** How a matrix lies: value of (output, input) at `output * outputStride + input * inputStride`. */
export interface Strides {
  readonly outputs: number;
  readonly inputs: number;
  readonly outputStride: number;
  readonly inputStride: number;
}

export function strides(layout: "out-in" | "in-out", inputs: number, outputs: number): Strides {
  return layout === "out-in" ? { outputs, inputs, outputStride: inputs, inputStride: 1 } : { outputs, inputs, outputStride: 1, inputStride: outputs };
}

/**
 * Quantises a matrix, each block of inputs with the scale that its largest value asks for: 4 bits as GGUF's Q4_0 (codes
 * −8…7, the value of largest size at −8), 8 bits as Q8_0 (codes −127…127).
 */
export function quantize(values: Float32Array, places: Strides, bitsPerCode: 4 | 8): Blocks {
  const { outputs, inputs, outputStride, inputStride } = places;
  const blocks = Math.ceil(inputs / BLOCK);
  const codeBytes = (BLOCK * bitsPerCode) / 8;
  const zero = 1 << (bitsPerCode - 1);
  // Padding behind the last input reads as 0.
  const codes = new Uint8Array(outputs * blocks * codeBytes).fill(bitsPerCode === 4 ? 0x88 : 0x80);
  const scales = new Float32Array(outputs * blocks);
  for (let output = 0; output < outputs; output++) {
    for (let block = 0; block < blocks; block++) {
      const first = block * BLOCK;
      const end = Math.min(inputs, first + BLOCK);
      let largest = 0;
      for (let input = first; input < end; input++) {
        const value = values[output * outputStride + input * inputStride];
        if (Math.abs(value) > Math.abs(largest)) largest = value;
      }
      const scale = Math.fround(bitsPerCode === 4 ? largest / -8 : Math.abs(largest) / 127);
      const at = output * blocks + block;
      scales[at] = scale;
      if (scale === 0) continue;
      for (let input = first; input < end; input++) {
        const code = Math.min(2 * zero - 1, Math.max(0, Math.round(values[output * outputStride + input * inputStride] / scale) + zero));
        const place = input - first;
        if (bitsPerCode === 8) codes[at * codeBytes + place] = code;
        else codes[at * codeBytes + (place >> 1)] = place & 1 ? (codes[at * codeBytes + (place >> 1)] & 0x0f) | (code << 4) : (codes[at * codeBytes + (place >> 1)] & 0xf0) | code;
      }
    }
  }
  return { bits: bitsPerCode, codes, scales };
}

/** Writes the values that blocks stand for into `values`, in its layout. */
export function dequantize(blocked: Blocks, values: Float32Array, places: Strides): Float32Array {
  const { outputs, inputs, outputStride, inputStride } = places;
  const { bits: bitsPerCode, codes, scales, shifts } = blocked;
  const blocks = Math.ceil(inputs / BLOCK);
  const codeBytes = (BLOCK * bitsPerCode) / 8;
  const zero = 1 << (bitsPerCode - 1);
  for (let output = 0; output < outputs; output++) {
    for (let input = 0; input < inputs; input++) {
      const at = output * blocks + Math.floor(input / BLOCK);
      const place = input % BLOCK;
      const code = bitsPerCode === 8 ? codes[at * codeBytes + place] : (codes[at * codeBytes + (place >> 1)] >> (place & 1 ? 4 : 0)) & 0x0f;
      values[output * outputStride + input * inputStride] = scales[at] * (code - zero) + (shifts?.[at] ?? 0);
    }
  }
  return values;
}

/** Bytes of one block in a GGUF file, for the types that are blocks of ours as they are. */
const ggufBlockBytes = { Q4_0: 18, Q4_1: 20, Q8_0: 34 } as const;
export type GgufBlockType = keyof typeof ggufBlockBytes;

export function isGgufBlockType(type: string): type is GgufBlockType {
  return type in ggufBlockBytes;
}

/**
 * Repacks a GGUF matrix without changing a value. GGUF keeps the block's first 16 codes in the low halves of its bytes and
 * the last 16 in the high ones; Q4_1's minimum becomes a shift.
 */
export function fromGgufBlocks(raw: Uint8Array, type: GgufBlockType): Blocks {
  const size = ggufBlockBytes[type];
  const count = raw.length / size;
  const bitsPerCode = type === "Q8_0" ? 8 : 4;
  const codeBytes = (BLOCK * bitsPerCode) / 8;
  const codes = new Uint8Array(count * codeBytes);
  const scales = new Float32Array(count);
  const shifts = type === "Q4_1" ? new Float32Array(count) : undefined;
  const half = (at: number) => fromFloat16Bits(raw[at] | (raw[at + 1] << 8));
  for (let block = 0; block < count; block++) {
    const from = block * size;
    scales[block] = half(from);
    // Codes count from 0 here, from the middle there.
    if (shifts) shifts[block] = half(from + 2) + 8 * scales[block];
    const data = from + size - codeBytes;
    const to = block * codeBytes;
    if (type === "Q8_0") {
      for (let i = 0; i < BLOCK; i++) codes[to + i] = raw[data + i] ^ 0x80;
    } else {
      for (let i = 0; i < 8; i++) {
        const [first, second] = [raw[data + 2 * i], raw[data + 2 * i + 1]];
        codes[to + i] = (first & 0x0f) | ((second & 0x0f) << 4);
        codes[to + 8 + i] = (first >> 4) | (second & 0xf0);
      }
    }
  }
  return { bits: bitsPerCode, codes, scales, shifts };
}
