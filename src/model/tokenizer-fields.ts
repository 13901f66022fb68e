/**
 * Typed reading of a tokenizer.json: every field of every component is either used, known to be without effect, or
 * refused by name.
 */
import { ModelFileError, list } from "./errors";

export type Fields = Readonly<Record<string, unknown>>;

export function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a wrong value looks like in a message. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/**
 * One component of a tokenizer.json. Its readers throw a `ModelFileError` that names the file, the place and what is
 * allowed.
 */
export class Component {
  constructor(
    readonly origin: string,
    /** Where in the file, as in `pre_tokenizer.pretokenizers[1]`. */
    readonly place: string,
    readonly fields: Fields,
  ) {}

  static of(origin: string, place: string, value: unknown): Component {
    if (!isRecord(value)) throw new ModelFileError(`${origin}: ${place} must be an object, not ${kindOf(value)}.`);
    return new Component(origin, place, value);
  }

  get type(): string {
    return this.string("type");
  }

  refuse(what: string): ModelFileError {
    return new ModelFileError(`${this.origin}: ${this.place} ${what}.`);
  }

  /** Refuses fields that the formats do not have: what cannot be known cannot be honoured. */
  only(...names: string[]): void {
    const strange = Object.keys(this.fields).find((name) => name !== "type" && !names.includes(name));
    if (strange !== undefined) {
      const kind = typeof this.fields.type === "string" ? ` of type "${this.fields.type}"` : "";
      throw this.refuse(
        `${kind.trim()} has a field ${JSON.stringify(strange.slice(0, 60))} that is not known; ${names.length > 0 ? `${list(names)} are` : "it has none"}`.trim(),
      );
    }
  }

  #read<T>(name: string, expected: string, accept: (value: unknown) => value is T, fallback?: T): T {
    const value = this.fields[name];
    if (value === undefined && fallback !== undefined) return fallback;
    if (!accept(value))
      throw this.refuse(
        value === undefined
          ? `has no "${name}"; ${expected} is needed`
          : `has "${name}": ${kindOf(value)}, but ${expected} is needed`,
      );
    return value;
  }

  string(name: string, fallback?: string): string {
    return this.#read(name, "a text", (value): value is string => typeof value === "string", fallback);
  }

  flag(name: string, fallback?: boolean): boolean {
    return this.#read(name, "true or false", (value): value is boolean => typeof value === "boolean", fallback);
  }

  /** A whole number from 0. */
  count(name: string, fallback?: number): number {
    return this.#read(
      name,
      "a whole number from 0",
      (value): value is number => Number.isSafeInteger(value) && (value as number) >= 0,
      fallback,
    );
  }

  choice(name: string, choices: readonly string[], fallback?: string): string {
    return this.#read(
      name,
      list(
        choices.map((choice) => `"${choice}"`),
        "or",
      ),
      (value): value is string => typeof value === "string" && choices.includes(value),
      fallback,
    );
  }

  items(name: string): readonly unknown[] {
    return this.#read(name, "a list", (value): value is readonly unknown[] => Array.isArray(value));
  }

  record(name: string): Fields {
    return this.#read(name, "an object", isRecord);
  }

  /** The component in this field; undefined where it is null or missing. */
  component(name: string): Component | undefined {
    const value = this.fields[name];
    return value === undefined || value === null
      ? undefined
      : Component.of(this.origin, this.place === "" ? name : `${this.place}.${name}`, value);
  }

  components(name: string): Component[] {
    return this.items(name).map((value, i) => Component.of(this.origin, `${this.place}.${name}[${i}]`, value));
  }

  nullable(name: string): boolean {
    return this.fields[name] === undefined || this.fields[name] === null;
  }
}
