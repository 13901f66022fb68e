/**
 * How far the logits of each dtype are from float32's: largest difference as a part of the largest logit, and mean
 * Kullback–Leibler divergence of the predictions. The table in docs/precision-and-memory.md.
 *
 *     npm run bench -- precision [model ...]     default: the reference models, and the default model
 */
import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { basename, join } from "node:path";

const require = createRequire(import.meta.url);
const { createEngine } = require("../dist/engine/index.js");
const { openModel } = require("../dist/model/open.js");

const TEXT =
  "The capital of France is Paris, and the capital of Germany is Berlin. When Mary and John went to the store, John gave a drink to";
const DTYPES = ["auto", "float16", "bfloat16", "q8", "q4"];

async function logitsOf(files, ids, dtype) {
  const engine = await createEngine(files, { dtype });
  const { data } = await (await engine.forward(ids)).logits();
  await engine.dispose();
  return data;
}

function softmax(logits) {
  const largest = logits.reduce((most, value) => Math.max(most, value), -Infinity);
  const powers = Float64Array.from(logits, (value) => Math.exp(value - largest));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}

function divergence(exact, rounded, nVocabulary) {
  let sum = 0;
  for (let from = 0; from < exact.length; from += nVocabulary) {
    const [p, q] = [exact, rounded].map((logits) => softmax(logits.subarray(from, from + nVocabulary)));
    p.forEach(
      (probability, id) => (sum += probability > 0 ? probability * Math.log(probability / Math.max(q[id], 1e-300)) : 0),
    );
  }
  return (sum * nVocabulary) / exact.length;
}

const fixtures = ["../test/fixtures/models", "../../shared/fixtures/models"]
  .map((place) => fileURLToPath(new URL(place, import.meta.url)))
  .find(existsSync);
const models =
  process.argv.length > 2
    ? process.argv.slice(2)
    : [
        ...(fixtures
          ? readdirSync(fixtures)
              .sort()
              .map((name) => join(fixtures, name))
          : []),
        "default",
      ];
const rows = [];
for (const model of models) {
  const files = await openModel(model);
  const { dVocab, maxPositions } = files.architecture;
  const ids = files.tokenizer.encode(TEXT).slice(0, maxPositions);
  const exact = await logitsOf(files, ids, "float32");
  const largest = exact.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const row = { model: basename(model), tokens: ids.length };
  for (const dtype of DTYPES) {
    const rounded = await logitsOf(files, ids, dtype);
    const difference = rounded.reduce((most, value, i) => Math.max(most, Math.abs(value - exact[i])), 0);
    row[dtype] = `${(difference / largest).toExponential(1)} · ${divergence(exact, rounded, dVocab).toExponential(1)}`;
  }
  rows.push(row);
}
console.table(rows);
