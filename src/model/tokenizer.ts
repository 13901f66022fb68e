import { Tokenizer as Encoder } from "@huggingface/tokenizers";
import type { Tokenizer } from "./files";
import type { Token } from "./types";
import { ModelFileError } from "./errors";

/** The parts of a tokenizer.json that decide how a token's text is read. */
export interface TokenizerJson {
  readonly model: { readonly type?: string; readonly vocab: unknown; readonly byte_fallback?: boolean };
  readonly added_tokens?: readonly { readonly id: number; readonly content: string }[];
  readonly normalizer?: unknown;
  readonly pre_tokenizer?: unknown;
  readonly decoder?: unknown;
}

/** How vocabulary strings spell text: GPT-2's printable stand-ins for bytes, SentencePiece's ▁ and <0xE2>, or plainly. */
type Spelling = "bytes" | "sentencepiece" | "plain";

/** A tokenizer from the two files of the hub's layout. Throws `ModelFileError`. */
export function createTokenizer(origin: string, json: unknown, config: unknown): Tokenizer {
  if (typeof json !== "object" || json === null || !("model" in json)) {
    throw new ModelFileError(`${origin} is not a tokenizer file: it has no "model".`);
  }
  let encoder: Encoder;
  try {
    encoder = new Encoder(json, (config ?? {}) as object);
  } catch (error) {
    throw new ModelFileError(`${origin} cannot be used: ${error instanceof Error ? error.message : String(error)}.`);
  }
  return new HubTokenizer(encoder, json as TokenizerJson);
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
