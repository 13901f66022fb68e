import type { Linear, Norm } from "../model/architecture";
import type { Tensor } from "../model/types";
import { type ComputeWeights, matricesOf, type Residence } from "./compute-weights";
import {
  buildLayerGraph,
  CHANGEABLE,
  buildLogitCapGraph,
  buildNormGraph,
  buildUnembeddingGraph,
  buildValueOutGraph,
  valueOutKind,
  valuePlaces,
} from "./layer-graph";
import type { ParameterSource } from "./graph-builder";
import type { EngineAnswer, LayerTensors, PlainArchitecture, Positions, EngineQuestion } from "./messages";
import type { Array32, Session, Sessions } from "./sessions";
import type { Reclaimer } from "../threads/reclaim";
import { Backwards } from "./backward";
import { applyTo, changeFeeds, needsChangeable } from "./changes";
import { notFinite } from "./finite";
import { Growths } from "./grow";
import { mask, rotaryTable } from "./position-inputs";
import { LARGE, Scratch } from "./scratch";
import type { LayerChanges, LayerConstants, LayerTensorName, MemoryPlan } from "./types";

/** Between layers: throws where the request was cancelled; tells how far it is. */
export interface Step {
  check(): void;
  progress(done: number, total: number): void;
}

type PlainLayer = PlainArchitecture["layers"][number];

/** Everything the engine answers, computed in the thread that calls. States and answers are float32, row-major. */
export class Computer {
  readonly #layers: (Promise<Session> | undefined)[];
  /** Layers with inputs for changes, as they were needed; those used longest ago first. */
  readonly #changeable = new Map<number, Promise<Session>>();
  /** Bytes that these may hold beside the plain ones. */
  readonly #changeableBytes: number;
  readonly #layerBytes: readonly number[];
  readonly #heads: Promise<Session>[] = [];
  readonly #fedHeads = new Map<string, Promise<Session>>();
  /** Layers from this one on are loaded for each run. */
  readonly #nHeld: number;
  readonly plan: MemoryPlan;
  /** Token sequences that grow. */
  readonly growths: Growths;
  /** Layers backwards. */
  readonly backwards: Backwards;
  /** Keys and values of a pass that begins with the first token. */
  readonly #nothingBefore: Record<"past_key" | "past_value", Array32>;
  readonly #scratch = new Scratch();
  #turn: Promise<unknown> = Promise.resolve();
  #lastMatrix?: { readonly key: string; readonly data: Float32Array };
  #finalNorm?: Promise<Session>;
  #unembedding?: Promise<Session>;
  #logitCap?: Promise<Session>;
  #inputsOf?: { readonly nTokens: number; readonly inputs: Map<string, Array32> };

