/** What families have in common: shapes, blocks under the names that most checkpoints share, GGUF keys and names. */
import type { Architecture, Attention, FeedForward, Layer, LinearLayout, Norm, Rotary } from "../architecture";
import { activation } from "../activation";
import type { Config } from "../config";
import { ModelFileError } from "../errors";
import type { GgufMetadata } from "../gguf-metadata";
import { contextLength } from "../rope";
import type { NameTable, WeightMap } from "../weight-map";
import type { GgufTensors } from "./family";

export interface Shape {
  readonly nLayers: number;
  readonly nHeads: number;
  readonly nKeyValueHeads: number;
  readonly dModel: number;
  readonly dHead: number;
  readonly dFfn: number;
  readonly dVocab: number;
  readonly maxPositions: number;
}

/** Values of keys that a config may leave out: transformers' defaults of the family. */
export interface ShapeDefaults {
  readonly maxPositions: number;
  /** Where the config has no such key; `null` there means as many as query heads. */
  readonly keyValueHeads?: number;
  readonly headDim?: number;
  readonly heads?: number;
  readonly vocabulary?: number;
}

/** The shape under the keys that most configs share (hidden_size, num_attention_heads, …). */
export function shapeOf(config: Config, weights: WeightMap, defaults: ShapeDefaults): Shape {
  const dModel = config.count("hidden_size");
  const nHeads = config.count("num_attention_heads", defaults.heads);
  return checkShape(config, weights, {
    nLayers: config.count("num_hidden_layers"),
    nHeads,
    nKeyValueHeads: config.count(
      "num_key_value_heads",
      config.given("num_key_value_heads") ? nHeads : (defaults.keyValueHeads ?? nHeads),
    ),
    dModel,
    dHead:
      config.has("head_dim") || defaults.headDim !== undefined
        ? config.count("head_dim", defaults.headDim)
        : headDim(config, dModel, nHeads),
    dFfn: config.count("intermediate_size"),
    dVocab: config.count("vocab_size", defaults.vocabulary),
    maxPositions: contextLength(config, config.count("max_position_embeddings", defaults.maxPositions)),
  });
}

/** d / H, which must divide. */
export function headDim(config: Config, dModel: number, nHeads: number): number {
  if (dModel % nHeads !== 0)
    throw new ModelFileError(`${config.origin}: a width of ${dModel} cannot be split into ${nHeads} heads.`);
  return dModel / nHeads;
}

/** Every shape goes through here, before anything of its size is made. */
export function checkShape(config: Config, weights: WeightMap, shape: Shape): Shape {
  weights.checkSizes(config.origin, shape);
  if (shape.nHeads % shape.nKeyValueHeads !== 0) {
    throw new ModelFileError(
      `${config.origin}: ${shape.nHeads} attention heads cannot share ${shape.nKeyValueHeads} key/value heads.`,
    );
  }
  return shape;
}

/** Frequencies are divided by this tensor where a GGUF file has it (llama3 and longrope scaling). */
export function ropeDivisors(weights: WeightMap): Float32Array | undefined {
  return weights.gguf && weights.has("rope_freqs.weight") ? weights.values("rope_freqs.weight") : undefined;
}

/** Checkpoints of the bare model, without its head, leave "model." out. */
export const BARE_MODEL = [["model.", ""]] as const;
/** The same for families whose names begin with "transformer.". */
export const BARE_TRANSFORMER = [["transformer.", ""]] as const;

/**
 * A window of `config.sliding_window` keys; undefined where it is null, or missing and the family has none by default.
 */
export function slidingWindow(config: Config, fallback?: number): number | undefined {
  if (config.has("sliding_window")) return config.count("sliding_window");
  return config.given("sliding_window") ? undefined : fallback;
}

/** "sliding_attention" or "full_attention" of each layer, as the config lists it or as the family has it by default. */
export function layerTypes(
  config: Config,
  nLayers: number,
  fallback: (layer: number) => boolean,
): readonly ("sliding_attention" | "full_attention")[] {
  if (!config.has("layer_types"))
    return Array.from({ length: nLayers }, (_, layer) => (fallback(layer) ? "sliding_attention" : "full_attention"));
  const types = config.strings("layer_types");
  if (types.length < nLayers)
    throw new ModelFileError(`${config.origin}: "layer_types" names ${types.length} layers of ${nLayers}.`);
  return types.map((type) => {
    if (type === "sliding_attention" || type === "full_attention") return type;
    throw new ModelFileError(
      `${config.origin}: layer type "${type}" is not supported; full_attention and sliding_attention are.`,
    );
  });
}

export interface AttentionOptions {
  readonly bias?: boolean;
  readonly outputBias?: boolean;
  /** Default 1/sqrt(dHead). */
  readonly scale?: number;
  readonly rotary?: Rotary;
  readonly window?: number;
  readonly softcap?: number;
  readonly alibiSlopes?: Float64Array;
  readonly alibiRounded?: boolean;
  readonly queryKeyNorm?: Attention["queryKeyNorm"];
  /** Name of the output matrix. Default o_proj. */
  readonly output?: string;
}

