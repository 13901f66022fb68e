import * as path from "node:path";
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import type { WeightRef } from "../model/architecture";
import type { WeightEntry, WeightSource } from "../model/weights";
import type { MatrixContent, ParameterSource } from "./graph-builder";
import type { BuiltGraph } from "./layer-graph";
import { encodeModel } from "./onnx";
import type { Reclaimer } from "./reclaim";
import { type ComputeSettings, controlFields } from "./messages";

type Runtime = typeof import("onnxruntime-node");

/** Data type and bytes in place, for the types that onnxruntime reads straight from a file. */
const storedTypes: Readonly<Partial<Record<WeightEntry["type"], MatrixContent["type"]>>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/**
 * The weights of one graph. Matrices that lie in a file as the graph needs them stay there (external data: mapped, not
 * read); all others are read, as float32, and copied by the session.
 */
class GraphParameters implements ParameterSource {
  /** Matrices in memory, by the location that the graph knows them by. */
  readonly read: { readonly path: string; readonly data: Uint8Array }[] = [];

  constructor(private readonly weights: WeightSource, private readonly folder: string | undefined) {}

  matrix(ref: WeightRef, rows: number, columns: number): MatrixContent {
    const entry = checkedEntry(this.weights, ref, rows * columns, `${rows} × ${columns}`);
    const type = storedTypes[entry.type];
    const asStored = type !== undefined && ref.unpermuteHeads === undefined && !ref.stack && !ref.add;
    if (asStored && path.dirname(entry.file) === this.folder) {
      const byteLength = rows * columns * (type === "float32" ? 4 : 2);
      const rowBytes = entry.byteLength / (entry.dims[0] ?? 1);
      const offset = entry.offset + (ref.rows?.[0] ?? 0) * rowBytes;
      return { type, content: { kind: "external", location: path.basename(entry.file), offset, byteLength } };
    }
    const { data } = this.weights.read(ref);
    const location = `memory-${this.read.length}`;
    this.read.push({ path: location, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) });
    return { type: "float32", content: { kind: "external", location, offset: 0, byteLength: data.byteLength } };
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
  const rows = ref.rows ? [ref.rows[1] - ref.rows[0], ...entry.dims.slice(1)] : entry.dims;
  const dims = ref.stack ? [1 + ref.stack.length, ...rows] : rows;
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
  /** All matrices are used where they lie in the file: the session costs no memory. */
  readonly inPlace: boolean;
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

  constructor(
    private readonly runtime: Runtime,
    readonly weights: WeightSource,
    private readonly settings: ComputeSettings,
    private readonly control: Int32Array,
    private readonly reclaimer: Reclaimer,
  ) {
    this.folder = commonFolder(weights);
  }

  /** Builds and loads a graph. `what` names it in errors. */
  async create(what: string, build: (parameters: ParameterSource) => BuiltGraph): Promise<Session> {
    const { native, inPlace } = await this.load(what, build);
    return { run: (inputs, outputs) => this.run(what, native, inputs, outputs), release: () => native.release(), inPlace };
  }

  /** Apart from `create`, whose closures would keep the graph's bytes and matrices alive as long as the session. */
  private async load(what: string, build: (parameters: ParameterSource) => BuiltGraph): Promise<{ readonly native: InferenceSession; readonly inPlace: boolean }> {
    const parameters = new GraphParameters(this.weights, this.folder);
    const { graph, operatorSets } = build(parameters);
    const bytes = encodeModel(graph, operatorSets);
    const inPlace = parameters.read.length === 0;
    const options: InferenceSession.SessionOptions = {
      executionProviders: [this.settings.device],
      // A pattern would reserve one block as large as everything that the session ever allocates.
      enableMemPattern: false,
      // Each session would keep an arena of its own; freed memory serves the next layer instead.
      enableCpuMemArena: false,
      intraOpNumThreads: this.settings.threads ?? 0,
      logSeverityLevel: 3,
      externalData: inPlace ? undefined : parameters.read,
      extra: {
        session: {
          // Packing makes runs faster, but its result is memory of our own: worth it only where the weights are that already.
          disable_prepacking: inPlace ? "1" : "0",
          intra_op: { allow_spinning: "0" },
          ...(this.folder !== undefined ? { model_external_initializers_file_folder_path: this.folder } : {}),
        },
        // Folding the casts of half-precision weights would hold them as float32.
        optimization: { disable_specified_optimizers: "ConstantFolding" },
      },
    };
    const native = await this.native(`load ${what}`, () => this.runtime.InferenceSession.create(bytes, options));
    // The session has copied what was read.
    for (const { data } of parameters.read) this.reclaimer.note(data.byteLength);
    return { native, inPlace };
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
