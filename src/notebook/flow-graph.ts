import type { EdgeBudget, RelevanceBudget, Run } from "../model/types";
import { checkHeight, checkOneOf } from "../model/check";
import { Picture } from "./picture";
import type { PictureOptions } from "./picture";

export interface FlowGraphOptions extends PictureOptions {
  /** Position whose routes are drawn first. Default: the last token. */
  readonly from?: number;
  /** Default 0.04. */
  readonly threshold?: number;
  /**
   * Draw the parts of which most reaches the start instead of those that pass a local threshold: so many edges, or what
   * carries this share of the start (`RouteOptions.select`).
   */
  readonly budget?: RelevanceBudget | EdgeBudget;
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
   * Whether runs of tokens off the routes share a column: "always", "never", or "auto" (default): above 30 tokens. A
   * click opens a fold.
   */
  readonly fold?: "auto" | "always" | "never";
  /**
   * Leave out attention from later tokens to the first one, which often takes what heads have no other use for, and say
   * how much that is. Numbers and files keep it. Default false.
   */
  readonly hideSinks?: boolean;
  /** Height of the graph in CSS pixels. Default: what fits into the window, about 70 % of it. */
  readonly height?: number;
  /** All tokens and layers in view, however small. Default false: columns that can be read, and a scroll bar. */
  readonly fit?: boolean;
  /**
   * Show what was clicked beside the graph. Default true; without it the graph stands alone, for pictures of your own
   * to follow.
   */
  readonly detail?: boolean;
}

/** The information flow routes of a run as an interactive graph. */
export class FlowGraph extends Picture {
  constructor(run: Run, options: FlowGraphOptions = {}) {
    const {
      from,
      threshold,
      budget,
      renormalize,
      detail = true,
      colorBy = "contribution",
      compact = false,
      ...others
    } = options;
    const { fold = "auto", height, fit = false, hideSinks = false, ...rest } = others;
    checkOneOf("fold", fold, ["auto", "always", "never"]);
    checkHeight(height);
    checkOneOf("colorBy", colorBy, ["contribution", "head", "label"]);
    const given = Object.fromEntries(
      Object.entries({ start: from, threshold, budget, renormalize }).filter(([, value]) => value !== undefined),
    );
    super(run, "flow-graph", {
      ...rest,
      ...(rest.selection || Object.keys(given).length ? { selection: { ...rest.selection, ...given } } : {}),
      own: { detail, colorBy, compact, fold, height: height ?? 0, fit, hideSinks },
    });
  }
}

/** The information flow graph of a run: the last expression of a cell shows it. */
export function flowGraph(run: Run, options?: FlowGraphOptions): FlowGraph {
  return new FlowGraph(run, options);
}
