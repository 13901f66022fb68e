/**
 * Outputs that earlier versions stored, as they stand in notebooks: `data/format-N.json` is the output of
 * `notebooks/01-first-look.ipynb` when it was executed by the first version that wrote format N. All of them open, and
 * what they answer is what the model says.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inflateSync } from "node:zlib";
import { loadModel, type Run } from "../../src/index";
import { answerQuestion } from "../../src/notebook/answers";
import { PAYLOAD_VERSION, readPayload } from "../../src/payload/format";
import { StoredAnswers } from "../../src/payload/read";
import { isAnswer, type Answer, type Question } from "../../src/protocol/questions";
import { defaultModelFile } from "../support/default-model";

const versions = readdirSync(join(__dirname, "data")).map((name) => Number(/^format-(\d+)\.json$/.exec(name)?.[1]));

test("there is one of each version", () => {
  expect(versions.sort()).toEqual(Array.from({ length: PAYLOAD_VERSION }, (_, i) => i + 1));
});

let run: Run;
beforeAll(async () => {
  const model = await loadModel(await defaultModelFile());
  const { facts } = storedOf(PAYLOAD_VERSION).head;
  run = await model.run(facts.tokens.map(({ id }) => id));
}, 300_000);
afterAll(() => run.model.dispose());

function storedOf(version: number): StoredAnswers {
  const payload = readPayload(JSON.parse(readFileSync(join(__dirname, `data/format-${version}.json`), "utf8")));
  expect(payload.payload).toBe(version);
  const bytes = inflateSync(Buffer.from(payload.data, "base64"));
  expect(bytes.length).toBe(payload.size);
  return new StoredAnswers(Uint8Array.from(bytes));
}

describe.each(versions)("format %i", (version) => {
  const stored = (): StoredAnswers => storedOf(version);

  test("every answer is whole", async () => {
    const answers = stored();
    let count = 0;
    for (const kind of ["lens", "effect", "neurons", "maps", "other"]) {
      for (const key of answers.keys(kind)) {
        const question = JSON.parse(key) as Question;
        const answer = await answers.answer(question);
        expect(isAnswer(question, answer)).toBe(true);
        count++;
      }
    }
    expect(count).toBeGreaterThan(100);
  });

  test("routes at its thresholds are the model's, and so is what each click shows", async () => {
    const answers = stored();
    const { head } = answers;
    expect(head.facts.tokens.map(({ text }) => text)).toEqual(run.tokens.map(({ text }) => text));
    const ask = async <Q extends Question>(question: Q): Promise<[Answer<Q["kind"]>, Answer<Q["kind"]>]> => {
      const own = (await answers.answer(question)) as Answer<Q["kind"]> | undefined;
      if (own === undefined) throw new Error(`Not stored: ${JSON.stringify(question)}`);
      return [own, await answerQuestion(run, question)];
    };
    const from = head.selection.start;
    const [drawn, traced] = await ask({ kind: "routes", from, threshold: 0.04, renormalize: true });
    expect(drawn.nodes).toEqual(traced.nodes);
    drawn.weights.data.forEach((weight, e) => expect(weight).toBeCloseTo(traced.weights.data[e], 4));
    for (const node of drawn.nodes) {
      const [, layer, position] = /^.(\d+)_(\d+)$/.exec(node)!.map(Number);
      if (node.startsWith("M")) {
        const [own, kernel] = await ask({ kind: "neurons", layer, position, topK: 20 });
        expect(own.neurons.map(({ neuron }) => neuron)).toEqual(kernel.neurons.map(({ neuron }) => neuron));
        own.neurons.forEach((one, i) => {
          expect(one.activation).toBeCloseTo(kernel.neurons[i].activation, 2);
          expect(one.contribution).toBeCloseTo(kernel.neurons[i].contribution, 4);
        });
        continue;
      }
      const [own, kernel] = await ask({ kind: "lens", node, normalize: true, topK: 30 });
      expect(own.tokens[0].id).toBe(kernel.tokens[0].id);
      own.tokens.forEach((token, i) => {
        expect(token.logit).toBeCloseTo(kernel.tokens[i].logit, 1);
        expect(token.probability).toBeCloseTo(kernel.tokens[i].probability, 2);
        expect(token.rank).toBe(i);
      });
    }
  });
});
