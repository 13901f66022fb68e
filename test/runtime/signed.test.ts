/** Signed proximities, effects in logits, and direct logit attribution down to keys and neurons. */
import fc from "fast-check";
import { BaseRun, loadModel, type BaseModel, type Component } from "../../src/index";
import { familyFolders } from "../support/families";
import { ToyModel } from "../support/toy-model";

const shape = { nLayers: 3, nHeads: 3, dHead: 2, dModel: 7, dFfn: 5, dVocab: 11 };
const all = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const toy = fc.record({
  seed: fc.nat(),
  biases: fc.boolean(),
  parallelBlocks: fc.boolean(),
  postNorm: fc.boolean(),
});
const runOf = async (options: object): Promise<BaseRun> =>
  await new ToyModel({ ...shape, ...options }).run([1, 5, 5, 2]);

const norm1 = (x: ArrayLike<number>): number => Array.from(x).reduce((sum, v) => sum + Math.abs(v), 0);

test("signed proximities are the definition's, and what contributions are made of", () =>
  fc.assert(
    fc.asyncProperty(toy, fc.constantFrom("output" as const, "term" as const), async (options, valueBias) => {
      const run = await runOf(options);
      const layer = 1;
      const d = shape.dModel;
      const asked = { positions: [3, 1], valueBias, includeBias: true, signed: true };
      const { proximities, ...shares } = await run.attentionContributions(layer, asked);
      const whole = (await run.residual(layer, options.parallelBlocks ? "post" : "mid")).data;
      const pre = (await run.residual(layer, "pre")).data;
      for (const [row, position] of [3, 1].entries()) {
        const y = whole.subarray(position * d, (position + 1) * d);
        const near = (z: ArrayLike<number>): number => (norm1(y) - norm1(y.map((v, i) => v - z[i]))) / norm1(y);
        const signed: number[] = [];
        for (const key of all(4))
          for (const head of all(3)) {
            const got = proximities!.terms.data[(row * 4 + key) * 3 + head];
            if (key > position) expect(got).toBe(0);
            else {
              const update = await run.update({ kind: "attention", layer, position, head, key }, valueBias);
              expect(got).toBeCloseTo(near(update), 4);
              signed.push(got);
            }
          }
        expect(proximities!.residual.data[row]).toBeCloseTo(near(pre.subarray(position * d, (position + 1) * d)), 4);
        // Cut at ε and scaled, they are the contributions.
        const parts = [
          ...signed,
          proximities!.residual.data[row],
          // A model without biases has no such part.
          ...(options.biases ? [proximities!.bias!.data[row]] : []),
          ...(proximities!.ffn ? [proximities!.ffn.data[row]] : []),
        ].map((p) => Math.max(p * norm1(y), 1e-5));
        const total = parts.reduce((a, b) => a + b, 0);
        const c = [
          ...all(position + 1).flatMap((key) => all(3).map((head) => shares.terms.data[(row * 4 + key) * 3 + head])),
          shares.residual.data[row],
          ...(options.biases ? [shares.bias!.data[row]] : []),
          ...(shares.ffn ? [shares.ffn.data[row]] : []),
        ];
        parts.forEach((part, i) => expect(c[i]).toBeCloseTo(part / total, 3));
      }
      const pairs = await run.ffnContributions(layer, { signed: true });
      const y = (await run.residual(layer, "post")).data.subarray(0, d);
      const ffn = (await run.ffnOut(layer)).data;
      expect(pairs.proximities!.ffn.data[0]).toBeCloseTo((norm1(y) - norm1(y.map((v, i) => v - ffn[i]))) / norm1(y), 4);
      expect((await run.ffnContributions(layer)).proximities).toBeUndefined();
      expect((await run.attentionContributions(layer)).proximities).toBeUndefined();
    }),
    { numRuns: 20 },
  ));

/** Every component's scores equal its parts of the logit attribution; `close`: in how many digits. */
async function effectsAreParts(run: BaseRun, position: number, token: number, digits: number): Promise<void> {
  const { dVocab, nLayers, nHeads, dFfn } = run.model.info;
  const { parts } = await run.logitAttribution({ position, token, byKey: true, byNeuron: true });
  const score = async (component: Component): Promise<number> =>
    (await run.effect(component, { topK: dVocab })).promoted.find(({ id }) => id === token)!.score;
  const layer = nLayers - 1;
  const of = (wanted: object): number =>
    parts
      .filter((part) => Object.entries(wanted).every(([k, v]) => part[k as keyof typeof part] === v))
      .reduce((sum, { logit }) => sum + logit, 0);
  const head = nHeads - 1;
  expect(await score({ kind: "attention", layer, position, head })).toBeCloseTo(
    of({ kind: "head", layer, head }),
    digits,
  );
  expect(await score({ kind: "attention", layer, position, head, key: 0 })).toBeCloseTo(
    of({ kind: "head", layer, head, key: 0 }),
    digits,
  );
  const neuron = dFfn - 1;
  expect(await score({ kind: "ffn", layer, position, neuron })).toBeCloseTo(
    of({ kind: "neuron", layer, neuron }),
    digits,
  );
  expect(await score({ kind: "ffn", layer, position })).toBeCloseTo(
    of({ kind: "ffn", layer }) + of({ kind: "neuron", layer }),
    digits,
  );
}

