/** The models of a tokenizer.json: pieces of text to ids, as the `tokenizers` library (0.23) does it. */
import { ModelFileError, list } from "./errors";
import { type Component, kindOf } from "./tokenizer-fields";

export interface PieceModel {
  readonly vocab: ReadonlyMap<string, number>;
  /** Ids of one piece, pushed onto `ids`. */
  encode(piece: string, ids: number[]): void;
}

/** Kinds of tokenizer models that can be used. */
const KINDS: readonly string[] = ["BPE", "Unigram", "WordPiece"];

export function modelOf(model: Component): PieceModel {
  const { origin, fields } = model;
  const type = fields.type === undefined ? untyped(model) : model.type;
  switch (type) {
    case "BPE":
      return bpe(model);
    case "Unigram":
      return unigram(model);
    case "WordPiece":
      return wordPiece(model);
    default:
      throw new ModelFileError(`${origin}: tokenizer model "${type}" is not supported; ${list(KINDS)} are.`);
  }
}

/** Old files leave the type to be seen from the fields. */
function untyped(model: Component): string {
  if (Array.isArray(model.fields.vocab)) return "Unigram";
  return model.fields.merges === undefined && model.fields.max_input_chars_per_word !== undefined ? "WordPiece" : "BPE";
}

function vocabOf(model: Component): Map<string, number> {
  const vocab = new Map<string, number>();
  for (const [token, id] of Object.entries(model.record("vocab"))) vocab.set(token, checkedId(model, token, id));
  return vocab;
}

/** Ids are unsigned 32-bit numbers. */
function checkedId(model: Component, token: string, id: unknown): number {
  if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > 0xffffffff)
    throw model.refuse(`gives the token ${kindOf(token)} the id ${kindOf(id)}, but a whole number from 0 is needed`);
  return id as number;
}

function bpe(model: Component): PieceModel {
  model.only(
    "dropout",
    "unk_token",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "fuse_unk",
    "byte_fallback",
    "ignore_merges",
    "vocab",
    "merges",
  );
  const { origin, fields } = model;
  if (!model.nullable("continuing_subword_prefix") && model.string("continuing_subword_prefix") !== "") {
    throw new ModelFileError(
      `${origin}: BPE whose pieces inside words are marked ("continuing_subword_prefix": ${JSON.stringify(fields.continuing_subword_prefix)}) is not supported; BPE without marks, WordPiece and Unigram are.`,
    );
  }
  if (!model.nullable("dropout") && fields.dropout !== 0)
    throw model.refuse(
      `has "dropout": ${kindOf(fields.dropout)}, which makes ids random and is not supported; null is`,
    );
  const optional = (name: string): string | undefined => (model.nullable(name) ? undefined : model.string(name));
  const unknown = optional("unk_token");
  const vocab = vocabOf(model);
  return new BytePairs(vocab, pairsOf(model), {
    origin,
    unknown,
    suffix: optional("end_of_word_suffix") ?? "",
    fuse: !model.nullable("fuse_unk") && model.flag("fuse_unk"),
    bytes: !model.nullable("byte_fallback") && model.flag("byte_fallback"),
    whole: !model.nullable("ignore_merges") && model.flag("ignore_merges"),
  });
}

function pairsOf(model: Component): [string, string][] {
  return model.items("merges").map((merge, i) => {
    const pair = typeof merge === "string" ? merge.split(" ") : merge;
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== "string" || typeof pair[1] !== "string") {
      throw new ModelFileError(
        `${model.origin}: ${model.place}.merges[${i}] is ${kindOf(merge)}, but two pieces are needed, as "a b" or ["a", "b"].`,
      );
    }
    return [pair[0], pair[1]];
  });
}

export interface PairOptions {
  readonly origin: string;
  readonly unknown?: string;
  readonly suffix?: string;
  readonly fuse?: boolean;
  readonly bytes?: boolean;
  readonly whole?: boolean;
  /**
   * llama.cpp's way: pieces are texts that need not be tokens; what is no token at the end goes byte by byte, or is
   * left out.
   */
  readonly loose?: boolean;
}

