/** One number of a model's file grown beyond all measure: the model opens or is refused, soon, and in little memory. */
import {
  mkdirSync,
  mkdtempSync,
  openSync,
  closeSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
  existsSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { modelFolder, modelNames, root } from "../support/fixtures";
import { ModelProcess, type Outcome } from "../support/model-process";

let folder: string;
let child: ModelProcess;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lmt-grown-"));
  child = new ModelProcess();
});
afterAll(() => {
  child.close();
  rmSync(folder, { recursive: true, force: true });
});

const MOST_MS = 2000;
const MOST_MB = 300;

function expectBounded(what: string, { refusal, known, cpuMs, memoryMb }: Outcome): void {
  const sentence =
    refusal === undefined ||
    (known && refusal.length > 10 && refusal.length <= 1300 && refusal.endsWith(".") && !refusal.includes("\n"));
  if (!sentence || cpuMs > MOST_MS || memoryMb > MOST_MB)
    throw new Error(`${what}: ${cpuMs.toFixed(0)} ms, ${memoryMb.toFixed(0)} MB, ${refusal ?? "opened"}`);
}

const HUGE = ["1000000000", "9007199254740991", "1e300"];

type Json = Record<string, unknown>;

/** A folder of each family, by its model type. */
const families = new Map<string, string>();
for (const path of [
  ...modelNames.map(modelFolder),
  ...readdirSync(join(root, "test/reference/families")).map((name) => join(root, "test/reference/families", name)),
]) {
  const { model_type: type, rope_parameters: rope } = JSON.parse(readFileSync(join(path, "config.json"), "utf8")) as {
    model_type: string;
    rope_parameters?: { rope_type?: string };
  };
  const name = (rope?.rope_type ?? "default") === "default" ? type : `${type}, ${rope?.rope_type}`;
  if (!families.has(name)) families.set(name, path);
}

/** Sizes that a family may read whether or not its config says them. */
const SIZES = [
  "head_dim",
  "hidden_size",
  "num_hidden_layers",
  "vocab_size",
  "intermediate_size",
  "num_attention_heads",
  "num_key_value_heads",
  "max_position_embeddings",
];
/** Those of them of which no model may be made. */
const AXES: ReadonlySet<string> = new Set([
  "hidden_size",
  "num_hidden_layers",
  "vocab_size",
  "num_attention_heads",
  "n_embd",
  "n_layer",
  "n_head",
  "num_layers",
  "num_heads",
]);

/** Paths of all numbers in a value. */
function numbersIn(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value === "number") return [path];
  if (typeof value !== "object" || value === null) return [];
  // Of a list all numbers count alike.
  const entries = Object.entries(value).slice(0, Array.isArray(value) ? 1 : undefined);
  return entries.flatMap(([key, part]) => numbersIn(part, [...path, key]));
}

function replaced(config: Json, path: readonly string[], text: string): string {
  const copy = structuredClone(config);
  let at: Json = copy;
  for (const key of path.slice(0, -1)) at = at[key] as Json;
  at[path[path.length - 1]] = "@";
  return JSON.stringify(copy).replace('"@"', text);
}

test.each([...families])("a config of %s", async (name, from) => {
  const to = join(folder, name);
  mkdirSync(to);
  for (const file of ["model.safetensors", "tokenizer.json"])
    if (existsSync(join(from, file))) symlinkSync(join(from, file), join(to, file));
  const config = JSON.parse(readFileSync(join(from, "config.json"), "utf8")) as Json;
  writeFileSync(join(to, "config.json"), JSON.stringify(config));
  expect((await child.open(to)).refusal).toBeUndefined();
  const paths = new Map([...numbersIn(config), ...SIZES.map((key) => [key])].map((path) => [path.join("."), path]));
  for (const [key, path] of paths) {
    for (const number of HUGE) {
      writeFileSync(join(to, "config.json"), replaced(config, path, number));
      const outcome = await child.open(to);
      expectBounded(`${key} = ${number}`, outcome);
      if (AXES.has(key) && config[key] !== undefined && outcome.refusal === undefined)
        throw new Error(`${key} = ${number}: opened`);
    }
  }
});

const IDS = [1, 2, 3];

test.each([
  ["llama-tiny", "max_position_embeddings"],
  ["gpt2-tiny", "n_positions"],
  ["mistral-tiny-sw8", "max_position_embeddings"],
  ["mistral-tiny-sw8", "sliding_window"],
  ["phi-tiny", "max_position_embeddings"],
])("%s with a %s that no prompt reaches predicts the same, or is refused", async (name, key) => {
  const to = join(folder, `${name}-${key}`);
  mkdirSync(to);
  for (const file of ["model.safetensors", "tokenizer.json"])
    symlinkSync(join(modelFolder(name), file), join(to, file));
  const config = JSON.parse(readFileSync(join(modelFolder(name), "config.json"), "utf8")) as Json;
  writeFileSync(join(to, "config.json"), JSON.stringify(config));
  const plain = await child.open(to, IDS);
  expect(plain.logits?.length).toBe(config.vocab_size);
  writeFileSync(join(to, "config.json"), replaced(config, [key], "1000000000"));
  const grown = await child.open(to, IDS);
  expectBounded(`${name}, ${key}`, grown);
  if (grown.refusal === undefined) expect(grown.logits).toEqual(plain.logits);
});