  /**
   * `memoryBytes`: what the weights may take, pages of mapped files included. Where float32 is too much, matrices are
   * held as small as they are stored; where that is too much too, the last layers are loaded anew in every run.
   */
  constructor(
    private readonly architecture: PlainArchitecture,
    private readonly weights: ComputeWeights,
    private readonly sessions: Sessions,
    private readonly reclaimer: Reclaimer,
    memoryBytes: number,
  ) {
    const { layers, nLayers, unembedding, dModel, dVocab } = architecture;
    this.#layers = new Array<undefined>(nLayers).fill(undefined);
    const vocabulary = (residence: Residence) => weights.size(unembedding, dModel, dVocab, "vocabulary", residence);
    const sizes = () => [
      vocabulary(weights.residence.vocabulary),
      ...layers.map((layer) =>
        add(matricesOf(architecture, layer).map((matrix) => weights.size(...matrix, "layer", weights.residence.layer))),
      ),
    ];
    const whole = (parts: readonly Size[]) => add(parts).memory + add(parts).file;
    let each = sizes();
    if (whole(each) > memoryBytes) {
      weights.residence.layer = "small";
      // Every click on a state asks the unembedding: it stays fast where it is a small part of the memory.
      if (whole([vocabulary("fast")]) > memoryBytes / 8) weights.residence.vocabulary = "small";
      each = sizes();
    }
    this.#nHeld = nLayers;
    if (whole(each) > memoryBytes) {
      // A streamed layer takes its memory twice for a moment: while onnxruntime copies what was read.
      const largest = Math.max(...each.slice(1).map(({ memory, file }) => 2 * memory + file));
      while (this.#nHeld > 0 && whole(each.slice(0, 1 + this.#nHeld)) > memoryBytes - largest) this.#nHeld--;
    }
    this.#layerBytes = each.slice(1).map(({ memory }) => memory);
    this.#changeableBytes = memoryBytes - whole(each.slice(0, 1 + this.#nHeld));
    const { nKeyValueHeads, dHead } = architecture;
    this.#nothingBefore = {
      past_key: { data: new Float32Array(0), dims: [nKeyValueHeads, 0, dHead] },
      past_value: { data: new Float32Array(0), dims: [0, nKeyValueHeads * dHead] },
    };
    this.growths = new Growths(architecture, {
      scratch: this.#scratch,
      session: (layer) => this.#layerSession(layer),
      isHeld: (layer) => layer < this.#nHeld,
      embed: (ids, from) => this.#embed(ids, from),
      unembed: (vector) => this.#unembedRows(vector, true),
      inTurn: (work) => this.#inTurn(work),
      shared: (length) => this.#shared(length),
      trim: () => this.#trim(),
    });
    this.backwards = new Backwards(
      architecture,
      {
        sessions,
        weights,
        scratch: this.#scratch,
        inTurn: (work) => this.#inTurn(work),
        shared: (length) => this.#shared(length),
        trim: () => this.#trim(),
      },
      // The rest is for runs.
      (memoryBytes - whole(each.slice(0, 1 + this.#nHeld))) / 2,
    );
    this.plan = {
      heldBytes: add(each.slice(0, 1 + this.#nHeld)).memory,
      residence: weights.residence.layer,
      nStreamed: nLayers - this.#nHeld,
    };
  }

  /** Loads the layers that are held. */
  async open(step: Step): Promise<void> {
    for (let layer = 0; layer < this.#nHeld; layer++) {
      step.check();
      await this.#inTurn(async () => void (await this.#layerSession(layer)));
      step.progress(layer + 1, this.#nHeld);
    }
    await this.#inTurn(async () => void (await this.#unembeddingSession()));
  }

  async forward(question: EngineQuestion<"forward">, step: Step): Promise<EngineAnswer<"forward">> {
    const { nLayers, dModel } = this.architecture;
    const { tokenIds, keep } = question;
    const nTokens = tokenIds.length;
    const size = nTokens * dModel;
    const states = this.#shared((nLayers + 1) * size);
    states.set(this.#embed(tokenIds));
    const state = (index: number): Tensor => ({
      data: states.subarray(index * size, (index + 1) * size),
      dims: [nTokens, dModel],
    });
    notFinite(state(0).data, 0, { dModel, tokenIds });
    const kept: LayerTensors[] = [];
    for (let layer = 0; layer < nLayers; layer++) {
      step.check();
      await this.#inTurn(async () => {
        const tensors = await this.#runLayer(layer, question, state(layer).data, [...keep, "resid_post"]);
        state(layer + 1).data.set(tensors.resid_post!.data);
        notFinite(state(layer + 1).data, layer + 1, { dModel, tokenIds });
        kept.push(this.#shareTensors(tensors, keep, { resid_pre: state(layer), resid_post: state(layer + 1) }));
      });
      step.progress(layer + 1, nLayers);
    }
    this.#trim();
    return { states, kept };
  }

  /** The states from the first change on. */
  async change(
    { begin, first, state, changes, tokenIds, ...positions }: EngineQuestion<"change">,
    step: Step,
  ): Promise<EngineAnswer<"change">> {
    const { nLayers, dModel } = this.architecture;
    const size = positions.nTokens * dModel;
    const states = this.#shared((nLayers + 1 - first) * size);
    const own = (index: number) => states.subarray((index - first) * size, (index - first + 1) * size);
    for (let index = first; index <= nLayers; index++) {
      step.check();
      await this.#inTurn(async () => {
        if (index === begin) own(index).set(state);
        else {
          const before = index === first ? state : own(index - 1);
          const inside = changes.layers.get(index - 1);
          own(index).set((await this.#runLayer(index - 1, positions, before, ["resid_post"], inside)).resid_post!.data);
        }
        applyTo(own(index), changes.states.get(index), dModel);
        notFinite(own(index), index, { dModel, tokenIds });
      });
      step.progress(index - first + 1, nLayers + 1 - first);
    }
    this.#trim();
    return { states };
  }

  /** What each head writes of some rows of `head_mix`. */
  headOutputs({ layer, rows }: EngineQuestion<"headOutputs">): EngineAnswer<"headOutputs"> {
    const { nHeads, dHead, dModel } = this.architecture;
    const { attention, postAttentionNorm } = this.architecture.layers[layer];
    const nInputs = nHeads * dHead;
    const matrix = this.#writing(attention.output, nInputs, postAttentionNorm);
    const outIn = attention.output.layout === "out-in";
    const n = rows.length / nInputs;
    const written = this.#shared(n * nHeads * dModel);
    const sum = new Float64Array(dModel);
    for (let row = 0; row < n; row++) {
      for (let head = 0; head < nHeads; head++) {
        sum.fill(0);
        for (let input = head * dHead; input < (head + 1) * dHead; input++) {
          const value = rows[row * nInputs + input];
          if (value === 0) continue;
          for (let i = 0; i < dModel; i++) sum[i] += value * matrix[outIn ? i * nInputs + input : input * dModel + i];
        }
        written.set(sum, (row * nHeads + head) * dModel);
      }
    }
    return { written };
  }

  /** One layer again, from the state before it. */
  async layer({ layer, state, names, changes, ...positions }: EngineQuestion<"layer">): Promise<EngineAnswer<"layer">> {
    const residPre: Tensor = { data: state, dims: [positions.nTokens, this.architecture.dModel] };
    return this.#inTurn(async () => {
      const tensors = this.#shareTensors(await this.#runLayer(layer, positions, state, names, changes), names, {
        resid_pre: residPre,
      });
      this.#trim();
      return { tensors };
    });
  }

  /** `Σ_i (|y_i| − |y_i − z_i|)` of each neuron's update z to the whole y at one position. */
  async neuronProximities({
    layer,
    whole,
    activations,
    scale,
  }: EngineQuestion<"neuronProximities">): Promise<EngineAnswer<"neuronProximities">> {
    const { dModel, dFfn } = this.architecture;
    const factors = Float64Array.from(activations, (activation) => activation * scale);
    const { ffn, postFfnNorm } = this.architecture.layers[layer];
    const matrix = this.#writing(ffn.output, dFfn, postFfnNorm);
    // Sums in double precision, in the order in which the matrix lies.
    const sums = new Float64Array(dFfn);
    if (ffn.output.layout === "in-out") {
      for (let n = 0; n < dFfn; n++) {
        const factor = factors[n];
        const row = n * dModel;
        let sum = 0;
        for (let i = 0; i < dModel; i++) sum += Math.abs(whole[i]) - Math.abs(whole[i] - factor * matrix[row + i]);
        sums[n] = sum;
      }
    } else {
      for (let i = 0; i < dModel; i++) {
        const y = whole[i];
        const size = Math.abs(y);
        const row = i * dFfn;
        for (let n = 0; n < dFfn; n++) sums[n] += size - Math.abs(y - factors[n] * matrix[row + n]);
      }
    }
    const proximities = this.#shared(dFfn);
    proximities.set(sums);
    return { proximities };
  }

  async neuronLogits({
    layer,
    direction,
    activations,
    scale,
  }: EngineQuestion<"neuronLogits">): Promise<EngineAnswer<"neuronLogits">> {
    const { dModel, dFfn } = this.architecture;
    const { ffn, postFfnNorm } = this.architecture.layers[layer];
    const matrix = this.#writing(ffn.output, dFfn, postFfnNorm);
    const logits = new Float64Array(dFfn);
    if (ffn.output.layout === "in-out") {
      for (let n = 0; n < dFfn; n++)
        for (let i = 0; i < dModel; i++) logits[n] += direction[i] * matrix[n * dModel + i];
    } else {
      for (let i = 0; i < dModel; i++) for (let n = 0; n < dFfn; n++) logits[n] += direction[i] * matrix[i * dFfn + n];
    }
    for (let n = 0; n < dFfn; n++) logits[n] *= activations[n] * scale;
    return { logits };
  }

  constants({ layer }: EngineQuestion<"constants">): EngineAnswer<"constants"> {
    const { architecture, weights } = this;
    const { dModel, dHead, nHeads, nKeyValueHeads } = architecture;
    const { attention, postAttentionNorm, ffn, postFfnNorm } = architecture.layers[layer];
    const vector = (linear: Linear, length: number) => linear.bias && weights.vector(linear.bias, length);
    const afterNorm = (bias: Float32Array | undefined, norm?: Norm) =>
      bias && this.#share(this.#throughNorm(bias, norm));
    const { qkv } = attention;
    let valueBias: Float32Array | undefined;
    if (qkv.kind === "separate") {
      valueBias = vector(qkv.value, nKeyValueHeads * dHead);
    } else {
      const bias = vector(qkv.linear, (nHeads + 2 * nKeyValueHeads) * dHead);
      valueBias = bias && Float32Array.from(valuePlaces(qkv.order, architecture), (place) => bias[place]);
    }
    let valueBiasOut: Float32Array | undefined;
    if (valueBias) {
      const nInputs = nHeads * dHead;
      const matrix = this.#writing(attention.output, nInputs, postAttentionNorm);
      const outIn = attention.output.layout === "out-in";
      const group = nHeads / nKeyValueHeads;
      const sums = new Float64Array(nHeads * dModel);
      for (let head = 0; head < nHeads; head++) {
        for (let j = 0; j < dHead; j++) {
          const bias = valueBias[Math.floor(head / group) * dHead + j];
          const input = head * dHead + j;
          for (let i = 0; i < dModel; i++)
            sums[head * dModel + i] += bias * matrix[outIn ? i * nInputs + input : input * dModel + i];
        }
      }
      valueBiasOut = this.#share(Float32Array.from(sums));
    }
    const constants: LayerConstants = {
      valueBiasOut,
      outputBias: afterNorm(vector(attention.output, dModel), postAttentionNorm),
      ffnOutputBias: afterNorm(vector(ffn.output, dModel), postFfnNorm),
    };
    return { constants };
  }

  neuronOutput({ layer, neuron }: EngineQuestion<"neuronOutput">): EngineAnswer<"neuronOutput"> {
    const { dModel, dFfn } = this.architecture;
    const { ffn, postFfnNorm } = this.architecture.layers[layer];
    const matrix = this.#writing(ffn.output, dFfn, postFfnNorm);
    const inOut = ffn.output.layout === "in-out";
    return {
      row: this.#share(
        Float32Array.from({ length: dModel }, (_, i) => matrix[inOut ? neuron * dModel + i : i * dFfn + neuron]),
      ),
    };
  }

  async unembed({ vectors, normalize }: EngineQuestion<"unembed">, step: Step): Promise<EngineAnswer<"unembed">> {
    const { dModel, dVocab } = this.architecture;
    const n = vectors.length / dModel;
    const logits = this.#shared(n * dVocab);
    // Some rows at a time: the result is copied once, and no second one of its size is held.
    const most = Math.max(1, Math.floor(ROWS_BYTES / (4 * dVocab)));
    for (let from = 0; from < n; from += most) {
      step.check();
      const rows = vectors.subarray(from * dModel, Math.min(from + most, n) * dModel);
      await this.#inTurn(async () => logits.set(await this.#unembedRows(rows, normalize), from * dVocab));
    }
    this.#trim();
    return { logits };
  }

  /** `[n, V]` in scratch memory. */
  async #unembedRows(vectors: Float32Array, normalize: boolean): Promise<Float32Array> {
    const { dModel, dVocab, finalNorm, logitScale, logitSoftcap } = this.architecture;
    const n = vectors.length / dModel;
    let x = this.#scratch.copy("x", vectors, [n, dModel]);
    if (normalize && finalNorm) {
      this.#finalNorm ??= this.sessions.create("the final norm", "vocabulary", (parameters) =>
        buildNormGraph(this.architecture, finalNorm, parameters),
      );
      const normed = this.#scratch.take("normed", [n, dModel]);
      await (await this.#finalNorm).run({ x }, { normed });
      x = normed;
    }
    const logits = this.#scratch.take("logits", [n, dVocab]);
    await (await this.#unembeddingSession()).run({ x }, { logits });
    if (!normalize || (logitScale === undefined && logitSoftcap === undefined)) return logits.data;
    this.#logitCap ??= this.sessions.create("the logits' scale", "vocabulary", (parameters) =>
      buildLogitCapGraph(this.architecture, this.architecture, parameters),
    );
    const capped = this.#scratch.take("capped", [n, dVocab]);
    await (await this.#logitCap).run({ x: logits }, { capped });
    return capped.data;
  }

  async close(): Promise<void> {
    const all = [
      ...this.#layers,
      ...this.#changeable.values(),
      ...this.#heads,
      ...this.#fedHeads.values(),
      this.#finalNorm,
      this.#unembedding,
      this.#logitCap,
    ];
    for (const session of all) await (await session)?.release();
    await this.backwards.close();
    this.weights.source.close();
  }

  /**
   * Requests take turns layer by layer, so that a click is answered while a long prompt is running. Within a turn the
   * scratch memory is the caller's own.
   */
  #inTurn<R>(work: () => Promise<R>): Promise<R> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** `[T, d]`: the embedded tokens, positions and their norm included. */
  #embed(tokenIds: readonly number[], from = 0): Float32Array {
    const { embedding, dModel } = this.architecture;
    const states = this.weights.rows(embedding.token, tokenIds);
    if (embedding.scale !== undefined) {
      const scale = Math.fround(embedding.scale);
      for (let i = 0; i < states.length; i++) states[i] *= scale;
    }
    if (embedding.position) {
      const { weight, offset } = embedding.position;
      const positions = this.weights.rows(
        weight,
        tokenIds.map((_, i) => from + i + offset),
      );
      for (let i = 0; i < states.length; i++) states[i] += positions[i];
    }
    if (embedding.norm) {
      for (let t = 0; t < tokenIds.length; t++)
        this.#normalize(states.subarray(t * dModel, (t + 1) * dModel), embedding.norm);
    }
    return states;
  }

