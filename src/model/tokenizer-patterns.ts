/** Patterns of tokenizer files as JavaScript's, and the deadline that ends those that would backtrack for ever. */
import * as library from "@huggingface/tokenizers";
import { Script, createContext } from "node:vm";
import { ModelFileError } from "./errors";

/** The part of the library that rewrites patterns; its own types do not name it. */
const { ReplaceNormalizer } = library as unknown as {
  readonly ReplaceNormalizer: new (config: object) => { readonly pattern: RegExp | null };
};

/**
 * An Oniguruma pattern (what tokenizer.json holds) as JavaScript's, global and by code points. Throws a plain error for
 * what has no counterpart here.
 */
export function compilePattern(source: string): RegExp {
  const foreign = /(?<!\\)(?:\\\\)*(\\G|\\K|\\R|\\X|\(\?>|\(\?~|\(\?(?!i:)[a-z-]+[:)])/.exec(source);
  if (foreign !== null) throw new Error(`"${foreign[1]}" in the pattern ${shown(source)} is not supported`);
  let pattern: RegExp | null;
  try {
    ({ pattern } = new ReplaceNormalizer({ type: "Replace", pattern: { Regex: possessive(source) }, content: "" }));
  } catch (error) {
    throw new Error(
      `the pattern ${shown(source)} is not understood (${error instanceof Error ? error.message : String(error)})`,
    );
  }
  if (pattern === null) throw new Error(`the pattern ${shown(source)} is not understood`);
  return pattern;
}

function shown(source: string): string {
  return JSON.stringify(source.length > 80 ? `${source.slice(0, 80)}…` : source);
}

/**
 * Possessive quantifiers, which JavaScript lacks, as a lookahead whose group is then taken: it is never entered again.
 */
function possessive(source: string): string {
  if (!/[?*+]\+/.test(source)) return source;
  // Where each open group began, and where the last whole item did.
  const open: number[] = [];
  let out = "";
  let atom = 0;
  let groups = 0;
  for (let i = 0; i < source.length;) {
    const item =
      /^(?:\\[pPx]\{[^}]*\}|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\.|\(\?(?:<?[=!]|:|i:|<[A-Za-z_]\w*>)|\(|\)|\||[?*+]\+?|\{\d*,?\d*\}\??|.)/su.exec(
        source.slice(i),
      )?.[0] ?? source[i];
    i += item.length;
    if (item.startsWith("(")) {
      open.push(out.length);
      out += item;
    } else if (item === ")") {
      atom = open.pop() ?? 0;
      out += item;
    } else if (item === "[") {
      const length = classLength(source.slice(i - 1));
      atom = out.length;
      out += source.slice(i - 1, i - 1 + length);
      i += length - 1;
    } else if (/^[?*+]\+$/.test(item)) {
      const name = `possessive${groups++}`;
      out = `${out.slice(0, atom)}(?:(?=(?<${name}>${out.slice(atom)}${item[0]}))\\k<${name}>)`;
    } else {
      if (!/^(?:[?*+]|\{\d*,?\d*\}\??|\|)$/.test(item)) atom = out.length;
      out += item;
    }
  }
  return out;
}

/** Length of the character class that this text begins with. */
function classLength(text: string): number {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "[") {
      depth++;
      if (text[i + 1] === "^") i++;
      // Directly after the beginning it is a character like others.
      if (text[i + 1] === "]") i++;
    } else if (text[i] === "]" && --depth === 0) return i + 1;
  }
  return text.length;
}

let deadline: { readonly context: { task?: () => void }; readonly script: Script } | undefined;

/**
 * Runs a step and ends it when it takes longer than `ms`: V8 stops also inside a pattern that backtracks. Throws a
 * `ModelFileError` with `sentence` then.
 */
export function withDeadline<T>(ms: number, sentence: string, step: () => T): T {
  deadline ??= { context: createContext({}), script: new Script("task()") };
  let result: { value: T } | undefined;
  const outer = deadline.context.task;
  deadline.context.task = () => {
    result = { value: step() };
  };
  try {
    deadline.script.runInContext(deadline.context, { timeout: ms });
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code === "ERR_SCRIPT_EXECUTION_TIMEOUT")
      throw new ModelFileError(sentence);
    throw error;
  } finally {
    deadline.context.task = outer;
  }
  return (result as { value: T }).value;
}
