/**
 * What an output stores: every answer that is read back is the kernel's, nothing that is damaged or hostile is more
 * than a sentence.
 */
import fc from "fast-check";
import { inflateSync } from "node:zlib";
import { answererOf, answerQuestion, predictionsOf, runFacts } from "../../src/notebook/answers";
import { PictureShare, type ShareInput } from "../../src/notebook/share";
import {
  type Answer,
  initialSelection,
  parseNode,
  ProtocolError,
  type Question,
  type QuestionKind,
  readRunFacts,
  removedQuestion,
} from "../../src/protocol";
import { type Payload, PAYLOAD_VERSION, readPayload, type ShareLevel } from "../../src/payload/format";
import { ColumnReader, ColumnWriter, roundToF24 } from "../../src/payload/columns";
import { encodeHoldings } from "../../src/payload/write";
import { StoredAnswers } from "../../src/payload/read";
import { flowGraph, loadModel, type Run } from "../../src/index";
import { JUPYTER_DISPLAY } from "../../src/jupyter/comm-host";
import { modelFolder } from "../support/fixtures";
import { ToyModel } from "../support/toy-model";

const never = new AbortController().signal;

async function shareOf(
  run: Run,
  level: ShareLevel,
  budget = 2_000_000,
  change: Partial<ShareInput> = {},
): Promise<{ payload: Payload; stored: StoredAnswers }> {
  const share = new PictureShare(answererOf(run), level, budget);
  const input: ShareInput = {
    picture: "explorer",
    options: {},
    facts: runFacts(run, await predictionsOf(run, run.tokens.length - 1, 5)),
    selection: initialSelection(run.tokens.length),
    ...change,
  };
  await share.collect(input, never);
  const payload = await share.payload(input);
  return { payload, stored: new StoredAnswers(inflateSync(Buffer.from(payload.data, "base64"))) };
}

const stored = async <K extends QuestionKind>(answers: StoredAnswers, question: Question<K>): Promise<Answer<K>> => {
  const answer = await answers.answer(question);
  if (answer === undefined) throw new Error(`not stored: ${JSON.stringify(question)}`);
  return answer;
};
const asked = (run: Run, question: Question): Promise<Answer<QuestionKind>> => answerQuestion(run, question);

/** Four digits for the largest number, and at least two after the point. */
const unit = (values: readonly number[]): number =>
  Math.min(0.01, 10 ** (Math.floor(Math.log10(Math.max(...values.map(Math.abs)))) - 3));

function compare(kind: QuestionKind, own: Answer<QuestionKind>, kernel: Answer<QuestionKind>): void {
  switch (kind) {
    case "lens": {
      const [a, b] = [own, kernel] as [Answer<"lens">, Answer<"lens">];
      expect(a.tokens.map(({ id, text, rank, rankChange }) => ({ id, text, rank, rankChange }))).toEqual(
        b.tokens.map(({ id, text, rank, rankChange }) => ({ id, text, rank, rankChange })),
      );
      a.tokens.forEach((token, i) => {
        expect(Math.abs(token.logit - b.tokens[i].logit)).toBeLessThanOrEqual(
          unit(b.tokens.map(({ logit }) => logit)) / 2 + 1e-9,
        );
        expect(Math.abs(token.probability - b.tokens[i].probability)).toBeLessThanOrEqual(6e-7);
      });
      return;
    }
    case "effect": {
      const [a, b] = [own, kernel] as [Answer<"effect">, Answer<"effect">];
      for (const side of ["promoted", "suppressed"] as const) {
        expect(a[side].map(({ id, text }) => [id, text])).toEqual(b[side].map(({ id, text }) => [id, text]));
        a[side].forEach(({ score }, i) =>
          expect(Math.abs(score - b[side][i].score)).toBeLessThanOrEqual(
            unit(b[side].map((token) => token.score)) / 2 + 1e-9,
          ),
        );
      }
      return;
    }
    case "neurons": {
      const [a, b] = [own, kernel] as [Answer<"neurons">, Answer<"neurons">];
      expect(a.neurons.map(({ neuron }) => neuron)).toEqual(b.neurons.map(({ neuron }) => neuron));
      a.neurons.forEach(({ activation, contribution }, i) => {
        expect(Math.abs(activation - b.neurons[i].activation)).toBeLessThanOrEqual(
          unit(b.neurons.map((neuron) => neuron.activation)) / 2 + 1e-9,
        );
        expect(Math.abs(contribution - b.neurons[i].contribution)).toBeLessThanOrEqual(2 ** -23);
      });
      return;
    }
    case "heads": {
      const [a, b] = [own, kernel] as [Answer<"heads">, Answer<"heads">];
      b.contributions.data.forEach((value, head) => expect(a.contributions.data[head]).toBeCloseTo(value, 4));
      b.weights.data.forEach((value, head) => expect(a.weights.data[head]).toBeCloseTo(value, 4));
      return;
    }
    default: {
      const [a, b] = [own, kernel] as [Answer<"maps">, Answer<"maps">];
      expect(a.pattern.shape).toEqual(b.pattern.shape);
      b.pattern.data.forEach((value, i) => expect(a.pattern.data[i]).toBeCloseTo(value, 4));
      b.contributions.data.forEach((value, i) => expect(a.contributions.data[i]).toBeCloseTo(value, 3));
    }
  }
}

