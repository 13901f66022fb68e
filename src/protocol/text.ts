/**
 * Token text for people: blanks and control characters become visible marks, nothing else changes. The result is still
 * plain text; whoever shows it inserts it as text, never as markup.
 */

const NAMED: Readonly<Record<string, string>> = {
  " ": "·",
  "\u00a0": "⍽",
  "\u3000": "□",
  "\n": "↵",
  "\r": "␍",
  "\t": "⇥",
};

/**
 * Characters that take no ink or turn the writing direction around: shown by their code point, so that a token made of
 * them is not an empty box, and so that text after them is not reordered. Joiners inside a word or an emoji do their
 * work.
 */

const HIDDEN =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|^[\u200c\u200d\ufe00-\ufe0f]|[\u200c\u200d]$/gu;

/** `text` with visible blanks. An empty text reads "∅". */
export function visibleText(text: string): string {
  if (text === "") return "∅";
  return text
    .replace(/[ \u00a0\u3000\n\r\t]/g, (blank) => NAMED[blank])
    .replace(HIDDEN, (hidden) => `⟨${hidden.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

/** `visibleText`, cut to `length` user-perceived characters with an ellipsis. */
export function shortText(text: string, length: number): string {
  const visible = visibleText(text.length > 4 * length + 64 ? text.slice(0, 4 * length + 64) : text);
  const letters = [...new Intl.Segmenter().segment(visible)].map((part) => part.segment);
  return letters.length <= length ? visible : `${letters.slice(0, Math.max(1, length - 1)).join("")}…`;
}
