/** Runs continued token by token: what is drawn, when it ends, and that the result is one pass over all its tokens. */
import * as fc from "fast-check";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import type { Engine } from "../../src/engine";
import { loadModel } from "../../src/index";
import type { ChatFormat } from "../../src/model/chat";
import type { Answer, GeneratedToken, GenerateOptions, ModelInfo, Token } from "../../src/model/types";
import type { BaseModel } from "../../src/runtime/base-model";
import type { BaseRun } from "../../src/runtime/base-run";
import { probabilityOf, sampler, uniform } from "../../src/runtime/sampling";
import { maxDifference, modelFolder, root } from "../support/fixtures";
import { differences } from "../support/same-answers";
import { ToyModel, type ToyShape } from "../support/toy-model";

const folder = path.join(root, "test/reference/families");
const reference = (
  JSON.parse(fs.readFileSync(path.join(root, "test/reference/generation.json"), "utf8")) as {
    readonly families: Readonly<
      Record<string, { readonly prompt: number[]; readonly ids: number[]; readonly logits: number[] }>
    >;
  }
).families;
const names = Object.keys(reference);
const idsOf = ({ tokens }: { readonly tokens: readonly Token[] }): number[] => tokens.map(({ id }) => id);

test("every family has a reference", () =>
  expect(names).toEqual(
    fs
      .readdirSync(folder)
      .filter((name) => fs.existsSync(path.join(folder, name, "reference.json")))
      .sort(),
  ));

describe.each(names)("%s", (name) => {
  const { prompt, ids, logits } = reference[name];
  const config = JSON.parse(fs.readFileSync(path.join(folder, name, "config.json"), "utf8")) as {
    readonly eos_token_id?: number | number[] | null;
  };
  const ends = new Set([config.eos_token_id ?? []].flat());
  let model: BaseModel;
  beforeAll(async () => (model = await loadModel(path.join(folder, name))));
  afterAll(() => model?.dispose());

  test("twenty greedy tokens are transformers', and so are the logits that chose the last", async () => {
    const heard: GeneratedToken[] = [];
    const onToken = (token: GeneratedToken): number => heard.push(token);
    let answer: Answer = await (await model.run(prompt)).generate({ maxTokens: 19, onToken });
    expect([answer.promptLength, answer.turns]).toEqual([5, []]);
    // The reference goes on behind the end of a text.
    for (
      let room;
      (room = 24 - answer.tokens.length) > 0;
      answer = await answer.generate!({ maxTokens: room, onToken })
    )
      expect([answer.stopReason, ends.has(answer.tokens[answer.tokens.length - 1].id)]).toEqual(["stop", true]);
    // Asked before the last token comes: scalings that depend on the length turn earlier positions too.
    const last = (await answer.logits({ position: 23 })).data;
    expect(maxDifference(last, logits)).toBeLessThan(1e-4);
    answer = await answer.generate!({ maxTokens: 1, onToken });
    expect(answer.stopReason).toBe(ends.has(ids[24]) ? "stop" : "length");
    expect(idsOf(answer)).toEqual(ids);
    expect(heard.map(({ id, position }) => [id, position])).toEqual(ids.slice(5).map((id, i) => [id, 5 + i]));
    expect(Math.abs(heard[19].probability - probabilityOf(last, ids[24]))).toBeLessThan(1e-6);
  });

  test("a grown run answers as one pass over all its tokens does", async () => {
    const { dVocab, nLayers } = model.info;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: dVocab - 1 }), { minLength: 4, maxLength: 12 }),
        fc.nat(),
        fc.nat(),
        async (tokens, place, layer) => {
          const cut = 1 + (place % (tokens.length - 1));
          const grown = await (
            await model.run(tokens.slice(0, cut))
          ).generate({ maxTokens: tokens.length - cut, sampler: (_, before) => tokens[before.length] });
          expect(idsOf(grown)).toEqual(tokens);
          const found = await differences(
            grown,
            await model.run(tokens),
            [layer % nLayers],
            [Math.max(0, cut - 1), tokens.length - 1],
          );
          for (const [question, difference] of found) expect([question, difference < 1e-5]).toEqual([question, true]);
          expect(found.size).toBeGreaterThan(12);
        },
      ),
      { numRuns: 2, seed: 11 },
    );
  });
});

