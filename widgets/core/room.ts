import type { ReactiveController, ReactiveControllerHost } from "lit";

/** Of the window's height what a picture takes, so that all of it is in view between a notebook's bars. */
const SHARE_OF_WINDOW = 0.7;
const SHARE_OF_SCREEN = 0.92;

/** How much height there is for a picture; its host is drawn again when the window is another size. */
export class Room implements ReactiveController {
  constructor(private readonly host: ReactiveControllerHost) {
    host.addController(this);
  }

  /** Height in CSS pixels that graph and detail should not pass, tool bars among them. */
  get height(): number {
    const share = document.fullscreenElement ? SHARE_OF_SCREEN : SHARE_OF_WINDOW;
    return Math.round(Math.max(400, Math.min(1400, innerHeight * share)));
  }

  hostConnected(): void {
    addEventListener("resize", this.#changed);
  }

  hostDisconnected(): void {
    removeEventListener("resize", this.#changed);
  }

  readonly #changed = (): void => this.host.requestUpdate();
}
