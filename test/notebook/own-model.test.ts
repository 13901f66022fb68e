/**
 * A model of one's own gets every picture, aggregate and export: test/support/letter-model.ts, the example of
 * docs/own-models.md.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  aggregate,
  workbench,
  explorer,
  exportRoutes,
  flowCompare,
  flowGraph,
  headBars,
  headPatterns,
  importRoutes,
  lensGrid,
  loadModel,
  neuronBars,
  ROUTE_FORMATS,
  staticSvg,
  tokenMatrix,
  tokenTable,
  topPredictions,
  type Run,
  type TransparentModel,
} from "../../src/index";
import { answerQuestion, runFacts } from "../../src/notebook/answers";
import { JUPYTER_DISPLAY } from "../../src/jupyter/comm-host";
import type { Question, QuestionKind } from "../../src/protocol";
import { root } from "../support/fixtures";
import { LetterModel } from "../support/letter-model";

const RUN = [
  "logits",
  "residual",
  "attentionPattern",
  "attentionOut",
  "ffnOut",
  "headOut",
  "neuronActivations",
  "attentionContributions",
  "ffnContributions",
  "neuronContributions",
  "routes",
  "lens",
  "effect",
  "dispose",
] as const;

/** The same model as plain objects that have the members of the interfaces and no others. */
function plain(model: LetterModel): TransparentModel {
  const plainRun = (run: Run): Run =>
    ({
      model: own,
      tokens: run.tokens,
      ...Object.fromEntries(RUN.map((name) => [name, (run[name] as (...args: unknown[]) => unknown).bind(run)])),
    }) as unknown as Run;
  const run = async (prompt: never, options?: never): Promise<unknown> => {
    const runs: unknown = await model.run(prompt, options);
    return Array.isArray(runs) ? runs.map(plainRun) : plainRun(runs as Run);
  };
  const own = {
    info: model.info,
    tokenize: model.tokenize,
    token: model.token,
    unembed: model.unembed,
    neuronOutput: model.neuronOutput,
    dispose: () => model.dispose(),
    run,
  } as unknown as TransparentModel;
  return own;
}

const node = "I1_3";
/** One of every kind: a kind that is added has to be added here. */
const QUESTIONS: { readonly [K in Exclude<QuestionKind, "second" | "removed">]: Question<K> } = {
  routes: { kind: "routes", from: 3, threshold: 0.02, renormalize: true },
  targets: { kind: "targets", position: 3, text: "e", topK: 5 },
  lens: { kind: "lens", node, normalize: true, topK: 5 },
  effect: {
    kind: "effect",
    component: { kind: "attention", layer: 1, position: 3, head: 2 },
    normalize: "position",
    topK: 5,
  },
  heads: { kind: "heads", layer: 1, query: 3, key: 1 },
  opponents: { kind: "opponents", node, topK: 5 },
  inflow: { kind: "inflow", nodes: [node, "I0_2"] },
  neurons: { kind: "neurons", layer: 0, position: 2, topK: 5 },
  maps: { kind: "maps", layer: 0, head: 1 },
  layerMaps: { kind: "layerMaps", layer: 1 },
  grid: { kind: "grid", normalize: true },
  gridPart: { kind: "gridPart", row: 1, first: 0, count: 2, normalize: true },
  headLabels: { kind: "headLabels" },
  follow: { kind: "follow", position: 3, token: 5, normalize: true },
};

describe.each([
  ["its base classes", () => new LetterModel()],
  ["the bare interfaces", () => plain(new LetterModel())],
])("a model by %s", (_, make) => {
  let model: TransparentModel;
  let run: Run;
  beforeAll(async () => {
    model = await loadModel(make());
    run = await model.run("abcde");
  });

  test("wholes are the sums of their parts", async () => {
    const { nLayers, nHeads, dModel } = model.info;
    for (let layer = 0; layer < nLayers; layer++) {
      const attention = (await run.attentionOut(layer)).data.subarray(4 * dModel);
      const heads = (await run.headOut(layer, 4)).data;
      for (let i = 0; i < dModel; i++)
        expect(Array.from({ length: nHeads }, (_, h) => heads[h * dModel + i]).reduce((a, b) => a + b)).toBeCloseTo(
          attention[i],
          4,
        );
      const { terms, residual } = await run.attentionContributions(layer, { positions: [4] });
      expect(terms.data.reduce((a, b) => a + b) + residual.data[0]).toBeCloseTo(1, 5);
      expect((await run.neuronContributions(layer, 4, { topK: 3 })).length).toBe(3);
    }
    expect((await run.lens("I1_4", { topK: 1 }))[0].logit).toBeCloseTo(
      Math.max(...(await run.logits({ position: 4 })).data),
      5,
    );
  });

  test.each(Object.entries(QUESTIONS))("pictures are answered: %s", async (_, question) => {
    const answer = JSON.stringify(await answerQuestion(run, question), (_key, value: unknown) =>
      ArrayBuffer.isView(value) ? [...(value as Float32Array)] : value,
    );
    expect(answer.length).toBeGreaterThan(20);
    expect(answer).not.toContain("null");
  });

  test("without interventions nothing is removed, and pictures know", async () => {
    expect(runFacts(run)).toMatchObject({ unchangeable: true });
    await expect(
      answerQuestion(run, { kind: "removed", removals: [{ kind: "ffn", layer: 0 }], position: 3, topK: 3 }),
    ).rejects.toThrow("Nothing can be removed in this model: its runs have no intervene");
  });

  test.each([
    ["explorer", () => explorer(run)],
    ["flowGraph", () => flowGraph(run)],
    ["tokenMatrix", () => tokenMatrix(run, { layer: 1, head: 0 })],
    ["tokenTable", () => tokenTable(run, { node })],
    ["headBars", () => headBars(run)],
    ["neuronBars", () => neuronBars(run)],
    ["lensGrid", () => lensGrid(run)],
    ["flowCompare", () => flowCompare(run, run, { contrasts: [{ token: "a" }, { token: "b" }] })],
  ])("%s is shown", async (_, picture) => {
    const bundle = await picture()[JUPYTER_DISPLAY]();
    expect(bundle["text/plain"]).toMatch(/a.*b.*c.*d.*e/);
    expect(bundle["text/html"]).toBeTruthy();
  });

  test("explore shows it with its controls", async () => {
    const whole = workbench(model);
    try {
      expect((await whole[JUPYTER_DISPLAY]())["text/plain"]).toBeTruthy();
    } finally {
      whole.close();
    }
  });

  test("predictions, aggregates and exports", async () => {
    expect((await topPredictions(run, { topK: 4 })).length).toBe(4);
    expect((await aggregate(model, ["abc", "hello"])).state).toBeTruthy();
    expect((await headPatterns(model, { nTokens: 8 })).labels()).toBeTruthy();
    const graph = await run.routes({ threshold: 0.02 });
    for (const format of ROUTE_FORMATS) expect(exportRoutes(graph, format)).toContain("X0_");
    expect(importRoutes(exportRoutes(graph, "json")).edges).toEqual(graph.edges);
    expect(staticSvg(graph)).toContain("<svg");
  });
});

test("it is 60 lines, and the documentation has them as they are", () => {
  const source = readFileSync(join(root, "test/support/letter-model.ts"), "utf8");
  expect(source.split("\n").length).toBeLessThanOrEqual(60);
  expect(readFileSync(join(root, "docs/own-models.md"), "utf8")).toContain(
    source.replace('"../../src/index"', '"lm-transparency"'),
  );
});
