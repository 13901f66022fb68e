/** Tokenizers from the files of the hub's layout, as transformers 5.24 with tokenizers 0.23 reads them. */
import { ModelFileError } from "./errors";
import type { Tokenizer } from "./files";
import { AddedTokens, type AddedToken } from "./tokenizer-added";
import { Component, isRecord, kindOf, type Fields } from "./tokenizer-fields";
import { modelOf, type PieceModel } from "./tokenizer-models";
import { withDeadline } from "./tokenizer-patterns";
import { byteOfStandIn, normalizerOf, splitterOf, type Normalizer, type Splitter } from "./tokenizer-text";
import type { Token } from "./types";

export { byteOfStandIn };

/** What older repositories have instead of a tokenizer.json. */
export interface PairFiles {
  readonly vocab: unknown;
  /** The text of merges.txt. */
  readonly merges: string;
  /** added_tokens.json, tokenizer_config.json and special_tokens_map.json; {} where there is none. */
  readonly added: unknown;
  readonly config: unknown;
  readonly specialTokens: unknown;
}

/**
 * GPT-2's byte-level BPE from vocab.json and merges.txt, as GPT2Tokenizer of transformers 5.24 makes it: where
 * tokenizer_config.json has an added_tokens_decoder the older files are not looked at. Throws `ModelFileError`.
 */
export function pairTokenizer(origin: string, files: PairFiles): Tokenizer {
  const config = record(origin, "tokenizer_config.json", files.config);
  const current = config.added_tokens_decoder !== undefined;
  const older = current ? {} : record(origin, "special_tokens_map.json", files.specialTokens);
  const added = Object.entries(current ? {} : record(origin, "added_tokens.json", files.added));
  for (const [content, id] of added) {
    if (!isId(id))
      throw new ModelFileError(
        `${origin}: the added_tokens.json beside it gives ${kindOf(content)} the id ${kindOf(id)}, but a whole number from 0 is needed.`,
      );
  }
  const settings: Fields = {
    ...Object.fromEntries(["bos_token", "eos_token", "unk_token"].map((role) => [role, "<|endoftext|>"])),
    ...config,
    ...older,
  };
  const read = new Component(origin, "the tokenizer_config.json beside it", config);
  const flag = (name: string): boolean => !read.nullable(name) && read.flag(name);
  const step = { type: "ByteLevel", add_prefix_space: flag("add_prefix_space"), trim_offsets: true, use_regex: true };
  const roles = new Map(
    rolesOf(origin, Object.fromEntries(ROLES.map((role) => [role, settings[role]])), {}).map((token) => [
      token.content,
      token,
    ]),
  );
  const lines = files.merges.split("\n").map((line) => line.replace(/\r$/, ""));
  const content = (role: string): string[] =>
    rolesOf(origin, { [role]: settings[role] }, {}).map((token) => token.content);
  return create(
    origin,
    {
      added_tokens: added
        .sort(([, a], [, b]) => (a as number) - (b as number))
        .map(([text, id]) => ({
          single_word: false,
          lstrip: false,
          rstrip: false,
          normalized: true,
          special: false,
          ...roles.get(text),
          id,
          content: text,
        })),
      pre_tokenizer: step,
      decoder: { ...step, add_prefix_space: true },
      model: {
        type: "BPE",
        vocab: files.vocab,
        merges: lines.filter((line, i) => line !== "" && !(i === 0 && line.startsWith("#version"))),
      },
    },
    settings,
    {},
    {
      before: flag("add_bos_token") ? content("bos_token") : [],
      after: flag("add_eos_token") ? content("eos_token") : [],
    },
  );
}

/**
 * A tokenizer from a tokenizer.json and what lies beside it. Every component and field of the file is used, or refused
 * by name. Throws `ModelFileError`.
 */
export function createTokenizer(origin: string, json: unknown, config: unknown, specialTokens?: unknown): Tokenizer {
  return create(origin, json, config, specialTokens);
}

