/**
 * Rotary position embedding: from a config's parameters to ready frequencies. The scalings are those of transformers
 * (modeling_rope_utils.py), computed in float64: linear (Chen et al. 2023, arXiv 2306.15595), dynamic NTK, llama3,
 * yarn (Peng et al. 2023, arXiv 2309.00071), longrope (Ding et al. 2024, arXiv 2402.13753).
 */
import type { Rotary } from "./architecture";
import { Config } from "./config";
import { ModelFileError, list } from "./errors";

export const ROPE_TYPES = ["default", "linear", "dynamic", "llama3", "yarn", "longrope"] as const;
export type RopeType = (typeof ROPE_TYPES)[number];

export interface RopeOptions {
  readonly headDim: number;
  readonly maxPositions: number;
  /** Context of pretraining, where neither config nor parameters say. Default `maxPositions`. */
  readonly originalPositions?: number;
  readonly pairing?: "half" | "interleaved";
  /** What `rope_theta` is where the config does not say. Default 10000. */
  readonly theta?: number;
  /** Which part of each head is rotated where the config does not say. Default 1. */
  readonly partial?: number;
  /** Which entry counts where parameters are given by layer type: "full_attention", "sliding_attention". */
  readonly layerType?: string;
  /** `[dims / 2]` divisors of the frequencies, as GGUF files carry them instead of a rope type. */
  readonly divisors?: Float32Array;
  /** The two lists of divisors of longrope, where a GGUF file carries them as tensors. */
  readonly longrope?: { readonly short: Float32Array; readonly long: Float32Array };
  /** Rope types that this family's older configs call differently: Phi-3's "su" is longrope. */
  readonly aliases?: Readonly<Record<string, RopeType>>;
}

/**
 * The parameters in the old style (`rope_scaling` beside `rope_theta`) or the new (`rope_parameters`); an empty object
 * counts as none.
 */
function section(config: Config): Config | undefined {
  return [config.section("rope_scaling"), config.section("rope_parameters")].find(
    (found) => found !== undefined && !found.isEmpty(),
  );
}

function parameters(config: Config, layerType: string | undefined): Config {
  const all = section(config) ?? new Config(config.origin, {});
  const nested = layerType === undefined ? undefined : all.section(layerType);
  return nested ?? all;
}

/** Refuses a rope type that is not served. Called before anything else is read. */
export function checkRopeType(config: Config, aliases?: RopeOptions["aliases"]): void {
  const all = section(config);
  for (const found of [all, all?.section("full_attention"), all?.section("sliding_attention")]) {
    if (found !== undefined) ropeType(found, aliases);
  }
}

function ropeType(p: Config, aliases: Readonly<Record<string, RopeType>> = {}): RopeType {
  const name = p.string("rope_type", p.string("type", "default"));
  const type = aliases[name] ?? name;
  if (!(ROPE_TYPES as readonly string[]).includes(type)) {
    throw new ModelFileError(`${p.origin}: rope type "${name}" is not supported; ${list(ROPE_TYPES)} are.`);
  }
  return type;
}

/** Longest prompt that the model was made for: dynamic scaling serves `factor` times the context of its config. */
export function contextLength(config: Config, maxPositions: number): number {
  const p = parameters(config, undefined);
  return p.raw("rope_type") === "dynamic" || p.raw("type") === "dynamic"
    ? Math.floor(maxPositions * p.number("factor"))
    : maxPositions;
}

/**
 * Rotary embedding as the config describes it, for a `headDim` that fits the weights: tables of its size are made.
 * Throws `ModelFileError`.
 */
export function rotary(config: Config, options: RopeOptions): Rotary {
  const described = describe(config, options);
  // Numbers that are none would be found as states that are not finite, and the weights be blamed.
  for (const nTokens of [1, options.maxPositions]) {
    if (!Number.isFinite(described.scale ?? 1) || !described.frequencies(nTokens).every(Number.isFinite)) {
      throw new ModelFileError(
        `${config.origin}: the settings of the rotary embedding (rope_theta and those of its scaling) give frequencies that are no finite numbers.`,
      );
    }
  }
  return described;
}