const shapes = [
  { name: "sequential blocks", shape: { nLayers: 3, nHeads: 3, dHead: 4, dModel: 12, dFfn: 40, dVocab: 90, seed: 3 } },
  {
    name: "parallel blocks",
    shape: { nLayers: 3, nHeads: 2, dHead: 4, dModel: 10, dFfn: 24, dVocab: 60, parallelBlocks: true, seed: 4 },
  },
  {
    name: "biases and norms",
    shape: { nLayers: 2, nHeads: 3, dHead: 4, dModel: 12, dFfn: 30, dVocab: 70, biases: true, postNorm: true, seed: 5 },
  },
];

describe.each(shapes)("a run with $name", ({ shape }) => {
  let run: Run;
  let answers: StoredAnswers;
  beforeAll(async () => {
    run = await new ToyModel(shape).run([5, 17, 3, 44, 17, 8, 29]);
    answers = (await shareOf(run, "routes")).stored;
  });

  test("routes of every start token, with and without renormalisation, at the stored threshold and above", async () => {
    for (const renormalize of [true, false]) {
      for (const threshold of [0.01, 0.04, 0.083, 0.2, 0.6]) {
        for (let from = 0; from < run.tokens.length; from++) {
          const question = { kind: "routes" as const, from, threshold, renormalize };
          const [own, kernel] = [await stored(answers, question), (await asked(run, question)) as Answer<"routes">];
          expect(own.nodes).toEqual(kernel.nodes);
          for (const column of ["sources", "targets", "kinds", "headStarts", "heads"] as const)
            expect([...own[column].data]).toEqual([...kernel[column].data]);
          kernel.weights.data.forEach((weight, e) => expect(own.weights.data[e]).toBeCloseTo(weight, 4));
        }
      }
    }
    expect(await answers.answer({ kind: "routes", from: 0, threshold: 0.001, renormalize: true })).toBeUndefined();
  });

  test("every click in the shown routes", async () => {
    const graph = await run.routes();
    const normalize = true;
    const questions: Question[] = [];
    for (const { name, kind, layer, position } of graph.nodes) {
      if (kind === "M") {
        questions.push(
          { kind: "neurons", layer, position, topK: 20 },
          { kind: "effect", component: { kind: "ffn", layer, position }, normalize: "position", topK: 15 },
        );
        const { neurons } = (await asked(run, { kind: "neurons", layer, position, topK: 20 })) as Answer<"neurons">;
        for (const { neuron } of neurons)
          questions.push({
            kind: "effect",
            component: { kind: "ffn", layer, position, neuron },
            normalize: "position",
            topK: 15,
          });
      } else questions.push({ kind: "lens", node: name, normalize, topK: 30 });
    }
    for (const { kind, source, target, heads } of graph.edges) {
      if (kind !== "attention") continue;
      const [layer, query] = target.slice(1).split("_").map(Number);
      questions.push(
        { kind: "heads", layer, query, key: Number(source.split("_")[1]) },
        { kind: "effect", component: { kind: "attention", layer, position: query }, normalize: "position", topK: 15 },
        { kind: "maps", layer, head: null },
      );
      for (const head of Object.keys(heads ?? {}).map(Number))
        questions.push(
          { kind: "maps", layer, head },
          {
            kind: "effect",
            component: { kind: "attention", layer, position: query, head },
            normalize: "position",
            topK: 15,
          },
        );
    }
    expect(questions.filter(({ kind }) => kind === "maps").length).toBeGreaterThan(0);
    for (const question of questions)
      compare(question.kind, await stored(answers, question), await asked(run, question));
  });
});

