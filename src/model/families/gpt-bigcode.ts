/** StarCoder and SantaCoder: GPT-2 with one key and value for all heads. */
import { ModelFileError } from "../errors";
import type { Family } from "./family";
import { gpt2Shape } from "./gpt2";
import { BARE_TRANSFORMER, decoder, fusedAttention, plainFfn } from "./shared";

export const gptBigcode: Family = {
  name: "gpt_bigcode",
  modelTypes: ["gpt_bigcode"],
  prefixes: BARE_TRANSFORMER,
  check(config) {
    if (config.flag("add_cross_attention", false))
      throw new ModelFileError(
        `${config.origin}: GPT-BigCode with cross-attention (add_cross_attention) is not supported; decoder-only models are.`,
      );
  },
  describe(config, weights) {
    const single = config.flag("multi_query", true);
    const all = gpt2Shape(config, weights, { maxPositions: 1024 });
    const shape = single ? { ...all, nKeyValueHeads: 1 } : all;
    const epsilon = config.number("layer_norm_epsilon", 1e-5);
    const norm = (stem: string) => weights.layerNorm(stem, shape.dModel, epsilon);
    return decoder(weights, shape, {
      family: "gpt_bigcode",
      tied: config.flag("tie_word_embeddings", true),
      names: { embedding: "transformer.wte", layers: "transformer.h" },
      embedding: {
        position: { weight: weights.tensor("transformer.wpe.weight", [shape.maxPositions, shape.dModel]), offset: 0 },
      },
      finalNorm: norm("transformer.ln_f"),
      layer: (stem) => ({
        block: "sequential",
        attentionNorm: norm(`${stem}.ln_1`),
        attention: fusedAttention(weights, shape, `${stem}.attn.c_attn`, `${stem}.attn.c_proj`, {
          order: single ? "concat" : "per-head",
          bias: true,
          scale: config.flag("scale_attn_weights", true) ? undefined : 1,
        }),
        ffnNorm: norm(`${stem}.ln_2`),
        ffn: plainFfn(config, weights, shape, `${stem}.mlp.c_fc`, `${stem}.mlp.c_proj`, {
          activation: "gelu_pytorch_tanh",
          activationKeys: ["activation_function"],
        }),
      }),
    });
  },
};
