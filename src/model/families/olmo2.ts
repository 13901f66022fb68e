/** OLMo 2 and 3: norms behind the blocks, norms of all heads' queries and keys at once; OLMo 3 has windows. */
import type { Architecture } from "../architecture";
import { Config } from "../config";
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

export const olmo2: Family = {
  name: "olmo2",
  modelTypes: ["olmo2"],
  prefixes: BARE_MODEL,
  describe: (config, weights) => describeOlmo("olmo2", config, weights),
  gguf: [{ architecture: "olmo2", config: ggufConfig, names: NAMES }],
};
