/** What the operating system says of a file, in words. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or folder",
  EACCES: "it is not permitted",
  EPERM: "it is not permitted",
  EROFS: "the disk is read-only",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of its path is no folder",
  ENOSPC: "the disk is full",
  EDQUOT: "the quota of the disk is used up",
  EFBIG: "it would be larger than a file may be here",
  ELOOP: "its links lead in a circle",
  ENAMETOOLONG: "its name is too long",
  EMFILE: "too many files are open",
  ENFILE: "too many files are open",
  EIO: "the disk does not answer",
  EBUSY: "it is in use",
  ETXTBSY: "it is in use",
  EXDEV: "it lies on another disk",
  ENXIO: "it is no file",
  ERR_INVALID_ARG_VALUE: "a path cannot contain the character NUL",
  ERR_FS_FILE_TOO_LARGE: "it is too large",
  ERR_STRING_TOO_LONG: "it is too large",
};

/** The code of a system's error ("ENOENT", …); undefined for others. */
export function systemCode(error: unknown): string | undefined {
  const code: unknown =
    typeof error === "object" && error !== null ? (error as { readonly code?: unknown }).code : undefined;
  return typeof code === "string" ? code : undefined;
}

/** Why something with a file did not work, as the second half of a sentence. */
export function because(error: unknown): string {
  const code = systemCode(error);
  return (code !== undefined && REASONS[code]) || code || (error instanceof Error ? error.message : String(error));
}

/** A text, of which names of files may be a part, on one line and without control characters. */
export function onLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, "\ufffd");
}

/** A file that cannot be read or written: which, and why, in one sentence. */
export class FileError extends Error {
  override readonly name: string = "FileError";

  constructor(message: string, options?: ErrorOptions) {
    super(onLine(message), options);
  }
}

/** A text that others wrote, for a message: quoted, on one line, no longer than `most` characters. */
export function quoted(text: string, most = 80): string {
  return JSON.stringify(text.length > most ? `${text.slice(0, most - 1)}…` : text);
}

/** A value that others wrote, for a message: as JSON, on one line, cut. Deep nesting and NaN are shown too. */
export function shown(value: unknown, most = 60): string {
  if (typeof value === "string") return quoted(value, most);
  if (typeof value !== "object" || value === null) return String(value);
  const text = (depth: number, part: unknown): string => {
    if (typeof part === "string") return quoted(part, most);
    if (typeof part !== "object" || part === null) return String(part);
    if (depth > 3) return "…";
    let result = "";
    const [open, close] = Array.isArray(part) ? "[]" : "{}";
    for (const key in part) {
      if (result !== "") result += ",";
      // What is cut need not be made.
      if (result.length > most) break;
      result += `${Array.isArray(part) ? "" : `${quoted(key, most)}:`}${text(depth + 1, (part as Record<string, unknown>)[key])}`;
    }
    return `${open}${result}${close}`;
  };
  const whole = text(0, value);
  return whole.length > most ? `${whole.slice(0, most - 1)}…` : whole;
}
