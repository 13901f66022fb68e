/** Arcee (AFM): Llama's layout with an FFN without a gate, whose activation is a squared ReLU. */
import { rotary } from "../rope";
import type { Family } from "./family";
import { BARE_MODEL, LLAMA_NAMES, attention, decoder, ggufConfig, plainFfn, ropeDivisors, shapeOf } from "./shared";

export const arcee: Family = {
  name: "arcee",
  modelTypes: ["arcee"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 4096 });
    const epsilon = config.number("rms_norm_eps", 1e-5);
    const rope = rotary(config, {
      headDim: shape.dHead,
      maxPositions: shape.maxPositions,
      divisors: ropeDivisors(weights),
    });
    const bias = config.flag("attention_bias", false);
    return decoder(weights, shape, {
      family: "arcee",
      tied: config.flag("tie_word_embeddings", false),
      finalNorm: weights.rmsNorm("model.norm", shape.dModel, epsilon),
      layer: (stem) => ({
        block: "sequential",
        attentionNorm: weights.rmsNorm(`${stem}.input_layernorm`, shape.dModel, epsilon),
        attention: attention(weights, shape, `${stem}.self_attn`, { bias, outputBias: bias, rotary: rope }),
        ffnNorm: weights.rmsNorm(`${stem}.post_attention_layernorm`, shape.dModel, epsilon),
        ffn: plainFfn(config, weights, shape, `${stem}.mlp.up_proj`, `${stem}.mlp.down_proj`, {
          activation: "relu2",
          activationKeys: ["hidden_act"],
          bias: config.flag("mlp_bias", false),
        }),
      }),
    });
  },
  gguf: [{ architecture: "arcee", config: ggufConfig, names: LLAMA_NAMES, permuted: true }],
};
