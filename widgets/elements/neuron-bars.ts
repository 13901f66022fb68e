import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import type { NeuronAnswer } from "../../src/protocol";
import { parseNode, shortText } from "../../src/protocol";
import { Ask } from "../core/ask";
import { define, LmtElement } from "../core/element";
import type { SaveFormat } from "../core/export";
import { score, scoreColumn, signed, weight, weightColumn } from "../core/format";
import { barsMenu, saveBars } from "./bars-picture";
import type { BarFormat } from "./bars-picture";
import { barsStyles, movedIndex } from "./bars-styles";
import "./menu";
import { RowLimit } from "./row-limit";

/** What bars are as long as: the logit where that was asked for. */
const sizeOf = ({ contribution, logit }: NeuronAnswer): number =>
  logit === undefined ? contribution : Math.abs(logit);
const largest = (neurons: readonly NeuronAnswer[]): number => Math.max(1e-12, ...neurons.map(sizeOf));

/** The neurons that contribute most to the selected feed-forward block. A click chooses one (selection's `neuron`). */
export class NeuronBarsElement extends LmtElement {
  static override formats: readonly SaveFormat[] = ["svg", "png", "csv"];
  static override styles = [
    LmtElement.styles,
    ...barsStyles,
    css`
      :host {
        --bar: var(--_ffn);
      }
      .track i.against {
        background: var(--_down);
      }
    `,
  ];
  static override properties = {
    ...LmtElement.properties,
    topK: { type: Number, attribute: "top-k" },
    rows: { type: Number },
    byLogit: { type: Boolean, attribute: "by-logit" },
  };

  /** List the neurons that move a logit most instead of those that contribute most. */
  declare byLogit: boolean;
  declare topK: number;
  /** Neurons there is room for; the others are shown on request. 0: all. */
  declare rows: number;

  readonly #limit = new RowLimit(this);

  readonly #neurons = new Ask(this, () => {
    const block = this.#block;
    if (!block || !this.byLogit) return block && { kind: "neurons" as const, ...block, topK: this.topK };
    const { contrast, start } = this.selected;
    const about = contrast && block.position === start ? { contrast } : {};
    return { kind: "neurons" as const, ...block, topK: this.topK, by: "logit" as const, ...about };
  });

  constructor() {
    super();
    this.topK = 20;
    this.rows = 0;
    this.byLogit = false;
  }

  get #block(): { layer: number; position: number } | undefined {
    const focus = this.selected.focus;
    if (focus?.kind === "ffn") return { layer: focus.layer, position: focus.position };
    const place = focus?.kind === "node" ? parseNode(focus.node) : undefined;
    return place?.kind === "I" ? { layer: place.layer, position: place.position } : undefined;
  }

  protected override render(): TemplateResult {
    const block = this.#block;
    if (!this.source || !block) return html`<div class="note">Select a feed-forward block to see its neurons.</div>`;
    const neurons = this.#neurons.value?.neurons ?? [];
    const about = this.byLogit ? this.#neurons.value?.about : undefined;
    const most = largest(neurons);
    const chosen =
      this.selected.neuron?.layer === block.layer && this.selected.neuron.position === block.position
        ? this.selected.neuron.neuron
        : null;
    const count = this.#limit.shown(neurons.length, this.rows, `${block.layer} ${block.position}`);
    const listed = neurons.filter((n, i) => i < count || n.neuron === chosen);
    const written = weightColumn(neurons.map((n) => n.contribution));
    const number = (n: NeuronAnswer): string => (about ? signed(n.logit ?? 0) : written(n.contribution));
    const measured = about ? "logit" : "contribution";
    const activations = scoreColumn(neurons.map((n) => n.activation));
    return html`
      <header>
        <h3>
          Neurons of layer ${block.layer} <span class="token soft">${shortText(this.source.facts.tokens[block.position]?.text ?? "", 14)}</span>
        </h3>
        <span>
          <button data-act="by-logit" aria-pressed=${this.byLogit} title="The neurons that move the logit of the prediction, or of the contrast, most" @click=${() => (this.byLogit = !this.byLogit)}>By logit</button>
          <lmt-menu label="Save these neurons" .items=${barsMenu((format) => this.save(format))}></lmt-menu>
        </span>
      </header>
      ${this.#neurons.renderStatus()}
      ${
        neurons.length
          ? html`<div class="heading" aria-hidden="true"><span>Neuron</span><span>${about ? html`Logit of <span class="token">${shortText(about.token.text, 10)}</span>${about.versus ? html` − <span class="token">${shortText(about.versus.text, 10)}</span>` : nothing}` : "Contribution"}</span><span>Activation</span></div>
            <div role="listbox" tabindex="0" aria-label="Top neurons of layer ${block.layer} by ${measured}" aria-activedescendant=${chosen === null ? "" : `neuron-${chosen}`} @keydown=${(
              event: KeyboardEvent,
            ) =>
              this.#key(
                event,
                neurons.map((n) => n.neuron),
              )}>
              ${listed.map(
                (n) => html`<div
                  role="option"
                  id="neuron-${n.neuron}"
                  data-neuron=${n.neuron}
                  aria-selected=${chosen === n.neuron}
                  @click=${() => this.#choose(n.neuron)}
                >
                  <span><span class="visually-hidden">Neuron </span>${n.neuron}</span><span class="track"><i class=${(n.logit ?? 0) < 0 && about ? "against" : ""} style="--b:${sizeOf(n) / most}"></i></span><span class="n"><span class="visually-hidden">${measured} </span>${number(n)}</span
                  ><span class="n soft"><span class="visually-hidden">activation </span>${activations(n.activation)}</span>
                </div>`,
              )}
            </div>
            ${this.#limit.renderMore(neurons.length, listed.length, this.rows)}`
          : nothing
      }
    `;
  }

  #choose(neuron: number): void {
    const block = this.#block;
    if (block) this.select({ focus: { kind: "ffn", ...block }, neuron: { ...block, neuron } });
  }

  #key(event: KeyboardEvent, options: readonly number[]): void {
    const chosen = this.selected.neuron?.neuron;
    const next = movedIndex(event.key, chosen === undefined ? -1 : options.indexOf(chosen), options.length);
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.#choose(options[next]);
    void this.updateComplete.then(() =>
      this.renderRoot.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }),
    );
  }

  /** Downloads the bars as a picture, or their numbers as a table. */
  save(format: BarFormat = "csv"): void | Promise<void> {
    const neurons = this.#neurons.value?.neurons ?? [];
    const block = this.#block;
    if (neurons.length === 0 || !block || !this.source) return;
    const byLogit = neurons.some(({ logit }) => logit !== undefined);
    const bars = neurons.map(({ neuron, contribution, logit, activation }) => ({
      id: neuron,
      name: String(neuron),
      contribution: logit ?? contribution,
      shown: logit === undefined ? weight(contribution) : signed(logit),
      more: { value: activation, shown: score(activation) },
    }));
    const title = `Neurons of layer ${block.layer}  ${shortText(this.source.facts.tokens[block.position]?.text ?? "", 14)}`;
    return saveBars(
      this,
      {
        name: "neurons",
        title,
        columns: ["Neuron", byLogit ? "Logit" : "Contribution", "Activation"],
        most: largest(neurons),
        bars,
      },
      format,
    );
  }
}

define("lmt-neuron-bars", NeuronBarsElement);
