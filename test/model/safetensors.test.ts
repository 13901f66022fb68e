import { mkdtempSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ModelFileError } from "../../src/model/errors";
import { readSafetensors, readSafetensorsIndex } from "../../src/model/safetensors";
import { createWeightSource } from "../../src/model/weight-source";

interface Stored {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lmt-safetensors-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const bytes = (array: { readonly buffer: ArrayBufferLike }): Uint8Array => new Uint8Array(array.buffer as ArrayBuffer);
const f32 = (...values: number[]): Uint8Array => bytes(Float32Array.from(values));

/** Writes a file with these tensors in this order; `change` sees the header before it is written. */
function write(
  name: string,
  tensors: Record<string, Stored>,
  change: (header: Record<string, unknown>) => void = () => undefined,
): string {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let offset = 0;
  for (const [key, { dtype, shape, bytes: data }] of Object.entries(tensors)) {
    header[key] = { dtype, shape, data_offsets: [offset, offset + data.length] };
    offset += data.length;
  }
  change(header);
  // One blank: the data begins at an odd offset.
  let text = JSON.stringify(header);
  if (text.length % 2 === 0) text += " ";
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  const path = join(folder, name);
  writeFileSync(
    path,
    Buffer.concat([length, Buffer.from(text), ...Object.values(tensors).map((tensor) => tensor.bytes)]),
  );
  return path;
}

const matrix: Stored = { dtype: "F32", shape: [4, 3], bytes: f32(...Array.from({ length: 12 }, (_, i) => i)) };

test("reads whole tensors, blocks of rows and single rows of every float type", () => {
  const path = write("m.safetensors", {
    matrix,
    half: { dtype: "F16", shape: [2], bytes: Uint8Array.of(0x00, 0x3c, 0x00, 0xc0) },
    brain: { dtype: "BF16", shape: [2, 1], bytes: Uint8Array.of(0x80, 0x3f, 0x20, 0xc0) },
    double: { dtype: "F64", shape: [1], bytes: bytes(Float64Array.of(0.1)) },
    mask: { dtype: "BOOL", shape: [3], bytes: Uint8Array.of(1, 0, 1) },
  });
  const listing = readSafetensors(path);
  expect([...listing.unserved]).toEqual([["mask", "BOOL"]]);
  const source = createWeightSource(listing.entries);
  expect(source.read({ name: "matrix" })).toEqual({
    data: Float32Array.from({ length: 12 }, (_, i) => i),
    dims: [4, 3],
  });
  expect(source.read({ name: "matrix", rows: [1, 3] })).toEqual({
    data: Float32Array.of(3, 4, 5, 6, 7, 8),
    dims: [2, 3],
  });
  expect([...source.read({ name: "matrix", add: -1 }).data.subarray(0, 2)]).toEqual([-1, 0]);
  expect([...source.readRows({ name: "matrix" }, [3, 0, 0, 1])]).toEqual([9, 10, 11, 0, 1, 2, 0, 1, 2, 3, 4, 5]);
  expect([...source.readRows({ name: "matrix", rows: [2, 4] }, [1])]).toEqual([9, 10, 11]);
  expect([...source.read({ name: "half" }).data]).toEqual([1, -2]);
  expect([...source.read({ name: "brain" }).data]).toEqual([1, -2.5]);
  expect([...source.read({ name: "double" }).data]).toEqual([Math.fround(0.1)]);
  expect(source.read({ name: "half", stack: ["half"] })).toEqual({ data: Float32Array.of(1, -2, 1, -2), dims: [2, 2] });
  expect(Buffer.from(source.readRaw({ name: "matrix", rows: [1, 2] }))).toEqual(Buffer.from(f32(3, 4, 5)));
  expect(() => source.readRows({ name: "matrix" }, [4])).toThrow('Row 4 of "matrix" does not exist: rows are 0 to 3.');
  expect(() => source.read({ name: "matrix", rows: [2, 5] })).toThrow(RangeError);
  source.close();
});

test("rows that llama.cpp permuted for rotary embedding come back in the hub's order, also by rows and raw", () => {
  const heads = 2;
  const half = 3;
  const rows = heads * 2 * half;
  // Written as the converter does it: reshape [heads, 2, half], swap the last two axes.
  const stored: number[] = [];
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < half; i++) for (let side = 0; side < 2; side++) stored.push(head * 2 * half + side * half + i);
  }
  const path = write("p.safetensors", { q: { dtype: "F32", shape: [rows, 1], bytes: f32(...stored) } });
  const source = createWeightSource(readSafetensors(path).entries);
  const order = Array.from({ length: rows }, (_, row) => row);
  const ref = { name: "q", unpermuteHeads: heads };
  expect([...source.read(ref).data]).toEqual(order);
  expect([...source.read({ ...ref, rows: [2, 9] }).data]).toEqual(order.slice(2, 9));
  expect([...source.readRows(ref, [7, 1, 11])]).toEqual([7, 1, 11]);
  const raw = source.readRaw(ref);
  expect([...new Float32Array(raw.buffer, raw.byteOffset, rows)]).toEqual(order);
  source.close();
});

test("a sharded model is read by its index, through symlinks", () => {
  mkdirSync(join(folder, "blobs"));
  write("blobs/one", { a: matrix, unused: matrix });
  write("blobs/two", { b: matrix });
  mkdirSync(join(folder, "snapshot"));
  symlinkSync("../blobs/one", join(folder, "snapshot/model-1.safetensors"));
  symlinkSync("../blobs/two", join(folder, "snapshot/model-2.safetensors"));
  writeFileSync(
    join(folder, "snapshot/index.json"),
    JSON.stringify({ weight_map: { a: "model-1.safetensors", b: "model-2.safetensors" } }),
  );
  const { entries } = readSafetensorsIndex(join(folder, "snapshot"), "index.json");
  expect(entries.map((entry) => [entry.name, entry.file.endsWith("blobs/one")])).toEqual([
    ["a", true],
    ["b", false],
  ]);
});

