import type { LmtElement } from "../core/element";
import { saveBuiltPng, saveBuiltSvg, saveCsv, svgElement } from "../core/export";
import type { MenuItem } from "./menu";

/** A line of a list of bars. */
export interface Bar {
  /** Number of the head or neuron. Left out for a sum of others, which is no line of the table. */
  readonly id?: number;
  readonly name: string;
  readonly contribution: number;
  /** Contribution as it is written. */
  readonly shown: string;
  /** The last column; left out where there is none. */
  readonly more?: { readonly value: number; readonly shown: string };
}

export interface BarList {
  /** Of the file, without its ending. */
  readonly name: string;
  readonly title: string;
  readonly columns: readonly [name: string, contribution: string, more: string];
  /** Contribution that fills the width. */
  readonly most: number;
  readonly bars: readonly Bar[];
}

export type BarFormat = "svg" | "png" | "csv";

const [WIDTH, LEFT, TRACK, VALUE] = [450, 90, 230, 374];
const [ROW, TOP] = [22, 54];

/** The list of bars as a picture in the element's colours and fonts, or as a table with all digits. */
export function saveBars(element: LmtElement, list: BarList, format: BarFormat): void | Promise<void> {
  const { name, columns, bars } = list;
  if (format === "csv") {
    const rows = bars.flatMap(({ id, contribution, more }) =>
      id === undefined ? [] : [[id, contribution, more?.value ?? ""]],
    );
    return saveCsv([columns.map((column) => column.toLowerCase()), ...rows], `${name}.csv`);
  }
  const style = getComputedStyle(element);
  const color = (property: string): string => style.getPropertyValue(property).trim();
  const fill = color("--bar") || color("--_attention");
  const text = (
    x: number,
    y: number,
    content: string,
    attributes: Readonly<Record<string, string | number>> = {},
  ): SVGElement =>
    svgElement(
      "text",
      { x, y, fill: color("--_text"), "font-family": color("--_sans"), "font-size": 12, ...attributes },
      content,
    );
  const soft = { fill: color("--_text-soft"), "font-size": 11 };
  const end = { "text-anchor": "end" };
  const marks = [
    text(12, 20, list.title, { "font-weight": 600 }),
    text(12, 42, columns[0], soft),
    text(VALUE, 42, columns[1], { ...soft, ...end }),
    text(WIDTH - 12, 42, columns[2], { ...soft, ...end }),
  ];
  bars.forEach((bar, i) => {
    const y = TOP + i * ROW;
    const width = list.most > 0 ? Math.max(1, (TRACK * Math.abs(bar.contribution)) / list.most) : 0;
    marks.push(
      text(12, y + 13, bar.name),
      svgElement("rect", { x: LEFT, y: y + 4, width: TRACK, height: 10, rx: 3, fill, "fill-opacity": 0.08 }),
      svgElement("rect", {
        x: LEFT,
        y: y + 4,
        width,
        height: 10,
        rx: 3,
        fill: bar.contribution < 0 ? color("--_down") : fill,
      }),
      text(VALUE, y + 13, bar.shown, end),
    );
    if (bar.more) marks.push(text(WIDTH - 12, y + 13, bar.more.shown, { ...end, fill: color("--_text-soft") }));
  });
  const size = { width: WIDTH, height: TOP + bars.length * ROW + 8 };
  const shown = element.renderRoot.firstElementChild ?? element;
  return format === "svg"
    ? saveBuiltSvg(marks, size, shown, `${name}.svg`)
    : saveBuiltPng(marks, size, shown, `${name}.png`);
}

/** What the menu of such a list offers. */
export const barsMenu = (save: (format: BarFormat) => unknown): readonly MenuItem[] =>
  (["svg", "png", "csv"] as const).map((format) => ({
    label: `Save as ${format.toUpperCase()}`,
    run: () => void save(format),
  }));
