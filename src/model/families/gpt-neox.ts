/** GPT-NeoX and Pythia: query, key and value of each head fused, partial rotary embedding, parallel blocks. */
import { rotary } from "../rope";
import type { Family } from "./family";
import { decoder, fusedAttention, ggufConfig, plainFfn, shapeOf } from "./shared";

export const gptNeox: Family = {
  name: "gpt_neox",
  modelTypes: ["gpt_neox"],
  // transformers 5 calls the output matrix lm_head inside; files of either name are found.
  prefixes: [
    ["gpt_neox.", ""],
    ["embed_out.", "lm_head."],
  ],
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 2048 });
    const epsilon = config.number("layer_norm_eps", 1e-5);
    const rope = rotary(config, {
      headDim: shape.dHead,
      maxPositions: shape.maxPositions,
      theta: config.number("rotary_emb_base", 10000),
      partial: config.number("rotary_pct", 0.25),
    });
    const bias = config.flag("attention_bias", true);
    return decoder(weights, shape, {
      family: "gpt_neox",
      tied: config.flag("tie_word_embeddings", false),
      names: { embedding: "gpt_neox.embed_in", layers: "gpt_neox.layers", unembedding: "embed_out" },
      finalNorm: weights.layerNorm("gpt_neox.final_layer_norm", shape.dModel, epsilon),
      layer: (stem) => ({
        block: config.flag("use_parallel_residual", true) ? "parallel" : "sequential",
        attentionNorm: weights.layerNorm(`${stem}.input_layernorm`, shape.dModel, epsilon),
        attention: fusedAttention(weights, shape, `${stem}.attention.query_key_value`, `${stem}.attention.dense`, {
          order: "per-head",
          bias,
          rotary: rope,
        }),
        ffnNorm: weights.layerNorm(`${stem}.post_attention_layernorm`, shape.dModel, epsilon),
        ffn: plainFfn(config, weights, shape, `${stem}.mlp.dense_h_to_4h`, `${stem}.mlp.dense_4h_to_h`, {
          activation: "gelu",
          activationKeys: ["hidden_act"],
        }),
      }),
    });
  },
  gguf: [
    {
      architecture: "gptneox",
      config: (metadata, tensors) => ({
        ...ggufConfig(metadata, tensors),
        use_parallel_residual: metadata.flag("{}.use_parallel_residual", true),
      }),
      names: [
        ["gpt_neox.embed_in", "token_embd"],
        ["gpt_neox.final_layer_norm", "output_norm"],
        ["embed_out", "output"],
        ["gpt_neox.layers.{}.input_layernorm", "blk.{}.attn_norm"],
        ["gpt_neox.layers.{}.attention.query_key_value", "blk.{}.attn_qkv"],
        ["gpt_neox.layers.{}.attention.dense", "blk.{}.attn_output"],
        ["gpt_neox.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"],
        ["gpt_neox.layers.{}.mlp.dense_h_to_4h", "blk.{}.ffn_up"],
        ["gpt_neox.layers.{}.mlp.dense_4h_to_h", "blk.{}.ffn_down"],
      ],
    },
  ],
};
