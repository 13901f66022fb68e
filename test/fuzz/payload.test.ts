/** Data that outputs store, by whomever: one sentence, or answers of the right form, within bounded memory. */
import { deflateSync, inflateSync } from "node:zlib";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { answererOf, predictionsOf, runFacts } from "../../src/notebook/answers";
import { PictureShare } from "../../src/notebook/share";
import { initialSelection, ProtocolError, type Question } from "../../src/protocol";
import { PAYLOAD_MIME, type Payload } from "../../src/payload/format";
import { StoredAnswers } from "../../src/payload/read";
import { isAnswer } from "../../src/protocol/questions";
import { StoredSource } from "../../widgets/core/stored-source";
import { drawnRoutes } from "../../widgets/core/routes";
import { readPayload } from "../../src/payload/format";
import { ToyModel } from "../support/toy-model";
import { damaged, damagedJson, fuzz, isSentence, NASTY, type Random } from "./support";

interface Base {
  readonly payload: Payload;
  readonly json: Record<string, unknown>;
  readonly columns: Buffer;
}

const bases: Base[] = [];
function add(payload: Payload): void {
  const bytes = inflateSync(Buffer.from(payload.data, "base64"));
  const length = bytes.readUInt32LE(0);
  bases.push({
    payload,
    json: JSON.parse(bytes.subarray(4, 4 + length).toString()) as Record<string, unknown>,
    columns: bytes.subarray(4 + length),
  });
}
beforeAll(async () => {
  for (const shape of [
    { nLayers: 2, nHeads: 2, dHead: 4, dModel: 8, dFfn: 12, dVocab: 30, seed: 3 },
    { nLayers: 2, nHeads: 2, dHead: 4, dModel: 10, dFfn: 12, dVocab: 30, parallelBlocks: true, seed: 4 },
  ]) {
    const run = await new ToyModel(shape).run([5, 17, 3]);
    for (const level of ["routes", "all"] as const) {
      const share = new PictureShare(answererOf(run), level, 2_000_000);
      const input = {
        picture: "explorer" as const,
        options: {},
        facts: runFacts(run, await predictionsOf(run, 2, 5)),
        selection: initialSelection(3),
      };
      await share.collect(input, new AbortController().signal);
      add(await share.payload(input));
    }
  }
  const notebook = JSON.parse(readFileSync(join(__dirname, "../../notebooks/02-explorer.ipynb"), "utf8")) as {
    cells: { outputs?: { data?: Record<string, Payload> }[] }[];
  };
  const stored = notebook.cells
    .flatMap(({ outputs = [] }) => outputs)
    .map(({ data }) => data?.[PAYLOAD_MIME])
    .filter((payload) => payload !== undefined && payload.size > 0);
  // The smallest: each is tried some thousand times.
  add(stored.sort((a, b) => a!.size - b!.size)[0]!);
});

/** The payload of other insides, whose size is told truly or not. */
function packed({ payload }: Base, json: unknown, columns: Uint8Array, random: Random): Buffer {
  const text = Buffer.from(JSON.stringify(json));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(random.chance(0.97) ? text.length : random.pick([0, text.length + 1, 0xffffffff]));
  const bytes = Buffer.concat([length, text, columns]);
  const size = random.chance(0.97)
    ? bytes.length
    : random.pick([0, bytes.length - 1, bytes.length + 1, 2 ** 25, 2 ** 31, -1]);
  return Buffer.from(JSON.stringify({ ...payload, size, data: deflateSync(bytes, { level: 1 }).toString("base64") }));
}