interface Symbol {
  /** Below 0: a character without a place, or one that was merged into its left neighbour. */
  place: number;
  text: string;
  prev: number;
  next: number;
}

const MAX_CACHED = 256;

/** Byte-pair encoding: neighbours are merged, the earliest rule first, the leftmost place first. */
export class BytePairs implements PieceModel {
  /** Texts of pieces → their places below; a text that is no token has one too where `loose`. */
  readonly #places = new Map<string, number>();
  /** The id at each place; -1: no token. */
  readonly #idAt: number[] = [];
  /** Two places in one number → the rule's rank and what comes out. */
  readonly #rules = new Map<number, { readonly rank: number; readonly place: number }>();
  readonly #cache = new Map<string, readonly number[]>();

  constructor(
    readonly vocab: ReadonlyMap<string, number>,
    merges: readonly (readonly [string, string])[],
    private readonly options: PairOptions,
  ) {
    const placeOfId = new Map<number, number>();
    for (const [token, id] of vocab) {
      // Tokens of one id are one.
      const place = placeOfId.get(id) ?? this.#idAt.push(id) - 1;
      placeOfId.set(id, place);
      this.#places.set(token, place);
    }
    merges.forEach(([left, right], rank) => {
      const key = pairKey(this.#placeOf(left, left, right, rank), this.#placeOf(right, left, right, rank));
      const place = this.#placeOf(left + right, left, right, rank);
      // Of equal rules llama.cpp takes the first, tokenizers the last.
      if (!options.loose || !this.#rules.has(key)) this.#rules.set(key, { rank, place });
    });
  }

  #placeOf(text: string, left: string, right: string, rank: number): number {
    const known = this.#places.get(text);
    if (known !== undefined) return known;
    if (!this.options.loose) {
      throw new ModelFileError(
        `${this.options.origin}: the merge ${rank + 1} of the vocabulary (${kindOf(left)} with ${kindOf(right)}) names ${kindOf(text)}, which is no token of it.`,
      );
    }
    const next = this.#idAt.push(-1) - 1;
    this.#places.set(text, next);
    return next;
  }

  encode(piece: string, ids: number[]): void {
    if (piece === "") return;
    if (this.options.whole) {
      const id = this.vocab.get(piece);
      if (id !== undefined) {
        ids.push(id);
        return;
      }
    }
    let found = this.#cache.get(piece);
    if (found === undefined) {
      found = this.#merge(this.#symbols(piece));
      if (piece.length < MAX_CACHED) {
        if (this.#cache.size >= 10_000) this.#cache.clear();
        this.#cache.set(piece, found);
      }
    }
    for (const id of found) ids.push(id);
  }

  #symbols(piece: string): Symbol[] {
    const { suffix = "", bytes, unknown, fuse, loose, origin } = this.options;
    const symbols: Symbol[] = [];
    const add = (place: number, text: string): void => {
      symbols.push({ place, text, prev: symbols.length - 1, next: symbols.length + 1 });
    };
    const characters = [...piece];
    let pending: string | undefined;
    const unknownPlace = (): number => {
      const id = this.#places.get(unknown as string);
      if (id === undefined)
        throw new ModelFileError(
          `${origin}: the text has a character that the vocabulary lacks, and its "unk_token" (${kindOf(unknown)}) is no token either.`,
        );
      return id;
    };
    characters.forEach((character, i) => {
      const text = i === characters.length - 1 ? character + suffix : character;
      const place = this.#places.get(text);
      if (place !== undefined || loose) {
        if (pending !== undefined) add(unknownPlace(), pending);
        pending = undefined;
        add(place ?? -1, text);
        return;
      }
      if (bytes) {
        const fallback = Array.from(Buffer.from(text, "utf8"), (byte) => this.#places.get(byteToken(byte)));
        if (fallback.every((byte) => byte !== undefined)) {
          for (const byte of fallback) add(byte, text);
          return;
        }
      }
      if (unknown === undefined) return;
      if (pending !== undefined && !fuse) add(unknownPlace(), pending);
      pending = pending !== undefined && fuse ? pending + text : text;
    });
    if (pending !== undefined) add(unknownPlace(), pending);
    if (symbols.length > 0) symbols[symbols.length - 1].next = -1;
    return symbols;
  }

  #merge(symbols: Symbol[]): number[] {
    const queue = new Heap();
    const consider = (left: number, right: number): void => {
      if (left < 0 || right < 0) return;
      const [a, b] = [symbols[left].place, symbols[right].place];
      const rule = a < 0 || b < 0 ? undefined : this.#rules.get(pairKey(a, b));
      if (rule !== undefined) queue.push(rule.rank, left, a, b, rule.place);
    };
    for (let i = 1; i < symbols.length; i++) consider(i - 1, i);
    for (let entry = queue.pop(); entry !== undefined; entry = queue.pop()) {
      const [, at, leftPlace, rightPlace, place] = entry;
      const left = symbols[at];
      if (left.place !== leftPlace || left.next < 0 || symbols[left.next].place !== rightPlace) continue;
      const right = symbols[left.next];
      left.place = place;
      if (this.options.loose) left.text += right.text;
      right.place = MERGED;
      left.next = right.next;
      if (right.next >= 0) symbols[right.next].prev = at;
      consider(left.prev, at);
      consider(at, left.next);
    }
    const ids: number[] = [];
    for (let i = symbols.length > 0 ? 0 : -1; i >= 0; i = symbols[i].next) {
      const { place, text } = symbols[i];
      const id = place < 0 ? -1 : this.#idAt[place];
      if (id >= 0) ids.push(id);
      else
        for (const one of text) {
          const part = this.vocab.get(one);
          if (part !== undefined) ids.push(part);
        }
    }
    return ids;
  }
}

const MERGED = -2;

/** Both places as one number; exact up to 2^26 places, which no vocabulary comes near. */
function pairKey(a: number, b: number): number {
  return a * 0x4000000 + b;
}

function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}

