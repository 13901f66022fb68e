import { html, nothing } from "lit";
import type { PropertyValues, TemplateResult } from "lit";
import type { Fold, NodeName, NodePlace, RunFacts, WireToken } from "../../../src/protocol";
import { FOLD_ABOVE, foldsOf, nodeName, parseNode, routesQuestion, visibleText } from "../../../src/protocol";
import { Ask } from "../../core/ask";
import { define, LmtElement } from "../../core/element";
import { cellOf, copied } from "../../core/cell";
import type { SaveFormat, ShownPicture } from "../../core/export";
import { percent } from "../../core/format";
import { canRemove, isRemoved, removables, removalWords, toggled, UNCHANGEABLE } from "../../core/removals";
import { Room } from "../../core/room";
import type { ComparedRoutes, DrawnEdge, DrawnRoutes } from "../../core/routes";
import { drawnRoutes, withoutSinks } from "../../core/routes";
import { sentenceOf } from "../../core/source";
import { ZoomController } from "../../core/zoom";
import type { MenuItem } from "../menu";
import "../trace-bar";
import { CanvasLayer } from "./canvas";
import { cutsOf } from "./cuts";
import { saveEdges, saveGraph } from "./export";
import type { Highlight, Scene } from "./figure";
import { drawContent, drawHighlights, drawLit, placeFigure, prepareFigure } from "./figure";
import type { Place, Plot } from "./geometry";
import { GraphGeometry, idleLayers, pointOf } from "./geometry";
import { Hover } from "./hover";
import type { Coloring } from "./ink";
import { edgeColor } from "./ink";
import type { GraphKeys } from "./keyboard";
import { cursorPlace, movedCursor, nextEdge, pressed } from "./keyboard";
import { comparisonLegend, contrastLegend, routesLegend } from "./legend";
import type { Mark } from "./marks";
import { focusMark, focusNodes, markFocus, placeName, streamOf } from "./marks";
import { foldAt, markAt, markOnCanvas, startAt } from "./pick";
import { Announcer, describedMark } from "./speech";
import { graphStyles, graphToolbarStyles } from "./styles";
import { graphToolbar } from "./toolbar";
import { firstView, pannable, towards, zoomLimits } from "./views";

/**
 * Above this many states, or edges, the grid is drawn on a canvas: a browser moves about as many SVG marks within a
 * frame.
 */
const CANVAS_STATES = 2500;
const CANVAS_EDGES = 2500;
const UNFOLDED: { readonly key: string; readonly folds: readonly Fold[] } = { key: "", folds: [] };
/** More edges than this are not drawn a second time for being pointed at. */
const MOST_LIT = 3000;
/** Height of the tool bar and the legend, which are in view with the figure. */
const TOOLBAR_AND_LEGEND = 62;
/** Height that a figure has in any case. */
const LEAST_FIGURE = 220;
const LENS_TOP = 30;

/**
 * The information flow routes of one token: a grid of states, one column a token and one band a layer, with the edges
 * that passed the threshold. Writes `start`, `focus`, `threshold` and `renormalize` of the shared selection.
 *
 * Attributes for tests and styles: `data-node`, `data-edge` (`source>target:kind`), `data-ffn` (`layer_position`),
 * `data-start`. Parts: `toolbar`, `figure`, `legend`.
 */
export class FlowGraphElement extends LmtElement {
  static override formats: readonly SaveFormat[] = ["svg", "png", "csv"];
  static override styles = [LmtElement.styles, graphToolbarStyles, graphStyles];
  static override parts = ["toolbar", "figure", "legend"];
  static override properties = {
    ...LmtElement.properties,
    bare: { type: Boolean },
    noToolbar: { type: Boolean, attribute: "no-toolbar" },
    differences: { attribute: false },
    collapsed: { attribute: false },
    compact: { type: Boolean },
    colorBy: { attribute: "color-by" },
    otherTokens: { attribute: false },
    noTrace: { type: Boolean, attribute: "no-trace" },
    noHere: { type: Boolean, attribute: "no-here" },
    noRemove: { type: Boolean, attribute: "no-remove" },
    taken: { type: Number },
    height: { type: Number },
    fit: { type: Boolean },
    fold: {},
    hideSinks: { type: Boolean, attribute: "hide-sinks" },
  };

