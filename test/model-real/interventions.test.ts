/** Interventions on SmolLM2: the routes of a known prediction, removed and kept. */
import { loadModel, type ChangeableRun, type Intervention } from "../../src/index";
import { defaultModelFile } from "../support/default-model";

test("SmolLM2: what carries Mary", async () => {
  const model = await loadModel(await defaultModelFile());
  try {
    const prompt = (giver: string): string => `When Mary and John went to the store, ${giver} gave a drink to`;
    const run: ChangeableRun = await model.run(prompt("John"));
    const other = await model.run(prompt("Mary"));
    const metric = { token: " Mary", versus: " John" };
    const last = run.tokens.length - 1;
    const measure = async (of: ChangeableRun): Promise<number> => {
      const ids = [" Mary", " John"].map((text) => model.tokenize(text, { addSpecialTokens: false })[0].id);
      const { data } = await of.logits({ position: last });
      return data[ids[0]] - data[ids[1]];
    };
    // The two prompts differ in the giver: each predicts the other name.
    const [full, opposite] = [await measure(run), await measure(other)];
    expect(full).toBeGreaterThan(2);
    expect(opposite).toBeLessThan(0);
    // Without what the routes say that the last token reads from Mary, she loses much of her lead.
    const { edges } = await run.routes();
    const removed = edges
      .filter(
        ({ kind, from, to }) =>
          kind === "attention" && to!.position === last && run.tokens[from!.position].text === " Mary",
      )
      .map(({ from, to }): Intervention => ({
        target: { kind: "edge", layer: to!.layer, query: last, key: from!.position },
        do: "zero",
      }));
    expect(removed.length).toBeGreaterThan(0);
    expect(await measure(await run.intervene(removed))).toBeLessThan(0.6 * full);
    // Everything kept is the run, nothing kept the counterfactual's terms on this prompt's embeddings.
    const result = await run.faithfulness({ thresholds: [0, 0.04], controls: 0, metric, of: other });
    expect(result.full).toBeCloseTo(full, 4);
    expect(result.ablated).toBeLessThan(0);
    expect(result.rows[0].kept.normalized).toBeCloseTo(1, 3);
    expect(result.rows[0].removed.normalized).toBeCloseTo(0, 3);
    expect(result.rows[1].removed.normalized).toBeLessThan(0.5);
    // The giver's state carries nearly all of it below, the last token's at the end.
    const giver = run.tokens.findIndex(({ id }, t) => id !== other.tokens[t].id);
    const recovered = async (target: `I${number}_${number}`): Promise<number> => {
      const patched = await other.intervene([{ target, do: "patch", from: run }]);
      return ((await measure(patched)) - opposite) / (full - opposite);
    };
    const top = model.info.nLayers - 1;
    expect(await recovered(`I0_${giver}`)).toBeGreaterThan(0.8);
    expect(await recovered(`I${top}_${giver}`)).toBeCloseTo(0, 4);
    expect(await recovered(`I${top}_${last}`)).toBeCloseTo(1, 4);
    expect(Math.abs(await recovered(`I0_${last}`))).toBeLessThan(0.1);
  } finally {
    await model.dispose();
  }
}, 300_000);
