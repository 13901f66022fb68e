/** OLMo: norms without weights. */
import type { Norm } from "../architecture";
import { ModelFileError } from "../errors";
import { rotary } from "../rope";
import type { Family } from "./family";
import { BARE_MODEL, LLAMA_NAMES, attention, decoder, gatedFfn, ggufConfig, shapeOf } from "./shared";

const UNWEIGHTED: Norm = { kind: "layernorm", epsilon: 1e-5 };

export const olmo: Family = {
  name: "olmo",
  modelTypes: ["olmo"],
  prefixes: BARE_MODEL,
  check(config) {
    if (config.has("clip_qkv"))
      throw new ModelFileError(
        `${config.origin}: OLMo with clip_qkv is not supported; OLMo 1B (which has none) and OLMo 2 are.`,
      );
  },
  describe(config, weights) {
    const shape = shapeOf(config, weights, { maxPositions: 2048 });
    const rope = rotary(config, { headDim: shape.dHead, maxPositions: shape.maxPositions });
    const bias = config.flag("attention_bias", false);
    return decoder(weights, shape, {
      family: "olmo",
      tied: config.flag("tie_word_embeddings", false),
      finalNorm: UNWEIGHTED,
      layer: (stem) => ({
        block: "sequential",
        attentionNorm: UNWEIGHTED,
        attention: attention(weights, shape, `${stem}.self_attn`, { bias, outputBias: bias, rotary: rope }),
        ffnNorm: UNWEIGHTED,
        ffn: gatedFfn(config, weights, shape, `${stem}.mlp`, { activation: "silu" }),
      }),
    });
  },
  gguf: [
    {
      architecture: "olmo",
      config: (metadata, tensors) => ({
        ...ggufConfig(metadata, tensors),
        clip_qkv: metadata.has("{}.attention.clamp_kqv") ? metadata.number("{}.attention.clamp_kqv") : null,
      }),
      names: LLAMA_NAMES,
      permuted: true,
    },
  ],
};
