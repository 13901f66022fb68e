/** Phi 1, 1.5 and 2: parallel blocks with one norm, partial rotary embedding, biases everywhere. */
import type { Attention } from "../architecture";
import { rotary } from "../rope";
import type { NameTable, WeightMap } from "../weight-map";
import type { Family } from "./family";
import {
  BARE_MODEL,
  LLAMA_NAMES,
  type AttentionOptions,
  type Shape,
  attention,
  decoder,
  fusedAttention,
  ggufConfig,
  plainFfn,
  shapeOf,
} from "./shared";

const NAMES: NameTable = [
  ["model.final_layernorm", "output_norm"],
  ["model.layers.{}.self_attn.query_key_value", "blk.{}.attn_qkv"],
  ["model.layers.{}.self_attn.dense", "blk.{}.attn_output"],
  ["model.layers.{}.mlp.fc1", "blk.{}.ffn_up"],
  ["model.layers.{}.mlp.fc2", "blk.{}.ffn_down"],
  ...LLAMA_NAMES,
];

/** Older GGUF files have query, key and value in one matrix. */
function phiAttention(weights: WeightMap, shape: Shape, stem: string, options: AttentionOptions): Attention {
  return weights.gguf && weights.has(`${stem}.query_key_value.weight`)
    ? fusedAttention(weights, shape, `${stem}.query_key_value`, `${stem}.dense`, { ...options, order: "concat" })
    : attention(weights, shape, stem, { ...options, output: "dense" });
}

export const phi: Family = {
  name: "phi",
  modelTypes: ["phi"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 2048 });
    const epsilon = config.number("layer_norm_eps", 1e-5);
    const rope = rotary(config, { headDim: shape.dHead, maxPositions: shape.maxPositions, partial: 0.5 });
    const normed = config.flag("qk_layernorm", false);
    return decoder(weights, shape, {
      family: "phi",
      tied: config.flag("tie_word_embeddings", false),
      unembeddingBias: true,
      finalNorm: weights.layerNorm("model.final_layernorm", shape.dModel, epsilon),
      layer: (stem) => ({
        block: "parallel",
        attentionNorm: weights.layerNorm(`${stem}.input_layernorm`, shape.dModel, epsilon),
        attention: phiAttention(weights, shape, `${stem}.self_attn`, {
          bias: true,
          outputBias: true,
          rotary: rope,
          queryKeyNorm: normed
            ? {
                over: "head",
                query: weights.layerNorm(`${stem}.self_attn.q_layernorm`, shape.dHead, epsilon),
                key: weights.layerNorm(`${stem}.self_attn.k_layernorm`, shape.dHead, epsilon),
              }
            : undefined,
        }),
        ffn: plainFfn(config, weights, shape, `${stem}.mlp.fc1`, `${stem}.mlp.fc2`, {
          activation: "gelu_new",
          activationKeys: ["hidden_act"],
        }),
      }),
    });
  },
  gguf: [{ architecture: "phi2", config: ggufConfig, names: NAMES }],
};
