/** Faithfulness of routes and patch grids, held against single interventions. */
import {
  loadModel,
  patchGrid,
  type FaithfulnessRow,
  type RouteGraph,
  type Run,
  type TransparentModel,
} from "../../src/index";
import { modelFolder } from "../support/fixtures";

describe.each(["llama-tiny", "gpt-neox-tiny"])("%s", (name) => {
  let model: TransparentModel;
  let run: Run;
  let counterfactual: Run;
  const last = 5;

  beforeAll(async () => {
    model = await loadModel(modelFolder(name));
    [run, counterfactual] = await model.run([
      [1, 7, 3, 5, 7, 2],
      [1, 4, 3, 6, 7, 2],
    ]);
  });
  afterAll(() => model?.dispose());

  const metric = { token: 3, versus: 4 };
  const measure = async (of: Run): Promise<number> => {
    const { data } = await of.logits({ position: last });
    return data[3] - data[4];
  };
  const kept = async (keep: RouteGraph, others: "zero" | "mean" | "patch"): Promise<number> =>
    measure(await run.intervene!([{ keep, others, of: counterfactual }]));

  test.each(["zero", "mean", "patch"] as const)("others: %s", async (others) => {
    const rows: FaithfulnessRow[] = [];
    const steps: number[] = [];
    const result = await run.faithfulness!({
      thresholds: [0.02, 0.1, 0],
      metric,
      others,
      of: counterfactual,
      controls: 4,
      seed: 5,
      onRow: (row) => rows.push(row),
      onProgress: ({ done, total }) => steps.push(done / total!),
    });
    expect(rows).toEqual(result.rows);
    expect(steps.at(-1)).toBe(1);
    expect(result.full).toBeCloseTo(await measure(run), 5);
    const all = await run.routes({ threshold: 0 });
    const none = { ...all, nodes: [], edges: [] };
    expect(result.ablated).toBeCloseTo(await kept(none, others), 4);
    const { nLayers, nHeads } = model.info;
    // All layers but the last at every position, the last at the last.
    expect(result.edges).toBe((nLayers - 1) * (nHeads * 21 + 6) + nHeads * 6 + 1);
    for (const row of result.rows) {
      const routes = await run.routes({ threshold: row.threshold });
      expect(row.kept.metric).toBeCloseTo(await kept(routes, others), 4);
      const terms = routes.edges.reduce((sum, { heads }) => sum + Object.keys(heads ?? {}).length, 0);
      expect(row.edges).toBe(terms + routes.nodes.filter(({ kind }) => kind === "M").length);
      expect(row.share).toBeCloseTo(row.edges / result.edges, 6);
      expect(row.kept.normalized).toBeCloseTo((row.kept.metric - result.ablated) / (result.full - result.ablated), 5);
      expect(row.random!.sets).toHaveLength(4);
      const values = row.random!.sets.map((set) => set.kept.metric);
      const mean = values.reduce((a, b) => a + b, 0) / 4;
      expect(row.random!.mean.kept.metric).toBeCloseTo(mean, 6);
      expect(row.random!.spread.kept.metric).toBeCloseTo(
        Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / 3),
        6,
      );
    }
    // With everything kept nothing is missing, and with everything removed all is; so it is for every control.
    const everything = result.rows[2];
    expect(everything.share).toBe(1);
    for (const pair of [everything, everything.attention!, ...everything.random!.sets]) {
      expect(pair.kept.normalized).toBeCloseTo(1, 4);
      expect(pair.removed.normalized).toBeCloseTo(0, 4);
    }
    // The control by attention weights, once more: into each state as many terms as on the routes.
    const pattern = await Promise.all(Array.from({ length: nLayers }, (_, layer) => run.attentionPattern(layer)));
    const routes = await run.routes({ threshold: 0.02 });
    const edges = new Map<string, RouteGraph["edges"][number]>();
    for (const { target, kind } of routes.edges) {
      if (kind !== "attention") continue;
      const into = routes.edges.filter((edge) => edge.kind === "attention" && edge.target === target);
      const count = into.reduce((sum, { heads }) => sum + Object.keys(heads!).length, 0);
      const [layer, q] = target.slice(1).split("_").map(Number);
      const ranked = Array.from({ length: nHeads * (q + 1) }, (_, i) => ({
        head: Math.floor(i / (q + 1)),
        key: i % (q + 1),
        weight: pattern[layer].data[(Math.floor(i / (q + 1)) * 6 + q) * 6 + (i % (q + 1))],
      })).sort((a, b) => b.weight - a.weight);
      for (const { head, key } of ranked.slice(0, count)) {
        const source = layer === 0 ? (`X0_${key}` as const) : (`I${layer - 1}_${key}` as const);
        edges.set(`${target} ${head} ${key}`, {
          source,
          target,
          kind: "attention",
          weight: 0.1,
          heads: { [head]: 0.1 },
        });
      }
    }
    expect(result.rows[0].attention!.kept.metric).toBeCloseTo(
      await kept({ ...routes, edges: [...edges.values()] }, others),
      4,
    );
  });

  test("equal seeds draw equal sets, others others", async () => {
    const draw = async (seed: number): Promise<unknown> =>
      (await run.faithfulness!({ thresholds: [0.02], controls: 2, seed, of: counterfactual })).rows[0].random!.sets;
    expect(await draw(1)).toEqual(await draw(1));
    expect(await draw(1)).not.toEqual(await draw(2));
    const { rows } = await run.faithfulness!({ thresholds: [0.02], controls: 0 });
    expect(rows[0].random).toBeUndefined();
    expect(rows[0].attention).toBeUndefined();
  });

  test("metrics: the best prediction, a probability, a function; nonsense is refused", async () => {
    const of = async (own: Parameters<NonNullable<Run["faithfulness"]>>[0]): Promise<number> =>
      (await run.faithfulness!({ thresholds: [0.02], controls: 0, ...own })).full;
    const [best] = await run.lens(`I${model.info.nLayers - 1}_5`, { topK: 1 });
    expect(await of({})).toBeCloseTo(best.logit, 4);
    expect(await of({ metric: { of: "probability" } })).toBeCloseTo(best.probability, 5);
    expect(await of({ metric: async (own) => 2 * (await measure(own)) })).toBeCloseTo(2 * (await measure(run)), 4);
    expect(await of({ metric: "logit" })).toBe(await of({}));
    expect(await of({ metric: "probability" })).toBe(await of({ metric: { of: "probability" } }));
    await expect(of({ metric: "entropy" as "logit" })).rejects.toThrow(/"entropy" is unknown/);
    await expect(of({ metric: { of: "entropy" as "logit" } })).rejects.toThrow(/"entropy" is unknown/);
    await expect(of({ metric: { ...metric, of: "probability" } })).rejects.toThrow(/leave out versus/);
    await expect(of({ metric: { token: 3, versus: 3 } })).rejects.toThrow(/do not differ/);
    await expect(of({ metric: { position: 6 } })).rejects.toThrow(/no position 6/);
    await expect(of({ metric: 3 as never })).rejects.toThrow(/The metric is 3/);
    await expect(of({ thresholds: [] })).rejects.toThrow(/at least one/);
    await expect(of({ thresholds: [2] })).rejects.toThrow(/from 0 to 1/);
    await expect(of({ controls: -1 })).rejects.toThrow(/controls is -1/);
    await expect(of({ seed: 0.5 })).rejects.toThrow(/whole number/);
    await expect(of({ others: "patch" })).rejects.toThrow(/"of" is missing/);
  });

  test.each(["residual", "attention", "ffn", "heads", "edges-into"] as const)("a grid over %s", async (over) => {
    const values: number[] = [];
    const grid = await patchGrid(run, counterfactual, { over, metric, onValue: (_, __, value) => values.push(value) });
    const { nLayers, nHeads } = model.info;
    const columns = over === "heads" ? nHeads : 6;
    expect(grid.dims).toEqual([nLayers, columns]);
    expect(values).toEqual([...grid.data].map((x) => expect.closeTo(x, 5) as number));
    const [clean, corrupted] = [await measure(run), await measure(counterfactual)];
    expect(grid.clean).toBeCloseTo(clean, 5);
    for (let layer = 0; layer < nLayers; layer++) {
      for (let column = 0; column < columns; column++) {
        const target =
          over === "residual"
            ? (`I${layer}_${column}` as const)
            : over === "heads"
              ? ({ kind: "attention", layer, head: column } as const)
              : over === "edges-into"
                ? ({ kind: "edge", layer, query: last, key: column } as const)
                : ({ kind: over, layer, position: column } as const);
        const cut = await counterfactual.intervene!([{ target, do: "patch", from: run }]);
        expect(grid.data[layer * columns + column]).toBeCloseTo(
          ((await measure(cut)) - corrupted) / (clean - corrupted),
          4,
        );
      }
    }
    // The last state at the last token is the prediction.
    if (over === "residual") {
      expect(grid.data[nLayers * 6 - 1]).toBeCloseTo(1, 4);
      expect(grid.data[nLayers * 6 - 2]).toBeCloseTo(0, 5);
    }
  });
});
