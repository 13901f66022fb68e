/**
 * ONNX models as bytes: the part of onnx.proto (IR version 10) that our graphs need, typed and encoded directly.
 * Source of the field numbers: https://github.com/onnx/onnx/blob/v1.17.0/onnx/onnx.proto
 */

/** Element types of `TensorProto.DataType`. */
export const elementTypes = { float32: 1, uint8: 2, int64: 7, float16: 10, bfloat16: 16 } as const;
export type ElementType = keyof typeof elementTypes;

/** Bytes of one element. */
export const elementBytes: Readonly<Record<ElementType, number>> = {
  float32: 4,
  uint8: 1,
  int64: 8,
  float16: 2,
  bfloat16: 2,
};

/** A constant of the graph: its bytes here, or where they lie in a file (`location` as onnxruntime resolves it). */
export interface Initializer {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly content:
    | { readonly kind: "inline"; readonly bytes: Uint8Array }
    | { readonly kind: "external"; readonly location: string; readonly offset: number; readonly byteLength: number };
}

/** Attribute values: whole numbers (INT), `{ float }` (FLOAT), strings, lists of whole numbers (INTS). */
export type AttributeValue = number | string | readonly number[] | { readonly float: number };

export interface Node {
  readonly operator: string;
  /** "" for an optional input that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  /** Left out: the standard operators. */
  readonly domain?: string;
}

/** An input or output of the graph; a string is the name of a dimension that varies. */
export interface Value {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly (number | string)[];
}

export interface Graph {
  readonly name: string;
  readonly nodes: readonly Node[];
  readonly initializers: readonly Initializer[];
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

const text = new TextEncoder();

/** Writes protobuf fields in the order they are given. */
class Message {
  readonly #chunks: Uint8Array[] = [];
  #length = 0;

  #push(bytes: Uint8Array): void {
    this.#chunks.push(bytes);
    this.#length += bytes.length;
  }

  #varint(value: number): void {
    if (!Number.isSafeInteger(value)) throw new RangeError(`Not a whole number that protobuf can hold here: ${value}.`);
    // Two's complement in 64 bits, as protobuf writes negative int64.
    let rest = BigInt.asUintN(64, BigInt(value));
    const bytes: number[] = [];
    while (rest > 0x7fn) {
      bytes.push(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    bytes.push(Number(rest));
    this.#push(Uint8Array.from(bytes));
  }

  #tag(field: number, wireType: number): void {
    this.#varint(field * 8 + wireType);
  }

  integer(field: number, value: number): this {
    this.#tag(field, VARINT);
    this.#varint(value);
    return this;
  }

  float(field: number, value: number): this {
    this.#tag(field, FIXED32);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    this.#push(bytes);
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    this.#tag(field, LENGTH_DELIMITED);
    this.#varint(value.length);
    this.#push(value);
    return this;
  }

  string(field: number, value: string): this {
    return this.bytes(field, text.encode(value));
  }

  message(field: number, value: Message): this {
    this.#tag(field, LENGTH_DELIMITED);
    this.#varint(value.#length);
    this.#chunks.push(...value.#chunks);
    this.#length += value.#length;
    return this;
  }

  finish(): Uint8Array {
    const result = new Uint8Array(this.#length);
    let at = 0;
    for (const chunk of this.#chunks) {
      result.set(chunk, at);
      at += chunk.length;
    }
    return result;
  }
}

function attribute(name: string, value: AttributeValue): Message {
  const message = new Message().string(1, name);
  const type = { float: 1, int: 2, string: 3, ints: 7 };
  if (typeof value === "number") return message.integer(3, value).integer(20, type.int);
  if (typeof value === "string") return message.string(4, value).integer(20, type.string);
  if ("float" in value) return message.float(2, value.float).integer(20, type.float);
  for (const item of value) message.integer(8, item);
  return message.integer(20, type.ints);
}

function node(value: Node): Message {
  const message = new Message();
  for (const name of value.inputs) message.string(1, name);
  for (const name of value.outputs) message.string(2, name);
  message.string(3, value.outputs[0]).string(4, value.operator);
  for (const [name, content] of Object.entries(value.attributes ?? {})) message.message(5, attribute(name, content));
  if (value.domain) message.string(7, value.domain);
  return message;
}

function initializer(value: Initializer): Message {
  const message = new Message();
  for (const dim of value.dims) message.integer(1, dim);
  message.integer(2, elementTypes[value.type]).string(8, value.name);
  const size = value.dims.reduce((product, dim) => product * dim, elementBytes[value.type]);
  const { content } = value;
  const given = content.kind === "inline" ? content.bytes.length : content.byteLength;
  if (given !== size) {
    throw new RangeError(
      `Constant ${value.name} of ${value.type} [${value.dims.join(", ")}] has ${size} bytes, but ${given} were given.`,
    );
  }
  if (content.kind === "inline") return message.bytes(9, content.bytes);
  const entry = (key: string, item: string) => new Message().string(1, key).string(2, item);
  const EXTERNAL = 1;
  return message
    .message(13, entry("location", content.location))
    .message(13, entry("offset", String(content.offset)))
    .message(13, entry("length", String(content.byteLength)))
    .integer(14, EXTERNAL);
}

function value(item: Value): Message {
  const shape = new Message();
  for (const dim of item.dims) {
    shape.message(1, typeof dim === "number" ? new Message().integer(1, dim) : new Message().string(2, dim));
  }
  const tensor = new Message().integer(1, elementTypes[item.type]).message(2, shape);
  return new Message().string(1, item.name).message(2, new Message().message(1, tensor));
}

/** The operator sets a model is written against. */
export interface OperatorSets {
  /** Of the standard operators. Default 21. */
  readonly standard?: number;
  /** Others: domain → version. */
  readonly other?: Readonly<Record<string, number>>;
}

/**
 * A `ModelProto` as bytes. Throws a `RangeError` where a constant's bytes do not match its type and dims.
 */
export function encodeModel(graph: Graph, operatorSets: OperatorSets = {}): Uint8Array {
  const body = new Message();
  for (const item of graph.nodes) body.message(1, node(item));
  body.string(2, graph.name);
  for (const item of graph.initializers) body.message(5, initializer(item));
  for (const item of graph.inputs) body.message(11, value(item));
  for (const item of graph.outputs) body.message(12, value(item));
  const model = new Message().integer(1, 10).string(2, "lm-transparency").message(7, body);
  const sets = { "": operatorSets.standard ?? 21, ...operatorSets.other };
  for (const [domain, version] of Object.entries(sets))
    model.message(8, new Message().string(1, domain).integer(2, version));
  return model.finish();
}
