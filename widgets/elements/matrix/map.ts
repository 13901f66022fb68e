import type { ZoomTransform } from "d3-zoom";
import type { CellsImage } from "./cells";
import type { Cell, Geometry } from "./geometry";
import { hasRoom, LABEL_ANGLE, labelSteps } from "./geometry";

export interface MapDrawing {
  readonly geometry: Geometry;
  readonly transform: ZoomTransform;
  readonly image: CellsImage;
  /** The cell that stands out, if any: under the pointer or the keyboard's cursor (`passing`), or selected. */
  readonly marked: Cell | undefined;
  readonly passing: boolean;
  /** Value of a CSS variable of the element. */
  readonly color: (name: string) => string;
}

/** Draws one map with its labels. */
export function drawMap(canvas: HTMLCanvasElement, drawing: MapDrawing): void {
  const { side, left, bottom } = drawing.geometry;
  const ratio = Math.min(2, devicePixelRatio || 1);
  const [width, height] = [Math.round((left + side + 2) * ratio), Math.round((side + bottom) * ratio)];
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  if (!context) return;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, left + side + 2, side + bottom);
  drawCells(context, drawing);
  context.strokeStyle = drawing.color("--_line-strong");
  context.lineWidth = 1;
  context.strokeRect(left + 0.5, 0.5, side - 1, side - 1);
  drawLabels(context, drawing);
}

/** Size of a cell, and where the corner of the first one lies. */
function placed({ geometry: { left, cell }, transform: { k, x, y } }: MapDrawing): {
  readonly cell: number;
  readonly originX: number;
  readonly originY: number;
} {
  return { cell: cell * k, originX: x + k * left, originY: y };
}

function drawCells(context: CanvasRenderingContext2D, drawing: MapDrawing): void {
  const { side, left } = drawing.geometry;
  const { cell, originX, originY } = placed(drawing);
  const { canvas: cells, cells: n } = drawing.image;
  const { marked, color } = drawing;
  context.save();
  context.beginPath();
  context.rect(left, 0, side, side);
  context.clip();
  context.imageSmoothingEnabled = false;
  // Only what is in view: a browser scales the whole image first where it is asked to draw all of it.
  const scale = (side * drawing.transform.k) / n;
  const [fromX, fromY] = [Math.max(0, Math.floor((left - originX) / scale)), Math.max(0, Math.floor(-originY / scale))];
  const [toX, toY] = [
    Math.min(n, Math.ceil((left + side - originX) / scale)),
    Math.min(n, Math.ceil((side - originY) / scale)),
  ];
  context.drawImage(
    cells,
    fromX,
    fromY,
    toX - fromX,
    toY - fromY,
    originX + fromX * scale,
    originY + fromY * scale,
    (toX - fromX) * scale,
    (toY - fromY) * scale,
  );
  if (marked) {
    const x = originX + marked.key * cell;
    const y = originY + marked.query * cell;
    // To the cell from its labels: a cross over the map would colour the cells that it is read by.
    context.globalAlpha = 0.45;
    context.strokeStyle = color("--_text");
    context.lineWidth = 1;
    context.setLineDash([2, 2]);
    context.beginPath();
    context.moveTo(left, y + cell / 2);
    context.lineTo(x, y + cell / 2);
    context.moveTo(x + cell / 2, y + cell);
    context.lineTo(x + cell / 2, side);
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
    context.strokeStyle = drawing.passing ? color("--_text") : color("--_selected");
    context.lineWidth = 2;
    context.strokeRect(x, y, Math.max(3, cell), Math.max(3, cell));
  }
  context.restore();
}

function drawLabels(context: CanvasRenderingContext2D, drawing: MapDrawing): void {
  const { side, left, texts } = drawing.geometry;
  const { cell, originX, originY } = placed(drawing);
  const { marked, color } = drawing;
  const T = texts.length;
  const inks = { text: color("--_text"), soft: color("--_text-soft") };
  context.font = `11px ${color("--_mono")}`;
  const { down, across } = labelSteps(cell);
  const [top, below] = [Math.max(0, Math.floor(-originY / cell)), Math.min(T, Math.ceil((side - originY) / cell))];
  const [first, last] = [
    Math.max(0, Math.floor((left - originX) / cell)),
    Math.min(T, Math.ceil((left + side - originX) / cell)),
  ];
  const free = (t: number, lit: number | undefined, step: number): boolean =>
    t === lit || (t % step === 0 && !(lit !== undefined && step > 1 && Math.abs(t - lit) < step));
  const ink = (lit: boolean): void => void (context.fillStyle = lit ? inks.text : inks.soft);
  context.textAlign = "right";
  context.textBaseline = "middle";
  let above = -Infinity;
  for (let t = top; t < below; t++) {
    const y = originY + (t + 0.5) * cell;
    if (!free(t, marked?.query, down) || y < 0 || y > side) continue;
    const at = Math.max(6, y);
    if (!hasRoom(at, above) && marked?.query !== t) continue;
    above = at;
    ink(marked?.query === t);
    context.fillText(texts[t], left - 5, at);
  }
  context.textBaseline = "alphabetic";
  for (let t = first; t < last; t++) {
    const x = originX + (t + 0.5) * cell;
    if (!free(t, marked?.key, across) || x < left || x > left + side) continue;
    ink(marked?.key === t);
    context.save();
    context.translate(x + 3, side + 10);
    context.rotate((-LABEL_ANGLE * Math.PI) / 180);
    context.fillText(texts[t], 0, 0);
    context.restore();
  }
}
