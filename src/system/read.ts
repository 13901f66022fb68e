/**
 * Reading of files that a user names: only plain ones, as a pipe or a device would be waited for for ever, or never
 * end.
 */
import { closeSync, fstatSync, openSync, statSync, type Stats } from "node:fs";
import { open } from "node:fs/promises";
import { FileError, because, systemCode } from "./errors";

function check(path: string, info: Stats): void {
  if (info.isDirectory()) throw new FileError(`${path} cannot be read: it is a folder.`);
  if (!info.isFile()) throw new FileError(`${path} cannot be read: it is no plain file.`);
}

function problem(path: string, error: unknown): unknown {
  return error instanceof FileError || systemCode(error) === undefined
    ? error
    : new FileError(`${path} cannot be read: ${because(error)}.`, { cause: error });
}

/**
 * A plain file, open for reading.
 * @throws FileError, one sentence; its `cause` is the system's error
 */
export function openPlainFile(path: string): { readonly fd: number; readonly size: number } {
  try {
    // Before it is opened: that alone waits for the writer of a pipe.
    check(path, statSync(path));
    const fd = openSync(path, "r");
    try {
      const info = fstatSync(fd);
      check(path, info);
      return { fd, size: info.size };
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  } catch (error) {
    throw problem(path, error);
  }
}

/**
 * The text of a plain file in UTF-8, of at most `most` bytes.
 * @throws FileError, one sentence; its `cause` is the system's error
 */
export async function readTextFile(path: string, most = 2 ** 29): Promise<string> {
  return (await readFileBytes(path, most)).toString("utf8");
}

/**
 * The bytes of a plain file of at most `most` bytes.
 * @throws FileError, one sentence; its `cause` is the system's error
 */
export async function readFileBytes(path: string, most = 2 ** 29): Promise<Buffer> {
  try {
    const { fd, size } = openPlainFile(path);
    closeSync(fd);
    if (size > most)
      throw new FileError(`${path} cannot be read: it has ${size} bytes, and at most ${most} are expected.`);
    const handle = await open(path, "r");
    try {
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw problem(path, error);
  }
}
