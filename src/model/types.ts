/**
 * The public contract: what a model, a run and their answers are. Nothing here computes.
 *
 * Letters in shapes: T tokens, L layers, H query heads, K key/value heads, d model width, f feed-forward width,
 * V vocabulary. All tensors are row-major float32.
 */

/** A dense float32 tensor, row-major: `data.length` is the product of `dims`. */
export interface Tensor {
  /** All values, the last dimension running fastest. Shared, not copied: do not write into it. */
  readonly data: Float32Array;
  /** The size of each dimension, outermost first. */
  readonly dims: readonly number[];
}

/**
 * One input token. `text` is exactly what the token stands for (a lone byte of a longer character shows as `<0xE2>`).
 */
export interface Token {
  /** Its row in the vocabulary, from 0 to V - 1. */
  readonly id: number;
  /** Exactly what it stands for; put together, the texts of a prompt's tokens are the prompt. */
  readonly text: string;
}

/** Facts about a loaded model. Counts are of scalars; `dtype` is what is computed in, `device` where. */
export interface ModelInfo {
  /** What the model calls itself: its hub id, the name in its file, or the file's own name. */
  readonly name: string;
  /** The architecture: "llama", "gpt2", "gemma3", … */
  readonly family: string;
  /** Number of weights; a tied embedding counts once. */
  readonly nParams: number;
  /** L: number of layers. */
  readonly nLayers: number;
  /** H: number of query heads in a layer. */
  readonly nHeads: number;
  /** K: number of key/value heads; query heads share them where it is less than H. */
  readonly nKeyValueHeads: number;
  /** d: width of the residual stream. */
  readonly dModel: number;
  /** Width of one head's queries and keys. */
  readonly dHead: number;
  /** f: number of neurons in a feed-forward block. */
  readonly dFfn: number;
  /** V: number of tokens in the vocabulary. */
  readonly dVocab: number;
  /** Longest prompt in tokens that the model was made for. */
  readonly maxPositions: number;
  /** True where attention and FFN read the same input and are added at once (GPT-NeoX, GPT-J, Phi): no `A` nodes. */
  readonly parallelBlocks: boolean;
  /** What the weights were rounded to, or the file's own format. */
  readonly dtype: string;
  /** The execution provider that computes: "cpu", "cuda", … */
  readonly device: string;
}

/** A step of something that takes a while. `done` and `total` are in `unit` ("bytes", "layers", "prompts", …). */
export interface Progress {
  /** What is being done: "download", "load", "run", "routes", … */
  readonly stage: string;
  /** How much of it is done, in `unit`. */
  readonly done: number;
  /** How much there is to do, in `unit`; undefined where that is not known. */
  readonly total?: number;
  /** What is counted. */
  readonly unit: string;
}

/** Called at each step of something that takes a while. What it throws rejects the call that it listens to. */
export type ProgressListener = (progress: Progress) => void;

/**
 * Where a model is computed: "auto" and "cpu" are the processor, "gpu" the fastest GPU device of the platform, the
 * others execution providers of ONNX Runtime by name. The list is open: a later runtime may have more.
 */
export type Device =
  "auto" | "cpu" | "gpu" | "cuda" | "dml" | "coreml" | "webgpu" | "tensorrt" | (string & Record<never, never>);

/**
 * What weights are rounded to: "auto" leaves them as the file has them; "q8" and "q4" are blocks of 32 inputs with a
 * scale each.
 */
export type Dtype = "auto" | "float32" | "float16" | "bfloat16" | "q8" | "q4";

/** How a model is found and computed: `loadModel("org/name", { dtype: "q8", revision: "main" })`. */
export interface LoadOptions {
  /** Where to compute. Default "auto": the CPU. */
  readonly device?: Device;
  /** What the weights are rounded to before computing. Default "auto": as the file has them. */
  readonly dtype?: Dtype;
  /** Branch, tag or commit of a hub repository; `id@revision` says the same. */
  readonly revision?: string;
  /** Folder for downloads instead of the standard cache. */
  readonly cacheDir?: string;
  /** Called with bytes while a file comes, with layers while they are loaded. In a cell a bar shows without it. */
  readonly onProgress?: ProgressListener;
  /** Ends loading: the call rejects with the signal's reason; what was downloaded is kept for the next time. */
  readonly signal?: AbortSignal;
}

/** How a prompt is run. */
export interface RunOptions {
  /** Called after each layer; with several prompts after each prompt. */
  readonly onProgress?: ProgressListener;
  /** Ends the run between two layers: the call rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * Put the tokenizer's special tokens (BOS) before a text, as its own configuration says. Default true. No effect on
   * token ids.
   */
  readonly addSpecialTokens?: boolean;
  /** How a conversation is rendered. No effect on texts and token ids. */
  readonly chat?: ChatOptions;
}

/** One message of a conversation. Templates may look at more fields than these: all are given to them. */
export interface ChatMessage {
  /** Who speaks: "system", "user", "assistant", "tool", or what else the template knows. */
  readonly role: string;
  /** What is said; a template of tools takes null, one of pictures a list of parts. */
  readonly content?: string | null | readonly unknown[];
  /** Calls of an assistant's message, as the template wants them. */
  readonly tool_calls?: readonly unknown[];
  /** The thoughts before an assistant's answer. */
  readonly reasoning_content?: string;
  /** The name of the speaker, or of the tool. */
  readonly name?: string;
  /** Which call a tool's message answers. */
  readonly tool_call_id?: string;
}

/** How a conversation becomes a prompt. */
export interface ChatOptions {
  /** Put the beginning of the assistant's answer behind the messages. Default true. */
  readonly addGenerationPrompt?: boolean;
  /** The name of one of the model's templates, or the text of a Jinja template. Default: the model's own. */
  readonly template?: string;
  /** JSON schemas of functions that the model may call, for templates that know tools. */
  readonly tools?: readonly object[];
}

