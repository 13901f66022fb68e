import type {
  Activation,
  Architecture,
  Attention,
  FeedForward,
  Layer,
  Linear,
  Norm,
  Rotary,
} from "../model/architecture";
import { GraphBuilder, type ParameterSource } from "./graph-builder";
import type { Graph, OperatorSets } from "./onnx";
import type { LayerTensorName } from "./types";

/** What the builders need of an architecture: its sizes. */
export type Sizes = Pick<Architecture, "nHeads" | "nKeyValueHeads" | "dModel" | "dHead" | "dFfn" | "dVocab">;

/** A rotary embedding as a layer's graph sees it: cos and sin come as inputs. */
export type GraphRotary = Omit<Rotary, "frequencies">;

/** A layer whose functions were taken out, so that it can go to a worker. */
export interface GraphLayer extends Omit<Layer, "attention"> {
  readonly attention: Omit<Attention, "rotary"> & { readonly rotary?: GraphRotary };
}

/**
 * Outputs of a layer's graph: the tensors of the engine's interface that are computed here, `key` [K, T, dHead] with
 * its positions, and `value` [T, K * dHead] without its bias.
 */
export type LayerOutput = Exclude<LayerTensorName, "resid_pre" | "value_out"> | "key" | "value";

export interface BuiltGraph {
  readonly graph: Graph;
  readonly operatorSets: OperatorSets;
}

/**
 * The graph of one layer. Inputs: `x` [T, d]; `past_key` [K, P, dHead] and `past_value` [P, K * dHead], the outputs
 * `key` and `value` of tokens before these (P is 0 in a pass over a whole prompt); `mask` [T, S] or, with ALiBi, [H, T,
 * S], S = P + T, added to the scores (−∞ where a query may not look); with rotary embedding `cos` and `sin` [T, dims /
 * 2]. In these shapes `pattern` is [H, T, S]. Outputs: the names of `LayerOutput` that
 * the layer has (`resid_mid` only in sequential blocks, the scales only where a norm follows a block).
 */
export function buildLayerGraph(
  name: string,
  sizes: Sizes,
  layer: GraphLayer,
  parameters: ParameterSource,
  place: Place = UNCHANGED,
): BuiltGraph {
  const { dModel } = sizes;
  const b = new GraphBuilder(name, parameters);
  const x = b.input("x", ["T", dModel]);
  const normed = layer.attentionNorm ? b.norm(x, layer.attentionNorm, dModel) : x;
  const attended = attention(b, normed, sizes, layer.attention, place);
  const attentionOut = blockOutput(
    b,
    place.row(b, "attention", attended, dModel, "attn_raw"),
    "attn_out",
    "term_scale",
    dModel,
    layer.postAttentionNorm,
  );
  if (layer.block === "sequential") {
    const mid = place.mid(b, x, attentionOut, dModel);
    const written = feedForward(b, layer.ffnNorm ? b.norm(mid, layer.ffnNorm, dModel) : mid, sizes, layer.ffn, place);
    const ffnOut = blockOutput(
      b,
      place.row(b, "ffn", written, dModel, "ffn_raw"),
      "ffn_out",
      "ffn_scale",
      dModel,
      layer.postFfnNorm,
    );
    b.node("Add", [mid, ffnOut], {}, "resid_post");
  } else {
    const read = layer.ffnNorm ? b.norm(x, layer.ffnNorm, dModel) : normed;
    const written = feedForward(b, read, sizes, layer.ffn, place);
    const ffnOut = blockOutput(
      b,
      place.row(b, "ffn", written, dModel, "ffn_raw"),
      "ffn_out",
      "ffn_scale",
      dModel,
      layer.postFfnNorm,
    );
    b.node("Add", [b.node("Add", [x, attentionOut]), ffnOut], {}, "resid_post");
  }
  b.declare("resid_post", ["T", dModel]);
  return b.finish();
}

/** A place of a layer at which a row of a tensor can be changed. */
export type RowPlace = "heads" | "attention" | "mid" | "neurons" | "ffn";

