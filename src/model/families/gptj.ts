/** GPT-J: parallel blocks with one norm, rotary embedding of neighbouring pairs. */
import { rotary } from "../rope";
import { Config } from "../config";
import type { Family } from "./family";
import { gpt2Shape } from "./gpt2";
import { BARE_TRANSFORMER, attention, decoder, plainFfn } from "./shared";

export const gptj: Family = {
  name: "gptj",
  modelTypes: ["gptj"],
  prefixes: BARE_TRANSFORMER,
  describe(config, weights) {
    const shape = gpt2Shape(config, weights, { maxPositions: 2048 });
    const epsilon = config.number("layer_norm_epsilon", 1e-5);
    const rope = rotary(new Config(config.origin, {}), {
      headDim: shape.dHead,
      maxPositions: shape.maxPositions,
      pairing: "interleaved",
      partial: config.count("rotary_dim", 64) / shape.dHead,
    });
    return decoder(weights, shape, {
      family: "gptj",
      tied: config.flag("tie_word_embeddings", false),
      names: { embedding: "transformer.wte", layers: "transformer.h" },
      unembeddingBias: true,
      finalNorm: weights.layerNorm("transformer.ln_f", shape.dModel, epsilon),
      layer: (stem) => ({
        block: "parallel",
        attentionNorm: weights.layerNorm(`${stem}.ln_1`, shape.dModel, epsilon),
        attention: attention(weights, shape, `${stem}.attn`, { rotary: rope, output: "out_proj" }),
        ffn: plainFfn(config, weights, shape, `${stem}.mlp.fc_in`, `${stem}.mlp.fc_out`, {
          activation: "gelu_new",
          activationKeys: ["activation_function"],
        }),
      }),
    });
  },
};