/** The tokens of one message: `from` to `to`, the end exclusive, with what the template adds to it. */
export interface Turn {
  /** Who speaks. */
  readonly role: string;
  /** Its first token, with those that the template puts before the content. */
  readonly from: number;
  /** Behind its last token, with those that the template puts behind the content. */
  readonly to: number;
  /** The first token of the content itself; all others of the turn are the template's. Missing where it is not found. */
  readonly contentFrom?: number;
  /** Behind the last token of the content. */
  readonly contentTo?: number;
}

/** A conversation as a prompt. */
export interface RenderedChat {
  /** What the template made of it, special tokens included. */
  readonly text: string;
  /** Its tokens; nothing is added to the text, so there is no second BOS. */
  readonly tokens: readonly Token[];
  /**
   * One a message, in their order, then the beginning of the answer where one was added. They cover all tokens; a
   * message that a template merges into the next one can be empty.
   */
  readonly turns: readonly Turn[];
}

/** A token that was generated. */
export interface GeneratedToken extends Token {
  /** Its index in the answer's tokens. */
  readonly position: number;
  /** What the model gave it at temperature 1, 0 to 1. */
  readonly probability: number;
}

/** How a run is continued. */
export interface GenerateOptions {
  /** Most tokens that are added, at least 1. Default 40. */
  readonly maxTokens?: number;
  /** 0 takes the best token each time (greedy); 1 draws by the model's own probabilities. Default 0. */
  readonly temperature?: number;
  /** Draw from this many best tokens only. Default: all. */
  readonly topK?: number;
  /** Draw from the smallest set of best tokens whose probabilities sum to this, over 0 to 1. Default 1. */
  readonly topP?: number;
  /** Equal seeds draw equal tokens. A whole number. Default: by chance. */
  readonly seed?: number;
  /** Texts that end the answer where it comes to them; they are part of it. */
  readonly stop?: string | readonly string[];
  /**
   * Chooses each next token itself: gets the logits [V] and the tokens so far, gives an id. `temperature`, `topK`,
   * `topP` and `seed` have then no effect.
   */
  readonly sampler?: (logits: Float32Array, tokens: readonly Token[]) => number | Promise<number>;
  /** Called with each token as it comes. */
  readonly onToken?: (token: GeneratedToken) => void;
  /** Ends the answer within one token: what is there is kept, and `stopReason` is "aborted". */
  readonly signal?: AbortSignal;
}

/**
 * Why an answer is over: "stop" an end-of-sequence token, the template's end of turn or one of `stop`; "length"
 * `maxTokens` or the model's longest prompt; "aborted" its signal.
 */
export type StopReason = "stop" | "length" | "aborted";

/** A run that was generated: all tokens, the new ones at the end. It answers every question of a run. */
export interface Answer extends Run {
  /** Number of tokens that were there before: the first new one has this index. */
  readonly promptLength: number;
  /** Of a conversation; the last one is the answer's. Empty where the prompt was a text. */
  readonly turns: readonly Turn[];
  /** Why it is over. */
  readonly stopReason: StopReason;
}

/**
 * Where in layer l the residual stream is read: before attention, after attention (before the FFN), after the layer.
 */
export type ResidualPoint = "pre" | "mid" | "post";

/**
 * A node of the graph by the published tool's names: `X0_t` the embedded token t, `A{l}_t` the residual stream after
 * attention of layer l, `M{l}_t` the feed-forward block, `I{l}_t` the residual stream after layer l. "I20_4" is the
 * state of token 4 after layer 20. A name that is put together needs `as const`, or `nodeName("I", layer, position)`.
 */
export type NodeName = `X0_${number}` | `${"A" | "M" | "I"}${number}_${number}`;

/**
 * A block, head or neuron whose update can be read in the vocabulary; with `key`, the part that a head wrote from one
 * token.
 */
export type Component = BlockComponent | HeadComponent | NeuronComponent;

/** A whole block at one position. */
export interface BlockComponent {
  /** Which of a layer's blocks. */
  readonly kind: "attention" | "ffn";
  /** From 0 to L - 1. */
  readonly layer: number;
  /** From 0 to T - 1. */
  readonly position: number;
}

/** A head at one query position. */
export interface HeadComponent extends BlockComponent {
  readonly kind: "attention";
  /** From 0 to H - 1. */
  readonly head: number;
  /** The part that it wrote from this one token, from 0 to `position`. */
  readonly key?: number;
}

/** A neuron at one position. */
export interface NeuronComponent extends BlockComponent {
  readonly kind: "ffn";
  /** From 0 to f - 1. */
  readonly neuron: number;
}

/**
 * Two readings of value biases (GPT-2, OPT, Qwen2): "output" leaves v without its bias and puts the constant
 * `sum_h b_V[h] W_O^h` into the output bias (what the published tool computes); "term" keeps it inside each term.
 */
export type ValueBias = "output" | "term";

