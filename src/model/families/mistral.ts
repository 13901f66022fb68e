/**
 * Mistral and Ministral's first models: Llama's layout with a sliding window. Their GGUF files call themselves llama.
 */
import { rotary } from "../rope";
import type { Family } from "./family";
import { BARE_MODEL, attention, decoder, gatedFfn, shapeOf, slidingWindow } from "./shared";

export const mistral: Family = {
  name: "mistral",
  modelTypes: ["mistral"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 131072, keyValueHeads: 8 });
    const epsilon = config.number("rms_norm_eps", 1e-6);
    const rope = rotary(config, { headDim: shape.dHead, maxPositions: shape.maxPositions });
    const window = slidingWindow(config, 4096);
    return decoder(weights, shape, {
      family: "mistral",
      tied: config.flag("tie_word_embeddings", false),
      finalNorm: weights.rmsNorm("model.norm", shape.dModel, epsilon),
      layer: (stem) => ({
        block: "sequential",
        attentionNorm: weights.rmsNorm(`${stem}.input_layernorm`, shape.dModel, epsilon),
        attention: attention(weights, shape, `${stem}.self_attn`, { rotary: rope, window }),
        ffnNorm: weights.rmsNorm(`${stem}.post_attention_layernorm`, shape.dModel, epsilon),
        ffn: gatedFfn(config, weights, shape, `${stem}.mlp`, { activation: "silu" }),
      }),
    });
  },
};
