import { interpolateLab } from "d3-interpolate";
import type { ZoomTransform } from "d3-zoom";
import type { FlowLayout, ModelFacts, NodePlace } from "../../src/protocol";
import { parseNode, stateKinds } from "../../src/protocol";
import type { DrawnEdge, DrawnRoutes } from "../core/routes";

/** Colours as the theme resolves them. */
export interface Palette {
  readonly dull: string;
  readonly text: string;
  readonly residual: string;
  readonly residualFaint: string;
  readonly attention: string;
  readonly attentionFaint: string;
  readonly ffn: string;
  readonly ffnFaint: string;
}

/** Resolves the element's colour variables: a canvas does not follow them by itself. */
export function readPalette(element: HTMLElement): Palette {
  const style = getComputedStyle(element);
  const read = (name: string): string => style.getPropertyValue(`--_${name}`).trim() || "#888888";
  return {
    dull: read("dull"),
    text: read("text"),
    residual: read("residual"),
    residualFaint: read("residual-faint"),
    attention: read("attention"),
    attentionFaint: read("attention-faint"),
    ffn: read("ffn"),
    ffnFaint: read("ffn-faint"),
  };
}

export interface FlowCanvasScene {
  readonly layout: FlowLayout;
  readonly model: ModelFacts;
  readonly nTokens: number;
  readonly routes: DrawnRoutes | undefined;
  readonly from: string;
  readonly transform: ZoomTransform;
  /** The plot's box in CSS pixels: nothing is drawn outside. */
  readonly box: { readonly left: number; readonly top: number; readonly right: number; readonly bottom: number };
  readonly size: { readonly width: number; readonly height: number };
  readonly palette: Palette;
  readonly edgeWidth: (kind: string, weight: number) => number;
}

/** Edges are stroked in this many classes of weight: one path a class is what keeps a frame short. */
const CLASSES = 10;

/** Draws the grid and the routes. Only what lies in the box is drawn. */
export function drawFlow(canvas: HTMLCanvasElement, scene: FlowCanvasScene): void {
  const { layout, box, transform, palette, size } = scene;
  const ratio = Math.min(2, devicePixelRatio || 1);
  if (canvas.width !== Math.round(size.width * ratio) || canvas.height !== Math.round(size.height * ratio)) {
    canvas.width = Math.round(size.width * ratio);
    canvas.height = Math.round(size.height * ratio);
    canvas.style.width = `${size.width}px`;
    canvas.style.height = `${size.height}px`;
  }
  const context = canvas.getContext("2d");
  if (!context) return;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, size.width, size.height);
  context.save();
  context.beginPath();
  context.rect(box.left - 8, box.top - 10, box.right - box.left + 16, box.bottom - box.top + 14);
  context.clip();

  const { x: tx, y: ty, k } = transform;
  const ox = box.left + tx;
  const oy = box.top + ty;
  const first = Math.max(0, Math.floor((box.left - ox) / k / layout.columnWidth) - 1);
  const last = Math.min(scene.nTokens - 1, Math.ceil((box.right - ox) / k / layout.columnWidth));

  // Dull states: a lattice, so one row's height serves all its columns.
  const r = Math.max(0.6, layout.nodeRadius * 0.72 * k);
  context.fillStyle = palette.dull;
  const rows: number[] = [oy + k * layout.point({ kind: "X", layer: -1, position: 0 }).y];
  for (const band of layout.bands) for (const kind of stateKinds(scene.model.parallelBlocks)) rows.push(oy + k * layout.point({ kind, layer: band.layer, position: 0 }).y);
  context.beginPath();
  for (const y of rows) {
    if (y < box.top - 10 || y > box.bottom + 10) continue;
    for (let position = first; position <= last; position++) {
      const x = ox + k * layout.x(position);
      // A disc this small cannot be told from a square, which costs a fraction.
      if (r < 1.6) context.rect(x - r, y - r, 2 * r, 2 * r);
      else {
        context.moveTo(x + r, y);
        context.arc(x, y, r, 0, 2 * Math.PI);
      }
    }
  }
  context.fill();
  if (!scene.routes) return context.restore();

  const visible = (place: NodePlace): boolean => place.position >= first - 1 && place.position <= last + 1;
  const classes = new Map<string, { kind: string; weight: number; edges: DrawnEdge[] }>();
  for (const edge of scene.routes.edges) {
    if (!visible(edge.from) && !visible(edge.to) && (edge.from.position > last || edge.to.position < first)) continue;
    const level = Math.min(CLASSES - 1, Math.floor(edge.weight * CLASSES));
    const kind = edge.kind === "ffn-out" ? "ffn-in" : edge.kind;
    const key = `${kind}${level}`;
    const entry = classes.get(key);
    if (entry) entry.edges.push(edge);
    else classes.set(key, { kind, weight: (level + 0.5) / CLASSES, edges: [edge] });
  }
  const ramps = {
    attention: interpolateLab(palette.attentionFaint, palette.attention),
    residual: interpolateLab(palette.residualFaint, palette.residual),
    "ffn-in": interpolateLab(palette.ffnFaint, palette.ffn),
  } as const;
  context.lineCap = "round";
  for (const { kind, weight, edges } of [...classes.values()].sort((a, b) => a.weight - b.weight)) {
    context.beginPath();
    for (const edge of edges) {
      const a = layout.point(edge.from);
      const b = layout.point(edge.to);
      context.moveTo(ox + k * a.x, oy + k * a.y);
      if (kind === "attention" && edge.from.position === edge.to.position) {
        const bow = Math.min(layout.columnWidth * 0.32, Math.max(7, Math.abs(b.y - a.y) * 0.7)) * k;
        context.bezierCurveTo(ox + k * a.x - bow, oy + k * a.y, ox + k * b.x - bow, oy + k * b.y, ox + k * b.x, oy + k * b.y);
      } else context.lineTo(ox + k * b.x, oy + k * b.y);
    }
    context.strokeStyle = ramps[kind as keyof typeof ramps](Math.sqrt(weight) * (kind === "residual" ? 0.62 : 1));
    context.lineWidth = Math.max(0.5, scene.edgeWidth(kind, weight) * Math.min(1, k * 1.3));
    context.stroke();
  }

  const on = Math.max(0.9, layout.nodeRadius * k);
  const half = Math.max(0.9, (layout.ffnSize * k) / 2);
  const states = new Path2D();
  const squares = new Path2D();
  for (const name of scene.routes.nodes) {
    const place = parseNode(name);
    if (!place || !visible(place)) continue;
    const point = layout.point(place);
    const x = ox + k * point.x;
    const y = oy + k * point.y;
    if (place.kind === "M") squares.rect(x - half, y - half, 2 * half, 2 * half);
    else if (on < 1.6) states.rect(x - on, y - on, 2 * on, 2 * on);
    else {
      states.moveTo(x + on, y);
      states.arc(x, y, on, 0, 2 * Math.PI);
    }
  }
  context.fillStyle = palette.residual;
  context.fill(states);
  context.fillStyle = palette.ffn;
  context.fill(squares);
  const start = parseNode(scene.from);
  if (start) {
    const point = layout.point({ ...start, kind: "I" });
    context.fillStyle = palette.text;
    context.beginPath();
    context.arc(ox + k * point.x, oy + k * point.y, Math.max(2.5, on * 1.25), 0, 2 * Math.PI);
    context.fill();
  }
  context.restore();
}

