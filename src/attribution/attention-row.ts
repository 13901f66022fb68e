/** Contributions at one query position; all of them sum to 1. */
export interface AttentionRow {
  readonly position: number;
  /** `[position + 1, H]`: key, head. */
  readonly terms: Float32Array;
  readonly residual: number;
  /** 0 where the bias is no part. */
  readonly bias: number;
  /** 0 where blocks are not parallel. */
  readonly ffn: number;
}
