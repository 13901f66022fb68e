import { ProtocolError } from "../protocol/version";

/**
 * Columns of numbers in one run of bytes. Bytes of equal weight lie together (all low bytes, then the next), because
 * that is what a compressor finds patterns in.
 *
 * `f24` is a float32 without its lowest 8 mantissa bits, rounded: relative error up to 2^-16. `delta` columns hold
 * differences.
 */
export type ColumnType = "u8" | "u16" | "u32" | "f24" | "f32";

/** Where a column lies. Bytes `at` to `at + n * width`. */
export interface ColumnPlace {
  readonly t: ColumnType;
  readonly at: number;
  readonly n: number;
  readonly d?: 1;
}

const WIDTH: Readonly<Record<ColumnType, number>> = { u8: 1, u16: 2, u32: 4, f24: 3, f32: 4 };
const ARRAYS = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, f24: Float32Array, f32: Float32Array } as const;
export type ColumnValues = Uint8Array | Uint16Array | Uint32Array | Float32Array;
const LIMIT: Readonly<Record<ColumnType, number>> = { u8: 0xff, u16: 0xffff, u32: 0xffffffff, f24: 0, f32: 0 };

/** No honest column is longer; a claim of more would only fill memory. */
const MAX_VALUES = 8e6;

const scratch = new DataView(new ArrayBuffer(4));

function bitsOfFloat(value: number): number {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

function floatOfBits(bits: number): number {
  scratch.setUint32(0, bits);
  return scratch.getFloat32(0);
}

/** `value` as it is read back from an `f24` column. Infinities and NaN stay what they are. */
export function roundToF24(value: number): number {
  const bits = bitsOfFloat(value);
  if ((bits & 0x7f800000) === 0x7f800000) return value;
  return floatOfBits((bits + 0x80) & ~0xff);
}

/** Gathers columns; their places go into the JSON beside. */
export class ColumnWriter {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  /** Throws a `RangeError` for a value that the type does not hold. */
  add(type: ColumnType, values: ArrayLike<number>, options: { readonly delta?: boolean } = {}): ColumnPlace {
    const width = WIDTH[type];
    const n = values.length;
    const bytes = new Uint8Array(n * width);
    const modulus = LIMIT[type] + 1;
    let last = 0;
    for (let i = 0; i < n; i++) {
      const value = values[i];
      let bits: number;
      if (type === "f32" || type === "f24") {
        bits = bitsOfFloat(type === "f24" ? roundToF24(value) : value);
        if (type === "f24") bits >>>= 8;
      } else {
        if (!Number.isInteger(value) || value < 0 || value >= modulus)
          throw new RangeError(`${value} does not fit a ${type} column.`);
        bits = options.delta ? (value - last + modulus) % modulus : value;
        last = value;
      }
      for (let b = 0; b < width; b++) bytes[b * n + i] = (bits >>> (8 * b)) & 0xff;
    }
    this.#parts.push(bytes);
    const place: ColumnPlace = { t: type, at: this.#length, n, ...(options.delta ? { d: 1 as const } : {}) };
    this.#length += bytes.length;
    return place;
  }

  /** The narrowest column of whole numbers that holds all of `values`. */
  addWhole(values: ArrayLike<number>, options: { readonly delta?: boolean } = {}): ColumnPlace {
    let largest = 0;
    for (let i = 0; i < values.length; i++) if (values[i] > largest) largest = values[i];
    return this.add(largest <= LIMIT.u8 ? "u8" : largest <= LIMIT.u16 ? "u16" : "u32", values, options);
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}

const malformed = (what: string): ProtocolError =>
  new ProtocolError("malformed", `The data stored in this output is damaged: ${what}.`);

/** Reads columns that someone else wrote: every place is checked against the bytes that are there. */
export class ColumnReader {
  #read = 0;

  constructor(private readonly bytes: Uint8Array) {}

  /**
   * Bytes that one answer holds as they are, at each of its places; may be asked for again and again. No answer is
   * larger than the data.
   */
  bytesAt(places: readonly unknown[]): Uint8Array[] {
    const all = places.map((place) => this.#viewAt(place));
    if (all.reduce((sum, view) => sum + view.length, 0) > this.bytes.length) throw malformed("its columns overlap");
    return all.map((view) => view.slice());
  }

  #viewAt(place: unknown): Uint8Array {
    const { t, at, n } = (typeof place === "object" && place !== null ? place : {}) as Partial<
      Record<keyof ColumnPlace, unknown>
    >;
    if (t !== "u8" || !isCount(at) || !isCount(n) || at + n > this.bytes.length)
      throw malformed("a column lies outside of it");
    return this.bytes.subarray(at, at + n);
  }

  /**
   * A column's numbers, in an array as narrow as the column: what is read takes little more than the bytes that it was
   * read from. Each column is read once. `n`: how many values there have to be, where that is known.
   */
  read(place: unknown, n?: number): ColumnValues {
    const {
      t,
      at,
      n: count,
      d,
    } = (typeof place === "object" && place !== null ? place : {}) as Partial<Record<keyof ColumnPlace, unknown>>;
    if (typeof t !== "string" || !Object.hasOwn(WIDTH, t))
      throw malformed(`a column has the type ${typeof t === "string" ? JSON.stringify(t.slice(0, 60)) : typeof t}`);
    const type = t as ColumnType;
    const width = WIDTH[type];
    if (!isCount(at) || !isCount(count) || at + count * width > this.bytes.length)
      throw malformed("a column lies outside of it");
    if (count > MAX_VALUES) throw malformed("a column is too long");
    if (n !== undefined && count !== n) throw malformed(`a column has ${count} values instead of ${n}`);
    // No byte belongs to two columns: without this, a small file could claim columns without end.
    this.#read += count * width;
    if (this.#read > this.bytes.length) throw malformed("its columns overlap");
    const values = new ARRAYS[type](count);
    const modulus = LIMIT[type] + 1;
    let last = 0;
    for (let i = 0; i < count; i++) {
      let bits = 0;
      for (let b = width - 1; b >= 0; b--) bits = bits * 256 + this.bytes[at + b * count + i];
      if (type === "f32") values[i] = floatOfBits(bits);
      else if (type === "f24") values[i] = floatOfBits(bits * 256);
      else values[i] = last = d === 1 ? (last + bits) % modulus : bits;
    }
    return values;
  }
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
