/**
 * GGUF files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): one file with metadata, vocabulary and
 * (quantised) tensors. The header is parsed by `@huggingface/gguf`; tensors stay in the file.
 */
import { gguf, GGMLQuantizationType } from "@huggingface/gguf";
import { existsSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import { STORED_TYPES } from "./dequantize";
import { ModelFileError, list } from "./errors";
import { outlineOfGguf } from "./gguf-limits";
import { GgufMetadata } from "./gguf-metadata";
import { partsOf } from "./gguf-parts";
import { exactStrings } from "./gguf-strings";
import type { WeightListing } from "./safetensors";
import type { WeightEntry, WeightType } from "./weights";

export interface GgufFile {
  readonly metadata: GgufMetadata;
  readonly listing: WeightListing;
}

/**
 * Reads the header of a GGUF file, and of the other parts of its model where that is split: any of them serves. `check`
 * sees the metadata before the tensors are looked at, so that what cannot be served is refused by its own name first.
 * Rejects with a `ModelFileError`.
 */
export async function readGguf(
  path: string,
  check: (metadata: GgufMetadata) => void = () => undefined,
): Promise<GgufFile> {
  const count = Number(outlineOfGguf(path).values.get("split.count") ?? 1);
  if (!(count > 1)) return readWhole(path, check);
  // The hub's cache has links under the files' own names; a link of another name leads to a part.
  const parts = partsOf(path) ?? partsOf(realpathSync(path));
  if (parts?.length !== count)
    throw new ModelFileError(
      `${path} is part of a model that is split into ${count} files, but its name does not say which: parts are called model-00001-of-${String(count).padStart(5, "0")}.gguf and so on.`,
    );
  const missing = parts.filter((part) => !existsSync(part));
  if (missing.length > 0)
    throw new ModelFileError(
      `${path} is part of a model that is split into ${count} files, of which ${list(missing.map((part) => basename(part)))} ${missing.length === 1 ? "is" : "are"} missing: put all of them into one folder.`,
    );
  for (const [i, part] of parts.entries()) {
    const { values } = outlineOfGguf(part);
    const [number, total] = [Number(values.get("split.no") ?? 0) + 1, Number(values.get("split.count") ?? 1)];
    if (number !== i + 1 || total !== count)
      throw new ModelFileError(
        `${part} says that it is part ${number} of ${total}, but its name part ${i + 1} of ${count}: the files are mixed up.`,
      );
  }
  const { metadata, listing } = await readWhole(parts[0], check);
  const listings = [listing];
  for (const part of parts.slice(1)) listings.push(await readFile(part));
  const entries = listings.flatMap((found) => found.entries);
  const names = new Set<string>();
  for (const { name, file } of entries) {
    if (names.has(name))
      throw new ModelFileError(`${file} has tensor "${name}", which another part of the model has too.`);
    names.add(name);
  }
  const expected = metadata.number("split.tensors.count", entries.length);
  if (entries.length !== expected)
    throw new ModelFileError(
      `The ${count} parts of ${parts[0]} have ${entries.length} tensors, but the model has ${expected}: they do not belong together.`,
    );
  return {
    metadata,
    listing: {
      entries,
      unserved: new Map(),
      longestAxis: Math.max(...listings.map((found) => found.longestAxis)),
    },
  };
}

/** The file that has the metadata. */
async function readWhole(path: string, check: (metadata: GgufMetadata) => void): Promise<GgufFile> {
  let metadata: GgufMetadata | undefined;
  const listing = await readFile(path, (values) => check((metadata = new GgufMetadata(path, values))));
  return { metadata: metadata!, listing };
}

/** The tensors of one file. */
async function readFile(
  path: string,
  check: (values: Record<string, unknown>) => void = () => undefined,
): Promise<WeightListing> {
  const { size, stamp, end } = outlineOfGguf(path);
  const file = realpathSync(path);
  const parsed = await gguf(file, { allowLocalFile: true }).catch((error: unknown) => {
    throw new ModelFileError(
      `${path} is cut off or damaged inside its header: ${error instanceof Error ? error.message : String(error)}.`,
    );
  });
  // The parser cuts or pads what does not lie in the piece that it has read.
  if (parsed.tensorInfoByteRange[1] !== end)
    throw new ModelFileError(
      `${path} is damaged: its header ends at byte ${end}, but reads as one that ends at ${parsed.tensorInfoByteRange[1]}.`,
    );
  if (!parsed.littleEndian)
    throw new ModelFileError(`${path} is a big-endian GGUF file; little-endian ones are supported.`);
  check({ ...(parsed.metadata as unknown as Record<string, unknown>), ...stringsOf(file, path) });

  const entries: WeightEntry[] = [];
  const unserved = new Map<string, string>();
  const names = new Set<string>();
  let longestAxis = 0;
  for (const { name, shape, dtype, offset } of parsed.tensorInfos) {
    if (names.has(name)) throw new ModelFileError(`${path} is damaged: it has two tensors "${name}".`);
    names.add(name);
    const type = GGMLQuantizationType[dtype] ?? `type ${dtype}`;
    const stored = STORED_TYPES.get(type as WeightType);
    if (stored === undefined) {
      unserved.set(name, type);
      continue;
    }
    const dims = shape.map(Number).reverse();
    const scalars = dims.reduce((product, dim) => product * dim, 1);
    if ((dims[dims.length - 1] ?? 1) % stored.block !== 0) {
      throw new ModelFileError(
        `${path} is damaged: rows of tensor "${name}" of shape [${dims.join(", ")}] are not made of whole ${type} blocks of ${stored.block}.`,
      );
    }
    const byteLength = (scalars / stored.block) * stored.bytes;
    const start = Number(parsed.tensorDataOffset + offset);
    if (!(start >= end))
      throw new ModelFileError(`${path} is damaged: tensor "${name}" begins at byte ${start}, inside the header.`);
    if (!(start + byteLength <= size)) throw cutOff(path, `tensor "${name}"`, start + byteLength, size);
    if (byteLength > 0) longestAxis = Math.max(longestAxis, ...dims);
    entries.push({ name, type: type as WeightType, dims, file, offset: start, byteLength, stamp });
  }
  if (unserved.size > 0) {
    // Unlike in safetensors files every tensor here is a weight: better refused at once than at the layer that needs
    // it.
    const [[name, type]] = unserved;
    throw new ModelFileError(
      `${path}: tensor "${name}" is stored as ${type}, which is not supported; ${list(STORED_TYPES.keys())} are.`,
    );
  }
  return { entries, unserved, longestAxis };
}

/** The header's texts; the parser does not keep them as they are. */
function stringsOf(file: string, path: string): Record<string, string | string[]> {
  try {
    return exactStrings(file);
  } catch (error) {
    throw new ModelFileError(
      `${path} is cut off or damaged inside its header: ${error instanceof Error ? error.message : String(error)}.`,
    );
  }
}

/** What most GGUF files call themselves; the file's name where they do not. */
export function ggufName(path: string, metadata: GgufMetadata): string {
  return metadata.string("general.name", basename(path, ".gguf"));
}

function cutOff(path: string, what: string, end: number, size: number): ModelFileError {
  return new ModelFileError(
    `${path} is cut off: ${what} ends at byte ${end}, but the file has ${size} bytes. Download or copy it again.`,
  );
}
