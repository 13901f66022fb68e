/**
 * Reading of safetensors headers (https://github.com/huggingface/safetensors#format). Only the header is read; the
 * tensors' bytes stay in the file.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync, realpathSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { ModelFileError } from "./errors";
import { fileText, withoutMark } from "./text";
import type { WeightEntry, WeightType } from "./weights";

/** What a set of weight files holds. */
export interface WeightListing {
  readonly entries: WeightEntry[];
  /** Tensors in types that are not served, name → type: buffers mostly; refused when a model needs one. */
  readonly unserved: ReadonlyMap<string, string>;
}

/** Bytes of one element of every type that the format has; sub-byte types are left out. */
const BYTES: Readonly<Record<string, number>> = {
  F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1,
  F8_E4M3: 1, F8_E5M2: 1, F8_E8M0: 1, C64: 8,
};
const SERVED: ReadonlySet<string> = new Set<WeightType>(["F64", "F32", "F16", "BF16"]);
/** The format's own limit of a header. */
const MAX_HEADER = 100_000_000;

/** Lists the tensors of one `.safetensors` file. Throws `ModelFileError`. */
export function readSafetensors(path: string): WeightListing {
  const file = realpathSync(path);
  const { header, dataStart, size } = readHeader(file, path);
  const entries: WeightEntry[] = [];
  const unserved = new Map<string, string>();
  const spans: { name: string; begin: number; end: number }[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, begin, end } = tensorInfo(path, name, value);
    if (dataStart + end > size) {
      throw new ModelFileError(`${path} is cut off: tensor "${name}" ends at byte ${dataStart + end}, but the file has ${size} bytes. Download or copy it again.`);
    }
    spans.push({ name, begin, end });
    if (SERVED.has(dtype)) {
      entries.push({ name, type: dtype as WeightType, dims: shape, file, offset: dataStart + begin, byteLength: end - begin });
    } else {
      unserved.set(name, dtype);
    }
  }
  spans.sort((a, b) => a.begin - b.begin || a.end - b.end);
  for (let i = 1; i < spans.length; i++) {
    if (spans[i].begin < spans[i - 1].end) {
      throw new ModelFileError(`${path} is damaged: the bytes of tensors "${spans[i - 1].name}" and "${spans[i].name}" overlap.`);
    }
  }
  return { entries, unserved };
}

/**
 * Lists the tensors of a sharded model by its `model.safetensors.index.json`. Every tensor of the index must be in the
 * shard that the index names. Throws `ModelFileError`.
 */
export function readSafetensorsIndex(folder: string, indexName: string): WeightListing {
  const shards = shardsOfIndex(join(folder, indexName), readFileSync(join(folder, indexName), "utf8"));
  const entries: WeightEntry[] = [];
  const unserved = new Map<string, string>();
  for (const [shard, names] of shards) {
    const path = join(folder, shard);
    if (statSync(path, { throwIfNoEntry: false }) === undefined) {
      throw new ModelFileError(`${path} is missing: ${indexName} places ${names.length} tensors in it.`);
    }
    const listing = readSafetensors(path);
    const present = new Map(listing.entries.map((entry) => [entry.name, entry]));
    for (const name of names) {
      const entry = present.get(name);
      const type = listing.unserved.get(name);
      if (entry !== undefined) entries.push(entry);
      else if (type !== undefined) unserved.set(name, type);
      else throw new ModelFileError(`${path} has no tensor "${name}", but ${indexName} places it there.`);
    }
  }
  return { entries, unserved };
}

/** Shard file name → tensor names, from the text of an index. Shards must lie beside the index. */
export function shardsOfIndex(path: string, text: string): Map<string, string[]> {
  const map = (parseJson(path, text) as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== "object" || map === null) throw new ModelFileError(`${path} has no "weight_map" object.`);
  const shards = new Map<string, string[]>();
  for (const [name, shard] of Object.entries(map)) {
    if (typeof shard !== "string" || shard !== basename(shard) || !shard.endsWith(".safetensors")) {
      throw new ModelFileError(`${path} places tensor "${name}" in ${JSON.stringify(shard)}; a .safetensors file beside the index is expected.`);
    }
    const names = shards.get(shard);
    if (names === undefined) shards.set(shard, [name]);
    else names.push(name);
  }
  return shards;
}

/** Parses JSON; a syntax error becomes a sentence that names the file. */
export function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(withoutMark(text)) as unknown;
  } catch (error) {
    throw new ModelFileError(`${path} is not valid JSON: ${error instanceof Error ? error.message : String(error)}.`);
  }
}

function readHeader(file: string, path: string): { header: Record<string, unknown>; dataStart: number; size: number } {
  const fd = openSync(file, "r");
  try {
    const size = fstatSync(fd).size;
    const start = Buffer.alloc(Math.min(size, 64));
    readSync(fd, start, 0, start.length, 0);
    if (start.toString("latin1").startsWith("version https://git-lfs")) {
      throw new ModelFileError(`${path} is a Git LFS pointer, not the weights: run "git lfs pull" in its folder, or download the file itself.`);
    }
    const length = size < 9 ? 0 : Number(start.readBigUInt64LE(0));
    // A header is a JSON object of at most 100 MB: anything else at byte 8 means another kind of file.
    if (size < 9 || length < 2 || length > MAX_HEADER || start[8] !== 0x7b) {
      throw new ModelFileError(`${path} is not a safetensors file: it does not begin with the length of a header and the header.`);
    }
    if (8 + length > size) {
      throw new ModelFileError(`${path} is cut off: its header alone ends at byte ${8 + length}, but the file has ${size} bytes. Download or copy it again.`);
    }
    const bytes = Buffer.alloc(length);
    readSync(fd, bytes, 0, length, 8);
    const header = parseJson(`The header of ${path}`, fileText(`The header of ${path}`, bytes));
    return { header: header as Record<string, unknown>, dataStart: 8 + length, size };
  } finally {
    closeSync(fd);
  }
}

function tensorInfo(path: string, name: string, value: unknown): { dtype: string; shape: number[]; begin: number; end: number } {
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
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
    throw new ModelFileError(`${where} of shape [${shape.join(", ")}] and type ${dtype} needs ${expected} bytes, but its offsets give ${end - begin}.`);
  }
  return { dtype, shape, begin, end };
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && (item as number) >= 0);
}
