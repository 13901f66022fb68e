/** Tokenizers against the libraries that they follow, part by part; what they refuse, and how they end. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ModelFileError } from "../../src/model/errors";
import type { Tokenizer } from "../../src/model/files";
import { readTokenizer } from "../../src/model/folder";
import { GgufMetadata } from "../../src/model/gguf-metadata";
import { exactStrings, exactText } from "../../src/model/gguf-strings";
import { ggufTokenizer } from "../../src/model/gguf-tokenizer";
import { openModel } from "../../src/model/open";
import { createTokenizer } from "../../src/model/tokenizer";
import { Random } from "../fuzz/support";
import { goldenNames, modelFolder, readGolden } from "../support/fixtures";

const data = join(__dirname, "data");
const read = (name: string): unknown => JSON.parse(readFileSync(join(data, name), "utf8")) as unknown;
type Json = Record<string, unknown>;

/** What a test may not see: another error than the one sentence. */
function refusal(step: () => unknown): string {
  try {
    step();
  } catch (error) {
    if (!(error instanceof ModelFileError)) throw error;
    return error.message;
  }
  return "accepted";
}

const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);

describe("every component of a tokenizer.json, as the tokenizers library does it", () => {
  /** Made by test/reference/tokenizer_components.py. */
  const { texts, cases } = read("tokenizer-components.json") as {
    texts: string[];
    cases: Record<string, { json: Json & { model: Json }; ids: number[][] }>;
  };
  const complete = ({ json }: { json: Json & { model: Json } }): Json => {
    const { vocab } = json.model;
    if (vocab === "every byte")
      return { ...json, model: { ...json.model, vocab: Object.fromEntries(BYTES.map((byte, id) => [byte, id])) } };
    return Array.isArray(vocab) && vocab[vocab.length - 1] === "every byte"
      ? {
          ...json,
          model: { ...json.model, vocab: [...(vocab as unknown[]).slice(0, -1), ...BYTES.map((byte) => [byte, -6])] },
        }
      : json;
  };

  test.each(Object.keys(cases))("%s", (name) => {
    const tokenizer = createTokenizer(name, complete(cases[name]), {});
    texts.forEach((text, i) => expect([text, tokenizer.encode(text)]).toEqual([text, cases[name].ids[i]]));
  });

  test.each([
    "normalizer Strip true",
    "normalizer Replace",
    "normalizer BertNormalizer",
    "normalizer Precompiled",
    "pre_tokenizer ByteLevel",
    "pre_tokenizer Split",
    "pre_tokenizer Metaspace",
    "pre_tokenizer Digits",
    "pre_tokenizer Punctuation",
    "pre_tokenizer FixedLength",
    "pre_tokenizer CharDelimiterSplit",
    "post_processor TemplateProcessing",
    "post_processor BertProcessing",
    "post_processor RobertaProcessing",
    "model BPE",
    "model Unigram",
    "model WordPiece",
    "added",
  ])("%s: a wrong kind in each field is one sentence", (begin) => {
    const name = Object.keys(cases).find((key) => key.toLowerCase().startsWith(begin.toLowerCase())) as string;
    const original = complete(cases[name]);
    const visit = (value: unknown, path: (string | number)[]): void => {
      if (path.length > 5) return;
      for (const wrong of [null, true, -1, 0.5, "text", [], {}, [[1]]]) {
        const copy = structuredClone(original);
        let parent: unknown = copy;
        for (const key of path.slice(0, -1)) parent = (parent as Record<string | number, unknown>)[key];
        (parent as Record<string | number, unknown>)[path[path.length - 1]] = wrong;
        const message = refusal(() => createTokenizer("tokenizer.json", copy, {}).encode("a b"));
        if (message !== "accepted") expect(message).toMatch(/^tokenizer\.json[: ][^\n]*\.$/);
      }
      if (typeof value === "object" && value !== null) {
        const keys = Array.isArray(value) ? [...value.keys()].slice(0, 2) : Object.keys(value).slice(0, 12);
        for (const key of keys) visit((value as Record<string | number, unknown>)[key], [...path, key]);
      }
    };
    for (const key of Object.keys(original)) visit(original[key], [key]);
  });

  test.each<[string, Json, RegExp]>([
    [
      "a normalizer",
      { normalizer: { type: "Nmt" } },
      /^f: normalizer of type "Nmt" is not supported; BertNormalizer, .* are\.$/,
    ],
    [
      "a pre-tokenizer",
      { pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "UnicodeScripts" }] } },
      /^f: pre_tokenizer\.pretokenizers\[0\] of type "UnicodeScripts" is not supported/,
    ],
    ["a post-processor", { post_processor: { type: "Other" } }, /^f: post_processor of type "Other" is not supported/],
    ["a decoder", { decoder: { type: "Other" } }, /^f: decoder of type "Other" is not supported/],
    [
      "a field",
      { pre_tokenizer: { type: "Digits", individual_digits: true, tens: 1 } },
      /^f: pre_tokenizer of type "Digits" has a field "tens" that is not known; individual_digits are\.$/,
    ],
    ["a part of the file", { rules: [] }, /^f: the file has a field "rules" that is not known/],
    [
      "dropout",
      { model: { type: "BPE", vocab: { a: 0 }, merges: [], dropout: 0.1 } },
      /^f: model has "dropout": 0\.1, which makes ids random/,
    ],
    [
      "a merge of no token",
      { model: { type: "BPE", vocab: { a: 0 }, merges: ["a b"] } },
      /^f: the merge 1 of the vocabulary \("a" with "b"\) names "b", which is no token of it\.$/,
    ],
    [
      "an atomic group",
      { pre_tokenizer: { type: "Split", pattern: { Regex: "(?>a)" }, behavior: "Isolated", invert: false } },
      /^f: pre_tokenizer cannot be used: "\(\?>" in the pattern "\(\?>a\)" is not supported\.$/,
    ],
    [
      "half a pattern",
      { pre_tokenizer: { type: "Split", pattern: { Regex: "(a" }, behavior: "Isolated", invert: false } },
      /^f: pre_tokenizer cannot be used: the pattern "\(a" is not understood/,
    ],
  ])("%s that is not done is refused by name", (_, part, message) => {
    expect(
      refusal(() => createTokenizer("f", { model: { type: "BPE", vocab: { a: 0 }, merges: [] }, ...part }, {})),
    ).toMatch(message);
  });

  test("wrong kinds in the files beside it are one sentence", () => {
    const json = { model: { type: "BPE", vocab: { a: 0 }, merges: [] } };
    for (const config of [
      1,
      "x",
      [],
      { added_tokens_decoder: 3 },
      { added_tokens_decoder: { 3: "x" } },
      { added_tokens_decoder: { x: { content: "y" } } },
      { bos_token: 7 },
      { additional_special_tokens: "x" },
      { pad_token: { content: 1 } },
    ]) {
      expect(refusal(() => createTokenizer("f", json, config))).toMatch(/^f: [^\n]*\.$/);
      expect(refusal(() => createTokenizer("f", json, {}, config))).toMatch(/^f: [^\n]*\.$|^accepted$/);
    }
  });

  test("the number of an added token's id costs nothing", () => {
    const json = {
      model: { type: "BPE", vocab: { a: 0, b: 1 }, merges: [] },
      added_tokens: [{ id: 1e9, content: "<x>", special: true }],
    };
    const start = performance.now();
    const tokenizer = createTokenizer("f", json, { added_tokens_decoder: { 4000000000: { content: "<y>" } } });
    // As in tokenizers ids count on from the vocabulary.
    expect(tokenizer.encode("a<x>b<y>")).toEqual([0, 2, 1, 3]);
    expect(tokenizer.size).toBe(4);
    expect(performance.now() - start).toBeLessThan(2000);
  });
});

