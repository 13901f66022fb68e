/**
 * Interventions on a random model of GPT-2 small's shape, against plain passes of the same engine that keep nothing,
 * measured in turns in the same run: removing a head of the middle layer, keeping routes alone, a patch grid of 12
 * layers × 32 tokens; and whether a plain pass is what it was once graphs with inputs for changes are there.
 *
 *     npm run bench -- interventions [rounds]
 */
import { createRequire } from "node:module";
import { median, randomModel, tokenIds } from "./support/yardstick.mjs";

const { loadModel, patchGrid } = createRequire(import.meta.url)("../dist/index.js");
const ROUNDS = Number(process.argv[2] ?? 9);
const [LONG, GRID] = [128, 32];

const model = await loadModel(randomModel("gpt2"));
const { nLayers } = model.info;
const timed = async (task) => {
  const start = performance.now();
  await task();
  return performance.now() - start;
};
/** A pass and the last token's logits; nothing else is kept. */
const plain = (ids) =>
  timed(async () => {
    const pass = await model.engine.forward(ids);
    await pass.logits(ids.length - 1);
    await pass.dispose();
  });
const changed = (run, interventions) =>
  timed(async () => {
    const cut = await run.intervene(interventions);
    await cut.logits({ position: run.tokens.length - 1 });
    await cut.dispose();
  });

const ids = tokenIds(LONG);
const other = ids.map((id, i) => (i === 5 ? id + 1 : id));
const [run, counterfactual] = [await model.run(ids), await model.run(other)];
const routes = await run.routes();
const head = [{ target: { kind: "attention", layer: nLayers / 2, head: 3 }, do: "zero" }];
const top = [{ target: { kind: "attention", layer: (nLayers * 2) / 3, head: 3 }, do: "zero" }];
const keep = [{ keep: routes, others: "patch", of: counterfactual }];

for (let i = 0; i < 3; i++) await plain(ids);
const before = [];
for (let i = 0; i < ROUNDS; i++) before.push(await plain(ids));
const first = await changed(run, head);
const firstKeep = await changed(run, keep);

const measured = { plain: [], head: [], top: [], keep: [] };
for (let i = 0; i < ROUNDS; i++) {
  measured.plain.push(await plain(ids));
  measured.head.push(await changed(run, head));
  measured.top.push(await changed(run, top));
  measured.keep.push(await changed(run, keep));
}
const ratio = (name) => median(measured[name].map((ms, i) => ms / measured.plain[i]));

const [clean, corrupted] = [await model.run(ids.slice(0, GRID)), await model.run(other.slice(0, GRID))];
await plain(ids.slice(0, GRID));
const grids = [];
for (const over of ["residual", "heads"]) {
  const plains = [];
  let cells = 0;
  // Plain passes in between, so that both see the machine as busy as it is.
  const metric = async (of) => {
    const { data } = await of.logits({ position: GRID - 1 });
    if (++cells % 8 === 0) plains.push(await plain(ids.slice(0, GRID)));
    return data[0];
  };
  const all = await timed(() => patchGrid(clean, corrupted, { over, metric }));
  // The first two are the runs themselves.
  cells -= 2;
  const plainsMs = plains.reduce((sum, ms) => sum + ms, 0);
  grids.push({ over, cells, ms: all - plainsMs, ratio: (all - plainsMs) / cells / (plainsMs / plains.length) });
}
// Again, now that every layer has a graph with inputs for changes beside the plain one.
const after = [];
for (let i = 0; i < ROUNDS; i++) after.push(await plain(ids));

const rows = [
  ["a plain pass", median(measured.plain), 1],
  [`a head of layer ${nLayers / 2} removed`, median(measured.head), ratio("head"), 0.6],
  [`a head of layer ${(nLayers * 2) / 3} removed`, median(measured.top), ratio("top")],
  ["routes kept, others patched", median(measured.keep), ratio("keep")],
  ...grids.map(({ over, cells, ms, ratio: own }) => [
    `a patch grid over ${over}, ${cells} patches of ${GRID} tokens`,
    ms,
    own,
    ...(over === "residual" ? [0.55] : []),
  ]),
];
console.log(
  `Node ${process.version}; ${LONG} tokens, medians of ${ROUNDS} rounds in turns; last position's logits included.`,
);
console.table(
  rows.map(([what, ms, own, limit]) => ({
    what,
    ms: ms.toFixed(0),
    "plain passes": own.toFixed(2),
    "must be ≤": limit ?? "",
    "": limit === undefined ? "" : own <= limit ? "ok" : "MISSED",
  })),
);
console.log(
  `the first time, graphs included: head ${first.toFixed(0)} ms, routes ${firstKeep.toFixed(0)} ms; a plain pass before any intervention ${median(before).toFixed(0)} ms, afterwards ${median(after).toFixed(0)} ms`,
);
await model.dispose();
