import type { Activation, FeedForward, Linear, Norm } from "../model/architecture";
import { GraphBuilder, type ParameterSource } from "./graph-builder";
import { valuePlaces, type BuiltGraph, type GraphLayer, type Sizes } from "./layer-graph";

/*
 * A layer backwards, as a linear map: statistics of norms, attention patterns and the ratios activation(x) / x are what
 * they were in the forward pass (RelP, arXiv 2508.21258). Every product is the transposed one of the layer's graph, with
 * the same matrix. docs/method.md has the rules.
 */

/** A matrix in the graph, float32, with how it lies. */
interface Matrix {
  readonly name: string;
  readonly outIn: boolean;
}

/**
 * The graph of one layer backwards, for a prompt of T tokens. Inputs: `gradient` [T, d], the coefficients of
 * `resid_post`; `x` [T, d] is `resid_pre`, `pattern` [H, T, T], and `term_scale` and `ffn_scale` [T, 1] where a norm
 * follows the block; where blocks are sequential `mid` [T, d] is `resid_mid`, and the coefficients of that are what comes
 * through the layer times `own` [1], and `mid_gradient` [T, d]. Outputs: see `BackwardTensorName`.
 */
export function buildBackwardGraph(
  name: string,
  sizes: Sizes,
  layer: GraphLayer,
  parameters: ParameterSource,
): BuiltGraph {
  const { dModel } = sizes;
  const b = new GraphBuilder(name, parameters);
  const gradient = b.input("gradient", ["T", dModel]);
  const x = b.input("x", ["T", dModel]);
  const sequential = layer.block === "sequential";
  const mid = sequential ? b.input("mid", ["T", dModel]) : x;
  const ownNorm = sequential ? layer.ffnNorm : (layer.ffnNorm ?? layer.attentionNorm);
  const ffnRead = new Reading(b, mid, dModel, ownNorm);
  const written = throughNorm(b, gradient, "ffn_scale", dModel, layer.postFfnNorm);
  const ffn = feedForward(b, ffnRead, written, sizes, layer.ffn);
  b.output("neurons", ffn.neurons, ["T", sizes.dFfn]);
  b.output("ffn", ffn.whole, ["T"]);
  b.output("ffn_constant", sum(b, [...ffn.constants, ...ffnRead.constants(ffn.coefficients)], ffn.whole), ["T"]);
  const throughFfn = ffnRead.back(ffn.coefficients);
  let atMid = gradient;
  if (sequential) {
    const own = b.node("Mul", [b.node("Add", [gradient, throughFfn]), b.input("own", [1])]);
    atMid = b.output("to_mid", b.node("Add", [own, b.input("mid_gradient", ["T", dModel])]), ["T", dModel]);
  }

  const read = new Reading(b, x, dModel, layer.attentionNorm);
  const attention = attend(b, read, throughNorm(b, atMid, "term_scale", dModel, layer.postAttentionNorm), sizes, layer);
  b.output(
    "attention_constant",
    sum(b, [...attention.constants, ...read.constants(attention.coefficients)], ffn.whole),
    ["T"],
  );
  const throughAttention = read.back(attention.coefficients);
  const parts = sequential ? [atMid, throughAttention] : [b.node("Add", [gradient, throughFfn]), throughAttention];
  b.output("to_pre", b.node("Add", parts), ["T", dModel]);
  return b.finish();
}

/** Σ over the last axis of a ⊙ b. */
function dots(b: GraphBuilder, a: string, other: string): string {
  return b.node("ReduceSum", [b.node("Mul", [a, other]), b.integers([-1])], { keepdims: 0 });
}

/** The sum of some [T]; zeros like `like` where there are none. */
function sum(b: GraphBuilder, parts: readonly string[], like: string): string {
  if (parts.length === 0) return b.node("Mul", [like, b.scalar(0)]);
  return parts.reduce((total, part) => b.node("Add", [total, part]));
}

function centred(b: GraphBuilder, x: string): string {
  return b.node("Sub", [x, b.node("ReduceMean", [x, b.integers([-1])])]);
}

/** Coefficients of what a block wrote, from those of what the norm behind it made of that. */
function throughNorm(b: GraphBuilder, gradient: string, scale: string, dModel: number, norm?: Norm): string {
  if (!norm) return gradient;
  const weight = b.scale(norm, dModel);
  const weighted = weight ? b.node("Mul", [gradient, b.floats(weight)]) : gradient;
  const scaled = b.node("Mul", [weighted, b.input(scale, ["T", 1])]);
  return norm.kind === "layernorm" ? centred(b, scaled) : scaled;
}

/** A state as a block reads it: through a norm with its statistic fixed, where there is one. */
class Reading {
  /** What the block reads. */
  readonly value: string;
  readonly #inverse?: string;
  readonly #weight?: string;
  readonly #bias?: string;