/** `ends`: tokens around a text that do not come from the file's post-processor. */
function create(
  origin: string,
  json: unknown,
  config: unknown,
  specialTokens: unknown,
  ends?: { readonly before: readonly string[]; readonly after: readonly string[] },
): Tokenizer {
  if (typeof json !== "object" || json === null || !("model" in json)) {
    throw new ModelFileError(`${origin} is not a tokenizer file: it has no "model".`);
  }
  const file = Component.of(origin, "the file", json);
  const root = new Component(origin, "", file.fields);
  file.only(
    "version",
    "truncation",
    "padding",
    "added_tokens",
    "normalizer",
    "pre_tokenizer",
    "post_processor",
    "decoder",
    "model",
  );
  checkLengths(root);
  const modelPart = Component.of(origin, "model", file.fields.model);
  const normalizer = root.component("normalizer");
  const preTokenizer = root.component("pre_tokenizer");
  const decoder = root.component("decoder");
  checkDecoder(decoder);
  const model = modelOf(modelPart);
  const added = addedOf(
    root,
    model,
    record(origin, "tokenizer_config.json", config),
    record(origin, "special_tokens_map.json", specialTokens),
  );
  const idsOf = (texts: readonly string[]): number[] =>
    texts.flatMap((text) => added.filter((token) => token.content === text).map((token) => token.id));
  const parts = {
    origin,
    model,
    normalizer: normalizerOf(normalizer),
    splitter: splitterOf(preTokenizer),
    added,
    around:
      ends === undefined
        ? aroundOf(root.component("post_processor"))
        : { before: idsOf(ends.before), after: idsOf(ends.after) },
    spelling: spellingOf([decoder, preTokenizer, normalizer], modelPart),
  };
  return new HubTokenizer(parts);
}

function record(origin: string, name: string, value: unknown): Fields {
  if (value === undefined || value === null) return {};
  if (!isRecord(value))
    throw new ModelFileError(`${origin}: the ${name} beside it must be a JSON object, not ${kindOf(value)}.`);
  return value;
}

/** Cutting off and padding are for batches: transformers turns both off where a call does not ask for them. */
function checkLengths(root: Component): void {
  root.component("truncation")?.only("direction", "max_length", "strategy", "stride");
  root.component("padding")?.only("strategy", "direction", "pad_to_multiple_of", "pad_id", "pad_type_id", "pad_token");
}

const ROLES = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"] as const;

/**
 * The added tokens of all files: those of tokenizer.json, then of tokenizer_config.json's added_tokens_decoder, then
 * those that have a role and are none yet. Ids follow from the order, whatever the file says: a token of the vocabulary
 * has its id there, others count on from the vocabulary's size.
 */
function addedOf(root: Component, model: PieceModel, config: Fields, specialTokens: Fields): AddedToken[] {
  const { origin } = root;
  const listed = root.nullable("added_tokens") ? [] : root.items("added_tokens");
  const found = new Map<string, AddedToken>();
  let last = -1;
  const add = (token: Omit<AddedToken, "id">): void => {
    if (token.content === "" || found.has(token.content)) return;
    const id = model.vocab.get(token.content) ?? Math.max(model.vocab.size, last + 1);
    last = Math.max(last, id);
    found.set(token.content, { ...token, id });
  };
  listed.forEach((value, i) => {
    const token = Component.of(origin, `added_tokens[${i}]`, value);
    token.only("id", "content", "single_word", "lstrip", "rstrip", "normalized", "special");
    token.count("id");
    add(flagsOf(token));
  });
  const decoder = config.added_tokens_decoder ?? {};
  const where = `${origin}: tokenizer_config.json beside it: added_tokens_decoder`;
  if (!isRecord(decoder)) throw new ModelFileError(`${where} must be an object, not ${kindOf(decoder)}.`);
  // Objects list whole numbers in their order.
  for (const [key, value] of Object.entries(decoder)) {
    if (!/^\d+$/.test(key)) throw new ModelFileError(`${where} has the key ${kindOf(key)}, but token ids are needed.`);
    add(flagsOf(Component.of(origin, `added_tokens_decoder[${key}] of the tokenizer_config.json beside it`, value)));
  }
  for (const token of rolesOf(origin, config, specialTokens)) add(token);
  return [...found.values()];
}

