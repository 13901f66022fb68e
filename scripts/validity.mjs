/**
 * `npm run validity -- [--model FILE] [--prompts FILE] [--limit N] [--json FILE]`: whether what the routes keep is what
 * the prediction depends on. Everything else is resampled from an aligned counterfactual prompt, and the share F of the
 * logit difference that is left says how much of it the kept parts carry: 1 all, 0 nothing. All sets of one column are
 * of one size: as many (head, key) terms of attention and as many feed-forward blocks as the published threshold keeps.
 */
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

process.env.ORT_DISABLE_TELEMETRY = "1";
const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const { loadModel } = await import(path.join(root, "dist/index.js"));

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    prompts: { type: "string", default: path.join(root, "test/validity/prompts.jsonl") },
    limit: { type: "string" },
    json: { type: "string" },
    thresholds: { type: "string", default: "0.01,0.02,0.04,0.08" },
  },
});
const THRESHOLDS = values.thresholds.split(",").map(Number);
const SEEDS = 3;
const RESAMPLES = 2000;

/** Numbers from 0 to 1, the same for the same seed. */
function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
const shuffled = (list, random) => {
  const copy = [...list];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [copy[i], copy[j]] = [copy[j], copy[i]];
  }
  return copy;
};

const placeOf = (name) => {
  const [, kind, layer, position] = /^([XAMI])(\d+)_(\d+)$/.exec(name);
  return { kind, layer: Number(layer), position: Number(position) };
};
/** The terms and blocks of a route graph, with the relevance of each. */
function partsOf(graph) {
  const terms = [];
  const blocks = [];
  for (const edge of graph.edges) {
    const { source, target, kind, heads, relevance } = edge;
    if (kind === "attention") {
      const to = placeOf(target);
      const sum = Object.values(heads).reduce((a, b) => a + b, 0);
      for (const [head, share] of Object.entries(heads))
        terms.push({
          layer: to.layer,
          query: to.position,
          key: placeOf(source).position,
          head: Number(head),
          // Heads share an edge's relevance as they share its weight.
          size: ((relevance ?? 0) * share) / (sum || 1),
        });
    } else if (kind === "ffn-out") {
      const { layer, position } = placeOf(source);
      blocks.push({ layer, position, size: relevance ?? 0 });
    }
  }
  return { terms, blocks };
}

/** A graph that keeps just these, for `intervene`. */
function keepOf(run, { terms, blocks }) {
  const { nLayers, parallelBlocks } = run.model.info;
  const edges = terms.map(({ layer, query, key, head }) => ({
    source: layer === 0 ? `X0_${key}` : `I${layer - 1}_${key}`,
    target: `${parallelBlocks ? "I" : "A"}${layer}_${query}`,
    kind: "attention",
    weight: 1,
    heads: { [head]: 1 },
  }));
  const last = run.tokens.length - 1;
  return {
    model: run.model.info,
    tokens: run.tokens,
    from: [`I${nLayers - 1}_${last}`],
    threshold: 0,
    renormalize: false,
    nodes: blocks.map(({ layer, position }) => ({ name: `M${layer}_${position}`, kind: "M", layer, position })),
    edges,
    toJSON: () => ({}),
  };
}

const largest = (list, count) => [...list].sort((a, b) => b.size - a.size).slice(0, count);

/** As many parts in each layer as a set has, at random. */
function matched(all, set, layerOf, random) {
  const counts = new Map();
  for (const part of set) counts.set(layerOf(part), (counts.get(layerOf(part)) ?? 0) + 1);
  return [...counts].flatMap(([layer, count]) =>
    shuffled(
      all.filter((part) => layerOf(part) === layer),
      random,
    ).slice(0, count),
  );
}

const model = await loadModel(values.model);
const { nLayers, nHeads } = model.info;
const pairs = fs
  .readFileSync(values.prompts, "utf8")
  .split("\n")
  .filter((line) => line.trim() !== "")
  .map((line) => JSON.parse(line))
  .slice(0, values.limit ? Number(values.limit) : undefined);

const single = (text) => {
  const tokens = model.tokenize(text, { addSpecialTokens: false });
  return tokens.length === 1 ? tokens[0].id : undefined;
};

