import type { FlowLayout, Fold, Focus, RunFacts, WireToken } from "../../../src/protocol";
import { columnCount, fittingLayerHeight, flowLayout, LEAST_LAYER, parseNode, shortText } from "../../../src/protocol";
import type { DrawnRoutes } from "../../core/routes";

/** Labels of tokens rise to the right by so many degrees. */
export const LABEL_ANGLE = 38;
const MIN_COLUMN = 20;
/** The figure is taller than it should be by up to this where all layers are in view then. */
const MOST_TALLER = 1.7;
/** Least sizes where all of the graph is to be in view: a token is a line, a layer two dots. */
const WHOLE_COLUMN = 2;
const WHOLE_LAYER = 3;
/** Least height of a layer where something above the graph is to be in view with it. */
const TIGHT_LAYER = 6;

/** Space for labels around the grid. */
interface Margin {
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  readonly left: number;
}

/** Where everything is, at scale 1; lengths in CSS pixels. */
export interface Plot {
  readonly layout: FlowLayout;
  readonly margin: Margin;
  /** Labels of the tokens. */
  readonly texts: readonly string[];
  /** Labels stand above the grid too. */
  readonly labelsAbove: boolean;
  readonly width: number;
  readonly height: number;
  /** Without the margins: the part in which the grid is seen. */
  readonly inner: { readonly width: number; readonly height: number };
}

/** Something in the graph, or a start triangle. */
export type Place = Focus | { readonly kind: "start"; readonly position: number };

/** How a graph is fitted into its room. */
export interface Fitting {
  readonly width: number;
  /** Height of the whole figure, labels among it, that should not be passed. */
  readonly maxHeight: number;
  /** Layers that are drawn flat. */
  readonly flat: ReadonlySet<number>;
  readonly folds: readonly Fold[];
  /** All columns and layers in view, however small. */
  readonly whole: boolean;
  /** Something above is in view with it: layers are flatter rather than out of view. */
  readonly tight: boolean;
}

/** Labels and layout of a graph, each made again only when it is for something else. */
export class GraphGeometry {
  #labelled:
    | {
        readonly facts: RunFacts;
        readonly others: readonly (WireToken | undefined)[] | undefined;
        readonly texts: readonly string[];
        readonly margin: Margin;
        /** With labels above the grid too. */
        readonly above: Margin;
      }
    | undefined;
  #above = false;
  #layout: FlowLayout | undefined;
  #layoutFor: readonly unknown[] = [];

  /** The layout; undefined before there is one. */
  get layout(): FlowLayout | undefined {
    return this.#layout;
  }

  get texts(): readonly string[] {
    return this.#labelled?.texts ?? [];
  }

