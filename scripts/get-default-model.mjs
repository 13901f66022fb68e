/**
 * Fetches the default model into the user's cache, once, and prints where it is. Needs a built package.
 * `--json`: progress and the result as one JSON object a line, for programs.
 */
import { createRequire } from "node:module";

const { defaultModel } = createRequire(import.meta.url)("../dist/model/default-model.js");
const json = process.argv.includes("--json");
let last = 0;
const onProgress = (progress) => {
  if (Date.now() - last < 200) return;
  last = Date.now();
  if (json) console.log(JSON.stringify(progress));
  else if (process.stderr.isTTY) process.stderr.write(`\r${progress.stage} ${Math.floor(progress.done / 1e6)} MB`);
};
try {
  const file = await defaultModel({ onProgress });
  console.log(json ? JSON.stringify({ file }) : file);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
