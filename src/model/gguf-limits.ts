/**
 * The lengths and counts of a GGUF header against the file's size, before the parser makes anything of them: it takes a
 * count at its word, and what it reads behind the file's end are zeros. One pass over the header, which keeps no value
 * but a few short ones.
 */
import { GGMLQuantizationType } from "@huggingface/gguf";
import { closeSync, readSync, realpathSync } from "node:fs";
import { because, quoted, systemCode } from "../system/errors";
import { STORED_TYPES } from "./dequantize";
import { ModelFileError } from "./errors";
import { openModelFile } from "./safetensors";
import { type FileStamp, stampOf } from "./file-stamp";
import type { WeightType } from "./weights";

/** What can be told of a file without its vocabulary and tensors. */
export interface GgufOutline {
  readonly size: number;
  readonly stamp: FileStamp;
  /** Where the header ends, padding left out. */
  readonly end: number;
  /** There is an embedding, and every tensor is of a type that is read and lies in the file. */
  readonly whole: boolean;
  /** Short texts and numbers of the metadata, by their keys. */
  readonly values: ReadonlyMap<string, string | number>;
}

/** Bytes of a value by its type; 8 is a text, 9 a list. */
const BYTES: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
const TEXT = 8;
const LIST = 9;
/** What the parser reads of a header at most, and lists inside lists. */
const MAX_HEADER = 50_000_000;
const MAX_DEPTH = 4;
/** llama.cpp's own limits: of a name, and of axes. */
const MAX_KEY = 65_535;
const MAX_AXES = 4;
/** Values up to this length are kept. */
const SHORT = 128;

/** Reads a file in windows. */
class Cursor {
  at = 0;
  #window = Buffer.alloc(0);
  #start = 0;

  constructor(
    private readonly path: string,
    private readonly fd: number,
    readonly size: number,
  ) {}

