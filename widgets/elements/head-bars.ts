import { html, nothing } from "lit";
import type { TemplateResult } from "lit";
import { focusEdgeKind, parseNode, routesQuestion, shortText } from "../../src/protocol";
import { Ask } from "../core/ask";
import { define, LmtElement } from "../core/element";
import type { SaveFormat } from "../core/export";
import { weight, weightColumn } from "../core/format";
import type { DrawnEdge, DrawnRoutes } from "../core/routes";
import { drawnRoutes, focusedEdge } from "../core/routes";
import { barsMenu, saveBars } from "./bars-picture";
import type { BarFormat } from "./bars-picture";
import { barsStyles, movedIndex } from "./bars-styles";
import "./menu";
import { RowLimit } from "./row-limit";

/**
 * How much every head contributes to the selected attention edge. The first line is all heads together, their sum. A
 * click chooses a head (selection's `head`).
 */
export class HeadBarsElement extends LmtElement {
  static override formats: readonly SaveFormat[] = ["svg", "png", "csv"];
  static override styles = [LmtElement.styles, ...barsStyles];
  static override properties = { ...LmtElement.properties, sorted: { type: Boolean }, rows: { type: Number } };

  /** Largest first; otherwise by number. */
  declare sorted: boolean;
  /** Heads there is room for, beside their sum: of more, the largest are shown, the others on request. 0: all. */
  declare rows: number;

  readonly #limit = new RowLimit(this);

