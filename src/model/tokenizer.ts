import { Tokenizer as Encoder } from "@huggingface/tokenizers";
import type { Tokenizer } from "./files";
import type { Token } from "./types";
import { ModelFileError, list } from "./errors";

/** The parts of a tokenizer.json that decide how a token's text is read. */
export interface TokenizerJson {
  readonly model: { readonly type?: string; readonly vocab: unknown; readonly byte_fallback?: boolean; readonly continuing_subword_prefix?: string | null };
  readonly added_tokens?: readonly { readonly id: number; readonly content: string }[];
  readonly normalizer?: unknown;
  readonly pre_tokenizer?: unknown;
  readonly decoder?: unknown;
  readonly post_processor?: unknown;
}

/** How vocabulary strings spell text: GPT-2's printable stand-ins for bytes, SentencePiece's ▁ and <0xE2>, or plainly. */
type Spelling = "bytes" | "sentencepiece" | "plain";

/** Kinds of tokenizer models that can be used. */
const KINDS: readonly string[] = ["BPE", "Unigram", "WordPiece"];

/** A tokenizer from the two files of the hub's layout. Throws `ModelFileError`. */
export function createTokenizer(origin: string, json: unknown, config: unknown): Tokenizer {
  if (typeof json !== "object" || json === null || !("model" in json)) {
    throw new ModelFileError(`${origin} is not a tokenizer file: it has no "model".`);
  }
  const { type = "BPE" } = (json as TokenizerJson).model ?? {};
  if (!KINDS.includes(type)) throw new ModelFileError(`${origin}: tokenizer model "${type}" is not supported; ${list(KINDS)} are.`);
  if (type === "BPE" && (json as TokenizerJson).model.continuing_subword_prefix) {
    throw new ModelFileError(`${origin}: BPE whose pieces inside words are marked ("continuing_subword_prefix": ${JSON.stringify((json as TokenizerJson).model.continuing_subword_prefix)}) is not supported; BPE without marks, WordPiece and Unigram are.`);
  }
  const settings = (typeof config === "object" && config !== null ? config : {}) as TokenizerConfig;
  const complete = withEnds(
    { post_processor: null, decoder: null, ...json, normalizer: exactStrips((json as TokenizerJson).normalizer ?? null), added_tokens: allAdded(json as TokenizerJson, settings), pre_tokenizer: exactSplits((json as TokenizerJson).pre_tokenizer ?? null) } as TokenizerJson,
    settings,
  );
  let encoder: Encoder;
  try {
    encoder = new Encoder(complete, settings);
  } catch (error) {
    throw new ModelFileError(`${origin} cannot be used: ${error instanceof Error ? error.message : String(error)}.`);
  }
  return new HubTokenizer(encoder, complete);
}

/** The parts of a tokenizer_config.json that change what a text's ids are. */
interface TokenizerConfig {
  readonly add_bos_token?: unknown;
  readonly add_eos_token?: unknown;
  readonly bos_token?: unknown;
  readonly eos_token?: unknown;
  /** Id → token: fine-tuned models may have tokens here that tokenizer.json lacks. */
  readonly added_tokens_decoder?: Readonly<Record<string, { readonly content?: unknown }>>;
}

/** The added tokens of both files; those of tokenizer.json go first. */
function allAdded(json: TokenizerJson, config: TokenizerConfig): TokenizerJson["added_tokens"] {
  const added = [...(json.added_tokens ?? [])];
  const ids = new Set(added.map((token) => token.id));
  for (const [key, token] of Object.entries(config.added_tokens_decoder ?? {})) {
    const id = Number(key);
    if (Number.isSafeInteger(id) && !ids.has(id) && typeof token?.content === "string") added.push({ ...token, id, content: token.content });
  }
  return added;
}

/**
 * tokenizer_config.json can ask for BOS and EOS in its own words; where it does, that replaces what tokenizer.json says,
 * as in transformers.
 */
function withEnds(json: TokenizerJson, config: TokenizerConfig): TokenizerJson {
  if (config.add_bos_token === undefined && config.add_eos_token === undefined) return json;
  const content = (token: unknown): string | undefined =>
    typeof token === "string" ? token : typeof token === "object" && token !== null && "content" in token ? String(token.content) : undefined;
  const bos = config.add_bos_token === true ? content(config.bos_token) : undefined;
  const eos = config.add_eos_token === true ? content(config.eos_token) : undefined;
  return { ...json, post_processor: aroundText(bos, eos) };
}

