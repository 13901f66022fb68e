/**
 * One blob of a hub repository: fetched, resumed where the connection was cut, checked, and put in place in one step.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { threadId } from "node:worker_threads";
import { ModelFileError } from "./errors";
import {
  ServerTrouble,
  Stalled,
  Unavailable,
  isWebPage,
  pause,
  reasonOf,
  retryAfter,
  webPage,
  type HubRequests,
} from "./hub-requests";

export interface RepositoryFile {
  /** Path in the repository. */
  readonly path: string;
  /** Its name in the cache and its checksum: sha256 of files in LFS (64 digits), git's blob sha1 of others (40). */
  readonly etag: string;
  readonly size: number;
  readonly url: string;
}

export interface BlobOptions {
  readonly requests: HubRequests;
  readonly signal?: AbortSignal;
  /** Bytes that are newly there; negative where a part had to be thrown away. */
  readonly onBytes: (bytes: number) => void;
  /** The sentence for an answer that is not the file. */
  readonly refuse: (response: Response) => Error;
}

/** Attempts in a row that bring next to nothing before we give up; one that waited in vain counts twice. */
const FRUITLESS = 5;
/** Bytes that make an attempt one that brought something. */
const FRUIT = 1024;

/**
 * Downloads a blob to `target`. While it comes it lies beside it as `ETAG.PID-N.incomplete`; what an earlier attempt of
 * a process that has ended left there is taken over by renaming, which only one process can do, and goes on where it
 * ended.
 */
export async function downloadBlob(blob: RepositoryFile, target: string, options: BlobOptions): Promise<void> {
  const part = temporary(target);
  let resumed = await takeOver(target, part);
  try {
    for (;;) {
      await fill(blob, part, options);
      const sum = await checksum(part, blob, options.signal);
      if (sum === blob.etag) break;
      await rm(part, { force: true });
      options.onBytes(-blob.size);
      // The remains of an earlier attempt may have been another file's; what came in one piece from the hub is what it
      // is.
      if (!resumed) {
        throw new Unavailable(
          "what it sends is not the file",
          `"${blob.path}" from ${options.requests.hub} is not what it should be (checksum ${sum.slice(0, 12)}… instead of ${blob.etag.slice(0, 12)}…); it was thrown away. Try again, or look for a proxy that changes downloads.`,
        );
      }
      resumed = false;
    }
    await rename(part, target);
  } catch (error) {
    // What is there already is kept for the next attempt, under the name that every tool looks for.
    const size = await stat(part).then(
      (info) => info.size,
      () => 0,
    );
    await (size === 0 ? rm(part, { force: true }) : rename(part, `${target}.incomplete`)).catch(() => undefined);
    options.signal?.throwIfAborted();
    throw diskTrouble(error, dirname(target), `"${blob.path}" has ${Math.ceil(blob.size / 1e6)} MB`) ?? error;
  } finally {
    working.delete(part);
  }
}

/** What this thread is writing just now; one list for all copies of this package in it. */
const shared = globalThis as { [key: symbol]: unknown };
const KEY = Symbol.for("lm-transparency.downloads");
const PER_THREAD = 1_000_000;
const current = (shared[KEY] ??= { serial: threadId * PER_THREAD, working: new Set<string>() }) as {
  serial: number;
  readonly working: Set<string>;
};
const { working } = current;

/**
 * A name beside `target` for what will become it, known as ours as long as this process lives. Give it back by
 * `finished`.
 */
export function temporary(target: string): string {
  const path = `${target}.${process.pid}-${++current.serial}.incomplete`;
  working.add(path);
  return path;
}

export function finished(part: string): void {
  working.delete(part);
}

/** Longest time without a byte in a download that goes on. */
const ABANDONED_MS = 3_600_000;

/** Who writes to a part, from its name. */
const OWNER = /^(.+)\.(\d+)-(\d+)\.incomplete$/;

/**
 * Whether somebody may still write to a part. Where processes are numbered anew (containers), our own number may be an
 * earlier one's.
 */
function inUse(path: string, modified: number): boolean {
  const [, , pid, serial] = OWNER.exec(path) ?? [];
  if (pid === undefined) return false;
  const age = Date.now() - modified;
  if (Number(pid) !== process.pid) return isAlive(Number(pid)) && age < ABANDONED_MS;
  return working.has(path) || (Math.floor(Number(serial) / PER_THREAD) !== threadId && age < 60_000);
}

/** Removes what killed downloads left in a folder of blobs and nobody goes on with. `minAge` ms: younger ones stay. */
export async function removeRemains(folder: string, minAge: number): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    if (!OWNER.test(name)) continue;
    const path = join(folder, name);
    const info = await lstat(path).catch(() => undefined);
    if (info === undefined || !info.isFile() || Date.now() - info.mtimeMs < minAge || inUse(path, info.mtimeMs))
      continue;
    await rm(path, { force: true }).catch(() => undefined);
  }
}

