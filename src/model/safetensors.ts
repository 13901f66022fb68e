/**
 * Reading of safetensors headers (https://github.com/huggingface/safetensors#format). Only the header is read; the
 * tensors' bytes stay in the file.
 */
import { isUtf8 } from "node:buffer";
import { closeSync, lstatSync, readFileSync, readSync, realpathSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { because, quoted, shown, systemCode } from "../system/errors";
import { openPlainFile } from "../system/read";
import { ModelFileError } from "./errors";
import { type FileStamp, stampOf } from "./file-stamp";
import { parseJson } from "./json";
import type { WeightEntry, WeightType } from "./weights";

export { parseJson } from "./json";

/** What a set of weight files holds. */
export interface WeightListing {
  readonly entries: WeightEntry[];
  /** Tensors in types that are not served, name → type: buffers mostly; refused when a model needs one. */
  readonly unserved: ReadonlyMap<string, string>;
  /** The longest axis of all tensors: no size of a model can be more. */
  readonly longestAxis: number;
  /** Tensors that an index names and no file has, name → sentence for whoever needs one. */
  readonly absent?: ReadonlyMap<string, string>;
}

/** Bytes of one element of every type that the format has; sub-byte types are left out. */
const BYTES: Readonly<Record<string, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  C64: 8,
};
const SERVED: ReadonlySet<string> = new Set<WeightType>(["F64", "F32", "F16", "BF16"]);
/** The format's own limit of a header. */
const MAX_HEADER = 100_000_000;

/**
 * Most tensors of a file, and most bytes of the description of one: far beyond any model of these families, and little
 * memory.
 */
const MAX_TENSORS = 200_000;
const MAX_DESCRIPTION = 4096;

/** Lists the tensors of one `.safetensors` file. Throws `ModelFileError`. */
export function readSafetensors(path: string): WeightListing {
  const { file, header, dataStart, size, stamp } = readHeader(path);
  const entries: WeightEntry[] = [];
  const unserved = new Map<string, string>();
  const spans: { name: string; begin: number; end: number }[] = [];
  const names = new Set<string>();
  let longestAxis = 0;
  for (const { name, value } of membersOf(path, header)) {
    if (names.size >= MAX_TENSORS)
      throw new ModelFileError(
        `${path} names more than ${MAX_TENSORS} tensors; a model of the supported families has some hundreds.`,
      );
    if (names.has(name)) throw new ModelFileError(`${path} is damaged: it has two tensors "${name}".`);
    names.add(name);
    const { dtype, shape, begin, end } = tensorInfo(path, name, value);
    if (dataStart + end > size) {
      throw new ModelFileError(
        `${path} is cut off: tensor "${name}" ends at byte ${dataStart + end}, but the file has ${size} bytes. Download or copy it again.`,
      );
    }
    // Elements of an unknown type have at least a bit.
    for (const dim of end > begin ? shape : []) longestAxis = Math.max(longestAxis, Math.min(dim, 8 * (end - begin)));
    spans.push({ name, begin, end });
    if (SERVED.has(dtype)) {
      entries.push({
        name,
        type: dtype as WeightType,
        dims: shape,
        file,
        offset: dataStart + begin,
        byteLength: end - begin,
        stamp,
      });
    } else {
      unserved.set(name, dtype);
    }
  }
  spans.sort((a, b) => a.begin - b.begin || a.end - b.end);
  for (let i = 1; i < spans.length; i++) {
    if (spans[i].begin < spans[i - 1].end) {
      throw new ModelFileError(
        `${path} is damaged: the bytes of tensors "${spans[i - 1].name}" and "${spans[i].name}" overlap.`,
      );
    }
  }
  return { entries, unserved, longestAxis };
}

/**
 * Lists the tensors of a sharded model by its `model.safetensors.index.json`, each where the index says, and refuses
 * one that is not there. With `absent` the index counts as stale: all tensors of the shards that it names are listed,
 * wherever it places them, as transformers does, and one that no shard has (the name of a buffer that was left out,
 * mostly) is put there, for who needs it. Throws `ModelFileError`.
 */
