/** OPT (125m … 66b). The 350m model is another architecture (norms behind the blocks, projected embeddings). */
import type { Norm } from "../architecture";
import { ModelFileError } from "../errors";
import type { Family } from "./family";
import { attention, checkShape, decoder, headDim, plainFfn } from "./shared";

/** Rows before the first position in the table of learned positions. */
const POSITION_OFFSET = 2;

export const opt: Family = {
  name: "opt",
  modelTypes: ["opt"],
  prefixes: [["model.", ""]],
  check(config) {
    const projected =
      config.has("word_embed_proj_dim") && config.count("word_embed_proj_dim") !== config.count("hidden_size");
    if (!config.flag("do_layer_norm_before", true) || projected) {
      throw new ModelFileError(
        `${config.origin}: this is the OPT-350m variant (norms after each block, projected embeddings), which is not supported; OPT 125m, 1.3b, 2.7b, 6.7b, 13b, 30b and 66b are.`,
      );
    }
  },
  describe(config, weights) {
    const dModel = config.count("hidden_size");
    const nHeads = config.count("num_attention_heads");
    const shape = checkShape(config, weights, {
      nLayers: config.count("num_hidden_layers"),
      nHeads,
      nKeyValueHeads: nHeads,
      dModel,
      dHead: headDim(config, dModel, nHeads),
      dFfn: config.count("ffn_dim"),
      dVocab: config.count("vocab_size"),
      maxPositions: config.count("max_position_embeddings", 2048),
    });
    const bias = config.flag("enable_bias", true);
    const learned = config.flag("layer_norm_elementwise_affine", true);
    const norm = (stem: string): Norm =>
      learned ? weights.layerNorm(stem, dModel, 1e-5) : { kind: "layernorm", epsilon: 1e-5 };
    return decoder(weights, shape, {
      family: "opt",
      tied: config.flag("tie_word_embeddings", true),
      names: { embedding: "model.decoder.embed_tokens", layers: "model.decoder.layers" },
      embedding: {
        position: {
          weight: weights.tensor("model.decoder.embed_positions.weight", [
            shape.maxPositions + POSITION_OFFSET,
            dModel,
          ]),
          offset: POSITION_OFFSET,
        },
      },
      finalNorm: config.flag("_remove_final_layer_norm", false) ? undefined : norm("model.decoder.final_layer_norm"),
      layer: (stem) => ({
        block: "sequential",
        attentionNorm: norm(`${stem}.self_attn_layer_norm`),
        attention: attention(weights, shape, `${stem}.self_attn`, { bias, outputBias: bias, output: "out_proj" }),
        ffnNorm: norm(`${stem}.final_layer_norm`),
        ffn: plainFfn(config, weights, shape, `${stem}.fc1`, `${stem}.fc2`, {
          activation: "relu",
          activationKeys: ["activation_function"],
          bias,
        }),
      }),
    });
  },
};
