/**
 * A tokenizer from a GGUF file's metadata. The vocabulary, merges or scores and token types there are put into the form
 * of a tokenizer.json, whose parts (how text is split, how spaces are spelled) follow from the names in the metadata.
 */
import type { GgufMetadata } from "./gguf-metadata";
import type { Tokenizer } from "./files";
import { ModelFileError, list } from "./errors";
import { aroundText, byteOfStandIn, createTokenizer, noTokenizer } from "./tokenizer";

/** llama.cpp's token types. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const AFTER_DIGITS = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const LLAMA3_SPLIT = `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}${AFTER_DIGITS}`;
const QWEN2_SPLIT = `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}${AFTER_DIGITS}`;
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const AFTER_DIGITS_SLASH = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const TEKKEN_SPLIT = `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*|\\p{N}${AFTER_DIGITS_SLASH}`;
const GPT4O_SPLIT = `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${CONTRACTIONS}?|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${CONTRACTIONS}?|\\p{N}{1,3}${AFTER_DIGITS_SLASH}`;
const BLOOM_SPLIT = " ?[^(\\s|[.,!?…。，、।۔،])]+";

type Json = Readonly<Record<string, unknown>>;

const split = (regex: string): Json => ({ type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false });
const byteLevel = (useRegex: boolean): Json => ({ type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: useRegex });
const steps = (...pretokenizers: Json[]): Json => ({ type: "Sequence", pretokenizers });

/** How text is split before merging, by llama.cpp's name for it (`tokenizer.ggml.pre`). */
interface PreTokenizer {
  readonly names: readonly string[];
  readonly steps: Json;
  /** Whole pieces that are in the vocabulary are taken without merging. */
  readonly ignoreMerges?: boolean;
  /** BOS is put first where the file does not say. */
  readonly bos?: boolean;
}