export function readSafetensorsIndex(folder: string, indexName: string, absent?: Map<string, string>): WeightListing {
  const shards = shardsOfIndex(join(folder, indexName), readIndex(join(folder, indexName)));
  const lost = new Map<string, string>();
  const placed = new Map<string, { readonly entry?: WeightEntry; readonly type?: string; readonly asSaid: boolean }>();
  let longestAxis = 0;
  for (const [shard, names] of shards) {
    const path = join(folder, shard);
    const said = new Set(names);
    if (isMissing(path)) {
      for (const name of names)
        lost.set(name, `${path} is missing: ${indexName} places ${names.length} tensors in it.`);
      continue;
    }
    const listing = readSafetensors(path);
    longestAxis = Math.max(longestAxis, listing.longestAxis);
    const place = (name: string, found: { readonly entry?: WeightEntry; readonly type?: string }): void => {
      // Of two of a name the one counts that lies where the index says.
      if (said.has(name) || !placed.has(name)) placed.set(name, { ...found, asSaid: said.has(name) });
    };
    for (const entry of listing.entries) place(entry.name, { entry });
    for (const [name, type] of listing.unserved) place(name, { type });
    for (const name of names)
      if (!placed.get(name)?.asSaid)
        lost.set(name, `${path} has no tensor "${name}", but ${indexName} places it there.`);
  }
  const entries: WeightEntry[] = [];
  const unserved = new Map<string, string>();
  for (const [name, { entry, type, asSaid }] of placed) {
    if (absent === undefined && !asSaid) continue;
    lost.delete(name);
    if (entry !== undefined) entries.push(entry);
    else if (type !== undefined) unserved.set(name, type);
  }
  for (const [name, sentence] of lost) {
    if (absent === undefined) throw new ModelFileError(sentence);
    absent.set(name, sentence);
  }
  return { entries, unserved, longestAxis, absent };
}

function isMissing(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) === undefined;
  } catch (error) {
    throw new ModelFileError(`${path} cannot be read: ${because(error)}.`);
  }
}

/** An index of more bytes names more tensors than are read. */
const MAX_INDEX = 64 << 20;

function readIndex(path: string): string {
  const { fd, size } = openModelFile(path);
  try {
    if (size > MAX_INDEX)
      throw new ModelFileError(`${path} has ${size} bytes; an index of at most ${MAX_INDEX} is read.`);
    return readFileSync(fd, "utf8");
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    throw new ModelFileError(`${path} cannot be read: ${because(error)}.`);
  } finally {
    closeSync(fd);
  }
}

/** A plain file, open for reading. Throws `ModelFileError`. */
export function openModelFile(path: string): { readonly fd: number; readonly size: number } {
  try {
    return openPlainFile(path);
  } catch (error) {
    const { cause, message } = error as Error;
    throw new ModelFileError(
      systemCode(cause) === "ENOENT"
        ? `${path} is missing${isLink(path) ? ": it is a link to a file that is not there" : ""}.`
        : message,
    );
  }
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

/** Shard file name → tensor names, from the text of an index. Shards must lie beside the index. */
export function shardsOfIndex(path: string, text: string): Map<string, string[]> {
  const map = (parseJson(path, text) as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map))
    throw new ModelFileError(`${path} has no "weight_map" object.`);
  const shards = new Map<string, string[]>();
  for (const [name, shard] of Object.entries(map)) {
    // Windows' separators too: the index is another machine's.
    if (
      typeof shard !== "string" ||
      shard !== basename(shard) ||
      /[\\\0:]/.test(shard) ||
      !shard.endsWith(".safetensors")
    ) {
      throw new ModelFileError(
        `${path} places tensor ${quoted(name)} in ${shown(shard)}; a .safetensors file beside the index is expected.`,
      );
    }
    const names = shards.get(shard);
    if (names === undefined) shards.set(shard, [name]);
    else names.push(name);
  }
  return shards;
}

function readHeader(path: string): { file: string; header: Buffer; dataStart: number; size: number; stamp: FileStamp } {
  const { fd, size } = openModelFile(path);
  try {
    const start = Buffer.alloc(Math.min(size, 64));
    readSync(fd, start, 0, start.length, 0);
    if (start.toString("latin1").startsWith("version https://git-lfs")) {
      throw new ModelFileError(
        `${path} is a Git LFS pointer, not the weights: run "git lfs pull" in its folder, or download the file itself.`,
      );
    }
    const length = size < 9 ? 0 : Number(start.readBigUInt64LE(0));
    if (size >= 9 && start[8] === 0x7b && length > MAX_HEADER && 8 + length <= size) {
      throw new ModelFileError(`${path} has a header of ${length} bytes; the format allows ${MAX_HEADER}.`);
    }
    // A header is a JSON object of at most 100 MB: anything else at byte 8 means another kind of file.
    if (size < 9 || length < 2 || length > MAX_HEADER || start[8] !== 0x7b) {
      throw new ModelFileError(
        `${path} is not a safetensors file: it does not begin with the length of a header and the header.`,
      );
    }
    if (8 + length > size) {
      throw new ModelFileError(
        `${path} is cut off: its header alone ends at byte ${8 + length}, but the file has ${size} bytes. Download or copy it again.`,
      );
    }
    const header = Buffer.alloc(length);
    readSync(fd, header, 0, length, 8);
    if (!isUtf8(header)) throw new ModelFileError(`${path} is damaged: its header is no text in UTF-8.`);
    return { file: realpathSync(path), header, dataStart: 8 + length, size, stamp: stampOf(realpathSync(path), fd) };
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    throw new ModelFileError(`${path} cannot be read: ${because(error)}.`);
  } finally {
    closeSync(fd);
  }
}

