import { parseArgs } from "node:util";
import { DTYPES } from "../model/check";
import type { LoadOptions, Progress } from "../model/types";

/** One word after `lm-transparency`. */
export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What `--help` prints. */
  readonly usage: string;
  /**
   * A signal may end it anywhere: it holds nothing that would be lost or left behind. Others are told by
   * `Context.signal`.
   */
  readonly endsAtOnce?: boolean;
  /** Resolves when done; throws `UsageError` where the arguments are wrong. */
  run(args: readonly string[], context: Context): Promise<void>;
}

/** What a command has to do with the outside. */
export interface Context {
  readonly signal: AbortSignal;
  /** Writes to standard output; resolves when it was taken. */
  write(text: string): Promise<void>;
  /** Says on standard error what does not end the command: one sentence. */
  warn(sentence: string): void;
  /** Shows progress on standard error, where that is a terminal. */
  progress(progress: Progress): void;
}

/** Wrong arguments: exit code 2. */
export class UsageError extends Error {}

/** An option of a command: `--name VALUE`, or `--name` alone. */
export type OptionTypes = Readonly<
  Record<
    string,
    | { readonly type: "string"; readonly default?: string; readonly multiple?: false }
    | Repeated
    | { readonly type: "boolean" }
  >
>;

/** An option that may be given several times. */
interface Repeated {
  readonly type: "string";
  readonly multiple: true;
}

/** Values by option; one without a default may be missing. */
export type OptionValues<T extends OptionTypes> = {
  -readonly [K in keyof T]: T[K] extends { readonly type: "boolean" }
    ? boolean | undefined
    : T[K] extends Repeated
      ? string[] | undefined
      : T[K] extends { readonly default: string }
        ? string
        : string | undefined;
};

/**
 * The same arguments with every option's value tied to it (`--name=value`), so that a value may begin with a dash: a
 * prompt, or a number that is then refused for what it is. What is an option itself is no value.
 */
function tieValues(args: readonly string[], options: OptionTypes): string[] {
  const tied: string[] = [];
  for (let i = 0; i < args.length; i++) {
    if (args[i] === "--") return [...tied, ...args.slice(i)];
    const type = args[i].startsWith("--") ? options[args[i].slice(2)]?.type : undefined;
    const next = args[i + 1];
    if (type !== "string" || next === undefined) {
      tied.push(args[i]);
    } else if (next.startsWith("--") && Object.hasOwn(options, next.slice(2).split("=")[0])) {
      throw new UsageError(
        `${args[i]} has no value: ${next} comes after it (write ${args[i]}=${next} if that is the value)`,
      );
    } else {
      tied.push(`${args[i]}=${next}`);
      i++;
    }
  }
  return tied;
}

/** Parses arguments strictly; every problem is a `UsageError` of one sentence. */
export function parseOptionsAndFiles<const T extends OptionTypes>(
  args: readonly string[],
  options: T,
): { readonly values: OptionValues<T>; readonly files: readonly string[] } {
  try {
    const { values, positionals } = parseArgs({
      args: tieValues(args, options),
      options,
      strict: true,
      allowPositionals: true,
    });
    // Strict parsing gives exactly this; the library's own type of it cannot be named.
    return { values: values as unknown as OptionValues<T>, files: positionals };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    // The parser adds advice about arguments of other shapes: only its first sentence is about this one.
    throw new UsageError(error instanceof Error ? error.message.split(/\. |\n/)[0] : String(error));
  }
}

/** The same for a command that takes options alone. */
export function parseOptions<const T extends OptionTypes>(args: readonly string[], options: T): OptionValues<T> {
  const { values, files } = parseOptionsAndFiles(args, options);
  if (files.length > 0) throw new UsageError(`unexpected argument ${JSON.stringify(files[0])}`);
  return values;
}

/** A number option in a range. */
export function numberOption(name: string, text: string, min: number, max: number, integer = false): number {
  const value = text.trim() === "" ? NaN : Number(text);
  if (!(value >= min && value <= max) || (integer && !Number.isInteger(value))) {
    const range = max === Infinity ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new UsageError(
      `--${name} is ${JSON.stringify(text)}: it must be ${integer ? "an integer" : "a number"} ${range}`,
    );
  }
  return value;
}

/** An option with few values. */
export function choiceOption<T extends string>(name: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found === undefined)
    throw new UsageError(`--${name} is ${JSON.stringify(text)}: it must be ${choices.join(" or ")}`);
  return found;
}

/** Options that every command that loads a model has. */
export const MODEL_OPTIONS = {
  model: { type: "string" },
  revision: { type: "string" },
  "cache-dir": { type: "string" },
  device: { type: "string" },
  dtype: { type: "string" },
} as const;

/** The options of `loadModel` that these say. */
export function loadOptions({
  revision,
  "cache-dir": cacheDir,
  device,
  dtype,
}: OptionValues<typeof MODEL_OPTIONS>): LoadOptions {
  return { revision, cacheDir, device, dtype: dtype === undefined ? undefined : choiceOption("dtype", dtype, DTYPES) };
}

export const MODEL_USAGE = `  --model M            a hub id (owner/name or owner/name@revision), a folder, a .gguf file, or "default"
  --revision R         branch, tag or commit of a hub repository
  --cache-dir DIR      folder for downloads instead of the standard cache
  --device D           auto (default), cpu, gpu, or an execution provider
  --dtype T            auto (default), float32, float16, bfloat16, q8 or q4`;
