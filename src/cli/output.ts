import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { FileError, because, systemCode } from "../system/errors";
import { writeFileAtomically } from "../system/write";
import type { Context } from "./command";

/** `work` on a file, its error said in one sentence. */
export async function reading<T>(file: string, work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    if (systemCode(error) === undefined) throw error;
    throw new FileError(`${file} cannot be read: ${because(error)}.`);
  });
}

/**
 * Refuses files that cannot be written, before anything is computed for them. Nothing is created; "-" and undefined are
 * standard output or nothing.
 * @throws FileError
 */
export async function checkWritable(...files: readonly (string | undefined)[]): Promise<void> {
  for (const file of files) {
    if (file === undefined || file === "-") continue;
    try {
      const known = await stat(file).catch((error: unknown) => {
        if (systemCode(error) === "ENOENT") return undefined;
        throw error;
      });
      if (known?.isDirectory()) throw Object.assign(new Error(), { code: "EISDIR" });
      await access(known ? file : dirname(file), constants.W_OK);
    } catch (error) {
      throw new FileError(`${file} cannot be written: ${because(error)}.`);
    }
  }
}

/**
 * Writes text piece by piece to a file, or to standard output ("-"): a whole result may be longer than one string can
 * be.
 */
export async function writePieces(file: string, pieces: AsyncIterable<string>, context: Context): Promise<void> {
  if (file === "-") {
    for await (const piece of pieces) await context.write(piece);
    return;
  }
  await writeFileAtomically(file, pieces);
}
