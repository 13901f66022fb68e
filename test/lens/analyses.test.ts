import { followToken, lensTable, loadModel, searchTokens } from "../../src/index";
import type { NodeName, Run, TransparentModel } from "../../src/index";
import { modelFolder } from "../support/fixtures";

describe.each(["llama-tiny", "gpt-neox-tiny"])("%s", (name) => {
  let model: TransparentModel;
  let run: Run;
  beforeAll(async () => {
    model = await loadModel(modelFolder(name));
    run = await model.run([3, 1, 4, 1, 5]);
  });
  afterAll(() => model.dispose());

  test("a followed token has the rank and probability that the lens gives it in every state", async () => {
    for (const normalize of [true, false]) {
      const { nodes, ranks, probabilities, token } = await followToken(run, 7, { position: 3, normalize });
      expect(token).toEqual(model.token(7));
      const { nLayers, parallelBlocks } = model.info;
      expect(nodes).toHaveLength(1 + nLayers * (parallelBlocks ? 1 : 2));
      for (const [i, node] of nodes.entries()) {
        const seen = (await run.lens(node, { normalize, topK: model.info.dVocab })).find(({ id }) => id === 7)!;
        expect(ranks[i]).toBe(seen.rank);
        expect(probabilities[i]).toBeCloseTo(seen.probability, 6);
      }
    }
  });

  test("a table has the best token of the lens, its probability and the entropy; a part is cut out of the whole", async () => {
    const whole = await lensTable(run);
    expect([whole.rows, whole.columns]).toEqual([model.info.nLayers + 1, 5]);
    for (let row = 0; row < whole.rows; row++) {
      for (let position = 0; position < 5; position++) {
        const node: NodeName = row === 0 ? `X0_${position}` : `I${row - 1}_${position}`;
        const all = await run.lens(node, { topK: model.info.dVocab });
        const at = row * whole.columns + position;
        expect(whole.tops[at]).toBe(all[0].id);
        expect(whole.probabilities[at]).toBeCloseTo(all[0].probability, 6);
        expect(whole.entropies[at]).toBeCloseTo(
          -all.reduce((sum, { probability: p }) => sum + (p > 0 ? p * Math.log2(p) : 0), 0),
          4,
        );
      }
    }
    const part = await lensTable(run, { firstRow: 1, rows: 1, first: 2, count: 2 });
    expect([...part.tops]).toEqual([...whole.tops.subarray(whole.columns + 2, whole.columns + 4)]);
    expect([...part.entropies]).toEqual([...whole.entropies.subarray(whole.columns + 2, whole.columns + 4)]);
  });

  test("tokens are found by their beginning, likeliest first", async () => {
    const all = await searchTokens(run, "", { topK: model.info.dVocab });
    expect(all).toHaveLength(model.info.dVocab);
    expect(all.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 5);
    all.forEach(({ logit }, i) => expect(i === 0 || logit <= all[i - 1].logit).toBe(true));
    const found = await searchTokens(run, "a", { topK: 1000 });
    expect(found.map(({ id }) => id)).toEqual(
      all.filter(({ text }) => text.trim().toLowerCase().startsWith("a")).map(({ id }) => id),
    );
    expect(found.length).toBeGreaterThan(0);
  });

  test("what does not exist is refused in a sentence", async () => {
    await expect(followToken(run, model.info.dVocab)).rejects.toThrow(RangeError);
    await expect(followToken(run, 1, { position: 5 })).rejects.toThrow(
      "There is no position 5: positions go from 0 to 4.",
    );
    await expect(lensTable(run, { first: 3, count: 3 })).rejects.toThrow(
      "There is no position 5: positions go from 0 to 4.",
    );
    await expect(searchTokens(run, "a", { position: -1 })).rejects.toThrow(RangeError);
  });
});
