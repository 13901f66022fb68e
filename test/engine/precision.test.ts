import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { createEngine, type EngineFiles, type EngineOptions, type MemoryPlan } from "../../src/engine";
import { fromGgufBlocks, ggufBlockShape } from "../../src/engine/gguf-blocks";
import { dequantize, fromFloat16Bits, quantize, roundToHalf, strides, toHalfBits } from "../../src/engine/precision";
import { openModel } from "../../src/model/open";
import { createWeightSource } from "../../src/model/weight-source";
import type { WeightEntry } from "../../src/model/weights";
import { maxDifference, modelFolder, modelNames, readGolden, root } from "../support/fixtures";

/** By numpy, torch and the gguf package: test/reference/make_precision.py. */
const reference = JSON.parse(fs.readFileSync(path.join(root, "test/reference/precision.json"), "utf8")) as {
  float32: string;
  float16: string;
  bfloat16: string;
  matrix: number[];
  blocks: Record<"Q4_0" | "Q4_1" | "Q8_0" | "Q4_K" | "Q5_K" | "Q6_K", { bytes: string; values: number[] }>;
};

function bytes(hex: string): Buffer {
  return Buffer.from(Uint8Array.from(Buffer.from(hex, "hex")).buffer);
}
const floats = () => new Float32Array(bytes(reference.float32).buffer);
const halves = (hex: string) => new Uint16Array(bytes(hex).buffer);

describe("16 bits", () => {
  test.each(["float16", "bfloat16"] as const)("%s bits are those of numpy and torch", (type) => {
    expect(toHalfBits(floats(), type)).toEqual(halves(reference[type]));
  });

  test("rounding gives the value of the bits", () => {
    const expected = Float32Array.from(halves(reference.float16), fromFloat16Bits);
    expect(roundToHalf(floats(), "float16")).toEqual(expected);
    const brain = new Float32Array(Uint32Array.from(halves(reference.bfloat16), (half) => half << 16).buffer);
    expect(roundToHalf(floats(), "bfloat16")).toEqual(brain);
  });

  test("what is no number stays none", () => {
    for (const type of ["float16", "bfloat16"] as const) expect(roundToHalf(Float32Array.of(NaN), type)[0]).toBeNaN();
  });
});

describe("blocks", () => {
  test.each(["Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"] as const)("GGUF's %s keeps its values", (type) => {
    const { values: expected, bytes: raw } = reference.blocks[type];
    const blocks = fromGgufBlocks(bytes(raw), type);
    const values = dequantize(blocks, new Float32Array(expected.length), strides("out-in", expected.length, 1));
    expect(maxDifference(values, expected)).toBeLessThan(1e-6 * Math.max(...expected));
    expect(blocks.codes.length * 8).toBe(expected.length * ggufBlockShape(type).bits);
  });

  test.each([
    ["Q4_0", 4],
    ["Q8_0", 8],
  ] as const)("quantising is that of the gguf package's %s, but for its 16-bit scale", (type, bits) => {
    const blocks = quantize(Float32Array.from(reference.matrix), strides("out-in", 64, 5), bits);
    const values = dequantize(blocks, new Float32Array(5 * 64), strides("out-in", 64, 5));
    // Scales are at most 3.5 / 8, codes at most 127: rounding a scale to 11 bits moves a value by 2⁻¹¹ of itself.
    expect(maxDifference(values, reference.blocks[type].values)).toBeLessThan(3.5 * 2 ** -11);
  });

  test.each([
    [4, "out-in"],
    [8, "out-in"],
    [4, "in-out"],
    [8, "in-out"],
  ] as const)("%d bits, %s, a last block that is not full: half a step off at most, and stable", (bits, layout) => {
    const [inputs, outputs] = [45, 3];
    const places = strides(layout, inputs, outputs);
    const values = Float32Array.from({ length: inputs * outputs }, (_, i) => Math.sin(i * 7.3) * (1 + (i % 5)));
    const blocks = quantize(values, places, bits);
    const once = dequantize(blocks, new Float32Array(values.length), places);
    for (let output = 0; output < outputs; output++) {
      for (let input = 0; input < inputs; input++) {
        const at = output * places.outputStride + input * places.inputStride;
        const step = Math.abs(blocks.scales[output * 2 + Math.floor(input / 32)]);
        // Four bits have no +8: there the largest value's opposite is a whole step off.
        expect(Math.abs(once[at] - values[at])).toBeLessThan(step * (bits === 4 ? 1.001 : 0.501));
      }
    }
    expect(
      maxDifference(dequantize(quantize(once, places, bits), new Float32Array(values.length), places), once),
    ).toBeLessThan(1e-6);
  });
});