/** By method and threshold: a list of { kind, F }. */
const results = new Map();
const sizes = new Map(THRESHOLDS.map((threshold) => [threshold, []]));
const skipped = [];
let used = 0;
for (const pair of pairs) {
  const [token, versus] = [single(pair.target), single(pair.versus)];
  const [clean, other] = [await model.run(pair.clean), await model.run(pair.counterfactual)];
  const skip = (why) => skipped.push({ clean: pair.clean, why });
  if (token === undefined || versus === undefined) {
    skip("an answer is more than one token");
    continue;
  }
  if (clean.tokens.length !== other.tokens.length) {
    skip("the prompts have other numbers of tokens");
    continue;
  }
  const T = clean.tokens.length;
  const difference = async (run) => {
    const { data } = await run.logits({ position: T - 1 });
    return data[token] - data[versus];
  };
  const [high, low] = [await difference(clean), await difference(other)];
  if (!(high > 0 && low < 0)) {
    skip(`the model does not tell them apart (${high.toFixed(2)}, ${low.toFixed(2)})`);
    continue;
  }
  used++;
  const F = async (set) => {
    const cut = await clean.intervene([{ keep: keepOf(clean, set), others: "patch", of: other }]);
    const value = (await difference(cut)) - low;
    await cut.dispose();
    return value / (high - low);
  };
  const allTerms = [];
  for (let layer = 0; layer < nLayers; layer++)
    for (let query = 0; query < T; query++)
      for (let key = 0; key <= query; key++)
        for (let head = 0; head < nHeads; head++) allTerms.push({ layer, query, key, head });
  const allBlocks = [];
  for (let layer = 0; layer < nLayers; layer++)
    for (let position = 0; position < T; position++) allBlocks.push({ layer, position });
  const patterns = [];
  for (let layer = 0; layer < nLayers; layer++) patterns.push((await clean.attentionPattern(layer)).data);
  const weightOf = ({ layer, query, key, head }) => patterns[layer][(head * T + query) * T + key];

  const everything = { edges: 10_000_000 };
  const ranked = {
    relevance: partsOf(await clean.routes({ select: everything, renormalize: false })),
    contrast: partsOf(await clean.routes({ select: everything, renormalize: false, contrast: { token, versus } })),
  };
  const relp = async (counterfactual, sizeOf = Math.abs) => {
    const asked = { contrast: { token, versus }, topK: 10_000_000, ...(counterfactual ? { counterfactual } : {}) };
    const [terms, blocks] = [
      await clean.attribute({ ...asked, over: "attention-terms" }),
      await clean.attribute({ ...asked, over: "ffn" }),
    ];
    return {
      terms: terms.parts.map(({ layer, position, key, head, relevance }) => ({
        layer,
        query: position,
        key,
        head,
        size: sizeOf(relevance),
      })),
      blocks: blocks.parts.map(({ layer, position, relevance }) => ({ layer, position, size: sizeOf(relevance) })),
    };
  };
  if (typeof clean.attribute === "function") {
    ranked.relp = await relp();
    ranked["relp, against the counterfactual"] = await relp(other);
    ranked["relp, what speaks for it"] = await relp(undefined, (relevance) => relevance);
    ranked["relp against the counterfactual, what speaks for it"] = await relp(other, (relevance) => relevance);
  }
  const attention = allTerms.map((term) => ({ ...term, size: weightOf(term) }));
  for (const threshold of THRESHOLDS) {
    const published = partsOf(await clean.routes({ threshold, renormalize: true }));
    const count = { terms: published.terms.length, blocks: published.blocks.length };
    sizes.get(threshold).push({
      terms: count.terms / allTerms.length,
      blocks: count.blocks / allBlocks.length,
    });
    const record = (method, value) => {
      const key = `${method} ${threshold}`;
      results.set(key, [...(results.get(key) ?? []), { kind: pair.kind, F: value }]);
    };
    record("published threshold", await F(published));
    for (const [method, parts] of Object.entries(ranked))
      record(
        method,
        await F({ terms: largest(parts.terms, count.terms), blocks: largest(parts.blocks, count.blocks) }),
      );
    // Specificity: what is kept is chosen on the other prompt.
    const foreign = partsOf(await other.routes({ select: everything, renormalize: false }));
    record(
      "relevance of the counterfactual",
      await F({ terms: largest(foreign.terms, count.terms), blocks: largest(foreign.blocks, count.blocks) }),
    );
    const controls = { random: [], "random, as many in each layer": [], "attention weight": [] };
    for (let seed = 0; seed < SEEDS; seed++) {
      const random = randomOf(1000 * used + seed);
      controls.random.push(
        await F({
          terms: shuffled(allTerms, random).slice(0, count.terms),
          blocks: shuffled(allBlocks, random).slice(0, count.blocks),
        }),
      );
      controls["random, as many in each layer"].push(
        await F({
          terms: matched(allTerms, published.terms, ({ layer }) => layer, random),
          blocks: matched(allBlocks, published.blocks, ({ layer }) => layer, random),
        }),
      );
      if (seed === 0)
        controls["attention weight"].push(
          await F({
            terms: largest(attention, count.terms),
            blocks: shuffled(allBlocks, random).slice(0, count.blocks),
          }),
        );
    }
    for (const [method, all] of Object.entries(controls)) record(method, all.reduce((a, b) => a + b, 0) / all.length);
  }
  process.stderr.write(`${used}: ${pair.clean}\n`);
  await Promise.all([clean.dispose(), other.dispose()]);
}

