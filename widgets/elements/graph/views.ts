import { zoomIdentity } from "d3-zoom";
import type { ZoomTransform } from "d3-zoom";
import type { ZoomLimits } from "../../core/zoom";
import type { Place, Plot } from "./geometry";
import { pointOf } from "./geometry";

/** Scale at which all of the graph is seen, 1 at most. */
const wholeScale = ({ layout, inner }: Plot): number =>
  Math.min(1, inner.width / layout.width, inner.height / layout.height);

export function zoomLimits(plot: Plot): ZoomLimits {
  const fit = wholeScale(plot);
  return {
    scale: [fit, Math.max(4, 4 * fit)],
    view: [
      [0, 0],
      [plot.inner.width, plot.inner.height],
    ],
    whole: [
      [0, 0],
      [plot.layout.width, plot.layout.height],
    ],
  };
}

/** The first view: as large as the height allows, the start token in view. */
export function firstView({ layout, inner }: Plot, start: number): ZoomTransform {
  const k = Math.min(1, inner.height / layout.height);
  const x = Math.min(
    0,
    Math.max(inner.width - k * layout.width, inner.width - k * (layout.x(start) + layout.columnWidth)),
  );
  return zoomIdentity.translate(x, 0).scale(k);
}

export const wholeView = (plot: Plot): ZoomTransform => zoomIdentity.scale(wholeScale(plot));

/** Whether there is more than is in view. */
export const pannable = ({ layout, inner }: Plot, k: number): boolean =>
  k * layout.width > inner.width + 1 || k * layout.height > inner.height + 1;

/** By how much to move, in the layout's own units, until something is in view; undefined where it is. */
export function towards(
  { layout, inner }: Plot,
  { x, y, k }: ZoomTransform,
  what: Place,
): readonly [number, number] | undefined {
  const at = pointOf(layout, what);
  if (!at) return undefined;
  const inside = (value: number, size: number): number => {
    const edge = Math.min(24, size / 4);
    return value < edge ? edge - value : value > size - edge ? size - edge - value : 0;
  };
  const dx = inside(x + k * at.x, inner.width);
  const dy = what.kind === "start" ? 0 : inside(y + k * at.y, inner.height);
  return dx !== 0 || dy !== 0 ? [dx / k, dy / k] : undefined;
}