const PRE_TOKENIZERS: readonly PreTokenizer[] = [
  { names: ["gpt-2", "gpt2", "phi-2", "default", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0", "mellum", "mpt", "trillion", "granite-docling", "jais", "roberta-bpe", "olmo", "gptneox"], steps: byteLevel(true) },
  // transformers splits no digits when it reads SmolLM2's GGUF file, the model's own tokenizer every numeral. No token of
  // the vocabulary holds two ASCII digits, so that with these alone split ids equal both; ² and ① follow transformers.
  { names: ["smollm"], steps: steps(split("[0-9]"), byteLevel(true)) },
  { names: ["starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"], steps: steps({ type: "Digits", individual_digits: true }, byteLevel(true)) },
  { names: ["llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"], steps: steps(split(LLAMA3_SPLIT), byteLevel(false)), ignoreMerges: true, bos: true },
  { names: ["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"], steps: steps(split(LLAMA3_SPLIT), byteLevel(false)) },
  { names: ["qwen2", "deepseek-r1-qwen", "kormo", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2"], steps: steps(split(QWEN2_SPLIT), byteLevel(false)) },
  { names: ["tekken"], steps: steps(split(TEKKEN_SPLIT), byteLevel(false)), ignoreMerges: true },
  { names: ["gpt-4o", "llama4", "kanana2"], steps: steps(split(GPT4O_SPLIT), byteLevel(false)) },
  {
    names: ["falcon"],
    steps: steps(
      { type: "Punctuation", behavior: "Contiguous" },
      byteLevel(true),
      { type: "Digits", individual_digits: false },
      split("[0-9][0-9][0-9]"),
    ),
  },
  { names: ["bloom", "poro-chat", "gpt3-finnish"], steps: steps(split(BLOOM_SPLIT), byteLevel(false)) },
  {
    names: ["deepseek-coder"],
    steps: steps(split("[\\r\\n]"), split("\\s?\\p{L}+"), split("\\s?\\p{P}+"), split("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"), { type: "Digits", individual_digits: true }, byteLevel(false)),
  },
];

/** The tokenizer that the metadata describes. Throws `ModelFileError` for kinds and splits that are not known. */
export function ggufTokenizer(metadata: GgufMetadata): Tokenizer {
  const model = metadata.string("tokenizer.ggml.model", "none");
  if (model === "none" || model === "no_vocab") return noTokenizer(`${metadata.origin} has no vocabulary, so that text cannot be read; give token ids.`);
  if (model === "gpt2") return byteLevelTokenizer(metadata);
  if (model === "llama") return sentencePieceTokenizer(metadata);
  throw new ModelFileError(`${metadata.origin}: tokenizer model "${model}" is not supported; gpt2 (byte-level BPE) and llama (SentencePiece) are.`);
}

function byteLevelTokenizer(metadata: GgufMetadata): Tokenizer {
  const name = metadata.string("tokenizer.ggml.pre", "default");
  const pre = PRE_TOKENIZERS.find((candidate) => candidate.names.includes(name));
  if (pre === undefined) {
    throw new ModelFileError(`${metadata.origin}: pre-tokenizer "${name}" is not supported; ${list(PRE_TOKENIZERS.flatMap((candidate) => candidate.names))} are.`);
  }
  const tokens = metadata.strings("tokenizer.ggml.tokens");
  const alphabet = byteOfStandIn();
  const isSpelled = (token: string): boolean => [...token].every((character) => alphabet.has(character));
  // A control token outside the byte alphabet is kept too: as an added token it is matched as it stands.
  const added = addedTokens(metadata, tokens);
  const isAdded = new Set(added.map((token) => token.id));
  const spell = spelling(alphabet);
  const vocab: Record<string, number> = Object.create(null) as Record<string, number>;
  tokens.forEach((token, id) => {
    vocab[isSpelled(token) || isAdded.has(id) ? token : spell(token)] = id;
  });
  const merges = metadata.strings("tokenizer.ggml.merges").map((merge) => {
    // The first character of a piece can be a space in no byte-level vocabulary, so the first space separates.
    const space = merge.indexOf(" ");
    return [merge.slice(0, space), merge.slice(space + 1)];
  });
  return createTokenizer(
    metadata.origin,
    {
      version: "1.0",
      added_tokens: added,
      normalizer: null,
      pre_tokenizer: pre.steps,
      post_processor: beginning(metadata, tokens, pre.bos ?? false),
      decoder: { type: "ByteLevel" },
      model: { type: "BPE", vocab, merges, unk_token: null, byte_fallback: false, fuse_unk: false, ignore_merges: pre.ignoreMerges ?? false },
    },
    specialTokens(metadata, tokens),
  );
}

/** Spells text in GPT-2's characters for bytes. */
function spelling(alphabet: ReadonlyMap<string, number>): (token: string) => string {
  const standIn: string[] = [];
  for (const [character, byte] of alphabet) standIn[byte] = character;
  return (token) => [...Buffer.from(token, "utf8")].map((byte) => standIn[byte]).join("");
}

function sentencePieceTokenizer(metadata: GgufMetadata): Tokenizer {
  const gemma = metadata.architecture.startsWith("gemma");
  const phi3 = metadata.architecture === "phi3";
  let tokens = metadata.strings("tokenizer.ggml.tokens");
  // Gemma's runs of blanks are written as blanks in the file and looked up as ▁ in text.
  if (gemma) tokens = tokens.map((token) => (/^ {2,}$/.test(token) ? "\u2581".repeat(token.length) : token));
  const vocab: Record<string, number> = Object.create(null) as Record<string, number>;
  tokens.forEach((token, id) => {
    vocab[token] = id;
  });
  const scores = metadata.numbers("tokenizer.ggml.scores", []);
  // Gemma's scores do not follow the order in which its merges were learned; the order of the vocabulary does.
  const priority = gemma || scores.length !== tokens.length ? tokens.map((_, id) => -id) : scores;
  const prefix = metadata.flag("tokenizer.ggml.add_space_prefix", !gemma);
  const toBlank = { type: "Replace", pattern: { String: " " }, content: "\u2581" };
  const merges = metadata.has("tokenizer.ggml.merges")
    ? metadata.strings("tokenizer.ggml.merges").map((merge) => merge.split(" "))
    : mergesOf(tokens, vocab, priority);
  return createTokenizer(
    metadata.origin,
    {
      version: "1.0",
      added_tokens: addedTokens(metadata, tokens),
      normalizer: phi3 ? { type: "Sequence", normalizers: [...(prefix ? [{ type: "Prepend", prepend: "\u2581" }] : []), toBlank] } : gemma ? toBlank : null,
      pre_tokenizer: phi3 || gemma ? null : { type: "Metaspace", replacement: "\u2581", prepend_scheme: prefix ? "first" : "never", split: false },
      post_processor: beginning(metadata, tokens, true),
      decoder: { type: "Sequence", decoders: [{ type: "Replace", pattern: { String: "\u2581" }, content: " " }, { type: "ByteFallback" }, { type: "Fuse" }] },
      model: {
        type: "BPE", vocab, merges, byte_fallback: true, fuse_unk: true, ignore_merges: false,
        unk_token: tokens[metadata.number("tokenizer.ggml.unknown_token_id", 0)] ?? null,
      },
    },
    specialTokens(metadata, tokens),
  );
}

/**
 * The merges that a SentencePiece BPE vocabulary implies: every way to cut a piece into two pieces, best score first.
 * Ties are ordered as transformers orders them, by the lengths of the two pieces.
 */
function mergesOf(tokens: readonly string[], vocab: Readonly<Record<string, number>>, scores: readonly number[]): [string, string][] {
  // A Map: with 256 000 tokens some millions of pieces are looked up.
  const ids = new Map(Object.entries(vocab));
  const merges: { left: string; right: string; score: number; lengths: readonly [number, number]; order: readonly [number, number] }[] = [];
  tokens.forEach((token, id) => {
    if (ids.get(token) !== id) return;
    const characters = [...token];
    const local: typeof merges = [];
    let left = "";
    for (let i = 1; i < characters.length; i++) {
      left += characters[i - 1];
      const leftId = ids.get(left);
      if (leftId === undefined) continue;
      const right = token.slice(left.length);
      const rightId = ids.get(right);
      if (rightId !== undefined) local.push({ left, right, score: scores[id], lengths: [i, characters.length - i], order: [leftId, rightId] });
    }
    merges.push(...local.sort((a, b) => a.order[0] - b.order[0] || a.order[1] - b.order[1]));
  });
  merges.sort((a, b) => b.score - a.score || b.lengths[0] - a.lengths[0] || b.lengths[1] - a.lengths[1]);
  return merges.map(({ left, right }) => [left, right]);
}

/** Tokens that are found whole in a text before it is split. */
function addedTokens(metadata: GgufMetadata, tokens: readonly string[]): { readonly id: number; readonly content: string; readonly special: boolean }[] {
  const types = metadata.numbers("tokenizer.ggml.token_type", []);
  const named = new Set(ROLES.map(([key]) => metadata.number(`tokenizer.ggml.${key}_token_id`, -1)));
  return tokens.flatMap((content, id) => {
    const special = types[id] === CONTROL || types[id] === UNKNOWN || named.has(id);
    return special || types[id] === USER_DEFINED ? [{ id, content, special, single_word: false, lstrip: false, rstrip: false, normalized: false }] : [];
  });
}

/** GGUF's names of the tokens with a role, and the hub's. */
const ROLES = [["bos", "bos_token"], ["eos", "eos_token"], ["unknown", "unk_token"], ["padding", "pad_token"]] as const;

function specialTokens(metadata: GgufMetadata, tokens: readonly string[]): Json {
  const config: Record<string, unknown> = {};
  for (const [key, name] of ROLES) {
    const id = metadata.number(`tokenizer.ggml.${key}_token_id`, -1);
    if (tokens[id] !== undefined) config[name] = tokens[id];
  }
  return config;
}

/** What is put around a text: BOS and EOS, as the file says or as is usual for its kind of vocabulary. */
function beginning(metadata: GgufMetadata, tokens: readonly string[], bosByDefault: boolean): unknown {
  const bos = metadata.flag("tokenizer.ggml.add_bos_token", bosByDefault) ? tokens[metadata.number("tokenizer.ggml.bos_token_id", -1)] : undefined;
  const eos = metadata.flag("tokenizer.ggml.add_eos_token", false) ? tokens[metadata.number("tokenizer.ggml.eos_token_id", -1)] : undefined;
  return aroundText(bos, eos);
}
