import { closeSync, readSync } from "node:fs";
import { because, systemCode } from "../system/errors";
import { openPlainFile } from "../system/read";
import type { WeightRef } from "./architecture";
import { STORED_TYPES } from "./dequantize";
import type { StoredType } from "./stored-type";
import { ModelFileError } from "./errors";
import { checkStamp, type FileStamp } from "./file-stamp";
import type { WeightEntry, WeightSource } from "./weights";

/** Raw bytes that are converted at once: small enough to stay in cache and never to hold a matrix twice. */
const CHUNK = 1 << 20;

/**
 * A `WeightSource` over the entries of any number of files. Files are opened when first read. Reading is synchronous:
 * it belongs into a worker for whole matrices. Entries of one model have unique names; the last of a name counts.
 */
export function createWeightSource(entries: Iterable<WeightEntry>): WeightSource {
  return new FileWeightSource(entries);
}

/** A block of whole rows of an entry; a vector is a matrix whose rows have one column. */
interface Block {
  readonly entry: WeightEntry;
  readonly type: StoredType;
  readonly dims: readonly number[];
  /** First row and number of rows, in the order the engine sees. */
  readonly first: number;
  readonly count: number;
  readonly columns: number;
  readonly rowBytes: number;
  /** Row in the file of a row as the engine sees it. */
  readonly stored?: (row: number) => number;
}

class FileWeightSource implements WeightSource {
  readonly entries: ReadonlyMap<string, WeightEntry>;
  readonly #files = new Map<string, number>();
  readonly #stamps = new Map<string, FileStamp>();

  constructor(entries: Iterable<WeightEntry>) {
    const map = new Map<string, WeightEntry>();
    for (const entry of entries) {
      map.set(entry.name, entry);
      // An entry that was made of another one, for another file, is not watched.
      if (entry.stamp?.file === entry.file) this.#stamps.set(entry.file, entry.stamp);
    }
    this.entries = map;
  }

