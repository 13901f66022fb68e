import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import type { Answer, Removal, WireChangedToken } from "../../src/protocol";
import { removedQuestion, shortText } from "../../src/protocol";
import { Ask } from "../core/ask";
import { define, LmtElement } from "../core/element";
import { percent, score, signed } from "../core/format";
import { removalWords } from "../core/removals";

/** Width of a token with its two bars. */
const CELL = 124;
/** So many tokens are shown in any case. */
const LEAST_PAIRS = 3;

/**
 * What was taken out of the computation, each part with a button that puts it back, and what the model then predicts:
 * the likeliest tokens before and after as paired bars. Writes `removed` of the selection. Tells its height with
 * `lmt-height`: what stands below makes room.
 */
export class RemovedElement extends LmtElement {
  static override styles = [
    LmtElement.styles,
    css`
      section {
        padding: 4px 8px 5px;
        margin-bottom: 6px;
        border-radius: 7px;
        background: var(--_wash);
      }
      .chips {
        display: flex;
        flex-wrap: wrap;
        gap: 4px 6px;
        align-items: center;
      }
      .chip {
        display: inline-flex;
        align-items: center;
        border: 1px solid var(--_line-strong);
        border-radius: 11px;
        padding-inline-start: 9px;
        background: var(--_surface);
      }
      .chip s {
        text-decoration-color: var(--_error);
      }
      .chip button {
        border: 0;
        min-width: 24px;
        height: 24px;
        padding: 0;
        border-radius: 12px;
      }
      .all {
        height: 24px;
        padding: 0 8px;
      }
      p {
        margin: 3px 0;
      }
      strong {
        font-weight: 600;
      }
      .pairs {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(${CELL - 10}px, 1fr));
        gap: 2px 10px;
        min-height: 42px;
      }
      .pair {
        display: grid;
        grid-template-columns: minmax(0, 1fr) auto;
        gap: 1px 6px;
        align-items: center;
        padding: 2px 4px;
        border: 0;
        border-radius: 5px;
        text-align: start;
        font-size: 11.5px;
        line-height: 14px;
      }
      .pair > .name {
        grid-column: 1 / 3;
        overflow: hidden;
        text-overflow: ellipsis;
      }
      .pair.about > .name {
        font-weight: 600;
      }
      .track {
        height: 7px;
        border-radius: 2px;
        background: color-mix(in oklab, var(--bar) 10%, transparent);
      }
      .track i {
        display: block;
        height: 100%;
        border-radius: 2px;
        background: var(--bar);
        width: calc(100% * var(--b));
        min-width: 1px;
      }
      .was {
        --bar: var(--_residual);
      }
      .is {
        --bar: var(--_selected);
      }
      .n {
        text-align: end;
        min-width: 4.2em;
      }
    `,
  ];

  readonly #removed = new Ask(this, () => removedQuestion(this.selected));
  #height = -1;

  protected override render(): TemplateResult | typeof nothing {
    const { removed } = this.selected;
    const facts = this.source?.facts;
    if (!facts || removed.length === 0) return nothing;
    const { tokens } = facts;
    const answer = this.#removed.value;
    return html`<section aria-label="What is removed">
      <div class="chips">
        <span class="soft">Without</span>
        ${removed.map((removal) => {
          const words = removalWords(removal, tokens);
          return html`<span class="chip"><s>${words}</s><button aria-label="Put back ${words}" title="Put back ${words}" @click=${() => this.#putBack(removal)}>×</button></span>`;
        })}
        ${removed.length > 1 ? html`<button class="all" @click=${() => this.select({ removed: [] })}>Put all back</button>` : nothing}
      </div>
      ${this.#removed.renderStatus()}
      ${answer ? html`<div>${this.#renderSentence(answer)}${this.#renderPairs(answer)}</div>` : this.#removed.state === "error" ? nothing : html`<div class="pairs"></div>`}
    </section>`;
  }

  /** What changed, in words. */
  #renderSentence({ tokens, target, versus }: Answer<"removed">): TemplateResult {
    const token = ({ text }: { readonly text: string }): TemplateResult =>
      html`<strong class="token">${shortText(text, 16)}</strong>`;
    const likeliest = (by: (token: WireChangedToken) => number): WireChangedToken =>
      tokens.reduce((best, one) => (by(one) > by(best) ? one : best), target);
    const was = likeliest(({ logit }) => logit);
    const is = likeliest(({ logitAfter }) => logitAfter);
    const after = this.source?.facts.tokens[this.#removed.answered?.position ?? -1]?.text ?? "";
    const change = (before: number, now: number): string =>
      `${score(before)} → ${score(now)} (${signed(now - before)})`;
    return html`<p role="status">
      After ${token({ text: after })} the model
      ${was.id === is.id ? html`still predicts ${token(is)}` : html`predicts ${token(is)} instead of ${token(was)}`}${was.id === is.id && is.id === target.id ? nothing : html`. ${token(target)}`}: probability ${percent(target.probability)} → ${percent(target.probabilityAfter)}, logit
      ${change(target.logit, target.logitAfter)}${
        versus
          ? html`; its difference to ${token(versus)} ${change(target.logit - versus.logit, target.logitAfter - versus.logitAfter)}`
          : nothing
      }
    </p>`;
  }

  #renderPairs({ tokens, target, versus }: Answer<"removed">): TemplateResult {
    const all = [target, ...(versus ? [versus] : []), ...tokens];
    const known = all.filter(({ id }, i) => all.findIndex((other) => other.id === id) === i);
    const room = Math.max(LEAST_PAIRS, Math.floor(this.width / CELL));
    const larger = ({ probability, probabilityAfter }: WireChangedToken): number =>
      Math.max(probability, probabilityAfter);
    const about = new Set([target.id, versus?.id]);
    // Those that were asked about are never left out.
    const shown = [...known]
      .sort((a, b) => Number(about.has(b.id)) - Number(about.has(a.id)) || larger(b) - larger(a))
      .slice(0, room)
      .sort((a, b) => b.probability - a.probability);
    const most = Math.max(1e-9, ...shown.map(larger));
    const bar = (kind: "was" | "is", name: string, value: number): TemplateResult =>
      html`<span class="track ${kind}"><i style="--b:${value / most}"></i></span><span class="n ${kind === "was" ? "soft" : ""}"><span class="visually-hidden">${name} </span>${percent(value)}</span>`;
    return html`<div class="pairs">
      ${shown.map(
        (token) =>
          html`<button class="pair ${about.has(token.id) ? "about" : ""}" data-id=${token.id} title="Follow ${shortText(token.text, 16)} through the layers, nothing removed. Grey: before, orange: without what is removed" @click=${() => this.select({ token: token.id })}>
            <span class="token name">${shortText(token.text, 16)}</span>${bar("was", "before", token.probability)}${bar("is", "after", token.probabilityAfter)}
          </button>`,
      )}
    </div>`;
  }

  #putBack(removal: Removal): void {
    const text = JSON.stringify(removal);
    this.select({ removed: this.selected.removed.filter((one) => JSON.stringify(one) !== text) });
  }

  protected override updated(): void {
    const height = this.offsetHeight;
    if (height === this.#height) return;
    this.#height = height;
    this.dispatchEvent(new CustomEvent("lmt-height", { detail: height }));
  }
}

define("lmt-removed", RemovedElement);
