import { shown } from "../system/errors";
import { ModelFileError } from "./errors";

/**
 * A model's config with typed reading: a key that is missing where it must not be, or that holds something else than it
 * must, becomes one sentence that names file and key. Keys that are `null` count as missing, as the hub writes them.
 */
export class Config {
  constructor(
    /** Where it was read, for messages. */
    readonly origin: string,
    private readonly values: Readonly<Record<string, unknown>>,
  ) {}

  isEmpty(): boolean {
    return Object.keys(this.values).length === 0;
  }

  has(key: string): boolean {
    return this.values[key] !== undefined && this.values[key] !== null;
  }

  /** True also where the key holds `null`, which some keys use to say "none". */
  given(key: string): boolean {
    return this.values[key] !== undefined;
  }

  /** Whatever lies under `key`, unchecked; undefined where it is missing or null. */
  raw(key: string): unknown {
    return this.values[key] ?? undefined;
  }

  /** A positive integer. */
  count(key: string, fallback?: number): number {
    return this.#read(
      key,
      fallback,
      "a positive integer",
      (value): value is number => Number.isSafeInteger(value) && (value as number) > 0,
    );
  }

  number(key: string, fallback?: number): number {
    return this.#read(
      key,
      fallback,
      "a number",
      (value): value is number => typeof value === "number" && Number.isFinite(value),
    );
  }

  string(key: string, fallback?: string): string {
    return this.#read(key, fallback, "a string", (value): value is string => typeof value === "string");
  }

  flag(key: string, fallback?: boolean): boolean {
    return this.#read(key, fallback, "true or false", (value): value is boolean => typeof value === "boolean");
  }

  numbers(key: string): number[] {
    return this.#read(
      key,
      undefined,
      "a list of numbers",
      (value): value is number[] => Array.isArray(value) && value.every((item) => Number.isFinite(item)),
    );
  }

  strings(key: string): string[] {
    return this.#read(
      key,
      undefined,
      "a list of strings",
      (value): value is string[] => Array.isArray(value) && value.every((item) => typeof item === "string"),
    );
  }

  /** The object under `key`; undefined where it is missing or null. */
  section(key: string): Config | undefined {
    const value = this.values[key];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== "object" || Array.isArray(value)) this.#fail(key, "an object", value);
    return new Config(`${this.origin}, "${key}"`, value as Record<string, unknown>);
  }

  #read<T>(key: string, fallback: T | undefined, expected: string, is: (value: unknown) => value is T): T {
    const value = this.values[key];
    if (value === undefined || value === null) {
      if (fallback === undefined) throw new ModelFileError(`${this.origin} has no "${key}"; ${expected} is needed.`);
      return fallback;
    }
    if (!is(value)) this.#fail(key, expected, value);
    return value;
  }

  #fail(key: string, expected: string, value: unknown): never {
    throw new ModelFileError(`${this.origin}: "${key}" must be ${expected}, not ${shown(value)}.`);
  }
}
