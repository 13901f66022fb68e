import { html, nothing } from "lit";
import type { PropertyValues, TemplateResult } from "lit";
import { guard } from "lit/directives/guard.js";
import { repeat } from "lit/directives/repeat.js";
import type { NodeName } from "../../../src/protocol";
import { isNodeName, nodeName, parseNode, shortText, visibleText } from "../../../src/protocol";
import { define, LmtElement } from "../../core/element";
import type { SaveFormat } from "../../core/export";
import { percent } from "../../core/format";
import "../menu";
import { saveGrid, saveStates } from "./export";
import { Filling, stateOf } from "./filling";
import { gridStyles } from "./styles";

const MIN_COLUMN = 59;
const MAX_COLUMN = 111;
/** Columns come and go by as many at once. */
const STEP = 8;

/**
 * What every state would predict: its top token, layers upward, tokens along x, coloured by the top token's probability
 * or by the distribution's entropy. A click selects the state.
 */
export class LensGridElement extends LmtElement {
  static override formats: readonly SaveFormat[] = ["svg", "png", "csv"];
  static override styles = [LmtElement.styles, gridStyles];
  static override properties = { ...LmtElement.properties, by: {} };

  /** What colours a cell: "probability" or "entropy". */
  declare by: string;

  #filling: Filling | undefined;
  /** First and last column (exclusive) that are in the page. */
  #window: readonly [number, number] = [0, 0];
  /** Where the keyboard is: row and column. */
  #cursor: { readonly row: number; readonly position: number } | undefined;
  #refocus = false;
  #placedFor = "";

