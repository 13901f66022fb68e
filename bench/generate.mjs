/**
 * Generation beside llama.cpp: 100 tokens of SmolLM2 after a prompt of 100, the same file on the same machine, in turns;
 * and how the time of a token grows with what is there before it.
 *
 *     npm run bench -- generate [rounds]
 */
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { startLlama } from "./support/llama.mjs";
import { median, tokenIds } from "./support/yardstick.mjs";

const require = createRequire(import.meta.url);
const { loadModel } = require("../dist/index.js");
const { defaultModel } = require("../dist/model/default-model.js");

const PROMPT = 100;
const ADDED = 100;
const LONG = 500;
const MOST = 3;
const GROWTH = 1.5;

/** Greedy, but never what ends a text: all go on to the last token. */
const endless = (logits) => {
  let best = 3;
  for (let id = 4; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
};

/** Milliseconds after which each token was there, the prompt's own pass included. */
async function ours(model, added) {
  const run = await model.run(tokenIds(PROMPT).map((id) => id % 49_000));
  const times = [];
  const begun = performance.now();
  const answer = await run.generate({
    maxTokens: added,
    sampler: endless,
    onToken: () => times.push(performance.now() - begun),
  });
  await answer.dispose();
  await run.dispose();
  return times;
}

const rounds = Number(process.argv[2] ?? 5);
const file = await defaultModel();
const cores = availableParallelism();
// With a thread for each core its threads wait for each other in loops, which a busy machine makes slow.
const counts = [...new Set([1, cores])];
const theirs = [];
for (const threads of counts) theirs.push({ threads, llama: await startLlama(file, threads), times: [] });
const model = await loadModel(file);
const { about } = theirs[0].llama;
console.log(
  `Node ${process.version}, ${cores} cores; llama.cpp ${about.release} of node-llama-cpp ${about.version}; ${ADDED} tokens after ${PROMPT}, medians of ${rounds} rounds in turns.\n`,
);
await ours(model, 4);
for (const { llama } of theirs) await llama.generate(PROMPT, 4);
const own = [];
const ratios = [];
for (let round = 0; round < rounds; round++) {
  own.push(await ours(model, ADDED));
  for (const one of theirs) one.times.push(await one.llama.generate(PROMPT, ADDED));
  ratios.push(own[round][ADDED - 1] / Math.min(...theirs.map(({ times }) => times[round][ADDED - 1])));
}
for (const { llama } of theirs) llama.stop();
const row = (what, all) => ({
  "": what,
  "first token, ms": median(all.map(([first]) => first)).toFixed(0),
  "each further one, ms": median(all.map((times) => (times[ADDED - 1] - times[0]) / (ADDED - 1))).toFixed(1),
  // What other work on the machine does not touch.
  "fastest one, ms": Math.min(...all.flatMap((times) => times.slice(1).map((time, i) => time - times[i]))).toFixed(1),
  "all, ms": median(all.map((times) => times[ADDED - 1])).toFixed(0),
});
console.table([
  row("lm-transparency", own),
  ...theirs.map(({ threads, times }) => row(`llama.cpp, ${threads} thread${threads === 1 ? "" : "s"}`, times)),
]);
const ratio = median(ratios);
console.log(
  `median ratio to the faster of them in each round: ${ratio.toFixed(2)} (must be ≤ ${MOST}): ${ratio <= MOST ? "ok" : "MISSED"}`,
);

const long = [];
for (let round = 0; round < Math.min(3, rounds); round++) long.push(await ours(model, LONG));
await model.dispose();
/** Milliseconds of a token in each hundred. */
const hundreds = Array.from({ length: LONG / 100 }, (_, i) =>
  median(long.map((times) => (times[100 * i + 99] - times[Math.max(0, 100 * i - 1)]) / (i === 0 ? 99 : 100))),
);
const growth = hundreds[hundreds.length - 1] / hundreds[0];
console.log(
  `ms a token, by hundreds of ${LONG}: ${hundreds.map((ms) => ms.toFixed(1)).join(", ")}; the last over the first: ${growth.toFixed(2)} (must be ≤ ${GROWTH}): ${growth <= GROWTH ? "ok" : "MISSED"}`,
);
