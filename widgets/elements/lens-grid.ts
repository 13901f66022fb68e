import { interpolateLab } from "d3-interpolate";
import { css, html, nothing } from "lit";
import type { PropertyValues, TemplateResult } from "lit";
import { guard } from "lit/directives/guard.js";
import { repeat } from "lit/directives/repeat.js";
import type { Answer, NodeName, WireToken } from "../../src/protocol";
import { isNodeName, nodeName, parseNode, ProtocolError, shortText, visibleText } from "../../src/protocol";
import { define, LmtElement } from "../core/element";
import { saveBuiltPng, saveBuiltSvg, saveCsv, svgElement } from "../core/export";
import { percent } from "../core/format";
import type { FlowSource } from "../core/source";
import { sentenceOf } from "../core/source";
import "./menu";

const MIN_COLUMN = 59;
const MAX_COLUMN = 111;
/** Columns come and go by as many at once. */
const STEP = 8;
/** Columns of a row that are asked for at once: small enough to be stopped soon, large enough to be worth the way. */
const SPAN = 128;
/** Questions under way at once: while one answer travels, the next is computed. */
const AT_ONCE = 2;

/** A token with its texts: finding where letters end is slow, and most tokens are in many cells. */
interface ShownToken extends WireToken {
  readonly short: string;
  readonly visible: string;
}

/**
 * The tables of a grid while they come, part by part: the top layers first, and of those the columns near the start
 * token.
 */
class Filling {
  readonly nTokens: number;
  readonly tops: Int32Array;
  readonly probabilities: Float32Array;
  readonly entropies: Float32Array;
  /** States that are there, of how many. */
  done = 0;
  readonly total: number;
  /** Largest entropy so far, in bits. */
  most = 1e-9;
  error = "";
  readonly #tokens: ShownToken[] = [];
  readonly #places = new Map<number, number>();
  readonly #open: { readonly row: number; readonly first: number; readonly count: number }[] = [];
  #abort: AbortController | undefined;

  constructor(
    readonly source: FlowSource,
    readonly normalize: boolean,
    nearest: number,
    private readonly changed: () => void,
  ) {
    const { tokens, model } = source.facts;
    this.nTokens = tokens.length;
    this.total = this.nTokens * (model.nLayers + 1);
    this.tops = new Int32Array(this.total).fill(-1);
    this.probabilities = new Float32Array(this.total);
    this.entropies = new Float32Array(this.total);
    const spans = Array.from({ length: Math.ceil(this.nTokens / SPAN) }, (_, i) => i * SPAN).sort(
      (a, b) => Math.abs(a + SPAN / 2 - nearest) - Math.abs(b + SPAN / 2 - nearest),
    );
    for (const first of spans)
      for (let row = model.nLayers; row >= 0; row--)
        this.#open.push({ row, first, count: Math.min(SPAN, this.nTokens - first) });
  }

  token(i: number): ShownToken | undefined {
    return this.#tokens[this.tops[i]];
  }

  /** Asks for what is missing. Does nothing while that is under way, or after an error. */
  start(): void {
    if (this.#abort || this.error || this.#open.length === 0) return;
    const abort = (this.#abort = new AbortController());
    for (let i = 0; i < AT_ONCE; i++) void this.#work(abort.signal);
  }

  /** Withdraws what is asked; what came stays. */
  stop(): void {
    this.#abort?.abort();
    this.#abort = undefined;
  }

  async #work(signal: AbortSignal): Promise<void> {
    for (;;) {
      const part = this.#open.shift();
      if (!part) return;
      try {
        const answer = await this.source.ask({ kind: "gridPart", ...part, normalize: this.normalize }, signal);
        if (signal.aborted) throw new ProtocolError("cancelled", "The question was withdrawn.");
        this.#take(part, answer);
      } catch (error) {
        this.#open.unshift(part);
        if (signal.aborted) return;
        this.error = sentenceOf(error);
        this.stop();
      }
      this.changed();
      if (signal.aborted) return;
    }
  }

  #take(
    { row, first, count }: { readonly row: number; readonly first: number; readonly count: number },
    answer: Answer<"gridPart">,
  ): void {
    const sizes = [answer.tops, answer.probabilities, answer.entropies].map(({ data }) => data.length);
    if (sizes.some((size) => size !== count))
      throw new ProtocolError("malformed", "This answer's tables do not have one cell for every state.");
    const places = answer.tokens.map((token) => {
      let place = this.#places.get(token.id);
      if (place === undefined)
        this.#places.set(
          token.id,
          (place =
            this.#tokens.push({ ...token, short: shortText(token.text, 9), visible: visibleText(token.text) }) - 1),
        );
      return place;
    });
    const at = row * this.nTokens + first;
    for (let i = 0; i < count; i++) {
      this.tops[at + i] = places[answer.tops.data[i]] ?? -1;
      this.probabilities[at + i] = answer.probabilities.data[i];
      this.entropies[at + i] = answer.entropies.data[i];
      this.most = Math.max(this.most, answer.entropies.data[i]);
    }
    this.done += count;
  }
}

