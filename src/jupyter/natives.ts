/**
 * What the kernel uses of JavaScript between cells, as it was before any cell ran. Cells share the process: one that
 * replaces `JSON.stringify`, `Date` or `Buffer` (a mistake, or a test's fake clock) changes that for cells, and not how
 * the kernel speaks.
 *
 * Modules of the kernel and of the widgets import these by the usual names. Methods of arrays, texts and the like are
 * looked up where they are called: `restoreNatives` puts them back.
 */

const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf, create } = globalThis.Object;
const { ownKeys, apply } = globalThis.Reflect;

/** An object with the same members, which nobody else can change. */
function copyOf<T extends object>(source: T): T {
  const copy = create(null) as T;
  for (const key of ownKeys(source)) {
    const descriptor = getOwnPropertyDescriptor(source, key);
    if (descriptor !== undefined && key !== "prototype") defineProperty(copy, key, descriptor);
  }
  return copy;
}

export const JSON = copyOf(globalThis.JSON);
export const Object = copyOf(globalThis.Object);
export const Array = copyOf(globalThis.Array);
export const Number = copyOf(globalThis.Number);
export const Buffer = copyOf(globalThis.Buffer);
export type Buffer = globalThis.Buffer;
export const Date = globalThis.Date;
export const Promise = globalThis.Promise;
export type Promise<T> = globalThis.Promise<T>;
export const Map = globalThis.Map;
export type Map<K, V> = globalThis.Map<K, V>;
export const Set = globalThis.Set;
export type Set<T> = globalThis.Set<T>;
export const AbortController = globalThis.AbortController;
export type AbortController = globalThis.AbortController;
export const { setTimeout, clearTimeout, setImmediate } = globalThis;
const { now } = globalThis.performance;
const clock = globalThis.performance;
export const performance = { now: (): number => apply<typeof clock, [], number>(now, clock, []) };

/** Members that are put back: what the kernel calls on values. */
const SHAPES: Readonly<Record<string, object>> = {
  "Object.prototype": globalThis.Object.prototype,
  "Function.prototype": globalThis.Function.prototype,
  "Array.prototype": globalThis.Array.prototype,
  "String.prototype": globalThis.String.prototype,
  "Number.prototype": globalThis.Number.prototype,
  "Map.prototype": globalThis.Map.prototype,
  "Set.prototype": globalThis.Set.prototype,
  "Promise.prototype": globalThis.Promise.prototype,
  Promise: globalThis.Promise,
  Buffer: globalThis.Buffer,
  "RegExp.prototype": globalThis.RegExp.prototype,
  "Date.prototype": globalThis.Date.prototype,
  "Error.prototype": globalThis.Error.prototype,
  "Uint8Array.prototype": globalThis.Uint8Array.prototype,
  "TypedArray.prototype": globalThis.Object.getPrototypeOf(globalThis.Uint8Array.prototype) as object,
  "Buffer.prototype": globalThis.Buffer.prototype as object,
  "Array iterators": globalThis.Object.getPrototypeOf([0][Symbol.iterator]()) as object,
  "Map iterators": globalThis.Object.getPrototypeOf(new globalThis.Map<never, never>()[Symbol.iterator]()) as object,
  "Set iterators": globalThis.Object.getPrototypeOf(new globalThis.Set()[Symbol.iterator]()) as object,
};

interface Kept {
  readonly shape: object;
  readonly name: string;
  readonly key: string | symbol;
  readonly descriptor: PropertyDescriptor;
}

/** A plain list, walked by index: nothing of it can be replaced. */
const kept: Kept[] = [];
for (const name of ownKeys(SHAPES) as string[]) {
  for (const key of ownKeys(SHAPES[name])) {
    const descriptor = getOwnPropertyDescriptor(SHAPES[name], key);
    if (descriptor?.configurable === true) kept[kept.length] = { shape: SHAPES[name], name, key, descriptor };
  }
}

/** Names without which no translated cell runs. */
const NEEDED = ["Object", "Array", "Function", "Promise", "Symbol", "Error"] as const;
const needed: Readonly<Record<(typeof NEEDED)[number], unknown>> = {
  Object: globalThis.Object,
  Array: globalThis.Array,
  Function: globalThis.Function,
  Promise: globalThis.Promise,
  Symbol: globalThis.Symbol,
  Error: globalThis.Error,
};
const { env } = process;

/** Members that every object would get, and by which it would be taken for something else. */
const MISLEADING = ["then", "get", "set", "value", "writable", "enumerable", "configurable", "toJSON"] as const;

/**
 * Puts back what cells have replaced or removed of the methods that the kernel calls on values, and removes what they
 * gave to every object that would make it something else. Returns the names; undefined where all was there.
 */
export function restoreNatives(): string[] | undefined {
  let changed: string[] | undefined;
  for (let i = 0; i < kept.length; i++) {
    const { shape, name, key, descriptor } = kept[i];
    const now = getOwnPropertyDescriptor(shape, key);
    if (now !== undefined && now.value === descriptor.value && now.get === descriptor.get && now.set === descriptor.set)
      continue;
    try {
      defineProperty(shape, key, descriptor);
    } catch {
      continue; // Made final: it cannot be put back.
    }
    changed ??= [];
    changed[changed.length] = `${name}.${typeof key === "symbol" ? "[symbol]" : key}`;
  }
  const all = globalThis as unknown as Record<string, unknown>;
  for (let i = 0; i < NEEDED.length; i++) {
    const name = NEEDED[i];
    if (all[name] === needed[name]) continue;
    all[name] = needed[name];
    changed ??= [];
    changed[changed.length] = name;
  }
  if (typeof process.env !== "object" || process.env === null) {
    process.env = env;
    changed ??= [];
    changed[changed.length] = "process.env";
  }
  const everything = getPrototypeOf({}) as unknown as Record<string, unknown>;
  for (let i = 0; i < MISLEADING.length; i++) {
    if (getOwnPropertyDescriptor(everything, MISLEADING[i])?.configurable !== true) continue;
    delete everything[MISLEADING[i]];
    changed ??= [];
    changed[changed.length] = `Object.prototype.${MISLEADING[i]}`;
  }
  return changed;
}
