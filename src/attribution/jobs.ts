/** What the attribution threads are sent. All arrays but `positions` are views of SharedArrayBuffers. */

/** Floor of a proximity: no part of a whole contributes less than this before the division (the paper's epsilon). */
export const EPSILON = 1e-5;

/** Slots of a job's control array. */
export const CONTROL = { nextChunk: 0, chunksLeft: 1, cancelled: 2, length: 3 } as const;

/**
 * Contributions of one layer's attention terms to wholes at some query positions. T tokens, H heads, d model width.
 * Terms are numbered j = key · H + head.
 */
export interface AttentionJob {
  readonly id: number;
  readonly nTokens: number;
  readonly nHeads: number;
  readonly dModel: number;
  /** Query positions, ascending, no repeats. */
  readonly positions: readonly number[];
  /** `[H, T, T]` */
  readonly pattern: Float32Array;
  /** `[T, H, d]` */
  readonly valueOut: Float32Array;
  /** `[H, d]`: added to every row of `valueOut` (value bias read as part of the term). */
  readonly valueBiasOut?: Float32Array;
  /** `[T]`: factor of all terms and of the bias of a query. */
  readonly termScale?: Float32Array;
  /** `[T, d]` */
  readonly whole: Float32Array;
  /** `[T, d]` */
  readonly residual: Float32Array;
  /** `[d]` */
  readonly bias?: Float32Array;
  /** `[T, d]`, in place of `bias`. */
  readonly rest?: Float32Array;
  /** `[T, d]` */
  readonly ffn?: Float32Array;
  /** For each position p in order (p + 1) · H numbers. Result. */
  readonly terms: Float32Array;
  /** `[positions, 3]`: residual, bias, ffn. Result. */
  readonly others: Float32Array;
  /** Terms a chunk. */
  readonly chunkTerms: number;
  readonly control: Int32Array;
}

export interface JobAnswer {
  readonly id: number;
  readonly error?: string;
}
