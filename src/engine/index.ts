// The native library reads this when it loads: set in the process before any thread that loads it starts.
process.env.ORT_DISABLE_TELEMETRY = "1";

import * as os from "node:os";
import * as path from "node:path";
import { SHARE_ENV, Worker } from "node:worker_threads";
import { Requester } from "../requester";
import type { Architecture, Rotary } from "../model/architecture";
import { checkDtype, checkIndex } from "../model/check";
import { ModelFileError } from "../model/errors";
import type { ProgressListener, Tensor } from "../model/types";
import type { WeightSource } from "../model/weights";
import {
  type EngineAnswer,
  type ComputeSettings,
  controlFields,
  type FromWorker,
  type LayerTensors,
  type PlainArchitecture,
  type Positions,
  type EngineQuestion,
  type RequestKind,
  type ToWorker,
  type WorkerData,
} from "./messages";
import { availableMemory, formatBytes, forwardBytes, longestPrompt } from "./memory";
import { MemoryBudget, type Holding } from "../threads/budget";
import { collectGarbage, Reclaimer } from "../threads/reclaim";
import { joinRows } from "./grow";
import { changePass } from "./changed-pass";
import type {
  BackwardTensorName,
  ChangedPass,
  ChangeOptions,
  Engine,
  ForwardOptions,
  Growth,
  LayerChanges,
  LayerConstants,
  LayerTensorName,
  MemoryPlan,
  PassChanges,
  WholePass,
} from "./types";

export type {
  Affine,
  BackwardTensorName,
  ChangedPass,
  Engine,
  ForwardOptions,
  Growth,
  LayerChanges,
  LayerConstants,
  LayerTensorName,
  MemoryPlan,
  Pass,
  PassChanges,
  WholePass,
} from "./types";