describe("patterns that backtrack", () => {
  const hostile = { Regex: "(?:a+)+$" };
  const text = `${"a".repeat(40)}!`;
  const model = { type: "BPE", vocab: { a: 0, "!": 1 }, merges: [] };

  test.each<[string, Json]>([
    ["Split", { pre_tokenizer: { type: "Split", pattern: hostile, behavior: "Isolated", invert: false } }],
    ["Replace", { normalizer: { type: "Replace", pattern: hostile, content: "" } }],
  ])("%s ends in one sentence", (_, part) => {
    const tokenizer = createTokenizer("f", { model, ...part }, {});
    const start = performance.now();
    expect(refusal(() => tokenizer.encode(text))).toMatch(
      /^f takes more than \d+ s for this text, probably by a pattern that backtracks; give token ids instead\.$/,
    );
    expect(performance.now() - start).toBeLessThan(30_000);
    // Other texts go on working.
    expect(tokenizer.encode("!")).toEqual([1]);
  });

  test("also where an added token is normalised when the file is opened", () => {
    const json = {
      model,
      normalizer: { type: "Replace", pattern: hostile, content: "" },
      added_tokens: [{ id: 2, content: text, normalized: true, special: false }],
    };
    expect(refusal(() => createTokenizer("f", json, {}))).toMatch(/^f: its normalizer takes more than/);
  });
});

