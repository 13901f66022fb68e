/**
 * Forward passes against plain Hugging Face forwards of the same weights, measured in turns in the same run, on a
 * random model of GPT-2 small's shape; and the memory of both.
 *
 *     npm run bench -- engine [rounds]
 */
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { median, randomModel, startYardstick, tokenIds } from "./support/yardstick.mjs";

const require = createRequire(import.meta.url);
const { createEngine } = require("../dist/engine/index.js");
const { openModel } = require("../dist/model/open.js");

const LENGTHS = [16, 64, 128, 256];
/** Everything of a layer but value_out, which attribution asks for where it needs it. */
const ALL = ["resid_mid", "attn_out", "ffn_out", "pattern", "ffn_pre", "ffn_post"];
const MEMORY_TOKENS = 128;

/** A fresh process that loads the model and runs it once: its peak memory, in bytes. */
async function memoryChild(folder) {
  const { readFileSync } = await import("node:fs");
  const field = (name) =>
    Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
  const start = performance.now();
  const engine = await createEngine(await openModel(folder));
  const loaded = field("VmRSS");
  const loadMs = performance.now() - start;
  const pass = await engine.forward(tokenIds(MEMORY_TOKENS), { keep: ALL });
  await pass.logits(MEMORY_TOKENS - 1);
  console.log(JSON.stringify({ peak: field("VmHWM"), loaded, loadMs, anonymous: field("RssAnon") }));
  await engine.dispose();
}

async function main() {
  const rounds = Number(process.argv[2] ?? 9);
  const folder = randomModel("gpt2");
  const yardstick = await startYardstick(folder);
  const engine = await createEngine(await openModel(folder), { keepBytes: 2 ** 30 });
  console.log(
    `Node ${process.version}, torch ${yardstick.about.torch} with ${yardstick.about.threads} threads; medians of ${rounds} rounds in turns. "kept": every intermediate tensor of`,
  );
  console.log(
    'every layer is fetched with the pass; "on asking": they are computed when asked for. Both with the last position\'s logits.\n',
  );
  const time = async (ids, keep) => {
    const start = performance.now();
    const pass = await engine.forward(ids, { keep });
    await pass.logits(ids.length - 1);
    const ms = performance.now() - start;
    await pass.dispose();
    return ms;
  };
  const table = [];
  const ratios = [];
  for (const nTokens of LENGTHS) {
    const ids = tokenIds(nTokens);
    const measured = { theirs: [], kept: [], asked: [] };
    await time(ids, ALL);
    for (let round = 0; round < rounds; round++) {
      measured.theirs.push(median(await yardstick.forward(nTokens, 1)));
      measured.kept.push(await time(ids, ALL));
      measured.asked.push(await time(ids, []));
    }
    const ratio = median(measured.kept.map((ms, round) => ms / measured.theirs[round]));
    ratios.push(ratio);
    table.push({
      tokens: nTokens,
      "transformers, ms": median(measured.theirs).toFixed(0),
      "kept, ms": median(measured.kept).toFixed(0),
      "on asking, ms": median(measured.asked).toFixed(0),
      "kept, ratio": ratio.toFixed(2),
      "on asking, ratio": median(measured.asked.map((ms, round) => ms / measured.theirs[round])).toFixed(2),
    });
  }
  await engine.dispose();
  console.table(table);
  const ratio = median(ratios);
  console.log(
    `median ratio, all intermediates kept: ${ratio.toFixed(2)} (must be ≤ 1.2): ${ratio <= 1.2 ? "ok" : "MISSED"}`,
  );

  if (process.platform === "linux") {
    const { stdout } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), "--memory", folder], {
      encoding: "utf8",
    });
    const { peak, loaded, loadMs, anonymous } = JSON.parse(stdout);
    const gb = (bytes) => `${(bytes / 1e9).toFixed(2)} GB`;
    console.log(
      `memory, load and a run of ${MEMORY_TOKENS} tokens with all intermediates kept, in a process of its own: peak ${gb(peak)} (must be ≤ 1.0 GB): ${peak <= 1e9 ? "ok" : "MISSED"};`,
    );
    console.log(
      `  of it ${gb(anonymous)} are not the weights' file; loaded in ${loadMs.toFixed(0)} ms to ${gb(loaded)}; transformers' peak: ${gb(yardstick.peakBytes ?? NaN)}`,
    );
  }
  yardstick.stop();
}

await (process.argv[2] === "--memory" ? memoryChild(process.argv[3]) : main());