const [QUOTE, BACKSLASH, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, COLON, COMMA] = [...'"\\{}[]:,'].map((char) =>
  char.charCodeAt(0),
);

/**
 * The tensors of a header, one after the other: as a whole, a header of many small ones would be many times its size in
 * memory. The free texts of `__metadata__` are passed over.
 */
function* membersOf(path: string, header: Buffer): Generator<{ readonly name: string; readonly value: unknown }> {
  let at = 0;
  const fail = (): never => {
    throw new ModelFileError(
      `The header of ${path} is not valid JSON: there is something else than it may be at byte ${at} of it.`,
    );
  };
  const blank = (): void => {
    while (header[at] === 0x20 || header[at] === 0x09 || header[at] === 0x0a || header[at] === 0x0d) at++;
  };
  const next = (char: number): void => {
    blank();
    if (header[at] !== char) fail();
    at++;
  };
  /** Goes behind the text that begins here. */
  const text = (): void => {
    next(QUOTE);
    while (at < header.length && header[at] !== QUOTE) at += header[at] === BACKSLASH ? 2 : 1;
    next(QUOTE);
  };
  /** Goes behind the value that begins here. */
  const value = (): void => {
    blank();
    if (header[at] === QUOTE) return text();
    const start = at;
    for (let depth = 0; at < header.length;) {
      const char = header[at];
      if (char === QUOTE) {
        text();
        continue;
      }
      if (depth === 0 && (char === COMMA || char === CLOSE)) break;
      at++;
      if (char === OPEN || char === OPEN_LIST) depth++;
      else if ((char === CLOSE || char === CLOSE_LIST) && --depth <= 0) break;
    }
    if (at === start) fail();
  };
  const json = (from: number, what: string): unknown => {
    if (at - from > MAX_DESCRIPTION)
      throw new ModelFileError(
        `${path} is damaged: ${what} takes ${at - from} bytes of its header; ${MAX_DESCRIPTION} are more than enough.`,
      );
    return parseJson(`The header of ${path}`, header.toString("utf8", from, at));
  };
  next(OPEN);
  blank();
  if (header[at] !== CLOSE) {
    for (;;) {
      blank();
      let from = at;
      text();
      const name = json(from, "the name of a tensor") as string;
      next(COLON);
      blank();
      from = at;
      value();
      if (name !== "__metadata__") yield { name, value: json(from, `the description of tensor ${quoted(name)}`) };
      blank();
      if (header[at] !== COMMA) break;
      at++;
    }
  }
  next(CLOSE);
  blank();
  if (at !== header.length) fail();
}

function tensorInfo(
  path: string,
  name: string,
  value: unknown,
): { dtype: string; shape: number[]; begin: number; end: number } {
  const {
    dtype,
    shape,
    data_offsets: offsets,
  } = (value ?? {}) as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
  const where = `${path} is damaged: tensor "${name}"`;
  if (typeof dtype !== "string") throw new ModelFileError(`${where} has no dtype.`);
  if (!isCounts(shape)) throw new ModelFileError(`${where} has no shape of non-negative integers.`);
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) {
    throw new ModelFileError(`${where} has no data_offsets [begin, end] with begin ≤ end.`);
  }
  const [begin, end] = offsets;
  const bytes = BYTES[dtype];
  const expected = shape.reduce((product, dim) => product * dim, bytes ?? 0);
  if (bytes !== undefined && end - begin !== expected) {
    throw new ModelFileError(
      `${where} of shape [${shape.join(", ")}] and type ${dtype} needs ${expected} bytes, but its offsets give ${end - begin}.`,
    );
  }
  return { dtype, shape, begin, end };
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && (item as number) >= 0);
}
