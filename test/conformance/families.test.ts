/**
 * Identities of the sums inside each layer, on a tiny model of every family: heads, neurons and biases make up what
 * blocks wrote.
 */
import { loadModel } from "../../src/index";
import { shares } from "../support/contributions-reference";
import { familyFolders } from "../support/families";
import { maxDifference } from "../support/fixtures";

const { folders, remove } = familyFolders();
afterAll(remove);
const ids = [1, 7, 3, 5, 7, 2];

/** Rows that should be one constant, times a factor of each row where a norm stands behind the block. */
function expectConstant(rows: readonly Float64Array[], scale: number): void {
  const size = (row: Float64Array): number => Math.sqrt(row.reduce((sum, x) => sum + x * x, 0));
  const largest = rows.reduce((best, row) => (size(row) > size(best) ? row : best));
  const length = size(largest);
  for (const row of rows) {
    const factor = length < 1e-4 * scale ? 0 : row.reduce((sum, x, i) => sum + x * largest[i], 0) / (length * length);
    row.forEach((x, i) => expect(Math.abs(x - factor * largest[i])).toBeLessThan(2e-5 * scale));
  }
}

test.each(folders)("%s", async (_, folder) => {
  const model = await loadModel(folder);
  try {
    const run = await model.run(ids);
    const { nLayers, nHeads, dModel, dFfn, parallelBlocks } = model.info;
    for (let layer = 0; layer < nLayers; layer++) {
      const [pre, post, attention, ffn] = [
        await run.residual(layer, "pre"),
        await run.residual(layer, "post"),
        await run.attentionOut(layer),
        await run.ffnOut(layer),
      ].map(({ data }) => data);
      const scale = Math.max(1, ...post.map(Math.abs));
      post.forEach((x, i) => expect(Math.abs(pre[i] + attention[i] + ffn[i] - x)).toBeLessThan(1e-5 * scale));

      const restOfHeads: Float64Array[] = [];
      const restOfNeurons: Float64Array[] = [];
      const rows = await Promise.all(
        Array.from({ length: dFfn }, async (_unused, n) => (await model.neuronOutput(layer, n)).data),
      );
      for (let t = 0; t < ids.length; t++) {
        const heads = (await run.headOut(layer, t, { valueBias: "term" })).data;
        restOfHeads.push(
          Float64Array.from(
            { length: dModel },
            (_unused, i) =>
              attention[t * dModel + i] -
              Array.from({ length: nHeads }, (_u, h) => heads[h * dModel + i]).reduce((a, b) => a + b, 0),
          ),
        );
        const written = await Promise.all(
          Array.from({ length: dFfn }, (_unused, neuron) => run.update({ kind: "ffn", layer, position: t, neuron })),
        );
        restOfNeurons.push(
          Float64Array.from(
            { length: dModel },
            (_unused, i) => ffn[t * dModel + i] - written.reduce((sum, vector) => sum + vector[i], 0),
          ),
        );
      }
      expect(rows.length).toBe(dFfn);
      expectConstant(restOfHeads, scale);
      expectConstant(restOfNeurons, scale);

      for (const valueBias of ["output", "term"] as const) {
        const {
          terms,
          residual,
          bias,
          ffn: ffnShare,
        } = await run.attentionContributions(layer, { valueBias, includeBias: true });
        for (let q = 0; q < ids.length; q++) {
          const own = terms.data.subarray(q * ids.length * nHeads, (q + 1) * ids.length * nHeads);
          const sum = own.reduce((a, b) => a + b, residual.data[q] + (bias?.data[q] ?? NaN) + (ffnShare?.data[q] ?? 0));
          expect(Math.abs(sum - 1)).toBeLessThan(1e-5);
          expect(own.subarray((q + 1) * nHeads).every((c) => c === 0)).toBe(true);
        }
        // The last query's shares once more, from what each head wrote out of each key.
        const q = ids.length - 1;
        const at = (data: Float32Array): Float32Array => data.subarray(q * dModel, (q + 1) * dModel);
        const parts: ArrayLike<number>[] = [];
        for (let key = 0; key <= q; key++)
          for (let head = 0; head < nHeads; head++)
            parts.push(await run.update({ kind: "attention", layer, position: q, head, key }, valueBias));
        const constant = Float64Array.from(at(attention), (x, i) => x - parts.reduce((sum, part) => sum + part[i], 0));
        // Where a model has no such bias it is no part: what is left is rounding.
        const hasBias = (bias?.data[q] ?? 0) > 0;
        if (!hasBias) expect(Math.max(...constant.map(Math.abs))).toBeLessThan(1e-5 * scale);
        const expected = shares(
          [...parts, at(pre), ...(hasBias ? [constant] : []), ...(parallelBlocks ? [at(ffn)] : [])],
          at(parallelBlocks ? post : (await run.residual(layer, "mid")).data),
        );
        const found = [
          ...terms.data.subarray(q * ids.length * nHeads, (q + 1) * ids.length * nHeads),
          residual.data[q],
          ...(hasBias ? [bias?.data[q] ?? NaN] : []),
          ...(ffnShare ? [ffnShare.data[q]] : []),
        ];
        expect(maxDifference(found, expected)).toBeLessThan(2e-5);
      }
      // Each neuron's share, and that of the rest, once more from the vectors themselves.
      const t = ids.length - 1;
      const whole = post.subarray(t * dModel, (t + 1) * dModel);
      const norm = (x: ArrayLike<number>): number => Array.from(x).reduce((sum, v) => sum + Math.abs(v), 0);
      const proximity = (part: ArrayLike<number>): number =>
        Math.max(norm(whole) - norm(Float64Array.from(whole, (y, i) => y - part[i])), 1e-5);
      const written = await Promise.all(
        rows.map((_unused, neuron) => run.update({ kind: "ffn", layer, position: t, neuron })),
      );
      const beside = Float64Array.from(
        { length: dModel },
        (_unused, i) => pre[t * dModel + i] + attention[t * dModel + i],
      );
      const proximities = written.map(proximity);
      const total = proximities.reduce((a, b) => a + b, proximity(beside));
      for (const { neuron, contribution } of await run.neuronContributions(layer, t))
        expect(Math.abs(contribution - proximities[neuron] / total)).toBeLessThan(5e-5);
    }
    const { edges } = await run.routes({ from: "all" });
    expect(edges.some(({ target }) => target.startsWith("A"))).toBe(!parallelBlocks);
    const sums = new Map<string, number>();
    for (const { target, kind, weight } of edges)
      if (kind !== "ffn-in") sums.set(target, (sums.get(target) ?? 0) + weight);
    for (const sum of sums.values()) expect(Math.abs(sum - 1)).toBeLessThan(1e-5);
  } finally {
    await model.dispose();
  }
});