describe("folders, as transformers opens them", () => {
  /** Made by test/reference/tokenizer_folders.py with both versions of transformers. */
  const reference = read("tokenizer-folders.json") as {
    texts: string[];
    vocab: Record<string, number>;
    merges: string;
    pairs: Record<string, { files: Json; model_type: string; ids: number[][] }>;
    ends: {
      class: string | null;
      file: string;
      add_bos_token: boolean | null;
      add_eos_token: boolean | null;
      "5.24": string;
      "4.57": string;
    }[];
  };
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "lmt-tok-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  async function opened(files: Json, modelType: string, mark = ""): Promise<Tokenizer> {
    for (const [name, value] of Object.entries(files))
      writeFileSync(join(folder, name), mark + (typeof value === "string" ? value : JSON.stringify(value)));
    return readTokenizer(folder, modelType);
  }

  test.each(Object.keys(reference.pairs))("vocab.json and merges.txt: %s", async (name) => {
    const { files, model_type, ids } = reference.pairs[name];
    for (const mark of ["", "\ufeff"]) {
      const tokenizer = await opened(
        { "vocab.json": reference.vocab, "merges.txt": reference.merges, ...files },
        model_type,
        mark,
      );
      expect(reference.texts.map((text) => tokenizer.encode(text))).toEqual(ids);
    }
  });

  test.each<[string, Json]>([
    ["added_tokens.json", { "added_tokens.json": [1] }],
    ["added_tokens.json", { "added_tokens.json": { "<x>": "7" } }],
    ["vocab.json", { "vocab.json": [1] }],
    ["vocab.json", { "vocab.json": { a: -1 } }],
    ["merges", { "merges.txt": "a b c\n" }],
    ["tokenizer_config.json", { "tokenizer_config.json": { add_prefix_space: "yes" } }],
    ["special_tokens_map.json", { "special_tokens_map.json": { pad_token: [1] } }],
  ])("a wrong kind in %s is one sentence", async (name, files) => {
    const error: unknown = await opened(
      { "vocab.json": reference.vocab, "merges.txt": reference.merges, ...files },
      "gpt2",
    ).then(
      () => undefined,
      (caught: unknown) => caught,
    );
    expect(error).toBeInstanceOf(ModelFileError);
    expect((error as Error).message).toMatch(/^\/[^\n]+\.$/);
    expect((error as Error).message).toContain(name);
  });

  test("add_bos_token and add_eos_token beside a tokenizer.json change nothing, as in 5.24", () => {
    const special = ["<s>", "</s>", "<unk>"].map((content, id) => ({ id, content, special: true }));
    for (const { class: name, file, add_bos_token, add_eos_token, "5.24": right } of reference.ends) {
      const around = (token: string): unknown => ({ SpecialToken: { id: token, type_id: 0 } });
      const post_processor =
        file === "x"
          ? null
          : {
              type: "TemplateProcessing",
              pair: [],
              special_tokens: {
                "<s>": { id: "<s>", ids: [0], tokens: ["<s>"] },
                "</s>": { id: "</s>", ids: [1], tokens: ["</s>"] },
              },
              single: [
                ...(file.includes("B") ? [around("<s>")] : []),
                { Sequence: { id: "A", type_id: 0 } },
                ...(file.includes("E") ? [around("</s>")] : []),
              ],
            };
      const config = {
        ...(name !== null && { tokenizer_class: name }),
        bos_token: "<s>",
        eos_token: "</s>",
        ...(add_bos_token !== null && { add_bos_token }),
        ...(add_eos_token !== null && { add_eos_token }),
      };
      const ids = createTokenizer(
        "f",
        {
          model: { type: "BPE", vocab: { "<s>": 0, "</s>": 1, "<unk>": 2, a: 3 }, merges: [] },
          added_tokens: special,
          post_processor,
        },
        config,
      ).encode("a");
      expect([name, config, ids.map((id) => "BE?x"[id]).join("")]).toEqual([name, config, right]);
    }
  });

  test("the versions of transformers differ for some classes only, so that the rule is one", () => {
    const differing = new Set(reference.ends.filter((end) => end["5.24"] !== end["4.57"]).map((end) => end.class));
    expect(differing).toEqual(
      new Set([
        "LlamaTokenizer",
        "LlamaTokenizerFast",
        "GemmaTokenizer",
        "GemmaTokenizerFast",
        "CohereTokenizer",
        null,
      ]),
    );
    expect(reference.ends.every((end) => end["5.24"] === end.file)).toBe(true);
  });
});

