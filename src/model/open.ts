import type { Stats } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, isAbsolute, join, resolve } from "node:path";
import { because, systemCode } from "../system/errors";
import type { ChatFormat } from "./chat";
import { folderChat, ggufChat } from "./chat-files";
import { Config } from "./config";
import { DEFAULT_MODEL, defaultModel } from "./default-model";
import { ModelFileError } from "./errors";
import type { Architecture } from "./architecture";
import { familyOf, familyOfGguf } from "./families";
import type { ModelFiles, Tokenizer } from "./files";
import { cachedModel, layoutOf, listWeights, namesIn, readConfig, readTokenizer, refuseCache } from "./folder";
import { ggufName, readGguf } from "./gguf";
import { outlineOfGguf } from "./gguf-limits";
import { partsOf, withoutParts } from "./gguf-parts";
import { ggufTokenizer, knowsTokenizer } from "./gguf-tokenizer";
import { endpoint, fetchFromHub, parseHubName } from "./hub";
import { shown } from "./hub-names";
import type { ProgressListener } from "./types";
import { WeightMap } from "./weight-map";
import { createWeightSource } from "./weight-source";

export interface OpenOptions {
  /** Branch, tag or commit of a hub repository. */
  readonly revision?: string;
  /** Folder for downloads instead of the standard cache. */
  readonly cacheDir?: string;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/**
 * Opens a model's files: a folder in the hub's layout, a `.gguf` file, "default" (`default-model.ts`), or a name on the
 * hub (`gpt2`, `org/name`, `org/name@revision`, `org/name/file.gguf`, `org/name:Q4_K_M`, the address of its page). What
 * lies at a path of that name goes first. Only headers, config and tokenizer are read; weights are read as they are
 * needed. Rejects with a `ModelFileError` whose message is one sentence.
 */
export async function openModel(source = "default", options: OpenOptions = {}): Promise<ModelFiles> {
  options.signal?.throwIfAborted();
  if (source === "default") return openGguf(await defaultModel(options), DEFAULT_MODEL.name);
  const path = resolve(source);
  const info = source.trim() === "" ? undefined : await statOf(source, path);
  if (info?.isDirectory()) {
    const cached = await cachedModel(path, options.revision);
    return cached === undefined ? openFolder(path) : openFolder(cached.folder, cached.name ?? basename(path));
  }
  if (info?.isFile()) {
    if (path.endsWith(".safetensors"))
      throw new ModelFileError(
        `${source} holds weights alone; open the folder that has its config.json and tokenizer.json.`,
      );
    return openGguf(path);
  }
  if (info !== undefined)
    throw new ModelFileError(`${source} is no plain file; a model is named by a folder or a .gguf file.`);
  const name = isPath(source) ? undefined : parseHubName(source, endpoint());
  if (name === undefined)
    throw new ModelFileError(
      `There is no folder or file "${shown(source)}"; a model is named by a folder, a .gguf file, or its name on the hub (gpt2, org/name, org/name@revision, org/name:Q4_K_M).`,
    );
  const { folder, layout } = await fetchFromHub(name, options);
  return layout.kind === "gguf" ? openGguf(join(folder, layout.file), name.id) : openFolder(folder, name.id);
}

/**
 * What lies at a path; undefined where nothing does. What cannot be looked at is refused, where it is written like a
 * path.
 */
async function statOf(source: string, path: string): Promise<Stats | undefined> {
  return stat(path).catch((error: unknown) => {
    const code = systemCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new ModelFileError(`${source} cannot be opened: ${because(error)}.`);
  });
}

/** What is written like a path is none of the hub's names, even where nothing lies there. */
function isPath(source: string): boolean {
  return source.startsWith(".") || source.startsWith("~") || isAbsolute(source) || source.includes("\\");
}

/** Opens a GGUF file: config, vocabulary and weights in one. */
export async function openGguf(path: string, name?: string): Promise<ModelFiles> {
  const { metadata, listing } = await readGguf(path, (found) => familyOfGguf(path, found.architecture));
  const { family, mapping } = familyOfGguf(path, metadata.architecture);
  const tensors = new Map(listing.entries.map((entry) => [entry.name, entry]));
  const embedding = tensors.get("token_embd.weight");
  if (embedding === undefined)
    throw new ModelFileError(`${path} has no tensor "token_embd.weight", so it holds no whole model.`);
  const config = new Config(path, { ...mapping.config(metadata, tensors), vocab_size: embedding.dims[0] });
  family.check?.(config);
  const weights = new WeightMap(listing, {
    origin: path,
    gguf: { names: mapping.names, permuted: mapping.permuted ?? false },
  });
  const architecture = family.describe(config, weights);
  const tokenizer = ggufTokenizer(metadata);
  return assemble(name ?? ggufName(path, metadata), architecture, weights, tokenizer, ggufChat(metadata));
}

/** Opens a folder in the hub's layout: config.json, safetensors, tokenizer.json; or one with a single GGUF file. */
export async function openFolder(folder: string, name = basename(folder)): Promise<ModelFiles> {
  const names = await namesIn(folder);
  refuseCache(folder, names);
  const layout = layoutOf(folder, withoutOthers(folder, names), () => true);
  if (layout.kind === "gguf") return openGguf(join(folder, layout.file), name);
  const config = await readConfig(folder);
  const family = familyOf(config);
  const listing = listWeights(folder, layout);
  const unmerged = listing.entries.find(({ name }) => /(^|\.)lora_(A|B|embedding_A|embedding_B)(\.|$)/.test(name));
  if (unmerged !== undefined) {
    throw new ModelFileError(
      `${folder} has a LoRA adapter that is not merged (tensor "${unmerged.name}"): merge it (in Python, with peft: model.merge_and_unload().save_pretrained("merged")) and open the merged folder.`,
    );
  }
  const weights = new WeightMap(listing, { origin: folder, prefixes: family.prefixes });
  const architecture = family.describe(config, weights);
  const tokenizer = await readTokenizer(folder, config.string("model_type"));
  return assemble(name, architecture, weights, tokenizer, await folderChat(folder));
}

/**
 * The names without those GGUF files, of several, that hold no whole model of a supported architecture, as their
 * headers say.
 */
function withoutOthers(folder: string, names: readonly string[]): readonly string[] {
  const ggufs = names.filter((name) => name.endsWith(".gguf"));
  if (ggufs.length < 2) return names;
  const models = withoutParts(ggufs).filter((name) => {
    try {
      const { values, whole } = outlineOfGguf(join(folder, name));
      const [type, parts, architecture] = ["general.type", "split.count", "general.architecture"].map((key) =>
        values.get(key),
      );
      // The first part of a split model may have no tensors.
      return (
        (Number(parts ?? 1) <= 1 ? whole : partsOf(name)?.length === parts) &&
        (type ?? "model") === "model" &&
        familyOfGguf(name, String(architecture)) !== undefined &&
        knowsTokenizer(values.get("tokenizer.ggml.model"), values.get("tokenizer.ggml.pre"))
      );
    } catch {
      return false;
    }
  });
  // Where none can be opened, the first says why.
  const kept = new Set(models.length > 0 ? models : ggufs.slice(0, 1));
  const parts = new Set([...kept].flatMap((name) => partsOf(name) ?? []));
  return names.filter((name) => !name.endsWith(".gguf") || kept.has(name) || parts.has(name));
}

function assemble(
  name: string,
  architecture: Architecture,
  weights: WeightMap,
  tokenizer: Tokenizer,
  chat: ChatFormat,
): ModelFiles {
  const { entries, scalars } = weights.summary();
  return {
    name,
    architecture,
    weights: createWeightSource(entries),
    tokenizer,
    nParams: scalars,
    storedType: storedTypeOf(entries),
    chat,
  };
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
  F64: "float64",
};

/** What most scalars are stored in. */
function storedTypeOf(entries: readonly { readonly type: string; readonly dims: readonly number[] }[]): string {
  const scalars = new Map<string, number>();
  for (const { type, dims } of entries)
    scalars.set(type, (scalars.get(type) ?? 0) + dims.reduce((product, dim) => product * dim, 1));
  const [type] = [...scalars].reduce((best, item) => (item[1] > best[1] ? item : best), ["F32", -1]);
  return TYPE_NAMES[type] ?? type.toLowerCase();
}
