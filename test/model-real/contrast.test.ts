/** Contrasts of SmolLM2 whose answers are known from what each component adds to the logits (logitAttribution). */
import { loadModel } from "../../src/index";
import type { RouteEdge, RouteGraph, TransparentModel } from "../../src/model/types";
import { defaultModelFile } from "../support/default-model";

let model: TransparentModel;
beforeAll(async () => {
  model = await loadModel(await defaultModelFile());
}, 300_000);
afterAll(() => model.dispose());

const MARY = "When Mary and John went to the store, John gave a drink to";
const CASES = [
  ["The official language of Brazil is", " Portuguese", " Spanish"],
  [MARY, " Mary", " John"],
  ["The capital of France is", " Paris", " London"],
  ["The keys to the cabinet", " are", " is"],
  ["one two three four five six seven", " eight", " nine"],
] as const;

const partsOf = ({ edges }: RouteGraph): RouteEdge[] =>
  edges.filter(({ kind, logit }) => logit !== undefined && kind !== "residual");

test.each(CASES)("%s:%s rather than%s", async (prompt, token, versus) => {
  const run = await model.run(prompt);
  const last = run.tokens.length - 1;
  const { logit, parts } = await run.logitAttribution({ token, versus });
  const graph = await run.routes({ contrast: { token, versus } });
  expect(graph.contrast?.logit).toBeCloseTo(logit, 4);
  // Every part has the sign that it has.
  for (const edge of partsOf(graph)) {
    const layer = Number(/\d+/.exec(edge.target)?.[0]);
    if (edge.kind === "ffn-out") {
      const own = parts.find((part) => part.kind === "ffn" && part.layer === layer)!;
      expect(edge.logit).toBeCloseTo(own.logit, 4);
    }
  }
  // The five strongest heads and blocks to either side are there.
  const components = parts.filter(({ kind }) => kind === "head" || kind === "ffn").sort((a, b) => b.logit - a.logit);
  for (const { kind, layer, head, logit: own } of [...components.slice(0, 5), ...components.slice(-5)]) {
    const drawn = partsOf(graph).filter(({ target }) => target.slice(1) === `${layer}_${last}`);
    const same =
      kind === "ffn"
        ? drawn.filter((edge) => edge.kind === "ffn-out").map((edge) => edge.logit!)
        : drawn.flatMap(({ headLogits }) => (headLogits?.[head!] === undefined ? [] : [headLogits[head!]]));
    expect(same.some((part) => Math.sign(part) === Math.sign(own))).toBe(true);
  }
});

test("Brazil: the blocks of layers 24 and 28 speak for Portuguese", async () => {
  const run = await model.run("The official language of Brazil is");
  const graph = await run.routes({ contrast: { token: " Portuguese", versus: " Spanish" } });
  const ffn = (layer: number): number | undefined =>
    graph.edges.find(({ kind, target }) => kind === "ffn-out" && target === `I${layer}_5`)?.logit;
  expect(ffn(24)).toBeCloseTo(1.29, 1);
  expect(ffn(28)).toBeCloseTo(0.97, 1);
});

test("Mary: head 3 of layer 23 speaks for her, as strongly as any", async () => {
  const run = await model.run(MARY);
  const graph = await run.routes({ contrast: { token: " Mary", versus: " John" } });
  const { parts } = await run.logitAttribution({ token: " Mary", versus: " John" });
  const [strongest] = parts.filter(({ kind }) => kind === "head").sort((a, b) => b.logit - a.logit);
  expect(strongest).toMatchObject({ layer: 23, head: 3 });
  expect(strongest.logit).toBeCloseTo(2.86, 1);
  const drawn = graph.edges
    .filter(({ target }) => target === `A23_${run.tokens.length - 1}`)
    .reduce((sum, { headLogits }) => sum + (headLogits?.[3] ?? 0), 0);
  expect(drawn).toBeGreaterThan(0.75 * strongest.logit);
});
