import type { Architecture } from "../architecture";
import type { Config } from "../config";
import type { GgufMetadata } from "../gguf-metadata";
import type { RopeType } from "../rope";
import type { NameTable, WeightMap } from "../weight-map";

/**
 * One model family: the one place that knows how its config and its weight names map to the shared description.
 * How to add one: docs/adding-a-family.md.
 */
export interface Family {
  /** As in `ModelInfo.family`. */
  readonly name: string;
  /** `model_type` of the configs that it reads. */
  readonly modelTypes: readonly string[];
  /** Other beginnings of weight names in checkpoints: see `WeightMapOptions.prefixes`. */
  readonly prefixes?: readonly (readonly [hub: string, stored: string])[];
  /** Rope types that its configs call by other names. */
  readonly ropeAliases?: Readonly<Record<string, RopeType>>;
  /**
   * Keys of its configs that name an activation function, beside hidden_act, hidden_activation and activation_function.
   */
  readonly activationKeys?: readonly string[];
  /** Refuses what cannot be served, by name, from the config alone: called before any weight file is opened. */
  readonly check?: (config: Config) => void;
  readonly describe: (config: Config, weights: WeightMap) => Architecture;
  /** How GGUF files carry the family; left out where none are published. */
  readonly gguf?: readonly GgufMapping[];
}

/** The tensors of a GGUF file by name. */
export type GgufTensors = ReadonlyMap<string, { readonly dims: readonly number[] }>;

export interface GgufMapping {
  /** `general.architecture` */
  readonly architecture: string;
  /** The hub's config of the file, as far as `describe` reads it. */
  readonly config: (metadata: GgufMetadata, tensors: GgufTensors) => Record<string, unknown>;
  readonly names: NameTable;
  /** llama.cpp's converter permuted the rows of query and key. */
  readonly permuted?: boolean;
}
