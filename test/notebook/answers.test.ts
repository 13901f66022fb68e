/** What pictures are answered, against the reference values of the published tool and against the run itself. */
import { loadModel, type BaseRun, type Run, type TransparentModel } from "../../src/index";
import { answerQuestion, Answerer } from "../../src/notebook/answers";
import { EDGE_KINDS, partOfGrid, type Answer, type Question, type QuestionKind } from "../../src/protocol";
import { maxDifference, modelFolder, readGolden } from "../support/fixtures";

describe.each(["gpt2-tiny", "llama-tiny"])("%s", (name) => {
  const golden = readGolden(`${name}.p6`);
  const T = golden.token_ids.length;
  let model: TransparentModel;
  let run: Run;
  beforeAll(async () => {
    model = await loadModel(modelFolder(name));
    run = await model.run(golden.token_ids);
  }, 60_000);
  afterAll(() => model.dispose());

  const ask = async <K extends QuestionKind>(question: Question<K>): Promise<Answer<K>> =>
    await answerQuestion(run, question as unknown as Question);

  test("heads of an edge", async () => {
    const { contributions, weights } = await ask<"heads">({ kind: "heads", layer: 1, query: T - 1, key: 2 });
    expect(maxDifference(contributions.data, golden.peer!.attn_contrib[1][T - 1][2])).toBeLessThan(5e-5);
    expect(
      maxDifference(
        weights.data,
        golden.attn_pattern[1].map((head) => head[T - 1][2]),
      ),
    ).toBeLessThan(1e-4);
  });

  test("what flows into states sums to 1, and is what the edges of the routes carry", async () => {
    const graph = await run.routes({ threshold: 0.02 });
    const targets = [...new Set(graph.edges.map(({ target }) => target))].filter((target) => !target.startsWith("M"));
    const answer = await ask<"inflow">({ kind: "inflow", nodes: targets });
    const known = new Map<string, number>();
    targets.forEach((target, n) => {
      let sum = answer.rests.data[n];
      for (let i = answer.starts.data[n]; i < answer.starts.data[n + 1]; i++) {
        sum += answer.contributions.data[i];
        known.set(`${answer.sources[i]} ${target} ${EDGE_KINDS[answer.kinds.data[i]]}`, answer.contributions.data[i]);
      }
      expect(Math.abs(sum - 1)).toBeLessThan(1e-5);
    });
    for (const edge of graph.edges.filter(({ kind }) => kind !== "ffn-in"))
      expect(
        Math.abs((known.get(`${edge.source} ${edge.target} ${edge.kind}`) ?? -1) - (edge.contribution ?? NaN)),
      ).toBeLessThan(1e-6);
    await expect(ask<"inflow">({ kind: "inflow", nodes: [`A99_0`] })).rejects.toThrow(/The layer is 99/);
  });

  test("what is predicted without a part is what the run without it predicts, before and after each summing to 1", async () => {
    const removals = [
      { kind: "attention", layer: 1, head: 1 },
      { kind: "ffn", layer: 0, position: 2, neuron: 3 },
      { kind: "edge", layer: 0, query: T - 1, key: 1 },
    ] as const;
    const position = T - 1;
    const before = (await run.logits({ position })).data;
    const cut = await run.intervene!(removals.map((target) => ({ target, do: "zero" as const })));
    const after = (await cut.logits({ position })).data;
    const probability = (scores: ArrayLike<number>, id: number): number =>
      Math.exp(scores[id]) / Array.from(scores).reduce((sum, score) => sum + Math.exp(score), 0);
    const best = (scores: ArrayLike<number>): number[] =>
      Array.from(scores, (_, id) => id)
        .sort((a, b) => scores[b] - scores[a])
        .slice(0, 5);
    const contrast = { token: null, versus: 7 };
    const answer = await ask<"removed">({ kind: "removed", removals, position, topK: 5, contrast });
    const wanted = [...new Set([...best(before), ...best(after)])].sort((a, b) => before[b] - before[a]);
    expect(answer.tokens.map(({ id }) => id)).toEqual(wanted);
    expect(answer.target.id).toBe(wanted[0]);
    expect(answer.versus?.id).toBe(7);
    for (const token of [...answer.tokens, answer.versus!]) {
      expect(token.text).toBe(model.token(token.id).text);
      expect(token.logit).toBeCloseTo(before[token.id], 5);
      expect(token.logitAfter).toBeCloseTo(after[token.id], 5);
      expect(token.probability).toBeCloseTo(probability(before, token.id), 5);
      expect(token.probabilityAfter).toBeCloseTo(probability(after, token.id), 5);
    }
    expect(Math.abs(answer.target.logitAfter - answer.target.logit)).toBeGreaterThan(1e-4);
    // All of the vocabulary: both are distributions.
    const all = await ask<"removed">({ kind: "removed", removals, position, topK: model.info.dVocab });
    expect(all.tokens.reduce((sum, token) => sum + token.probability, 0)).toBeCloseTo(1, 4);
    expect(all.tokens.reduce((sum, token) => sum + token.probabilityAfter, 0)).toBeCloseTo(1, 4);
    // In whatever order they are named.
    const turned = { kind: "removed", removals: [...removals].reverse(), position, topK: 5, contrast } as const;
    expect(await ask<"removed">(turned)).toEqual(answer);
    await expect(
      ask<"removed">({ kind: "removed", removals: [{ kind: "ffn", layer: 99 }], position, topK: 5 }),
    ).rejects.toThrow(/layer.*99/i);
    await expect(ask<"removed">({ kind: "removed", removals, position: 999, topK: 5 })).rejects.toThrow(/position/);
  });

  test("runs with something removed are made once, and few are kept", async () => {
    const made: string[] = [];
    const gone: string[] = [];
    const watched = Object.assign(Object.create(run) as Run, {
      intervene: async (...args: Parameters<NonNullable<Run["intervene"]>>): Promise<Run> => {
        const cut = await run.intervene!(...args);
        const name = JSON.stringify(args[0]);
        made.push(name);
        return Object.assign(Object.create(cut) as Run, {
          logits: (options: { position: number }) => cut.logits(options),
          dispose: async () => {
            gone.push(name);
            await cut.dispose();
          },
        });
      },
      logits: (options: { position: number }) => run.logits(options),
    });
    const remove = (head: number, position: number): Promise<unknown> =>
      answerQuestion(watched, {
        kind: "removed",
        removals: [{ kind: "attention", layer: 1, head: head % 2, ...(head < 2 ? {} : { position: head >> 1 }) }],
        position,
        topK: 3,
      });
    await Promise.all([remove(0, 2), remove(0, 3), remove(0, 4)]);
    expect(made).toHaveLength(1);
    for (let head = 1; head < 6; head++) await remove(head, 3);
    expect(made).toHaveLength(6);
    await new Promise((resolve) => setImmediate(resolve));
    expect(gone).toEqual(made.slice(0, 2));
  });

  test("what works against a state is what has a negative proximity, and the state is larger without it", async () => {
    const node = `A1_${run.tokens.length - 1}` as const;
    const answer = await ask<"opponents">({ kind: "opponents", node, topK: 1000 });
    expect(answer.count).toBe(answer.sources.length);
    expect(answer.count).toBeGreaterThan(0);
    const values = Array.from(answer.proximities.data);
    expect(values).toEqual([...values].sort((a, b) => a - b));
    const d = run.model.info.dModel;
    const position = run.tokens.length - 1;
    const whole = (await run.residual(1, "mid")).data.subarray(position * d, (position + 1) * d);
    const size = (x: ArrayLike<number>): number => Array.from(x).reduce((sum, v) => sum + Math.abs(v), 0);
    for (const [i, head] of Array.from(answer.heads.data).slice(0, 5).entries()) {
      if (head < 0) continue;
      const key = Number(answer.sources[i].split("_")[1]);
      const part = await (run as BaseRun).update({ kind: "attention", layer: 1, position, head, key });
      const grown = size(whole.map((v, j) => v - part[j])) / size(whole) - 1;
      expect(grown).toBeGreaterThan(0);
      expect(grown).toBeCloseTo(-values[i], 4);
    }
    await expect(ask<"opponents">({ kind: "opponents", node: "A99_1", topK: 3 })).rejects.toThrow(/The layer is 99/);
  });

  test("maps of a head, of all heads, and their sum agree with each other and with the reference", async () => {
    const all = await ask<"layerMaps">({ kind: "layerMaps", layer: 0 });
    const H = model.info.nHeads;
    expect(all.pattern.shape).toEqual([H, T, T]);
    const sum = await ask<"maps">({ kind: "maps", layer: 0, head: null });
    for (let h = 0; h < H; h++) {
      const one = await ask<"maps">({ kind: "maps", layer: 0, head: h });
      expect(one.pattern.data).toEqual(all.pattern.data.slice(h * T * T, (h + 1) * T * T));
      expect(
        maxDifference(
          one.contributions.data,
          golden.peer!.attn_contrib[0].flatMap((keys) => keys.map((heads) => heads[h])),
        ),
      ).toBeLessThan(5e-5);
    }
    for (let i = 0; i < T * T; i++) {
      let total = 0;
      for (let h = 0; h < H; h++) total += all.contributions.data[h * T * T + i];
      expect(sum.contributions.data[i]).toBeCloseTo(total, 5);
    }
  });

  test("routes: columns say what the route graph says", async () => {
    const graph = await run.routes({ from: 3, threshold: 0.04 });
    const answer = await ask<"routes">({ kind: "routes", from: 3, threshold: 0.04, renormalize: true });
    const edges = [...answer.kinds.data].map((kind, e) => {
      const heads: Record<number, number> = {};
      for (let i = answer.headStarts.data[e]; i < answer.headStarts.data[e + 1]; i++)
        heads[answer.heads.data[i]] = answer.headWeights.data[i];
      return {
        source: answer.nodes[answer.sources.data[e]],
        target: answer.nodes[answer.targets.data[e]],
        kind: EDGE_KINDS[kind],
        weight: answer.weights.data[e],
        heads,
      };
    });
    expect(edges.length).toBe(graph.edges.length);
    graph.edges.forEach((edge, e) => {
      expect(edges[e]).toMatchObject({ source: edge.source, target: edge.target, kind: edge.kind });
      expect(edges[e].weight).toBeCloseTo(edge.weight, 6);
      expect(Object.keys(edges[e].heads)).toEqual(Object.keys(edge.heads ?? {}));
    });
  });

  test("the grid's tops are the lens's, and its entropy is that of the distribution", async () => {
    const L = model.info.nLayers;
    const grid = await ask<"grid">({ kind: "grid", normalize: true });
    expect(grid.tops.shape).toEqual([L + 1, T]);
    for (const [row, node] of [
      [0, `X0_${T - 1}`],
      [1, `I0_${T - 1}`],
      [L, `I${L - 1}_${T - 1}`],
    ] as const) {
      const all = await run.lens(node, { topK: model.info.dVocab });
      const i = row * T + T - 1;
      expect(grid.tokens[grid.tops.data[i]].id).toBe(all[0].id);
      expect(grid.probabilities.data[i]).toBeCloseTo(all[0].probability, 5);
      const entropy = -all.reduce((sum, { probability: p }) => sum + (p > 0 ? p * Math.log2(p) : 0), 0);
      expect(grid.entropies.data[i]).toBeCloseTo(entropy, 3);
    }
  });

  test("parts of the grid are the grid; what lies outside is a sentence; a withdrawn part stops", async () => {
    const grid = await ask<"grid">({ kind: "grid", normalize: false });
    const part = await ask<"gridPart">({ kind: "gridPart", row: 1, first: 2, count: T - 3, normalize: false });
    expect(part.tops.shape).toEqual([1, T - 3]);
    const ids = (answer: Answer<"grid">) => [...answer.tops.data].map((place) => answer.tokens[place].id);
    expect(ids(part)).toEqual(ids(grid).slice(T + 2, 2 * T - 1));
    expect([...part.entropies.data]).toEqual([...grid.entropies.data.slice(T + 2, 2 * T - 1)]);
    expect(ids(partOfGrid(grid, { row: 1, first: 2, count: T - 3 })!)).toEqual(ids(part));
    await expect(
      ask<"gridPart">({ kind: "gridPart", row: model.info.nLayers + 1, first: 0, count: 1, normalize: true }),
    ).rejects.toThrow(/The row is/);
    await expect(
      ask<"gridPart">({ kind: "gridPart", row: 0, first: T - 1, count: 2, normalize: true }),
    ).rejects.toThrow(/do not lie within the/);
    const fresh = await model.run(golden.token_ids);
    await expect(answerQuestion(fresh, { kind: "grid", normalize: true }, AbortSignal.abort())).rejects.toThrow();
    await fresh.dispose();
  });

  test("what was seen of the grid in parts is kept as the grid, once all of it was seen", async () => {
    const answerer = new Answerer(await model.run(golden.token_ids));
    for (let row = 0; row <= model.info.nLayers; row++)
      await answerer.ask({ kind: "gridPart", row, first: 0, count: T, normalize: true });
    expect([...answerer.seen.keys()].map((key) => (JSON.parse(key) as Question).kind)).toEqual(["grid"]);
    await answerer.run.dispose();
  });

  test("a followed token has the lens's rank and probability in every state", async () => {
    const followed = await ask<"follow">({ kind: "follow", position: 2, token: 17, normalize: false });
    expect(followed.nodes.length).toBe(1 + 2 * model.info.nLayers);
    for (const [i, node] of followed.nodes.entries()) {
      const own = (await run.lens(node, { normalize: false, topK: model.info.dVocab })).find(
        (token) => token.id === 17,
      )!;
      expect(followed.ranks.data[i]).toBe(own.rank);
      expect(followed.probabilities.data[i]).toBeCloseTo(own.probability, 5);
    }
  });

  test("what a head wrote from single tokens sums to what it wrote", async () => {
    const head = { kind: "attention", layer: 1, position: T - 1, head: 1 } as const;
    const topK = model.info.dVocab;
    const scores = async (component: Question<"effect">["component"]): Promise<Map<number, number>> =>
      new Map(
        (await ask<"effect">({ kind: "effect", component, normalize: false, topK })).promoted.map(({ id, score }) => [
          id,
          score,
        ]),
      );
    const whole = await scores(head);
    const parts = await Promise.all(golden.token_ids.map((_, key) => scores({ ...head, key })));
    for (const [id, score] of whole) expect(parts.reduce((sum, part) => sum + part.get(id)!, 0)).toBeCloseTo(score, 2);
  });

  test("labels of heads are shares of attention", async () => {
    const { patterns, labels, scores } = await ask<"headLabels">({ kind: "headLabels" });
    expect(labels.shape).toEqual([model.info.nLayers, model.info.nHeads]);
    labels.data.forEach((label, i) => {
      if (label === 255) expect(scores.data[i]).toBe(0);
      else {
        expect(patterns[label]).toBeDefined();
        expect(scores.data[i]).toBeGreaterThanOrEqual(0.4);
        expect(scores.data[i]).toBeLessThanOrEqual(1.0001);
      }
    });
  });

  test("what the run does not have is refused by name", async () => {
    await expect(ask<"heads">({ kind: "heads", layer: 99, query: 0, key: 0 })).rejects.toThrow(
      /layer is 99, but has to be from 0 to/,
    );
    await expect(ask<"lens">({ kind: "lens", node: "I0_99", normalize: true, topK: 3 })).rejects.toThrow(/99/);
    await expect(ask<"follow">({ kind: "follow", position: 0, token: 1e9, normalize: true })).rejects.toThrow(
      /token's id is 1000000000/,
    );
  });

  test("an answer is computed once", async () => {
    let calls = 0;
    const counted = new Proxy(run, {
      get: (target, key) =>
        key === "lens"
          ? (...args: Parameters<Run["lens"]>) => (calls++, target.lens(...args))
          : Reflect.get(target, key, target),
    });
    const answerer = new Answerer(counted);
    const question = { kind: "lens", node: "I0_1", normalize: true, topK: 4 } as const;
    const first = await answerer.ask(question);
    expect(await answerer.ask({ ...question })).toBe(first);
    expect(calls).toBe(1);
  });
});
