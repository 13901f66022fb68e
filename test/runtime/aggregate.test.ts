import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { addPatterns, HEAD_PATTERNS, patternKeys } from "../../src/attribution/head-patterns";
import { aggregate, headPatterns, readPrompts, type AggregateState, type Run } from "../../src/index";
import { ToyModel } from "../support/toy-model";

const shape = { nLayers: 2, nHeads: 3, dHead: 2, dModel: 6, dFfn: 5, dVocab: 9, biases: true };
const prompts = [[1, 2, 3], [4, 4, 5, 4, 1], [2], [7, 1, 7, 1, 7, 3]];
const all = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

test.each(["all", "last"] as const)("means over positions and prompts, %s", async (positions) => {
  const model = new ToyModel(shape);
  const result = await aggregate(model, prompts, { positions, valueBias: "term", threshold: 0.1 });
  expect([result.nPrompts, result.nPositions]).toEqual([4, positions === "all" ? 15 : 4]);
  const runs = await model.run(prompts);
  const chosen = (run: Run): number[] => (positions === "last" ? [run.tokens.length - 1] : all(run.tokens.length));
  for (const layer of all(2)) {
    const heads: number[][] = all(3).map(() => []);
    const ffn: number[] = [];
    const residual: number[] = [];
    const onRoute = { ffn: 0, heads: all(3).map(() => 0) };
    for (const run of runs) {
      const { terms, residual: rest } = await run.attentionContributions(layer, { valueBias: "term" });
      const [, T, H] = terms.dims;
      const f = await run.ffnContributions(layer);
      for (const q of chosen(run)) {
        for (const h of all(H)) heads[h].push(all(T).reduce((sum, k) => sum + terms.data[(q * T + k) * H + h], 0));
        residual.push(rest.data[q]);
        ffn.push(f.ffn.data[q]);
      }
      const { edges } = await run.routes({ threshold: 0.1, valueBias: "term" });
      const own = edges.filter(({ target }) => target.startsWith(`A${layer}_`) || target.startsWith(`I${layer}_`));
      if (own.some(({ kind }) => kind === "ffn-out")) onRoute.ffn++;
      for (const h of all(3)) if (own.some((edge) => edge.heads?.[h] !== undefined)) onRoute.heads[h]++;
    }
    for (const h of all(3)) {
      expect(result.heads.data[layer * 3 + h]).toBeCloseTo(mean(heads[h]), 5);
      expect(result.headFrequency.data[layer * 3 + h]).toBeCloseTo(onRoute.heads[h] / 4, 6);
    }
    expect(result.ffn.data[layer]).toBeCloseTo(mean(ffn), 5);
    expect(result.attentionResidual.data[layer]).toBeCloseTo(mean(residual), 5);
    expect(result.ffnFrequency.data[layer]).toBeCloseTo(onRoute.ffn / 4, 6);
    // Heads and residual are all parts of the attention's whole (the toy's output bias is none).
    expect(
      all(3).reduce((sum, h) => sum + result.heads.data[layer * 3 + h], result.attentionResidual.data[layer]),
    ).toBeCloseTo(1, 5);
  }
  expect(result.table().length).toBe(2 * 3 + 2);
  const [header, first] = result.toCSV().split("\n");
  expect(header).toBe(
    "component,layer,head,contribution,frequency,previous_token,first_token,induction,duplicate_token",
  );
  expect(first.split(",").slice(0, 4)).toEqual(["head", "0", "0", String(result.heads.data[0])]);
});