/** What the graph has at its places: nothing, or inputs for changes. */
export interface Place {
  mask(b: GraphBuilder, perHead: boolean, nHeads: number): string;
  /** The pattern out of masked scores. */
  pattern(b: GraphBuilder, scores: string, nHeads: number): string;
  value(b: GraphBuilder, value: string, width: number): string;
  /** A tensor [T, width]; `output` is what it is called outside. */
  row(b: GraphBuilder, place: RowPlace, tensor: string, width: number, output: LayerOutput): string;
  mid(b: GraphBuilder, x: string, attentionOut: string, dModel: number): string;
}

const patternOf = (b: GraphBuilder, pattern: string, nHeads: number): string => b.declare(pattern, [nHeads, "T", "S"]);

/** A plain layer. */
const UNCHANGED: Place = {
  mask: (b, perHead, nHeads) => b.input("mask", perHead ? [nHeads, "T", "S"] : ["T", "S"]),
  pattern: (b, scores, nHeads) => patternOf(b, b.node("Softmax", [scores], { axis: -1 }, "pattern"), nHeads),
  value: (_, value) => value,
  row: (b, place, tensor, width, output) => (place === "neurons" ? b.output(output, tensor, ["T", width]) : tensor),
  mid: (b, x, attentionOut, dModel) => b.declare(b.node("Add", [x, attentionOut], {}, "resid_mid"), ["T", dModel]),
};

const affine = (b: GraphBuilder, place: RowPlace, tensor: string, name?: string): string => {
  const input = (what: string) => b.input(`${place}_${what}`, [`${place}_${what}_rows`, `${place}_${what}_columns`]);
  return b.node("Add", [b.node("Mul", [tensor, input("gain")]), input("add")], {}, name);
};

/**
 * A layer with `x · gain + add` at every place. Its further inputs are `weights` [H, T, S], `{place}_gain` and
 * `{place}_add` [T, width] of every `RowPlace`; each can be [1, …, 1] where nothing happens there. `mask` has three
 * dimensions always: [1, T, S] or [H, T, S].
 */
export const CHANGEABLE: Place = {
  mask: (b) => b.input("mask", ["mask_heads", "T", "S"]),
  pattern: (b, scores, nHeads) => {
    const weights = b.input("weights", ["weights_heads", "weights_rows", "weights_columns"]);
    return patternOf(b, b.node("Mul", [b.node("Softmax", [scores], { axis: -1 }), weights], {}, "pattern"), nHeads);
  },
  value: (b, value, width) => b.output("value_used", value, ["S", width]),
  row: (b, place, tensor, width, output) => b.declare(affine(b, place, tensor, output), ["T", width]),
  mid: (b, x, attentionOut, dModel) =>
    b.declare(affine(b, "mid", b.node("Add", [x, attentionOut]), "resid_mid"), ["T", dModel]),
};

/** Names a block's output, after the norm behind it where there is one. */
function blockOutput(
  b: GraphBuilder,
  raw: string,
  name: string,
  scaleName: string,
  dModel: number,
  norm?: Norm,
): string {
  if (!norm) return b.output(name, raw, ["T", dModel]);
  const { value, inverse } = b.statistic(raw, norm);
  b.output(scaleName, inverse, ["T", 1]);
  const scaled = b.node("Mul", [value, inverse]);
  const weight = b.scale(norm, dModel);
  return b.output(name, weight ? b.node("Mul", [scaled, b.floats(weight)]) : scaled, ["T", dModel]);
}

