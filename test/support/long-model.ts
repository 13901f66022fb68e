import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { modelFolder } from "./fixtures";

/**
 * A copy of a tiny reference model that takes prompts of thousands of tokens: long enough for one layer to take a
 * noticeable time. The caller removes the folder.
 */
export function longModel(maxPositions = 8192): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "long-model-"));
  for (const file of ["model.safetensors", "tokenizer.json"])
    fs.copyFileSync(path.join(modelFolder("llama-tiny"), file), path.join(folder, file));
  const config = JSON.parse(fs.readFileSync(path.join(modelFolder("llama-tiny"), "config.json"), "utf8")) as object;
  fs.writeFileSync(
    path.join(folder, "config.json"),
    JSON.stringify({ ...config, max_position_embeddings: maxPositions }),
  );
  return folder;
}
