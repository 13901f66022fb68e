/**
 * A tokenizer from a GGUF file's metadata, as llama.cpp reads it (src/llama-vocab.cpp of July 2026): where it and
 * transformers' reader of such files differ, the file is llama.cpp's. Prompts are read as its own programs read them:
 * special tokens are found in the text.
 */
import type { GgufMetadata } from "./gguf-metadata";
import type { Tokenizer } from "./files";
import { ModelFileError, list } from "./errors";
import { byteOfStandIn, noTokenizer, readBytes, wellFormed } from "./tokenizer";
import { BytePairs } from "./tokenizer-models";
import { compilePattern } from "./tokenizer-patterns";
import { ScoredPairs } from "./gguf-sentencepiece";
import { cut, toStandIns, type Splitter } from "./tokenizer-text";
import type { Token } from "./types";

/** llama.cpp's token types. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const BYTE = 6;

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const AFTER_DIGITS = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const LLAMA3_SPLIT = `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}${AFTER_DIGITS}`;
const QWEN2_SPLIT = `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}${AFTER_DIGITS}`;
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const AFTER_DIGITS_SLASH = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const TEKKEN_SPLIT = `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*|\\p{N}${AFTER_DIGITS_SLASH}`;
const GPT4O_SPLIT = `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${CONTRACTIONS}?|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${CONTRACTIONS}?|\\p{N}{1,3}${AFTER_DIGITS_SLASH}`;
const GPT2_SPLIT = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)";
const FALCON_PUNCTUATION = "[\\p{P}\\$\\+<=>\\^~\\|`]+";
const DEEPSEEK3_WORDS =
  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+";
const DEEPSEEK3_CJK = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+";
const CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+";
const NEWLINES = "[^\\n]+|[\\n]+";
/** llama.cpp knows letters, not their cases: a cased letter is one that is no ASCII letter of the other case. */
const ANY_UPPER = (letters: string): string => `(?:(?=[${letters}])[^a-z])`;
const ANY_LOWER = (letters: string): string => `(?:(?=[${letters}])[^A-Z])`;
const casedWords = (letters: string, end: string): string =>
  `[^\\r\\n\\p{L}\\p{N}]?${ANY_UPPER(letters)}*${ANY_LOWER(letters)}+${end}|[^\\r\\n\\p{L}\\p{N}]?${ANY_UPPER(letters)}+${ANY_LOWER(letters)}*${end}`;
const DEEPSEEK_LETTERS =
  "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}";
const BLOOM_SPLIT = " ?[^(\\s|[.,!?…。，、।۔،])]+";

/** How text is split before merging, by llama.cpp's name for it (`tokenizer.ggml.pre`). */
interface PreTokenizer {
  readonly names: readonly string[];
  /** Each cuts what the one before it left. */
  readonly splits: readonly string[];
  /**
   * The same once bytes are spelled in GPT-2's characters: some of those are numerals (Falcon's own tokenizer.json
   * splits there).
   */
  readonly spelledSplits?: readonly string[];
  /** Whole pieces that are in the vocabulary are taken without merging. */
  readonly ignoreMerges?: boolean;
  /** BOS is put first where the file does not say. */
  readonly bos?: boolean;
}

