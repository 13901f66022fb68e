import { isNodeName } from "../../../src/protocol";
import type { ZoomTransform } from "d3-zoom";
import type { DrawnEdge, DrawnRoutes } from "../../core/routes";
import type { Plot } from "./geometry";
import type { Mark } from "./marks";
import { edgeMark, placeName } from "./marks";

/** The start token on whose triangle or label an event happened; undefined where it is neither. */
export function startAt(event: Event): number | undefined {
  const target = event.composedPath()[0];
  const start = target instanceof SVGElement ? (target.dataset.start ?? target.dataset.token) : undefined;
  return start === undefined ? undefined : Number(start);
}

/** First token of the fold on whose column or label an event happened; undefined where it is none. */
export function foldAt(
  event: Event,
  { x: left }: { readonly x: number },
  plot: Plot | undefined,
  { x, k }: ZoomTransform,
): number | undefined {
  const target = event.composedPath()[0];
  const fold = target instanceof SVGElement ? target.dataset.fold : undefined;
  if (fold !== undefined) return Number(fold);
  // On a canvas the columns are no elements.
  if (!plot || !(target instanceof SVGSVGElement)) return undefined;
  const at = (left - plot.margin.left - x) / k;
  const { layout } = plot;
  return layout.folds.find(({ from }) => Math.abs(layout.x(from) - at) < layout.columnWidth * 0.23)?.from;
}

/**
 * What of the SVG lies under the pointer: a mark, null where there is none, undefined where only what is beneath can
 * tell.
 */
export function markAt(event: Event, routes: DrawnRoutes | undefined): Mark | null | undefined {
  const target = event.composedPath()[0];
  if (!(target instanceof SVGElement)) return null;
  const { node, edge: key, ffn } = target.dataset;
  if (node !== undefined && isNodeName(node)) return { kind: "node", node };
  if (ffn !== undefined) {
    const [layer, position] = ffn.split("_").map(Number);
    return { kind: "ffn", layer, position };
  }
  if (key === undefined) return undefined;
  const edge = routes?.byKey.get(key);
  return edge ? edgeMark(edge) : null;
}

/** What of the picture on the canvas is nearest to a point, in CSS pixels of the figure, if anything is near. */
export function markOnCanvas(
  { x: left, y: top }: { readonly x: number; readonly y: number },
  { layout, margin }: Plot,
  { x, y, k }: ZoomTransform,
  routes: DrawnRoutes | undefined,
): Mark | undefined {
  const at = { x: (left - margin.left - x) / k, y: (top - margin.top - y) / k };
  const near = layout.nearest(at);
  if (near) {
    const point = layout.point(near);
    const reach = Math.max(7 / k, layout.nodeRadius + 2);
    const drawn = near.kind !== "M" || routes?.nodes.has(placeName(near));
    if (drawn && Math.hypot(point.x - at.x, point.y - at.y) <= reach) {
      return near.kind === "M"
        ? { kind: "ffn", layer: near.layer, position: near.position }
        : { kind: "node", node: placeName(near) };
    }
  }
  if (!routes) return undefined;
  let best: DrawnEdge | undefined;
  let closest = 6 / k;
  // An edge into layer l lies in the band of l, or between it and the one below.
  const layer = layout.bands.find((band) => at.y >= band.y && at.y < band.y + band.height)?.layer ?? -1;
  for (const edge of [...edgesInto(routes, layer), ...edgesInto(routes, layer + 1)]) {
    const a = layout.point(edge.from);
    const b = layout.point(edge.to);
    if (at.y > a.y + closest || at.y < b.y - closest) continue;
    const t = Math.max(
      0,
      Math.min(
        1,
        ((at.x - a.x) * (b.x - a.x) + (at.y - a.y) * (b.y - a.y)) / ((b.x - a.x) ** 2 + (b.y - a.y) ** 2 || 1),
      ),
    );
    const distance = Math.hypot(a.x + t * (b.x - a.x) - at.x, a.y + t * (b.y - a.y) - at.y);
    if (distance < closest) {
      closest = distance;
      best = edge;
    }
  }
  return best && { kind: "edge", edge: best };
}

const byLayer = new WeakMap<DrawnRoutes, ReadonlyMap<number, readonly DrawnEdge[]>>();

/** Attention and residual edges into the states of a layer. */
function edgesInto(routes: DrawnRoutes, layer: number): readonly DrawnEdge[] {
  let layers = byLayer.get(routes);
  if (!layers) {
    const made = new Map<number, DrawnEdge[]>();
    for (const edge of routes.edges) {
      if (edge.kind !== "attention" && edge.kind !== "residual") continue;
      const list = made.get(edge.to.layer);
      if (list) list.push(edge);
      else made.set(edge.to.layer, [edge]);
    }
    layers = made;
    byLayer.set(routes, layers);
  }
  return layers.get(layer) ?? [];
}