function attention(b: GraphBuilder, x: string, sizes: Sizes, attention: GraphAttention, place: Place): string {
  const { nHeads, nKeyValueHeads, dHead, dModel } = sizes;
  const group = nHeads / nKeyValueHeads;
  const projected = project(b, x, sizes, attention);
  b.output("value", projected.value, ["T", nKeyValueHeads * dHead]);
  const pastValue = b.input("past_value", ["P", nKeyValueHeads * dHead]);
  const seen = b.node("Concat", [pastValue, projected.value], { axis: 0 });
  // The value's bias is added here and not in the projection, so that `value` is free of it.
  const value = place.value(
    b,
    projected.valueBias ? b.node("Add", [seen, b.floats(projected.valueBias)]) : seen,
    nKeyValueHeads * dHead,
  );

  const { queryKeyNorm, rotary } = attention;
  const heads = (tensor: string, n: number, norm?: Norm) => {
    const whole = norm && queryKeyNorm?.over === "all" ? b.norm(tensor, norm, n * dHead) : tensor;
    const split = b.reshape(whole, [0, n, dHead]);
    if (!norm || queryKeyNorm?.over === "all") return b.transpose(split, [1, 0, 2]);
    return b.transpose(b.norm(split, norm, dHead, queryKeyNorm?.over === "head" ? [dHead] : [n, dHead]), [1, 0, 2]);
  };
  let query = heads(projected.query, nHeads, queryKeyNorm?.query);
  let key = heads(projected.key, nKeyValueHeads, queryKeyNorm?.key);
  if (rotary) {
    const cos = b.input("cos", ["T", rotary.dims / 2]);
    const sin = b.input("sin", ["T", rotary.dims / 2]);
    query = rotate(b, query, nHeads, dHead, rotary, cos, sin);
    key = rotate(b, key, nKeyValueHeads, dHead, rotary, cos, sin);
  }
  b.output("key", key, [nKeyValueHeads, "T", dHead]);
  key = b.node("Concat", [b.input("past_key", [nKeyValueHeads, "P", dHead]), key], { axis: 1 });

  // Query heads of one key/value head are stacked, so that no key or value is repeated: [K, G * T, dHead].
  const stacked = group === 1 ? query : b.reshape(query, [nKeyValueHeads, -1, dHead]);
  const scaled = attention.scale === 1 ? stacked : b.node("Mul", [stacked, b.scalar(attention.scale)]);
  const products = b.node("MatMul", [scaled, b.transpose(key, [0, 2, 1])]);
  const mask = place.mask(b, attention.alibiSlopes !== undefined, nHeads);
  // [K, G * T, S] → [H, T, S]
  const perHead = group === 1 ? products : b.node("Reshape", [products, shapeOfHeads(b, x, value, nHeads)]);
  const capped = attention.softcap === undefined ? perHead : b.softcap(perHead, attention.softcap);
  const pattern = place.pattern(b, b.node("Add", [capped, mask]), nHeads);

  const values = b.transpose(b.reshape(value, [0, nKeyValueHeads, dHead]), [1, 0, 2]);
  const stackedPattern =
    group === 1 ? pattern : b.node("Reshape", [pattern, shapeOfGroups(b, x, value, nKeyValueHeads, group)]);
  const mixed = b.reshape(b.node("MatMul", [stackedPattern, values]), [nHeads, -1, dHead]);
  const joined = b.reshape(b.transpose(mixed, [1, 0, 2]), [0, nHeads * dHead]);
  return b.linear(place.row(b, "heads", joined, nHeads * dHead, "head_mix"), attention.output, nHeads * dHead, dModel);
}

type GraphAttention = GraphLayer["attention"];

const length = (b: GraphBuilder, rows: string): string => b.node("Shape", [rows], { start: 0, end: 1 });

/** `[H, T, S]` as a shape: T rows of x, S of all. */
function shapeOfHeads(b: GraphBuilder, x: string, all: string, nHeads: number): string {
  return b.node("Concat", [b.integers([nHeads]), length(b, x), length(b, all)], { axis: 0 });
}

/** `[K, G * T, S]` as a shape. */
function shapeOfGroups(b: GraphBuilder, x: string, all: string, nKeyValueHeads: number, group: number): string {
  const rows = b.node("Mul", [length(b, x), b.integers([group])]);
  return b.node("Concat", [b.integers([nKeyValueHeads]), rows, length(b, all)], { axis: 0 });
}

interface Projected {
  /** `[T, H * dHead]` */
  readonly query: string;
  /** `[T, K * dHead]` */
  readonly key: string;
  /** `[T, K * dHead]`, without its bias. */
  readonly value: string;
  readonly valueBias?: Float32Array;
}

