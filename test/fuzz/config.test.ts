import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { modelFolder, modelNames, root } from "../support/fixtures";
import { damaged, damagedJson, fuzz, type Random } from "./support";
import { tryModel } from "./models";

const FOLDERS = [
  ...modelNames.map(modelFolder),
  ...readdirSync(join(root, "test/reference/families")).map((name) => join(root, "test/reference/families", name)),
];

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "lmt-fuzz-config-"));
  FOLDERS.forEach((folder, which) => {
    mkdirSync(join(scratch, String(which)));
    symlinkSync(join(folder, "model.safetensors"), join(scratch, String(which), "model.safetensors"));
  });
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const NUMBERS = [
  "1e9",
  "4e9",
  "9007199254740991",
  "1e308",
  "1e999",
  "-1",
  "0",
  "0.5",
  "1",
  "2",
  "3",
  "7",
  "NaN",
  "Infinity",
  "-Infinity",
  "null",
  "true",
  '"1"',
  "[1]",
  "{}",
];
const KEYS = [
  "hidden_size",
  "head_dim",
  "num_hidden_layers",
  "num_attention_heads",
  "num_key_value_heads",
  "vocab_size",
  "intermediate_size",
  "max_position_embeddings",
  "n_inner",
  "n_positions",
  "rotary_dim",
  "rope_theta",
  "rope_scaling",
  "rope_parameters",
  "partial_rotary_factor",
  "sliding_window",
  "layer_types",
  "attention_types",
  "no_rope_layers",
  "sliding_window_pattern",
  "num_local_experts",
  "tie_word_embeddings",
] as const;
const ROPES = ["linear", "dynamic", "llama3", "yarn", "longrope", "su", "mrope"].map(
  (type) =>
    `{"rope_type": "${type}", "factor": 1e308, "original_max_position_embeddings": 0, "low_freq_factor": 1, "high_freq_factor": 1, "short_factor": [1], "long_factor": [0]}`,
);

/** The text of a config with numbers that are too large, or no numbers. */
function grown(text: string, random: Random): string {
  const value = JSON.parse(text) as Record<string, unknown>;
  const marks = new Map<string, string>();
  for (let n = random.int(1, 4); n > 0; n--) {
    const key = random.chance(0.6) ? random.pick(Object.keys(value)) : random.pick(KEYS);
    value[key] = `@${marks.size}@`;
    marks.set(
      `"@${marks.size}@"`,
      random.pick(
        key.startsWith("rope")
          ? [...NUMBERS, ...ROPES]
          : key === "attention_types"
            ? [...NUMBERS, '[[["global"], 1e9]]', '[[["global", "local"], 1]]']
            : NUMBERS,
      ),
    );
  }
  let result = JSON.stringify(value);
  for (const [mark, to] of marks) result = result.replace(mark, to);
  return random.chance(0.1) ? `\ufeff${result}` : result;
}

fuzz({
  target: "config",
  runs: 500,
  slowMs: 3000,
  generate: (random) => {
    const which = random.int(0, FOLDERS.length);
    const text = readFileSync(join(FOLDERS[which], "config.json"), "utf8");
    const kind = random.int(0, 4);
    const config =
      kind < 2
        ? Buffer.from(grown(text, random))
        : kind === 2
          ? Buffer.from(JSON.stringify(damagedJson(JSON.parse(text), random, 0.04)) ?? "null")
          : damaged(Buffer.from(text), random);
    return Buffer.concat([Buffer.of(which), config]);
  },
  check: async (input) => {
    const folder = join(scratch, String((input[0] ?? 0) % FOLDERS.length));
    writeFileSync(join(folder, "config.json"), input.subarray(1));
    return tryModel(folder);
  },
});
