/** One blob of a hub repository: fetched, resumed where the connection was cut, checked, and put in place in one step. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ModelFileError } from "./errors";

export interface RepositoryFile {
  /** Path in the repository. */
  readonly path: string;
  /** Its name in the cache and its checksum: sha256 of files in LFS (64 digits), git's blob sha1 of others (40). */
  readonly etag: string;
  readonly size: number;
  readonly url: string;
}

export interface BlobOptions {
  readonly fetch: typeof fetch;
  readonly signal?: AbortSignal;
  /** Bytes that are newly there; negative where a part had to be thrown away. */
  readonly onBytes: (bytes: number) => void;
  /** The sentence for an answer that is not the file. */
  readonly refuse: (response: Response) => Error;
  /** The error for a server that cannot be reached. */
  readonly unreachable: (reason: string) => Error;
  /** The hub, for messages. */
  readonly from: string;
}

/** Attempts in a row that bring not one byte before we give up. */
const FRUITLESS = 5;
/** A connection that is silent for so long is taken for cut. */
const SILENCE_MS = 60_000;

/**
 * Downloads a blob to `target`. While it comes it lies beside it as `ETAG.PID.incomplete`; what an earlier attempt of a process
 * that has ended left there is taken over by renaming, which only one process can do, and goes on where it ended.
 */
export async function downloadBlob(blob: RepositoryFile, target: string, options: BlobOptions): Promise<void> {
  const part = `${target}.${process.pid}-${++serial}.incomplete`;
  let resumed = await takeOver(target, part);
  try {
    for (;;) {
      await fill(blob, part, options);
      const sum = await checksum(part, blob, options.signal);
      if (sum === blob.etag) break;
      await rm(part, { force: true });
      options.onBytes(-blob.size);
      // The remains of an earlier attempt may have been another file's; what came in one piece from the hub is what it is.
      if (!resumed) {
        throw new ModelFileError(
          `"${blob.path}" from ${options.from} is not what it should be (checksum ${sum.slice(0, 12)}… instead of ${blob.etag.slice(0, 12)}…); it was thrown away. Try again, or look for a proxy that changes downloads.`,
        );
      }
      resumed = false;
    }
    await rename(part, target);
  } catch (error) {
    // What is there already is kept for the next attempt, under the name that every tool looks for.
    await rename(part, `${target}.incomplete`).catch(() => undefined);
    options.signal?.throwIfAborted();
    if ((error as NodeJS.ErrnoException).code === "ENOSPC") {
      throw new ModelFileError(`The disk of ${dirname(target)} is full: "${blob.path}" has ${Math.ceil(blob.size / 1e6)} MB; make room, or set HF_HUB_CACHE to a folder on another disk.`);
    }
    throw error;
  }
}

let serial = 0;