/** Attention with three matrices under `stem`. */
export function attention(weights: WeightMap, shape: Shape, stem: string, options: AttentionOptions): Attention {
  const { nHeads, nKeyValueHeads, dHead, dModel } = shape;
  const { bias = false, output = "o_proj" } = options;
  return {
    qkv: {
      kind: "separate",
      query: weights.linear(`${stem}.q_proj`, nHeads * dHead, dModel, { bias, rotaryHeads: nHeads }),
      key: weights.linear(`${stem}.k_proj`, nKeyValueHeads * dHead, dModel, { bias, rotaryHeads: nKeyValueHeads }),
      value: weights.linear(`${stem}.v_proj`, nKeyValueHeads * dHead, dModel, { bias }),
    },
    output: weights.linear(`${stem}.${output}`, dModel, nHeads * dHead, { bias: options.outputBias ?? false }),
    ...attentionSettings(shape, options),
  };
}

/** The part of an attention that is no matrix. */
export function attentionSettings(shape: Shape, options: AttentionOptions): Omit<Attention, "qkv" | "output"> {
  const { rotary, window, softcap, queryKeyNorm, alibiSlopes, alibiRounded } = options;
  return {
    scale: options.scale ?? 1 / Math.sqrt(shape.dHead),
    ...(rotary && { rotary }),
    ...(window !== undefined && { window }),
    ...(softcap !== undefined && { softcap }),
    ...(queryKeyNorm && { queryKeyNorm }),
    ...(alibiSlopes && { alibiSlopes }),
    ...(alibiRounded && { alibiRounded }),
  };
}

type FusedOrder = Extract<Attention["qkv"], { kind: "fused" }>["order"];

/**
 * Attention whose query, key and value are one matrix `input`. `order` is the hub's; llama.cpp's converter always puts
 * all queries first, then all keys, then all values.
 */
export function fusedAttention(
  weights: WeightMap,
  shape: Shape,
  input: string,
  output: string,
  options: AttentionOptions & { readonly order: FusedOrder; readonly layout?: LinearLayout },
): Attention {
  const { nHeads, nKeyValueHeads, dHead, dModel } = shape;
  const { bias = false, outputBias = bias, layout } = options;
  return {
    qkv: {
      kind: "fused",
      linear: weights.linear(input, (nHeads + 2 * nKeyValueHeads) * dHead, dModel, { bias, layout }),
      order: weights.gguf ? "concat" : options.order,
    },
    output: weights.linear(output, dModel, nHeads * dHead, { bias: outputBias, layout }),
    ...attentionSettings(shape, options),
  };
}

/** An FFN of two matrices. */
export function plainFfn(
  config: Config,
  weights: WeightMap,
  shape: Shape,
  input: string,
  output: string,
  options: {
    readonly activation: string;
    readonly activationKeys: readonly string[];
    readonly bias?: boolean;
    readonly layout?: LinearLayout;
  },
): FeedForward {
  const { bias = true, layout } = options;
  return {
    activation: activation(config, options.activationKeys, options.activation),
    input: weights.linear(input, shape.dFfn, shape.dModel, { bias, layout }),
    output: weights.linear(output, shape.dModel, shape.dFfn, { bias, layout }),
  };
}

/**
 * ALiBi's slopes of `heads` heads (Press et al. 2022, arXiv 2108.12409): powers of one base for the largest power of
 * two of heads, and every second power of its square root for the rest.
 */
export function alibiSlopes(heads: number): Float64Array {
  const power = 2 ** Math.floor(Math.log2(heads));
  return Float64Array.from({ length: heads }, (_, head) =>
    head < power ? 2 ** ((-8 / power) * (head + 1)) : 2 ** ((-4 / power) * (2 * (head - power) + 1)),
  );
}

/** A gated FFN with gate_proj, up_proj and down_proj under `stem`. */
export function gatedFfn(
  config: Config,
  weights: WeightMap,
  shape: Shape,
  stem: string,
  options: { readonly activation: string; readonly activationKeys?: readonly string[]; readonly bias?: boolean },
): FeedForward {
  const bias = options.bias ?? false;
  return {
    activation: activation(config, options.activationKeys ?? ["hidden_act"], options.activation),
    input: weights.linear(`${stem}.gate_proj`, shape.dFfn, shape.dModel, { bias }),
    up: weights.linear(`${stem}.up_proj`, shape.dFfn, shape.dModel, { bias }),
    output: weights.linear(`${stem}.down_proj`, shape.dModel, shape.dFfn, { bias }),
  };
}

