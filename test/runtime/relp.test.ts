/** RelP against autograd (test/reference/make_relp.py), and what has to add up. */
import * as fs from "node:fs";
import * as path from "node:path";
import fc from "fast-check";
import { exportRoutes, importRoutes, loadModel, parseNode, ROUTE_FORMATS } from "../../src/index";
import type { AttributedPart, AttributionTarget, RouteGraph, Run, TransparentModel } from "../../src/index";
import { familyFolders } from "../support/families";
import { maxDifference, modelFolder, root } from "../support/fixtures";
import { LetterModel } from "../support/letter-model";
import { ToyModel } from "../support/toy-model";

interface Reference {
  readonly ids: readonly number[];
  readonly token: number;
  readonly versus: number;
  readonly logit: number;
  readonly tokens: readonly number[];
  readonly ffn: readonly (readonly number[])[];
  readonly heads: readonly (readonly number[])[];
  readonly neurons: readonly (readonly number[])[];
  readonly terms: readonly (readonly number[])[];
  /** Another prompt, and what parts are beyond what they are there. */
  readonly other: readonly number[];
  readonly beyond: {
    readonly tokens: readonly number[];
    readonly ffn: readonly (readonly number[])[];
    readonly heads?: readonly (readonly number[])[];
  };
}

const references = JSON.parse(fs.readFileSync(path.join(root, "test/reference/relp.json"), "utf8")) as Record<
  string,
  Reference
>;
const { folders, remove } = familyFolders();
afterAll(remove);
const folderOf = new Map(folders.filter(([, folder]) => !folder.includes("fixtures")));

type Place = (part: AttributedPart) => number;

/** Relevances of all parts of a kind in the reference's order: [layer][...], zeros where none is listed. */
async function all(
  run: Run,
  over: AttributionTarget,
  reference: Reference,
  sizes: { readonly layers: number; readonly each: number; readonly at: Place },
  counterfactual?: Run,
): Promise<Float64Array> {
  const { token, versus } = reference;
  const contrast = { token, versus };
  const { parts } = await run.attribute!({ over, contrast, valueBias: "term", topK: 1_000_000, counterfactual });
  const values = new Float64Array(sizes.layers * sizes.each);
  for (const part of parts) {
    const at = sizes.at(part);
    if (at >= 0) values[(part.layer ?? 0) * sizes.each + at] = part.relevance;
  }
  return values;
}

/** The largest difference, beside the largest value. */
function apart(ours: Float64Array, theirs: readonly number[]): number {
  return maxDifference(ours, theirs) / Math.max(...theirs.map(Math.abs));
}

test("there are references of more than 25 families", () => {
  expect(Object.keys(references).length).toBeGreaterThan(25);
});

describe.each(Object.entries(references))("%s", (name, reference) => {
  let model: TransparentModel;
  let run: Run;
  beforeAll(async () => {
    model = await loadModel(folderOf.get(name) as string);
    run = await model.run(reference.ids);
  });
  afterAll(() => model?.dispose());

  test("relevances are those of autograd with everything that is not linear detached", async () => {
    const { nLayers: layers, nHeads, dFfn } = model.info;
    const n = reference.ids.length;
    const pairs = (n * (n + 1)) / 2;
    const differences = {
      tokens: apart(
        await all(run, "tokens", reference, { layers: 1, each: n, at: ({ position }) => position }),
        reference.tokens,
      ),
      ffn: apart(
        await all(run, "ffn", reference, { layers, each: n, at: ({ position }) => position }),
        reference.ffn.flat(),
      ),
      heads: apart(
        await all(run, "heads", reference, {
          layers,
          each: n * nHeads,
          at: ({ position, head }) => position * nHeads + head!,
        }),
        reference.heads.flat(),
      ),
      terms: apart(
        await all(run, "attention-terms", reference, {
          layers,
          each: nHeads * pairs,
          at: ({ position, head, key }) => head! * pairs + (position * (position + 1)) / 2 + key!,
        }),
        reference.terms.flat(),
      ),
      neurons: apart(
        await all(run, "neurons", reference, {
          layers,
          each: dFfn,
          at: ({ position, neuron }) => (position === n - 1 ? neuron! : -1),
        }),
        reference.neurons.flat(),
      ),
    };
    for (const [over, difference] of Object.entries(differences))
      expect([over, difference < 1e-4]).toEqual([over, true]);
  });

  test("so are those of what is beyond another prompt", async () => {
    const { nLayers: layers, nHeads } = model.info;
    const n = reference.ids.length;
    const other = await model.run(reference.other);
    const at: Place = ({ position }) => position;
    const { tokens, ffn, heads } = reference.beyond;
    expect(apart(await all(run, "tokens", reference, { layers: 1, each: n, at }, other), tokens)).toBeLessThan(1e-4);
    expect(apart(await all(run, "ffn", reference, { layers, each: n, at }, other), ffn.flat())).toBeLessThan(1e-4);
    if (!heads) return;
    const ours = await all(
      run,
      "heads",
      reference,
      { layers, each: n * nHeads, at: ({ position, head }) => position * nHeads + head! },
      other,
    );
    expect(apart(ours, heads.flat())).toBeLessThan(1e-4);
  });
});

