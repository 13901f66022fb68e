/** BLOOM: ALiBi, a norm of the embedding. */
import { ModelFileError } from "../errors";
import type { Family } from "./family";
import { BARE_TRANSFORMER, alibiSlopes, checkShape, decoder, fusedAttention, headDim, plainFfn } from "./shared";

export const bloom: Family = {
  name: "bloom",
  modelTypes: ["bloom"],
  prefixes: BARE_TRANSFORMER,
  check(config) {
    if (config.flag("apply_residual_connection_post_layernorm", false)) {
      throw new ModelFileError(
        `${config.origin}: BLOOM with apply_residual_connection_post_layernorm is not supported; the published BLOOM models, which are without, are.`,
      );
    }
  },
  describe(config, weights) {
    const dModel = config.count("hidden_size", config.has("n_embed") ? config.count("n_embed") : undefined);
    const nHeads = config.count(
      "n_head",
      config.has("num_attention_heads") ? config.count("num_attention_heads") : undefined,
    );
    const shape = checkShape(config, weights, {
      nLayers: config.count("n_layer", config.has("num_hidden_layers") ? config.count("num_hidden_layers") : undefined),
      nHeads,
      nKeyValueHeads: nHeads,
      dModel,
      dHead: headDim(config, dModel, nHeads),
      dFfn: 4 * dModel,
      dVocab: config.count("vocab_size"),
      maxPositions: config.count("seq_length", 2048),
    });
    const epsilon = config.number("layer_norm_epsilon", 1e-5);
    const norm = (stem: string) => weights.layerNorm(stem, dModel, epsilon);
    const slopes = alibiSlopes(nHeads);
    return decoder(weights, shape, {
      family: "bloom",
      tied: config.flag("tie_word_embeddings", true),
      names: { embedding: "transformer.word_embeddings", layers: "transformer.h" },
      embedding: { norm: norm("transformer.word_embeddings_layernorm") },
      finalNorm: norm("transformer.ln_f"),
      layer: (stem) => ({
        block: "sequential",
        attentionNorm: norm(`${stem}.input_layernorm`),
        attention: fusedAttention(
          weights,
          shape,
          `${stem}.self_attention.query_key_value`,
          `${stem}.self_attention.dense`,
          { order: "per-head", bias: true, alibiSlopes: slopes },
        ),
        ffnNorm: norm(`${stem}.post_attention_layernorm`),
        ffn: plainFfn(config, weights, shape, `${stem}.mlp.dense_h_to_4h`, `${stem}.mlp.dense_4h_to_h`, {
          activation: "gelu_new",
          activationKeys: [],
        }),
      }),
    });
  },
  gguf: [
    {
      architecture: "bloom",
      config: (metadata) => ({
        hidden_size: metadata.number("{}.embedding_length"),
        n_head: metadata.number("{}.attention.head_count"),
        n_layer: metadata.number("{}.block_count"),
        seq_length: metadata.number("{}.context_length"),
        layer_norm_epsilon: metadata.number("{}.attention.layer_norm_epsilon"),
      }),
      names: [
        ["transformer.word_embeddings", "token_embd"],
        ["transformer.word_embeddings_layernorm", "token_embd_norm"],
        ["transformer.ln_f", "output_norm"],
        ["lm_head", "output"],
        ["transformer.h.{}.input_layernorm", "blk.{}.attn_norm"],
        ["transformer.h.{}.self_attention.query_key_value", "blk.{}.attn_qkv"],
        ["transformer.h.{}.self_attention.dense", "blk.{}.attn_output"],
        ["transformer.h.{}.post_attention_layernorm", "blk.{}.ffn_norm"],
        ["transformer.h.{}.mlp.dense_h_to_4h", "blk.{}.ffn_up"],
        ["transformer.h.{}.mlp.dense_4h_to_h", "blk.{}.ffn_down"],
      ],
    },
  ],
};