  constructor() {
    super();
    this.by = "probability";
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#filling?.stop();
  }

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed);
    const { source } = this;
    const { normalize } = this.selected;
    if (!source || this.#filling?.source !== source || this.#filling.normalize !== normalize) {
      this.#filling?.stop();
      this.#filling = source && new Filling(source, normalize, this.#columns.nearest, () => this.requestUpdate());
      if (changed.has("source")) this.#cursor = undefined;
    }
    // What is out of view asks nothing.
    if (this.asking) this.#filling?.start();
    else this.#filling?.stop();
  }

  /** Sizes of the table: width of a column, of the layers' names, columns in view. */
  get #columns(): { readonly width: number; readonly head: number; readonly inView: number; readonly nearest: number } {
    const T = this.source?.facts.tokens.length ?? 1;
    const head = 40;
    const width = Math.max(MIN_COLUMN, Math.min(MAX_COLUMN, Math.floor((this.width - head - 2) / T)));
    return { width, head, inView: Math.ceil(Math.max(1, this.width - head) / width), nearest: this.selected.start };
  }

  /**
   * Columns to be in the page where the view begins at `left` pixels: whole steps, so that most scrolling changes
   * nothing.
   */
  #windowAt(left: number): readonly [number, number] {
    const T = this.source?.facts.tokens.length ?? 0;
    const { width, inView } = this.#columns;
    const first = Math.floor(Math.max(0, left / width - STEP) / STEP) * STEP;
    return [Math.min(first, Math.max(0, T - 1)), Math.min(T, first + Math.ceil(inView / STEP) * STEP + 3 * STEP)];
  }

  readonly #scrolled = (event: Event): void => {
    const [first, end] = this.#windowAt(Math.abs((event.currentTarget as HTMLElement).scrollLeft));
    if (first === this.#window[0] && end === this.#window[1]) return;
    this.requestUpdate();
  };

  protected override render(): TemplateResult {
    const facts = this.source?.facts;
    if (!facts) return html`<div class="note">No run to show yet.</div>`;
    const filling = this.#filling!;
    const entropy = this.by === "entropy";
    const { done, total } = filling;
    return html`
      <header>
        <h3>What every state would predict</h3>
        <span class="end">
          ${
            done < total && !filling.error
              ? html`<span class="scale" role="status"><span class="visually-hidden">Computing the states,</span><progress max=${total} value=${done} aria-label="States that are there"></progress>${Math.floor((100 * done) / total)} % computed</span>`
              : nothing
          }
          <span class="scale"><span>${entropy ? `${filling.most.toFixed(1)} bits` : "0 %"}</span><i aria-hidden="true"></i><span>${entropy ? "0 bits" : "100 %"}</span></span>
          <button aria-pressed=${!entropy} @click=${() => (this.by = "probability")}>Probability</button>
          <button aria-pressed=${entropy} @click=${() => (this.by = "entropy")}>Entropy</button>
          <lmt-menu
            label="Save this table"
            .items=${[
              { label: "Save as SVG", run: () => void this.save("svg") },
              { label: "Save as PNG", run: () => void this.save("png") },
              { label: "Save as CSV", run: () => void this.save("csv") },
            ]}
          ></lmt-menu>
        </span>
      </header>
      ${
        filling.error
          ? html`<div class="error" role="alert"><span>${filling.error}</span><button @click=${() => this.#retry()}>Try again</button></div>`
          : this.width > 0
            ? this.#renderGrid(filling)
            : nothing
      }
    `;
  }

  #retry(): void {
    this.#filling = undefined;
    this.requestUpdate();
  }

  #renderGrid(filling: Filling): TemplateResult {
    const facts = this.source!.facts;
    const T = facts.tokens.length;
    const { nLayers } = facts.model;
    const { width, head } = this.#columns;
    const scroller = this.renderRoot.querySelector(".scroll");
    this.#window = this.#windowAt(scroller ? Math.abs(scroller.scrollLeft) : this.#firstScroll());
    const [first, end] = this.#window;
    const positions = Array.from({ length: end - first }, (_, i) => first + i);
    const { focus, token } = this.selected;
    const chosen = focus?.kind === "node" ? focus.node : "";
    const place = this.#place();
    // One cell can be reached by Tab: where the keyboard was, or the nearest that is there.
    const reachable = stateOf(place.row, Math.max(first, Math.min(end - 1, place.position)));
    const rows = Array.from({ length: nLayers + 1 }, (_, i) => nLayers - i);
    const sizes = `--columns:${positions.length};--column:${width}px;--head:${head}px;--before:${first * width}px;--after:${(T - end) * width}px`;
    return html`<div class="scroll" @scroll=${this.#scrolled}>
      <div role="grid" aria-label="Top token of every state, layers upward" aria-rowcount=${nLayers + 2} aria-colcount=${T + 1} aria-busy=${filling.done < filling.total} style=${sizes} @keydown=${this.#key} @click=${this.#click}>
        ${rows.map(
          (row, at) => html`<div role="row" aria-rowindex=${at + 1}>
            <span role="rowheader" style="grid-column:1">${row === 0 ? "emb" : row - 1}</span>
            ${repeat(
              positions,
              (position) => position,
              (position) => this.#renderCell(filling, row, position, chosen, reachable, token),
            )}
          </div>`,
        )}
        <div role="row" aria-rowindex=${nLayers + 2}>
          <span role="columnheader" style="left:0;z-index:2;grid-column:1"><span class="visually-hidden">Layer</span></span>
          ${repeat(
            positions,
            (position) => position,
            (position) =>
              html`<span role="columnheader" class="token" aria-colindex=${position + 2} title="${position}: ${visibleText(facts.tokens[position].text)}">${shortText(facts.tokens[position].text, 9)}</span>`,
          )}
        </div>
      </div>
    </div>`;
  }

  #renderCell(
    filling: Filling,
    row: number,
    position: number,
    chosen: string,
    reachable: string,
    pinned: number | null,
  ): unknown {
    const name = stateOf(row, position);
    const i = row * filling.nTokens + position;
    const token = filling.token(i);
    const probability = filling.probabilities[i];
    const entropy = filling.entropies[i];
    const share = !token ? 0 : this.by === "entropy" ? 1 - entropy / filling.most : probability;
    const [selected, followed, tab] = [name === chosen, token?.id === pinned, name === reachable];
    // Most cells stay what they are from one rendering to the next. One template for all: a cell that has the focus
    // keeps it when its answer comes.
    return guard(
      [token, share, selected, followed, tab],
      () => html`<span
      role="gridcell"
      class=${!token ? "waiting" : followed ? "pinned" : ""}
      tabindex=${tab ? 0 : -1}
      data-node=${name}
      aria-colindex=${position + 2}
      aria-selected=${selected}
      style="--c:${share.toFixed(3)}"
      title=${token ? `${name}: ${token.visible} ${percent(probability)}, entropy ${entropy.toFixed(2)} bits` : `${name}: not computed yet`}
      >${token ? token.short : nothing}</span
    >`,
    );
  }

  /** The first view shows the start token. */
  #firstScroll(): number {
    const { width, inView } = this.#columns;
    return Math.max(0, (this.selected.start + 2 - inView) * width);
  }

  protected override updated(): void {
    const scroller = this.renderRoot.querySelector<HTMLElement>(".scroll");
    if (!scroller) return;
    const { focus, start } = this.selected;
    // A state that was chosen elsewhere comes into view, and so does a new start token.
    const place = focus?.kind === "node" ? focus.node : `${start}`;
    if (this.#placedFor !== place) {
      const before = this.#placedFor;
      this.#placedFor = place;
      if (before === "")
        scroller.scrollLeft = this.#firstScroll() * (getComputedStyle(this).direction === "rtl" ? -1 : 1);
      const at = focus?.kind === "node" ? parseNode(focus.node)?.position : start;
      if (at !== undefined) this.#reveal(at);
    }
    if (!this.#refocus || !this.#cursor) return;
    const cell = this.renderRoot.querySelector<HTMLElement>(
      `[data-node="${stateOf(this.#cursor.row, this.#cursor.position)}"]`,
    );
    if (!cell) return;
    this.#refocus = false;
    cell.focus({ preventScroll: true });
    cell.scrollIntoView({ block: "nearest" });
  }

  /** Scrolls sideways until a column is in view. */
  #reveal(position: number): void {
    const scroller = this.renderRoot.querySelector<HTMLElement>(".scroll");
    if (!scroller) return;
    const { width, head } = this.#columns;
    const sign = getComputedStyle(this).direction === "rtl" ? -1 : 1;
    const left = sign * scroller.scrollLeft;
    const at = position * width;
    if (at < left) scroller.scrollLeft = sign * at;
    else if (at + width > left + scroller.clientWidth - head)
      scroller.scrollLeft = sign * (at + width - scroller.clientWidth + head);
  }

  /** Where the keyboard is: where it was moved to, else the selected state, else the state above the start token. */
  #place(): { readonly row: number; readonly position: number } {
    if (this.#cursor) return this.#cursor;
    const { focus, start } = this.selected;
    const place = focus?.kind === "node" ? parseNode(focus.node) : undefined;
    if (place && place.kind !== "A" && place.kind !== "M") return { row: place.layer + 1, position: place.position };
    return { row: this.source?.facts.model.nLayers ?? 0, position: start };
  }

  #choose(node: NodeName): void {
    this.select({ focus: { kind: "node", node }, head: null, neuron: null });
  }

  readonly #click = (event: MouseEvent): void => {
    const node = (event.target as HTMLElement).closest<HTMLElement>("[role=gridcell]")?.dataset.node;
    const place = node === undefined ? undefined : parseNode(node);
    if (!place || node === undefined || !isNodeName(node)) return;
    this.#cursor = { row: place.layer + 1, position: place.position };
    this.#choose(node);
  };

  readonly #key = (event: KeyboardEvent): void => {
    const facts = this.source?.facts;
    const cell = (event.target as HTMLElement).closest<HTMLElement>("[role=gridcell]");
    const at = cell?.dataset.node === undefined ? undefined : parseNode(cell.dataset.node);
    if (!facts || !cell || !at || event.ctrlKey || event.metaKey || event.altKey) return;
    const from = { row: at.layer + 1, position: at.position };
    const page = Math.max(1, this.#columns.inView - 2);
    const moves: Readonly<Record<string, { readonly row: number; readonly position: number }>> = {
      ArrowUp: { row: from.row + 1, position: from.position },
      ArrowDown: { row: from.row - 1, position: from.position },
      ArrowLeft: { row: from.row, position: from.position - 1 },
      ArrowRight: { row: from.row, position: from.position + 1 },
      PageUp: { row: from.row, position: from.position - page },
      PageDown: { row: from.row, position: from.position + page },
      Home: { row: from.row, position: 0 },
      End: { row: from.row, position: facts.tokens.length - 1 },
    };
    const move = Object.hasOwn(moves, event.key) ? moves[event.key] : undefined;
    if (move) {
      this.#cursor = {
        row: Math.max(0, Math.min(facts.model.nLayers, move.row)),
        position: Math.max(0, Math.min(facts.tokens.length - 1, move.position)),
      };
      this.#refocus = true;
      this.#reveal(this.#cursor.position);
      this.requestUpdate();
    } else if (event.key === "Enter" || event.key === " ") this.#choose(nodeName(at.kind, at.layer, at.position));
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  /** Downloads the whole grid, as far as it is there: as one picture, or as a table. */
  async save(format: SaveFormat = "csv"): Promise<void> {
    const filling = this.#filling;
    const facts = this.source?.facts;
    if (!filling || !facts || filling.done === 0) return;
    if (format === "csv") return saveStates(filling);
    return saveGrid(
      {
        facts,
        filling,
        by: this.by,
        width: this.#columns.width,
        element: this,
        shown: this.renderRoot.firstElementChild ?? this,
      },
      format,
    );
  }
}

define("lmt-lens-grid", LensGridElement);
