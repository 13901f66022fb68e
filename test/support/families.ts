import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { modelFolder, modelNames, root } from "./fixtures";

/**
 * Folders of one tiny model of every family: the reference models, and those in test/reference/families, which have no
 * tokenizer of their own and get another's. `remove` deletes what was made.
 */
export function familyFolders(): {
  readonly folders: readonly (readonly [name: string, folder: string])[];
  remove(): void;
} {
  const temporary = fs.mkdtempSync(path.join(os.tmpdir(), "lm-transparency-families-"));
  const families = path.join(root, "test/reference/families");
  const tokenizer = path.join(modelFolder("gpt2-tiny"), "tokenizer.json");
  const made = fs
    .readdirSync(families)
    .filter((name) => fs.existsSync(path.join(families, name, "config.json")))
    .map((name) => {
      const folder = path.join(temporary, name);
      fs.mkdirSync(folder);
      for (const file of fs.readdirSync(path.join(families, name)))
        fs.symlinkSync(path.join(families, name, file), path.join(folder, file));
      if (!fs.existsSync(path.join(folder, "tokenizer.json")))
        fs.symlinkSync(tokenizer, path.join(folder, "tokenizer.json"));
      return [name, folder] as const;
    });
  return {
    folders: [...modelNames.map((name) => [name, modelFolder(name)] as const), ...made],
    remove: () => fs.rmSync(temporary, { recursive: true, force: true }),
  };
}
