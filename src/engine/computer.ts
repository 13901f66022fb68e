import type { Linear, Norm } from "../model/architecture";
import type { Tensor } from "../model/types";
import type { WeightSource } from "../model/weights";
import { buildLayerGraph, buildLogitCapGraph, buildNormGraph, buildUnembeddingGraph, buildValueOutGraph, type LayerOutput, valuePlaces } from "./layer-graph";
import type { Answer, LayerTensors, PlainArchitecture, Positions, Question } from "./messages";
import { checkedEntry, type Input, type Session, type Sessions } from "./sessions";
import type { LayerConstants, LayerTensorName } from "./types";

/** Between layers: throws where the request was cancelled; tells how far it is. */
export interface Step {
  check(): void;
  progress(done: number, total: number): void;
}

type PlainLayer = PlainArchitecture["layers"][number];

/** Everything the engine answers, computed in the thread that calls. States and answers are float32, row-major. */
export class Computer {
  private readonly layers: (Promise<Session> | undefined)[];
  private readonly valueOut = new Map<string, Promise<Session>>();
  private finalNorm?: Promise<Session>;
  private unembedding?: Promise<Session>;
  private logitCap?: Promise<Session>;
  private inputsOf?: { readonly nTokens: number; readonly inputs: Map<string, Input> };

  constructor(private readonly architecture: PlainArchitecture, private readonly weights: WeightSource, private readonly sessions: Sessions) {
    this.layers = new Array<undefined>(architecture.nLayers).fill(undefined);
  }

  /** Loads every layer. */
  async open(step: Step): Promise<Answer<"open">> {
    const { nLayers } = this.architecture;
    for (let layer = 0; layer < nLayers; layer++) {
      step.check();
      await this.layerSession(layer);
      step.progress(layer + 1, nLayers);
    }
    await this.unembeddingSession();
    return {};
  }

  async forward(question: Question<"forward">, step: Step): Promise<Answer<"forward">> {
    const { nLayers, dModel } = this.architecture;
    const { tokenIds, keep } = question;
    const nTokens = tokenIds.length;
    const size = nTokens * dModel;
    const states = shared((nLayers + 1) * size);
    let state = this.embed(tokenIds);
    states.set(state);
    const kept: LayerTensors[] = [];
    for (let layer = 0; layer < nLayers; layer++) {
      step.check();
      const tensors = await this.runLayer(layer, question, state, [...keep, "resid_post"]);
      const next = tensors.resid_post!;
      state = next.private;
      states.set(state, (layer + 1) * size);
      kept.push(share(tensors, keep, { resid_pre: sharedTensor(states, layer, nTokens, dModel), resid_post: sharedTensor(states, layer + 1, nTokens, dModel) }));
      step.progress(layer + 1, nLayers);
    }
    return { states, kept };
  }

  /** One layer again, from the state before it. */
  async layer({ layer, state, names, ...positions }: Question<"layer">): Promise<Answer<"layer">> {
    const tensors = await this.runLayer(layer, positions, Float32Array.from(state), names);
    const residPre: Tensor = { data: state, dims: [positions.nTokens, this.architecture.dModel] };
    return { tensors: share(tensors, names, { resid_pre: residPre }) };
  }

  /** `Σ_i (|y_i| − |y_i − z_i|)` of each neuron's update z at one position, y = `resid_post`. */
  async neuronProximities({ layer, state, position, ...positions }: Question<"neuronProximities">): Promise<Answer<"neuronProximities">> {
    const { dModel, dFfn } = this.architecture;
    const tensors = await this.runLayer(layer, positions, Float32Array.from(state), ["resid_post", "ffn_post", "ffn_scale"]);
    const whole = tensors.resid_post!.private.subarray(position * dModel, (position + 1) * dModel);
    const activations = tensors.ffn_post!.private.slice(position * dFfn, (position + 1) * dFfn);
    const scale = tensors.ffn_scale!.private[position];
    if (scale !== 1) for (let n = 0; n < dFfn; n++) activations[n] *= scale;
    const { ffn, postFfnNorm } = this.architecture.layers[layer];
    const matrix = this.writing(ffn.output, dFfn, postFfnNorm);
    // Sums in double precision, in the order in which the matrix lies.
    const sums = new Float64Array(dFfn);
    if (ffn.output.layout === "in-out") {
      for (let n = 0; n < dFfn; n++) {
        const activation = activations[n];
        const row = n * dModel;
        let sum = 0;
        for (let i = 0; i < dModel; i++) sum += Math.abs(whole[i]) - Math.abs(whole[i] - activation * matrix[row + i]);
        sums[n] = sum;
      }
    } else {
      for (let i = 0; i < dModel; i++) {
        const y = whole[i];
        const size = Math.abs(y);
        const row = i * dFfn;
        for (let n = 0; n < dFfn; n++) sums[n] += size - Math.abs(y - activations[n] * matrix[row + n]);
      }
    }
    const proximities = shared(dFfn);
    proximities.set(sums);
    return { proximities };
  }

