/** JSON as Python's tools write it: with a byte order mark, NaN, Infinity and -Infinity too. */
import { randomUUID } from "node:crypto";
import { ModelFileError } from "./errors";

const NUMBERS: Readonly<Record<string, number>> = { NaN, Infinity, "-Infinity": -Infinity };

/**
 * Parses JSON; a syntax error becomes a sentence that names the file. Python's NaN, Infinity and -Infinity come as the
 * numbers of that name: who needs a number checks that it is finite.
 */
export function parseJson(path: string, text: string): unknown {
  const json = text.startsWith("\ufeff") ? text.slice(1) : text;
  try {
    return JSON.parse(json) as unknown;
  } catch (error) {
    const mark = randomUUID();
    const rewritten = withMarks(json, mark);
    if (rewritten !== undefined) {
      try {
        return JSON.parse(rewritten, (_key, value: unknown) =>
          typeof value === "string" && value.startsWith(mark) ? NUMBERS[value.slice(mark.length)] : value,
        ) as unknown;
      } catch {
        // The first error speaks of the text as it is.
      }
    }
    const reason = error instanceof Error ? error.message : String(error);
    throw new ModelFileError(
      `${path} is not valid JSON: ${json.trim() === "" ? "it is empty" : reason.replace(/\s+/g, " ").slice(0, 200)}.`,
    );
  }
}

/** The text with strings `mark + name` for those numbers; undefined where there are none. One pass over the text. */
function withMarks(json: string, mark: string): string | undefined {
  const parts: string[] = [];
  let from = 0;
  for (let at = 0; at < json.length; at++) {
    const char = json[at];
    if (char === '"') {
      for (at++; at < json.length && json[at] !== '"'; at++) if (json[at] === "\\") at++;
    } else if (char === "N" || char === "I" || char === "-") {
      const name = ["NaN", "Infinity", "-Infinity"].find((candidate) => json.startsWith(candidate, at));
      if (name === undefined) continue;
      parts.push(json.slice(from, at), `"${mark}${name}"`);
      at += name.length - 1;
      from = at + 1;
      // Before a colon it would become a name.
      while (/\s/.test(json[at + 1] ?? "")) at++;
      if (json[at + 1] === ":") return undefined;
    }
  }
  return parts.length === 0 ? undefined : [...parts, json.slice(from)].join("");
}
