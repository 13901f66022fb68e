import { html, nothing } from "lit";
import type { PropertyValues, TemplateResult } from "lit";
import { zoomIdentity } from "d3-zoom";
import { nodeName, parseNode, stateBelow, visibleText } from "../../../src/protocol";
import { Ask } from "../../core/ask";
import { define, LmtElement } from "../../core/element";
import type { SaveFormat } from "../../core/export";
import { weight } from "../../core/format";
import { sentenceOf } from "../../core/source";
import { ZoomController } from "../../core/zoom";
import "../menu";
import type { MapView } from "./cells";
import { cellImage, CellImages, expectShape, MapColors, peak } from "./cells";
import type { MapInk } from "./export";
import { saveCells, saveMaps, saveMultiples, saveSheet } from "./export";
import type { Cell, Geometry } from "./geometry";
import { cellAt, closest, measured, towards, zoomCentre, zoomLimits } from "./geometry";
import { drawMap } from "./map";
import { matrixStyles } from "./styles";

/** One step of the zoom's buttons and keys. */
const ZOOM_STEP = 1.6;
/** Where arrows lead: rows and columns. */
const ARROWS: ReadonlyMap<string, readonly [number, number]> = new Map([
  ["ArrowUp", [-1, 0]],
  ["ArrowDown", [1, 0]],
  ["ArrowLeft", [0, -1]],
  ["ArrowRight", [0, 1]],
]);

/**
 * Attention map and contribution map of the selected head, or of all heads of the layer together, side by side: target
 * token on y, source token on x. Or all heads of the layer as small multiples. A click on a cell selects its edge.
 */
export class TokenMatrixElement extends LmtElement {
  static override formats: readonly SaveFormat[] = ["svg", "png", "csv"];
  static override styles = [LmtElement.styles, matrixStyles];
  static override properties = {
    ...LmtElement.properties,
    layer: { type: Number },
    head: { type: Number },
    together: { type: Boolean },
    multiples: { type: Boolean },
    room: { type: Number },
  };

  /** Layer to show; -1: that of the selection. */
  declare layer: number;
  /** Head to show with `layer`; -1: all heads together, their sum. */
  declare head: number;
  /** Both maps on one scale. */
  declare together: boolean;
  /** All heads of the layer, small. */
  declare multiples: boolean;
  /** Height in CSS pixels for both maps beside each other; 0: as large as the width allows. */
  declare room: number;

