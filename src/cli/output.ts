import { constants, createWriteStream } from "node:fs";
import { access, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Context } from "./command";

/** A file that cannot be read or written: which, and why, in one sentence. */
export class FileError extends Error {}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or folder",
  EACCES: "it is not permitted",
  EPERM: "it is not permitted",
  EROFS: "the disk is read-only",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of its path is no folder",
  ENOSPC: "the disk is full",
};

function because(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  return (code !== undefined && REASONS[code]) || code || String(error);
}

/** `work` on a file, its error said in one sentence. */
export async function reading<T>(file: string, work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    if (!(error instanceof Error) || (error as NodeJS.ErrnoException).code === undefined) throw error;
    throw new FileError(`${file} cannot be read: ${because(error)}.`);
  });
}

export async function writeWhole(file: string, text: string): Promise<void> {
  await writeFile(file, text).catch((error: unknown) => {
    throw new FileError(`${file} cannot be written: ${because(error)}.`);
  });
}

/**
 * Refuses files that cannot be written, before anything is computed for them. Nothing is created; "-" and undefined are standard output or nothing.
 * @throws FileError
 */
export async function checkWritable(...files: readonly (string | undefined)[]): Promise<void> {
  for (const file of files) {
    if (file === undefined || file === "-") continue;
    try {
      const known = await stat(file).catch(() => undefined);
      if (known?.isDirectory()) throw Object.assign(new Error(), { code: "EISDIR" });
      await access(known ? file : dirname(file), constants.W_OK);
    } catch (error) {
      throw new FileError(`${file} cannot be written: ${because(error)}.`);
    }
  }
}

/** Writes text piece by piece to a file, or to standard output ("-"): a whole result may be longer than one string can be. */
export async function writePieces(file: string, pieces: AsyncIterable<string>, context: Context): Promise<void> {
  if (file === "-") {
    for await (const piece of pieces) await context.write(piece);
    return;
  }
  const stream = createWriteStream(file);
  // Errors come to the call that waits; an event without a listener would end the process.
  stream.on("error", () => undefined);
  const write = (piece: string): Promise<void> => new Promise((resolve, reject) => stream.write(piece, error => (error ? reject(new FileError(`${file} cannot be written: ${because(error)}.`)) : resolve())));
  try {
    for await (const piece of pieces) await write(piece);
  } finally {
    await new Promise(resolve => stream.end(resolve));
  }
}
