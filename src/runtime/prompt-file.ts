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

/** A prompt with the one that it is compared with. */
export interface FilePair extends FilePrompt {
  /** Of as many tokens, one fact changed. */
  readonly counterfactual?: string | number[];
  /** The right answer, and the wrong one. */
  readonly token?: string | number;
  readonly versus?: string | number;
}

/** One prompt a line, read as they are needed; a byte order mark before the first is none of it. */
export async function* promptLines(file: string, limit = Infinity): AsyncGenerator<FilePrompt> {
  const json = file.endsWith(".jsonl");
  for await (const { text, line } of textLines(file, limit))
    yield { prompt: json ? parsePrompt(text, `${file}, line ${line}`) : text, line };
}

/**
 * The same with what stands beside the prompt: in a `.jsonl` file a line can be `{"text" | "token_ids", "counterfactual",
 * "token", "versus"}`.
 */
export async function* pairLines(file: string, limit = Infinity): AsyncGenerator<FilePair> {
  const json = file.endsWith(".jsonl");
  for await (const { text, line } of textLines(file, limit)) {
    const where = `${file}, line ${line}`;
    yield json ? { ...parsePair(text, where), line } : { prompt: text, line };
  }
}

function parsePair(line: string, where: string): Omit<FilePair, "line"> {
  const prompt = parsePrompt(line, where);
  const value = JSON.parse(line) as unknown;
  if (typeof value !== "object" || value === null) return { prompt };
  const { counterfactual, token, versus } = value as Readonly<Record<string, unknown>>;
  if (counterfactual !== undefined && !isPrompt(counterfactual))
    throw new RangeError(`${where}: a counterfactual is a text or a list of token ids`);
  for (const one of [token, versus])
    if (one !== undefined && typeof one !== "string" && typeof one !== "number")
      throw new RangeError(`${where}: token and versus are texts of one token, or token ids`);
  return {
    prompt,
    ...(counterfactual === undefined ? {} : { counterfactual }),
    ...(token === undefined ? {} : { token: token as string | number }),
    ...(versus === undefined ? {} : { versus: versus as string | number }),
  };
}

const isPrompt = (value: unknown): value is string | number[] =>
  typeof value === "string" || (Array.isArray(value) && value.every((id) => typeof id === "number"));

async function* textLines(
  file: string,
  limit: number,
): AsyncGenerator<{ readonly text: string; readonly line: number }> {
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
    yield { text, line: number };
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