export interface EngineOptions {
  /** Name of an execution provider, or "auto" / "cpu" / "gpu". Default "auto". */
  readonly device?: string;
  /** "auto" (what the file has), "float32", "float16", "bfloat16", "q8" or "q4". Default "auto". */
  readonly dtype?: string;
  /**
   * Threads of one operator. Default: one a physical core, less where a model of many layers would have more than a
   * thousand.
   */
  readonly threads?: number;
  /**
   * Most bytes of layer tensors that a pass keeps for `keep`; beyond it they are computed again on asking. Default 128
   * MiB.
   */
  readonly keepBytes?: number;
  /** Bytes that weights and runs may take. Default: most of what is free when it is asked. */
  readonly memoryBytes?: number;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/** What the engine needs of a model's files. */
export interface EngineFiles {
  readonly architecture: Architecture;
  readonly weights: Pick<WeightSource, "entries">;
  /** What most weights are stored in; "auto" computes with that. */
  readonly storedType?: string;
}

/**
 * Starts the engine's thread and loads the model's layers in it.
 * Rejects with one sentence where a weight is missing or of another shape, or the device is not there.
 */
export async function createEngine(files: EngineFiles, options: EngineOptions = {}): Promise<Engine> {
  options.signal?.throwIfAborted();
  checkArchitecture(files.architecture);
  const { plain, rotaries } = withoutFunctions(files.architecture);
  const dtype = checkDtype(options.dtype ?? "auto");
  const settings: ComputeSettings = {
    device: options.device ?? "auto",
    dtype,
    threads: options.threads ?? threadsFor(files.architecture.nLayers),
    // The rest is for runs, attribution and the reader's own program.
    memoryBytes: 0.7 * (options.memoryBytes ?? availableMemory()),
  };
  // A model that was loaded before and that nobody holds any more goes first: its threads and weights are as large as
  // the new one's.
  if (threads.size > 0) await collectGarbage();
  const thread = new Thread({ architecture: plain, entries: [...files.weights.entries.values()], settings });
  try {
    const onProgress = options.onProgress && progressOf("load", options.onProgress);
    const { device, plan } = await thread.ask("open", {}, { signal: options.signal, onProgress });
    const computed = dtype === "auto" ? (files.storedType ?? "float32") : dtype;
    const freeBytes = () =>
      options.memoryBytes === undefined ? 0.8 * availableMemory() : options.memoryBytes - plan.heldBytes;
    return new WorkerEngine(
      files.architecture,
      rotaries,
      thread,
      device,
      computed,
      plan,
      options.keepBytes ?? 128 << 20,
      freeBytes,
    );
  } catch (error) {
    await thread.leave();
    throw error;
  }
}

/** Every session has threads of its own, and a layer has up to two sessions. Undefined: onnxruntime's choice. */
function threadsFor(nLayers: number): number | undefined {
  const most = Math.max(4, Math.floor(1024 / (2 * nLayers)));
  return os.availableParallelism() > most ? most : undefined;
}

function progressOf(stage: string, listener: ProgressListener): (done: number, total: number) => void {
  return (done, total) => listener({ stage, done, total, unit: "layers" });
}

function checkArchitecture({ nHeads, nKeyValueHeads, nLayers, layers }: Architecture): void {
  if (nHeads % nKeyValueHeads !== 0)
    throw new Error(`${nHeads} query heads cannot share ${nKeyValueHeads} key/value heads evenly.`);
  if (layers.length !== nLayers)
    throw new Error(`The model has ${nLayers} layers, but ${layers.length} are described.`);
  layers.forEach((layer, index) => {
    for (const norm of [layer.postAttentionNorm, layer.postFfnNorm]) {
      // Its bias would be a part of the sum that no term of the block carries.
      if (norm?.bias)
        throw new Error(
          `Layer ${index} has a norm with a bias behind a block; only norms without one are supported there.`,
        );
    }
  });
}

/** The architecture without functions, and the rotary embeddings whose functions were taken out. */
function withoutFunctions(architecture: Architecture): {
  readonly plain: PlainArchitecture;
  readonly rotaries: readonly Rotary[];
} {
  const rotaries: Rotary[] = [];
  const layers = architecture.layers.map((layer) => {
    const { rotary, ...attention } = layer.attention;
    if (!rotary) return { ...layer, attention };
    let rotaryIndex = rotaries.indexOf(rotary);
    if (rotaryIndex < 0) rotaryIndex = rotaries.push(rotary) - 1;
    const { dims, pairing, scale } = rotary;
    return { ...layer, attention: { ...attention, rotary: { dims, pairing, scale } }, rotaryIndex };
  });
  return { plain: { ...architecture, layers }, rotaries };
}

interface AskOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Threads that may be inside native code. Ending the process there would abort it, so its exit waits for them. */
const threads = new Set<Int32Array>();

function waitForThreads(): void {
  for (const control of threads) Atomics.store(control, controlFields.stop, 1);
  for (const control of threads) {
    for (let busy; (busy = Atomics.load(control, controlFields.busy)) !== 0;)
      Atomics.wait(control, controlFields.busy, busy);
  }
}

/** The main thread's end of the worker. */
class Thread {
  readonly #worker: Worker;
  readonly #control = new Int32Array(new SharedArrayBuffer(8));
  readonly #requests = new Requester<number, EngineAnswer<RequestKind>, AskOptions["onProgress"]>(() =>
    this.#worker.unref(),
  );
  readonly #left: Promise<void>;
  readonly #reclaimer = new Reclaimer(192 << 20);
  #nextId = 0;
  #ended?: Error;

