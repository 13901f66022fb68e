/** Indexes that do not fit their shards any more, and JSON as Python's tools write it. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ModelFileError } from "../../src/model/errors";
import { parseJson } from "../../src/model/json";
import { openModel } from "../../src/model/open";
import { loadModel } from "../../src/index";
import { modelFolder } from "../support/fixtures";

const INDEX = "model.safetensors.index.json";
const [FIRST, SECOND] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lmt-indexes-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function failure(source: string): Promise<string> {
  const error: unknown = await openModel(source).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(ModelFileError);
  expect((error as Error).message).not.toContain("\n");
  return (error as Error).message;
}

/** A model in two shards whose index is changed. */
function sharded(change: (map: Record<string, unknown>) => unknown = () => undefined): string {
  cpSync(join(__dirname, "data/stale-index"), folder, { recursive: true });
  const index = JSON.parse(readFileSync(join(folder, INDEX), "utf8")) as { weight_map: Record<string, unknown> };
  const map = change(index.weight_map) ?? index.weight_map;
  writeFileSync(join(folder, INDEX), JSON.stringify({ metadata: {}, weight_map: map }));
  return folder;
}

describe("an index that is older or newer than its shards", () => {
  let logits: Float32Array;
  const IDS = [1, 2, 3, 200];
  beforeAll(async () => {
    const model = await loadModel(join(__dirname, "data/stale-index"));
    logits = (await (await model.run(IDS)).logits()).data;
    await model.dispose();
  });

  test.each<[string, (map: Record<string, unknown>) => unknown]>([
    ["names a buffer that no shard has", () => undefined],
    [
      "names a buffer in a shard that is not there",
      (map) => {
        map["model.layers.1.self_attn.rotary_emb.inv_freq"] = "model-00003-of-00003.safetensors";
      },
    ],
    [
      "leaves out a tensor that a shard has",
      (map) => {
        delete map["model.layers.2.mlp.up_proj.weight"];
      },
    ],
    [
      "places a tensor in the wrong shard",
      (map) => {
        map["model.layers.2.mlp.up_proj.weight"] = FIRST;
        map["model.embed_tokens.weight"] = SECOND;
      },
    ],
  ])("%s: the model opens, with the same numbers", async (_, change) => {
    const model = await loadModel(sharded(change));
    expect((await (await model.run(IDS)).logits()).data).toEqual(logits);
    await model.dispose();
  });

  test.each<[string, (map: Record<string, unknown>) => unknown, RegExp]>([
    [
      "a tensor that no shard has",
      (map) => {
        const rest = { ...map };
        rewrite(FIRST, "model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weighx");
        return rest;
      },
      /model-00001-of-00002\.safetensors has no tensor "model\.layers\.0\.mlp\.up_proj\.weight", but model\.safetensors\.index\.json places it there\.$/,
    ],
    [
      "a tensor in a shard that is not there",
      (map) => {
        for (const name of Object.keys(map)) if (map[name] === SECOND) map[name] = "model-2.safetensors";
      },
      /model-2\.safetensors is missing: model\.safetensors\.index\.json places 18 tensors in it\.$/,
    ],
    [
      "a tensor that neither the index nor a shard has",
      (map) => {
        const { "model.norm.weight": norm, ...rest } = map;
        rewrite(SECOND, "model.norm.weight", "model.norm.weighx");
        return norm === undefined ? map : rest;
      },
      /has no tensor "model\.norm\.weight", which its config asks for\.$/,
    ],
  ])("%s is refused when it is needed", async (_, change, message) => {
    expect(await failure(sharded(change))).toMatch(message);
  });

  /** Gives a tensor of a shard another name of the same length. */
  function rewrite(shard: string, name: string, other: string): void {
    const bytes = readFileSync(join(folder, shard));
    bytes.write(other, bytes.indexOf(`"${name}"`) + 1);
    writeFileSync(join(folder, shard), bytes);
  }

  test("a shard that is missing whole, as after half a download", async () => {
    sharded();
    rmSync(join(folder, SECOND));
    expect(await failure(folder)).toBe(`${join(folder, SECOND)} is missing: ${INDEX} places 18 tensors in it.`);
  });
});

