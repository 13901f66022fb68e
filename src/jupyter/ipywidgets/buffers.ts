import type { JsonObject, OutgoingBuffer } from "../comm-host";
import { JSON, Object, Array, Number } from "../natives";

/** Where in a state a buffer belongs: keys of objects and indices of arrays, outermost first. */
export type BufferPath = (string | number)[];

export interface SplitState {
  readonly state: JsonObject;
  readonly bufferPaths: BufferPath[];
  readonly buffers: OutgoingBuffer[];
}

/** True for what crosses the wire as bytes. */
export function isBuffer(value: unknown): value is OutgoingBuffer {
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof SharedArrayBuffer;
}

/**
 * Takes the binary values out of a state, as the widget protocol (state sync 2.1) wants it: a key that holds one is
 * left out of its object, an array keeps null in that place. The input is not changed.
 */
export function splitBuffers(state: JsonObject): SplitState {
  const bufferPaths: BufferPath[] = [];
  const buffers: OutgoingBuffer[] = [];
  const take = (value: unknown, path: BufferPath): unknown => {
    if (Array.isArray(value)) {
      return value.map((item, index) => {
        if (!isBuffer(item)) return take(item, [...path, index]);
        bufferPaths.push([...path, index]);
        buffers.push(item);
        return null;
      });
    }
    if (isPlainObject(value)) {
      const copy: JsonObject = {};
      for (const [key, item] of Object.entries(value)) {
        if (isBuffer(item)) {
          bufferPaths.push([...path, key]);
          buffers.push(item);
        } else {
          put(copy, key, take(item, [...path, key]));
        }
      }
      return copy;
    }
    return value;
  };
  return { state: take(state, []) as JsonObject, bufferPaths, buffers };
}

/**
 * Puts received buffers back into `state`, in place. A path that leads nowhere is an error: the message is not what it
 * says it is, and half of it must not be used.
 */
export function joinBuffers(state: JsonObject, bufferPaths: unknown, buffers: readonly DataView[]): void {
  if (bufferPaths === undefined && buffers.length === 0) return;
  if (!Array.isArray(bufferPaths)) throw new TypeError("buffer_paths of a widget message must be a list of paths.");
  if (bufferPaths.length !== buffers.length) {
    throw new TypeError(
      `A widget message names ${bufferPaths.length} buffer paths but carries ${buffers.length} buffers.`,
    );
  }
  bufferPaths.forEach((path: unknown, n) => {
    if (!Array.isArray(path) || path.length === 0)
      throw new TypeError(`Buffer path ${n} of a widget message is empty or no list.`);
    let at: unknown = state;
    for (const key of path.slice(0, -1)) at = step(at, key);
    const last: unknown = path[path.length - 1];
    if (Array.isArray(at) && typeof last === "number" && Number.isInteger(last) && last >= 0 && last < at.length) {
      at[last] = buffers[n];
    } else if (isPlainObject(at) && typeof last === "string") {
      put(at, last, buffers[n]);
    } else {
      throw new TypeError(`Buffer path ${JSON.stringify(path)} of a widget message leads to nothing in its state.`);
    }
  });
}

function step(at: unknown, key: unknown): unknown {
  if (Array.isArray(at) && typeof key === "number") return at[key];
  if (isPlainObject(at) && typeof key === "string" && Object.hasOwn(at, key)) return at[key];
  return undefined;
}

/** Plain assignment would run the setter of `__proto__`. */
function put(target: JsonObject, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

/** An object literal or a parsed one, not an instance of a class. */
export function isPlainObject(value: unknown): value is JsonObject {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // Cells may run in a context of their own, where Object.prototype is another object.
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}
