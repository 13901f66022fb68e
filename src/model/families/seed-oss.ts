/** Seed-OSS: Llama's layout with biases of query, key and value. */
import { rotary } from "../rope";
import type { Family } from "./family";
import { BARE_MODEL, LLAMA_NAMES, attention, decoder, gatedFfn, ggufConfig, shapeOf } from "./shared";

export const seedOss: Family = {
  name: "seed_oss",
  modelTypes: ["seed_oss"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, {
      maxPositions: 524288,
      keyValueHeads: 8,
      // null there means d / H.
      ...(!config.given("head_dim") && { headDim: 128 }),
    });
    const epsilon = config.number("rms_norm_eps", 1e-6);
    const rope = rotary(config, { headDim: shape.dHead, maxPositions: shape.maxPositions });
    return decoder(weights, shape, {
      family: "seed_oss",
      tied: config.flag("tie_word_embeddings", false),
      finalNorm: weights.rmsNorm("model.norm", shape.dModel, epsilon),
      layer: (stem) => ({
        block: "sequential",
        attentionNorm: weights.rmsNorm(`${stem}.input_layernorm`, shape.dModel, epsilon),
        attention: attention(weights, shape, `${stem}.self_attn`, {
          bias: config.flag("attention_bias", true),
          outputBias: config.flag("attention_out_bias", false),
          rotary: rope,
        }),
        ffnNorm: weights.rmsNorm(`${stem}.post_attention_layernorm`, shape.dModel, epsilon),
        ffn: gatedFfn(config, weights, shape, `${stem}.mlp`, {
          activation: "silu",
          bias: config.flag("mlp_bias", false),
        }),
      }),
    });
  },
  gguf: [
    {
      architecture: "seed_oss",
      config: ggufConfig,
      names: [["model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"], ...LLAMA_NAMES],
    },
  ],
};
