import { css, html, nothing } from "lit";
import type { PropertyValues, TemplateResult } from "lit";
import { LmtElement } from "../core/element";
import type { SaveFormat } from "../core/export";
import { Room } from "../core/room";
import "./detail-panel";
import "./keeping";
import "./removed";
import { FlowGraphElement } from "./graph/flow-graph";

/** From this width on the detail stands beside the graph; below, it is a drawer beside what was clicked. */
export const BESIDE = 700;
/** Least height of a drawer that is worth opening, with the first rows of its tables. */
const DRAWER = 330;

/** What elements have in common that put a graph and its surroundings onto one surface. */
export abstract class PanelElement extends LmtElement {
  static override formats: readonly SaveFormat[] = ["svg", "png", "csv"];
  static override parts: readonly string[] = [...FlowGraphElement.parts, "blocks", "tokens", "effect"];
  static override styles = [
    LmtElement.styles,
    css`
      :host {
        padding: 10px 14px 12px;
        background: var(--_surface);
      }
      :host(:fullscreen) {
        overflow: auto;
      }
      .body {
        position: relative;
        display: grid;
        gap: 14px 22px;
        margin-top: 8px;
        padding-top: 8px;
        border-top: 1px solid var(--_line);
      }
      .body > *,
      .pair > * {
        min-width: 0;
      }
      .detail {
        align-self: start;
        position: sticky;
        top: 0;
      }
      .drawer {
        position: absolute;
        z-index: 5;
        inset-inline: 0;
        padding: 10px 12px;
        border: 1px solid var(--_line-strong);
        border-radius: 9px;
        background: var(--_raised);
        box-shadow: 0 6px 24px rgb(0 0 0 / 22%);
        overflow: auto;
        overscroll-behavior: auto;
      }
      .bar {
        display: flex;
        flex-wrap: wrap;
        gap: 6px 16px;
        align-items: center;
      }
    `,
  ];

  static override properties = {
    ...LmtElement.properties,
    height: { type: Number },
    fit: { type: Boolean },
    taken: { state: true },
  };

  /** Height of graph and detail in CSS pixels; 0: what fits into the window. */
  declare height: number;
  /** All tokens and layers of the graph in view, however small. */
  declare fit: boolean;

  /** Height of what says what is removed. */
  declare protected taken: number;

  readonly #room = new Room(this);

  constructor() {
    super();
    this.taken = 0;
    this.height = 0;
    this.fit = false;
  }

  /** Height that graph and detail share. */
  protected get room(): number {
    return this.height > 0 ? Math.max(240, this.height) : this.#room.height;
  }

  protected get graph(): FlowGraphElement | null {
    return this.renderRoot.querySelector<FlowGraphElement>("lmt-flow-graph");
  }

  /** What is removed, and what is then predicted: above the graph, which makes room. */
  protected renderRemoved(): TemplateResult {
    return html`<lmt-removed .source=${this.source} .selection=${this.store} @lmt-height=${(event: CustomEvent<number>) => (this.taken = event.detail)}></lmt-removed>`;
  }

  /** What is selected, beside the graph or, where there is no room, over it. `full`: with maps, lens and chart. */
  protected renderDetail(full: boolean, wide = false): TemplateResult | typeof nothing {
    const detail = (drawer: boolean): TemplateResult =>
      html`<lmt-detail-panel .full=${full} .wide=${wide} .drawer=${drawer} .room=${drawer ? DRAWER * 1.4 : this.room} .source=${this.source} .selection=${this.store}></lmt-detail-panel>`;
    if (this.width >= BESIDE) return html`<div class="detail">${detail(false)}</div>`;
    const { focus, token } = this.selected;
    if (!focus && token === null) return nothing;
    return html`<div class="drawer" role="dialog" aria-label="What is selected" @keydown=${this.#drawerKey}>${detail(true)}</div>`;
  }

  protected override updated(changed: PropertyValues): void {
    super.updated(changed);
    this.#placeDrawer();
  }

  /** Below what was clicked or above, where there is more room: within the window, and within what holds the picture. */
  #placeDrawer(): void {
    const drawer = this.renderRoot.querySelector<HTMLElement>(".drawer");
    const body = drawer?.parentElement?.getBoundingClientRect();
    const { focus } = this.selected;
    if (!drawer || !body) return;
    const own = this.getBoundingClientRect();
    const at = focus ? this.graph?.whereIs(focus)?.y : undefined;
    const y = Math.max(0, Math.min(innerHeight, at ?? body.top + 40));
    const below = Math.min(innerHeight, own.bottom) - y - 22;
    const above = y - Math.max(0, own.top) - 22;
    drawer.style.maxHeight = `${Math.max(200, Math.min(560, Math.max(below, above)))}px`;
    if (below >= DRAWER || below >= above) {
      drawer.style.top = `${y - body.top + 14}px`;
      drawer.style.bottom = "auto";
    } else {
      drawer.style.top = "auto";
      drawer.style.bottom = `${body.bottom - y + 14}px`;
    }
  }

  readonly #drawerKey = (event: KeyboardEvent): void => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    this.select({ focus: null, head: null, neuron: null, token: null });
    this.graph?.focusPlot();
  };

  /** Downloads the graph, or its edges. */
  async save(format: SaveFormat): Promise<void> {
    await this.graph?.save(format);
  }
}