/** Bytes of cut characters put together again. */
function together(tokenizer: Tokenizer, ids: readonly number[]): string {
  const parts = ids
    .map((id) => tokenizer.token(id).text)
    .join("")
    .split(/(<0x[89A-F][0-9A-F]>)/);
  return Buffer.concat(
    parts.map((part) =>
      /^<0x[89A-F][0-9A-F]>$/.test(part) ? Buffer.from([Number(part.slice(1, -1))]) : Buffer.from(part),
    ),
  ).toString("utf8");
}

describe("the tokens' texts put together are the prompt", () => {
  const ALPHABET = [
    "a",
    "B",
    "e",
    "the ",
    " ",
    "  ",
    "   ",
    "\n",
    "\t",
    "1",
    "23",
    ".",
    "//",
    "<",
    ">",
    "'s",
    "\u00e9",
    "\u4e2d",
    "\ufeff",
    "\u{1f600}",
    "\u0301",
    "\u00df",
    "x = ",
    "\r\n",
  ];
  const random = new Random(5);
  const prompts = [
    "x  =",
    ...Array.from({ length: 120 }, () =>
      Array.from({ length: random.int(0, 14) }, () => random.pick(ALPHABET)).join(""),
    ),
  ];

  test.each([...new Set(goldenNames.map((name) => readGolden(name).model))])("%s", async (name) => {
    const { tokenizer } = await openModel(modelFolder(name));
    for (const prompt of prompts)
      expect(together(tokenizer, tokenizer.encode(prompt, { addSpecialTokens: false }))).toBe(prompt);
  });

  test.each(["llama", "phi3", "gemma2", "gemma3", "gpt2", "qwen2", "llama3", "falcon-7b", "command-r"])(
    "%s.gguf",
    async (name) => {
      const { tokenizer } = await openModel(join(data, `gguf/${name}.gguf`));
      const ids = (prompt: string): number[] => tokenizer.encode(prompt, { addSpecialTokens: false });
      // SentencePiece vocabularies with a blank before the text have that blank in the first token.
      const begin =
        tokenizer.token(ids("a")[0]).text.startsWith(" ") || together(tokenizer, ids("a")).startsWith(" ") ? " " : "";
      for (const prompt of prompts) expect(together(tokenizer, ids(prompt))).toBe(prompt === "" ? "" : begin + prompt);
    },
  );

  test("runs of blanks that are added tokens", () => {
    const tokenizer = createTokenizer("f", read("gemma-blanks.tokenizer.json"), {});
    expect(tokenizer.encode("x  =")).toEqual([2, 4, 3]);
    expect(tokenizer.encode("x  =").map((id) => tokenizer.token(id).text)).toEqual(["x", "  ", "="]);
  });

  test("added tokens that are words alone", () => {
    const tokenizer = createTokenizer("f", read("single-word.tokenizer.json"), {});
    expect(tokenizer.encode("xyesterdayz")).toEqual([304, 298, 299, 279, 293, 294, 279, 292, 278, 275, 299, 300]);
    expect(tokenizer.encode("a yesterday.")).toEqual([304, 275, 304, 438, 262]);
  });
});

