/**
 * Files that are replaced whole: what is written goes into a file beside the target and takes its place when it is
 * complete and on the disk, so that a full disk, an error or an interrupt leaves the old file, or none, and never a
 * part of the new one.
 */
import { constants, type Stats } from "node:fs";
import { access, open, readlink, rename, stat, unlink, type FileHandle } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { FileError, because, systemCode } from "./errors";

/** What a file is made of: a text, bytes, or pieces of them. */
export type FileContent = string | NodeJS.ArrayBufferView | AsyncIterable<string | NodeJS.ArrayBufferView>;

/** Links to what this process has open. */
const OPEN_FILES = /^\/(proc|dev)\//;

/** Links that lead to links, followed at most this often. */
const MOST_LINKS = 40;

let count = 0;

/**
 * Replaces `file` by `content`. A symlink stays and the file that it leads to is replaced; permissions (and, where that
 * is allowed, the owner) of an existing file stay. What is no plain file (a device, a pipe) is written to as it is.
 * @throws FileError, one sentence; what `content` throws is passed on
 */
export async function writeFileAtomically(file: string, content: FileContent): Promise<void> {
  const target = await failing(file, followed(file));
  const known = await failing(file, statOf(target));
  if (known?.isDirectory()) throw problem(file, { code: "EISDIR" });
  // "/dev/stdout" may be a plain file, which others have open.
  if (known !== undefined && (!known.isFile() || OPEN_FILES.test(target)))
    return writeInto(file, await failing(file, open(target, "w")), content);
  // A rename would replace a file that may not be written to.
  if (known !== undefined) await failing(file, access(target, constants.W_OK));
  const beside = join(dirname(target), `.lm-transparency-${process.pid}-${count++}.tmp`);
  const handle = await open(beside, "wx", 0o666).catch((error: unknown) => {
    // A folder in which nothing can be made may still hold a file that can be written.
    if (known !== undefined && ["EACCES", "EPERM"].includes(systemCode(error) ?? "")) return undefined;
    throw problem(file, error);
  });
  if (handle === undefined) return writeInto(file, await failing(file, open(target, "w")), content);
  try {
    if (known !== undefined) {
      // The owner first: a change of it takes special bits away.
      await handle.chown(known.uid, known.gid).catch(() => undefined);
      await handle.chmod(known.mode & 0o7777).catch(() => undefined);
    }
    await writeInto(file, handle, content);
    await failing(file, rename(beside, target));
  } catch (error) {
    await unlink(beside).catch(() => undefined);
    throw error;
  }
}

async function writeInto(file: string, handle: FileHandle, content: FileContent): Promise<void> {
  let open = true;
  try {
    const write = (piece: string | NodeJS.ArrayBufferView) =>
      failing(
        file,
        handle.writeFile(
          typeof piece === "string" ? piece : new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength),
        ),
      );
    if (typeof content === "string" || ArrayBuffer.isView(content)) {
      await write(content);
    } else {
      for await (const piece of content) await write(piece);
    }
    // Some disks say only here that they are full; others cannot do it.
    await handle.sync().catch((error: unknown) => {
      if (!["EINVAL", "ENOTSUP", "EROFS", "ENOSYS", "EPERM"].includes(systemCode(error) ?? ""))
        throw problem(file, error);
    });
    open = false;
    await failing(file, handle.close());
  } finally {
    if (open) await handle.close().catch(() => undefined);
  }
}

/** Where `file` leads to; the last of its links may lead to a file that is not there yet. */
async function followed(file: string): Promise<string> {
  let path = resolve(file);
  for (let n = 0; n < MOST_LINKS; n++) {
    const link = await readlink(path).catch((error: unknown) => {
      if (["EINVAL", "ENOENT", "UNKNOWN"].includes(systemCode(error) ?? "")) return undefined;
      throw error;
    });
    if (link === undefined) return path;
    // What such a link says is no path.
    if (OPEN_FILES.test(path)) return path;
    path = resolve(dirname(path), link);
  }
  throw Object.assign(new Error(), { code: "ELOOP" });
}

async function statOf(path: string): Promise<Stats | undefined> {
  return stat(path).catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  });
}

/** The system's errors of `work` in one sentence. */
async function failing<R>(file: string, work: Promise<R>): Promise<R> {
  return work.catch((error: unknown) => {
    throw systemCode(error) === undefined ? error : problem(file, error);
  });
}

function problem(file: string, error: unknown): FileError {
  return new FileError(`${file} cannot be written: ${because(error)}.`);
}