function describe(config: Config, options: RopeOptions): Rotary {
  const p = parameters(config, options.layerType);
  const type = ropeType(p, options.aliases);
  const theta = p.number("rope_theta", config.number("rope_theta", options.theta ?? 10000));
  const partial = p.number("partial_rotary_factor", config.number("partial_rotary_factor", options.partial ?? 1));
  // An odd number of rotated dimensions is rounded up to whole pairs.
  // (The tiny addend: a fraction that was made by a division must give the whole number that it was made of.)
  const dim = Math.trunc(options.headDim * partial + 1e-9);
  const half = Math.ceil(dim / 2);
  const common = { dims: 2 * half, pairing: options.pairing ?? "half" } as const;
  if (common.dims < 2 || common.dims > options.headDim) {
    throw new ModelFileError(`${config.origin}: ${dim} of ${options.headDim} dimensions of a head cannot be rotated.`);
  }
  const { divisors } = options;
  if (divisors !== undefined && divisors.length !== half) {
    throw new ModelFileError(
      `${config.origin}: ${divisors.length} divisors of rotary frequencies do not fit ${half} pairs of dimensions.`,
    );
  }
  const plain = frequencies(theta, dim);
  const fixed = (values: Float64Array, scale?: number): Rotary => {
    const all = divisors === undefined ? values : values.map((value, i) => value / divisors[i]);
    return scale === undefined || scale === 1
      ? { ...common, frequencies: () => all }
      : { ...common, frequencies: () => all, scale };
  };
  const original = (): number =>
    config.number(
      "original_max_position_embeddings",
      p.number("original_max_position_embeddings", options.originalPositions ?? options.maxPositions),
    );

  switch (type) {
    case "default":
      return fixed(plain);
    case "linear": {
      const factor = p.number("factor");
      return fixed(plain.map((value) => value / factor));
    }
    case "dynamic": {
      const factor = p.number("factor");
      // `options.maxPositions` is the extended context; the formula wants the one of pretraining.
      const max = config.count("max_position_embeddings", options.maxPositions);
      return {
        ...common,
        frequencies: (nTokens) => {
          const grown = (factor * Math.max(nTokens, max)) / max - (factor - 1);
          return frequencies(theta * grown ** (dim / (dim - 2)), dim);
        },
      };
    }
    case "llama3": {
      const factor = p.number("factor");
      const low = p.number("low_freq_factor");
      const high = p.number("high_freq_factor");
      const context = original();
      return fixed(
        plain.map((value) => {
          const turns = (context * value) / (2 * Math.PI);
          if (turns < low) return value / factor;
          if (turns > high) return value;
          const smooth = (turns - low) / (high - low);
          return ((1 - smooth) * value) / factor + smooth * value;
        }),
      );
    }
    case "yarn":
      // Of parameters by layer type transformers does not read `truncate`.
      return yarn(
        p,
        theta,
        dim,
        original(),
        options.maxPositions,
        options.layerType !== undefined || p.flag("truncate", true),
        fixed,
      );
    case "longrope": {
      const context = original();
      const factor = p.number("factor", options.maxPositions / context);
      const scale = p.number("attention_factor", factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(context)));
      const [short, long] = ["short_factor", "long_factor"].map((key) => {
        const values = options.longrope?.[key === "short_factor" ? "short" : "long"] ?? p.numbers(key);
        if (values.length !== half)
          throw new ModelFileError(`${p.origin}: "${key}" must have ${half} numbers, not ${values.length}.`);
        return plain.map((value, i) => value / values[i]);
      });
      return { ...common, frequencies: (nTokens) => (nTokens > context ? long : short), scale };
    }
  }
}

function yarn(
  p: Config,
  theta: number,
  dim: number,
  context: number,
  maxPositions: number,
  truncate: boolean,
  fixed: (values: Float64Array, scale?: number) => Rotary,
): Rotary {
  const factor = p.number("factor", maxPositions / context);
  const mscale = (weight: number): number => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  const [m, all] = [p.number("mscale", 0), p.number("mscale_all_dim", 0)];
  const scale = p.number("attention_factor", m !== 0 && all !== 0 ? mscale(m) / mscale(all) : mscale(1));
  // The dimension whose wave turns `rotations` times within the original context.
  const dimension = (rotations: number): number =>
    (dim * Math.log(context / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  // 0 counts as missing, as in transformers.
  let low = dimension(p.number("beta_fast", 0) || 32);
  let high = dimension(p.number("beta_slow", 0) || 1);
  if (truncate) {
    low = Math.floor(low);
    high = Math.ceil(high);
  }
  low = Math.max(low, 0);
  high = Math.min(high, dim - 1);
  if (low === high) high += 0.001;
  return fixed(
    frequencies(theta, dim).map((value, i) => {
      const interpolated = Math.min(1, Math.max(0, (i - low) / (high - low)));
      return (value / factor) * interpolated + value * (1 - interpolated);
    }),
    scale,
  );
}

/** [ceil(dim / 2)]: theta^(-2i/dim). */
function frequencies(theta: number, dim: number): Float64Array {
  return Float64Array.from({ length: Math.ceil(dim / 2) }, (_, i) => theta ** ((-2 * i) / dim));
}