  /** No toolbar and no legend: someone else has the controls. */
  declare bare: boolean;
  /** The tool bar is elsewhere. */
  declare noToolbar: boolean;
  /** What is drawn instead of this run's own routes: their difference to others. */
  declare differences: ComparedRoutes | undefined;
  /** Layers that are drawn flat. */
  declare collapsed: ReadonlySet<number>;
  /** Draw layers flat through which nothing but the residual stream passes. */
  declare compact: boolean;
  /**
   * What colours attention edges: their "contribution", the "head" that contributes most, or the "label" of that head:
   * what it attends to.
   */
  declare colorBy: string;
  /** Tokens of the other run: where they differ, a label names both. */
  declare otherTokens: readonly (WireToken | undefined)[] | undefined;
  /** Do not show what the routes are of: a surrounding element does. */
  declare noTrace: boolean;
  /** Do not offer to trace from what is selected: what stands beside it does. */
  declare noHere: boolean;
  /** Nothing is removed here: nobody would say what is then predicted. */
  declare noRemove: boolean;
  /** Pixels of the window's height that something above takes. */
  declare taken: number;
  /** Height of the figure in CSS pixels above which it pans; 0: what fits into the window. */
  declare height: number;
  /** All tokens and layers in view, however small. */
  declare fit: boolean;
  /**
   * Whether runs of tokens off the routes share a column: "always", "never", or "auto": above 30 tokens.
   */
  declare fold: string;
  /** Leave out attention to the first token, and say how much that is. Tables and files keep it. */
  declare hideSinks: boolean;