  constructor(
    private readonly b: GraphBuilder,
    state: string,
    dModel: number,
    private readonly norm?: Norm,
  ) {
    if (!norm) {
      this.value = state;
      return;
    }
    const { value, inverse } = b.statistic(state, norm);
    const weight = b.scale(norm, dModel);
    const bias = norm.bias && b.vector(norm.bias, dModel);
    this.#inverse = inverse;
    this.#weight = weight && b.floats(weight);
    this.#bias = bias && b.floats(bias);
    let normed = b.node("Mul", [value, inverse]);
    if (this.#weight) normed = b.node("Mul", [normed, this.#weight]);
    this.value = this.#bias ? b.node("Add", [normed, this.#bias]) : normed;
  }

  /** Coefficients of the state from those of what is read. */
  back(coefficients: string): string {
    const { b, norm } = this;
    if (!norm) return coefficients;
    const weighted = this.#weight ? b.node("Mul", [coefficients, this.#weight]) : coefficients;
    const scaled = b.node("Mul", [weighted, this.#inverse as string]);
    return norm.kind === "layernorm" ? centred(b, scaled) : scaled;
  }

  /** What the norm's bias adds, [T]. */
  constants(coefficients: string): string[] {
    return this.#bias ? [dots(this.b, coefficients, this.#bias)] : [];
  }
}

function matrix(b: GraphBuilder, linear: Linear, inputs: number, outputs: number): Matrix {
  return { name: b.weight(linear, inputs, outputs), outIn: linear.layout === "out-in" };
}

/** x [T, inputs] → [T, outputs], without a bias. */
function forward(b: GraphBuilder, x: string, { name, outIn }: Matrix): string {
  return b.node("Gemm", [x, name], { transB: outIn ? 1 : 0 });
}

/** Coefficients [T, outputs] → [T, inputs]. */
function backward(b: GraphBuilder, gradient: string, { name, outIn }: Matrix): string {
  return b.node("Gemm", [gradient, name], { transB: outIn ? 0 : 1 });
}

interface Block {
  /** Coefficients of what the block read, [T, d]. */
  readonly coefficients: string;
  /** What its biases add, [T] each. */
  readonly constants: readonly string[];
}

/** `written` [T, d] are the coefficients of what the block's last matrix wrote. */
function attend(b: GraphBuilder, read: Reading, written: string, sizes: Sizes, { attention }: GraphLayer): Block {
  const { nHeads, nKeyValueHeads, dHead, dModel } = sizes;
  const nKey = nKeyValueHeads * dHead;
  const { weight, bias } = valueMatrix(b, sizes, attention.qkv);
  const value = forward(b, read.value, weight);
  const mixed = backward(b, written, matrix(b, attention.output, nHeads * dHead, dModel));
  // [T, H * dHead] → [K, G * T, dHead]: query heads of one key/value head are stacked, as in the layer's graph.
  const perHead = b.transpose(b.reshape(mixed, [0, nHeads, dHead]), [1, 0, 2]);
  const stacked = b.reshape(perHead, [nKeyValueHeads, -1, dHead]);
  const pattern = b.input("pattern", [nHeads, "T", "T"]);
  const rows = b.node("Shape", [read.value], { start: 0, end: 1 });
  const groups = b.node(
    "Concat",
    [b.integers([nKeyValueHeads]), b.node("Mul", [rows, b.integers([nHeads / nKeyValueHeads])]), rows],
    { axis: 0 },
  );
  const stackedPattern = b.node("Reshape", [pattern, groups]);
  const values = b.transpose(b.reshape(value, [0, nKeyValueHeads, dHead]), [1, 2, 0]);
  const terms = b.node("Mul", [stackedPattern, b.node("MatMul", [stacked, values])]);
  b.output("terms", b.node("Reshape", [terms, b.node("Shape", [pattern])]), [nHeads, "T", "T"]);
  const ofValues = b.node("MatMul", [b.transpose(stackedPattern, [0, 2, 1]), stacked]);
  const joined = b.reshape(b.transpose(ofValues, [1, 0, 2]), [0, nKey]);
  const constants: string[] = [];
  if (bias) {
    constants.push(dots(b, joined, b.floats(bias)));
    const repeated = Float32Array.from({ length: nHeads * dHead }, (_, i) => {
      const head = Math.floor(Math.floor(i / dHead) / (nHeads / nKeyValueHeads));
      return bias[head * dHead + (i % dHead)];
    });
    b.output("bias_terms", dots(b, perHead, b.floats(repeated, [nHeads, 1, dHead])), [nHeads, "T"]);
  }
  const outputBias = b.bias(attention.output, dModel);
  if (outputBias) constants.push(dots(b, written, b.floats(outputBias)));
  return { coefficients: backward(b, joined, weight), constants };
}

/** The matrix that makes the values, taken out of a fused one where that is what there is, and its bias. */
function valueMatrix(
  b: GraphBuilder,
  sizes: Sizes,
  qkv: GraphLayer["attention"]["qkv"],
): { readonly weight: Matrix; readonly bias?: Float32Array } {
  const { nHeads, nKeyValueHeads, dHead, dModel } = sizes;
  const [nQuery, nKey] = [nHeads * dHead, nKeyValueHeads * dHead];
  if (qkv.kind === "separate") return { weight: matrix(b, qkv.value, dModel, nKey), bias: b.bias(qkv.value, nKey) };
  const total = nQuery + 2 * nKey;
  const fused = matrix(b, qkv.linear, dModel, total);
  const bias = b.bias(qkv.linear, total);
  const valueBias = bias && Float32Array.from(valuePlaces(qkv.order, sizes), (place) => bias[place]);
  const { outIn } = fused;
  const axis = outIn ? 0 : 1;
  if (qkv.order === "concat")
    return { weight: { name: b.split(fused.name, [nQuery + nKey, nKey], axis)[1], outIn }, bias: valueBias };
  const before = (qkv.order === "per-head" ? 1 : nHeads / nKeyValueHeads) + 1;
  const groups = outIn ? [nKeyValueHeads, before + 1, dHead, dModel] : [dModel, nKeyValueHeads, before + 1, dHead];
  const values = b.split(b.reshape(fused.name, groups), [before, 1], axis + 1)[1];
  return { weight: { name: b.reshape(values, outIn ? [nKey, dModel] : [dModel, nKey]), outIn }, bias: valueBias };
}

/** activation(x) / x, in the form that is exact at 0. */
function ratio(b: GraphBuilder, x: string, activation: Activation): string {
  const half = (cumulative: string) => b.node("Mul", [b.node("Add", [cumulative, b.scalar(1)]), b.scalar(0.5)]);
  switch (activation) {
    case "gelu":
      return half(b.node("Erf", [b.node("Mul", [x, b.scalar(Math.SQRT1_2)])]));
    case "gelu_tanh": {
      const cube = b.node("Mul", [b.node("Mul", [x, x]), x]);
      const inner = b.node("Add", [x, b.node("Mul", [cube, b.scalar(0.044715)])]);
      return half(b.node("Tanh", [b.node("Mul", [inner, b.scalar(Math.sqrt(2 / Math.PI))])]));
    }
    case "quick_gelu":
      return b.node("Sigmoid", [b.node("Mul", [x, b.scalar(1.702)])]);
    case "relu":
      return b.node("Cast", [b.node("Greater", [x, b.scalar(0)])], { to: 1 });
    case "relu2":
      return b.node("Relu", [x]);
    case "silu":
      return b.node("Sigmoid", [x]);
  }
}

function feedForward(
  b: GraphBuilder,
  read: Reading,
  written: string,
  sizes: Sizes,
  ffn: FeedForward,
): Block & { readonly neurons: string; readonly whole: string } {
  const { dModel, dFfn } = sizes;
  const width = ffn.fusedGate ? 2 * dFfn : dFfn;
  const input = matrix(b, ffn.input, dModel, width);
  const inputBias = b.bias(ffn.input, width);
  const biased = (x: string, bias: Float32Array | undefined) => (bias ? b.node("Add", [x, b.floats(bias)]) : x);
  const entered = biased(forward(b, read.value, input), inputBias);
  const upMatrix = ffn.up && matrix(b, ffn.up, dModel, dFfn);
  const upBias = ffn.up && b.bias(ffn.up, dFfn);
  const [pre, up] = ffn.fusedGate
    ? b.split(entered, [dFfn, dFfn], 1)
    : [entered, upMatrix && biased(forward(b, read.value, upMatrix), upBias)];
  const slope = ratio(b, pre, ffn.activation);
  const active = b.node("Mul", [pre, slope]);
  const post = up ? b.node("Mul", [active, up]) : active;

  const ofPost = backward(b, written, matrix(b, ffn.output, dFfn, dModel));
  const neurons = b.node("Mul", [ofPost, post]);
  const outputBias = b.bias(ffn.output, dModel);
  const constants = outputBias ? [dots(b, written, b.floats(outputBias))] : [];
  const summed = b.node("ReduceSum", [neurons, b.integers([-1])], { keepdims: 0 });
  const whole = outputBias ? b.node("Add", [summed, constants[0]]) : summed;

  // Of a product each factor gets one half (the half rule).
  const shared = up ? b.node("Mul", [ofPost, b.scalar(0.5)]) : ofPost;
  const ofPre = b.node("Mul", [up ? b.node("Mul", [shared, up]) : shared, slope]);
  const ofUp = up && b.node("Mul", [shared, active]);
  const ofInput = ffn.fusedGate ? b.node("Concat", [ofPre, ofUp as string], { axis: 1 }) : ofPre;
  let coefficients = backward(b, ofInput, input);
  if (inputBias) constants.push(dots(b, ofInput, b.floats(inputBias)));
  if (upMatrix && ofUp) {
    coefficients = b.node("Add", [coefficients, backward(b, ofUp, upMatrix)]);
    if (upBias) constants.push(dots(b, ofUp, b.floats(upBias)));
  }
  return { coefficients, constants, neurons, whole };
}
