/**
 * SmolLM2-135M-Instruct against Hugging Face transformers, both from the same GGUF file
 * (test/reference/make_smollm2.py).
 */
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { loadModel } from "../../src/index";
import type { Run, TransparentModel } from "../../src/model/types";
import { defaultModelFile } from "../support/default-model";

interface Reference {
  readonly sha256: string;
  readonly vocabulary: number;
  readonly sampled_ids: readonly number[];
  readonly prompts: readonly {
    readonly text: string;
    readonly token_ids: readonly number[];
    readonly sum: readonly number[];
    readonly sum_of_squares: readonly number[];
    readonly max: readonly number[];
    readonly argmax: readonly number[];
    readonly sampled: readonly (readonly number[])[];
    readonly last_top50: {
      readonly ids: readonly number[];
      readonly logits: readonly number[];
      readonly first_text: string;
    };
  }[];
}

const reference = JSON.parse(fs.readFileSync(path.join(__dirname, "smollm2.json"), "utf8")) as Reference;
const TOLERANCE = 1e-3;
let model: TransparentModel;

beforeAll(async () => {
  const file = await defaultModelFile();
  expect(createHash("sha256").update(fs.readFileSync(file)).digest("hex")).toBe(reference.sha256);
  model = await loadModel(file);
}, 300_000);
afterAll(() => model?.dispose());

test("is the model that it says it is", () => {
  expect(model.info).toMatchObject({
    family: "llama",
    nLayers: 30,
    nHeads: 9,
    nKeyValueHeads: 3,
    dModel: 576,
    dHead: 64,
    dFfn: 1536,
    dVocab: reference.vocabulary,
  });
});

describe.each(reference.prompts.map((prompt) => [prompt.token_ids.length, prompt] as const))(
  "a prompt of %d tokens",
  (length, prompt) => {
    let run: Run;
    let logits: Float32Array;
    beforeAll(async () => {
      run = await model.run(prompt.text);
      const tensor = await run.logits();
      expect(tensor.dims).toEqual([length, reference.vocabulary]);
      logits = tensor.data;
    }, 120_000);
    afterAll(() => run?.dispose());
    const row = (position: number) =>
      logits.subarray(position * reference.vocabulary, (position + 1) * reference.vocabulary);

    test("has transformers' token ids", () => {
      expect(run.tokens.map((token) => token.id)).toEqual(prompt.token_ids);
      expect(run.tokens.map((token) => token.text).join("")).toBe(prompt.text);
    });

    test("has transformers' logits: sampled ones at every position, the fifty best of the last", () => {
      let worst = 0;
      prompt.sampled.forEach((values, position) =>
        values.forEach(
          (value, i) => (worst = Math.max(worst, Math.abs(row(position)[reference.sampled_ids[i]] - value))),
        ),
      );
      prompt.last_top50.ids.forEach(
        (id, i) => (worst = Math.max(worst, Math.abs(row(length - 1)[id] - prompt.last_top50.logits[i]))),
      );
      expect(worst).toBeLessThanOrEqual(TOLERANCE);
      expect(worst).toBeGreaterThan(0); // the same bits would mean that the values were made here
    });

    test("agrees over the whole vocabulary: sums, sums of squares and the maximum at every position", () => {
      for (let position = 0; position < length; position++) {
        let sum = 0;
        let squares = 0;
        let best = 0;
        row(position).forEach((value, id) => {
          sum += value;
          squares += value * value;
          if (value > row(position)[best]) best = id;
        });
        // Differences of one logit are noise around zero: a shift of all of them by 1e-4 would show.
        expect(Math.abs(sum - prompt.sum[position]) / reference.vocabulary).toBeLessThan(1e-4);
        expect(Math.abs(Math.sqrt(squares) - Math.sqrt(prompt.sum_of_squares[position]))).toBeLessThan(
          TOLERANCE * Math.sqrt(reference.vocabulary) * 0.5,
        );
        expect(Math.abs(row(position)[best] - prompt.max[position])).toBeLessThanOrEqual(TOLERANCE);
        expect(row(position)[prompt.argmax[position]]).toBeGreaterThan(row(position)[best] - TOLERANCE);
      }
    });

    test("predicts the same token", async () => {
      const last = await run.lens(`I${model.info.nLayers - 1}_${length - 1}`, { topK: 1 });
      expect(last[0].id).toBe(prompt.last_top50.ids[0]);
      expect(last[0].text).toBe(prompt.last_top50.first_text);
    });
  },
);

test('after "The capital of France is" comes " Paris"', async () => {
  const run = await model.run("The capital of France is");
  expect((await run.lens(`I29_${run.tokens.length - 1}`))[0].text).toBe(" Paris");
});
