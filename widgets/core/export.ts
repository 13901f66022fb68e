/** Pictures and tables as files, made in the browser, sent nowhere. */

/** Endings of the files that pictures and tables are saved as. */
export type SaveFormat = "svg" | "png" | "csv";

/** Where the next file goes instead of the user's downloads. */
let taker: ((blob: Blob) => void) | undefined;
let taking: Promise<unknown> = Promise.resolve();

/** The file that `save` would have downloaded. Saves follow each other, so that each gets its own file. */
export function captured(save: () => void | Promise<void>): Promise<Blob> {
  const next = taking.then(async () => {
    let file: Blob | undefined;
    taker = (blob) => (file = blob);
    try {
      await save();
    } finally {
      taker = undefined;
    }
    if (!file) throw new Error("There is nothing to save yet: the picture has no answer so far.");
    return file;
  });
  taking = next.catch(() => undefined);
  return next;
}

/** Offers `blob` as a download. */
export function download(blob: Blob, fileName: string): void {
  if (taker) return taker(blob);
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = fileName;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const PAINT = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-width",
  "stroke-opacity",
  "stroke-linecap",
  "stroke-dasharray",
  "opacity",
  "font",
  "text-anchor",
  "display",
  "visibility",
] as const;

/**
 * The picture as a file of its own: what the style sheet says is written onto each mark. Text stays text. Canvases of
 * the same size that lie beneath it become images in the file.
 */
export function svgText(svg: SVGSVGElement, beneath: readonly HTMLCanvasElement[] = []): string {
  return new XMLSerializer().serializeToString(svgCopy(svg, beneath));
}

function svgCopy(svg: SVGSVGElement, beneath: readonly HTMLCanvasElement[]): SVGSVGElement {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const marks = svg.querySelectorAll<SVGElement>("*");
  const invisible: Element[] = [];
  copy.querySelectorAll<SVGElement>("*").forEach((mark, index) => {
    // What only catches the pointer has no place in a file.
    if (mark.classList.contains("hit") || mark.classList.contains("hits")) invisible.push(mark);
    const style = getComputedStyle(marks[index]);
    mark.removeAttribute("class");
    const clip = mark.style.clipPath;
    mark.removeAttribute("style");
    if (mark.tagName !== "g") for (const name of PAINT) mark.style.setProperty(name, style.getPropertyValue(name));
    if (clip) mark.style.clipPath = clip;
  });
  for (const mark of invisible) mark.remove();
  for (const name of ["tabindex", "class", "style"]) copy.removeAttribute(name);
  const width = svg.getAttribute("width") ?? "0";
  const height = svg.getAttribute("height") ?? "0";
  copy.setAttribute("viewBox", `0 0 ${width} ${height}`);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.prepend(
    svgElement("rect", { width, height, fill: groundColor(svg) }),
    ...beneath.map((canvas) => svgElement("image", { width, height, href: canvas.toDataURL("image/png") })),
  );
  return copy;
}

/** A picture on the page: an SVG, and the canvases beneath it. */
export interface ShownPicture {
  readonly svg: SVGSVGElement;
  readonly beneath: readonly HTMLCanvasElement[];
}

/** Downloads several pictures as one, each where it lies on the page. */
export async function savePictures(
  pictures: readonly ShownPicture[],
  name: string,
  format: "svg" | "png",
): Promise<void> {
  if (pictures.length === 0) return;
  const places = pictures.map(({ svg }) => svg.getBoundingClientRect());
  const [left, top] = [Math.min(...places.map((place) => place.left)), Math.min(...places.map((place) => place.top))];
  const size = {
    width: Math.ceil(Math.max(...places.map((place) => place.right)) - left),
    height: Math.ceil(Math.max(...places.map((place) => place.bottom)) - top),
  };
  const all = svgElement("svg", { ...size, viewBox: `0 0 ${size.width} ${size.height}` }) as SVGSVGElement;
  all.append(svgElement("rect", { ...size, fill: groundColor(pictures[0].svg) }));
  pictures.forEach(({ svg, beneath }, i) => {
    const copy = svgCopy(svg, beneath);
    copy.setAttribute("x", String(places[i].left - left));
    copy.setAttribute("y", String(places[i].top - top));
    all.append(copy);
  });
  const text = new XMLSerializer().serializeToString(all);
  if (format === "svg") return download(new Blob([text], { type: "image/svg+xml" }), `${name}.svg`);
  await saveImage(await imageOf(text), size, `${name}.png`);
}

