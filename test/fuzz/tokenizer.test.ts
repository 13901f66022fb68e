/**
 * Files of a tokenizer with damaged parts: they open and give ids, or are refused in one sentence; no number in them
 * costs time.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ModelFileError } from "../../src/model/errors";
import { GgufMetadata } from "../../src/model/gguf-metadata";
import { ggufTokenizer } from "../../src/model/gguf-tokenizer";
import { createTokenizer, pairTokenizer } from "../../src/model/tokenizer";
import { NASTY, damagedJson, fuzz, isSentence } from "./support";

const data = join(__dirname, "../model/data");
const components = (
  JSON.parse(readFileSync(join(data, "tokenizer-components.json"), "utf8")) as {
    cases: Record<string, { json: unknown }>;
  }
).cases;
const VOCAB = { "<s>": 0, a: 1, b: 2, ab: 3, "\u2581": 4, "<0xC3>": 5, "<0xA9>": 6 };
const config = {
  bos_token: "<s>",
  add_bos_token: true,
  add_prefix_space: true,
  pad_token: { content: "<pad>", lstrip: true },
  additional_special_tokens: ["<x>"],
  added_tokens_decoder: { 7: { content: "<y>", special: true, single_word: false } },
};
const metadata = {
  "general.architecture": "llama",
  "general.name": "Phi3",
  "tokenizer.ggml.model": "llama",
  "tokenizer.ggml.pre": "llama-bpe",
  "tokenizer.ggml.tokens": Object.keys(VOCAB),
  "tokenizer.ggml.scores": [0, -1, -2, -3, -4, -5, -6],
  "tokenizer.ggml.token_type": [3, 1, 1, 4, 1, 6, 6],
  "tokenizer.ggml.merges": ["a b"],
  "tokenizer.ggml.bos_token_id": 0,
  "tokenizer.ggml.add_bos_token": true,
};
const names = Object.keys(components);
const TEXTS = ["a\u00e9 b<s>ab<x>", ...NASTY];

fuzz({
  target: "tokenizer",
  runs: 1500,
  generate: (random) => {
    const kind = random.pick(["json", "json", "json", "pairs", "gguf"]);
    const part = components[random.pick(names)].json as { model: { vocab: unknown } };
    // The long vocabularies of the cases would hide the damage.
    const json = {
      ...part,
      model: { ...part.model, vocab: part.model.vocab === "every byte" ? VOCAB : part.model.vocab },
    };
    const probability = random.pick([0.01, 0.05, 0.2]);
    const whole =
      kind === "json"
        ? { json, config }
        : kind === "pairs"
          ? { vocab: VOCAB, merges: ["a b"], added: { "<z>": 9 }, config, specialTokens: { mask_token: "<m>" } }
          : { ...metadata, "tokenizer.ggml.model": random.pick(["llama", "gpt2"]) };
    return Buffer.from(
      JSON.stringify({ kind, whole: damagedJson(whole, random, probability), text: random.pick(TEXTS) }),
    );
  },
  check: (input) => {
    const { kind, whole, text } = JSON.parse(input.toString("utf8")) as { kind: string; whole: unknown; text: string };
    const parts = (typeof whole === "object" && whole !== null ? whole : {}) as Record<string, unknown>;
    try {
      const tokenizer =
        kind === "gguf"
          ? ggufTokenizer(new GgufMetadata("a file", parts))
          : kind === "pairs"
            ? pairTokenizer("a file", {
                vocab: parts.vocab,
                merges: Array.isArray(parts.merges) ? parts.merges.join("\n") : "",
                added: parts.added,
                config: parts.config,
                specialTokens: parts.specialTokens,
              })
            : createTokenizer("a file", parts.json, parts.config, parts.specialTokens);
      for (const one of [text, TEXTS[0]]) {
        for (const id of tokenizer.encode(one)) {
          if (!Number.isInteger(id) || id < 0) throw new Error(`the id ${id}`);
          if (typeof tokenizer.token(id).text !== "string") throw new Error(`no text of ${id}`);
        }
      }
      return "accepted";
    } catch (error) {
      if (!(error instanceof ModelFileError) || !isSentence(error)) throw error;
      return "refused";
    }
  },
});
