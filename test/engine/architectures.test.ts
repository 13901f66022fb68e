import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import fc from "fast-check";
import { createEngine, type LayerTensorName } from "../../src/engine";
import type { Activation, Architecture, Layer, Linear, LinearLayout, Norm } from "../../src/model/architecture";
import { createWeightSource } from "../../src/model/weight-source";
import type { WeightEntry, WeightSource } from "../../src/model/weights";
import { flat, maxDifference } from "../support/fixtures";
import { referenceForward } from "../support/reference-forward";

let scratch: string;
beforeAll(() => (scratch = fs.mkdtempSync(path.join(os.tmpdir(), "architectures-"))));
afterAll(() => fs.rmSync(scratch, { recursive: true }));

const option = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const activation = fc.constantFrom<Activation>("gelu", "gelu_tanh", "quick_gelu", "relu", "relu2", "silu");
const normChoice = fc.record({
  kind: fc.constantFrom("layernorm" as const, "rmsnorm" as const),
  weight: fc.boolean(),
  bias: fc.boolean(),
  unitOffset: fc.boolean(),
});

const layerChoice = fc.record({
  block: fc.constantFrom("sequential" as const, "parallel" as const),
  attentionNorm: option(normChoice),
  ffnNorm: option(normChoice),
  postAttentionNorm: option(normChoice),
  postFfnNorm: option(normChoice),
  qkv: fc.constantFrom("separate" as const, "concat" as const, "per-head" as const, "per-group" as const),
  layout: fc.constantFrom<LinearLayout>("out-in", "in-out"),
  bias: fc.boolean(),
  rotary: option(
    fc.record({
      part: fc.constantFrom(0.5, 1),
      pairing: fc.constantFrom("half" as const, "interleaved" as const),
      scale: option(fc.constantFrom(0.8, 1.2)),
    }),
  ),
  alibi: fc.boolean(),
  window: option(fc.integer({ min: 1, max: 6 })),
  softcap: option(fc.constantFrom(1.5, 4)),
  queryKeyNorm: option(
    fc.record({ over: fc.constantFrom("head" as const, "all" as const, "per-head" as const), norm: normChoice }),
  ),
  activation,
  gate: fc.constantFrom("none" as const, "separate" as const, "fused" as const),
});

const choices = fc.record({
  nKeyValueHeads: fc.constantFrom(1, 2, 3),
  group: fc.constantFrom(1, 2, 3),
  dHead: fc.constantFrom(4, 6, 8),
  dModel: fc.constantFrom(10, 16, 33),
  dFfn: fc.constantFrom(7, 24),
  dVocab: fc.constantFrom(13, 40),
  positions: option(fc.integer({ min: 0, max: 2 })),
  embeddingScale: option(fc.constantFrom(2.5)),
  embeddingNorm: option(normChoice),
  finalNorm: option(normChoice),
  logitSoftcap: option(fc.constantFrom(3)),
  logitScale: option(fc.constantFrom(0.5)),
  unembeddingBias: fc.boolean(),
  layers: fc.array(layerChoice, { minLength: 1, maxLength: 2 }),
  seed: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
  nTokens: fc.integer({ min: 1, max: 9 }),
});
type Choices = typeof choices extends fc.Arbitrary<infer T> ? T : never;

