import { escapeXml } from "./xml";

/** Code in colours, by the class names that Pygments uses, so that one style sheet serves both of our exports. */

const WORDS =
  "abstract and as assert async await break case catch class const continue debugger declare def default del delete do elif else enum except export extends finally for from function get global if implements import in instanceof interface is keyof lambda let namespace new nonlocal not of or pass public private protected raise readonly return satisfies set static super switch this throw try type typeof var void while with yield";
const CONSTANTS = "true false null undefined NaN Infinity True False None";
const words = new Set(WORDS.split(" "));
const constants = new Set(CONSTANTS.split(" "));

/**
 * Where a comment, string, number or word begins; a comment or string is then followed to its end by `endOf`, so that
 * no length of it costs more than one look.
 */
const PIECES = {
  slashes:
    /(\/\/|\/\*)|(["'`])|(\b(?:0[xob][\da-f_]+|\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?)n?\b)|([\p{L}_$][\p{L}\p{N}_$]*)/giu,
  hashes: /(#)|("""|'''|["'])|(\b(?:0[xob][\da-f_]+|\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?)j?\b)|([\p{L}_][\p{L}\p{N}_]*)/giu,
} as const;

/** What ends a piece by what began it; a string of one line also ends before the line's end. */
const ENDS: Readonly<Record<string, RegExp>> = {
  "//": /(?=\n)/g,
  "#": /(?=\n)/g,
  "/*": /\*\//g,
  '"""': /"""/g,
  "'''": /'''/g,
  '"': /"|\\[^]|(?=\n)/g,
  "'": /'|\\[^]|(?=\n)/g,
  "`": /`|\\[^]/g,
};

/** Where the comment or string ends whose beginning `start` lies before `from`. */
function endOf(code: string, start: string, from: number): number {
  const end = ENDS[start];
  end.lastIndex = from;
  for (let match = end.exec(code); match; match = end.exec(code))
    if (!match[0].startsWith("\\")) return match.index + match[0].length;
  return code.length;
}

/** `code` as HTML. `language`: a name such as "typescript" or "python"; others are treated like TypeScript. */
export function highlight(code: string, language: string): string {
  const pattern = /^(i?python|ruby|r|bash|sh|julia|yaml)/i.test(language) ? PIECES.hashes : PIECES.slashes;
  const out: string[] = [];
  let at = 0;
  pattern.lastIndex = 0;
  for (let match = pattern.exec(code); match; match = pattern.exec(code)) {
    const [piece, comment, string, number, word] = match;
    const kind =
      comment !== undefined
        ? "c"
        : string !== undefined
          ? "s"
          : number !== undefined
            ? "m"
            : word !== undefined && words.has(word)
              ? "k"
              : word !== undefined && constants.has(word)
                ? "kc"
                : undefined;
    if (kind === undefined) continue;
    if (kind === "c" || kind === "s") pattern.lastIndex = endOf(code, piece, match.index + piece.length);
    out.push(
      escapeXml(code.slice(at, match.index)),
      `<span class="${kind}">${escapeXml(code.slice(match.index, pattern.lastIndex))}</span>`,
    );
    at = pattern.lastIndex;
  }
  return `<pre>${out.join("")}${escapeXml(code.slice(at))}</pre>`;
}

const ANSI = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

/** A line that was written over shows what was written last. */
function lastWritten(text: string): string {
  if (!text.includes("\r")) return text;
  return text
    .replace(/\r\n/g, "\n")
    .split("\n")
    .map((line) => (line.length > 1 ? line.slice(line.lastIndexOf("\r", line.length - 2) + 1) : line))
    .join("\n");
}

/**
 * Terminal output as HTML: colours become the classes that nbconvert uses; other control sequences vanish, and one that
 * was never finished stays text.
 */
export function ansiHtml(text: string): string {
  let bold = false;
  let color = "";
  const lines = lastWritten(text);
  const out: string[] = [];
  // Text since the last change of looks.
  let plain: string[] = [];
  const flush = (): void => {
    const html = escapeXml(plain.join(""));
    plain = [];
    const classes = [bold ? "ansi-bold" : "", color].filter(Boolean).join(" ");
    out.push(classes && html ? `<span class="${classes}">${html}</span>` : html);
  };
  let at = 0;
  // The letter is no part of what is repeated before it: nothing is tried twice.
  for (const match of lines.matchAll(/\u001b\[([\d;?]*)([A-Za-z]?)/g)) {
    const [sequence, parameters, letter] = match;
    if (letter === "") continue;
    plain.push(lines.slice(at, match.index));
    at = match.index + sequence.length;
    if (letter !== "m" || parameters.includes("?")) continue;
    flush();
    for (const code of (parameters || "0").split(";").map(Number)) {
      if (code === 0) [bold, color] = [false, ""];
      else if (code === 1) bold = true;
      else if (code === 22) bold = false;
      else if (code === 39) color = "";
      else if (code >= 30 && code <= 37) color = `ansi-${ANSI[code - 30]}-fg`;
      else if (code >= 90 && code <= 97) color = `ansi-${ANSI[code - 90]}-intense-fg`;
    }
  }
  plain.push(lines.slice(at));
  flush();
  return out.join("");
}
