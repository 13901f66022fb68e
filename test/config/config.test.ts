/** Configuration: the published tool's files as they are, every sentence, and the schema for editors. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import Ajv from "ajv";
import fc from "fast-check";
import { ConfigError, loadConfig, readConfig } from "../../src/config";
import { jsonErrorIndex } from "../../src/config/json-place";

let folder: string;
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "lmt-config-"));
  fs.mkdirSync(path.join(folder, "config"));
  fs.mkdirSync(path.join(folder, "weights"));
  fs.writeFileSync(path.join(folder, "prompts.txt"), "first\r\n\n second \nlast");
  fs.writeFileSync(path.join(folder, "binary.txt"), Buffer.from([0xff, 0xfe, 0x00]));
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

const write = (name: string, content: unknown): string => {
  const file = path.join(folder, name);
  fs.writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
  return file;
};
const problems = (value: unknown): readonly string[] => {
  try {
    readConfig(value, { folders: [folder] });
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).problems;
  }
};

describe("files of the published tool", () => {
  test("a local setup: nothing loaded at first, hub ids, prompts from where the program is called", () => {
    const file = write("config/local.json", {
      allow_loading_dataset_files: true,
      preloaded_dataset_filename: "prompts.txt",
      debug: true,
      models: { "": null, gpt2: null, "facebook/opt-125m": null },
      default_model: "",
      demo_mode: false,
    });
    const settings = loadConfig(file, { cwd: folder });
    expect(settings.models).toEqual([
      { name: "gpt2", source: "gpt2" },
      { name: "facebook/opt-125m", source: "facebook/opt-125m" },
    ]);
    expect(settings).toMatchObject({
      defaultModel: "",
      debug: true,
      demo: false,
      allowDatasets: true,
      maxPromptLength: null,
      threshold: 0.04,
      renormalize: true,
      normalize: true,
      device: "auto",
    });
    expect(settings.prompts).toEqual(["first", " second ", "last"]);
    expect(settings.dataset).toBe(path.join(folder, "prompts.txt"));
  });

  test("a hosted demo: limited prompts, a default model, no files", () => {
    const settings = readConfig(
      {
        allow_loading_dataset_files: false,
        max_user_string_length: 100,
        preloaded_dataset_filename: "prompts.txt",
        debug: false,
        demo_mode: true,
        models: { gpt2: null, distilgpt2: null },
        default_model: "gpt2",
      },
      { folders: [folder] },
    );
    expect(settings).toMatchObject({ demo: true, allowDatasets: false, maxPromptLength: 100, defaultModel: "gpt2" });
  });

  test("a local path is what is opened", () => {
    const settings = loadConfig(write("config/path.json", { models: { "meta/llama": "../weights" } }), {
      cwd: os.tmpdir(),
    });
    expect(settings.models).toEqual([{ name: "meta/llama", source: path.join(folder, "weights") }]);
    const absolute = readConfig({ models: { x: path.join(folder, "weights") } }, { folders: ["/"] });
    expect(absolute.models[0].source).toBe(path.join(folder, "weights"));
  });

  test("the paper's example: an identifier on the hub as the value, and a local path beside the file", () => {
    fs.mkdirSync(path.join(folder, "local/path/to/my_gpt"), { recursive: true });
    fs.writeFileSync(path.join(folder, "config/samples.txt"), "one\n");
    const file = write("config/paper.json", {
      max_user_string_length: 100,
      preloaded_dataset_filename: "samples.txt",
      debug: false,
      models: {
        "facebook/opt-6.7b": "facebook/opt-6.7b",
        my_gpt: "../local/path/to/my_gpt",
        small: "facebook/opt-125m",
        gpt2: "gpt2",
      },
    });
    expect(loadConfig(file, { cwd: os.tmpdir() }).models).toEqual([
      { name: "facebook/opt-6.7b", source: "facebook/opt-6.7b" },
      { name: "my_gpt", source: path.join(folder, "local/path/to/my_gpt") },
      { name: "small", source: "facebook/opt-125m" },
      { name: "gpt2", source: "gpt2" },
    ]);
  });

  test.each(["gone", "./gone", "../gone/away", "/gone", "a/b/c", "weights/gone", "owner/gone.gguf", "~/gone"])(
    "%j is a path that is not there, no identifier",
    (value) => {
      expect(problems({ models: { x: value } })).toEqual([
        expect.stringContaining(
          `models["x"] is ${JSON.stringify(value)}, but there is no such folder or file in ${folder}.`,
        ),
      ]);
    },
  );

  test("an empty configuration offers the default model and some prompts", () => {
    const settings = readConfig({});
    expect(settings.models).toEqual([{ name: "default", source: "default" }]);
    expect(settings.defaultModel).toBe("default");
    expect(settings.prompts.length).toBeGreaterThan(1);
  });
});

describe("what is wrong is said in a sentence", () => {
  test.each<[string, unknown, string]>([
    [
      "another type",
      { max_user_string_length: "100" },
      'max_user_string_length is "100", but has to be a whole number of characters from 0 on, or null for no limit.',
    ],
    [
      "a fraction",
      { max_user_string_length: 1.5 },
      "max_user_string_length is 1.5, but has to be a whole number of characters from 0 on, or null for no limit.",
    ],
    ["a flag as a text", { demo_mode: "true" }, 'demo_mode is "true", but has to be true or false.'],
    [
      "a list of models",
      { models: ["gpt2"] },
      'models is ["gpt2"], but has to be an object of names with null or a local path each.',
    ],
    [
      "a model without a value",
      { models: { gpt2: true } },
      'models["gpt2"] is true, but has to be null (the name is a hub id), the path of a folder or .gguf file, or a hub id.',
    ],
    [
      "a default that is not offered",
      { models: { gpt2: null }, default_model: "gpt3" },
      'default_model is "gpt3", but has to be one of models ("gpt2") or "".',
    ],
    ["a threshold in percent", { threshold: 4 }, "threshold is 4, but has to be a number from 0 to 1."],
    [
      "an unknown precision",
      { dtype: "fp16" },
      'dtype is "fp16", but has to be one of "auto", "float32", "float16", "bfloat16", "q8", "q4".',
    ],
    [
      "a typing error in a key",
      { max_user_string_lenght: 3 },
      '"max_user_string_lenght" is not a key of a configuration; did you mean "max_user_string_length"?',
    ],
    [
      "another program's key",
      { temperature: 3 },
      '"temperature" is not a key of a configuration; the keys are max_user_string_length,',
    ],
    [
      "a demo of nothing",
      { demo_mode: true, models: {} },
      "demo_mode is true, so models has to name at least one model: no other could be chosen.",
    ],
    ["no object", [1], 'a configuration is a JSON object such as {"models": {"gpt2": null}}, not [1].'],
  ])("%s", (_, value, sentence) => {
    expect(problems(value)).toEqual([expect.stringContaining(sentence)]);
  });

  test("files that are not there, or are no text", () => {
    expect(problems({ preloaded_dataset_filename: "nowhere.txt" })).toEqual([
      `preloaded_dataset_filename: There is no file "nowhere.txt" in ${folder}.`,
    ]);
    expect(problems({ preloaded_dataset_filename: "binary.txt" })[0]).toContain("is not a text file in UTF-8.");
    expect(problems({ preloaded_dataset_filename: "weights" })[0]).toContain("There is no file");
    expect(problems({ models: { gpt2: "/nowhere/gpt2" } })[0]).toContain(
      'models["gpt2"] is "/nowhere/gpt2", but there is no such folder or file',
    );
  });

  test("all problems come at once, with the file's name", () => {
    const file = write("bad.json", { debug: 1, share: "some", models: { "": "weights" } });
    expect(() => loadConfig(file)).toThrow(ConfigError);
    const message = ((): string => {
      try {
        return JSON.stringify(loadConfig(file));
      } catch (error) {
        return (error as Error).message;
      }
    })();
    expect(message.split("\n")).toHaveLength(3);
    for (const line of message.split("\n")) expect(line.startsWith(`${file}: `)).toBe(true);
  });

  test.each([
    ['{\n  "debug": true,\n}', '"}" in line 3, column 1 cannot stand there: JSON has no comma after the last item.'],
    ['{ // comment\n "debug": true }', '"/" in line 1, column 3 cannot stand there: JSON has no comments.'],
    ['{"debug": tru}', '"t" in line 1, column 11 cannot stand there.'],
    ['{"debug": true', "it ends too early."],
    ["", "it is empty."],
  ])("a text that is not JSON: %j", (text, sentence) => {
    expect(() => loadConfig(write("text.json", text))).toThrow(`this is not JSON: ${sentence}`);
  });

  test("no file, a folder", () => {
    expect(() => loadConfig(path.join(folder, "none.json"))).toThrow("there is no such file.");
    expect(() => loadConfig(folder)).toThrow("this is a folder, not a JSON file.");
  });
});

test("the place of an error: the same verdict as JSON.parse, and the text before it can be completed", () => {
  const valid = (text: string): boolean => {
    try {
      JSON.parse(text);
      return true;
    } catch {
      return false;
    }
  };
  const broken = fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom("", ",", "}", "]", '"', "x", "0", ":", "\\", "\n", "-"))
    .map(([text, at, put]) => {
      const i = at % (text.length + 1);
      return text.slice(0, i) + put + text.slice(i + (put === "" ? 1 : 0));
    });
  fc.assert(
    fc.property(fc.oneof(fc.json(), broken, fc.string()), (text) => {
      expect(jsonErrorIndex(text) === undefined).toBe(valid(text));
    }),
    { numRuns: 3000 },
  );
});

describe("the schema for editors", () => {
  const schema = JSON.parse(fs.readFileSync(path.join(__dirname, "../../schema/config.schema.json"), "utf8")) as Record<
    string,
    unknown
  > & { properties: Record<string, { description?: string }> };
  const accepts = new Ajv({ allowUnionTypes: true, strict: true }).compile(schema);
  // Problems that only a look at the other keys or at the disk shows.
  const beyond =
    /there is no such folder or file|There is no file|default_model is ".*", but has to be (one of models|"")|demo_mode is true, so/;

  test("accepts and refuses what the reader does", () => {
    const scalar = fc.oneof(
      fc.boolean(),
      fc.constant(null),
      fc.integer({ min: -3, max: 300 }),
      fc.double({ noNaN: true, min: -2, max: 2 }),
      fc.constantFrom("", "auto", "cpu", "q4", "all", "gpt2", "routes", "float16"),
      fc.constant([]),
      fc.constant({}),
    );
    const key = fc.constantFrom(...Object.keys(schema.properties), "Models", "x");
    const models = fc.dictionary(
      fc.constantFrom("", "gpt2", "a/b"),
      fc.oneof(fc.constant(null), fc.constantFrom("", "weights", "gone"), fc.integer()),
    );
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.tuple(key, scalar), fc.tuple(fc.constant("models"), models)), { maxLength: 4 }),
        (entries) => {
          const value = Object.fromEntries(entries);
          const own = problems(value).filter((problem) => !beyond.test(problem));
          expect({ value, accepted: accepts(value) }).toEqual({ value, accepted: own.length === 0 });
        },
      ),
      { numRuns: 4000 },
    );
  });

  test("says something about every key, and is in the package", () => {
    for (const [key, property] of Object.entries(schema.properties))
      if (key !== "$schema") expect(property.description).toMatch(/\w/);
    const manifest = JSON.parse(fs.readFileSync(path.join(__dirname, "../../package.json"), "utf8")) as {
      files: string[];
      exports: Record<string, unknown>;
    };
    expect(manifest.files).toContain("schema");
    expect(manifest.exports["./schema/*"]).toBe("./schema/*");
  });
});
