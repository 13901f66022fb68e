import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import { nodeName, visibleText } from "../../src/protocol";
import { Ask } from "../core/ask";
import { define, LmtElement } from "../core/element";
import { percent } from "../core/format";
import { movedIndex } from "./bars-styles";

/** The prompt's tokens, each a button that starts the routes there, and what the model predicts after the last one. */
export class PromptStripElement extends LmtElement {
  static override styles = [
    LmtElement.styles,
    css`
      :host {
        min-height: 28px;
      }
      .row {
        display: flex;
        flex-wrap: wrap;
        gap: 3px;
        max-height: 54px;
        overflow: auto;
        overscroll-behavior: auto;
        scrollbar-width: thin;
        align-items: center;
      }
      .chip {
        padding: 1px 6px;
        border-color: transparent;
        background: var(--_wash);
        line-height: 20px;
        max-width: 40ch;
        overflow: hidden;
        text-overflow: ellipsis;
      }
      .chip[aria-pressed="true"] {
        border-color: var(--_selected);
        box-shadow: inset 0 0 0 0.5px var(--_selected);
        font-weight: 600;
      }
      .next {
        display: flex;
        flex-wrap: wrap;
        gap: 4px 14px;
        /* As many as fit into a line: the others are a click away. */
        max-height: 32px;
        overflow: hidden;
        padding: 8px 0 2px;
        align-items: baseline;
      }
      .prediction {
        display: inline-flex;
        align-items: baseline;
        gap: 5px;
      }
      .prediction .token {
        font-weight: 600;
      }
      .meter {
        display: inline-block;
        width: 46px;
        height: 6px;
        border-radius: 3px;
        background: var(--_wash);
        overflow: hidden;
        align-self: center;
      }
      .meter i {
        display: block;
        height: 100%;
        border-radius: 3px;
        background: var(--_attention);
      }
    `,
  ];

  /** What the state on top of the start token predicts; known already for the last token. */
  readonly #predicted = new Ask(this, () => {
    const facts = this.source?.facts;
    const { start, normalize } = this.selected;
    if (!facts || (start === facts.tokens.length - 1 && facts.predictions.length > 0)) return undefined;
    return { kind: "lens" as const, node: nodeName("I", facts.model.nLayers - 1, start), normalize, topK: 30 };
  });

  #shownLines = "";

  /** The start token is in view, however long the prompt is; the page does not move for it. */
  protected override updated(): void {
    const { start } = this.selected;
    const row = this.renderRoot.querySelector<HTMLElement>(".row");
    const chip = row?.querySelector<HTMLElement>(`[data-start="${start}"]`);
    if (!row || !chip || this.width === 0) return;
    // Another width, or a font that came late, makes other lines of it.
    const lines = `${start} ${this.width} ${row.scrollHeight}`;
    if (lines === this.#shownLines) return;
    this.#shownLines = lines;
    row.scrollTop = chip.offsetTop - row.offsetTop - (row.clientHeight - chip.offsetHeight) / 2;
  }

  protected override render(): TemplateResult | typeof nothing {
    const facts = this.source?.facts;
    if (!facts) return nothing;
    const last = this.selected.start === facts.tokens.length - 1;
    const predictions = last && facts.predictions.length ? facts.predictions : (this.#predicted.value?.tokens ?? []);
    return html`
      <div class="row" role="group" aria-label="Tokens of the prompt; arrow keys move, Enter starts the routes there" @keydown=${this.#key}>
        ${facts.tokens.map(
          (token, position) => html`<button
            class="chip token"
            data-start=${position}
            tabindex=${position === this.selected.start ? 0 : -1}
            aria-pressed=${position === this.selected.start}
            aria-label="Token ${position}: ${visibleText(token.text)}"
            title="Token ${position}, id ${token.id}"
            @click=${() => this.select({ start: position })}
          >${visibleText(token.text)}</button>`,
        )}
      </div>
      ${
        predictions.length
          ? html`<div class="next" role="list" aria-label="Most likely next tokens">
            <span class="soft" role="presentation"
              >${last ? "predicts" : html`after <span class="token">${visibleText(facts.tokens[this.selected.start]?.text ?? "")}</span> predicts`}</span
            >
            ${predictions.slice(0, 5).map(
              (p) => html`<span class="prediction" role="listitem" title="id ${p.id}"
                ><span class="token">${visibleText(p.text)}</span><span class="meter" aria-hidden="true"><i style="width:${Math.max(2, p.probability * 100)}%"></i></span
                ><span class="soft">${percent(p.probability)}</span></span
              >`,
            )}
          </div>`
          : nothing
      }
    `;
  }

  /** All tokens are one stop for Tab, however many there are. */
  readonly #key = (event: KeyboardEvent): void => {
    const chips = [...this.renderRoot.querySelectorAll<HTMLElement>(".chip")];
    const along: Readonly<Record<string, string>> = { ArrowRight: "ArrowDown", ArrowLeft: "ArrowUp" };
    const next = movedIndex(along[event.key] ?? event.key, chips.indexOf(event.target as HTMLElement), chips.length);
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    chips[next].focus();
  };
}

define("lmt-prompt-strip", PromptStripElement);
