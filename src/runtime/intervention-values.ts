/** Values that interventions take out of runs. */
import type { LayerTensorName } from "../engine/types";
import type { Architecture } from "../model/architecture";
import type { ModelInfo, Tensor, Token, TransparentModel } from "../model/types";
import type { VectorPlace } from "./intervention-places";

/** A run whose tensors can be read for another one's interventions. */
export interface Readable {
  readonly model: TransparentModel;
  readonly tokens: readonly Token[];
  /** Tensors of a layer, remembered. */
  reference<N extends LayerTensorName>(layer: number, names: readonly N[]): Promise<Record<N, Tensor>>;
}

/** What is to be known of a model. */
export interface Model {
  readonly info: ModelInfo;
  readonly architecture: Architecture;
}

/** The vector of a place at each position of a run. */
export async function vectorReader(
  run: Readable,
  place: VectorPlace,
  { info, architecture }: Model,
): Promise<(position: number) => Float32Array> {
  const { dModel, dHead, nHeads, dFfn } = info;
  const rows =
    (data: Float32Array, stride: number, offset: number, width: number) =>
    (position: number): Float32Array =>
      data.subarray(position * stride + offset, position * stride + offset + width);
  switch (place.kind) {
    case "state": {
      const last = architecture.nLayers - 1;
      const data =
        place.index > last
          ? (await run.reference(last, ["resid_post"])).resid_post.data
          : (await run.reference(place.index, ["resid_pre"])).resid_pre.data;
      return rows(data, dModel, 0, dModel);
    }
    case "mid":
      return rows((await run.reference(place.layer, ["resid_mid"])).resid_mid.data, dModel, 0, dModel);
    case "attention":
      return rows((await run.reference(place.layer, ["attn_raw"])).attn_raw.data, dModel, 0, dModel);
    case "ffn":
      return rows((await run.reference(place.layer, ["ffn_raw"])).ffn_raw.data, dModel, 0, dModel);
    case "head":
      return rows(
        (await run.reference(place.layer, ["head_mix"])).head_mix.data,
        nHeads * dHead,
        place.head * dHead,
        dHead,
      );
    case "neuron":
      return rows((await run.reference(place.layer, ["ffn_post"])).ffn_post.data, dFfn, place.neuron, 1);
  }
}

/** The term `A[h,q,k] v[h,k]` [dHead], before W_O, of a layer of a run. */
export async function termReader(
  run: Readable,
  layer: number,
  { info }: Pick<Model, "info">,
): Promise<(head: number, query: number, key: number) => Float32Array> {
  const { nHeads, nKeyValueHeads, dHead } = info;
  const nTokens = run.tokens.length;
  const { pattern, value_used } = await run.reference(layer, ["pattern", "value_used"]);
  const group = nHeads / nKeyValueHeads;
  return (head, query, key) => {
    const weight = pattern.data[(head * nTokens + query) * nTokens + key];
    const at = (key * nKeyValueHeads + Math.floor(head / group)) * dHead;
    return value_used.data.slice(at, at + dHead).map((x) => x * weight);
  };
}

/** Pairs of a query and a key that it sees. */
function pairs(nTokens: number, window = Infinity): number {
  let sum = 0;
  for (let query = 0; query < nTokens; query++) sum += Math.min(query + 1, window);
  return sum;
}

/** Means [H, dHead] over all pairs of a query and a key of what each head carries from one to the other. */
export async function meanTerms(runs: readonly Readable[], layer: number, ground: Model): Promise<Float64Array> {
  const { nHeads, dHead } = ground.info;
  const sum = new Float64Array(nHeads * dHead);
  let count = 0;
  for (const run of runs) {
    const { data } = (await run.reference(layer, ["head_mix"])).head_mix;
    for (let i = 0; i < data.length; i++) sum[i % sum.length] += data[i];
    count += pairs(run.tokens.length, ground.architecture.layers[layer].attention.window);
  }
  return sum.map((x) => x / count);
}

/** Mean of a place's vector over all positions of some runs. */
export async function meanVector(place: VectorPlace, runs: readonly Readable[], ground: Model): Promise<Float32Array> {
  let sum: Float64Array | undefined;
  let count = 0;
  for (const run of runs) {
    const row = await vectorReader(run, place, ground);
    for (let position = 0; position < run.tokens.length; position++) {
      const values = row(position);
      const into = (sum ??= new Float64Array(values.length));
      for (let i = 0; i < values.length; i++) into[i] += values[i];
    }
    count += run.tokens.length;
  }
  return Float32Array.from(sum as Float64Array, (x) => x / count);
}
