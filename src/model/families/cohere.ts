/**
 * Cohere Command R: parallel blocks with one norm without bias, rotary embedding of neighbouring pairs, scaled logits.
 */
import { rotary } from "../rope";
import type { Norm } from "../architecture";
import type { Family } from "./family";
import { BARE_MODEL, LLAMA_NAMES, attention, decoder, gatedFfn, ggufConfig, shapeOf } from "./shared";

export const cohere: Family = {
  name: "cohere",
  modelTypes: ["cohere"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 8192 });
    const epsilon = config.number("layer_norm_eps", 1e-5);
    const rope = rotary(config, {
      headDim: shape.dHead,
      maxPositions: shape.maxPositions,
      theta: 500000,
      pairing: "interleaved",
    });
    const bias = config.flag("attention_bias", false);
    const normed = config.flag("use_qk_norm", false);
    const norm = (stem: string) => weights.layerNorm(stem, shape.dModel, epsilon, { bias: false });
    const headNorm = (stem: string, heads: number): Norm => ({
      kind: "layernorm",
      epsilon,
      weight: weights.tensor(`${stem}.weight`, [heads, shape.dHead]),
    });
    return decoder(weights, shape, {
      family: "cohere",
      tied: config.flag("tie_word_embeddings", true),
      logitScale: config.number("logit_scale", 0.0625),
      finalNorm: norm("model.norm"),
      layer: (stem) => ({
        block: "parallel",
        attentionNorm: norm(`${stem}.input_layernorm`),
        attention: attention(weights, shape, `${stem}.self_attn`, {
          bias,
          outputBias: bias,
          rotary: rope,
          queryKeyNorm: normed
            ? {
                over: "per-head",
                query: headNorm(`${stem}.self_attn.q_norm`, shape.nHeads),
                key: headNorm(`${stem}.self_attn.k_norm`, shape.nKeyValueHeads),
              }
            : undefined,
        }),
        ffn: gatedFfn(config, weights, shape, `${stem}.mlp`, { activation: "silu" }),
      }),
    });
  },
  gguf: [
    {
      architecture: "command-r",
      config: (metadata, tensors) => ({
        ...ggufConfig(metadata, tensors),
        logit_scale: metadata.number("{}.logit_scale", 0.0625),
        use_qk_norm: tensors.has("blk.0.attn_q_norm.weight"),
      }),
      names: LLAMA_NAMES,
    },
  ],
};
