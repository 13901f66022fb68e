/** A folder in the hub's layout: what is in it, and what is missing. */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { because, systemCode } from "../system/errors";
import { readFileBytes, readTextFile } from "../system/read";
import { Config } from "./config";
import { ModelFileError, list } from "./errors";
import type { Tokenizer } from "./files";
import { withoutParts } from "./gguf-parts";
import { parseJson } from "./json";
import { readSafetensors, readSafetensorsIndex, type WeightListing } from "./safetensors";
import { fileText } from "./text";
import { createTokenizer, noTokenizer, pairTokenizer } from "./tokenizer";

/** What a folder or repository holds, by the names of its files. */
export type Layout =
  | { readonly kind: "safetensors"; readonly file: string }
  | { readonly kind: "sharded"; readonly index: string }
  | { readonly kind: "gguf"; readonly file: string };

/**
 * GGUF files that are no model: projectors of images, vocabularies alone, LoRA adapters, matrices of importance (no
 * model made with one).
 */
const NO_MODEL = /mmproj|ggml-vocab|[-_.]lora([-_.]|$)|[-_.]adapter[-_.]|^(?!.*[-_.](I?Q\d|F16|BF16|F32)).*imatrix/i;

const INDEX = "model.safetensors.index.json";

/**
 * Finds the weights among the names of a folder's (or repository's) files. Throws a `ModelFileError` that says what to
 * do where there are none that can be opened. `where` names the folder in messages; `isModel` tells which GGUF files
 * are whole models, by their names where nothing else is known of them.
 */
export function layoutOf(
  where: string,
  names: Iterable<string>,
  isModel = (name: string): boolean => !NO_MODEL.test(name),
): Layout {
  const all = new Set(names);
  const ending = (suffix: string): string[] =>
    [...all].filter((name) => name.endsWith(suffix) && !name.includes("/")).sort();
  if (all.has("config.json")) {
    if (all.has("model.safetensors")) return { kind: "safetensors", file: "model.safetensors" };
    if (all.has(INDEX)) return { kind: "sharded", index: INDEX };
    const tensors = ending(".safetensors").filter((name) => !name.startsWith("adapter_"));
    if (tensors.length === 1) return { kind: "safetensors", file: tensors[0] };
    if (tensors.length > 1) {
      throw new ModelFileError(
        `${where} has ${tensors.length} .safetensors files (${list(tensors)}), but neither model.safetensors nor ${INDEX}, so it is unclear which belong together.`,
      );
    }
  }
  const named = ending(".gguf");
  const models = withoutParts(named).filter(isModel);
  const ggufs = models.length > 0 ? models : named.slice(0, 1);
  if (ggufs.length === 1) return { kind: "gguf", file: ggufs[0] };
  if (ggufs.length > 1)
    throw new ModelFileError(
      `${where} has ${ggufs.length} GGUF files: name one of ${list(ggufs, "or")}, as "${where}/${ggufs[0]}".`,
    );
  if (all.has("adapter_config.json") || all.has("adapter_model.safetensors")) {
    throw new ModelFileError(
      `${where} is a LoRA adapter, not a model: merge it into its base model (in Python, with peft: model.merge_and_unload().save_pretrained("merged")) and open the merged folder.`,
    );
  }
  const pickles = [...all]
    .filter((name) => /^(pytorch_model.*\.bin|consolidated.*\.pth|.*\.pt|.*\.ckpt)$/.test(name))
    .sort();
  if (pickles.length > 0) {
    throw new ModelFileError(
      `${where} has its weights only as ${pickles[0]}, a Python pickle, which can run any code when it is read and so is not opened: save the model as safetensors (in Python: AutoModelForCausalLM.from_pretrained(…).save_pretrained("folder")) and open that folder.`,
    );
  }
  const others = [...all]
    .filter((name) => /^(tf_model.*\.h5|flax_model.*\.msgpack|.*\.onnx|rust_model\.ot)$/.test(name))
    .sort();
  if (others.length > 0)
    throw new ModelFileError(
      `${where} has its weights only as ${others[0]}; .safetensors and .gguf files can be opened.`,
    );
  throw new ModelFileError(
    all.has("config.json")
      ? `${where} has a config.json, but no .safetensors or .gguf file with the weights.`
      : `${where} is no model: it has neither a config.json with .safetensors files nor a .gguf file.`,
  );
}

/** Names of the small files of a model that are read where they are there. */
export const SMALL_FILES = [
  "config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "generation_config.json",
  "chat_template.jinja",
  "chat_template.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "tokenizer.model",
] as const;

/** Names in a folder; symlinks count as what they lead to. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    throw new ModelFileError(`${folder} cannot be read: ${because(error)}.`);
  }
}

/** A folder of the hub's cache: `models--org--name`, with the versions of a model under `snapshots`. */
export interface CachedModel {
  /** org/name, where the folder is called so. */
  readonly name?: string;
  /** The version's folder. */
  readonly folder: string;
}

/**
 * The version to open of a folder of the hub's cache, or of its `snapshots`; undefined for any other folder. That is
 * `revision`, or what refs/main says, or the only version, or the newest. Throws `ModelFileError` where there is none.
 */
