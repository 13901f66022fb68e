import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";

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
  for await (const line of createInterface({ input: createReadStream(file, "utf8"), crlfDelay: Infinity })) {
    if (taken >= limit) return;
    const text = number++ === 0 ? line.replace(/^\ufeff/, "") : line;
    if (text.trim() === "") continue;
    taken++;
    yield { prompt: json ? parsePrompt(text, `${file}, line ${number}`) : text, line: number };
  }
}

/**
 * The prompts of a text file for `aggregate`, one a line (empty lines are skipped), read as they are needed. With the ending `.jsonl` each line
 * is JSON: a text, `{"text": …}` or `{"token_ids": […]}`.
 *
 * @throws RangeError that names the line where one is no prompt; the system's error where the file cannot be read
 */
export async function* readPrompts(file: string, options: { readonly limit?: number } = {}): AsyncGenerator<string | number[]> {
  for await (const { prompt } of promptLines(file, options.limit)) yield prompt;
}

function parsePrompt(line: string, where: string): string | number[] {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new RangeError(`${where}: no JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  if (typeof value === "string") return value;
  const { text, token_ids: ids } = (typeof value === "object" && value !== null ? value : {}) as { readonly text?: unknown; readonly token_ids?: unknown };
  if (typeof text === "string") return text;
  if (Array.isArray(ids) && ids.every(id => typeof id === "number")) return ids as number[];
  throw new RangeError(`${where}: a prompt is a text, {"text": "…"} or {"token_ids": [1, 2]}`);
}
