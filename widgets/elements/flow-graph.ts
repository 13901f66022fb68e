import { select } from "d3-selection";
import { zoom, zoomIdentity } from "d3-zoom";
import type { D3ZoomEvent, ZoomBehavior, ZoomTransform } from "d3-zoom";
import { css, html, nothing } from "lit";
import type { PropertyValues, TemplateResult } from "lit";
import type { Focus, FlowLayout, NodeName, NodePlace, WireToken } from "../../src/protocol";
import { COLLAPSED, comfortableLayerHeight, describeNode, flowLayout, isNodeName, nodeName, parseNode, routesQuestion, shortText, stateKinds, visibleText } from "../../src/protocol";
import { Ask } from "../core/ask";
import { define, LmtElement } from "../core/element";
import type { ShownPicture } from "../core/export";
import { saveCanvas, saveCsv, savePng, saveSvg } from "../core/export";
import { percent, weight as weightText } from "../core/format";
import type { DrawnEdge, DrawnRoutes } from "../core/routes";
import { comparedRoutes, drawnRoutes, edgeKey } from "../core/routes";
import { sentenceOf } from "../core/source";
import { PreparedFlow, readPalette } from "./flow-canvas";
import type { MenuItem } from "./menu";
import "./menu";
import "./trace-bar";

/** Above this many states, or edges, the grid is drawn on a canvas: a browser moves about as many SVG marks within a frame. */
const CANVAS_STATES = 2500;
const CANVAS_EDGES = 2500;
const LABEL_ANGLE = 38;
const MAX_HEIGHT = 780;
const MIN_COLUMN = 20;
const LENS_TOP = 30;

type Mark = { readonly kind: "node"; readonly node: NodeName } | { readonly kind: "edge"; readonly edge: DrawnEdge } | { readonly kind: "ffn"; readonly layer: number; readonly position: number };

const markFocus = (mark: Mark): Focus =>
  mark.kind === "edge" ? { kind: "edge", source: mark.edge.source, target: mark.edge.target } : mark;

const markKey = (mark: Mark | undefined): string => (mark ? JSON.stringify(markFocus(mark)) : "");

const placeName = (place: NodePlace): NodeName => nodeName(place.kind, place.layer, place.position);

interface Margin {
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  readonly left: number;
}

/**
 * The information flow routes of one token: a grid of states, one column a token and one band a layer, with the edges
 * that passed the threshold. Writes `start`, `focus`, `threshold` and `renormalize` of the shared selection.
 *
 * Attributes for tests and styles: `data-node`, `data-edge` (`source>target:kind`), `data-ffn` (`layer_position`), `data-start`.
 * Parts: `toolbar`, `figure`, `legend`.
 */
export class FlowGraphElement extends LmtElement {
  static override styles = [
    LmtElement.styles,
    css`
      :host {
        min-height: 120px;
      }
      .toolbar {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 6px 16px;
        min-height: 30px;
        padding: 0 2px 6px;
      }
      .toolbar label {
        display: inline-flex;
        align-items: center;
        gap: 7px;
        white-space: nowrap;
      }
      .toolbar output {
        min-width: 2.6em;
        font-variant-numeric: tabular-nums;
      }
      .toolbar .end {
        margin-inline-start: auto;
        display: inline-flex;
        gap: 4px;
        align-items: center;
      }
      .toolbar .end button {
        min-width: 26px;
        height: 24px;
        padding: 0 6px;
        line-height: 1;
      }
      .figure {
        position: relative;
        overflow: hidden;
        border-radius: 8px;
        background: var(--_surface);
      }
      .busy {
        position: absolute;
        inset: 0 0 auto 0;
        z-index: 2;
      }
      .error {
        margin: 4px 0 8px;
      }
      svg,
      canvas {
        display: block;
        touch-action: pan-y;
      }
      canvas {
        position: absolute;
        inset: 0;
        pointer-events: none;
      }
      svg:focus-visible {
        outline-offset: -2px;
        border-radius: 8px;
      }
      .pannable {
        cursor: grab;
      }
      /* Not :active: a cursor is inherited by every mark, and a click that styles thousands of them anew is a slow click. */
      .panning {
        cursor: grabbing;
      }
      text {
        font: 11px var(--_sans);
        fill: var(--_text-soft);
      }
      .label {
        font: 12px var(--_mono);
        fill: var(--_text);
        cursor: pointer;
      }
      .label.quiet {
        fill: var(--_text-soft);
      }
      .label.start {
        font-weight: 700;
      }
      .band {
        fill: var(--_band);
      }
      .state {
        fill: var(--_dull);
        cursor: pointer;
      }
      .state.on {
        fill: var(--_residual);
      }
      .state.from {
        fill: var(--_text);
      }
      .ffn {
        fill: var(--_ffn);
        fill: color-mix(in oklab, var(--_ffn) calc(30% + 70% * var(--w)), var(--_ffn-faint));
        cursor: pointer;
      }
      .ffn.more {
        fill: color-mix(in oklab, var(--_up) calc(100% * var(--w)), var(--_residual-faint));
      }
      .ffn.less {
        fill: color-mix(in oklab, var(--_down) calc(100% * var(--w)), var(--_residual-faint));
      }
      .edge {
        fill: none;
        stroke-linecap: round;
        pointer-events: none;
      }
      .edge.attention {
        stroke: color-mix(in oklab, var(--_attention) calc(100% * var(--w)), var(--_attention-faint));
      }
      .edge.residual {
        stroke: color-mix(in oklab, var(--_residual) calc(62% * var(--w)), var(--_residual-faint));
      }
      .edge.ffn-in,
      .edge.ffn-out {
        stroke: color-mix(in oklab, var(--_ffn) calc(100% * var(--w)), var(--_ffn-faint));
      }
      .edge.more {
        stroke: color-mix(in oklab, var(--_up) calc(100% * var(--w)), var(--_residual-faint));
      }
      .edge.less {
        stroke: color-mix(in oklab, var(--_down) calc(100% * var(--w)), var(--_residual-faint));
        stroke-dasharray: 5 3;
        stroke-linecap: butt;
      }
      .hit {
        fill: none;
        stroke: transparent;
        stroke-width: 11px;
        pointer-events: stroke;
        cursor: pointer;
      }
      .hit.dot {
        stroke: none;
        fill: transparent;
        pointer-events: fill;
      }
      .mark {
        fill: none;
        pointer-events: none;
        stroke-linecap: round;
      }
      .mark.hover {
        stroke: var(--_text);
        stroke-opacity: 0.55;
      }
      .mark.cursor {
        stroke: var(--_focus);
        stroke-dasharray: 3 2.5;
      }
      .mark.chosen {
        stroke: var(--_selected);
      }
      .triangle {
        fill: var(--_dull);
        cursor: pointer;
      }
      .triangle:hover {
        fill: var(--_text-soft);
      }
      .triangle.on {
        fill: var(--_selected);
      }
      .legend {
        display: flex;
        flex-wrap: wrap;
        gap: 4px 16px;
        padding: 6px 2px 0;
        color: var(--_text-soft);
        font-size: 11.5px;
      }
      .legend span {
        display: inline-flex;
        align-items: center;
        gap: 6px;
      }
      .legend .swatch {
        gap: 3px;
      }
      .legend .swatch i {
        width: 10px;
        height: 4px;
        border-radius: 2px;
      }
      .legend svg {
        overflow: visible;
      }
      .tip {
        position: absolute;
        z-index: 3;
        max-width: min(300px, 90%);
        padding: 6px 9px;
        border: 1px solid var(--_line);
        border-radius: 7px;
        background: var(--_raised);
        box-shadow: 0 4px 16px rgb(0 0 0 / 16%);
        pointer-events: none;
        font-size: 12px;
        line-height: 1.4;
      }
      .tip b {
        font-weight: 600;
      }
    `,
  ];