/** Sections with columns that are moved, longer, of other types, or somebody else's. */
function claims(json: Record<string, unknown>, random: Random, columns: Buffer): unknown {
  const copy = structuredClone(json) as {
    sections: Record<string, unknown>[];
    head: { facts: { model: Record<string, unknown> } };
  };
  for (let n = random.int(1, 4); n > 0; n--) {
    const section = random.pick(copy.sections);
    const names = Object.keys(section);
    switch (random.int(0, 5)) {
      case 0:
        section[random.pick(names)] = section[random.pick(names)];
        break;
      case 1:
        section[random.pick(names)] = {
          t: random.pick(["u8", "u16", "u32", "f24", "f32"]),
          at: random.int(0, columns.length + 9),
          n: random.pick([0, 1, 2, 100, columns.length, 1e9]),
          ...(random.chance(0.3) ? { d: 1 } : {}),
        };
        break;
      case 2:
        copy.sections.push(...(random.chance(0.5) ? [section] : copy.sections));
        break;
      case 3:
        copy.head.facts.model[random.pick(["nLayers", "nHeads", "dFfn"])] = random.pick([0, 1, 3, 64, 1024, 1e6]);
        break;
      default:
        copy.sections.push({
          kind: "other",
          question: random.pick(QUESTIONS),
          answer: random.pick<unknown>([
            5,
            null,
            [],
            {},
            { tokens: [null] },
            { nodes: ["I0_0"], sources: 3 },
            { answer: {} },
          ]),
          buffers: [{ t: "u8", at: 0, n: columns.length }],
        });
    }
  }
  return copy;
}

const normalize = true;
const QUESTIONS: readonly Question[] = [
  { kind: "routes", from: 2, threshold: 0.04, renormalize: true },
  { kind: "routes", from: 2, threshold: 0, renormalize: false },
  { kind: "lens", node: "I1_2", normalize, topK: 30 },
  { kind: "effect", component: { kind: "ffn", layer: 1, position: 2 }, normalize, topK: 15 },
  { kind: "neurons", layer: 1, position: 2, topK: 20 },
  { kind: "heads", layer: 1, query: 2, key: 2 },
  { kind: "maps", layer: 1, head: null },
  { kind: "layerMaps", layer: 1 },
  { kind: "grid", normalize },
  { kind: "headLabels" },
  { kind: "second", question: { kind: "lens", node: "I1_2", normalize, topK: 30 } },
];

async function check(input: Buffer): Promise<"accepted" | "refused"> {
  let value: unknown;
  try {
    value = JSON.parse(input.toString());
  } catch {
    // What is no JSON is no output.
    value = input.toString();
  }
  let useful = false;
  const trying = async (work: () => unknown): Promise<void> => {
    try {
      await work();
      useful = true;
    } catch (error) {
      if (!(error instanceof ProtocolError && isSentence(error) && error.message.length < 600)) throw error;
    }
  };
  let outer = false;
  let source: StoredSource | undefined;
  await trying(async () => {
    const payload = readPayload(value);
    if (payload.size === 0) return;
    source = await StoredSource.open(payload);
    outer = true;
  });
  if (!source || !outer) return useful ? "accepted" : "refused";
  const { facts } = source;
  useful = false;
  for (const question of QUESTIONS) {
    await trying(async () => {
      const answer = await source!.ask(question);
      expect(isAnswer(question, answer)).toBe(true);
      if (question.kind === "routes")
        drawnRoutes(answer as Parameters<typeof drawnRoutes>[0], facts.model, facts.tokens.length);
    });
  }
  // Everything that it says it holds.
  const stored = new StoredAnswers(inflateSync(Buffer.from((value as Payload).data, "base64")));
  const keys: string[] = [];
  for (const kind of ["lens", "effect", "neurons", "maps", "other", "second"])
    await trying(() => keys.push(...stored.keys(kind)));
  for (const key of keys.slice(0, 200)) {
    const question = JSON.parse(key) as Question;
    await trying(async () => expect(isAnswer(question, await stored.answer(question))).toBe(true));
  }
  return useful ? "accepted" : "refused";
}

fuzz({
  target: "payload",
  runs: 250,
  generate: (random) => {
    const base = random.pick(bases);
    const { payload, json, columns } = base;
    switch (random.int(0, 6)) {
      case 0:
        return damaged(Buffer.from(JSON.stringify(payload)), random);
      case 1:
        return Buffer.from(JSON.stringify(damagedJson(payload, random, 0.2)));
      case 2:
        return packed(base, damagedJson(json, random, random.pick([0.0005, 0.003, 0.02])), columns, random);
      case 3:
        return packed(base, json, damaged(columns, random), random);
      case 4:
        return packed(
          base,
          {
            ...json,
            [random.pick(["head", "vocabulary", "sections", random.pick(NASTY)])]: damagedJson(
              json[random.pick(Object.keys(json))],
              random,
              0.1,
            ),
          },
          columns,
          random,
        );
      default:
        return packed(base, claims(json, random, columns), columns, random);
    }
  },
  check,
});
