import * as path from "node:path";
import type { Architecture, Linear, WeightRef } from "../model/architecture";
import type { WeightEntry, WeightSource } from "../model/weights";
import type { GraphLayer } from "./layer-graph";
import { fromGgufBlocks, ggufBlockShape, isGgufBlockType } from "./gguf-blocks";
import { type Blocks, dequantize, quantize, roundToHalf, strides, toHalfBits } from "./precision";
import type { Dtype } from "../model/types";

/** Whether matrices may be held as float32 ("fast"), or are held as small as they are ("small"). */
export type Residence = "fast" | "small";

/** A matrix as a session gets it. */
export type StoredMatrix =
  /** Where it lies in the file, `file` inside the common folder. */
  | {
      readonly kind: "in-place";
      readonly type: "float32" | "float16" | "bfloat16";
      readonly file: string;
      readonly offset: number;
      readonly byteLength: number;
    }
  | { readonly kind: "read"; readonly type: "float32" | "float16" | "bfloat16"; readonly bytes: Uint8Array }
  | { readonly kind: "blocks"; readonly blocks: Blocks };

type Plan =
  | { readonly kind: "in-place"; readonly type: "float32" | "float16" | "bfloat16" }
  | { readonly kind: "dense"; readonly type: "float32" | "float16" | "bfloat16" }
  /** `stored`: the file's own blocks; otherwise quantised here. */
  | { readonly kind: "blocks"; readonly bits: 4 | 8; readonly stored: boolean };

const floatTypes: Readonly<Partial<Record<WeightEntry["type"], "float32" | "float16" | "bfloat16">>> = {
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
};

/** Which precision a matrix follows: q8 and q4 are for the layers; the vocabulary's matrices keep what the file has. */
export type Role = "layer" | "vocabulary";

/**
 * The weights that are computed with: the file's, rounded to the dtype. Every value that leaves here is the rounded
 * one, so that what attribution reads of a matrix is what the sessions multiply with.
 */
export class ComputeWeights {
  readonly folder: string | undefined;
  /** Of the layers' matrices and of the vocabulary's. */
  readonly residence: Record<Role, Residence> = { layer: "fast", vocabulary: "fast" };

  constructor(
    readonly source: WeightSource,
    readonly dtype: Dtype,
  ) {
    this.folder = commonFolder(source);
  }

  /** For a session. Throws where the file's tensor has another size than `inputs` × `outputs`. */
  matrix(linear: Linear, inputs: number, outputs: number, role: Role): StoredMatrix {
    const entry = this.#entry(linear, inputs, outputs);
    const plan = this.#plan(linear, entry, inputs, role);
    if (plan.kind === "in-place") {
      const [rows, columns] = linear.layout === "out-in" ? [outputs, inputs] : [inputs, outputs];
      const bytes = plan.type === "float32" ? 4 : 2;
      const offset = entry.offset + (linear.weight.rows?.[0] ?? 0) * columns * bytes;
      return {
        kind: "in-place",
        type: plan.type,
        file: path.basename(entry.file),
        offset,
        byteLength: rows * columns * bytes,
      };
    }
    if (plan.kind === "blocks") {
      if (plan.stored && isGgufBlockType(entry.type))
        return { kind: "blocks", blocks: fromGgufBlocks(this.source.readRaw(linear.weight), entry.type) };
      return {
        kind: "blocks",
        blocks: quantize(this.source.read(linear.weight).data, strides(linear.layout, inputs, outputs), plan.bits),
      };
    }
    if (plan.type === "float32")
      return { kind: "read", type: "float32", bytes: bytesOf(this.values(linear, inputs, outputs, role)) };
    return {
      kind: "read",
      type: plan.type,
      bytes: bytesOf(toHalfBits(this.source.read(linear.weight).data, plan.type)),
    };
  }

