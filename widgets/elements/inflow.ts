import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import type { Focus, NodeName } from "../../src/protocol";
import { EDGE_KINDS, focusEdgeKind, parseNode, shortText } from "../../src/protocol";
import { Ask } from "../core/ask";
import { define, LmtElement } from "../core/element";
import type { SaveFormat } from "../core/export";
import { saveCsv } from "../core/export";
import { weight, weightColumn } from "../core/format";
import { placeWords } from "../core/places";
import { barsStyles, movedIndex } from "./bars-styles";
import "./menu";
import { RowLimit } from "./row-limit";

interface Source {
  readonly source: NodeName;
  readonly kind: (typeof EDGE_KINDS)[number];
  readonly contribution: number;
  /** Of one head's part. */
  readonly head?: number;
}

/** Opponents that are asked for. */
const OPPONENTS = 30;

/**
 * What flows into a state: the residual stream, the feed-forward block, and the tokens that attention read, by how much
 * of the state they make up. Everything counts here, also what the threshold leaves out. A click goes on to the source.
 * Of a residual edge: the same for the state into which it leads.
 */
export class InflowElement extends LmtElement {
  static override formats: readonly SaveFormat[] = ["csv"];
  static override styles = [
    LmtElement.styles,
    ...barsStyles,
    css`
      :host {
        --bar: var(--_attention);
      }
      [role="option"],
      .heading {
        grid-template-columns: minmax(0, 11em) minmax(40px, 1fr) 4.4em;
      }
      .heading :nth-child(2) {
        grid-column: 2 / 4;
      }
      [role="option"] > :first-child {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .residual {
        --bar: var(--_residual);
      }
      .ffn-out {
        --bar: var(--_ffn);
      }
      .against {
        --bar: var(--_down);
      }
    `,
  ];
  static override properties = {
    ...LmtElement.properties,
    rows: { type: Number },
    opposed: { type: Boolean },
  };

  /** Sources there is room for; the others are shown on request. 0: all. */
  declare rows: number;
  /** Show what works against the state instead. */
  declare opposed: boolean;