  constructor(data: Omit<WorkerData, "control">) {
    const workerData: WorkerData = { ...data, control: this.#control };
    this.#worker = new Worker(path.join(__dirname, "worker.js"), { workerData, env: SHARE_ENV });
    // The thread keeps the process alive only while it owes an answer.
    this.#worker.unref();
    if (threads.size === 0) process.on("exit", waitForThreads);
    threads.add(this.#control);
    this.#worker.on("message", (message: FromWorker) => this.#receive(message));
    this.#worker.on("error", (error) =>
      this.#end(
        new Error(
          `The engine's thread failed: ${error instanceof Error ? error.message : String(error)}. Load the model again.`,
        ),
      ),
    );
    this.#left = new Promise((resolve) => {
      this.#worker.on("exit", (code) => {
        this.#end(new Error(`The engine's thread ended${code ? ` with code ${code}` : ""}. Load the model again.`));
        threads.delete(this.#control);
        if (threads.size === 0) process.off("exit", waitForThreads);
        resolve();
      });
    });
  }

  ask<K extends RequestKind>(
    kind: K,
    question: EngineQuestion<K>,
    { signal, onProgress }: AskOptions = {},
  ): Promise<EngineAnswer<K>> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.#nextId++;
    const cancel = new Int32Array(new SharedArrayBuffer(4));
    const message: ToWorker = { type: "request", id, kind, question, cancel };
    const send = (): void => {
      this.#worker.ref();
      this.#worker.postMessage(message);
    };
    const answer = this.#requests.ask(id, send, {
      signals: [signal],
      givenUp: () => Atomics.store(cancel, 0, 1),
      context: onProgress,
    });
    return answer;
  }

  /** Ends the thread after the native call it is in. What was asked and not answered is rejected. */
  async leave(): Promise<void> {
    Atomics.store(this.#control, controlFields.stop, 1);
    this.#end(new Error("The model was disposed of."));
    this.#worker.ref();
    const message: ToWorker = { type: "leave" };
    this.#worker.postMessage(message);
    await this.#left;
  }

  #receive(message: FromWorker): void {
    if (message.type === "answer") this.#reclaimer.note(sharedBytes(message.answer));
    const { id } = message;
    if (message.type === "progress") this.#requests.context(id)?.(message.done, message.total);
    else if (message.type === "answer") this.#requests.resolve(id, message.answer);
    else
      this.#requests.reject(
        id,
        message.name === "RangeError"
          ? new RangeError(message.message)
          : message.name === "ModelFileError"
            ? new ModelFileError(message.message)
            : new Error(message.message),
      );
  }

  #end(reason: Error): void {
    this.#ended ??= reason;
    this.#requests.rejectAll(this.#ended);
  }
}

/** Bytes of the tensors in an answer. */
function sharedBytes(value: unknown): number {
  if (ArrayBuffer.isView(value)) return value.byteLength;
  if (typeof value !== "object" || value === null) return 0;
  return Object.values(value).reduce((sum: number, item) => sum + sharedBytes(item), 0);
}

/** Ends the thread of an engine that nobody holds. */
const unreachable = new FinalizationRegistry<Thread>((thread) => void thread.leave());

class WorkerEngine implements Engine {
  readonly #constantsOf = new Map<number, Promise<LayerConstants>>();

  constructor(
    private readonly architecture: Architecture,
    private readonly rotaries: readonly Rotary[],
    private readonly thread: Thread,
    readonly device: string,
    readonly dtype: string,
    readonly plan: MemoryPlan,
    private readonly keepBytes: number,
    private readonly freeBytes: () => number,
  ) {
    unreachable.register(this, thread, this);
  }

  async forward(tokenIds: readonly number[], options: ForwardOptions = {}): Promise<WholePass> {
    const { nLayers } = this.architecture;
    const nTokens = tokenIds.length;
    await this.#check(tokenIds, 0);
    const positions = this.#positions(nTokens);
    const keep: LayerTensorName[] = [];
    let bytes = 0;
    for (const name of new Set(options.keep)) {
      const more = nLayers * this.#tensorBytes(name, nTokens);
      if (bytes + more > this.keepBytes) continue;
      bytes += more;
      keep.push(name);
    }
    const onProgress = options.onProgress && progressOf("forward", options.onProgress);
    const { states, kept } = await this.thread.ask(
      "forward",
      { ...positions, tokenIds: [...tokenIds], keep },
      { signal: options.signal, onProgress },
    );
    return new LocalPass(this, this.architecture, this.thread, positions, [...tokenIds], states, kept);
  }

  grow(): Growth {
    return new WorkerGrowth(this, this.architecture, this.thread, this.rotaries, (tokenIds, from) =>
      this.#check(tokenIds, from),
    );
  }

  constants(layer: number): Promise<LayerConstants> {
    checkIndex("layer", layer, this.architecture.nLayers);
    const known =
      this.#constantsOf.get(layer) ?? this.thread.ask("constants", { layer }).then((answer) => answer.constants);
    this.#constantsOf.set(layer, known);
    return known;
  }

  async unembed(vectors: Float32Array, { normalize = true }: { readonly normalize?: boolean } = {}): Promise<Tensor> {
    const { dModel, dVocab } = this.architecture;
    if (vectors.length === 0 || vectors.length % dModel !== 0)
      throw new RangeError(`Vectors to unembed have ${dModel} values each; ${vectors.length} were given.`);
    const { logits } = await this.thread.ask("unembed", { vectors, normalize });
    return { data: logits, dims: [vectors.length / dModel, dVocab] };
  }

