import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ModelFileError } from "../../src/model/errors";
import type { ModelFiles } from "../../src/model/files";
import { openModel } from "../../src/model/open";
import { defaultModelFile } from "../support/default-model";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lmt-gguf-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("SmolLM2-135M-Instruct in Q4_1", () => {
  let files: ModelFiles;
  beforeAll(async () => {
    files = await openModel(await defaultModelFile());
  }, 300000);

  test("is described", () => {
    const { family, nLayers, nHeads, nKeyValueHeads, dModel, dHead, dFfn, dVocab, maxPositions } = files.architecture;
    expect({ family, nLayers, nHeads, nKeyValueHeads, dModel, dHead, dFfn, dVocab, maxPositions }).toEqual({
      family: "llama",
      nLayers: 30,
      nHeads: 9,
      nKeyValueHeads: 3,
      dModel: 576,
      dHead: 64,
      dFfn: 1536,
      dVocab: 49152,
      maxPositions: 8192,
    });
    // The model's own count: the tied embedding once.
    expect(files.nParams).toBe(134515008);
    expect(files.storedType).toBe("q4_1");
    expect(files.architecture.unembedding.weight).toEqual(files.architecture.embedding.token);
  });

  const reference = JSON.parse(readFileSync(join(__dirname, "data/smollm2-tokens.json"), "utf8")) as {
    cases: { text: string; ids: number[] }[];
  };

  test.each(reference.cases.map(({ text, ids }) => [text, ids] as const))(
    "tokens of %j are those of transformers",
    (text, ids) => {
      expect(files.tokenizer.encode(text)).toEqual(ids);
    },
  );

  test.each(reference.cases.map(({ text }) => [text]))("the tokens' texts of %j put together are the text", (text) => {
    const together = files.tokenizer
      .encode(text)
      .map((id) => files.tokenizer.token(id).text)
      .join("");
    // Bytes of characters that are cut over several tokens are shown as <0xE2>: put back together they are the text.
    const bytes = together
      .split(/(<0x[89A-F][0-9A-F]>)/)
      .map((part) =>
        /^<0x[89A-F][0-9A-F]>$/.test(part) ? Buffer.from([Number(part.slice(1, -1))]) : Buffer.from(part),
      );
    expect(Buffer.concat(bytes).toString("utf8")).toBe(text);
  });

  test("reads the same rows whole and one by one", () => {
    const ref = files.architecture.embedding.token;
    const rows = files.weights.readRows(ref, [49151, 0, 504]);
    expect(rows.length).toBe(3 * 576);
    expect(rows.subarray(2 * 576)).toEqual(files.weights.read({ ...ref, rows: [504, 505] }).data);
    const { qkv } = files.architecture.layers[3].attention;
    if (qkv.kind !== "separate") throw new Error("expected three matrices");
    const whole = files.weights.read(qkv.key.weight);
    expect(whole.dims).toEqual([192, 576]);
    expect(files.weights.readRows(qkv.key.weight, [0, 1, 33, 191])).toEqual(
      Float32Array.from([0, 1, 33, 191].flatMap((row) => [...whole.data.subarray(row * 576, (row + 1) * 576)])),
    );
  });
});

/** Parts made by the gguf package (test/reference/split_gguf.py). */
describe("a split model", () => {
  const PARTS = [1, 2, 3].map((i) => `qwen2-0000${i}-of-00003.gguf`);
  const split = join(__dirname, "data/gguf-split");
  const copy = (names: readonly string[]): void =>
    names.forEach((name) => copyFileSync(join(split, name), join(folder, name)));

  test("opens by any part and by its folder, with the values of the whole", async () => {
    const whole = await openModel(join(__dirname, "data/gguf/qwen2.gguf"));
    copy(PARTS);
    symlinkSync(PARTS[1], join(folder, "link.gguf"));
    for (const name of [...PARTS, "link.gguf", ""]) {
      if (name === "") rmSync(join(folder, "link.gguf"));
      const files = await openModel(join(folder, name));
      expect(JSON.stringify(files.architecture)).toBe(JSON.stringify(whole.architecture));
      expect([...files.weights.entries.keys()].sort()).toEqual([...whole.weights.entries.keys()].sort());
      for (const name of whole.weights.entries.keys())
        expect(files.weights.read({ name })).toEqual(whole.weights.read({ name }));
      files.weights.close();
    }
    whole.weights.close();
  });

  test("lies beside another model", async () => {
    copy(PARTS);
    copyFileSync(join(__dirname, "data/gguf/llama.gguf"), join(folder, "z.gguf"));
    await expect(openModel(folder)).rejects.toThrow(`name one of ${PARTS[0]} or z.gguf`);
    rmSync(join(folder, PARTS[1]));
    expect((await openModel(folder)).architecture.family).toBe("llama");
  });

  test.each<[string, () => string, RegExp]>([
    [
      "without two of its parts",
      () => (copy([PARTS[1]]), PARTS[1]),
      /is part of a model that is split into 3 files, of which qwen2-00001-of-00003\.gguf and qwen2-00003-of-00003\.gguf are missing/,
    ],
    [
      "in which a part has another's name",
      () => {
        copy(PARTS);
        copyFileSync(join(split, PARTS[2]), join(folder, PARTS[1]));
        return PARTS[0];
      },
      /qwen2-00002-of-00003\.gguf says that it is part 3 of 3, but its name part 2 of 3: the files are mixed up\.$/,
    ],
    [
      "whose parts are called something else",
      () => (copyFileSync(join(split, PARTS[0]), join(folder, "model.gguf")), "model.gguf"),
      /its name does not say which: parts are called model-00001-of-00003\.gguf and so on\.$/,
    ],
    [
      "with fewer tensors than it says",
      () => {
        copy(PARTS);
        const bytes = readFileSync(join(folder, PARTS[0]));
        const at = bytes.indexOf("split.tensors.count") + "split.tensors.count".length + 4;
        bytes.writeUInt32LE(bytes.readUInt32LE(at) + 1, at);
        writeFileSync(join(folder, PARTS[0]), bytes);
        return PARTS[2];
      },
      /have \d+ tensors, but the model has \d+: they do not belong together\.$/,
    ],
  ])("%s is refused", async (_, make, message) => {
    const error = await openModel(join(folder, make())).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ModelFileError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toContain("\n");
  });
});

