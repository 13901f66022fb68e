import type { Array32 } from "./sessions";

/**
 * Buffers for what one run writes and the next overwrites: fresh ones for every run would be garbage by the gigabyte.
 */
export class Scratch {
  readonly #buffers = new Map<string, Float32Array>();

  /** A tensor of these dims; what it holds is undefined. Good until the same name is taken again. */
  take(name: string, dims: readonly number[]): Array32 {
    const length = dims.reduce((product, dim) => product * dim, 1);
    let buffer = this.#buffers.get(name);
    if (!buffer || buffer.length < length) {
      buffer = new Float32Array(length);
      this.#buffers.set(name, buffer);
    }
    return { data: buffer.subarray(0, length), dims };
  }

  /** A tensor with these values. */
  copy(name: string, values: Float32Array, dims: readonly number[]): Array32 {
    const tensor = this.take(name, dims);
    tensor.data.set(values);
    return tensor;
  }

  /** Lets go of large buffers, so that one long prompt does not cost memory for ever. */
  trim(): void {
    for (const [name, buffer] of this.#buffers) if (buffer.byteLength > LARGE) this.#buffers.delete(name);
  }
}

/** Bytes from which a buffer is not worth keeping for the next run. */
export const LARGE = 32 << 20;
