import { css, html } from "lit";
import type { PropertyValues, TemplateResult } from "lit";
import { routesQuestion } from "../../src/protocol";
import { Ask } from "../core/ask";
import { define } from "../core/element";
import type { DrawnEdge } from "../core/routes";
import { drawnRoutes } from "../core/routes";
import "./guide";
import { BESIDE, PanelElement } from "./panel";
import "./prompt-strip";

/** From this width on the blocks have a column of their own, as in the paper's figure. */
const WIDE = 1320;

/**
 * The whole tool: the graph, and beside it what is selected: heads or neurons, top tokens, promoted and suppressed
 * tokens, maps, lens, and a token's way through the layers. It opens with its story: the strongest attention edge into
 * the start token is selected, with the head that carries most of it. Elements in the slot `controls` (model, prompts)
 * go above. Parts: `graph`, `blocks`, `tokens`, `effect`, `maps`, `follow`.
 */
export class ExplorerElement extends PanelElement {
  static override parts = [...PanelElement.parts, "graph", "maps", "follow", "lens"];
  static override styles = [
    PanelElement.styles,
    css`
      .bar {
        gap: 4px 18px;
        justify-content: space-between;
        align-items: flex-start;
        flex-wrap: nowrap;
      }
      .bar lmt-prompt-strip {
        flex: 1 1 420px;
        min-width: 0;
      }
      .model {
        flex: none;
        color: var(--_text-soft);
        font-size: 11.5px;
        text-align: end;
        padding-top: 3px;
      }
      .beside .body {
        grid-template-columns: minmax(0, 1fr) minmax(310px, 390px);
      }
      .wide .body {
        grid-template-columns: minmax(0, 1fr) minmax(640px, 780px);
      }
    `,
  ];

  readonly #routes = new Ask(this, () => (this.#untold ? routesQuestion(this.selected) : undefined));
  /** The source whose story was begun: a selection that someone cleared stays cleared. */
  #told: unknown;

  /** Nothing was selected yet in this run, by anyone. */
  get #untold(): boolean {
    const { focus, head, neuron, token, origin, contrast, writer } = this.selected;
    return (
      this.source !== undefined &&
      // A drawer over the graph is for what someone clicked.
      this.width >= BESIDE &&
      this.#told !== this.source &&
      writer === "" &&
      [focus, head, neuron, token, origin, contrast].every((part) => part === null)
    );
  }

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed);
    const answer = this.#routes.value;
    if (!answer || !this.#untold) return;
    this.#told = this.source;
    const edge = this.#strongest();
    const head = edge?.heads[0]?.head;
    if (!edge) return;
    // Not while this element is being drawn for the selection that it would change.
    void this.updateComplete.then(() => {
      this.select({
        focus: { kind: "edge", source: edge.source, target: edge.target },
        head: head === undefined ? null : { layer: edge.to.layer, head },
      });
    });
  }

  /** The attention edge by which most reaches the start token from another one. */
  #strongest(): DrawnEdge | undefined {
    const facts = this.source?.facts;
    const answer = this.#routes.value;
    if (!facts || !answer) return undefined;
    try {
      return drawnRoutes(answer, facts.model, facts.tokens.length)
        .edges.filter(
          ({ kind, from, to }) =>
            kind === "attention" && to.position === this.selected.start && from.position !== to.position,
        )
        .reduce<DrawnEdge | undefined>((best, edge) => (best && best.weight >= edge.weight ? best : edge), undefined);
    } catch {
      // The graph says what is wrong with the routes.
      return undefined;
    }
  }

  protected override render(): TemplateResult {
    const facts = this.source?.facts;
    if (!facts) return html`<slot name="controls"></slot><div class="note">No run to explore yet.</div>`;
    const width = this.width >= WIDE ? "wide" : this.width >= BESIDE ? "beside" : "";
    return html`<div class=${width}>
      <slot name="controls"></slot>
      <div class="bar">
        <lmt-prompt-strip .source=${this.source} .selection=${this.store}></lmt-prompt-strip>
        <div class="model">${facts.model.name}<br />${facts.model.nLayers} layers, ${facts.model.nHeads} heads · ${facts.model.dtype}, ${facts.model.device}<br /><lmt-keeping></lmt-keeping> <lmt-guide .source=${this.source} .selection=${this.store}></lmt-guide></div>
      </div>
      <div class="body">
        <div part="graph">
          ${this.renderRemoved()}
          <lmt-flow-graph .taken=${this.taken} .noHere=${this.width >= BESIDE} .fit=${this.fit} .height=${this.height} .source=${this.source} .selection=${this.store}></lmt-flow-graph>
        </div>
        ${this.renderDetail(true, width === "wide")}
      </div>
    </div>`;
  }
}

define("lmt-explorer", ExplorerElement);
