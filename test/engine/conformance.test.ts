import { createEngine, type Engine, type LayerTensorName } from "../../src/engine";
import { openModel } from "../../src/model/open";
import type { Tensor } from "../../src/model/types";
import { flat, goldenNames, maxDifference, modelFolder, readGolden } from "../support/fixtures";

/** README of the fixtures: on states and logits. */
const TOLERANCE = 1e-4;

const names: readonly LayerTensorName[] = [
  "resid_pre",
  "resid_post",
  "attn_out",
  "ffn_out",
  "pattern",
  "value_out",
  "term_scale",
];

describe.each(goldenNames)("%s", (name) => {
  const golden = readGolden(name);
  let engine: Engine;
  let tensors: Record<LayerTensorName, Tensor>[];
  let logits: Tensor;

  beforeAll(async () => {
    const files = await openModel(modelFolder(golden.model));
    engine = await createEngine(files);
    const pass = await engine.forward(golden.token_ids);
    const wanted = golden.resid_mid ? [...names, "resid_mid" as const] : names;
    tensors = await Promise.all(
      golden.resid_pre.map(
        async (_, layer) => (await pass.fetch(layer, wanted)) as Readonly<Record<LayerTensorName, Tensor>>,
      ),
    );
    logits = await pass.logits();
  });

  afterAll(() => engine.dispose());

  test.each([
    ["resid_pre", "resid_pre"],
    ["resid_mid", "resid_mid"],
    ["resid_post", "resid_post"],
    ["attn_out", "attn_out"],
    ["ffn_out", "mlp_out"],
    ["pattern", "attn_pattern"],
  ] as const)("%s", (ours, theirs) => {
    const reference = golden[theirs];
    if (ours === "resid_mid" && !reference) return;
    tensors.forEach((layer, index) => {
      expect(maxDifference(layer[ours].data, flat(reference![index]))).toBeLessThan(TOLERANCE);
    });
  });

  test("logits of the last position", () => {
    const { dVocab } = { dVocab: golden.logits_last.length };
    expect(logits.dims).toEqual([golden.token_ids.length, dVocab]);
    const last = logits.data.subarray(-dVocab);
    expect(maxDifference(last, golden.logits_last)).toBeLessThan(TOLERANCE);
    expect(maxDifference(last, golden.hf_logits_last)).toBeLessThan(TOLERANCE);
  });

  test("patterns are causal, exactly, and their rows sum to 1", () => {
    for (const { pattern } of tensors) {
      const [heads, nTokens] = pattern.dims;
      for (let head = 0; head < heads; head++) {
        for (let query = 0; query < nTokens; query++) {
          const row = pattern.data.subarray((head * nTokens + query) * nTokens, (head * nTokens + query + 1) * nTokens);
          expect(row.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 5);
          expect(row.subarray(query + 1).every((weight) => weight === 0)).toBe(true);
        }
      }
    }
  });

  test("pattern × value_out is what each head wrote, and with the constants the block's output", async () => {
    for (const [layer, { pattern, value_out, term_scale, attn_out }] of tensors.entries()) {
      const { valueBiasOut, outputBias } = await engine.constants(layer);
      const [nTokens, heads, d] = value_out.dims;
      const headOut = new Float64Array(nTokens * heads * d);
      for (let head = 0; head < heads; head++) {
        for (let query = 0; query < nTokens; query++) {
          for (let key = 0; key <= query; key++) {
            const weight = pattern.data[(head * nTokens + query) * nTokens + key] * term_scale.data[query];
            for (let i = 0; i < d; i++)
              headOut[(query * heads + head) * d + i] += weight * value_out.data[(key * heads + head) * d + i];
          }
        }
      }
      if (golden.peer) expect(maxDifference(headOut, flat(golden.peer.head_out[layer]))).toBeLessThan(TOLERANCE);
      const withBias = headOut.map((value, at) => value + (valueBiasOut?.[at % (heads * d)] ?? 0));
      if (golden.corrected)
        expect(maxDifference(withBias, flat(golden.corrected.head_out[layer]))).toBeLessThan(TOLERANCE);
      const whole = Float64Array.from(attn_out.data, (_, at) => {
        const [query, i] = [Math.floor(at / d), at % d];
        let sum = (outputBias?.[i] ?? 0) * term_scale.data[query];
        for (let head = 0; head < heads; head++) sum += withBias[(query * heads + head) * d + i];
        return sum;
      });
      expect(maxDifference(whole, attn_out.data)).toBeLessThan(TOLERANCE);
    }
  });
});