  readonly #maps = new Ask(this, () =>
    this.multiples || this.#chosen === undefined ? undefined : { kind: "maps" as const, ...this.#chosen },
  );
  readonly #all = new Ask(this, () =>
    this.multiples && this.#chosen !== undefined
      ? { kind: "layerMaps" as const, layer: this.#chosen.layer }
      : undefined,
  );
  /** One for both maps, in a canvas's own coordinates. */
  readonly #zoom: ZoomController<HTMLCanvasElement> = new ZoomController(this, {
    grabs: (fingers) => fingers > 1 || this.#zoom.transform.k > 1,
    moved: () => this.requestUpdate(),
  });
  readonly #colors = new MapColors(this);
  readonly #images = new CellImages();
  /** Under the pointer or the keyboard's cursor. */
  #cell: Cell | undefined;
  #wrong = "";
  #zoomedFor = "";
  /** Sizes and labels; finding where letters end is slow, and they are needed in every frame. */
  #measured: { readonly facts: unknown; readonly size: string; readonly geometry: Geometry } | undefined;
  /** What the maps show of an answer, and the largest value of each. */
  #peaks: { readonly answer: unknown; readonly attention: Float32Array; readonly peaks: readonly number[] } | undefined;

  constructor() {
    super();
    this.layer = -1;
    this.head = -1;
    this.together = false;
    this.multiples = false;
    this.room = 0;
  }

  get #chosen(): { layer: number; head: number | null } | undefined {
    if (this.layer >= 0) return { layer: this.layer, head: this.head >= 0 ? this.head : null };
    const { head, focus } = this.selected;
    const place =
      focus?.kind === "edge" ? parseNode(focus.target) : focus?.kind === "node" ? parseNode(focus.node) : undefined;
    const layer = focus?.kind === "ffn" ? focus.layer : place && place.layer >= 0 ? place.layer : undefined;
    if (head && (layer === undefined || head.layer === layer || focus?.kind !== "edge")) return head;
    return layer === undefined ? undefined : { layer, head: null };
  }

  /** The edge's cell that is selected, in the layer that is shown. */
  get #marked(): Cell | undefined {
    const focus = this.selected.focus;
    if (focus?.kind !== "edge") return undefined;
    const from = parseNode(focus.source);
    const to = parseNode(focus.target);
    return from && to && to.layer === this.#chosen?.layer && to.kind !== "M" && from.kind !== "M"
      ? { query: to.position, key: from.position }
      : undefined;
  }

  protected override render(): TemplateResult {
    const chosen = this.#chosen;
    if (!this.source || !chosen)
      return html`<div class="note">Select an attention edge or a head to see its maps.</div>`;
    const ask = this.multiples ? this.#all : this.#maps;
    this.#wrong = "";
    const views = this.multiples ? [] : this.#views();
    return html`
      <header>
        <h3>${this.multiples ? `All heads of layer ${chosen.layer}` : chosen.head === null ? `All heads of layer ${chosen.layer} together` : `Head ${chosen.head} of layer ${chosen.layer}`}</h3>
        <span class="end">
          ${
            views.length && closest(this.#geometry) > 1.05
              ? html`<button class="icon" aria-label="Zoom out" title="Zoom out (−)" ?disabled=${this.#zoom.transform.k <= 1} @click=${() => this.#zoomBy(1 / ZOOM_STEP)}>−</button
                ><button class="icon" aria-label="Zoom in" title="Zoom in (+, or Ctrl and wheel)" @click=${() => this.#zoomBy(ZOOM_STEP)}>+</button
                ><button class="icon" aria-label="Show all" title="Show all (0)" ?disabled=${this.#zoom.transform.k <= 1} @click=${() => this.#showAll()}>⤢</button>`
              : nothing
          }
          <label><input type="checkbox" .checked=${this.multiples} @change=${(event: Event) => (this.multiples = (event.target as HTMLInputElement).checked)} />Every head</label>
          ${this.multiples ? nothing : html`<label title="Both maps on the same scale"><input type="checkbox" .checked=${this.together} @change=${(event: Event) => (this.together = (event.target as HTMLInputElement).checked)} />One scale</label>`}
          <lmt-menu label="Save these maps" .items=${[
            { label: "Save as SVG", run: () => void this.save("svg") },
            { label: "Save as PNG", run: () => void this.save("png") },
            { label: "Save as CSV", run: () => void this.save("csv") },
          ]}></lmt-menu>
        </span>
      </header>
      ${ask.renderStatus()} ${this.#wrong ? html`<div class="error" role="alert">${this.#wrong}</div>` : nothing}
      ${this.multiples ? this.#renderMultiples() : html`<div class="maps ${this.room > 0 ? "tight" : ""}">${views.map((view, index) => this.#renderMap(view, index))}</div>`}
      ${views.length ? html`<div class="readout" role="status" aria-live="polite">${this.#renderReadout(views)}</div>` : nothing}
    `;
  }

  #views(): MapView[] {
    const answer = this.#maps.value;
    const T = this.source?.facts.tokens.length ?? 0;
    if (!answer) return [];
    try {
      for (const map of [answer.pattern, answer.contributions]) expectShape(map, [T, T]);
    } catch (error) {
      this.#wrong = sentenceOf(error);
      return [];
    }
    const together = this.#maps.answered?.head === null;
    if (this.#peaks?.answer !== answer) {
      // The sum of what heads attend to is no attention; their mean is.
      const attention = together
        ? answer.pattern.data.map((value) => value / Math.max(1, this.source?.facts.model.nHeads ?? 1))
        : answer.pattern.data;
      this.#peaks = { answer, attention, peaks: [peak(attention), peak(answer.contributions.data)] };
    }
    const { attention, peaks } = this.#peaks;
    const most = this.together ? [Math.max(...peaks), Math.max(...peaks)] : peaks;
    return [
      {
        title: together ? "Attention, mean of heads" : "Attention",
        hint: `how much the target attends to the source${together ? ", on average over the heads" : ""}; a row sums to 1`,
        values: attention,
        most: most[0],
      },
      {
        title: "Contribution",
        hint: "how much of the state after attention came from the source through this head",
        values: answer.contributions.data,
        most: most[1],
      },
    ];
  }

  get #geometry(): Geometry {
    const facts = this.source?.facts;
    const size = `${this.width} ${this.room}`;
    if (this.#measured?.facts !== facts || this.#measured?.size !== size)
      this.#measured = { facts, size, geometry: measured(facts, this.width, this.room) };
    return this.#measured.geometry;
  }

  #renderMap(view: MapView, index: number): TemplateResult {
    const { side, left, bottom } = this.#geometry;
    return html`<figure>
      <figcaption style="padding-inline-start:${this.room > 0 ? 0 : left}px;max-width:${left + side + 2}px">
        <span title=${view.hint}>${view.title}</span>
        <span class="scale" title="The colour grows with the root of the value"><span>0</span><i aria-hidden="true"></i><span>${weight(view.most)}</span></span>
      </figcaption>
      <canvas
        class="map ${this.#zoom.transform.k > 1 ? "zoomed" : ""}"
        data-map=${index}
        style="width:${left + side + 2}px;height:${side + bottom}px"
        tabindex="0"
        role="application"
        aria-roledescription="token map"
        aria-label="${view.title} map, ${this.source?.facts.tokens.length} target tokens by as many source tokens; arrow keys move, Enter selects, plus and minus zoom, 0 shows all"
        @pointermove=${this.#pointerMove}
        @pointerleave=${() => this.#point(undefined)}
        @click=${this.#click}
        @keydown=${this.#key}
      ></canvas>
    </figure>`;
  }

  #renderReadout(views: readonly MapView[]): TemplateResult {
    const cell = this.#cell ?? this.#marked;
    const facts = this.source?.facts;
    if (!cell || !facts) return html`target on the left, source below`;
    const at = cell.query * facts.tokens.length + cell.key;
    const token = (position: number): TemplateResult =>
      html`<span class="token">${visibleText(facts.tokens[position].text)}</span><sub>${position}</sub>`;
    return html`${token(cell.key)} → ${token(cell.query)}: ${cell.key > cell.query ? "comes later, cannot be seen" : views.map((view, i) => `${i ? ", " : ""}${view.title.toLowerCase()} ${weight(view.values[at])}`)}`;
  }

  #renderMultiples(): TemplateResult | typeof nothing {
    const answer = this.#all.value;
    const facts = this.source?.facts;
    const chosen = this.#chosen;
    if (!answer || !facts || !chosen) return nothing;
    const T = facts.tokens.length;
    try {
      expectShape(answer.contributions, [facts.model.nHeads, T, T]);
    } catch (error) {
      return html`<div class="error" role="alert">${sentenceOf(error)}</div>`;
    }
    const totals = Array.from(
      { length: facts.model.nHeads },
      (_, h) => answer.contributions.data.subarray(h * T * T, (h + 1) * T * T).reduce((a, b) => a + b, 0) / T,
    );
    return html`<div class="multiples" role="group" aria-label="Heads of layer ${chosen.layer}">
      ${totals.map(
        (total, head) => html`<button
          aria-pressed=${chosen.head === head}
          @click=${() => {
            this.multiples = false;
            if (this.layer >= 0) this.head = head;
            this.select({ head: { layer: chosen.layer, head } });
          }}
        >
          <span class="visually-hidden">Head </span>${head} <span class="soft"><span class="visually-hidden">contributes </span>${weight(total)}<span class="visually-hidden"> on average</span></span><canvas class="small" data-head=${head} width=${T} height=${T} aria-hidden="true"></canvas>
        </button>`,
      )}
    </div>`;
  }

  protected override updated(changed: PropertyValues): void {
    super.updated(changed);
    this.#draw();
  }

  #draw(): void {
    const facts = this.source?.facts;
    if (!facts || this.width === 0) return;
    const small = this.renderRoot.querySelectorAll<HTMLCanvasElement>("canvas.small");
    const large = [...this.renderRoot.querySelectorAll<HTMLCanvasElement>("canvas.map")];
    this.#attachZoom(large);
    if (!small.length && !large.length) return;
    const { ramp } = this.#colors;
    const T = facts.tokens.length;
    const all = this.#all.value?.contributions.data;
    if (all && small.length) {
      const most = peak(all);
      small.forEach((canvas, head) =>
        canvas
          .getContext("2d")
          ?.putImageData(cellImage(all.subarray(head * T * T, (head + 1) * T * T), T, most, ramp), 0, 0),
      );
    }
    const geometry = this.#geometry;
    const { transform } = this.#zoom;
    const ratio = Math.min(2, devicePixelRatio || 1);
    const color = this.#color();
    this.#views().forEach((view, index) => {
      if (!large[index]) return;
      const image = this.#images.of(index, view, T, geometry.side * transform.k * ratio, geometry.side * ratio, ramp);
      drawMap(large[index], {
        geometry,
        transform,
        image,
        marked: this.#cell ?? this.#marked,
        passing: this.#cell !== undefined,
        color,
      });
    });
  }

  /** Reads CSS variables of this element. */
  #color(): (name: string) => string {
    const style = getComputedStyle(this);
    return (name) => style.getPropertyValue(name).trim() || "#888";
  }

  /** Makes the canvases zoomable, both as one. */
  #attachZoom(canvases: readonly HTMLCanvasElement[]): void {
    this.#zoom.attach(canvases);
    if (canvases.length === 0) return;
    const geometry = this.#geometry;
    const size = `${geometry.side} ${geometry.left} ${geometry.cell}`;
    if (this.#zoomedFor !== size) {
      this.#zoomedFor = size;
      this.#zoom.reset();
    }
    this.#zoom.limit(zoomLimits(geometry));
  }

  /** Zooms about the marked cell, else about the middle. */
  #zoomBy(factor: number): void {
    this.#zoom.by(factor, zoomCentre(this.#cell ?? this.#marked, this.#geometry, this.#zoom.transform));
  }

  #showAll(): void {
    this.#zoom.to(zoomIdentity);
  }

  #cellAt(event: MouseEvent): Cell | undefined {
    const bounds = (event.currentTarget as HTMLElement).getBoundingClientRect();
    return cellAt([event.clientX - bounds.left, event.clientY - bounds.top], this.#geometry, this.#zoom.transform);
  }

  #point(cell: Cell | undefined): void {
    if (cell?.key === this.#cell?.key && cell?.query === this.#cell?.query) return;
    this.#cell = cell;
    this.requestUpdate();
  }

  readonly #pointerMove = (event: PointerEvent): void => this.#point(event.buttons ? this.#cell : this.#cellAt(event));

  readonly #click = (event: MouseEvent): void => this.#choose(this.#cellAt(event));

  #choose(cell: Cell | undefined): void {
    const chosen = this.#chosen;
    if (!cell || !chosen || !this.source || cell.key > cell.query) return;
    const target = nodeName(this.source.facts.model.parallelBlocks ? "I" : "A", chosen.layer, cell.query);
    this.select({
      focus: { kind: "edge", source: stateBelow(chosen.layer, cell.key), target },
      head: chosen.head === null ? null : { layer: chosen.layer, head: chosen.head },
    });
  }

  readonly #key = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const T = this.source?.facts.tokens.length ?? 0;
    const at = this.#cell ?? this.#marked ?? { query: T - 1, key: T - 1 };
    const arrow = ARROWS.get(event.key);
    if (arrow) {
      const clamp = (n: number): number => Math.max(0, Math.min(T - 1, n));
      const next = { query: clamp(at.query + arrow[0]), key: clamp(at.key + arrow[1]) };
      this.#point(next);
      const by = towards(next, this.#geometry, this.#zoom.transform);
      if (by) this.#zoom.move(...by);
    } else if (event.key === "Enter" || event.key === " ") this.#choose(at);
    else if (event.key === "+" || event.key === "=") this.#zoomBy(ZOOM_STEP);
    else if (event.key === "-") this.#zoomBy(1 / ZOOM_STEP);
    else if (event.key === "0") this.#showAll();
    else if (event.key === "Escape") this.#point(undefined);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  /** Downloads the maps: as one picture, or as a table of all cells up to the diagonal. */
  async save(format: SaveFormat): Promise<void> {
    const facts = this.source?.facts;
    if (!facts) return;
    const answer = this.#maps.value;
    if (format === "csv" && answer) {
      const [attention, contributions] = this.#views();
      if (attention && contributions) saveCells([attention.values, contributions.values], facts.tokens);
      return;
    }
    if (format === "svg") return this.#saveSvg(facts.tokens.length);
    const canvases = [...this.renderRoot.querySelectorAll<HTMLCanvasElement>("canvas")];
    return saveSheet(canvases, this.multiples ? Math.ceil(Math.sqrt(canvases.length)) : canvases.length);
  }

  #saveSvg(T: number): void {
    const ink: MapInk = {
      ramp: this.#colors.ramp,
      color: this.#color(),
      shown: this.renderRoot.firstElementChild ?? this,
    };
    if (this.multiples) {
      const all = this.#all.value?.contributions.data;
      if (all) saveMultiples(all, T, ink);
      return;
    }
    const views = this.#views();
    if (views.length > 0) saveMaps(views, this.#geometry, ink);
  }
}

define("lmt-token-matrix", TokenMatrixElement);