  /** A norm of one vector, in place, in double precision. */
  #normalize(x: Float32Array, norm: Norm): void {
    const weight = norm.weight && this.weights.vector(norm.weight, x.length);
    const bias = norm.bias && this.weights.vector(norm.bias, x.length);
    const mean = norm.kind === "layernorm" ? x.reduce((sum, value) => sum + value, 0) / x.length : 0;
    const square = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
    const inverse = 1 / Math.sqrt(square + norm.epsilon);
    for (let i = 0; i < x.length; i++) {
      const scale = weight ? weight[i] + (norm.unitOffset ? 1 : 0) : 1;
      x[i] = (x[i] - mean) * inverse * scale + (bias?.[i] ?? 0);
    }
  }

  #layerSession(layer: number): Promise<Session> {
    const { architecture } = this;
    const create = (once: boolean) =>
      this.sessions.create(
        `layer ${layer}`,
        "layer",
        (parameters) => buildLayerGraph(`layer_${layer}`, architecture, architecture.layers[layer], parameters),
        once,
      );
    return layer < this.#nHeld ? (this.#layers[layer] ??= create(false)) : create(true);
  }

  /** The same layer with inputs for changes. */
  async #changeableSession(layer: number): Promise<{ readonly session: Session; readonly once: boolean }> {
    const { architecture } = this;
    const known = this.#changeable.get(layer);
    if (known) {
      this.#changeable.delete(layer);
      this.#changeable.set(layer, known);
      return { session: await known, once: false };
    }
    const bytes = this.#layerBytes[layer];
    const once = layer >= this.#nHeld || bytes > this.#changeableBytes;
    if (!once) {
      let held = bytes;
      for (const other of this.#changeable.keys()) held += this.#layerBytes[other];
      for (const [other, session] of [...this.#changeable]) {
        if (held <= this.#changeableBytes) break;
        held -= this.#layerBytes[other];
        this.#changeable.delete(other);
        await (await session).release();
      }
    }
    const session = this.sessions.create(
      `layer ${layer}`,
      "layer",
      (parameters) =>
        buildLayerGraph(`layer_${layer}_changeable`, architecture, architecture.layers[layer], parameters, CHANGEABLE),
      once,
    );
    if (!once) {
      this.#changeable.set(layer, session);
      session.catch(() => this.#changeable.delete(layer));
    }
    return { session: await session, once };
  }

  #unembeddingSession(): Promise<Session> {
    return (this.#unembedding ??= this.sessions.create("the unembedding", "vocabulary", (parameters) =>
      buildUnembeddingGraph(this.architecture, this.architecture.unembedding, parameters),
    ));
  }

  #shared(length: number): Float32Array {
    this.reclaimer.note(4 * length);
    return new Float32Array(new SharedArrayBuffer(4 * length));
  }

  #share(values: Float32Array): Float32Array {
    const result = this.#shared(values.length);
    result.set(values);
    return result;
  }

  /** Tensors by name in shared memory; those in `ready` are there already. */
  #shareTensors(tensors: Tensors, names: readonly LayerTensorName[], ready: LayerTensors): LayerTensors {
    const result: LayerTensors = {};
    for (const name of names) {
      const own = tensors[name];
      result[name] = ready[name] ?? (own && { data: this.#share(own.data), dims: own.dims });
    }
    return result;
  }

  /** The tensors `names` of one layer, in scratch memory: the next run overwrites them. `resid_pre` is left out. */
  async #runLayer(
    index: number,
    positions: Positions,
    state: Float32Array,
    names: readonly LayerTensorName[],
    changes?: LayerChanges,
  ): Promise<Tensors> {
    const { nTokens } = positions;
    const { dModel } = this.architecture;
    const layer = this.architecture.layers[index];
    const outputs: Record<string, Array32> = {};
    for (const name of names) {
      if (name === "resid_mid" && layer.block === "parallel")
        throw new RangeError("Parallel blocks have no state between attention and FFN: there is no resid_mid.");
      const computed =
        name === "term_scale"
          ? layer.postAttentionNorm
          : name === "ffn_scale"
            ? layer.postFfnNorm
            : name !== "resid_pre";
      if (!computed) continue;
      const output = name === "value_out" ? "value" : name;
      outputs[output] = this.#scratch.take(output, this.#dims(output, nTokens));
    }
    if (Object.keys(outputs).length > 0) {
      const x = this.#scratch.copy("x", state, [nTokens, dModel]);
      const feeds: Record<string, Array32> = { x, ...this.#nothingBefore, ...this.#inputs(layer, positions) };
      const changeable = needsChangeable(changes, names);
      const { session, once } = changeable
        ? await this.#changeableSession(index)
        : { session: await this.#layerSession(index), once: index >= this.#nHeld };
      try {
        await session.run(
          changeable
            ? { ...feeds, ...changeFeeds(changes, feeds.mask, { ...this.architecture, nTokens }, this.#scratch) }
            : feeds,
          outputs,
        );
      } finally {
        if (once) await session.release();
      }
    }
    const tensors: Tensors = {};
    for (const name of names) {
      if (name === "value_out") {
        const valueOut = this.#scratch.take("value_out", this.#dims("value_out", nTokens));
        await this.#runHeads(index, outputs.value, valueOut);
        tensors.value_out = valueOut;
      } else if (name === "term_scale" || name === "ffn_scale") {
        tensors[name] = { data: outputs[name]?.data ?? new Float32Array(nTokens).fill(1), dims: [nTokens] };
        // What a block writes is scaled with the block.
        const { gain } = (name === "term_scale" ? changes?.attention : changes?.ffn) ?? {};
        gain?.forEach((factor, t) => (tensors[name]!.data[t] *= factor));
      } else if (name !== "resid_pre") {
        tensors[name] = outputs[name];
      }
    }
    return tensors;
  }

  #dims(name: LayerTensorName | "value", nTokens: number): number[] {
    const { nHeads, nKeyValueHeads, dHead, dModel, dFfn } = this.architecture;
    switch (name) {
      case "pattern":
        return [nHeads, nTokens, nTokens];
      case "value":
      case "value_used":
        return [nTokens, nKeyValueHeads * dHead];
      case "head_mix":
        return [nTokens, nHeads * dHead];
      case "value_out":
        return [nTokens, nHeads, dModel];
      case "ffn_pre":
      case "ffn_post":
        return [nTokens, dFfn];
      case "term_scale":
      case "ffn_scale":
        return [nTokens, 1];
      default:
        return [nTokens, dModel];
    }
  }

  async #runHeads(index: number, value: Array32, valueOut: Array32): Promise<void> {
    const { architecture, weights } = this;
    const { nHeads, dHead, dModel } = architecture;
    const layer = architecture.layers[index];
    const { output } = layer.attention;
    const nInputs = nHeads * dHead;
    const build = (fed: boolean) => (parameters: ParameterSource) =>
      buildValueOutGraph(`heads_${index}`, architecture, layer, parameters, fed);
    if (weights.inPlace(output, nInputs, dModel)) {
      const streamed = index >= this.#nHeld;
      const session =
        this.#heads[index] ?? this.sessions.create(`the heads of layer ${index}`, "layer", build(false), streamed);
      if (!streamed) this.#heads[index] = session;
      try {
        await (await session).run({ value }, { value_out: valueOut });
      } finally {
        if (streamed) await (await session).release();
      }
      return;
    }
    // The layer's session has the matrix in a form of its own: a second one is read for the moment, not held.
    const kind = valueOutKind(layer);
    const session = this.#fedHeads.get(kind) ?? this.sessions.create("the heads", "layer", build(true));
    this.#fedHeads.set(kind, session);
    const data = weights.values(output, nInputs, dModel, "layer");
    this.reclaimer.note(data.byteLength);
    const weight = { data, dims: output.layout === "out-in" ? [dModel, nInputs] : [nInputs, dModel] };
    const norm = layer.postAttentionNorm;
    const scale = norm?.weight && { data: this.#normScale(norm), dims: [dModel] };
    await (await session).run({ value, weight, ...(scale && { scale }) }, { value_out: valueOut });
  }

  /**
   * The matrix of a block's output as it lies in the file, every written vector taken through the norm behind the
   * block.
   */
  #writing(linear: Linear, nInputs: number, norm?: Norm): Float32Array {
    const { dModel } = this.architecture;
    // The last one is kept: the neurons of one layer are looked at again and again.
    const key = JSON.stringify(linear.weight);
    if (this.#lastMatrix?.key === key) return this.#lastMatrix.data;
    const data = this.weights.values(linear, nInputs, dModel, "layer");
    this.reclaimer.note(data.byteLength);
    this.#lastMatrix = { key, data };
    if (!norm) return data;
    const scale = this.#normScale(norm);
    const outIn = linear.layout === "out-in";
    for (let input = 0; input < nInputs; input++) {
      const at = (i: number) => (outIn ? i * nInputs + input : input * dModel + i);
      let mean = 0;
      if (norm.kind === "layernorm") {
        for (let i = 0; i < dModel; i++) mean += data[at(i)];
        mean /= dModel;
      }
      for (let i = 0; i < dModel; i++) data[at(i)] = (data[at(i)] - mean) * scale[i];
    }
    return data;
  }

  /** A vector that a block writes, taken through the norm behind it with its statistic left out. */
  #throughNorm(vector: Float32Array, norm?: Norm): Float32Array {
    if (!norm) return vector;
    const scale = this.#normScale(norm);
    const mean = norm.kind === "layernorm" ? vector.reduce((sum, value) => sum + value, 0) / vector.length : 0;
    return vector.map((value, i) => (value - mean) * scale[i]);
  }

  #normScale(norm: Norm): Float32Array {
    const weight = norm.weight
      ? this.weights.vector(norm.weight, this.architecture.dModel)
      : new Float32Array(this.architecture.dModel).fill(1);
    return norm.weight && norm.unitOffset ? weight.map((value) => value + 1) : weight;
  }

  /** Lets go of what a long prompt needed. */
  #trim(): void {
    this.#scratch.trim();
    let bytes = 0;
    for (const { data } of this.#inputsOf?.inputs.values() ?? []) bytes += data.byteLength;
    if (bytes > LARGE) this.#inputsOf = undefined;
  }

  /** Mask and rotary tables of a layer. Those of the last length are kept: layers share them. */
  #inputs(layer: PlainLayer, positions: Positions): Record<string, Array32> {
    const { nTokens, frequencies } = positions;
    if (this.#inputsOf?.nTokens !== nTokens) this.#inputsOf = { nTokens, inputs: new Map() };
    const { inputs } = this.#inputsOf;
    const remember = (key: string, make: () => Array32) => {
      const known = inputs.get(key) ?? make();
      inputs.set(key, known);
      return known;
    };
    const { window, alibiSlopes, alibiRounded, scale, rotary } = layer.attention;
    const roundedScale = alibiRounded ? scale : undefined;
    const maskKey = `mask ${window} ${alibiSlopes?.join()} ${roundedScale}`;
    const result: Record<string, Array32> = {
      mask: remember(maskKey, () => mask({ from: 0, nTokens }, window, alibiSlopes, roundedScale)),
    };
    if (rotary && layer.rotaryIndex !== undefined) {
      const index = layer.rotaryIndex;
      const table = (of: "cos" | "sin") =>
        remember(`${of} ${index} ${rotary.scale}`, () =>
          rotaryTable(of, frequencies[index], rotary.scale ?? 1, { from: 0, nTokens }),
        );
      result.cos = table("cos");
      result.sin = table("sin");
    }
    return result;
  }
}

interface Size {
  readonly memory: number;
  readonly file: number;
}

function add(sizes: readonly Size[]): Size {
  return sizes.reduce((sum, { memory, file }) => ({ memory: sum.memory + memory, file: sum.file + file }), {
    memory: 0,
    file: 0,
  });
}

/** Logits that are computed at once. */
const ROWS_BYTES = 64 << 20;

type Tensors = Partial<Record<LayerTensorName, Array32>>;