/** Bytes of the values of GGUF's types; 8 is a text, 9 a list. */
const BYTES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];

interface Pair {
  readonly key: string;
  readonly type: number;
  /** Of the value. */
  readonly at: number;
  readonly end: number;
}

/** The metadata of a GGUF file, and where it ends. */
function pairsOf(bytes: Buffer): { readonly pairs: readonly Pair[]; readonly infos: number; readonly end: number } {
  let at = 24;
  const uint64 = (): number => Number(bytes.readBigUInt64LE((at += 8) - 8));
  const skip = (type: number): void => {
    if (type === 8) {
      const length = uint64();
      at += length;
    } else if (type === 9) {
      const inner = bytes.readUInt32LE((at += 4) - 4);
      for (let left = uint64(); left > 0; left--) skip(inner);
    } else {
      at += BYTES[type];
    }
  };
  const pairs: Pair[] = [];
  for (let left = Number(bytes.readBigUInt64LE(16)); left > 0; left--) {
    const length = uint64();
    const key = bytes.toString("utf8", at, at + length);
    at += length;
    const type = bytes.readUInt32LE(at);
    at += 4;
    const start = at;
    skip(type);
    pairs.push({ key, type, at: start, end: at });
  }
  const infos = at;
  for (let left = Number(bytes.readBigUInt64LE(8)); left > 0; left--) {
    const length = uint64();
    at += length;
    const axes = bytes.readUInt32LE(at);
    at += 4 + 8 * axes + 12;
  }
  return { pairs, infos, end: at };
}

/** The file with the unsigned number `value` under `key`. */
function withNumber(bytes: Buffer, key: string, value: number): Buffer {
  const { pairs, infos, end } = pairsOf(bytes);
  const known = pairs.find((pair) => pair.key === key);
  const pair = Buffer.alloc(24 + key.length);
  pair.writeBigUInt64LE(BigInt(key.length), 0);
  pair.write(key, 8);
  pair.writeUInt32LE(10, 8 + key.length);
  pair.writeBigUInt64LE(BigInt(value), 12 + key.length);
  const metadata =
    known === undefined
      ? [bytes.subarray(24, infos), pair.subarray(0, 20 + key.length)]
      : [
          bytes.subarray(24, known.at - 4),
          pair.subarray(8 + key.length, 20 + key.length),
          bytes.subarray(known.end, infos),
        ];
  const head = Buffer.from(bytes.subarray(0, 24));
  if (known === undefined) head.writeBigUInt64LE(head.readBigUInt64LE(16) + 1n, 16);
  const header = Buffer.concat([head, ...metadata, bytes.subarray(infos, end)]);
  const padded = (length: number): number => Math.ceil(length / 32) * 32;
  return Buffer.concat([header, Buffer.alloc(padded(header.length) - header.length), bytes.subarray(padded(end))]);
}

const GGUF_SIZES = [
  "block_count",
  "embedding_length",
  "context_length",
  "feed_forward_length",
  "vocab_size",
  "attention.head_count",
  "attention.head_count_kv",
  "attention.key_length",
  "attention.value_length",
  "attention.sliding_window",
  "rope.dimension_count",
  "rope.scaling.original_context_length",
  "expert_count",
];
const GGUF_AXES: ReadonlySet<string> = new Set(["block_count", "embedding_length", "attention.head_count"]);

test.each(readdirSync(join(__dirname, "data/gguf")).filter((name) => name.endsWith(".gguf")))(
  "the metadata of %s",
  async (name) => {
    const bytes = readFileSync(join(__dirname, "data/gguf", name));
    const path = join(folder, name);
    const { pairs } = pairsOf(bytes);
    const architecture = pairs
      .map(({ key }) => /^(.+)\.block_count$/.exec(key)?.[1])
      .find((found) => found !== undefined)!;
    // What is put in changes nothing else.
    writeFileSync(path, withNumber(bytes, `${architecture}.some_key`, 7));
    expect((await child.open(path)).refusal).toBeUndefined();
    const keys = new Set([
      ...GGUF_SIZES.map((size) => `${architecture}.${size}`),
      "general.alignment",
      "general.quantization_version",
      ...pairs.filter(({ type }) => type !== 8 && type !== 9 && type !== 7).map(({ key }) => key),
    ]);
    for (const key of keys) {
      for (const value of [1_000_000_000, 2 ** 53]) {
        writeFileSync(path, withNumber(bytes, key, value));
        const outcome = await child.open(path);
        expectBounded(`${key} = ${value}`, outcome);
        if (GGUF_AXES.has(key.slice(architecture.length + 1)) && outcome.refusal === undefined)
          throw new Error(`${key} = ${value}: opened`);
      }
    }
  },
);

