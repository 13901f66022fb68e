import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import { nodeName, shortText, visibleText } from "../../src/protocol";
import { Ask } from "../core/ask";
import { define, LmtElement } from "../core/element";
import { saveCsv } from "../core/export";
import { percent } from "../core/format";
import "./menu";

/** Columns that are in the page at once; longer prompts are leafed through. */
const PAGE = 96;

/**
 * What every state would predict: its top token, layers upward, tokens along x, coloured by the top token's probability or by the
 * distribution's entropy. A click selects the state.
 */
export class LensGridElement extends LmtElement {
  static override styles = [
    LmtElement.styles,
    css`
      :host {
        min-height: 60px;
        /* As strong as text on it stays readable. */
        --ramp: 58%;
      }
      :host([data-theme="dark"]) {
        --ramp: 46%;
      }
      header {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 6px 12px;
        min-height: 30px;
        padding-bottom: 4px;
      }
      header .end {
        margin-inline-start: auto;
        display: inline-flex;
        gap: 6px;
        align-items: center;
      }
      .scale {
        display: inline-flex;
        gap: 5px;
        align-items: center;
        font-size: 11px;
        color: var(--_text-soft);
      }
      .scale i {
        width: 60px;
        height: 8px;
        border-radius: 3px;
        border: 1px solid var(--_line);
        background: linear-gradient(to right in oklab, var(--_surface), color-mix(in oklab, var(--_attention) var(--ramp), var(--_surface)));
      }
      .scroll {
        overflow: auto;
        max-height: var(--lmt-grid-height, 640px);
        scrollbar-width: thin;
      }
      [role="grid"] {
        display: grid;
        grid-template-columns: max-content repeat(var(--columns), minmax(58px, 110px));
        gap: 1px;
        min-width: max-content;
      }
      [role="row"] {
        display: contents;
      }
      [role="rowheader"],
      [role="columnheader"] {
        position: sticky;
        background: var(--_surface);
        color: var(--_text-soft);
        font-size: 11px;
        padding: 1px 6px;
        z-index: 1;
      }
      [role="rowheader"] {
        left: 0;
        text-align: end;
        line-height: 19px;
      }
      [role="columnheader"] {
        bottom: 0;
        text-align: center;
        font-size: 12px;
        color: var(--_text);
        padding: 4px 2px 2px;
        border-top: 1px solid var(--_line-strong);
        overflow: hidden;
        text-overflow: ellipsis;
      }
      [role="gridcell"] {
        font: 11.5px/19px var(--_mono);
        white-space: pre;
        text-align: center;
        padding: 0 4px;
        border-radius: 2px;
        overflow: hidden;
        text-overflow: ellipsis;
        unicode-bidi: isolate;
        cursor: pointer;
        background: color-mix(in oklab, var(--_attention) calc(var(--ramp) * var(--c)), var(--_surface));
      }
      [role="gridcell"]:hover {
        box-shadow: inset 0 0 0 1.5px var(--_text-soft);
      }
      [role="gridcell"][aria-selected="true"] {
        box-shadow: inset 0 0 0 2px var(--_selected);
      }
      [role="gridcell"].pinned {
        text-decoration: underline 2px var(--_selected);
        text-underline-offset: 3px;
      }
    `,
  ];
  static override properties = { ...LmtElement.properties, by: {}, page: { state: true } };

  /** What colours a cell: "probability" or "entropy". */
  declare by: string;
  declare page: number | undefined;

  readonly #grid = new Ask(this, () => ({ kind: "grid" as const, normalize: this.selected.normalize }));

  constructor() {
    super();
    this.by = "probability";
    this.page = undefined;
  }

