/** Gemma 1: norms with weight + 1, embeddings times √d, tanh GELU gates. */
import { rotary } from "../rope";
import type { Family } from "./family";
import { BARE_MODEL, LLAMA_NAMES, attention, decoder, gatedFfn, ggufConfig, shapeOf } from "./shared";

export const gemma: Family = {
  name: "gemma",
  modelTypes: ["gemma"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 8192, keyValueHeads: 16, headDim: 256 });
    const epsilon = config.number("rms_norm_eps", 1e-6);
    const rope = rotary(config, { headDim: shape.dHead, maxPositions: shape.maxPositions });
    const bias = config.flag("attention_bias", false);
    const norm = (stem: string) => weights.rmsNorm(stem, shape.dModel, epsilon, { unitOffset: true });
    // The first release's configs say "gelu" and mean the tanh approximation that it was trained with.
    const legacy = config.raw("hidden_act") === "gelu";
    return decoder(weights, shape, {
      family: "gemma",
      tied: config.flag("tie_word_embeddings", true),
      embedding: { scale: Math.sqrt(shape.dModel) },
      finalNorm: norm("model.norm"),
      layer: (stem) => ({
        block: "sequential",
        attentionNorm: norm(`${stem}.input_layernorm`),
        attention: attention(weights, shape, `${stem}.self_attn`, { bias, outputBias: bias, rotary: rope }),
        ffnNorm: norm(`${stem}.post_attention_layernorm`),
        ffn: gatedFfn(config, weights, shape, `${stem}.mlp`, {
          activation: "gelu_pytorch_tanh",
          activationKeys: legacy ? [] : ["hidden_act"],
        }),
      }),
    });
  },
  gguf: [{ architecture: "gemma", config: ggufConfig, names: LLAMA_NAMES }],
};