export interface DecoderOptions {
  readonly family: string;
  /** Whether the config (or the family's default) ties input and output embedding. */
  readonly tied: boolean;
  readonly layer: (stem: string, index: number) => Layer;
  /** Names. Default model.embed_tokens, model.layers, lm_head. */
  readonly names?: { readonly embedding?: string; readonly layers?: string; readonly unembedding?: string };
  readonly embedding?: Omit<Architecture["embedding"], "token">;
  readonly finalNorm?: Norm;
  readonly unembeddingBias?: boolean;
  readonly logitSoftcap?: number;
  readonly logitScale?: number;
}

/** Embedding, layers, final norm and unembedding put together. */
export function decoder(weights: WeightMap, shape: Shape, options: DecoderOptions): Architecture {
  const { embedding = "model.embed_tokens", layers = "model.layers", unembedding = "lm_head" } = options.names ?? {};
  const token = weights.tensor(`${embedding}.weight`, [shape.dVocab, shape.dModel]);
  return {
    family: options.family,
    ...shape,
    embedding: { token, ...options.embedding },
    layers: Array.from({ length: shape.nLayers }, (_, index) => options.layer(`${layers}.${index}`, index)),
    ...(options.finalNorm && { finalNorm: options.finalNorm }),
    unembedding: weights.unembedding(unembedding, token, shape.dVocab, shape.dModel, options.tied, {
      bias: options.unembeddingBias,
    }),
    ...(options.logitSoftcap !== undefined && { logitSoftcap: options.logitSoftcap }),
    ...(options.logitScale !== undefined && { logitScale: options.logitScale }),
  };
}

/** The common keys of a GGUF file as a hub config. */
export function ggufConfig(metadata: GgufMetadata, tensors: GgufTensors): Record<string, unknown> {
  if (metadata.number("{}.expert_count", 0) > 0) {
    throw new ModelFileError(
      `${metadata.origin}: mixtures of experts (${metadata.number("{}.expert_count")} experts) are not supported; dense models are.`,
    );
  }
  const width = metadata.number("{}.embedding_length");
  const heads = metadata.number("{}.attention.head_count");
  const config: Record<string, unknown> = {
    hidden_size: width,
    num_hidden_layers: metadata.number("{}.block_count"),
    num_attention_heads: heads,
    num_key_value_heads: metadata.number("{}.attention.head_count_kv", heads),
    head_dim: headSize(metadata),
    // The matrix tells it for sure; the converters of some families write 4 d whatever the model has.
    intermediate_size: tensors.get("blk.0.ffn_down.weight")?.dims[1] ?? metadata.number("{}.feed_forward_length"),
    max_position_embeddings: metadata.number("{}.context_length"),
    rope_parameters: ggufRope(metadata),
  };
  if (metadata.has("{}.attention.layer_norm_rms_epsilon"))
    config.rms_norm_eps = metadata.number("{}.attention.layer_norm_rms_epsilon");
  if (metadata.has("{}.attention.layer_norm_epsilon"))
    config.layer_norm_eps = metadata.number("{}.attention.layer_norm_epsilon");
  return config;
}

/** The rope keys of a GGUF file as `rope_parameters`. */
function ggufRope(metadata: GgufMetadata): Record<string, unknown> {
  const rope: Record<string, unknown> = { rope_type: "default" };
  if (metadata.has("{}.rope.freq_base")) rope.rope_theta = metadata.number("{}.rope.freq_base");
  const type = metadata.string("{}.rope.scaling.type", metadata.has("{}.rope.scale_linear") ? "linear" : "none");
  if (type !== "none") {
    rope.rope_type = type;
    rope.factor = metadata.number("{}.rope.scaling.factor", metadata.number("{}.rope.scale_linear", 1));
    if (metadata.has("{}.rope.scaling.original_context_length")) {
      rope.original_max_position_embeddings = metadata.number("{}.rope.scaling.original_context_length");
    }
    if (metadata.has("{}.rope.scaling.attn_factor"))
      rope.attention_factor = metadata.number("{}.rope.scaling.attn_factor");
  }
  if (metadata.has("{}.rope.dimension_count")) {
    rope.partial_rotary_factor = metadata.number("{}.rope.dimension_count") / headSize(metadata);
  }
  return rope;
}

function headSize(metadata: GgufMetadata): number {
  return metadata.number(
    "{}.attention.key_length",
    metadata.number("{}.embedding_length") / metadata.number("{}.attention.head_count"),
  );
}

/** GGUF names of a decoder whose hub names are Llama's. Families add their own in front. */
export const LLAMA_NAMES: NameTable = [
  ["model.embed_tokens", "token_embd"],
  ["model.norm", "output_norm"],
  ["lm_head", "output"],
  ["rope_freqs", "rope_freqs"],
  ["model.layers.{}.input_layernorm", "blk.{}.attn_norm"],
  ["model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"],
  ["model.layers.{}.self_attn.k_proj", "blk.{}.attn_k"],
  ["model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"],
  ["model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"],
  ["model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"],
  ["model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"],
  ["model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"],
  ["model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"],
  ["model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"],
  ["model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"],
];