  static override parts = ["toolbar", "figure", "legend"];
  static override properties = {
    ...LmtElement.properties,
    bare: { type: Boolean },
    collapsed: { attribute: false },
    compact: { type: Boolean },
    colorBy: { attribute: "color-by" },
    other: { attribute: false },
    otherTokens: { attribute: false },
    noTrace: { type: Boolean, attribute: "no-trace" },
    maxHeight: { type: Number, attribute: "max-height" },
  };

  /** No toolbar and no legend: someone else has the controls. */
  declare bare: boolean;
  /** Layers that are drawn flat. */
  declare collapsed: ReadonlySet<number>;
  /** Draw layers flat through which nothing but the residual stream passes. */
  declare compact: boolean;
  /** What colours attention edges: their "contribution", the "head" that contributes most, or the "label" of that head: what it attends to. */
  declare colorBy: string;
  /** Routes of another run to compare with, drawn as a difference: what only one of the two has stands out. */
  declare other: DrawnRoutes | undefined;
  /** Tokens of the other run: where they differ, a label names both. */
  declare otherTokens: readonly WireToken[] | undefined;
  /** Do not show what the routes are of: a surrounding element does. */
  declare noTrace: boolean;
  /** Height of the figure in CSS pixels above which it pans. */
  declare maxHeight: number;