describe("a model of one's own", () => {
  const shape: ToyShape = { nLayers: 2, nHeads: 2, dHead: 3, dModel: 7, dFfn: 5, dVocab: 20, seed: 5 };

  test("grows too: greedy tokens are the best of one pass each, answers are those of one pass", async () => {
    const model = new ToyModel(shape);
    const answer = await (await model.run([1, 2, 3])).generate({ maxTokens: 6 });
    let ids = [1, 2, 3];
    for (let i = 0; i < 6; i++) {
      const { data } = await (await model.run(ids)).logits({ position: ids.length - 1 });
      ids = [...ids, data.indexOf(Math.max(...data))];
    }
    expect(idsOf(answer)).toEqual(ids);
    const found = await differences(answer, await model.run(ids), [0, 1], [2, 8]);
    expect(Math.max(...found.values())).toBe(0);
  });

  test("an answer can be continued, and goes on as one", async () => {
    const model = new ToyModel(shape);
    const once = await (await model.run([4])).generate({ maxTokens: 8 });
    const twice = await (await (await model.run([4])).generate({ maxTokens: 3 })).generate({ maxTokens: 5 });
    expect([idsOf(twice), twice.promptLength]).toEqual([idsOf(once), 4]);
  });

  test("ends at the model's longest prompt", async () => {
    const model = new ToyModel(shape);
    const full = Array.from({ length: 62 }, (_, i) => i % 20);
    const answer = await (await model.run(full)).generate({ maxTokens: 10 });
    expect([answer.tokens.length, answer.stopReason]).toEqual([64, "length"]);
    const none = await answer.generate();
    expect([none.tokens.length, none.promptLength, none.stopReason]).toEqual([64, 64, "length"]);
  });

  test("passes of earlier steps are disposed of, and those that nobody took", async () => {
    class Counting extends ToyModel {
      readonly alive = new Set<object>();
      protected override async forward(tokens: readonly Token[]) {
        const run = await super.forward(tokens);
        this.alive.add(run);
        const dispose = run.dispose.bind(run);
        run.dispose = async () => {
          this.alive.delete(run);
          await dispose();
        };
        return run;
      }
    }
    const model = new Counting(shape);
    const run = await model.run([1]);
    const answer = await run.generate({ maxTokens: 5 });
    expect([...model.alive]).toEqual([run, answer]);
    await answer.dispose();
    for await (const token of run.stream({ maxTokens: 5 })) if (token.position === 3) break;
    expect([...model.alive]).toEqual([run]);
    await expect(
      run.generate({
        onToken: () => {
          throw new Error("mine");
        },
      }),
    ).rejects.toThrow("mine");
    expect([...model.alive]).toEqual([run]);
  });
});

