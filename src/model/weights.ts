import type { WeightRef } from "./architecture";
import type { FileStamp } from "./file-stamp";

/** Element types of weight files. GGUF's quantised types keep their names there. */
export type WeightType =
  | "F32"
  | "F16"
  | "BF16"
  | "F64"
  | "Q4_0"
  | "Q4_1"
  | "Q5_0"
  | "Q5_1"
  | "Q8_0"
  | "Q2_K"
  | "Q3_K"
  | "Q4_K"
  | "Q5_K"
  | "Q6_K"
  | "IQ1_S"
  | "IQ1_M"
  | "IQ2_XXS"
  | "IQ2_XS"
  | "IQ2_S"
  | "IQ3_XXS"
  | "IQ3_S"
  | "IQ4_NL"
  | "IQ4_XS"
  | "MXFP4"
  | "TQ1_0"
  | "TQ2_0";

/**
 * One tensor of a weight file: where its bytes lie. `dims` is row-major, slowest axis first (GGUF's order is reversed
 * on reading).
 */
export interface WeightEntry {
  readonly name: string;
  readonly type: WeightType;
  readonly dims: readonly number[];
  /** Real path (symlinks resolved) of the file that holds it. */
  readonly file: string;
  /** Bytes from the file's start. */
  readonly offset: number;
  readonly byteLength: number;
  /** The file as it was when its header was read. Left out: it is not watched. */
  readonly stamp?: FileStamp;
}

/**
 * The weights of one model, single or sharded, safetensors or GGUF, read as they are needed. Serialisable (`entries` is
 * plain data), so that a worker can open the same files.
 */
export interface WeightSource {
  readonly entries: ReadonlyMap<string, WeightEntry>;
  /**
   * The values of `ref` as float32 (dequantised, un-permuted, shifted), with its dims. Reads from disk on every call.
   */
  read(ref: WeightRef): { readonly data: Float32Array; readonly dims: readonly number[] };
  /** Rows `rows` (any order, repeats allowed) of a matrix as float32, [rows.length, columns]: only those are read. */
  readRows(ref: WeightRef, rows: readonly number[]): Float32Array;
  /**
   * The bytes as they lie in the file, rows un-permuted as in `read` (whole rows are moved, never values); `add` is not
   * applied.
   */
  readRaw(ref: WeightRef): Uint8Array;
  /**
   * Refuses `files` (as entries name them) that were cut, overwritten or replaced since the model was opened: computing
   * would give other numbers, or, where a file is mapped, end the process.
   */
  check(files: Iterable<string>): void;
  close(): void;
}
