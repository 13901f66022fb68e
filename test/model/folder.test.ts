import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync, copyFileSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Config } from "../../src/model/config";
import { ModelFileError } from "../../src/model/errors";
import { FAMILIES, familyOf, modelTypes } from "../../src/model/families";
import { layoutOf } from "../../src/model/folder";
import { openModel } from "../../src/model/open";
import { fixtures, modelFolder, modelNames, root } from "../support/fixtures";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lmt-folder-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

type Json = Record<string, unknown>;

/** A copy of a reference model (or of a folder) with its config changed; undefined removes a key. */
function variant(
  name: string,
  changes: Json,
  rename: (tensor: string) => string | undefined = (tensor) => tensor,
  extra: Json = {},
): string {
  const to = join(folder, "model");
  cpSync(name.includes("/") ? name : modelFolder(name), to, { recursive: true });
  const config = JSON.parse(readFileSync(join(to, "config.json"), "utf8")) as Json;
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) delete config[key];
    else config[key] = value;
  }
  writeFileSync(join(to, "config.json"), JSON.stringify(config));
  const path = join(to, "model.safetensors");
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + length)) as Json;
  const renamed = Object.fromEntries(
    Object.entries(header).flatMap(([key, value]) => {
      const other = key === "__metadata__" ? key : rename(key);
      return other === undefined ? [] : [[other, value]];
    }),
  );
  const text = Buffer.from(JSON.stringify({ ...renamed, ...extra }));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([size, text, bytes.subarray(8 + length)]));
  return to;
}

async function failure(source: string): Promise<string> {
  const error: unknown = await openModel(source).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(ModelFileError);
  expect((error as Error).message).not.toContain("\n");
  return (error as Error).message;
}

test.each(modelNames)("%s opens, with all of its scalars counted once", async (name) => {
  const files = await openModel(modelFolder(name));
  const bytes = readFileSync(join(modelFolder(name), "model.safetensors"));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + Number(bytes.readBigUInt64LE(0)))) as Record<
    string,
    { shape?: number[] }
  >;
  const scalars = Object.values(header).reduce((sum, { shape }) => sum + (shape ?? [0]).reduce((a, b) => a * b, 1), 0);
  expect(files.nParams).toBe(scalars);
  expect(files.storedType).toBe("float32");
  expect(files.name).toBe(name);
  expect(fixtures).toBeTruthy();
});

