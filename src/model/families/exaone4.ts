/** EXAONE 4: norms behind the blocks, norms of query and key of each head, windows without which nothing is rotated. */
import { rotary } from "../rope";
import type { Family } from "./family";
import { BARE_MODEL, attention, decoder, gatedFfn, layerTypes, shapeOf, slidingWindow } from "./shared";

export const exaone4: Family = {
  name: "exaone4",
  modelTypes: ["exaone4"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 2048, keyValueHeads: 32 });
    const epsilon = config.number("rms_norm_eps", 1e-5);
    const rope = rotary(config, { headDim: shape.dHead, maxPositions: shape.maxPositions });
    const window = slidingWindow(config, 4096);
    const types = layerTypes(
      config,
      shape.nLayers,
      (layer) => window !== undefined && (layer + 1) % config.count("sliding_window_pattern", 4) !== 0,
    );
    const norm = (stem: string, size = shape.dModel) => weights.rmsNorm(stem, size, epsilon);
    return decoder(weights, shape, {
      family: "exaone4",
      tied: config.flag("tie_word_embeddings", false),
      finalNorm: norm("model.norm"),
      layer: (stem, index) => {
        const local = types[index] === "sliding_attention";
        return {
          block: "sequential",
          attention: attention(weights, shape, `${stem}.self_attn`, {
            rotary: local || window === undefined ? rope : undefined,
            window: local ? window : undefined,
            queryKeyNorm: {
              over: "head",
              query: norm(`${stem}.self_attn.q_norm`, shape.dHead),
              key: norm(`${stem}.self_attn.k_norm`, shape.dHead),
            },
          }),
          postAttentionNorm: norm(`${stem}.post_attention_layernorm`),
          ffn: gatedFfn(config, weights, shape, `${stem}.mlp`, { activation: "silu" }),
          postFfnNorm: norm(`${stem}.post_feedforward_layernorm`),
        };
      },
    });
  },
};
