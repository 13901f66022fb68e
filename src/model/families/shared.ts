/** What families have in common: shapes, blocks under the names that most checkpoints share, GGUF keys and names. */
import type { Architecture, Attention, FeedForward, Layer, Norm, Rotary } from "../architecture";
import { activation } from "../activation";
import type { Config } from "../config";
import { ModelFileError } from "../errors";
import type { GgufMetadata } from "../gguf-metadata";
import type { NameTable, WeightMap } from "../weight-map";

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
  readonly keyValueHeads?: number;
  readonly headDim?: number;
}

/** The shape under the keys that most configs share (hidden_size, num_attention_heads, …). */
export function shapeOf(config: Config, defaults: ShapeDefaults): Shape {
  const dModel = config.count("hidden_size");
  const nHeads = config.count("num_attention_heads");
  return checkShape(config, {
    nLayers: config.count("num_hidden_layers"),
    nHeads,
    nKeyValueHeads: config.count("num_key_value_heads", defaults.keyValueHeads ?? nHeads),
    dModel,
    dHead: config.has("head_dim") || defaults.headDim !== undefined ? config.count("head_dim", defaults.headDim) : headDim(config, dModel, nHeads),
    dFfn: config.count("intermediate_size"),
    dVocab: config.count("vocab_size"),
    maxPositions: config.count("max_position_embeddings", defaults.maxPositions),
  });
}

/** d / H, which must divide. */
export function headDim(config: Config, dModel: number, nHeads: number): number {
  if (dModel % nHeads !== 0) throw new ModelFileError(`${config.origin}: a width of ${dModel} cannot be split into ${nHeads} heads.`);
  return dModel / nHeads;
}

export function checkShape(config: Config, shape: Shape): Shape {
  if (shape.nHeads % shape.nKeyValueHeads !== 0) {
    throw new ModelFileError(`${config.origin}: ${shape.nHeads} attention heads cannot share ${shape.nKeyValueHeads} key/value heads.`);
  }
  return shape;
}

/** Frequencies are divided by this tensor where a GGUF file has it (llama3 and longrope scaling). */
export function ropeDivisors(weights: WeightMap): Float32Array | undefined {
  return weights.gguf && weights.has("rope_freqs.weight") ? weights.values("rope_freqs.weight") : undefined;
}

export interface AttentionOptions {
  readonly bias?: boolean | "maybe";
  readonly outputBias?: boolean | "maybe";
  /** Default 1/sqrt(dHead). */
  readonly scale?: number;
  readonly rotary?: Rotary;
  readonly window?: number;
  readonly softcap?: number;
  readonly queryKeyNorm?: Attention["queryKeyNorm"];
  /** Names of the output matrix and of the three inputs. Default q_proj, k_proj, v_proj, o_proj. */
  readonly names?: { readonly query?: string; readonly key?: string; readonly value?: string; readonly output?: string };
}

/** Attention with three matrices under `stem`. */
export function attention(weights: WeightMap, shape: Shape, stem: string, options: AttentionOptions): Attention {
  const { nHeads, nKeyValueHeads, dHead, dModel } = shape;
  const { query = "q_proj", key = "k_proj", value = "v_proj", output = "o_proj" } = options.names ?? {};
  const bias = options.bias ?? false;
  return {
    qkv: {
      kind: "separate",
      query: weights.linear(`${stem}.${query}`, nHeads * dHead, dModel, { bias, rotaryHeads: nHeads }),
      key: weights.linear(`${stem}.${key}`, nKeyValueHeads * dHead, dModel, { bias, rotaryHeads: nKeyValueHeads }),
      value: weights.linear(`${stem}.${value}`, nKeyValueHeads * dHead, dModel, { bias }),
    },
    output: weights.linear(`${stem}.${output}`, dModel, nHeads * dHead, { bias: options.outputBias ?? false }),
    ...attentionSettings(shape, options),
  };
}

/** The part of an attention that is no matrix. */
export function attentionSettings(shape: Shape, options: AttentionOptions): Omit<Attention, "qkv" | "output"> {
  const { rotary, window, softcap, queryKeyNorm } = options;
  return {
    scale: options.scale ?? 1 / Math.sqrt(shape.dHead),
    ...(rotary && { rotary }),
    ...(window !== undefined && { window }),
    ...(softcap !== undefined && { softcap }),
    ...(queryKeyNorm && { queryKeyNorm }),
  };
}

/** A gated FFN with gate_proj, up_proj and down_proj under `stem`. */
export function gatedFfn(config: Config, weights: WeightMap, shape: Shape, stem: string, options: { readonly activation: string; readonly activationKeys?: readonly string[]; readonly bias?: boolean | "maybe" }): FeedForward {
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
  readonly finalNorm: Norm;
  /** Names. Default model.embed_tokens, model.layers, lm_head. */
  readonly names?: { readonly embedding?: string; readonly layers?: string; readonly unembedding?: string };
  readonly embedding?: Omit<Architecture["embedding"], "token">;
  readonly unembeddingBias?: boolean | "maybe";
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
    finalNorm: options.finalNorm,
    unembedding: weights.unembedding(unembedding, token, shape.dVocab, shape.dModel, options.tied, { bias: options.unembeddingBias }),
    ...(options.logitSoftcap !== undefined && { logitSoftcap: options.logitSoftcap }),
    ...(options.logitScale !== undefined && { logitScale: options.logitScale }),
  };
}

/** The common keys of a GGUF file as a hub config. */
export function ggufConfig(metadata: GgufMetadata): Record<string, unknown> {
  const width = metadata.number("{}.embedding_length");
  const heads = metadata.number("{}.attention.head_count");
  const config: Record<string, unknown> = {
    hidden_size: width,
    num_hidden_layers: metadata.number("{}.block_count"),
    num_attention_heads: heads,
    num_key_value_heads: metadata.number("{}.attention.head_count_kv", heads),
    head_dim: metadata.number("{}.attention.key_length", width / heads),
    intermediate_size: metadata.number("{}.feed_forward_length"),
    max_position_embeddings: metadata.number("{}.context_length"),
    rope_parameters: ggufRope(metadata),
  };
  if (metadata.has("{}.attention.layer_norm_rms_epsilon")) config.rms_norm_eps = metadata.number("{}.attention.layer_norm_rms_epsilon");
  if (metadata.has("{}.attention.layer_norm_epsilon")) config.layer_norm_eps = metadata.number("{}.attention.layer_norm_epsilon");
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
    if (metadata.has("{}.rope.scaling.attn_factor")) rope.attention_factor = metadata.number("{}.rope.scaling.attn_factor");
  }
  return rope;
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
