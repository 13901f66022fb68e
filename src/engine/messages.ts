/** What the engine's two threads say to each other. All of it is plain data that `postMessage` can clone. */
import type { Architecture } from "../model/architecture";
import type { Tensor } from "../model/types";
import type { WeightEntry } from "../model/weights";
import type { GraphLayer } from "./layer-graph";
import type { Dtype } from "../model/types";
import type {
  BackwardTensorName,
  LayerChanges,
  LayerConstants,
  LayerTensorName,
  MemoryPlan,
  PassChanges,
} from "./types";

/**
 * An architecture without its functions: a layer's rotary embedding is `rotaryIndex` in a list that the main thread
 * keeps.
 */
export interface PlainArchitecture extends Omit<Architecture, "layers"> {
  readonly layers: readonly (GraphLayer & { readonly rotaryIndex?: number })[];
}

/** What a worker is started with. */
export interface WorkerData {
  readonly architecture: PlainArchitecture;
  readonly entries: readonly WeightEntry[];
  /** Shared by both threads; see `controlFields`. */
  readonly control: Int32Array;
  readonly settings: ComputeSettings;
}

export interface ComputeSettings {
  /** Name of an execution provider, "auto", "cpu" or "gpu". */
  readonly device: string;
  /** What weights are rounded to. */
  readonly dtype: Dtype;
  /** Bytes that weights may take. */
  readonly memoryBytes: number;
  /** Threads of one operator; left out: onnxruntime's choice, one a physical core. */
  readonly threads?: number;
}

/**
 * Fields of the control array: the main thread sets `stop`, the worker counts in `busy` the native calls that are under
 * way or about to be.
 */
export const controlFields = { stop: 0, busy: 1 } as const;

/** A prompt as layers see it: number of tokens, and the frequencies of every rotary embedding, in the list's order. */
export interface Positions {
  readonly nTokens: number;
  readonly frequencies: readonly Float64Array[];
}

/** Requests and their answers, by kind. */
export interface Requests {
  readonly open: {
    readonly question: Record<never, never>;
    /** Execution provider in use, and how the weights are held. */
    readonly answer: { readonly device: string; readonly plan: MemoryPlan };
  };
  readonly forward: {
    readonly question: Positions & { readonly tokenIds: readonly number[]; readonly keep: readonly LayerTensorName[] };
    /** `states` [L + 1, T, d]: the residual stream before each layer, and after the last. */
    readonly answer: { readonly states: Float32Array; readonly kept: readonly LayerTensors[] };
  };
  readonly layer: {
    readonly question: Positions & {
      readonly layer: number;
      readonly state: Float32Array;
      readonly names: readonly LayerTensorName[];
      /** What happens inside it. */
      readonly changes?: LayerChanges;
    };
    readonly answer: { readonly tensors: LayerTensors };
  };
  /** `tensors` of the whole prompt: what the graph of `buildBackwardGraph` reads; `gradient` [nTokens, d]. */
  readonly backward: {
    readonly question: {
      readonly layer: number;
      readonly nTokens: number;
      readonly names: readonly BackwardTensorName[];
      readonly gradient: Float32Array;
      readonly midGradient?: Float32Array;
      readonly tensors: LayerTensors;
    };
    readonly answer: { readonly tensors: Partial<Record<BackwardTensorName, Tensor>> };
  };
  /**
   * The states [L + 1 − first, T, d] from number `first` on of a pass in which something changed. `state` [T, d] is the
   * one it begins with, number `begin`: `first` itself before it changes, or the one before.
   */
  readonly change: {
    readonly question: Positions & {
      readonly tokenIds: readonly number[];
      readonly begin: number;
      readonly first: number;
      readonly state: Float32Array;
      readonly changes: PassChanges;
    };
    readonly answer: { readonly states: Float32Array };
  };
  /** Of some rows [n, H * dHead] of `head_mix`: what each head writes, [n, H, d], after the weight of a norm behind. */
  readonly headOutputs: {
    readonly question: { readonly layer: number; readonly rows: Float32Array };
    readonly answer: { readonly written: Float32Array };
  };
  /** Of one position: `whole` [d] is `resid_post`, `activations` [f] are `ffn_post`, `scale` is `ffn_scale`. */
  readonly neuronProximities: {
    readonly question: {
      readonly layer: number;
      readonly whole: Float32Array;
      readonly activations: Float32Array;
      readonly scale: number;
    };
    readonly answer: { readonly proximities: Float32Array };
  };
  /** Of one position: what each neuron's update adds along `direction` [d]. `activations`, `scale`: as above. */
  readonly neuronLogits: {
    readonly question: {
      readonly layer: number;
      readonly direction: Float64Array;
      readonly activations: Float32Array;
      readonly scale: number;
    };
    readonly answer: { readonly logits: Float64Array };
  };
  readonly constants: {
    readonly question: { readonly layer: number };
    readonly answer: { readonly constants: LayerConstants };
  };
  readonly neuronOutput: {
    readonly question: { readonly layer: number; readonly neuron: number };
    readonly answer: { readonly row: Float32Array };
  };
  /** `vectors` [n, d] → [n, V]; `normalize`: as the model itself does it, with final norm, scale and soft-cap. */
  readonly unembed: {
    readonly question: { readonly vectors: Float32Array; readonly normalize: boolean };
    readonly answer: { readonly logits: Float32Array };
  };
  /**
   * Appends tokens at positions from `from` on to a sequence that grows; from 0 it begins. `rows` [L + 1, n, d] are the
   * states of the new tokens, `logits` [V] those of the last one, where asked for.
   */
  readonly grow: {
    readonly question: {
      readonly growth: number;
      readonly from: number;
      readonly frequencies: readonly Float64Array[];
      readonly tokenIds: readonly number[];
      readonly logits: boolean;
    };
    readonly answer: { readonly rows: Float32Array; readonly logits?: Float32Array };
  };
  readonly letGo: { readonly question: { readonly growth: number }; readonly answer: Record<never, never> };
}

export type RequestKind = keyof Requests;
export type EngineQuestion<K extends RequestKind> = Requests[K]["question"];
export type EngineAnswer<K extends RequestKind> = Requests[K]["answer"];

export type LayerTensors = Partial<Record<LayerTensorName, Tensor>>;

export type ToWorker =
  | {
      readonly type: "request";
      readonly id: number;
      readonly kind: RequestKind;
      readonly question: EngineQuestion<RequestKind>;
      /** [0] is set to 1 to cancel. */ readonly cancel: Int32Array;
    }
  | { readonly type: "leave" };

export type FromWorker =
  | { readonly type: "answer"; readonly id: number; readonly answer: EngineAnswer<RequestKind> }
  | { readonly type: "failure"; readonly id: number; readonly name: string; readonly message: string }
  | { readonly type: "progress"; readonly id: number; readonly done: number; readonly total: number };
