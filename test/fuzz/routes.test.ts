/** Route graphs of somebody else: one sentence, or a graph that every picture draws and every format writes. */
import { exportRoutes, ROUTE_FORMATS } from "../../src/attribution/route-formats";
import { importRoutes } from "../../src/attribution/route-import";
import { staticPdf, staticSvg } from "../../src/notebook/static-picture";
import { edgeEnds, flowLayout } from "../../src/protocol";
import { routesAnswer } from "../../src/payload/routes";
import { drawnRoutes } from "../../widgets/core/routes";
import { ToyModel } from "../support/toy-model";
import { damaged, damagedJson, fuzz, isSentence, NASTY, type Random } from "./support";

const shape = { nLayers: 2, nHeads: 3, dHead: 2, dModel: 6, dFfn: 5, dVocab: 9 };
const texts: string[] = [];
const graphs: unknown[] = [];
beforeAll(async () => {
  for (const parallelBlocks of [false, true]) {
    const run = await new ToyModel({ ...shape, parallelBlocks }).run([1, 2, 3, 4]);
    for (const graph of [
      await run.routes(),
      await run.routes({ from: "all", threshold: 0.2, renormalize: false, joinSelf: true }),
    ]) {
      graphs.push(JSON.parse(exportRoutes(graph, "json")));
      texts.push(...ROUTE_FORMATS.map((format) => exportRoutes(graph, format)));
    }
  }
});

/** Numbers and names that graphs have, moved about: most of what comes out is a graph, and wrong. */
function shuffled(text: string, random: Random): string {
  const parts = text.match(/[XAMI]\d+_\d+|[\w.]+|[^\w.]+/g) ?? [];
  for (let n = random.int(1, 6); n > 0; n--) {
    const at = random.int(0, parts.length);
    const other = random.pick(parts.filter((part) => /^\w/.test(part) === /^\w/.test(parts[at])));
    parts[at] = random.pick([
      other,
      other,
      "I0_1",
      "A1_2",
      "M0_0",
      "X0_3",
      "I999999_0",
      "I1_99999999",
      "NaN",
      "1e999",
      "-1",
      "1000000000",
      "0",
      "attention",
      random.pick(NASTY),
    ]);
  }
  return parts.join("");
}

function check(input: Buffer): "accepted" | "refused" {
  let graph;
  try {
    graph = importRoutes(input.toString());
  } catch (error) {
    if (
      error instanceof RangeError &&
      isSentence(error) &&
      error.message.startsWith("Routes cannot be read: ") &&
      error.message.length < 500
    )
      return "refused";
    throw error;
  }
  const { model, tokens } = graph;
  // Texts aside: a token may be called so.
  if (/NaN|Infinity|undefined/.test(staticSvg(graph).replace(/>[^<]*</g, "><")))
    throw new Error("the still picture has a place that is no number");
  expect(staticPdf([graph]).subarray(0, 5).toString()).toBe("%PDF-");
  const drawn = drawnRoutes(routesAnswer(graph), model, tokens.length);
  expect(drawn.byKey.size).toBe(graph.edges.length);
  const layout = flowLayout({
    nTokens: tokens.length,
    nLayers: model.nLayers,
    parallelBlocks: model.parallelBlocks,
    columnWidth: 20,
    layerHeight: 20,
  });
  for (const { source, target, kind } of graph.edges) {
    const [from, to] = edgeEnds(source, target)!;
    expect(layout.path(from, to, kind)).toMatch(/^M[-\d.]+,[-\d.]+[CQL][-\d., ]+$/);
    // Upward, and never from a later token.
    expect(layout.point(from).y).toBeGreaterThan(layout.point(to).y);
    expect(from.position).toBeLessThanOrEqual(to.position);
  }
  for (const format of ROUTE_FORMATS)
    expect(JSON.stringify(importRoutes(exportRoutes(graph, format), format))).toBe(JSON.stringify(graph));
  return "accepted";
}

fuzz({
  target: "routes",
  runs: 500,
  generate: (random) => {
    switch (random.int(0, 4)) {
      case 0:
        return damaged(Buffer.from(random.pick(texts)), random);
      case 1:
        return Buffer.from(JSON.stringify(damagedJson(random.pick(graphs), random, random.pick([0.002, 0.01, 0.05]))));
      default:
        return Buffer.from(shuffled(random.pick(texts), random));
    }
  },
  check,
});
