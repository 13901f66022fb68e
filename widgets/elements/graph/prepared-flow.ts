import { interpolateLab } from "d3-interpolate";
import type { ZoomTransform } from "d3-zoom";
import type { FlowLayout, ModelFacts } from "../../../src/protocol";
import { parseNode, stateKinds } from "../../../src/protocol";
import type { DrawnEdge, DrawnRoutes } from "../../core/routes";

/** Colours as the theme resolves them. */
export interface Palette {
  readonly dull: string;
  readonly band: string;
  readonly lineStrong: string;
  readonly text: string;
  readonly residual: string;
  readonly residualFaint: string;
  readonly attention: string;
  readonly attentionFaint: string;
  readonly ffn: string;
  readonly ffnFaint: string;
  readonly up: string;
  readonly down: string;
  readonly more: string;
  readonly less: string;
}

/** Resolves the element's colour variables: a canvas does not follow them by itself. */
export function readPalette(element: HTMLElement): Palette {
  const style = getComputedStyle(element);
  const read = (name: string): string => style.getPropertyValue(`--_${name}`).trim() || "#888888";
  return {
    dull: read("dull"),
    band: read("band"),
    lineStrong: read("line-strong"),
    text: read("text"),
    residual: read("residual"),
    residualFaint: read("residual-faint"),
    attention: read("attention"),
    attentionFaint: read("attention-faint"),
    ffn: read("ffn"),
    ffnFaint: read("ffn-faint"),
    up: read("up"),
    down: read("down"),
    more: read("more"),
    less: read("less"),
  };
}

/** What is drawn, apart from where the view is. */
export interface FlowScene {
  readonly layout: FlowLayout;
  readonly model: ModelFacts;
  readonly nTokens: number;
  readonly routes: DrawnRoutes | undefined;
  readonly from: string;
  readonly palette: Palette;
  readonly edgeWidth: (kind: string, weight: number) => number;
  /** Colour where it is not the kind's. */
  readonly edgeColor: (edge: DrawnEdge) => string | null;
}

export interface FlowView {
  readonly transform: ZoomTransform;
  /** The plot's box in CSS pixels: nothing is drawn outside. */
  readonly box: { readonly left: number; readonly top: number; readonly right: number; readonly bottom: number };
  readonly size: { readonly width: number; readonly height: number };
}

const MOST_DISCS = 20_000;

/** Edges are stroked in this many classes of weight: one path a class is what keeps a frame short. */
const CLASSES = 10;

interface Stroke {
  readonly path: Path2D;
  readonly color: string;
  readonly width: number;
  readonly dashed: readonly number[];
}

/**
 * A graph ready to be painted at any zoom: its marks are paths in the layout's own coordinates, made once, so that a
 * frame of panning costs a dozen strokes whatever the number of edges.
 */
export class PreparedFlow {
  readonly #dull = new Path2D();
  readonly #states = new Path2D();
  readonly #folds = new Path2D();
  /** Squares of feed-forward blocks by colour; those that speak against a token are hollow. */
  readonly #squares: { readonly path: Path2D; readonly color: string; readonly hollow: boolean }[] = [];
  readonly #strokes: Stroke[] = [];
  readonly #start: { readonly x: number; readonly y: number } | undefined;

