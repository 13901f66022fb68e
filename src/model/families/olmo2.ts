/** OLMo 2 and 3: norms behind the blocks, norms of all heads' queries and keys at once; OLMo 3 has windows. */
import type { Architecture } from "../architecture";
import { Config } from "../config";
import type { GgufMetadata } from "../gguf-metadata";
import { rotary } from "../rope";
import type { NameTable, WeightMap } from "../weight-map";
import type { Family } from "./family";
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

const NAMES: NameTable = [
  ["model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"],
  ["model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm"],
  ...LLAMA_NAMES,
];

export function describeOlmo(family: "olmo2" | "olmo3", config: Config, weights: WeightMap): Architecture {
  const third = family === "olmo3";
  const shape = shapeOf(config, weights, { maxPositions: 2048 });
  const epsilon = config.number("rms_norm_eps", 1e-5);
  const window = third ? slidingWindow(config, 4096) : undefined;
  const types = third ? layerTypes(config, shape.nLayers, (layer) => (layer + 1) % 4 !== 0) : [];
  const settings = { headDim: shape.dHead, maxPositions: shape.maxPositions };
  // Settings of the old style, and rope_theta outside of a layer type's own, reach full attention alone.
  const local = config.section("rope_parameters")?.has("sliding_attention")
    ? rotary(config, { ...settings, layerType: "sliding_attention", theta: 500000 })
    : rotary(new Config(config.origin, {}), { ...settings, theta: 500000 });
  const full = third
    ? rotary(config, { ...settings, layerType: "full_attention", theta: 500000 })
    : rotary(config, settings);
  const bias = config.flag("attention_bias", false);
  const norm = (stem: string, size = shape.dModel) => weights.rmsNorm(stem, size, epsilon);
  return decoder(weights, shape, {
    family,
    tied: config.flag("tie_word_embeddings", false),
    finalNorm: norm("model.norm"),
    layer: (stem, index) => {
      const sliding = types[index] === "sliding_attention";
      return {
        block: "sequential",
        attention: attention(weights, shape, `${stem}.self_attn`, {
          bias,
          outputBias: bias,
          rotary: sliding ? local : full,
          window: sliding ? window : undefined,
          queryKeyNorm: {
            over: "all",
            query: norm(`${stem}.self_attn.q_norm`, shape.nHeads * shape.dHead),
            key: norm(`${stem}.self_attn.k_norm`, shape.nKeyValueHeads * shape.dHead),
          },
        }),
        postAttentionNorm: norm(`${stem}.post_attention_layernorm`),
        ffn: gatedFfn(config, weights, shape, `${stem}.mlp`, { activation: "silu" }),
        postFfnNorm: norm(`${stem}.post_feedforward_layernorm`),
      };
    },
  });
}

/** As the file lists them: the number of layers is no size of anything before it was compared with the tensors. */
function slidingLayers(metadata: GgufMetadata): readonly string[] | undefined {
  const pattern = metadata.raw("{}.attention.sliding_window_pattern");
  if (!Array.isArray(pattern)) return undefined;
  return (pattern as unknown[]).map((local) => (local === true ? "sliding_attention" : "full_attention"));
}

export const olmo2: Family = {
  name: "olmo2",
  modelTypes: ["olmo2"],
  prefixes: BARE_MODEL,
  // OLMo 3's GGUF files call themselves olmo2 and have windows.
  describe: (config, weights) =>
    describeOlmo(weights.gguf && config.has("sliding_window") ? "olmo3" : "olmo2", config, weights),
  gguf: [
    {
      architecture: "olmo2",
      config: (metadata, tensors) => {
        const config = ggufConfig(metadata, tensors);
        if (!metadata.has("{}.attention.sliding_window")) return config;
        const rope = config.rope_parameters as Record<string, unknown>;
        const { rope_theta, partial_rotary_factor } = rope;
        const local = { rope_type: "default", rope_theta, partial_rotary_factor };
        return {
          ...config,
          sliding_window: metadata.number("{}.attention.sliding_window"),
          layer_types: slidingLayers(metadata),
          rope_parameters: { full_attention: rope, sliding_attention: local },
        };
      },
      names: NAMES,
    },
  ],
};
