import * as path from "node:path";
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import type { Linear, WeightRef } from "../model/architecture";
import type { ComputeWeights, Role, StoredMatrix } from "./compute-weights";
import type { BlockContent, DenseContent, ParameterSource } from "./graph-builder";
import type { BuiltGraph } from "./layer-graph";
import { encodeModel, type Graph, type Initializer } from "./onnx";
import type { Reclaimer } from "../threads/reclaim";
import { controlFields } from "./messages";

type Runtime = typeof import("onnxruntime-node");

/**
 * The weights of one graph. Matrices that lie in a file as the graph needs them stay there (external data: mapped, not
 * read); all others are given to the session in memory, which copies them.
 */
class GraphParameters implements ParameterSource {
  /** Files that the graph's weights lie in. */
  readonly files = new Set<string>();
  hasBlocks = false;
  heldBytes = 0;

  constructor(
    private readonly weights: ComputeWeights,
    private readonly role: Role,
  ) {}

  matrix(linear: Linear, inputs: number, outputs: number): DenseContent | BlockContent {
    const stored = this.weights.matrix(linear, inputs, outputs, this.role);
    if (stored.kind !== "blocks") return this.#place(stored);
    this.hasBlocks = true;
    const { bits, size, codes, scales, shifts } = stored.blocks;
    return {
      kind: "blocks",
      bits,
      size,
      codes: this.#hold(codes),
      scales: this.#hold(scales),
      shifts: shifts && this.#hold(shifts),
    };
  }

  dense(linear: Linear, inputs: number, outputs: number): DenseContent {
    const stored = this.weights.matrix(linear, inputs, outputs, this.role);
    if (stored.kind !== "blocks") return this.#place(stored);
    return {
      kind: "dense",
      type: "float32",
      content: this.#hold(this.weights.values(linear, inputs, outputs, this.role)),
    };
  }

  vector(ref: WeightRef, length: number): Float32Array {
    return this.weights.vector(ref, length);
  }

  get usesFile(): boolean {
    return this.files.size > 0;
  }

  #place(stored: Exclude<StoredMatrix, { kind: "blocks" }>): DenseContent {
    const { type } = stored;
    if (stored.kind === "read") return { kind: "dense", type, content: this.#hold(stored.bytes) };
    // Only in this folder are weights used in place.
    this.files.add(path.join(this.weights.folder ?? "", stored.file));
    return {
      kind: "dense",
      type,
      content: { kind: "external", location: stored.file, offset: stored.offset, byteLength: stored.byteLength },
    };
  }

  #hold(values: Uint8Array | Float32Array): Initializer["content"] {
    this.heldBytes += values.byteLength;
    return { kind: "inline", bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
  }
}

/**
 * Large constants beside the model's bytes instead of inside: one copy less, and no limit of 2 GB. Only where the graph
 * uses no file: onnxruntime takes external data from files or from memory, not from both.
 */
function outside(graph: Graph): {
  readonly graph: Graph;
  readonly externalData: { readonly path: string; readonly data: Uint8Array }[];
} {
  const externalData: { path: string; data: Uint8Array }[] = [];
  const initializers = graph.initializers.map((initializer) => {
    const { content, name } = initializer;
    if (content.kind === "external" || content.bytes.length < LARGE) return initializer;
    externalData.push({ path: name, data: content.bytes });
    return {
      ...initializer,
      content: { kind: "external" as const, location: name, offset: 0, byteLength: content.bytes.length },
    };
  });
  return { graph: { ...graph, initializers }, externalData };
}