  async neuronOutput(layer: number, neuron: number): Promise<Float32Array> {
    checkIndex("layer", layer, this.architecture.nLayers);
    checkIndex("neuron", neuron, this.architecture.dFfn);
    return (await this.thread.ask("neuronOutput", { layer, neuron })).row;
  }

  dispose(): Promise<void> {
    unreachable.unregister(this);
    return this.thread.leave();
  }

  /** Refuses tokens, at positions from `from` on, that the model or the memory has no place for. */
  async #check(tokenIds: readonly number[], from: number): Promise<void> {
    const { dVocab, maxPositions } = this.architecture;
    const nTokens = from + tokenIds.length;
    if (tokenIds.length === 0) throw new RangeError("The prompt is empty: a run needs at least one token.");
    if (nTokens > maxPositions)
      throw new RangeError(`The prompt has ${nTokens} tokens; this model takes at most ${maxPositions}.`);
    tokenIds.forEach((id, i) => {
      if (!Number.isInteger(id) || id < 0 || id >= dVocab)
        throw new RangeError(`Token id ${id} at position ${from + i} does not exist: ids are 0 to ${dVocab - 1}.`);
    });
    // Questions about one token's row need little; that memory is there was seen when the sequence began.
    if (from > 0 && nTokens % 64 !== 0) return;
    let free = this.freeBytes();
    if (forwardBytes(this.architecture, nTokens) > free) {
      await collectGarbage();
      free = this.freeBytes();
    }
    if (forwardBytes(this.architecture, nTokens) > free) {
      throw new RangeError(
        `The prompt has ${nTokens} tokens; the free memory (${formatBytes(free)}) is enough for ${longestPrompt(this.architecture, free)}.`,
      );
    }
  }

  #positions(nTokens: number): Positions {
    return { nTokens, frequencies: this.rotaries.map((rotary) => rotary.frequencies(nTokens)) };
  }

  #tensorBytes(name: LayerTensorName, nTokens: number): number {
    const { nHeads, dModel, dFfn } = this.architecture;
    switch (name) {
      case "pattern":
        return 4 * nHeads * nTokens * nTokens;
      case "value_out":
        return 4 * nTokens * nHeads * dModel;
      case "ffn_pre":
      case "ffn_post":
        return 4 * nTokens * dFfn;
      case "term_scale":
      case "ffn_scale":
        return 4 * nTokens;
      default:
        return 4 * nTokens * dModel;
    }
  }
}

/** Sequences that nobody holds any more: their keys and values go. */
const forgotten = new FinalizationRegistry<() => void>((letGo) => letGo());

let nextGrowth = 0;

class WorkerGrowth implements Growth {
  readonly #id = nextGrowth++;
  readonly #tokenIds: number[] = [];
  #pieces: Float32Array[] = [];
  #turn: Promise<unknown> = Promise.resolve();
  #disposed = false;

  constructor(
    /** Held: an engine ends when nobody holds it. */
    private readonly engine: Engine,
    private readonly architecture: Architecture,
    private readonly thread: Thread,
    private readonly rotaries: readonly Rotary[],
    private readonly check: (tokenIds: readonly number[], from: number) => Promise<void>,
  ) {
    const id = this.#id;
    forgotten.register(this, () => void thread.ask("letGo", { growth: id }).catch(() => undefined), this);
  }

  get nTokens(): number {
    return this.#tokenIds.length;
  }

  append(
    tokenIds: readonly number[],
    options: { readonly signal?: AbortSignal; readonly logits?: boolean } = {},
  ): Promise<Float32Array | undefined> {
    const work = this.#turn.then(() => this.#append([...tokenIds], options));
    this.#turn = work.catch(() => undefined);
    return work;
  }

