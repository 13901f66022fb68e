import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import type { Selection, WireComponent, WireEffectToken } from "../../src/protocol";
import { effectNormalize, focusEdgeKind, parseNode, shortText, visibleText } from "../../src/protocol";
import { Ask } from "../core/ask";
import { define, LmtElement } from "../core/element";
import type { SaveFormat } from "../core/export";
import { saveCsv } from "../core/export";
import { scoreColumn } from "../core/format";
import "./menu";
import { RowLimit } from "./row-limit";
import { tableStyles } from "./table-styles";

/**
 * The block, head or neuron that a selection means: the finest that is chosen; at a state, the last block that wrote to
 * it.
 */
export function selectedComponent(selection: Selection, fromKey = false): WireComponent | undefined {
  const { focus, head, neuron } = selection;
  if (!focus) return undefined;
  if (focus.kind === "ffn") {
    const { layer, position } = focus;
    return neuron && neuron.layer === layer && neuron.position === position
      ? { kind: "ffn", layer, position, neuron: neuron.neuron }
      : { kind: "ffn", layer, position };
  }
  const place = parseNode(focus.kind === "node" ? focus.node : focus.target);
  if (!place || place.kind === "X") return undefined;
  const { layer, position } = place;
  // What flows past a block was written by none of this layer.
  if (focus.kind === "edge" && focusEdgeKind(focus) === "residual") return undefined;
  if (focus.kind === "edge") {
    if (!head || head.layer !== layer) return { kind: "attention", layer, position };
    const key = fromKey ? parseNode(focus.source)?.position : undefined;
    return { kind: "attention", layer, position, head: head.head, ...(key === undefined ? {} : { key }) };
  }
  if (place.kind === "A") return { kind: "attention", layer, position };
  // Where blocks are parallel both wrote to the state: the feed-forward block is shown here, attention by its edges.
  return { kind: "ffn", layer, position };
}

export function describeComponent(component: WireComponent): string {
  if ("head" in component) return `head ${component.head} of layer ${component.layer}`;
  if ("neuron" in component) return `neuron ${component.neuron} of layer ${component.layer}`;
  return `${component.kind === "attention" ? "attention" : "feed-forward block"} of layer ${component.layer}`;
}

/** What the selected block, head or neuron promotes and suppresses in the vocabulary, by what it wrote. */
export class EffectTableElement extends LmtElement {
  static override formats: readonly SaveFormat[] = ["csv"];
  static override styles = [
    LmtElement.styles,
    tableStyles,
    css`
      .columns {
        display: grid;
        grid-template-columns: 1fr 1fr;
        gap: 0 14px;
      }
      table {
        table-layout: fixed;
      }
      td:first-child {
        overflow: hidden;
      }
      td:first-child button.plain {
        max-width: 100%;
      }
      th.n {
        width: 64px;
      }
      td.bar {
        min-width: 48px;
      }
      .promoted td.bar {
        --bar: var(--_up);
      }
      .suppressed td.bar {
        --bar: var(--_down);
      }
    `,
  ];
  static override properties = {
    ...LmtElement.properties,
    component: { attribute: false },
    topK: { type: Number, attribute: "top-k" },
    fromKey: { type: Boolean, attribute: "from-key" },
    rows: { type: Number },
    ownSize: { type: Boolean, attribute: "own-size" },
  };

  /** What to show; left out, the selection's component. */
  declare component: WireComponent | undefined;
  declare topK: number;
  /** Of a head, show only what it wrote from the token at the edge's source. */
  declare fromKey: boolean;
  /** Tokens of a column there is room for; the others are shown on request. 0: all. */
  declare rows: number;
  /** Every update goes through the final norm by itself: small ones and large ones say the same. */
  declare ownSize: boolean;

