import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { FileError, because, systemCode } from "../system/errors";
import { openPlainFile } from "../system/read";

/** A prompt of a file. */
export interface FilePrompt {
  readonly prompt: string | number[];
  /** From 1. */
  readonly line: number;
}

/** One prompt a line, read as they are needed; a byte order mark before the first is none of it. */
export async function* promptLines(file: string, limit = Infinity): AsyncGenerator<FilePrompt> {
  const json = file.endsWith(".jsonl");
  let number = 0;
  let taken = 0;
  const { fd } = openPlainFile(file);
  const input = createReadStream(file, { fd, encoding: "utf8" });
  // The lines end without a word where reading fails.
  let failure: unknown;
  input.on("error", (error) => (failure = error));
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    if (taken >= limit) return;
    const text = number++ === 0 ? line.replace(/^\ufeff/, "") : line;
    if (text.trim() === "") continue;
    taken++;
    yield { prompt: json ? parsePrompt(text, `${file}, line ${number}`) : text, line: number };
  }
  if (failure !== undefined)
    throw systemCode(failure) === undefined
      ? (failure as Error)
      : new FileError(`${file} cannot be read: ${because(failure)}.`, { cause: failure });
}

/**
 * The prompts of a text file for `aggregate`, one a line (empty lines are skipped), read as they are needed. With the
 * ending `.jsonl` each line is JSON: a text, `{"text": …}` or `{"token_ids": […]}`.
 *
 * @throws RangeError that names the line where one is no prompt; FileError where the file cannot be read, with the
 *   system's error as its cause
 */
export async function* readPrompts(
  file: string,
  options: { readonly limit?: number } = {},
): AsyncGenerator<string | number[]> {
  for await (const { prompt } of promptLines(file, options.limit)) yield prompt;
}

function parsePrompt(line: string, where: string): string | number[] {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new RangeError(
      `${where}: no JSON (${(error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ")})`,
    );
  }
  if (typeof value === "string") return value;
  const { text, token_ids: ids } = (typeof value === "object" && value !== null ? value : {}) as {
    readonly text?: unknown;
    readonly token_ids?: unknown;
  };
  if (typeof text === "string") return text;
  if (Array.isArray(ids) && ids.every((id) => typeof id === "number")) return ids;
  throw new RangeError(`${where}: a prompt is a text, {"text": "…"} or {"token_ids": [1, 2]}`);
}