test("of two tensors of a name the one counts that lies where the index says", () => {
  write("one.safetensors", { a: matrix, b: matrix });
  write("two.safetensors", { a: { dtype: "F32", shape: [1], bytes: f32(7) } });
  for (const [shard, dims] of [
    ["one", [4, 3]],
    ["two", [1]],
  ] as const) {
    writeFileSync(
      join(folder, "index.json"),
      JSON.stringify({ weight_map: { b: "one.safetensors", a: `${shard}.safetensors`, c: "two.safetensors" } }),
    );
    const { entries } = readSafetensorsIndex(folder, "index.json", new Map());
    expect(
      entries
        .filter((entry) => entry.name === "a")
        .map((entry) => [entry.file.endsWith(`${shard}.safetensors`), entry.dims]),
    ).toEqual([[true, dims]]);
  }
});

describe("an index that does not fit its shards", () => {
  const index = (map: unknown): void => writeFileSync(join(folder, "index.json"), JSON.stringify({ weight_map: map }));
  const open = (): unknown => readSafetensorsIndex(folder, "index.json");

  test.each([
    [
      "names a shard that is missing",
      { a: "no.safetensors" },
      /no\.safetensors is missing: index\.json places 1 tensors in it/,
    ],
    [
      "names a tensor that its shard lacks",
      { z: "one.safetensors" },
      /one\.safetensors has no tensor "z", but index\.json places it there/,
    ],
    [
      "leaves the folder",
      { a: "../one.safetensors" },
      /places tensor "a" in "\.\.\/one\.safetensors"; a \.safetensors file beside the index is expected/,
    ],
    ["has no map", null, /has no "weight_map" object/],
  ])("%s", (_, map, message) => {
    write("one.safetensors", { a: matrix });
    index(map);
    expect(open).toThrow(ModelFileError);
    expect(open).toThrow(message);
  });

  test("is not JSON", () => {
    writeFileSync(join(folder, "index.json"), "{");
    expect(open).toThrow(/index\.json is not valid JSON/);
  });
});

describe("a file that is not what it should be", () => {
  const cases: [string, () => string, RegExp][] = [
    [
      "is cut off inside a tensor",
      () => truncated(-1),
      /is cut off: tensor "a" ends at byte \d+, but the file has \d+ bytes\. Download or copy it again\./,
    ],
    ["is cut off inside the header", () => truncated(20, true), /is cut off: its header alone ends at byte/],
    ["is empty", () => raw(Buffer.alloc(0)), /is not a safetensors file/],
    [
      "is something else",
      () => raw(Buffer.from("PK\u0003\u0004 a zip archive, not weights")),
      /is not a safetensors file/,
    ],
    [
      "is a pointer of Git LFS",
      () => raw(Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")),
      /is a Git LFS pointer, not the weights: run "git lfs pull"/,
    ],
    [
      "has a header that is not JSON",
      () => raw(Buffer.concat([Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0), Buffer.from("{x}")])),
      /The header of .* is not valid JSON/,
    ],
    [
      "has overlapping tensors",
      () =>
        write("x", { a: matrix, b: matrix }, (h) => {
          h.b = { dtype: "F32", shape: [4, 3], data_offsets: [40, 88] };
        }),
      /the bytes of tensors "a" and "b" overlap/,
    ],
    [
      "has offsets that do not fit the shape",
      () =>
        write("x", { a: matrix }, (h) => {
          h.a = { dtype: "F32", shape: [4, 4], data_offsets: [0, 48] };
        }),
      /tensor "a" of shape \[4, 4\] and type F32 needs 64 bytes, but its offsets give 48/,
    ],
    [
      "has offsets the wrong way round",
      () =>
        write("x", { a: matrix }, (h) => {
          h.a = { dtype: "F32", shape: [0], data_offsets: [48, 0] };
        }),
      /data_offsets \[begin, end\] with begin ≤ end/,
    ],
    [
      "has a shape that is none",
      () =>
        write("x", { a: matrix }, (h) => {
          h.a = { dtype: "F32", shape: [-1], data_offsets: [0, 48] };
        }),
      /no shape of non-negative integers/,
    ],
    [
      "has an entry without type",
      () =>
        write("x", { a: matrix }, (h) => {
          h.a = { shape: [4, 3], data_offsets: [0, 48] };
        }),
      /tensor "a" has no dtype/,
    ],
    [
      "has null for an entry",
      () =>
        write("x", { a: matrix }, (h) => {
          h.a = null;
        }),
      /tensor "a" has no dtype/,
    ],
  ];

  function raw(content: Buffer): string {
    const path = join(folder, "x");
    writeFileSync(path, content);
    return path;
  }

  function truncated(at: number, fromStart = false): string {
    const path = write("x", { a: matrix });
    const { readFileSync } = jest.requireActual<typeof import("node:fs")>("node:fs");
    const whole = readFileSync(path);
    return raw(fromStart ? whole.subarray(0, at) : whole.subarray(0, whole.length + at));
  }

  test.each(cases)("%s", (_, make, message) => {
    const path = make();
    let error: unknown;
    try {
      readSafetensors(path);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(ModelFileError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).toContain(path);
    expect((error as Error).message).not.toContain("\n");
  });
});