let scratch: string;
beforeAll(() => (scratch = fs.mkdtempSync(path.join(os.tmpdir(), "precision-"))));
afterAll(() => fs.rmSync(scratch, { recursive: true }));

interface Answers {
  readonly dtype: string;
  readonly plan: MemoryPlan;
  readonly logits: Float32Array;
  readonly neuron: Float32Array;
}

/** Logits of a prompt, after checking that the parts add up in this precision too. */
async function answers(files: EngineFiles, ids: readonly number[], options: EngineOptions): Promise<Answers> {
  const engine = await createEngine(files, options);
  try {
    const pass = await engine.forward(ids);
    const layer = files.architecture.nLayers - 1;
    const { pattern, value_out, attn_out, term_scale } = await pass.fetch(layer, [
      "pattern",
      "value_out",
      "attn_out",
      "term_scale",
    ]);
    const { valueBiasOut, outputBias } = await engine.constants(layer);
    const [nTokens, heads, d] = value_out.dims;
    const query = nTokens - 1;
    const whole = Float64Array.from({ length: d }, (_, i) => {
      let sum = outputBias?.[i] ?? 0;
      for (let head = 0; head < heads; head++) {
        sum += valueBiasOut?.[head * d + i] ?? 0;
        for (let key = 0; key <= query; key++)
          sum += pattern.data[(head * nTokens + query) * nTokens + key] * value_out.data[(key * heads + head) * d + i];
      }
      return sum * term_scale.data[query];
    });
    expect(maxDifference(whole, attn_out.data.subarray(query * d))).toBeLessThan(1e-4);
    return {
      dtype: engine.dtype,
      plan: engine.plan,
      logits: (await pass.logits()).data,
      neuron: await engine.neuronOutput(0, 3),
    };
  } finally {
    await engine.dispose();
  }
}

/** Largest difference of logits as a part of their largest size. */
function distance(a: Answers, b: Answers): number {
  return maxDifference(a.logits, b.logits) / b.logits.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
}

describe.each(modelNames)("dtypes of %s", (name) => {
  const ids = readGolden(`${name}.p6`).token_ids;
  let files: EngineFiles;
  let exact: Answers;
  beforeAll(async () => {
    files = await openModel(modelFolder(name));
    exact = await answers(files, ids, {});
  });

  test("auto is what the file has", () => expect(exact.dtype).toBe("float32"));

  // From measurements (docs/precision-and-memory.md), doubled; and never nothing.
  test.each([
    ["float16", 1e-2],
    ["bfloat16", 3e-2],
    ["q8", 1e-1],
    ["q4", 1],
  ] as const)("%s is near float32", async (dtype, limit) => {
    const rounded = await answers(files, ids, { dtype });
    expect(rounded.dtype).toBe(dtype);
    expect(distance(rounded, exact)).toBeLessThan(limit);
    expect(distance(rounded, exact)).toBeGreaterThan(0);
    expect(maxDifference(rounded.neuron, exact.neuron)).toBeGreaterThan(0);
    // Held small, or loaded for each run: the same weights, the same answers.
    expect(rounded.plan).toMatchObject({ residence: "fast", nStreamed: 0 });
    for (const memoryBytes of [300_000, 80_000]) {
      const small = await answers(files, ids, { dtype, memoryBytes });
      expect(small.plan.heldBytes).toBeLessThan(0.7 * memoryBytes);
      if (memoryBytes === 80_000 && dtype !== "q4")
        expect(small.plan).toMatchObject({ residence: "small", nStreamed: expect.any(Number) as number });
      if (memoryBytes === 80_000 && dtype === "float16") expect(small.plan.nStreamed).toBeGreaterThan(0);
      expect(distance(small, rounded)).toBeLessThan(1e-5);
      expect(small.neuron).toEqual(rounded.neuron);
    }
  });
});

