/**
 * Number formats of weights: rounding to 16 bits, and quantisation in blocks of 32 inputs as MatMulNBits takes it
 * (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits).
 */
/** Inputs that share a scale, where we quantise. */
const BLOCK = 32;

/** The value of float16 bits. */
export function fromFloat16Bits(half: number): number {
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Rounds all values in place to what 16 bits can hold: to nearest, ties to even. */
export function roundToHalf(values: Float32Array, type: "float16" | "bfloat16"): Float32Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  if (type === "bfloat16") {
    for (let i = 0; i < bits.length; i++) {
      const value = bits[i];
      // Above infinity: not a number, which adding could carry over to another.
      if ((value & 0x7fffffff) > 0x7f800000) bits[i] = 0x7fc00000;
      else bits[i] = (value + 0x7fff + ((value >>> 16) & 1)) & 0xffff0000;
    }
    return values;
  }
  for (let i = 0; i < bits.length; i++) {
    const value = bits[i];
    const magnitude = value & 0x7fffffff;
    if (magnitude > 0x7f800000) bits[i] = 0x7fc00000;
    // From 65520 on.
    else if (magnitude >= 0x477ff000) bits[i] = (value & 0x80000000) | 0x7f800000;
    else if (magnitude >= 0x38800000) bits[i] = (value + 0xfff + ((value >>> 13) & 1)) & 0xffffe000;
    // Subnormal, whole multiples of 2⁻²⁴: float32 numbers near 0.75 have just that distance.
    else if (value & 0x80000000) values[i] = -(Math.fround(-values[i] + 0.75) - 0.75);
    else values[i] = Math.fround(values[i] + 0.75) - 0.75;
  }
  return values;
}

/** 16-bit patterns of the values, which are rounded in place. */
export function toHalfBits(values: Float32Array, type: "float16" | "bfloat16"): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  roundToHalf(values, type);
  const result = new Uint16Array(values.length);
  if (type === "bfloat16") {
    for (let i = 0; i < bits.length; i++) result[i] = bits[i] >>> 16;
    return result;
  }
  for (let i = 0; i < bits.length; i++) {
    const sign = (bits[i] >>> 16) & 0x8000;
    const magnitude = bits[i] & 0x7fffffff;
    if (magnitude >= 0x7f800000) result[i] = sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
    else if (magnitude >= 0x38800000) result[i] = sign | ((magnitude - 0x38000000) >>> 13);
    else result[i] = sign | (Math.abs(values[i]) * 2 ** 24);
  }
  return result;
}

/**
 * A matrix [outputs, inputs] in blocks of `size` inputs: `scale * (code - 2^(bits - 1))`, with `shift` added where it
 * is there.
 */
export interface Blocks {
  readonly bits: 4 | 8;
  readonly size: 16 | 32;
  /** `[outputs, blocks, size * bits / 8]`, the first of two 4-bit codes in the low half. */
  readonly codes: Uint8Array;
  /** `[outputs, blocks]` */
  readonly scales: Float32Array;
  /** `[outputs, blocks]` */
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
  return layout === "out-in"
    ? { outputs, inputs, outputStride: inputs, inputStride: 1 }
    : { outputs, inputs, outputStride: 1, inputStride: outputs };
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
      const length = Math.min(BLOCK, inputs - block * BLOCK);
      const from = output * outputStride + block * BLOCK * inputStride;
      let largest = 0;
      let size = 0;
      for (let i = 0; i < length; i++) {
        const value = values[from + i * inputStride];
        const absolute = Math.abs(value);
        if (absolute > size) {
          size = absolute;
          largest = value;
        }
      }
      const scale = Math.fround(bitsPerCode === 4 ? largest / -8 : size / 127);
      const at = output * blocks + block;
      scales[at] = scale;
      if (scale === 0) continue;
      const inverse = 1 / scale;
      const to = at * codeBytes;
      for (let i = 0; i < length; i++) {
        const code = Math.min(2 * zero - 1, Math.max(0, Math.round(values[from + i * inputStride] * inverse) + zero));
        if (bitsPerCode === 8) codes[to + i] = code;
        else if (i & 1) codes[to + (i >> 1)] = (codes[to + (i >> 1)] & 0x0f) | (code << 4);
        else codes[to + (i >> 1)] = (codes[to + (i >> 1)] & 0xf0) | code;
      }
    }
  }
  return { bits: bitsPerCode, size: BLOCK, codes, scales };
}

/** Writes the values that blocks stand for into `values`, in its layout. */
export function dequantize(blocked: Blocks, values: Float32Array, places: Strides): Float32Array {
  const { outputs, inputs, outputStride, inputStride } = places;
  const { bits: bitsPerCode, size, codes, scales, shifts } = blocked;
  const blocks = Math.ceil(inputs / size);
  const codeBytes = (size * bitsPerCode) / 8;
  const zero = 1 << (bitsPerCode - 1);
  for (let output = 0; output < outputs; output++) {
    for (let block = 0; block < blocks; block++) {
      const length = Math.min(size, inputs - block * size);
      const to = output * outputStride + block * size * inputStride;
      const at = output * blocks + block;
      const scale = scales[at];
      const shift = shifts ? shifts[at] : 0;
      for (let i = 0; i < length; i++) {
        const code =
          bitsPerCode === 8 ? codes[at * codeBytes + i] : (codes[at * codeBytes + (i >> 1)] >> (i & 1 ? 4 : 0)) & 0x0f;
        values[to + i * inputStride] = scale * (code - zero) + shift;
      }
    }
  }
  return values;
}