  /** The next `length` bytes, of at most a window; `what` names them where the file ends before. */
  take(length: number, what: string): Buffer {
    this.need(BigInt(length), what);
    if (this.at < this.#start || this.at + length > this.#start + this.#window.length) {
      this.#window = Buffer.alloc(Math.min(Math.max(length, 1 << 20), this.size - this.at));
      this.#start = this.at;
      let done = 0;
      while (done < this.#window.length) {
        const n = readSync(this.fd, this.#window, done, this.#window.length - done, this.#start + done);
        if (n === 0) throw new ModelFileError(`${this.path} was cut off while it was read.`);
        done += n;
      }
    }
    const from = this.at - this.#start;
    this.at += length;
    return this.#window.subarray(from, from + length);
  }

  skip(length: number, what: string): void {
    this.need(BigInt(length), what);
    this.at += length;
  }

  /** Refuses what needs more bytes than are left. */
  need(bytes: bigint, what: string): void {
    const left = BigInt(this.size - this.at);
    if (bytes > left)
      throw new ModelFileError(
        `${this.path} is cut off or damaged: ${what} needs ${bytes} bytes from byte ${this.at} on, but the file has ${this.size} bytes. Download or copy it again.`,
      );
    if (BigInt(this.at) + bytes > MAX_HEADER)
      throw new ModelFileError(
        `${this.path} is damaged: ${what} goes beyond the ${MAX_HEADER} bytes that a header has at most.`,
      );
  }
}

/** Checks the header of a GGUF file. Throws `ModelFileError`. */
export function outlineOfGguf(path: string): GgufOutline {
  const { fd, size } = openModelFile(path);
  try {
    return walk(path, new Cursor(path, fd, size), stampOf(realpathSync(path), fd));
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    throw new ModelFileError(`${path} cannot be read: ${because(error)}.`);
  } finally {
    closeSync(fd);
  }
}

function walk(path: string, cursor: Cursor, stamp: FileStamp): GgufOutline {
  const { size } = cursor;
  const first = cursor.take(Math.min(size, 24), "its header");
  if (first.toString("latin1").startsWith("version https://git-lfs")) {
    throw new ModelFileError(
      `${path} is a Git LFS pointer, not the model: run "git lfs pull" in its folder, or download the file itself.`,
    );
  }
  if (first.length < 4 || first.toString("latin1", 0, 4) !== "GGUF")
    throw new ModelFileError(`${path} is not a GGUF file: it does not begin with "GGUF".`);
  if (first.length < 24)
    throw new ModelFileError(
      `${path} is cut off: its header ends at byte 24, but the file has ${size} bytes. Download or copy it again.`,
    );
  const version = first.readUInt32LE(4);
  // In a big-endian file these bytes are the high ones.
  if ((version & 0xffff) === 0)
    throw new ModelFileError(`${path} is a big-endian GGUF file; little-endian ones are supported.`);
  if (version < 1 || version > 3)
    throw new ModelFileError(`${path} has version ${version} of GGUF; 1 to 3 are supported.`);
  const wide = version > 1;
  const count = (what: string): bigint =>
    wide ? cursor.take(8, what).readBigUInt64LE(0) : BigInt(cursor.take(4, what).readUInt32LE(0));
  const text = (what: string, most?: number): string | undefined => {
    const length = count(what);
    cursor.need(length, what);
    if (most !== undefined && length > BigInt(most))
      throw new ModelFileError(`${path} is damaged: ${what} has ${length} bytes; at most ${most} are allowed.`);
    if (most === undefined && length > BigInt(SHORT)) {
      cursor.skip(Number(length), what);
      return undefined;
    }
    return cursor.take(Number(length), what).toString("utf8");
  };
  const list = (what: string, depth: number): void => {
    if (depth > MAX_DEPTH) throw new ModelFileError(`${path} is damaged: ${what} is a list in ${depth} others.`);
    const type = cursor.take(4, what).readUInt32LE(0);
    const length = count(what);
    const each = BYTES[type];
    if (each !== undefined) {
      cursor.need(length * BigInt(each), what);
      cursor.skip(Number(length) * each, what);
      return;
    }
    if (type !== TEXT && type !== LIST)
      throw new ModelFileError(`${path} is damaged: ${what} is a list of the unknown type ${type}.`);
    // A text takes its length at least, a list its type too.
    cursor.need(length * BigInt((wide ? 8 : 4) + (type === LIST ? 4 : 0)), what);
    for (let i = 0n; i < length; i++) {
      if (type === LIST) list(what, depth + 1);
      else cursor.skip(Number(checked(cursor, count(what), what)), what);
    }
  };

  cursor.at = 8;
  const tensors = count("the number of tensors");
  const pairs = count("the number of metadata keys");
  // A tensor has a name, axes, a type and an offset; a pair has a key, a type and a value.
  cursor.need(tensors * BigInt((wide ? 8 : 4) + 16), `a list of ${tensors} tensors`);
  cursor.need(pairs * BigInt((wide ? 8 : 4) + 5), `a list of ${pairs} metadata keys`);
  const values = new Map<string, string | number>();
  const keys = new Set<string>();
  for (let i = 0n; i < pairs; i++) {
    const key = text("a metadata key", MAX_KEY)!;
    const what = `metadata key ${quoted(key)}`;
    if (keys.has(key)) throw new ModelFileError(`${path} is damaged: it has ${what} twice.`);
    keys.add(key);
    const type = cursor.take(4, what).readUInt32LE(0);
    if (type === TEXT) {
      const value = text(what);
      if (value !== undefined) values.set(key, value);
    } else if (type === LIST) {
      list(what, 1);
    } else if (BYTES[type] !== undefined) {
      const bytes = cursor.take(BYTES[type], what);
      if (type === 2) values.set(key, bytes.readUInt16LE(0));
      else if (type === 4) values.set(key, bytes.readUInt32LE(0));
      else if (type === 5) values.set(key, bytes.readInt32LE(0));
      else if (type === 10) values.set(key, Number(bytes.readBigUInt64LE(0)));
    } else {
      throw new ModelFileError(`${path} is damaged: ${what} has the unknown type ${type}.`);
    }
  }
  let embedding = false;
  let served = true;
  let data = 0;
  for (let i = 0n; i < tensors; i++) {
    const name = text("the name of a tensor", MAX_KEY)!;
    const what = `tensor ${quoted(name)}`;
    const axes = cursor.take(4, what).readUInt32LE(0);
    if (axes > MAX_AXES)
      throw new ModelFileError(`${path} is damaged: ${what} has ${axes} axes; at most ${MAX_AXES} are allowed.`);
    let scalars = 1;
    for (let axis = 0; axis < axes; axis++) scalars *= Number(count(what));
    const type = STORED_TYPES.get(GGMLQuantizationType[cursor.take(4, what).readUInt32LE(0)] as WeightType);
    const offset = Number(cursor.take(8, what).readBigUInt64LE(0));
    if (name === "token_embd.weight") embedding = true;
    if (type === undefined) served = false;
    else data = Math.max(data, offset + (scalars / type.block) * type.bytes);
  }
  const alignment = Math.max(1, Number(values.get("general.alignment") ?? 32)) || 1;
  const whole = embedding && served && Math.ceil(cursor.at / alignment) * alignment + data <= size;
  return { size, stamp, end: cursor.at, whole, values };
}

function checked(cursor: Cursor, length: bigint, what: string): bigint {
  cursor.need(length, what);
  return length;
}