const toy = (): Promise<Run> => new ToyModel(shapes[0].shape).run([5, 17, 3, 44, 17, 8]);

test("levels: seen keeps what was looked at, all keeps everything, none keeps nothing", async () => {
  const run = await toy();
  const clicked = { kind: "lens", node: "A1_2", normalize: false, topK: 7 } as const;
  await answererOf(run).ask(clicked);
  const seen = (await shareOf(run, "seen")).stored;
  compare("lens", await stored(seen, clicked), await asked(run, clicked));
  expect(await seen.answer({ kind: "lens", node: "A1_3", normalize: false, topK: 7 })).toBeUndefined();
  expect(
    (await stored(seen, { kind: "routes", from: 5, threshold: 0.04, renormalize: true })).nodes.length,
  ).toBeGreaterThan(3);

  const all = (await shareOf(run, "all")).stored;
  const { nLayers, nHeads } = run.model.info;
  for (const normalize of [true, false]) {
    for (let position = 0; position < run.tokens.length; position++) {
      for (let layer = 0; layer < nLayers; layer++) {
        for (const node of [`A${layer}_${position}`, `I${layer}_${position}`] as const)
          await stored(all, { kind: "lens", node, normalize, topK: 30 });
        for (let head = 0; head < nHeads; head++)
          await stored(all, {
            kind: "effect",
            component: { kind: "attention", layer, position, head },
            normalize: normalize && "position",
            topK: 15,
          });
      }
    }
  }
  const maps = { kind: "layerMaps", layer: 1 } as const;
  compare("layerMaps", await stored(all, maps), await asked(run, maps));
  const zero = { kind: "routes", from: 3, threshold: 0, renormalize: true } as const;
  expect((await stored(all, zero)).nodes).toEqual(((await asked(run, zero)) as Answer<"routes">).nodes);

  const share = new PictureShare(answererOf(run), "none", 2e6);
  const input: ShareInput = {
    picture: "flow-graph",
    options: {},
    facts: runFacts(run),
    selection: initialSelection(6),
  };
  await share.collect(input, never);
  expect(await share.payload(input)).toMatchObject({ share: "none", size: 0, data: "" });
});

test.each([400, 3_000, 9_000, 20_000])(
  "a budget of %i bytes is kept, and what is left out is counted",
  async (budget) => {
    const run = await toy();
    const share = new PictureShare(answererOf(run), "routes", budget);
    const input: ShareInput = {
      picture: "flow-graph",
      options: {},
      facts: runFacts(run),
      selection: initialSelection(6),
    };
    await share.collect(input, never);
    const payload = await share.payload(input);
    expect(payload.data.length).toBeLessThanOrEqual(budget);
    if (payload.size === 0) return;
    const answers = new StoredAnswers(inflateSync(Buffer.from(payload.data, "base64")));
    expect(Object.values(answers.head.omitted).reduce((sum, n) => sum + n, 0)).toBeGreaterThan(0);
    expect(
      (await stored(answers, { kind: "routes", from: 5, threshold: 0.04, renormalize: true })).nodes.length,
    ).toBeGreaterThan(3);
  },
);