const LARGE = 1 << 16;

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
  constructor(
    private readonly runtime: Runtime,
    private readonly weights: ComputeWeights,
    private readonly provider: string,
    /** Threads of one operator; left out: onnxruntime's choice. */
    private readonly threads: number | undefined,
    private readonly control: Int32Array,
    private readonly reclaimer: Reclaimer,
  ) {}

  /** Throws where the provider cannot be started. */
  async probe(): Promise<void> {
    const value = (name: string) => ({ name, type: "float32" as const, dims: [1] });
    const graph: Graph = {
      name: "probe",
      nodes: [{ operator: "Relu", inputs: ["x"], outputs: ["y"] }],
      initializers: [],
      inputs: [value("x")],
      outputs: [value("y")],
    };
    const native = await this.#native(`start ${this.provider}`, () =>
      this.runtime.InferenceSession.create(encodeModel(graph), {
        executionProviders: [this.provider],
        logSeverityLevel: 4,
      }),
    );
    await native.release();
  }

  /** Builds and loads a graph. `what` names it in errors; `once`: it is run once and released. */
  async create(
    what: string,
    role: Role,
    build: (parameters: ParameterSource) => BuiltGraph,
    once = false,
  ): Promise<Session> {
    const { native, files } = await this.#load(what, role, build, once);
    return {
      run: async (inputs, outputs) => {
        // A mapped file that was cut ends the process when its bytes are looked for.
        this.weights.source.check(files);
        await this.#run(what, native, inputs, outputs);
      },
      release: () => native.release(),
    };
  }

  /** Apart from `create`, whose closures would keep the graph's bytes and matrices alive as long as the session. */
  async #load(
    what: string,
    role: Role,
    build: (parameters: ParameterSource) => BuiltGraph,
    once: boolean,
  ): Promise<{ readonly native: InferenceSession; readonly files: ReadonlySet<string> }> {
    const parameters = new GraphParameters(this.weights, role);
    const built = build(parameters);
    const { graph, externalData } = parameters.usesFile
      ? { graph: built.graph, externalData: [] }
      : outside(built.graph);
    const bytes = encodeModel(graph, built.operatorSets);
    const { folder } = this.weights;
    this.weights.source.check(parameters.files);
    const options: InferenceSession.SessionOptions = {
      executionProviders: [this.provider],
      // A pattern would reserve one block as large as everything that the session ever allocates.
      enableMemPattern: false,
      // Each session would keep an arena of its own; freed memory serves the next layer instead.
      enableCpuMemArena: false,
      intraOpNumThreads: this.threads ?? 0,
      logSeverityLevel: 3,
      externalData: externalData.length > 0 ? externalData : undefined,
      extra: {
        session: {
          // Packing makes runs faster, but its result is memory of our own: worth it only where the weights are that
          // already. Blocks of weights without it are unpacked value by value.
          disable_prepacking: (parameters.usesFile || once) && !parameters.hasBlocks ? "1" : "0",
          intra_op: { allow_spinning: "0" },
          ...(folder !== undefined ? { model_external_initializers_file_folder_path: folder } : {}),
        },
        // Folding the casts of half-precision weights would hold them as float32.
        optimization: { disable_specified_optimizers: "ConstantFolding" },
      },
    };
    const native = await this.#native(`load ${what}`, () => this.runtime.InferenceSession.create(bytes, options));
    // The session has copied what was read.
    this.reclaimer.note(parameters.heldBytes);
    return { native, files: parameters.files };
  }

  async #run(
    what: string,
    native: InferenceSession,
    inputs: Readonly<Record<string, Array32>>,
    outputs: Readonly<Record<string, Array32>>,
  ): Promise<void> {
    const feeds: Record<string, OrtTensor> = {};
    for (const name of native.inputNames) {
      const input = inputs[name];
      if (input === undefined) throw new Error(`The graph of ${what} needs the input "${name}".`);
      feeds[name] = new this.runtime.Tensor("float32", input.data, input.dims);
    }
    const fetches: Record<string, OrtTensor> = {};
    for (const [name, { data, dims }] of Object.entries(outputs))
      fetches[name] = new this.runtime.Tensor("float32", data, dims);
    await this.#native(`run ${what}`, () => native.run(feeds, fetches));
  }

  /** No native call starts once the thread is to stop, and the other thread sees that one is under way. */
  async #native<R>(what: string, call: () => Promise<R>): Promise<R> {
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
