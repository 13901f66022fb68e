/** Qwen3: norms of query and key in each head. */
import { rotary } from "../rope";
import type { Family } from "./family";
import { qwenWindows } from "./qwen2";
import { BARE_MODEL, LLAMA_NAMES, attention, decoder, gatedFfn, ggufConfig, ropeDivisors, shapeOf } from "./shared";

export const qwen3: Family = {
  name: "qwen3",
  modelTypes: ["qwen3"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 32768, keyValueHeads: 32, headDim: 128 });
    const epsilon = config.number("rms_norm_eps", 1e-6);
    const rope = rotary(config, {
      headDim: shape.dHead,
      maxPositions: shape.maxPositions,
      divisors: ropeDivisors(weights),
    });
    const bias = config.flag("attention_bias", false);
    const window = qwenWindows(config, shape.nLayers);
    return decoder(weights, shape, {
      family: "qwen3",
      tied: config.flag("tie_word_embeddings", false),
      finalNorm: weights.rmsNorm("model.norm", shape.dModel, epsilon),
      layer: (stem, index) => ({
        block: "sequential",
        attentionNorm: weights.rmsNorm(`${stem}.input_layernorm`, shape.dModel, epsilon),
        attention: attention(weights, shape, `${stem}.self_attn`, {
          bias,
          outputBias: bias,
          rotary: rope,
          window: window(index),
          queryKeyNorm: {
            over: "head",
            query: weights.rmsNorm(`${stem}.self_attn.q_norm`, shape.dHead, epsilon),
            key: weights.rmsNorm(`${stem}.self_attn.k_norm`, shape.dHead, epsilon),
          },
        }),
        ffnNorm: weights.rmsNorm(`${stem}.post_attention_layernorm`, shape.dModel, epsilon),
        ffn: gatedFfn(config, weights, shape, `${stem}.mlp`, { activation: "silu" }),
      }),
    });
  },
  gguf: [{ architecture: "qwen3", config: ggufConfig, names: LLAMA_NAMES }],
};
