/** Nemotron and Minitron: LayerNorm whose weights are stored less 1, partial rotary embedding, an FFN without a gate. */
import { rotary } from "../rope";
import type { Family } from "./family";
import { BARE_MODEL, attention, decoder, plainFfn, shapeOf } from "./shared";

export const nemotron: Family = {
  name: "nemotron",
  modelTypes: ["nemotron"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 4096 });
    const epsilon = config.number("norm_eps", 1e-5);
    const rope = rotary(config, { headDim: shape.dHead, maxPositions: shape.maxPositions, partial: 0.5 });
    const bias = config.flag("attention_bias", false);
    const norm = (stem: string) => weights.layerNorm(stem, shape.dModel, epsilon, { unitOffset: true });
    return decoder(weights, shape, {
      family: "nemotron",
      tied: config.flag("tie_word_embeddings", false),
      finalNorm: norm("model.norm"),
      layer: (stem) => ({
        block: "sequential",
        attentionNorm: norm(`${stem}.input_layernorm`),
        attention: attention(weights, shape, `${stem}.self_attn`, { bias, outputBias: bias, rotary: rope }),
        ffnNorm: norm(`${stem}.post_attention_layernorm`),
        ffn: plainFfn(config, weights, shape, `${stem}.mlp.up_proj`, `${stem}.mlp.down_proj`, {
          activation: "relu2",
          activationKeys: ["hidden_act"],
          bias: config.flag("mlp_bias", false),
        }),
      }),
    });
  },
};