describe("how tokens are drawn", () => {
  // Probabilities 0.5, 0.25, 0.15, 0.1.
  const logits = Float32Array.from([0.1, 0.5, 0.15, 0.25], Math.log);
  /** Shares of each id in many draws. */
  const shares = (options: GenerateOptions): number[] => {
    const draw = sampler({ seed: 3, ...options });
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 20_000; i++) counts[draw(logits)]++;
    return counts.map((count) => count / 20_000);
  };
  const near = (found: readonly number[], expected: readonly number[]): void => {
    // Five standard deviations of 20,000 draws.
    found.forEach((share, i) =>
      expect(Math.abs(share - expected[i])).toBeLessThanOrEqual(
        5 * Math.sqrt((expected[i] * (1 - expected[i])) / 20_000),
      ),
    );
  };

  test("by the softmax at a temperature", () => {
    near(shares({ temperature: 1 }), [0.1, 0.5, 0.15, 0.25]);
    const squares = [0.01, 0.25, 0.0225, 0.0625];
    const sum = squares.reduce((a, b) => a + b);
    near(
      shares({ temperature: 0.5 }),
      squares.map((x) => x / sum),
    );
    near(shares({ temperature: 1e6 }), [0.25, 0.25, 0.25, 0.25]);
    near(shares({ temperature: 1e-4 }), [0, 1, 0, 0]);
    near(shares({ temperature: 0, topK: 3 }), [0, 1, 0, 0]);
  });

  test("from the k best, and from the smallest set that reaches p", () => {
    near(shares({ temperature: 1, topK: 2 }), [0, 2 / 3, 0, 1 / 3]);
    near(shares({ temperature: 1, topK: 9 }), [0.1, 0.5, 0.15, 0.25]);
    near(shares({ temperature: 1, topP: 0.49 }), [0, 1, 0, 0]);
    near(shares({ temperature: 1, topP: 0.6 }), [0, 2 / 3, 0, 1 / 3]);
    near(shares({ temperature: 1, topP: 0.89 }), [0, 5 / 9, 1.5 / 9, 2.5 / 9]);
    // p is a share of what k has left: 0.5 of 0.75 is two thirds.
    near(shares({ temperature: 1, topK: 2, topP: 0.66 }), [0, 1, 0, 0]);
    near(shares({ temperature: 1, topK: 2, topP: 0.67 }), [0, 2 / 3, 0, 1 / 3]);
  });

  test("of equal logits the lower id, as elsewhere", () => {
    const flat = new Float32Array(9).fill(2);
    expect(sampler({})(flat)).toBe(0);
    const draw = sampler({ temperature: 1, topK: 2, seed: 1 });
    expect(new Set(Array.from({ length: 200 }, () => draw(flat)))).toEqual(new Set([0, 1]));
  });

  test("the numbers of a seed are its own, spread evenly over 0 to 1", () => {
    const first = (seed: number): number[] => Array.from({ length: 4 }, uniform(seed));
    expect(first(7)).toEqual(first(7));
    const seeds = [0, 1, 2, 7, 2 ** 32, 2 ** 32 + 7, Number.MAX_SAFE_INTEGER];
    expect(new Set(seeds.map((seed) => first(seed).join())).size).toBe(seeds.length);
    const next = uniform(12);
    const bins = new Array<number>(16).fill(0);
    for (let i = 0; i < 32_000; i++) bins[Math.floor(16 * next())]++;
    // Chi-squared with 15 degrees of freedom is over 45 once in ten thousand.
    expect(bins.reduce((sum, count) => sum + (count - 2000) ** 2 / 2000, 0)).toBeLessThan(45);
  });

  test("an answer is that of its seed; another seed gives another one", async () => {
    const model = new ToyModel({ nLayers: 1, nHeads: 1, dHead: 2, dModel: 4, dFfn: 3, dVocab: 16, seed: 2 });
    const run = await model.run([3]);
    const drawn = async (seed: number) => idsOf(await run.generate({ maxTokens: 30, temperature: 2, seed })).join();
    expect(await drawn(5)).toBe(await drawn(5));
    expect(new Set(await Promise.all([1, 2, 3, 4, 5].map(drawn))).size).toBe(5);
    // By chance where there is none.
    const unseeded = await Promise.all([1, 2].map(async () => idsOf(await run.generate({ temperature: 2 })).join()));
    expect(unseeded[0]).not.toBe(unseeded[1]);
  });

  test("one's own sampler gets logits and tokens, also late; what is no id is refused", async () => {
    const model = new ToyModel({ nLayers: 1, nHeads: 1, dHead: 2, dModel: 4, dFfn: 3, dVocab: 16 });
    const run = await model.run([3, 4]);
    const seen: number[][] = [];
    const answer = await run.generate({
      maxTokens: 2,
      sampler: async (row, tokens) => {
        seen.push(tokens.map(({ id }) => id));
        expect(row).toEqual(
          (await (await model.run(tokens.map(({ id }) => id))).logits({ position: tokens.length - 1 })).data,
        );
        return row.indexOf(Math.min(...row));
      },
    });
    expect(seen).toEqual([[3, 4], idsOf(answer).slice(0, 3)]);
    for (const id of [16, -1, 0.5, NaN])
      await expect(run.generate({ sampler: () => id })).rejects.toThrow(
        /^The sampler gave .*: token ids go from 0 to 15\.$/,
      );
  });
});

