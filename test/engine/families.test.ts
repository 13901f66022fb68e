import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { createEngine, type Engine, type Pass } from "../../src/engine";
import type { ModelFiles } from "../../src/model/files";
import { openModel } from "../../src/model/open";
import { flat, maxDifference, root } from "../support/fixtures";

const folder = path.join(root, "test/reference/families");
const names = fs.readdirSync(folder).filter((name) => fs.existsSync(path.join(folder, name, "reference.json")));

/** Characters as tokens: these models are fed with ids, but a model folder has a tokenizer. */
const tokenizer = {
  version: "1.0",
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: null,
  model: {
    type: "BPE",
    vocab: Object.fromEntries(Array.from({ length: 61 }, (_, id) => [String.fromCharCode(48 + id), id])),
    merges: [],
  },
};

let scratch: string;
beforeAll(() => (scratch = fs.mkdtempSync(path.join(os.tmpdir(), "families-"))));
afterAll(() => fs.rmSync(scratch, { recursive: true }));

test("there is a model of each family", () => {
  expect(names.length).toBeGreaterThan(30);
});

/** Models made by transformers (test/reference/make_families.py): its values are the reference. */
describe.each(names)("%s", (name) => {
  const reference = JSON.parse(fs.readFileSync(path.join(folder, name, "reference.json"), "utf8")) as {
    token_ids: number[];
    logits: number[][];
    after_first_layer: number[][];
  };
  let files: ModelFiles;
  let engine: Engine;
  let pass: Pass;

  beforeAll(async () => {
    const model = path.join(scratch, name);
    fs.cpSync(path.join(folder, name), model, { recursive: true });
    fs.writeFileSync(path.join(model, "tokenizer.json"), JSON.stringify(tokenizer));
    files = await openModel(model);
    engine = await createEngine(files);
    pass = await engine.forward(reference.token_ids);
  });

  afterAll(() => engine?.dispose());

  test("logits and states are those of transformers", async () => {
    const { resid_post } = await pass.fetch(0, ["resid_post"]);
    expect(maxDifference(resid_post.data, flat(reference.after_first_layer))).toBeLessThan(1e-4);
    expect(maxDifference((await pass.logits()).data, flat(reference.logits))).toBeLessThan(1e-4);
  });

  test("unembedding is the model's own, and without the norm plain products", async () => {
    const { architecture, weights } = files;
    const last = architecture.nLayers - 1;
    const state = (await pass.fetch(last, ["resid_post"])).resid_post.data.subarray(-architecture.dModel);
    const expected = reference.logits[reference.logits.length - 1];
    expect(maxDifference((await engine.unembed(state)).data, expected)).toBeLessThan(1e-4);
    expect(maxDifference((await pass.logits(reference.token_ids.length - 1)).data, expected)).toBeLessThan(1e-4);
    const { weight, bias } = architecture.unembedding;
    const matrix = weights.read(weight).data;
    const biases = bias && weights.read(bias).data;
    const products = Float64Array.from(expected, (_, token) =>
      state.reduce((sum, value, i) => sum + value * matrix[token * state.length + i], biases?.[token] ?? 0),
    );
    expect(maxDifference((await engine.unembed(state, { normalize: false })).data, products)).toBeLessThan(1e-4);
  });

  test("the terms and the constants add up to the blocks' outputs", async () => {
    const first = await pass.fetch(0, [
      "pattern",
      "value_out",
      "term_scale",
      "attn_out",
      "resid_pre",
      "resid_post",
      "ffn_out",
      "ffn_post",
      "ffn_scale",
    ]);
    const { valueBiasOut, outputBias, ffnOutputBias } = await engine.constants(0);
    const [nTokens, heads, d] = first.value_out.dims;
    const query = nTokens - 1;
    const scale = first.term_scale.data[query];
    const attention = new Float64Array(d);
    for (let i = 0; i < d; i++) {
      attention[i] = (outputBias?.[i] ?? 0) * scale;
      for (let head = 0; head < heads; head++) {
        attention[i] += (valueBiasOut?.[head * d + i] ?? 0) * scale;
        for (let key = 0; key <= query; key++) {
          attention[i] +=
            first.pattern.data[(head * nTokens + query) * nTokens + key] *
            scale *
            first.value_out.data[(key * heads + head) * d + i];
        }
      }
    }
    expect(maxDifference(attention, first.attn_out.data.subarray(query * d))).toBeLessThan(1e-4);

    const nNeurons = first.ffn_post.dims[1];
    const written = new Float64Array(d);
    for (let i = 0; i < d; i++) written[i] = (ffnOutputBias?.[i] ?? 0) * first.ffn_scale.data[query];
    const proximities = await pass.neuronProximities(0, query);
    const post = first.resid_post.data.subarray(query * d);
    for (let neuron = 0; neuron < nNeurons; neuron++) {
      const row = await engine.neuronOutput(0, neuron);
      const factor = first.ffn_post.data[query * nNeurons + neuron] * first.ffn_scale.data[query];
      let proximity = 0;
      for (let i = 0; i < d; i++) {
        written[i] += factor * row[i];
        proximity += Math.abs(post[i]) - Math.abs(post[i] - factor * row[i]);
      }
      expect(proximities[neuron]).toBeCloseTo(proximity, 4);
    }
    expect(maxDifference(written, first.ffn_out.data.subarray(query * d))).toBeLessThan(1e-4);
    const whole = post.map((_, i) => first.resid_pre.data[query * d + i] + attention[i] + written[i]);
    expect(maxDifference(whole, post)).toBeLessThan(1e-4);
  });
});
