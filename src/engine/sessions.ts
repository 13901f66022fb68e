import * as path from "node:path";
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import type { WeightRef } from "../model/architecture";
import type { WeightEntry, WeightSource } from "../model/weights";
import type { MatrixContent, ParameterSource } from "./graph-builder";
import type { BuiltGraph } from "./layer-graph";
import { encodeModel } from "./onnx";
import { type ComputeSettings, controlFields } from "./messages";

type Runtime = typeof import("onnxruntime-node");

/** Data type and bytes in place, for the types that onnxruntime reads straight from a file. */
const inPlace: Readonly<Partial<Record<WeightEntry["type"], MatrixContent["type"]>>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/**
 * Matrices that had to be read, float32, so that graphs that use the same one share it. onnxruntime uses them where
 * they lie: each lives as long as a session that was made with it.
 */
class HeldMatrices {
  private readonly matrices = new Map<string, { readonly bytes: Uint8Array; users: number }>();

  constructor(private readonly weights: WeightSource) {}

  take(ref: WeightRef): { readonly key: string; readonly bytes: Uint8Array } {
    const key = JSON.stringify([ref.name, ref.rows, ref.unpermuteHeads, ref.add]);
    let held = this.matrices.get(key);
    if (!held) {
      const { data } = this.weights.read(ref);
      held = { bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength), users: 0 };
      this.matrices.set(key, held);
    }
    held.users++;
    return { key, bytes: held.bytes };
  }

  giveBack(key: string): void {
    const held = this.matrices.get(key);
    if (held && --held.users === 0) this.matrices.delete(key);
  }
}

/**
 * The weights of one graph. Matrices that lie in a file as the graph needs them stay there (external data: mapped, not
 * read); all others are read, as float32, into memory that the session shares.
 */
class GraphParameters implements ParameterSource {
  /** Matrices in memory; the key is also the location that the graph knows them by. */
  readonly held: { readonly path: string; readonly data: Uint8Array }[] = [];

  constructor(private readonly weights: WeightSource, private readonly matrices: HeldMatrices, private readonly folder: string | undefined) {}

  matrix(ref: WeightRef, rows: number, columns: number): MatrixContent {
    const entry = checkedEntry(this.weights, ref, rows * columns, `${rows} × ${columns}`);
    const type = inPlace[entry.type];
    const asStored = type !== undefined && ref.unpermuteHeads === undefined && !ref.add;
    if (asStored && path.dirname(entry.file) === this.folder) {
      const byteLength = rows * columns * (type === "float32" ? 4 : 2);
      const rowBytes = entry.byteLength / (entry.dims[0] ?? 1);
      const offset = entry.offset + (ref.rows?.[0] ?? 0) * rowBytes;
      return { type, content: { kind: "external", location: path.basename(entry.file), offset, byteLength } };
    }
    const { key, bytes } = this.matrices.take(ref);
    this.held.push({ path: key, data: bytes });
    return { type: "float32", content: { kind: "external", location: key, offset: 0, byteLength: bytes.length } };
  }

  vector(ref: WeightRef, length: number): Float32Array {
    checkedEntry(this.weights, ref, length, String(length));
    return this.weights.read(ref).data;
  }
}

/** The entry of `ref`; throws where it is missing or holds another number of values than the architecture says. */
export function checkedEntry(weights: WeightSource, ref: WeightRef, length: number, shape: string): WeightEntry {
  const entry = weights.entries.get(ref.name);
  if (!entry) throw new Error(`The model's files have no tensor "${ref.name}".`);
  const dims = ref.rows ? [ref.rows[1] - ref.rows[0], ...entry.dims.slice(1)] : entry.dims;
  const found = dims.reduce((product, dim) => product * dim, 1);
  if (found !== length) throw new Error(`Tensor "${ref.name}" is ${dims.join(" × ")}, but the model's configuration makes it ${shape}.`);
  return entry;
}

/** A float32 tensor in this thread's own memory: onnxruntime takes no shared memory. */
export interface Array32 {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** A graph that is ready to run. */
export interface Session {
  /** Runs the graph; `outputs` are written in place. Only those named are computed for the caller. */
  run(inputs: Readonly<Record<string, Array32>>, outputs: Readonly<Record<string, Array32>>): Promise<void>;
  release(): Promise<void>;
}

/** The thread is to end; no native call may start any more. */
export class StoppedError extends Error {
  constructor() {
    super("The model was disposed of.");
  }
}

/** Makes sessions and runs them. */
export class Sessions {
  private readonly folder: string | undefined;
  private readonly matrices: HeldMatrices;

  constructor(
    private readonly runtime: Runtime,
    readonly weights: WeightSource,
    private readonly settings: ComputeSettings,
    private readonly control: Int32Array,
  ) {
    this.folder = commonFolder(weights);
    this.matrices = new HeldMatrices(weights);
  }

  /** Builds and loads a graph. `what` names it in errors. */
  async create(what: string, build: (parameters: ParameterSource) => BuiltGraph): Promise<Session> {
    const parameters = new GraphParameters(this.weights, this.matrices, this.folder);
    const { graph, operatorSets } = build(parameters);
    const bytes = encodeModel(graph, operatorSets);
    const options: InferenceSession.SessionOptions = {
      executionProviders: [this.settings.device],
      // A pattern would reserve one block as large as everything that the session ever allocates.
      enableMemPattern: false,
      // Each session would keep an arena of its own; freed memory serves the next layer instead.
      enableCpuMemArena: false,
      intraOpNumThreads: this.settings.threads ?? 0,
      logSeverityLevel: 3,
      externalData: parameters.held.length > 0 ? [...parameters.held] : undefined,
      extra: {
        session: {
          disable_prepacking: "1",
          intra_op: { allow_spinning: "0" },
          ...(this.folder !== undefined ? { model_external_initializers_file_folder_path: this.folder } : {}),
        },
        // Folding the casts of half-precision weights would hold them as float32.
        optimization: { disable_specified_optimizers: "ConstantFolding" },
      },
    };
    const native = await this.native(`load ${what}`, () => this.runtime.InferenceSession.create(bytes, options));
    return {
      run: (inputs, outputs) => this.run(what, native, inputs, outputs),
      release: async () => {
        await native.release();
        for (const { path: key } of parameters.held) this.matrices.giveBack(key);
      },
    };
  }

  private async run(what: string, native: InferenceSession, inputs: Readonly<Record<string, Array32>>, outputs: Readonly<Record<string, Array32>>): Promise<void> {
    const feeds: Record<string, OrtTensor> = {};
    for (const name of native.inputNames) {
      const input = inputs[name];
      if (input === undefined) throw new Error(`The graph of ${what} needs the input "${name}".`);
      feeds[name] = new this.runtime.Tensor("float32", input.data, input.dims);
    }
    const fetches: Record<string, OrtTensor> = {};
    for (const [name, { data, dims }] of Object.entries(outputs)) fetches[name] = new this.runtime.Tensor("float32", data, dims);
    await this.native(`run ${what}`, () => native.run(feeds, fetches));
  }

  /** No native call starts once the thread is to stop, and the other thread sees that one is under way. */
  private async native<R>(what: string, call: () => Promise<R>): Promise<R> {
    Atomics.add(this.control, controlFields.busy, 1);
    try {
      if (Atomics.load(this.control, controlFields.stop) !== 0) throw new StoppedError();
      return await call();
    } catch (error) {
      if (error instanceof StoppedError) throw error;
      throw new Error(`onnxruntime could not ${what}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      Atomics.sub(this.control, controlFields.busy, 1);
      Atomics.notify(this.control, controlFields.busy);
    }
  }
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