/** A post-processor that puts these tokens before and behind a text. */
export function aroundText(bos: string | undefined, eos: string | undefined): unknown {
  const special = (token: string | undefined): unknown[] => (token === undefined ? [] : [{ SpecialToken: { id: token, type_id: 0 } }]);
  const single = [...special(bos), { Sequence: { id: "A", type_id: 0 } }, ...special(eos)];
  return { type: "TemplateProcessing", single, pair: single, special_tokens: {} };
}

const GPT2_SPLIT = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

const split = (regex: string): Step => ({ type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false });
const sequence = (...pretokenizers: unknown[]): Step => ({ type: "Sequence", pretokenizers });

/** What the `regex` crate takes for \w: unlike in other steps without superscripts, but with the joiners. */
const WORD = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200c\\u200d";

interface SplittingStep extends Step {
  readonly pretokenizers?: unknown[];
  readonly individual_digits?: boolean;
  readonly use_regex?: boolean;
  readonly add_prefix_space?: boolean;
  readonly split?: boolean;
  readonly replacement?: string;
  readonly pattern?: { readonly Regex?: string; readonly String?: string };
  readonly behavior?: string;
  readonly invert?: boolean;
}

/**
 * The same splits in words that `@huggingface/tokenizers` follows exactly: it takes digits and blanks for JavaScript's
 * instead of Unicode's in some steps, knows two of the five behaviours of Split, and does not cut at ▁ where Metaspace says so.
 */
function exactSplits(component: unknown): unknown {
  if (typeof component !== "object" || component === null) return component;
  const step = component as SplittingStep;
  switch (step.type) {
    case "Sequence":
      return { ...step, pretokenizers: (step.pretokenizers ?? []).map(exactSplits) };
    case "Digits":
      return split(step.individual_digits ? "\\p{N}" : "\\p{N}+");
    case "Whitespace":
      return { ...split(`[${WORD}]+|[^${WORD}\\s]+`), behavior: "Removed", invert: true };
    case "WhitespaceSplit":
      return { ...split("\\S+"), behavior: "Removed", invert: true };
    case "ByteLevel": {
      if (!(step.use_regex ?? true)) return step;
      // A blank goes first where there is none, which is what Metaspace does with a blank as its ▁.
      const prefix = step.add_prefix_space ? [{ type: "Metaspace", replacement: " ", prepend_scheme: "always" }] : [];
      return sequence(...prefix, split(GPT2_SPLIT), { ...step, add_prefix_space: false, use_regex: false });
    }
    case "Metaspace": {
      const blank = step.replacement ?? "\u2581";
      return (step.split ?? true) ? sequence(step, split(`${blank}[^${blank}]*|[^${blank}]+`)) : step;
    }
    case "Split":
      return exactSplit(step);
    default:
      return step;
  }
}