describe("stored types", () => {
  const ids = readGolden("llama-tiny.p6").token_ids;

  /**
   * The same model with its matrices stored by `store`, which gives type and bytes, or nothing to leave one as it is.
   */
  async function stored(
    name: string,
    store: (values: Float32Array, entry: WeightEntry) => { type: WeightEntry["type"]; bytes: Uint8Array } | undefined,
  ): Promise<EngineFiles> {
    const files = await openModel(modelFolder("llama-tiny"));
    const file = path.join(scratch, name);
    const chunks: Uint8Array[] = [];
    const entries: WeightEntry[] = [];
    // At an odd place, as in files whose header has any length.
    let offset = 3;
    chunks.push(new Uint8Array(offset));
    for (const entry of files.weights.entries.values()) {
      const { data } = files.weights.read({ name: entry.name });
      const { type, bytes } = store(data, entry) ?? { type: entry.type, bytes: new Uint8Array(data.buffer) };
      entries.push({ ...entry, type, file, offset, byteLength: bytes.length });
      chunks.push(bytes);
      offset += bytes.length;
    }
    fs.writeFileSync(file, Buffer.concat(chunks));
    return { ...files, weights: createWeightSource(entries), storedType: name };
  }

  const half = (type: "float16" | "bfloat16") => (values: Float32Array) => {
    const bits = toHalfBits(values, type);
    return { type: type === "float16" ? ("F16" as const) : ("BF16" as const), bytes: new Uint8Array(bits.buffer) };
  };

  test.each(["float16", "bfloat16"] as const)(
    "%s is used in place, or as float32 where there is room, with the same values",
    async (type) => {
      const files = await stored(type, half(type));
      const fast = await answers(files, ids, {});
      expect(fast.dtype).toBe(type);
      const rounded = await answers(await openModel(modelFolder("llama-tiny")), ids, { dtype: type });
      expect(distance(fast, rounded)).toBeLessThan(1e-6);
      expect(distance(await answers(files, ids, { memoryBytes: 80_000 }), fast)).toBeLessThan(1e-6);
      expect(distance(await answers(files, ids, { dtype: "float32" }), fast)).toBeLessThan(1e-6);
    },
  );

  /** GGUF's blocks by the simplest encoder there is: codes from the block's range. */
  function ggufBlocks(type: "Q4_0" | "Q4_1" | "Q8_0") {
    return (values: Float32Array, entry: WeightEntry) => {
      if (
        entry.dims.length < 2 ||
        entry.dims[1] % 32 !== 0 ||
        entry.name.includes("embed") ||
        entry.name.includes("lm_head")
      )
        return undefined;
      const parts: number[] = [];
      for (let from = 0; from < values.length; from += 32) {
        const block = values.subarray(from, from + 32);
        const [low, high] = [Math.min(...block), Math.max(...block)];
        const size = Math.max(-low, high);
        const scale = fromFloat16Bits(
          toHalfBits(
            Float32Array.of(type === "Q4_1" ? (high - low) / 15 : type === "Q4_0" ? size / 7 : size / 127),
            "float16",
          )[0],
        );
        const half16 = (value: number) => {
          const [bits] = toHalfBits(Float32Array.of(value), "float16");
          return [bits & 0xff, bits >> 8];
        };
        parts.push(...half16(scale), ...(type === "Q4_1" ? half16(low) : []));
        const codes = Array.from(block, (value) =>
          type === "Q4_1" ? Math.round((value - low) / scale) : Math.round(value / scale) + (type === "Q4_0" ? 8 : 0),
        );
        if (type === "Q8_0") parts.push(...codes.map((code) => Math.max(-127, Math.min(127, code)) & 0xff));
        else
          for (let i = 0; i < 16; i++)
            parts.push(Math.max(0, Math.min(15, codes[i])) | (Math.max(0, Math.min(15, codes[i + 16])) << 4));
      }
      return { type, bytes: Uint8Array.from(parts) };
    };
  }

  test.each(["Q4_0", "Q4_1", "Q8_0"] as const)("blocks of %s are computed with as they are", async (type) => {
    const files = await stored(type, ggufBlocks(type));
    const dense = await answers(files, ids, { dtype: "float32" });
    for (const memoryBytes of [undefined, 200_000, 80_000]) {
      expect(distance(await answers(files, ids, { memoryBytes }), dense)).toBeLessThan(1e-5);
    }
    const quantised = type === "Q8_0" ? "q8" : "q4";
    const again = await answers(files, ids, { dtype: quantised });
    // down_proj's 80 inputs are no whole blocks: only it is quantised anew.
    expect(distance(again, dense)).toBeLessThan(type === "Q8_0" ? 0.05 : 1);
  });
});

