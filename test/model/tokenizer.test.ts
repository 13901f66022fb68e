import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { GgufMetadata } from "../../src/model/gguf-metadata";
import { ggufTokenizer } from "../../src/model/gguf-tokenizer";
import { openModel } from "../../src/model/open";
import { createTokenizer, readBytes } from "../../src/model/tokenizer";
import { goldenNames, modelFolder, readGolden } from "../support/fixtures";

const data = join(__dirname, "data");

test.each(goldenNames)("tokenizer.json of %s gives the reference's ids and exact texts", async (name) => {
  const golden = readGolden(name);
  const { tokenizer } = await openModel(modelFolder(golden.model));
  const ids = tokenizer.encode(golden.prompt);
  expect(ids).toEqual(golden.token_ids_plain_hf_tokenizer);
  const plain = tokenizer.encode(golden.prompt, { addSpecialTokens: false });
  expect(plain.map((id) => tokenizer.token(id).text).join("")).toBe(golden.prompt);
});

describe("pre-tokenizers by llama.cpp's names", () => {
  /** Ids by transformers and tokenizers, with merges across every boundary (test/reference/gguf_pretokenizers.py). */
  const reference = JSON.parse(readFileSync(join(data, "pretokenizers.json"), "utf8")) as {
    tokens: string[];
    merges: string[];
    types: number[];
    texts: string[];
    ids: Record<string, number[][]>;
  };
  const metadata = (pre: string): GgufMetadata =>
    new GgufMetadata("a file", {
      "general.architecture": "llama",
      "tokenizer.ggml.model": "gpt2",
      "tokenizer.ggml.pre": pre,
      "tokenizer.ggml.tokens": reference.tokens,
      "tokenizer.ggml.merges": reference.merges,
      "tokenizer.ggml.token_type": reference.types,
    });

  test.each(Object.keys(reference.ids))("%s", (pre) => {
    const tokenizer = ggufTokenizer(metadata(pre));
    expect(reference.texts.map((text) => tokenizer.encode(text, { addSpecialTokens: false }))).toEqual(
      reference.ids[pre],
    );
  });

  test("the reference tells them apart", () => {
    const different = new Set(Object.values(reference.ids).map((ids) => JSON.stringify(ids)));
    // "default" and "olmo" are "gpt-2".
    expect(different.size).toBe(Object.keys(reference.ids).length - 2);
  });

  test("an unknown one is refused by name, with those that work", () => {
    expect(() => ggufTokenizer(metadata("klingon"))).toThrow(
      /a file: pre-tokenizer "klingon" is not supported; gpt-2, .*llama-bpe.* are\./,
    );
  });
});

describe("SentencePiece vocabularies", () => {
  const names = readdirSync(join(data, "gguf"))
    .filter((name) => name.endsWith(".tokens.json"))
    .map((name) => name.slice(0, -12));

  test.each(names)("%s has the ids of transformers, and of llama.cpp where they differ", async (name) => {
    const { cases } = JSON.parse(readFileSync(join(data, `gguf/${name}.tokens.json`), "utf8")) as {
      cases: { text: string; ids: number[] }[];
    };
    const { tokenizer } = await openModel(join(data, `gguf/${name}.gguf`));
    for (const { text, ids } of cases)
      expect([text, tokenizer.encode(text, { addSpecialTokens: false })]).toEqual([text, ids]);
  });

  test("BOS comes first where the file says so", async () => {
    const { tokenizer } = await openModel(join(data, "gguf/llama.gguf"));
    const [first] = tokenizer.encode("x");
    expect(tokenizer.token(first).text).toBe("<s>");
  });

  test("blanks and bytes are read as text", async () => {
    const { tokenizer } = await openModel(join(data, "gguf/llama.gguf"));
    const texts = tokenizer.encode("a\n\u00df", { addSpecialTokens: false }).map((id) => tokenizer.token(id).text);
    expect(texts.join("")).toBe(" a\n<0xC3><0x9F>");
  });
});

test("ids without a text are shown as such", async () => {
  const { tokenizer } = await openModel(modelFolder("llama-tiny"));
  expect(tokenizer.token(tokenizer.size)).toEqual({ id: tokenizer.size, text: `<unused ${tokenizer.size}>` });
});

