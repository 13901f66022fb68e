/** The registry of model families. A new family is one file and one line here: docs/adding-a-family.md. */
import { activation } from "../activation";
import type { Config } from "../config";
import { ModelFileError, list } from "../errors";
import { checkRopeType } from "../rope";
import type { Family, GgufMapping } from "./family";
import { arcee } from "./arcee";
import { bloom } from "./bloom";
import { cohere } from "./cohere";
import { cohere2 } from "./cohere2";
import { exaone4 } from "./exaone4";
import { falcon } from "./falcon";
import { gemma } from "./gemma";
import { gemma2 } from "./gemma2";
import { gemma3 } from "./gemma3";
import { glm4 } from "./glm4";
import { gptBigcode } from "./gpt-bigcode";
import { gptNeo } from "./gpt-neo";
import { gptNeox } from "./gpt-neox";
import { gpt2 } from "./gpt2";
import { gptj } from "./gptj";
import { granite } from "./granite";
import { llama } from "./llama";
import { mistral } from "./mistral";
import { mpt } from "./mpt";
import { nemotron } from "./nemotron";
import { olmo } from "./olmo";
import { olmo2 } from "./olmo2";
import { olmo3 } from "./olmo3";
import { opt } from "./opt";
import { phi } from "./phi";
import { phi3 } from "./phi3";
import { qwen2 } from "./qwen2";
import { qwen3 } from "./qwen3";
import { seedOss } from "./seed-oss";
import { smollm3 } from "./smollm3";
import { stablelm } from "./stablelm";
import { starcoder2 } from "./starcoder2";

export const FAMILIES: readonly Family[] = [
  arcee,
  bloom,
  cohere,
  cohere2,
  exaone4,
  falcon,
  gemma,
  gemma2,
  gemma3,
  glm4,
  gptBigcode,
  gptNeo,
  gptNeox,
  gpt2,
  gptj,
  granite,
  llama,
  mistral,
  mpt,
  nemotron,
  olmo,
  olmo2,
  olmo3,
  opt,
  phi,
  phi3,
  qwen2,
  qwen3,
  seedOss,
  smollm3,
  stablelm,
  starcoder2,
];

/** `model_type` of every config that can be read. */
export function modelTypes(): string[] {
  return FAMILIES.flatMap((family) => family.modelTypes).sort();
}

/** `general.architecture` of every GGUF file that can be read. */
export function ggufArchitectures(): string[] {
  return FAMILIES.flatMap((family) => family.gguf ?? [])
    .map((mapping) => mapping.architecture)
    .sort();
}

/**
 * The family of a hub config. Refuses an unknown model type, quantisation, rope type or activation by name, so that
 * nothing large is read before. Throws `ModelFileError`.
 */
export function familyOf(config: Config): Family {
  if (!config.has("model_type")) {
    throw new ModelFileError(`${config.origin} has no "model_type"; supported are ${list(modelTypes())}.`);
  }
  const type = config.string("model_type");
  const family = FAMILIES.find((candidate) => candidate.modelTypes.includes(type));
  if (family === undefined) {
    const same = typeOfClass(config);
    if (same !== undefined)
      throw new ModelFileError(
        `${config.origin}: model type "${type}" is not supported, but its class ${same.name} is that of "${same.type}": if the model is one of those under another name, write "model_type": "${same.type}" there.`,
      );
    throw new ModelFileError(`${config.origin}: model type "${type}" is not supported; ${list(modelTypes())} are.`);
  }
  checkQuantization(config);
  // A model around a language model (Gemma 3 with vision) has the settings of its text part in a section.
  for (const part of [config, config.section("text_config")]) {
    if (part === undefined) continue;
    checkCausal(part);
    checkRopeType(part, family.ropeAliases);
    for (const key of ["hidden_act", "hidden_activation", "activation_function", ...(family.activationKeys ?? [])]) {
      if (part.has(key)) activation(part, [key], "");
    }
  }
  family.check?.(config);
  return family;
}

/** The supported model type of the class that a config names, where it is one of transformers'. */
function typeOfClass(config: Config): { readonly name: string; readonly type: string } | undefined {
  const classes = config.raw("architectures");
  for (const name of Array.isArray(classes) ? (classes as unknown[]) : []) {
    if (typeof name !== "string") continue;
    const stem = name.replace(/(ForCausalLM|LMHeadModel|ForConditionalGeneration|Model)$/, "").toLowerCase();
    const type = modelTypes().find((candidate) => candidate.replaceAll("_", "") === stem);
    if (type !== undefined) return { name, type };
  }
  return undefined;
}

/** The family of a GGUF file, and how the file carries it. Throws `ModelFileError`. */
export function familyOfGguf(
  origin: string,
  architecture: string,
): { readonly family: Family; readonly mapping: GgufMapping } {
  for (const family of FAMILIES) {
    const mapping = family.gguf?.find((candidate) => candidate.architecture === architecture);
    if (mapping !== undefined) return { family, mapping };
  }
  throw new ModelFileError(
    `${origin}: GGUF architecture "${architecture}" is not supported; ${list(ggufArchitectures())} are.`,
  );
}

/** Models that were turned into encoders of text (EmbeddingGemma) look at later tokens too. */
function checkCausal(config: Config): void {
  const key =
    config.raw("use_bidirectional_attention") !== undefined && config.raw("use_bidirectional_attention") !== false
      ? "use_bidirectional_attention"
      : config.raw("is_causal") === false
        ? "is_causal"
        : undefined;
  if (key === undefined) return;
  throw new ModelFileError(
    `${config.origin}: attention to later tokens ("${key}": ${JSON.stringify(config.raw(key))}) is not supported; decoder-only models, in which a token sees those before it, are.`,
  );
}

function checkQuantization(config: Config): void {
  const section = config.section("quantization_config") ?? config.section("compression_config");
  if (section === undefined) return;
  const method = section.string("quant_method", "unnamed");
  throw new ModelFileError(
    `${config.origin}: weights quantised by "${method}" are not supported; unquantised safetensors (float32, float16, bfloat16) and GGUF files (any type but NVFP4) are.`,
  );
}
