import * as path from "node:path";
import { createEngine, type Engine, type LayerChanges, type WholePass } from "../../src/engine";
import type { ModelFiles } from "../../src/model/files";
import { openModel } from "../../src/model/open";
import * as fs from "node:fs";
import { maxDifference, root } from "../support/fixtures";

const folder = path.join(root, "test/reference/families");
const names = fs.readdirSync(folder).filter((name) => fs.existsSync(path.join(folder, name, "reference.json")));
const ids = [4, 9, 17, 5, 9, 30, 41];
const T = ids.length;
const ones = (n: number): Float32Array => new Float32Array(n).fill(1);

describe.each(names)("%s", (name) => {
  let files: ModelFiles;
  let engine: Engine;
  let pass: WholePass;
  let nothing: LayerChanges;

  beforeAll(async () => {
    files = await openModel(path.join(folder, name));
    engine = await createEngine(files, { threads: 1 });
    pass = await engine.forward(ids);
    const { nHeads: H, dFfn, layers } = files.architecture;
    nothing = {
      blocked: new Uint8Array(H * T * T),
      weights: ones(H * T * T),
      heads: { gain: ones(T * H) },
      attention: { gain: ones(T) },
      ...(layers[0].block === "sequential" ? { mid: { gain: ones(T) } } : {}),
      neurons: { gain: ones(T * dFfn) },
      ffn: { gain: ones(T) },
    };
  });

  afterAll(() => engine?.dispose());

  test("a graph with inputs for changes, and nothing changed, computes the layer", async () => {
    const { nLayers } = files.architecture;
    const same = await pass.change({
      layers: new Map(Array.from({ length: nLayers }, (_, layer) => [layer, nothing])),
      states: new Map(),
    });
    for (let layer = 0; layer < nLayers; layer++) {
      const asked = ["resid_pre", "resid_post", "attn_out", "ffn_out", "pattern", "ffn_post", "term_scale"] as const;
      const [a, b] = [await same.fetch(layer, asked), await pass.fetch(layer, asked)];
      for (const tensor of asked) {
        const size = Math.max(1, ...b[tensor].data.map(Math.abs));
        expect([tensor, maxDifference(a[tensor].data, b[tensor].data) / size < 2e-6]).toEqual([tensor, true]);
      }
    }
    expect(maxDifference((await same.logits()).data, (await pass.logits()).data)).toBeLessThan(1e-5);
  });

  test("layers below the first change are the base's own memory", async () => {
    const last = files.architecture.nLayers - 1;
    const cut = await pass.change({
      layers: new Map([[last, { ffn: { gain: new Float32Array(T) } }]]),
      states: new Map(),
    });
    expect(cut.firstState).toBe(last + 1);
    const [a, b] = [await cut.fetch(last, ["resid_pre"]), await pass.fetch(last, ["resid_pre"])];
    expect(a.resid_pre.data.buffer).toBe(b.resid_pre.data.buffer);
    expect(a.resid_pre.data.byteOffset).toBe(b.resid_pre.data.byteOffset);
    expect((await cut.fetch(last, ["ffn_raw"])).ffn_raw.data.every((x) => x === 0)).toBe(true);
    expect((await pass.fetch(last, ["ffn_raw"])).ffn_raw.data.every((x) => x === 0)).toBe(false);
  });

  test("what each head writes sums to the block, before its bias", async () => {
    const { nHeads: H, dModel: d } = files.architecture;
    const { head_mix, attn_out, term_scale } = await pass.fetch(0, ["head_mix", "attn_out", "term_scale"]);
    const written = await pass.headOutputs(0, head_mix.data);
    const { outputBias } = await engine.constants(0);
    const sums = attn_out.data.map((_, i) => {
      const [t, j] = [Math.floor(i / d), i % d];
      let sum = outputBias ? outputBias[j] : 0;
      for (let head = 0; head < H; head++) sum += written[(t * H + head) * d + j];
      return sum * term_scale.data[t];
    });
    const size = Math.max(1, ...attn_out.data.map(Math.abs));
    expect(maxDifference(sums, attn_out.data) / size).toBeLessThan(1e-5);
  });
});

test.each(["q8", "float32"] as const)("%s, in as little memory as there is: the same numbers", async (dtype) => {
  const own = await openModel(path.join(folder, "gemma3"));
  const { nLayers, nHeads: H } = own.architecture;
  const heads = { gain: Float32Array.from({ length: T * H }, (_, i) => (i % 3) / 2) };
  const changes = {
    layers: new Map(Array.from({ length: nLayers }, (_, layer) => [layer, { heads }] as const)),
    states: new Map(),
  };
  const logits = async (
    memoryBytes?: number,
  ): Promise<{ readonly values: Float32Array; readonly nStreamed: number }> => {
    const engine = await createEngine(own, { threads: 1, dtype, memoryBytes });
    // Twice: what was let go of is made again.
    let values: Float32Array = new Float32Array();
    for (let i = 0; i < 2; i++) values = (await (await (await engine.forward(ids)).change(changes)).logits()).data;
    const { nStreamed } = engine.plan;
    await engine.dispose();
    return { values, nStreamed };
  };
  const plenty = await logits();
  const streamed: number[] = [];
  for (const memory of [400e3, 100e3, 60e3, 35e3, 24e3]) {
    const { values, nStreamed } = await logits(memory);
    streamed.push(nStreamed);
    expect(maxDifference(values, plenty.values)).toBeLessThan(1e-5);
  }
  expect(streamed[0]).toBe(0);
  expect(streamed.at(-1)).toBeGreaterThan(0);
});