/** Takes over the largest remains of a download that nobody works on. Returns whether there were any. */
async function takeOver(target: string, part: string): Promise<boolean> {
  const prefix = `${basename(target)}.`;
  const names = (await readdir(dirname(target)).catch(() => [])).filter((name) => name.startsWith(prefix) && name.endsWith(".incomplete"));
  const candidates: { path: string; size: number }[] = [];
  for (const name of names) {
    const pid = /\.(\d+)-\d+\.incomplete$/.exec(name)?.[1];
    if (pid !== undefined && isAlive(Number(pid))) continue;
    const path = join(dirname(target), name);
    const info = await stat(path).catch(() => undefined);
    if (info !== undefined) candidates.push({ path, size: info.size });
  }
  candidates.sort((a, b) => b.size - a.size);
  let taken = false;
  for (const { path } of candidates) {
    if (taken) await rm(path, { force: true });
    else taken = await rename(path, part).then(() => true, () => false);
  }
  return taken;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: there is such a process, of another user.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Requests the blob, from where the part ends, until the part is whole. */
async function fill(blob: RepositoryFile, part: string, options: BlobOptions): Promise<void> {
  const file = await open(part, "a+");
  try {
    let have = (await file.stat()).size;
    if (have > blob.size) {
      await file.truncate(0);
      have = 0;
    }
    options.onBytes(have);
    let fruitless = 0;
    while (have < blob.size) {
      options.signal?.throwIfAborted();
      const before = have;
      const silence = new AbortController();
      let timer = setTimeout(() => silence.abort(new Error("no data for a minute")), SILENCE_MS);
      try {
        const response = await options.fetch(blob.url, {
          // Compressed answers would make bytes of the file and bytes of the way differ.
          headers: { "accept-encoding": "identity", ...(have > 0 && { range: `bytes=${have}-` }) },
          signal: silence.signal,
        });
        if (response.status === 416 || (response.status === 200 && have > 0)) {
          // The server cannot go on from there: from the start then.
          await file.truncate(0);
          options.onBytes(-have);
          have = 0;
          if (response.status === 416) {
            await response.body?.cancel();
            fruitless++;
            if (fruitless >= FRUITLESS) throw new ModelFileError(`${options.from} refuses every range of "${blob.path}".`);
            continue;
          }
        } else if (response.status >= 500) {
          await response.body?.cancel();
          throw new Error(`status ${response.status}`);
        } else if (!response.ok) {
          throw Refused.because(options.refuse(response));
        }
        if (response.body !== null) {
          for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
            clearTimeout(timer);
            timer = setTimeout(() => silence.abort(new Error("no data for a minute")), SILENCE_MS);
            const rest = chunk.subarray(0, blob.size - have);
            await file.appendFile(rest);
            have += rest.length;
            options.onBytes(rest.length);
            if (have === blob.size) break;
          }
        }
      } catch (error) {
        options.signal?.throwIfAborted();
        if (error instanceof Refused) throw error.reason;
        if (error instanceof ModelFileError || (error as NodeJS.ErrnoException).code === "ENOSPC") throw error;
        fruitless = have > before ? 0 : fruitless + 1;
        if (fruitless >= FRUITLESS) throw options.unreachable(reasonOf(error));
        await sleep(pause(fruitless), undefined, { signal: options.signal }).catch(() => undefined);
        continue;
      } finally {
        clearTimeout(timer);
      }
      // Ended early without an error: a cut connection too.
      fruitless = have > before ? 0 : fruitless + 1;
      if (have < blob.size && fruitless >= FRUITLESS) throw options.unreachable("the connection is cut again and again");
      if (have < blob.size) await sleep(pause(fruitless), undefined, { signal: options.signal }).catch(() => undefined);
    }
  } finally {
    await file.close();
  }
}

/** An answer that no further attempt would change. */
class Refused extends Error {
  private constructor(readonly reason: Error) {
    super(reason.message);
  }
  static because(reason: Error): Refused {
    return new Refused(reason);
  }
}

/** Milliseconds before the next attempt. */
function pause(fruitless: number): number {
  return Math.min(8000, 250 * 2 ** fruitless);
}

async function checksum(path: string, blob: RepositoryFile, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash(blob.etag.length === 64 ? "sha256" : "sha1");
  if (blob.etag.length !== 64) hash.update(`blob ${blob.size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** Runs a request again where the network failed; after that `unreachable` tells why. Other errors pass. */
export async function reachable<T>(request: () => Promise<T>, signal: AbortSignal | undefined, unreachable: (reason: string) => Error): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await request();
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof ModelFileError || !isNetwork(error)) throw error;
      if (attempt === 3) throw unreachable(reasonOf(error));
      await sleep(pause(attempt), undefined, { signal }).catch(() => undefined);
    }
  }
}

/** `fetch` rejects with a TypeError for everything between us and an answer. */
function isNetwork(error: unknown): boolean {
  // By name: errors of `fetch` can come from another realm.
  const { name, cause } = error as { readonly name?: string; readonly cause?: NodeJS.ErrnoException };
  return error instanceof ServerTrouble || name === "TypeError" || name === "TimeoutError" || cause?.code !== undefined;
}

/** An answer with status 500 and up: as good as none. */
export class ServerTrouble extends Error {}

function reasonOf(error: unknown): string {
  const cause = (error as { cause?: NodeJS.ErrnoException }).cause;
  switch (cause?.code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "its name is not known here";
    case "ECONNREFUSED":
      return "the connection was refused";
    case "ECONNRESET":
    case "UND_ERR_SOCKET":
      return "the connection was cut";
    case "UND_ERR_CONNECT_TIMEOUT":
    case "ETIMEDOUT":
      return "no answer in time";
    default:
      return cause?.message ?? (error as Error).message ?? String(error);
  }
}
