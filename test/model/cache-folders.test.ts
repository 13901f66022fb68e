/** Folders that hold more than one model, or more than a model: the hub's cache, and several GGUF files. */
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ModelFileError } from "../../src/model/errors";
import { layoutOf } from "../../src/model/folder";
import { openModel, type OpenOptions } from "../../src/model/open";
import { modelFolder } from "../support/fixtures";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lmt-cache-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function failure(source: string, options: OpenOptions = {}): Promise<string> {
  const error: unknown = await openModel(source, options).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(ModelFileError);
  expect((error as Error).message).not.toContain("\n");
  return (error as Error).message;
}

describe("a folder of the hub's cache", () => {
  const COMMITS = ["a", "b", "c"].map((letter) => letter.repeat(40));
  const MODELS = ["gpt2-tiny", "llama-tiny", "opt-tiny"] as const;
  const FAMILIES = ["gpt2", "llama", "opt"];

  /** Versions of a model, the second one the newest: real files are blobs, as huggingface_hub lays them. */
  function cached(name = "models--org--tiny", versions = 3): string {
    const model = join(folder, name);
    mkdirSync(join(model, "blobs"), { recursive: true });
    mkdirSync(join(model, "refs"));
    mkdirSync(join(model, "snapshots"));
    for (let i = 0; i < versions; i++) {
      const version = join(model, "snapshots", COMMITS[i]);
      mkdirSync(version);
      for (const file of ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]) {
        copyFileSync(join(modelFolder(MODELS[i]), file), join(model, "blobs", `${i}-${file}`));
        symlinkSync(`../../blobs/${i}-${file}`, join(version, file));
      }
      utimesSync(version, 1000, i === 1 ? 3000 : 1000 + i);
    }
    return model;
  }

  const opened = async (source: string, options: OpenOptions = {}): Promise<readonly [string, string]> => {
    const files = await openModel(source, options);
    files.weights.close();
    return [files.name, files.architecture.family];
  };

  test("the version that refs/main names; the model is called by its name", async () => {
    const model = cached();
    writeFileSync(join(model, "refs/main"), `${COMMITS[2]}\n`);
    expect(await opened(model)).toEqual(["org/tiny", "opt"]);
    expect(await opened(join(model, "snapshots"))).toEqual(["org/tiny", "opt"]);
    expect(await opened(`${model}/`)).toEqual(["org/tiny", "opt"]);
  });

  test("a version by its commit, branch or tag", async () => {
    const model = cached();
    writeFileSync(join(model, "refs/main"), COMMITS[2]);
    mkdirSync(join(model, "refs/pr"));
    writeFileSync(join(model, "refs/pr/1"), COMMITS[0]);
    // Not among the refs.
    writeFileSync(join(folder, "x"), COMMITS[0]);
    for (const [i, revision] of [
      [0, COMMITS[0]],
      [1, COMMITS[1]],
      [2, "main"],
      [0, "pr/1"],
    ] as const)
      expect((await opened(model, { revision }))[1]).toBe(FAMILIES[i]);
    for (const revision of ["none", "../../x", "pr", COMMITS[0].slice(0, 7), "a\0b", "..", ""]) {
      expect(await failure(model, { revision })).toMatch(
        /models--org--tiny has no version ".*"; it has a{40}, b{40} and c{40}\.$/,
      );
    }
  });

  test("without refs/main, or where it names what is not there: the only version, or the newest", async () => {
    const model = cached();
    expect(await opened(model)).toEqual(["org/tiny", "llama"]);
    writeFileSync(join(model, "refs/main"), "d".repeat(40));
    expect((await opened(model))[1]).toBe("llama");
    rmSync(join(model, "refs"), { recursive: true });
    for (const gone of [COMMITS[1], COMMITS[2]]) rmSync(join(model, "snapshots", gone), { recursive: true });
    expect((await opened(model))[1]).toBe("gpt2");
  });

  test("names with dashes, and without an organisation", async () => {
    expect((await opened(cached("models--my-org--a-b.c", 1)))[0]).toBe("my-org/a-b.c");
    expect((await opened(cached("models--gpt2", 1)))[0]).toBe("gpt2");
  });

  test("a download that was not finished", async () => {
    const model = cached("models--org--tiny", 0);
    expect(await failure(model)).toBe(
      `${model} has no version of the model under snapshots: its download was not finished; load it by its name, "org/tiny".`,
    );
    expect(await failure(model, { revision: "main" })).toBe(`${model} has no version "main"; it has none.`);
    rmSync(join(model, "snapshots"), { recursive: true });
    expect(await failure(model)).toMatch(/is no model/);
    const other = cached("models--org--half", 1);
    rmSync(join(other, "blobs/0-model.safetensors"));
    expect(await failure(other)).toMatch(
      /snapshots\/a{40}\/model\.safetensors is missing: it is a link to a file that is not there\.$/,
    );
  });

  test("a cache of several models is refused with their names", async () => {
    cached("models--org--one", 1);
    cached("models--gpt2", 1);
    mkdirSync(join(folder, "datasets--org--x"));
    expect(await failure(folder)).toBe(
      `${folder} is a cache of 2 models, not one: name one of models--gpt2 or models--org--one, as "${join(folder, "models--gpt2")}".`,
    );
    for (let i = 0; i < 20; i++) mkdirSync(join(folder, `models--z--${i}`));
    expect(await failure(folder)).toMatch(
      /is a cache of 22 models, not one: name one of (models--[^ ]+, ){10}models--[^ ]+ or models--[^ ]+, …, as ".*"\.$/,
    );
  });

  test("a model in whose folder others lie is a model", async () => {
    const model = join(folder, "model");
    cpSync(modelFolder("llama-tiny"), model, { recursive: true });
    mkdirSync(join(model, "models--org--one"));
    mkdirSync(join(model, "snapshots"));
    expect(await opened(model)).toEqual(["model", "llama"]);
  });
});