type Entry = readonly [rank: number, at: number, left: number, right: number, place: number];

/** A binary heap: lowest rank first, then leftmost. */
class Heap {
  readonly #entries: Entry[] = [];

  push(...entry: Entry): void {
    const entries = this.#entries;
    let i = entries.push(entry) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(entries[i], entries[parent])) break;
      [entries[i], entries[parent]] = [entries[parent], entries[i]];
      i = parent;
    }
  }

  pop(): Entry | undefined {
    const entries = this.#entries;
    const top = entries[0] as Entry | undefined;
    const last = entries.pop();
    if (last === undefined || entries.length === 0) return top;
    entries[0] = last;
    for (let i = 0; ;) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2])
        if (child < entries.length && before(entries[child], entries[least])) least = child;
      if (least === i) return top;
      [entries[i], entries[least]] = [entries[least], entries[i]];
      i = least;
    }
  }
}

function before(a: Entry, b: Entry): boolean {
  return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
}

/** A prefix tree over characters. */
interface Branch {
  id?: number;
  readonly children: Map<string, Branch>;
}

function unigram(model: Component): PieceModel {
  model.only("unk_id", "vocab", "byte_fallback");
  const entries = model.items("vocab");
  const bytes = !model.nullable("byte_fallback") && model.flag("byte_fallback");
  const unknown = model.nullable("unk_id") ? undefined : model.count("unk_id");
  if (unknown !== undefined && unknown >= entries.length)
    throw model.refuse(`has "unk_id": ${unknown}, but its vocabulary has ${entries.length} tokens`);
  const vocab = new Map<string, number>();
  const scores: number[] = [];
  const root: Branch = { children: new Map() };
  let least = Infinity;
  entries.forEach((entry, id) => {
    if (!Array.isArray(entry) || entry.length !== 2 || typeof entry[0] !== "string" || typeof entry[1] !== "number") {
      throw new ModelFileError(
        `${model.origin}: ${model.place}.vocab[${id}] is ${kindOf(entry)}, but a token with its score is needed, as ["a", -1.5].`,
      );
    }
    const [token, score] = entry as [string, number];
    vocab.set(token, id);
    scores.push(score);
    least = Math.min(least, score);
    let branch = root;
    for (const character of token) {
      let next = branch.children.get(character);
      if (next === undefined) branch.children.set(character, (next = { children: new Map() }));
      branch = next;
    }
    if (branch !== root) branch.id = id;
  });
  const missing = (): ModelFileError =>
    new ModelFileError(
      `${model.origin}: the text has a character that the vocabulary lacks, and there is no "unk_id" for it.`,
    );
  return {
    vocab,
    encode: (piece, ids) => {
      const characters = [...piece];
      const n = characters.length;
      const best = new Float64Array(n + 1);
      const from = new Int32Array(n + 1).fill(-1);
      const token = new Float64Array(n + 1).fill(-1);
      const offer = (end: number, score: number, start: number, id: number): void => {
        if (from[end] >= 0 && score <= best[end]) return;
        best[end] = score;
        from[end] = start;
        token[end] = id;
      };
      for (let start = 0; start < n; start++) {
        let single = false;
        let branch: Branch | undefined = root;
        for (let end = start; end < n; end++) {
          branch = branch.children.get(characters[end]);
          if (branch === undefined) break;
          if (branch.id === undefined) continue;
          offer(end + 1, scores[branch.id] + best[start], start, branch.id);
          if (end === start) single = true;
        }
        if (single) continue;
        if (unknown === undefined) throw missing();
        offer(start + 1, least - 10 + best[start], start, unknown);
      }
      // From the end backwards; unknown neighbours are one.
      const pieces: { from: number; to: number; unknown: boolean }[] = [];
      for (let end = n; end > 0; end = from[end]) {
        const isUnknown = unknown !== undefined && token[end] === unknown;
        const last = pieces[pieces.length - 1] as (typeof pieces)[number] | undefined;
        if (isUnknown && last?.unknown) last.from = from[end];
        else pieces.push({ from: from[end], to: end, unknown: isUnknown });
      }
      for (const part of pieces.reverse()) {
        const text = characters.slice(part.from, part.to).join("");
        const id = vocab.get(text);
        if (id !== undefined) {
          ids.push(id);
          continue;
        }
        const fallback = bytes
          ? Array.from(Buffer.from(text, "utf8"), (byte) => vocab.get(byteToken(byte)))
          : [undefined];
        if (fallback.every((byte) => byte !== undefined)) ids.push(...fallback);
        else if (unknown === undefined) throw missing();
        else ids.push(unknown);
      }
    },
  };
}