export async function cachedModel(folder: string, revision?: string): Promise<CachedModel | undefined> {
  if (basename(folder) === "snapshots" && CACHED.test(basename(dirname(folder))))
    return cachedModel(dirname(folder), revision);
  const names = new Set(await namesIn(folder));
  if (!names.has("snapshots") || names.has("config.json") || [...names].some((name) => name.endsWith(".gguf")))
    return undefined;
  const snapshots = join(folder, "snapshots");
  if (!(await isFolder(snapshots))) return undefined;
  const name = CACHED.test(basename(folder))
    ? basename(folder).slice("models--".length).replaceAll("--", "/")
    : undefined;
  const versions: { readonly path: string; readonly time: number }[] = [];
  for (const version of await namesIn(snapshots)) {
    const info = await stat(join(snapshots, version)).catch(() => undefined);
    if (info?.isDirectory()) versions.push({ path: join(snapshots, version), time: info.mtimeMs });
  }
  const wanted = revision ?? "main";
  // A name of a branch or tag may have slashes; it stays in this folder.
  const ref = wanted.split("/").some((part) => part === ".." || part === "" || /[\0\\]/.test(part))
    ? undefined
    : await readTextFile(join(folder, "refs", wanted), 4096).catch(() => undefined);
  const found =
    versions.find(({ path }) => basename(path) === ref?.trim()) ??
    versions.find(({ path }) => basename(path) === wanted);
  if (found !== undefined) return { name, folder: found.path };
  if (revision !== undefined)
    throw new ModelFileError(
      `${folder} has no version "${revision}"; it has ${versions.length === 0 ? "none" : list(versions.map(({ path }) => basename(path)))}.`,
    );
  if (versions.length === 0)
    throw new ModelFileError(
      `${folder} has no version of the model under snapshots: its download was not finished${name === undefined ? "" : `; load it by its name, "${name}"`}.`,
    );
  return { name, folder: versions.reduce((newest, version) => (version.time > newest.time ? version : newest)).path };
}

const CACHED = /^models--./;

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

/** A folder that holds folders of models and no model. Throws `ModelFileError` that names them. */
export function refuseCache(folder: string, names: readonly string[]): void {
  const models = names.filter((name) => CACHED.test(name));
  if (models.length === 0 || names.includes("config.json") || names.some((name) => name.endsWith(".gguf"))) return;
  const some = models.slice(0, 12);
  throw new ModelFileError(
    `${folder} is a cache of ${models.length} models, not one: name one of ${list(some, "or")}${some.length < models.length ? ", …" : ""}, as "${join(folder, some[0])}".`,
  );
}

export async function readConfig(folder: string): Promise<Config> {
  const path = join(folder, "config.json");
  const value = await readJson(path);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ModelFileError(`${path} is not a JSON object.`);
  return new Config(path, value as Record<string, unknown>);
}

export function listWeights(folder: string, layout: Layout): WeightListing {
  return layout.kind === "sharded"
    ? readSafetensorsIndex(folder, layout.index, new Map())
    : readSafetensors(join(folder, (layout as { file: string }).file));
}

/**
 * The tokenizer of a folder: tokenizer.json, or for GPT-2's kind of vocabularies vocab.json with merges.txt, which are
 * all that older repositories have. Where there is none, text is refused when it comes; token ids work.
 */
export async function readTokenizer(folder: string, modelType: string): Promise<Tokenizer> {
  const names = new Set(await namesIn(folder));
  const json = async (name: string): Promise<unknown> => (names.has(name) ? readJson(join(folder, name)) : {});
  const [config, specialTokens] = [await json("tokenizer_config.json"), await json("special_tokens_map.json")];
  if (names.has("tokenizer.json"))
    return createTokenizer(
      join(folder, "tokenizer.json"),
      await readJson(join(folder, "tokenizer.json")),
      config,
      specialTokens,
    );
  if (names.has("vocab.json") && names.has("merges.txt") && BYTE_LEVEL.has(modelType)) {
    return pairTokenizer(join(folder, "vocab.json"), {
      vocab: await readJson(join(folder, "vocab.json")),
      merges: await readText(join(folder, "merges.txt")),
      added: await json("added_tokens.json"),
      config,
      specialTokens,
    });
  }
  return noTokenizer(
    `${folder} has no tokenizer.json${names.has("tokenizer.model") ? ", only a tokenizer.model" : ""}, so that text cannot be read; give token ids, or make one (in Python: AutoTokenizer.from_pretrained(…).save_pretrained("folder")) and put it beside config.json.`,
  );
}

/** Model types whose vocab.json and merges.txt are GPT-2's byte-level BPE. */
const BYTE_LEVEL: ReadonlySet<string> = new Set(["gpt2", "opt", "gpt_neo", "gptj"]);

export async function readJson(path: string): Promise<unknown> {
  return parseJson(path, await readText(path));
}

/** The text of a model's small file. Throws `ModelFileError`. */
export async function readText(path: string): Promise<string> {
  const bytes = await readFileBytes(path, MAX_TEXT).catch((error: unknown) => {
    const { cause, message } = error as Error;
    throw new ModelFileError(systemCode(cause) === "ENOENT" ? `${path} is missing.` : message);
  });
  return fileText(path, bytes);
}

/** Bytes of a config or tokenizer; the largest in use have 40 MB. */
const MAX_TEXT = 256 << 20;
