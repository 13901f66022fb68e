/** Falcon (7B, 40B, 180B, 11B, RW): fused matrices grouped by key/value head, parallel blocks, rotary or ALiBi. */
import type { Config } from "../config";
import { rotary } from "../rope";
import type { WeightMap } from "../weight-map";
import type { Family } from "./family";
import {
  BARE_TRANSFORMER,
  alibiSlopes,
  checkShape,
  decoder,
  fusedAttention,
  ggufConfig,
  headDim,
  plainFfn,
} from "./shared";

function shape(config: Config, weights: WeightMap) {
  const dModel = config.count("hidden_size", config.has("n_embed") ? config.count("n_embed") : undefined);
  const nHeads = config.count("num_attention_heads", config.has("n_head") ? config.count("n_head") : undefined);
  const grouped = config.flag("new_decoder_architecture", false);
  const single = !grouped && config.flag("multi_query", true);
  return checkShape(config, weights, {
    nLayers: config.count("num_hidden_layers", config.has("n_layer") ? config.count("n_layer") : undefined),
    nHeads,
    nKeyValueHeads: grouped ? config.count("num_kv_heads", nHeads) : single ? 1 : nHeads,
    dModel,
    dHead: headDim(config, dModel, nHeads),
    dFfn: config.count("ffn_hidden_size", 4 * dModel),
    dVocab: config.count("vocab_size"),
    maxPositions: config.count("max_position_embeddings", 2048),
  });
}

export const falcon: Family = {
  name: "falcon",
  modelTypes: ["falcon"],
  activationKeys: ["activation"],
  prefixes: BARE_TRANSFORMER,
  describe(config, weights) {
    const sizes = shape(config, weights);
    const epsilon = config.number("layer_norm_epsilon", 1e-5);
    const bias = config.flag("bias", false);
    const grouped = config.flag("new_decoder_architecture", false);
    const parallel = grouped || config.flag("parallel_attn", true);
    const twoNorms = grouped && parallel && config.count("num_ln_in_parallel_attn", 2) === 2;
    const scale = 1 / Math.sqrt(sizes.dHead);
    const position = config.flag("alibi", false)
      ? { alibiSlopes: alibiSlopes(sizes.nHeads), alibiRounded: true }
      : { rotary: rotary(config, { headDim: sizes.dHead, maxPositions: sizes.maxPositions }) };
    const norm = (stem: string) => weights.layerNorm(stem, sizes.dModel, epsilon);
    return decoder(weights, sizes, {
      family: "falcon",
      tied: config.flag("tie_word_embeddings", true),
      names: { embedding: "transformer.word_embeddings", layers: "transformer.h" },
      finalNorm: norm("transformer.ln_f"),
      layer: (stem) => ({
        block: parallel ? "parallel" : "sequential",
        attentionNorm: norm(twoNorms ? `${stem}.ln_attn` : `${stem}.input_layernorm`),
        attention: fusedAttention(
          weights,
          sizes,
          `${stem}.self_attention.query_key_value`,
          `${stem}.self_attention.dense`,
          {
            order: !grouped && sizes.nKeyValueHeads > 1 ? "per-head" : "per-group",
            bias,
            scale,
            ...position,
          },
        ),
        ffnNorm: twoNorms ? norm(`${stem}.ln_mlp`) : parallel ? undefined : norm(`${stem}.post_attention_layernorm`),
        ffn: plainFfn(config, weights, sizes, `${stem}.mlp.dense_h_to_4h`, `${stem}.mlp.dense_4h_to_h`, {
          activation: "gelu",
          activationKeys: ["activation"],
          bias,
        }),
      }),
    });
  },
  gguf: [
    {
      architecture: "falcon",
      config: (metadata, tensors) => {
        const config = ggufConfig(metadata, tensors);
        // Models with two norms are those of the newer layout; their first norm lies under another name.
        const twoNorms = tensors.has("blk.0.attn_norm_2.weight");
        return {
          ...config,
          layer_norm_epsilon: config.layer_norm_eps,
          ffn_hidden_size: config.intermediate_size,
          new_decoder_architecture: true,
          num_kv_heads: config.num_key_value_heads,
          num_ln_in_parallel_attn: twoNorms ? 2 : 1,
        };
      },
      names: [
        ["transformer.word_embeddings", "token_embd"],
        ["transformer.ln_f", "output_norm"],
        ["lm_head", "output"],
        ["transformer.h.{}.input_layernorm", "blk.{}.attn_norm"],
        ["transformer.h.{}.ln_mlp", "blk.{}.attn_norm"],
        ["transformer.h.{}.ln_attn", "blk.{}.attn_norm_2"],
        ["transformer.h.{}.self_attention.query_key_value", "blk.{}.attn_qkv"],
        ["transformer.h.{}.self_attention.dense", "blk.{}.attn_output"],
        ["transformer.h.{}.mlp.dense_h_to_4h", "blk.{}.ffn_up"],
        ["transformer.h.{}.mlp.dense_4h_to_h", "blk.{}.ffn_down"],
      ],
    },
  ],
};