function project(b: GraphBuilder, x: string, sizes: Sizes, { qkv }: GraphAttention): Projected {
  const { nHeads, nKeyValueHeads, dHead, dModel } = sizes;
  const [nQuery, nKey] = [nHeads * dHead, nKeyValueHeads * dHead];
  if (qkv.kind === "separate") {
    return {
      query: b.linear(x, qkv.query, dModel, nQuery),
      key: b.linear(x, qkv.key, dModel, nKey),
      value: b.linear(x, qkv.value, dModel, nKey, null),
      valueBias: b.bias(qkv.value, nKey),
    };
  }
  const total = nQuery + 2 * nKey;
  const places = valuePlaces(qkv.order, sizes);
  const bias = b.bias(qkv.linear, total);
  const valueBias = bias && Float32Array.from(places, (place) => bias[place]);
  const rest = bias && Float32Array.from(bias);
  if (rest) for (const place of places) rest[place] = 0;
  const fused = b.linear(x, qkv.linear, dModel, total, rest ?? null);
  if (qkv.order === "concat") {
    const [query, key, value] = b.split(fused, [nQuery, nKey, nKey], 1);
    return { query, key, value, valueBias };
  }
  const group = qkv.order === "per-head" ? 1 : nHeads / nKeyValueHeads;
  const parts = b.split(b.reshape(fused, [0, nKeyValueHeads, group + 2, dHead]), [group, 1, 1], 2);
  const [query, key, value] = parts.map((part, i) => b.reshape(part, [0, i === 0 ? nQuery : nKey]));
  return { query, key, value, valueBias };
}

/** Which outputs of a fused matrix are the values, in the order [K, dHead]. */
export function valuePlaces(order: "concat" | "per-head" | "per-group", sizes: Sizes): number[] {
  const { nHeads, nKeyValueHeads, dHead } = sizes;
  const places: number[] = [];
  const stride = order === "concat" ? dHead : (nHeads / nKeyValueHeads + 2) * dHead;
  const start = order === "concat" ? (nHeads + nKeyValueHeads) * dHead : stride - dHead;
  for (let head = 0; head < nKeyValueHeads; head++) {
    for (let i = 0; i < dHead; i++) places.push(start + head * stride + i);
  }
  return places;
}

/** Rotates the first `rotary.dims` of each head's vector; x is [n, T, dHead]. */
function rotate(
  b: GraphBuilder,
  x: string,
  n: number,
  dHead: number,
  rotary: GraphRotary,
  cos: string,
  sin: string,
): string {
  const { dims, pairing } = rotary;
  const half = dims / 2;
  const [turned, kept] = dims < dHead ? b.split(x, [dims, dHead - dims], -1) : [x, undefined];
  const turn = (first: string, second: string): [string, string] => [
    b.node("Sub", [b.node("Mul", [first, cos]), b.node("Mul", [second, sin])]),
    b.node("Add", [b.node("Mul", [second, cos]), b.node("Mul", [first, sin])]),
  ];
  let result: string;
  if (pairing === "half") {
    const [first, second] = b.split(turned, [half, half], -1);
    result = b.node("Concat", turn(first, second), { axis: -1 });
  } else {
    const pairs = b
      .split(b.reshape(turned, [n, -1, half, 2]), [1, 1], -1)
      .map((part) => b.reshape(part, [n, -1, half]));
    const parts = turn(pairs[0], pairs[1]).map((part) => b.reshape(part, [n, -1, half, 1]));
    result = b.reshape(b.node("Concat", parts, { axis: -1 }), [n, -1, dims]);
  }
  return kept ? b.node("Concat", [result, kept], { axis: -1 }) : result;
}

function activate(b: GraphBuilder, x: string, activation: Activation): string {
  switch (activation) {
    case "gelu":
      return b.node("Gelu", [x], { approximate: "none" });
    case "gelu_tanh":
      return b.node("Gelu", [x], { approximate: "tanh" });
    case "quick_gelu":
      return b.node("Mul", [x, b.node("Sigmoid", [b.node("Mul", [x, b.scalar(1.702)])])]);
    case "relu":
      return b.node("Relu", [x]);
    case "relu2": {
      const positive = b.node("Relu", [x]);
      return b.node("Mul", [positive, positive]);
    }
    case "silu":
      return b.node("Mul", [x, b.node("Sigmoid", [x])]);
  }
}

function feedForward(b: GraphBuilder, x: string, sizes: Sizes, ffn: FeedForward, place: Place): string {
  const { dModel, dFfn } = sizes;
  let pre: string;
  let up: string | undefined;
  if (ffn.fusedGate) {
    [pre, up] = b.split(b.linear(x, ffn.input, dModel, 2 * dFfn), [dFfn, dFfn], 1);
  } else {
    pre = b.linear(x, ffn.input, dModel, dFfn);
    up = ffn.up && b.linear(x, ffn.up, dModel, dFfn);
  }
  b.output("ffn_pre", pre, ["T", dFfn]);
  const active = activate(b, pre, ffn.activation);
  const post = place.row(b, "neurons", up ? b.node("Mul", [active, up]) : active, dFfn, "ffn_post");
  return b.linear(post, ffn.output, dFfn, dModel);
}