  constants({ layer }: Question<"constants">): Answer<"constants"> {
    const { architecture, weights } = this;
    const { dModel, dHead, nHeads, nKeyValueHeads } = architecture;
    const { attention, postAttentionNorm, ffn, postFfnNorm } = architecture.layers[layer];
    const vector = (linear: Linear, length: number) => {
      if (!linear.bias) return undefined;
      checkedEntry(weights, linear.bias, length, String(length));
      return weights.read(linear.bias).data;
    };
    const afterNorm = (bias: Float32Array | undefined, norm?: Norm) => bias && shareArray(this.throughNorm(bias, norm));
    const { qkv } = attention;
    let valueBias: Float32Array | undefined;
    if (qkv.kind === "separate") {
      valueBias = vector(qkv.value, nKeyValueHeads * dHead);
    } else {
      const bias = vector(qkv.linear, (nHeads + 2 * nKeyValueHeads) * dHead);
      valueBias = bias && Float32Array.from(valuePlaces(qkv.order, architecture), place => bias[place]);
    }
    let valueBiasOut: Float32Array | undefined;
    if (valueBias) {
      const nInputs = nHeads * dHead;
      const matrix = this.writing(attention.output, nInputs, postAttentionNorm);
      const outIn = attention.output.layout === "out-in";
      const group = nHeads / nKeyValueHeads;
      const sums = new Float64Array(nHeads * dModel);
      for (let head = 0; head < nHeads; head++) {
        for (let j = 0; j < dHead; j++) {
          const bias = valueBias[Math.floor(head / group) * dHead + j];
          const input = head * dHead + j;
          for (let i = 0; i < dModel; i++) sums[head * dModel + i] += bias * matrix[outIn ? i * nInputs + input : input * dModel + i];
        }
      }
      valueBiasOut = shareArray(Float32Array.from(sums));
    }
    const constants: LayerConstants = {
      valueBiasOut,
      outputBias: afterNorm(vector(attention.output, dModel), postAttentionNorm),
      ffnOutputBias: afterNorm(vector(ffn.output, dModel), postFfnNorm),
    };
    return { constants };
  }

  neuronOutput({ layer, neuron }: Question<"neuronOutput">): Answer<"neuronOutput"> {
    const { dModel, dFfn } = this.architecture;
    const { ffn, postFfnNorm } = this.architecture.layers[layer];
    const { weight, layout } = ffn.output;
    checkedEntry(this.weights, weight, dModel * dFfn, `${dModel} × ${dFfn}`);
    let row: Float32Array;
    if (layout === "in-out") {
      row = this.weights.readRows(weight, [neuron]);
    } else {
      const { data } = this.weights.read(weight);
      row = Float32Array.from({ length: dModel }, (_, i) => data[i * dFfn + neuron]);
    }
    return { row: shareArray(this.throughNorm(row, postFfnNorm)) };
  }

  async unembed({ vectors, normalize }: Question<"unembed">, step: Step): Promise<Answer<"unembed">> {
    const { dModel, dVocab, finalNorm, logitScale, logitSoftcap } = this.architecture;
    const n = vectors.length / dModel;
    const logits = shared(n * dVocab);
    // Rows at a time: the result is copied once, and no second one of its size is held.
    const rows = Math.max(1, Math.floor(ROWS_BYTES / (4 * dVocab)));
    for (let from = 0; from < n; from += rows) {
      step.check();
      const count = Math.min(rows, n - from);
      let x: Input = { data: Float32Array.from(vectors.subarray(from * dModel, (from + count) * dModel)), dims: [count, dModel] };
      if (normalize && finalNorm) {
        this.finalNorm ??= this.sessions.create("the final norm", parameters => buildNormGraph(this.architecture, finalNorm, parameters));
        x = (await (await this.finalNorm).run({ x }, ["normed"])).normed;
      }
      let result = (await (await this.unembeddingSession()).run({ x }, ["logits"])).logits;
      if (normalize && (logitScale !== undefined || logitSoftcap !== undefined)) {
        this.logitCap ??= this.sessions.create("the logits' scale", parameters => buildLogitCapGraph(this.architecture, this.architecture, parameters));
        result = (await (await this.logitCap).run({ x: result }, ["capped"])).capped;
      }
      logits.set(result.data, from * dVocab);
    }
    return { logits };
  }

