/** Llama 1, 2 and 3, SmolLM2, and what keeps their layout (TinyLlama, Yi, …). */
import { rotary } from "../rope";
import type { Family } from "./family";
import { BARE_MODEL, LLAMA_NAMES, attention, decoder, gatedFfn, ggufConfig, ropeDivisors, shapeOf } from "./shared";

export const llama: Family = {
  name: "llama",
  modelTypes: ["llama"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 2048 });
    const epsilon = config.number("rms_norm_eps", 1e-6);
    const rope = rotary(config, {
      headDim: shape.dHead,
      maxPositions: shape.maxPositions,
      divisors: ropeDivisors(weights),
    });
    const bias = config.flag("attention_bias", false);
    return decoder(weights, shape, {
      family: "llama",
      tied: config.flag("tie_word_embeddings", false),
      finalNorm: weights.rmsNorm("model.norm", shape.dModel, epsilon),
      layer: (stem) => ({
        block: "sequential",
        attentionNorm: weights.rmsNorm(`${stem}.input_layernorm`, shape.dModel, epsilon),
        attention: attention(weights, shape, `${stem}.self_attn`, { bias, outputBias: bias, rotary: rope }),
        ffnNorm: weights.rmsNorm(`${stem}.post_attention_layernorm`, shape.dModel, epsilon),
        ffn: gatedFfn(config, weights, shape, `${stem}.mlp`, {
          activation: "silu",
          bias: config.flag("mlp_bias", false),
        }),
      }),
    });
  },
  gguf: [{ architecture: "llama", config: ggufConfig, names: LLAMA_NAMES, permuted: true }],
};
