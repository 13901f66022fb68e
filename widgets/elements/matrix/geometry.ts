import type { ZoomTransform } from "d3-zoom";
import type { RunFacts } from "../../../src/protocol";
import { shortText } from "../../../src/protocol";
import type { ZoomLimits } from "../../core/zoom";

/** Labels are drawn while a row is at least this high; below, only every so many. */
const LABEL_HEIGHT = 11;
/** Labels below the map rise to the right by so many degrees. */
export const LABEL_ANGLE = 42;
/** Cells grow to this many pixels. */
const LARGEST_CELL = 44;

/** A cell of a map: positions of its target and of its source. */
export interface Cell {
  readonly query: number;
  readonly key: number;
}

/** Sizes of a map in CSS pixels, at scale 1: labels on the left and below, square cells. */
export interface Geometry {
  /** Labels of the tokens. */
  readonly texts: readonly string[];
  readonly side: number;
  readonly left: number;
  readonly bottom: number;
  readonly cell: number;
}

/** Below this width both maps stand beside each other only where their height counts. */
const WIDE = 620;

/**
 * @param width room for all maps, in CSS pixels
 * @param height room for a map with its labels, in CSS pixels; 0: as large as the width allows
 */
export function measured(facts: RunFacts | undefined, width: number, height = 0): Geometry {
  const beside = width >= WIDE || (height > 0 && width >= 280);
  // Where there is little room, the map needs it more than its labels.
  const texts = (facts?.tokens ?? []).map((token) => shortText(token.text, beside && width < WIDE ? 6 : 12));
  const longest = texts.reduce((most, text) => Math.max(most, [...text].length), 2);
  const left = Math.ceil(longest * 6.7) + 8;
  const bottom = Math.ceil(longest * 6.7 * Math.sin((LABEL_ANGLE * Math.PI) / 180)) + 14;
  const columns = beside ? 2 : 1;
  const gap = width >= WIDE ? 26 : 12;
  const least = beside && width < WIDE ? 60 : 120;
  const room = Math.max(least, Math.floor((width - (columns - 1) * gap) / columns) - left - 2);
  const tallest = height > 0 ? Math.max(least, height - bottom) : 460;
  const cell = Math.min(34, Math.min(room, tallest) / Math.max(1, texts.length));
  return { texts, side: Math.floor(cell * texts.length), left, bottom, cell };
}

/**
 * Every how many tokens have a label: `down` the left, and `across` below, where lines of text at an angle need more
 * room beside each other.
 */
export function labelSteps(cell: number): { readonly down: number; readonly across: number } {
  return {
    down: Math.max(1, Math.ceil(LABEL_HEIGHT / cell)),
    across: Math.max(1, Math.ceil(LABEL_HEIGHT / Math.sin((LABEL_ANGLE * Math.PI) / 180) / cell)),
  };
}

/** Whether a label of the left stands far enough below the one above it. */
export const hasRoom = (at: number, above: number): boolean => at - above >= LABEL_HEIGHT - 1;

/** How far one can zoom in. */
export const closest = ({ cell }: Geometry): number => Math.max(1, LARGEST_CELL / cell);

export function zoomLimits(geometry: Geometry): ZoomLimits {
  const { side, left } = geometry;
  const corners: ZoomLimits["view"] = [
    [left, 0],
    [left + side, side],
  ];
  return { scale: [1, closest(geometry)], view: corners, whole: corners };
}

/** The cell at a point of the canvas, in CSS pixels; undefined where there is none. */
export function cellAt(
  [inX, inY]: readonly [number, number],
  { side, left, cell, texts }: Geometry,
  transform: ZoomTransform,
): Cell | undefined {
  if (inX < left || inX > left + side || inY < 0 || inY > side) return undefined;
  const [x, y] = transform.invert([inX, inY]);
  const key = Math.floor((x - left) / cell);
  const query = Math.floor(y / cell);
  return key >= 0 && query >= 0 && key < texts.length && query < texts.length ? { query, key } : undefined;
}

/** The point about which to zoom: a cell, if any, as near as it is in view, else the middle. */
export function zoomCentre(
  at: Cell | undefined,
  { side, left, cell }: Geometry,
  transform: ZoomTransform,
): [number, number] {
  const [x, y] = at
    ? transform.apply([left + (at.key + 0.5) * cell, (at.query + 0.5) * cell])
    : [left + side / 2, side / 2];
  const inside = (value: number, low: number): number => Math.max(low, Math.min(low + side, value));
  return [inside(x, left), inside(y, 0)];
}

/** By how much to move, at scale 1, until a cell is in view; undefined where it is. */
export function towards(
  at: Cell,
  { side, left, cell }: Geometry,
  transform: ZoomTransform,
): readonly [number, number] | undefined {
  const { k } = transform;
  if (k <= 1) return undefined;
  const [x, y] = transform.apply([left + at.key * cell, at.query * cell]);
  const needed = (value: number, low: number): number =>
    value < low ? low - value : value + k * cell > low + side ? low + side - value - k * cell : 0;
  const [dx, dy] = [needed(x, left), needed(y, 0)];
  return dx !== 0 || dy !== 0 ? [dx / k, dy / k] : undefined;
}
