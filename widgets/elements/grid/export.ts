import { interpolateLab } from "d3-interpolate";
import type { RunFacts } from "../../../src/protocol";
import { shortText } from "../../../src/protocol";
import { saveBuiltPng, saveBuiltSvg, saveCsv, svgElement } from "../../core/export";
import type { Filling } from "./filling";
import { stateOf } from "./filling";

const NAME = "lens-grid";

/** Downloads the states that are there as a table. */
export function saveStates(filling: Filling): void {
  const rows: (string | number)[][] = [["state", "id", "token", "probability", "entropy in bits"]];
  for (let i = 0; i < filling.tops.length; i++) {
    const token = filling.token(i);
    if (token)
      rows.push([
        stateOf(Math.floor(i / filling.nTokens), i % filling.nTokens),
        token.id,
        token.text,
        filling.probabilities[i],
        filling.entropies[i],
      ]);
  }
  saveCsv(rows, `${NAME}.csv`);
}

export interface GridPicture {
  readonly facts: RunFacts;
  readonly filling: Filling;
  /** "probability" or "entropy". */
  readonly by: string;
  /** Of a column, in CSS pixels. */
  readonly width: number;
  /** Whose colours and fonts are taken. */
  readonly element: HTMLElement;
  /** On whose ground the grid lies. */
  readonly shown: Element;
}

/** Downloads the whole grid, as far as it is there, as one picture. */
export async function saveGrid(picture: GridPicture, format: "svg" | "png"): Promise<void> {
  const { marks, size } = drawn(picture);
  if (format === "svg") return saveBuiltSvg(marks, size, picture.shown, `${NAME}.svg`);
  return saveBuiltPng(marks, size, picture.shown, `${NAME}.png`);
}

/** The grid as marks of an SVG. */
function drawn({ facts, filling, by, width, element }: GridPicture): {
  readonly marks: readonly SVGElement[];
  readonly size: { readonly width: number; readonly height: number };
} {
  const [row, head] = [20, 40];
  const style = getComputedStyle(element);
  const color = (name: string): string => style.getPropertyValue(name).trim() || "#888888";
  const mix = interpolateLab(
    color("--_surface").startsWith("Canvas") ? "#ffffff" : color("--_surface"),
    color("--_attention"),
  );
  const ramp = Number.parseFloat(style.getPropertyValue("--ramp")) / 100 || 0.5;
  const font = { "font-family": color("--_mono"), "font-size": 11.5, "text-anchor": "middle" };
  const layers = facts.model.nLayers;
  const marks: SVGElement[] = [];
  for (let r = 0; r <= layers; r++) {
    const y = (layers - r) * row;
    marks.push(
      svgElement(
        "text",
        {
          x: head - 6,
          y: y + 14,
          fill: color("--_text-soft"),
          "font-size": 11,
          "text-anchor": "end",
          "font-family": color("--_sans"),
        },
        r === 0 ? "emb" : String(r - 1),
      ),
    );
    for (let t = 0; t < filling.nTokens; t++) {
      const i = r * filling.nTokens + t;
      const token = filling.token(i);
      if (!token) continue;
      const share = by === "entropy" ? 1 - filling.entropies[i] / filling.most : filling.probabilities[i];
      marks.push(
        svgElement("rect", {
          x: head + t * width,
          y,
          width: width - 1,
          height: row - 1,
          rx: 2,
          fill: mix(ramp * share),
        }),
      );
      marks.push(
        svgElement(
          "text",
          { ...font, x: head + (t + 0.5) * width, y: y + 14, fill: color("--_text") },
          shortText(token.text, Math.floor((width - 6) / 7)),
        ),
      );
    }
  }
  facts.tokens.forEach((token, t) =>
    marks.push(
      svgElement(
        "text",
        { ...font, x: head + (t + 0.5) * width, y: (layers + 1) * row + 15, fill: color("--_text") },
        shortText(token.text, Math.floor((width - 6) / 7)),
      ),
    ),
  );
  return { marks, size: { width: head + filling.nTokens * width + 4, height: (layers + 2) * row + 4 } };
}