  readonly #limit = new RowLimit(this);
  readonly #inflow = new Ask(this, () => {
    const node = this.#node;
    return node === undefined || this.opposed ? undefined : { kind: "inflow" as const, nodes: [node] };
  });
  readonly #opponents = new Ask(this, () => {
    const node = this.#node;
    return node === undefined || !this.opposed ? undefined : { kind: "opponents" as const, node, topK: OPPONENTS };
  });

  constructor() {
    super();
    this.rows = 0;
    this.opposed = false;
  }

  /** The state that is looked at; undefined where nothing flows into what is selected. */
  get #node(): NodeName | undefined {
    const { focus } = this.selected;
    const node = focus?.kind === "node" ? focus.node : focus?.kind === "edge" ? focus.target : undefined;
    const kind = node === undefined ? undefined : parseNode(node)?.kind;
    return kind === "A" || kind === "I" ? node : undefined;
  }

  /** Largest first. */
  get #sources(): readonly Source[] {
    const answer = this.#inflow.value;
    if (!answer) return [];
    return answer.sources
      .map((source, i) => ({
        source,
        kind: EDGE_KINDS[answer.kinds.data[i]],
        contribution: answer.contributions.data[i],
      }))
      .sort((a, b) => b.contribution - a.contribution);
  }

  protected override render(): TemplateResult {
    const node = this.#node;
    const { focus, budget } = this.selected;
    // What a budget leaves out is not said by a contribution.
    const threshold = budget ? -1 : this.selected.threshold;
    if (!this.source || !node)
      return html`<div class="note">${
        focus?.kind === "node"
          ? "This is the embedding of a token: nothing flows into it."
          : "Select a state to see what flows into it."
      }</div>`;
    const { tokens } = this.source.facts;
    const sources = this.#sources;
    const most = Math.max(1e-12, ...sources.map(({ contribution }) => contribution));
    const written = weightColumn(sources.map(({ contribution }) => contribution));
    const count = this.#limit.shown(sources.length, this.rows, node);
    const chosen = focus?.kind === "edge" ? sources.findIndex((one) => isFocus(one, node, focus)) : -1;
    const listed = sources.filter((_, i) => i < count || i === chosen);
    const rest = this.#inflow.value?.rests.data[0] ?? 0;
    return html`
      <header>
        <h3 title="${node}, ${placeWords(node, tokens)}">${this.opposed ? "What works against it" : "What flows in"}</h3>
        <span>
          <button data-act="opposed" aria-pressed=${this.opposed} title="Parts without which this state would be larger: contributions count them as nothing" @click=${() => (this.opposed = !this.opposed)}>Opponents</button>
          <lmt-menu label="Save these sources" .items=${[{ label: "Save as CSV", run: () => this.save() }]}></lmt-menu>
        </span>
      </header>
      ${this.opposed ? this.#renderOpponents(node) : nothing}
      ${this.#inflow.renderStatus()}
      ${
        this.opposed
          ? nothing
          : rest < 0
            ? html`<div class="note">What flows into this state was not kept in this notebook, since no route passes it. Run the cell again to see it.</div>`
            : sources.length
              ? html`<div class="heading" aria-hidden="true"><span>From</span><span>Contribution</span></div>
              <div role="listbox" tabindex="0" aria-label="What flows into ${placeWords(node, tokens)}, largest first" aria-activedescendant=${chosen < 0 ? "" : `source-${chosen}`} @keydown=${(event: KeyboardEvent) => this.#key(event, chosen, sources)}>
                ${listed.map((one) => {
                  const i = sources.indexOf(one);
                  const below = one.contribution <= threshold;
                  return html`<div
                    role="option"
                    id="source-${i}"
                    class="${one.kind}${below ? " below" : ""}"
                    data-source=${one.source}
                    title="${one.source}${below ? ": below the threshold, not drawn" : ""}"
                    aria-selected=${i === chosen}
                    @click=${() => this.#choose(one)}
                  ><span>${sourceWords(one, tokens)}</span><span class="track"><i style="--b:${one.contribution / most}"></i></span><span class="n">${written(one.contribution)}</span></div>`;
                })}
              </div>
              
              <div class="about">${this.#limit.renderMore(sources.length, listed.length, this.rows)}Shares of everything${rest > 5e-4 ? html`; ${weight(rest)} more from many smaller sources` : nothing}${sources.some((one) => one.contribution <= threshold) ? `; grey: below ${threshold.toFixed(3).replace(/0$/, "")}, not drawn` : ""}</div>`
              : nothing
      }
    `;
  }

  #renderOpponents(node: NodeName): TemplateResult {
    const answer = this.#opponents.value;
    const { tokens } = this.source!.facts;
    if (!answer) return html`${this.#opponents.renderStatus()}`;
    if (answer.count === 0) return html`<div class="note">Every part of this state is on its side.</div>`;
    const parts = this.#against;
    const most = Math.max(1e-12, ...parts.map(({ contribution }) => -contribution));
    const written = weightColumn(parts.map(({ contribution }) => contribution));
    const count = this.#limit.shown(parts.length, this.rows, `against ${node}`);
    return html`<div class="heading" aria-hidden="true"><span>From</span><span>Signed proximity</span></div>
      <div role="listbox" tabindex="0" aria-label="What works against ${placeWords(node, tokens)}, most opposed first" @keydown=${(event: KeyboardEvent) => this.#key(event, -1, parts)}>
        ${parts.slice(0, count).map(
          (one) => html`<div
            role="option"
            class="against ${one.kind}"
            data-source=${one.source}
            data-head=${one.head ?? nothing}
            title=${one.source}
            aria-selected="false"
            @click=${() => this.#choose(one)}
          ><span>${sourceWords(one, tokens)}${one.head === undefined ? "" : ` · head ${one.head}`}</span><span class="track"><i style="--b:${-one.contribution / most}"></i></span><span class="n">${written(one.contribution)}</span></div>`,
        )}
      </div>
      <div class="about">${this.#limit.renderMore(parts.length, count, this.rows)}By how much of its size the state would grow without the part${answer.count > parts.length ? `; ${answer.count} parts are below 0` : ""}</div>`;
  }

  /** What works against the state, most opposed first; `contribution` is the signed proximity. */
  get #against(): readonly Source[] {
    const answer = this.#opponents.value;
    return (answer?.sources ?? []).map((source, i) => ({
      source,
      kind: EDGE_KINDS[answer!.kinds.data[i]],
      contribution: answer!.proximities.data[i],
      ...(answer!.heads.data[i] < 0 ? {} : { head: answer!.heads.data[i] }),
    }));
  }

  #choose({ source, kind, head }: Source): void {
    const node = this.#node;
    const place = parseNode(source);
    if (node === undefined || !place) return;
    const focus: Focus =
      kind === "ffn-out"
        ? { kind: "ffn", layer: place.layer, position: place.position }
        : { kind: "edge", source, target: node, ...(kind === "residual" ? { edge: "residual" as const } : {}) };
    this.select({ focus, head: head === undefined ? null : { layer: parseNode(node)!.layer, head }, neuron: null });
  }

  #key(event: KeyboardEvent, chosen: number, sources: readonly Source[]): void {
    const next = movedIndex(event.key, chosen, sources.length);
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.#choose(sources[next]);
  }

  /** Downloads all sources as a table. */
  save(): void {
    const node = this.#node;
    if (this.opposed)
      return saveCsv(
        [
          ["source", "target", "kind", "head", "proximity"],
          ...this.#against.map((one) => [one.source, node ?? "", one.kind, one.head ?? "", one.contribution]),
        ],
        `works-against-${node}.csv`,
      );
    saveCsv(
      [
        ["source", "target", "kind", "contribution"],
        ...this.#sources.map((one) => [one.source, node ?? "", one.kind, one.contribution]),
      ],
      `flows-into-${node}.csv`,
    );
  }
}

const isFocus = ({ source, kind }: Source, node: NodeName, focus: Extract<Focus, { kind: "edge" }>): boolean =>
  source === focus.source && node === focus.target && kind === focusEdgeKind(focus);

function sourceWords({ source, kind }: Source, tokens: readonly { readonly text: string }[]): string {
  if (kind === "ffn-out") return "feed-forward block";
  if (kind === "residual") return "residual stream";
  return `attention to ${shortText(tokens[parseNode(source)?.position ?? -1]?.text ?? "", 14)}`;
}

define("lmt-inflow", InflowElement);
