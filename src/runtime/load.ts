import { createEngine } from "../engine";
import { openModel } from "../model/open";
import type { LoadOptions, TransparentModel } from "../model/types";
import type { BaseModel } from "./base-model";
import type { ChangeableRun } from "./base-run";
import { LocalModel } from "./local-model";

/** What `loadModel` takes where it takes no name. */
export const DEFAULT_MODEL = "default";

/**
 * Layer tensors a pass keeps, so that questions about it need no layer to run again: all of GPT-2 small's at 256
 * tokens.
 */
const KEEP_BYTES = 256 << 20;

const sources = new WeakMap<object, string>();

/** What `loadModel` was given for a model, "" for nothing; undefined for one that it did not make. */
export const loadedFrom = (model: object): string | undefined => sources.get(model);

const METHODS = ["tokenize", "token", "run", "unembed", "neuronOutput", "dispose"] as const;

/**
 * Loads a model.
 *
 * @param source a hub id (`owner/name`, `owner/name@revision`), a folder in the hub's layout, a `.gguf` file, or an
 *   object that
 *   implements `TransparentModel`, which is returned as it is. Default: the small model that comes with the package
 * index.
 * @throws TypeError where an object lacks methods of the interface; ModelFileError where files are missing, damaged
 *   or of an
 *   architecture that is not known; RangeError for an unknown device or dtype.
 */
export function loadModel(source?: string, options?: LoadOptions): Promise<BaseModel<ChangeableRun>>;
export function loadModel<M extends TransparentModel>(source: M, options?: LoadOptions): Promise<M>;
export function loadModel(source?: string | TransparentModel, options?: LoadOptions): Promise<TransparentModel>;
export async function loadModel(
  source: string | TransparentModel = DEFAULT_MODEL,
  options: LoadOptions = {},
): Promise<TransparentModel> {
  options.signal?.throwIfAborted();
  if (typeof source === "object" && source !== null) {
    const missing = ["info", ...METHODS].filter((name) => !(name in source));
    if (missing.length > 0)
      throw new TypeError(
        `The object given as a model lacks ${missing.join(", ")}: see the interface TransparentModel.`,
      );
    return source;
  }
  if (typeof source !== "string" || source === "") {
    throw new TypeError(
      "A model is named by a hub id, a folder or a .gguf file, or is an object that implements TransparentModel.",
    );
  }
  const files = await openModel(source, options);
  try {
    const model = new LocalModel(files, await createEngine(files, { ...options, keepBytes: KEEP_BYTES }));
    sources.set(model, source === DEFAULT_MODEL ? "" : source);
    return model;
  } catch (error) {
    files.weights.close();
    throw error;
  }
}