describe("names of shards", () => {
  test.each([
    "../a.safetensors",
    "..",
    ".",
    "",
    "/etc/a.safetensors",
    "sub/a.safetensors",
    "..\\a.safetensors",
    "sub\\a.safetensors",
    "C:a.safetensors",
    "C:\\a.safetensors",
    "a.safetensors:stream",
    "a\0.safetensors",
    "a.safetensors\0",
    "\0",
    "a.bin",
    "a.safetensors/",
    7,
    null,
    ["a.safetensors"],
    { file: "a" },
  ])("%j is refused", async (name) => {
    const message = await failure(
      sharded((map) => {
        map["model.norm.weight"] = name;
      }),
    );
    expect(message).toMatch(
      /index\.json places tensor "model\.norm\.weight" in .*; a \.safetensors file beside the index is expected\.$/,
    );
    expect(message).not.toMatch(/[\0-\x1f]/);
  });

  test("odd names beside the index are names", async () => {
    const odd = "…%2e%2e #1 é.safetensors";
    sharded((map) => {
      for (const key of Object.keys(map)) if (map[key] === SECOND) map[key] = odd;
    });
    renameSync(join(folder, SECOND), join(folder, odd));
    await expect(openModel(folder)).resolves.toBeDefined();
  });

  test("a shard that is a folder, and an index that is one", async () => {
    sharded();
    rmSync(join(folder, SECOND));
    mkdirSync(join(folder, SECOND));
    expect(await failure(folder)).toBe(`${join(folder, SECOND)} cannot be read: it is a folder.`);
    rmSync(join(folder, INDEX));
    mkdirSync(join(folder, INDEX));
    expect(await failure(folder)).toBe(`${join(folder, INDEX)} cannot be read: it is a folder.`);
  });
});