test("the counts and lengths of a GGUF header", async () => {
  const bytes = readFileSync(join(__dirname, "data/gguf/llama.gguf"));
  const { pairs, infos } = pairsOf(bytes);
  // A list has its type before its length.
  const places = [
    8,
    16,
    24,
    infos,
    ...pairs.flatMap(({ type, at }) => (type === 8 ? [at] : type === 9 ? [at + 4] : [])),
  ];
  const path = join(folder, "lengths.gguf");
  for (const at of places) {
    for (const value of [100_000n, 10_000_000n, 49_000_000n, 2n ** 31n, 2n ** 53n, 2n ** 64n - 1n]) {
      const copy = Buffer.from(bytes);
      copy.writeBigUInt64LE(value, at);
      writeFileSync(path, copy);
      const outcome = await child.open(path);
      expectBounded(`${value} at ${at}`, outcome);
      expect(outcome.refusal).toMatch(
        /lengths\.gguf is (cut off or )?damaged: .* (needs \d+ bytes from byte \d+ on|has \d+ bytes; at most 65535 are allowed)/,
      );
    }
  }
});

test("an added token with a huge id", async () => {
  const to = join(folder, "added");
  mkdirSync(to);
  for (const file of ["model.safetensors", "config.json"])
    symlinkSync(join(modelFolder("llama-tiny"), file), join(to, file));
  const tokenizer = JSON.parse(readFileSync(join(modelFolder("llama-tiny"), "tokenizer.json"), "utf8")) as {
    added_tokens: Json[];
  };
  for (const id of [1e9, 4294967295, 2 ** 53]) {
    writeFileSync(
      join(to, "tokenizer.json"),
      JSON.stringify({
        ...tokenizer,
        added_tokens: [...tokenizer.added_tokens, { ...tokenizer.added_tokens[0], content: "<huge>", id }],
      }),
    );
    expectBounded(`id ${id}`, await child.open(to));
    writeFileSync(
      join(to, "tokenizer_config.json"),
      JSON.stringify({ added_tokens_decoder: { [id]: { content: "<more>" } } }),
    );
    expectBounded(`id ${id}`, await child.open(to));
    rmSync(join(to, "tokenizer_config.json"));
  }
});

describe("a safetensors header of 95 MB", () => {
  /** A file whose header is `pieces` between braces, repeated to 95 MB. */
  function huge(name: string, piece: (i: number) => string, rest = ""): string {
    const to = join(folder, name);
    mkdirSync(to);
    for (const file of ["config.json", "tokenizer.json"])
      symlinkSync(join(modelFolder("llama-tiny"), file), join(to, file));
    const path = join(to, "model.safetensors");
    const fd = openSync(path, "w");
    let length = writeSync(fd, Buffer.from(`\0\0\0\0\0\0\0\0{${rest}`)) - 8;
    for (let i = 0; length < 95_000_000;) {
      let text = "";
      while (text.length < 1 << 20) text += piece(i++);
      length += writeSync(fd, text);
    }
    length += writeSync(fd, "}");
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(length));
    writeSync(fd, size, 0, 8, 0);
    closeSync(fd);
    return to;
  }
  const info = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}';

  test.each<[string, (i: number) => string, string, RegExp]>([
    ["of tensors", (i) => `${i === 0 ? "" : ","}"t${i}":${info}`, "", /names more than 200000 tensors/],
    ["of blanks", () => " ".repeat(1024), "", /3 layers are more than the weights can hold, which have 0 tensors\.$/],
    ["of one name", () => "a".repeat(1024), '"', /not valid JSON/],
    ["of opening brackets", () => "[".repeat(1024), '"a":', /not valid JSON|takes \d+ bytes of its header/],
    [
      "of one shape",
      (i) => `${i === 0 ? "" : ","}1${",1".repeat(1000)}`,
      '"a":{"dtype":"F32","data_offsets":[0,4],"shape":[',
      /not valid JSON|takes \d+ bytes of its header/,
    ],
    ["of metadata", (i) => `${i === 0 ? "" : ","}"${i}":"x"`, '"__metadata__":{', /not valid JSON/],
  ])("%s", async (name, piece, rest, message) => {
    const to = huge(name, piece, rest);
    const one = new ModelProcess();
    try {
      const outcome = await one.open(to);
      expectBounded(name, outcome);
      expect(outcome.refusal).toMatch(message);
    } finally {
      one.close();
      rmSync(to, { recursive: true });
    }
  });
});