test("an effect's scores are logits: its part of the logit attribution, by head, key, block and neuron", () =>
  fc.assert(
    fc.asyncProperty(toy, fc.integer({ min: 0, max: 3 }), async (options, position) => {
      const run = await runOf(options);
      await effectsAreParts(run, position, 3, 4);
      const [a, b] = await Promise.all([
        run.logitAttribution({ position, token: 3, versus: 8 }),
        run.logitAttribution({ position, token: 3, versus: 8, byKey: true, byNeuron: true }),
      ]);
      const total = (parts: typeof a.parts): number => parts.reduce((sum, { logit }) => sum + logit, 0);
      expect(total(b.parts)).toBeCloseTo(total(a.parts), 4);
      expect(b.parts.length).toBe(1 + 3 * (3 * (position + 1) + 2 + 5) + 1);
    }),
    { numRuns: 20 },
  ));

const families = familyFolders();
afterAll(() => families.remove());

test.each(families.folders)("%s: effects are logits, neurons by logit are the attribution's", async (_, folder) => {
  const model: BaseModel = await loadModel(folder);
  const run = await model.run([1, 2, 3, 4]);
  await effectsAreParts(run, 2, 5, 3);
  const { parts } = await run.logitAttribution({ position: 2, token: 5, versus: 6, byNeuron: true });
  const wanted = parts.filter(({ kind, layer }) => kind === "neuron" && layer === 1);
  wanted.sort((a, b) => Math.abs(b.logit) - Math.abs(a.logit));
  const got = await run.neuronContributions(1, 2, { by: "logit", token: 5, versus: 6, topK: 4 });
  got.forEach(({ logit }, i) => expect(logit).toBeCloseTo(wanted[i].logit, 5));
  const known = await run.neuronContributions(1, 2);
  for (const { neuron, contribution } of got)
    expect(contribution).toBe(known.find((one) => one.neuron === neuron)!.contribution);
  await model.dispose();
});

test("a model that gives only its unembedding has the same scores", async () => {
  const [, folder] = families.folders[0];
  const model: BaseModel = await loadModel(folder);
  const run = await model.run([1, 2, 3, 4]);
  const component = { kind: "attention", layer: 1, position: 3, head: 1 } as const;
  const given = (await run.effect(component, { topK: 5 })).promoted;
  const own = Object.create(run) as { readUpdateLogits: unknown };
  own.readUpdateLogits = (BaseRun.prototype as unknown as { readUpdateLogits: unknown }).readUpdateLogits;
  const found = (await (own as unknown as BaseRun).effect(component, { topK: 5 })).promoted;
  found.forEach(({ id, score }, i) => {
    expect(id).toBe(given[i].id);
    expect(score).toBeCloseTo(given[i].score, 3);
  });
  await expect(run.effect(component, { normalize: "norm" as never })).rejects.toThrow(
    'normalize "norm" is unknown: use "position" or true or false.',
  );
  await expect(run.neuronContributions(0, 0, { by: "size" as never })).rejects.toThrow('by "size" is unknown');
  await model.dispose();
});

const selections = fc.oneof(
  fc.record({ threshold: fc.double({ min: 0.001, max: 0.3, noNaN: true }) }),
  fc.record({ relevance: fc.double({ min: 0.1, max: 1, noNaN: true }) }),
  fc.record({ edges: fc.integer({ min: 1, max: 60 }) }),
);

test("of every state: what is drawn, heads over other keys, and what is hidden sum to everything", () =>
  fc.assert(
    fc.asyncProperty(toy, selections, fc.boolean(), fc.boolean(), async (options, select, renormalize, includeBias) => {
      const run = await runOf({ ...options, nHeads: 3 });
      const { nodes, edges, others } = await run.routes({ select, renormalize, includeBias });
      const kind = options.parallelBlocks ? "I" : "A";
      const reached = nodes.filter((node) => node.kind === kind && node.layer >= 0).map(({ name }) => name);
      expect(others!.map(({ target }) => target)).toEqual(reached);
      for (const { target, heads, hidden } of others!) {
        const { layer, position } = nodes.find(({ name }) => name === target)!;
        const { terms } = await run.attentionContributions(layer, { positions: [position], includeBias });
        let drawn = 0;
        const unused = terms.data.slice();
        for (const edge of edges.filter((one) => one.target === target)) {
          if (edge.kind !== "attention") drawn += edge.contribution!;
          for (const head of Object.keys(edge.heads ?? {})) {
            const at = edge.from!.position * 3 + Number(head);
            drawn += unused[at];
            unused[at] = 0;
          }
        }
        const bundled = Object.values(heads).reduce((a, b) => a + b, 0);
        expect(Math.abs(drawn + bundled + hidden - 1)).toBeLessThan(1e-6);
        for (const [head, share] of Object.entries(heads))
          expect(share).toBeCloseTo(
            all(4).reduce((sum, key) => sum + unused[key * 3 + Number(head)], 0),
            6,
          );
        if ("threshold" in select)
          for (const head of all(3)) {
            const rest = all(4).reduce((sum, key) => sum + unused[key * 3 + head], 0);
            if (Math.abs(rest - select.threshold) > 1e-6) expect(head in heads).toBe(rest > select.threshold);
          }
      }
    }),
    { numRuns: 60 },
  ));

test("heads that spread over many keys are bundled where no edge of theirs passes", async () => {
  const run = await new ToyModel({ ...shape, seed: 4 }).run(all(10));
  const threshold = 0.06;
  const { edges, others } = await run.routes({ threshold, from: "all" });
  const drawn = new Set(
    edges.flatMap(({ target, heads }) => Object.keys(heads ?? {}).map((head) => `${target} ${head}`)),
  );
  const bundled = others!.flatMap(({ target, heads }) => Object.keys(heads).map((head) => `${target} ${head}`));
  expect(bundled.filter((name) => !drawn.has(name)).length).toBeGreaterThan(0);
});
