import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import { define } from "../core/element";
import "./detail-panel";
import { PanelElement } from "./panel";
import "./prompt-strip";

/**
 * Graph and detail side by side, below each other where there is no room. What the library's `flowGraph(run)` shows.
 */
export class FlowPanelElement extends PanelElement {
  static override styles = [
    PanelElement.styles,
    css`
      .body.wide {
        grid-template-columns: minmax(0, 1fr) minmax(300px, 380px);
      }
    `,
  ];

  static override properties = {
    ...PanelElement.properties,
    detail: { type: Boolean },
    colorBy: { attribute: "color-by" },
    compact: { type: Boolean },
  };

  /** Show what is selected beside the graph. */
  declare detail: boolean;
  /** The graph's own options; see there. */
  declare colorBy: string;
  declare compact: boolean;

  constructor() {
    super();
    this.detail = true;
    this.colorBy = "contribution";
    this.compact = false;
  }

  protected override render(): TemplateResult {
    return html`
      <lmt-prompt-strip .source=${this.source} .selection=${this.store}></lmt-prompt-strip>
      <div class="body ${this.detail && this.width >= 700 ? "wide" : ""}">
        <lmt-flow-graph .colorBy=${this.colorBy} .compact=${this.compact} .source=${this.source} .selection=${this.store}></lmt-flow-graph>
        ${this.detail ? html`<lmt-detail-panel .source=${this.source} .selection=${this.store}></lmt-detail-panel>` : nothing}
      </div>
    `;
  }
}

define("lmt-flow-panel", FlowPanelElement);