const partKey = ({ source, target, kind }: RouteGraph["edges"][number]): string => `${kind} ${source} ${target}`;

describe.each(["llama-tiny", "gpt2-tiny", "gpt-neox-tiny"])("routes of %s", (name) => {
  const ids = [5, 17, 40, 3, 29, 11, 8, 31];
  let model: TransparentModel;
  let run: Run;
  beforeAll(async () => {
    model = await loadModel(modelFolder(name));
    run = await model.run(ids);
  });
  afterAll(() => model?.dispose());

  test("input tokens and biases sum to the logit, at any position and for any contrast", async () => {
    for (const [from, contrast] of [
      [7, {}],
      [3, { token: 4 }],
      [0, { token: 4, versus: 9 }],
    ] as const) {
      const { parts, constant, logit, rest } = await run.attribute!({ from, contrast });
      expect(parts.map(({ position }) => position)).toEqual(Array.from({ length: from + 1 }, (_, t) => t));
      expect(rest).toEqual({ supports: 0, opposes: 0 });
      expect(parts.reduce((sum, { relevance }) => sum + relevance, constant)).toBeCloseTo(logit, 4);
    }
  });

  test("heads are the sums of their terms, blocks those of their neurons and biases", async () => {
    const heads = (await run.attribute!({ over: "heads" })).parts;
    const terms = (await run.attribute!({ over: "attention-terms", topK: 1e6 })).parts;
    for (const { layer, head, position, relevance } of heads) {
      const own = terms.filter((term) => term.layer === layer && term.head === head && term.position === position);
      expect(own.reduce((sum, term) => sum + term.relevance, 0)).toBeCloseTo(relevance, 5);
    }
    // The two readings of value biases differ by what does not depend on the key.
    const biased = (await run.attribute!({ over: "heads", valueBias: "term" })).parts;
    const moved = biased.some(
      (part, i) => Math.abs(part.relevance - (heads[i]?.relevance ?? 0)) > 1e-4 * Math.abs(part.relevance),
    );
    expect(moved).toBe(name !== "llama-tiny");
  });

  test("topK lists the strongest, and says what the others sum to", async () => {
    const all = (await run.attribute!({ over: "ffn" })).parts;
    const few = await run.attribute!({ over: "ffn", topK: 3 });
    expect(few.parts).toEqual(all.slice(0, 3));
    expect(all.map(({ relevance }) => Math.abs(relevance))).toEqual(
      all.map(({ relevance }) => Math.abs(relevance)).sort((a, b) => b - a),
    );
    const left = all.slice(3).map(({ relevance }) => relevance);
    expect(few.rest.supports).toBeCloseTo(
      left.reduce((sum, x) => sum + Math.max(x, 0), 0),
      5,
    );
    expect(few.rest.opposes).toBeCloseTo(
      left.reduce((sum, x) => sum + Math.min(x, 0), 0),
      5,
    );
  });

  test("every edge has the relevance that its parts have", async () => {
    const { edges, contrast } = await run.routes({ method: "relp", select: { relevance: 1 } });
    const terms = (await run.attribute!({ over: "attention-terms", topK: 1e6 })).parts;
    const blocks = (await run.attribute!({ over: "ffn" })).parts;
    const tokens = await run.attribute!();
    expect(contrast).toEqual({ token: tokens.token, logit: tokens.logit, constant: tokens.constant });
    expect(edges.filter(({ kind }) => kind === "ffn-out")).toHaveLength(blocks.filter((b) => b.relevance !== 0).length);
    const attention = edges.filter(({ kind }) => kind === "attention");
    expect(attention.flatMap(({ heads }) => Object.keys(heads!))).toHaveLength(terms.length);
    const size = [...terms, ...blocks].reduce((sum, { relevance }) => sum + Math.abs(relevance), 0);
    for (const { layer, head, position, key, relevance } of terms) {
      const edge = attention.find(
        ({ source, target }) =>
          parseNode(target)!.layer === layer &&
          parseNode(target)!.position === position &&
          parseNode(source)!.position === key,
      );
      expect(edge?.headLogits?.[head!]).toBe(relevance);
    }
    for (const { kind, logit, headLogits, weight, heads, relevance } of edges) {
      expect(Number.isFinite(logit)).toBe(true);
      if (kind !== "attention") continue;
      expect(Object.values(headLogits!).reduce((a, b) => a + b, 0)).toBeCloseTo(logit!, 6);
      expect(Object.values(heads!).reduce((a, b) => a + b, 0)).toBeCloseTo(weight, 6);
      expect(relevance).toBeCloseTo(Object.values(headLogits!).reduce((a, b) => a + Math.abs(b), 0) / size, 6);
    }
    expect(Math.max(...edges.filter(({ kind }) => kind !== "residual").map(({ weight }) => weight))).toBeCloseTo(1, 6);
  });

  test("a budget of edges keeps the strongest parts, connected and nested", async () => {
    let before = new Set<string>();
    for (const budget of [1, 5, 20, 60, 1000]) {
      const graph = await run.routes({ method: "relp", select: { edges: budget } });
      expect(graph.edges.length).toBeLessThanOrEqual(budget);
      const reads = new Set(graph.edges.map(({ source }) => source));
      for (const { target } of graph.edges) expect(target === graph.from[0] || reads.has(target)).toBe(true);
      const own = new Set(graph.edges.map(partKey));
      for (const edge of before) expect(own.has(edge)).toBe(true);
      before = own;
      expect(graph).toMatchObject({ method: "relp", renormalize: false, threshold: 0, select: { edges: budget } });
      for (const text of ROUTE_FORMATS.map((format) => exportRoutes(graph, format)))
        expect(JSON.stringify(importRoutes(text))).toBe(JSON.stringify(graph));
    }
  });

  test("a threshold is a share of the largest edge", async () => {
    const graph = await run.routes({ method: "relp", threshold: 0.3 });
    const all = await run.routes({ method: "relp", threshold: 0 });
    expect(graph.threshold).toBe(0.3);
    const most = Math.max(
      ...all.edges.map(({ kind, logit, headLogits }) =>
        kind === "ffn-out"
          ? Math.abs(logit!)
          : Object.values(headLogits ?? {}).reduce((sum, part) => sum + Math.abs(part), 0),
      ),
    );
    const strong = all.edges.flatMap(({ kind, logit, headLogits }) =>
      (kind === "ffn-out" ? [logit!] : Object.values(headLogits ?? {})).filter((part) => Math.abs(part) > 0.3 * most),
    );
    const kept = graph.edges.flatMap(({ kind, logit, headLogits }) =>
      kind === "ffn-out" ? [logit!] : Object.values(headLogits ?? {}),
    );
    expect(kept.length).toBeGreaterThan(0);
    expect(kept.length).toBeLessThanOrEqual(strong.length);
    for (const part of kept) expect(strong).toContain(part);
  });

  test("beyond another prompt: nothing where it is the same one, routes by the difference", async () => {
    const same = await run.attribute!({ over: "heads", counterfactual: await model.run(ids) });
    expect(Math.max(...same.parts.map(({ relevance }) => Math.abs(relevance)))).toBe(0);
    expect(same.counterfactual).toEqual({ tokens: run.tokens, logit: same.logit });
    // Later tokens alone differ: earlier ones have nothing beyond them, and what is written later has.
    const other = await model.run([...ids.slice(0, 6), 77, 31]);
    const { parts, constant } = await run.attribute!({ over: "ffn", counterfactual: other });
    expect(constant).toBe(0);
    for (const { position, relevance } of parts) if (position < 6) expect(relevance).toBe(0);
    expect(Math.abs(parts[0].relevance)).toBeGreaterThan(0.01);
    const graph = await run.routes({ method: "relp", counterfactual: other, threshold: 0 });
    expect(graph.counterfactual).toEqual(other.tokens);
    for (const { kind, target, logit } of graph.edges) {
      if (kind !== "ffn-out") continue;
      const place = parseNode(target)!;
      const part = parts.find(({ layer, position }) => layer === place.layer && position === place.position);
      expect(logit).toBe(part?.relevance);
    }
    for (const format of ROUTE_FORMATS)
      expect(JSON.stringify(importRoutes(exportRoutes(graph, format)))).toBe(JSON.stringify(graph));
    const plain = await run.routes({ method: "relp", threshold: 0 });
    expect(plain.counterfactual).toBeUndefined();
    expect(plain.edges.length).toBeGreaterThan(graph.edges.length);
    const short = await model.run(ids.slice(1));
    await expect(run.attribute!({ counterfactual: short })).rejects.toThrow("has 7 tokens and this prompt 8");
    await expect(run.attribute!({ counterfactual: {} as Run })).rejects.toThrow("a run of the same model");
    await expect(run.routes({ counterfactual: other })).rejects.toThrow('only with the method "relp"');
  });

  test("what has no meaning is refused", async () => {
    await expect(run.routes({ method: "relp", renormalize: true })).rejects.toThrow(/renormalize.*no meaning/);
    await expect(run.routes({ method: "relp", from: [0, 1] })).rejects.toThrow("start at one token");
    await expect(run.routes({ method: "gradient" as never })).rejects.toThrow('The method "gradient" is unknown');
    await expect(run.attribute!({ over: "words" as never })).rejects.toThrow('"words" is unknown');
    const cut = await run.intervene!([{ target: { kind: "ffn", layer: 0 }, do: "zero" }]);
    await expect(cut.attribute!()).rejects.toThrow("A run under interventions cannot go backwards");
    await expect(run.attribute!({ from: 8 })).rejects.toThrow("There is no token 8: tokens go from 0 to 7.");
    await expect(run.attribute!({ topK: 0 })).rejects.toThrow("topK is 0");
    const gone = AbortSignal.abort(new Error("enough"));
    await expect(run.attribute!({ signal: gone })).rejects.toThrow("enough");
    await expect(run.routes({ method: "relp", select: { edges: 3 }, signal: gone })).rejects.toThrow("enough");
  });
});

