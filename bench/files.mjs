/**
 * Time to open the default model's file, to dequantise all of it, and to tokenise a long text; the processor time of
 * each.
 */
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { openModel } = require("../dist/model/open.js");
const { defaultModel } = require("../dist/model/default-model.js");
const ROUNDS = Number(process.argv[2] ?? 5);
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

async function measure(name, task, note = () => "") {
  const wall = [];
  const cpu = [];
  let value;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    const before = process.cpuUsage();
    value = await task();
    const { user, system } = process.cpuUsage(before);
    wall.push(performance.now() - start);
    cpu.push((user + system) / 1000);
  }
  console.log(
    `${name.padEnd(28)} ${median(wall).toFixed(0).padStart(6)} ms (processor ${median(cpu).toFixed(0)} ms) ${note(median(wall), value)}`,
  );
  return value;
}

const path = await defaultModel();
console.log(`Node ${process.version}; medians of ${ROUNDS} rounds; ${path}`);
const files = await measure("open", () => openModel(path));
await measure(
  "dequantise every tensor",
  () => {
    for (const name of files.weights.entries.keys()) files.weights.read({ name });
  },
  (ms) => `${(files.nParams / ms / 1000).toFixed(0)} million values a second`,
);
const text = "The war lasted from the year 1732 to the year 17, and nobody knows why. ".repeat(1000);
await measure(
  "tokenise 71 000 characters",
  () => files.tokenizer.encode(text),
  (ms, ids) => `${ids.length} tokens`,
);
files.weights.close();
