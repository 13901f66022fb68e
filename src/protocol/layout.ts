import type { NodeKind, NodePlace } from "../model/names";
import { parseNode } from "../model/names";

/**
 * Where everything of a flow graph lies, in pixels, for whoever draws it: SVG or canvas in the browser, the static
 * picture in the kernel. One column a token, one band a layer; layers upward. Nothing here depends on the routes.
 */

export interface FlowLayoutOptions {
  readonly nTokens: number;
  readonly nLayers: number;
  /** No states after attention (blocks in parallel). */
  readonly parallelBlocks: boolean;
  readonly columnWidth: number;
  readonly layerHeight: number;
  /** Layers drawn at `COLLAPSED` of their height. */
  readonly collapsed?: ReadonlySet<number>;
  /** Runs of tokens that share one column, in order and apart from each other; see `foldsOf`. */
  readonly folds?: readonly Fold[];
}

/** Tokens `from` to `to` − 1, drawn as one column without states. */
export interface Fold {
  readonly from: number;
  readonly to: number;
}

/** Prompts of more tokens are drawn with folds. */
export const FOLD_ABOVE = 30;

/** Fewer tokens than this in a row are not folded: the column of the fold would take as much room. */
const SHORTEST_FOLD = 3;

/**
 * The tokens that need not be seen, as runs of at least three.
 *
 * @param keep positions that are drawn; the first token of a run that was opened belongs to them with all of its run
 */
export function foldsOf(nTokens: number, keep: ReadonlySet<number>): Fold[] {
  const folds: Fold[] = [];
  for (let from = 0; from < nTokens; from++) {
    let to = from;
    while (to < nTokens && !keep.has(to)) to++;
    if (to - from >= SHORTEST_FOLD) folds.push({ from, to });
    from = to;
  }
  return folds;
}

