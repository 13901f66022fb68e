import { deflateSync } from "node:zlib";
import { escapeXml } from "../export/xml";

/**
 * What a still picture is made of, and two writers of it: SVG for pages, PDF for LaTeX. Colours are opaque `#rrggbb`;
 * lengths are pixels with y downward.
 */
export interface Pen {
  rect(x: number, y: number, width: number, height: number, fill: string): void;
  /** `path`: SVG path data of M, L, C and Q. Paths of the same kind follow each other. */
  stroke(path: string, color: string, width: number, dashed?: boolean): void;
  dot(x: number, y: number, radius: number, fill: string): void;
  triangle(x: number, y: number, half: number, fill: string): void;
  text(x: number, y: number, text: string, style: TextStyle): void;
}

export interface TextStyle {
  readonly fill: string;
  readonly size?: number;
  readonly mono?: boolean;
  readonly bold?: boolean;
  /** Degrees, counted clockwise. */
  readonly rotate?: number;
  readonly anchor?: "start" | "end";
}

/** `color` at `share` on white: opaque, so that both formats look the same. */
export function onWhite(color: string, share: number): string {
  const mixed = [1, 3, 5].map((at) =>
    Math.round(255 + (parseInt(color.slice(at, at + 2), 16) - 255) * Math.max(0, Math.min(1, share))),
  );
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

const n = (value: number): string => String(Math.round(value * 10) / 10);

/** Path data of M, L, C and Q in tenths of a pixel, from each point on: a third shorter. */
function compact(path: string): string {
  const tenths = (value: string): number => Math.round(Number(value) * 10);
  const joined = (values: readonly number[]): string =>
    values.map((value, i) => (i > 0 && value >= 0 ? ` ${value / 10}` : `${value / 10}`)).join("");
  let [x, y] = [0, 0];
  return path.replace(/([MLCQ])([^MLCQ]*)/g, (_, command: string, list: string) => {
    const at = (list.match(/-?[\d.]+/g) ?? []).map(tenths);
    const out =
      command === "M"
        ? `M${joined(at)}`
        : `${command.toLowerCase()}${joined(at.map((value, i) => value - (i % 2 === 0 ? x : y)))}`;
    [x, y] = at.slice(-2);
    return out;
  });
}

/** Marks of one colour and size become one element, one a line: small, and small differences stay small in a diff. */
export class SvgPen implements Pen {
  readonly #lines: string[] = [];
  readonly #open = new Map<string, string[]>();

  #gather(style: string, data: string): void {
    const open = this.#open.get(style);
    if (open) return void open.push(data);
    this.#flush();
    this.#open.set(style, [data]);
  }

  #flush(): void {
    for (const [style, data] of this.#open) this.#lines.push(`<path ${style} d="${data.join("")}"/>`);
    this.#open.clear();
  }

  rect(x: number, y: number, width: number, height: number, fill: string): void {
    this.#gather(`fill="${fill}"`, `M${n(x)} ${n(y)}h${n(width)}v${n(height)}h${n(-width)}z`);
  }

  stroke(path: string, color: string, width: number, dashed = false): void {
    // Widths are few: a line more or less of a tenth of a pixel is not seen.
    const style = `fill="none" stroke="${color}" stroke-width="${n(width)}" ${dashed ? 'stroke-dasharray="5 3"' : 'stroke-linecap="round"'}`;
    this.#gather(style, compact(path));
  }

  dot(x: number, y: number, radius: number, fill: string): void {
    this.#gather(`stroke="${fill}" stroke-width="${n(2 * radius)}" stroke-linecap="round"`, `M${n(x)} ${n(y)}h0`);
  }

  triangle(x: number, y: number, half: number, fill: string): void {
    this.#gather(`fill="${fill}"`, `M${n(x - half)} ${n(y)}h${n(2 * half)}l${n(-half)} ${n(1.6 * half)}z`);
  }

  text(x: number, y: number, text: string, { fill, size = 10, mono, bold, rotate, anchor }: TextStyle): void {
    this.#flush();
    const place = rotate ? `transform="translate(${n(x)} ${n(y)})rotate(${rotate})"` : `x="${n(x)}" y="${n(y)}"`;
    const rest = [
      size === 10 ? "" : ` font-size="${size}"`,
      mono ? ' font-family="DejaVu Sans Mono, monospace"' : "",
      bold ? ' font-weight="bold"' : "",
      anchor === "end" ? ' text-anchor="end"' : "",
    ].join("");
    this.#lines.push(`<text ${place} fill="${fill}"${rest}>${escapeXml(text)}</text>`);
  }

  document(width: number, height: number, title: string): string {
    this.#flush();
    return [
      `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" font-family="DejaVu Sans, Verdana, sans-serif" font-size="10">`,
      `<title>${escapeXml(title)}</title>`,
      `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
      ...this.#lines,
      "</svg>",
      "",
    ].join("\n");
  }
}

/** Characters of Windows-1252 from 0x80 to 0x9f; the rest of it is Latin-1. */
const WINDOWS = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ";
/** Marks that the standard fonts lack. */
const SIMILAR: Readonly<Record<string, string>> = {
  "↵": "\u00b6",
  "⇥": "\u00bb",
  "⟨": "<",
  "⟩": ">",
  "∅": "\u00d8",
  "⍽": "\u00b7",
  "□": "\u00b7",
  "␍": "\u00b6",
};

/** A PDF string in the encoding of its standard fonts; what they do not have is shown as "?". */
function pdfText(text: string): string {
  const bytes = [...text].map((character) => {
    const similar = SIMILAR[character] ?? character;
    const code = similar.codePointAt(0)!;
    const windows = WINDOWS.indexOf(similar);
    return windows >= 0 ? 0x80 + windows : code < 0x80 || (code >= 0xa0 && code <= 0xff) ? code : 0x3f;
  });
  return `<${bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("")}>`;
}

/**
 * Mean width of a character of Helvetica and the width of Courier's, in ems: standard fonts are not in the file, nor
 * are their widths.
 */
const HELVETICA = 0.5;
const COURIER = 0.6;

/** One page of the picture's size. Text is in the fonts that every reader has. */
export class PdfPen implements Pen {
  readonly #out: string[] = [];

  #color(color: string, operator: "rg" | "RG"): string {
    return `${[1, 3, 5].map((at) => Math.round((parseInt(color.slice(at, at + 2), 16) / 255) * 1000) / 1000).join(" ")} ${operator}`;
  }

  rect(x: number, y: number, width: number, height: number, fill: string): void {
    this.#out.push(`${this.#color(fill, "rg")} ${n(x)} ${n(y)} ${n(width)} ${n(height)} re f`);
  }

  stroke(path: string, color: string, width: number, dashed = false): void {
    const operators: string[] = [];
    let [x, y] = [0, 0];
    for (const [, command, list] of path.matchAll(/([MLCQ])([^MLCQ]*)/g)) {
      const at = (list.match(/-?[\d.]+/g) ?? []).map(Number);
      if (command === "Q") {
        const [cx, cy, ex, ey] = at;
        // The same curve as a cubic one.
        operators.push(
          `${[x + (2 / 3) * (cx - x), y + (2 / 3) * (cy - y), ex + (2 / 3) * (cx - ex), ey + (2 / 3) * (cy - ey), ex, ey].map(n).join(" ")} c`,
        );
      } else operators.push(`${at.map(n).join(" ")} ${command === "M" ? "m" : command === "L" ? "l" : "c"}`);
      [x, y] = at.slice(-2);
    }
    const line = `${this.#color(color, "RG")} ${n(width)} w ${operators.join(" ")} S`;
    this.#out.push(dashed ? `[5 3] 0 d 0 J ${line} [] 0 d 1 J` : line);
  }

  dot(x: number, y: number, radius: number, fill: string): void {
    // A line of no length with round ends.
    this.#out.push(`${this.#color(fill, "RG")} ${n(2 * radius)} w ${n(x)} ${n(y)} m ${n(x)} ${n(y)} l S`);
  }

  triangle(x: number, y: number, half: number, fill: string): void {
    this.#out.push(
      `${this.#color(fill, "rg")} ${n(x - half)} ${n(y)} m ${n(x + half)} ${n(y)} l ${n(x)} ${n(y + 1.6 * half)} l f`,
    );
  }

  text(x: number, y: number, text: string, { fill, size = 10, mono, bold, rotate = 0, anchor }: TextStyle): void {
    const angle = (rotate * Math.PI) / 180;
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const back = anchor === "end" ? [...text].length * size * (mono ? COURIER : HELVETICA) : 0;
    const four = (value: number): string => String(Math.round(value * 1e4) / 1e4);
    // The page is mirrored to have y downward; text is mirrored back.
    const matrix = [cos, sin, sin, -cos].map(four).join(" ");
    this.#out.push(
      `BT ${this.#color(fill, "rg")} /${mono ? (bold ? "B" : "M") : "H"} ${size} Tf ${matrix} ${n(x - back * cos)} ${n(y - back * sin)} Tm ${pdfText(text)} Tj ET`,
    );
  }

  document(width: number, height: number): Buffer {
    const content = deflateSync(Buffer.from(`1 0 0 -1 0 ${height} cm 1 J 1 j\n${this.#out.join("\n")}`, "latin1"), {
      level: 9,
    });
    const font = (name: string): string => `<</Type/Font/Subtype/Type1/BaseFont/${name}/Encoding/WinAnsiEncoding>>`;
    const objects: (string | Buffer)[] = [
      "<</Type/Catalog/Pages 2 0 R>>",
      "<</Type/Pages/Kids[3 0 R]/Count 1>>",
      `<</Type/Page/Parent 2 0 R/MediaBox[0 0 ${width} ${height}]/Contents 4 0 R/Resources<</Font<</H 5 0 R/M 6 0 R/B 7 0 R>>>>>>`,
      Buffer.concat([
        Buffer.from(`<</Length ${content.length}/Filter/FlateDecode>>\nstream\n`),
        content,
        Buffer.from("\nendstream"),
      ]),
      font("Helvetica"),
      font("Courier"),
      font("Courier-Bold"),
    ];
    const parts: Buffer[] = [Buffer.from("%PDF-1.4\n%\u00e2\u00e3\u00cf\u00d3\n", "latin1")];
    let length = parts[0].length;
    const at: number[] = [];
    objects.forEach((object, i) => {
      at.push(length);
      const part = Buffer.concat([
        Buffer.from(`${i + 1} 0 obj\n`),
        Buffer.isBuffer(object) ? object : Buffer.from(object),
        Buffer.from("\nendobj\n"),
      ]);
      parts.push(part);
      length += part.length;
    });
    const rows = at.map((offset) => `${String(offset).padStart(10, "0")} 00000 n \n`);
    parts.push(
      Buffer.from(
        `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${rows.join("")}trailer\n<</Size ${objects.length + 1}/Root 1 0 R>>\nstartxref\n${length}\n%%EOF\n`,
      ),
    );
    return Buffer.concat(parts);
  }
}