describe("checkpoints as they are found", () => {
  test.each([
    ["gpt2-tiny", "transformer."],
    ["llama-tiny-mha-tied", "model."],
    ["opt-tiny", "model."],
    ["qwen2-tiny", "model."],
  ])("%s without the prefix %j", async (name, prefix) => {
    const plain = await openModel(modelFolder(name));
    const bare = await openModel(
      variant(name, {}, (tensor) => (tensor.startsWith(prefix) ? tensor.slice(prefix.length) : tensor)),
    );
    expect(bare.nParams).toBe(plain.nParams);
    expect(bare.architecture.layers.length).toBe(plain.architecture.layers.length);
  });

  test("buffers that are no weights are left alone", async () => {
    const files = await openModel(
      variant("gpt2-tiny", {}, undefined, {
        "transformer.h.0.attn.bias": { dtype: "BOOL", shape: [1, 1, 0, 0], data_offsets: [0, 0] },
        "transformer.h.0.attn.masked_bias": { dtype: "F32", shape: [0], data_offsets: [0, 0] },
      }),
    );
    expect([...files.weights.entries.keys()].filter((name) => /\.attn\.(masked_)?bias$/.test(name))).toEqual([]);
    expect(files.nParams).toBe((await openModel(modelFolder("gpt2-tiny"))).nParams);
  });

  test("a model that ties needs no output matrix; one that does not is refused without", async () => {
    const drop = (tensor: string): string | undefined => (tensor === "lm_head.weight" ? undefined : tensor);
    const tied = await openModel(variant("llama-tiny", { tie_word_embeddings: true }, drop));
    expect(tied.architecture.unembedding.weight).toEqual(tied.architecture.embedding.token);
    rmSync(join(folder, "model"), { recursive: true });
    expect(await failure(variant("llama-tiny", {}, drop))).toMatch(
      /has no tensor "lm_head\.weight", which its config asks for\.$/,
    );
  });

  test.each<[string, string, Json]>([
    [
      "GPT-2 with its defaults left out",
      "gpt2-tiny",
      {
        n_inner: undefined,
        activation_function: undefined,
        layer_norm_epsilon: undefined,
        tie_word_embeddings: undefined,
        scale_attn_weights: undefined,
        n_positions: undefined,
        n_ctx: 64,
      },
    ],
    [
      "Llama of the old style",
      "llama-tiny",
      {
        head_dim: undefined,
        rope_parameters: undefined,
        rope_theta: 10000,
        rope_scaling: null,
        attention_bias: undefined,
        mlp_bias: undefined,
      },
    ],
    [
      "OPT without word_embed_proj_dim",
      "opt-tiny",
      { word_embed_proj_dim: undefined, enable_bias: undefined, _remove_final_layer_norm: undefined },
    ],
    [
      "GPT-NeoX of the old style",
      "gpt-neox-tiny",
      { rope_parameters: undefined, rotary_pct: 0.25, rotary_emb_base: 10000 },
    ],
    ["Phi of the old style", "phi-tiny", { rope_parameters: undefined, rope_theta: 10000, rope_scaling: null }],
    [
      "Gemma's first config",
      "gemma-tiny",
      { hidden_act: "gelu", hidden_activation: null, tie_word_embeddings: undefined },
    ],
  ])("%s is described the same", async (_, name, changes) => {
    const plain = (await openModel(modelFolder(name))).architecture;
    const old = (await openModel(variant(name, changes))).architecture;
    const flat = (architecture: unknown): string =>
      JSON.stringify(architecture, (_key, value: unknown) =>
        typeof value === "function" ? [...(value as (n: number) => Float64Array)(20)] : value,
      );
    expect(flat(old)).toBe(flat(plain));
  });

  test("the sliding window is null for none, and the family's default where it is not said", async () => {
    const window = async (changes: Json): Promise<number | undefined> => {
      rmSync(join(folder, "model"), { recursive: true, force: true });
      return (await openModel(variant("mistral-tiny-sw8", changes))).architecture.layers[0].attention.window;
    };
    expect(await window({})).toBe(8);
    expect(await window({ sliding_window: null })).toBeUndefined();
    expect(await window({ sliding_window: undefined })).toBe(4096);
  });

  test.each(["language_model.model.", "model.language_model."])(
    "Gemma 3 with vision: its text part, under %j",
    async (prefix) => {
      const text = join(root, "test/reference/families/gemma3");
      const config = JSON.parse(readFileSync(join(text, "config.json"), "utf8")) as Json;
      const plain = await openModel(text);
      const whole = variant(
        text,
        { model_type: "gemma3", text_config: config, vision_config: {}, vocab_size: undefined, hidden_size: undefined },
        (tensor) => tensor.replace(/^model\./, prefix),
      );
      const part = await openModel(whole);
      expect(part.nParams).toBe(plain.nParams);
      expect(part.architecture.layers.map((layer) => layer.attention.window)).toEqual(
        plain.architecture.layers.map((layer) => layer.attention.window),
      );
    },
  );

  test("a folder with one GGUF file", async () => {
    copyFileSync(join(__dirname, "data/gguf/qwen2.gguf"), join(folder, "a.gguf"));
    expect((await openModel(folder)).architecture.family).toBe("qwen2");
  });

  test("vocab.json and merges.txt without tokenizer.json", async () => {
    const model = variant("gpt2-tiny", {});
    const json = JSON.parse(readFileSync(join(model, "tokenizer.json"), "utf8")) as {
      model: { vocab: Json; merges: (string | string[])[] };
    };
    rmSync(join(model, "tokenizer.json"));
    const gone = (await openModel(model)).tokenizer;
    expect(gone.token(3)).toEqual({ id: 3, text: "<unused 3>" });
    expect(() => gone.encode("x")).toThrow(
      /has no tokenizer\.json, so that text cannot be read; give token ids, or make one/,
    );
    writeFileSync(join(model, "vocab.json"), JSON.stringify(json.model.vocab));
    writeFileSync(
      join(model, "merges.txt"),
      `#version: 0.2\n${json.model.merges.map((merge) => (Array.isArray(merge) ? merge.join(" ") : merge)).join("\n")}\n`,
    );
    writeFileSync(join(model, "tokenizer_config.json"), "{}");
    const text = "The cat sat. 1732  x<|endoftext|>";
    const expected = (await openModel(modelFolder("gpt2-tiny"))).tokenizer.encode(text, { addSpecialTokens: false });
    expect((await openModel(model)).tokenizer.encode(text)).toEqual(expected);
  });
});

