import type { Linear, Norm, WeightRef } from "../model/architecture";
import type { AttributeValue, ElementType, Graph, Initializer, Node, OperatorSets, Value } from "./onnx";

/** A weight matrix as it lies in the file; float16 and bfloat16 are cast to float32 when the graph runs. */
export interface DenseContent {
  readonly kind: "dense";
  readonly type: "float32" | "float16" | "bfloat16";
  readonly content: Initializer["content"];
}

/** A weight matrix in blocks: see `Blocks` in precision.ts. */
export interface BlockContent {
  readonly kind: "blocks";
  readonly bits: 4 | 8;
  readonly size: 16 | 32;
  readonly codes: Initializer["content"];
  readonly scales: Initializer["content"];
  readonly shifts?: Initializer["content"];
}

/** Where a graph's weights come from: the builder says what it needs, the source decides how it is held. */
export interface ParameterSource {
  /** Throws where the file's tensor has another size. */
  matrix(linear: Linear, inputs: number, outputs: number): DenseContent | BlockContent;
  /** The same matrix for a graph that takes it apart. */
  dense(linear: Linear, inputs: number, outputs: number): DenseContent;
  /** Values of a short tensor (bias, scale of a norm). Throws where the file's tensor has another length. */
  vector(ref: WeightRef, length: number): Float32Array;
}

const CONTRIBUTED = "com.microsoft";

/** MatMulNBits' `accuracy_level`: activations stay float32; others round them to 8 bits. */
const FLOAT32_ACCURACY = 1;

/**
 * Collects the nodes of one graph. Every method takes and gives names of tensors. The names of operators and attributes
 * are those of ONNX: https://onnx.ai/onnx/operators/
 */
export class GraphBuilder {
  readonly #nodes: Node[] = [];
  readonly #initializers: Initializer[] = [];
  readonly #inputs: Value[] = [];
  readonly #outputs: Value[] = [];
  readonly #shared = new Map<string, string>();
  #count = 0;

  constructor(
    private readonly name: string,
    private readonly parameters: ParameterSource,
  ) {}

  input(name: string, dims: readonly (number | string)[], type: ElementType = "float32"): string {
    this.#inputs.push({ name, type, dims });
    return name;
  }

  /** Gives the tensor a name of its own that can be fetched. */
  output(name: string, tensor: string, dims: readonly (number | string)[]): string {
    this.#nodes.push({ operator: "Identity", inputs: [tensor], outputs: [name] });
    this.#outputs.push({ name, type: "float32", dims });
    return name;
  }

  /** Declares a tensor that already has its name as an output. */
  declare(name: string, dims: readonly (number | string)[]): string {
    this.#outputs.push({ name, type: "float32", dims });
    return name;
  }

  /** A node with one output; `name` where it has to be known outside. */
  node(
    operator: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    name?: string,
    domain?: string,
  ): string {
    const output = name ?? this.#fresh(operator);
    this.#nodes.push({ operator, inputs, outputs: [output], attributes, domain });
    return output;
  }

