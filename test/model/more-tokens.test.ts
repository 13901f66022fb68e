/** A tokenizer with more tokens than the model has embeddings, as old checkpoints with an added_tokens.json have. */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadModel } from "../../src/index";
import { modelFolder } from "../support/fixtures";

test("texts are tokenised as ever; a prompt that the model cannot read is a sentence", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lmt-added-"));
  cpSync(join(__dirname, "data/old-gpt2-addedmap"), folder, { recursive: true });
  cpSync(join(modelFolder("gpt2-tiny"), "model.safetensors"), join(folder, "model.safetensors"));
  const model = await loadModel(folder);
  // Ids by transformers 5.24.
  expect(model.tokenize("<|user|> Hi")).toEqual([
    { id: 300, text: "<|user|>" },
    { id: 225, text: " " },
    { id: 44, text: "H" },
    { id: 77, text: "i" },
  ]);
  expect(model.tokenize("a [SEP] b").map(({ id }) => id)).toEqual([69, 225, 301, 286]);
  await expect(model.run("<|user|> Hi")).rejects.toThrow(
    "Token id 300 at position 0 of the prompt is outside the vocabulary: ids go from 0 to 299.",
  );
  expect((await model.run("Hi")).tokens.length).toBe(2);
  await model.dispose();
  rmSync(folder, { recursive: true });
});