function wordPiece(model: Component): PieceModel {
  model.only("unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab");
  const vocab = vocabOf(model);
  const unknown = model.string("unk_token", "[UNK]");
  const mark = model.string("continuing_subword_prefix", "##");
  const most = model.count("max_input_chars_per_word", 100);
  let longest = 0;
  for (const token of vocab.keys()) longest = Math.max(longest, token.length);
  const unknownId = (): number => {
    const id = vocab.get(unknown);
    if (id === undefined)
      throw new ModelFileError(
        `${model.origin}: the text has a word that the vocabulary cannot spell, and its "unk_token" (${kindOf(unknown)}) is no token either.`,
      );
    return id;
  };
  return {
    vocab,
    encode: (piece, ids) => {
      const characters = [...piece];
      if (characters.length > most) {
        ids.push(unknownId());
        return;
      }
      const found: number[] = [];
      for (let start = 0; start < characters.length;) {
        let id: number | undefined;
        let end = Math.min(characters.length, start + longest);
        for (; end > start; end--) {
          id = vocab.get((start > 0 ? mark : "") + characters.slice(start, end).join(""));
          if (id !== undefined) break;
        }
        if (id === undefined) {
          ids.push(unknownId());
          return;
        }
        found.push(id);
        start = end;
      }
      ids.push(...found);
    },
  };
}
