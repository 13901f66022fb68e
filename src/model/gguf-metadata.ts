import { ModelFileError } from "./errors";

/** Typed reading of a GGUF file's key-value pairs. `{}` in a key stands for the architecture's name. */
export class GgufMetadata {
  readonly architecture: string;

  constructor(
    readonly origin: string,
    private readonly values: Readonly<Record<string, unknown>>,
  ) {
    this.architecture = this.string("general.architecture");
  }

  has(key: string): boolean {
    return this.raw(key) !== undefined;
  }

  raw(key: string): unknown {
    const name = key.replace("{}", () => this.architecture ?? "");
    return Object.hasOwn(this.values, name) ? (this.values[name] ?? undefined) : undefined;
  }

  /** A finite number; 64-bit integers are converted. */
  number(key: string, fallback?: number): number {
    return this.#read(key, fallback, "a number", (value) => {
      const n = typeof value === "bigint" ? Number(value) : value;
      return typeof n === "number" && Number.isFinite(n) ? n : undefined;
    });
  }

  string(key: string, fallback?: string): string {
    return this.#read(key, fallback, "a string", (value) => (typeof value === "string" ? value : undefined));
  }

  flag(key: string, fallback?: boolean): boolean {
    return this.#read(key, fallback, "true or false", (value) => (typeof value === "boolean" ? value : undefined));
  }

  strings(key: string, fallback?: string[]): string[] {
    return this.#read(key, fallback, "a list of strings", (value) =>
      Array.isArray(value) && value.every((item) => typeof item === "string") ? value : undefined,
    );
  }

  numbers(key: string, fallback?: number[]): number[] {
    return this.#read(key, fallback, "a list of numbers", (value) =>
      Array.isArray(value) && value.every((item) => typeof item === "number") ? value : undefined,
    );
  }

  #read<T>(key: string, fallback: T | undefined, expected: string, convert: (value: unknown) => T | undefined): T {
    const value = this.raw(key);
    const name = key.replace("{}", () => this.architecture ?? "");
    if (value === undefined) {
      if (fallback === undefined)
        throw new ModelFileError(`${this.origin} has no metadata key "${name}"; ${expected} is needed.`);
      return fallback;
    }
    const converted = convert(value);
    if (converted === undefined)
      throw new ModelFileError(`${this.origin}: metadata key "${name}" must be ${expected}.`);
    return converted;
  }
}
