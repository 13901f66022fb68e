import { ProtocolError, shown } from "./version";

/**
 * How values with tensors cross the wire: the value itself as JSON, in which each tensor is a reference, and next to it
 * the tensors' bytes as binary buffers (little-endian, row-major). Numbers of tensors are never written as JSON.
 */

const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  uint32: Uint32Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
} as const;

export type WireDtype = keyof typeof ARRAYS;
export type WireArray = Float32Array | Float64Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;

/** A tensor in a message: `data.length` is the product of `shape`. */
export interface WireTensor<A extends WireArray = WireArray> {
  readonly dtype: WireDtype;
  readonly shape: readonly number[];
  readonly data: A;
}

/** JSON and the buffers that its tensor references point into. */
export interface Packed {
  readonly json: unknown;
  readonly buffers: readonly ArrayBufferView[];
}

/** The key under which a reference to a tensor stands in the JSON. */
const REFERENCE = "$tensor";

function dtypeOf(data: WireArray): WireDtype {
  // By name, not by class: cells may run in a context of their own with other classes of the same names.
  for (const [name, type] of Object.entries(ARRAYS))
    if (data[Symbol.toStringTag] === type.name) return name as WireDtype;
  throw new ProtocolError("malformed", `Arrays of type ${Object.prototype.toString.call(data)} cannot cross the wire.`);
}

function product(shape: readonly number[]): number {
  return shape.reduce((size, n) => size * n, 1);
}

/** Wraps `data` for the wire. Without `shape` it is one axis. Throws where the sizes do not agree. */
export function tensor<A extends WireArray>(data: A, shape: readonly number[] = [data.length]): WireTensor<A> {
  if (product(shape) !== data.length) {
    throw new ProtocolError(
      "malformed",
      `A tensor of shape [${shape.join(", ")}] needs ${product(shape)} values, not ${data.length}.`,
    );
  }
  return { dtype: dtypeOf(data), shape, data };
}

/** True for what `tensor()` makes. */
export function isTensor(value: unknown): value is WireTensor {
  if (typeof value !== "object" || value === null) return false;
  const data = (value as { data?: unknown }).data;
  return ArrayBuffer.isView(data) && !(data instanceof DataView) && Array.isArray((value as { shape?: unknown }).shape);
}

/** Takes the tensors out of a plain value. The value itself is left as it is. */
export function pack(value: unknown): Packed {
  const buffers: ArrayBufferView[] = [];
  const walk = (item: unknown): unknown => {
    if (isTensor(item)) {
      // Sockets and structured clones do not take every view on shared memory.
      const shared = item.data.buffer[Symbol.toStringTag] === "SharedArrayBuffer";
      buffers.push(shared ? item.data.slice() : item.data);
      return { [REFERENCE]: { buffer: buffers.length - 1, dtype: item.dtype, shape: item.shape } };
    }
    if (Array.isArray(item)) return item.map(walk);
    if (typeof item === "object" && item !== null) {
      return Object.fromEntries(Object.entries(item).map(([key, inner]) => [key, walk(inner)]));
    }
    return item;
  };
  return { json: walk(value), buffers };
}

/** Puts the tensors back. Refuses references that do not fit the buffers, whoever wrote them. */
export function unpack(json: unknown, buffers: readonly (ArrayBufferView | ArrayBuffer)[]): unknown {
  const walk = (item: unknown, depth: number): unknown => {
    if (depth > 32) throw new ProtocolError("malformed", "The message is nested more than 32 levels deep.");
    if (Array.isArray(item)) return item.map((inner) => walk(inner, depth + 1));
    if (typeof item !== "object" || item === null) return item;
    if (Object.hasOwn(item, REFERENCE)) return readReference((item as Record<string, unknown>)[REFERENCE], buffers);
    return Object.fromEntries(Object.entries(item).map(([key, inner]) => [key, walk(inner, depth + 1)]));
  };
  return walk(json, 0);
}

function readReference(reference: unknown, buffers: readonly (ArrayBufferView | ArrayBuffer)[]): WireTensor {
  const { buffer, dtype, shape } = (reference ?? {}) as { buffer?: unknown; dtype?: unknown; shape?: unknown };
  if (typeof dtype !== "string" || !Object.hasOwn(ARRAYS, dtype)) {
    throw new ProtocolError(
      "malformed",
      `A tensor has the type ${shown(dtype)}; known are ${Object.keys(ARRAYS).join(", ")}.`,
    );
  }
  if (!Array.isArray(shape) || !shape.every((n) => Number.isSafeInteger(n) && n >= 0)) {
    throw new ProtocolError("malformed", `A tensor has the shape ${shown(shape)}, which is not a list of sizes.`);
  }
  const bytes = typeof buffer === "number" ? buffers[buffer] : undefined;
  if (bytes === undefined)
    throw new ProtocolError("malformed", `A tensor refers to buffer ${shown(buffer)}, but ${buffers.length} came.`);
  const type = ARRAYS[dtype as WireDtype];
  const size = product(shape as number[]);
  if (bytes.byteLength !== size * type.BYTES_PER_ELEMENT) {
    throw new ProtocolError(
      "malformed",
      `A tensor of shape [${shape.join(", ")}] and type ${dtype} came with ${bytes.byteLength} bytes.`,
    );
  }
  // Views from the wire can start at any byte; typed arrays cannot.
  const source = ArrayBuffer.isView(bytes) ? bytes : new Uint8Array(bytes);
  const aligned = source.byteOffset % type.BYTES_PER_ELEMENT === 0;
  const data = aligned
    ? new type(source.buffer as ArrayBuffer, source.byteOffset, size)
    : new type(new Uint8Array(source.buffer, source.byteOffset, source.byteLength).slice().buffer);
  return { dtype: dtype as WireDtype, shape: shape as number[], data };
}
