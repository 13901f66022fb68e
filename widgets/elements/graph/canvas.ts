import type { ReactiveController, ReactiveControllerHost } from "lit";
import type { ZoomTransform } from "d3-zoom";
import type { Scene } from "./figure";
import type { Plot } from "./geometry";
import { edgeWidth } from "./ink";
import { PreparedFlow, readPalette } from "./prepared-flow";

/** After so many milliseconds without movement the picture is drawn sharply. */
const SETTLED_MS = 160;

/** What the canvas shows. */
export interface CanvasView {
  readonly canvas: HTMLCanvasElement;
  readonly plot: Plot;
  readonly scene: Scene;
  readonly transform: ZoomTransform;
}

/** Paints a graph that is too large for SVG, at most once a frame; ends with its host. */
export class CanvasLayer implements ReactiveController {
  #prepared: PreparedFlow | undefined;
  #frame = 0;
  #settle: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly host: ReactiveControllerHost & HTMLElement,
    /** Asked in the frame in which it is painted. Undefined: there is nothing to paint. */
    private readonly view: () => CanvasView | undefined,
  ) {
    host.addController(this);
  }

  /** What was painted is no longer what is to be shown. */
  forget(): void {
    this.#prepared = undefined;
  }

  /** Paints in the next frame. */
  paint(): void {
    this.#frame ||= requestAnimationFrame(() => this.#paint(true));
  }

  hostDisconnected(): void {
    clearTimeout(this.#settle);
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  #paint(moving: boolean): void {
    this.#frame = 0;
    const view = this.view();
    if (!view) return;
    const { canvas, plot, scene, transform } = view;
    const { margin, width, height } = plot;
    this.#prepared ??= new PreparedFlow({
      layout: plot.layout,
      model: scene.facts.model,
      nTokens: scene.facts.tokens.length,
      routes: scene.routes,
      from: scene.begin,
      palette: readPalette(this.host),
      edgeWidth,
      edgeColor: scene.color,
    });
    clearTimeout(this.#settle);
    const box = { left: margin.left, top: margin.top, right: width - margin.right, bottom: height - margin.bottom };
    if (this.#prepared.paint(canvas, { transform, box, size: { width, height } }, moving)) return;
    this.#settle = setTimeout(() => this.host.isConnected && this.#paint(false), SETTLED_MS);
  }
}