test("what was removed is kept, and what a first click in the Explorer removes", async () => {
  const run = await loadModel(modelFolder("gpt2-tiny")).then((model) => model.run([5, 17, 3, 44, 17, 8]));
  const facts = runFacts(run);
  const removed = [{ kind: "ffn", layer: 1, position: 4 }] as const;
  const selection = { ...initialSelection(6), removed };
  const share = new PictureShare(answererOf(run), "routes", 2e6);
  const input: ShareInput = { picture: "explorer", options: {}, facts, selection };
  await share.collect(input, never);
  const kept = new StoredAnswers(inflateSync(Buffer.from((await share.payload(input)).data, "base64")));
  expect(kept.head.selection.removed).toEqual(removed);
  const { edges } = await run.routes();
  const story = edges
    .map((edge) => ({ ...edge, from: parseNode(edge.source)!, to: parseNode(edge.target)! }))
    .filter(({ kind, from, to }) => kind === "attention" && to.position === 5 && from.position < 5)
    .sort((a, b) => b.weight - a.weight)[0];
  const head = Number(Object.entries(story.heads!).sort((a, b) => b[1] - a[1])[0][0]);
  for (const one of [
    removed[0],
    { kind: "attention", layer: story.to.layer, head },
    { kind: "edge", layer: story.to.layer, query: 5, key: story.from.position },
  ] as const) {
    const question = removedQuestion({ ...selection, removed: [one] })!;
    expect(await stored(kept, question)).toEqual(await asked(run, question));
  }
  await run.model.dispose();
});

test("what was looked at last is what a small budget keeps", async () => {
  const run = await toy();
  const answerer = answererOf(run);
  const looked: Question[] = [];
  for (const normalize of [true, false])
    for (let layer = 2; layer >= 0; layer--)
      for (let position = 5; position >= 0; position--)
        looked.push({ kind: "lens", node: `I${layer}_${position}`, normalize, topK: 30 });
  for (const question of looked) await answerer.ask(question, never);
  const share = new PictureShare(answerer, "seen", 4000);
  const input: ShareInput = {
    picture: "flow-graph",
    options: {},
    facts: runFacts(run),
    selection: initialSelection(6),
  };
  await share.collect(input, never);
  const payload = await share.payload(input);
  expect(payload.data.length).toBeLessThanOrEqual(4000);
  const answers = new StoredAnswers(inflateSync(Buffer.from(payload.data, "base64")));
  const kept = await Promise.all(looked.map(async (question) => (await answers.answer(question)) !== undefined));
  const first = kept.indexOf(true);
  expect(first).toBeGreaterThan(0);
  expect(kept.slice(first).every(Boolean)).toBe(true);
  expect(answers.head.omitted.lens).toBe(first);
});

test("a picture without a graph keeps no contributions, and a graph whose routes do not fit is a still picture", async () => {
  const run = await toy();
  const sections = async (picture: ShareInput["picture"]): Promise<number> => {
    const { payload } = await shareOf(run, "routes", 2_000_000, { picture, options: { layer: 1 } });
    const bytes = inflateSync(Buffer.from(payload.data, "base64"));
    const json = JSON.parse(bytes.subarray(4, 4 + bytes.readUInt32LE(0)).toString()) as {
      sections: { kind: string; layers: { n: number } }[];
    };
    return json.sections.find(({ kind }) => kind === "contributions")!.layers.n;
  };
  expect(await sections("head-bars")).toBeGreaterThan(0);
  for (const picture of ["token-matrix", "token-table", "neuron-bars", "lens-grid"] as const)
    expect(await sections(picture)).toBe(0);
  const share = new PictureShare(answererOf(run), "routes", 1200);
  const input: ShareInput = {
    picture: "flow-graph",
    options: {},
    facts: runFacts(run),
    selection: initialSelection(6),
  };
  await share.collect(input, never);
  expect(await share.payload(input)).toMatchObject({ size: 0, data: "", share: "routes" });
});

test("the same run gives the same bytes", async () => {
  const [a, b] = await Promise.all([shareOf(await toy(), "routes"), shareOf(await toy(), "routes")]);
  expect(a.payload.data).toBe(b.payload.data);
});

test("a model whose routes do not follow from contributions keeps its own", async () => {
  const run = await toy();
  const wrong = Object.create(run) as Run & { routes: Run["routes"] };
  wrong.routes = async (options) => {
    const graph = await run.routes(options);
    return { ...graph, edges: graph.edges.slice(0, -1), toJSON: () => undefined };
  };
  const { stored: answers } = await shareOf(wrong, "routes");
  const question = { kind: "routes", from: 5, threshold: 0.04, renormalize: true } as const;
  expect((await stored(answers, question)).weights.data.length).toBe(
    ((await asked(wrong, question)) as Answer<"routes">).weights.data.length,
  );
});

