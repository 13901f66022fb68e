import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import { parseNode } from "../../src/protocol";
import { define } from "../core/element";
import "./effect-table";
import "./follow-chart";
import "./head-bars";
import "./neuron-bars";
import { PanelElement } from "./panel";
import "./prompt-strip";
import "./matrix/token-matrix";
import "./token-table";

/** From this width on the graph, the blocks, the tokens and the effect stand side by side, as in the paper's figure. */
const WIDE = 1320;
const MIDDLE = 720;

/**
 * The whole tool: graph, heads or neurons of what is selected, top tokens, promoted and suppressed tokens, and below
 * them the maps of the head and the followed token. Elements in the slot `controls` (model, prompts) go above. Parts:
 * `graph`, `blocks`, `tokens`, `effect`, `maps`, `follow`.
 */
export class ExplorerElement extends PanelElement {
  static override parts = [...PanelElement.parts, "graph", "blocks", "tokens", "effect", "maps", "follow"];
  static override styles = [
    PanelElement.styles,
    css`
      .bar {
        gap: 4px 18px;
        justify-content: space-between;
        align-items: flex-start;
      }
      .bar lmt-prompt-strip {
        flex: 1 1 420px;
        min-width: 0;
      }
      .model {
        color: var(--_text-soft);
        font-size: 11.5px;
        text-align: end;
        padding-top: 3px;
      }
      .body {
        gap: 16px 24px;
        align-items: start;
        grid-template-areas: "graph" "blocks" "tokens" "effect";
        grid-template-columns: minmax(0, 1fr);
      }
      .middle .body {
        grid-template-areas: "graph blocks" "graph tokens" "graph effect" "graph rest";
        grid-template-columns: minmax(0, 1fr) minmax(290px, 350px);
        grid-template-rows: auto auto auto 1fr;
      }
      .wide .body {
        grid-template-areas: "graph blocks tokens effect";
        grid-template-columns: minmax(0, 1fr) 260px 320px 326px;
      }
      .middle {
        --lmt-table-height: 236px;
      }
      .wide {
        --lmt-table-height: 560px;
      }
      [part="graph"] {
        grid-area: graph;
      }
      [part="blocks"] {
        grid-area: blocks;
      }
      [part="tokens"] {
        grid-area: tokens;
      }
      [part="effect"] {
        grid-area: effect;
      }
      .below {
        margin-top: 14px;
        padding-top: 12px;
        border-top: 1px solid var(--_line);
        display: grid;
        gap: 16px 28px;
        grid-template-columns: minmax(0, 1fr);
      }
      .wide .below.both {
        grid-template-columns: minmax(0, 3fr) minmax(0, 2fr);
      }
      .options {
        display: flex;
        flex-wrap: wrap;
        gap: 4px 16px;
        padding-top: 6px;
      }
      .options label {
        display: inline-flex;
        gap: 7px;
        align-items: center;
      }
    `,
  ];

  protected override render(): TemplateResult {
    const facts = this.source?.facts;
    if (!facts) return html`<slot name="controls"></slot><div class="note">No run to explore yet.</div>`;
    const { focus, head, token } = this.selected;
    const place =
      focus?.kind === "node" ? parseNode(focus.node) : focus?.kind === "edge" ? parseNode(focus.target) : undefined;
    // What wrote to the focused state last: attention below an A, the feed-forward block below an I.
    const neurons = focus?.kind === "ffn" || (focus?.kind === "node" && place?.kind === "I");
    const attention = focus?.kind === "edge" || head !== null || (focus?.kind === "node" && place?.kind === "A");
    const width = this.width >= WIDE ? "wide" : this.width >= MIDDLE ? "middle" : "";
    const shared = { source: this.source, selection: this.store };
    const below =
      attention || token !== null
        ? html`<div class="below ${attention && token !== null ? "both" : ""}">
            ${attention ? html`<lmt-token-matrix part="maps" .source=${shared.source} .selection=${shared.selection}></lmt-token-matrix>` : nothing}
            ${token !== null ? html`<lmt-follow-chart part="follow" .source=${shared.source} .selection=${shared.selection}></lmt-follow-chart>` : nothing}
          </div>`
        : nothing;
    return html`<div class=${width}>
      <slot name="controls"></slot>
      <div class="bar">
        <lmt-prompt-strip .source=${shared.source} .selection=${shared.selection}></lmt-prompt-strip>
        <div class="model">${facts.model.name}<br />${facts.model.nLayers} layers, ${facts.model.nHeads} heads · ${facts.model.dtype}, ${facts.model.device}</div>
      </div>
      <div class="body">
        <div part="graph">
          <lmt-flow-graph .source=${shared.source} .selection=${shared.selection}></lmt-flow-graph>
          <div class="options">
            <label title="Apply the model's final norm before reading a state in the vocabulary"
              ><input type="checkbox" .checked=${this.selected.normalize} @change=${(event: Event) => this.select({ normalize: (event.target as HTMLInputElement).checked })} />Normalise before unembedding</label
            >
          </div>
          ${width === "wide" ? nothing : below}
        </div>
        <div part="blocks">
          ${
            neurons
              ? html`<lmt-neuron-bars .source=${shared.source} .selection=${shared.selection}></lmt-neuron-bars>`
              : html`<lmt-head-bars .source=${shared.source} .selection=${shared.selection}></lmt-head-bars>`
          }
        </div>
        <div part="tokens"><lmt-token-table .source=${shared.source} .selection=${shared.selection}></lmt-token-table></div>
        <div part="effect"><lmt-effect-table .source=${shared.source} .selection=${shared.selection}></lmt-effect-table></div>
      </div>
      ${width === "wide" ? below : nothing}
    </div>`;
  }
}

define("lmt-explorer", ExplorerElement);
