/**
 * StableLM 3B, 2 1.6B, 2 12B: Llama's layout with LayerNorm and partial rotary embedding; 12B has parallel blocks and
 * norms of each head.
 */
import { rotary } from "../rope";
import type { NameTable } from "../weight-map";
import type { Family } from "./family";
import { BARE_MODEL, LLAMA_NAMES, attention, decoder, gatedFfn, ggufConfig, shapeOf } from "./shared";

const NAMES: NameTable = [
  ["model.layers.{}.self_attn.q_layernorm", "blk.{}.attn_q_norm"],
  ["model.layers.{}.self_attn.k_layernorm", "blk.{}.attn_k_norm"],
  ...LLAMA_NAMES,
];

export const stablelm: Family = {
  name: "stablelm",
  modelTypes: ["stablelm"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 4096, keyValueHeads: 32 });
    const epsilon = config.number("layer_norm_eps", 1e-5);
    const rope = rotary(config, {
      headDim: shape.dHead,
      maxPositions: shape.maxPositions,
      partial: config.number("rope_pct", 0.25),
    });
    const parallel = config.flag("use_parallel_residual", false);
    const bias = config.flag("use_qkv_bias", false);
    const normed = weights.gguf
      ? weights.has("model.layers.0.self_attn.q_layernorm.weight")
      : config.flag("qk_layernorm", false);
    return decoder(weights, shape, {
      family: "stablelm",
      tied: config.flag("tie_word_embeddings", false),
      finalNorm: weights.layerNorm("model.norm", shape.dModel, epsilon),
      layer: (stem) => ({
        block: parallel ? "parallel" : "sequential",
        attentionNorm: weights.layerNorm(`${stem}.input_layernorm`, shape.dModel, epsilon),
        attention: attention(weights, shape, `${stem}.self_attn`, {
          bias,
          rotary: rope,
          queryKeyNorm: normed
            ? {
                over: "per-head",
                query: weights.headNorms(`${stem}.self_attn.q_layernorm`, shape.nHeads, shape.dHead, epsilon),
                key: weights.headNorms(`${stem}.self_attn.k_layernorm`, shape.nKeyValueHeads, shape.dHead, epsilon),
              }
            : undefined,
        }),
        ffnNorm: parallel ? undefined : weights.layerNorm(`${stem}.post_attention_layernorm`, shape.dModel, epsilon),
        ffn: gatedFfn(config, weights, shape, `${stem}.mlp`, { activation: "silu" }),
      }),
    });
  },
  gguf: [
    {
      architecture: "stablelm",
      // The key says true for all of these models; what decides is whether there is a norm before the FFN.
      config: (metadata, tensors) => ({
        ...ggufConfig(metadata, tensors),
        use_parallel_residual: !tensors.has("blk.0.ffn_norm.weight"),
      }),
      names: NAMES,
    },
  ],
};
