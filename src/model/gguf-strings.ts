/**
 * The texts of a GGUF file's header as the bytes they are: `@huggingface/gguf` drops a U+FEFF that a text begins with
 * and turns bytes that are no UTF-8 into U+FFFD, so that different tokens become equal.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const BYTES_OF = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8] as const;
const STRING = 8;
const LIST = 9;
const CHUNK = 2 ** 20;

/**
 * UTF-8 as text, nothing dropped. A byte that is no UTF-8 becomes a half of a surrogate pair (U+DC80 to U+DCFF), which
 * no text has otherwise.
 */
export function exactText(bytes: Uint8Array): string {
  try {
    return STRICT.decode(bytes);
  } catch {
    let text = "";
    for (let i = 0; i < bytes.length;) {
      const lead = bytes[i];
      const length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
      let character: string | undefined;
      try {
        if (i + length <= bytes.length) character = STRICT.decode(bytes.subarray(i, i + length));
      } catch {
        character = undefined;
      }
      text += character ?? String.fromCharCode(0xdc00 + lead);
      i += character === undefined ? 1 : length;
    }
    return text;
  }
}

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The texts, and lists of texts, among the key-value pairs of a little-endian GGUF file of version 2 or 3. Throws a
 * plain error where the header is cut off.
 */
export function exactStrings(file: string): Record<string, string | string[]> {
  const reader = new Reader(file);
  try {
    const result: Record<string, string | string[]> = {};
    reader.skip(4);
    const version = reader.uint32();
    if (version !== 2 && version !== 3) return result;
    reader.uint64();
    const count = reader.uint64();
    for (let i = 0; i < count; i++) {
      const key = reader.text();
      const value = readValue(reader, reader.uint32(), 0);
      if (value !== undefined) result[key] = value;
    }
    return result;
  } finally {
    reader.close();
  }
}

/** A text or a list of texts; other values are passed over. */
function readValue(reader: Reader, type: number, depth: number): string | string[] | undefined {
  if (type === STRING) return reader.text();
  if (type !== LIST) {
    const size = BYTES_OF[type] as number | undefined;
    if (size === undefined) throw new Error(`a value of the unknown type ${type}`);
    reader.skip(size);
    return undefined;
  }
  const inner = reader.uint32();
  const count = reader.uint64();
  const size = BYTES_OF[inner] as number | undefined;
  if (size !== undefined && size > 0) {
    reader.skip(size * count);
    return undefined;
  }
  if (inner !== STRING && inner !== LIST) throw new Error(`a value of the unknown type ${inner}`);
  if (depth > 8) throw new Error("lists inside lists, too deep");
  const texts: string[] = [];
  for (let i = 0; i < count; i++) {
    const value = readValue(reader, inner, depth + 1);
    if (typeof value === "string") texts.push(value);
  }
  return inner === STRING ? texts : undefined;
}

/** Reads forward through a file. Every read is checked against the file's size before anything is made for it. */
class Reader {
  readonly #fd: number;
  readonly #size: number;
  #buffer = Buffer.alloc(0);
  /** Of the buffer's first byte in the file. */
  #start = 0;
  #at = 0;

  constructor(file: string) {
    this.#fd = openSync(file, "r");
    this.#size = fstatSync(this.#fd).size;
  }

  close(): void {
    closeSync(this.#fd);
  }

  skip(bytes: number): void {
    this.#check(bytes);
    this.#at += bytes;
  }

  uint32(): number {
    const { buffer, at } = this.#take(4);
    return buffer.readUInt32LE(at);
  }

  uint64(): number {
    const { buffer, at } = this.#take(8);
    return buffer.readUInt32LE(at) + 2 ** 32 * buffer.readUInt32LE(at + 4);
  }

  text(): string {
    const length = this.uint64();
    const { buffer, at } = this.#take(length);
    return exactText(buffer.subarray(at, at + length));
  }

  #check(bytes: number): void {
    if (this.#at + bytes > this.#size)
      throw new Error(`it needs ${this.#at + bytes} bytes, but the file has ${this.#size}`);
  }

  #take(bytes: number): { readonly buffer: Buffer; readonly at: number } {
    this.#check(bytes);
    if (this.#at < this.#start || this.#at + bytes > this.#start + this.#buffer.length) {
      const buffer = Buffer.alloc(Math.min(Math.max(bytes, CHUNK), this.#size - this.#at));
      let filled = 0;
      while (filled < buffer.length) {
        const n = readSync(this.#fd, buffer, filled, buffer.length - filled, this.#at + filled);
        if (n === 0) throw new Error("the file became shorter");
        filled += n;
      }
      this.#buffer = buffer;
      this.#start = this.#at;
    }
    const at = this.#at - this.#start;
    this.#at += bytes;
    return { buffer: this.#buffer, at };
  }
}
