import type { Linear, LinearLayout, Norm, WeightRef } from "./architecture";
import { ModelFileError } from "./errors";
import type { WeightListing } from "./safetensors";
import { createWeightSource } from "./weight-source";
import type { WeightEntry } from "./weights";

/**
 * Hub stem → GGUF stem, `{}` standing for the layer's number: `["model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"]`.
 */
export type NameTable = readonly (readonly [hub: string, gguf: string])[];

export interface WeightMapOptions {
  /** Where the weights were read, for messages. */
  readonly origin: string;
  /** Given for GGUF files. */
  readonly gguf?: { readonly names: NameTable; readonly permuted: boolean };
  /**
   * Other beginnings of names that checkpoints have: `["model.", ""]` for those saved without their head,
   * `["", "language_model."]` for those inside a larger model.
   */
  readonly prefixes?: readonly (readonly [hub: string, stored: string])[];
}

/** Values of a vector that is read with the description: half of a head's width. */
const MAX_VALUES = 1 << 16;

interface BiasOption {
  /** Whether the config says that there is one; then it must be there. In GGUF files what is there decides. */
  readonly bias?: boolean;
}

/**
 * The tensors of a model under the hub's names of its family, whatever file they lie in. Each is checked to be there
 * and to have the shape that the config gives it.
 */
export class WeightMap {
  /** True for GGUF files: linear layers lie [out, in] there whatever the hub does. */
  readonly gguf: boolean;
  readonly #entries: ReadonlyMap<string, WeightEntry>;
  readonly #used = new Set<string>();

  constructor(
    private readonly listing: WeightListing,
    private readonly options: WeightMapOptions,
  ) {
    this.#entries = new Map(listing.entries.map((entry) => [entry.name, entry]));
    this.gguf = options.gguf !== undefined;
  }

