import type { WireToken } from "../../../src/protocol";
import { saveBuiltSvg, saveCanvas, saveCsv, svgElement } from "../../core/export";
import { weight } from "../../core/format";
import type { MapView, Ramp } from "./cells";
import { cellCanvas, peak } from "./cells";
import type { Geometry } from "./geometry";
import { LABEL_ANGLE, labelSteps } from "./geometry";

/** Downloads all cells up to the diagonal as a table. */
export function saveCells(
  [attention, contributions]: readonly [Float32Array, Float32Array],
  tokens: readonly WireToken[],
): void {
  const T = tokens.length;
  const rows: (string | number)[][] = [
    ["target", "target token", "source", "source token", "attention", "contribution"],
  ];
  for (let q = 0; q < T; q++)
    for (let k = 0; k <= q; k++)
      rows.push([q, tokens[q].text, k, tokens[k].text, attention[q * T + k], contributions[q * T + k]]);
  saveCsv(rows, "maps.csv");
}

/** Downloads canvases of one size beside each other, at most `columns` in a row. */
export async function saveSheet(canvases: readonly HTMLCanvasElement[], columns: number): Promise<void> {
  if (canvases.length === 0) return;
  const sheet = document.createElement("canvas");
  const [width, height] = [canvases[0].width + 8, canvases[0].height + 8];
  sheet.width = columns * width;
  sheet.height = Math.ceil(canvases.length / columns) * height;
  canvases.forEach((canvas, i) =>
    sheet.getContext("2d")?.drawImage(canvas, (i % columns) * width, Math.floor(i / columns) * height),
  );
  return saveCanvas([sheet], undefined, "maps.png");
}

/** What an SVG of maps takes from the element. */
export interface MapInk {
  readonly ramp: Ramp;
  /** Value of a CSS variable. */
  readonly color: (name: string) => string;
  /** On whose ground the maps lie. */
  readonly shown: Element;
}

const text = ({ color }: MapInk, content: string, attributes: Readonly<Record<string, string | number>>): SVGElement =>
  svgElement(
    "text",
    { fill: color("--_text"), "font-size": 11, "font-family": color("--_mono"), ...attributes },
    content,
  );

/** Cells as an image with a pixel a cell, and the frame around it. */
const cells = (
  { ramp, color }: MapInk,
  values: Float32Array,
  T: number,
  most: number,
  x: number,
  y: number,
  side: number,
): SVGElement[] => [
  svgElement("image", {
    x,
    y,
    width: side,
    height: side,
    href: cellCanvas(values, T, most, ramp).toDataURL("image/png"),
    style: "image-rendering:pixelated",
  }),
  svgElement("rect", { x, y, width: side, height: side, fill: "none", stroke: color("--_line-strong") }),
];

/** Downloads all heads of a layer, small. `all`: [heads, T, T]. */
export function saveMultiples(all: Float32Array, T: number, ink: MapInk): void {
  const [side, title] = [140, 20];
  const heads = all.length / (T * T);
  const columns = Math.ceil(Math.sqrt(heads));
  const most = peak(all);
  const marks = Array.from({ length: heads }, (_, head) => {
    const [x, y] = [8 + (head % columns) * (side + 16), Math.floor(head / columns) * (side + title + 12) + title];
    return [
      text(ink, `Head ${head}`, { x, y: y - 6 }),
      ...cells(ink, all.subarray(head * T * T, (head + 1) * T * T), T, most, x, y, side),
    ];
  });
  saveBuiltSvg(
    marks.flat(),
    { width: columns * (side + 16), height: Math.ceil(heads / columns) * (side + title + 12) + 8 },
    ink.shown,
    "maps.svg",
  );
}

/** Downloads each map with its title and labels; text stays text. */
export function saveMaps(views: readonly MapView[], { side, left, bottom, cell, texts }: Geometry, ink: MapInk): void {
  const [width, title] = [left + side + 18, 24];
  const { down, across } = labelSteps(cell);
  const labels = texts.map((label, t) => ({ t, label }));
  const marks = views.flatMap((view, index) => {
    const x = index * width + left;
    return [
      text(ink, `${view.title}, 0 to ${weight(view.most)}`, { x, y: title - 9 }),
      ...cells(ink, view.values, texts.length, view.most, x, title, side),
      ...labels
        .filter(({ t }) => t % down === 0)
        .map(({ t, label }) => text(ink, label, { x: x - 5, y: title + (t + 0.5) * cell + 4, "text-anchor": "end" })),
      ...labels
        .filter(({ t }) => t % across === 0)
        .map(({ t, label }) => {
          const [at, below] = [x + (t + 0.5) * cell + 3, title + side + 10];
          return text(ink, label, {
            x: at,
            y: below,
            "text-anchor": "end",
            transform: `rotate(${-LABEL_ANGLE} ${at} ${below})`,
          });
        }),
    ];
  });
  saveBuiltSvg(marks, { width: views.length * width, height: title + side + bottom }, ink.shown, "maps.svg");
}