  read(ref: WeightRef): { readonly data: Float32Array; readonly dims: readonly number[] } {
    if (ref.stack !== undefined) return this.#readStack(ref, ref.stack);
    const block = this.#block(ref);
    const data = new Float32Array(block.count * block.columns);
    if (block.stored === undefined) {
      this.#decode(block, block.first, block.count, data, 0);
    } else {
      this.#gather(
        block,
        Array.from({ length: block.count }, (_, row) => block.first + row),
        data,
      );
    }
    return { data: shift(data, ref.add), dims: block.dims };
  }

  readRows(ref: WeightRef, rows: readonly number[]): Float32Array {
    const block = this.#block(ref);
    for (const row of rows) {
      if (!Number.isInteger(row) || row < 0 || row >= block.count) {
        throw new RangeError(`Row ${row} of "${ref.name}" does not exist: rows are 0 to ${block.count - 1}.`);
      }
    }
    const data = new Float32Array(rows.length * block.columns);
    this.#gather(block, block.first === 0 ? rows : rows.map((row) => block.first + row), data);
    return shift(data, ref.add);
  }

  readRaw(ref: WeightRef): Uint8Array {
    const block = this.#block(ref);
    const bytes = new Uint8Array(block.count * block.rowBytes);
    if (block.stored === undefined) {
      this.#bytes(block.entry, block.first * block.rowBytes, bytes);
    } else {
      const all = new Uint8Array(block.entry.byteLength);
      this.#bytes(block.entry, 0, all);
      for (let i = 0; i < block.count; i++) {
        const from = block.stored(block.first + i) * block.rowBytes;
        bytes.set(all.subarray(from, from + block.rowBytes), i * block.rowBytes);
      }
    }
    return bytes;
  }

  check(files: Iterable<string>): void {
    for (const file of files) {
      const stamp = this.#stamps.get(file);
      // Opened first: what is deleted then is still the file that was checked.
      if (stamp !== undefined) checkStamp(stamp, this.#open(file));
    }
  }

  close(): void {
    for (const fd of this.#files.values()) closeSync(fd);
    this.#files.clear();
  }

  #readStack(
    ref: WeightRef,
    names: readonly string[],
  ): { readonly data: Float32Array; readonly dims: readonly number[] } {
    const parts = [ref.name, ...names].map((name) => this.read({ name }));
    const [{ dims }] = parts;
    const size = parts[0].data.length;
    const data = new Float32Array(parts.length * size);
    parts.forEach((part, i) => data.set(part.data, i * size));
    return { data: shift(data, ref.add), dims: [parts.length, ...dims] };
  }

  #block(ref: WeightRef): Block {
    if (ref.stack !== undefined)
      throw new TypeError(`"${ref.name}" is a stack of tensors, which can only be read whole.`);
    const entry = this.entries.get(ref.name);
    if (entry === undefined) throw new ModelFileError(`There is no tensor "${ref.name}" in the weights.`);
    this.check([entry.file]);
    const type = STORED_TYPES.get(entry.type);
    if (type === undefined) throw new ModelFileError(`Tensor "${ref.name}" has the unknown type ${entry.type}.`);
    const rows = entry.dims[0] ?? 1;
    const total = entry.dims.reduce((product, dim) => product * dim, 1);
    const [first, end] = ref.rows ?? [0, rows];
    if (!(Number.isInteger(first) && Number.isInteger(end) && first >= 0 && first <= end && end <= rows)) {
      throw new RangeError(`Rows ${first} to ${end} of "${ref.name}" do not exist: it has ${rows} rows.`);
    }
    // Quantised vectors are the one case where a "row" is not made of whole blocks; they can only be read whole.
    const vector = entry.dims.length < 2 && type.block > 1 && first === 0 && end === rows;
    const columns = vector ? total : rows === 0 ? 0 : total / rows;
    if (columns % type.block !== 0) {
      throw new ModelFileError(
        `Rows of "${ref.name}" have ${columns} columns, which ${entry.type} cannot hold: its blocks are ${type.block} long.`,
      );
    }
    return {
      entry,
      type,
      dims: [end - first, ...entry.dims.slice(1)],
      first: vector ? 0 : first,
      count: vector ? 1 : end - first,
      columns,
      rowBytes: (columns / type.block) * type.bytes,
      stored: ref.unpermuteHeads === undefined ? undefined : unpermuted(ref.name, rows, ref.unpermuteHeads),
    };
  }

  /** Decodes rows `rows` (as the engine sees them), runs of neighbours in one go. */
  #gather(block: Block, rows: readonly number[], target: Float32Array): void {
    const stored = block.stored ?? ((row: number) => row);
    if (block.stored !== undefined && rows.length === block.entry.dims[0]) {
      // Whole permuted matrices: one pass over the file, then rows are put in order.
      const all = new Float32Array(rows.length * block.columns);
      this.#decode(block, 0, rows.length, all, 0);
      rows.forEach((row, i) => {
        const from = stored(row) * block.columns;
        target.set(all.subarray(from, from + block.columns), i * block.columns);
      });
      return;
    }
    for (let i = 0; i < rows.length;) {
      const start = stored(rows[i]);
      let n = 1;
      while (i + n < rows.length && stored(rows[i + n]) === start + n) n++;
      this.#decode(block, start, n, target, i * block.columns);
      i += n;
    }
  }

  /** Decodes `count` rows of the file from `first` into `target` at `to`. */
  #decode(block: Block, first: number, count: number, target: Float32Array, to: number): void {
    const { type } = block;
    const blocks = (count * block.columns) / type.block;
    const step = Math.max(1, Math.floor(CHUNK / type.bytes));
    const scratch = new Uint8Array(Math.min(step, blocks) * type.bytes);
    for (let done = 0; done < blocks; done += step) {
      const n = Math.min(step, blocks - done);
      const bytes = scratch.subarray(0, n * type.bytes);
      this.#bytes(block.entry, first * block.rowBytes + done * type.bytes, bytes);
      type.decode(bytes, n, target, to + done * type.block);
    }
  }

  #open(file: string): number {
    const known = this.#files.get(file);
    if (known !== undefined) return known;
    try {
      const { fd } = openPlainFile(file);
      this.#files.set(file, fd);
      return fd;
    } catch (error) {
      throw error instanceof Error && systemCode(error) === undefined ? new ModelFileError(error.message) : error;
    }
  }

  #bytes(entry: WeightEntry, offset: number, target: Uint8Array): void {
    const fd = this.#open(entry.file);
    // One read returns at most 2 GiB.
    for (let done = 0; done < target.length;) {
      let n: number;
      try {
        n = readSync(fd, target, done, Math.min(target.length - done, 1 << 30), entry.offset + offset + done);
      } catch (error) {
        throw new ModelFileError(`${entry.file} cannot be read any more: ${because(error)}.`);
      }
      if (n === 0)
        throw new ModelFileError(
          `${entry.file} is cut off inside tensor "${entry.name}"; it was longer when it was opened.`,
        );
      done += n;
    }
  }
}

/**
 * llama.cpp's converter stores each head's rows (2i, 2i+1) where the hub has (i, i + dHead/2): the file's row of a hub
 * row.
 */
function unpermuted(name: string, rows: number, heads: number): (row: number) => number {
  const size = rows / heads;
  if (!Number.isInteger(heads) || heads < 1 || size % 2 !== 0) {
    throw new ModelFileError(
      `The ${rows} rows of "${name}" cannot be split into ${heads} heads of an even number of rows.`,
    );
  }
  const half = size / 2;
  return (row) => {
    const inHead = row % size;
    return row - inHead + 2 * (inHead % half) + (inHead < half ? 0 : 1);
  };
}

function shift(data: Float32Array, add: number | undefined): Float32Array {
  if (add !== undefined) for (let i = 0; i < data.length; i++) data[i] += add;
  return data;
}
