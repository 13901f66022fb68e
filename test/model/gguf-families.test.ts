import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { createEngine } from "../../src/engine";
import { ggufArchitectures } from "../../src/model/families";
import { openModel } from "../../src/model/open";
import { maxDifference } from "../support/fixtures";

/**
 * Files by llama.cpp's own converter and logits of the transformers models they came from
 * (test/reference/make_gguf.py).
 */
const folder = join(__dirname, "data/gguf");
const names = readdirSync(folder)
  .filter((name) => name.endsWith(".gguf"))
  .map((name) => name.slice(0, -5))
  .sort();

test("the architectures that GGUF files are published in are served", () => {
  for (const architecture of [
    "llama",
    "qwen2",
    "qwen3",
    "gpt2",
    "gemma",
    "gemma2",
    "gemma3",
    "phi2",
    "phi3",
    "gptneox",
    "stablelm",
    "falcon",
    "bloom",
  ]) {
    expect(ggufArchitectures()).toContain(architecture);
  }
});

test.each(names)("%s has the logits of the model that it was made from", async (name) => {
  const reference = JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8")) as {
    ids: number[];
    logits: number[];
  };
  const files = await openModel(join(folder, `${name}.gguf`));
  expect(files.storedType).toBe("float16");
  const engine = await createEngine(files);
  try {
    const pass = await engine.forward(reference.ids);
    const { data } = await pass.logits(reference.ids.length - 1);
    expect(maxDifference(data, Float32Array.from(reference.logits))).toBeLessThan(1e-4);
  } finally {
    await engine.dispose();
  }
});