test.each([
  [[0x48, 0x69], "Hi"],
  [[0xe2, 0x82, 0xac], "\u20ac"],
  [[0xe2, 0x82], "<0xE2><0x82>"],
  [[0x82, 0x41], "<0x82>A"],
  [[0xf0, 0x9f, 0x98, 0x80, 0xf0], "\u{1f600}<0xF0>"],
  [[0xc0, 0x80], "<0xC0><0x80>"],
  [[0xed, 0xa0, 0x80], "<0xED><0xA0><0x80>"],
  [[0xef, 0xbb, 0xbf], "\ufeff"],
])("bytes %j read %j", (bytes, text) => {
  expect(readBytes(Uint8Array.from(bytes))).toBe(text);
});

describe("tokenizer.json as the families have it on the hub", () => {
  /** Ids by the tokenizers library (test/reference/tokenizer_variants.py). */
  const { texts, variants } = JSON.parse(readFileSync(join(data, "tokenizers.json"), "utf8")) as {
    texts: string[];
    variants: Record<string, { json: unknown; ids: number[][] }>;
  };

  test.each(Object.keys(variants))("%s", (name) => {
    const tokenizer = createTokenizer(name, variants[name].json, {});
    texts.forEach((text, i) => expect([text, tokenizer.encode(text)]).toEqual([text, variants[name].ids[i]]));
  });

  test.each(["llama-3", "gpt2", "smollm2"])("%s: the tokens' texts put together are the text", (name) => {
    const tokenizer = createTokenizer(name, variants[name].json, {});
    for (const text of texts) {
      const parts = tokenizer.encode(text).map((id) => tokenizer.token(id).text);
      const bytes = parts
        .join("")
        .split(/(<0x[89A-F][0-9A-F]>)/)
        .map((part) =>
          /^<0x[89A-F][0-9A-F]>$/.test(part) ? Buffer.from([Number(part.slice(1, -1))]) : Buffer.from(part),
        );
      expect(Buffer.concat(bytes).toString("utf8")).toBe(text);
    }
  });
});

describe("tokenizer.json in its variants", () => {
  const vocab = {
    "<s>": 0,
    "</s>": 1,
    a: 2,
    b: 3,
    "\u2581a": 4,
    "\u2581": 5,
    "1": 6,
    "\u0661": 7,
    "\u2581\u2581": 8,
    ab: 9,
    "\u2581ab": 10,
  };
  const added_tokens = [
    { id: 0, content: "<s>", special: true },
    { id: 1, content: "</s>", special: true },
  ];
  const model = { type: "BPE", vocab, merges: ["\u2581 \u2581", "\u2581 a", "a b", "\u2581a b"] };

  test("tokens that only tokenizer_config.json adds are found", () => {
    const config = {
      added_tokens_decoder: {
        0: { content: "<s>", special: true },
        11: { content: "<tool>", special: true, normalized: false },
      },
    };
    const tokenizer = createTokenizer("x", { model, added_tokens }, config);
    expect(tokenizer.encode("a<tool>b<s>")).toEqual([2, 11, 3, 0]);
    expect(tokenizer.token(11).text).toBe("<tool>");
    expect(tokenizer.size).toBe(12);
  });

  test("Metaspace cuts at every blank unless it says not to", () => {
    const ids = (split: boolean): number[] =>
      createTokenizer(
        "x",
        {
          model,
          added_tokens,
          pre_tokenizer: { type: "Metaspace", replacement: "\u2581", prepend_scheme: "never", split },
        },
        {},
      ).encode("  ab");
    expect(ids(true)).toEqual([5, 10]);
    expect(ids(false)).toEqual([8, 9]);
  });

  test("what is no tokenizer is refused in one sentence", () => {
    expect(() => createTokenizer("tokenizer.json", { version: "1.0" }, {})).toThrow(
      'tokenizer.json is not a tokenizer file: it has no "model".',
    );
    const marked = { model: { ...model, continuing_subword_prefix: "##" } };
    expect(() => createTokenizer("tokenizer.json", marked, {})).toThrow(
      /^tokenizer\.json: BPE whose pieces inside words are marked \("continuing_subword_prefix": "##"\) is not supported/,
    );
    expect(
      createTokenizer("tokenizer.json", { model: { ...model, continuing_subword_prefix: "" } }, {}).encode("a"),
    ).toEqual([2]);
    expect(() => createTokenizer("tokenizer.json", { model: { type: "Fancy", vocab: {} } }, {})).toThrow(
      'tokenizer.json: tokenizer model "Fancy" is not supported; BPE, Unigram and WordPiece are.',
    );
  });
});
