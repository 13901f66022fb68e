import type { Architecture } from "../model/architecture";
import { checkIndex } from "../model/check";
import type { Tensor } from "../model/types";
import type { Holding, MemoryBudget } from "../threads/budget";
import type { EngineAnswer, EngineQuestion, LayerTensors, Positions, RequestKind } from "./messages";
import type { Affine, ChangedPass, ChangeOptions, LayerChanges, LayerTensorName, Pass, PassChanges } from "./types";

/** What a changed pass needs of the pass that it changes. */
export interface Changeable {
  readonly pass: Pass;
  readonly architecture: Architecture;
  readonly positions: Positions;
  readonly tokenIds: readonly number[];
  readonly budget: MemoryBudget;
  ask<K extends RequestKind>(
    kind: K,
    question: EngineQuestion<K>,
    options?: { readonly signal?: AbortSignal; readonly onProgress?: (done: number, total: number) => void },
  ): Promise<EngineAnswer<K>>;
}

/** Runs the layers from the first change on. */
export async function changePass(
  base: Changeable,
  changes: PassChanges,
  { signal, onProgress }: ChangeOptions = {},
): Promise<ChangedPass> {
  const pass = new LocalChangedPass(base, changes);
  signal?.throwIfAborted();
  await pass.compute({
    signal,
    onProgress: onProgress && ((done, total) => onProgress({ stage: "forward", done, total, unit: "layers" })),
  });
  return pass;
}

const dropStates = (pass: LocalChangedPass): void => pass.drop();

type ComputeOptions = NonNullable<Parameters<Changeable["ask"]>[2]>;

class LocalChangedPass implements ChangedPass {
  readonly firstState: number;
  /** The state that the computation begins with; it, and all below, are the base's. */
  readonly #begin: number;
  readonly #base: Changeable;
  readonly #changes: PassChanges;
  /** `[L + 1 − firstState, T, d]`; undefined where others needed the memory. */
  #states?: Float32Array;
  #holding?: Holding;
  #again?: Promise<Float32Array>;
  #disposed = false;

  constructor(base: Changeable, changes: PassChanges) {
    const { nLayers } = base.architecture;
    const layer = Math.min(...changes.layers.keys(), nLayers);
    const state = Math.min(...changes.states.keys(), nLayers + 1);
    this.firstState = Math.min(layer + 1, state);
    this.#begin = layer + 1 <= state ? layer : state;
    this.#base = base;
    this.#changes = changes;
  }

  get nTokens(): number {
    return this.#base.pass.nTokens;
  }

  changesOf(layer: number): LayerChanges | undefined {
    return this.#changes.layers.get(layer);
  }

  stateChange(index: number): Affine | undefined {
    return this.#changes.states.get(index);
  }

  /** For the budget, which has let go of it already. */
  drop(): void {
    this.#states = undefined;
    this.#holding = undefined;
  }

  async compute(options: ComputeOptions = {}): Promise<Float32Array | undefined> {
    const { nLayers } = this.#base.architecture;
    if (this.firstState > nLayers) return undefined;
    if (this.#states) {
      this.#base.budget.touch(this.#holding!);
      return this.#states;
    }
    this.#again ??= this.#compute(options).finally(() => (this.#again = undefined));
    return this.#again;
  }

