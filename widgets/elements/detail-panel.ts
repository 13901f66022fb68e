import { css, html } from "lit";
import type { TemplateResult } from "lit";
import { parseNode } from "../../src/protocol";
import { define, LmtElement } from "../core/element";
import "./effect-table";
import "./head-bars";
import "./neuron-bars";
import "./token-table";

/**
 * What there is to know of what was clicked: a state's top tokens, an attention edge's heads, a feed-forward block's
 * neurons.
 */
export class DetailPanelElement extends LmtElement {
  static override styles = [
    LmtElement.styles,
    css`
      :host {
        --lmt-table-height: var(--lmt-detail-height, 330px);
      }
      .hint {
        padding: 18px 16px;
        border: 1px dashed var(--_line-strong);
        border-radius: 8px;
        color: var(--_text-soft);
      }
      .hint p {
        margin: 0 0 8px;
      }
      ul {
        margin: 0;
        padding: 0;
        list-style: none;
        display: grid;
        gap: 5px;
      }
      li span {
        display: inline-block;
        width: 20px;
        text-align: center;
      }
      section + section {
        margin-top: 16px;
      }
    `,
  ];

  protected override render(): TemplateResult {
    const focus = this.selected.focus;
    const pass = (element: "tokens" | "heads" | "neurons" | "effect"): TemplateResult => {
      switch (element) {
        case "tokens":
          return html`<section><lmt-token-table .source=${this.source} .selection=${this.store}></lmt-token-table></section>`;
        case "heads":
          return html`<section><lmt-head-bars .source=${this.source} .selection=${this.store}></lmt-head-bars></section>`;
        case "neurons":
          return html`<section><lmt-neuron-bars .source=${this.source} .selection=${this.store}></lmt-neuron-bars></section>`;
        case "effect":
          return html`<section><lmt-effect-table .source=${this.source} .selection=${this.store}></lmt-effect-table></section>`;
      }
    };
    if (!this.source || !focus) {
      return html`<div class="hint">
        <p>Click in the graph to look closer.</p>
        <ul>
          <li><span aria-hidden="true">●</span> a state: the tokens that it would predict</li>
          <li><span aria-hidden="true">╱</span> an attention edge: its heads</li>
          <li><span aria-hidden="true">■</span> a feed-forward block: its neurons</li>
          <li><span aria-hidden="true">▼</span> a triangle: the routes of that token</li>
        </ul>
      </div>`;
    }
    if (focus.kind === "ffn") return html`${pass("neurons")}${pass("effect")}`;
    if (focus.kind === "edge") return html`${pass("heads")}${pass("effect")}`;
    return parseNode(focus.node)?.kind === "X" ? pass("tokens") : html`${pass("tokens")}${pass("effect")}`;
  }
}

define("lmt-detail-panel", DetailPanelElement);
