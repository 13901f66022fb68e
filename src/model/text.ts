/**
 * Text files as text, by one rule: UTF-8, where a byte order mark at the beginning is the file's and no part of the
 * text.
 */
import { ModelFileError } from "./errors";

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * A file's text. Bytes that are no UTF-8 are refused: replaced, different names would become equal. Throws
 * `ModelFileError`.
 */
export function fileText(path: string, bytes: Uint8Array): string {
  try {
    return withoutMark(STRICT.decode(bytes));
  } catch {
    throw new ModelFileError(`${path} is not text in UTF-8.`);
  }
}

/** Without the byte order mark at its beginning; a second one is text. */
export function withoutMark(text: string): string {
  return text.startsWith("\ufeff") ? text.slice(1) : text;
}
