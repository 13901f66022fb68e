import type { Answer } from "../../../src/protocol";
import type { DrawnEdge } from "../../core/routes";

/** How strongly a contribution is coloured, 0 to 1. */
export function strength(weight: number): number {
  return Math.sqrt(weight);
}

/** Stroke width of an edge in pixels. */
export function edgeWidth(kind: string, weight: number): number {
  // Most contributions are small: the root keeps them apart where a straight line would make all of them hairlines.
  if (kind === "residual") return Math.round((0.7 + 1.5 * weight) * 100) / 100;
  return Math.round((0.6 + (kind === "attention" ? 5.4 : 3.6) * weight ** 0.75) * 100) / 100;
}

/**
 * Colour of a head: as far around the circle of hues from its neighbours' as can be, in three lightnesses, so that
 * heads with close hues still differ for colour-blind people.
 */
export function headColor(head: number, dark: boolean): string {
  const hue = (head * 137.508 + 200) % 360;
  const lightness = (dark ? [0.78, 0.66, 0.86] : [0.52, 0.64, 0.42])[head % 3];
  return `oklch(${lightness} 0.14 ${hue.toFixed(1)})`;
}

/** Colours of patterns of heads: blue, ochre, vermilion, pink, apart for all common kinds of colour blindness. */
export function labelColor(label: number, dark: boolean): string {
  return (dark ? ["#6db5ff", "#d9b44a", "#ff8f59", "#f29ac6"] : ["#0065b3", "#8f6a00", "#d04a02", "#b8417f"])[
    label % 4
  ];
}

/** What colours attention edges. */
export interface Coloring {
  /** "contribution", "head" or "label". */
  readonly by: string;
  readonly dark: boolean;
  readonly nHeads: number;
  /** What heads attend to; undefined before it is known. */
  readonly labels: Answer<"headLabels"> | undefined;
}

/** Number of the pattern that a head follows; undefined where it follows none, or edges are not coloured by that. */
export function labelOf({ by, nHeads, labels }: Coloring, layer: number, head: number): number | undefined {
  const answer = by === "label" ? labels : undefined;
  const label = answer?.labels.data[layer * nHeads + head];
  return label === undefined || label >= (answer?.patterns.length ?? 0) ? undefined : label;
}

/** Colour of an edge where it is not its kind's: by head. */
export function edgeColor(coloring: Coloring, edge: DrawnEdge): string | null {
  if (edge.side !== undefined) return null;
  if (edge.kind !== "attention" || edge.heads.length === 0) return null;
  const { head } = edge.heads[0];
  if (coloring.by === "head") return headColor(head, coloring.dark);
  const label = labelOf(coloring, edge.to.layer, head);
  return label === undefined ? null : labelColor(label, coloring.dark);
}
