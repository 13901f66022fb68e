import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import type { NodeName } from "../../src/protocol";
import { describeNode, isNodeName, nodeName, visibleText } from "../../src/protocol";
import { Ask } from "../core/ask";
import { define, LmtElement } from "../core/element";
import type { SaveFormat } from "../core/export";
import { saveCsv } from "../core/export";
import { percent, scoreColumn, whole } from "../core/format";
import { placeWords } from "../core/places";
import "./menu";
import { RowLimit } from "./row-limit";
import { tableStyles } from "./table-styles";

/**
 * The most likely next tokens of a state by the logit lens: token, probability, logit, and how far it rose or fell
 * against the state below. Shows `node`, or the focused state where that is not set. A click on a token follows it
 * (selection's `token`).
 */
export class TokenTableElement extends LmtElement {
  static override formats: readonly SaveFormat[] = ["csv"];
  static override styles = [
    LmtElement.styles,
    tableStyles,
    css`
      td.rise {
        white-space: nowrap;
        color: var(--_text-soft);
        font-size: 11.5px;
      }
      .up {
        color: var(--_up);
      }
      .down {
        color: var(--_down);
      }
    `,
  ];
  static override properties = {
    ...LmtElement.properties,
    node: {},
    topK: { type: Number, attribute: "top-k" },
    rows: { type: Number },
  };

  /** Name of the state; "" for the selection's. */
  declare node: string;
  declare topK: number;
  /** Tokens there is room for; the others are shown on request. 0: all, in a box that scrolls. */
  declare rows: number;

  readonly #limit = new RowLimit(this);
  readonly #lens = new Ask(this, () => {
    const node = this.#node;
    return node ? { kind: "lens" as const, node, normalize: this.selected.normalize, topK: this.topK } : undefined;
  });

  constructor() {
    super();
    this.node = "";
    this.topK = 30;
    this.rows = 0;
  }

  get #node(): NodeName | undefined {
    if (this.node) return isNodeName(this.node) ? this.node : undefined;
    const focus = this.selected.focus;
    return focus?.kind === "node"
      ? focus.node
      : focus?.kind === "edge"
        ? focus.target
        : focus
          ? nodeName("I", focus.layer, focus.position)
          : undefined;
  }

  protected override render(): TemplateResult {
    const node = this.#node;
    if (!this.source || !node) return html`<div class="note">Select a state to see what it would predict.</div>`;
    const tokens = this.#lens.value?.tokens ?? [];
    const followed = this.selected.token;
    const count = this.#limit.shown(tokens.length, this.rows, node);
    const listed = tokens.filter((token, i) => i < count || token.id === followed);
    const logits = scoreColumn(tokens.map((token) => token.logit));
    return html`
      <header>
        <h3>Top tokens <span class="soft" title="${node}, ${describeNode(node)}">${placeWords(node, this.source.facts.tokens)}</span></h3>
        <lmt-menu label="Save this table" .items=${[{ label: "Save as CSV", run: () => this.save() }]}></lmt-menu>
      </header>
      ${this.#lens.renderStatus()}
      ${
        tokens.length === 0
          ? nothing
          : html`<div class=${this.rows > 0 ? "list" : "scroll"} tabindex=${this.rows > 0 ? -1 : 0} role="group" aria-label="Top tokens of ${node}">
            <table>
              <thead>
                <tr>
                  <th class="n"><span class="visually-hidden">Rank</span></th>
                  <th>Token</th>
                  <th class="n">Probability</th>
                  <th class="n">Logit</th>
                  <th class="n" title="Ranks gained or lost against the state below">Rank ±</th>
                </tr>
              </thead>
              <tbody>
                ${listed.map(
                  (token) => html`<tr class=${token.id === followed ? "chosen" : ""} data-token-id=${token.id}>
                    <td class="n soft">${token.rank + 1}</td>
                    <td>
                      <button class="plain token" aria-pressed=${token.id === followed} title="Follow this token through the layers (id ${token.id})" @click=${() => this.select({ token: token.id === followed ? null : token.id })}>${visibleText(token.text)}</button>
                    </td>
                    <td class="n bar" style="--b:${token.probability}">${percent(token.probability)}</td>
                    <td class="n">${logits(token.logit)}</td>
                    <td class="n rise">${rise(token.rankChange)}</td>
                  </tr>`,
                )}
              </tbody>
            </table>
          </div>
          ${this.#limit.renderMore(tokens.length, listed.length, this.rows)}`
      }
    `;
  }

  /** Downloads the table as CSV. Texts are exact, not made visible. */
  save(): void {
    const tokens = this.#lens.value?.tokens ?? [];
    saveCsv(
      [
        ["rank", "id", "token", "probability", "logit", "rank change"],
        ...tokens.map((t) => [t.rank + 1, t.id, t.text, t.probability, t.logit, t.rankChange ?? ""]),
      ],
      `top-tokens-${this.#node}.csv`,
    );
  }
}

function rise(change: number | undefined): TemplateResult | typeof nothing {
  if (change === undefined) return nothing;
  const said = (text: string): TemplateResult => html`<span class="visually-hidden">${text}</span>`;
  if (change === 0) return html`<span aria-hidden="true">·</span>${said("same rank")}`;
  const rose = change > 0;
  return html`<span class=${rose ? "up" : "down"}>${said(rose ? "rose " : "fell ")}<span aria-hidden="true">${rose ? "▲" : "▼"}</span> ${whole(Math.abs(change))}${said(" ranks")}</span>`;
}

define("lmt-token-table", TokenTableElement);