  readonly #routes = new Ask(this, () => routesQuestion(this.selected));
  readonly #hovered = new Ask(this, () => {
    const node = this.#hover.rested;
    return node === undefined
      ? undefined
      : { kind: "lens" as const, node, normalize: this.selected.normalize, topK: LENS_TOP };
  });
  readonly #labels = new Ask(this, () => (this.colorBy === "label" ? { kind: "headLabels" as const } : undefined));

  readonly #room = new Room(this);
  readonly #hover = new Hover(this);
  readonly #geometry = new GraphGeometry();
  readonly #announcer = new Announcer(this);
  readonly #zoom: ZoomController<SVGSVGElement> = new ZoomController(this, {
    grabs: () => this.#pannable,
    moved: () => this.#place(),
  });
  readonly #canvas = new CanvasLayer(this, () => {
    const [plot, scene, canvas] = [this.#plot, this.#scene, this.renderRoot.querySelector("canvas")];
    return plot && scene && canvas ? { canvas, plot, scene, transform: this.#zoom.transform } : undefined;
  });

  #drawn: { readonly answer: unknown; readonly routes: DrawnRoutes | undefined; readonly error: string } | undefined;
  /** As it was drawn last. */
  #plot: Plot | undefined;
  /** What the picture was made for; made again when any of it is another. */
  #drawnFor: readonly unknown[] = [];
  /** Sizes for which the view was chosen. */
  #fitted = "";
  #folds: { readonly key: string; readonly folds: readonly Fold[] } = UNFOLDED;
  /** Folds that someone opened, by their first token. */
  #opened: ReadonlySet<number> = new Set();
  #scrolling = false;
  #lit: readonly DrawnEdge[] | undefined;
  /** Where the keyboard is. */
  #cursor: Mark | undefined;

  constructor() {
    super();
    this.bare = false;
    this.noToolbar = false;
    this.differences = undefined;
    this.collapsed = new Set();
    this.compact = false;
    this.colorBy = "contribution";
    this.otherTokens = undefined;
    this.noTrace = false;
    this.noHere = false;
    this.noRemove = false;
    this.taken = 0;
    this.height = 0;
    this.fit = false;
    this.fold = "auto";
    this.hideSinks = false;
  }

  /** This run's own routes; undefined before the first answer. */
  get routes(): DrawnRoutes | undefined {
    return this.#drawn?.routes;
  }

  /** What is drawn: the routes, or their difference to others. */
  get #shown(): DrawnRoutes | undefined {
    const routes = this.differences ?? this.#drawn?.routes;
    if (!routes || !this.hideSinks) return routes;
    const begin = this.#begin;
    if (this.#without?.of !== routes || this.#without.begin !== begin)
      this.#without = { of: routes, begin, ...withoutSinks(routes, begin) };
    return this.#without.routes;
  }

  #without: (ReturnType<typeof withoutSinks> & { readonly of: DrawnRoutes; readonly begin: NodeName }) | undefined;

  /** The node at which the routes begin. */
  get #begin(): NodeName {
    return this.selected.origin ?? nodeName("I", (this.source?.facts.model.nLayers ?? 1) - 1, this.selected.start);
  }

  get #onCanvas(): boolean {
    const facts = this.source?.facts;
    return (
      facts !== undefined &&
      (facts.tokens.length * (2 * facts.model.nLayers + 1) > CANVAS_STATES ||
        (this.#shown?.edges.length ?? 0) > CANVAS_EDGES)
    );
  }

  get #coloring(): Coloring {
    return {
      by: this.colorBy,
      dark: this.dataset.theme === "dark",
      nHeads: this.source?.facts.model.nHeads ?? 0,
      labels: this.#labels.value,
    };
  }

  get #scene(): Scene | undefined {
    const facts = this.source?.facts;
    const coloring = this.#coloring;
    return (
      facts && {
        facts,
        routes: this.#shown,
        begin: this.#begin,
        start: this.selected.start,
        onCanvas: this.#onCanvas,
        color: (edge) => edgeColor(coloring, edge),
        pins: this.selected.pins.flatMap(({ name, nodes }) =>
          nodes.flatMap((node, i) => {
            const place = parseNode(node);
            // A group's name stands once.
            return place ? [{ place, name: i === 0 ? name : "" }] : [];
          }),
        ),
        cuts: cutsOf(this.selected.removed, this.#shown),
      }
    );
  }

  get #svg(): SVGSVGElement | null {
    return this.renderRoot.querySelector<SVGSVGElement>("svg.plot");
  }

  get #pannable(): boolean {
    return this.#plot !== undefined && pannable(this.#plot, this.#zoom.transform.k);
  }

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed);
    if (changed.has("source")) {
      this.#cursor = undefined;
      this.#opened = new Set();
      this.#hover.forget();
    }
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
    this.#geometry.label(facts, this.otherTokens);
    const routes = this.#shown;
    const flat = this.compact && routes ? idleLayers(routes, facts.model.nLayers, this.collapsed) : this.collapsed;
    this.#geometry.arrange(facts, {
      width: this.width,
      maxHeight: this.#maxHeight,
      flat,
      folds: this.#foldsNow(facts, routes),
      whole: this.fit,
      tight: this.taken > 0,
    });
  }

  /** Height of the figure that is not to be passed. */
  get #maxHeight(): number {
    if (this.height > 0) return Math.max(160, this.height);
    return Math.max(LEAST_FIGURE, this.#room.height - TOOLBAR_AND_LEGEND - this.taken);
  }

  /** Whether tokens off the routes share columns. */
  get #folding(): boolean {
    const count = this.source?.facts.tokens.length ?? 0;
    return this.fold === "always" || (this.fold !== "never" && count > FOLD_ABOVE);
  }

  /** The folds in force; the same array while they are the same. */
  #foldsNow(facts: RunFacts, routes: DrawnRoutes | undefined): readonly Fold[] {
    if (!routes) return this.#folds.folds;
    if (!this.#folding) return (this.#folds = UNFOLDED).folds;
    const { start, focus, pins } = this.selected;
    const keep = new Set([start]);
    for (const name of [...routes.nodes, ...focusNodes(focus), ...pins.flatMap((pin) => pin.nodes)]) {
      const place = parseNode(name);
      if (place) keep.add(place.position);
    }
    for (const { from, to } of foldsOf(facts.tokens.length, keep))
      if (this.#opened.has(from)) for (let position = from; position < to; position++) keep.add(position);
    const folds = foldsOf(facts.tokens.length, keep);
    const key = JSON.stringify(folds);
    if (key !== this.#folds.key) this.#folds = { key, folds };
    return this.#folds.folds;
  }

  protected override render(): TemplateResult {
    const facts = this.source?.facts;
    if (!facts) return html`<div class="note">No run to show yet.</div>`;
    const error = this.#drawn?.error;
    return html`
      ${this.bare || this.noToolbar ? nothing : this.#renderToolbar()}
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
      <div class="scroll" hidden @scroll=${this.#scrolled}><div></div></div>
      <div class="visually-hidden" id="keys">
        Arrow keys move between states, E through the edges that enter a state, F goes to its feed-forward block, Enter selects, S starts at this token, T at this state, X removes what is selected or puts it back, Alt and left or right go back and forward through what was looked at, plus and minus zoom, Escape clears.
      </div>
      <div class="visually-hidden" role="status" aria-live="polite">${this.#announcer.text}</div>
      ${this.bare ? nothing : this.#renderLegend()} ${this.#renderHidden()}
    `;
  }

  #renderLegend(): TemplateResult {
    if (this.differences) return comparisonLegend(this.#shown);
    const contrast = this.#routes.value?.contrast;
    return contrast?.logit === undefined
      ? routesLegend(this.#shown, this.#coloring)
      : contrastLegend(this.#shown, contrast);
  }

  /** What the switch leaves out. */
  #renderHidden(): TemplateResult | typeof nothing {
    const hidden = this.hideSinks && this.#shown ? this.#without?.hidden : undefined;
    return hidden
      ? html`<div class="legend hidden-sinks">${hidden.edges} edges to the first token are hidden: ${percent(hidden.share)} of the attention that is drawn otherwise. Tables and files keep them.</div>`
      : nothing;
  }

  #renderToolbar(): TemplateResult {
    return graphToolbar({
      selected: this.selected,
      edges: this.routes?.edges.length,
      menu: this.#menu,
      select: (change) => this.select(change),
      zoom: (factor) => this.#zoom.by(factor),
      showAll: () => this.#showAll(),
      fit: this.fit,
      history: this.store,
      back: () => this.store.back(this.writer),
      forward: () => this.store.forward(this.writer),
      trace: this.noTrace
        ? undefined
        : html`<lmt-trace-bar .noHere=${this.noHere} .source=${this.source} .selection=${this.store} .answered=${this.#routes.value?.contrast}></lmt-trace-bar>`,
    });
  }

  #renderTip(): TemplateResult | typeof nothing {
    const { mark } = this.#hover;
    const facts = this.source?.facts;
    if (!mark || !facts) return nothing;
    const best =
      mark.kind === "node" && this.#hovered.answered?.node === mark.node ? this.#hovered.value?.tokens[0] : undefined;
    return html`<div class="tip" style=${this.#hover.tipStyle(this.width)} aria-hidden="true">${describedMark(mark, { facts, routes: this.#shown }, this.#coloring, best)}</div>`;
  }

  protected override updated(): void {
    // What is hovered or under the cursor changes often, the rest seldom: only then is it drawn again.
    const { layout, texts } = this.#geometry;
    const inputs = [
      this.#svg,
      layout,
      texts,
      this.#shown,
      this.#begin,
      this.width,
      this.colorBy,
      this.#labels.value,
      this.dataset.theme,
      this.#onCanvas,
      this.#maxHeight,
      this.selected.pins,
      this.selected.removed,
    ];
    if (inputs.every((value, i) => value === this.#drawnFor[i])) return this.#drawHighlights();
    this.#drawnFor = inputs;
    this.#canvas.forget();
    this.#draw();
  }

  #draw(): void {
    const plot = this.#geometry.plot(this.width, this.#maxHeight);
    const scene = this.#scene;
    const svg = this.#svg;
    if (!plot || !scene || !svg || this.width === 0) return;
    this.#plot = plot;
    svg.setAttribute("width", String(plot.width));
    svg.setAttribute("height", String(plot.height));
    prepareFigure(svg);
    this.#zoom.attach([svg]);
    this.#zoom.limit(zoomLimits(plot));
    const size = `${plot.inner.width}x${plot.inner.height}:${plot.layout.width}x${plot.layout.height}`;
    if (this.#fitted !== size) {
      this.#fitted = size;
      this.#zoom.to(firstView(plot, scene.start));
    }
    drawContent(svg, plot, scene);
    this.#drawHighlights();
    this.#place();
  }

  /** What is hovered, under the keyboard's cursor, selected. */
  #drawHighlights(): void {
    const svg = this.#svg;
    if (!svg || !this.#plot) return;
    const cursor = this.shadowRoot?.activeElement === svg ? this.#cursor : undefined;
    const marks = [
      { mark: this.#hover.mark, role: "hover" as const },
      { mark: cursor, role: "cursor" as const },
      { mark: focusMark(this.selected.focus, this.#shown), role: "chosen" as const },
    ];
    drawHighlights(
      svg,
      this.#plot,
      marks.filter((highlight): highlight is Highlight => highlight.mark !== undefined),
    );
    const scene = this.#scene;
    const stream = this.#hover.settled && this.#hover.mark ? streamOf(this.#hover.mark, this.#shown) : undefined;
    const lit = stream && stream.length <= MOST_LIT ? stream : undefined;
    if (lit === this.#lit || !scene) return;
    this.#lit = lit;
    drawLit(svg, this.#plot, scene, lit);
    this.renderRoot.querySelector("canvas")?.classList.toggle("dimmed", lit !== undefined);
  }

  /** Puts everything where the zoom says. */
  #place(): void {
    const [svg, plot, scene] = [this.#svg, this.#plot, this.#scene];
    if (!svg || !plot || !scene) return;
    placeFigure(svg, plot, scene, this.#zoom.transform);
    this.#placeScrollBar(plot);
    if (scene.onCanvas) this.#canvas.paint();
  }

  /** A scroll bar says that there is more than is in view, and where the view is. */
  #placeScrollBar({ layout, inner, width }: Plot): void {
    const bar = this.renderRoot.querySelector<HTMLElement>(".scroll");
    if (!bar) return;
    const { x, k } = this.#zoom.transform;
    const whole = k * layout.width;
    bar.hidden = whole <= inner.width + 1;
    if (bar.hidden) return;
    const content = bar.firstElementChild as HTMLElement;
    content.style.width = `${width + whole - inner.width}px`;
    const left = Math.round(-x);
    if (Math.abs(bar.scrollLeft - left) > 1) {
      this.#scrolling = true;
      bar.scrollLeft = left;
    }
  }

  readonly #scrolled = (event: Event): void => {
    // Its own doing comes back as an event too.
    if (this.#scrolling) {
      this.#scrolling = false;
      return;
    }
    const bar = event.currentTarget as HTMLElement;
    const { x, k } = this.#zoom.transform;
    this.#zoom.move((-bar.scrollLeft - x) / k, 0);
  };

  /** Scales about the middle of the view. */
  zoomBy(factor: number): void {
    this.#zoom.by(factor);
  }

  /** All in view, or back to sizes that can be read. */
  #showAll(): void {
    this.fit = !this.fit;
    this.#fitted = "";
    this.#zoom.reset();
  }

  #open(from: number): void {
    this.#opened = new Set([...this.#opened, from]);
    this.requestUpdate();
  }

  /**
   * Where a state, the middle of an edge, a square or a start triangle is drawn, in CSS pixels of the window; undefined
   * before there is a picture.
   */
  whereIs(what: Place): { readonly x: number; readonly y: number } | undefined {
    const at = this.#plot && pointOf(this.#plot.layout, what);
    const bounds = this.#svg?.getBoundingClientRect();
    if (!this.#plot || !at || !bounds) return undefined;
    const { margin } = this.#plot;
    const { x, y, k } = this.#zoom.transform;
    return {
      x: bounds.left + margin.left + x + k * at.x,
      y: what.kind === "start" ? bounds.top + 12 : bounds.top + margin.top + y + k * at.y,
    };
  }

  /** Gives the keyboard to the graph. */
  focusPlot(): void {
    this.#svg?.focus({ preventScroll: true });
  }

  /** Pans so that something is in view; it stays where it is if it is. */
  reveal(what: Place): void {
    const by = this.#plot && towards(this.#plot, this.#zoom.transform, what);
    if (by) this.#zoom.move(...by);
  }

  /** What lies under the pointer, which is at a place of the figure. */
  #markAt(event: MouseEvent, at: { readonly x: number; readonly y: number }): Mark | undefined {
    const mark = markAt(event, this.#shown);
    if (mark !== undefined) return mark ?? undefined;
    return this.#onCanvas && this.#plot ? markOnCanvas(at, this.#plot, this.#zoom.transform, this.#shown) : undefined;
  }

  readonly #pointerMove = (event: PointerEvent): void => {
    if (event.buttons !== 0) return;
    const at = placeOf(event);
    const mark = this.#markAt(event, at);
    if ((!mark && !this.#hover.mark) || this.#hover.move(mark, at)) return;
    const tip = this.renderRoot.querySelector<HTMLElement>(".tip");
    if (tip) tip.style.cssText = this.#hover.tipStyle(this.width);
  };

  readonly #pointerLeave = (): void => this.#hover.leave();

  readonly #click = (event: MouseEvent): void => {
    const fold = foldAt(event, placeOf(event), this.#plot, this.#zoom.transform);
    if (fold !== undefined) return this.#open(fold);
    const start = startAt(event);
    if (start !== undefined) return this.select({ start });
    const mark = this.#markAt(event, placeOf(event));
    if (!mark) return;
    this.#cursor = mark;
    this.#choose(mark);
  };

  #choose(mark: Mark): void {
    this.select({ focus: markFocus(mark), head: null, neuron: null });
    this.dispatchEvent(new CustomEvent("lmt-select", { detail: markFocus(mark), bubbles: true, composed: true }));
  }

  readonly #key = (event: KeyboardEvent): void => {
    const facts = this.source?.facts;
    if (!facts) return;
    const { start } = this.selected;
    const place = (): NodePlace => cursorPlace(this.#cursor, facts, start);
    const keys: GraphKeys = {
      move: (arrow) => this.#point(movedCursor(this.#cursor, arrow, facts, start)),
      edge: (step) => {
        const next = nextEdge(this.#cursor, place(), step, this.#shown);
        if (next) this.#point(next);
        else this.#announcer.say(`No edge of the routes enters ${placeName(place())}.`);
      },
      block: () => {
        const { layer, position } = place();
        if (layer >= 0) this.#point({ kind: "ffn", layer, position });
      },
      start: () => this.select({ start: place().position }),
      trace: () => this.select({ origin: placeName(place()) }),
      remove: () => this.#remove(),
      choose: () => this.#choose(this.#cursor ?? { kind: "node", node: placeName(place()) }),
      clear: () => this.select({ focus: null, head: null, neuron: null }),
      zoom: (factor) => this.#zoom.by(factor),
      showAll: () => this.#showAll(),
      back: () => this.store.back(this.writer),
      forward: () => this.store.forward(this.writer),
    };
    pressed(event, keys);
  };

  /** Takes what is under the cursor, or else what is selected, out of the computation, or puts it back. */
  #remove(): void {
    const { facts } = this.source ?? {};
    if (!facts) return;
    if (this.noRemove) return this.#announcer.say("Nothing is removed in a comparison.");
    if (!canRemove(facts)) return this.#announcer.say(UNCHANGEABLE);
    const { focus, head, neuron, removed } = this.selected;
    const under = this.#cursor && this.#cursor.kind !== "node" ? markFocus(this.#cursor) : focus;
    const same = JSON.stringify(under) === JSON.stringify(focus);
    const removal = removables({ focus: under, head: same ? head : null, neuron: same ? neuron : null })[0];
    if (!removal)
      return this.#announcer.say(
        "Select an attention edge, a head, a neuron or a feed-forward block to see what is predicted without it.",
      );
    this.#announcer.say(
      `${isRemoved(removed, removal) ? "Put back" : "Removed"}: ${removalWords(removal, facts.tokens)}`,
    );
    this.select({ removed: toggled(removed, removal) });
  }

  /** Moves the keyboard's cursor and says what is there. */
  #point(mark: Mark): void {
    this.#cursor = mark;
    void this.#announcer.describe(mark, { facts: this.source?.facts, routes: this.#shown }, async (node) => {
      const answer = await this.source?.ask({ kind: "lens", node, normalize: this.selected.normalize, topK: LENS_TOP });
      return this.#cursor === mark ? answer?.tokens[0] : undefined;
    });
  }

  get #menu(): readonly MenuItem[] {
    return [
      {
        label: "Fold tokens off the routes",
        checked: this.#folding,
        run: () => {
          this.#opened = new Set();
          this.fold = this.#folding ? "never" : "always";
        },
      },
      {
        label: "Hide attention to the first token",
        checked: this.hideSinks,
        run: () => (this.hideSinks = !this.hideSinks),
      },
      { label: "Flatten idle layers", checked: this.compact, run: () => (this.compact = !this.compact) },
      {
        label: "Colour by head",
        checked: this.colorBy === "head",
        run: () => (this.colorBy = this.colorBy === "head" ? "contribution" : "head"),
      },
      {
        label: "Colour by what heads attend to",
        checked: this.colorBy === "label",
        run: () => (this.colorBy = this.colorBy === "label" ? "contribution" : "label"),
      },
      { label: document.fullscreenElement ? "Leave full screen" : "Full screen", run: () => void this.#fullScreen() },
      { label: "Copy as cell", run: () => void this.#copyCell() },
      { label: "Save as SVG", run: () => void this.save("svg") },
      { label: "Save as PNG", run: () => void this.save("png") },
      { label: "Save edges as CSV", run: () => void this.save("csv") },
    ];
  }

  /** The element that surrounds this graph, a panel or the Explorer; else itself. */
  get #whole(): HTMLElement {
    const root = this.getRootNode();
    return root instanceof ShadowRoot && root.host instanceof LmtElement ? root.host : this;
  }

  async #fullScreen(): Promise<void> {
    try {
      if (document.fullscreenElement) await document.exitFullscreen();
      else await this.#whole.requestFullscreen();
    } catch {
      this.#announcer.say("This page does not allow full screen.");
    }
  }

  async #copyCell(): Promise<void> {
    const facts = this.source?.facts;
    if (!facts) return;
    const text = cellOf(facts, this.selected, this.#whole.localName === "lmt-explorer" ? "explorer" : "flowGraph");
    this.#announcer.say((await copied(text)) ? "Copied: paste it into a cell." : "The browser did not allow copying.");
  }

  /** What is drawn now; undefined before anything is. */
  get picture(): ShownPicture | undefined {
    const svg = this.#svg;
    return svg ? { svg, beneath: [...this.renderRoot.querySelectorAll("canvas")] } : undefined;
  }

  /**
   * Downloads the picture as it is shown, or its edges as a table. In an SVG, what is on canvas is an image beneath the
   * labels.
   */
  async save(format: SaveFormat): Promise<void> {
    if (format === "csv") return saveEdges(this.differences ?? this.#drawn?.routes, this.differences !== undefined);
    const { picture } = this;
    if (picture) await saveGraph(picture, format);
  }
}

/** Where an event is, in CSS pixels of the figure. */
function placeOf(event: MouseEvent): { readonly x: number; readonly y: number } {
  const bounds = (event.currentTarget as Element).getBoundingClientRect();
  return { x: event.clientX - bounds.left, y: event.clientY - bounds.top };
}

define("lmt-flow-graph", FlowGraphElement);
