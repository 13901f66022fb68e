import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import { define } from "../core/element";
import { BESIDE, PanelElement } from "./panel";
import "./prompt-strip";

/**
 * Graph and detail side by side, the detail over the graph where there is no room. What the library's `flowGraph(run)`
 * shows.
 */
export class FlowPanelElement extends PanelElement {
  static override styles = [
    PanelElement.styles,
    css`
      .body.beside {
        grid-template-columns: minmax(0, 1fr) minmax(300px, 380px);
      }
    `,
  ];

  static override properties = {
    ...PanelElement.properties,
    detail: { type: Boolean },
    colorBy: { attribute: "color-by" },
    compact: { type: Boolean },
    fold: {},
    hideSinks: { type: Boolean, attribute: "hide-sinks" },
  };

  /** Show what is selected beside the graph. */
  declare detail: boolean;
  /** The graph's own options; see there. */
  declare colorBy: string;
  declare compact: boolean;
  declare fold: string;
  declare hideSinks: boolean;

  constructor() {
    super();
    this.detail = true;
    this.colorBy = "contribution";
    this.compact = false;
    this.fold = "auto";
    this.hideSinks = false;
  }

  protected override render(): TemplateResult {
    return html`
      <lmt-prompt-strip .source=${this.source} .selection=${this.store}></lmt-prompt-strip>
      <lmt-keeping></lmt-keeping>
      <div class="body ${this.detail && this.width >= BESIDE ? "beside" : ""}">
        <div>${this.renderRemoved()}<lmt-flow-graph .taken=${this.taken} .noHere=${this.detail && this.width >= BESIDE} .colorBy=${this.colorBy} .compact=${this.compact} .fold=${this.fold} .hideSinks=${this.hideSinks} .fit=${this.fit} .height=${this.height} .source=${this.source} .selection=${this.store}></lmt-flow-graph></div>
        ${this.detail ? this.renderDetail(false) : nothing}
      </div>
    `;
  }
}

define("lmt-flow-panel", FlowPanelElement);