describe("a file that cannot be opened says why in one sentence", () => {
  const original = readFileSync(join(__dirname, "data/gguf/llama.gguf"));

  function changed(change: (bytes: Buffer) => Buffer | void): string {
    const copy = Buffer.from(original);
    const path = join(folder, "model.gguf");
    writeFileSync(path, change(copy) ?? copy);
    return path;
  }

  /** Position after a tensor's name in the header. */
  const after = (bytes: Buffer, text: string): number => bytes.indexOf(text) + text.length;

  test.each<[string, (bytes: Buffer) => Buffer | void, RegExp]>([
    [
      "cut off in a tensor",
      (bytes) => bytes.subarray(0, bytes.length - 100),
      /is cut off: tensor ".+" ends at byte \d+, but the file has \d+ bytes\. Download or copy it again\.$/,
    ],
    ["cut off in the header", (bytes) => bytes.subarray(0, 3000), /is cut off/],
    ["cut off in the metadata's first bytes", (bytes) => bytes.subarray(0, 30), /is cut off/],
    [
      "cut off at once",
      (bytes) => bytes.subarray(0, 10),
      /is cut off: its header ends at byte 24, but the file has 10 bytes/,
    ],
    ["empty", () => Buffer.alloc(0), /is not a GGUF file: it does not begin with "GGUF"\.$/],
    ["another kind of file", () => Buffer.from("<!doctype html><title>Not found</title>"), /is not a GGUF file/],
    ["a pointer of Git LFS", () => Buffer.from("version https://git-lfs.github.com/spec/v1\n"), /is a Git LFS pointer/],
    [
      "an unknown architecture",
      (bytes) => {
        bytes.write("mamba", bytes.indexOf("llama"));
      },
      /GGUF architecture "mamba" is not supported; arcee, .*llama.*stablelm.* are\.$/,
    ],
    [
      "an unsupported tensor type",
      (bytes) => {
        bytes.writeUInt32LE(40, after(bytes, "blk.1.ffn_up.weight") + 4 + 2 * 8);
      },
      /tensor "blk\.1\.ffn_up\.weight" is stored as NVFP4, which is not supported; F32, .* and TQ2_0 are\.$/,
    ],
    [
      "a type that does not exist",
      (bytes) => {
        bytes.writeUInt32LE(999, after(bytes, "blk.1.ffn_up.weight") + 4 + 2 * 8);
      },
      /is stored as type 999, which is not supported/,
    ],
    [
      "a shape against the config",
      (bytes) => {
        bytes.writeBigUInt64LE(16n, after(bytes, "blk.1.ffn_up.weight") + 4 + 8);
      },
      /tensor "blk\.1\.ffn_up\.weight" has shape \[16, 32\], but the config asks for \[48, 32\]\.$/,
    ],
    [
      "a missing tensor",
      (bytes) => {
        bytes.write("blk.9", bytes.indexOf("blk.1.ffn_up.weight"));
      },
      /has no tensor "blk\.1\.ffn_up\.weight", which its config asks for\.$/,
    ],
    [
      "an unknown kind of tokenizer",
      (bytes) => {
        bytes.write("t5xxx", after(bytes, "tokenizer.ggml.model") + 12);
      },
      /tokenizer model "t5xxx" is not supported; gpt2 \(byte-level BPE\) and llama \(SentencePiece\) are\.$/,
    ],
  ])("%s", async (_, change, message) => {
    const path = changed(change);
    const error: unknown = await openModel(path).then(
      () => undefined,
      (caught: unknown) => caught,
    );
    expect(error).toBeInstanceOf(ModelFileError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).toContain(path);
    expect((error as Error).message).not.toContain("\n");
  });

  test("a big-endian file", async () => {
    const path = changed((bytes) => {
      bytes.writeUInt32BE(3, 4);
    });
    await expect(openModel(path)).rejects.toThrow(
      `${path} is a big-endian GGUF file; little-endian ones are supported.`,
    );
  });

  test("the unchanged file opens", async () => {
    await expect(openModel(changed(() => undefined))).resolves.toMatchObject({ name: "Llama" });
  });

  test("nothing at the path", async () => {
    await expect(openModel(join(folder, "none.gguf"))).rejects.toThrow(ModelFileError);
  });
});