const shape = { nLayers: 3, nHeads: 3, dHead: 2, dModel: 7, dFfn: 5, dVocab: 11 };
const kinds = fc.record({ seed: fc.nat(), biases: fc.boolean(), parallelBlocks: fc.boolean(), postNorm: fc.boolean() });

test("a model of one's own that goes backwards has all of it, and it adds up", () =>
  fc.assert(
    fc.asyncProperty(kinds, fc.integer({ min: 0, max: 3 }), async (kind, from) => {
      const model = new ToyModel({ ...shape, ...kind });
      const run = await model.run([1, 5, 2, 9]);
      const { parts, constant, logit } = await run.attribute({ from });
      expect(parts.reduce((sum, { relevance }) => sum + relevance, constant)).toBeCloseTo(logit, 4);
      // What was written at the last layer of the start is read by nothing but the unembedding.
      const { token } = await run.logitAttribution({ position: from });
      const direct = await run.logitAttribution({ position: from, token: token.id, valueBias: "term" });
      const last = model.info.nLayers - 1;
      const ffn = (await run.attribute({ from, over: "ffn" })).parts;
      const mine = ffn.find(({ layer, position }) => layer === last && position === from)!;
      const theirs = direct.parts.find(({ kind: of, layer }) => of === "ffn" && layer === last)!;
      expect(mine.relevance).toBeCloseTo(theirs.logit, 4);
      if (!kind.parallelBlocks) return;
      const heads = (await run.attribute({ from, over: "heads", valueBias: "term" })).parts;
      for (const part of direct.parts) {
        if (part.kind !== "head" || part.layer !== last) continue;
        const head = heads.find((h) => h.layer === last && h.position === from && h.head === part.head)!;
        expect(head.relevance).toBeCloseTo(part.logit, 4);
      }
    }),
    { numRuns: 40 },
  ));

test("a model of one's own without a way backwards says so", async () => {
  const run = await new LetterModel().run("abc");
  await expect(run.attribute()).rejects.toThrow(
    "letters cannot go backwards: for RelP its run has to implement readBackward.",
  );
});