/** Letters by their ids, and a conversation's format. */
class Speaker extends ToyModel {
  constructor() {
    super({ nLayers: 1, nHeads: 1, dHead: 2, dModel: 4, dFfn: 3, dVocab: 128, seed: 4 });
  }
  override tokenize(text: string): readonly Token[] {
    return [...text].map((character) => this.token(character.charCodeAt(0)));
  }
  override token(id: number): Token {
    return { id, text: String.fromCharCode(id) };
  }
  protected override get chat(): ChatFormat {
    return {
      origin: "a test",
      templates: new Map([
        [
          "default",
          "{% for m in messages %}[{{ m.role[0] }}:{{ m.content }}]{% endfor %}{% if add_generation_prompt %}[a:{% endif %}",
        ],
      ]),
      specialTokens: {},
      endIds: [],
    };
  }
  /** Options with which it says this, and then dots. */
  says = (text: string): GenerateOptions => {
    let at = 0;
    return { maxTokens: 20, sampler: () => (at < text.length ? text.charCodeAt(at++) : 46) };
  };
}

describe("when an answer is over", () => {
  const model = new Speaker();
  const said = (run: Answer): string => model.decode(idsOf(run).slice(run.promptLength));

  test("at a text that ends it, which is part of it, however tokens cut it", async () => {
    const run = await model.run("Q");
    const answer = await run.generate({ ...model.says("one, two, END three"), stop: ["END", "never"] });
    expect([said(answer), answer.stopReason]).toEqual(["one, two, END", "stop"]);
    const single = await run.generate({ ...model.says("ab"), stop: "b" });
    expect([said(single), single.stopReason]).toEqual(["ab", "stop"]);
    // Of the prompt nothing counts.
    const none = await (await model.run("END")).generate({ ...model.says("D"), maxTokens: 1, stop: ["END", "DD"] });
    expect([said(none), none.stopReason]).toEqual(["D", "length"]);
  });

  test("after its most tokens", async () => {
    for (const maxTokens of [1, 2, 7]) {
      const answer = await (await model.run("Q")).generate({ ...model.says("abcdefgh"), maxTokens });
      expect([said(answer), answer.stopReason]).toEqual(["abcdefgh".slice(0, maxTokens), "length"]);
    }
    expect((await (await model.run("Q")).generate()).tokens).toHaveLength(41);
  });

  test("within one token of its signal, and keeps what is there", async () => {
    const run = await model.run("Q");
    for (const last of [0, 3]) {
      const stop = new AbortController();
      const heard: number[] = [];
      const answer = await run.generate({
        ...model.says("abcdef"),
        signal: stop.signal,
        onToken: ({ position }) => {
          heard.push(position);
          if (position === last + 1) stop.abort();
        },
      });
      expect([said(answer), answer.stopReason, heard.length]).toEqual([
        "abcdef".slice(0, last + 1),
        "aborted",
        last + 1,
      ]);
      expect((await answer.logits()).dims).toEqual([last + 2, 128]);
    }
    const before = await run.generate({ ...model.says("abc"), signal: AbortSignal.abort() });
    expect([said(before), before.stopReason, before.promptLength]).toEqual(["", "aborted", 1]);
    expect((await before.logits()).dims).toEqual([1, 128]);
  });

  test("when whoever listens has heard enough: break, or an error, ends it", async () => {
    const run = await model.run("Q");
    const heard: string[] = [];
    for await (const { text } of run.stream(model.says("abcdef"))) {
      heard.push(text);
      if (text === "c") break;
    }
    expect(heard).toEqual(["a", "b", "c"]);
    const stream = run.stream({ ...model.says("ab"), maxTokens: 2 });
    const steps = [await stream.next(), await stream.next(), await stream.next(), await stream.next()];
    expect(steps.map(({ done }) => done)).toEqual([false, false, true, true]);
    expect(said(steps[2].value as Answer)).toBe("ab");
  });

  test("onToken comes before the stream's own, each once, in order", async () => {
    const order: string[] = [];
    const run = await model.run("Q");
    for await (const { text } of run.stream({
      ...model.says("xyz"),
      maxTokens: 3,
      onToken: ({ text: told }) => order.push(`told ${told}`),
    }))
      order.push(`streamed ${text}`);
    expect(order).toEqual(["x", "y", "z"].flatMap((text) => [`told ${text}`, `streamed ${text}`]));
  });

  test("what cannot be is refused in one sentence", async () => {
    const run = await model.run("Q");
    const refused: readonly (readonly [object, string])[] = [
      [{ maxTokens: 0 }, "maxTokens is 0, but has to be a whole number from 1."],
      [{ maxTokens: 1.5 }, "maxTokens is 1.5, but has to be a whole number from 1."],
      [{ temperature: -1 }, "temperature is -1, but has to be a number from 0."],
      [{ temperature: NaN }, "temperature is NaN, but has to be a number from 0."],
      [{ topK: 0 }, "topK is 0, but has to be a whole number from 1."],
      [{ topP: 0 }, "topP is 0, but has to be a number over 0, up to 1."],
      [{ topP: 1.1 }, "topP is 1.1, but has to be a number over 0, up to 1."],
      [{ topP: "1" }, 'topP is "1", but has to be a number over 0, up to 1.'],
      [{ seed: -1 }, "seed is -1, but has to be a whole number from 0."],
      [{ stop: "" }, 'stop is "", but has to be a text, or a list of texts, none of them empty.'],
      [{ stop: ["a", 3] }, 'stop is ["a",3], but has to be a text, or a list of texts, none of them empty.'],
      [{ sampler: "best" }, 'sampler is "best", but has to be a function.'],
      [{ onToken: 3 }, "onToken is 3, but has to be a function."],
    ];
    for (const [options, sentence] of refused)
      await expect(run.generate(options)).rejects.toThrow(new RangeError(sentence));
    await run.dispose();
    await expect(run.generate()).rejects.toThrow("disposed");
  });
});