  /** The values of a matrix as it lies in the file, float32. */
  values(linear: Linear, inputs: number, outputs: number, role: Role): Float32Array {
    this.#entry(linear, inputs, outputs);
    const { data } = this.source.read(linear.weight);
    if (role === "layer" && (this.dtype === "q8" || this.dtype === "q4")) {
      const places = strides(linear.layout, inputs, outputs);
      return this.#keepsBlocks(linear)
        ? data
        : dequantize(quantize(data, places, this.dtype === "q8" ? 8 : 4), data, places);
    }
    return this.#rounded(data);
  }

  /** A bias, or the scale of a norm. */
  vector(ref: WeightRef, length: number): Float32Array {
    checkedEntry(this.source, ref, length, String(length));
    return this.#rounded(this.source.read(ref).data);
  }

  /** Rows of an embedding matrix, [rows.length, columns]. */
  rows(ref: WeightRef, rows: readonly number[]): Float32Array {
    return this.#rounded(this.source.readRows(ref, rows));
  }

  /** A session uses the layer's matrix where it lies in the file, and takes no memory for it. */
  inPlace(linear: Linear, inputs: number, outputs: number): boolean {
    return this.#plan(linear, this.#entry(linear, inputs, outputs), inputs, "layer").kind === "in-place";
  }

  /** What a session with this matrix takes: memory of its own, and pages of the file while it is loaded. */
  size(
    linear: Linear,
    inputs: number,
    outputs: number,
    role: Role,
    residence: Residence,
  ): { readonly memory: number; readonly file: number } {
    const plan = this.#plan(linear, this.#entry(linear, inputs, outputs), inputs, role, residence);
    if (plan.kind !== "blocks") {
      const bytes = inputs * outputs * (plan.type === "float32" ? 4 : 2);
      return plan.kind === "in-place" ? { memory: 0, file: bytes } : { memory: bytes, file: 0 };
    }
    const { type } = this.#entry(linear, inputs, outputs);
    const { size, shifts } = plan.stored && isGgufBlockType(type) ? ggufBlockShape(type) : { size: 32, shifts: false };
    // Codes, and float32 scales and shifts.
    return { memory: outputs * Math.ceil(inputs / size) * ((size * plan.bits) / 8 + (shifts ? 8 : 4)), file: 0 };
  }

  #plan(
    linear: Linear,
    entry: WeightEntry,
    inputs: number,
    role: Role,
    residence: Residence = this.residence[role],
  ): Plan {
    const { weight } = linear;
    const stored = floatTypes[entry.type];
    const inPlace =
      stored !== undefined &&
      path.dirname(entry.file) === this.folder &&
      weight.unpermuteHeads === undefined &&
      !weight.stack &&
      !weight.add;
    const dtype = role === "vocabulary" && (this.dtype === "q8" || this.dtype === "q4") ? "auto" : this.dtype;
    switch (dtype) {
      case "float32":
        return inPlace && stored === "float32"
          ? { kind: "in-place", type: stored }
          : { kind: "dense", type: "float32" };
      case "float16":
      case "bfloat16":
        if (residence === "fast") return { kind: "dense", type: "float32" };
        return inPlace && stored === dtype ? { kind: "in-place", type: dtype } : { kind: "dense", type: dtype };
      case "q4":
        return { kind: "blocks", bits: 4, stored: this.#keepsBlocks(linear) };
      case "q8":
        // Eight bits are unpacked anew in every run: only where memory asks for it.
        return residence === "fast"
          ? { kind: "dense", type: "float32" }
          : { kind: "blocks", bits: 8, stored: this.#keepsBlocks(linear) };
      case "auto":
        if (inPlace && (stored === "float32" || residence === "small")) return { kind: "in-place", type: stored };
        if (stored === "float32" || residence === "fast") {
          return role === "layer" && this.#holdsBlocks(linear, entry, inputs, 4)
            ? { kind: "blocks", bits: 4, stored: true }
            : { kind: "dense", type: "float32" };
        }
        if (stored !== undefined) return { kind: "dense", type: stored };
        if (this.#holdsBlocks(linear, entry, inputs, 4)) return { kind: "blocks", bits: 4, stored: true };
        return this.#holdsBlocks(linear, entry, inputs, 8)
          ? { kind: "blocks", bits: 8, stored: true }
          : { kind: "dense", type: "float32" };
    }
  }

  /** The file's blocks can be used as they are: the matrix lies [outputs, inputs] and nothing is added to it. */
  #holdsBlocks(linear: Linear, entry: WeightEntry, inputs: number, bits: 4 | 8): boolean {
    const { weight, layout } = linear;
    if (!isGgufBlockType(entry.type) || layout !== "out-in" || weight.add || weight.stack) return false;
    const shape = ggufBlockShape(entry.type);
    return shape.bits === bits && inputs % shape.values === 0;
  }

  /** A quantised dtype is what the file has already. */
  #keepsBlocks(linear: Linear): boolean {
    const entry = this.source.entries.get(linear.weight.name);
    const bits = this.dtype === "q8" ? 8 : 4;
    return entry !== undefined && this.#holdsBlocks(linear, entry, entry.dims[1], bits);
  }

  #rounded(data: Float32Array): Float32Array {
    return this.dtype === "float16" || this.dtype === "bfloat16" ? roundToHalf(data, this.dtype) : data;
  }

  #entry(linear: Linear, inputs: number, outputs: number): WeightEntry {
    const shape = linear.layout === "out-in" ? `${outputs} × ${inputs}` : `${inputs} × ${outputs}`;
    return checkedEntry(this.source, linear.weight, inputs * outputs, shape);
  }
}

