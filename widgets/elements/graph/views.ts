import { zoomIdentity } from "d3-zoom";
import type { ZoomTransform } from "d3-zoom";
import type { ZoomLimits } from "../../core/zoom";
import type { Place, Plot } from "./geometry";
import { pointOf } from "./geometry";

export function zoomLimits(plot: Plot): ZoomLimits {
  return {
    scale: [1, 6],
    view: [
      [0, 0],
      [plot.inner.width, plot.inner.height],
    ],
    whole: [
      [0, 0],
      [Math.max(plot.layout.width, plot.inner.width), Math.max(plot.layout.height, plot.inner.height)],
    ],
  };
}

/** The first view: the start token in view, whole columns, the last layers on top. */
export function firstView({ layout, inner }: Plot, start: number): ZoomTransform {
  const last = layout.x(start) + layout.columnWidth / 2;
  const x = Math.min(0, Math.max(inner.width - layout.width, inner.width - last));
  return zoomIdentity.translate(Math.round(x / layout.columnWidth) * layout.columnWidth, 0);
}

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