  async close(): Promise<void> {
    const all = [...this.layers, ...this.valueOut.values(), this.finalNorm, this.unembedding, this.logitCap];
    for (const session of all) await (await session)?.release();
    this.weights.close();
  }

  /** [T, d]: the embedded tokens, positions and their norm included. */
  private embed(tokenIds: readonly number[]): Float32Array {
    const { embedding, dModel } = this.architecture;
    const states = this.weights.readRows(embedding.token, tokenIds);
    if (embedding.scale !== undefined) {
      const scale = Math.fround(embedding.scale);
      for (let i = 0; i < states.length; i++) states[i] *= scale;
    }
    if (embedding.position) {
      const { weight, offset } = embedding.position;
      const positions = this.weights.readRows(weight, tokenIds.map((_, position) => position + offset));
      for (let i = 0; i < states.length; i++) states[i] += positions[i];
    }
    if (embedding.norm) {
      for (let t = 0; t < tokenIds.length; t++) this.normalize(states.subarray(t * dModel, (t + 1) * dModel), embedding.norm);
    }
    return states;
  }

  /** A norm of one vector, in place, in double precision. */
  private normalize(x: Float32Array, norm: Norm): void {
    const weight = norm.weight && this.weights.read(norm.weight).data;
    const bias = norm.bias && this.weights.read(norm.bias).data;
    const mean = norm.kind === "layernorm" ? x.reduce((sum, value) => sum + value, 0) / x.length : 0;
    const square = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
    const inverse = 1 / Math.sqrt(square + norm.epsilon);
    for (let i = 0; i < x.length; i++) {
      const scale = (weight?.[i] ?? 1) + (norm.unitOffset ? 1 : 0);
      x[i] = (x[i] - mean) * inverse * scale + (bias?.[i] ?? 0);
    }
  }

  private layerSession(layer: number): Promise<Session> {
    return (this.layers[layer] ??= this.sessions.create(`layer ${layer}`, parameters => buildLayerGraph(`layer_${layer}`, this.architecture, this.architecture.layers[layer], parameters)));
  }

  private unembeddingSession(): Promise<Session> {
    return (this.unembedding ??= this.sessions.create("the unembedding", parameters => buildUnembeddingGraph(this.architecture, this.architecture.unembedding, parameters)));
  }

  private async runLayer(index: number, positions: Positions, state: Float32Array, names: readonly LayerTensorName[]): Promise<Tensors> {
    const { architecture } = this;
    const { dModel } = architecture;
    const { nTokens } = positions;
    const layer = architecture.layers[index];
    const outputs = new Set<LayerOutput>();
    for (const name of names) {
      if (name === "resid_mid" && layer.block === "parallel") throw new RangeError("Parallel blocks have no state between attention and FFN: there is no resid_mid.");
      if (name === "value_out") outputs.add("value");
      else if (name === "term_scale" ? layer.postAttentionNorm : name === "ffn_scale" ? layer.postFfnNorm : name !== "resid_pre") outputs.add(name as LayerOutput);
    }
    const tensors: Tensors = {};
    if (outputs.size > 0) {
      const x = { data: state, dims: [nTokens, dModel] };
      const results = await (await this.layerSession(index)).run({ x, ...this.inputs(layer, positions) }, [...outputs]);
      for (const name of outputs) if (name !== "value") tensors[name] = { private: results[name].data, dims: results[name].dims };
      if (outputs.has("value")) {
        const result = await this.runValueOut(layer, results.value);
        tensors.value_out = { private: result.data, dims: result.dims };
      }
    }
    for (const name of ["term_scale", "ffn_scale"] as const) {
      if (!names.includes(name)) continue;
      tensors[name] = { private: tensors[name]?.private ?? new Float32Array(nTokens).fill(1), dims: [nTokens] };
    }
    return tensors;
  }

  /** `value` [T, K * dHead] → [T, H, d] */
  private async runValueOut(layer: PlainLayer, value: Input): Promise<Input> {
    const { nHeads, dHead } = this.architecture;
    const { output } = layer.attention;
    let session = this.valueOut.get(output.layout);
    if (!session) {
      session = this.sessions.create("the heads' output", parameters => buildValueOutGraph(this.architecture, output.layout, parameters));
      this.valueOut.set(output.layout, session);
    }
    const data = this.writing(output, nHeads * dHead, layer.postAttentionNorm);
    const { dModel } = this.architecture;
    const weight = { data, dims: output.layout === "out-in" ? [dModel, nHeads * dHead] : [nHeads * dHead, dModel] };
    return (await (await session).run({ value, weight }, ["value_out"])).value_out;
  }

