/** Identities of changed runs, on a tiny model of every family. */
import {
  loadModel,
  type Intervention,
  type InterventionTarget,
  type NodeName,
  type PatchIntervention,
  type Run,
  type TransparentModel,
} from "../../src/index";
import { familyFolders } from "../support/families";
import { maxDifference } from "../support/fixtures";

const { folders, remove } = familyFolders();
afterAll(remove);
const ids = [1, 7, 3, 5, 7, 2];
const others = [4, 7, 6, 5, 9, 2];
const T = ids.length;

const logits = async (run: Run): Promise<Float32Array> => (await run.logits()).data;
const change = (run: Run, ...interventions: Intervention[]): Promise<Run> => run.intervene!(interventions);

/** How far logits are apart, beside their own size. */
async function distance(a: Run, b: Run): Promise<number> {
  const [x, y] = [await logits(a), await logits(b)];
  return maxDifference(x, y) / Math.max(1, ...y.map(Math.abs));
}

describe.each(folders)("%s", (_, folder) => {
  let model: TransparentModel;
  let run: Run;
  let other: Run;
  let last: number;

  beforeAll(async () => {
    model = await loadModel(folder);
    [run, other] = await model.run([ids, others]);
    last = model.info.nLayers - 1;
  });
  afterAll(() => model?.dispose());

  test("a list of nothing is the base", async () => {
    const same = await change(run);
    expect(same.base).toBe(run);
    expect(same.interventions).toEqual([]);
    expect(await distance(same, run)).toBe(0);
    expect((await same.residual(0, "post")).data).toBe((await run.residual(0, "post")).data);
  });

  test("scaled by 1, and patched with itself, every place is what it was", async () => {
    const { nHeads, dFfn, parallelBlocks } = model.info;
    const everywhere = (how: (target: Exclude<Intervention, { readonly keep: unknown }>["target"]) => Intervention) => [
      how("X0_1"),
      how({ kind: "edge", layer: 0, query: 3, key: 2 }),
      how({ kind: "attention", layer: 0, head: nHeads - 1 }),
      how({ kind: "attention", layer: 0 }),
      ...(parallelBlocks ? [] : [how("A0_2")]),
      how({ kind: "ffn", layer: 0, neuron: dFfn - 1 }),
      how({ kind: "ffn", layer: 0, position: 4 }),
      how("I0_3"),
    ];
    expect(
      await distance(await change(run, ...everywhere((target) => ({ target, do: "scale", by: 1 }))), run),
    ).toBeLessThan(1e-6);
    expect(
      await distance(await change(run, ...everywhere((target) => ({ target, do: "patch", from: run }))), run),
    ).toBeLessThan(1e-6);
    for (const one of everywhere((target) => ({ target, do: "patch", from: run })))
      expect(await distance(await change(run, one), run)).toBeLessThan(1e-6);
    // The test can fail: the same patches from another run do change something.
    expect(
      await distance(await change(run, ...everywhere((target) => ({ target, do: "patch", from: other }))), run),
    ).toBeGreaterThan(1e-3);
  });

  test("all states after the last layer patched give the other run's logits", async () => {
    const patched = await change(
      run,
      ...ids.map((_unused, t): Intervention => ({ target: `I${last}_${t}`, do: "patch", from: other })),
    );
    expect(await distance(patched, other)).toBeLessThan(1e-6);
    expect(await distance(run, other)).toBeGreaterThan(1e-2);
  });

  test("layers below the first change are the base's, not copies", async () => {
    const cut = await change(run, { target: { kind: "ffn", layer: last }, do: "zero" });
    for (let layer = 0; layer < last; layer++) {
      expect((await cut.residual(layer, "post")).data).toBe((await run.residual(layer, "post")).data);
      expect((await cut.attentionPattern(layer)).data).toBe((await run.attentionPattern(layer)).data);
    }
    expect((await cut.residual(last, "pre")).data).toBe((await run.residual(last, "pre")).data);
    expect((await cut.residual(last, "post")).data.buffer).not.toBe((await run.residual(last, "post")).data.buffer);
  });

  test("kept are all edges: the base; kept is nothing: every term and block is gone", async () => {
    const all = await run.routes({ from: "all", threshold: 0 });
    for (const how of ["zero", "mean", "patch"] as const)
      expect(await distance(await change(run, { keep: all, others: how, of: other }), run)).toBe(0);
    const none = { ...all, nodes: [], edges: [] };
    const bare = await change(run, { keep: none, others: "zero" });
    for (let layer = 0; layer <= last; layer++) {
      expect((await bare.attentionPattern(layer)).data.every((x) => x === 0)).toBe(true);
      expect((await bare.ffnOut(layer)).data.every((x) => x === 0)).toBe(true);
    }
    // Everything from the other run on this one's embeddings.
    const embedded = ids.map((_unused, t): Intervention => ({ target: `X0_${t}`, do: "patch", from: other }));
    const swapped = await change(run, ...embedded, { keep: none, others: "patch", of: other });
    expect(await distance(swapped, other)).toBeLessThan(1e-5);
  });

  test("one key at a time, an edge of all heads is the same as each head's", async () => {
    const edge = { kind: "edge", layer: last, query: 4, key: 1 } as const;
    for (const change1 of [
      { do: "zero" },
      { do: "scale", by: -2 },
      { do: "patch", from: other },
      { do: "mean", of: other },
      { do: "block" },
    ] as const) {
      const whole = await change(run, { target: edge, ...change1 });
      const each = await change(
        run,
        ...Array.from({ length: model.info.nHeads }, (_unused, head) => ({ target: { ...edge, head }, ...change1 })),
      );
      expect(await distance(whole, each)).toBeLessThan(1e-6);
    }
    const blocked = await change(run, { target: edge, do: "block" });
    const { data } = await blocked.attentionPattern(last);
    for (let head = 0; head < model.info.nHeads; head++) {
      const row = data.subarray((head * T + 4) * T, (head * T + 5) * T);
      expect(row[1]).toBe(0);
      expect(Math.abs(row.reduce((sum, x) => sum + x, 0) - 1)).toBeLessThan(1e-5);
    }
  });

  test("a changed run is a sum like any other: heads, blocks, contributions and logits add up", async () => {
    const { nHeads, dModel, dFfn, parallelBlocks } = model.info;
    const vector = Float32Array.from({ length: dModel }, (_unused, i) => Math.sin(i));
    const cut = await change(
      run,
      { target: { kind: "edge", layer: 0, query: 3, key: 1, head: 0 }, do: "zero" },
      { target: { kind: "edge", layer: 0, query: 5, key: 2, head: 1 % nHeads }, do: "patch", from: other },
      { target: { kind: "attention", layer: 0, head: nHeads - 1, position: 5 }, do: "scale", by: 0.5 },
      { target: { kind: "attention", layer: 0, position: 2 }, do: "patch", from: other },
      { target: { kind: "attention", layer: 0, position: 5 }, do: "scale", by: 1.5 },
      { target: { kind: "ffn", layer: 0, neuron: dFfn - 1 }, do: "scale", by: 3 },
      { target: { kind: "ffn", layer: 0, position: 5 }, do: "scale", by: 0.75 },
      { target: "I0_5", do: "add", vector, by: 0.5 },
      ...(parallelBlocks ? [] : [{ target: "A0_5", do: "add", vector } as const]),
    );
    for (const valueBias of ["output", "term"] as const) {
      for (let layer = 0; layer <= last; layer++) {
        const whole = await cut.attentionContributions(layer, { valueBias, includeBias: true });
        const without = await cut.attentionContributions(layer, { valueBias });
        for (let q = 0; q < T; q++) {
          const sum = ({ terms, residual, ffn }: typeof whole, bias = 0): number =>
            terms.data
              .subarray(q * T * nHeads, (q + 1) * T * nHeads)
              .reduce((a, b) => a + b, residual.data[q] + bias + (ffn?.data[q] ?? 0));
          expect(Math.abs(sum(whole, whole.bias!.data[q]) - 1)).toBeLessThan(1e-5);
          expect(Math.abs(sum(without) - 1)).toBeLessThan(1e-5);
        }
      }
    }
    const { ffn, residual } = await cut.ffnContributions(0);
    ffn.data.forEach((c, t) => expect(Math.abs(c + residual.data[t] - 1)).toBeLessThan(1e-5));
    // The logit is the sum of all parts, what was added by interventions among them.
    const { parts, logit } = await cut.logitAttribution({ token: 5, versus: 9 });
    const sum = parts.reduce((total, part) => total + part.logit, 0);
    expect(Math.abs(sum - logit)).toBeLessThan(1e-4 * Math.max(1, ...parts.map((part) => Math.abs(part.logit))));
    expect(parts.some(({ kind }) => kind === "intervention")).toBe(true);
    const { contrast, edges } = await cut.routes({ contrast: { token: 5, versus: 9 } });
    const drawn = edges
      .filter(
        ({ kind, target, logit: own, source }) =>
          own !== undefined && (kind !== "residual" || source.startsWith("X0")) && target.endsWith(`_${T - 1}`),
      )
      .reduce((total, edge) => total + edge.logit!, 0);
    expect(
      Math.abs(contrast!.constant! + contrast!.rest!.supports + contrast!.rest!.opposes + drawn - contrast!.logit!),
    ).toBeLessThan(1e-4 * Math.max(1, ...parts.map((part) => Math.abs(part.logit))));
    // What heads write sums to the block, as in the base, wherever the block itself was not replaced.
    const scale = Math.max(1, ...(await cut.attentionOut(0)).data.map(Math.abs));
    const rest: number[][] = [];
    const [base, changed] = [(await run.attentionOut(0)).data, (await cut.attentionOut(0)).data];
    for (const t of [3, 4]) {
      for (const [one, out] of [
        [run, base],
        [cut, changed],
      ] as const) {
        const heads = (await one.headOut(0, t, { valueBias: "term" })).data;
        rest.push(
          Array.from({ length: dModel }, (_unused, i) => {
            let left = out[t * dModel + i];
            for (let head = 0; head < nHeads; head++) left -= heads[head * dModel + i];
            return left;
          }),
        );
      }
    }
    // The output bias is what is left; behind a norm it is scaled with the row.
    const size = (row: number[]): number => Math.sqrt(row.reduce((total, x) => total + x * x, 0));
    for (let i = 0; i < rest.length; i += 2) {
      const factor = size(rest[i]) < 1e-4 * scale ? 0 : size(rest[i + 1]) / size(rest[i]);
      rest[i].forEach((x, j) =>
        expect(Math.abs(x * factor - (factor === 0 ? 0 : rest[i + 1][j]))).toBeLessThan(3e-5 * scale),
      );
    }
  });

  test("a head patched from another run writes what it writes there", async () => {
    const { dModel, nHeads } = model.info;
    const head = nHeads - 1;
    const cut = await change(run, {
      target: { kind: "attention", layer: 0, head, position: 4 },
      do: "patch",
      from: other,
    });
    const [here, there] = [
      (await cut.headOut(0, 4, { valueBias: "term" })).data.subarray(head * dModel),
      (await other.headOut(0, 4, { valueBias: "term" })).data.subarray(head * dModel),
    ];
    // A norm behind the block scales it by its own statistic.
    const scales = [0, 1].map((i) => Math.sqrt([here, there][i].reduce((sum, x) => sum + x * x, 0)));
    const size = Math.max(1, ...there.map(Math.abs));
    expect(
      maxDifference(
        here.map((x) => x / scales[0]),
        there.map((x) => x / scales[1]),
      ),
    ).toBeLessThan(1e-5 * size);
  });

  test("paths: a block that reads is all its heads, edges or neurons that read; a state that reads gets the difference", async () => {
    const { nHeads, dFfn, dModel } = model.info;
    const q = T - 1;
    const change1 = { target: { kind: "attention", layer: 0, head: 0 }, do: "patch", from: other } as const;
    const through = (into: PatchIntervention["into"]): Promise<Run> => change(run, { ...change1, into });
    const heads = Array.from({ length: nHeads }, (_unused, head) => head);
    const block = await through({ kind: "attention", layer: last, position: q });
    expect(await distance(block, run)).toBeGreaterThan(1e-5);
    expect(
      await distance(
        await through(heads.map((head) => ({ kind: "attention", layer: last, position: q, head }))),
        block,
      ),
    ).toBeLessThan(1e-5);
    const { data: pattern } = await run.attentionPattern(last);
    const seen = Array.from({ length: T }, (_unused, key) => key).filter((key) => pattern[q * T + key] > 0);
    expect(
      await distance(await through(seen.map((key) => ({ kind: "edge", layer: last, query: q, key }))), block),
    ).toBeLessThan(1e-5);
    const ffn = await through({ kind: "ffn", layer: last, position: q });
    expect(await distance(ffn, run)).toBeGreaterThan(1e-5);
    const neurons = Array.from({ length: dFfn }, (_unused, neuron) => neuron);
    expect(
      await distance(await through(neurons.map((neuron) => ({ kind: "ffn", layer: last, position: q, neuron }))), ffn),
    ).toBeLessThan(1e-5);
    // A state that reads gets what the block writes after the change less what it wrote, and nothing else.
    const [state, everywhere] = [await through(`I${last}_${q}`), await change(run, change1)];
    const row = async (of: Run, what: "attention" | "post"): Promise<Float32Array> =>
      (what === "attention" ? await of.attentionOut(0) : await of.residual(last, "post")).data.slice(q * dModel);
    const [before, after] = [await row(run, "attention"), await row(everywhere, "attention")];
    const expected = (await row(run, "post")).map((x, i) => x + after[i] - before[i]);
    expect(maxDifference(await row(state, "post"), expected)).toBeLessThan(
      1e-5 * Math.max(1, ...expected.map(Math.abs)),
    );
    // All readers together, the last states among them, are everybody.
    const blocks = Array.from({ length: last + 1 }, (_unused, layer) => layer).flatMap(
      (layer): InterventionTarget[] => [
        ...(layer > 0 ? [{ kind: "attention", layer } as const] : []),
        ...(layer > 0 || !model.info.parallelBlocks ? [{ kind: "ffn", layer } as const] : []),
      ],
    );
    const all = await through([...blocks, ...ids.map((_unused, t) => `I${last}_${t}` as const)]);
    expect(await distance(all, everywhere)).toBeLessThan(1e-5);
  });

  test("a state that was replaced has no parts: routes end there", async () => {
    const node = `I${last}_${T - 1}` as NodeName;
    const cut = await change(run, { target: node, do: "patch", from: other });
    expect((await cut.routes()).edges).toEqual([]);
    const { parallelBlocks, nHeads } = model.info;
    if (parallelBlocks) {
      const { terms, residual, bias, ffn } = await cut.attentionContributions(last);
      expect([residual.data[T - 1], bias!.data[T - 1], ffn!.data[T - 1]]).toEqual([0, 1, 0]);
      expect(terms.data.subarray((T - 1) * T * nHeads).every((x) => x === 0)).toBe(true);
    } else {
      const { ffn, residual, replaced } = await cut.ffnContributions(last);
      expect([ffn.data[T - 1], residual.data[T - 1], replaced!.data[T - 1]]).toEqual([0, 0, 1]);
      expect(Math.abs(ffn.data[0] + residual.data[0] - 1)).toBeLessThan(1e-5);
    }
  });
});