  readonly #routes = new Ask(this, () => routesQuestion(this.selected));
  readonly #hovered = new Ask(this, () => {
    const node = this.#peek && this.#hover?.kind === "node" ? this.#hover.node : undefined;
    return node === undefined ? undefined : { kind: "lens" as const, node, normalize: this.selected.normalize, topK: LENS_TOP };
  });

  readonly #labels = new Ask(this, () => (this.colorBy === "label" ? { kind: "headLabels" as const } : undefined));

  #drawn: { readonly answer: unknown; readonly routes: DrawnRoutes | undefined; readonly error: string } | undefined;
  #difference: { readonly own: DrawnRoutes; readonly other: DrawnRoutes; readonly routes: DrawnRoutes } | undefined;
  #layout: FlowLayout | undefined;
  /** What layout and picture were made for; made again when any of it is another. */
  #layoutFor: readonly unknown[] = [];
  #drawnFor: readonly unknown[] = [];
  #margins: Margin | undefined;
  #texts: readonly string[] = [];
  #prepared: PreparedFlow | undefined;
  #settle: ReturnType<typeof setTimeout> | undefined;
  #transform: ZoomTransform = zoomIdentity;
  #zoom: ZoomBehavior<SVGSVGElement, unknown> | undefined;
  #fitted = "";
  #hover: Mark | undefined;
  /** The pointer has rested: now it is worth asking what the state says. */
  #peek = false;
  #peekTimer: ReturnType<typeof setTimeout> | undefined;
  #tip = { x: 0, y: 0 };
  #cursor: Mark | undefined;
  #announced = "";
  #frame = 0;

  constructor() {
    super();
    this.bare = false;
    this.collapsed = new Set();
    this.compact = false;
    this.colorBy = "contribution";
    this.other = undefined;
    this.otherTokens = undefined;
    this.noTrace = false;
    this.maxHeight = MAX_HEIGHT;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.#peekTimer);
    clearTimeout(this.#settle);
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  /** This run's own routes; undefined before the first answer. */
  get routes(): DrawnRoutes | undefined {
    return this.#drawn?.routes;
  }

  /** What is drawn: the routes, or their difference to others. */
  get #shown(): DrawnRoutes | undefined {
    const own = this.#drawn?.routes;
    if (!own || !this.other) return own;
    if (this.#difference?.own !== own || this.#difference.other !== this.other) {
      this.#difference = { own, other: this.other, routes: comparedRoutes(own, this.other) };
    }
    return this.#difference.routes;
  }

  /** The node at which the routes begin. */
  get #begin(): NodeName {
    return this.selected.origin ?? nodeName("I", (this.source?.facts.model.nLayers ?? 1) - 1, this.selected.start);
  }

  get #onCanvas(): boolean {
    const facts = this.source?.facts;
    return facts !== undefined && (facts.tokens.length * (2 * facts.model.nLayers + 1) > CANVAS_STATES || (this.#shown?.edges.length ?? 0) > CANVAS_EDGES);
  }

  /** Space for labels around the grid. */
  get #margin(): Margin {
    return this.#margins ?? { top: 24, right: 14, bottom: 40, left: 40 };
  }

  #measureMargin(): Margin {
    // Cut once: finding where letters end is slow, and labels are placed in every frame.
    this.#texts = (this.source?.facts.tokens ?? []).map((token, position) => {
      const other = this.otherTokens?.[position];
      return other === undefined || other.id === token.id ? shortText(token.text, 14) : `${shortText(token.text, 8)} | ${shortText(other.text, 8)}`;
    });
    const longest = this.#texts.reduce((most, label) => Math.max(most, [...label].length), 2);
    const slope = (LABEL_ANGLE * Math.PI) / 180;
    return {
      top: 24,
      right: 14,
      bottom: Math.ceil(longest * 7.3 * Math.sin(slope)) + 26,
      left: Math.max(40, Math.ceil([...(this.#texts[0] ?? "")].length * 7.3 * Math.cos(slope)) - 4),
    };
  }

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed);
    if (changed.has("source")) this.#cursor = this.#hover = undefined;
    const answer = this.#routes.value;
    const facts = this.source?.facts;
    if (!facts || !answer) {
      this.#drawn = undefined;
    } else if (this.#drawn?.answer !== answer) {
      try {
        this.#drawn = { answer, routes: drawnRoutes(answer, facts.model, facts.tokens.length), error: "" };
      } catch (error) {
        this.#drawn = { answer, routes: undefined, error: sentenceOf(error) };
      }
    }
    if (!facts) return;
    if (changed.has("source") || changed.has("otherTokens") || !this.#margins) this.#margins = this.#measureMargin();
    const margin = this.#margin;
    const room = Math.max(80, this.width - margin.left - margin.right);
    const collapsed = this.#flat();
    const wanted = [facts, room, [...collapsed].join(), this.maxHeight];
    if (this.#layout && wanted.every((value, i) => value === this.#layoutFor[i])) return;
    this.#layoutFor = wanted;
    this.#layout = flowLayout({
      nTokens: facts.tokens.length,
      nLayers: facts.model.nLayers,
      parallelBlocks: facts.model.parallelBlocks,
      columnWidth: Math.max(MIN_COLUMN, Math.min(118, room / facts.tokens.length)),
      layerHeight: comfortableLayerHeight(facts.model.nLayers - (1 - COLLAPSED) * collapsed.size),
      collapsed,
    });
  }

  /** Layers that are drawn flat: those that were asked for, and with `compact` those where nothing but the residual stream passes. */
  #flat(): ReadonlySet<number> {
    const routes = this.#shown;
    if (!this.compact || !routes) return this.collapsed;
    const busy = new Set<number>();
    for (const edge of routes.edges) if (edge.kind === "ffn-out" || (edge.kind === "attention" && edge.from.position !== edge.to.position)) busy.add(edge.to.layer);
    const flat = new Set(this.collapsed);
    for (let layer = 0; layer < (this.source?.facts.model.nLayers ?? 0); layer++) if (!busy.has(layer)) flat.add(layer);
    return flat;
  }

  protected override render(): TemplateResult {
    const facts = this.source?.facts;
    if (!facts) return html`<div class="note">No run to show yet.</div>`;
    const { threshold, renormalize } = this.selected;
    const error = this.#drawn?.error;
    return html`
      ${this.bare
        ? nothing
        : html`<div class="toolbar" part="toolbar">
            <label
              >Threshold
              <input
                type="range"
                min="0"
                max=${Math.max(0.2, threshold)}
                step="0.005"
                .value=${String(threshold)}
                aria-label="Contribution threshold"
                @input=${(event: Event) => this.select({ threshold: Number((event.target as HTMLInputElement).value) })}
              />
              <output>${threshold.toFixed(3).replace(/0$/, "")}</output></label
            >
            <label title="Scale the contributions that passed the threshold so that they sum to 1"
              ><input type="checkbox" .checked=${renormalize} @change=${(event: Event) => this.select({ renormalize: (event.target as HTMLInputElement).checked })} />Renormalise</label
            >
            <span class="end">
              <button @click=${() => this.#zoomBy(1 / 1.4)} aria-label="Zoom out" title="Zoom out (−)">−</button>
              <button @click=${() => this.#zoomBy(1.4)} aria-label="Zoom in" title="Zoom in (+, or Ctrl and wheel)">+</button>
              <button @click=${() => this.#fit()} aria-label="Show all" title="Show all (0)">⤢</button>
              <lmt-menu label="More" .items=${this.#menu}></lmt-menu>
            </span>
          </div>
          ${this.noTrace ? nothing : html`<lmt-trace-bar .source=${this.source} .selection=${this.store} .answered=${this.#routes.value?.contrast}></lmt-trace-bar>`}`}
      ${error ? html`<div class="error" role="alert">${error}</div>` : this.#routes.state === "error" ? this.#routes.renderStatus() : nothing} ${this.#labels.state === "error" ? this.#labels.renderStatus() : nothing}
      <div class="figure" part="figure">
        <div class="busy" ?data-on=${this.#routes.state === "loading" || this.#labels.state === "loading"}></div>
        ${this.#onCanvas ? html`<canvas></canvas>` : nothing}
        <svg
          class="plot"
          role="application"
          tabindex="0"
          aria-roledescription="information flow graph"
          aria-label=${`Information flow of ${facts.tokens.length} tokens through ${facts.model.nLayers} layers, ending at ${this.selected.origin === null ? "" : `${this.selected.origin}, `}token ${this.selected.start}, ${visibleText(facts.tokens[this.selected.start]?.text ?? "")}`}
          aria-describedby="keys"
          @keydown=${this.#key}
          @pointermove=${this.#pointerMove}
          @pointerleave=${this.#pointerLeave}
          @click=${this.#click}
        ></svg>
        ${this.#renderTip()}
      </div>
      <div class="visually-hidden" id="keys">
        Arrow keys move between states, E through the edges that enter a state, F goes to its feed-forward block, Enter selects, S starts at this token, T at this state, plus and minus zoom, Escape clears.
      </div>
      <div class="visually-hidden" role="status" aria-live="polite">${this.#announced}</div>
      ${this.bare ? nothing : this.#renderLegend()}
    `;
  }

  #renderLegend(): TemplateResult {
    if (this.other) {
      const largest = (this.#shown?.edges ?? []).reduce((most, edge) => Math.max(most, Math.abs(edge.delta ?? 0)), 0);
      return html`<div class="legend" part="legend">
        <span><svg width="26" height="10" aria-hidden="true"><path class="edge more" style="--w:1;stroke-width:3" d="M2,5h22"></path></svg> more in A</span>
        <span><svg width="26" height="10" aria-hidden="true"><path class="edge less" style="--w:1;stroke-width:3" d="M2,5h22"></path></svg> more in B</span>
        <span>thicker and stronger: larger difference, up to ${weightText(largest)}</span>
      </div>`;
    }
    const ramp = (name: string): TemplateResult =>
      html`<svg width="44" height="10" aria-hidden="true">
        ${[0, 1, 2, 3].map((i) => {
          const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
          path.setAttribute("class", `edge ${name}`);
          path.setAttribute("d", `M${2 + i * 11},5h8`);
          path.setAttribute("style", `--w:${strength([0.1, 0.35, 0.65, 1][i])};stroke-width:${edgeWidth(name, [0.1, 0.35, 0.65, 1][i])}`);
          return path;
        })}
      </svg>`;
    const heads = this.colorBy === "head" ? [...new Set((this.#shown?.edges ?? []).flatMap((edge) => (edge.heads.length ? [edge.heads[0].head] : [])))].sort((a, b) => a - b) : [];
    const dark = this.dataset.theme === "dark";
    return html`<div class="legend" part="legend">
      ${this.colorBy === "label" && this.#labels.value
        ? html`${this.#labels.value.patterns.map((name, label) => html`<span><span class="swatch"><i style="background:${labelColor(label, dark)}"></i></span>${name} heads</span>`)}<span>${ramp("attention")} other attention</span>`
        : heads.length
          ? html`<span>attention by head ${heads.slice(0, 32).map((head) => html`<span class="swatch"><i style="background:${headColor(head, dark)}"></i>${head}</span>`)}</span>`
          : html`<span>${ramp("attention")} attention</span>`}
      <span>${ramp("ffn-in")} feed-forward ■</span>
      <span>${ramp("residual")} residual</span>
      <span>thicker and stronger: larger contribution</span>
      <span>▼ start token</span>
    </div>`;
  }

  #renderTip(): TemplateResult | typeof nothing {
    const mark = this.#hover;
    const facts = this.source?.facts;
    if (!mark || !facts) return nothing;
    return html`<div class="tip" style=${this.#tipStyle()} aria-hidden="true">${this.#describe(mark)}</div>`;
  }

  #describe(mark: Mark): TemplateResult {
    const token = (position: number): string => shortText(this.source?.facts.tokens[position]?.text ?? "", 18);
    if (mark.kind === "ffn") {
      const edge = this.#ffnEdge(mark.layer, mark.position);
      return html`<b>Feed-forward block</b>, layer ${mark.layer}<br /><span class="soft">token ${mark.position} <span class="token">${token(mark.position)}</span></span
        >${edge ? html`<br />${contributionText(edge)}` : nothing}`;
    }
    if (mark.kind === "edge") {
      const { edge } = mark;
      const top = edge.heads[0];
      const label = top && this.#labelOf(edge.to.layer, top.head);
      return html`<b>${edge.kind === "attention" ? "Attention" : edge.kind === "residual" ? "Residual" : "Feed-forward"}</b>, layer ${edge.to.layer}<br />
        <span class="token">${token(edge.from.position)}</span> → <span class="token">${token(edge.to.position)}</span><br />${edge.delta === undefined
          ? html`contribution ${weightText(edge.weight)}${top ? html`, most by head ${top.head}${label === undefined ? nothing : html` <span class="soft">(${this.#labels.value?.patterns[label]})</span>`}` : nothing}`
          : contributionText(edge)}`;
    }
    const place = parseNode(mark.node);
    const answered = this.#hovered.answered;
    const best = answered?.node === mark.node ? this.#hovered.value?.tokens[0] : undefined;
    return html`<b>${mark.node}</b> <span class="soft">${describeNode(mark.node)}</span> <span class="token">${token(place?.position ?? 0)}</span>${best
        ? html`<br />reads as <span class="token">${shortText(best.text, 18)}</span> <span class="soft">${percent(best.probability)}</span>`
        : nothing}`;
  }

  /** Colour of an edge where it is not its kind's: by head. */
  #edgeColor(edge: DrawnEdge): string | null {
    if (edge.delta !== undefined) return null;
    if (edge.kind !== "attention" || edge.heads.length === 0) return null;
    const dark = this.dataset.theme === "dark";
    const { head } = edge.heads[0];
    if (this.colorBy === "head") return headColor(head, dark);
    const label = this.#labelOf(edge.to.layer, head);
    return label === undefined ? null : labelColor(label, dark);
  }

  /** Number of the pattern that a head follows; undefined where it follows none, or edges are not coloured by that. */
  #labelOf(layer: number, head: number): number | undefined {
    const answer = this.colorBy === "label" ? this.#labels.value : undefined;
    const label = answer?.labels.data[layer * (this.source?.facts.model.nHeads ?? 0) + head];
    return label === undefined || label >= (answer?.patterns.length ?? 0) ? undefined : label;
  }

  #ffnEdge(layer: number, position: number): DrawnEdge | undefined {
    const top = nodeName("I", layer, position);
    return this.#shown?.byKey.get(edgeKey(nodeName("M", layer, position), top, "ffn-out"));
  }

  protected override updated(): void {
    // What is hovered or under the cursor changes often, the rest seldom: only then is it drawn again.
    const inputs = [this.#layout, this.#texts, this.#shown, this.#begin, this.width, this.colorBy, this.#labels.value, this.dataset.theme, this.#onCanvas];
    if (inputs.every((value, i) => value === this.#drawnFor[i])) return this.#drawMarks();
    this.#drawnFor = inputs;
    this.#prepared = undefined;
    this.#draw();
  }

  // --- drawing -----------------------------------------------------------------------------------------------------

  #draw(): void {
    const layout = this.#layout;
    const facts = this.source?.facts;
    const node = this.renderRoot.querySelector<SVGSVGElement>("svg.plot");
    if (!layout || !facts || !node || this.width === 0) return;
    const margin = this.#margin;
    const height = Math.min(this.maxHeight, layout.height + margin.top + margin.bottom);
    const inner = { width: Math.max(1, this.width - margin.left - margin.right), height: height - margin.top - margin.bottom };
    const svg = select(node).attr("width", this.width).attr("height", height);

    if (svg.select("g.content").empty()) {
      svg.append("g").attr("class", "bands");
      const clip = svg.append("g").attr("class", "content");
      for (const name of ["edges", "hits", "states", "dots", "ffns", "marks"]) clip.append("g").attr("class", name);
      svg.append("g").attr("class", "layers");
      svg.append("g").attr("class", "tokens");
      svg.append("g").attr("class", "starts");
      this.#zoom = zoom<SVGSVGElement, unknown>()
        // The page scrolls by the wheel; the picture zooms by it only on purpose.
        .filter((event: Event) => (event.type === "wheel" ? (event as WheelEvent).ctrlKey || (event as WheelEvent).metaKey : !(event as MouseEvent).button && this.#pannable))
        .clickDistance(4)
        .on("zoom", (event: D3ZoomEvent<SVGSVGElement, unknown>) => {
          this.#transform = event.transform;
          if ((event.sourceEvent as Event | null)?.type === "mousemove") node.classList.add("panning");
          this.#place();
        })
        .on("end", () => node.classList.remove("panning"));
      svg.call(this.#zoom).on("dblclick.zoom", null);
    }

    const fit = Math.min(1, inner.width / layout.width, inner.height / layout.height);
    this.#zoom
      ?.scaleExtent([fit, Math.max(4, 4 * fit)])
      .extent([
        [0, 0],
        [inner.width, inner.height],
      ])
      .translateExtent([
        [0, 0],
        [layout.width, layout.height],
      ]);
    const size = `${inner.width}x${inner.height}:${layout.width}x${layout.height}`;
    if (this.#fitted !== size) {
      this.#fitted = size;
      this.#show();
    }

    const routes = this.#shown;
    const from = this.#begin;
    const content = svg.select<SVGGElement>("g.content");
    const onCanvas = this.#onCanvas;
    const r = layout.nodeRadius;

    const places: NodePlace[] = [];
    if (!onCanvas) {
      for (let position = 0; position < facts.tokens.length; position++) {
        places.push({ kind: "X", layer: -1, position });
        for (let layer = 0; layer < facts.model.nLayers; layer++) for (const kind of stateKinds(facts.model.parallelBlocks)) places.push({ kind, layer, position });
      }
    }
    const named = places.map((place) => ({ name: placeName(place), ...layout.point(place) }));
    content
      .select("g.states")
      .selectAll<SVGCircleElement, (typeof named)[number]>("circle")
      .data(named, (d) => d.name)
      .join("circle")
      .attr("cx", (d) => d.x)
      .attr("cy", (d) => d.y)
      .attr("r", (d) => (d.name === from ? r * 1.25 : routes?.nodes.has(d.name) ? r : r * 0.72))
      .attr("class", (d) => `state${routes?.nodes.has(d.name) ? " on" : ""}${d.name === from ? " from" : ""}`);
    content
      .select("g.dots")
      .selectAll<SVGCircleElement, (typeof named)[number]>("circle")
      .data(named, (d) => d.name)
      .join("circle")
      .attr("class", "hit dot")
      .attr("data-node", (d) => d.name)
      .attr("cx", (d) => d.x)
      .attr("cy", (d) => d.y)
      .attr("r", Math.max(r + 1.5, Math.min(8, layout.columnWidth * 0.2, (layout.bands[0]?.height ?? 20) * 0.24)));

    const edges = onCanvas ? [] : [...(routes?.edges ?? [])].sort((a, b) => a.weight - b.weight);
    content
      .select("g.edges")
      .selectAll<SVGPathElement, DrawnEdge>("path")
      .data(edges, (d) => d.key)
      .join("path")
      .order()
      .attr("class", (d) => `edge ${d.kind}${d.delta === undefined ? "" : d.delta >= 0 ? " more" : " less"}`)
      .attr("d", (d) => layout.path(d.from, d.to, d.kind))
      .style("stroke", (d) => this.#edgeColor(d))
      .style("--w", (d) => strength(d.weight).toFixed(3))
      .style("stroke-width", (d) => edgeWidth(d.kind, d.weight));
    content
      .select("g.hits")
      .selectAll<SVGPathElement, DrawnEdge>("path")
      .data(edges, (d) => d.key)
      .join("path")
      .order()
      .attr("class", "hit")
      .attr("data-edge", (d) => d.key)
      .attr("data-kind", (d) => d.kind)
      .attr("d", (d) => layout.path(d.from, d.to, d.kind));

    const ffns = onCanvas ? [] : edges.filter((edge) => edge.kind === "ffn-out");
    content
      .select("g.ffns")
      .selectAll<SVGRectElement, DrawnEdge>("rect")
      .data(ffns, (d) => d.source)
      .join("rect")
      .attr("class", (d) => `ffn${d.delta === undefined ? "" : d.delta >= 0 ? " more" : " less"}`)
      .attr("data-ffn", (d) => `${d.from.layer}_${d.from.position}`)
      .attr("rx", 1.5)
      .attr("width", layout.ffnSize)
      .attr("height", layout.ffnSize)
      .attr("x", (d) => layout.point(d.from).x - layout.ffnSize / 2)
      .attr("y", (d) => layout.point(d.from).y - layout.ffnSize / 2)
      .style("--w", (d) => strength(d.weight).toFixed(3));
    this.#drawMarks();
    this.#place();
  }

  /** What is hovered, under the keyboard's cursor, selected: drawn on top, in SVG also above the canvas. */
  #drawMarks(): void {
    const layout = this.#layout;
    if (!layout) return;
    const marks: { mark: Mark; role: string }[] = [];
    if (this.#hover) marks.push({ mark: this.#hover, role: "hover" });
    if (this.#cursor && this.shadowRoot?.activeElement?.classList.contains("plot")) marks.push({ mark: this.#cursor, role: "cursor" });
    const focus = this.selected.focus;
    if (focus?.kind === "edge") {
      for (const kind of ["attention", "residual"]) {
        const edge = this.#shown?.byKey.get(edgeKey(focus.source, focus.target, kind));
        if (edge) {
          marks.push({ mark: { kind: "edge", edge }, role: "chosen" });
          break;
        }
      }
    } else if (focus) marks.push({ mark: focus, role: "chosen" });

    const shape = ({ mark }: { mark: Mark }): string => {
      if (mark.kind === "edge") return layout.path(mark.edge.from, mark.edge.to, mark.edge.kind);
      if (mark.kind === "ffn") {
        const { x, y } = layout.point({ kind: "M", layer: mark.layer, position: mark.position });
        const h = layout.ffnSize / 2 + 2.5;
        return `M${x - h},${y - h}h${2 * h}v${2 * h}h${-2 * h}z`;
      }
      const place = parseNode(mark.node);
      if (!place) return "";
      const { x, y } = layout.point(place);
      const h = layout.nodeRadius + 2.5;
      return `M${x - h},${y}a${h},${h} 0 1 1 ${2 * h},0a${h},${h} 0 1 1 ${-2 * h},0`;
    };
    select(this.renderRoot.querySelector("g.marks"))
      .selectAll<SVGPathElement, { mark: Mark; role: string }>("path")
      .data(marks)
      .join("path")
      .attr("class", (d) => `mark ${d.role}`)
      .attr("d", shape)
      .attr("stroke-width", (d) => (d.mark.kind === "edge" ? edgeWidth(d.mark.edge.kind, d.mark.edge.weight) + (d.role === "chosen" ? 1 : 0) : 2));
  }

  /** Puts everything where the zoom says. */
  #place(): void {
    const layout = this.#layout;
    const facts = this.source?.facts;
    const node = this.renderRoot.querySelector<SVGSVGElement>("svg.plot");
    if (!layout || !facts || !node) return;
    const margin = this.#margin;
    const { x, y, k } = this.#transform;
    const height = Number(node.getAttribute("height"));
    const right = this.width - margin.right;
    const bottom = Math.min(height - margin.bottom, margin.top + y + k * layout.height);
    const svg = select(node).classed("pannable", this.#pannable);
    // The grid slides under its labels: what is outside the plot's box is cut off.
    svg
      .select("g.content")
      .attr("transform", `translate(${margin.left + x},${margin.top + y}) scale(${k})`)
      .style("clip-path", this.#pannable ? `polygon(${box((-x - 8) / k, (-y - 10) / k, (right - margin.left - x + 8) / k, (bottom - margin.top - y + 4) / k)})` : "none");

    const sx = (position: number): number => margin.left + x + k * layout.x(position);
    const bands = layout.bands.map((band) => ({ ...band, top: margin.top + y + k * band.y, size: k * band.height })).filter((band) => band.top + band.size > margin.top - 1 && band.top < bottom + 1);
    const clampTop = (top: number): number => Math.max(margin.top - 2, Math.min(bottom, top));
    svg
      .select("g.bands")
      .selectAll("rect")
      .data(bands.filter((band) => band.layer % 2 === 0))
      .join("rect")
      .attr("class", "band")
      .attr("rx", 3)
      .attr("x", margin.left - 30)
      .attr("width", Math.max(0, Math.min(right, margin.left + x + k * layout.width) + 10 - (margin.left - 30)))
      .attr("y", (d) => clampTop(d.top))
      .attr("height", (d) => Math.max(0, clampTop(d.top + d.size) - clampTop(d.top)));
    const layerStep = bands.length ? Math.max(1, Math.ceil(12 / Math.max(1, k * (layout.height / Math.max(1, facts.model.nLayers))))) : 1;
    svg
      .select("g.layers")
      .selectAll<SVGTextElement, (typeof bands)[number]>("text")
      .data(bands.filter((band) => band.layer % layerStep === 0 && band.size > 9), (d) => d.layer)
      .join("text")
      .attr("x", margin.left - 24)
      .attr("y", (d) => d.top + d.size / 2 + 4)
      .text((d) => d.layer);

    const step = Math.max(1, Math.ceil(13 / (k * layout.columnWidth)));
    const start = this.selected.start;
    const tokens = facts.tokens
      .map((token, position) => ({ token, position, at: sx(position) }))
      .filter((d) => d.at > margin.left - 6 && d.at < right + 6 && (d.position % step === 0 || d.position === start))
      // The start's label is always there; its close neighbours make room.
      .filter((d) => d.position === start || Math.abs(d.at - sx(start)) >= 12 || step === 1);
    const onRoute = this.#shown?.nodes;
    svg
      .select("g.tokens")
      .selectAll<SVGTextElement, (typeof tokens)[number]>("text")
      .data(tokens, (d) => d.position)
      .join("text")
      .attr("class", (d) => `label${d.position === start ? " start" : ""}${onRoute && !onRoute.has(nodeName("X", -1, d.position)) ? " quiet" : ""}`)
      .attr("data-token", (d) => d.position)
      .attr("text-anchor", "end")
      .attr("transform", (d) => `translate(${d.at + 4},${bottom + 14}) rotate(${-LABEL_ANGLE})`)
      .style("unicode-bidi", "isolate")
      .text((d) => this.#texts[d.position] ?? "");
    const triangles = facts.tokens.map((_, position) => ({ position, at: sx(position) })).filter((d) => d.at > margin.left - 6 && d.at < right + 6);
    const half = Math.max(2, Math.min(6, k * layout.columnWidth * 0.3));
    svg
      .select("g.starts")
      .selectAll<SVGPathElement, (typeof triangles)[number]>("path")
      .data(triangles, (d) => d.position)
      .join("path")
      .attr("class", (d) => `triangle${d.position === start ? " on" : ""}`)
      .attr("data-start", (d) => d.position)
      .attr("d", `M${-half},${-half * 0.8}H${half}L0,${half * 0.9}z`)
      .attr("stroke", "transparent")
      .attr("stroke-width", 8)
      .attr("transform", (d) => `translate(${d.at},12)`);

    if (this.#onCanvas && !this.#frame) this.#frame = requestAnimationFrame(() => this.#paint(true));
  }

  #paint(moving: boolean): void {
    this.#frame = 0;
    const canvas = this.renderRoot.querySelector("canvas");
    const layout = this.#layout;
    const facts = this.source?.facts;
    if (!canvas || !layout || !facts) return;
    const margin = this.#margin;
    const height = Number(this.renderRoot.querySelector("svg.plot")?.getAttribute("height"));
    this.#prepared ??= new PreparedFlow({
      layout,
      model: facts.model,
      nTokens: facts.tokens.length,
      routes: this.#shown,
      from: this.#begin,
      palette: readPalette(this),
      edgeWidth,
      edgeColor: (edge) => this.#edgeColor(edge),
    });
    const view = {
      transform: this.#transform,
      box: { left: margin.left, top: margin.top, right: this.width - margin.right, bottom: height - margin.bottom },
      size: { width: this.width, height },
    };
    clearTimeout(this.#settle);
    if (this.#prepared.paint(canvas, view, moving)) return;
    this.#settle = setTimeout(() => this.isConnected && this.#paint(false), 160);
  }

  // --- zoom --------------------------------------------------------------------------------------------------------

  get #pannable(): boolean {
    const layout = this.#layout;
    const node = this.renderRoot.querySelector("svg.plot");
    if (!layout || !node) return false;
    const margin = this.#margin;
    const k = this.#transform.k;
    return k * layout.width > this.width - margin.left - margin.right + 1 || k * layout.height > Number(node.getAttribute("height")) - margin.top - margin.bottom + 1;
  }

  /** The first view: as large as the height allows, the start token in view. */
  #show(): void {
    const svg = this.renderRoot.querySelector<SVGSVGElement>("svg.plot");
    const layout = this.#layout;
    if (!svg || !this.#zoom || !layout) return;
    const margin = this.#margin;
    const k = Math.min(1, (Number(svg.getAttribute("height")) - margin.top - margin.bottom) / layout.height);
    const room = this.width - margin.left - margin.right;
    const x = Math.min(0, Math.max(room - k * layout.width, room - k * (layout.x(this.selected.start) + layout.columnWidth)));
    select(svg).call(this.#zoom.transform.bind(this.#zoom), zoomIdentity.translate(x, 0).scale(k));
  }

  #fit(): void {
    const svg = this.renderRoot.querySelector<SVGSVGElement>("svg.plot");
    const layout = this.#layout;
    if (!svg || !this.#zoom || !layout) return;
    const margin = this.#margin;
    const inner = { width: this.width - margin.left - margin.right, height: Number(svg.getAttribute("height")) - margin.top - margin.bottom };
    const k = Math.min(1, inner.width / layout.width, inner.height / layout.height);
    select(svg).call(this.#zoom.transform.bind(this.#zoom), zoomIdentity.scale(k));
  }

  #zoomBy(factor: number): void {
    const svg = this.renderRoot.querySelector<SVGSVGElement>("svg.plot");
    if (svg && this.#zoom) select(svg).call(this.#zoom.scaleBy.bind(this.#zoom), factor);
  }

  /** Where a state, the middle of an edge, a square or a start triangle is drawn, in CSS pixels of the window; undefined before there is a picture. */
  whereIs(what: Focus | { readonly kind: "start"; readonly position: number }): { readonly x: number; readonly y: number } | undefined {
    const at = this.#layoutPoint(what);
    const bounds = this.renderRoot.querySelector("svg.plot")?.getBoundingClientRect();
    if (!at || !bounds) return undefined;
    const { x, y, k } = this.#transform;
    return { x: bounds.left + this.#margin.left + x + k * at.x, y: what.kind === "start" ? bounds.top + 12 : bounds.top + this.#margin.top + y + k * at.y };
  }

  /** Pans so that something is in view; it stays where it is if it is. */
  reveal(what: Focus | { readonly kind: "start"; readonly position: number }): void {
    const at = this.#layoutPoint(what);
    const svg = this.renderRoot.querySelector<SVGSVGElement>("svg.plot");
    if (!at || !svg || !this.#zoom) return;
    const { x, y, k } = this.#transform;
    const margin = this.#margin;
    const inside = (value: number, size: number): number => {
      const edge = Math.min(24, size / 4);
      return value < edge ? edge - value : value > size - edge ? size - edge - value : 0;
    };
    const dx = inside(x + k * at.x, this.width - margin.left - margin.right);
    const dy = what.kind === "start" ? 0 : inside(y + k * at.y, Number(svg.getAttribute("height")) - margin.top - margin.bottom);
    if (dx !== 0 || dy !== 0) select(svg).call(this.#zoom.translateBy.bind(this.#zoom), dx / k, dy / k);
  }

  #layoutPoint(what: Focus | { readonly kind: "start"; readonly position: number }): { readonly x: number; readonly y: number } | undefined {
    const layout = this.#layout;
    if (!layout) return undefined;
    if (what.kind === "start") return { x: layout.x(what.position), y: 0 };
    if (what.kind === "ffn") return layout.point({ kind: "M", layer: what.layer, position: what.position });
    const place = parseNode(what.kind === "node" ? what.node : what.source);
    if (!place) return undefined;
    const target = what.kind === "edge" ? parseNode(what.target) : undefined;
    if (!target) return layout.point(place);
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("d", layout.path(place, target, "attention"));
    return line.getPointAtLength(line.getTotalLength() / 2);
  }

  // --- pointing ----------------------------------------------------------------------------------------------------

  /** What lies under the pointer. */
  #markAt(event: MouseEvent): Mark | undefined {
    const target = event.composedPath()[0];
    if (!(target instanceof SVGElement)) return undefined;
    const { node, edge: key, ffn } = target.dataset;
    if (node !== undefined && isNodeName(node)) return { kind: "node", node };
    if (ffn !== undefined) {
      const [layer, position] = ffn.split("_").map(Number);
      return { kind: "ffn", layer, position };
    }
    if (key !== undefined) {
      const edge = this.#shown?.byKey.get(key);
      if (!edge) return undefined;
      return edge.kind === "ffn-in" || edge.kind === "ffn-out" ? { kind: "ffn", layer: edge.to.layer, position: edge.to.position } : { kind: "edge", edge };
    }
    return this.#onCanvas ? this.#markOnCanvas(event) : undefined;
  }

  #markOnCanvas(event: MouseEvent): Mark | undefined {
    const layout = this.#layout;
    const svg = this.renderRoot.querySelector("svg.plot");
    if (!layout || !svg) return undefined;
    const bounds = svg.getBoundingClientRect();
    const margin = this.#margin;
    const { x, y, k } = this.#transform;
    const at = { x: (event.clientX - bounds.left - margin.left - x) / k, y: (event.clientY - bounds.top - margin.top - y) / k };
    const near = layout.nearest(at);
    if (near) {
      const point = layout.point(near);
      const reach = Math.max(7 / k, layout.nodeRadius + 2);
      const drawnFfn = near.kind !== "M" || this.#shown?.nodes.has(placeName(near));
      if (drawnFfn && Math.hypot(point.x - at.x, point.y - at.y) <= reach) {
        return near.kind === "M" ? { kind: "ffn", layer: near.layer, position: near.position } : { kind: "node", node: placeName(near) };
      }
    }
    let best: DrawnEdge | undefined;
    let closest = 6 / k;
    // An edge into layer l lies in the band of l, or between it and the one below.
    const layer = layout.bands.find((band) => at.y >= band.y && at.y < band.y + band.height)?.layer ?? -1;
    for (const edge of [...this.#edgesInto(layer), ...this.#edgesInto(layer + 1)]) {
      const a = layout.point(edge.from);
      const b = layout.point(edge.to);
      if (at.y > a.y + closest || at.y < b.y - closest) continue;
      const t = Math.max(0, Math.min(1, ((at.x - a.x) * (b.x - a.x) + (at.y - a.y) * (b.y - a.y)) / ((b.x - a.x) ** 2 + (b.y - a.y) ** 2 || 1)));
      const distance = Math.hypot(a.x + t * (b.x - a.x) - at.x, a.y + t * (b.y - a.y) - at.y);
      if (distance < closest) {
        closest = distance;
        best = edge;
      }
    }
    return best && { kind: "edge", edge: best };
  }

  #byLayer: { readonly routes: DrawnRoutes; readonly edges: ReadonlyMap<number, readonly DrawnEdge[]> } | undefined;

  /** Attention and residual edges of the drawn routes into the states of a layer. */
  #edgesInto(layer: number): readonly DrawnEdge[] {
    const routes = this.#shown;
    if (!routes) return [];
    if (this.#byLayer?.routes !== routes) {
      const edges = new Map<number, DrawnEdge[]>();
      for (const edge of routes.edges) {
        if (edge.kind !== "attention" && edge.kind !== "residual") continue;
        const list = edges.get(edge.to.layer);
        if (list) list.push(edge);
        else edges.set(edge.to.layer, [edge]);
      }
      this.#byLayer = { routes, edges };
    }
    return this.#byLayer.edges.get(layer) ?? [];
  }

  #setHover(mark: Mark | undefined): void {
    if (markKey(mark) === markKey(this.#hover)) {
      const tip = this.renderRoot.querySelector<HTMLElement>(".tip");
      if (tip) tip.style.cssText = this.#tipStyle();
      return;
    }
    this.#hover = mark;
    this.#peek = false;
    clearTimeout(this.#peekTimer);
    if (mark?.kind === "node") {
      this.#peekTimer = setTimeout(() => {
        this.#peek = true;
        this.requestUpdate();
      }, 180);
    }
    this.requestUpdate();
  }

  #tipStyle(): string {
    const right = this.#tip.x > this.width / 2;
    return `${right ? `right:${Math.max(0, this.width - this.#tip.x + 12)}px` : `left:${this.#tip.x + 14}px`};top:${Math.max(0, this.#tip.y - 12)}px`;
  }

  readonly #pointerMove = (event: PointerEvent): void => {
    if (event.buttons !== 0) return;
    const mark = this.#markAt(event);
    if (!mark && !this.#hover) return;
    const bounds = (event.currentTarget as SVGElement).getBoundingClientRect();
    this.#tip = { x: event.clientX - bounds.left, y: event.clientY - bounds.top };
    this.#setHover(mark);
  };

  readonly #pointerLeave = (): void => {
    if (this.#hover) this.#setHover(undefined);
  };

  readonly #click = (event: MouseEvent): void => {
    const target = event.composedPath()[0];
    if (target instanceof SVGElement) {
      const start = target.dataset.start ?? target.dataset.token;
      if (start !== undefined) return this.select({ start: Number(start) });
    }
    const mark = this.#markAt(event);
    if (!mark) return;
    this.#cursor = mark;
    this.#choose(mark);
  };

  #choose(mark: Mark): void {
    this.select({ focus: markFocus(mark), head: null, neuron: null });
    this.dispatchEvent(new CustomEvent("lmt-select", { detail: markFocus(mark), bubbles: true, composed: true }));
  }

  // --- keyboard ----------------------------------------------------------------------------------------------------

  readonly #key = (event: KeyboardEvent): void => {
    const facts = this.source?.facts;
    if (!facts || event.altKey || event.ctrlKey || event.metaKey) return;
    const done = (): void => {
      event.preventDefault();
      event.stopPropagation();
    };
    switch (event.key) {
      case "ArrowUp":
      case "ArrowDown":
      case "ArrowLeft":
      case "ArrowRight":
        this.#moveCursor(event.key);
        return done();
      case "e":
      case "E":
        this.#nextEdge(event.shiftKey ? -1 : 1);
        return done();
      case "f":
      case "F": {
        const place = this.#cursorPlace();
        if (place.layer >= 0) this.#point({ kind: "ffn", layer: place.layer, position: place.position });
        return done();
      }
      case "s":
      case "S":
        this.select({ start: this.#cursorPlace().position });
        return done();
      case "t":
      case "T":
        this.select({ origin: placeName(this.#cursorPlace()) });
        return done();
      case "Enter":
      case " ":
        this.#choose(this.#cursor ?? { kind: "node", node: placeName(this.#cursorPlace()) });
        return done();
      case "Escape":
        this.select({ focus: null, head: null, neuron: null });
        return done();
      case "+":
      case "=":
        this.#zoomBy(1.4);
        return done();
      case "-":
        this.#zoomBy(1 / 1.4);
        return done();
      case "0":
        this.#fit();
        return done();
    }
  };

  #cursorPlace(): NodePlace {
    const mark = this.#cursor;
    const place = mark?.kind === "node" ? parseNode(mark.node) : mark?.kind === "edge" ? mark.edge.to : mark ? { kind: "M" as const, layer: mark.layer, position: mark.position } : undefined;
    return place ?? { kind: "I", layer: (this.source?.facts.model.nLayers ?? 1) - 1, position: this.selected.start };
  }

  #moveCursor(key: string): void {
    const facts = this.source?.facts;
    if (!facts) return;
    const { nLayers, parallelBlocks } = facts.model;
    const kinds = stateKinds(parallelBlocks);
    const place = this.#cursorPlace();
    // States of a column are numbered upward, the embedding is 0; a feed-forward block stands for the state above it.
    let level = place.kind === "X" ? 0 : 1 + place.layer * kinds.length + (place.kind === "A" ? 0 : kinds.length - 1);
    let position = place.position;
    if (this.#cursor) {
      if (key === "ArrowUp") level++;
      if (key === "ArrowDown") level--;
      if (key === "ArrowLeft") position--;
      if (key === "ArrowRight") position++;
    }
    level = Math.max(0, Math.min(nLayers * kinds.length, level));
    position = Math.max(0, Math.min(facts.tokens.length - 1, position));
    const node = level === 0 ? nodeName("X", -1, position) : nodeName(kinds[(level - 1) % kinds.length], Math.floor((level - 1) / kinds.length), position);
    this.#point({ kind: "node", node });
  }

  #nextEdge(step: number): void {
    const target = placeName(this.#cursor?.kind === "edge" ? this.#cursor.edge.to : this.#cursorPlace());
    const entering = (this.#shown?.edges ?? []).filter((edge) => edge.target === target && edge.kind !== "ffn-in").sort((a, b) => b.weight - a.weight);
    if (entering.length === 0) {
      this.#announced = `No edge of the routes enters ${target}.`;
      return this.requestUpdate();
    }
    const current = this.#cursor?.kind === "edge" ? entering.findIndex((edge) => edge.key === (this.#cursor as { edge: DrawnEdge }).edge.key) : -1;
    const next = entering[(current + step + entering.length + (current < 0 && step < 0 ? 1 : 0)) % entering.length];
    this.#point(next.kind === "ffn-out" ? { kind: "ffn", layer: next.to.layer, position: next.to.position } : { kind: "edge", edge: next });
  }

  /** Moves the keyboard's cursor and says what is there. */
  #point(mark: Mark): void {
    this.#cursor = mark;
    const token = (position: number): string => visibleText(this.source?.facts.tokens[position]?.text ?? "");
    if (mark.kind === "node") {
      const place = parseNode(mark.node);
      const on = this.#shown?.nodes.has(mark.node) ? "" : ", not on the routes";
      this.#announced = `${mark.node}, ${describeNode(mark.node)}, ${token(place?.position ?? 0)}${on}`;
      void this.#announceTop(mark.node);
    } else if (mark.kind === "edge") {
      const { edge } = mark;
      this.#announced = `${edge.kind} edge from ${edge.source}, ${token(edge.from.position)}, to ${edge.target}, ${token(edge.to.position)}, ${contributionText(edge)}`;
    } else {
      const edge = this.#ffnEdge(mark.layer, mark.position);
      this.#announced = `feed-forward block of layer ${mark.layer}, token ${token(mark.position)}${edge ? `, ${contributionText(edge)}` : ", not on the routes"}`;
    }
    this.requestUpdate();
  }

  async #announceTop(node: NodeName): Promise<void> {
    try {
      const answer = await this.source?.ask({ kind: "lens", node, normalize: this.selected.normalize, topK: LENS_TOP });
      const best = answer?.tokens[0];
      if (!best || this.#cursor?.kind !== "node" || this.#cursor.node !== node) return;
      this.#announced += `, reads as ${visibleText(best.text)}, ${percent(best.probability)}`;
      this.requestUpdate();
    } catch {
      // The name was announced; the click will show the sentence of what is wrong.
    }
  }

  // --- saving ------------------------------------------------------------------------------------------------------

  get #menu(): readonly MenuItem[] {
    return [
      { label: "Flatten idle layers", checked: this.compact, run: () => (this.compact = !this.compact) },
      { label: "Colour by head", checked: this.colorBy === "head", run: () => (this.colorBy = this.colorBy === "head" ? "contribution" : "head") },
      { label: "Colour by what heads attend to", checked: this.colorBy === "label", run: () => (this.colorBy = this.colorBy === "label" ? "contribution" : "label") },
      { label: "Save as SVG", run: () => void this.save("svg") },
      { label: "Save as PNG", run: () => void this.save("png") },
      { label: "Save edges as CSV", run: () => void this.save("csv") },
    ];
  }

  /** What is drawn now; undefined before anything is. */
  get picture(): ShownPicture | undefined {
    const svg = this.renderRoot.querySelector<SVGSVGElement>("svg.plot");
    return svg ? { svg, beneath: [...this.renderRoot.querySelectorAll("canvas")] } : undefined;
  }

  /** Downloads the picture as it is shown, or its edges as a table. In an SVG, what is on canvas is an image beneath the labels. */
  async save(format: "svg" | "png" | "csv"): Promise<void> {
    if (format === "csv") {
      const rows = (this.#shown?.edges ?? []).map((edge) => [edge.source, edge.target, edge.kind, ...(edge.both ? [edge.both[0] ?? "", edge.both[1] ?? "", edge.delta ?? 0] : [edge.weight, edge.heads.map((h) => `${h.head}:${h.weight}`).join(" ")])]);
      return saveCsv([["source", "target", "kind", ...(this.other ? ["weight A", "weight B", "difference"] : ["weight", "heads"])], ...rows], "information-flow.csv");
    }
    const svg = this.renderRoot.querySelector<SVGSVGElement>("svg.plot");
    if (!svg) return;
    const canvas = this.renderRoot.querySelector("canvas");
    if (format === "svg") return saveSvg(svg, "information-flow.svg", canvas ? [canvas] : []);
    return canvas ? saveCanvas([canvas], svg, "information-flow.png") : savePng(svg, "information-flow.png");
  }
}

/**
 * Colour of a head: as far around the circle of hues from its neighbours' as can be, in three lightnesses, so that heads with
 * close hues still differ for colour-blind people.
 */
export function headColor(head: number, dark: boolean): string {
  const hue = (head * 137.508 + 200) % 360;
  const lightness = (dark ? [0.78, 0.66, 0.86] : [0.52, 0.64, 0.42])[head % 3];
  return `oklch(${lightness} 0.14 ${hue.toFixed(1)})`;
}

/** Colours of patterns of heads: blue, ochre, vermilion, pink, apart for all common kinds of colour blindness. */
function labelColor(label: number, dark: boolean): string {
  return (dark ? ["#6db5ff", "#d9b44a", "#ff8f59", "#f29ac6"] : ["#0065b3", "#8f6a00", "#d04a02", "#b8417f"])[label % 4];
}

/** What an edge carries, in words; of a comparison in both. */
function contributionText({ weight, delta, both }: DrawnEdge): string {
  if (delta === undefined) return `contribution ${weightText(weight)}`;
  const [a, b] = (both ?? []).map((value) => (value === undefined ? "not on the routes" : weightText(value)));
  return `contribution in A ${a}, in B ${b}: ${weightText(Math.abs(delta))} more in ${delta >= 0 ? "A" : "B"}`;
}

/** How strongly a contribution is coloured, 0 to 1. */
function strength(weight: number): number {
  return Math.sqrt(weight);
}

/** Stroke width of an edge in pixels. */
function edgeWidth(kind: string, weight: number): number {
  // Most contributions are small: the root keeps them apart where a straight line would make all of them hairlines.
  if (kind === "residual") return Math.round((0.7 + 1.5 * weight) * 100) / 100;
  return Math.round((0.6 + (kind === "attention" ? 5.4 : 3.6) * weight ** 0.75) * 100) / 100;
}

function box(left: number, top: number, right: number, bottom: number): string {
  return `${left}px ${top}px,${right}px ${top}px,${right}px ${bottom}px,${left}px ${bottom}px`;
}

define("lmt-flow-graph", FlowGraphElement);
