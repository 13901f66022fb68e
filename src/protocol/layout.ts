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
  /** Size of the grid without labels: `nTokens * columnWidth` by the bands and the embedding row. */
  readonly width: number;
  readonly height: number;
  readonly columnWidth: number;
  readonly nodeRadius: number;
  readonly ffnSize: number;
  readonly bands: readonly Band[];
  x(position: number): number;
  /** Centre of a node. */
  point(place: NodePlace): Point;
  /** Path of an edge (SVG path data). A token's attention to itself bows to the left of its residual edge. */
  path(source: NodePlace, target: NodePlace, kind: string): string;
  /** The state nearest to a point, or the FFN where the point lies in its square. */
  nearest(point: Point): NodePlace | undefined;
}

/** Kinds of states in a layer, bottom to top. */
export function stateKinds(parallelBlocks: boolean): readonly NodeKind[] {
  return parallelBlocks ? ["I"] : ["A", "I"];
}

export function flowLayout(options: FlowLayoutOptions): FlowLayout {
  const { nTokens, nLayers, parallelBlocks, columnWidth, layerHeight, collapsed } = options;
  const embeddingHeight = Math.min(28, layerHeight);
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

  const x = (position: number): number => (position + 0.5) * columnWidth;
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

  const nearest = (at: Point): NodePlace | undefined => {
    const position = Math.floor(at.x / columnWidth);
    if (position < 0 || position >= nTokens || at.y < 0 || at.y > height) return undefined;
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

  return { width: nTokens * columnWidth, height, columnWidth, nodeRadius, ffnSize, bands, x, point, path, nearest };
}

/** Height of a layer that keeps the whole stack within reach of a glance. */
export function comfortableLayerHeight(nLayers: number): number {
  return Math.max(14, Math.min(46, 620 / Math.max(1, nLayers)));
}

/** Nodes of an edge, or undefined where a name is not a node of this grid. */
export function edgeEnds(source: string, target: string): readonly [NodePlace, NodePlace] | undefined {
  const a = parseNode(source);
  const b = parseNode(target);
  return a && b ? [a, b] : undefined;
}
