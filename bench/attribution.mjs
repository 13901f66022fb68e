/**
 * Speed and memory of attribution on a model of GPT-2 small's shape with random weights. The yardstick, one plain
 * Hugging Face forward of the same prompt, is measured in the same run, in turns with ours.
 */
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { median, randomModel, startYardstick, tokenIds } from "./support/yardstick.mjs";

const { loadModel } = createRequire(import.meta.url)("../dist/index.js");
const ROUNDS = Number(process.argv[2] ?? 7);
const time = async (task) => {
  const start = performance.now();
  const value = await task();
  return [performance.now() - start, value];
};

const yardstick = await startYardstick(randomModel("gpt2"));
console.log(
  `Node ${process.version}, torch ${yardstick.about.torch} with ${yardstick.about.threads} threads; medians of ${ROUNDS} rounds; a heartbeat watches the event loop.`,
);
const model = await loadModel(randomModel("gpt2"));
await (await model.run(tokenIds(32))).dispose();

// What the main thread computes between two beats is what other events wait for. Processor time, not wall time: what
// other programs on the machine take is not ours.
const mainThread = () => Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, "utf8").split(" ")[0]) / 1e6;
let longest = 0;
let last = mainThread();
const heartbeat = setInterval(() => {
  const now = mainThread();
  longest = Math.max(longest, now - last);
  last = now;
}, 2);

const table = [];
const row = (what, measured, unit, limit, aim) =>
  table.push({
    what,
    measured: `${measured.toFixed(measured < 10 ? 2 : 1)} ${unit}`,
    "must be ≤": `${limit} ${unit}`,
    aim: `${aim} ${unit}`,
    "": measured <= aim ? "aim" : measured <= limit ? "ok" : "MISSED",
  });

async function ratio(tokens, from) {
  const ratios = [];
  const ours = [];
  for (let round = 0; round < ROUNDS; round++) {
    const forward = median(await yardstick.forward(tokens, 3));
    const [ms] = await time(async () => {
      const run = await model.run(tokenIds(tokens));
      await run.logits({ position: tokens - 1 });
      await run.routes({ from });
      await run.dispose();
    });
    if (round > 0) {
      ratios.push(ms / forward);
      ours.push(ms);
    }
  }
  console.log(`T = ${tokens}, ${from ?? "last token"}: ours ${median(ours).toFixed(0)} ms`);
  return median(ratios);
}

row("run with everything + routes of all tokens, T = 128", await ratio(128, "all"), "×", 3, 2);
row("the same, T = 256", await ratio(256, "all"), "×", 4, 2.5);
row("routes of the last token only, T = 256", await ratio(256, undefined), "×", 2, 1.5);

const run = await model.run(tokenIds(128));
await run.routes({ from: "all" });
const repeat = async (task) => {
  const times = [];
  for (let i = 0; i < 15; i++) times.push((await time(() => task(i)))[0]);
  return median(times);
};
row(
  "routes again after the threshold moved, T = 128, all tokens",
  await repeat((i) => run.routes({ from: "all", threshold: 0.01 + 0.005 * i })),
  "ms",
  20,
  5,
);
row("the same, last token", await repeat((i) => run.routes({ threshold: 0.01 + 0.005 * i })), "ms", 20, 5);
const fresh = await model.run(tokenIds(128));
row(
  "all heads of a clicked edge, T = 128",
  await repeat((i) => fresh.attentionContributions(i % 12, { positions: [100 + i] })),
  "ms",
  20,
  5,
);
row(
  "top neurons of a clicked FFN, T = 128",
  await repeat((i) => fresh.neuronContributions(i % 12, 100 + i, { topK: 20 })),
  "ms",
  20,
  5,
);
row("lens of one state, top 50", await repeat((i) => fresh.lens(`I${i % 12}_${100 + i}`, { topK: 50 })), "ms", 15, 8);
await run.dispose();
await fresh.dispose();
clearInterval(heartbeat);
row("longest time the main thread was busy without a break", longest, "ms", 50, 20);

// Memory in a process of its own: the peak of this one is that of everything above.
const { spawnSync } = await import("node:child_process");
const child = spawnSync(
  process.execPath,
  [
    "--input-type=module",
    "-e",
    `
  import { createRequire } from "node:module";
  import { readFileSync } from "node:fs";
  const kb = name => Number(new RegExp(name + ":\\\\s+(\\\\d+)").exec(readFileSync("/proc/self/status", "utf8"))[1]);
  const { loadModel } = createRequire(${JSON.stringify(import.meta.url)})("../dist/index.js");
  const model = await loadModel(${JSON.stringify(randomModel("gpt2"))});
  await (await model.run([1, 2, 3])).dispose();
  const before = kb("VmRSS"), file = kb("RssFile");
  const run = await model.run(Array.from({ length: 128 }, (_, i) => i * 7919 % 50000));
  await run.routes({ from: "all" });
  console.log(JSON.stringify({ above: (kb("VmHWM") - before) * 1024, file: (kb("RssFile") - file) * 1024 }));
  await model.dispose();
`,
  ],
  { encoding: "utf8" },
);
if (child.status !== 0) throw new Error(child.stderr);
const memory = JSON.parse(child.stdout);
row(
  `peak RSS above the loaded model, T = 128 (of it ${(memory.file / 1e6).toFixed(0)} MB weights paged in)`,
  memory.above / 1e9,
  "GB",
  0.35,
  0.15,
);
console.table(table);

console.log("Scaling with T (12 layers, routes of all tokens, ms) and with L (T = 128):");
for (const tokens of [16, 64, 128, 256, 512]) {
  const [ms] = await time(async () => {
    const r = await model.run(tokenIds(tokens));
    await r.routes({ from: "all" });
    await r.dispose();
  });
  console.log(`  T = ${tokens}: ${ms.toFixed(0)}`);
}
await model.dispose();
for (const layers of [3, 6, 12, 24]) {
  const other = await loadModel(randomModel(`gpt2-layers-${layers}`));
  await (await other.run(tokenIds(128))).dispose();
  const [ms] = await time(async () => {
    const r = await other.run(tokenIds(128));
    await r.routes({ from: "all" });
    await r.dispose();
  });
  console.log(`  L = ${layers}: ${ms.toFixed(0)}`);
  await other.dispose();
}
yardstick.stop();
process.exitCode = table.some((entry) => entry[""] === "MISSED") ? 1 : 0;
