/** Hugging Face transformers beside us: makes the random model, and measures plain forwards of it in the same run. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const script = join(dirname(fileURLToPath(import.meta.url)), "yardstick.py");
const root = dirname(dirname(dirname(script)));
const venv = join(root, ".venv/bin/python");
const python = process.env.LM_TRANSPARENCY_PYTHON ?? (existsSync(venv) ? venv : "python3");

/** Folder of a random model of this shape; made once and kept in the temporary folder. */
export function randomModel(shape) {
  const folder = join(process.env.LM_TRANSPARENCY_BENCH ?? join(tmpdir(), "lm-transparency-bench"), shape);
  if (existsSync(join(folder, "tokenizer_config.json"))) return folder;
  mkdirSync(folder, { recursive: true });
  const { status, stderr } = spawnSync(python, [script, "make", folder, shape], { encoding: "utf8" });
  if (status !== 0) throw needed(stderr);
  return folder;
}

function needed(stderr) {
  return new Error(
    `The yardstick needs a Python with torch and transformers; name it in LM_TRANSPARENCY_PYTHON (tried ${python}).\n${stderr}`,
  );
}

/** A process that measures forwards of the model in `folder`. */
export async function startYardstick(folder) {
  const child = spawn(python, [script, "serve", folder], { stdio: ["pipe", "pipe", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (stderr = (stderr + text).slice(-2000)));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw needed(stderr);
    return JSON.parse(value);
  };
  const about = await next();
  return {
    about,
    /** Peak memory of its process so far; undefined before the first forward. */
    peakBytes: undefined,
    /** Milliseconds of `repeats` forwards of `tokens` tokens. */
    async forward(tokens, repeats) {
      child.stdin.write(`${tokens} ${repeats}\n`);
      const { ms, peak_kb } = await next();
      this.peakBytes = peak_kb * 1024;
      return ms;
    },
    stop: () => child.stdin.end(),
  };
}

export const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
/** The token ids that the yardstick uses too. */
export const tokenIds = (n) => Array.from({ length: n }, (_, i) => (i * 7919) % 50000);
