import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from "node:fs";
import { resolve, sep } from "node:path";

/**
 * Pictures that a notebook's Markdown names, as data for its page. A page is given to others: only what lies with the
 * notebook goes into it.
 */

const TYPES: Readonly<Record<string, string>> = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
  svg: "image/svg+xml",
};

/** A larger picture is left out, and so are all that follow when the page's pictures together have this size. */
export const MAX_IMAGE_BYTES = 32 * 2 ** 20;
export const MAX_IMAGES_BYTES = 128 * 2 ** 20;

/** What stands in the page for a picture: its data, or why it is not there. */
export type Embedded = { readonly data: string } | { readonly why: string };

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EACCES: "it may not be read",
  EPERM: "it may not be read",
  ELOOP: "its links lead in a circle",
  ENAMETOOLONG: "its name is too long",
  ENXIO: "it is no file",
};

/** The characters of an address that were written as %XX; undefined where they are no text. */
export function decoded(address: string): string | undefined {
  try {
    return decodeURIComponent(address);
  } catch {
    return undefined;
  }
}

/** Reads files of one folder and what is below it. */
export class ImageFolder {
  #left = MAX_IMAGES_BYTES;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = resolve(folder);
  }

  /** `source`: an address relative to the folder, as Markdown has it. */
  embed(source: string): Embedded {
    if (/^(?:[a-z][a-z\d+.-]*:|\/\/)/i.test(source))
      return { why: "it is not a file beside the notebook, and the page loads nothing" };
    const path = decoded(source);
    if (path === undefined || path.includes("\0")) return { why: "its address is no text" };
    if (/^[/\\]|\\/.test(path)) return { why: "only pictures in the notebook's folder go into the page" };
    const type = TYPES[/\.(\w{1,8})$/.exec(path.slice(-9))?.[1].toLowerCase() ?? ""];
    if (type === undefined) return { why: `it is no ${Object.keys(TYPES).join(", ")} file` };
    const inside = (folder: string, file: string): boolean =>
      file.startsWith(folder.endsWith(sep) ? folder : folder + sep);
    try {
      // By its name first: whether there is such a file elsewhere is nobody's business.
      if (!inside(this.#folder, resolve(this.#folder, path))) return { why: "it lies outside the notebook's folder" };
      // Where links lead, both of the folder and of the file, decides.
      const folder = realpathSync(this.#folder);
      const file = realpathSync(resolve(folder, path));
      if (!inside(folder, file)) return { why: "it lies outside the notebook's folder" };
      const bytes = this.#read(file);
      return typeof bytes === "string" ? { why: bytes } : { data: `data:${type};base64,${bytes.toString("base64")}` };
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      return { why: REASONS[code] ?? `it cannot be read (${code || "an unknown error"})` };
    }
  }

  /**
   * A regular file's content, or why not. A pipe or a device is never waited for, and a link that came since is not
   * followed.
   */
  #read(file: string): Buffer | string {
    const handle = openSync(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0));
    try {
      const known = fstatSync(handle);
      const { size } = known;
      if (!known.isFile()) return "it is no file";
      if (size > MAX_IMAGE_BYTES) return `it has more than ${MAX_IMAGE_BYTES / 2 ** 20} MB`;
      if (size > this.#left) return `the page's pictures have ${MAX_IMAGES_BYTES / 2 ** 20} MB without it`;
      const bytes = Buffer.alloc(size);
      let length = 0;
      for (let read = -1; read !== 0 && length < size; length += read)
        read = readSync(handle, bytes, length, size - length, null);
      this.#left -= length;
      return bytes.subarray(0, length);
    } finally {
      closeSync(handle);
    }
  }
}
