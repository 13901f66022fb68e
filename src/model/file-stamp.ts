import { fstatSync, statSync, type BigIntStats } from "node:fs";
import { because, systemCode } from "../system/errors";
import { ModelFileError } from "./errors";

/**
 * By what a file is known again: another file of its name, or another content, has another stamp. Plain data, for
 * threads.
 */
export interface FileStamp {
  /** Real path. */
  readonly file: string;
  readonly device: bigint;
  readonly inode: bigint;
  readonly size: bigint;
  /** Nanoseconds. */
  readonly changed: bigint;
}

const stamp = (file: string, { dev, ino, size, mtimeNs }: BigIntStats): FileStamp => ({
  file,
  device: dev,
  inode: ino,
  size,
  changed: mtimeNs,
});

/** The stamp of an open file. */
export function stampOf(file: string, fd: number): FileStamp {
  return stamp(file, fstatSync(fd, { bigint: true }));
}

/**
 * Refuses a file that is no longer the one of the stamp. With `fd`, which has been opened since, a file that was
 * deleted does: what is open stays readable.
 */
export function checkStamp(expected: FileStamp, fd?: number): void {
  const path = expected.file;
  let found: FileStamp | undefined;
  try {
    found = stamp(path, statSync(path, { bigint: true }));
  } catch (error) {
    if (fd === undefined || systemCode(error) !== "ENOENT")
      throw new ModelFileError(`${path}, which the model was loaded from, cannot be read any more: ${because(error)}.`);
  }
  if (found !== undefined) compare(path, expected, found);
  if (fd !== undefined) compare(path, expected, stampOf(path, fd));
}

function compare(path: string, expected: FileStamp, found: FileStamp): void {
  const what =
    found.size !== expected.size
      ? `changed its size from ${expected.size} to ${found.size} bytes`
      : found.device !== expected.device || found.inode !== expected.inode
        ? "was replaced by another file"
        : found.changed !== expected.changed
          ? "was written to"
          : undefined;
  if (what !== undefined)
    throw new ModelFileError(
      `${path} ${what} since the model was loaded, so its weights are no longer those of the model: load it again.`,
    );
}
