import * as fs from "node:fs";
import * as path from "node:path";
import { encodeModel, type Graph } from "../../src/engine/onnx";
import { root } from "../support/fixtures";

type Field = readonly [number: number, value: string | readonly Field[]];

/** Messages inside messages of onnx.proto that occur here: message → field → message. */
const messages: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  Model: { 7: "Graph", 8: "Leaf" },
  Graph: { 1: "Node", 5: "Tensor", 11: "Value", 12: "Value" },
  Node: { 5: "Leaf" },
  Tensor: { 13: "Leaf" },
  Value: { 2: "Type" },
  Type: { 1: "TensorType" },
  TensorType: { 2: "Shape" },
  Shape: { 1: "Leaf" },
};

/** Reads protobuf's wire format; order counts within a field, not between fields. Repeated numbers may be packed. */
function decode(bytes: Buffer, message: string): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const [field, wire] = [tag >> 3, tag & 7];
    if (wire === 0) fields.push([field, String(varint())]);
    else if (wire === 5) fields.push([field, bytes.subarray(at, (at += 4)).toString("hex")]);
    else {
      const length = Number(varint());
      const content = bytes.subarray(at, (at += length));
      const inner = messages[message]?.[field];
      fields.push([field, inner ? decode(content, inner) : content.toString("latin1")]);
    }
  }
  return fields.sort((a, b) => a[0] - b[0]);
}

const bytes = (values: ArrayBufferView) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

const graph: Graph = {
  name: "sample",
  inputs: [{ name: "x", type: "float32", dims: ["T", 4] }],
  outputs: [{ name: "é", type: "float32", dims: [3, "T"] }],
  initializers: [
    {
      name: "w",
      type: "bfloat16",
      dims: [3, 4],
      content: { kind: "external", location: "model.safetensors", offset: 5_000_000_000, byteLength: 24 },
    },
    { name: "shape", type: "int64", dims: [2], content: { kind: "inline", bytes: bytes(BigInt64Array.of(0n, -1n)) } },
    {
      name: "b",
      type: "float32",
      dims: [3],
      content: { kind: "inline", bytes: bytes(Float32Array.of(1.5, -2, 1e-5)) },
    },
  ],
  nodes: [
    { operator: "Cast", inputs: ["w"], outputs: ["w32"], attributes: { to: 1 } },
    { operator: "Gemm", inputs: ["x", "w32", "b"], outputs: ["y"], attributes: { alpha: { float: 0.125 }, transB: 1 } },
    { operator: "Transpose", inputs: ["y"], outputs: ["t"], attributes: { perm: [1, 0] } },
    { operator: "Gelu", inputs: ["t"], outputs: ["g"], attributes: { approximate: "tanh" } },
    { operator: "Softmax", inputs: ["g"], outputs: ["s"], attributes: { axis: -1 } },
    {
      operator: "MatMulNBits",
      inputs: ["s", "", "b"],
      outputs: ["é"],
      attributes: { bits: 4 },
      domain: "com.microsoft",
    },
  ],
};

test("a model reads like the one that the onnx package writes", () => {
  const ours = Buffer.from(encodeModel(graph, { other: { "com.microsoft": 1 } }));
  const theirs = fs.readFileSync(path.join(root, "test/reference/sample.onnx"));
  expect(decode(ours, "Model")).toEqual(decode(theirs, "Model"));
});

test("a constant with too few bytes is refused by name", () => {
  const wrong: Graph = {
    ...graph,
    initializers: [{ name: "b", type: "float32", dims: [3], content: { kind: "inline", bytes: new Uint8Array(8) } }],
  };
  expect(() => encodeModel(wrong)).toThrow("Constant b of float32 [3] has 12 bytes, but 8 were given.");
});