describe("GGUF files, as llama.cpp reads them", () => {
  const phi3 = (name: string, more: Json = {}): Tokenizer => {
    const tokens = [
      "<unk>",
      "<s>",
      "</s>",
      ...BYTES,
      "\u2581",
      "H",
      "i",
      "Hi",
      "\u2581Hi",
      "<|user|>",
      "<|end|>",
      "<|endoftext|>",
      "\u2581\u2581",
      "<|assistant|>",
    ];
    const types = tokens.map((token, id) =>
      id === 0 ? 2 : /^<\|/.test(token) || id < 3 ? 3 : /^<0x/.test(token) ? 6 : 1,
    );
    return ggufTokenizer(
      new GgufMetadata("f", {
        "general.architecture": "phi3",
        "general.name": name,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": tokens.map((_, id) => -id),
        "tokenizer.ggml.token_type": types,
        ...more,
      }),
    );
  };
  const byte = (value: number): number => 3 + value;
  const [blank, hi, blankHi, user, end, blanks, assistant] = [259, 262, 263, 264, 265, 267, 268];

  test("Phi-3's markup is one token each, and takes the blanks behind it", () => {
    const tokenizer = phi3("Phi3");
    expect(tokenizer.encode("<|user|>\nHi<|end|>\n<|assistant|>")).toEqual([1, user, blankHi, end, assistant]);
    // Not <s>, by llama.cpp's list.
    expect(tokenizer.encode("<s> Hi", { addSpecialTokens: false })).toEqual([1, blank, blankHi]);
  });

  test("without that name blanks stay, and each stretch begins with one", () => {
    const tokenizer = phi3("Llama");
    expect(tokenizer.encode("<|user|>\nHi<|end|>")).toEqual([1, user, blank, byte(10), hi, end]);
    expect(tokenizer.encode(" Hi")).toEqual([1, blank, blankHi]);
    expect(tokenizer.encode("")).toEqual([1]);
    expect(tokenizer.encode(" ", { addSpecialTokens: false })).toEqual([blanks]);
  });

  test("what the file says goes first", () => {
    expect(
      phi3("x", {
        "tokenizer.ggml.add_space_prefix": false,
        "tokenizer.ggml.add_bos_token": false,
        "tokenizer.ggml.add_eos_token": true,
      }).encode("Hi"),
    ).toEqual([hi, 2]);
  });

  test("tekken and Llama 3 begin with BOS where the file is silent, others do not", () => {
    const begins = (pre: string): boolean => {
      const tokens = ["<s>", "a", "b"];
      return (
        ggufTokenizer(
          new GgufMetadata("f", {
            "general.architecture": "llama",
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": pre,
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.merges": [],
            "tokenizer.ggml.token_type": [3, 1, 1],
            "tokenizer.ggml.bos_token_id": 0,
          }),
        ).encode("a")[0] === 0
      );
    };
    expect(["tekken", "llama-bpe", "qwen2", "deepseek-llm", "gpt-2"].filter(begins)).toEqual(["tekken", "llama-bpe"]);
  });

  test("of equal tokens the last has the text", () => {
    const tokenizer = ggufTokenizer(
      new GgufMetadata("f", {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": ["a", "a", ""],
        "tokenizer.ggml.merges": [],
      }),
    );
    expect(tokenizer.encode("a")).toEqual([1]);
    expect(tokenizer.token(0).text).toBe("a");
    expect(tokenizer.token(2).text).toBe("[EMPTY_2]");
  });

  test("strings are read as the bytes they are", () => {
    expect(exactText(Buffer.from("\ufeff//"))).toBe("\ufeff//");
    expect(exactText(Buffer.from([0x41, 0xe2, 0x82, 0x42]))).toBe("A\udce2\udc82B");
    const strings = exactStrings(join(data, "gguf/llama.gguf"));
    expect(strings["general.architecture"]).toBe("llama");
    expect((strings["tokenizer.ggml.tokens"] as string[]).slice(0, 3)).toEqual(["<unk>", "<s>", "</s>"]);
  });

  test("a token that begins with U+FEFF keeps it", async () => {
    const folder = mkdtempSync(join(tmpdir(), "lmt-bom-"));
    try {
      const bytes = readFileSync(join(data, "gguf/llama.gguf"));
      // A token of five bytes becomes U+FEFF and two letters.
      const at = bytes.indexOf("tokenizer.ggml.tokens");
      const tokens = exactStrings(join(data, "gguf/llama.gguf"))["tokenizer.ggml.tokens"] as string[];
      const id = tokens.findIndex((token) => Buffer.byteLength(token) === 5);
      let place = at + 21 + 4 + 4 + 8;
      for (let i = 0; i < id; i++) place += 8 + Buffer.byteLength(tokens[i]);
      Buffer.from("\ufeff//").copy(bytes, place + 8);
      writeFileSync(join(folder, "x.gguf"), bytes);
      const { tokenizer } = await openModel(join(folder, "x.gguf"));
      expect(tokenizer.token(id).text).toBe("\ufeff//");
      expect(tokenizer.encode("//", { addSpecialTokens: false })).not.toContain(id);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
