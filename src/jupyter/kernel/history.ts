import type { JsonObject } from "../comm-host";

/** One entry of a history_reply: session, number of the cell, its code, or code and result. */
export type HistoryEntry = [number, number, string | [string, string | null]];

/** Cells of this session, for history requests. There is one session: it ends with the kernel. */
export class History {
  readonly #entries: { line: number; code: string; output: string | null }[] = [];

  add(line: number, code: string): void {
    this.#entries.push({ line, code, output: null });
  }

  setOutput(line: number, output: string): void {
    const entry = this.#entries.findLast((one) => one.line === line);
    if (entry !== undefined) entry.output = output;
  }

  /** Answers the content of a history_request: the last n, a range of numbers, or a glob pattern. */
  query(request: JsonObject): HistoryEntry[] {
    const n = typeof request["n"] === "number" ? request["n"] : undefined;
    let found = this.#entries;
    if (request["hist_access_type"] === "range") {
      // Session 0 is the current one, as are 1 (its number) and everything that counts back to it.
      const session = request["session"];
      if (typeof session === "number" && session !== 0 && session !== 1) return [];
      const start = typeof request["start"] === "number" ? request["start"] : 0;
      const stop = typeof request["stop"] === "number" ? request["stop"] : Infinity;
      found = found.filter((entry) => entry.line >= start && entry.line < stop);
    } else if (request["hist_access_type"] === "search") {
      const pattern = glob(typeof request["pattern"] === "string" ? request["pattern"] : "*");
      found = found.filter((entry) => pattern.test(entry.code));
      if (request["unique"] === true)
        found = found.filter((entry, index) => found.findLastIndex((other) => other.code === entry.code) === index);
      if (n !== undefined) found = found.slice(-n);
    } else if (n !== undefined) {
      found = n > 0 ? found.slice(-n) : [];
    }
    return found.map(({ line, code, output }) => [1, line, request["output"] === true ? [code, output] : code]);
  }
}

/**
 * Patterns as IPython has them: `*`, `?` and `[abc]`, `[^abc]`. Between two stars the first place that fits is the
 * right one: nothing is tried twice.
 */
function glob(pattern: string): { test(text: string): boolean } {
  try {
    return parsedGlob(pattern);
  } catch {
    // A set that runs backwards, as [b-a], holds nothing.
    return { test: () => false };
  }
}

function parsedGlob(pattern: string): { test(text: string): boolean } {
  const pieces = [""];
  for (const [found, not, set] of pattern.matchAll(/\[(\^?)([^\]]+)\]|[^]/g)) {
    if (found === "*") pieces.push("");
    else
      pieces[pieces.length - 1] +=
        set !== undefined
          ? `[${String(not)}${set.replace(/[\\^\]]/g, "\\$&")}]`
          : found === "?"
            ? "[^]"
            : found.replace(/[.+^${}()|\\[\]]/g, "\\$&");
  }
  if (pieces.length === 1) {
    const whole = new RegExp(`^${pieces[0]}$`);
    return { test: (text) => whole.test(text) };
  }
  const first = new RegExp(`^${pieces[0]}`);
  const last = new RegExp(`${pieces[pieces.length - 1]}$`);
  const between = pieces
    .slice(1, -1)
    .filter((piece) => piece !== "")
    .map((piece) => new RegExp(piece, "g"));
  return {
    test(text) {
      let at = first.exec(text)?.[0].length ?? -1;
      for (const piece of between) {
        if (at < 0) return false;
        piece.lastIndex = at;
        const match = piece.exec(text);
        at = match ? match.index + match[0].length : -1;
      }
      // The rest is as long as the last piece at least, which then ends it.
      return at >= 0 && last.test(text.slice(at));
    },
  };
}
