/**
 * What a pass backwards (RelP) costs beside the run that it follows, a pass forwards with the logits of its last token:
 * on a model of GPT-2 small's shape with random weights, and on a model of 4-bit blocks where its file is named.
 *
 *     npm run bench -- relp [ROUNDS] [FILE.gguf]
 */
import { createRequire } from "node:module";
import { median, randomModel } from "./support/yardstick.mjs";

const { loadModel } = createRequire(import.meta.url)("../dist/index.js");
const ROUNDS = Number(process.argv[2] ?? 7);
const MOST = 2;
const time = async (task) => {
  const start = performance.now();
  await task();
  return performance.now() - start;
};

const table = [];
for (const file of [randomModel("gpt2"), ...process.argv.slice(3)]) {
  const model = await loadModel(file);
  const tokenIds = (n) => Array.from({ length: n }, (_, i) => (i * 7919) % model.info.dVocab);
  const first = await model.run(tokenIds(16));
  await first.logits({ position: 15 });
  // Matrices are made ready for products with their transposes once a model.
  const once = await time(() => first.attribute());
  console.log(`${model.info.name}: the first pass backwards ${once.toFixed(0)} ms`);
  await first.dispose();
  for (const tokens of [16, 64, 128, 256]) {
    const columns = { forward: [], tokens: [], neurons: [], routes: [], again: [] };
    for (let round = 0; round <= ROUNDS; round++) {
      let run;
      const forward = await time(async () => {
        run = await model.run(tokenIds(tokens));
        await run.logits({ position: tokens - 1 });
      });
      const times = {
        forward,
        tokens: await time(() => run.attribute()),
        neurons: await time(() => run.attribute({ over: "neurons" })),
        routes: await time(() => run.routes({ method: "relp", select: { edges: 200 } })),
        again: await time(() => run.routes({ method: "relp", select: { edges: 300 } })),
      };
      await run.dispose();
      if (round > 0) for (const [name, ms] of Object.entries(times)) columns[name].push(ms);
    }
    const ratio = (name) => median(columns[name].map((ms, i) => ms / columns.forward[i]));
    table.push({
      model: model.info.name,
      T: tokens,
      "run, ms": median(columns.forward).toFixed(0),
      "backwards ×": ratio("tokens").toFixed(2),
      "with neurons ×": ratio("neurons").toFixed(2),
      "with routes ×": ratio("routes").toFixed(2),
      "other routes, ms": median(columns.again).toFixed(0),
      [`≤ ${MOST}`]: ratio("tokens") <= MOST ? "ok" : "MISSED",
    });
  }
  await model.dispose();
}
console.table(table);
process.exitCode = table.some((row) => row[`≤ ${MOST}`] === "MISSED") ? 1 : 0;
