/** GPT-Neo: unscaled attention, every second layer local. */
import type { Config } from "../config";
import { quoted } from "../../system/errors";
import { ModelFileError } from "../errors";
import type { Family } from "./family";
import { BARE_TRANSFORMER, attention, checkShape, decoder, headDim, plainFfn } from "./shared";

/** "global" or "local" of each layer: listed, or as [[kinds, repetitions], …]. */
function attentionKinds(config: Config, nLayers: number): string[] {
  let kinds: string[];
  if (config.has("attention_layers")) {
    kinds = config.strings("attention_layers");
  } else {
    const types = config.raw("attention_types") ?? [[["global", "local"], nLayers / 2]];
    kinds = [];
    for (const item of Array.isArray(types) ? (types as unknown[]) : []) {
      const [names, times] = Array.isArray(item) ? (item as unknown[]) : [];
      if (!Array.isArray(names) || typeof times !== "number") continue;
      // One more than there are layers is too many, whatever follows.
      for (let n = 1; n <= times && names.length > 0 && kinds.length <= nLayers; n++) {
        for (const name of names.slice(0, nLayers + 1 - kinds.length)) kinds.push(String(name));
      }
    }
  }
  const unknown = kinds.find((kind) => kind !== "global" && kind !== "local");
  if (unknown !== undefined)
    throw new ModelFileError(
      `${config.origin}: attention type ${quoted(unknown)} is not supported; global and local are.`,
    );
  if (kinds.length !== nLayers)
    throw new ModelFileError(`${config.origin}: "attention_types" describe ${kinds.length} layers of ${nLayers}.`);
  return kinds;
}

export const gptNeo: Family = {
  name: "gpt_neo",
  modelTypes: ["gpt_neo"],
  prefixes: BARE_TRANSFORMER,
  describe(config, weights) {
    const dModel = config.count("hidden_size");
    const nHeads = config.count("num_heads", config.count("num_attention_heads", 16));
    const nLayers = config.count("num_layers", config.count("num_hidden_layers", 24));
    const shape = checkShape(config, weights, {
      nLayers,
      nHeads,
      nKeyValueHeads: nHeads,
      dModel,
      dHead: headDim(config, dModel, nHeads),
      dFfn: config.count("intermediate_size", 4 * dModel),
      dVocab: config.count("vocab_size"),
      maxPositions: config.count("max_position_embeddings", 2048),
    });
    const epsilon = config.number("layer_norm_epsilon", 1e-5);
    const kinds = attentionKinds(config, nLayers);
    const window = config.count("window_size", 256);
    return decoder(weights, shape, {
      family: "gpt_neo",
      tied: config.flag("tie_word_embeddings", true),
      names: { embedding: "transformer.wte", layers: "transformer.h" },
      embedding: {
        position: { weight: weights.tensor("transformer.wpe.weight", [shape.maxPositions, dModel]), offset: 0 },
      },
      finalNorm: weights.layerNorm("transformer.ln_f", dModel, epsilon),
      layer: (stem, index) => ({
        block: "sequential",
        attentionNorm: weights.layerNorm(`${stem}.ln_1`, dModel, epsilon),
        attention: attention(weights, shape, `${stem}.attn.attention`, {
          outputBias: true,
          scale: 1,
          window: kinds[index] === "local" ? window : undefined,
          output: "out_proj",
        }),
        ffnNorm: weights.layerNorm(`${stem}.ln_2`, dModel, epsilon),
        ffn: plainFfn(config, weights, shape, `${stem}.mlp.c_fc`, `${stem}.mlp.c_proj`, {
          activation: "gelu_new",
          activationKeys: ["activation_function"],
        }),
      }),
    });
  },
};