const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
function interval(list) {
  const random = randomOf(7);
  const means = Array.from({ length: RESAMPLES }, () =>
    mean(list.map(() => list[Math.floor(random() * list.length)])),
  ).sort((a, b) => a - b);
  return [means[Math.floor(0.025 * RESAMPLES)], means[Math.floor(0.975 * RESAMPLES)]];
}
const methods = [...new Set([...results.keys()].map((key) => key.slice(0, key.lastIndexOf(" "))))];
const table = methods.map((method) => ({
  method,
  columns: THRESHOLDS.map((threshold) => {
    const list = results.get(`${method} ${threshold}`).map((one) => one.F);
    return { threshold, F: mean(list), interval: interval(list) };
  }),
}));
const kinds = [...new Set(results.get(`published threshold ${THRESHOLDS[0]}`).map(({ kind }) => kind))];
const byKind = (method, threshold) =>
  Object.fromEntries(
    kinds.map((kind) => [
      kind,
      mean(
        results
          .get(`${method} ${threshold}`)
          .filter((one) => one.kind === kind)
          .map((one) => one.F),
      ),
    ]),
  );
const percent = (x) => `${(100 * x).toFixed(x < 0.1 ? 1 : 0)} %`;
const at = THRESHOLDS.includes(0.04) ? 0.04 : THRESHOLDS[0];
const lines = [
  `${model.info.name}, ${model.info.dtype}: ${used} pairs of ${pairs.length}`,
  "",
  `| kept | ${THRESHOLDS.map((threshold) => `size of ${threshold} (${percent(mean(sizes.get(threshold).map((s) => s.terms)))} / ${percent(mean(sizes.get(threshold).map((s) => s.blocks)))})`).join(" | ")} |`,
  `| --- |${THRESHOLDS.map(() => " --- |").join("")}`,
  ...table.map(
    ({ method, columns }) =>
      `| ${method} | ${columns.map(({ F, interval: [from, to] }) => `${F.toFixed(2)} (${from.toFixed(2)} to ${to.toFixed(2)})`).join(" | ")} |`,
  ),
  "",
  `By kind of prompt, size of ${at}:`,
  "",
  `| kind | ${methods.slice(0, 7).join(" | ")} |`,
  `| --- |${methods
    .slice(0, 7)
    .map(() => " --- |")
    .join("")}`,
  ...kinds.map(
    (kind) =>
      `| ${kind} | ${methods
        .slice(0, 7)
        .map((method) => byKind(method, at)[kind].toFixed(2))
        .join(" | ")} |`,
  ),
  "",
  ...skipped.map(({ clean, why }) => `skipped: ${JSON.stringify(clean)}: ${why}`),
];
console.log(lines.join("\n"));
if (values.json)
  fs.writeFileSync(
    values.json,
    `${JSON.stringify({ model: model.info.name, dtype: model.info.dtype, pairs: used, table, skipped, results: Object.fromEntries(results) })}\n`,
  );
await model.dispose();