describe("conversations", () => {
  const model = new Speaker();

  test("are rendered, and their turns are known; the answer's is the last", async () => {
    const messages = [{ role: "user", content: "hi" }];
    const run = await model.run(messages);
    expect(model.decode(idsOf(run))).toBe("[u:hi][a:");
    expect(run.turns).toEqual([
      { role: "user", from: 0, to: 6, contentFrom: 3, contentTo: 5 },
      { role: "assistant", from: 6, to: 9 },
    ]);
    const answer = await run.generate({ ...model.says("yes]"), stop: "]" });
    expect(answer.turns).toEqual([
      run.turns![0],
      { role: "assistant", from: 6, to: 13, contentFrom: 9, contentTo: 13 },
    ]);
    const more = await answer.generate({ ...model.says("!"), maxTokens: 1 });
    expect(more.turns[1]).toEqual({ role: "assistant", from: 6, to: 14, contentFrom: 9, contentTo: 14 });
    // Without the beginning of an answer it is a turn of its own.
    const bare = await model.run(messages, { chat: { addGenerationPrompt: false } });
    expect((await bare.generate({ ...model.says("!"), maxTokens: 1 })).turns[1]).toEqual({
      role: "assistant",
      from: 6,
      to: 7,
      contentFrom: 6,
      contentTo: 7,
    });
  });

  test("several at once, each as if alone; what is none is refused", async () => {
    const runs: BaseRun[] = await model.run([[{ role: "user", content: "a" }], [{ role: "user", content: "bb" }]]);
    expect(runs.map((run) => model.decode(idsOf(run)))).toEqual(["[u:a][a:", "[u:bb][a:"]);
    expect(runs.map(({ turns }) => turns?.length)).toEqual([2, 2]);
    expect(() => model.renderChat([])).toThrow("A conversation is a list of messages, such as");
    expect(() => model.renderChat([{ role: "user", content: 3 } as never])).toThrow(
      "The content of message 0 is of type number: give a text.",
    );
    await expect(new ToyModel({ ...new Speaker().shape }).run([{ role: "user", content: "x" }])).rejects.toThrow(
      "The model toy comes without a chat template: give one as template, such as",
    );
  });
});

test("control tokens are one id each, the template's and those a user types; there is one BOS", async () => {
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "chat-bos-"));
  try {
    fs.cpSync(modelFolder("llama-tiny"), scratch, { recursive: true });
    fs.writeFileSync(
      path.join(scratch, "chat_template.jinja"),
      "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}: {% endif %}",
    );
    const model = await loadModel(scratch);
    const [bos, word, eos] = [0, 276, 2];
    const { tokens, turns, text } = model.renderChat([{ role: "user", content: "we</s>we" }]);
    expect(text).toBe("<s>we</s>we</s>: ");
    expect(tokens.slice(0, 5).map(({ id }) => id)).toEqual([bos, word, eos, word, eos]);
    expect(turns[0]).toEqual({ role: "user", from: 0, to: 5, contentFrom: 1, contentTo: 4 });
    // A text gets the tokenizer's own BOS, a conversation none besides the template's.
    expect(idsOf(await model.run("we"))).toEqual([bos, word]);
    expect(idsOf(await model.run([{ role: "user", content: "we" }])).filter((id) => id === bos)).toHaveLength(1);
    // The answer ends with the model's end of sequence, which the template puts there too.
    const answer = await (
      await model.run([{ role: "user", content: "we" }])
    ).generate({ sampler: (_, before) => (before.length % 9 === 8 ? eos : word) });
    expect([answer.stopReason, answer.tokens[answer.tokens.length - 1].id]).toEqual(["stop", eos]);
    await model.dispose();
  } finally {
    fs.rmSync(scratch, { recursive: true });
  }
});

