import type { Run } from "../model/types";
import { Picture } from "./picture";
import type { PictureOptions } from "./picture";

/** The top token of every state of a run, layers by tokens, by the logit lens. */
export class LensGrid extends Picture {
  constructor(run: Run, options: PictureOptions = {}) {
    super(run, "lens-grid", options);
  }
}

/** What every state of a run would predict, as one picture. */
export function lensGrid(run: Run, options?: PictureOptions): LensGrid {
  return new LensGrid(run, options);
}