test("a widget view is part of the output in VS Code alone", async () => {
  const run = await toy();
  const before = process.env.VSCODE_PID;
  try {
    delete process.env.VSCODE_PID;
    const types = async (): Promise<string[]> => Object.keys(await flowGraph(run)[JUPYTER_DISPLAY]());
    expect(await types()).not.toContain("application/vnd.jupyter.widget-view+json");
    process.env.VSCODE_PID = "1";
    expect(await types()).toContain("application/vnd.jupyter.widget-view+json");
  } finally {
    delete process.env.VSCODE_PID;
    if (before !== undefined) process.env.VSCODE_PID = before;
  }
});

test("levels and budgets that do not exist are refused by name", async () => {
  const run = await toy();
  expect(() => flowGraph(run, { share: "everything" as "all" })).toThrow(
    /share is "everything", but has to be one of seen, routes, all, none/,
  );
  expect(() => flowGraph(run, { shareBudget: -1 })).toThrow(/shareBudget is -1/);
});

test("columns: what goes in comes out", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(0xffffffff)), fc.array(fc.float()), fc.boolean(), (whole, floats, delta) => {
      const writer = new ColumnWriter();
      const places = [writer.addWhole(whole, { delta }), writer.add("f24", floats), writer.add("f32", floats)];
      const reader = new ColumnReader(writer.bytes());
      expect([...reader.read(places[0], whole.length)]).toEqual(whole);
      expect([...reader.read(places[1])]).toEqual(floats.map(roundToF24));
      expect([...reader.read(places[2])]).toEqual(floats);
      floats.forEach(
        (value) =>
          Number.isFinite(roundToF24(value)) &&
          Math.abs(value) > 1e-30 &&
          expect(Math.abs(roundToF24(value) / value - 1)).toBeLessThanOrEqual(2 ** -15.9),
      );
    }),
  );
  expect(() => new ColumnWriter().add("u8", [256])).toThrow(RangeError);
});

