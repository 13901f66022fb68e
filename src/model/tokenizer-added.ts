/**
 * Added tokens: found whole in a text before the model sees the rest, as the `tokenizers` library (0.23) finds them.
 */
import type { Normalizer } from "./tokenizer-text";

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Only between words: no letter, digit or joiner beside it. */
  readonly single_word: boolean;
  /** Takes the blanks before it. */
  readonly lstrip: boolean;
  /** Takes the blanks behind it. */
  readonly rstrip: boolean;
  /** Looked for in the normalised text, and itself normalised; otherwise in the text as it is. */
  readonly normalized: boolean;
  readonly special: boolean;
}

/** A stretch of text, or the token that was found there. `first`: it is where the text begins. */
export interface Section {
  readonly text: string;
  readonly token?: AddedToken;
  readonly first: boolean;
}

interface Node {
  token?: AddedToken;
  readonly children: Map<string, Node>;
}

/** Finds the longest of some tokens at the leftmost place. */
class Finder {
  readonly #root: Node = { children: new Map() };

  constructor(tokens: Iterable<readonly [content: string, token: AddedToken]>) {
    for (const [content, token] of tokens) {
      if (content === "") continue;
      let node = this.#root;
      for (let i = 0; i < content.length; i++) {
        let next = node.children.get(content[i]);
        if (next === undefined) node.children.set(content[i], (next = { children: new Map() }));
        node = next;
      }
      // The first of equal ones, as in an Aho-Corasick automaton.
      node.token ??= token;
    }
  }

  split(text: string, isFirst: boolean): Section[] {
    const sections: Section[] = [];
    let begin = 0;
    const push = (from: number, to: number, token?: AddedToken): void => {
      if (to > from)
        sections.push({ text: text.slice(from, to), first: isFirst && from === 0, ...(token && { token }) });
    };
    for (let i = 0; i < text.length;) {
      const match = this.#root.children.has(text[i]) ? this.#longest(text, i) : undefined;
      if (match === undefined) {
        i++;
        continue;
      }
      const { token, end } = match;
      let [from, to] = [i, end];
      i = end;
      if (
        token.single_word &&
        (endsInWord(text.slice(Math.max(0, from - 2), from)) || BEGINS_WITH_WORD.test(text.slice(to, to + 2)))
      )
        continue;
      if (token.lstrip) {
        while (from > begin && BLANK.test(text[from - 1])) from--;
        // Blanks that the token before has taken.
        from = Math.max(from, begin);
      }
      if (token.rstrip) {
        while (to < text.length && BLANK.test(text[to])) to++;
      }
      push(begin, from);
      push(from, to, token);
      begin = to;
    }
    push(begin, text.length);
    return sections;
  }

  #longest(text: string, at: number): { readonly token: AddedToken; readonly end: number } | undefined {
    let found: { token: AddedToken; end: number } | undefined;
    let node: Node | undefined = this.#root;
    for (let i = at; i < text.length;) {
      node = node.children.get(text[i++]);
      if (node === undefined) break;
      if (node.token !== undefined) found = { token: node.token, end: i };
    }
    return found;
  }
}

const BLANK = /\p{White_Space}/u;
const WORD = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200c\\u200d]";
const BEGINS_WITH_WORD = new RegExp(`^${WORD}`, "u");
const ENDS_WITH_WORD = new RegExp(`${WORD}$`, "u");

function endsInWord(text: string): boolean {
  return ENDS_WITH_WORD.test(text);
}

/** Cuts texts at added tokens and normalises the rest. */
export class AddedTokens {
  readonly #raw: Finder;
  readonly #normalized: Finder;

  constructor(
    tokens: readonly AddedToken[],
    private readonly normalizer: Normalizer | undefined,
  ) {
    this.#raw = new Finder(tokens.filter((token) => !token.normalized).map((token) => [token.content, token]));
    this.#normalized = new Finder(
      tokens.filter((token) => token.normalized).map((token) => [normalizer?.(token.content) ?? token.content, token]),
    );
  }

  split(text: string): Section[] {
    return this.#raw
      .split(text, true)
      .flatMap((section) =>
        section.token !== undefined
          ? [section]
          : this.#normalized.split(this.normalizer?.(section.text) ?? section.text, section.first),
      );
  }
}
