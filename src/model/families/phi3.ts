/** Phi-3, Phi-3.5 and Phi-4: Llama's layout with fused matrices, long contexts by longrope. */
import { rotary } from "../rope";
import type { RopeType } from "../rope";
import type { Family } from "./family";
import { BARE_MODEL, LLAMA_NAMES, decoder, fusedAttention, ggufConfig, shapeOf, slidingWindow } from "./shared";
import { activation } from "../activation";

/** What the family's first configs call longrope. */
const ALIASES: Readonly<Record<string, RopeType>> = { su: "longrope", yarn: "longrope" };

export const phi3: Family = {
  name: "phi3",
  modelTypes: ["phi3"],
  prefixes: BARE_MODEL,
  ropeAliases: ALIASES,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 4096 });
    const epsilon = config.number("rms_norm_eps", 1e-5);
    const longrope =
      weights.gguf && weights.has("rope_factors_long.weight")
        ? { short: weights.values("rope_factors_short.weight"), long: weights.values("rope_factors_long.weight") }
        : undefined;
    const rope = rotary(config, {
      headDim: shape.dHead,
      maxPositions: shape.maxPositions,
      originalPositions: 4096,
      aliases: ALIASES,
      longrope,
    });
    const window = slidingWindow(config);
    return decoder(weights, shape, {
      family: "phi3",
      tied: config.flag("tie_word_embeddings", false),
      finalNorm: weights.rmsNorm("model.norm", shape.dModel, epsilon),
      layer: (stem) => ({
        block: "sequential",
        attentionNorm: weights.rmsNorm(`${stem}.input_layernorm`, shape.dModel, epsilon),
        attention: fusedAttention(weights, shape, `${stem}.self_attn.qkv_proj`, `${stem}.self_attn.o_proj`, {
          order: "concat",
          rotary: rope,
          window,
        }),
        ffnNorm: weights.rmsNorm(`${stem}.post_attention_layernorm`, shape.dModel, epsilon),
        ffn: {
          activation: activation(config, ["hidden_act"], "silu"),
          input: weights.linear(`${stem}.mlp.gate_up_proj`, 2 * shape.dFfn, shape.dModel),
          fusedGate: true,
          output: weights.linear(`${stem}.mlp.down_proj`, shape.dModel, shape.dFfn),
        },
      }),
    });
  },
  gguf: [
    {
      architecture: "phi3",
      config: (metadata, tensors) => {
        const config = ggufConfig(metadata, tensors);
        const rope = config.rope_parameters as Record<string, unknown>;
        const original = metadata.number("{}.rope.scaling.original_context_length", 0);
        // Files with longrope carry its divisors as tensors and the shorter context, and may name no type.
        const long = original > 0 && original < metadata.number("{}.context_length");
        const window = metadata.number("{}.attention.sliding_window", 0);
        return {
          ...config,
          sliding_window: window > 0 ? window : null,
          rope_parameters: long
            ? {
                ...rope,
                rope_type: "longrope",
                factor: undefined,
                original_max_position_embeddings: original,
                ...(metadata.has("{}.rope.scaling.attn_factor") && {
                  attention_factor: metadata.number("{}.rope.scaling.attn_factor"),
                }),
              }
            : rope,
        };
      },
      names: [
        ["rope_factors_long", "rope_factors_long"],
        ["rope_factors_short", "rope_factors_short"],
        ["model.layers.{}.self_attn.qkv_proj", "blk.{}.attn_qkv"],
        ["model.layers.{}.mlp.gate_up_proj", "blk.{}.ffn_up"],
        ...LLAMA_NAMES,
      ],
    },
  ],
};