/** The entry of `ref`; throws where it is missing or holds another number of values than the architecture says. */
export function checkedEntry(weights: WeightSource, ref: WeightRef, length: number, shape: string): WeightEntry {
  const entry = weights.entries.get(ref.name);
  if (!entry) throw new Error(`The model's files have no tensor "${ref.name}".`);
  const rows = ref.rows ? [ref.rows[1] - ref.rows[0], ...entry.dims.slice(1)] : entry.dims;
  const dims = ref.stack ? [1 + ref.stack.length, ...rows] : rows;
  const found = dims.reduce((product, dim) => product * dim, 1);
  if (found !== length)
    throw new Error(`Tensor "${ref.name}" is ${dims.join(" × ")}, but the model's configuration makes it ${shape}.`);
  return entry;
}

/** A linear layer with its sizes. */
export type SizedLinear = readonly [linear: Linear, inputs: number, outputs: number];

/** All matrices of a layer. */
export function matricesOf(
  sizes: Pick<Architecture, "nHeads" | "nKeyValueHeads" | "dModel" | "dHead" | "dFfn">,
  layer: Pick<GraphLayer, "ffn"> & { readonly attention: Pick<GraphLayer["attention"], "qkv" | "output"> },
): SizedLinear[] {
  const { nHeads, nKeyValueHeads, dModel, dHead, dFfn } = sizes;
  const { qkv, output } = layer.attention;
  const { ffn } = layer;
  const [nQuery, nKey] = [nHeads * dHead, nKeyValueHeads * dHead];
  const matrices: SizedLinear[] =
    qkv.kind === "fused"
      ? [[qkv.linear, dModel, nQuery + 2 * nKey]]
      : [
          [qkv.query, dModel, nQuery],
          [qkv.key, dModel, nKey],
          [qkv.value, dModel, nKey],
        ];
  matrices.push(
    [output, nQuery, dModel],
    [ffn.input, dModel, ffn.fusedGate ? 2 * dFfn : dFfn],
    [ffn.output, dFfn, dModel],
  );
  if (ffn.up) matrices.push([ffn.up, dModel, dFfn]);
  return matrices;
}

function bytesOf(values: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** The folder that holds most of the weights: onnxruntime reads in place from one. */
function commonFolder(weights: WeightSource): string | undefined {
  const bytes = new Map<string, number>();
  for (const entry of weights.entries.values()) {
    const folder = path.dirname(entry.file);
    bytes.set(folder, (bytes.get(folder) ?? 0) + entry.byteLength);
  }
  return [...bytes].sort((a, b) => b[1] - a[1])[0]?.[0];
}
