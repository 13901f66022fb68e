import { select } from "d3-selection";
import { zoom, zoomIdentity, zoomTransform } from "d3-zoom";
import type { D3ZoomEvent, ZoomBehavior, ZoomTransform } from "d3-zoom";
import type { ReactiveController, ReactiveControllerHost } from "lit";

export interface ZoomOptions {
  /** Whether a press of so many fingers (0: the mouse's first button) takes hold of the picture. */
  readonly grabs: (fingers: number) => boolean;
  /** The transform is another. */
  readonly moved: () => void;
}

type Corners = [[number, number], [number, number]];

/** How far the picture can be zoomed and moved, in CSS pixels of its target. */
export interface ZoomLimits {
  readonly scale: readonly [number, number];
  /** Corners of what is in view. */
  readonly view: Corners;
  /** Corners of the whole, at scale 1. */
  readonly whole: Corners;
}

/**
 * Zoom and pan of a picture: by Ctrl and wheel, by dragging, by touch and by call. Several targets may share the
 * transform: what one of them is moved by, the others are too. While the picture is dragged the target has the class
 * `panning`.
 */
export class ZoomController<T extends HTMLElement | SVGSVGElement> implements ReactiveController {
  readonly #zoom: ZoomBehavior<T, unknown>;
  #targets: readonly T[] = [];
  #transform: ZoomTransform = zoomIdentity;
  /** The others are being told: not news. */
  #telling = false;

  constructor(host: ReactiveControllerHost, { grabs, moved }: ZoomOptions) {
    this.#zoom = zoom<T, unknown>()
      // The page scrolls by the wheel; the picture zooms by it only on purpose.
      .filter((event: MouseEvent | TouchEvent) => {
        if (event.type === "wheel") return event.ctrlKey || event.metaKey;
        return "touches" in event ? grabs(event.touches.length) : !event.button && grabs(0);
      })
      .clickDistance(4)
      .on("zoom", (event: D3ZoomEvent<T, unknown>) => {
        if (this.#telling) return;
        this.#transform = event.transform;
        if ((event.sourceEvent as Event | null)?.type === "mousemove")
          for (const target of this.#targets) target.classList.add("panning");
        this.#tell(event.transform);
        moved();
      })
      .on("end", () => {
        if (!this.#telling) for (const target of this.#targets) target.classList.remove("panning");
      });
    host.addController(this);
  }

  /** Where the picture is: how it is moved and scaled. */
  get transform(): ZoomTransform {
    return this.#transform;
  }

  /** Makes these the targets. Those that already are stay as they are. */
  attach(targets: readonly T[]): void {
    if (targets.length === this.#targets.length && targets.every((target, i) => target === this.#targets[i])) return;
    const before = new Set(this.#targets);
    this.#targets = targets;
    for (const target of targets) if (!before.delete(target)) this.#listen(target);
    for (const target of before) this.#leave(target);
  }

  limit({ scale, view, whole }: ZoomLimits): void {
    this.#zoom
      .scaleExtent([...scale])
      .extent(view)
      .translateExtent(whole);
  }

  /** Back to the beginning, without news of it: for a picture that is about to be drawn anew. */
  reset(): void {
    this.#transform = zoomIdentity;
    this.#tell(zoomIdentity);
  }

  /** Puts the picture where `transform` says. */
  to(transform: ZoomTransform): void {
    if (this.#targets.length > 0) this.#zoom.transform(select(this.#targets[0]), transform);
  }

  /** Scales about a point of the target, else about the middle of the view. */
  by(factor: number, about?: [number, number]): void {
    if (this.#targets.length > 0) this.#zoom.scaleBy(select(this.#targets[0]), factor, about);
  }

  /** Moves by so many units of the picture. */
  move(x: number, y: number): void {
    if (this.#targets.length > 0) this.#zoom.translateBy(select(this.#targets[0]), x, y);
  }

  hostConnected(): void {
    for (const target of this.#targets) this.#listen(target);
  }

  hostDisconnected(): void {
    for (const target of this.#targets) this.#leave(target);
  }

  #listen(target: T): void {
    select(target).call(this.#zoom).on("dblclick.zoom", null);
    this.#tell(this.#transform, [target]);
  }

  #leave(target: T): void {
    select(target).on(".zoom", null);
    target.classList.remove("panning");
  }

  #tell(transform: ZoomTransform, targets: readonly T[] = this.#targets): void {
    if (this.#telling) return;
    this.#telling = true;
    try {
      for (const target of targets)
        if (zoomTransform(target) !== transform) this.#zoom.transform(select(target), transform);
    } finally {
      this.#telling = false;
    }
  }
}