test("interrupted anywhere and resumed gives exactly the same; one run is held at a time", async () => {
  const model = new ToyModel(shape);
  const whole = await aggregate(model, prompts);
  for (const stopAfter of [1, 2, 3]) {
    let state: AggregateState | undefined;
    const controller = new AbortController();
    const stopped = aggregate(model, prompts, {
      signal: controller.signal,
      onState: (take) => {
        state = take();
        if (state.nPrompts === stopAfter) controller.abort(new Error("stopped"));
      },
    });
    await expect(stopped).rejects.toThrow("stopped");
    const stored = JSON.parse(JSON.stringify(state)) as AggregateState;
    expect(stored.nPrompts).toBe(stopAfter);
    expect((await aggregate(model, prompts, { resume: stored })).state).toEqual(whole.state);
  }
  let open = 0;
  let most = 0;
  class Watched extends ToyModel {
    protected override async forward(...args: Parameters<ToyModel["forward"]>) {
      const run = await super.forward(...args);
      most = Math.max(most, ++open);
      const dispose = run.dispose.bind(run);
      run.dispose = async () => {
        open--;
        await dispose();
      };
      return run;
    }
  }
  await aggregate(new Watched(shape), prompts);
  expect([most, open]).toEqual([1, 0]);
});

test("prompts are taken as they come, with progress", async () => {
  const seen: string[] = [];
  async function* stream(): AsyncGenerator<number[]> {
    for (const prompt of prompts) {
      seen.push(`given ${prompt.length}`);
      yield prompt;
    }
  }
  await aggregate(new ToyModel(shape), stream(), {
    total: 4,
    onProgress: ({ done, total, unit }) => seen.push(`${done}/${total} ${unit}`),
  });
  expect(seen).toEqual([
    "given 3",
    "1/4 prompts",
    "given 5",
    "2/4 prompts",
    "given 1",
    "3/4 prompts",
    "given 6",
    "4/4 prompts",
  ]);
});

test("a text file gives its prompts one by one; a single text is no list of them", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "lm-transparency-prompts-"));
  const file = path.join(folder, "prompts.jsonl");
  fs.writeFileSync(
    file,
    "\ufeff\n[]\n".replace("[]", prompts.map((ids) => JSON.stringify({ token_ids: ids })).join("\r\n\r\n")),
  );
  const model = new ToyModel(shape);
  const expected = await aggregate(model, prompts);
  expect((await aggregate(model, readPrompts(file))).state).toEqual(expected.state);
  expect((await aggregate(model, readPrompts(file, { limit: 2 }))).nPrompts).toBe(2);
  fs.writeFileSync(file, "{}");
  await expect(aggregate(model, readPrompts(file))).rejects.toThrow(
    'prompts.jsonl, line 1: a prompt is a text, {"text": "…"} or {"token_ids": [1, 2]}',
  );
  await expect(aggregate(model, readPrompts(path.join(folder, "none.txt")))).rejects.toThrow(
    "none.txt cannot be read: there is no such file or folder.",
  );
  await expect(aggregate(model, "a text")).rejects.toThrow(
    'Prompts to aggregate are a list: give ["…", "…"], or readPrompts("FILE") for a text file.',
  );
  await expect(aggregate(model, undefined as unknown as string[])).rejects.toThrow("Prompts to aggregate are a list");
  fs.rmSync(folder, { recursive: true });
});

