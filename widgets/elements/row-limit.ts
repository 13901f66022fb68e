import { html, nothing } from "lit";
import type { ReactiveController, ReactiveControllerHost, TemplateResult } from "lit";

/**
 * A list of which only the first rows are shown until someone asks for all: a box that scrolls within a page catches the
 * wheel, and what is longer than the window hides what stands below.
 */
export class RowLimit implements ReactiveController {
  #open = false;
  #about = "";

  constructor(private readonly host: ReactiveControllerHost) {
    host.addController(this);
  }

  hostUpdate(): void {
    // Only a controller with a hook is one.
  }

  /**
   * How many of `count` rows are shown.
   *
   * @param rows what there is room for; 0: all
   * @param about what the list is of: a list of something else is short again
   */
  shown(count: number, rows: number, about: string): number {
    if (about !== this.#about) {
      this.#about = about;
      this.#open = false;
    }
    // A button in place of a single row would hide what it could have shown.
    return rows <= 0 || this.#open || count <= rows + 1 ? count : rows;
  }

  /** The button that shows the rest, or hides it again. */
  renderMore(count: number, shown: number, rows: number): TemplateResult | typeof nothing {
    if (rows <= 0 || count <= rows + 1) return nothing;
    return html`<button class="more" aria-expanded=${this.#open} @click=${this.#toggle}>${shown < count ? `${count - shown} more` : "Fewer"}</button>`;
  }

  readonly #toggle = (): void => {
    this.#open = !this.#open;
    this.host.requestUpdate();
  };
}