  readonly #heads = new Ask(this, () => {
    const edge = this.#edge;
    return edge && { kind: "heads" as const, ...edge };
  });
  /** The graph's own: what of an edge passed the threshold. */
  readonly #routes = new Ask(this, () => (this.#edge ? routesQuestion(this.selected) : undefined));

  constructor() {
    super();
    this.sorted = false;
    this.rows = 0;
  }

  get #edge(): { layer: number; query: number; key: number } | undefined {
    const focus = this.selected.focus;
    if (focus?.kind !== "edge" || focusEdgeKind(focus) === "residual") return undefined;
    const from = parseNode(focus.source);
    const to = parseNode(focus.target);
    return from && to && to.layer >= 0 && to.kind !== "M" && from.kind !== "M"
      ? { layer: to.layer, query: to.position, key: from.position }
      : undefined;
  }

  /** Heads in the order of the list. One scale for all bars: the sum's. */
  get #shown(): { readonly order: readonly number[]; readonly contributions: readonly number[]; readonly sum: number } {
    const contributions = [...(this.#heads.value?.contributions.data ?? [])];
    const order = contributions.map((_, head) => head);
    if (this.sorted || (this.rows > 0 && order.length > this.rows + 1))
      order.sort((a, b) => contributions[b] - contributions[a]);
    return { order, contributions, sum: contributions.reduce((total, value) => total + value, 0) };
  }

  /** What of the selected edge is drawn; undefined where it is not on the routes. */
  get #passed(): DrawnEdge | undefined {
    const facts = this.source?.facts;
    const { value } = this.#routes;
    if (!facts || !value) return undefined;
    if (this.#drawn?.answer !== value) {
      try {
        this.#drawn = { answer: value, routes: drawnRoutes(value, facts.model, facts.tokens.length) };
      } catch {
        // The graph says what is wrong with them.
        this.#drawn = { answer: value, routes: undefined };
      }
    }
    return focusedEdge(this.#drawn.routes, this.selected.focus);
  }

  #drawn: { readonly answer: unknown; readonly routes: DrawnRoutes | undefined } | undefined;

  protected override render(): TemplateResult {
    const edge = this.#edge;
    if (!this.source || !edge)
      return html`<div class="note">${
        this.selected.focus?.kind === "edge"
          ? "This is a residual edge: it carries what was there before the block, and has no heads."
          : "Select an attention edge to see which heads made it."
      }</div>`;
    const answer = this.#heads.value;
    const tokens = this.source.facts.tokens;
    const { order, contributions, sum } = this.#shown;
    const weights = answer?.weights.data;
    const chosen = this.selected.head?.layer === edge.layer ? this.selected.head.head : null;
    const count = this.#limit.shown(order.length, this.rows, `${edge.layer} ${edge.query} ${edge.key}`);
    // What is chosen is never hidden.
    const listed = order.filter((head, i) => i < count || head === chosen);
    const written = weightColumn([...contributions, sum]);
    const passed = this.#passed;
    const { threshold, budget } = this.selected;
    const cut = budget
      ? "not among the edges that are drawn"
      : `below ${threshold.toFixed(3).replace(/0$/, "")}, not drawn`;
    return html`
      <header>
        <h3>
          Heads of layer ${edge.layer} <span class="token soft">${shortText(tokens[edge.key]?.text ?? "", 14)} → ${shortText(tokens[edge.query]?.text ?? "", 14)}</span>
        </h3>
        <span>
          <button aria-pressed=${this.sorted} title="Largest contribution first" @click=${() => (this.sorted = !this.sorted)}>Sort</button>
          <lmt-menu label="Save these heads" .items=${barsMenu((format) => this.save(format))}></lmt-menu>
        </span>
      </header>
      ${this.#heads.renderStatus()}
      ${
        answer
          ? html`<div class="heading" aria-hidden="true"><span>Head</span><span>Contribution</span><span>Attention</span></div>
            <div role="listbox" tabindex="0" aria-label="Heads of layer ${edge.layer} by contribution" aria-activedescendant=${chosen === null ? "all" : `head-${chosen}`} @keydown=${(event: KeyboardEvent) => this.#key(event, [null, ...order])}>
              ${this.#renderOption(edge.layer, null, sum, sum, undefined, chosen === null, written)}
              ${listed.map((head) => this.#renderOption(edge.layer, head, contributions[head], sum, weights?.[head], chosen === head, written))}
            </div>
            <div class="about">${this.#limit.renderMore(order.length, listed.length, this.rows)}${
              passed
                ? html`<strong>${weight(passed.weight)}</strong> of what passed is drawn; bars: of everything`
                : "Not on the routes; bars: of everything"
            }${contributions.some((value, head) => !this.#isDrawn(head, value)) ? html`; grey: ${cut}` : nothing}</div>`
          : nothing
      }
    `;
  }

  #renderOption(
    layer: number,
    head: number | null,
    value: number,
    sum: number,
    attention: number | undefined,
    chosen: boolean,
    written: (value: number) => string,
  ): TemplateResult {
    const below = head !== null && !this.#isDrawn(head, value);
    const name = head === null ? "All heads" : `Head ${head}`;
    return html`<div
      role="option"
      class=${below ? "below" : ""}
      title=${below ? "Not part of the edge that is drawn" : ""}
      id=${head === null ? "all" : `head-${head}`}
      data-head=${head ?? "all"}
      aria-selected=${chosen}
      @click=${() => this.#choose(layer, head)}
    >
      <span>${name}</span><span class="track"><i style="--b:${sum > 0 ? value / sum : 0}"></i></span><span class="n"><span class="visually-hidden">contribution </span>${written(value)}</span
      ><span class="n soft">${attention === undefined ? nothing : html`<span class="visually-hidden">attention weight </span>${attention.toFixed(3)}`}</span>
    </div>`;
  }

  /** Whether a head is part of what is drawn. */
  #isDrawn(head: number, value: number): boolean {
    const { threshold, budget } = this.selected;
    return budget ? (this.#passed?.heads.some((one) => one.head === head) ?? false) : value > threshold;
  }

  #choose(layer: number, head: number | null): void {
    this.select({ head: head === null ? null : { layer, head } });
  }

  #key(event: KeyboardEvent, options: readonly (number | null)[]): void {
    const edge = this.#edge;
    const chosen = this.selected.head?.layer === edge?.layer ? (this.selected.head?.head ?? null) : null;
    const next = movedIndex(event.key, options.indexOf(chosen), options.length);
    if (next === undefined || !edge) return;
    event.preventDefault();
    event.stopPropagation();
    this.#choose(edge.layer, options[next]);
    void this.updateComplete.then(() =>
      this.renderRoot.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }),
    );
  }

  /** Downloads the bars as a picture, or their numbers as a table. */
  save(format: BarFormat = "csv"): void | Promise<void> {
    const answer = this.#heads.value;
    const edge = this.#edge;
    if (!answer || !edge || !this.source) return;
    const { order, contributions, sum } = this.#shown;
    const token = (position: number): string => shortText(this.source!.facts.tokens[position]?.text ?? "", 14);
    const bars = order.map((head) => ({
      id: head,
      name: `Head ${head}`,
      contribution: contributions[head],
      shown: weight(contributions[head]),
      more: { value: answer.weights.data[head], shown: weight(answer.weights.data[head]) },
    }));
    const title = `Heads of layer ${edge.layer}  ${token(edge.key)} → ${token(edge.query)}`;
    return saveBars(
      this,
      {
        name: "heads",
        title,
        columns: ["Head", "Contribution", "Attention"],
        most: sum,
        bars: [{ name: "All heads", contribution: sum, shown: weight(sum) }, ...bars],
      },
      format,
    );
  }
}

define("lmt-head-bars", HeadBarsElement);
