/** A folder in the hub's layout: what is in it, and what is missing. */
import { readdir, readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { Config } from "./config";
import { ModelFileError, list } from "./errors";
import type { Tokenizer } from "./files";
import { parseJson, readSafetensors, readSafetensorsIndex, type WeightListing } from "./safetensors";
import { fileText } from "./text";
import { createTokenizer, noTokenizer, pairTokenizer } from "./tokenizer";

/** What a folder or repository holds, by the names of its files. */
export type Layout =
  | { readonly kind: "safetensors"; readonly file: string }
  | { readonly kind: "sharded"; readonly index: string }
  | { readonly kind: "gguf"; readonly file: string };

const INDEX = "model.safetensors.index.json";

/**
 * Finds the weights among the names of a folder's (or repository's) files. Throws a `ModelFileError` that says what to do
 * where there are none that can be opened. `where` names the folder in messages.
 */
export function layoutOf(where: string, names: Iterable<string>): Layout {
  const all = new Set(names);
  const ending = (suffix: string): string[] => [...all].filter((name) => name.endsWith(suffix) && !name.includes("/")).sort();
  if (all.has("config.json")) {
    if (all.has("model.safetensors")) return { kind: "safetensors", file: "model.safetensors" };
    if (all.has(INDEX)) return { kind: "sharded", index: INDEX };
    const tensors = ending(".safetensors").filter((name) => !name.startsWith("adapter_"));
    if (tensors.length === 1) return { kind: "safetensors", file: tensors[0] };
    if (tensors.length > 1) {
      throw new ModelFileError(`${where} has ${tensors.length} .safetensors files (${list(tensors)}), but neither model.safetensors nor ${INDEX}, so it is unclear which belong together.`);
    }
  }
  const ggufs = ending(".gguf");
  if (ggufs.length === 1) return { kind: "gguf", file: ggufs[0] };
  if (ggufs.length > 1) throw new ModelFileError(`${where} has ${ggufs.length} GGUF files: name one of ${list(ggufs, "or")}, as "${where}/${ggufs[0]}".`);
  if (all.has("adapter_config.json") || all.has("adapter_model.safetensors")) {
    throw new ModelFileError(`${where} is a LoRA adapter, not a model: merge it into its base model (in Python, with peft: model.merge_and_unload().save_pretrained("merged")) and open the merged folder.`);
  }
  const pickles = [...all].filter((name) => /^(pytorch_model.*\.bin|consolidated.*\.pth|.*\.pt|.*\.ckpt)$/.test(name)).sort();
  if (pickles.length > 0) {
    throw new ModelFileError(
      `${where} has its weights only as ${pickles[0]}, a Python pickle, which can run any code when it is read and so is not opened: save the model as safetensors (in Python: AutoModelForCausalLM.from_pretrained(…).save_pretrained("folder")) and open that folder.`,
    );
  }
  const others = [...all].filter((name) => /^(tf_model.*\.h5|flax_model.*\.msgpack|.*\.onnx|rust_model\.ot)$/.test(name)).sort();
  if (others.length > 0) throw new ModelFileError(`${where} has its weights only as ${others[0]}; .safetensors and .gguf files can be opened.`);
  throw new ModelFileError(all.has("config.json") ? `${where} has a config.json, but no .safetensors or .gguf file with the weights.` : `${where} is no model: it has neither a config.json with .safetensors files nor a .gguf file.`);
}

/** Names of the small files of a model that are read where they are there. */
export const SMALL_FILES = ["config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model"] as const;

/** Names in a folder; symlinks count as what they lead to. */
export async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).sort();
}

export async function readConfig(folder: string): Promise<Config> {
  const path = join(folder, "config.json");
  const value = await readJson(path);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new ModelFileError(`${path} is not a JSON object.`);
  return new Config(path, value as Record<string, unknown>);
}

export async function listWeights(folder: string, layout: Layout): Promise<WeightListing> {
  const real = await realpath(folder);
  return layout.kind === "sharded" ? readSafetensorsIndex(real, layout.index) : readSafetensors(join(real, (layout as { file: string }).file));
}

/**
 * The tokenizer of a folder: tokenizer.json, or for GPT-2's kind of vocabularies vocab.json with merges.txt, which are all that
 * older repositories have. Where there is none, text is refused when it comes; token ids work.
 */
export async function readTokenizer(folder: string, modelType: string): Promise<Tokenizer> {
  const names = new Set(await namesIn(folder));
  const json = async (name: string): Promise<unknown> => (names.has(name) ? readJson(join(folder, name)) : {});
  const [config, specialTokens] = [await json("tokenizer_config.json"), await json("special_tokens_map.json")];
  if (names.has("tokenizer.json")) return createTokenizer(join(folder, "tokenizer.json"), await readJson(join(folder, "tokenizer.json")), config, specialTokens);
  if (names.has("vocab.json") && names.has("merges.txt") && BYTE_LEVEL.has(modelType)) {
    return pairTokenizer(join(folder, "vocab.json"), { vocab: await readJson(join(folder, "vocab.json")), merges: await readText(join(folder, "merges.txt")), added: await json("added_tokens.json"), config, specialTokens });
  }
  return noTokenizer(
    `${folder} has no tokenizer.json${names.has("tokenizer.model") ? ", only a tokenizer.model" : ""}, so that text cannot be read; give token ids, or make one (in Python: AutoTokenizer.from_pretrained(…).save_pretrained("folder")) and put it beside config.json.`,
  );
}

/** Model types whose vocab.json and merges.txt are GPT-2's byte-level BPE. */
const BYTE_LEVEL: ReadonlySet<string> = new Set(["gpt2", "opt", "gpt_neo", "gptj"]);

async function readText(path: string): Promise<string> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new ModelFileError(error.code === "ENOENT" ? `${path} is missing.` : `${path} cannot be read: ${error.message}.`);
  });
  return fileText(path, bytes);
}

async function readJson(path: string): Promise<unknown> {
  return parseJson(path, await readText(path));
}