/** How many columns are drawn for so many tokens with these folds. */
export function columnCount(nTokens: number, folds: readonly Fold[]): number {
  return folds.reduce((columns, { from, to }) => columns - (to - from) + 1, nTokens);
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Band {
  readonly layer: number;
  readonly y: number;
  readonly height: number;
}

/** Share of a layer's height that is left when it is collapsed. */
export const COLLAPSED = 0.34;

export interface FlowLayout {
  /** Size of the grid without labels: its columns, a fold being one, by the bands and the embedding row. */
  readonly width: number;
  readonly height: number;
  readonly columnWidth: number;
  readonly nodeRadius: number;
  readonly ffnSize: number;
  readonly bands: readonly Band[];
  readonly folds: readonly Fold[];
  /** Centre of a token's column, of its fold's where it is folded. */
  x(position: number): number;
  /** Whether a token is in a fold. */
  folded(position: number): boolean;
  /** Centre of a node. */
  point(place: NodePlace): Point;
  /** Path of an edge (SVG path data). A token's attention to itself bows to the left of its residual edge. */
  path(source: NodePlace, target: NodePlace, kind: string): string;
  /** Short rays into a state from the left (SVG path data): what came from many keys, none of which is an edge. */
  fan(place: NodePlace): string;
  /** The state nearest to a point, or the FFN where the point lies in its square. */
  nearest(point: Point): NodePlace | undefined;
}

/** Kinds of states in a layer, bottom to top. */
export function stateKinds(parallelBlocks: boolean): readonly NodeKind[] {
  return parallelBlocks ? ["I"] : ["A", "I"];
}

export function flowLayout(options: FlowLayoutOptions): FlowLayout {
  const { nTokens, nLayers, parallelBlocks, columnWidth, layerHeight, collapsed, folds = [] } = options;
  const columns = new Int32Array(nTokens);
  const positions: number[] = [];
  const hidden = new Uint8Array(nTokens);
  for (const { from, to } of folds) hidden.fill(1, from, to);
  for (let position = 0; position < nTokens; position++) {
    const inside = hidden[position] === 1 && position > 0 && hidden[position - 1] === 1;
    // Two folds never touch: a token between them is drawn.
    if (!inside) positions.push(position);
    columns[position] = positions.length - 1;
  }
  const embeddingHeight = Math.max(14, Math.min(28, layerHeight));
  const heights = Array.from({ length: nLayers }, (_, layer) => layerHeight * (collapsed?.has(layer) ? COLLAPSED : 1));
  const height = heights.reduce((sum, h) => sum + h, embeddingHeight);
  const bands: Band[] = [];
  let bottom = height - embeddingHeight;
  for (let layer = 0; layer < nLayers; layer++) {
    bands.push({ layer, y: bottom - heights[layer], height: heights[layer] });
    bottom -= heights[layer];
  }
  const nodeRadius = Math.max(1.5, Math.min(4.5, layerHeight * 0.13, columnWidth * 0.14));
  const ffnSize = Math.max(2.5, Math.min(8, layerHeight * 0.24, columnWidth * 0.22));
  const ffnOffset = Math.min(columnWidth * 0.3, Math.max(layerHeight * 0.42, nodeRadius * 3));

  const x = (position: number): number => ((columns[position] ?? position) + 0.5) * columnWidth;
  const folded = (position: number): boolean => hidden[position] === 1;
  const y = (kind: NodeKind, layer: number): number => {
    if (kind === "X") return height - embeddingHeight * 0.5;
    const band = bands[layer];
    const share = kind === "I" ? 0.8 : kind === "M" ? (parallelBlocks ? 0.4 : 0.55) : 0.3;
    return band.y + band.height * (1 - share);
  };
  const point = (place: NodePlace): Point => ({
    x: x(place.position) + (place.kind === "M" ? ffnOffset : 0),
    y: y(place.kind, place.layer),
  });

  const path = (source: NodePlace, target: NodePlace, kind: string): string => {
    const a = point(source);
    const b = point(target);
    const round = (n: number): string => String(Math.round(n * 10) / 10);
    if (kind === "attention" && source.position === target.position) {
      const bow = Math.min(columnWidth * 0.32, Math.max(7, Math.abs(b.y - a.y) * 0.7));
      return `M${round(a.x)},${round(a.y)}C${round(a.x - bow)},${round(a.y)} ${round(b.x - bow)},${round(b.y)} ${round(b.x)},${round(b.y)}`;
    }
    if (kind === "ffn-in")
      return `M${round(a.x)},${round(a.y)}Q${round(b.x)},${round(a.y)} ${round(b.x)},${round(b.y)}`;
    if (kind === "ffn-out")
      return `M${round(a.x)},${round(a.y)}Q${round(a.x)},${round(b.y)} ${round(b.x)},${round(b.y)}`;
    return `M${round(a.x)},${round(a.y)}L${round(b.x)},${round(b.y)}`;
  };

  const fan = (place: NodePlace): string => {
    const { x, y } = point(place);
    const [near, far] = [x - nodeRadius - 0.5, x - nodeRadius - Math.min(9, columnWidth * 0.16)];
    const rise = Math.max(1.5, Math.min(4, layerHeight * 0.1));
    const round = (n: number): string => String(Math.round(n * 10) / 10);
    return [-1, 0, 1].map((side) => `M${round(far)},${round(y + rise * side)}L${round(near)},${round(y)}`).join("");
  };

  const nearest = (at: Point): NodePlace | undefined => {
    const position = positions[Math.floor(at.x / columnWidth)];
    if (position === undefined || folded(position) || at.y < 0 || at.y > height) return undefined;
    const band = bands.find((b) => at.y >= b.y && at.y < b.y + b.height);
    if (!band) return { kind: "X", layer: -1, position };
    const candidates: NodePlace[] = [...stateKinds(parallelBlocks), "M" as const].map((kind) => ({
      kind,
      layer: band.layer,
      position,
    }));
    const distance = (place: NodePlace): number => Math.hypot(point(place).x - at.x, point(place).y - at.y);
    return candidates.reduce((best, place) => (distance(place) < distance(best) ? place : best));
  };

  return {
    width: positions.length * columnWidth,
    height,
    columnWidth,
    nodeRadius,
    ffnSize,
    bands,
    folds,
    x,
    folded,
    point,
    path,
    fan,
    nearest,
  };
}

/** Below this many pixels a layer's two states cannot be told apart any more. */
export const LEAST_LAYER = 11;

/** Height of a layer with which the whole stack, and the row of embeddings below it, fits into `room` pixels. */
export function fittingLayerHeight(nLayers: number, room: number, least = LEAST_LAYER): number {
  return Math.max(least, Math.min(46, room / (Math.max(1, nLayers) + 1)));
}

/** Nodes of an edge, or undefined where a name is not a node of this grid. */
export function edgeEnds(source: string, target: string): readonly [NodePlace, NodePlace] | undefined {
  const a = parseNode(source);
  const b = parseNode(target);
  return a && b ? [a, b] : undefined;
}
