import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { createEngine, type EngineFiles, type EngineOptions } from "../../src/engine";
import { openModel } from "../../src/model/open";
import { createWeightSource } from "../../src/model/weight-source";
import type { WeightEntry } from "../../src/model/weights";
import { maxDifference, modelFolder, readGolden } from "../support/fixtures";

let scratch: string;
beforeAll(() => (scratch = fs.mkdtempSync(path.join(os.tmpdir(), "files with blanks é-"))));
afterAll(() => fs.rmSync(scratch, { recursive: true }));

const golden = readGolden("llama-tiny.p6");

async function lastLogits(files: EngineFiles, options: EngineOptions = {}): Promise<Float32Array> {
  const engine = await createEngine(files, options);
  try {
    const pass = await engine.forward(golden.token_ids);
    await pass.fetch(2, ["value_out"]);
    return (await pass.logits(golden.token_ids.length - 1)).data;
  } finally {
    await engine.dispose();
  }
}

test("weights behind symbolic links, as in the hub's cache, are used in place", async () => {
  const blobs = path.join(scratch, "blobs");
  const snapshot = path.join(scratch, "snapshots", "main");
  for (const folder of [blobs, snapshot]) fs.mkdirSync(folder, { recursive: true });
  for (const file of ["config.json", "model.safetensors", "tokenizer.json"]) {
    fs.copyFileSync(path.join(modelFolder("llama-tiny"), file), path.join(blobs, `blob of ${file}`));
    fs.symlinkSync(path.join("..", "..", "blobs", `blob of ${file}`), path.join(snapshot, file));
  }
  expect(maxDifference(await lastLogits(await openModel(snapshot)), golden.logits_last)).toBeLessThan(1e-4);
});

/** llama-tiny with its tensors spread over files, by `folderOf`. */
async function spread(folderOf: (entry: WeightEntry, index: number) => string): Promise<EngineFiles> {
  const files = await openModel(modelFolder("llama-tiny"));
  const parts = new Map<string, Buffer[]>();
  const entries = [...files.weights.entries.values()].map((entry, index): WeightEntry => {
    const folder = path.join(scratch, folderOf(entry, index));
    fs.mkdirSync(folder, { recursive: true });
    const file = path.join(folder, "part.bin");
    const chunks = parts.get(file) ?? [Buffer.alloc(7)];
    parts.set(file, chunks);
    const offset = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    chunks.push(Buffer.from(files.weights.readRaw({ name: entry.name })));
    return { ...entry, file, offset };
  });
  for (const [file, chunks] of parts) fs.writeFileSync(file, Buffer.concat(chunks));
  return { ...files, weights: createWeightSource(entries) };
}

test.each([
  ["files in several folders", (_: WeightEntry, index: number) => `part ${index % 3}`],
  ["half of each layer elsewhere", (entry: WeightEntry) => (entry.name.includes("self_attn") ? "attention" : "rest")],
])("%s", async (_, folderOf) => {
  const files = await spread(folderOf);
  for (const memoryBytes of [undefined, 110_000]) {
    expect(maxDifference(await lastLogits(files, { memoryBytes }), golden.logits_last)).toBeLessThan(1e-4);
  }
});

test("two models at once do not disturb each other", async () => {
  const [first, second] = await Promise.all(
    ["llama-tiny.p6", "gpt2-tiny.p6"].map(async (name) => {
      const values = readGolden(name);
      const engine = await createEngine(await openModel(modelFolder(values.model)));
      const passes = await Promise.all([1, 2, 3].map(() => engine.forward(values.token_ids)));
      const logits = await Promise.all(passes.map((pass) => pass.logits(values.token_ids.length - 1)));
      await engine.dispose();
      return Math.max(...logits.map(({ data }) => maxDifference(data, values.logits_last)));
    }),
  );
  expect(first).toBeLessThan(1e-4);
  expect(second).toBeLessThan(1e-4);
});

test("a file that is gone when it is needed says which", async () => {
  const files = await spread(() => "gone");
  fs.rmSync(path.join(scratch, "gone", "part.bin"));
  await expect(createEngine(files)).rejects.toThrow(/part\.bin/);
});

test.each([
  [
    "model.embed_tokens.weight",
    NaN,
    /^The state before the first layer is not finite at position 0 \(token id \d+\): the embedding holds NaN or infinity, .*\. Check the model's files\.$/,
  ],
  [
    "model.layers.1.mlp.down_proj.weight",
    Infinity,
    /^The state after layer 1 is not finite at position 0 \(token id \d+\): the layer's weights hold NaN or infinity/,
  ],
])("%s with a value that is %p is told, and not computed with", async (name, value, message) => {
  const folder = fs.mkdtempSync(path.join(scratch, "broken-"));
  fs.cpSync(modelFolder("llama-tiny"), folder, { recursive: true });
  const { offset, byteLength } = (await openModel(folder)).weights.entries.get(name)!;
  const file = fs.openSync(path.join(folder, "model.safetensors"), "r+");
  fs.writeSync(
    file,
    new Uint8Array(Float32Array.from({ length: byteLength / 4 }, () => value).buffer),
    0,
    byteLength,
    offset,
  );
  fs.closeSync(file);
  await expect(lastLogits(await openModel(folder))).rejects.toThrow(message);
});
