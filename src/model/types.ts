/**
 * The public contract: what a model, a run and their answers are. Nothing here computes.
 *
 * Letters in shapes: T tokens, L layers, H query heads, K key/value heads, d model width, f feed-forward width,
 * V vocabulary. All tensors are row-major float32.
 */

/** A dense float32 tensor, row-major: `data.length` is the product of `dims`. */
export interface Tensor {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** One input token. `text` is exactly what the token stands for (a lone byte of a longer character shows as `<0xE2>`). */
export interface Token {
  readonly id: number;
  readonly text: string;
}

/** Facts about a loaded model. Counts are of scalars; `dtype` is what is computed in, `device` where. */
export interface ModelInfo {
  readonly name: string;
  readonly family: string;
  readonly nParams: number;
  readonly nLayers: number;
  readonly nHeads: number;
  readonly nKeyValueHeads: number;
  readonly dModel: number;
  readonly dHead: number;
  readonly dFfn: number;
  readonly dVocab: number;
  /** Longest prompt in tokens that the model was made for. */
  readonly maxPositions: number;
  /** True where attention and FFN read the same input and are added at once (GPT-NeoX, GPT-J, Phi): no `A` nodes. */
  readonly parallelBlocks: boolean;
  readonly dtype: string;
  readonly device: string;
}

/** A step of something that takes a while. `done` and `total` are in `unit` ("bytes", "layers", "prompts", …). */
export interface Progress {
  readonly stage: string;
  readonly done: number;
  readonly total?: number;
  readonly unit: string;
}

export type ProgressListener = (progress: Progress) => void;

/**
 * Where a model is computed: "auto" and "cpu" are the processor, "gpu" the fastest GPU device of the platform, the others execution
 * providers of ONNX Runtime by name. The list is open: a later runtime may have more.
 */
export type Device = "auto" | "cpu" | "gpu" | "cuda" | "dml" | "coreml" | "webgpu" | "tensorrt" | (string & Record<never, never>);

/** What weights are rounded to: "auto" leaves them as the file has them; "q8" and "q4" are blocks of 32 inputs with a scale each. */
export type Dtype = "auto" | "float32" | "float16" | "bfloat16" | "q8" | "q4";

export interface LoadOptions {
  /** Where to compute. Default "auto": the CPU. */
  readonly device?: Device;
  /** What the weights are rounded to before computing. Default "auto": as the file has them. */
  readonly dtype?: Dtype;
  /** Branch, tag or commit of a hub repository; `id@revision` says the same. */
  readonly revision?: string;
  /** Folder for downloads instead of the standard cache. */
  readonly cacheDir?: string;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

export interface RunOptions {
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
  /** Put the tokenizer's special tokens (BOS) before a text, as its own configuration says. Default true. No effect on token ids. */
  readonly addSpecialTokens?: boolean;
}

/** Where in layer l the residual stream is read: before attention, after attention (before the FFN), after the layer. */
export type ResidualPoint = "pre" | "mid" | "post";

/**
 * A node of the graph by the published tool's names: `X0_t` the embedded token t, `A{l}_t` the residual stream after
 * attention of layer l, `M{l}_t` the feed-forward block, `I{l}_t` the residual stream after layer l. "I20_4" is the state of
 * token 4 after layer 20. A name that is put together needs `as const`, or `nodeName("I", layer, position)`.
 */
export type NodeName = `X0_${number}` | `${"A" | "M" | "I"}${number}_${number}`;

/** A block, head or neuron whose update can be read in the vocabulary; with `key`, the part that a head wrote from one token. */
export type Component =
  | { readonly kind: "attention" | "ffn"; readonly layer: number; readonly position: number }
  | { readonly kind: "attention"; readonly layer: number; readonly position: number; readonly head: number; readonly key?: number }
  | { readonly kind: "ffn"; readonly layer: number; readonly position: number; readonly neuron: number };

/**
 * Two readings of value biases (GPT-2, OPT, Qwen2): "output" leaves v without its bias and puts the constant
 * `sum_h b_V[h] W_O^h` into the output bias (what the published tool computes); "term" keeps it inside each term.
 */
export type ValueBias = "output" | "term";

export interface ContributionOptions {
  /** Query positions to compute; others are left out of the result. Default: all. */
  readonly positions?: readonly number[];
  readonly valueBias?: ValueBias;
  /** Make the output bias a part of its own. Default false. */
  readonly includeBias?: boolean;
  readonly signal?: AbortSignal;
}

/** Contributions inside one layer's attention block. Rows follow `positions`. For each row all parts sum to 1. */
export interface AttentionContributions {
  /** Query positions of the rows, in the order asked for. */
  readonly positions: readonly number[];
  /** [rows, T keys, H]; exactly 0 for keys after the query. */
  readonly terms: Tensor;
  /** [rows] */
  readonly residual: Tensor;
  /** [rows]; only with `includeBias`. */
  readonly bias?: Tensor;
  /** [rows]: the FFN's part; only where blocks are parallel, where it belongs to the same whole. */
  readonly ffn?: Tensor;
}

/** Contributions of the two parts of `resid_post`. Both [T]; they sum to 1 at each position. */
export interface FfnContributions {
  readonly ffn: Tensor;
  readonly residual: Tensor;
}

export interface NeuronContribution {
  readonly neuron: number;
  /** What W_out's row is multiplied with (in a gated FFN the product of both branches). */
  readonly activation: number;
  readonly contribution: number;
}

export interface RouteOptions extends Omit<ContributionOptions, "positions"> {
  /** Start token(s), or nodes to start the trace at. Default: the last token. */
  readonly from?: number | readonly number[] | "all" | NodeName | readonly NodeName[];
  /** Default 0.04. */
  readonly threshold?: number;
  /** Scale what passed the threshold to sum 1 within each whole. Default true. */
  readonly renormalize?: boolean;
  /**
   * Without renormalisation: the residual edge and the attention of a token to itself pass the threshold together, where their sum
   * does, as in the published tool, for which they are one edge. Default false: each by itself. No effect with renormalisation.
   */
  readonly joinSelf?: boolean;
  /**
   * Trace what speaks for one token rather than another: at the start token, the states and updates are measured along the
   * direction in which their logits differ. `from` is then one token. `docs/method.md` has the definition.
   */
  readonly contrast?: Contrast;
  readonly onProgress?: ProgressListener;
}

/** A token, or two whose logits are compared. By id, or by a text that is exactly one token. */
export interface Contrast {
  /** Default: the best prediction. */
  readonly token?: number | string;
  readonly versus?: number | string;
}

export type EdgeKind = "attention" | "residual" | "ffn-in" | "ffn-out";

export interface RouteEdge {
  readonly source: NodeName;
  readonly target: NodeName;
  readonly kind: EdgeKind;
  readonly weight: number;
  /** Attention only: head → its share of `weight`. They sum to `weight`. Heads at 0 are left out. */
  readonly heads?: Readonly<Record<number, number>>;
}

export interface RouteNode {
  readonly name: NodeName;
  readonly kind: "X" | "A" | "M" | "I";
  /** -1 for `X0`. */
  readonly layer: number;
  readonly position: number;
}

/** The part of the graph that is reached from the start nodes over edges that passed the threshold. */
export interface RouteGraph {
  readonly model: ModelInfo;
  readonly tokens: readonly Token[];
  readonly from: readonly NodeName[];
  readonly threshold: number;
  readonly renormalize: boolean;
  /** Only where the option was given. */
  readonly joinSelf?: boolean;
  /** Where the trace was one of a contrast. */
  readonly contrast?: { readonly token: Token; readonly versus?: Token };
  readonly nodes: readonly RouteNode[];
  readonly edges: readonly RouteEdge[];
  toJSON(): unknown;
}

export interface LogitAttributionOptions extends Contrast {
  /** Default: the last token. */
  readonly position?: number;
  readonly valueBias?: ValueBias;
  readonly signal?: AbortSignal;
}

/** What one component adds to a logit, or to the difference of two. */
export interface LogitPart {
  /** "attention-bias": the output bias of an attention block; "constant": biases of the final norm and the unembedding. */
  readonly kind: "embedding" | "head" | "attention-bias" | "ffn" | "constant";
  readonly layer?: number;
  readonly head?: number;
  readonly logit: number;
}

/** Direct logit attribution at one position. The parts, bottom layer first, sum to `logit`. */
export interface LogitAttribution {
  readonly position: number;
  readonly token: Token;
  readonly versus?: Token;
  /** The logit of `token`, less that of `versus`. */
  readonly logit: number;
  readonly parts: readonly LogitPart[];
}

export interface VocabularyOptions {
  /** Apply the final norm first. Default true. */
  readonly normalize?: boolean;
  /** Default 30. */
  readonly topK?: number;
}

export interface LensToken extends Token {
  readonly logit: number;
  readonly probability: number;
  /** 0 for the most likely token. */
  readonly rank: number;
  /** Ranks gained (positive: rose) against the residual node below; undefined at `X0`. */
  readonly rankChange?: number;
}

export interface EffectToken extends Token {
  readonly score: number;
}

/** Most promoted tokens first; most suppressed (lowest score) first. */
export interface Effect {
  readonly promoted: readonly EffectToken[];
  readonly suppressed: readonly EffectToken[];
}

/**
 * One forward pass over one prompt, and every question about it. Nothing is computed before it is asked for; what was
 * asked for once is remembered. All methods reject with a `RangeError` that names the allowed range.
 */
export interface Run {
  readonly model: TransparentModel;
  readonly tokens: readonly Token[];
  /** [T, V]; with `position` [V]. */
  logits(options?: { readonly position?: number }): Promise<Tensor>;
  /** [T, d]. "mid" is refused where blocks are parallel: there is no such state. */
  residual(layer: number, point: ResidualPoint): Promise<Tensor>;
  /** [H, query, key]; rows sum to 1 over the keys, exactly 0 after the query. */
  attentionPattern(layer: number): Promise<Tensor>;
  /** [T, d]: what the attention block added to the residual stream. */
  attentionOut(layer: number): Promise<Tensor>;
  /** [T, d]: what the feed-forward block added to the residual stream. */
  ffnOut(layer: number): Promise<Tensor>;
  /** [H, d]: what each head wrote at `position`, output bias excluded. Default `valueBias`: "output". */
  headOut(layer: number, position: number, options?: { readonly valueBias?: ValueBias }): Promise<Tensor>;
  /** [f]: "pre" before the activation function (of the gate, where gated), "post" what multiplies W_out's rows. */
  neuronActivations(layer: number, position: number, point: "pre" | "post"): Promise<Tensor>;
  attentionContributions(layer: number, options?: ContributionOptions): Promise<AttentionContributions>;
  ffnContributions(layer: number): Promise<FfnContributions>;
  neuronContributions(layer: number, position: number, options?: { readonly topK?: number }): Promise<readonly NeuronContribution[]>;
  routes(options?: RouteOptions): Promise<RouteGraph>;
  lens(node: NodeName, options?: VocabularyOptions): Promise<readonly LensToken[]>;
  effect(component: Component, options?: VocabularyOptions & { readonly valueBias?: ValueBias }): Promise<Effect>;
  /** Direct logit attribution: what the embedding, each head, each FFN and the biases add to a logit, or to the difference of two. */
  logitAttribution(options?: LogitAttributionOptions): Promise<LogitAttribution>;
  /** Frees what the run holds. The run refuses questions afterwards. */
  dispose(): Promise<void>;
}

/** A model that answers for itself. Whatever implements this and `Run` gets every widget. */
export interface TransparentModel {
  readonly info: ModelInfo;
  tokenize(text: string, options?: { readonly addSpecialTokens?: boolean }): readonly Token[];
  /** The token with this id. Throws a `RangeError` outside the vocabulary. */
  token(id: number): Token;
  run(prompt: string | readonly number[], options?: RunOptions): Promise<Run>;
  run(prompts: readonly string[] | readonly (readonly number[])[], options?: RunOptions): Promise<Run[]>;
  /** [V] from a [d] vector: unembedding, with the final norm before it unless `normalize: false`. */
  unembed(vector: Float32Array, options?: { readonly normalize?: boolean }): Promise<Tensor>;
  /** [d]: the row of W_out that neuron n writes. */
  neuronOutput(layer: number, neuron: number): Promise<Tensor>;
  dispose(): Promise<void>;
}
