import type { Architecture } from "./architecture";
import type { ChatFormat } from "./chat";
import type { Token } from "./types";
import type { WeightSource } from "./weights";

/** Text ↔ token ids, as the model's own tokenizer does it. */
export interface Tokenizer {
  /** Number of ids that have a text; the model's V can be larger (padding rows). */
  readonly size: number;
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): number[];
  /** The token with this id; ids without a text read `<unused 123>`. */
  token(id: number): Token;
}

/** Everything that was read from a model's files, before anything is computed. */
export interface ModelFiles {
  readonly name: string;
  readonly architecture: Architecture;
  readonly weights: WeightSource;
  readonly tokenizer: Tokenizer;
  /** Scalars in the file, tied matrices once. */
  readonly nParams: number;
  /** What most weights are stored in: "float32", "float16", "bfloat16", "q4_1", … */
  readonly storedType: string;
  /** Chat templates, and what ends an answer. */
  readonly chat?: ChatFormat;
}
