import { interpolateLab } from "d3-interpolate";
import type { WireTensor } from "../../../src/protocol";
import { ProtocolError } from "../../../src/protocol";

/** 256 colours from the lowest to the highest value, four bytes each. */
export type Ramp = Uint8ClampedArray;

/** The colours of cells as the theme resolves them; resolved again when the theme is another. */
export class MapColors {
  #known: { readonly theme: string; readonly ramp: Ramp } | undefined;

  constructor(private readonly host: HTMLElement & { readonly renderRoot: ParentNode }) {}

  get ramp(): Ramp {
    const style = getComputedStyle(this.host);
    const theme = ["--_map-low", "--_map-high", "--_surface", "--_attention"]
      .map((name) => style.getPropertyValue(name))
      .join();
    if (this.#known?.theme === theme) return this.#known.ramp;
    const mix = interpolateLab(this.#resolved("--_map-low"), this.#resolved("--_map-high"));
    const ramp = new Uint8ClampedArray(256 * 4);
    for (let i = 0; i < 256; i++) {
      const [r, g, b] = mix(i / 255)
        .match(/\d+(\.\d+)?/g)!
        .map(Number);
      ramp.set([r, g, b, 255], i * 4);
    }
    this.#known = { theme, ramp };
    return ramp;
  }

  #resolved(name: string): string {
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    // Cells carry data: they keep their colours where the system has its own.
    probe.style.setProperty("forced-color-adjust", "none");
    this.host.renderRoot.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  }
}

/** What one map shows: values [T, T], target by source. */
export interface MapView {
  readonly title: string;
  readonly hint: string;
  readonly values: Float32Array;
  /** The value that has the strongest colour. */
  readonly most: number;
}

/** Throws a `ProtocolError` where maps are not of the prompt that they are said to be of. */
export function expectShape(map: WireTensor, shape: readonly number[]): void {
  if (map.shape.length !== shape.length || map.shape.some((n, i) => n !== shape[i])) {
    throw new ProtocolError(
      "malformed",
      `These maps have the shape [${map.shape.join(", ")}], but the prompt needs [${shape.join(", ")}].`,
    );
  }
}

/** The largest value, above 0. */
export function peak(values: Float32Array): number {
  let most = 1e-12;
  for (let i = 0; i < values.length; i++) if (values[i] > most) most = values[i];
  return most;
}

/** A [T, T] map made smaller, each cell the largest of those that it stands for. */
export function pooled(values: Float32Array, T: number, cells: number): Float32Array {
  if (cells === T) return values;
  const small = new Float32Array(cells * cells);
  for (let q = 0; q < T; q++) {
    const row = Math.floor((q * cells) / T) * cells;
    for (let k = 0; k <= q; k++) {
      const i = row + Math.floor((k * cells) / T);
      if (values[q * T + k] > small[i]) small[i] = values[q * T + k];
    }
  }
  return small;
}

/**
 * One pixel a cell, its colour by the root of the value: small contributions stay visible beside large ones. Cells
 * above the diagonal stay transparent: they cannot be.
 */
export function cellImage(values: Float32Array, T: number, most: number, ramp: Ramp): ImageData {
  const pixels = new ImageData(T, T);
  const colors = new Uint32Array(ramp.buffer);
  const cells = new Uint32Array(pixels.data.buffer);
  for (let q = 0; q < T; q++) {
    for (let k = 0; k <= q; k++)
      cells[q * T + k] = colors[Math.max(0, Math.min(255, Math.round(255 * Math.sqrt(values[q * T + k] / most))))];
  }
  return pixels;
}

/** The same as a canvas of one pixel a cell. */
export function cellCanvas(values: Float32Array, T: number, most: number, ramp: Ramp): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = T;
  canvas.getContext("2d")?.putImageData(cellImage(values, T, most, ramp), 0, 0);
  return canvas;
}

/** Cells of maps as images of one pixel a cell: made once, however often they are drawn. */
export class CellImages {
  readonly #images = new Map<
    string,
    CellsImage & { readonly values: Float32Array; readonly most: number; readonly ramp: string }
  >();

  /**
   * The cells of a map as an image; where there are more than pixels, each pixel is the largest cell under it: peaks
   * are what one looks for.
   *
   * @param index number of the map
   * @param T tokens
   * @param pixels that the whole map takes now
   * @param smallest pixels that it takes where all of it is seen
   */
  of(index: number, { values, most }: MapView, T: number, pixels: number, smallest: number, ramp: Ramp): CellsImage {
    // A few sizes serve all zooms: one that fits the whole map, and halves of the full size.
    let cells = T;
    while (cells > pixels && cells / 2 > smallest) cells = Math.ceil(cells / 2);
    if (cells > pixels) cells = Math.max(1, Math.floor(smallest));
    const colors = `${ramp.subarray(0, 4).join()} ${ramp.subarray(1020).join()}`;
    const key = `${index} ${cells}`;
    const known = this.#images.get(key);
    if (known && known.values === values && known.most === most && known.ramp === colors) return known;
    for (const [old, image] of this.#images)
      if (old.startsWith(`${index} `) && image.values !== values) this.#images.delete(old);
    const made = { values, most, cells, ramp: colors, canvas: cellCanvas(pooled(values, T, cells), cells, most, ramp) };
    this.#images.set(key, made);
    return made;
  }
}

export interface CellsImage {
  readonly canvas: HTMLCanvasElement;
  /** Cells a side. */
  readonly cells: number;
}