function flagsOf(token: Component): Omit<AddedToken, "id"> {
  const special = token.flag("special", false);
  return {
    content: token.string("content"),
    special,
    single_word: token.flag("single_word", false),
    lstrip: token.flag("lstrip", false),
    rstrip: token.flag("rstrip", false),
    normalized: token.flag("normalized", !special),
  };
}

/** Tokens that tokenizer_config.json, or special_tokens_map.json where that is silent, give a role. */
export function rolesOf(origin: string, config: Fields, specialTokens: Fields): Omit<AddedToken, "id">[] {
  const result: Omit<AddedToken, "id">[] = [];
  const take = (name: string, value: unknown): void => {
    if (value === undefined || value === null) return;
    if (typeof value === "string")
      result.push({
        content: value,
        special: true,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
      });
    else if (isRecord(value))
      result.push({
        ...flagsOf(new Component(origin, `${name} of the tokenizer_config.json beside it`, value)),
        special: true,
      });
    else
      throw new ModelFileError(
        `${origin}: ${name} of the tokenizer_config.json or special_tokens_map.json beside it must be a text or an object with "content", not ${kindOf(value)}.`,
      );
  };
  for (const role of ROLES) take(role, config[role] ?? specialTokens[role]);
  for (const name of ["additional_special_tokens", "extra_special_tokens"]) {
    const values = config[name] ?? specialTokens[name] ?? [];
    if (!Array.isArray(values) && !isRecord(values))
      throw new ModelFileError(
        `${origin}: ${name} of the tokenizer_config.json or special_tokens_map.json beside it must be a list, not ${kindOf(values)}.`,
      );
    for (const value of Object.values(values)) take(name, value);
  }
  return result;
}

/** Ids that go before and behind a text. */
interface Around {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

function aroundOf(step: Component | undefined): Around {
  if (step === undefined) return { before: [], after: [] };
  switch (step.type) {
    case "Sequence": {
      step.only("processors");
      return step
        .components("processors")
        .map(aroundOf)
        .reduce(
          (inner, outer) => ({ before: [...outer.before, ...inner.before], after: [...inner.after, ...outer.after] }),
          { before: [], after: [] },
        );
    }
    case "ByteLevel":
      step.only("add_prefix_space", "trim_offsets", "use_regex");
      return { before: [], after: [] };
    case "BertProcessing":
      step.only("sep", "cls");
      return { before: [endId(step, "cls")], after: [endId(step, "sep")] };
    case "RobertaProcessing":
      step.only("sep", "cls", "trim_offsets", "add_prefix_space");
      return { before: [endId(step, "cls")], after: [endId(step, "sep")] };
    case "TemplateProcessing":
      return template(step);
    default:
      throw step.refuse(
        `of type ${JSON.stringify(step.type)} is not supported; BertProcessing, ByteLevel, RobertaProcessing, Sequence and TemplateProcessing are`,
      );
  }
}

/** The id of a pair of token and id. */
function endId(step: Component, name: string): number {
  const pair = step.items(name);
  if (pair.length !== 2 || typeof pair[0] !== "string" || !isId(pair[1]))
    throw step.refuse(`has "${name}": ${kindOf(JSON.stringify(pair))}, but a token and its id are needed`);
  return pair[1];
}

function isId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffffffff;
}

function template(step: Component): Around {
  step.only("single", "pair", "special_tokens");
  const special = step.record("special_tokens");
  const [before, after]: [number[], number[]] = [[], []];
  let texts = 0;
  step.items("single").forEach((item, i) => {
    const place = `${step.place}.single[${i}]`;
    const [[kind, body] = ["", undefined]] = Object.entries(Component.of(step.origin, place, item).fields);
    const part = new Component(step.origin, place, isRecord(body) ? body : {});
    const id = part.string("id");
    if (kind === "Sequence" && id === "A") texts++;
    else if (kind === "SpecialToken") {
      const ids = Component.of(
        step.origin,
        `${step.place}.special_tokens[${JSON.stringify(id)}]`,
        Object.hasOwn(special, id) ? special[id] : undefined,
      ).items("ids");
      if (!ids.every(isId))
        throw step.refuse(
          `gives ${JSON.stringify(id)} the ids ${kindOf(JSON.stringify(ids))}, but whole numbers from 0 are needed`,
        );
      (texts === 0 ? before : after).push(...(ids as number[]));
    } else
      throw part.refuse(
        `is ${kindOf(JSON.stringify(item))}, but the text ({"Sequence": {"id": "A"}}) or a special token is needed`,
      );
  });
  if (texts !== 1)
    throw step.refuse(`has a template with the text ${texts === 0 ? "left out" : "repeated"}, but it is needed once`);
  return { before, after };
}