const PRE_TOKENIZERS: readonly PreTokenizer[] = [
  {
    names: [
      "gpt-2",
      "gpt2",
      "phi-2",
      "default",
      "jina-es",
      "jina-de",
      "jina-v1-en",
      "jina-v2-es",
      "jina-v2-de",
      "jina-v2-code",
      "gigachat",
      "a.x-4.0",
      "mellum",
      "modern-bert",
      "mpt",
      "trillion",
      "granite-docling",
      "jais",
      "roberta-bpe",
      "olmo",
      "gptneox",
      "exaone4",
    ],
    splits: [GPT2_SPLIT],
  },
  // No token of SmolLM's vocabulary holds two ASCII digits, so that with these alone split ids equal those of
  // llama.cpp, which splits at every numeral; \u00b2 and \u2460 follow the model's training data as transformers'
  // reader has it.
  { names: ["smollm"], splits: ["[0-9]", GPT2_SPLIT] },
  {
    names: ["starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"],
    splits: ["\\p{N}", GPT2_SPLIT],
  },
  {
    names: ["llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"],
    splits: [LLAMA3_SPLIT],
    ignoreMerges: true,
    bos: true,
  },
  { names: ["dbrx", "smaug-bpe", "chatglm-bpe"], splits: [LLAMA3_SPLIT] },
  { names: ["glm4", "glm5"], splits: [LLAMA3_SPLIT] },
  { names: ["minicpm5"], splits: ["\\p{N}{1,3}", LLAMA3_SPLIT.replace("{1,3}", "+")], ignoreMerges: true },
  {
    names: ["jais-2"],
    splits: [
      LLAMA3_SPLIT.replace(
        "|\\s+(?!\\S)|\\s+",
        `${[512, 256, 128, 64, 32, 16, 8, 4].map((n) => `|\\s{${n}}(?!\\S)`).join("")}|\\s{1,2}(?!\\S)|\\s{1}`,
      ),
    ],
  },
  {
    names: ["qwen2", "deepseek-r1-qwen", "kormo", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2", "f2llmv2"],
    splits: [QWEN2_SPLIT],
  },
  {
    names: ["qwen35"],
    splits: [
      `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
    ],
  },
  { names: ["ufakzeka"], splits: [QWEN2_SPLIT.slice(CONTRACTIONS.length + 1)] },
  { names: ["laguna"], splits: [NEWLINES, QWEN2_SPLIT] },
  {
    names: ["seed-coder"],
    splits: [
      `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
    ],
  },
  {
    names: ["bailingmoe", "bailingmoe2", "llada-moe"],
    splits: [
      "'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
    ],
  },
  {
    names: ["exaone-moe"],
    splits: [
      `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+`,
    ],
  },
  { names: ["tekken"], splits: [TEKKEN_SPLIT], ignoreMerges: true, bos: true },
  { names: ["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], splits: [GPT4O_SPLIT] },
  {
    names: ["granite-embed-multi-97m"],
    splits: [`${casedWords("\\p{L}\\p{M}", `${CONTRACTIONS}?`)}|\\p{N}{1,3}${AFTER_DIGITS_SLASH}`],
    ignoreMerges: true,
  },
  {
    names: ["youtu"],
    splits: [
      "[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+|[\u3105-\u312f]+|[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
      `[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+${CONTRACTIONS}?|\\p{N}${AFTER_DIGITS_SLASH}`,
    ],
    ignoreMerges: true,
  },
  { names: ["falcon"], splits: [FALCON_PUNCTUATION, GPT2_SPLIT], spelledSplits: ["\\p{N}+", "[0-9][0-9][0-9]"] },
  { names: ["bloom", "poro-chat", "gpt3-finnish"], splits: [BLOOM_SPLIT] },
  { names: ["viking"], splits: [BLOOM_SPLIT, "\\p{N}"] },
  {
    names: ["deepseek-llm"],
    splits: [
      "[\r\n]",
      `\\s?[${DEEPSEEK_LETTERS}]+`,
      "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
      "\\s+\\z",
      CJK,
      "\\p{N}+",
    ],
  },
  { names: ["deepseek-coder"], splits: ["[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK, "\\p{N}"] },
  {
    names: ["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
    splits: ["\\p{N}{1,3}", DEEPSEEK3_CJK, `${DEEPSEEK3_WORDS}[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+`],
  },
  {
    names: ["spark2_5"],
    splits: ["\\p{N}{1,3}", DEEPSEEK3_CJK, `${DEEPSEEK3_WORDS}|[\r\n]|\\s+(?!\\S)|\\s+`, "\\p{N}"],
  },
  { names: ["superbpe"], splits: ["\\p{N}+", "(?=(?:[0-9]{3})+(?![0-9]))"] },
];

/** The tokenizer that the metadata describes. Throws `ModelFileError` for kinds and splits that are not known. */
export function ggufTokenizer(metadata: GgufMetadata): Tokenizer {
  const model = metadata.string("tokenizer.ggml.model", "none");
  if (model === "none" || model === "no_vocab")
    return noTokenizer(`${metadata.origin} has no vocabulary, so that text cannot be read; give token ids.`);
  if (model === "gpt2") return byteLevelTokenizer(metadata);
  if (model === "llama") return sentencePieceTokenizer(metadata);
  throw new ModelFileError(
    `${metadata.origin}: tokenizer model "${model}" is not supported; gpt2 (byte-level BPE) and llama (SentencePiece) are.`,
  );
}

/** Whether a file whose metadata names this model and pre-tokenizer has a tokenizer that is read, or none. */
export function knowsTokenizer(model: unknown = "none", pre: unknown = "default"): boolean {
  return model === "gpt2"
    ? PRE_TOKENIZERS.some(({ names }) => names.some((name) => name === pre))
    : model === "llama" || model === "none" || model === "no_vocab";
}

/** Turns a stretch of text without special tokens into ids. `afterSpecial`: nothing or a special token is before it. */
type Encode = (text: string, afterSpecial: boolean, ids: number[]) => void;

function byteLevelTokenizer(metadata: GgufMetadata): Tokenizer {
  const name = metadata.string("tokenizer.ggml.pre", "default");
  const pre = PRE_TOKENIZERS.find((candidate) => candidate.names.includes(name));
  if (pre === undefined) {
    throw new ModelFileError(
      `${metadata.origin}: pre-tokenizer "${name}" is not supported; ${list(PRE_TOKENIZERS.flatMap((candidate) => candidate.names))} are.`,
    );
  }
  const vocabulary = new Vocabulary(metadata, { bos: 11, eos: 11 });
  const merges = metadata.strings("tokenizer.ggml.merges").map((merge) => {
    // The first character of a piece can be a space in no byte-level vocabulary, so the first space separates.
    const space = merge.indexOf(" ", 1);
    return [merge.slice(0, space), merge.slice(space + 1)] as const;
  });
  const pairs = new BytePairs(vocabulary.ids, merges, {
    origin: metadata.origin,
    whole: pre.ignoreMerges,
    loose: true,
  });
  const splitter = chained(pre.splits);
  const spelledSplitter = chained(pre.spelledSplits ?? []);
  const alphabet = byteOfStandIn();
  return new LlamaTokenizer(
    vocabulary,
    (text, _, ids) => {
      const spelled = splitter([{ text, first: false }]).map((piece) => ({
        text: toStandIns(piece.text),
        first: false,
      }));
      for (const piece of spelledSplitter(spelled)) pairs.encode(piece.text, ids);
    },
    (text) => {
      const bytes: number[] = [];
      for (const character of text) {
        const byte = alphabet.get(character);
        // A character that stands for no byte: the string is text as it is.
        if (byte === undefined) return text;
        bytes.push(byte);
      }
      return readBytes(Uint8Array.from(bytes));
    },
    {
      bos: metadata.flag("tokenizer.ggml.add_bos_token", pre.bos ?? false),
      eos: metadata.flag("tokenizer.ggml.add_eos_token", false),
    },
  );
}

function chained(sources: readonly string[]): Splitter {
  const splitters = sources.map((source) => cut(compilePattern(source), "isolated", false));
  return (pieces) => splitters.reduce((result, split) => split(result), [...pieces]);
}

function sentencePieceTokenizer(metadata: GgufMetadata): Tokenizer {
  const vocabulary = new Vocabulary(metadata, { bos: 1, eos: 2, unknown: 0 });
  const scores = metadata.numbers("tokenizer.ggml.scores", []);
  if (scores.length > 0 && scores.length < vocabulary.texts.length) {
    throw new ModelFileError(
      `${metadata.origin} is damaged: its vocabulary has ${vocabulary.texts.length} tokens, but "tokenizer.ggml.scores" ${scores.length} numbers.`,
    );
  }
  const prefix = metadata.flag("tokenizer.ggml.add_space_prefix", true);
  const pairs = new ScoredPairs(vocabulary.ids, scores, vocabulary.unknown);
  return new LlamaTokenizer(
    vocabulary,
    (text, afterSpecial, ids) => {
      pairs.encode((prefix && afterSpecial ? ` ${text}` : text).replaceAll(" ", "\u2581"), ids);
    },
    (text, id) => {
      const byte =
        vocabulary.types[id] === BYTE || vocabulary.types.length === 0 ? /^<0x([0-9A-F]{2})>$/.exec(text) : null;
      return byte === null ? text.replaceAll("\u2581", " ") : readBytes(Uint8Array.of(Number.parseInt(byte[1], 16)));
    },
    {
      bos: metadata.flag("tokenizer.ggml.add_bos_token", true),
      eos: metadata.flag("tokenizer.ggml.add_eos_token", false),
    },
  );
}

/**
 * Tokens that are special by their text, whatever their type is in the file: `key` is the metadata that settles the
 * role otherwise.
 */
const BY_TEXT: readonly { readonly key?: string; readonly texts: readonly string[] }[] = [
  {
    key: "eot",
    texts: [
      "<|eot_id|>",
      "<|im_end|>",
      "<|end|>",
      "<end_of_turn>",
      "<|endoftext|>",
      "<|end_of_text|>",
      "<EOT>",
      "_<EOT>",
      "[EOT]",
      "<\uff5cend\u2581of\u2581sentence\uff5c>",
      "<end_of_utterance>",
    ],
  },
  { key: "eom", texts: ["<|eom_id|>"] },
  {
    key: "fim_pre",
    texts: [
      "<|fim_prefix|>",
      "<fim-prefix>",
      "<fim_prefix>",
      "<\uff5cfim\u2581begin\uff5c>",
      "<PRE>",
      "\u2581<PRE>",
      "<|code_prefix|>",
      "<|prefix|>",
    ],
  },
  {
    key: "fim_suf",
    texts: [
      "<|fim_suffix|>",
      "<fim-suffix>",
      "<fim_suffix>",
      "<\uff5cfim\u2581hole\uff5c>",
      "<SUF>",
      "\u2581<SUF>",
      "<|code_suffix|>",
      "<|suffix|>",
    ],
  },
  {
    key: "fim_mid",
    texts: [
      "<|fim_middle|>",
      "<fim-middle>",
      "<fim_middle>",
      "<\uff5cfim\u2581end\uff5c>",
      "<MID>",
      "\u2581<MID>",
      "<|code_middle|>",
      "<|middle|>",
    ],
  },
  { key: "fim_pad", texts: ["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"] },
  { key: "fim_rep", texts: ["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"] },
  { key: "fim_sep", texts: ["<|file_sep|>"] },
  {
    texts: [
      "<|eot_id|>",
      "<|im_end|>",
      "<|end|>",
      "<|return|>",
      "<|call|>",
      "<|flush|>",
      "<|calls|>",
      "<end_of_turn>",
      "<|endoftext|>",
      "</s>",
      "<|eom_id|>",
      "<EOT>",
      "_<EOT>",
      "[EOT]",
      "[EOS]",
      "<|end_of_text|>",
      "<end_of_utterance>",
      "<eos>",
      "<turn|>",
      "<|tool_response>",
      "<\uff5cend\u2581of\u2581sentence\uff5c>",
      "[e~[",
    ],
  },
  { texts: ["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"] },
];

/** The vocabulary of a file, and which of its tokens are found whole in a text. */
class Vocabulary {
  readonly texts: readonly string[];
  readonly types: readonly number[];
  /** Of equal texts the last has the name. */
  readonly ids: ReadonlyMap<string, number>;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly unknown: number | undefined;
  /** Longest first. */
  readonly special: readonly number[];
  /** Special tokens that take the blanks behind them. */
  readonly takesBlanks: ReadonlySet<number>;

  constructor(
    metadata: GgufMetadata,
    defaults: { readonly bos: number; readonly eos: number; readonly unknown?: number },
  ) {
    this.texts = metadata.strings("tokenizer.ggml.tokens").map((text, id) => (text === "" ? `[EMPTY_${id}]` : text));
    this.types = metadata.numbers("tokenizer.ggml.token_type", []);
    this.ids = new Map(this.texts.map((text, id) => [text, id]));
    const role = (key: string, fallback?: number): number | undefined => {
      const known = (id: number | undefined): boolean =>
        id !== undefined && Number.isInteger(id) && id >= 0 && id < this.texts.length;
      const said = metadata.has(`tokenizer.ggml.${key}_token_id`)
        ? metadata.number(`tokenizer.ggml.${key}_token_id`)
        : undefined;
      return known(said) ? said : known(fallback) ? fallback : undefined;
    };
    this.bos = role("bos", defaults.bos);
    this.eos = role("eos", defaults.eos);
    this.unknown = role("unknown", defaults.unknown);
    const special = new Set<number>();
    this.types.forEach((type, id) => {
      if (id < this.texts.length && (type === CONTROL || type === UNKNOWN || type === USER_DEFINED)) special.add(id);
    });
    for (const { key, texts } of BY_TEXT) {
      if (key !== undefined && role(key) !== undefined) continue;
      for (const text of texts) {
        const id = this.ids.get(text);
        if (id !== undefined) special.add(id);
      }
    }
    // Files of other converters leave the types out.
    if (this.types.length === 0)
      for (const id of [this.bos, this.eos, this.unknown, role("padding")]) if (id !== undefined) special.add(id);
    const bytes = (id: number): number => Buffer.byteLength(this.texts[id]);
    this.special = [...special].sort((a, b) => bytes(b) - bytes(a) || a - b);
    const phi3 = /phi-?3/.test(metadata.string("general.name", "").toLowerCase());
    this.takesBlanks = new Set(
      phi3 ? this.special.filter((id) => !["<unk>", "<s>", "<|endoftext|>"].includes(this.texts[id])) : [],
    );
  }
}

/** What `isspace` takes for blank. */
const BLANK = /[ \t\n\v\f\r]/;

class LlamaTokenizer implements Tokenizer {
  readonly size: number;
  /** First two UTF-16 units of special tokens → those that begin so. */
  readonly #beginnings = new Map<string, number[]>();
  readonly #specials: ReadonlySet<number>;

  constructor(
    private readonly vocabulary: Vocabulary,
    private readonly encodeText: Encode,
    private readonly spell: (text: string, id: number) => string,
    private readonly ends: { readonly bos: boolean; readonly eos: boolean },
  ) {
    this.size = vocabulary.texts.length;
    this.#specials = new Set(vocabulary.special);
    for (const id of vocabulary.special) {
      const beginning = vocabulary.texts[id].slice(0, 2);
      const known = this.#beginnings.get(beginning);
      if (known === undefined) this.#beginnings.set(beginning, [id]);
      else known.push(id);
    }
  }

  encode(prompt: string, options: { readonly addSpecialTokens?: boolean } = {}): number[] {
    const { bos, eos } = this.vocabulary;
    const ends = options.addSpecialTokens ?? true;
    const ids: number[] = [];
    if (ends && this.ends.bos && bos !== undefined) ids.push(bos);
    let afterSpecial = true;
    for (const part of this.#parts(wellFormed(prompt))) {
      if (typeof part === "number") ids.push(part);
      else this.encodeText(part, afterSpecial, ids);
      afterSpecial = typeof part === "number";
    }
    if (ends && this.ends.eos && eos !== undefined) ids.push(eos);
    return ids;
  }

  token(id: number): Token {
    const text = this.vocabulary.texts[id] as string | undefined;
    if (text === undefined) return { id, text: `<unused ${id}>` };
    return { id, text: escapedBytes(this.#isMarkup(id) ? text : this.spell(text, id)) };
  }

  /** Special tokens are shown as they stand, but for user-defined ones that are runs of \u2581. */
  #isMarkup(id: number): boolean {
    return this.#specials.has(id) && !/^\u2581+$/.test(this.vocabulary.texts[id]);
  }

  /** The text cut at special tokens: the longest token first, wherever it is. */
  #parts(text: string): (string | number)[] {
    let parts: (string | number)[] = text === "" ? [] : [text];
    for (const id of this.#occurring(text)) {
      const token = this.vocabulary.texts[id];
      parts = parts.flatMap((part) => {
        if (typeof part === "number" || !part.includes(token)) return [part];
        const pieces = part.split(token);
        return pieces.flatMap((piece, i): (string | number)[] => {
          const rest = i > 0 && this.vocabulary.takesBlanks.has(id) ? withoutBlanks(piece) : piece;
          return [...(i > 0 ? [id] : []), ...(rest === "" ? [] : [rest])];
        });
      });
    }
    return parts;
  }

  /** Special tokens that are somewhere in the text, in their order. */
  #occurring(text: string): number[] {
    const found = new Set<number>();
    for (let i = 0; i < text.length; i++) {
      for (const beginning of [text.slice(i, i + 2), text[i]]) {
        for (const id of this.#beginnings.get(beginning) ?? [])
          if (text.startsWith(this.vocabulary.texts[id], i)) found.add(id);
        if (beginning.length < 2) break;
      }
    }
    return this.vocabulary.special.filter((id) => found.has(id));
  }
}

function withoutBlanks(text: string): string {
  let from = 0;
  while (from < text.length && BLANK.test(text[from])) from++;
  return text.slice(from);
}

/** Bytes that are no UTF-8 (`gguf-strings.ts` keeps them as halves of surrogate pairs) as `<0xE2>`. */
function escapedBytes(text: string): string {
  return text.replace(/[\udc80-\udcff]/g, (half, at: number) =>
    at > 0 && /[\ud800-\udbff]/.test(text[at - 1])
      ? half
      : `<0x${(half.charCodeAt(0) - 0xdc00).toString(16).toUpperCase()}>`,
  );
}