  readonly #limit = new RowLimit(this);
  readonly #effect = new Ask(this, () => {
    const component = this.#component;
    const normalize = this.ownSize ? this.selected.normalize : effectNormalize(this.selected.normalize);
    return component && { kind: "effect" as const, component, normalize, topK: this.topK };
  });

  constructor() {
    super();
    this.topK = 15;
    this.fromKey = false;
    this.rows = 0;
    this.ownSize = false;
  }

  get #component(): WireComponent | undefined {
    return this.component ?? selectedComponent(this.selected, this.fromKey);
  }

  /** Source of the selected edge, where a head of it is chosen. */
  get #key(): number | undefined {
    const { focus, head } = this.selected;
    return focus?.kind === "edge" && head && !this.component ? parseNode(focus.source)?.position : undefined;
  }

  protected override render(): TemplateResult {
    const component = this.#component;
    if (!this.source || !component)
      return html`<div class="note">Select an edge, a block, a head or a neuron to see which tokens it promotes.</div>`;
    const effect = this.#effect.value;
    const longest = Math.max(0, effect?.promoted.length ?? 0, effect?.suppressed.length ?? 0);
    const count = this.#limit.shown(longest, this.rows, JSON.stringify(component));
    return html`
      <header>
        <h3>Effect <span class="soft">${describeComponent(component)} at <span class="token">${shortText(this.source.facts.tokens[component.position]?.text ?? "", 14)}</span></span></h3>
        <span>
        ${
          this.#key === undefined
            ? nothing
            : html`<button aria-pressed=${this.fromKey} title="Only what the head wrote from this token" @click=${() => (this.fromKey = !this.fromKey)}>
              from <span class="token">${shortText(this.source.facts.tokens[this.#key]?.text ?? "", 10)}</span>
            </button>`
        }
        <lmt-menu label="More" .items=${[
          { label: "Logits, as at this position", checked: !this.ownSize, run: () => (this.ownSize = false) },
          { label: "Each update by its own size", checked: this.ownSize, run: () => (this.ownSize = true) },
          { label: "Save as CSV", run: () => this.save() },
        ]}></lmt-menu>
        </span>
      </header>
      ${this.#effect.renderStatus()}
      ${
        effect
          ? html`${effect.ownSize ? html`<div class="note">Saved by an earlier version: scores of the update by its own size, not logits. Run the cell again for logits.</div>` : nothing}
            <div class="columns">${this.#renderColumn("promoted", effect.promoted, count, effect.ownSize)}${this.#renderColumn("suppressed", effect.suppressed, count, effect.ownSize)}</div>
            ${this.#limit.renderMore(longest, count, this.rows)}`
          : nothing
      }
    `;
  }

  #renderColumn(
    name: "promoted" | "suppressed",
    tokens: readonly WireEffectToken[],
    count: number,
    stored: boolean | undefined,
  ): TemplateResult {
    const logits = this.selected.normalize && !this.ownSize && !stored;
    const scores = scoreColumn(tokens.map((token) => token.score));
    const most = Math.max(1e-12, ...tokens.map((token) => Math.abs(token.score)));
    return html`<table class=${name}>
      <thead>
        <tr>
          <th>${name === "promoted" ? "▲ Promoted" : "▼ Suppressed"}</th>
          <th class="n" title=${logits ? "What it adds to the token's logit at this position" : "The update alone, through the unembedding: no logit"}>${logits ? "Logit" : "Score"}</th>
        </tr>
      </thead>
      <tbody>
        ${tokens.slice(0, count).map(
          (token) => html`<tr class=${token.id === this.selected.token ? "chosen" : ""}>
            <td>
              <button class="plain token" aria-pressed=${token.id === this.selected.token} title="Follow this token through the layers (id ${token.id})" @click=${() => this.select({ token: token.id === this.selected.token ? null : token.id })}>${visibleText(token.text)}</button>
            </td>
            <td class="n bar" style="--b:${Math.abs(token.score) / most}">${scores(token.score)}</td>
          </tr>`,
        )}
      </tbody>
    </table>`;
  }

  /** Downloads both columns as CSV. */
  save(): void {
    const effect = this.#effect.value;
    if (!effect) return;
    const rows = (name: string, tokens: readonly WireEffectToken[]): (string | number)[][] =>
      tokens.map((t) => [name, t.id, t.text, t.score]);
    saveCsv(
      [
        ["effect", "id", "token", this.selected.normalize && !this.ownSize && !effect.ownSize ? "logit" : "score"],
        ...rows("promoted", effect.promoted),
        ...rows("suppressed", effect.suppressed),
      ],
      "promoted-and-suppressed.csv",
    );
  }
}

define("lmt-effect-table", EffectTableElement);
