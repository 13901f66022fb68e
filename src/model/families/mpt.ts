/** MPT: ALiBi, LayerNorm and linear layers without biases. */
import { Config } from "../config";
import { ModelFileError } from "../errors";
import type { Family } from "./family";
import { BARE_TRANSFORMER, checkShape, decoder, fusedAttention, headDim, plainFfn } from "./shared";

/**
 * MPT's slopes: those of the next power of two of heads, every second one first where there are fewer heads
 * (build_mpt_alibi_tensor in transformers).
 */
function slopes(heads: number, most: number): Float64Array {
  const power = 2 ** Math.ceil(Math.log2(heads));
  const all = Array.from({ length: power }, (_, i) => 2 ** ((-most * (i + 1)) / power));
  const order = power === heads ? all : [...all.filter((_, i) => i % 2 === 1), ...all.filter((_, i) => i % 2 === 0)];
  return Float64Array.from(order.slice(0, heads));
}

export const mpt: Family = {
  name: "mpt",
  modelTypes: ["mpt"],
  prefixes: BARE_TRANSFORMER,
  check(config) {
    const attention = config.section("attn_config");
    for (const key of ["clip_qkv", "qk_ln", "prefix_lm"]) {
      const value = attention?.raw(key);
      if (value !== undefined && value !== null && value !== false && value !== 0)
        throw new ModelFileError(
          `${config.origin}: MPT with "${key}": ${JSON.stringify(value)} in its attn_config is not supported; models without it are.`,
        );
    }
    if (attention?.raw("alibi") === false || attention?.raw("attn_type") === "multiquery_attention")
      throw new ModelFileError(
        `${config.origin}: MPT without ALiBi or with one key for all heads is not supported, nor is it by transformers.`,
      );
    if (config.raw("no_bias") === false)
      throw new ModelFileError(
        `${config.origin}: MPT with biases ("no_bias": false) is not supported; models without are.`,
      );
  },
  describe(config, weights) {
    const attention = config.section("attn_config") ?? new Config(config.origin, {});
    const dModel = config.count("d_model", 2048);
    const nHeads = config.count("n_heads", 16);
    const shape = checkShape(config, weights, {
      nLayers: config.count("n_layers", 24),
      nHeads,
      nKeyValueHeads: nHeads,
      dModel,
      dHead: headDim(config, dModel, nHeads),
      // Whatever expansion_ratio says.
      dFfn: 4 * dModel,
      dVocab: config.count("vocab_size", 50368),
      maxPositions: config.count("max_seq_len", 2048),
    });
    const epsilon = config.number("layer_norm_epsilon", 1e-5);
    const norm = (stem: string) => weights.layerNorm(stem, dModel, epsilon, { bias: false });
    // The key of the largest slope is not read by the model.
    const alibi = slopes(nHeads, 8);
    return decoder(weights, shape, {
      family: "mpt",
      tied: config.flag("tie_word_embeddings", true),
      names: { embedding: "transformer.wte", layers: "transformer.blocks" },
      finalNorm: norm("transformer.norm_f"),
      layer: (stem) => ({
        block: "sequential",
        attentionNorm: norm(`${stem}.norm_1`),
        attention: fusedAttention(weights, shape, `${stem}.attn.Wqkv`, `${stem}.attn.out_proj`, {
          order: "concat",
          scale: attention.has("softmax_scale") ? attention.number("softmax_scale") : undefined,
          alibiSlopes: alibi,
        }),
        ffnNorm: norm(`${stem}.norm_2`),
        ffn: plainFfn(config, weights, shape, `${stem}.ffn.up_proj`, `${stem}.ffn.down_proj`, {
          activation: "gelu",
          activationKeys: [],
          bias: false,
        }),
      }),
    });
  },
};
