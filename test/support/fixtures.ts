import * as fs from "node:fs";
import * as path from "node:path";
import { gunzipSync } from "node:zlib";

/** The repository's root folder. */
export const root = path.resolve(__dirname, "../..");

/** The folder of the reference models and values; its README tells how they were made. */
export const fixtures = path.join(root, "test/fixtures");

/** Folder of a reference model: config.json, model.safetensors, tokenizer.json. */
export function modelFolder(name: string): string {
  return path.join(fixtures, "models", name);
}

export const modelNames: readonly string[] = fs.readdirSync(path.join(fixtures, "models")).sort();

type Matrix = readonly (readonly number[])[];

/** Values that depend on how value biases are read; the README of the fixtures explains the keys. */
export interface GoldenReading {
  /** [layer][position][head][d] */
  readonly head_out: readonly (readonly Matrix[])[];
  /** [layer][query][key][head] */
  readonly attn_contrib: readonly (readonly Matrix[])[];
  /** [layer][query] */
  readonly attn_resid_contrib: Matrix;
  /** [layer][position] */
  readonly ffn_contrib: Matrix;
  readonly ffn_resid_contrib: Matrix;
  /** Edges `[from, to, weight]` by kind of thresholding. */
  readonly graph: Readonly<Record<string, readonly (readonly [string, string, number])[]>>;
  readonly paths: Readonly<Record<string, Readonly<Record<string, readonly (readonly [string, string, number])[]>>>>;
  readonly neurons_last_pos: readonly (readonly (readonly [number, number])[])[];
  readonly logit_lens: Readonly<
    Record<string, Readonly<Record<"norm" | "raw", readonly (readonly [number, number])[]>>>
  >;
  /** Read by the tests of the lens, which know its layout. */
  readonly promoted: unknown;
}

export interface Golden {
  /** Name of the model under `models/`. */
  readonly model: string;
  /** Such as `llama-tiny.p6`. */
  readonly name: string;
  readonly prompt: string;
  readonly token_ids: readonly number[];
  readonly token_ids_plain_hf_tokenizer: readonly number[];
  readonly logits_last: readonly number[];
  readonly hf_logits_last: readonly number[];
  /** [layer][position][d]; no `resid_mid` where blocks are parallel. */
  readonly resid_pre: readonly Matrix[];
  readonly resid_mid?: readonly Matrix[];
  readonly resid_post: readonly Matrix[];
  readonly attn_out: readonly Matrix[];
  readonly mlp_out: readonly Matrix[];
  /** [layer][head][query][key] */
  readonly attn_pattern: readonly (readonly Matrix[])[];
  /** Absent where the published tool does not serve the architecture. */
  readonly peer?: GoldenReading;
  readonly corrected?: GoldenReading;
}

/** Names of all reference files: `llama-tiny.p6`, … */
export const goldenNames: readonly string[] = fs
  .readdirSync(path.join(fixtures, "golden"))
  .filter((file) => file.endsWith(".json.gz"))
  .map((file) => file.slice(0, -".json.gz".length))
  .sort();

export function readGolden(name: string): Golden {
  const values = JSON.parse(
    gunzipSync(fs.readFileSync(path.join(fixtures, "golden", `${name}.json.gz`))).toString("utf8"),
  ) as object;
  return { ...values, name, model: name.replace(/\.p\d+$/, "") } as Golden;
}

/** Nested arrays as one flat Float64Array. */
export function flat(nested: unknown): Float64Array {
  return Float64Array.from((nested as readonly number[]).flat<readonly number[], 20>(20));
}

/** The largest absolute difference; NaN where any is NaN, Infinity where lengths differ, so that a comparison fails. */
export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i] - b[i]);
    if (!(difference <= largest)) largest = difference;
    if (Number.isNaN(difference)) return NaN;
  }
  return largest;
}
