/** RelP of SmolLM2-135M-Instruct against autograd on the same GGUF file (test/reference/make_relp.py). */
import fs from "node:fs";
import path from "node:path";
import { loadModel } from "../../src/index";
import type { Run, TransparentModel } from "../../src/model/types";
import { defaultModelFile } from "../support/default-model";

interface Reference {
  readonly text: string;
  readonly ids: readonly number[];
  readonly token: number;
  readonly versus: number;
  readonly logit: number;
  readonly tokens: readonly number[];
  /** [layer][position] */
  readonly ffn: readonly (readonly number[])[];
  /** [layer][head], of the last position */
  readonly heads: readonly (readonly number[])[];
  /** [layer]: the strongest ones of the last position, with their relevance */
  readonly neurons: readonly (readonly (readonly [number, number])[])[];
}

const references = JSON.parse(fs.readFileSync(path.join(__dirname, "relp.json"), "utf8")) as readonly Reference[];
/** Of the largest value. */
const TOLERANCE = 1e-3;
let model: TransparentModel;
beforeAll(async () => {
  model = await loadModel(await defaultModelFile());
}, 300_000);
afterAll(() => model?.dispose());

describe.each(references.map((reference) => [reference.text, reference] as const))("%s", (_, reference) => {
  let run: Run;
  beforeAll(async () => {
    run = await model.run(reference.ids);
  });
  afterAll(() => run?.dispose());
  const contrast = { token: reference.token, versus: reference.versus };
  const close = (pairs: readonly (readonly [ours: number, theirs: number])[]): void => {
    const most = Math.max(...pairs.map(([, theirs]) => Math.abs(theirs)));
    for (const [ours, theirs] of pairs) expect(Math.abs(ours - theirs) / most).toBeLessThan(TOLERANCE);
  };

  test("tokens", async () => {
    const { parts, logit, constant } = await run.attribute!({ contrast });
    expect(logit).toBeCloseTo(reference.logit, 3);
    expect(constant).toBe(0);
    close(parts.map(({ position, relevance }) => [relevance, reference.tokens[position]]));
    expect(parts.reduce((sum, { relevance }) => sum + relevance, 0)).toBeCloseTo(logit, 3);
  });

  test("feed-forward blocks", async () => {
    const { parts } = await run.attribute!({ contrast, over: "ffn" });
    expect(parts).toHaveLength(30 * reference.ids.length);
    close(parts.map(({ layer, position, relevance }) => [relevance, reference.ffn[layer!][position]]));
  });

  test("heads", async () => {
    const { parts } = await run.attribute!({ contrast, over: "heads" });
    const last = parts.filter(({ position }) => position === reference.ids.length - 1);
    expect(last).toHaveLength(30 * 9);
    close(last.map(({ layer, head, relevance }) => [relevance, reference.heads[layer!][head!]]));
  });

  test("neurons", async () => {
    const { parts } = await run.attribute!({ contrast, over: "neurons", topK: 200_000 });
    const ours = new Map(parts.map((part) => [`${part.layer} ${part.position} ${part.neuron}`, part.relevance]));
    const last = reference.ids.length - 1;
    close(
      reference.neurons.flatMap((best, layer) =>
        best.map(([neuron, relevance]) => [ours.get(`${layer} ${last} ${neuron}`) ?? NaN, relevance] as const),
      ),
    );
  });
});