/** Takes over the largest remains of a download that nobody works on. Returns whether there were any. */
async function takeOver(target: string, part: string): Promise<boolean> {
  const prefix = `${basename(target)}.`;
  const names = (await readdir(dirname(target)).catch(() => [])).filter(
    (name) => name.startsWith(prefix) && name.endsWith(".incomplete"),
  );
  const candidates: { path: string; size: number }[] = [];
  for (const name of names) {
    const path = join(dirname(target), name);
    const info = await lstat(path).catch(() => undefined);
    if (info === undefined || inUse(path, info.mtimeMs)) continue;
    // A link there could lead anywhere.
    if (info.isFile()) candidates.push({ path, size: info.size });
  }
  candidates.sort((a, b) => b.size - a.size);
  let taken = false;
  for (const { path } of candidates) {
    if (taken) await rm(path, { force: true });
    else
      taken = await rename(path, part).then(
        () => true,
        () => false,
      );
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
  const { requests, signal } = options;
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
      signal?.throwIfAborted();
      const before = have;
      let reason = "the connection is cut again and again";
      let weight = 1;
      try {
        // Compressed answers would make bytes of the file and bytes of the way differ.
        const headers = { "accept-encoding": "identity", ...(have > 0 && { range: `bytes=${have}-` }) };
        await requests.exchange(blob.url, { headers }, async ({ response, body }) => {
          if (response.status === 416 && have > 0) {
            // The server cannot go on from there: from the start then.
            await file.truncate(0);
            options.onBytes(-have);
            have = 0;
            reason = `it refuses every range of "${blob.path}"`;
            return;
          }
          if (response.status >= 500 && retryAfter(response) === undefined)
            throw new ServerTrouble(`status ${response.status}`);
          if (!response.ok) throw new Refused(options.refuse(response));
          let skip = have - startOf(response, blob, have, requests.hub);
          for await (const chunk of body()) {
            // A server that knows no ranges sends what is there already once more.
            const rest = chunk.subarray(Math.min(skip, chunk.length)).subarray(0, blob.size - have);
            skip -= Math.min(skip, chunk.length);
            if (rest.length === 0) continue;
            await write(() => file.appendFile(rest));
            have += rest.length;
            options.onBytes(rest.length);
            if (have === blob.size) break;
          }
        });
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof Refused) throw error.reason;
        if (error instanceof DiskError) throw error.cause;
        if (error instanceof ModelFileError || error instanceof Unavailable) throw error;
        if (error instanceof Stalled) weight = 2;
        reason = reasonOf(error);
      }
      // Ended early without an error: a cut connection too.
      fruitless = have - before >= FRUIT ? 0 : fruitless + weight;
      if (have === blob.size) break;
      if (fruitless >= FRUITLESS) throw new Unavailable(reason);
      await sleep(pause(fruitless), undefined, { signal }).catch(() => undefined);
    }
  } finally {
    await file.close();
  }
}

/**
 * The place in the file where an answer begins. Throws where it cannot be that file at all: what is there already is
 * not given up for it.
 */
function startOf(response: Response, blob: RepositoryFile, have: number, hub: string): number {
  const { headers, status } = response;
  const [, first, total] =
    (status === 206 ? /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get("content-range") ?? "") : null) ?? [];
  const start = status !== 206 ? 0 : Number(first ?? have);
  if (start > have) throw new Error("it leaves out a part of the file");
  const identity = /^(|identity)$/i.test(headers.get("content-encoding") ?? "");
  const length = headers.get("content-length");
  // An answer without a length ends where it ends.
  const whole =
    total !== undefined && total !== "*"
      ? Number(total)
      : length !== null && identity
        ? start + Number(length)
        : undefined;
  if (whole === blob.size || (whole === undefined && !isWebPage(response))) return start;
  if (isWebPage(response)) throw webPage(hub, response, blob.path);
  throw new Unavailable(
    `it sends another file than "${blob.path}"`,
    `"${blob.path}" from ${hub} has ${whole} bytes instead of ${blob.size}; nothing was kept of it: try again, or look for a proxy that changes downloads.`,
  );
}

/** Errors of the disk are none of the network. */
class DiskError extends Error {
  constructor(override readonly cause: unknown) {
    super("disk");
  }
}

async function write(act: () => Promise<void>): Promise<void> {
  await act().catch((error: unknown) => {
    throw new DiskError(error);
  });
}

/**
 * The sentence for a cache that cannot be written; undefined for errors that are none of the file system. `size`: what
 * was to be written.
 */
export function diskTrouble(error: unknown, folder: string, size?: string): Error | undefined {
  const { code, syscall, path } = error as {
    readonly code?: string;
    readonly syscall?: string;
    readonly path?: string;
  };
  if (code === undefined || syscall === undefined || /^(connect|getaddrinfo)$/.test(syscall)) return undefined;
  const sentence = ((): string => {
    switch (code) {
      case "ENOSPC":
        return `The disk of ${folder} is full${size === undefined ? "" : `: ${size}`}; make room, or set HF_HUB_CACHE to a folder on another disk.`;
      case "EDQUOT":
        return `Your share of the disk of ${folder} is used up (quota)${size === undefined ? "" : `: ${size}`}; make room, or set HF_HUB_CACHE to a folder on another disk.`;
      case "EFBIG":
        return `The disk of ${folder} cannot hold a file so large${size === undefined ? "" : `: ${size}`}; set HF_HUB_CACHE to a folder on another disk.`;
      case "ENOTDIR":
      case "EEXIST":
        return `The cache folder ${folder} cannot be used: a file lies where a folder is needed${path === undefined ? "" : ` (${path})`}; remove it, or set HF_HUB_CACHE to another folder.`;
      case "EROFS":
        return `The cache folder ${folder} cannot be written (it is on a disk that is read-only): set HF_HUB_CACHE to one that can.`;
      case "EACCES":
      case "EPERM":
        return `The cache folder ${folder} cannot be written (permission denied): set HF_HUB_CACHE to one that can.`;
      default:
        return `The cache folder ${folder} cannot be used (${code} at ${syscall}): set HF_HUB_CACHE to one that can be read and written.`;
    }
  })();
  return new Unavailable("the cache cannot be written", sentence);
}

/** An answer that no further attempt would change. */
class Refused extends Error {
  constructor(readonly reason: Error) {
    super(reason.message);
  }
}

async function checksum(path: string, blob: RepositoryFile, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash(blob.etag.length === 64 ? "sha256" : "sha1");
  if (blob.etag.length !== 64) hash.update(`blob ${blob.size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
