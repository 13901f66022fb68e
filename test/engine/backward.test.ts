/** A layer backwards: what its parts are by their definition, and what has to add up. Autograd: test/runtime/relp.test.ts. */
import { createEngine, type Engine, type WholePass } from "../../src/engine";
import type { ModelFiles } from "../../src/model/files";
import { openModel } from "../../src/model/open";
import { familyFolders } from "../support/families";
import { maxDifference, modelFolder } from "../support/fixtures";
import { random } from "../support/toy-model";

const { folders, remove } = familyFolders();
afterAll(remove);

const IDS = [5, 22, 39, 56, 12, 29, 46];

describe.each(folders)("%s", (_, folder) => {
  let files: ModelFiles;
  let engine: Engine;
  let pass: WholePass;
  beforeAll(async () => {
    files = await openModel(folder);
    engine = await createEngine(files);
    pass = await engine.forward(IDS);
  });
  afterAll(() => engine?.dispose());

  test("parts of every state sum to it, and states with biases to the states above", async () => {
    const { nLayers, nHeads, dModel, layers } = files.architecture;
    // Fewer tokens than the prompt has: later ones have no part.
    const n = 5;
    const next = random(7);
    const along = (g: Float32Array, x: Float32Array, t: number, at = t * dModel): number => {
      let sum = 0;
      for (let i = 0; i < dModel; i++) sum += g[t * dModel + i] * x[at + i];
      return sum;
    };
    for (let layer = 0; layer < nLayers; layer++) {
      const gradient = Float32Array.from({ length: n * dModel }, next);
      const sequential = layers[layer].block === "sequential";
      const { valueBiasOut, outputBias, ffnOutputBias } = await engine.constants(layer);
      const back = await pass.backward(layer, gradient, [
        "to_pre",
        "terms",
        "neurons",
        "ffn",
        "attention_constant",
        "ffn_constant",
        ...(sequential ? (["to_mid"] as const) : []),
        ...(valueBiasOut ? (["bias_terms"] as const) : []),
      ]);
      const states = await pass.fetch(layer, ["resid_pre", "resid_post", "pattern", "value_out", "term_scale", "ffn_scale", "ffn_out", "attn_out"]); // prettier-ignore
      const toMid = sequential ? back.to_mid.data : gradient;
      const [pre, post] = [states.resid_pre.data, states.resid_post.data];
      const T = IDS.length;
      let [above, below] = [0, 0];
      for (let q = 0; q < n; q++) {
        const scale = states.term_scale.data[q];
        let written = outputBias ? scale * along(toMid, outputBias, q, 0) : 0;
        for (let head = 0; head < nHeads; head++) {
          if (valueBiasOut) {
            const bias = scale * along(toMid, valueBiasOut, q, head * dModel);
            expect(back.bias_terms.data[head * n + q]).toBeCloseTo(bias, 4);
            written += bias;
          }
          for (let key = 0; key < n; key++) {
            const term = back.terms.data[(head * n + q) * n + key];
            const a = states.pattern.data[(head * T + q) * T + key] * scale;
            expect(term).toBeCloseTo(a * along(toMid, states.value_out.data, q, (key * nHeads + head) * dModel), 4);
            written += term;
          }
        }
        expect(written).toBeCloseTo(along(toMid, states.attn_out.data, q), 3);
        const { dFfn } = files.architecture;
        let neurons = ffnOutputBias ? states.ffn_scale.data[q] * along(gradient, ffnOutputBias, q, 0) : 0;
        for (let f = 0; f < dFfn; f++) neurons += back.neurons.data[q * dFfn + f];
        expect(back.ffn.data[q]).toBeCloseTo(neurons, 3);
        expect(back.ffn.data[q]).toBeCloseTo(along(gradient, states.ffn_out.data, q), 3);
        above += along(gradient, post, q);
        below += along(back.to_pre.data, pre, q) + back.attention_constant.data[q] + back.ffn_constant.data[q];
      }
      expect(below).toBeCloseTo(above, 3);
    }
  });
});

describe.each(["llama-tiny", "gpt2-tiny"])("%s", (name) => {
  test.each(["float16", "bfloat16", "q8", "q4"])(
    "%s: the same whatever memory there is, and it adds up",
    async (dtype) => {
      const files = await openModel(modelFolder(name));
      const { dModel } = files.architecture;
      const gradient = Float32Array.from({ length: IDS.length * dModel }, random(3));
      const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, x, i) => sum + x * b[i], 0);
      const found: Float32Array[] = [];
      for (const memoryBytes of [undefined, 80_000]) {
        const engine = await createEngine(files, { dtype, memoryBytes });
        const pass = await engine.forward(IDS);
        const { resid_pre, resid_post } = await pass.fetch(1, ["resid_pre", "resid_post"]);
        // Twice: what is loaded for each walk is loaded again.
        for (let i = 0; i < 2; i++) {
          const { to_pre, attention_constant, ffn_constant } = await pass.backward(1, gradient, ["to_pre", "attention_constant", "ffn_constant"]); // prettier-ignore
          found.push(to_pre.data);
          const constant = [...attention_constant.data, ...ffn_constant.data].reduce((a, b) => a + b, 0);
          expect(dot(to_pre.data, resid_pre.data) + constant).toBeCloseTo(dot(gradient, resid_post.data), 3);
        }
        await engine.dispose();
      }
      for (const other of found.slice(1)) expect(maxDifference(other, found[0])).toBeLessThan(1e-5);
    },
  );
});

test("a pass that was disposed of goes nowhere", async () => {
  const engine = await createEngine(await openModel(folders[0][1]));
  const pass = await engine.forward(IDS);
  await pass.dispose();
  await expect(pass.backward(0, new Float32Array(8), ["to_pre"])).rejects.toThrow("disposed");
  await engine.dispose();
});