  constructor(private readonly scene: FlowScene) {
    const { layout, model, nTokens, routes, palette } = scene;
    const small = layout.nodeRadius * 0.72;
    const rows = [layout.point({ kind: "X", layer: -1, position: 0 }).y];
    for (const band of layout.bands)
      for (const kind of stateKinds(model.parallelBlocks))
        rows.push(layout.point({ kind, layer: band.layer, position: 0 }).y);
    // Squares cost a fraction of discs; where there are so many nobody can tell them apart.
    const discs = nTokens * rows.length <= MOST_DISCS;
    for (let position = 0; position < nTokens; position++) {
      if (layout.folded(position)) continue;
      const x = layout.x(position);
      for (const y of rows) {
        if (!discs) {
          this.#dull.rect(x - small, y - small, 2 * small, 2 * small);
          continue;
        }
        this.#dull.moveTo(x + small, y);
        this.#dull.arc(x, y, small, 0, 2 * Math.PI);
      }
    }
    const fold = layout.columnWidth * 0.46;
    for (const { from } of layout.folds)
      this.#folds.roundRect(layout.x(from) - fold / 2, 2, fold, Math.max(1, layout.height - 4), 4);
    const start = parseNode(scene.from);
    this.#start = start && layout.point(start);
    if (!routes) return;

    const classes = new Map<string, Stroke & { readonly weight: number }>();
    const ramps = {
      attention: interpolateLab(palette.attentionFaint, palette.attention),
      residual: interpolateLab(palette.residualFaint, palette.residual),
      ffn: interpolateLab(palette.ffnFaint, palette.ffn),
      more: interpolateLab(palette.residualFaint, palette.more),
      less: interpolateLab(palette.residualFaint, palette.less),
      supports: interpolateLab(palette.residualFaint, palette.up),
      opposes: interpolateLab(palette.residualFaint, palette.down),
    };
    for (const edge of routes.edges) {
      const level = Math.min(CLASSES - 1, Math.floor(edge.weight * CLASSES));
      const weight = (level + 0.5) / CLASSES;
      const kind = edge.kind === "attention" || edge.kind === "residual" ? edge.kind : "ffn";
      const ramp = edge.side ?? kind;
      const own = scene.edgeColor(edge);
      const key = `${kind}${ramp}${level}${own ?? ""}${edge.below ?? ""}`;
      let entry = classes.get(key);
      if (!entry) {
        const color = own ?? ramps[ramp](Math.sqrt(weight) * (ramp === "residual" ? 0.62 : 1));
        const dashed =
          edge.below !== undefined
            ? ramp === "more"
              ? [12, 4]
              : [2, 3]
            : ramp === "less"
              ? [6, 3]
              : ramp === "opposes"
                ? [5, 3]
                : [];
        const width = scene.edgeWidth(edge.kind, weight);
        classes.set(key, (entry = { path: new Path2D(), color, weight, width, dashed }));
      }
      entry.path.addPath(new Path2D(layout.path(edge.from, edge.to, edge.kind)));
    }
    const fans = new Path2D();
    for (const name of routes.others?.keys() ?? [])
      if (routes.nodes.has(name)) fans.addPath(new Path2D(layout.fan(parseNode(name)!)));
    this.#strokes.push({ path: fans, color: ramps.attention(0.6), width: 1, dashed: [] });
    this.#strokes.push(...[...classes.values()].sort((a, b) => a.weight - b.weight));

    const on = layout.nodeRadius;
    const half = layout.ffnSize / 2;
    const blocks = new Map(
      routes.edges.filter(({ kind }) => kind === "ffn-out").map((edge) => [edge.source as string, edge]),
    );
    const squares = new Map<string, { readonly path: Path2D; readonly color: string; readonly hollow: boolean }>();
    for (const name of routes.nodes) {
      const place = parseNode(name);
      if (!place) continue;
      const { x, y } = layout.point(place);
      if (place.kind === "M") {
        const { side, weight = 0, below } = blocks.get(name) ?? {};
        // Hollow as in the style sheet: what speaks against a token, and what only one side of a comparison has.
        const hollow = side === "opposes" || below !== undefined;
        const level = Math.min(CLASSES - 1, Math.floor(weight * CLASSES));
        const w = Math.sqrt((level + 0.5) / CLASSES);
        const key = `${side ?? ""}${level}${hollow}`;
        let squared = squares.get(key);
        if (!squared) {
          // As the style sheet mixes them for SVG.
          const share = side === undefined ? 0.3 + 0.7 * w : hollow ? 0.4 + 0.6 * w : w;
          const color = ramps[side ?? "ffn"](share);
          squares.set(key, (squared = { path: new Path2D(), color, hollow }));
        }
        squared.path.rect(x - half, y - half, 2 * half, 2 * half);
      } else {
        this.#states.moveTo(x + on, y);
        this.#states.arc(x, y, on, 0, 2 * Math.PI);
      }
    }
    this.#squares.push(...squares.values());
  }

  /** The last drawing: larger than the view, so that frames of panning and zooming only copy from it. */
  #buffer:
    | {
        readonly canvas: HTMLCanvasElement;
        readonly k: number;
        readonly left: number;
        readonly top: number;
        readonly right: number;
        readonly bottom: number;
      }
    | undefined;

