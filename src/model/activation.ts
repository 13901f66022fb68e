import type { Activation } from "./architecture";
import type { Config } from "./config";
import { ModelFileError, list } from "./errors";

/** transformers' names of activation functions (ACT2FN) → ours. */
const NAMES: ReadonlyMap<string, Activation> = new Map<string, Activation>([
  ["gelu", "gelu"],
  ["gelu_python", "gelu"],
  ["gelu_new", "gelu_tanh"],
  ["gelu_fast", "gelu_tanh"],
  ["gelu_pytorch_tanh", "gelu_tanh"],
  ["gelu_accurate", "gelu_tanh"],
  ["gelu_python_tanh", "gelu_tanh"],
  ["quick_gelu", "quick_gelu"],
  ["relu", "relu"],
  ["relu2", "relu2"],
  ["silu", "silu"],
  ["swish", "silu"],
]);

/** The activation function under the first of `keys` that the config has. Throws `ModelFileError`. */
export function activation(config: Config, keys: readonly string[], fallback: string): Activation {
  const key = keys.find((candidate) => config.has(candidate));
  const name = key === undefined ? fallback : config.string(key);
  const found = NAMES.get(name);
  if (found === undefined) {
    throw new ModelFileError(
      `${config.origin}: activation function "${name}" is not supported; ${list(NAMES.keys())} are.`,
    );
  }
  return found;
}