  split(tensor: string, sizes: readonly number[], axis: number): string[] {
    const outputs = sizes.map(() => this.#fresh("Split"));
    this.#nodes.push({ operator: "Split", inputs: [tensor, this.integers(sizes)], outputs, attributes: { axis } });
    return outputs;
  }

  /** `dims` as ONNX's Reshape reads them: 0 keeps a dimension, -1 is what is left. */
  reshape(tensor: string, dims: readonly number[]): string {
    return this.node("Reshape", [tensor, this.integers(dims)]);
  }

  transpose(tensor: string, perm: readonly number[]): string {
    return this.node("Transpose", [tensor], { perm });
  }

  scalar(value: number): string {
    return this.#constant(`scalar_${value}`, "float32", [], Float32Array.of(value));
  }

  integers(values: readonly number[]): string {
    return this.#constant(`integers_${values.join("_")}`, "int64", [values.length], BigInt64Array.from(values, BigInt));
  }

  floats(values: Float32Array, dims: readonly number[] = [values.length]): string {
    return this.#constant(this.#fresh("floats"), "float32", dims, values);
  }

  /** The matrix of a linear layer as it lies in the file, float32. */
  weight(linear: Linear, inputs: number, outputs: number): string {
    return this.#dense(this.parameters.dense(linear, inputs, outputs), linear, inputs, outputs);
  }

  /** x [n, inputs] → [n, outputs], with the layer's bias or with `bias` in its place (null: none). */
  linear(x: string, linear: Linear, inputs: number, outputs: number, bias?: Float32Array | null): string {
    const values = bias === undefined ? this.bias(linear, outputs) : bias;
    const matrix = this.parameters.matrix(linear, inputs, outputs);
    if (matrix.kind === "dense") {
      const weight = this.#dense(matrix, linear, inputs, outputs);
      return this.node("Gemm", values ? [x, weight, this.floats(values)] : [x, weight], {
        transB: linear.layout === "out-in" ? 1 : 0,
      });
    }
    const product = this.#blocks(x, matrix, inputs, outputs);
    return values ? this.node("Add", [product, this.floats(values)]) : product;
  }

  #dense({ type, content }: DenseContent, { layout }: Linear, inputs: number, outputs: number): string {
    const stored = this.#fresh("weight");
    this.#initializers.push({
      name: stored,
      type,
      dims: layout === "out-in" ? [outputs, inputs] : [inputs, outputs],
      content,
    });
    return type === "float32" ? stored : this.node("Cast", [stored], { to: 1 });
  }

  #blocks(x: string, { bits, size, codes, scales, shifts }: BlockContent, inputs: number, outputs: number): string {
    const count = Math.ceil(inputs / size);
    const held = (stem: string, type: ElementType, dims: readonly number[], content: Initializer["content"]) => {
      const name = this.#fresh(stem);
      this.#initializers.push({ name, type, dims, content });
      return name;
    };
    const operands = [
      x,
      held("codes", "uint8", [outputs, count, (size * bits) / 8], codes),
      held("scales", "float32", [outputs * count], scales),
    ];
    const product = this.node(
      "MatMulNBits",
      operands,
      { K: inputs, N: outputs, bits, block_size: size, accuracy_level: FLOAT32_ACCURACY },
      undefined,
      CONTRIBUTED,
    );
    if (!shifts) return product;
    // A block's shift is added to each of its weights: it multiplies the sum of the block's inputs.
    const sums = this.node("ReduceSum", [this.reshape(x, [0, count, size]), this.integers([-1])], { keepdims: 0 });
    const shift = this.node("Gemm", [sums, held("shifts", "float32", [outputs, count], shifts)], { transB: 1 });
    return this.node("Add", [product, shift]);
  }

  /** Values of a linear layer's bias, undefined without one. */
  bias(linear: Linear, outputs: number): Float32Array | undefined {
    return linear.bias && this.parameters.vector(linear.bias, outputs);
  }

  /** Values of a short tensor. */
  vector(ref: WeightRef, length: number): Float32Array {
    return this.parameters.vector(ref, length);
  }

  /** The scale a norm multiplies with, undefined without one. */
  scale(norm: Norm, length: number): Float32Array | undefined {
    const values = norm.weight && this.parameters.vector(norm.weight, length);
    return values && norm.unitOffset ? values.map((value) => value + 1) : values;
  }

  /**
   * Norm over the last axis of x [..., size]. `dims` are those of the scale: [size], or more axes where groups have
   * scales of their own.
   */
  norm(x: string, norm: Norm, size: number, dims: readonly number[] = [size]): string {
    const length = dims.reduce((product, dim) => product * dim, 1);
    const scale = this.scale(norm, length);
    const bias = norm.bias && this.parameters.vector(norm.bias, length);
    if (norm.kind === "layernorm" && dims.length === 1) {
      const weight = this.floats(scale ?? new Float32Array(length).fill(1));
      return this.node("LayerNormalization", bias ? [x, weight, this.floats(bias)] : [x, weight], {
        axis: -1,
        epsilon: { float: norm.epsilon },
      });
    }
    const { value, inverse } = this.statistic(x, norm);
    let result = this.node("Mul", [value, inverse]);
    if (scale) result = this.node("Mul", [result, this.floats(scale, dims)]);
    return bias ? this.node("Add", [result, this.floats(bias, dims)]) : result;
  }

  /**
   * What a norm multiplies: x (LayerNorm: less its mean), and the number it multiplies with, 1 / sqrt(mean square +
   * epsilon), [..., 1]; or a factor of its own.
   */
  statistic(x: string, norm: Norm): { readonly value: string; readonly inverse: string } {
    const axes = this.integers([-1]);
    if (norm.factor !== undefined) {
      const zeros = this.node("Mul", [this.node("ReduceMean", [x, axes]), this.scalar(0)]);
      return { value: x, inverse: this.node("Add", [zeros, this.scalar(norm.factor)]) };
    }
    const value = norm.kind === "layernorm" ? this.node("Sub", [x, this.node("ReduceMean", [x, axes])]) : x;
    const square = this.node("ReduceMean", [this.node("Mul", [value, value]), axes]);
    const root = this.node("Sqrt", [this.node("Add", [square, this.scalar(norm.epsilon)])]);
    return { value, inverse: this.node("Reciprocal", [root]) };
  }

  /** `cap * tanh(x / cap)` */
  softcap(x: string, cap: number): string {
    return this.node("Mul", [this.node("Tanh", [this.node("Div", [x, this.scalar(cap)])]), this.scalar(cap)]);
  }

  finish(): { readonly graph: Graph; readonly operatorSets: OperatorSets } {
    const graph = {
      name: this.name,
      nodes: this.#nodes,
      initializers: this.#initializers,
      inputs: this.#inputs,
      outputs: this.#outputs,
    };
    const contributed = this.#nodes.some((node) => node.domain === CONTRIBUTED);
    return { graph, operatorSets: contributed ? { other: { [CONTRIBUTED]: 1 } } : {} };
  }

  #fresh(stem: string): string {
    return `${stem}.${this.#count++}`;
  }

  #constant(key: string, type: ElementType, dims: readonly number[], values: Float32Array | BigInt64Array): string {
    const known = this.#shared.get(key);
    if (known) return known;
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    this.#initializers.push({ name: key, type, dims, content: { kind: "inline", bytes } });
    this.#shared.set(key, key);
    return key;
  }
}
