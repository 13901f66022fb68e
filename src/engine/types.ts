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
 * - `head_mix`: [T, H * dHead], what W_O is multiplied with (weights × values, the value's bias included); `attn_raw`,
 *   `ffn_raw`: [T, d], what a block writes, its bias included, before a norm behind it; `value_used`: [T, K * dHead], values
 *   with their bias. All of them after whatever an intervention does to them. These four come from a second graph of the
 *   layer, which is built when they are first asked for
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
  | "ffn_scale"
  | "head_mix"
  | "attn_raw"
  | "ffn_raw"
  | "value_used";

/** `x · gain + add` at each row of a tensor. Rows that nothing happens to have gain 1 and 0 added. */
export interface Affine {
  /** One number a row (heads: a row and head; neurons: a row and neuron). */
  readonly gain: Float32Array;
  /** Of the tensor's own size. Left out: nothing. */
  readonly add?: Float32Array;
}

/**
 * What happens inside one layer, in the order of the computation. T tokens, H heads, d model width, f FFN width. Arrays
 * are plain memory or shared.
 */
export interface LayerChanges {
  /** `[H, T, T]`, query before key: 1 where the score is −∞ before the softmax. */
  readonly blocked?: Uint8Array;
  /** `[H, T, T]`: multiplies the attention weights after the softmax. */
  readonly weights?: Float32Array;
  /** Of `head_mix`: gain [T, H], add [T, H * dHead]. */
  readonly heads?: Affine;
  /** Of `attn_raw`: gain [T], add [T, d]. */
  readonly attention?: Affine;
  /** Of `resid_mid`: gain [T], add [T, d]. Not where blocks are parallel. */
  readonly mid?: Affine;
  /** Of `ffn_post`: gain [T, f], add [T, f]. */
  readonly neurons?: Affine;
  /** Of `ffn_raw`: gain [T], add [T, d]. */
  readonly ffn?: Affine;
}

/** What happens to a pass. */
export interface PassChanges {
  readonly layers: ReadonlyMap<number, LayerChanges>;
  /** Of the states before each layer, and after the last (number L): gain [T], add [T, d]. */
  readonly states: ReadonlyMap<number, Affine>;
}

/**
 * What a layer backwards gives: coefficients of a number that is read out of the last state, as in a gradient, but with
 * norms' statistics, attention patterns and the ratios activation(x) / x held fixed, and products shared by halves
 * (RelP; docs/method.md). n tokens, those up to the one that is read.
 *
 * - `to_pre`, `to_mid` (not where blocks are parallel): [n, d], coefficients of `resid_pre` and `resid_mid`
 * - `terms`: [H, n, n], what each head carried from key to query, without value biases, in the number's unit
 * - `bias_terms`: [H, n], the same of one unit of attention to a value bias; only where there is one
 * - `neurons`: [n, f], what each neuron wrote; `ffn`: [n], what the block wrote, its bias included
 * - `attention_constant`, `ffn_constant`: [n], what the block's biases and those of the norm before it added
 */
export type BackwardTensorName =
  "to_pre" | "to_mid" | "terms" | "bias_terms" | "neurons" | "ffn" | "attention_constant" | "ffn_constant";

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

/** How a pass is changed. */
export type ChangeOptions = Pick<ForwardOptions, "signal" | "onProgress">;

/** A pass over tokens as they are. */
export interface WholePass extends Pass {
  /**
   * One layer backwards, over the first n tokens.
   *
   * @param gradient [n, d]: coefficients of `resid_post`
   * @param options.midGradient [n, d]: coefficients of `resid_mid` that stand for those that come through the layer (for
   *   the parts of another prompt than that of the coefficients); no effect where blocks are parallel
   */
  backward<N extends BackwardTensorName>(
    layer: number,
    gradient: Float32Array,
    names: readonly N[],
    options?: { readonly signal?: AbortSignal; readonly midGradient?: Float32Array },
  ): Promise<Record<N, Tensor>>;
  /**
   * The same tokens with something changed in between. Layers below the first change are this pass's own, shared; it
   * must not be disposed of before.
   */
  change(changes: PassChanges, options?: ChangeOptions): Promise<ChangedPass>;
  /** Tensors of one layer, of any state [T, d] before it and with any changes inside. */
  probe<N extends LayerTensorName>(
    layer: number,
    state: Float32Array,
    changes: LayerChanges | undefined,
    names: readonly N[],
  ): Promise<Record<N, Tensor>>;
  /** What each head writes [n, H, d], after the weight of a norm behind the block, of rows [n, H * dHead] of `head_mix`. */
  headOutputs(layer: number, rows: Float32Array): Promise<Float32Array>;
}

/** A pass in which something was changed. */
export interface ChangedPass extends Pass {
  /** The first state that is not the base's: number of layers below it. L + 1 where nothing changed. */
  readonly firstState: number;
  /** What happens inside a layer; undefined where nothing does. */
  changesOf(layer: number): LayerChanges | undefined;
  /** What happens to the state before layer `index`, or after the last. */
  stateChange(index: number): Affine | undefined;
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
  pass(): WholePass;
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
  forward(tokenIds: readonly number[], options?: ForwardOptions): Promise<WholePass>;
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