  /** @param others tokens of another run: where they differ, a label names both */
  label(facts: RunFacts, others: readonly (WireToken | undefined)[] | undefined): void {
    if (this.#labelled?.facts === facts && this.#labelled.others === others) return;
    // Cut once: finding where letters end is slow, and labels are placed in every frame.
    const texts = facts.tokens.map((token, position) => {
      const other = others?.[position];
      if (others && !other) return `${shortText(token.text, 10)} | –`;
      return other === undefined || other.text === token.text
        ? shortText(token.text, 14)
        : `${shortText(token.text, 8)} | ${shortText(other.text, 8)}`;
    });
    const longest = texts.reduce((most, label) => Math.max(most, [...label].length), 2);
    const slope = (LABEL_ANGLE * Math.PI) / 180;
    const tall = Math.ceil(longest * 7.3 * Math.sin(slope));
    const margin = {
      top: 24,
      right: 14,
      bottom: tall + 26,
      left: Math.max(40, Math.ceil([...(texts[0] ?? "")].length * 7.3 * Math.cos(slope)) - 4),
    };
    // Labels above rise to the right of their columns.
    const above = {
      ...margin,
      top: tall + 42,
      right: Math.max(14, Math.ceil([...(texts.at(-1) ?? "")].length * 7.3 * Math.cos(slope))),
    };
    this.#labelled = { facts, others, texts, margin, above };
  }

  arrange(facts: RunFacts, { width, maxHeight, flat, folds, whole, tight }: Fitting): void {
    if (!this.#labelled) return;
    const wanted = [facts, this.#labelled, width, maxHeight, [...flat].join(), folds, whole, tight];
    if (this.#layout && wanted.every((value, i) => value === this.#layoutFor[i])) return;
    this.#layoutFor = wanted;
    const { nLayers, parallelBlocks } = facts.model;
    const heightWithin = ({ top, bottom }: Margin): number =>
      fittingLayerHeight(nLayers, maxHeight - top - bottom, whole ? WHOLE_LAYER : tight ? TIGHT_LAYER : LEAST_LAYER);
    // Labels above are a help on a tall picture, not where they would take the room of the layers.
    this.#above = heightWithin(this.#labelled.above) >= LEAST_LAYER * 1.3;
    const margin = this.#margin!;
    const room = Math.max(80, width - margin.left - margin.right);
    const columns = columnCount(facts.tokens.length, folds);
    const fitting = Math.max(1, Math.floor(room / MIN_COLUMN));
    // Where not all columns are in view, a whole number of them is: half a column looks like the end of the prompt.
    const columnWidth =
      columns <= fitting
        ? Math.min(118, room / columns)
        : whole
          ? Math.max(WHOLE_COLUMN, room / columns)
          : room / fitting;
    this.#layout = flowLayout({
      nTokens: facts.tokens.length,
      nLayers,
      parallelBlocks,
      columnWidth,
      layerHeight: heightWithin(margin),
      collapsed: flat,
      folds,
    });
  }

  get #margin(): Margin | undefined {
    return this.#above ? this.#labelled?.above : this.#labelled?.margin;
  }

  /** Undefined before the graph is labelled and arranged. */
  plot(width: number, maxHeight: number): Plot | undefined {
    const layout = this.#layout;
    const margin = this.#margin;
    if (!layout || !this.#labelled || !margin) return undefined;
    const whole = layout.height + margin.top + margin.bottom;
    // Some more height shows all layers; for many more the figure pans.
    const height = whole <= maxHeight * MOST_TALLER ? whole : Math.max(maxHeight, margin.top + margin.bottom + 60);
    return {
      layout,
      margin,
      texts: this.#labelled.texts,
      labelsAbove: this.#above,
      width,
      height,
      inner: { width: Math.max(1, width - margin.left - margin.right), height: height - margin.top - margin.bottom },
    };
  }
}

/** Layers through which nothing but the residual stream passes, beside those that are drawn flat anyway. */
export function idleLayers(routes: DrawnRoutes, nLayers: number, others: ReadonlySet<number>): ReadonlySet<number> {
  const busy = new Set<number>();
  for (const edge of routes.edges)
    if (edge.kind === "ffn-out" || (edge.kind === "attention" && edge.from.position !== edge.to.position))
      busy.add(edge.to.layer);
  const flat = new Set(others);
  for (let layer = 0; layer < nLayers; layer++) if (!busy.has(layer)) flat.add(layer);
  return flat;
}

/**
 * A state, the middle of an edge, a square or a start triangle in the layout's own coordinates; undefined for names
 * that are none.
 */
export function pointOf(layout: FlowLayout, what: Place): { readonly x: number; readonly y: number } | undefined {
  if (what.kind === "start") return { x: layout.x(what.position), y: 0 };
  if (what.kind === "ffn") return layout.point({ kind: "M", layer: what.layer, position: what.position });
  const place = parseNode(what.kind === "node" ? what.node : what.source);
  if (!place) return undefined;
  const target = what.kind === "edge" ? parseNode(what.target) : undefined;
  if (!target) return layout.point(place);
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", layout.path(place, target, "attention"));
  return line.getPointAtLength(line.getTotalLength() / 2);
}