test("what does not fit is refused", async () => {
  const model = new ToyModel(shape);
  const { state } = await aggregate(model, prompts.slice(0, 2));
  await expect(aggregate(model, [[1, 2, 3], [8], [1]], { resume: state })).rejects.toThrow(
    "The first 2 prompts are not those that were aggregated before",
  );
  await expect(aggregate(model, prompts.slice(0, 1), { resume: state })).rejects.toThrow(
    "There are 1 prompts, and 2 were aggregated before",
  );
  await expect(aggregate(model, prompts, { resume: state, threshold: 0.2 })).rejects.toThrow(
    "The state to resume was made with threshold 0.04, not 0.2",
  );
  await expect(aggregate(new ToyModel({ ...shape, nHeads: 2 }), prompts, { resume: state })).rejects.toThrow(
    "The state to resume is of a model with nHeads 3, not 2",
  );
  type Damage = (state: { -readonly [K in keyof AggregateState]: AggregateState[K] } & Record<string, unknown>) => void;
  const damages: Damage[] = [
    (s) => {
      s.sums = undefined as unknown as AggregateState["sums"];
    },
    (s) => {
      s.nPrompts = -1;
    },
    (s) => {
      s.nPositions = 1;
    },
    (s) => {
      s.sums = { ...s.sums, heads: s.sums.heads.slice(1) };
    },
    (s) => {
      s.sums = { ...s.sums, ffn: [NaN, 0] };
    },
    (s) => {
      s.sums = { ...s.sums, patterns: {} as AggregateState["sums"]["patterns"] };
    },
  ];
  for (const damage of damages) {
    const copy = JSON.parse(JSON.stringify(state)) as AggregateState & Record<string, unknown>;
    damage(copy);
    await expect(aggregate(model, prompts, { resume: copy })).rejects.toThrow(
      "The state to resume is damaged: numbers of it are missing or impossible; start anew.",
    );
  }
  await expect(aggregate(model, prompts, { resume: { schema: state.schema } as AggregateState })).rejects.toThrow(
    "The state to resume is of a model with name undefined, not",
  );
  await expect(aggregate(model, [])).rejects.toThrow("There are no prompts to aggregate.");
  await expect(aggregate(model, [[1], [99]])).rejects.toThrow(
    "Prompt 2 of the list: Token id 99 at position 0 of the prompt is outside the vocabulary: ids go from 0 to 8.",
  );
});

test("patterns: each made-up head gets a score of 1 for its own and is labelled", () => {
  const ids = [5, 1, 2, 3, 1, 2, 3];
  const keys = patternKeys(ids);
  expect(keys.induction).toEqual([[], [], [], [], [2], [3], [4]]);
  expect(keys["duplicate token"]).toEqual([[], [], [], [], [1], [2], [3]]);
  const T = ids.length;
  for (const name of HEAD_PATTERNS) {
    // Head 0 does the pattern wherever it counts, head 1 attends to itself.
    const pattern = new Float32Array(2 * T * T);
    for (let q = 0; q < T; q++) {
      const own = keys[name][q];
      for (const key of own) pattern[q * T + key] = 1 / own.length;
      pattern[(T + q) * T + q] = 1;
    }
    const sums = Object.fromEntries(HEAD_PATTERNS.map((other) => [other, new Float64Array(2)])) as Record<
      (typeof HEAD_PATTERNS)[number],
      Float64Array
    >;
    const counted = addPatterns(pattern, 2, keys, sums);
    expect(counted[name]).toBe(name === "previous token" || name === "first token" ? 5 : 3);
    expect(Array.from(sums[name], (sum) => sum / counted[name])).toEqual([1, 0]);
  }
  expect(patternKeys([4, 4, 4]).induction).toEqual([[], [], [1]]);
});

test("heads are labelled on repeated random tokens, the same each time", async () => {
  const model = new ToyModel(shape);
  const [a, b] = [await headPatterns(model, { nPrompts: 2 }), await headPatterns(model, { nPrompts: 2 })];
  expect(a.state).toEqual(b.state);
  expect((await headPatterns(model, { nPrompts: 2, seed: 2 })).state.digest).not.toBe(a.state.digest);
  const scores = HEAD_PATTERNS.flatMap((name) => Array.from(a.pattern(name).data));
  expect(scores.every((score) => score >= 0 && score <= 1)).toBe(true);
  expect(a.labels(0).length).toBe(4 * 6);
  expect(a.labels(0).every(({ score }, i, list) => i === 0 || score <= list[i - 1].score)).toBe(true);
  expect(a.labels(1.01)).toEqual([]);
  await expect(headPatterns(model, { nTokens: 0 })).rejects.toThrow(
    "nTokens is 0: it must be an integer of at least 1.",
  );
  await expect(headPatterns(model, { nPrompts: 1.5 })).rejects.toThrow(
    "nPrompts is 1.5: it must be an integer of at least 1.",
  );
});