/**
 * What every state would predict: its top token, layers upward, tokens along x, coloured by the top token's probability
 * or by the distribution's entropy. A click selects the state.
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
        overscroll-behavior-x: contain;
      }
      [role="grid"] {
        display: grid;
        grid-template-columns: var(--head) var(--before) repeat(var(--columns), var(--column)) var(--after);
        width: max-content;
        min-width: 100%;
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
        line-height: 20px;
        padding: 0 6px;
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
        margin: 0 1px 1px 0;
        border-radius: 2px;
        height: 19px;
        overflow: hidden;
        text-overflow: ellipsis;
        unicode-bidi: isolate;
        cursor: pointer;
        background: color-mix(in oklab, var(--_attention) calc(var(--ramp) * var(--c)), var(--_surface));
      }
      /* The second column stands for all that is not in the page. */
      [role="rowheader"] + [role="gridcell"],
      [role="columnheader"]:first-child + [role="columnheader"] {
        grid-column-start: 3;
      }
      [role="gridcell"].waiting {
        background: var(--_band);
        cursor: default;
      }
      progress {
        width: 90px;
        height: 7px;
        accent-color: var(--_attention);
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
    const reachable = this.#name(place.row, Math.max(first, Math.min(end - 1, place.position)));
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
    const name = this.#name(row, position);
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
      `[data-node="${this.#name(this.#cursor.row, this.#cursor.position)}"]`,
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

  /** Row 0 is the embedding, row l + 1 the state after layer l. */
  #name(row: number, position: number): string {
    return row === 0 ? nodeName("X", -1, position) : nodeName("I", row - 1, position);
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
  async save(format: "svg" | "png" | "csv" = "csv"): Promise<void> {
    const filling = this.#filling;
    const facts = this.source?.facts;
    if (!filling || !facts || filling.done === 0) return;
    if (format === "csv") {
      const rows: (string | number)[][] = [["state", "id", "token", "probability", "entropy in bits"]];
      for (let i = 0; i < filling.tops.length; i++) {
        const token = filling.token(i);
        if (token)
          rows.push([
            this.#name(Math.floor(i / filling.nTokens), i % filling.nTokens),
            token.id,
            token.text,
            filling.probabilities[i],
            filling.entropies[i],
          ]);
      }
      return saveCsv(rows, "lens-grid.csv");
    }
    const { marks, size } = this.#picture(filling);
    const shown = this.renderRoot.firstElementChild ?? this;
    if (format === "svg") return saveBuiltSvg(marks, size, shown, "lens-grid.svg");
    return saveBuiltPng(marks, size, shown, "lens-grid.png");
  }

  /** The whole grid as marks of an SVG. */
  #picture(filling: Filling): {
    readonly marks: readonly SVGElement[];
    readonly size: { readonly width: number; readonly height: number };
  } {
    const facts = this.source!.facts;
    const { width } = this.#columns;
    const [row, head] = [20, 40];
    const style = getComputedStyle(this);
    const color = (name: string): string => style.getPropertyValue(name).trim() || "#888888";
    const mix = interpolateLab(
      color("--_surface").startsWith("Canvas") ? "#ffffff" : color("--_surface"),
      color("--_attention"),
    );
    const ramp = Number.parseFloat(style.getPropertyValue("--ramp")) / 100 || 0.5;
    const font = { "font-family": color("--_mono"), "font-size": 11.5, "text-anchor": "middle" };
    const layers = facts.model.nLayers;
    const marks: SVGElement[] = [];
    for (let r = 0; r <= layers; r++) {
      const y = (layers - r) * row;
      marks.push(
        svgElement(
          "text",
          {
            x: head - 6,
            y: y + 14,
            fill: color("--_text-soft"),
            "font-size": 11,
            "text-anchor": "end",
            "font-family": color("--_sans"),
          },
          r === 0 ? "emb" : String(r - 1),
        ),
      );
      for (let t = 0; t < filling.nTokens; t++) {
        const i = r * filling.nTokens + t;
        const token = filling.token(i);
        if (!token) continue;
        const share = this.by === "entropy" ? 1 - filling.entropies[i] / filling.most : filling.probabilities[i];
        marks.push(
          svgElement("rect", {
            x: head + t * width,
            y,
            width: width - 1,
            height: row - 1,
            rx: 2,
            fill: mix(ramp * share),
          }),
        );
        marks.push(
          svgElement(
            "text",
            { ...font, x: head + (t + 0.5) * width, y: y + 14, fill: color("--_text") },
            shortText(token.text, Math.floor((width - 6) / 7)),
          ),
        );
      }
    }
    facts.tokens.forEach((token, t) =>
      marks.push(
        svgElement(
          "text",
          { ...font, x: head + (t + 0.5) * width, y: (layers + 1) * row + 15, fill: color("--_text") },
          shortText(token.text, Math.floor((width - 6) / 7)),
        ),
      ),
    );
    return { marks, size: { width: head + filling.nTokens * width + 4, height: (layers + 2) * row + 4 } };
  }
}

define("lmt-lens-grid", LensGridElement);