describe("what is damaged or hostile", () => {
  const good: Payload = {
    payload: PAYLOAD_VERSION,
    picture: "flow-graph",
    options: {},
    share: "routes",
    size: 0,
    data: "",
  };
  test.each([
    [{ ...good, payload: PAYLOAD_VERSION + 1 }, "version", /newer lm-transparency/],
    [{ ...good, payload: 0 }, "version", /older lm-transparency/],
    [{ ...good, payload: 1.5 }, "version", /older lm-transparency/],
    [{ ...good, payload: "1" }, "malformed", /does not say which version/],
    [{ ...good, picture: "<script>alert(1)</script>" }, "version", /no picture named/],
    [{ ...good, size: 1e12 }, "malformed", /at most/],
    [{ ...good, size: -1 }, "malformed", /parts of it are missing/],
    [{ ...good, data: 7 }, "malformed", /parts of it are missing/],
    [null, "malformed", /cannot be read/],
    [[good], "malformed", /cannot be read/],
    ["text", "malformed", /cannot be read/],
  ])("outer part %#", (value, code, sentence) => {
    let error: unknown;
    try {
      readPayload(value);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ProtocolError);
    expect((error as ProtocolError).code).toBe(code);
    expect((error as ProtocolError).message).toMatch(sentence);
  });

  let bytes: Uint8Array;
  let run: Run;
  beforeAll(async () => {
    run = await toy();
    bytes = Uint8Array.from(inflateSync(Buffer.from((await shareOf(run, "routes")).payload.data, "base64")));
  });
  const everything: Question[] = [
    { kind: "routes", from: 5, threshold: 0.04, renormalize: true },
    { kind: "lens", node: "I2_5", normalize: true, topK: 30 },
    { kind: "effect", component: { kind: "ffn", layer: 2, position: 5 }, normalize: true, topK: 15 },
    { kind: "neurons", layer: 2, position: 5, topK: 20 },
    { kind: "heads", layer: 2, query: 5, key: 5 },
    { kind: "maps", layer: 2, head: null },
    { kind: "grid", normalize: true },
  ];

  /** Reads all kinds; anything but a `ProtocolError` fails the test. */
  async function readAll(damaged: Uint8Array): Promise<void> {
    try {
      const answers = new StoredAnswers(damaged);
      for (const question of everything) {
        try {
          await answers.answer(question);
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
        }
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }

  test("any bytes: cut off, changed, or random", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length), (length) => readAll(bytes.slice(0, length))),
      { numRuns: 60 },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 20 }),
        (changes) => {
          const copy = bytes.slice();
          for (const [at, value] of changes) copy[at] = value;
          return readAll(copy);
        },
      ),
      { numRuns: 150 },
    );
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), readAll), { numRuns: 60 });
  });

  /** The payload with its JSON changed. */
  function edited(
    change: (json: {
      head: Record<string, Record<string, unknown>>;
      sections: Record<string, unknown>[];
      vocabulary: Record<string, unknown>;
    }) => void,
  ): Uint8Array {
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    const json = JSON.parse(Buffer.from(bytes.subarray(4, 4 + length)).toString());
    change(json);
    const text = Buffer.from(JSON.stringify(json));
    const size = Buffer.alloc(4);
    size.writeUInt32LE(text.length);
    return Buffer.concat([size, text, bytes.subarray(4 + length)]);
  }

  test.each<[string, Parameters<typeof edited>[0], RegExp]>([
    ["huge layers", ({ head }) => Object.assign(head.facts.model as object, { nLayers: 1e9 }), /nLayers/],
    ["huge heads", ({ head }) => Object.assign(head.facts.model as object, { nHeads: 1e6 }), /cannot be drawn/],
    ["no tokens", ({ head }) => Object.assign(head.facts, { tokens: [] }), /tokens/],
    ["another protocol", ({ head }) => Object.assign(head.facts, { protocol: 99 }), /newer lm-transparency/],
    [
      "a column of billions",
      ({ vocabulary }) => Object.assign(vocabulary, { ids: { t: "u8", at: 0, n: 4e9 } }),
      /damaged/,
    ],
    [
      "a column before the beginning",
      ({ vocabulary }) => Object.assign(vocabulary, { ids: { t: "u8", at: -5, n: 1 } }),
      /damaged/,
    ],
    [
      "an unknown type",
      ({ vocabulary }) => Object.assign(vocabulary, { ids: { t: "constructor", at: 0, n: 1 } }),
      /damaged/,
    ],
  ])("%s is a sentence", (_, change, sentence) => {
    expect(() => new StoredAnswers(edited(change))).toThrow(sentence);
  });

  test("columns that lie over each other are refused: a small file cannot claim columns without end", async () => {
    const claims = edited(({ sections }) => {
      const lens = sections.find(({ kind }) => kind === "lens")!;
      for (let i = 0; i < 1000; i++) sections.push(lens);
    });
    await expect(new StoredAnswers(claims).answer(everything[1])).rejects.toThrow(/overlap/);
  });

  test("rows of tokens that do not exist, and counts that do not fit, are sentences when asked", async () => {
    const move = edited(({ sections }) => {
      const rows = sections.find(({ kind }) => kind === "contributions")!;
      [rows.queries, rows.layers] = [rows.layers, rows.queries];
    });
    await expect(new StoredAnswers(move).answer(everything[0])).rejects.toThrow(ProtocolError);
    const cut = edited(({ sections }) =>
      Object.assign(
        sections.find(({ kind }) => kind === "lens")!,
        { counts: { t: "u8", at: 0, n: 3 } },
      ),
    );
    await expect(new StoredAnswers(cut).answer(everything[1])).rejects.toThrow(/damaged/);
  });

  test("text stays text", async () => {
    const hostile = '</script><img src=x onerror="alert(1)">';
    const facts = readRunFacts({
      ...runFacts(run),
      tokens: runFacts(run).tokens.map((token) => ({ ...token, text: hostile })),
    });
    const encoded = encodeHoldings({
      head: { facts, selection: initialSelection(6), threshold: 0, budget: 1, omitted: {} },
      wholes: [],
      pairs: [],
      answers: [],
    });
    expect(new StoredAnswers(encoded).head.facts.tokens[0].text).toBe(hostile);
  });
});
