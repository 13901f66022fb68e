/**
 * What a tokenizer.json does to a text before its model sees it: normalisation and splitting, as the `tokenizers`
 * library (0.23) does both.
 */
import { Component, kindOf } from "./tokenizer-fields";
import { compilePattern } from "./tokenizer-patterns";

export type Normalizer = (text: string) => string;

/** A stretch of text between cuts; `first`: it is where the text begins. */
export interface Piece {
  readonly text: string;
  readonly first: boolean;
}
export type Splitter = (pieces: readonly Piece[]) => Piece[];

const FORMS = ["NFC", "NFD", "NFKC", "NFKD"] as const;

/** The normalizer of a component; undefined where there is none. */
export function normalizerOf(step: Component | undefined): Normalizer | undefined {
  if (step === undefined) return undefined;
  const { type } = step;
  switch (type) {
    case "Sequence": {
      step.only("normalizers");
      const inner = step.components("normalizers").map((part) => normalizerOf(part) as Normalizer);
      return (text) => inner.reduce((result, part) => part(result), text);
    }
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD": {
      step.only();
      const form = FORMS.find((name) => name === type);
      return (text) => text.normalize(form);
    }
    case "Lowercase":
      step.only();
      return lowercase;
    case "Strip": {
      step.only("strip_left", "strip_right");
      const [left, right] = [step.flag("strip_left"), step.flag("strip_right")];
      return (text) => strip(text, left, right);
    }
    case "StripAccents":
      step.only();
      return (text) => text.replace(/\p{M}/gu, "");
    case "Prepend": {
      step.only("prepend");
      const prepend = step.string("prepend");
      return (text) => (text === "" ? text : prepend + text);
    }
    case "Replace": {
      step.only("pattern", "content");
      const pattern = patternOf(step);
      const content = step.string("content");
      return (text) => text.replace(pattern, () => content);
    }
    case "ByteLevel":
      step.only();
      return toStandIns;
    case "BertNormalizer":
      return bertNormalizer(step);
    case "Precompiled":
      return precompiled(step);
    default:
      throw step.refuse(
        `of type ${JSON.stringify(type)} is not supported; BertNormalizer, ByteLevel, Lowercase, NFC, NFD, NFKC, NFKD, Precompiled, Prepend, Replace, Sequence, Strip and StripAccents are`,
      );
  }
}

/** The splitter of a component; undefined where there is none. */
export function splitterOf(step: Component | undefined): Splitter | undefined {
  if (step === undefined) return undefined;
  const { type } = step;
  switch (type) {
    case "Sequence": {
      step.only("pretokenizers");
      const inner = step.components("pretokenizers").map((part) => splitterOf(part) as Splitter);
      return (pieces) => inner.reduce<Piece[]>((result, part) => part(result), [...pieces]);
    }
    case "BertPreTokenizer": {
      step.only();
      return chain(cut(/\p{White_Space}/gu, "removed", false), cut(PUNCTUATION, "isolated", false));
    }
    case "ByteLevel": {
      step.only("add_prefix_space", "trim_offsets", "use_regex");
      step.flag("trim_offsets", true);
      const blank = step.flag("add_prefix_space");
      const split = step.flag("use_regex", true) ? cut(GPT2_SPLIT, "isolated", false) : undefined;
      return (pieces) => {
        const begun = blank
          ? pieces.map(({ text, first }) => ({ text: text.startsWith(" ") ? text : ` ${text}`, first }))
          : pieces;
        return (split === undefined ? begun : split(begun)).map(({ text, first }) => ({
          text: toStandIns(text),
          first,
        }));
      };
    }
    case "CharDelimiterSplit": {
      step.only("delimiter");
      const delimiter = character(step, "delimiter");
      return cut(literal(delimiter), "removed", false);
    }
    case "Digits": {
      step.only("individual_digits");
      return cut(/\p{N}/gu, step.flag("individual_digits") ? "isolated" : "contiguous", false);
    }
    case "FixedLength": {
      step.only("length");
      const length = step.count("length");
      if (length === 0) throw step.refuse('has "length": 0, but a whole number from 1 is needed');
      return (pieces) =>
        pieces.flatMap(({ text, first }) => {
          const characters = [...text];
          const result: Piece[] = [];
          for (let i = 0; i < characters.length; i += length)
            result.push({ text: characters.slice(i, i + length).join(""), first: first && i === 0 });
          return result;
        });
    }
    case "Metaspace":
      return metaspace(step);
    case "Punctuation":
      step.only("behavior");
      return cut(PUNCTUATION, behavior(step, "Isolated"), false);
    case "Split":
      step.only("pattern", "behavior", "invert");
      return cut(patternOf(step), behavior(step), step.flag("invert"));
    case "Whitespace":
      step.only();
      return cut(WORDS, "removed", true);
    case "WhitespaceSplit":
      step.only();
      return cut(/\p{White_Space}/gu, "removed", false);
    default:
      throw step.refuse(
        `of type ${JSON.stringify(type)} is not supported; BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits, FixedLength, Metaspace, Punctuation, Sequence, Split, Whitespace and WhitespaceSplit are`,
      );
  }
}

