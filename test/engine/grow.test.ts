import * as fc from "fast-check";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { createEngine, type Engine, type LayerTensorName } from "../../src/engine";
import type { ModelFiles } from "../../src/model/files";
import { openModel } from "../../src/model/open";
import { flat, maxDifference, root } from "../support/fixtures";

const folder = path.join(root, "test/reference/families");
const names = fs.readdirSync(folder).filter((name) => fs.existsSync(path.join(folder, name, "reference.json")));

const TENSORS: readonly LayerTensorName[] = [
  "resid_pre",
  "resid_post",
  "attn_out",
  "ffn_out",
  "pattern",
  "value_out",
  "term_scale",
  "ffn_pre",
  "ffn_post",
  "ffn_scale",
];

let scratch: string;
beforeAll(() => (scratch = fs.mkdtempSync(path.join(os.tmpdir(), "grow-"))));
afterAll(() => fs.rmSync(scratch, { recursive: true }));

/** Models of every family, made by transformers: windows, ALiBi, norms of queries, all scalings of rotary embeddings. */
describe.each(names)("%s", (name) => {
  const reference = JSON.parse(fs.readFileSync(path.join(folder, name, "reference.json"), "utf8")) as {
    token_ids: number[];
    logits: number[][];
  };
  let files: ModelFiles;
  let engine: Engine;

  beforeAll(async () => {
    files = await openModel(path.join(folder, name));
    engine = await createEngine(files, { threads: 1 });
  });

  afterAll(() => engine?.dispose());

  test("grown token by token, logits are those of transformers", async () => {
    const growth = engine.grow();
    for (const [position, id] of reference.token_ids.entries()) {
      const logits = await growth.append([id]);
      // A scaling that depends on the length is that of the tokens so far, not of all of them.
      if (position === reference.token_ids.length - 1)
        expect(maxDifference(logits!, reference.logits[position])).toBeLessThan(1e-4);
    }
    expect(maxDifference((await growth.pass().logits()).data, flat(reference.logits))).toBeLessThan(1e-4);
    growth.dispose();
  });

  test("however it is cut, a grown sequence is one pass over all its tokens", async () => {
    const { dVocab, maxPositions } = files.architecture;
    const most = Math.min(maxPositions, 90);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: dVocab - 1 }), { minLength: 2, maxLength: most, size: "max" }),
        fc.array(fc.integer({ min: 1, max: most - 1 }), { minLength: 1, maxLength: 4 }),
        async (ids, places) => {
          const cuts = [...new Set([0, ...places.filter((place) => place < ids.length), ids.length])].sort(
            (a, b) => a - b,
          );
          const growth = engine.grow();
          let last: Float32Array | undefined;
          for (const [i, cut] of cuts.slice(1).entries()) last = await growth.append(ids.slice(cuts[i], cut));
          const [grown, whole] = [growth.pass(), await engine.forward(ids)];
          growth.dispose();
          expect(maxDifference(last!, (await whole.logits(ids.length - 1)).data)).toBeLessThan(1e-4);
          for (let layer = 0; layer < files.architecture.nLayers; layer++) {
            const [a, b] = [await grown.fetch(layer, TENSORS), await whole.fetch(layer, TENSORS)];
            for (const tensor of TENSORS) {
              const size = Math.max(1, ...b[tensor].data.map(Math.abs));
              expect([tensor, maxDifference(a[tensor].data, b[tensor].data) / size < 1e-5]).toEqual([tensor, true]);
              expect(a[tensor].dims).toEqual(b[tensor].dims);
            }
          }
        },
      ),
      { numRuns: 4, seed: 7 },
    );
  });
});

test("a cancelled step leaves the sequence as it was", async () => {
  const [name] = names;
  const engine = await createEngine(await openModel(path.join(folder, name)), { threads: 1 });
  const growth = engine.grow();
  await growth.append([1, 2, 3]);
  await expect(growth.append([4, 5], { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
  expect(growth.nTokens).toBe(3);
  const next = await growth.append([6]);
  expect(maxDifference(next!, (await (await engine.forward([1, 2, 3, 6])).logits(3)).data)).toBeLessThan(1e-5);
  await engine.dispose();
});