/** A model of these choices with random weights, in a file. */
function make(choice: Choices): { architecture: Architecture; weights: WeightSource; tokenIds: number[] } {
  const { nKeyValueHeads, group, dHead, dModel, dFfn, dVocab } = choice;
  const nHeads = nKeyValueHeads * (choice.layers.some((layer) => layer.qkv === "per-head") ? 1 : group);
  const [nQuery, nKey] = [nHeads * dHead, nKeyValueHeads * dHead];
  let state = choice.seed;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const file = path.join(scratch, "weights");
  const chunks: Buffer[] = [];
  const entries: WeightEntry[] = [];
  let offset = 0;
  const tensor = (dims: number[], center: number, spread: number) => {
    const name = `tensor ${entries.length}`;
    const values = Float32Array.from(
      { length: dims.reduce((a, b) => a * b) },
      () => center + spread * (2 * random() - 1),
    );
    chunks.push(Buffer.from(values.buffer));
    entries.push({ name, type: "F32", dims, file, offset, byteLength: values.byteLength });
    offset += values.byteLength;
    return { name };
  };
  const linear = (inputs: number, outputs: number, layout: LinearLayout, bias: boolean): Linear => ({
    weight: tensor(layout === "out-in" ? [outputs, inputs] : [inputs, outputs], 0, 1.7 / Math.sqrt(inputs)),
    bias: bias ? tensor([outputs], 0, 0.4) : undefined,
    layout,
  });
  const norm = (
    of: { kind: Norm["kind"]; weight: boolean; bias: boolean; unitOffset: boolean } | undefined,
    dims: number[],
    mayHaveBias = true,
  ): Norm | undefined =>
    of && {
      kind: of.kind,
      epsilon: 1e-5,
      weight: of.weight ? tensor(dims, of.unitOffset ? 0 : 1, 0.5) : undefined,
      bias: of.bias && mayHaveBias ? tensor(dims, 0, 0.3) : undefined,
      unitOffset: of.unitOffset || undefined,
    };
  const layers = choice.layers.map((own): Layer => {
    const { layout, bias } = own;
    const fused = own.qkv !== "separate";
    const dims = own.rotary && 2 * Math.max(1, Math.floor((own.rotary.part * dHead) / 2));
    const over = own.queryKeyNorm?.over;
    const headDims = (heads: number) =>
      over === "all" ? [heads * dHead] : over === "per-head" ? [heads, dHead] : [dHead];
    // Biases of norms of each head have no place of their own in the description.
    const headNorm = (heads: number) => norm(own.queryKeyNorm?.norm, headDims(heads), over !== "per-head")!;
    return {
      block: own.block,
      attentionNorm: norm(own.attentionNorm, [dModel]),
      ffnNorm: norm(own.ffnNorm, [dModel]),
      postAttentionNorm: norm(own.postAttentionNorm, [dModel], false),
      postFfnNorm: norm(own.postFfnNorm, [dModel], false),
      attention: {
        qkv:
          own.qkv !== "separate"
            ? { kind: "fused", order: own.qkv, linear: linear(dModel, nQuery + 2 * nKey, layout, bias) }
            : {
                kind: "separate",
                query: linear(dModel, nQuery, layout, bias),
                key: linear(dModel, nKey, layout, fused),
                value: linear(dModel, nKey, layout, bias),
              },
        output: linear(nQuery, dModel, layout, bias),
        scale: 1 / Math.sqrt(dHead),
        rotary:
          own.rotary && dims
            ? {
                dims,
                pairing: own.rotary.pairing,
                scale: own.rotary.scale,
                frequencies: (n) => Float64Array.from({ length: dims / 2 }, (_, i) => 3 ** -i / (1 + n / 50)),
              }
            : undefined,
        alibiSlopes: own.alibi ? Float64Array.from({ length: nHeads }, (_, head) => 2 ** -(head + 1)) : undefined,
        window: own.window,
        softcap: own.softcap,
        queryKeyNorm: over && { over, query: headNorm(nHeads), key: headNorm(nKeyValueHeads) },
      },
      ffn: {
        activation: own.activation,
        input: linear(dModel, own.gate === "fused" ? 2 * dFfn : dFfn, layout, bias),
        up: own.gate === "separate" ? linear(dModel, dFfn, layout, bias) : undefined,
        fusedGate: own.gate === "fused" || undefined,
        output: linear(dFfn, dModel, layout, bias),
      },
    };
  });
  const architecture: Architecture = {
    family: "random",
    nLayers: layers.length,
    nHeads,
    nKeyValueHeads,
    dModel,
    dHead,
    dFfn,
    dVocab,
    maxPositions: 16,
    layers,
    embedding: {
      token: tensor([dVocab, dModel], 0, 1),
      position:
        choice.positions === undefined
          ? undefined
          : { weight: tensor([16 + choice.positions, dModel], 0, 1), offset: choice.positions },
      scale: choice.embeddingScale,
      norm: norm(choice.embeddingNorm, [dModel]),
    },
    finalNorm: norm(choice.finalNorm, [dModel]),
    unembedding: linear(dModel, dVocab, "out-in", choice.unembeddingBias),
    logitSoftcap: choice.logitSoftcap,
    logitScale: choice.logitScale,
  };
  fs.writeFileSync(file, Buffer.concat(chunks));
  return {
    architecture,
    weights: createWeightSource(entries),
    tokenIds: Array.from({ length: choice.nTokens }, () => Math.floor(random() * dVocab)),
  };
}

test("any described architecture computes what the description says, and its parts add up", async () => {
  await fc.assert(
    fc.asyncProperty(choices, async (choice) => {
      const { architecture, weights, tokenIds } = make(choice);
      const expected = referenceForward(architecture, weights, tokenIds);
      const engine = await createEngine({ architecture, weights });
      try {
        const pass = await engine.forward(tokenIds);
        for (const [index, layer] of expected.layers.entries()) {
          // Relative to the largest value: depth and chance make some of these models' states large.
          const near = (name: LayerTensorName, ours: ArrayLike<number>, theirs: ArrayLike<number>) => {
            const size = Math.max(1, ...Array.from(theirs, Math.abs));
            const difference = maxDifference(ours, theirs) / size;
            if (!(difference < 5e-4)) throw new Error(`layer ${index}: ${name} is ${difference} off`);
          };
          const names = (Object.keys(layer) as (keyof typeof layer)[]).filter((name) => layer[name] !== undefined);
          const ours = await pass.fetch(index, [...names, "value_out", "term_scale", "ffn_scale"] as LayerTensorName[]);
          for (const name of names) near(name, ours[name].data, flat(layer[name]));

          const { valueBiasOut, outputBias, ffnOutputBias } = await engine.constants(index);
          const { nHeads, dModel, dFfn } = architecture;
          const query = tokenIds.length - 1;
          const attention = new Float64Array(dModel);
          const written = new Float64Array(dModel);
          const rows = await Promise.all(
            Array.from({ length: dFfn }, (_, neuron) => engine.neuronOutput(index, neuron)),
          );
          for (let i = 0; i < dModel; i++) {
            attention[i] = outputBias?.[i] ?? 0;
            for (let head = 0; head < nHeads; head++) {
              attention[i] += valueBiasOut?.[head * dModel + i] ?? 0;
              for (let key = 0; key <= query; key++)
                attention[i] +=
                  layer.pattern[head][query][key] * ours.value_out.data[(key * nHeads + head) * dModel + i];
            }
            attention[i] *= ours.term_scale.data[query];
            written[i] = ffnOutputBias?.[i] ?? 0;
            for (let neuron = 0; neuron < dFfn; neuron++) written[i] += layer.ffn_post[query][neuron] * rows[neuron][i];
            written[i] *= ours.ffn_scale.data[query];
          }
          near("value_out", attention, layer.attn_out[query]);
          near("ffn_out", written, layer.ffn_out[query]);
        }
        const logits = flat(expected.logits);
        expect(maxDifference((await pass.logits()).data, logits) / Math.max(1, ...logits.map(Math.abs))).toBeLessThan(
          5e-4,
        );
      } finally {
        await engine.dispose();
      }
    }),
    { numRuns: 40, seed: 20240407 },
  );
}, 180_000);