  /** The matrix of a block's output as it lies in the file, every written vector taken through the norm behind the block. */
  private writing(linear: Linear, nInputs: number, norm?: Norm): Float32Array {
    const { dModel } = this.architecture;
    checkedEntry(this.weights, linear.weight, nInputs * dModel, `${dModel} × ${nInputs}`);
    const { data } = this.weights.read(linear.weight);
    if (!norm) return data;
    const scale = this.normScale(norm);
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
  private throughNorm(vector: Float32Array, norm?: Norm): Float32Array {
    if (!norm) return vector;
    const scale = this.normScale(norm);
    const mean = norm.kind === "layernorm" ? vector.reduce((sum, value) => sum + value, 0) / vector.length : 0;
    return vector.map((value, i) => (value - mean) * scale[i]);
  }

  private normScale(norm: Norm): Float32Array {
    const weight = norm.weight ? this.weights.read(norm.weight).data : new Float32Array(this.architecture.dModel).fill(1);
    return norm.weight && norm.unitOffset ? weight.map(value => value + 1) : weight;
  }

  /** Mask and rotary tables of a layer. Those of the last length are kept: layers share them. */
  private inputs(layer: PlainLayer, positions: Positions): Record<string, Input> {
    const { nTokens, frequencies } = positions;
    if (this.inputsOf?.nTokens !== nTokens) this.inputsOf = { nTokens, inputs: new Map() };
    const { inputs } = this.inputsOf;
    const remember = (key: string, make: () => Input) => {
      const known = inputs.get(key) ?? make();
      inputs.set(key, known);
      return known;
    };
    const { window, alibiSlopes, rotary } = layer.attention;
    const maskKey = `mask ${window} ${alibiSlopes?.join()}`;
    const result: Record<string, Input> = { mask: remember(maskKey, () => mask(nTokens, window, alibiSlopes)) };
    if (rotary && layer.rotaryIndex !== undefined) {
      const index = layer.rotaryIndex;
      const table = (of: "cos" | "sin") => remember(`${of} ${index} ${rotary.scale}`, () => rotaryTable(of, frequencies[index], rotary.scale ?? 1, nTokens));
      result.cos = table("cos");
      result.sin = table("sin");
    }
    return result;
  }
}

/** Logits that are computed at once. */
const ROWS_BYTES = 64 << 20;

type Tensors = Partial<Record<LayerTensorName, { readonly private: Float32Array; readonly dims: readonly number[] }>>;

function shared(length: number): Float32Array {
  return new Float32Array(new SharedArrayBuffer(4 * length));
}

function shareArray(values: Float32Array): Float32Array {
  const result = shared(values.length);
  result.set(values);
  return result;
}

function sharedTensor(states: Float32Array, index: number, nTokens: number, dModel: number): Tensor {
  const size = nTokens * dModel;
  return { data: states.subarray(index * size, (index + 1) * size), dims: [nTokens, dModel] };
}

/** Tensors by name in shared memory; those in `ready` are there already. */
function share(tensors: Tensors, names: readonly LayerTensorName[], ready: LayerTensors): LayerTensors {
  const result: LayerTensors = {};
  for (const name of names) {
    const own = tensors[name];
    result[name] = ready[name] ?? (own && { data: shareArray(own.private), dims: own.dims });
  }
  return result;
}

/** Added to the scores: −∞ where a query may not look, else ALiBi's slope times the distance, or 0. */
function mask(nTokens: number, window = Infinity, slopes?: Float64Array): Input {
  const heads = slopes ?? Float64Array.of(0);
  const data = new Float32Array(heads.length * nTokens * nTokens).fill(-Infinity);
  for (let head = 0; head < heads.length; head++) {
    for (let query = 0; query < nTokens; query++) {
      const row = (head * nTokens + query) * nTokens;
      for (let key = Math.max(0, query - window + 1); key <= query; key++) data[row + key] = heads[head] * (key - query);
    }
  }
  return { data, dims: slopes ? [heads.length, nTokens, nTokens] : [nTokens, nTokens] };
}

function rotaryTable(of: "cos" | "sin", frequencies: Float64Array, scale: number, nTokens: number): Input {
  const half = frequencies.length;
  const data = new Float32Array(nTokens * half);
  for (let position = 0; position < nTokens; position++) {
    for (let i = 0; i < half; i++) data[position * half + i] = Math[of](position * frequencies[i]) * scale;
  }
  return { data, dims: [nTokens, half] };
}
