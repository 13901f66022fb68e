import type { ProgressListener, Tensor } from "../model/types";

/**
 * What can be fetched of one layer. T tokens, H heads, d model width, f feed-forward width.
 *
 * - `resid_pre`, `resid_mid` (not where blocks are parallel), `resid_post`, `attn_out`, `ffn_out`: [T, d]
 * - `pattern`: [H, T, T]
 * - `value_out`: [T, H, d], what head h writes per unit of attention to key k: `v[k, h] W_O^h`, value bias left out;
 *   a norm
 *   after the block is applied with its statistic fixed as far as it does not depend on the query (its weight), the
 * rest is `term_scale`
 * - `term_scale`: [T], multiplies all terms of a query; all ones where no norm follows the block
 * - `ffn_pre`, `ffn_post`: [T, f], before the (gate's) activation function; what multiplies W_out's rows
 * - `ffn_scale`: [T], the same as `term_scale` for the FFN's norm
 */
export type LayerTensorName =
  | "resid_pre"
  | "resid_mid"
  | "resid_post"
  | "attn_out"
  | "ffn_out"
  | "pattern"
  | "value_out"
  | "term_scale"
  | "ffn_pre"
  | "ffn_post"
  | "ffn_scale";

/** Constants of one layer that the attribution needs. */
export interface LayerConstants {
  /** `[H, d]`: `b_V[h] W_O^h` (after the weight of a norm behind the block); undefined without value biases. */
  readonly valueBiasOut?: Float32Array;
  /** `[d]`: b_O (likewise); undefined without one. */
  readonly outputBias?: Float32Array;
  /** `[d]`: bias of the FFN's output matrix (likewise). */
  readonly ffnOutputBias?: Float32Array;
}

/**
 * One forward pass, kept by the engine as the residual stream at each layer's start; everything inside a layer comes
 * from that state, at once with the pass where it fits the memory budget, else by running that one layer again.
 * Tensors are backed by SharedArrayBuffers, so that they reach other threads without a copy. They are read-only.
 */
export interface Pass {
  readonly nTokens: number;
  fetch<N extends LayerTensorName>(
    layer: number,
    names: readonly N[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<Record<N, Tensor>>;
  /** `[T, V]`, or [V] of one position. */
  logits(position?: number): Promise<Tensor>;
  /**
   * `[f]`: for each neuron n at `position` the proximity of its update z = `a[n] W_out[n]` (times `ffn_scale`) to y =
   * `resid_post`: `Σ_i (|y_i| − |y_i − z_i|)`, subtracted before it is summed up: the sums are large, small neurons
   * would drown. Computed in the engine, where W_out lies.
   */
  neuronProximities(layer: number, position: number): Promise<Float32Array>;
  /** `[f]`: what each neuron's update at `position` adds along `direction` [d]. */
  neuronLogits(layer: number, position: number, direction: Float64Array): Promise<Float64Array>;
  dispose(): Promise<void>;
}

export interface ForwardOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: ProgressListener;
  /**
   * Layer tensors wanted of every layer with the pass itself, the most wanted first: what goes beyond the byte budget
   * is left out. Anything is still there on asking.
   */
  readonly keep?: readonly LayerTensorName[];
}

/** How the weights are held: see docs/precision-and-memory.md. */
export interface MemoryPlan {
  /** Bytes of weights in memory, beside what is mapped from the file. */
  readonly heldBytes: number;
  /** Layers' matrices as float32, or as small as they are stored. */
  readonly residence: "fast" | "small";
  /** Layers that are loaded anew in every run. */
  readonly nStreamed: number;
}

/** A token sequence that grows: earlier tokens are not computed again. */
export interface Growth {
  readonly nTokens: number;
  /**
   * Appends tokens. Gives the logits [V] after the last of them, unless `logits` is false. Cancelled or failed, the
   * sequence stays what it was.
   */
  append(
    tokenIds: readonly number[],
    options?: { readonly signal?: AbortSignal; readonly logits?: boolean },
  ): Promise<Float32Array | undefined>;
  /** The pass over all its tokens, as `Engine.forward` would give it. It can grow on afterwards. */
  pass(): Pass;
  /** Frees keys and values. */
  dispose(): void;
}

/** Computes in worker threads; the calling thread's event loop is never blocked. */
export interface Engine {
  /** Execution provider in use, by onnxruntime's name. */
  readonly device: string;
  /** What is computed in. */
  readonly dtype: string;
  readonly plan: MemoryPlan;
  /** `tokenIds` are used exactly as given. */
  forward(tokenIds: readonly number[], options?: ForwardOptions): Promise<Pass>;
  /** An empty sequence to append tokens to. */
  grow(): Growth;
  constants(layer: number): Promise<LayerConstants>;
  /**
   * `[n, V]` from [n, d]; the final norm goes first unless `normalize` is false. No soft-cap where `normalize` is
   * false.
   */
  unembed(vectors: Float32Array, options?: { readonly normalize?: boolean }): Promise<Tensor>;
  /** `[d]`: row of W_out (a norm behind the block: times its weight). */
  neuronOutput(layer: number, neuron: number): Promise<Float32Array>;
  dispose(): Promise<void>;
}