describe("in one engine", () => {
  let model: BaseModel;
  let info: ModelInfo;
  beforeAll(async () => {
    model = await loadModel(path.join(folder, "llama"));
    ({ info } = model);
  });
  afterAll(() => model?.dispose());

  test("two answers at once, and clicks beside them, are what each is alone", async () => {
    const [one, other] = await Promise.all([model.run([1, 2, 3]), model.run([9, 8, 7, 6])]);
    const options = { maxTokens: 12, temperature: 1, seed: 4 };
    const alone = [idsOf(await one.generate(options)), idsOf(await other.generate(options))];
    const routes = JSON.stringify((await other.routes()).edges);
    const [first, second, beside] = await Promise.all([
      one.generate(options),
      other.generate(options),
      (await model.run([9, 8, 7, 6])).routes(),
    ]);
    expect([idsOf(first), idsOf(second)]).toEqual(alone);
    expect(JSON.stringify(beside.edges)).toBe(routes);
    // Two streams of one run, in turns.
    const streams = [one.stream(options), one.stream({ ...options, temperature: 0 })];
    const got: number[][] = [[], []];
    for (let i = 0; i < 12; i++)
      for (const [n, stream] of streams.entries()) got[n].push(((await stream.next()).value as GeneratedToken).id);
    expect(got).toEqual([alone[0].slice(3), idsOf(await one.generate({ maxTokens: 12 })).slice(3)]);
    await Promise.all(streams.map((stream) => stream.next()));
  });

  test("an answer that is given up in its prompt says so; the run and others go on", async () => {
    const run = await model.run([1, 2, 3]);
    const stop = new AbortController();
    const given = run.generate({ signal: stop.signal });
    stop.abort();
    const answer = await given;
    expect([answer.stopReason, idsOf(answer)]).toEqual(["aborted", [1, 2, 3]]);
    expect((await answer.logits({ position: 2 })).data).toEqual((await run.logits({ position: 2 })).data);
    expect((await run.generate({ maxTokens: 2 })).tokens).toHaveLength(5);
  });

  test("an answer lives on without its prompt's run, and both without each other's stream", async () => {
    const run = await model.run([1, 2, 3]);
    const stream = run.stream({ maxTokens: 4 });
    await stream.next();
    await run.dispose();
    let step = await stream.next();
    while (!step.done) step = await stream.next();
    expect((await step.value.logits()).dims).toEqual([7, info.dVocab]);
  });

  test("keys and values go with the answer, and with a stream that is left", async () => {
    const { engine } = model as unknown as { readonly engine: Engine };
    let [begun, gone] = [0, 0];
    const grow = engine.grow.bind(engine);
    const spy = jest.spyOn(engine, "grow").mockImplementation(() => {
      const growth = grow();
      begun++;
      const dispose = growth.dispose.bind(growth);
      growth.dispose = () => {
        gone++;
        dispose();
      };
      return growth;
    });
    try {
      const run = await model.run([1, 2]);
      await run.generate({ maxTokens: 2 });
      for await (const { position } of run.stream()) if (position === 4) break;
      const failing = async (): Promise<void> => {
        for await (const { position } of run.stream()) if (position === 3) throw new Error("mine");
      };
      await expect(failing()).rejects.toThrow("mine");
      await expect(run.generate({ sampler: () => Promise.reject(new Error("theirs")) })).rejects.toThrow("theirs");
      expect([begun, gone]).toEqual([4, 4]);
    } finally {
      spy.mockRestore();
    }
  });
});