/** Input `x` [n, d], output `normed` [n, d]. */
export function buildNormGraph(sizes: Sizes, norm: Norm, parameters: ParameterSource): BuiltGraph {
  const b = new GraphBuilder("final_norm", parameters);
  b.output("normed", b.norm(b.input("x", ["n", sizes.dModel]), norm, sizes.dModel), ["n", sizes.dModel]);
  return b.finish();
}

/** Input `x` [n, d], output `logits` [n, V], without scale and soft-cap. */
export function buildUnembeddingGraph(sizes: Sizes, unembedding: Linear, parameters: ParameterSource): BuiltGraph {
  const b = new GraphBuilder("unembedding", parameters);
  b.output("logits", b.linear(b.input("x", ["n", sizes.dModel]), unembedding, sizes.dModel, sizes.dVocab), [
    "n",
    sizes.dVocab,
  ]);
  return b.finish();
}

/** Scale and soft-cap of the logits: input `x` and output `capped`, both [n, V]. */
export function buildLogitCapGraph(
  sizes: Sizes,
  cap: Pick<Architecture, "logitScale" | "logitSoftcap">,
  parameters: ParameterSource,
): BuiltGraph {
  const b = new GraphBuilder("logit_cap", parameters);
  let logits = b.input("x", ["n", sizes.dVocab]);
  if (cap.logitScale !== undefined) logits = b.node("Mul", [logits, b.scalar(cap.logitScale)]);
  if (cap.logitSoftcap !== undefined) logits = b.softcap(logits, cap.logitSoftcap);
  b.output("capped", logits, ["n", sizes.dVocab]);
  return b.finish();
}

/**
 * What each head writes per unit of attention: input `value` [T, K * dHead], output `value_out` [T, H, d]. A graph of
 * its own, because onnxruntime computes all of a graph whatever is asked of it. With `fed` the matrix W_O is the input
 * `weight` and the scale of the norm behind the block, where there is one, the input `scale` [d]: then the graph serves
 * all layers of its kind.
 */
export function buildValueOutGraph(
  name: string,
  sizes: Sizes,
  layer: GraphLayer,
  parameters: ParameterSource,
  fed: boolean,
): BuiltGraph {
  const { nHeads, nKeyValueHeads, dHead, dModel } = sizes;
  const { output } = layer.attention;
  const outIn = output.layout === "out-in";
  const nInputs = nHeads * dHead;
  const b = new GraphBuilder(name, parameters);
  const value = b.input("value", ["T", nKeyValueHeads * dHead]);
  const weight = fed
    ? b.input("weight", outIn ? [dModel, nInputs] : [nInputs, dModel])
    : b.weight(output, nInputs, dModel);
  const each = (n: number) => new Array<number>(n).fill(dHead);
  const values = nKeyValueHeads === 1 ? [value] : b.split(value, each(nKeyValueHeads), 1);
  // Split and Concat copy whole rows; a batched MatMul would need both of its results transposed.
  const weights = nHeads === 1 ? [weight] : b.split(weight, each(nHeads), outIn ? 1 : 0);
  const group = nHeads / nKeyValueHeads;
  const written = weights.map((part, head) =>
    b.node("Gemm", [values[Math.floor(head / group)], part], { transB: outIn ? 1 : 0 }),
  );
  let result = b.reshape(nHeads === 1 ? written[0] : b.node("Concat", written, { axis: 1 }), [0, nHeads, dModel]);
  const norm = layer.postAttentionNorm;
  if (norm?.kind === "layernorm") result = b.node("Sub", [result, b.node("ReduceMean", [result, b.integers([-1])])]);
  if (norm?.weight)
    result = b.node("Mul", [result, fed ? b.input("scale", [dModel]) : b.floats(b.scale(norm, dModel)!)]);
  b.output("value_out", result, ["T", nHeads, dModel]);
  return b.finish();
}

/** Layers with the same key share a fed graph of `buildValueOutGraph`. */
export function valueOutKind({ attention, postAttentionNorm: norm }: GraphLayer): string {
  return `${attention.output.layout} ${norm?.kind} ${norm?.weight !== undefined}`;
}