describe("JSON as Python writes it", () => {
  test.each<[string, unknown]>([
    ["NaN", NaN],
    ["-Infinity", -Infinity],
    ['{"a":Infinity}', { a: Infinity }],
    ["[NaN,-Infinity, Infinity ]", [NaN, -Infinity, Infinity]],
    [
      '{"NaN": "NaN Infinity", "b\\"NaN": NaN, "c\\\\": -Infinity}',
      { NaN: "NaN Infinity", 'b"NaN': NaN, "c\\": -Infinity },
    ],
    ['\ufeff{"a": 1}', { a: 1 }],
    ["\ufeffNaN", NaN],
    ['{"a": "\ufeff"}', { a: "\ufeff" }],
    ["-1", -1],
    ["[-0.5]", [-0.5]],
  ])("%j", (text, value) => {
    expect(parseJson("x.json", text)).toEqual(value);
  });

  test.each([
    "NaNa",
    "nan",
    "inf",
    "-NaN",
    "+Infinity",
    "Infinit",
    "--Infinity",
    "[NaN",
    "{NaN: 1}",
    "{Infinity \n: 1}",
    "NaN NaN",
    "1NaN",
    "\ufeff\ufeff1",
    "",
    " ",
    "'a'",
    "[1,]",
    "undefined",
  ])("%j is none", (text) => {
    expect(() => parseJson("x.json", text)).toThrow(ModelFileError);
    expect(() => parseJson("x.json", text)).toThrow(/^x\.json is not valid JSON: [^\n]+\.$/);
  });

  const BOM = "\ufeff";

  /** A model of its kind with all of its small files. */
  function whole(): string {
    const to = join(folder, "model");
    cpSync(modelFolder("llama-tiny"), to, { recursive: true });
    return to;
  }

  test("a byte order mark and numbers that are none, in every small file of a model", async () => {
    const expected = await openModel(modelFolder("llama-tiny"));
    const model = whole();
    const config = readFileSync(join(model, "config.json"), "utf8").trim();
    writeFileSync(
      join(model, "config.json"),
      `${BOM}${config.slice(0, -1)}, "router_aux_loss_coef": NaN, "attention_logit_cap": -Infinity, "time_step_limit": [0.0, Infinity]}`,
    );
    writeFileSync(join(model, "tokenizer.json"), BOM + readFileSync(join(model, "tokenizer.json"), "utf8"));
    writeFileSync(join(model, "tokenizer_config.json"), `${BOM}{"model_max_length": Infinity, "x": NaN}`);
    writeFileSync(join(model, "special_tokens_map.json"), `${BOM}{}`);
    writeFileSync(join(model, "added_tokens.json"), `${BOM}{}`);
    writeFileSync(join(model, "generation_config.json"), `${BOM}{"temperature": NaN, "top_p": -Infinity}`);
    const files = await openModel(model);
    expect(files.architecture.nLayers).toBe(expected.architecture.nLayers);
    expect(files.tokenizer.encode("The cat sat.")).toEqual(expected.tokenizer.encode("The cat sat."));
  });

  test("the same in an index", async () => {
    sharded();
    const index = readFileSync(join(folder, INDEX), "utf8");
    writeFileSync(
      join(folder, INDEX),
      `${BOM}${index.replace('"metadata":{}', '"metadata":{"total_size":NaN,"x":-Infinity}')}`,
    );
    await expect(openModel(folder)).resolves.toMatchObject({ architecture: { nLayers: 3 } });
  });

  test.each(["generation_config.json", "chat_template.json"])(
    "a damaged %s: no prediction depends on it, answers and conversations say what is wrong",
    async (name) => {
      const folder = whole();
      writeFileSync(join(folder, name), "{");
      await expect(openModel(folder)).resolves.toBeDefined();
      const model = await loadModel(folder);
      const run = await model.run([1, 2, 3]);
      expect((await run.logits({ position: 2 })).data.length).toBe(model.info.dVocab);
      const sentence = `${name} is not valid JSON`;
      await expect(run.generate({ maxTokens: 1 })).rejects.toThrow(sentence);
      expect(() => model.renderChat([{ role: "user", content: "Hi" }])).toThrow(sentence);
      await model.dispose();
    },
  );

  test.each([
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
    "intermediate_size",
    "max_position_embeddings",
    "head_dim",
    "rms_norm_eps",
  ])("%s that is needed and no number", async (key) => {
    const model = whole();
    const config = JSON.parse(readFileSync(join(model, "config.json"), "utf8")) as Record<string, unknown>;
    for (const value of ["NaN", "Infinity", "-Infinity", "1e999"]) {
      writeFileSync(join(model, "config.json"), JSON.stringify({ ...config, [key]: "@" }).replace('"@"', value));
      const shown = value === "1e999" ? "Infinity" : value;
      expect(await failure(model)).toMatch(
        new RegExp(`config\\.json: "${key}" must be (a positive integer|a number|a positive number), not ${shown}\\.$`),
      );
    }
  });

  test("a NaN in the rope's parameters is one sentence", async () => {
    const model = whole();
    const config = JSON.parse(readFileSync(join(model, "config.json"), "utf8")) as Record<string, unknown>;
    for (const rope of [
      '{"rope_type": "linear", "factor": NaN, "rope_theta": 10000}',
      '{"rope_type": "yarn", "factor": -Infinity, "rope_theta": 10000}',
      '{"rope_type": "default", "rope_theta": NaN}',
    ]) {
      writeFileSync(
        join(model, "config.json"),
        JSON.stringify({ ...config, rope_parameters: "@", rope_theta: undefined, rope_scaling: undefined }).replace(
          '"@"',
          rope,
        ),
      );
      expect(await failure(model)).toMatch(
        /config\.json, "rope_parameters": "(factor|rope_theta)" must be .*number.*, not (NaN|-Infinity)\.$/,
      );
    }
  });
});