describe("K-quants", () => {
  const [d, V] = [256, 40];
  const sizes = {
    nLayers: 2,
    nHeads: 4,
    nKeyValueHeads: 4,
    dModel: d,
    dHead: 64,
    dFfn: 512,
    dVocab: V,
    maxPositions: 64,
  };

  /**
   * A model whose layers' matrices are groups of the reference file, in turns with a sign that the scales do not have.
   */
  function model(type: "Q4_K" | "Q5_K" | "Q6_K"): EngineFiles {
    const file = path.join(scratch, `model.${type}`);
    const chunks: Uint8Array[] = [];
    const entries: WeightEntry[] = [];
    let offset = 0;
    const add = (name: string, dims: number[], kind: WeightEntry["type"], data: Uint8Array) => {
      entries.push({ name, dims, type: kind, file, offset, byteLength: data.length });
      chunks.push(data);
      offset += data.length;
    };
    const group = bytes(reference.blocks[type].bytes);
    const groupBytes = group.length / 3;
    const matrix = (name: string, rows: number, columns: number) => {
      const data = new Uint8Array(((rows * columns) / 256) * groupBytes);
      for (let i = 0, from = 0; from < data.length; i++, from += groupBytes)
        data.set(group.subarray((i % 3) * groupBytes, ((i % 3) + 1) * groupBytes), from);
      // Bytes behind the scales differ from group to group.
      for (let i = 0; i < data.length; i++)
        if (i % groupBytes > 20 && i % groupBytes < 140) data[i] ^= (i * 2654435761) >>> 24;
      add(name, [rows, columns], type, data);
      return { weight: { name }, layout: "out-in" as const };
    };
    add(
      "embedding",
      [V, d],
      "F32",
      new Uint8Array(Float32Array.from({ length: V * d }, (_, i) => Math.sin(i * i)).buffer),
    );
    const norm = { kind: "rmsnorm" as const, epsilon: 1e-6 };
    const layers = [0, 1].map((layer) => ({
      block: "sequential" as const,
      attentionNorm: norm,
      ffnNorm: norm,
      attention: {
        qkv: {
          kind: "separate" as const,
          query: matrix(`q${layer}`, d, d),
          key: matrix(`k${layer}`, d, d),
          value: matrix(`v${layer}`, d, d),
        },
        output: matrix(`o${layer}`, d, d),
        scale: 0.01,
      },
      ffn: { activation: "silu" as const, input: matrix(`in${layer}`, 512, d), output: matrix(`out${layer}`, d, 512) },
    }));
    fs.writeFileSync(file, Buffer.concat(chunks));
    const architecture = {
      family: "test",
      ...sizes,
      embedding: { token: { name: "embedding" } },
      layers,
      finalNorm: norm,
      unembedding: { weight: { name: "embedding" }, layout: "out-in" as const },
    };
    return { architecture, weights: createWeightSource(entries), storedType: type };
  }

  test.each(["Q4_K", "Q5_K", "Q6_K"] as const)("%s is computed with as it is", async (type) => {
    const files = model(type);
    const ids = [3, 17, 9, 30, 5];
    const run = async (options: EngineOptions) => {
      const engine = await createEngine(files, options);
      const logits = (await (await engine.forward(ids)).logits()).data;
      await engine.dispose();
      return logits;
    };
    const dense = await run({ dtype: "float32" });
    const largest = dense.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(largest).toBeGreaterThan(1);
    // All held; held as blocks; streamed.
    for (const memoryBytes of [undefined, 5e6, 3e6])
      expect(maxDifference(await run({ memoryBytes }), dense) / largest).toBeLessThan(2e-5);
  });
});

test("a dtype that is none is refused with the list", async () => {
  const files = await openModel(modelFolder("llama-tiny"));
  await expect(createEngine(files, { dtype: "int4" })).rejects.toThrow(
    'There is no dtype "int4"; there are "auto", "float32", "float16", "bfloat16", "q8" and "q4".',
  );
});
