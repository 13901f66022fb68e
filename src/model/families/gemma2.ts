/** Gemma 2: norms before and behind each block, windows in every second layer, soft-caps. */
import type { Architecture } from "../architecture";
import { Config } from "../config";
import type { GgufMetadata } from "../gguf-metadata";
import { rotary } from "../rope";
import type { NameTable, WeightMap } from "../weight-map";
import type { Family, GgufTensors } from "./family";
import {
  BARE_MODEL,
  LLAMA_NAMES,
  attention,
  decoder,
  gatedFfn,
  ggufConfig,
  layerTypes,
  shapeOf,
  slidingWindow,
} from "./shared";

const cap = (config: Config, key: string, fallback?: number): number | undefined =>
  config.has(key) ? config.number(key) : config.given(key) ? undefined : fallback;

/**
 * Gemma 2, or Gemma 3, which is Gemma 2 with norms of query and key, other windows and two bases of rotary embedding.
 */
export function describeGemma(family: "gemma2" | "gemma3", config: Config, weights: WeightMap): Architecture {
  const third = family === "gemma3";
  const shape = shapeOf(config, weights, {
    maxPositions: third ? 131072 : 8192,
    keyValueHeads: 4,
    headDim: 256,
    // Configs of the models with vision leave these out of their text part.
    ...(third && { heads: 8, vocabulary: 262208 }),
  });
  const epsilon = config.number("rms_norm_eps", 1e-6);
  const bias = config.flag("attention_bias", false);
  const norm = (stem: string, size = shape.dModel) => weights.rmsNorm(stem, size, epsilon, { unitOffset: true });
  const window = slidingWindow(config, 4096);
  const pattern = third ? config.count("sliding_window_pattern", 6) : 2;
  const types = layerTypes(config, shape.nLayers, (layer) => (layer + 1) % pattern !== 0);
  const settings = { headDim: shape.dHead, maxPositions: shape.maxPositions };
  const rope = third
    ? {
        full_attention: rotary(config, { ...settings, layerType: "full_attention", theta: 1000000 }),
        // The old style's scaling is meant for full attention alone; local layers have a base of their own.
        sliding_attention: config.section("rope_parameters")?.has("sliding_attention")
          ? rotary(config, { ...settings, layerType: "sliding_attention" })
          : rotary(new Config(config.origin, {}), { ...settings, theta: config.number("rope_local_base_freq", 10000) }),
      }
    : { full_attention: rotary(config, settings), sliding_attention: rotary(config, settings) };
  // Gemma 3's config class has the key too, but its attention does not use it: norms of query and key took the cap's
  // place.
  const softcap = third ? undefined : cap(config, "attn_logit_softcapping", 50);
  return decoder(weights, shape, {
    family,
    tied: config.flag("tie_word_embeddings", true),
    embedding: { scale: Math.sqrt(shape.dModel) },
    finalNorm: norm("model.norm"),
    logitSoftcap: cap(config, "final_logit_softcapping", third ? undefined : 30),
    layer: (stem, index) => ({
      block: "sequential",
      attentionNorm: norm(`${stem}.input_layernorm`),
      attention: attention(weights, shape, `${stem}.self_attn`, {
        bias,
        outputBias: bias,
        scale: config.number("query_pre_attn_scalar", 256) ** -0.5,
        rotary: rope[types[index]],
        window: types[index] === "sliding_attention" ? window : undefined,
        softcap,
        queryKeyNorm: third
          ? {
              over: "head",
              query: norm(`${stem}.self_attn.q_norm`, shape.dHead),
              key: norm(`${stem}.self_attn.k_norm`, shape.dHead),
            }
          : undefined,
      }),
      postAttentionNorm: norm(`${stem}.post_attention_layernorm`),
      ffnNorm: norm(`${stem}.pre_feedforward_layernorm`),
      ffn: gatedFfn(config, weights, shape, `${stem}.mlp`, {
        activation: "gelu_pytorch_tanh",
        activationKeys: ["hidden_activation"],
      }),
      postFfnNorm: norm(`${stem}.post_feedforward_layernorm`),
    }),
  });
}

export const GEMMA_NAMES: NameTable = [
  ["model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"],
  ["model.layers.{}.pre_feedforward_layernorm", "blk.{}.ffn_norm"],
  ["model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm"],
  ...LLAMA_NAMES,
];

/**
 * `query_pre_attn_scalar` is in no GGUF file: it is the head's width, except in the two 27B models (46 and 62 layers),
 * where it is d / H.
 */
export function ggufGemma(metadata: GgufMetadata, tensors: GgufTensors, layersOf27B: number): Record<string, unknown> {
  const config = ggufConfig(metadata, tensors);
  const wide = config.num_hidden_layers === layersOf27B;
  return {
    ...config,
    query_pre_attn_scalar: wide ? Number(config.hidden_size) / Number(config.num_attention_heads) : config.head_dim,
    sliding_window: metadata.number("{}.attention.sliding_window", 4096),
  };
}

export const gemma2: Family = {
  name: "gemma2",
  modelTypes: ["gemma2"],
  prefixes: BARE_MODEL,
  describe: (config, weights) => describeGemma("gemma2", config, weights),
  gguf: [
    {
      architecture: "gemma2",
      names: GEMMA_NAMES,
      config: (metadata, tensors) => ({
        ...ggufGemma(metadata, tensors, 46),
        attn_logit_softcapping: metadata.number("{}.attn_logit_softcapping", 50),
        final_logit_softcapping: metadata.number("{}.final_logit_softcapping", 30),
      }),
    },
  ],
};