describe("several GGUF files", () => {
  const data = join(__dirname, "data/gguf");
  const QWEN = readFileSync(join(data, "qwen2.gguf"));
  const LLAMA = readFileSync(join(data, "llama.gguf"));

  /** A metadata pair with a text. */
  const pair = (key: string, value: string): Buffer =>
    Buffer.concat([length(key), Buffer.from(key), Buffer.of(8, 0, 0, 0), length(value), Buffer.from(value)]);
  const count = (key: string, value: number): Buffer =>
    Buffer.concat([length(key), Buffer.from(key), Buffer.of(2, 0, 0, 0, value, 0)]);
  const length = (text: string): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
    return bytes;
  };
  /** A header with these pairs and tensors [8] of float32. */
  function small(pairs: readonly Buffer[], tensors: readonly string[] = []): Buffer {
    const head = Buffer.from("GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "latin1");
    head[8] = tensors.length;
    head[16] = pairs.length;
    const infos = tensors.map((name, i) => {
      const info = Buffer.alloc(24);
      info.writeUInt32LE(1, 0);
      info.writeBigUInt64LE(8n, 4);
      info.writeBigUInt64LE(BigInt(32 * i), 16);
      return Buffer.concat([length(name), Buffer.from(name), info]);
    });
    const header = Buffer.concat([head, ...pairs, ...infos]);
    return Buffer.concat([header, Buffer.alloc(((32 - (header.length % 32)) % 32) + 32 * tensors.length)]);
  }
  const changed = (bytes: Buffer, from: string, to: string): Buffer => {
    const copy = Buffer.from(bytes);
    copy.write(to, copy.indexOf(from), "latin1");
    return copy;
  };
  /** Tensor `name`'s type changed in the header. */
  const typed = (bytes: Buffer, name: string, axes: number, type: number): Buffer => {
    const copy = Buffer.from(bytes);
    copy.writeUInt32LE(type, copy.indexOf(name) + name.length + 4 + 8 * axes);
    return copy;
  };

  /** Files that cannot be opened, whatever they are called. */
  const NONE: readonly (readonly [string, Buffer])[] = [
    [
      "a projector",
      small([pair("general.architecture", "clip"), pair("general.type", "mmproj")], ["v.patch_embd.weight"]),
    ],
    [
      "a part of a split model",
      small(
        [pair("general.architecture", "llama"), count("split.count", 2), count("split.no", 0)],
        ["token_embd.weight"],
      ),
    ],
    ["a later part of a split model", small([count("split.count", 2), count("split.no", 1)], ["blk.1.ffn_up.weight"])],
    ["a matrix of importance", small([pair("general.type", "imatrix")], ["blk.0.attn_q.weight.in_sum2"])],
    ["a vocabulary alone", small([pair("general.architecture", "llama"), pair("tokenizer.ggml.model", "llama")])],
    [
      "a LoRA adapter",
      small(
        [pair("general.architecture", "llama"), pair("general.type", "adapter")],
        ["token_embd.weight", "blk.0.attn_q.weight.lora_a"],
      ),
    ],
    ["a draft without an embedding", small([pair("general.architecture", "llama")], ["blk.0.attn_q.weight"])],
    ["an architecture that is not read", small([pair("general.architecture", "mamba")], ["token_embd.weight"])],
    ["a type of weights that is not read", typed(LLAMA, "blk.1.ffn_up.weight", 2, 40)],
    [
      "a tokenizer that is not read",
      changed(
        LLAMA,
        "tokenizer.ggml.model\x08\0\0\0\x05\0\0\0\0\0\0\0llama",
        "tokenizer.ggml.model\x08\0\0\0\x05\0\0\0\0\0\0\0t5xxx",
      ),
    ],
    ["half a download", LLAMA.subarray(0, LLAMA.length - 1000)],
    ["a pointer of Git LFS", Buffer.from("version https://git-lfs.github.com/spec/v1\n")],
    ["an empty file", Buffer.alloc(0)],
  ];

  test.each(NONE)("the one model beside %s opens", async (_, bytes) => {
    writeFileSync(join(folder, "a.gguf"), bytes);
    expect(await failure(join(folder, "a.gguf"))).not.toBe("");
    writeFileSync(join(folder, "z.gguf"), QWEN);
    expect((await openModel(folder)).architecture.family).toBe("qwen2");
  });

  test("only files that can be opened are named", async () => {
    NONE.forEach(([, bytes], i) => writeFileSync(join(folder, `file-${i}.gguf`), bytes));
    mkdirSync(join(folder, "folder.gguf"));
    symlinkSync("nowhere", join(folder, "link.gguf"));
    writeFileSync(join(folder, "y.gguf"), LLAMA);
    writeFileSync(join(folder, "z.gguf"), QWEN);
    expect(await failure(folder)).toBe(
      `${folder} has 2 GGUF files: name one of y.gguf or z.gguf, as "${folder}/y.gguf".`,
    );
    expect((await openModel(join(folder, "z.gguf"))).architecture.family).toBe("qwen2");
  });

  test("the headers decide, not the names", async () => {
    writeFileSync(join(folder, "qwen2-imatrix-adapter-00001-of-00001.gguf"), QWEN);
    writeFileSync(join(folder, "model-Q8_0.gguf"), NONE[0][1]);
    expect((await openModel(folder)).architecture.family).toBe("qwen2");
    writeFileSync(join(folder, "llama.gguf"), LLAMA);
    expect(await failure(folder)).toContain("name one of llama.gguf or qwen2-imatrix-adapter-00001-of-00001.gguf");
  });

  test("where none can be opened, the first says why", async () => {
    writeFileSync(join(folder, "a.gguf"), LLAMA);
    truncateSync(join(folder, "a.gguf"), LLAMA.length - 1000);
    writeFileSync(join(folder, "mmproj.gguf"), NONE[0][1]);
    expect(await failure(folder)).toMatch(/a\.gguf is cut off: tensor/);
  });

  test.each<[readonly string[], string]>([
    [["mmproj-model-f16.gguf", "model-Q4_K_M.gguf"], "model-Q4_K_M.gguf"],
    [["imatrix.gguf", "org_model-imatrix.gguf", "imatrix_unsloth.gguf", "model.gguf"], "model.gguf"],
    [["ggml-vocab-llama.gguf", "model.gguf"], "model.gguf"],
    [["model-lora.gguf", "model.gguf"], "model.gguf"],
    [["big-00001-of-00003.gguf", "big-00002-of-00003.gguf", "model.gguf"], "model.gguf"],
    [["big-00002-of-00002.gguf", "model.gguf"], "model.gguf"],
    [["big-00001-of-00002.gguf", "big-00002-of-00002.gguf"], "big-00001-of-00002.gguf"],
    [["mmproj.gguf", "model-imatrix-Q4_K_M.gguf"], "model-imatrix-Q4_K_M.gguf"],
    [["mmproj.gguf", "model-00001-of-00001.gguf"], "model-00001-of-00001.gguf"],
  ])("of %j in a list of names it is %s", (names, file) => {
    expect(layoutOf("org/x", names)).toEqual({ kind: "gguf", file });
  });
});
