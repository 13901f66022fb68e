/** GPT-2 (gpt2 … gpt2-xl, distilgpt2). */
import { Config } from "../config";
import { ModelFileError } from "../errors";
import type { GgufMetadata } from "../gguf-metadata";
import type { WeightMap } from "../weight-map";
import type { Family } from "./family";
import { BARE_TRANSFORMER, type Shape, checkShape, decoder, fusedAttention, headDim, plainFfn } from "./shared";

/** The shape under the keys of GPT-2's generation of configs (n_embd, n_head, …). */
export function gpt2Shape(config: Config, weights: WeightMap, defaults: { readonly maxPositions: number }): Shape {
  const dModel = config.count("n_embd");
  const nHeads = config.count("n_head");
  return checkShape(config, weights, {
    nLayers: config.count("n_layer"),
    nHeads,
    nKeyValueHeads: nHeads,
    dModel,
    dHead: headDim(config, dModel, nHeads),
    dFfn: config.count("n_inner", 4 * dModel),
    dVocab: config.count("vocab_size"),
    maxPositions: config.count("n_positions", config.count("n_ctx", defaults.maxPositions)),
  });
}

export const gpt2: Family = {
  name: "gpt2",
  modelTypes: ["gpt2"],
  prefixes: BARE_TRANSFORMER,
  check(config) {
    if (config.flag("add_cross_attention", false))
      throw new ModelFileError(
        `${config.origin}: GPT-2 with cross-attention (add_cross_attention) is not supported; decoder-only models are.`,
      );
  },
  describe(config, weights) {
    const shape = gpt2Shape(config, weights, { maxPositions: 1024 });
    const epsilon = config.number("layer_norm_epsilon", 1e-5);
    const scale = config.flag("scale_attn_weights", true) ? 1 / Math.sqrt(shape.dHead) : 1;
    const byLayer = config.flag("scale_attn_by_inverse_layer_idx", false);
    const layout = "in-out";
    return decoder(weights, shape, {
      family: "gpt2",
      tied: config.flag("tie_word_embeddings", true),
      names: { embedding: "transformer.wte", layers: "transformer.h" },
      embedding: {
        position: { weight: weights.tensor("transformer.wpe.weight", [shape.maxPositions, shape.dModel]), offset: 0 },
      },
      finalNorm: weights.layerNorm("transformer.ln_f", shape.dModel, epsilon),
      layer: (stem, index) => ({
        block: "sequential",
        attentionNorm: weights.layerNorm(`${stem}.ln_1`, shape.dModel, epsilon),
        attention: fusedAttention(weights, shape, `${stem}.attn.c_attn`, `${stem}.attn.c_proj`, {
          order: "concat",
          layout,
          bias: true,
          scale: byLayer ? scale / (index + 1) : scale,
        }),
        ffnNorm: weights.layerNorm(`${stem}.ln_2`, shape.dModel, epsilon),
        ffn: plainFfn(config, weights, shape, `${stem}.mlp.c_fc`, `${stem}.mlp.c_proj`, {
          activation: "gelu_new",
          activationKeys: ["activation_function"],
          layout,
        }),
      }),
    });
  },
  gguf: [
    {
      architecture: "gpt2",
      config: (metadata: GgufMetadata, tensors) => ({
        n_embd: metadata.number("{}.embedding_length"),
        n_head: metadata.number("{}.attention.head_count"),
        n_layer: metadata.number("{}.block_count"),
        n_inner: tensors.get("blk.0.ffn_down.weight")?.dims[1],
        n_positions: metadata.number("{}.context_length"),
        layer_norm_epsilon: metadata.number("{}.attention.layer_norm_epsilon"),
      }),
      names: [
        ["transformer.wte", "token_embd"],
        ["transformer.wpe", "position_embd"],
        ["transformer.ln_f", "output_norm"],
        ["lm_head", "output"],
        ["transformer.h.{}.ln_1", "blk.{}.attn_norm"],
        ["transformer.h.{}.attn.c_attn", "blk.{}.attn_qkv"],
        ["transformer.h.{}.attn.c_proj", "blk.{}.attn_output"],
        ["transformer.h.{}.ln_2", "blk.{}.ffn_norm"],
        ["transformer.h.{}.mlp.c_fc", "blk.{}.ffn_up"],
        ["transformer.h.{}.mlp.c_proj", "blk.{}.ffn_down"],
      ],
    },
  ],
};
