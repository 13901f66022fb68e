/**
 * One description of a decoder-only transformer that every family maps to (`src/model/families/*.ts`) and that the
 * engine builds graphs from (`src/engine/`). A family file only fills this in from a config and names weights.
 *
 * Weight matrices are given by where they lie (`WeightRef`), never as data: the engine decides whether they are used in
 * place, dequantised or kept quantised.
 */

/** How a linear layer's matrix lies in the file. "out-in" is torch's nn.Linear, "in-out" GPT-2's Conv1D. */
export type LinearLayout = "out-in" | "in-out";

/** A tensor of the weight file, or a block of whole rows (first axis) of one. */
export interface WeightRef {
  readonly name: string;
  /** First and end row (exclusive) of the first axis. Left out: the whole tensor. */
  readonly rows?: readonly [number, number];
  /**
   * Rows were permuted for interleaved rotary embedding by llama.cpp's converter; undone by the reader of the file, so
   * that engines only ever see the hub's order. Value: number of heads of this matrix.
   */
  readonly unpermuteHeads?: number;
  /**
   * Tensors of the same dims that follow this one: they are read as one with a new first axis (StableLM's norms of each
   * head).
   */
  readonly stack?: readonly string[];
  /** Added to every value after reading (llama.cpp stores Gemma's norm weights with 1 added: -1). */
  readonly add?: number;
}

export interface Linear {
  readonly weight: WeightRef;
  readonly bias?: WeightRef;
  readonly layout: LinearLayout;
}

export interface Norm {
  readonly kind: "layernorm" | "rmsnorm";
  readonly epsilon: number;
  /** Left out: no learned scale (OLMo). */
  readonly weight?: WeightRef;
  readonly bias?: WeightRef;
  /** The scale is `weight + 1` (Gemma). */
  readonly unitOffset?: boolean;
  /**
   * No statistic: the vector is multiplied with this number. Behind a block alone, where the block's parts are scaled
   * as those of one with a norm are (Granite's residual_multiplier).
   */
  readonly factor?: number;
}

export type Activation = "gelu" | "gelu_tanh" | "quick_gelu" | "relu" | "relu2" | "silu";

/**
 * Frequencies and the scale of cos/sin, ready to use: the family file has applied linear, llama3, yarn, … scaling.
 * Where a scaling depends on the prompt's length (dynamic NTK, longrope) `frequencies` is a function of T.
 */
export interface Rotary {
  /** Number of leading dimensions of each head that are rotated (even). */
  readonly dims: number;
  /** "half": (i, i + dims/2) are a pair (Llama, NeoX); "interleaved": (2i, 2i+1) are (GPT-J). */
  readonly pairing: "half" | "interleaved";
  /** `[dims / 2]` radians per position. */
  readonly frequencies: (nTokens: number) => Float64Array;
  /** Multiplies cos and sin (yarn's attention factor). Default 1. */
  readonly scale?: number;
}

/** How q, k and v come out of the weights. */
export type QueryKeyValue =
  | { readonly kind: "separate"; readonly query: Linear; readonly key: Linear; readonly value: Linear }
  /**
   * One matrix. Its outputs are, "concat": all q, all k, all v (GPT-2, Phi-3); "per-head": for each head its q, k, v
   * (GPT-NeoX, BLOOM, Falcon without groups); "per-group": for each KV head its query heads, then k, then v (Falcon).
   */
  | { readonly kind: "fused"; readonly linear: Linear; readonly order: "concat" | "per-head" | "per-group" };

export interface Attention {
  readonly qkv: QueryKeyValue;
  readonly output: Linear;
  /** Multiplies q·k. 1/sqrt(dHead) in most. */
  readonly scale: number;
  readonly rotary?: Rotary;
  /** ALiBi slopes, [H]. */
  readonly alibiSlopes?: Float64Array;
  /**
   * Slope, position and their product are rounded to bfloat16, and scaled with `scale` as q·k is (Falcon, whose
   * reference does so). Left out: exact, and not scaled.
   */
  readonly alibiRounded?: boolean;
  /** Keys further back than this many positions (the query itself counts as 1) are masked. */
  readonly window?: number;
  /** Scores become `cap * tanh(score / cap)` (Gemma 2). */
  readonly softcap?: number;
  /**
   * Norm of q and of k. "head": weights [dHead], each head for itself (Qwen3); "all": weights over all heads at once
   * (OLMo 2); "per-head": weights [H, dHead] (StableLM).
   */
  readonly queryKeyNorm?: { readonly over: "head" | "all" | "per-head"; readonly query: Norm; readonly key: Norm };
}

export interface FeedForward {
  readonly activation: Activation;
  /** The matrix before the activation function (of the gate branch, where gated). */
  readonly input: Linear;
  /** The branch that multiplies the activation (gated FFNs: Llama's up_proj). */
  readonly up?: Linear;
  /** Gate and up in one matrix whose outputs are [gate, up] (Phi-3): `input` is that matrix and `up` is left out. */
  readonly fusedGate?: boolean;
  readonly output: Linear;
}

export interface Layer {
  /**
   * "sequential": attention, then FFN. "parallel": both read the layer's input (each its norm) and are added at once.
   */
  readonly block: "sequential" | "parallel";
  readonly attentionNorm?: Norm;
  readonly attention: Attention;
  /** A norm over attention's output before it is added (Gemma 2/3, OLMo 2). */
  readonly postAttentionNorm?: Norm;
  /** Parallel blocks with one norm for both leave it out: `attentionNorm` serves. */
  readonly ffnNorm?: Norm;
  readonly ffn: FeedForward;
  readonly postFfnNorm?: Norm;
}

export interface Architecture {
  /** The family's name in the registry, as in `ModelInfo.family`. */
  readonly family: string;
  readonly nLayers: number;
  readonly nHeads: number;
  readonly nKeyValueHeads: number;
  readonly dModel: number;
  readonly dHead: number;
  readonly dFfn: number;
  readonly dVocab: number;
  readonly maxPositions: number;
  readonly embedding: {
    readonly token: WeightRef;
    /** Learned positions; row `position + offset` (OPT: 2). */
    readonly position?: { readonly weight: WeightRef; readonly offset: number };
    /** Multiplies the token's embedding (Gemma: sqrt(d)). */
    readonly scale?: number;
    /** Norm of the embedded token (BLOOM). */
    readonly norm?: Norm;
  };
  readonly layers: readonly Layer[];
  readonly finalNorm?: Norm;
  /** `[V, d]`; the token embedding itself where tied. */
  readonly unembedding: Linear;
  /** Logits become `cap * tanh(logit / cap)` (Gemma 2). */
  readonly logitSoftcap?: number;
  /** Logits are multiplied with this (Cohere, Granite). */
  readonly logitScale?: number;
}