  /**
   * Shows the view. With `moving` a drawing that was made for a near view serves, moved and scaled: drawing thousands
   * of lines takes longer than a frame without a graphics processor. Returns false where what is shown should be drawn
   * again, sharply, when the movement ends.
   */
  paint(canvas: HTMLCanvasElement, view: FlowView, moving: boolean): boolean {
    const { transform, box, size } = view;
    const ratio = Math.min(2, devicePixelRatio || 1);
    if (canvas.width !== Math.round(size.width * ratio) || canvas.height !== Math.round(size.height * ratio)) {
      canvas.width = Math.round(size.width * ratio);
      canvas.height = Math.round(size.height * ratio);
      canvas.style.width = `${size.width}px`;
      canvas.style.height = `${size.height}px`;
    }
    const context = canvas.getContext("2d");
    if (!context) return true;
    const k = transform.k;
    // The part of the layout that is in view, in its own coordinates.
    const seen = {
      left: (-8 - transform.x) / k,
      top: (-10 - transform.y) / k,
      right: (box.right - box.left + 8 - transform.x) / k,
      bottom: (box.bottom - box.top + 4 - transform.y) / k,
    };
    const { layout } = this.scene;
    const outer = {
      left: -layout.columnWidth,
      top: -12,
      right: layout.width + layout.columnWidth,
      bottom: layout.height + 12,
    };
    const last = this.#buffer;
    const covers =
      last &&
      last.left <= Math.max(seen.left, outer.left) + 1e-6 &&
      last.right >= Math.min(seen.right, outer.right) - 1e-6 &&
      last.top <= Math.max(seen.top, outer.top) + 1e-6 &&
      last.bottom >= Math.min(seen.bottom, outer.bottom) - 1e-6;
    const near = last && k / last.k < 2.5 && k / last.k > 0.4;
    const sharp = last !== undefined && Math.abs(k / last.k - 1) < 1e-6;
    if (!covers || !(sharp || (moving && near))) this.#render(seen, outer, k, ratio);
    const buffer = this.#buffer!;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, size.width, size.height);
    context.save();
    context.beginPath();
    context.rect(box.left - 8, box.top - 10, box.right - box.left + 16, box.bottom - box.top + 14);
    context.clip();
    const x = box.left + transform.x + k * buffer.left;
    const y = box.top + transform.y + k * buffer.top;
    context.drawImage(buffer.canvas, x, y, k * (buffer.right - buffer.left), k * (buffer.bottom - buffer.top));
    context.restore();
    return Math.abs(k / buffer.k - 1) < 1e-6;
  }

  /** Draws what is in view and as much again on each side into a new buffer. */
  #render(seen: Area, outer: Area, k: number, ratio: number): void {
    const { layout, palette } = this.scene;
    const [width, height] = [seen.right - seen.left, seen.bottom - seen.top];
    const left = Math.max(outer.left, seen.left - width);
    const right = Math.max(left + 1, Math.min(outer.right, seen.right + width));
    const top = Math.max(outer.top, seen.top - height / 2);
    const bottom = Math.max(top + 1, Math.min(outer.bottom, seen.bottom + height / 2));
    const canvas = this.#buffer?.canvas ?? document.createElement("canvas");
    canvas.width = Math.ceil((right - left) * k * ratio);
    canvas.height = Math.ceil((bottom - top) * k * ratio);
    // Whole pixels: the copy must not be blurred by a fraction of one.
    this.#buffer = {
      canvas,
      k,
      left,
      top,
      right: left + canvas.width / (k * ratio),
      bottom: top + canvas.height / (k * ratio),
    };
    const context = canvas.getContext("2d");
    if (!context) return;
    context.setTransform(ratio * k, 0, 0, ratio * k, -left * k * ratio, -top * k * ratio);
    context.fillStyle = palette.band;
    context.fill(this.#folds);
    context.strokeStyle = palette.lineStrong;
    context.lineWidth = 1 / k;
    context.setLineDash([2 / k, 3 / k]);
    context.stroke(this.#folds);
    context.setLineDash([]);
    context.fillStyle = palette.dull;
    context.fill(this.#dull);
    // Lines keep their width where the picture grows, and stay thin where it is small.
    context.lineCap = k < 0.6 ? "butt" : "round";
    for (const { path, color, width: line, dashed } of this.#strokes) {
      context.strokeStyle = color;
      context.setLineDash(dashed.map((length) => length / k));
      context.lineWidth = Math.max(0.5, line * Math.min(1, k * 1.3)) / k;
      context.stroke(path);
    }
    context.setLineDash([]);
    context.fillStyle = palette.residual;
    context.fill(this.#states);
    for (const { path, color, hollow } of this.#squares) {
      context.fillStyle = context.strokeStyle = color;
      context.lineWidth = 2 / Math.max(1, k);
      if (hollow) context.stroke(path);
      else context.fill(path);
    }
    if (this.#start) {
      context.fillStyle = palette.text;
      context.beginPath();
      context.arc(this.#start.x, this.#start.y, Math.max(2.5 / k, layout.nodeRadius * 1.25), 0, 2 * Math.PI);
      context.fill();
    }
  }
}

interface Area {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}
