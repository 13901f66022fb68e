import type { NodeName, Run } from "../model/types";
import { parseNode } from "../protocol";
import { checkHeight, checkIndex, checkTopK } from "../model/check";
import { Picture } from "./picture";
import type { PictureOptions } from "./picture";

export interface ExplorerOptions extends PictureOptions {
  /** Height of graph and detail in CSS pixels. Default: what fits into the window, about 70 % of it. */
  readonly height?: number;
  /** All tokens and layers of the graph in view, however small. Default false. */
  readonly fit?: boolean;
}

/**
 * The whole tool in one cell: graph, heads and neurons, top tokens, promoted and suppressed tokens, maps, followed
 * token.
 */
export class Explorer extends Picture {
  constructor(run: Run, options: ExplorerOptions = {}) {
    const { height, fit = false, ...rest } = options;
    checkHeight(height);
    super(run, "explorer", { ...rest, own: { height: height ?? 0, fit } });
  }
}

export interface TokenMatrixOptions extends PictureOptions {
  /** Layer to show. Default: that of the selection. */
  readonly layer?: number;
  /** Head to show with `layer`. Default: all heads together, their sum. */
  readonly head?: number;
  /** Attention and contribution on one colour scale. Default false: each its own. */
  readonly together?: boolean;
  /** All heads of the layer as small multiples. */
  readonly multiples?: boolean;
}

/** Attention map and contribution map of a head, side by side. */
export class TokenMatrix extends Picture {
  constructor(run: Run, options: TokenMatrixOptions = {}) {
    const { layer, head, together = false, multiples = false, ...rest } = options;
    if (layer !== undefined) checkIndex("layer", layer, run.model.info.nLayers);
    if (head !== undefined) checkIndex("head", head, run.model.info.nHeads);
    if (head !== undefined && layer === undefined)
      throw new RangeError("A head is named by its layer too: give layer and head.");
    super(run, "token-matrix", { ...rest, own: { layer: layer ?? -1, head: head ?? -1, together, multiples } });
  }
}

export interface TokenTableOptions extends PictureOptions {
  /** State to read, such as "I5_3". Default: the selected one. */
  readonly node?: NodeName;
  /** Default 30. */
  readonly topK?: number;
}

/** Top tokens of a state by the logit lens. */
export class TokenTable extends Picture {
  constructor(run: Run, options: TokenTableOptions = {}) {
    const { node = "", topK = 30, ...rest } = options;
    const place = node === "" ? undefined : parseNode(node);
    if (
      node !== "" &&
      (!place || place.kind === "M" || place.layer >= run.model.info.nLayers || place.position >= run.tokens.length)
    ) {
      throw new RangeError(
        `${node} is not a state of this run: layers are 0 to ${run.model.info.nLayers - 1}, positions 0 to ${run.tokens.length - 1}, names such as I5_3.`,
      );
    }
    checkTopK(topK);
    super(run, "token-table", { ...rest, own: { node, topK } });
  }
}

/** Contributions of all heads to the selected attention edge. */
export class HeadBars extends Picture {
  constructor(run: Run, options: PictureOptions & { readonly sorted?: boolean } = {}) {
    const { sorted = false, ...rest } = options;
    super(run, "head-bars", { ...rest, own: { sorted } });
  }
}

/** Top neurons of the selected feed-forward block. */
export class NeuronBars extends Picture {
  constructor(run: Run, options: PictureOptions & { readonly topK?: number } = {}) {
    const { topK = 20, ...rest } = options;
    checkTopK(topK);
    super(run, "neuron-bars", { ...rest, own: { topK } });
  }
}

/** The whole tool for one run: the last expression of a cell shows it. */
export const explorer = (run: Run, options?: ExplorerOptions): Explorer => new Explorer(run, options);
/** Attention map and contribution map, side by side. */
export const tokenMatrix = (run: Run, options?: TokenMatrixOptions): TokenMatrix => new TokenMatrix(run, options);
/** Top tokens of a state. */
export const tokenTable = (run: Run, options?: TokenTableOptions): TokenTable => new TokenTable(run, options);
/** Heads of the selected attention edge. */
export const headBars = (run: Run, options?: PictureOptions & { readonly sorted?: boolean }): HeadBars =>
  new HeadBars(run, options);
/** Neurons of the selected feed-forward block. */
export const neuronBars = (run: Run, options?: PictureOptions & { readonly topK?: number }): NeuronBars =>
  new NeuronBars(run, options);