  /**
   * Refuses sizes that no file of these weights can have, before anything is made of them: each is an axis of some
   * tensor, or a part of one, and each layer has a tensor of its own.
   */
  checkSizes(
    origin: string,
    sizes: {
      readonly nLayers: number;
      readonly nHeads: number;
      readonly nKeyValueHeads: number;
      readonly dModel: number;
      readonly dHead: number;
      readonly dFfn: number;
      readonly dVocab: number;
      readonly maxPositions: number;
    },
  ): void {
    const { nLayers, nHeads, nKeyValueHeads, dModel, dHead, dFfn, dVocab, maxPositions } = sizes;
    const { entries, unserved, longestAxis } = this.listing;
    const tensors = entries.length + unserved.size;
    if (nLayers > tensors)
      throw new ModelFileError(
        `${origin}: ${nLayers} layers are more than the weights can hold, which have ${tensors} tensors.`,
      );
    const axes: readonly (readonly [what: string, size: number])[] = [
      ["a width of", dModel],
      ["query heads with a total width of", nHeads * dHead],
      ["key/value heads with a total width of", nKeyValueHeads * dHead],
      ["a feed-forward width of", dFfn],
      ["a vocabulary of", dVocab],
    ];
    for (const [what, size] of axes) {
      if (!(size <= longestAxis))
        throw new ModelFileError(
          `${origin}: ${what} ${size} is more than the weights can hold: no axis of a tensor is longer than ${longestAxis}.`,
        );
    }
    if (!Number.isSafeInteger(maxPositions) || maxPositions < 1)
      throw new ModelFileError(`${origin}: a context of ${maxPositions} tokens is none that a model can have.`);
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  tensor(name: string, dims: readonly number[]): WeightRef {
    const entry = this.#find(name);
    if (entry === undefined) throw this.#missing(name);
    const same = entry.dims.length === dims.length && entry.dims.every((dim, i) => dim === dims[i]);
    // Vectors come as [1, n] or [n, 1] in a few checkpoints: the same numbers in the same order.
    const vector =
      entry.dims.filter((dim) => dim !== 1).join() === dims.filter((dim) => dim !== 1).join() && dims.length === 1;
    if (!same && !vector) {
      throw new ModelFileError(
        `${this.options.origin}: tensor "${entry.name}" has shape [${entry.dims.join(", ")}], but the config asks for [${dims.join(", ")}].`,
      );
    }
    this.#used.add(entry.name);
    return { name: entry.name };
  }

  /**
   * `stem.weight` and `stem.bias` of a linear layer with `inputs` → `outputs`. `rotaryHeads`: its rows are heads that
   * llama.cpp's converter may have permuted.
   */
  linear(
    stem: string,
    outputs: number,
    inputs: number,
    options: BiasOption & { readonly layout?: LinearLayout; readonly rotaryHeads?: number } = {},
  ): Linear {
    const layout = this.gguf ? "out-in" : (options.layout ?? "out-in");
    const unpermuteHeads =
      options.rotaryHeads !== undefined && this.options.gguf?.permuted ? options.rotaryHeads : undefined;
    const order = (ref: WeightRef): WeightRef => (unpermuteHeads === undefined ? ref : { ...ref, unpermuteHeads });
    const weight = order(this.tensor(`${stem}.weight`, layout === "out-in" ? [outputs, inputs] : [inputs, outputs]));
    return this.#wants(`${stem}.bias`, options.bias ?? false)
      ? { weight, bias: order(this.tensor(`${stem}.bias`, [outputs])), layout }
      : { weight, layout };
  }

  /** LayerNorm with weight and (unless `bias: false`) bias. `unitOffset` as in `rmsNorm` (Nemotron). */
  layerNorm(
    stem: string,
    size: number,
    epsilon: number,
    options: BiasOption & { readonly unitOffset?: boolean } = {},
  ): Norm {
    const weight = this.tensor(`${stem}.weight`, [size]);
    const bias = this.#wants(`${stem}.bias`, options.bias ?? true) && this.tensor(`${stem}.bias`, [size]);
    return {
      kind: "layernorm",
      epsilon,
      weight,
      ...(bias && { bias }),
      ...(options.unitOffset && !this.gguf && { unitOffset: true }),
    };
  }

  /** The norm of each head, `stem.{h}.weight` [size] one below the other; in GGUF files they lie in one tensor. */
  headNorms(stem: string, heads: number, size: number, epsilon: number): Norm {
    if (this.gguf) return { kind: "layernorm", epsilon, weight: this.tensor(`${stem}.weight`, [heads, size]) };
    const [first, ...rest] = Array.from(
      { length: heads },
      (_, head) => this.tensor(`${stem}.norms.${head}.weight`, [size]).name,
    );
    return { kind: "layernorm", epsilon, weight: { name: first, stack: rest } };
  }

  /** RMSNorm. `unitOffset`: the hub stores weight − 1 (Gemma); llama.cpp's converter has added the 1. */
  rmsNorm(stem: string, size: number, epsilon: number, options: { readonly unitOffset?: boolean } = {}): Norm {
    const weight = this.tensor(`${stem}.weight`, [size]);
    return options.unitOffset && !this.gguf
      ? { kind: "rmsnorm", epsilon, weight, unitOffset: true }
      : { kind: "rmsnorm", epsilon, weight };
  }

  /** The output matrix [V, d]: `stem` where the file has it, else the embedding where the config ties them. */
  unembedding(
    stem: string,
    embedding: WeightRef,
    vocabulary: number,
    width: number,
    tied: boolean,
    options: BiasOption = {},
  ): Linear {
    // In GGUF files a missing output matrix is what says that they are tied.
    if (this.has(`${stem}.weight`) || !(tied || this.gguf)) return this.linear(stem, vocabulary, width, options);
    if (!this.#wants(`${stem}.bias`, options.bias ?? false)) return { weight: embedding, layout: "out-in" };
    return { weight: embedding, bias: this.tensor(`${stem}.bias`, [vocabulary]), layout: "out-in" };
  }

  /** The values of a small vector, now. */
  values(name: string): Float32Array {
    const entry = this.#find(name);
    if (entry === undefined) throw this.#missing(name);
    const scalars = entry.dims.reduce((product, dim) => product * dim, 1);
    if (scalars > MAX_VALUES)
      throw new ModelFileError(
        `${this.options.origin}: tensor "${entry.name}" has ${scalars} values; at most ${MAX_VALUES} are expected of it.`,
      );
    const source = createWeightSource([entry]);
    try {
      return source.read({ name: entry.name }).data;
    } finally {
      source.close();
    }
  }

  /** Entries that the architecture refers to, and how many scalars they are. */
  summary(): { readonly entries: WeightEntry[]; readonly scalars: number } {
    const entries = [...this.#used].map((name) => this.#entries.get(name)).filter((entry) => entry !== undefined);
    return {
      entries,
      scalars: entries.reduce((sum, entry) => sum + entry.dims.reduce((product, dim) => product * dim, 1), 0),
    };
  }

  #wants(name: string, bias: boolean): boolean {
    return this.gguf ? this.has(name) : bias;
  }

  #find(name: string): WeightEntry | undefined {
    for (const candidate of this.#candidates(name)) {
      const entry = this.#entries.get(candidate);
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  /** Names in the file that may stand for a hub name, best first. */
  #candidates(name: string): string[] {
    if (this.options.gguf !== undefined) return [translate(name, this.options.gguf.names)];
    const others = (this.options.prefixes ?? []).filter(([hub]) => name.startsWith(hub));
    return [name, ...others.map(([hub, stored]) => stored + name.slice(hub.length))];
  }

  #missing(name: string): ModelFileError {
    const candidates = this.#candidates(name);
    for (const candidate of candidates) {
      const type = this.listing.unserved.get(candidate);
      if (type !== undefined) {
        return new ModelFileError(
          `${this.options.origin}: tensor "${candidate}" is stored as ${type}, which is not supported; float32, float16 and bfloat16 safetensors are, and GGUF files for quantised weights.`,
        );
      }
    }
    for (const candidate of candidates) {
      const sentence = this.listing.absent?.get(candidate);
      if (sentence !== undefined) return new ModelFileError(sentence);
    }
    return new ModelFileError(`${this.options.origin} has no tensor "${candidates[0]}", which its config asks for.`);
  }
}

/** The GGUF name of a hub name; a hub name that the table lacks stays, and is then reported as missing. */
function translate(name: string, table: NameTable): string {
  const dot = name.lastIndexOf(".");
  const stem = name.slice(0, dot);
  for (const [hub, gguf] of table) {
    const [before, after] = hub.split("{}");
    if (after === undefined) {
      if (stem === hub) return gguf + name.slice(dot);
    } else if (stem.startsWith(before) && stem.endsWith(after)) {
      const layer = stem.slice(before.length, stem.length - after.length);
      if (/^\d+$/.test(layer)) return gguf.replace("{}", layer) + name.slice(dot);
    }
  }
  return name;
}
