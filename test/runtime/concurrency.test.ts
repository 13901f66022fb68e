/** Questions of a run that overlap, are given up or outlive it: each answer is the one that it is alone. */
import { loadModel, type RouteGraph, type TransparentModel } from "../../src/index";
import { modelFolder } from "../support/fixtures";

const ids = Array.from({ length: 48 }, (_, i) => ((i * 37 + i * i) % 290) + 3);
const thresholds = [0, 0.002, 0.01, 0.04, 0.1];
const plain = ({ nodes, edges }: RouteGraph): unknown => JSON.parse(JSON.stringify({ nodes, edges }));
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

// A windowed model with shared keys, and parallel blocks.
describe.each(["mistral-tiny-sw8", "gpt-neox-tiny"])("%s", (name) => {
  let model: TransparentModel;
  const alone = new Map<number, unknown>();
  beforeAll(async () => {
    model = await loadModel(modelFolder(name));
    for (const threshold of thresholds) {
      const run = await model.run(ids);
      alone.set(threshold, plain(await run.routes({ from: "all", threshold })));
      await run.dispose();
    }
  });
  afterAll(() => model?.dispose());

  test.each([0, 2, 5, 9, 14])("routes beside one that is given up after %d ms, while a slider moves", async (ms) => {
    const run = await model.run(ids);
    const giveUp = new AbortController();
    const given = run.routes({ from: "all", threshold: 0, renormalize: false, signal: giveUp.signal }).then(
      () => "done",
      (error: unknown) => (error as Error).message,
    );
    const beside = run.routes({ from: "all", threshold: 0.01 });
    const slider = (async () => {
      for (const threshold of [0.1, 0.002, 0.04, 0]) {
        // Each place of the slider ends the trace of the one before.
        const moved = new AbortController();
        const asked = run
          .routes({ from: "all", threshold, signal: moved.signal })
          .then(plain, (error: unknown) => (error as Error).message);
        await pause(ms / 4);
        moved.abort(new Error("moved"));
        expect([alone.get(threshold), "moved"]).toContainEqual(await asked);
      }
    })();
    await pause(ms);
    giveUp.abort(new Error("given up"));
    expect(["done", "given up"]).toContain(await given);
    expect(plain(await beside)).toEqual(alone.get(0.01));
    await slider;
    for (const threshold of thresholds)
      expect(plain(await run.routes({ from: "all", threshold }))).toEqual(alone.get(threshold));
    await run.dispose();
  });

  test("a batch whose runs are all asked at once is what each is alone", async () => {
    const prompts = [ids.slice(0, 3), ids, [ids[5]], [...ids].reverse()];
    const runs = await model.run(prompts);
    const together = await Promise.all(runs.map((run) => run.routes({ from: "all" })));
    for (const [i, prompt] of prompts.entries()) {
      const run = await model.run(prompt);
      expect(plain(together[i])).toEqual(plain(await run.routes({ from: "all" })));
      expect(Array.from((await runs[i].logits()).data)).toEqual(Array.from((await run.logits()).data));
    }
    expect(plain(together[1])).toEqual(alone.get(0.04));
  });

  test("a question that outlives its run ends with a sentence", async () => {
    const run = await model.run(ids);
    const asked = run
      .routes({ from: "all", threshold: 0.001 })
      .then(plain, (error: unknown) => (error as Error).message);
    await run.dispose();
    expect(await asked).toEqual(expect.stringMatching(/^This run was disposed/));
  });
});