  protected override render(): TemplateResult {
    const facts = this.source?.facts;
    if (!facts) return html`<div class="note">No run to show yet.</div>`;
    const answer = this.#grid.value;
    const T = facts.tokens.length;
    const L = facts.model.nLayers;
    const pages = Math.ceil(T / PAGE);
    const page = Math.min(pages - 1, this.page ?? Math.floor(this.selected.start / PAGE));
    const fits = answer && answer.tops.data.length === (L + 1) * T && answer.probabilities.data.length === (L + 1) * T && answer.entropies.data.length === (L + 1) * T;
    const entropy = this.by === "entropy";
    const most = answer ? answer.entropies.data.reduce((a, b) => Math.max(a, b), 1e-9) : 1;
    return html`
      <header>
        <h3>What every state would predict</h3>
        <span class="end">
          <span class="scale"><span>${entropy ? `${most.toFixed(1)} bits` : "0 %"}</span><i aria-hidden="true"></i><span>${entropy ? "0 bits" : "100 %"}</span></span>
          <button aria-pressed=${!entropy} @click=${() => (this.by = "probability")}>Probability</button>
          <button aria-pressed=${entropy} @click=${() => (this.by = "entropy")}>Entropy</button>
          ${pages > 1
            ? html`<button aria-label="Earlier tokens" ?disabled=${page === 0} @click=${() => (this.page = page - 1)}>‹</button
                ><span class="soft">${page * PAGE}–${Math.min(T, (page + 1) * PAGE) - 1} of ${T}</span
                ><button aria-label="Later tokens" ?disabled=${page === pages - 1} @click=${() => (this.page = page + 1)}>›</button>`
            : nothing}
          <lmt-menu label="Save this table" .items=${[{ label: "Save as CSV", run: () => this.save() }]}></lmt-menu>
        </span>
      </header>
      ${this.#grid.renderStatus()}
      ${!answer
        ? nothing
        : fits
          ? this.#renderGrid(page * PAGE, Math.min(T, (page + 1) * PAGE), most)
          : html`<div class="error" role="alert">This answer's tables do not have one cell for every state.</div>`}
    `;
  }

  #renderGrid(first: number, end: number, most: number): TemplateResult {
    const answer = this.#grid.value!;
    const facts = this.source!.facts;
    const T = facts.tokens.length;
    const positions = Array.from({ length: end - first }, (_, i) => first + i);
    const focus = this.selected.focus;
    const chosen = focus?.kind === "node" ? focus.node : "";
    const rows = Array.from({ length: facts.model.nLayers + 1 }, (_, i) => facts.model.nLayers - i);
    const reachable = chosen || this.#name(facts.model.nLayers, this.selected.start);
    return html`<div class="scroll">
      <div role="grid" aria-label="Top token of every state, layers upward" style="--columns:${positions.length}" @keydown=${this.#key}>
        ${rows.map(
          (row) => html`<div role="row">
            <span role="rowheader">${row === 0 ? "emb" : row - 1}</span>
            ${positions.map((position) => {
              const i = row * T + position;
              const token = answer.tokens[answer.tops.data[i]];
              const name = this.#name(row, position);
              const share = this.by === "entropy" ? 1 - answer.entropies.data[i] / most : answer.probabilities.data[i];
              const text = token ? token.text : "";
              return html`<span
                role="gridcell"
                class=${token && token.id === this.selected.token ? "pinned" : ""}
                tabindex=${name === reachable ? 0 : -1}
                data-node=${name}
                aria-selected=${name === chosen}
                style="--c:${share.toFixed(3)}"
                title="${name}: ${visibleText(text)} ${percent(answer.probabilities.data[i])}, entropy ${answer.entropies.data[i].toFixed(2)} bits"
                @click=${() => this.#choose(name)}
                >${shortText(text, 9)}</span
              >`;
            })}
          </div>`,
        )}
        <div role="row">
          <span role="columnheader" style="left:0;z-index:2"><span class="visually-hidden">Layer</span></span>
          ${positions.map((position) => html`<span role="columnheader" class="token">${shortText(facts.tokens[position].text, 9)}</span>`)}
        </div>
      </div>
    </div>`;
  }

  /** Row 0 is the embedding, row l + 1 the state after layer l. */
  #name(row: number, position: number): string {
    return row === 0 ? nodeName("X", -1, position) : nodeName("I", row - 1, position);
  }

  #choose(node: string): void {
    this.select({ focus: { kind: "node", node }, head: null, neuron: null });
  }

  readonly #key = (event: KeyboardEvent): void => {
    const cell = (event.target as HTMLElement).closest<HTMLElement>("[role=gridcell]");
    if (!cell) return;
    const cells = [...this.renderRoot.querySelectorAll<HTMLElement>("[role=gridcell]")];
    const at = cells.indexOf(cell);
    const columns = cells.length / ((this.source?.facts.model.nLayers ?? 0) + 1);
    const step = { ArrowUp: -columns, ArrowDown: columns, ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step !== undefined) {
      const next = cells[at + step];
      if (next && (Math.abs(step) > 1 || Math.floor((at + step) / columns) === Math.floor(at / columns))) {
        cells.forEach((other) => (other.tabIndex = other === next ? 0 : -1));
        next.focus();
      }
    } else if (event.key === "Enter" || event.key === " ") this.#choose(cell.dataset.node ?? "");
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  /** Downloads the whole grid as CSV. */
  save(): void {
    const answer = this.#grid.value;
    const facts = this.source?.facts;
    if (!answer || !facts) return;
    const T = facts.tokens.length;
    const rows: (string | number)[][] = [["state", "id", "token", "probability", "entropy in bits"]];
    for (let i = 0; i < answer.tops.data.length; i++) {
      const token = answer.tokens[answer.tops.data[i]];
      rows.push([this.#name(Math.floor(i / T), i % T), token?.id ?? "", token?.text ?? "", answer.probabilities.data[i], answer.entropies.data[i]]);
    }
    saveCsv(rows, "lens-grid.csv");
  }
}

define("lmt-lens-grid", LensGridElement);
