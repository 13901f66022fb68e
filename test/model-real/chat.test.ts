/**
 * Conversations with SmolLM2-135M-Instruct against Hugging Face transformers, both from the same GGUF file
 * (test/reference/make_generation.py).
 */
import fs from "node:fs";
import path from "node:path";
import { loadModel } from "../../src/index";
import type { ChatMessage, GeneratedToken } from "../../src/model/types";
import type { BaseModel } from "../../src/runtime/base-model";
import { defaultModelFile } from "../support/default-model";
import { root } from "../support/fixtures";
import { differences } from "../support/same-answers";

const reference = (
  JSON.parse(fs.readFileSync(path.join(root, "test/reference/generation.json"), "utf8")) as {
    readonly smollm2: readonly {
      readonly messages: readonly ChatMessage[];
      readonly text: string;
      readonly prompt: number[];
      readonly ids: number[];
      readonly best: number[];
    }[];
  }
).smollm2;

let model: BaseModel;
beforeAll(async () => {
  model = await loadModel(await defaultModelFile());
}, 300_000);
afterAll(() => model?.dispose());

describe.each(reference.map((one) => [JSON.stringify(one.messages).slice(0, 70), one] as const))("%s", (_, one) => {
  test("is rendered as apply_chat_template renders it, with its ids: what a user types of the template's too", () => {
    const { text, tokens } = model.renderChat(one.messages);
    expect(text).toBe(one.text);
    expect(tokens.map(({ id }) => id)).toEqual(one.prompt);
  });

  test("is answered with transformers' greedy tokens, each at its logit, up to the end of the turn", async () => {
    const logits: number[] = [];
    const heard: GeneratedToken[] = [];
    const run = await model.run(one.messages);
    const best = (row: Float32Array): number => row.reduce((top, x, id) => (x > row[top] ? id : top), 0);
    const answer = await run.generate({
      maxTokens: 20,
      onToken: (token) => heard.push(token),
      sampler: (row) => {
        const id = best(row);
        logits.push(row[id]);
        return id;
      },
    });
    expect(answer.tokens.map(({ id }) => id)).toEqual(one.ids);
    expect(answer.stopReason).toBe(one.ids[one.ids.length - 1] === 2 ? "stop" : "length");
    logits.forEach((logit, i) => expect(Math.abs(logit - one.best[i])).toBeLessThan(1e-3));
    expect(logits).toHaveLength(one.best.length);
    const plain = await run.generate({ maxTokens: 20 });
    expect(plain.tokens.map(({ id }) => id)).toEqual(one.ids);
    expect(heard.map(({ id }) => id)).toEqual(one.ids.slice(one.prompt.length));
    expect(answer.turns.map(({ role }) => role)).toEqual([...(run.turns ?? [])].map(({ role }) => role));
    expect(answer.turns[answer.turns.length - 1].to).toBe(answer.tokens.length);
  }, 120_000);
});

test("a grown answer answers every question as one pass over all its tokens does", async () => {
  const [{ messages, ids }] = reference;
  const grown = await (await model.run(messages)).generate({ maxTokens: 20 });
  expect(grown.tokens.map(({ id }) => id)).toEqual(ids);
  const found = await differences(grown, await model.run(ids), [0, 15, 29], [ids.length - 11, ids.length - 1]);
  for (const [question, difference] of found) expect([question, difference < 1e-5]).toEqual([question, true]);
}, 240_000);