  pass(): WholePass {
    if (this.#tokenIds.length === 0) throw new RangeError("The sequence is empty: append a token first.");
    const { nLayers, dModel } = this.architecture;
    const { data } = joinRows(this.#pieces, nLayers + 1, dModel);
    this.#pieces = [data];
    const nTokens = this.#tokenIds.length;
    const positions = { nTokens, frequencies: this.#frequencies(nTokens) };
    return new LocalPass(this.engine, this.architecture, this.thread, positions, [...this.#tokenIds], data, []);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    forgotten.unregister(this);
    this.#pieces = [];
    void this.thread.ask("letGo", { growth: this.#id }).catch(() => undefined);
  }

  async #append(
    added: readonly number[],
    { signal, logits = true }: { readonly signal?: AbortSignal; readonly logits?: boolean },
  ): Promise<Float32Array | undefined> {
    if (this.#disposed) throw new Error("This sequence was disposed of.");
    const before = this.#tokenIds.length;
    await this.check(added, before);
    const frequencies = this.#frequencies(before + added.length);
    // Scalings that depend on the length (dynamic NTK, longrope) turn all earlier keys too: everything again.
    const anew = before > 0 && !sameNumbers(frequencies, this.#frequencies(before));
    const from = anew ? 0 : before;
    const tokenIds = anew ? [...this.#tokenIds, ...added] : [...added];
    const answer = await this.thread.ask("grow", { growth: this.#id, from, frequencies, tokenIds, logits }, { signal });
    if (anew) this.#pieces = [];
    this.#pieces.push(answer.rows);
    this.#tokenIds.push(...added);
    return answer.logits;
  }

  #frequencies(nTokens: number): Float64Array[] {
    return this.rotaries.map((rotary) => rotary.frequencies(nTokens));
  }
}

function sameNumbers(a: readonly Float64Array[], b: readonly Float64Array[]): boolean {
  return a.every((values, i) => values === b[i] || values.every((value, j) => value === b[i][j]));
}

/**
 * Bytes of states and layer tensors that all passes of this process hold together; what had to go is computed again on
 * asking.
 */
const PASS_BYTES = 256 << 20;

/** The budget of all passes. */
export const passBudget = new MemoryBudget(PASS_BYTES);

const dropStates = (pass: LocalPass): void => pass.drop("states");
const dropKept = (pass: LocalPass): void => pass.drop("kept");

class LocalPass implements WholePass {
  #disposed = false;
  #statesHolding: Holding;
  readonly #keptHolding: Holding;
  #again?: Promise<Float32Array>;

  constructor(
    /** Held: an engine ends when nobody holds it. */
    readonly engine: Engine,
    private readonly architecture: Architecture,
    private readonly thread: Thread,
    private readonly positions: Positions,
    private readonly tokenIds: readonly number[],
    /** `[L + 1, T, d]`; undefined where others needed the memory. */
    private states: Float32Array | undefined,
    private kept: readonly LayerTensors[],
  ) {
    this.#statesHolding = passBudget.hold<LocalPass>(this, states!.byteLength, dropStates);
    this.#keptHolding = passBudget.hold<LocalPass>(this, sharedBytes(kept), dropKept);
  }

  /** For the budget, which has let go of it already. */
  drop(what: "states" | "kept"): void {
    if (what === "states") this.states = undefined;
    else this.kept = [];
  }

  get nTokens(): number {
    return this.positions.nTokens;
  }

  async fetch<N extends LayerTensorName>(
    layer: number,
    names: readonly N[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Record<N, Tensor>> {
    this.#check(layer);
    options.signal?.throwIfAborted();
    if (this.kept.length > 0) passBudget.touch(this.#keptHolding);
    const kept = this.kept[layer];
    const states = await this.#allStates();
    const known: LayerTensors = {
      ...kept,
      resid_pre: this.#state(states, layer),
      resid_post: this.#state(states, layer + 1),
    };
    const missing = names.filter((name) => known[name] === undefined);
    if (missing.length > 0) {
      const question = { ...this.positions, layer, state: this.#state(states, layer).data, names: missing };
      Object.assign(known, (await this.thread.ask("layer", question, options)).tensors);
    }
    return Object.fromEntries(names.map((name) => [name, known[name]])) as Record<N, Tensor>;
  }

  async logits(position?: number): Promise<Tensor> {
    const { nLayers, dModel, dVocab } = this.architecture;
    this.#check(0);
    if (position !== undefined) checkIndex("position", position, this.nTokens);
    const { data } = this.#state(await this.#allStates(), nLayers);
    const vectors = position === undefined ? data : data.subarray(position * dModel, (position + 1) * dModel);
    const { logits } = await this.thread.ask("unembed", { vectors, normalize: true });
    return { data: logits, dims: position === undefined ? [this.nTokens, dVocab] : [dVocab] };
  }

  async neuronProximities(layer: number, position: number): Promise<Float32Array> {
    this.#check(layer);
    checkIndex("position", position, this.nTokens);
    const { dModel, dFfn } = this.architecture;
    const { ffn_post, ffn_scale, resid_post } = await this.fetch(layer, ["ffn_post", "ffn_scale", "resid_post"]);
    const whole = resid_post.data.subarray(position * dModel, (position + 1) * dModel);
    const activations = ffn_post.data.subarray(position * dFfn, (position + 1) * dFfn);
    return (await this.thread.ask("neuronProximities", { layer, whole, activations, scale: ffn_scale.data[position] }))
      .proximities;
  }

  async backward<N extends BackwardTensorName>(
    layer: number,
    gradient: Float32Array,
    names: readonly N[],
    options: { readonly signal?: AbortSignal; readonly midGradient?: Float32Array } = {},
  ): Promise<Record<N, Tensor>> {
    this.#check(layer);
    const nTokens = gradient.length / this.architecture.dModel;
    const { block, postAttentionNorm, postFfnNorm } = this.architecture.layers[layer];
    const needed: LayerTensorName[] = ["resid_pre", "pattern"];
    if (block === "sequential") needed.push("resid_mid");
    if (postAttentionNorm) needed.push("term_scale");
    if (postFfnNorm) needed.push("ffn_scale");
    const tensors: LayerTensors = await this.fetch(layer, needed, options);
    const question = { layer, nTokens, names, gradient, midGradient: options.midGradient, tensors };
    return (await this.thread.ask("backward", question, { signal: options.signal })).tensors as Record<N, Tensor>;
  }

  async change(changes: PassChanges, options?: ChangeOptions): Promise<ChangedPass> {
    this.#check(0);
    const { architecture, positions, tokenIds } = this;
    const ask: Thread["ask"] = (kind, question, asked) => this.thread.ask(kind, question, asked);
    return changePass({ pass: this, architecture, positions, tokenIds, budget: passBudget, ask }, changes, options);
  }

  async probe<N extends LayerTensorName>(
    layer: number,
    state: Float32Array,
    changes: LayerChanges | undefined,
    names: readonly N[],
  ): Promise<Record<N, Tensor>> {
    this.#check(layer);
    const { tensors } = await this.thread.ask("layer", { ...this.positions, layer, state, names, changes });
    return tensors as Record<N, Tensor>;
  }

  async headOutputs(layer: number, rows: Float32Array): Promise<Float32Array> {
    this.#check(layer);
    return (await this.thread.ask("headOutputs", { layer, rows })).written;
  }

  async neuronLogits(layer: number, position: number, direction: Float64Array): Promise<Float64Array> {
    this.#check(layer);
    checkIndex("position", position, this.nTokens);
    const { dFfn } = this.architecture;
    const { ffn_post, ffn_scale } = await this.fetch(layer, ["ffn_post", "ffn_scale"]);
    const activations = ffn_post.data.subarray(position * dFfn, (position + 1) * dFfn);
    const scale = ffn_scale.data[position];
    return (await this.thread.ask("neuronLogits", { layer, direction, activations, scale })).logits;
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    passBudget.release(this, this.#statesHolding);
    passBudget.release(this, this.#keptHolding);
    this.states = undefined;
    this.kept = [];
  }

  /** The states of all layers, from a second pass where they had to go: the same tokens give the same numbers. */
  async #allStates(): Promise<Float32Array> {
    if (this.states) {
      passBudget.touch(this.#statesHolding);
      return this.states;
    }
    // Without the asker's signal: others may wait for the same pass.
    this.#again ??= this.thread
      .ask("forward", { ...this.positions, tokenIds: [...this.tokenIds], keep: [] })
      .then(({ states }) => {
        if (this.#disposed) throw new Error("This run was disposed of.");
        this.states = states;
        this.#statesHolding = passBudget.hold<LocalPass>(this, states.byteLength, dropStates);
        return states;
      })
      .finally(() => (this.#again = undefined));
    return this.#again;
  }

  #check(layer: number): void {
    if (this.#disposed) throw new Error("This run was disposed of.");
    checkIndex("layer", layer, this.architecture.nLayers);
  }

  #state(states: Float32Array, index: number): Tensor {
    const { dModel } = this.architecture;
    const size = this.nTokens * dModel;
    return { data: states.subarray(index * size, (index + 1) * size), dims: [this.nTokens, dModel] };
  }
}
