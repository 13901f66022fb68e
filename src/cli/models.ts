import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { DEFAULT_MODEL, defaultModel, modelCache } from "../model/default-model";
import { endpoint, fetchFromHub, hubCache, parseHubName } from "../model/hub";
import { parseOptions, parseOptionsAndFiles, UsageError, type Command } from "./command";

/** `lm-transparency pull`. */
export const pull: Command = {
  name: "pull",
  summary: "download a model ahead of time",
  usage: `lm-transparency pull [MODEL] [--revision R] [--cache-dir DIR]

Downloads the default model, or one from the hub (owner/name, owner/name@revision, owner/name:Q4_K_M), into the cache that
loadModel() looks in, and prints where it lies. What is there already is not downloaded again.

  --revision R         branch, tag or commit of a hub repository
  --cache-dir DIR      folder instead of the standard cache; give the same to loadModel()

The default model lies in LM_TRANSPARENCY_CACHE, or lm-transparency/models in XDG_CACHE_HOME or ~/.cache; those of the hub where
Hugging Face's own programs look (HF_HUB_CACHE, HF_HOME).`,
  async run(args, context) {
    const { values, files } = parseOptionsAndFiles(args, {
      revision: { type: "string" },
      "cache-dir": { type: "string" },
    });
    if (files.length > 1) throw new UsageError(`one model at a time, not ${files.length}`);
    const [source = "default"] = files;
    const options = { cacheDir: values["cache-dir"], signal: context.signal, onProgress: context.progress };
    if (source === "default") {
      if (values.revision !== undefined) throw new UsageError("--revision is for models of the hub");
      await context.write(`${await defaultModel(options)}\n`);
      return;
    }
    const name = parseHubName(source, endpoint());
    if (name === undefined)
      throw new UsageError(
        `${JSON.stringify(source)} is no model of the hub: those are named owner/name, owner/name@revision or owner/name:Q4_K_M`,
      );
    const { folder, layout } = await fetchFromHub(name, { ...options, revision: values.revision });
    await context.write(`${layout.kind === "gguf" ? join(folder, layout.file) : folder}\n`);
  },
};

/** A model in a cache. */
interface CachedModel {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

/** `lm-transparency models`. */
export const models: Command = {
  name: "models",
  summary: "which models are in the caches",
  usage: `lm-transparency models [--cache-dir DIR] [--json]

Lists the models that need no download: name as loadModel() takes it, size, place.

  --cache-dir DIR      look there instead of in the standard caches
  --json               as JSON, for programs`,
  endsAtOnce: true,
  async run(args, context) {
    const values = parseOptions(args, { "cache-dir": { type: "string" }, json: { type: "boolean" } });
    const cacheDir = values["cache-dir"];
    const found = [...(await ownModels(cacheDir ?? modelCache())), ...(await hubModels(cacheDir ?? hubCache()))];
    if (values.json) {
      await context.write(`${JSON.stringify({ schema: "lm-transparency/models@1", models: found })}\n`);
      return;
    }
    const width = Math.max(0, ...found.map(({ name }) => name.length));
    for (const { name, bytes, path } of found)
      await context.write(`${name.padEnd(width)}  ${`${Math.ceil(bytes / 1e6)} MB`.padStart(9)}  ${path}\n`);
    if (found.length === 0)
      await context.write(
        `No model is in ${cacheDir ?? `${modelCache()} or ${hubCache()}`}: "lm-transparency pull" gets one.\n`,
      );
  },
};

async function ownModels(folder: string): Promise<CachedModel[]> {
  const path = join(folder, DEFAULT_MODEL.file.name);
  const info = await stat(path).catch(() => undefined);
  return info?.size === DEFAULT_MODEL.file.bytes ? [{ name: "default", path, bytes: info.size }] : [];
}

/** Repositories of models with a snapshot, as Hugging Face lays them out. Links share a blob: each counts once. */
async function hubModels(folder: string): Promise<CachedModel[]> {
  const found: CachedModel[] = [];
  for (const entry of (await readdir(folder).catch(() => [])).sort()) {
    if (!entry.startsWith("models--")) continue;
    const path = join(folder, entry);
    let bytes = 0;
    const seen = new Set<number>();
    const snapshots = await readdir(join(path, "snapshots"), { recursive: true }).catch(() => []);
    for (const file of snapshots) {
      const info = await stat(join(path, "snapshots", file)).catch(() => undefined);
      if (info?.isFile() !== true || seen.has(info.ino)) continue;
      seen.add(info.ino);
      bytes += info.size;
    }
    if (bytes > 0) found.push({ name: entry.slice("models--".length).replaceAll("--", "/"), path, bytes });
  }
  return found;
}
