/** SmolLM3: Llama's layout in which every fourth layer has no rotary embedding. */
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
  ropeDivisors,
  shapeOf,
  slidingWindow,
} from "./shared";

export const smollm3: Family = {
  name: "smollm3",
  modelTypes: ["smollm3"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 32768, keyValueHeads: 4 });
    const epsilon = config.number("rms_norm_eps", 1e-6);
    const rope = rotary(config, {
      headDim: shape.dHead,
      maxPositions: shape.maxPositions,
      theta: 2000000,
      divisors: ropeDivisors(weights),
    });
    const bias = config.flag("attention_bias", false);
    const interval = config.count("no_rope_layer_interval", 4);
    // 1 where a layer has rotary embedding, against what the key's name says.
    const listed = config.has("no_rope_layers") ? config.numbers("no_rope_layers") : undefined;
    const rotates = (layer: number): boolean =>
      listed === undefined ? (layer + 1) % interval !== 0 : listed[layer] !== 0;
    const window = config.flag("use_sliding_window", false) ? slidingWindow(config) : undefined;
    const types = layerTypes(config, shape.nLayers, (layer) => window !== undefined && !rotates(layer));
    return decoder(weights, shape, {
      family: "smollm3",
      tied: config.flag("tie_word_embeddings", true),
      finalNorm: weights.rmsNorm("model.norm", shape.dModel, epsilon),
      layer: (stem, index) => ({
        block: "sequential",
        attentionNorm: weights.rmsNorm(`${stem}.input_layernorm`, shape.dModel, epsilon),
        attention: attention(weights, shape, `${stem}.self_attn`, {
          bias,
          outputBias: bias,
          rotary: rotates(index) ? rope : undefined,
          window: types[index] === "sliding_attention" ? window : undefined,
        }),
        ffnNorm: weights.rmsNorm(`${stem}.post_attention_layernorm`, shape.dModel, epsilon),
        ffn: gatedFfn(config, weights, shape, `${stem}.mlp`, {
          activation: "silu",
          bias: config.flag("mlp_bias", false),
        }),
      }),
    });
  },
  gguf: [{ architecture: "smollm3", config: ggufConfig, names: LLAMA_NAMES, permuted: true }],
};
