/** OLMo 2: norms behind the blocks, norms of all heads' queries and keys at once. */
import { rotary } from "../rope";
import type { NameTable } from "../weight-map";
import type { Family } from "./family";
import { BARE_MODEL, LLAMA_NAMES, attention, decoder, gatedFfn, ggufConfig, shapeOf } from "./shared";

const NAMES: NameTable = [
  ["model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"],
  ["model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm"],
  ...LLAMA_NAMES,
];

export const olmo2: Family = {
  name: "olmo2",
  modelTypes: ["olmo2"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 2048 });
    const epsilon = config.number("rms_norm_eps", 1e-5);
    const rope = rotary(config, { headDim: shape.dHead, maxPositions: shape.maxPositions });
    const bias = config.flag("attention_bias", false);
    const norm = (stem: string, size = shape.dModel) => weights.rmsNorm(stem, size, epsilon);
    return decoder(weights, shape, {
      family: "olmo2",
      tied: config.flag("tie_word_embeddings", false),
      finalNorm: norm("model.norm"),
      layer: (stem) => ({
        block: "sequential",
        attention: attention(weights, shape, `${stem}.self_attn`, {
          bias,
          outputBias: bias,
          rotary: rope,
          queryKeyNorm: {
            over: "all",
            query: norm(`${stem}.self_attn.q_norm`, shape.nHeads * shape.dHead),
            key: norm(`${stem}.self_attn.k_norm`, shape.nKeyValueHeads * shape.dHead),
          },
        }),
        postAttentionNorm: norm(`${stem}.post_attention_layernorm`),
        ffn: gatedFfn(config, weights, shape, `${stem}.mlp`, { activation: "silu" }),
        postFfnNorm: norm(`${stem}.post_feedforward_layernorm`),
      }),
    });
  },
  gguf: [{ architecture: "olmo2", config: ggufConfig, names: NAMES }],
};