const GPT2_SPLIT =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const PUNCTUATION = /[!-/:-@[-`{-~\p{P}]/gu;
/** What the `regex` crate takes for \w: unlike in other steps without superscripts, but with the joiners. */
const WORDS =
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d\p{White_Space}]+/gu;

const chain =
  (...splitters: Splitter[]): Splitter =>
  (pieces) =>
    splitters.reduce<Piece[]>((result, splitter) => splitter(result), [...pieces]);

type Behavior = "removed" | "isolated" | "contiguous" | "mergedwithprevious" | "mergedwithnext";

function behavior(step: Component, fallback?: string): Behavior {
  return step
    .choice("behavior", ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"], fallback)
    .toLowerCase() as Behavior;
}

/** Cuts at matches; `invert`: at what lies between them. */
export function cut(pattern: RegExp, how: Behavior, invert: boolean): Splitter {
  return (pieces) => pieces.flatMap((piece) => cutPiece(piece, pattern, how, invert));
}

function cutPiece({ text, first }: Piece, pattern: RegExp, how: Behavior, invert: boolean): Piece[] {
  const parts: { from: number; to: number; match: boolean }[] = [];
  let end = 0;
  for (const { index, 0: found } of text.matchAll(pattern)) {
    if (index > end) parts.push({ from: end, to: index, match: invert });
    end = index + found.length;
    parts.push({ from: index, to: end, match: !invert });
  }
  if (end < text.length) parts.push({ from: end, to: text.length, match: invert });
  let merged = parts;
  if (how === "removed") merged = parts.filter(({ match }) => !match);
  else if (how !== "isolated") {
    merged = [];
    let previous = false;
    const backwards = how === "mergedwithnext";
    for (const part of backwards ? parts.reverse() : parts) {
      const last = merged[merged.length - 1] as (typeof parts)[number] | undefined;
      const join =
        how === "contiguous"
          ? last !== undefined && last.match === part.match
          : part.match && !previous && last !== undefined;
      if (join && last !== undefined) {
        if (backwards) last.from = part.from;
        else last.to = part.to;
      } else merged.push({ ...part });
      previous = part.match;
    }
    if (backwards) merged.reverse();
  }
  return merged
    .filter(({ from, to }) => to > from)
    .map(({ from, to }) => ({ text: text.slice(from, to), first: first && from === 0 }));
}

function patternOf(step: Component): RegExp {
  const pattern = step.record("pattern");
  const [[kind, source] = ["", undefined]] = Object.entries(pattern);
  if (Object.keys(pattern).length !== 1 || (kind !== "Regex" && kind !== "String") || typeof source !== "string") {
    throw step.refuse(
      `has "pattern": ${kindOf(JSON.stringify(pattern))}, but {"Regex": a text} or {"String": a text} is needed`,
    );
  }
  if (kind === "String") return literal(source);
  try {
    return compilePattern(source);
  } catch (error) {
    throw step.refuse(`cannot be used: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export function literal(text: string): RegExp {
  return new RegExp(text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "gu");
}

function character(step: Component, name: string, fallback?: string): string {
  const value = step.string(name, fallback);
  if ([...value].length !== 1) throw step.refuse(`has "${name}": ${kindOf(value)}, but one character is needed`);
  return value;
}

function metaspace(step: Component): Splitter {
  step.only("replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep");
  const blank = character(step, "replacement");
  step.string("str_rep", blank);
  const split = step.nullable("split") || step.flag("split");
  const declared = step.choice("prepend_scheme", ["always", "first", "never"], "always");
  const prefix = step.nullable("add_prefix_space") || step.flag("add_prefix_space");
  if (!prefix && declared !== "never" && step.fields.prepend_scheme !== undefined)
    throw step.refuse(`has "add_prefix_space": false and "prepend_scheme": "${declared}", which contradict each other`);
  const scheme = prefix ? declared : "never";
  const cutter = cut(literal(blank), "mergedwithnext", false);
  return (pieces) => {
    const begun = pieces.map(({ text, first }) => {
      const spelled = text.replaceAll(" ", () => blank);
      const prepend = (scheme === "always" || (scheme === "first" && first)) && !spelled.startsWith(blank);
      return { text: prepend ? blank + spelled : spelled, first };
    });
    return split ? cutter(begun) : begun;
  };
}

/** One character at a time: what a letter becomes does not depend on its neighbours (a Greek sigma at a word's end). */
function lowercase(text: string): string {
  return text.includes("\u03a3") ? Array.from(text, (one) => one.toLowerCase()).join("") : text.toLowerCase();
}

function strip(text: string, left: boolean, right: boolean): string {
  let [from, to] = [0, text.length];
  const blank = /\p{White_Space}/u;
  if (left) while (from < to && blank.test(text[from])) from++;
  if (right) while (to > from && blank.test(text[to - 1])) to--;
  return text.slice(from, to);
}

function bertNormalizer(step: Component): Normalizer {
  step.only("clean_text", "handle_chinese_chars", "strip_accents", "lowercase");
  const [clean, chinese, lower] = [step.flag("clean_text"), step.flag("handle_chinese_chars"), step.flag("lowercase")];
  const accents = step.nullable("strip_accents") ? lower : step.flag("strip_accents");
  return (text) => {
    let result = text;
    if (clean)
      result = result.replace(/[\0\ufffd]|(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}]/gu, "").replace(/\p{White_Space}/gu, " ");
    if (chinese)
      result = result.replace(
        /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu,
        " $& ",
      );
    if (accents) result = result.normalize("NFD").replace(/\p{Mn}/gu, "");
    return lower ? lowercase(result) : result;
  };
}

/**
 * SentencePiece's compiled rules: a double-array trie of what is replaced, and the replacements, each ended by a zero.
 */
function precompiled(step: Component): Normalizer {
  step.only("precompiled_charsmap");
  if (step.nullable("precompiled_charsmap")) return (text) => text;
  const bytes = Buffer.from(step.string("precompiled_charsmap"), "base64");
  const size = bytes.length < 4 ? 0 : bytes.readUInt32LE(0);
  if (bytes.length < 4 || size % 4 !== 0 || 4 + size > bytes.length)
    throw step.refuse('has a "precompiled_charsmap" that is cut off or damaged');
  const trie = new Uint32Array(size / 4);
  for (let i = 0; i < trie.length; i++) trie[i] = bytes.readUInt32LE(4 + 4 * i);
  const replacements = bytes.subarray(4 + size);
  const offset = (unit: number): number => ((unit >>> 10) << ((unit & 0x200) >>> 6)) >>> 0;
  /** What the shortest rule that this text begins with puts in the place of the whole of it. */
  const transform = (text: string): string | undefined => {
    if (trie.length === 0) return undefined;
    let node = offset(trie[0]);
    for (const byte of Buffer.from(text, "utf8")) {
      if (byte === 0) return undefined;
      node = (node ^ byte) >>> 0;
      const unit = trie[node] as number | undefined;
      if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return undefined;
      node = (node ^ offset(unit)) >>> 0;
      if (((unit >>> 8) & 1) === 1) {
        const from = (trie[node] ?? 0) & 0x7fffffff;
        const end = replacements.indexOf(0, from);
        return end < 0 ? undefined : replacements.toString("utf8", from, end);
      }
    }
    return undefined;
  };
  const graphemes = new Intl.Segmenter("und", { granularity: "grapheme" });
  return (text) => {
    let result = "";
    for (const { segment } of graphemes.segment(text)) {
      const whole = Buffer.byteLength(segment) < 6 ? transform(segment) : undefined;
      if (whole !== undefined) result += whole;
      else for (const one of segment) result += transform(one) ?? one;
    }
    return result;
  };
}

let standIns: Map<string, number> | undefined;
let spelled: string[] | undefined;

/** GPT-2's 256 printable characters → the byte that each stands for. */
export function byteOfStandIn(): ReadonlyMap<string, number> {
  if (standIns === undefined) {
    standIns = new Map();
    let next = 256;
    for (let byte = 0; byte < 256; byte++) {
      const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
      standIns.set(String.fromCodePoint(printable ? byte : next++), byte);
    }
  }
  return standIns;
}

/** A text's UTF-8 bytes in GPT-2's characters for them. */
export function toStandIns(text: string): string {
  if (/^[!-~]*$/.test(text)) return text;
  if (spelled === undefined) {
    spelled = [];
    for (const [one, byte] of byteOfStandIn()) spelled[byte] = one;
  }
  let result = "";
  for (const byte of Buffer.from(text, "utf8")) result += spelled[byte];
  return result;
}