  async #compute(options: ComputeOptions): Promise<Float32Array> {
    const { positions, tokenIds, budget } = this.#base;
    const question = {
      ...positions,
      tokenIds,
      begin: this.#begin,
      first: this.firstState,
      state: (await this.#below(this.#begin)).data,
      changes: this.#changes,
    };
    const { states } = await this.#base.ask("change", question, options);
    if (this.#disposed) throw new Error("This run was disposed of.");
    this.#states = states;
    this.#holding = budget.hold<LocalChangedPass>(this, states.byteLength, dropStates);
    return states;
  }

  async fetch<N extends LayerTensorName>(
    layer: number,
    names: readonly N[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Record<N, Tensor>> {
    this.#check(layer);
    if (layer + 1 < this.firstState) return this.#base.pass.fetch(layer, names, options);
    options.signal?.throwIfAborted();
    const changes = this.changesOf(layer);
    const known: LayerTensors = { resid_post: await this.#state(layer + 1) };
    const missing = names.filter((name) => name !== "resid_post");
    if (missing.length > 0) {
      if (layer + 1 === this.firstState && !changes) {
        // Only the state after it was changed.
        Object.assign(known, await this.#base.pass.fetch(layer, missing, options));
      } else {
        known.resid_pre = await this.#state(layer);
        const asked = missing.filter((name) => name !== "resid_pre");
        if (asked.length > 0) {
          const question = { ...this.#base.positions, layer, state: known.resid_pre.data, names: asked, changes };
          Object.assign(known, (await this.#base.ask("layer", question, options)).tensors);
        }
        known.resid_post = await this.#state(layer + 1);
      }
    }
    return Object.fromEntries(names.map((name) => [name, known[name]])) as Record<N, Tensor>;
  }

  async logits(position?: number): Promise<Tensor> {
    const { nLayers, dModel, dVocab } = this.#base.architecture;
    this.#check(0);
    if (position !== undefined) checkIndex("position", position, this.nTokens);
    const { data } = await this.#state(nLayers);
    const vectors = position === undefined ? data : data.subarray(position * dModel, (position + 1) * dModel);
    const { logits } = await this.#base.ask("unembed", { vectors, normalize: true });
    return { data: logits, dims: position === undefined ? [this.nTokens, dVocab] : [dVocab] };
  }

  async neuronProximities(layer: number, position: number): Promise<Float32Array> {
    this.#check(layer);
    checkIndex("position", position, this.nTokens);
    const { dModel, dFfn } = this.#base.architecture;
    const { ffn_post, ffn_scale, resid_post } = await this.fetch(layer, ["ffn_post", "ffn_scale", "resid_post"]);
    const question = {
      layer,
      whole: resid_post.data.subarray(position * dModel, (position + 1) * dModel),
      activations: ffn_post.data.subarray(position * dFfn, (position + 1) * dFfn),
      scale: ffn_scale.data[position],
    };
    return (await this.#base.ask("neuronProximities", question)).proximities;
  }

  async neuronLogits(layer: number, position: number, direction: Float64Array): Promise<Float64Array> {
    this.#check(layer);
    checkIndex("position", position, this.nTokens);
    const { dFfn } = this.#base.architecture;
    const { ffn_post, ffn_scale } = await this.fetch(layer, ["ffn_post", "ffn_scale"]);
    const activations = ffn_post.data.subarray(position * dFfn, (position + 1) * dFfn);
    const scale = ffn_scale.data[position];
    return (await this.#base.ask("neuronLogits", { layer, direction, activations, scale })).logits;
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    if (this.#holding) this.#base.budget.release(this, this.#holding);
    this.drop();
  }

  async #state(index: number): Promise<Tensor> {
    if (index < this.firstState) return this.#below(index);
    const { dModel } = this.#base.architecture;
    const size = this.nTokens * dModel;
    const states = (await this.compute())!;
    const at = (index - this.firstState) * size;
    return { data: states.subarray(at, at + size), dims: [this.nTokens, dModel] };
  }

  /** A state of the base. */
  async #below(index: number): Promise<Tensor> {
    if (index < this.#base.architecture.nLayers) {
      return (await this.#base.pass.fetch(index, ["resid_pre"])).resid_pre;
    }
    return (await this.#base.pass.fetch(index - 1, ["resid_post"])).resid_post;
  }

  #check(layer: number): void {
    if (this.#disposed) throw new Error("This run was disposed of.");
    checkIndex("layer", layer, this.#base.architecture.nLayers);
  }
}
