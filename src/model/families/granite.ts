/** Granite 3: Llama's layout, with factors on embedding, attention, what blocks write, and logits. */
import type { Norm } from "../architecture";
import { rotary } from "../rope";
import type { Family } from "./family";
import { BARE_MODEL, LLAMA_NAMES, attention, decoder, gatedFfn, ggufConfig, shapeOf } from "./shared";

export const granite: Family = {
  name: "granite",
  modelTypes: ["granite"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 2048 });
    const epsilon = config.number("rms_norm_eps", 1e-6);
    const rope = rotary(config, { headDim: shape.dHead, maxPositions: shape.maxPositions });
    const bias = config.flag("attention_bias", false);
    const norm = (stem: string) => weights.rmsNorm(stem, shape.dModel, epsilon);
    const factor = config.number("residual_multiplier", 1);
    const behind: Norm | undefined = factor === 1 ? undefined : { kind: "rmsnorm", epsilon: 0, factor };
    return decoder(weights, shape, {
      family: "granite",
      tied: config.flag("tie_word_embeddings", false),
      embedding: { scale: config.number("embedding_multiplier", 1) },
      logitScale: 1 / config.number("logits_scaling", 1),
      finalNorm: norm("model.norm"),
      layer: (stem) => ({
        block: "sequential",
        attentionNorm: norm(`${stem}.input_layernorm`),
        attention: attention(weights, shape, `${stem}.self_attn`, {
          bias,
          outputBias: bias,
          rotary: rope,
          scale: config.number("attention_multiplier", 1),
        }),
        ...(behind && { postAttentionNorm: behind, postFfnNorm: behind }),
        ffnNorm: norm(`${stem}.post_attention_layernorm`),
        ffn: gatedFfn(config, weights, shape, `${stem}.mlp`, {
          activation: "silu",
          bias: config.flag("mlp_bias", false),
        }),
      }),
    });
  },
  gguf: [
    {
      architecture: "granite",
      config: (metadata, tensors) => ({
        ...ggufConfig(metadata, tensors),
        residual_multiplier: metadata.number("{}.residual_scale", 1),
        embedding_multiplier: metadata.number("{}.embedding_scale", 1),
        logits_scaling: metadata.number("{}.logit_scale", 1),
        attention_multiplier: metadata.number(
          "{}.attention.scale",
          1 / Math.sqrt(metadata.number("{}.embedding_length") / metadata.number("{}.attention.head_count")),
        ),
      }),
      names: LLAMA_NAMES,
      permuted: true,
    },
  ],
};
