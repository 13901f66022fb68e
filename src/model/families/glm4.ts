/** GLM and GLM-4: fused gate, rotary embedding of neighbouring pairs in half of each head; GLM-4 0414 norms what blocks write. */
import { activation } from "../activation";
import { rotary } from "../rope";
import type { Family } from "./family";
import { BARE_MODEL, attention, decoder, shapeOf } from "./shared";

export const glm4: Family = {
  name: "glm4",
  modelTypes: ["glm", "glm4"],
  prefixes: BARE_MODEL,
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 131072, keyValueHeads: 2, headDim: 128 });
    const epsilon = config.number("rms_norm_eps", 1.5625e-7);
    const rope = rotary(config, {
      headDim: shape.dHead,
      maxPositions: shape.maxPositions,
      partial: 0.5,
      pairing: "interleaved",
    });
    const norm = (stem: string) => weights.rmsNorm(stem, shape.dModel, epsilon);
    const behind = config.string("model_type") === "glm4";
    return decoder(weights, shape, {
      family: "glm4",
      tied: config.flag("tie_word_embeddings", false),
      finalNorm: norm("model.norm"),
      layer: (stem) => ({
        block: "sequential",
        attentionNorm: norm(`${stem}.input_layernorm`),
        attention: attention(weights, shape, `${stem}.self_attn`, {
          bias: config.flag("attention_bias", behind),
          rotary: rope,
        }),
        ffnNorm: norm(`${stem}.post_attention_layernorm`),
        ffn: {
          activation: activation(config, ["hidden_act"], "silu"),
          input: weights.linear(`${stem}.mlp.gate_up_proj`, 2 * shape.dFfn, shape.dModel),
          fusedGate: true,
          output: weights.linear(`${stem}.mlp.down_proj`, shape.dModel, shape.dFfn),
        },
        ...(behind && {
          postAttentionNorm: norm(`${stem}.post_self_attn_layernorm`),
          postFfnNorm: norm(`${stem}.post_mlp_layernorm`),
        }),
      }),
    });
  },
};