const DECODERS: Readonly<Record<string, readonly string[]>> = {
  BPEDecoder: ["suffix"],
  ByteFallback: [],
  ByteLevel: ["add_prefix_space", "trim_offsets", "use_regex"],
  CTC: ["pad_token", "word_delimiter_token", "cleanup"],
  Fuse: [],
  Metaspace: ["replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"],
  Replace: ["pattern", "content"],
  Strip: ["content", "start", "stop"],
  WordPiece: ["prefix", "cleanup"],
};

/** Decoders say how tokens are spelled; nothing is decoded with them, but what they cannot be must be known. */
function checkDecoder(step: Component | undefined): void {
  if (step === undefined) return;
  if (step.type === "Sequence") {
    step.only("decoders");
    step.components("decoders").forEach(checkDecoder);
    return;
  }
  if (!Object.hasOwn(DECODERS, step.type))
    throw step.refuse(
      `of type ${JSON.stringify(step.type)} is not supported; ${Object.keys(DECODERS).join(", ")} and Sequence are`,
    );
  step.only(...DECODERS[step.type]);
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

/** How vocabulary strings spell text. */
interface Spelling {
  /** GPT-2's printable stand-ins for bytes. */
  readonly standIns: boolean;
  /** What stands for a blank (SentencePiece's ▁). */
  readonly blank?: string;
  /** `<0xE2>` is a byte. */
  readonly bytes: boolean;
  /** What ends a word, and stands for the blank behind it. */
  readonly suffix?: string;
}

function spellingOf(components: readonly (Component | undefined)[], model: Component): Spelling {
  const steps = components.flatMap(flatten);
  const standIns = steps.some((step) => step.type === "ByteLevel");
  const metaspace = steps.find((step) => step.type === "Metaspace");
  const blank =
    metaspace !== undefined ? metaspace.string("replacement") : steps.map(blankOf).find((text) => text !== undefined);
  const bytes = model.fields.byte_fallback === true || steps.some((step) => step.type === "ByteFallback");
  const suffix =
    typeof model.fields.end_of_word_suffix === "string" && model.fields.end_of_word_suffix !== ""
      ? model.fields.end_of_word_suffix
      : undefined;
  return {
    standIns,
    bytes,
    ...(suffix !== undefined && { suffix }),
    ...(blank !== undefined ? { blank } : bytes && { blank: "\u2581" }),
  };
}

/** What a replacing step puts in a blank's place, or (a decoder) a blank in the place of. */
function blankOf(step: Component): string | undefined {
  if (step.type !== "Replace" || !isRecord(step.fields.pattern)) return undefined;
  const { content, pattern } = step.fields as { readonly content: unknown; readonly pattern: Fields };
  if (pattern.String === " " && typeof content === "string" && content !== "") return content;
  return content === " " && typeof pattern.String === "string" && pattern.String !== "" ? pattern.String : undefined;
}

/** The steps of a component, sequences opened. */
function flatten(component: Component | undefined): Component[] {
  if (component === undefined) return [];
  const inner = ["decoders", "pretokenizers", "normalizers"].find((name) => Array.isArray(component.fields[name]));
  return inner === undefined ? [component] : component.components(inner).flatMap(flatten);
}

function readSpelling(raw: string, { standIns, blank, bytes, suffix }: Spelling): string {
  if (standIns) {
    const map = byteOfStandIn();
    const found: number[] = [];
    for (const character of raw) {
      const byte = map.get(character);
      // A character that stands for no byte: the string is text as it is (added tokens of some vocabularies).
      if (byte === undefined) return raw;
      found.push(byte);
    }
    return readBytes(Uint8Array.from(found));
  }
  if (bytes) {
    const byte = /^<0x([0-9A-F]{2})>$/.exec(raw);
    if (byte !== null) return readBytes(Uint8Array.of(Number.parseInt(byte[1], 16)));
  }
  const spaced = blank === undefined ? raw : raw.replaceAll(blank, " ");
  return suffix !== undefined && spaced.endsWith(suffix) ? `${spaced.slice(0, -suffix.length)} ` : spaced;
}

/** Ways to spell a text that no UTF-8 has: a half of a surrogate pair alone. */
const HALVES = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** A text as its UTF-8 bytes have it: halves of characters become U+FFFD. */
export function wellFormed(text: string): string {
  return text.replace(HALVES, "\ufffd");
}

/**
 * What a text may take, and a millisecond for 20 characters more: patterns and vocabularies come from strangers, and
 * both can be made to take for ever.
 */
const SECONDS = 3;

class HubTokenizer implements Tokenizer {
  readonly size: number;
  readonly #texts = new Map<number, string>();
  readonly #added: AddedTokens;

  constructor(
    private readonly parts: {
      readonly origin: string;
      readonly model: PieceModel;
      readonly normalizer?: Normalizer;
      readonly splitter?: Splitter;
      readonly added: readonly AddedToken[];
      readonly around: Around;
      readonly spelling: Spelling;
    },
  ) {
    const { model, added, normalizer, origin, spelling } = parts;
    let last = -1;
    for (const [token, id] of model.vocab) {
      last = Math.max(last, id);
      this.#texts.set(id, token);
    }
    for (const [id, token] of this.#texts) this.#texts.set(id, readSpelling(token, spelling));
    for (const { id, content, special } of added) {
      last = Math.max(last, id);
      // What was found in a text as it stands is shown so; runs of ▁ (Gemma's) are blanks like those in other tokens.
      const spelled =
        !special &&
        !spelling.standIns &&
        model.vocab.has(content) &&
        spelling.blank !== undefined &&
        content.replaceAll(spelling.blank, "") === "";
      if (!spelled) this.#texts.set(id, content);
    }
    this.size = last + 1;
    this.#added = this.#limited(0, () => new AddedTokens(added, normalizer), `${origin}: its normalizer`);
  }

  #limited<T>(length: number, step: () => T, what: string): T {
    const ms = SECONDS * 1000 + length / 20;
    try {
      return withDeadline(
        Math.ceil(ms),
        `${what} takes more than ${Math.ceil(ms / 1000)} s for this text, probably by a pattern that backtracks; give token ids instead.`,
        step,
      );
    } catch (error) {
      if (error instanceof ModelFileError) throw error;
      throw new ModelFileError(
        `${what} cannot be used on this text: ${error instanceof Error ? error.message : String(error)}.`,
      );
    }
  }

  encode(text: string, options: { readonly addSpecialTokens?: boolean } = {}): number[] {
    const { origin, around } = this.parts;
    const ids = this.#limited(text.length, () => this.#encode(wellFormed(text)), origin);
    return (options.addSpecialTokens ?? true) ? [...around.before, ...ids, ...around.after] : ids;
  }

  #encode(text: string): number[] {
    const { model, splitter } = this.parts;
    const ids: number[] = [];
    for (const section of this.#added.split(text)) {
      if (section.token !== undefined) ids.push(section.token.id);
      else if (splitter === undefined) model.encode(section.text, ids);
      else for (const piece of splitter([section])) model.encode(piece.text, ids);
    }
    return ids;
  }

  token(id: number): Token {
    return { id, text: this.#texts.get(id) ?? `<unused ${id}>` };
  }
}

/** UTF-8 as text; each byte that is no part of a whole character shows as `<0xE2>`. */
export function readBytes(bytes: Uint8Array): string {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "";
  for (let i = 0; i < bytes.length;) {
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
