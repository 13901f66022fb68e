/** StarCoder 2: grouped queries, rotary embedding, biases, an FFN without a gate. */
import { rotary } from "../rope";
import type { Family } from "./family";
import { BARE_MODEL, LLAMA_NAMES, attention, decoder, ggufConfig, plainFfn, shapeOf, slidingWindow } from "./shared";

export const starcoder2: Family = {
  name: "starcoder2",
  modelTypes: ["starcoder2"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 4096, keyValueHeads: 2 });
    const epsilon = config.number("norm_epsilon", 1e-5);
    const rope = rotary(config, { headDim: shape.dHead, maxPositions: shape.maxPositions });
    const bias = config.flag("use_bias", true);
    const window = slidingWindow(config);
    return decoder(weights, shape, {
      family: "starcoder2",
      tied: config.flag("tie_word_embeddings", true),
      finalNorm: weights.layerNorm("model.norm", shape.dModel, epsilon),
      layer: (stem) => ({
        block: "sequential",
        attentionNorm: weights.layerNorm(`${stem}.input_layernorm`, shape.dModel, epsilon),
        attention: attention(weights, shape, `${stem}.self_attn`, { bias, outputBias: bias, rotary: rope, window }),
        ffnNorm: weights.layerNorm(`${stem}.post_attention_layernorm`, shape.dModel, epsilon),
        ffn: plainFfn(config, weights, shape, `${stem}.mlp.c_fc`, `${stem}.mlp.c_proj`, {
          activation: "gelu_pytorch_tanh",
          activationKeys: ["hidden_act"],
          bias,
        }),
      }),
    });
  },
  gguf: [
    {
      architecture: "starcoder2",
      config: (metadata, tensors) => {
        const config = ggufConfig(metadata, tensors);
        return { ...config, norm_epsilon: config.layer_norm_eps };
      },
      names: [
        ["model.layers.{}.mlp.c_fc", "blk.{}.ffn_up"],
        ["model.layers.{}.mlp.c_proj", "blk.{}.ffn_down"],
        ...LLAMA_NAMES,
      ],
    },
  ],
};
