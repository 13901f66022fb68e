import { escapeXml } from "./xml";

/** Code in colours, by the class names that Pygments uses, so that one style sheet serves both of our exports. */

const WORDS =
  "abstract and as assert async await break case catch class const continue debugger declare def default del delete do elif else enum except export extends finally for from function get global if implements import in instanceof interface is keyof lambda let namespace new nonlocal not of or pass public private protected raise readonly return satisfies set static super switch this throw try type typeof var void while with yield";
const CONSTANTS = "true false null undefined NaN Infinity True False None";
const words = new Set(WORDS.split(" "));
const constants = new Set(CONSTANTS.split(" "));

/** Comments, strings, numbers, words: in this order, wherever the last one ended. A pattern never looks further than its own piece. */
const PIECES = {
  slashes: /(\/\/[^\n]*|\/\*[^]*?(?:\*\/|$))|("(?:\\[^]|[^"\\\n])*"?|'(?:\\[^]|[^'\\\n])*'?|`(?:\\[^]|[^`\\])*`?)|(\b(?:0[xob][\da-f_]+|\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?)n?\b)|([\p{L}_$][\p{L}\p{N}_$]*)/giu,
  hashes: /(#[^\n]*)|("""[^]*?(?:"""|$)|'''[^]*?(?:'''|$)|"(?:\\[^]|[^"\\\n])*"?|'(?:\\[^]|[^'\\\n])*'?)|(\b(?:0[xob][\da-f_]+|\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?)j?\b)|([\p{L}_][\p{L}\p{N}_]*)/giu,
} as const;

/** `code` as HTML. `language`: a name such as "typescript" or "python"; others are treated like TypeScript. */
export function highlight(code: string, language: string): string {
  const pattern = /^(i?python|ruby|r|bash|sh|julia|yaml)/i.test(language) ? PIECES.hashes : PIECES.slashes;
  let out = "";
  let at = 0;
  for (const match of code.matchAll(pattern)) {
    const [piece, comment, string, number, word] = match;
    const kind = comment !== undefined ? "c" : string !== undefined ? "s" : number !== undefined ? "m" : word !== undefined && words.has(word) ? "k" : word !== undefined && constants.has(word) ? "kc" : undefined;
    if (kind === undefined) continue;
    out += `${escapeXml(code.slice(at, match.index))}<span class="${kind}">${escapeXml(piece)}</span>`;
    at = match.index + piece.length;
  }
  return `<pre>${out}${escapeXml(code.slice(at))}</pre>`;
}

const ANSI = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

/** Terminal output as HTML: colours become the classes that nbconvert uses; other control sequences vanish. */
export function ansiHtml(text: string): string {
  let bold = false;
  let color = "";
  // A line that was written over shows what was written last.
  const lines = text.replace(/\r\n/g, "\n").replace(/[^\n]*\r(?=[^\n])/g, "");
  return lines.split(/(\u001b\[[\d;]*m)/).map((piece) => {
    const codes = /^\u001b\[([\d;]*)m$/.exec(piece);
    if (!codes) {
      const html = escapeXml(piece.replace(/\u001b\[[\d;?]*[A-Za-ln-z]/g, ""));
      const classes = [bold ? "ansi-bold" : "", color].filter(Boolean).join(" ");
      return classes && html ? `<span class="${classes}">${html}</span>` : html;
    }
    for (const code of (codes[1] || "0").split(";").map(Number)) {
      if (code === 0) [bold, color] = [false, ""];
      else if (code === 1) bold = true;
      else if (code === 22) bold = false;
      else if (code === 39) color = "";
      else if (code >= 30 && code <= 37) color = `ansi-${ANSI[code - 30]}-fg`;
      else if (code >= 90 && code <= 97) color = `ansi-${ANSI[code - 90]}-intense-fg`;
    }
    return "";
  }).join("");
}
