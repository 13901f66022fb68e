/**
 * The keys of a configuration: what each has to be. The JSON schema for editors says the same and is tested against
 * this.
 */

import { DTYPES } from "../model/check";
import type { Device, Dtype } from "../model/types";
import { SHARE_LEVELS, type ShareLevel } from "../payload/format";

/**
 * A configuration as its JSON file holds it: the published tool's keys by their names there, and ours. All are
 * optional.
 */
export interface ExplorerConfig {
  /** For editors. */
  readonly $schema?: string;
  /** Longest prompt of one's own in characters; null: no limit. */
  readonly max_user_string_length?: number | null;
  /** Text file of prompts, one a line. */
  readonly preloaded_dataset_filename?: string | null;
  /** Offer to read other such files. Default true. */
  readonly allow_loading_dataset_files?: boolean;
  /** Name → null (a hub id, or "default"), the folder or `.gguf` file that is read, or a hub id. */
  readonly models?: Readonly<Record<string, string | null>>;
  /** A name in `models`, loaded at once; "" loads none. */
  readonly default_model?: string;
  /** Only the models and prompts that are given here. Default false. */
  readonly demo_mode?: boolean;
  /** Show how long things took. Default false. */
  readonly debug?: boolean;
  /** Default "auto". */
  readonly device?: Device;
  /** Default "auto". */
  readonly dtype?: Dtype;
  /** Contribution threshold at first, 0 to 1. Default 0.04. */
  readonly threshold?: number;
  /** Scale what passed the threshold to sum 1. Default true. */
  readonly renormalize?: boolean;
  /** Apply the final norm before the unembedding. Default true. */
  readonly normalize?: boolean;
  /** What a saved notebook keeps. Default "routes". */
  readonly share?: ShareLevel;
}

/** What a value has to be, as words, where it is not that. */
type Check = (value: unknown) => string | undefined;

const flag: Check = (value) => (typeof value === "boolean" ? undefined : "true or false");
const oneOf =
  (names: readonly string[]): Check =>
  (value) =>
    names.includes(value as string) ? undefined : `one of ${names.map((name) => JSON.stringify(name)).join(", ")}`;
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Checks that need nothing but the value itself, by key. */
export const CHECKS: { readonly [K in keyof Required<ExplorerConfig>]: Check } = {
  $schema: (value) => (typeof value === "string" ? undefined : "the address of a JSON schema"),
  max_user_string_length: (value) =>
    value === null || (Number.isSafeInteger(value) && (value as number) >= 0)
      ? undefined
      : "a whole number of characters from 0 on, or null for no limit",
  preloaded_dataset_filename: (value) =>
    value === null || (typeof value === "string" && value !== "")
      ? undefined
      : "the path of a text file with one prompt a line, or null",
  allow_loading_dataset_files: flag,
  models: (value) => (isObject(value) ? undefined : "an object of names with null or a local path each"),
  default_model: (value) => (typeof value === "string" ? undefined : 'a name in models, or "" for none'),
  demo_mode: flag,
  debug: flag,
  device: (value) =>
    typeof value === "string" && value !== "" ? undefined : '"auto", "cpu", "gpu" or the name of an execution provider',
  dtype: oneOf(DTYPES),
  threshold: (value) => (typeof value === "number" && value >= 0 && value <= 1 ? undefined : "a number from 0 to 1"),
  renormalize: flag,
  normalize: flag,
  share: oneOf(SHARE_LEVELS),
};

/** The same for the values in `models`. */
export const checkModelPath: Check = (value) =>
  value === null || (typeof value === "string" && value !== "")
    ? undefined
    : "null (the name is a hub id), the path of a folder or .gguf file, or a hub id";
