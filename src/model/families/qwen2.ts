/** Qwen 1.5, 2 and 2.5: Llama's layout with biases of query, key and value. */
import type { Config } from "../config";
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

/** The window of each layer: layers from `max_window_layers` up have one where `use_sliding_window` says so. */
export function qwenWindows(config: Config, nLayers: number): (layer: number) => number | undefined {
  const window = config.flag("use_sliding_window", false) ? slidingWindow(config, 4096) : undefined;
  const first = config.number("max_window_layers", 28);
  const types = layerTypes(config, nLayers, (layer) => window !== undefined && layer >= first);
  return (layer) => (types[layer] === "sliding_attention" ? window : undefined);
}

export const qwen2: Family = {
  name: "qwen2",
  modelTypes: ["qwen2"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 32768, keyValueHeads: 32 });
    const epsilon = config.number("rms_norm_eps", 1e-6);
    const rope = rotary(config, {
      headDim: shape.dHead,
      maxPositions: shape.maxPositions,
      divisors: ropeDivisors(weights),
    });
    const window = qwenWindows(config, shape.nLayers);
    return decoder(weights, shape, {
      family: "qwen2",
      tied: config.flag("tie_word_embeddings", false),
      finalNorm: weights.rmsNorm("model.norm", shape.dModel, epsilon),
      layer: (stem, index) => ({
        block: "sequential",
        attentionNorm: weights.rmsNorm(`${stem}.input_layernorm`, shape.dModel, epsilon),
        attention: attention(weights, shape, `${stem}.self_attn`, { bias: true, rotary: rope, window: window(index) }),
        ffnNorm: weights.rmsNorm(`${stem}.post_attention_layernorm`, shape.dModel, epsilon),
        ffn: gatedFfn(config, weights, shape, `${stem}.mlp`, { activation: "silu" }),
      }),
    });
  },
  gguf: [{ architecture: "qwen2", config: ggufConfig, names: LLAMA_NAMES }],
};
