import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../support/fixtures";
import { damaged, fuzz, type Random } from "./support";
import { tryModel } from "./models";

const FOLDER = join(root, "test/model/data/gguf");
const FILES = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".gguf"))
  .map((name) => readFileSync(join(FOLDER, name)));

let scratch: string;
beforeAll(() => (scratch = mkdtempSync(join(tmpdir(), "lmt-fuzz-gguf-"))));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const NUMBERS = [0, 1, 2, 3, 7, 0xff, 0xffff, 0x7fffffff, 0xffffffff, 1e9];

/** Places of `key` in the file's header, just behind it. */
function behind(bytes: Buffer, key: string): number | undefined {
  const at = bytes.indexOf(key);
  return at < 0 ? undefined : at + key.length;
}

/** A number of the metadata, or a count, grown. */
function grown(bytes: Buffer, random: Random): Buffer {
  const result = Buffer.from(bytes);
  for (let n = random.int(1, 4); n > 0; n--) {
    const key = random.pick([
      ".block_count",
      ".embedding_length",
      ".context_length",
      ".feed_forward_length",
      ".attention.head_count",
      ".attention.head_count_kv",
      ".attention.key_length",
      ".rope.dimension_count",
      ".rope.freq_base",
      ".attention.sliding_window",
      ".attention.layer_norm_rms_epsilon",
      "general.alignment",
      "tokenizer.ggml.tokens",
      "tokenizer.ggml.merges",
      "tokenizer.ggml.scores",
      "tokenizer.ggml.token_type",
      "general.architecture",
      "tokenizer.ggml.bos_token_id",
      ".weight",
    ]);
    const at = behind(result, key);
    // A type, then the value (of a list: its type and its length).
    if (at !== undefined && at + 20 < result.length)
      result.writeUInt32LE(random.pick(NUMBERS), at + random.pick([0, 4, 4, 4, 8, 12]));
    else result.writeUInt32LE(random.pick(NUMBERS), random.pick([4, 8, 12, 16, 20]));
  }
  return result;
}

fuzz({
  target: "gguf",
  runs: 400,
  slowMs: 3000,
  generate: (random) => {
    const bytes = random.pick(FILES);
    if (random.chance(0.5)) return grown(bytes, random);
    // The header is a small part of most files: damaged by itself in most inputs.
    const end = Math.min(bytes.length, random.pick([200, 2000, 20000, bytes.length]));
    return Buffer.concat([damaged(bytes.subarray(0, end), random), bytes.subarray(end)]);
  },
  check: async (input) => {
    const path = join(scratch, "model.gguf");
    writeFileSync(path, input);
    return tryModel(path);
  },
});
