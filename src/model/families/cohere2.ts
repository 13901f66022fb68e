/** Cohere Command R7B and Command A: Command R with windows; layers that see everything have no positions. */
import { rotary } from "../rope";
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

export const cohere2: Family = {
  name: "cohere2",
  modelTypes: ["cohere2"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 8192 });
    const epsilon = config.number("layer_norm_eps", 1e-5);
    const rope = rotary(config, { headDim: shape.dHead, maxPositions: shape.maxPositions, pairing: "interleaved" });
    const bias = config.flag("attention_bias", false);
    const window = slidingWindow(config, 4096);
    const pattern = config.count("sliding_window_pattern", 4);
    const types = layerTypes(config, shape.nLayers, (layer) => (layer + 1) % pattern !== 0);
    const norm = (stem: string) => weights.layerNorm(stem, shape.dModel, epsilon, { bias: false });
    return decoder(weights, shape, {
      family: "cohere2",
      tied: config.flag("tie_word_embeddings", true),
      logitScale: config.number("logit_scale", 0.0625),
      finalNorm: norm("model.norm"),
      layer: (stem, index) => {
        const local = types[index] === "sliding_attention" && window !== undefined;
        return {
          block: "parallel",
          attentionNorm: norm(`${stem}.input_layernorm`),
          attention: attention(weights, shape, `${stem}.self_attn`, {
            bias,
            outputBias: bias,
            ...(local && { rotary: rope, window }),
          }),
          ffn: gatedFfn(config, weights, shape, `${stem}.mlp`, { activation: "silu" }),
        };
      },
    });
  },
  gguf: [
    {
      architecture: "cohere2",
      config: (metadata, tensors) => ({
        ...ggufConfig(metadata, tensors),
        logit_scale: metadata.number("{}.logit_scale", 0.0625),
        sliding_window: metadata.number("{}.attention.sliding_window", 4096),
      }),
      names: LLAMA_NAMES,
    },
  ],
};
