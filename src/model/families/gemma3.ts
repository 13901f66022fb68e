/** Gemma 3 (the text part of the models with vision too). */
import type { Family } from "./family";
import { GEMMA_NAMES, describeGemma, ggufGemma } from "./gemma2";
import { BARE_MODEL } from "./shared";

export const gemma3: Family = {
  name: "gemma3",
  // "gemma3" is the model with vision: its text part is read.
  modelTypes: ["gemma3_text", "gemma3"],
  prefixes: [
    ...BARE_MODEL,
    ["", "language_model."],
    ["model.", "model.language_model."],
    ["model.", "language_model."],
  ],
  describe: (config, weights) => describeGemma("gemma3", config.section("text_config") ?? config, weights),
  gguf: [
    {
      architecture: "gemma3",
      names: GEMMA_NAMES,
      config: (metadata, tensors) => {
        const config = ggufGemma(metadata, tensors, 62);
        return {
          ...config,
          rope_parameters: {
            full_attention: { rope_theta: 1000000, ...(config.rope_parameters as object) },
            sliding_attention: { rope_type: "default", rope_theta: metadata.number("{}.rope.freq_base_swa", 10000) },
          },
          final_logit_softcapping: metadata.has("{}.final_logit_softcapping")
            ? metadata.number("{}.final_logit_softcapping")
            : null,
        };
      },
    },
  ],
};