/** A Split step as one whose matches are the pieces. */
function exactSplit(step: SplittingStep): unknown {
  const { String: literal, Regex: regex = literal?.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&") } = step.pattern ?? {};
  const behavior = step.behavior?.toLowerCase().replaceAll("_", "");
  if (regex === undefined || behavior === "removed") return step;
  const others = `(?:(?!${regex})[\\s\\S])`;
  // Inverted, what is between the matches counts as matches. That changes nothing where each is a piece of its own.
  if (behavior === "isolated" || (step.invert && behavior === "contiguous")) return split(regex);
  if (behavior === "contiguous") return split(`(?:${regex})+`);
  const withPrevious = (behavior === "mergedwithprevious") !== (step.invert ?? false);
  return split(withPrevious ? `${others}*(?:${regex})|${others}+` : `(?:${regex})${others}*|${others}+`);
}

/** Strip in words that the library follows exactly: its blanks are JavaScript's. */
function exactStrips(component: unknown): unknown {
  if (typeof component !== "object" || component === null) return component;
  const step = component as Step & { readonly normalizers?: unknown[]; readonly strip_left?: boolean; readonly strip_right?: boolean };
  const remove = (regex: string): Step => ({ type: "Replace", pattern: { Regex: regex }, content: "" });
  if (step.type === "Sequence") return { ...step, normalizers: (step.normalizers ?? []).map(exactStrips) };
  if (step.type !== "Strip") return step;
  return { type: "Sequence", normalizers: [...(step.strip_left ? [remove("\\A\\s+")] : []), ...(step.strip_right ? [remove("\\s+\\z")] : [])] };
}

/**
 * What stands in for a tokenizer where a model comes without: token ids can be used, text is refused with `reason`, one
 * sentence.
 */
export function noTokenizer(reason: string): Tokenizer {
  return {
    size: 0,
    encode: () => {
      throw new ModelFileError(reason);
    },
    token: (id) => ({ id, text: `<unused ${id}>` }),
  };
}

class HubTokenizer implements Tokenizer {
  readonly size: number;
  private readonly spelling: Spelling;
  private readonly added: ReadonlyMap<number, string>;

  constructor(
    private readonly encoder: Encoder,
    json: TokenizerJson,
  ) {
    this.spelling = spellingOf(json);
    this.added = new Map((json.added_tokens ?? []).map((token) => [token.id, token.content]));
    let last = -1;
    for (const id of encoder.get_vocab(true).values()) last = Math.max(last, id);
    this.size = last + 1;
  }

  encode(text: string, options: { readonly addSpecialTokens?: boolean } = {}): number[] {
    return [...this.encoder.encode(text, { add_special_tokens: options.addSpecialTokens ?? true }).ids];
  }

  token(id: number): Token {
    const added = this.added.get(id);
    if (added !== undefined) return { id, text: added };
    const raw = this.encoder.id_to_token(id);
    if (raw === undefined) return { id, text: `<unused ${id}>` };
    return { id, text: readSpelling(raw, this.spelling) };
  }
}

function spellingOf(json: TokenizerJson): Spelling {
  const steps = [...flatten(json.decoder), ...flatten(json.pre_tokenizer), ...flatten(json.normalizer)];
  if (steps.some((step) => step.type === "ByteLevel")) return "bytes";
  const metaspace = steps.some((step) => step.type === "Metaspace" || JSON.stringify(step).includes("\u2581"));
  return metaspace || json.model.byte_fallback === true ? "sentencepiece" : "plain";
}

interface Step {
  readonly type?: string;
  readonly [key: string]: unknown;
}

/** The steps of a component, sequences opened. */
function flatten(component: unknown): Step[] {
  if (typeof component !== "object" || component === null) return [];
  const step = component as Step & { readonly decoders?: unknown[]; readonly pretokenizers?: unknown[]; readonly normalizers?: unknown[] };
  const inner = step.decoders ?? step.pretokenizers ?? step.normalizers;
  return inner === undefined ? [step] : inner.flatMap(flatten);
}

function readSpelling(raw: string, spelling: Spelling): string {
  if (spelling === "plain") return raw;
  if (spelling === "sentencepiece") {
    const byte = /^<0x([0-9A-F]{2})>$/.exec(raw);
    if (byte === null) return raw.replaceAll("\u2581", " ");
    const value = Number.parseInt(byte[1], 16);
    return value < 0x80 ? String.fromCharCode(value) : raw;
  }
  const map = byteOfStandIn();
  const bytes: number[] = [];
  for (const character of raw) {
    const byte = map.get(character);
    // A character that stands for no byte: the string is text as it is (added tokens of some vocabularies).
    if (byte === undefined) return raw;
    bytes.push(byte);
  }
  return readBytes(Uint8Array.from(bytes));
}

/** UTF-8 as text; each byte that is no part of a whole character shows as `<0xE2>`. */
export function readBytes(bytes: Uint8Array): string {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "";
  for (let i = 0; i < bytes.length; ) {
    const lead = bytes[i];
    const length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 0;
    let character: string | undefined;
    if (length > 0 && i + length <= bytes.length) {
      try {
        character = strict.decode(bytes.subarray(i, i + length));
      } catch {
        character = undefined;
      }
    }
    if (character === undefined) {
      text += `<0x${lead.toString(16).toUpperCase().padStart(2, "0")}>`;
      i += 1;
    } else {
      text += character;
      i += length;
    }
  }
  return text;
}

let standIns: Map<string, number> | undefined;

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
