/** Logits under interventions against transformers with hooks (test/reference/make_interventions.py), every family. */
import * as fs from "node:fs";
import * as path from "node:path";
import { gunzipSync } from "node:zlib";
import { loadModel, nodeName, type Intervention, type RouteEdge, type RouteGraph, type Run } from "../../src/index";
import { familyFolders } from "../support/families";
import { maxDifference, root } from "../support/fixtures";

type Change = Readonly<Record<string, unknown>>;
interface Reference {
  readonly tokens: number;
  readonly families: Readonly<
    Record<string, { readonly cases: readonly { readonly changes: readonly Change[]; readonly logits: number[] }[] }>
  >;
}

const { folders, remove } = familyFolders();
afterAll(remove);
const reference = JSON.parse(
  gunzipSync(fs.readFileSync(path.join(root, "test/reference/interventions.json.gz"))).toString("utf8"),
) as Reference;
const T = reference.tokens;

/** The rule by which the script keeps terms and blocks, as routes. */
function ruled(run: Run, routes: RouteGraph): RouteGraph {
  const { nLayers, nHeads, parallelBlocks } = run.model.info;
  const edges: RouteEdge[] = [];
  const nodes: RouteGraph["nodes"][number][] = [];
  for (let layer = 0; layer < nLayers; layer++) {
    for (let q = 0; q < T; q++) {
      for (let k = 0; k <= q; k++) {
        const heads: Record<number, number> = {};
        for (let h = 0; h < nHeads; h++) if ((h + 2 * q + k + layer) % 3 !== 0) heads[h] = 0.1;
        const source = layer === 0 ? nodeName("X", -1, k) : nodeName("I", layer - 1, k);
        edges.push({
          source,
          target: nodeName(parallelBlocks ? "I" : "A", layer, q),
          kind: "attention",
          weight: 0.1,
          heads,
        });
      }
      if ((layer + q) % 2 === 0) nodes.push({ name: nodeName("M", layer, q), kind: "M", layer, position: q });
    }
  }
  return { ...routes, nodes, edges };
}

test.each(Object.keys(reference.families))("%s", async (name) => {
  const folder = folders.find(([own]) => own === name)![1];
  const { token_ids } = JSON.parse(
    fs.readFileSync(path.join(root, "test/reference/families", name, "reference.json"), "utf8"),
  ) as { token_ids: number[] };
  const model = await loadModel(folder);
  try {
    const [run, other, third] = await model.run([0, 1, 2].map((i) => token_ids.slice(i * T, (i + 1) * T)));
    const runs: Record<string, Run> = { other, third };
    const routes = ruled(run, await run.routes());
    const read = (key: string, value: unknown): unknown => {
      if (key === "from") return runs[value as string];
      if (key === "of") return Array.isArray(value) ? value.map((one: string) => runs[one]) : runs[value as string];
      if (key === "vector") return Float32Array.from(value as number[]);
      return key === "keep" ? routes : value;
    };
    const plain = (await run.logits({ position: T - 1 })).data;
    const wrong: [string, number][] = [];
    let changed = 0;
    for (const { changes, logits } of reference.families[name].cases) {
      const interventions = changes.map(
        (change) =>
          Object.fromEntries(
            Object.entries(change).map(([key, value]) => [key, read(key, value)]),
          ) as unknown as Intervention,
      );
      const cut = await run.intervene(interventions);
      const own = (await cut.logits({ position: T - 1 })).data.subarray(0, logits.length);
      const difference = maxDifference(own, logits);
      if (!(difference < 1e-4)) wrong.push([JSON.stringify(changes), difference]);
      if (maxDifference(plain.subarray(0, logits.length), logits) > 1e-3) changed++;
      await cut.dispose();
    }
    expect(wrong).toEqual([]);
    // Nearly all of them do something to the last token's logits.
    expect(changed).toBeGreaterThan(0.7 * reference.families[name].cases.length);
  } finally {
    await model.dispose();
  }
});