/** What counts as a part of an attention block, and which rows are wanted. */
export interface ContributionOptions {
  /** Query positions to compute; others are left out of the result. Default: all. */
  readonly positions?: readonly number[];
  /** Whether value biases belong to the terms. Default "output". */
  readonly valueBias?: ValueBias;
  /**
   * Make the output bias a part of its own. Default false: as published, it is none, and can hide up to 0.28 of a
   * contribution.
   */
  readonly includeBias?: boolean;
  /** Give the signed proximities beside the contributions. Default false. */
  readonly signed?: boolean;
  /** Ends the computation: the call rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Signed proximities `(‖y‖₁ − ‖y − z‖₁) / ‖y‖₁` of the parts z of the whole y: what a contribution is made of before it
 * is cut at 0 and scaled. 1: the part is the whole; below 0: an opponent, without which the state would be larger, and
 * whose contribution is as good as 0. They need not sum to 1. Rows and shapes as those of the contributions.
 */
export interface AttentionProximities {
  /** Shape `[rows, T keys, H]`; exactly 0 for keys after the query. */
  readonly terms: Tensor;
  /** Shape `[rows]`. */
  readonly residual: Tensor;
  /** Shape `[rows]`: the output bias; only with `includeBias`. */
  readonly bias?: Tensor;
  /** Shape `[rows]`: the FFN; only where blocks are parallel. */
  readonly ffn?: Tensor;
}

/**
 * Contributions inside one layer's attention block (Ferrando and Voita 2024: `max(‖y‖₁ − ‖z − y‖₁, ε)` of a part z of
 * the whole y, scaled to sum 1; docs/method.md). Rows follow `positions`. For each row all parts sum to 1.
 */
export interface AttentionContributions {
  /** Query positions of the rows, in the order asked for. */
  readonly positions: readonly number[];
  /** Shape `[rows, T keys, H]`: what each head carried from each key; exactly 0 for keys after the query. */
  readonly terms: Tensor;
  /** Shape `[rows]`: the residual stream's part. */
  readonly residual: Tensor;
  /**
   * Shape `[rows]`: the output bias's part; only with `includeBias`. What an intervention adds belongs to it. Where one
   * replaced the whole state it is there in any case: 1, and all other parts are 0.
   */
  readonly bias?: Tensor;
  /** Shape `[rows]`: the FFN's part; only where blocks are parallel, where it belongs to the same whole. */
  readonly ffn?: Tensor;
  /** Only with `signed`. */
  readonly proximities?: AttentionProximities;
}

/** Contributions of the two parts of `resid_post`. Both have shape `[T]`; they sum to 1 at each position. */
export interface FfnContributions {
  /** Shape `[T]`: the feed-forward block's part. */
  readonly ffn: Tensor;
  /** Shape `[T]`: the part of the state beside it. */
  readonly residual: Tensor;
  /**
   * Shape `[T]`, only in runs under interventions: 1 where one replaced the state after the layer (zero, mean, patch), so
   * that nothing below is a part of it; else 0. The three sum to 1.
   */
  readonly replaced?: Tensor;
  /** Only with `signed`. */
  readonly proximities?: FfnProximities;
}

/** Signed proximities of the two parts of `resid_post`; see `AttentionProximities`. Both have shape `[T]`. */
export interface FfnProximities {
  /** Shape `[T]`: the feed-forward block. */
  readonly ffn: Tensor;
  /** Shape `[T]`: the state beside it. */
  readonly residual: Tensor;
}

/** What one neuron of a feed-forward block gave to the state after the block. */
export interface NeuronContribution {
  /** Its number in the block, from 0 to f - 1. */
  readonly neuron: number;
  /** What W_out's row is multiplied with (in a gated FFN the product of both branches). */
  readonly activation: number;
  /** Its part of the state, beside the state before the block and all other neurons. */
  readonly contribution: number;
  /** With `by: "logit"`: what it adds to the logit, or to the difference of two, in logits. */
  readonly logit?: number;
}

/** Which neurons of a block are listed, and by what. */
export interface NeuronOptions extends Contrast {
  /** How many, at least 1. Default: all. */
  readonly topK?: number;
  /**
   * "contribution" (default): what gave most to the state first. "logit": by the size of what each adds to the logit of
   * `token`, or to the difference to `versus`, at this position, with the final norm's statistic fixed.
   */
  readonly by?: "contribution" | "logit";
}

/**
 * How routes are found: "contributions" asks of each state what it is made of (Ferrando and Voita 2024), "relp" what of
 * it reaches a logit, by one pass backwards (Rezaei Jafari et al. 2025, arXiv 2508.21258).
 */
export type RouteMethod = "contributions" | "relp";

/** How routes are traced, and what of them is kept. */
export interface RouteOptions extends Omit<ContributionOptions, "positions" | "signed"> {
  /**
   * Default "contributions". With "relp", `from` is one token, the logit is that of `contrast` (default: of the best
   * prediction), and every edge has its relevance to it: `edge.logit`, signed, in logits. Parts are ranked by its size;
   * `select: { threshold }` is then a share of the largest that an edge carries, and `{ relevance }` of the sizes of
   * all. `renormalize`, `joinSelf` and `includeBias` have no meaning there and are refused.
   */
  readonly method?: RouteMethod;
  /** Only with the method "relp": see `AttributionOptions`. */
  readonly counterfactual?: Run;
  /** Start token(s), or nodes to start the trace at. Default: the last token. */
  readonly from?: number | readonly number[] | "all" | NodeName | readonly NodeName[];
  /** Default 0.04. */
  readonly threshold?: number;
  /**
   * What is kept: what passes a local threshold (the same as `threshold`), or the parts by what of them reaches the
   * start. Default: `{ threshold: 0.04 }`.
   */
  readonly select?: RouteSelection;
  /** Scale what passed the threshold to sum 1 within each whole. Default true. */
  readonly renormalize?: boolean;
  /**
   * Without renormalisation: the residual edge and the attention of a token to itself pass the threshold together,
   * where their sum does, as in the published tool, for which they are one edge. Default false: each by itself. No
   * effect with renormalisation.
   */
  readonly joinSelf?: boolean;
  /**
   * Trace what speaks for one token rather than another, and what against it: at the start token, every update counts
   * by what it adds to the difference of the two logits (`edge.logit`, signed; ALTI-Logit, arXiv 2305.12535). `from` is
   * then one token. `docs/method.md` has the definition.
   */
  readonly contrast?: Contrast;
  /** Called after each layer, from the last one down. */
  readonly onProgress?: ProgressListener;
}

/**
 * Which parts are routes.
 *
 * - `threshold`, 0 to 1: within each state that is reached, the parts with a larger contribution (Ferrando and Voita
 *   2024).
 * - `relevance`, 0 to 1: the smallest set of parts, ranked by relevance (the products of contributions along the paths to
 *   the start), through which this share of the start's relevance still reaches the embedded tokens. Sets are nested.
 * - `edges`, at least 1: of the same sets the largest with no more than this many edges, residual edges included.
 *
 * The last two need the contributions of all states; docs/method.md has the definition.
 */
export type RouteSelection = ThresholdSelection | RelevanceBudget | EdgeBudget;

/** A local threshold. */
export interface ThresholdSelection {
  /** Parts with a contribution up to this are dropped, 0 to 1. */
  readonly threshold: number;
}

/** A share of the start. */
export interface RelevanceBudget {
  /** How much of it still reaches the embedded tokens, 0 to 1. */
  readonly relevance: number;
}

/** A number of edges. */
export interface EdgeBudget {
  /** At least 1. */
  readonly edges: number;
}

/** A token, or two whose logits are compared. By id, or by a text that is exactly one token. */
export interface Contrast {
  /** The token that is spoken for. Default: the best prediction. */
  readonly token?: number | string;
  /** The token that it is compared with. Default: none; the logit of `token` alone. */
  readonly versus?: number | string;
}

/**
 * What an edge carries: one token's state to another through attention, a state past a block, a state into a
 * feed-forward block, or what the block wrote.
 */
export type EdgeKind = "attention" | "residual" | "ffn-in" | "ffn-out";

/** One step of the information flow. */
export interface RouteEdge {
  /** The node it leaves. */
  readonly source: NodeName;
  /** The node it reaches, a layer or half a layer further up. */
  readonly target: NodeName;
  /** What it carries. */
  readonly kind: EdgeKind;
  /** Where it leaves: `{ kind, layer, position }` of `source`. Not written into files: the name says it. */
  readonly from?: Omit<RouteNode, "name">;
  /** Where it arrives: `{ kind, layer, position }` of `target`. */
  readonly to?: Omit<RouteNode, "name">;
  /**
   * Its share of the target, 0 to 1: of what passed the threshold (with `renormalize`, where a node's edges sum to 1)
   * or of everything. Where it has a `logit`: the size of that beside the largest that an edge of this token carries.
   */
  readonly weight: number;
  /** Attention only: head → its share of `weight`. They sum to `weight`. Heads at 0 are left out. */
  readonly heads?: Readonly<Record<number, number>>;
  /**
   * Its share of everything that makes up the target, whatever passed: of attention the sum over all heads. Missing in
   * graphs that were saved before version 0.2.
   */
  readonly contribution?: number;
  /**
   * How much of the start goes through it: the products of `contribution` along the paths that lead here, 0 to 1. With
   * `select: { relevance }` or `{ edges }` over all paths, with a threshold over those that passed it. With `method:
   * "relp"` on edges of parts: the size of its relevance, of those of all parts together.
   */
  readonly relevance?: number;
  /**
   * Only in the routes of a contrast, on edges into the start token's residual stream: what it adds to the logit, or
   * to the difference of the two, in logits; negative where it speaks against `token`. On a residual edge the sum of
   * everything that was written below. With `method: "relp"` on all edges: its relevance, over all paths.
   */
  readonly logit?: number;
  /** Attention with a `logit`: head → its part of it. They sum to `logit`. */
  readonly headLogits?: Readonly<Record<number, number>>;
}

/** A state or block on the routes. */
export interface RouteNode {
  /** Its name: "I20_4". */
  readonly name: NodeName;
  /** "X" embedded token, "A" state after attention, "M" feed-forward block, "I" state after the layer. */
  readonly kind: "X" | "A" | "M" | "I";
  /** From 0 to L - 1; -1 for `X0`. */
  readonly layer: number;
  /** Index of the token, from 0 to T - 1. */
  readonly position: number;
}

/** Sums of parts of a logit difference, in logits. */
export interface ContrastRest {
  /** Of those that speak for the token. */
  readonly supports: number;
  /** Of those that speak against it: 0 or less. */
  readonly opposes: number;
}

/**
 * The contrast that routes were traced for. `logit = constant + rest.supports + rest.opposes +` the `logit` of every
 * attention and "ffn-out" edge into the start token's stream `+` that of the residual edge out of its `X0`. The numbers
 * are missing in graphs that were saved before they were signed (version 0.1).
 */
export interface RouteContrast {
  /** The token that is spoken for. */
  readonly token: Token;
  /** The token that it is compared with. */
  readonly versus?: Token;
  /** The logit of `token`, less that of `versus`. */
  readonly logit?: number;
  /** Biases of the final norm and the unembedding, in logits. */
  readonly constant?: number;
  /** Sums of the parts that are no edges of the graph, output biases among them, in logits. */
  readonly rest?: ContrastRest;
}

/**
 * What of a state's parts is no edge: heads that spread over many keys, none of which passed, though together they carry
 * more than an edge has to. The shares of the parts that passed, of `heads` and `hidden` sum to 1.
 */
export interface OtherKeys {
  /** The state, reached by the routes. */
  readonly target: NodeName;
  /** Head → its share of everything that makes up the state, from all keys without an edge of it. */
  readonly heads: Readonly<Record<number, number>>;
  /** Share of everything else that is not drawn. */
  readonly hidden: number;
}

/** The part of the graph that is reached from the start nodes over edges that passed the threshold. */
export interface RouteGraph {
  /** The model that was traced. */
  readonly model: ModelInfo;
  /** The prompt. */
  readonly tokens: readonly Token[];
  /** The nodes at which the trace began. */
  readonly from: readonly NodeName[];
  /** Parts with a contribution up to this were dropped. 0 where `select` says what was kept. */
  readonly threshold: number;
  /** Where parts were kept by their relevance. */
  readonly select?: RelevanceBudget | EdgeBudget;
  /** Whether what passed was scaled to sum 1 within each whole. */
  readonly renormalize: boolean;
  /** Only where the option was given. */
  readonly joinSelf?: boolean;
  /** Only "relp"; other routes were found by contributions. */
  readonly method?: "relp";
  /** The prompt of the counterfactual, where there was one. */
  readonly counterfactual?: readonly Token[];
  /**
   * Where the trace was one of a contrast. With `method: "relp"` its `constant` is what all biases of the model add, and
   * it has no `rest`.
   */
  readonly contrast?: RouteContrast;
  /** What was reached, bottom layer first, then A, M, I, then by position. */
  readonly nodes: readonly RouteNode[];
  /** What was passed, by target, then by source. */
  readonly edges: readonly RouteEdge[];
  /**
   * What was not, of each state that attention writes to and that was reached; see `OtherKeys`. Missing in graphs of
   * earlier versions; of a contrast's own token `contrast.rest` has the sums instead.
   */
  readonly others?: readonly OtherKeys[];
  /** The graph as plain data, which `importRoutes` reads. */
  toJSON(): unknown;
}

/** Which logit is taken apart, where. */
export interface LogitAttributionOptions extends Contrast {
  /** Default: the last token. */
  readonly position?: number;
  /** Take heads apart into what each wrote from each key. Default false. */
  readonly byKey?: boolean;
  /** Take feed-forward blocks apart into their neurons, and what is left of each block. Default false. */
  readonly byNeuron?: boolean;
  /** Whether value biases belong to the heads. Default "output". */
  readonly valueBias?: ValueBias;
  /** Ends the computation: the call rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What one component adds to a logit, or to the difference of two. */
export interface LogitPart {
  /**
   * "attention-bias": the output bias of an attention block; "constant": biases of the final norm and the unembedding;
   * "intervention": what interventions on states of a layer put there.
   */
  readonly kind: "embedding" | "head" | "attention-bias" | "ffn" | "neuron" | "constant" | "intervention";
  /** Of a head, bias, FFN, neuron or intervention. With `byNeuron`, "ffn" is what no neuron wrote: the block's output bias. */
  readonly layer?: number;
  /** Of a head. */
  readonly head?: number;
  /** Of a head, with `byKey`: the token that it was written from. */
  readonly key?: number;
  /** Of a neuron. */
  readonly neuron?: number;
  /** What it adds, in logits; negative where it speaks against the token. */
  readonly logit: number;
}

/** Direct logit attribution at one position. The parts, bottom layer first, sum to `logit`. */
export interface LogitAttribution {
  /** The token whose next token is predicted. */
  readonly position: number;
  /** The token whose logit is taken apart. */
  readonly token: Token;
  /** The token whose logit is subtracted. */
  readonly versus?: Token;
  /** The logit of `token`, less that of `versus`. */
  readonly logit: number;
  /** Embedding, then by layer its heads, its output bias and its FFN, then the constant. */
  readonly parts: readonly LogitPart[];
}

/** What relevance is attributed to: see `AttributedPart`. */
export type AttributionTarget = "tokens" | "heads" | "neurons" | "ffn" | "attention-terms";

/** Which logit is attributed, and to what. */
export interface AttributionOptions {
  /**
   * "relp" (default, the only one there is): one pass backwards in which norms' statistics, attention patterns and the
   * ratios activation(x) / x are fixed, and products shared by halves (Rezaei Jafari et al. 2025, arXiv 2508.21258).
   */
  readonly method?: "relp";
  /** The token whose next token is predicted. Default: the last one. */
  readonly from?: number;
  /** The logit, or the difference of two. Default: the logit of the best prediction. */
  readonly contrast?: Contrast;
  /** What it is attributed to. Default "tokens". */
  readonly over?: AttributionTarget;
  /**
   * A run of the same model over a prompt of as many tokens, aligned with this one ("John gave" against "Mary gave"). A
   * part then counts by what it is beyond what it is there, `g · (z − z′)` along the coefficients g of this run: an
   * estimate of what putting z′ in its place would take from the logit (relevance patching). Default: none; a part
   * counts by all that it is.
   */
  readonly counterfactual?: Run;
  /**
   * How many parts are listed, at least 1. Default: the 100 strongest neurons or attention terms, and all of the other
   * targets.
   */
  readonly topK?: number;
  /** Whether value biases belong to heads and attention terms. Default "output". */
  readonly valueBias?: ValueBias;
  /** Called after each layer, from the last one down. */
  readonly onProgress?: ProgressListener;
  /** Ends the computation between two layers: the call rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * A part of the computation with its relevance. "token": an embedded input token; "head": what a head wrote at a
 * position; "attention-term": what it wrote there from one key; "ffn": what a feed-forward block wrote at a position;
 * "neuron": what one neuron of it wrote.
 */
export interface AttributedPart {
  /** What it is. */
  readonly kind: "token" | "head" | "attention-term" | "ffn" | "neuron";
  /** From 0 to L - 1; not of a token. */
  readonly layer?: number;
  /** Where it is, or where it writes, from 0 to T - 1. */
  readonly position: number;
  /** Of a head or attention term. */
  readonly head?: number;
  /** Of an attention term: the token that is attended to. */
  readonly key?: number;
  /** Of a neuron. */
  readonly neuron?: number;
  /** What of the logit goes through it, in logits; negative where it speaks against the token. */
  readonly relevance: number;
}

/** A logit, or difference of two, in another prompt. */
export interface CounterfactualLogit {
  /** The prompt. */
  readonly tokens: readonly Token[];
  /** The logit of the same token there, less that of the other one. */
  readonly logit: number;
}

/** Relevances of parts to a logit. Those of one kind in one layer are parts of one whole; those of different layers overlap. */
export interface Attribution {
  /** How they were found. */
  readonly method: "relp";
  /** The token whose next token is predicted. */
  readonly from: number;
  /** The token whose logit is attributed. */
  readonly token: Token;
  /** The token whose logit is subtracted. */
  readonly versus?: Token;
  /** The logit of `token`, less that of `versus`. */
  readonly logit: number;
  /** The other prompt, and the same logit, or difference, there. */
  readonly counterfactual?: CounterfactualLogit;
  /**
   * What all biases of the model add: with the relevances of all input tokens it sums to `logit`. 0 with a
   * counterfactual, where biases are the same; there relevances sum to no difference of logits exactly.
   */
  readonly constant: number;
  /** What the parts are. */
  readonly over: AttributionTarget;
  /** Strongest first; input tokens in their order. */
  readonly parts: readonly AttributedPart[];
  /** Sums of the parts that `topK` left out. */
  readonly rest: ContrastRest;
}

/** How a state or update is read in the vocabulary. */
export interface VocabularyOptions {
  /** Apply the final norm first. Default true. */
  readonly normalize?: boolean;
  /** How many tokens are listed, at least 1. Default 30. */
  readonly topK?: number;
}

/** A token in what a state would predict (the logit lens: nostalgebraist 2020). */
export interface LensToken extends Token {
  /** Its score. */
  readonly logit: number;
  /** Its share of the softmax over the whole vocabulary, 0 to 1. */
  readonly probability: number;
  /** 0 for the most likely token. */
  readonly rank: number;
  /** Ranks gained (positive: rose) against the residual node below; undefined at `X0`. */
  readonly rankChange?: number;
}

/** A token in what a block, head or neuron says. */
export interface EffectToken extends Token {
  /** The update times the token's row of the unembedding. */
  readonly score: number;
}

/** How an update is read in the vocabulary. */
export interface EffectOptions {
  /**
   * "position" (default): with the final norm's statistic of this position, so that scores are logits: what the update
   * adds to each, comparable between components, and equal to its part in `logitAttribution`. true: the update goes
   * through the final norm by itself, which makes all updates of one size (as published). false: no norm.
   */
  readonly normalize?: boolean | "position";
  /** How many tokens are listed at either end, at least 1. Default 30. */
  readonly topK?: number;
  /** Whether value biases belong to a head's update. Default "output". */
  readonly valueBias?: ValueBias;
}

/** Both ends of what an update says in the vocabulary. */
export interface Effect {
  /** Highest scores, highest first. */
  readonly promoted: readonly EffectToken[];
  /** Lowest scores, lowest first. */
  readonly suppressed: readonly EffectToken[];
}

/** What a whole block, a head or a neuron writes. */
export interface BlockTarget {
  /** Which of a layer's blocks. */
  readonly kind: "attention" | "ffn";
  /** From 0 to L - 1. */
  readonly layer: number;
  /** From 0 to T - 1. Default: all. */
  readonly position?: number;
  /** Attention only: one head, from 0 to H - 1, without the block's output bias. Default: the block, with it. */
  readonly head?: number;
  /** FFN only: one neuron, from 0 to f - 1, without the block's output bias. Default: the block, with it. */
  readonly neuron?: number;
}

/** What one head, or all, carry from a key to a query: `A[h,q,k] · v[h,k] W_O^h`, the value's bias included. */
export interface EdgeTarget {
  /** Tells it from a block. */
  readonly kind: "edge";
  /** From 0 to L - 1. */
  readonly layer: number;
  /** The token that reads, from 0 to T - 1. */
  readonly query: number;
  /** The token that is read, from 0 to `query`. */
  readonly key: number;
  /** From 0 to H - 1. Default: all. */
  readonly head?: number;
}

/** What is changed: a state by its name (`X0_t`, `A{l}_t`, `I{l}_t`), what a block, head or neuron writes, or an edge. */
export type InterventionTarget = NodeName | BlockTarget | EdgeTarget;

/** Path patching: the change is seen by these readers alone; everybody else reads what was there. */
export interface PathOptions {
  /**
   * Blocks, heads, neurons, edges or states that read the changed stream; without a position at every token. Default:
   * everybody above.
   */
  readonly into?: InterventionTarget | readonly InterventionTarget[];
}

/** 0 in its place. Of an edge: the attention weight after the softmax is 0, and the others stay as they are. */
export interface ZeroIntervention extends PathOptions {
  /** What is changed. */
  readonly target: InterventionTarget;
  /** Which change. */
  readonly do: "zero";
}

/** Multiplied with a number. Of an edge: the attention weight after the softmax. */
export interface ScaleIntervention {
  /** What is changed. */
  readonly target: InterventionTarget;
  /** Which change. */
  readonly do: "scale";
  /** Any finite number; 1 changes nothing. */
  readonly by: number;
}

/** Its mean over all positions of these runs in its place; of an edge, over all pairs of a query and a key that it sees. */
export interface MeanIntervention extends PathOptions {
  /** What is changed. */
  readonly target: InterventionTarget;
  /** Which change. */
  readonly do: "mean";
  /** Runs of the same model. */
  readonly of: Run | readonly Run[];
}

/** Its value in another run in its place. */
export interface PatchIntervention extends PathOptions {
  /** What is changed. */
  readonly target: InterventionTarget;
  /** Which change. */
  readonly do: "patch";
  /** A run of the same model, of as many tokens unless `position` is given. */
  readonly from: Run;
  /** Which of its positions. Default: the target's own. Not of an edge. */
  readonly position?: number;
}

/** A vector [d] added to a state: steering. */
export interface AddIntervention {
  /** A state. */
  readonly target: NodeName;
  /** Which change. */
  readonly do: "add";
  /** d finite numbers. */
  readonly vector: Float32Array;
  /** Multiplies the vector. Default 1. */
  readonly by?: number;
}

/** A query does not see a key: its score is −∞ before the softmax, and the rest of the row takes its share. */
export interface BlockIntervention {
  /** What is not carried. */
  readonly target: EdgeTarget;
  /** Which change. */
  readonly do: "block";
}

/**
 * Only these routes: every (head, query, key) term of attention and every FFN block off them is replaced. Residual edges
 * stay.
 */
export interface KeepIntervention {
  /** Routes of this run's prompt. */
  readonly keep: RouteGraph;
  /** What stands in place of the others: 0, their means over the runs `of`, or their values in the run `of`. */
  readonly others: "zero" | "mean" | "patch";
  /** With "patch" one run of as many tokens, with "mean" one or several. */
  readonly of?: Run | readonly Run[];
}

/** A change of a run. Several at once are applied in the order of the computation. */
export type Intervention =
  | ZeroIntervention
  | ScaleIntervention
  | MeanIntervention
  | PatchIntervention
  | AddIntervention
  | BlockIntervention
  | KeepIntervention;

/** How a changed run is computed. */
export interface InterventionOptions {
  /** Called after each layer that is computed. */
  readonly onProgress?: ProgressListener;
  /** Ends the computation between two layers: the call rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * What is measured of a run: a logit or a probability of one token (by name alone: of the best prediction), the
 * difference of two logits, or a function of your own.
 */
export type Metric = "logit" | "probability" | TokenMetric | ((run: Run) => number | Promise<number>);

/** A number that is read off the logits at one position. */
export interface TokenMetric extends Contrast {
  /** The logit (of `token`, less that of `versus`), or the probability of `token`. Default "logit". */
  readonly of?: "logit" | "probability";
  /** Whose next token. Default: the last. */
  readonly position?: number;
}

/** How routes are put to the test. */
export interface FaithfulnessOptions {
  /** Default 0.01, 0.02, 0.04, 0.06, 0.08, 0.1. */
  readonly thresholds?: readonly number[];
  /** Default: the logit of the best prediction after the last token. Routes start at its position, else at the last. */
  readonly metric?: Metric;
  /** What stands in place of what is not kept. Default: "patch" where `of` is given, else "zero". */
  readonly others?: "zero" | "mean" | "patch";
  /** The runs that means or values come from; with "patch" one of as many tokens (a counterfactual prompt). */
  readonly of?: Run | readonly Run[];
  /** Random sets of equal size for each threshold; 0: no controls at all. Default 3. */
  readonly controls?: number;
  /** A whole number that the random sets come from. Default 0. */
  readonly seed?: number;
  /** Called with each row as soon as it is there. */
  readonly onRow?: (row: FaithfulnessRow) => void;
  /** Called after each changed run. */
  readonly onProgress?: ProgressListener;
  /** Ends it: the call rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A metric, and the same as a share of what the model has beyond everything replaced: 1 the full model, 0 nothing. */
export interface FaithfulnessScore {
  /** As it was measured. */
  readonly metric: number;
  /** `(metric − ablated) / (full − ablated)`. NaN where both are equal. */
  readonly normalized: number;
}

/** Kept and removed, each for itself. */
export interface FaithfulnessPair {
  /** Only these edges, everything else replaced: faithfulness. */
  readonly kept: FaithfulnessScore;
  /** Only these edges replaced: completeness. */
  readonly removed: FaithfulnessScore;
}

/** Several sets of random edges. */
export interface FaithfulnessSpread {
  /** Means over the sets. */
  readonly mean: FaithfulnessPair;
  /** Standard deviations over the sets. */
  readonly spread: FaithfulnessPair;
  /** Each set. */
  readonly sets: readonly FaithfulnessPair[];
}

/** What one threshold keeps, and what it is worth. */
export interface FaithfulnessRow extends FaithfulnessPair {
  /** The routes' threshold. */
  readonly threshold: number;
  /** (head, query, key) terms and FFN blocks on the routes. */
  readonly edges: number;
  /** Their share of all that can reach the start. */
  readonly share: number;
  /** As many terms and as many FFN blocks, by chance. */
  readonly random?: FaithfulnessSpread;
  /** Into each state as many terms as on the routes, those of the largest attention weights; the same FFN blocks. */
  readonly attention?: FaithfulnessPair;
}

/** How much of a prediction the routes hold, by threshold. */
export interface Faithfulness {
  /** The metric of the run as it is. */
  readonly full: number;
  /** With every term and every FFN block replaced. */
  readonly ablated: number;
  /** Terms and FFN blocks that can reach the start. */
  readonly edges: number;
  /** In the order of the thresholds. */
  readonly rows: readonly FaithfulnessRow[];
}

/**
 * One forward pass over one prompt, and every question about it. Nothing is computed before it is asked for; what was
 * asked for once is remembered. All methods reject with a `RangeError` that names the allowed range.
 */
export interface Run {
  /** The model that ran. */
  readonly model: TransparentModel;
  /** The prompt's tokens, T of them, BOS included. Their index is the `position` of all questions. */
  readonly tokens: readonly Token[];
  /**
   * The model's scores for the next token: shape `[T, V]`, with `position` `[V]`.
   * @example const last = await run.logits({ position: run.tokens.length - 1 });
   */
  logits(options?: { readonly position?: number }): Promise<Tensor>;
  /**
   * The residual stream of a layer, shape `[T, d]`: "pre" at its start, "mid" after attention, "post" after the
   * feed-forward block. "mid" is refused where blocks are parallel: there is no such state.
   * @example const { data, dims } = await run.residual(5, "post");
   */
  residual(layer: number, point: ResidualPoint): Promise<Tensor>;
  /** Attention weights of a layer, shape `[H, query, key]`; rows sum to 1 over the keys, exactly 0 after the query. */
  attentionPattern(layer: number): Promise<Tensor>;
  /** Shape `[T, d]`: what the attention block added to the residual stream. */
  attentionOut(layer: number): Promise<Tensor>;
  /** Shape `[T, d]`: what the feed-forward block added to the residual stream. */
  ffnOut(layer: number): Promise<Tensor>;
  /** Shape `[H, d]`: what each head wrote at `position`, output bias excluded. Default `valueBias`: "output". */
  headOut(layer: number, position: number, options?: { readonly valueBias?: ValueBias }): Promise<Tensor>;
  /**
   * Shape `[f]`: the neurons at `position`, "pre" before the activation function (of the gate, where gated), "post"
   * what multiplies W_out's rows.
   */
  neuronActivations(layer: number, position: number, point: "pre" | "post"): Promise<Tensor>;
  /**
   * How much each (key, head) term and the residual stream gave to the state after attention;
   * `attentionContributions(5).terms` has shape `[T, T, H]`.
   * @example const { terms } = await run.attentionContributions(23, { positions: [run.tokens.length - 1] });
   */
  attentionContributions(layer: number, options?: ContributionOptions): Promise<AttentionContributions>;
  /** How much the feed-forward block and the state beside it gave to the state after the layer, at every position. */
  ffnContributions(layer: number, options?: { readonly signed?: boolean }): Promise<FfnContributions>;
  /**
   * The neurons that gave most to the state after the feed-forward block, best first; all of them without `topK`. With
   * `by: "logit"` those that move a logit most.
   */
  neuronContributions(layer: number, position: number, options?: NeuronOptions): Promise<readonly NeuronContribution[]>;
  /**
   * The information flow routes of a prediction (Ferrando and Voita 2024, arXiv 2403.00824): traced back from the start
   * node, each state is taken apart into its parts, and those with a contribution above the threshold are followed. One
   * forward pass is enough.
   * @example
   * const routes = await run.routes({ threshold: 0.04 });
   * routes.edges.filter(edge => edge.kind === "attention");
   */
  routes(options?: RouteOptions): Promise<RouteGraph>;
  /**
   * What the model would say after a state: the state goes through the final norm and the unembedding (logit lens),
   * best token first.
   * @param node A state by its name: "X0_4" the embedded token 4, "A20_4" after attention of layer 20, "I20_4" after
   *   layer 20.
   * @example const [top] = await run.lens("I20_4", { topK: 5 });
   */
  lens(node: NodeName, options?: VocabularyOptions): Promise<readonly LensToken[]>;
  /** The same for a name that only a run knows, such as an element of a list: it is checked when it is asked for. */
  lens<N extends string>(
    node: string extends N ? N : never,
    options?: VocabularyOptions,
  ): Promise<readonly LensToken[]>;
  /**
   * What a block, head or neuron says in the vocabulary: the tokens whose logits its update raises and lowers most.
   * @example await run.effect({ kind: "attention", layer: 23, head: 0, position: 14 });
   */
  effect(component: Component, options?: EffectOptions): Promise<Effect>;
  /**
   * Direct logit attribution: what the embedding, each head, each FFN and the biases add to a logit, or to the
   * difference of two.
   */
  logitAttribution(options?: LogitAttributionOptions): Promise<LogitAttribution>;
  /**
   * The relevance of input tokens, heads, attention terms, feed-forward blocks or neurons to a logit, or to the
   * difference of two, over all paths (RelP). A model of your own has it from `BaseRun` where it can go backwards.
   * @example const { parts } = await run.attribute({ method: "relp", over: "heads", topK: 10 });
   */
  attribute?(options?: AttributionOptions): Promise<Attribution>;
  /** Where the prompt was a conversation: its messages. */
  readonly turns?: readonly Turn[];
  /** Where the run was generated: number of tokens that were there before. */
  readonly promptLength?: number;
  /** Where the run was generated: why it is over. */
  readonly stopReason?: StopReason;
  /**
   * Continues the run, token by token, and gives a run of all tokens. Earlier tokens are not computed again. A model of
   * your own has this from `BaseRun`.
   * @example const answer = await run.generate({ maxTokens: 40 });
   */
  generate?(options?: GenerateOptions): Promise<Answer>;
  /**
   * The same, token by token as they come; the generator's return value is the answer.
   * @example for await (const token of run.stream({ maxTokens: 40 })) console.log(token.text);
   */
  stream?(options?: GenerateOptions): AsyncGenerator<GeneratedToken, Answer, undefined>;
  /**
   * The same prompt with something changed in between: what a block, head or neuron writes, what an edge carries, or a
   * state. The result is a run: it answers every question, of what was then computed. Layers below the first change are
   * this run's own, shared; dispose of this one last. docs/interventions.md says what each change means. Missing where a
   * model of your own has no interventions. Rejects with a `RangeError` or `TypeError` of one sentence for what is out
   * of range or makes no sense in this model.
   * @example const cut = await run.intervene([{ target: { kind: "attention", layer: 20, head: 3 }, do: "zero" }]);
   */
  intervene?(interventions: readonly Intervention[], options?: InterventionOptions): Promise<Run>;
  /** Of a run under interventions: the run that they were made on. */
  readonly base?: Run;
  /** Of a run under interventions: what was changed. */
  readonly interventions?: readonly Intervention[];
  /**
   * Whether the routes say what the prediction depends on: for each threshold the metric with only the routes kept, and
   * with only the routes removed, beside edges of equal number chosen by chance and by attention weight. Missing where
   * there are no interventions.
   * @example const { rows } = await run.faithfulness({ thresholds: [0.02, 0.04, 0.08], others: "patch", of: counterfactual });
   */
  faithfulness?(options?: FaithfulnessOptions): Promise<Faithfulness>;
  /** Frees what the run holds. The run refuses questions afterwards. */
  dispose(): Promise<void>;
}

/** A model that answers for itself. Whatever implements this and `Run` gets every widget. */
export interface TransparentModel {
  /** Facts about the model. */
  readonly info: ModelInfo;
  /** The tokens of a text, with the tokenizer's special tokens (BOS) unless `addSpecialTokens` is false. */
  tokenize(text: string, options?: { readonly addSpecialTokens?: boolean }): readonly Token[];
  /** The token with this id. Throws a `RangeError` outside the vocabulary. */
  token(id: number): Token;
  /**
   * The text of these tokens: what `tokenize` was given, where they are its tokens without special ones. Bytes of
   * several tokens that are one character are that character; others show as `<0xE2>`.
   */
  decode?(ids: readonly number[]): string;
  /**
   * A conversation as the prompt that the model was trained on, by its own template, as transformers'
   * `apply_chat_template` renders it. Models of `loadModel` run it as `model.run(messages)` too, where the run has
   * `turns`. A model of your own has both from `BaseModel`. Throws a `ModelFileError` where the
   * model comes without a template and none is given, or the template refuses the conversation.
   * @example model.renderChat([{ role: "user", content: "What is the capital of France?" }]).text;
   */
  renderChat?(messages: readonly ChatMessage[], options?: ChatOptions): RenderedChat;
  /**
   * Runs a prompt: a text, or token ids, which are used exactly as given. Several prompts give several runs, each as if
   * it had been alone. Rejects with a `RangeError` where the prompt is empty or longer than `info.maxPositions`, or an
   * id is outside the vocabulary.
   * @example const run = await model.run("The capital of France is");
   */
  run(prompt: string | readonly number[], options?: RunOptions): Promise<Run>;
  /** Runs several prompts, each as if it had been alone; the results in their order. */
  run(prompts: readonly string[] | readonly (readonly number[])[], options?: RunOptions): Promise<Run[]>;
  /**
   * Logits, shape `[V]`, of a vector of d numbers: the unembedding, with the final norm before it unless `normalize:
   * false`.
   */
  unembed(vector: Float32Array, options?: { readonly normalize?: boolean }): Promise<Tensor>;
  /** Shape `[d]`: the row of W_out that a neuron writes. */
  neuronOutput(layer: number, neuron: number): Promise<Tensor>;
  /** Ends the model's threads and frees its weights. It refuses questions afterwards, and so do its runs. */
  dispose(): Promise<void>;
}