/** An element of an SVG that is built for a file. */
export function svgElement(tag: string, attributes: Readonly<Record<string, string | number>>, text = ""): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.textContent = text;
  return element;
}

/** Downloads an SVG that was built for a file, on the ground of the element that it shows. */
export function saveBuiltSvg(
  marks: readonly SVGElement[],
  size: { readonly width: number; readonly height: number },
  shown: Element,
  fileName: string,
): void {
  const svg = svgElement("svg", { ...size, viewBox: `0 0 ${size.width} ${size.height}` });
  svg.append(svgElement("rect", { ...size, fill: groundColor(shown) }), ...marks);
  download(new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" }), fileName);
}

/** The same as a PNG, twice the size unless that is more than a canvas can be. */
export async function saveBuiltPng(
  marks: readonly SVGElement[],
  size: { readonly width: number; readonly height: number },
  shown: Element,
  fileName: string,
): Promise<void> {
  const svg = svgElement("svg", { ...size, viewBox: `0 0 ${size.width} ${size.height}` });
  svg.append(svgElement("rect", { ...size, fill: groundColor(shown) }), ...marks);
  const image = new Image();
  const url = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" }));
  try {
    image.src = url;
    await image.decode();
    const scale = Math.min(2, 16_000 / size.width, 16_000 / size.height);
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(scale * size.width);
    canvas.height = Math.round(scale * size.height);
    canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    await saveBlob(canvas, fileName);
  } finally {
    URL.revokeObjectURL(url);
  }
}

function groundColor(element: Element): string {
  const host = (element.getRootNode() as ShadowRoot).host as HTMLElement | undefined;
  const color = host ? getComputedStyle(host).getPropertyValue("--_surface").trim() : "";
  return color || "#ffffff";
}

export function saveSvg(svg: SVGSVGElement, fileName: string, beneath: readonly HTMLCanvasElement[] = []): void {
  download(new Blob([svgText(svg, beneath)], { type: "image/svg+xml" }), fileName);
}

/** An SVG document as an image's address. Half a character, which a token may end with, has no bytes. */
export function svgAddress(svg: string): string {
  const whole = svg.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
  return `data:image/svg+xml;charset=utf-8,${encodeURIComponent(whole)}`;
}

async function imageOf(svg: string): Promise<HTMLImageElement> {
  const image = new Image();
  image.src = svgAddress(svg);
  await image.decode();
  return image;
}

const svgImage = (svg: SVGSVGElement): Promise<HTMLImageElement> => imageOf(svgText(svg));

/** Twice the size on screen. */
async function saveImage(
  image: HTMLImageElement,
  { width, height }: { readonly width: number; readonly height: number },
  fileName: string,
): Promise<void> {
  const canvas = document.createElement("canvas");
  canvas.width = 2 * width;
  canvas.height = 2 * height;
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  await saveBlob(canvas, fileName);
}

export async function savePng(svg: SVGSVGElement, fileName: string): Promise<void> {
  await saveImage(
    await svgImage(svg),
    { width: Number(svg.getAttribute("width")), height: Number(svg.getAttribute("height")) },
    fileName,
  );
}

/** Canvases of one size with an SVG of the same size on top. */
export async function saveCanvas(
  layers: readonly HTMLCanvasElement[],
  svg: SVGSVGElement | undefined,
  fileName: string,
): Promise<void> {
  const canvas = document.createElement("canvas");
  canvas.width = layers[0].width;
  canvas.height = layers[0].height;
  const context = canvas.getContext("2d");
  if (!context) return;
  if (svg) context.drawImage(await svgImage(svg), 0, 0, canvas.width, canvas.height);
  else {
    context.fillStyle = groundColor(layers[0]);
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  for (const layer of layers) context.drawImage(layer, 0, 0, canvas.width, canvas.height);
  await saveBlob(canvas, fileName);
}

async function saveBlob(canvas: HTMLCanvasElement, fileName: string): Promise<void> {
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (blob) download(blob, fileName);
}

/** RFC 4180. A text that a spreadsheet would take for a formula gets a quote before it. */
export function csvText(rows: readonly (readonly (string | number)[])[]): string {
  const cell = (value: string | number): string => {
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

export function saveCsv(rows: readonly (readonly (string | number)[])[], fileName: string): void {
  download(new Blob([csvText(rows)], { type: "text/csv;charset=utf-8" }), fileName);
}
