/** `loadModel` as cells have it: whoever waits for a download sees how far it is. */
import { ProgressBar } from "../jupyter/ipywidgets/progress";
import type { LoadOptions, Progress, TransparentModel } from "../model/types";
import { commHost } from "../jupyter/comm-host";
import type { BaseModel } from "../runtime/base-model";
import type { ChangeableRun } from "../runtime/base-run";
import { loadModel as load } from "../runtime/load";

/** A download that is over sooner leaves nothing below the cell. */
const WORTH_MS = 300;

/**
 * Loads a model.
 *
 * @param source a hub id (`owner/name`, `owner/name@revision`), a folder in the hub's layout, a `.gguf` file, or an
 *   object that
 *   implements `TransparentModel`, which is returned as it is. Default: the small model that comes with the package
 * index.
 * @param options In a notebook, without `onProgress`, a download shows a progress bar below the cell.
 * @throws TypeError where an object lacks methods of the interface; ModelFileError where files are missing, damaged
 *   or of an
 *   architecture that is not known; RangeError for an unknown device or dtype.
 */
export function loadModel(source?: string, options?: LoadOptions): Promise<BaseModel<ChangeableRun>>;
export function loadModel<M extends TransparentModel>(source: M, options?: LoadOptions): Promise<M>;
export function loadModel(source?: string | TransparentModel, options?: LoadOptions): Promise<TransparentModel>;
export async function loadModel(
  source?: string | TransparentModel,
  options: LoadOptions = {},
): Promise<TransparentModel> {
  if (options.onProgress !== undefined || !commHost().live) return load(source, options);
  let bar: ProgressBar | undefined;
  const onProgress = ({ stage, done, total, unit }: Progress): void => {
    if (stage.startsWith("downloading"))
      (bar ??= new ProgressBar({ description: stage, unit }, { after: WORTH_MS, leave: "text" })).update(done, total);
    else bar?.close();
  };
  try {
    const model = await load(source, { ...options, onProgress });
    bar?.close();
    return model;
  } catch (error) {
    bar?.close(true);
    throw error;
  }
}
