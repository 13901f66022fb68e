import type { Run } from "../model/types";
import { checkOneOf } from "../model/check";
import { Picture } from "./picture";
import type { PictureOptions } from "./picture";

export interface FlowGraphOptions extends PictureOptions {
  /** Position whose routes are drawn first. Default: the last token. */
  readonly from?: number;
  /** Default 0.04. */
  readonly threshold?: number;
  /** Default true. */
  readonly renormalize?: boolean;
  /**
   * What colours attention edges: "contribution" (default), the "head" that contributes most, or that head's "label":
   * what it attends to.
   */
  readonly colorBy?: "contribution" | "head" | "label";
  /** Draw layers flat through which nothing but the residual stream passes. Default false. */
  readonly compact?: boolean;
  /**
   * Show what was clicked beside the graph. Default true; without it the graph stands alone, for pictures of your own
   * to follow.
   */
  readonly detail?: boolean;
}

/** The information flow routes of a run as an interactive graph. */
export class FlowGraph extends Picture {
  constructor(run: Run, options: FlowGraphOptions = {}) {
    const { from, threshold, renormalize, detail = true, colorBy = "contribution", compact = false, ...rest } = options;
    checkOneOf("colorBy", colorBy, ["contribution", "head", "label"]);
    const given = Object.fromEntries(
      Object.entries({ start: from, threshold, renormalize }).filter(([, value]) => value !== undefined),
    );
    super(run, "flow-graph", {
      ...rest,
      ...(rest.selection || Object.keys(given).length ? { selection: { ...rest.selection, ...given } } : {}),
      own: { detail, colorBy, compact },
    });
  }
}

/** The information flow graph of a run: the last expression of a cell shows it. */
export function flowGraph(run: Run, options?: FlowGraphOptions): FlowGraph {
  return new FlowGraph(run, options);
}