describe("what cannot be opened is refused with what would work", () => {
  test.each<[string, string, Json, RegExp]>([
    [
      "model type",
      "llama-tiny",
      { model_type: "mamba", architectures: ["MambaForCausalLM"] },
      /config\.json: model type "mamba" is not supported; arcee, .*llama.* are\.$/,
    ],
    [
      "model type of another name for a known class",
      "llama-tiny",
      { model_type: "our-llama", architectures: ["LlamaForCausalLM"] },
      /model type "our-llama" is not supported, but its class LlamaForCausalLM is that of "llama": if the model is one of those under another name, write "model_type": "llama" there\.$/,
    ],
    [
      "model type of another name for a class with a number in its name",
      "llama-tiny",
      { model_type: "our-bigcode", architectures: ["Own", "GPTBigCodeForCausalLM"] },
      /its class GPTBigCodeForCausalLM is that of "gpt_bigcode"/,
    ],
    [
      "no model type",
      "llama-tiny",
      { model_type: undefined },
      /config\.json has no "model_type"; supported are arcee, /,
    ],
    [
      "quantisation",
      "llama-tiny",
      { quantization_config: { quant_method: "gptq", bits: 4 } },
      /weights quantised by "gptq" are not supported; unquantised safetensors .* and GGUF files .* are\.$/,
    ],
    [
      "rope type",
      "llama-tiny",
      { rope_scaling: { type: "spiral", factor: 2 } },
      /rope type "spiral" is not supported; default, linear, dynamic, llama3, yarn and longrope are\.$/,
    ],
    [
      "rope type, new style",
      "llama-tiny",
      { rope_parameters: { rope_type: "mrope" } },
      /rope type "mrope" is not supported/,
    ],
    [
      "activation",
      "llama-tiny",
      { hidden_act: "mish" },
      /activation function "mish" is not supported; gelu, .*silu.* are\.$/,
    ],
    [
      "attention to later tokens",
      "gemma-tiny",
      { use_bidirectional_attention: true },
      /attention to later tokens \("use_bidirectional_attention": true\) is not supported; decoder-only models, .* are\.$/,
    ],
    [
      "an encoder made of a decoder",
      "llama-tiny",
      { is_causal: false },
      /attention to later tokens \("is_causal": false\) is not supported/,
    ],
    [
      "OPT-350m",
      "opt-tiny",
      { do_layer_norm_before: false },
      /this is the OPT-350m variant .* OPT 125m, 1\.3b, .* are\.$/,
    ],
    ["OPT with projections", "opt-tiny", { word_embed_proj_dim: 16 }, /this is the OPT-350m variant/],
    ["cross-attention", "gpt2-tiny", { add_cross_attention: true }, /add_cross_attention/],
    [
      "a missing number",
      "llama-tiny",
      { hidden_size: undefined },
      /config\.json has no "hidden_size"; a positive integer is needed\.$/,
    ],
    [
      "a wrong number",
      "llama-tiny",
      { hidden_size: "32" },
      /config\.json: "hidden_size" must be a positive integer, not "32"\.$/,
    ],
    [
      "heads that do not divide",
      "llama-tiny",
      { num_key_value_heads: 3 },
      /4 attention heads cannot share 3 key\/value heads/,
    ],
    [
      "a width that does not fit",
      "llama-tiny",
      { intermediate_size: 81 },
      /tensor "model\.layers\.0\.mlp\.gate_proj\.weight" has shape \[80, 32\], but the config asks for \[81, 32\]\.$/,
    ],
    ["more layers than there are", "llama-tiny", { num_hidden_layers: 4 }, /has no tensor "model\.layers\.3\./],
  ])("%s", async (_, name, changes, message) => {
    expect(await failure(variant(name, changes))).toMatch(message);
  });

  test.each<[string, string, Json, string]>([
    ["model type", "llama-tiny", { model_type: "mamba" }, 'model type "mamba"'],
    ["quantisation", "llama-tiny", { quantization_config: { quant_method: "awq" } }, 'quantised by "awq"'],
    ["rope type", "llama-tiny", { rope_parameters: { rope_type: "proportional" } }, 'rope type "proportional"'],
    ["activation", "llama-tiny", { hidden_act: "mish" }, 'activation function "mish"'],
    [
      "Falcon's activation, which has a key of its own",
      "llama-tiny",
      { model_type: "falcon", activation: "tanh" },
      'activation function "tanh"',
    ],
    [
      "activation of a model's text part",
      "llama-tiny",
      { model_type: "gemma3", text_config: { hidden_activation: "mish" } },
      'activation function "mish"',
    ],
    [
      "rope type of a model's text part",
      "llama-tiny",
      { model_type: "gemma3", text_config: { rope_scaling: { rope_type: "mrope" } } },
      'rope type "mrope"',
    ],
  ])("%s is refused before the weights are looked at", async (_, name, changes, message) => {
    const model = variant(name, changes);
    writeFileSync(join(model, "model.safetensors"), "nothing");
    expect(await failure(model)).toContain(message);
  });

  const where = "a folder";
  test.each<[string, string[], RegExp]>([
    [
      "pickles",
      ["config.json", "pytorch_model.bin"],
      /^a folder has its weights only as pytorch_model\.bin, a Python pickle/,
    ],
    [
      "sharded pickles",
      ["config.json", "pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"],
      /a Python pickle/,
    ],
    [
      "a LoRA adapter",
      ["adapter_config.json", "adapter_model.safetensors", "tokenizer.json"],
      /^a folder is a LoRA adapter, not a model: merge it into its base model/,
    ],
    [
      "a LoRA adapter beside a config",
      ["config.json", "adapter_config.json", "adapter_model.safetensors"],
      /is a LoRA adapter/,
    ],
    [
      "TensorFlow",
      ["config.json", "tf_model.h5"],
      /only as tf_model\.h5; \.safetensors and \.gguf files can be opened/,
    ],
    [
      "no weights",
      ["config.json", "tokenizer.json"],
      /^a folder has a config\.json, but no \.safetensors or \.gguf file/,
    ],
    ["nothing", ["README.md"], /^a folder is no model: it has neither/],
    ["weights without a config", ["model.safetensors"], /^a folder is no model/],
    [
      "many files without index",
      ["config.json", "a.safetensors", "b.safetensors"],
      /has 2 \.safetensors files \(a\.safetensors and b\.safetensors\), but neither/,
    ],
    ["many GGUF files", ["a.gguf", "b.gguf"], /^a folder has 2 GGUF files: name one of a\.gguf or b\.gguf/],
  ])("%s", (_, names, message) => {
    expect(() => layoutOf(where, names)).toThrow(ModelFileError);
    expect(() => layoutOf(where, names)).toThrow(message);
  });

  test("a merged folder with the adapter's config left in it opens", () => {
    expect(layoutOf(where, ["adapter_config.json", "config.json", "model.safetensors"])).toEqual({
      kind: "safetensors",
      file: "model.safetensors",
    });
  });

  test.each<[string, string, string, RegExp]>([
    ["a config that is not JSON", "config.json", "{", /config\.json is not valid JSON/],
    ["a config that is a list", "config.json", "[]", /config\.json is not a JSON object/],
    ["a tokenizer that is cut off", "tokenizer.json", '{"model":', /tokenizer\.json is not valid JSON/],
  ])("%s", async (_, name, content, message) => {
    const model = variant("llama-tiny", {});
    rmSync(join(model, name));
    writeFileSync(join(model, name), content);
    expect(await failure(model)).toMatch(message);
  });

  test("LoRA matrices beside the weights that they change", async () => {
    const model = variant("llama-tiny", {}, (tensor) => tensor, {
      "model.layers.0.self_attn.q_proj.lora_A.weight": { dtype: "F32", shape: [0, 32], data_offsets: [0, 0] },
    });
    expect(await failure(model)).toMatch(
      /has a LoRA adapter that is not merged \(tensor "model\.layers\.0\.self_attn\.q_proj\.lora_A\.weight"\): merge it/,
    );
  });

  test("a lone weight file", async () => {
    expect(await failure(join(modelFolder("llama-tiny"), "model.safetensors"))).toMatch(
      /holds weights alone; open the folder/,
    );
  });

  test("an empty folder", async () => {
    mkdirSync(join(folder, "empty"));
    expect(await failure(join(folder, "empty"))).toMatch(/is no model/);
  });
});

test("names in the registry are unique, and every family can be asked", () => {
  const names = FAMILIES.map((family) => family.name);
  expect(new Set(names).size).toBe(names.length);
  expect(new Set(modelTypes()).size).toBe(modelTypes().length);
  const architectures = FAMILIES.flatMap((family) => family.gguf ?? []).map((mapping) => mapping.architecture);
  expect(new Set(architectures).size).toBe(architectures.length);
  for (const type of modelTypes())
    expect(familyOf(new Config("x", { model_type: type, hidden_size: 1 })).modelTypes).toContain(type);
});
