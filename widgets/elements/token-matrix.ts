import { interpolateLab } from "d3-interpolate";
import { select } from "d3-selection";
import { zoom, zoomIdentity } from "d3-zoom";
import type { D3ZoomEvent, ZoomBehavior, ZoomTransform } from "d3-zoom";
import { css, html, nothing } from "lit";
import type { PropertyValues, TemplateResult } from "lit";
import type { WireTensor } from "../../src/protocol";
import { nodeName, parseNode, ProtocolError, shortText, stateBelow, visibleText } from "../../src/protocol";
import { Ask } from "../core/ask";
import { define, LmtElement } from "../core/element";
import { saveBuiltSvg, saveCanvas, saveCsv, svgElement } from "../core/export";
import { weight } from "../core/format";
import { sentenceOf } from "../core/source";
import "./menu";

/** Labels are drawn while a row is at least this high; below, only every so many. */
const LABEL_HEIGHT = 11;
const LABEL_ANGLE = 42;
/** Cells grow to this many pixels. */
const LARGEST_CELL = 44;

interface Geometry {
  readonly facts: unknown;
  readonly width: number;
  /** Labels of the tokens. */
  readonly texts: readonly string[];
  readonly side: number;
  readonly left: number;
  readonly bottom: number;
  readonly cell: number;
}

interface MapView {
  readonly title: string;
  readonly hint: string;
  readonly values: Float32Array;
  readonly most: number;
}

/**
 * Attention map and contribution map of the selected head, or of all heads of the layer together, side by side: target token on y, source
 * token on x. Or all heads of the layer as small multiples. A click on a cell selects its edge.
 */
export class TokenMatrixElement extends LmtElement {
  static override styles = [
    LmtElement.styles,
    css`
      :host {
        min-height: 60px;
      }
      header {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 6px 14px;
        min-height: 28px;
        padding-bottom: 6px;
      }
      header .end {
        margin-inline-start: auto;
        display: inline-flex;
        gap: 6px;
        align-items: center;
      }
      label {
        display: inline-flex;
        gap: 6px;
        align-items: center;
      }
      button.icon {
        min-width: 26px;
        height: 24px;
        padding: 0 6px;
        line-height: 1;
      }
      button:disabled {
        opacity: 0.45;
        cursor: default;
      }
      .maps {
        display: flex;
        flex-wrap: wrap;
        gap: 14px 26px;
      }
      figure {
        margin: 0;
        min-width: 0;
      }
      figcaption {
        display: flex;
        gap: 8px;
        align-items: center;
        justify-content: space-between;
        padding-bottom: 4px;
        font-size: 12px;
      }
      .scale {
        display: inline-flex;
        gap: 5px;
        align-items: center;
        font-size: 11px;
        color: var(--_text-soft);
      }
      .scale i {
        width: 56px;
        height: 7px;
        border-radius: 3px;
        background: linear-gradient(to right in oklab, var(--_map-low), var(--_map-high));
        border: 1px solid var(--_line);
      }
      :host {
        --_map-low: var(--lmt-map-low, var(--_surface));
        --_map-high: var(--lmt-map-high, var(--_attention));
      }
      canvas {
        display: block;
        cursor: crosshair;
        touch-action: pan-x pan-y;
      }
      canvas.zoomed {
        touch-action: none;
      }
      .readout {
        min-height: 20px;
        padding-top: 4px;
        color: var(--_text-soft);
      }
      .multiples {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(104px, 1fr));
        gap: 10px;
      }
      .multiples button {
        padding: 5px;
        text-align: start;
        font-size: 11.5px;
      }
      .multiples canvas {
        width: 100%;
        height: auto;
        aspect-ratio: 1;
        margin-top: 3px;
        image-rendering: pixelated;
        border-radius: 2px;
        cursor: pointer;
      }
      .multiples button[aria-pressed="true"] {
        border-color: var(--_selected);
        background: color-mix(in oklab, var(--_selected) 10%, transparent);
      }
    `,
  ];
  static override properties = {
    ...LmtElement.properties,
    layer: { type: Number },
    head: { type: Number },
    together: { type: Boolean },
    multiples: { type: Boolean },
  };

  /** Layer to show; -1: that of the selection. */
  declare layer: number;
  /** Head to show with `layer`; -1: all heads together, their sum. */
  declare head: number;
  /** Both maps on one scale. */
  declare together: boolean;
  /** All heads of the layer, small. */
  declare multiples: boolean;

  readonly #maps = new Ask(this, () => (this.multiples || this.#chosen === undefined ? undefined : { kind: "maps" as const, ...this.#chosen }));
  readonly #all = new Ask(this, () => (this.multiples && this.#chosen !== undefined ? { kind: "layerMaps" as const, layer: this.#chosen.layer } : undefined));
  #cell: { readonly query: number; readonly key: number } | undefined;
  #wrong = "";
  /** One for both maps, in a canvas's own coordinates. */
  #transform: ZoomTransform = zoomIdentity;
  #zoom: ZoomBehavior<HTMLCanvasElement, unknown> | undefined;
  #zoomedFor = "";
  /** Sizes and labels; finding where letters end is slow, and they are needed in every frame. */
  #measured: Geometry | undefined;
  #peaks: { readonly answer: unknown; readonly peaks: readonly number[] } | undefined;
  #colors: { readonly theme: string; readonly colors: Uint8ClampedArray } | undefined;
  /** Cells as images of one pixel a cell: made once, however often they are drawn. */
  readonly #images = new Map<string, { readonly values: Float32Array; readonly most: number; readonly cells: number; readonly ramp: string; readonly canvas: HTMLCanvasElement }>();

  constructor() {
    super();
    this.layer = -1;
    this.head = -1;
    this.together = false;
    this.multiples = false;
  }

  get #chosen(): { layer: number; head: number | null } | undefined {
    if (this.layer >= 0) return { layer: this.layer, head: this.head >= 0 ? this.head : null };
    const { head, focus } = this.selected;
    const place = focus?.kind === "edge" ? parseNode(focus.target) : focus?.kind === "node" ? parseNode(focus.node) : undefined;
    const layer = focus?.kind === "ffn" ? focus.layer : place && place.layer >= 0 ? place.layer : undefined;
    if (head && (layer === undefined || head.layer === layer || focus?.kind !== "edge")) return head;
    return layer === undefined ? undefined : { layer, head: null };
  }

  /** The edge's cell that is selected, in the layer that is shown. */
  get #marked(): { query: number; key: number } | undefined {
    const focus = this.selected.focus;
    if (focus?.kind !== "edge") return undefined;
    const from = parseNode(focus.source);
    const to = parseNode(focus.target);
    return from && to && to.layer === this.#chosen?.layer && to.kind !== "M" && from.kind !== "M" ? { query: to.position, key: from.position } : undefined;
  }

  protected override render(): TemplateResult {
    const chosen = this.#chosen;
    if (!this.source || !chosen) return html`<div class="note">Select an attention edge or a head to see its maps.</div>`;
    const ask = this.multiples ? this.#all : this.#maps;
    this.#wrong = "";
    const views = this.multiples ? [] : this.#views();
    return html`
      <header>
        <h3>${this.multiples ? `All heads of layer ${chosen.layer}` : chosen.head === null ? `All heads of layer ${chosen.layer} together` : `Head ${chosen.head} of layer ${chosen.layer}`}</h3>
        <span class="end">
          ${views.length && this.#closest > 1.05
            ? html`<button class="icon" aria-label="Zoom out" title="Zoom out (−)" ?disabled=${this.#transform.k <= 1} @click=${() => this.#zoomBy(1 / 1.6)}>−</button
                ><button class="icon" aria-label="Zoom in" title="Zoom in (+, or Ctrl and wheel)" @click=${() => this.#zoomBy(1.6)}>+</button
                ><button class="icon" aria-label="Show all" title="Show all (0)" ?disabled=${this.#transform.k <= 1} @click=${() => this.#zoomBy(0)}>⤢</button>`
            : nothing}
          <label><input type="checkbox" .checked=${this.multiples} @change=${(event: Event) => (this.multiples = (event.target as HTMLInputElement).checked)} />Every head</label>
          ${this.multiples ? nothing : html`<label title="Both maps on the same scale"><input type="checkbox" .checked=${this.together} @change=${(event: Event) => (this.together = (event.target as HTMLInputElement).checked)} />One scale</label>`}
          <lmt-menu label="Save these maps" .items=${[{ label: "Save as SVG", run: () => void this.save("svg") }, { label: "Save as PNG", run: () => void this.save("png") }, { label: "Save as CSV", run: () => void this.save("csv") }]}></lmt-menu>
        </span>
      </header>
      ${ask.renderStatus()} ${this.#wrong ? html`<div class="error" role="alert">${this.#wrong}</div>` : nothing}
      ${this.multiples ? this.#renderMultiples() : html`<div class="maps">${views.map((view, index) => this.#renderMap(view, index))}</div>`}
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
    if (this.#peaks?.answer !== answer) this.#peaks = { answer, peaks: [peak(answer.pattern.data), peak(answer.contributions.data)] };
    const { peaks } = this.#peaks;
    const most = this.together ? [Math.max(...peaks), Math.max(...peaks)] : peaks;
    return [
      { title: "Attention", hint: "how much the target attends to the source; a head's row sums to 1", values: answer.pattern.data, most: most[0] },
      { title: "Contribution", hint: "how much of the state after attention came from the source through this head", values: answer.contributions.data, most: most[1] },
    ];
  }

  /** Size of one map: labels on the left and below, square cells. */
  get #geometry(): Geometry {
    const facts = this.source?.facts;
    if (this.#measured?.facts === facts && this.#measured?.width === this.width) return this.#measured;
    const texts = (facts?.tokens ?? []).map((token) => shortText(token.text, 12));
    const longest = texts.reduce((most, text) => Math.max(most, [...text].length), 2);
    const left = Math.ceil(longest * 6.7) + 8;
    const bottom = Math.ceil(longest * 6.7 * Math.sin((LABEL_ANGLE * Math.PI) / 180)) + 14;
    const columns = this.width >= 620 ? 2 : 1;
    const room = Math.max(120, (this.width - (columns - 1) * 26) / columns - left - 2);
    const cell = Math.min(34, Math.min(room, 460) / Math.max(1, texts.length));
    return (this.#measured = { facts, width: this.width, texts, side: Math.round(cell * texts.length), left, bottom, cell });
  }

  #renderMap(view: MapView, index: number): TemplateResult {
    const { side, left, bottom } = this.#geometry;
    return html`<figure>
      <figcaption style="padding-inline-start:${left}px">
        <span title=${view.hint}>${view.title}</span>
        <span class="scale" title="The colour grows with the root of the value"><span>0</span><i aria-hidden="true"></i><span>${weight(view.most)}</span></span>
      </figcaption>
      <canvas
        class="map ${this.#transform.k > 1 ? "zoomed" : ""}"
        data-map=${index}
        style="width:${left + side + 2}px;height:${side + bottom}px"
        tabindex="0"
        role="application"
        aria-roledescription="token map"
        aria-label="${view.title} map, ${this.source?.facts.tokens.length} target tokens by as many source tokens; arrow keys move, Enter selects, plus and minus zoom, 0 shows all"
        @pointermove=${this.#pointerMove}
        @pointerleave=${() => this.#setCell(undefined)}
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
    const token = (position: number): TemplateResult => html`<span class="token">${visibleText(facts.tokens[position].text)}</span><sub>${position}</sub>`;
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
    const totals = Array.from({ length: facts.model.nHeads }, (_, h) => answer.contributions.data.subarray(h * T * T, (h + 1) * T * T).reduce((a, b) => a + b, 0) / T);
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

  #ramp(): Uint8ClampedArray {
    const style = getComputedStyle(this);
    const theme = ["--_map-low", "--_map-high", "--_surface", "--_attention"].map((name) => style.getPropertyValue(name)).join();
    if (this.#colors?.theme === theme) return this.#colors.colors;
    const resolve = (name: string): string => {
      const probe = document.createElement("i");
      probe.style.color = `var(${name})`;
      // Cells carry data: they keep their colours where the system has its own.
      probe.style.setProperty("forced-color-adjust", "none");
      this.renderRoot.append(probe);
      const color = getComputedStyle(probe).color;
      probe.remove();
      return color;
    };
    const mix = interpolateLab(resolve("--_map-low"), resolve("--_map-high"));
    const colors = new Uint8ClampedArray(256 * 4);
    for (let i = 0; i < 256; i++) {
      const [r, g, b] = mix(i / 255).match(/\d+(\.\d+)?/g)!.map(Number);
      colors.set([r, g, b, 255], i * 4);
    }
    this.#colors = { theme, colors };
    return colors;
  }

  #draw(): void {
    const facts = this.source?.facts;
    if (!facts || this.width === 0) return;
    const T = facts.tokens.length;
    const small = this.renderRoot.querySelectorAll<HTMLCanvasElement>("canvas.small");
    const large = this.renderRoot.querySelectorAll<HTMLCanvasElement>("canvas.map");
    if (!small.length && !large.length) return;
    const ramp = this.#ramp();
    const all = this.#all.value?.contributions.data;
    if (all && small.length) {
      const most = all.reduce((a, b) => Math.max(a, b), 1e-12);
      small.forEach((canvas, head) => {
        const context = canvas.getContext("2d");
        if (context) context.putImageData(image(all.subarray(head * T * T, (head + 1) * T * T), T, most, ramp), 0, 0);
      });
    }
    const views = this.#views();
    if (large.length) this.#attachZoom(large);
    large.forEach((canvas, index) => views[index] && this.#drawMap(canvas, index, views[index], ramp));
  }

  /** How far one can zoom in. */
  get #closest(): number {
    return Math.max(1, LARGEST_CELL / this.#geometry.cell);
  }

  /** Makes the canvases zoomable, both as one. */
  #attachZoom(canvases: NodeListOf<HTMLCanvasElement>): void {
    const { side, left, cell } = this.#geometry;
    const size = `${side} ${left} ${cell}`;
    const box: [[number, number], [number, number]] = [[left, 0], [left + side, side]];
    if (this.#zoomedFor !== size) {
      this.#zoomedFor = size;
      this.#transform = zoomIdentity;
      for (const canvas of canvases) Object.assign(canvas, { __zoom: zoomIdentity });
    }
    this.#zoom ??= zoom<HTMLCanvasElement, unknown>()
      // As in the graph: the page scrolls by the wheel, the picture zooms by it only on purpose.
      .filter((event: Event) => {
        if (event.type === "wheel") return (event as WheelEvent).ctrlKey || (event as WheelEvent).metaKey;
        if (event.type.startsWith("touch")) return (event as TouchEvent).touches.length > 1 || this.#transform.k > 1;
        return !(event as MouseEvent).button && this.#transform.k > 1;
      })
      .clickDistance(4)
      .on("zoom", (event: D3ZoomEvent<HTMLCanvasElement, unknown>) => {
        this.#transform = event.transform;
        // What one map is moved by, the other is too.
        for (const other of this.renderRoot.querySelectorAll("canvas.map")) Object.assign(other, { __zoom: event.transform });
        this.requestUpdate();
      });
    this.#zoom.scaleExtent([1, this.#closest]).extent(box).translateExtent(box);
    for (const canvas of canvases) {
      if (canvas.dataset.zoomable !== undefined) continue;
      canvas.dataset.zoomable = "";
      select(canvas).call(this.#zoom).on("dblclick.zoom", null);
      Object.assign(canvas, { __zoom: this.#transform });
    }
  }

  /** Zooms about the marked cell, else about the middle; 0 shows all. */
  #zoomBy(factor: number): void {
    const canvas = this.renderRoot.querySelector<HTMLCanvasElement>("canvas.map");
    if (!canvas || !this.#zoom) return;
    const target = select(canvas);
    if (factor === 0) return void target.call(this.#zoom.transform.bind(this.#zoom), zoomIdentity);
    const { side, left, cell } = this.#geometry;
    const marked = this.#cell ?? this.#marked;
    const at = marked ? this.#transform.apply([left + (marked.key + 0.5) * cell, (marked.query + 0.5) * cell]) : [left + side / 2, side / 2];
    const inside = (value: number, low: number): number => Math.max(low, Math.min(low + side, value));
    target.call(this.#zoom.scaleBy.bind(this.#zoom), factor, [inside(at[0], left), inside(at[1], 0)]);
  }

  /** Pans until a cell is in view. */
  #reveal(at: { readonly query: number; readonly key: number }): void {
    const canvas = this.renderRoot.querySelector<HTMLCanvasElement>("canvas.map");
    if (!canvas || !this.#zoom || this.#transform.k <= 1) return;
    const { side, left, cell } = this.#geometry;
    const { k } = this.#transform;
    const [x, y] = this.#transform.apply([left + at.key * cell, at.query * cell]);
    const needed = (value: number, low: number): number => (value < low ? low - value : value + k * cell > low + side ? low + side - value - k * cell : 0);
    const [dx, dy] = [needed(x, left), needed(y, 0)];
    if (dx !== 0 || dy !== 0) select(canvas).call(this.#zoom.translateBy.bind(this.#zoom), dx / k, dy / k);
  }

  /** The cells of a map as an image; where there are more than pixels, each pixel is the largest cell under it: peaks are what one looks for. */
  #image(index: number, view: MapView, pixels: number, smallest: number, ramp: Uint8ClampedArray): { readonly canvas: HTMLCanvasElement; readonly cells: number } {
    const T = this.source?.facts.tokens.length ?? 1;
    // A few sizes serve all zooms: one that fits the whole map, and halves of the full size.
    let cells = T;
    while (cells > pixels && cells / 2 > smallest) cells = Math.ceil(cells / 2);
    if (cells > pixels) cells = Math.max(1, Math.floor(smallest));
    const colors = `${ramp.subarray(0, 4).join()} ${ramp.subarray(1020).join()}`;
    const key = `${index} ${cells}`;
    const known = this.#images.get(key);
    if (known && known.values === view.values && known.most === view.most && known.ramp === colors) return known;
    for (const [old, { values }] of this.#images) if (old.startsWith(`${index} `) && values !== view.values) this.#images.delete(old);
    const made = { values: view.values, most: view.most, cells, ramp: colors, canvas: drawn(pooled(view.values, T, cells), cells, view.most, ramp) };
    this.#images.set(key, made);
    return made;
  }

  #drawMap(canvas: HTMLCanvasElement, index: number, view: MapView, ramp: Uint8ClampedArray): void {
    const T = this.source?.facts.tokens.length ?? 0;
    const { side, left, bottom, cell: smallest, texts } = this.#geometry;
    const { k, x: shiftX, y: shiftY } = this.#transform;
    const cell = smallest * k;
    // Where the corner of the first cell lies.
    const [originX, originY] = [shiftX + k * left, shiftY];
    const ratio = Math.min(2, devicePixelRatio || 1);
    const [width, height] = [Math.round((left + side + 2) * ratio), Math.round((side + bottom) * ratio)];
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const context = canvas.getContext("2d");
    if (!context) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, left + side + 2, side + bottom);
    const { canvas: cells, cells: n } = this.#image(index, view, side * k * ratio, side * ratio, ramp);
    context.save();
    context.beginPath();
    context.rect(left, 0, side, side);
    context.clip();
    context.imageSmoothingEnabled = false;
    // Only what is in view: a browser scales the whole image first where it is asked to draw all of it.
    const scale = (side * k) / n;
    const [fromX, fromY] = [Math.max(0, Math.floor((left - originX) / scale)), Math.max(0, Math.floor(-originY / scale))];
    const [toX, toY] = [Math.min(n, Math.ceil((left + side - originX) / scale)), Math.min(n, Math.ceil((side - originY) / scale))];
    context.drawImage(cells, fromX, fromY, toX - fromX, toY - fromY, originX + fromX * scale, originY + fromY * scale, (toX - fromX) * scale, (toY - fromY) * scale);

    const style = getComputedStyle(this);
    const color = (name: string): string => style.getPropertyValue(name).trim() || "#888";
    const inks = { text: color("--_text"), soft: color("--_text-soft") };
    const marked = this.#cell ?? this.#marked;
    if (marked) {
      const x = originX + marked.key * cell;
      const y = originY + marked.query * cell;
      context.globalAlpha = 0.13;
      context.fillStyle = color("--_text");
      context.fillRect(left, y, side, cell);
      context.fillRect(x, 0, cell, side);
      context.globalAlpha = 1;
      context.strokeStyle = this.#cell ? color("--_text") : color("--_selected");
      context.lineWidth = 2;
      context.strokeRect(x, y, Math.max(3, cell), Math.max(3, cell));
    }
    context.restore();
    context.strokeStyle = color("--_line-strong");
    context.lineWidth = 1;
    context.strokeRect(left + 0.5, 0.5, side - 1, side - 1);
    context.font = `11px ${color("--_mono")}`;
    const step = Math.max(1, Math.ceil(LABEL_HEIGHT / cell));
    // Lines of text at an angle need more room beside each other.
    const across = Math.max(1, Math.ceil(LABEL_HEIGHT / Math.sin((LABEL_ANGLE * Math.PI) / 180) / cell));
    const [top, below] = [Math.max(0, Math.floor(-originY / cell)), Math.min(T, Math.ceil((side - originY) / cell))];
    const [first, last] = [Math.max(0, Math.floor((left - originX) / cell)), Math.min(T, Math.ceil((left + side - originX) / cell))];
    const free = (t: number, lit: number | undefined, step: number): boolean => t === lit || (t % step === 0 && !(lit !== undefined && step > 1 && Math.abs(t - lit) < step));
    const ink = (lit: boolean): void => void (context.fillStyle = lit ? inks.text : inks.soft);
    context.textAlign = "right";
    context.textBaseline = "middle";
    let above = -Infinity;
    for (let t = top; t < below; t++) {
      const y = originY + (t + 0.5) * cell;
      if (!free(t, marked?.query, step) || y < 0 || y > side) continue;
      const at = Math.max(6, y);
      if (at - above < LABEL_HEIGHT - 1 && marked?.query !== t) continue;
      above = at;
      ink(marked?.query === t);
      context.fillText(texts[t], left - 5, at);
    }
    context.textBaseline = "alphabetic";
    for (let t = first; t < last; t++) {
      const x = originX + (t + 0.5) * cell;
      if (!free(t, marked?.key, across) || x < left || x > left + side) continue;
      ink(marked?.key === t);
      context.save();
      context.translate(x + 3, side + 10);
      context.rotate((-LABEL_ANGLE * Math.PI) / 180);
      context.fillText(texts[t], 0, 0);
      context.restore();
    }
  }

  #cellAt(event: MouseEvent): { query: number; key: number } | undefined {
    const bounds = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const { side, left, cell } = this.#geometry;
    const T = this.source?.facts.tokens.length ?? 0;
    const [inX, inY] = [event.clientX - bounds.left, event.clientY - bounds.top];
    if (inX < left || inX > left + side || inY < 0 || inY > side) return undefined;
    const [x, y] = this.#transform.invert([inX, inY]);
    const key = Math.floor((x - left) / cell);
    const query = Math.floor(y / cell);
    return key >= 0 && query >= 0 && key < T && query < T ? { query, key } : undefined;
  }

  #setCell(cell: { query: number; key: number } | undefined): void {
    if (cell?.key === this.#cell?.key && cell?.query === this.#cell?.query) return;
    this.#cell = cell;
    this.requestUpdate();
  }

  readonly #pointerMove = (event: PointerEvent): void => this.#setCell(event.buttons ? this.#cell : this.#cellAt(event));

  readonly #click = (event: MouseEvent): void => this.#choose(this.#cellAt(event));

  #choose(cell: { query: number; key: number } | undefined): void {
    const chosen = this.#chosen;
    if (!cell || !chosen || !this.source || cell.key > cell.query) return;
    const target = nodeName(this.source.facts.model.parallelBlocks ? "I" : "A", chosen.layer, cell.query);
    this.select({ focus: { kind: "edge", source: stateBelow(chosen.layer, cell.key), target }, head: chosen.head === null ? null : { layer: chosen.layer, head: chosen.head } });
  }

  readonly #key = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const T = this.source?.facts.tokens.length ?? 0;
    const at = this.#cell ?? this.#marked ?? { query: T - 1, key: T - 1 };
    const moves: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const move = moves[event.key];
    if (move) {
      const clamp = (n: number): number => Math.max(0, Math.min(T - 1, n));
      const next = { query: clamp(at.query + move[0]), key: clamp(at.key + move[1]) };
      this.#setCell(next);
      this.#reveal(next);
    } else if (event.key === "Enter" || event.key === " ") this.#choose(at);
    else if (event.key === "+" || event.key === "=") this.#zoomBy(1.6);
    else if (event.key === "-") this.#zoomBy(1 / 1.6);
    else if (event.key === "0") this.#zoomBy(0);
    else if (event.key === "Escape") this.#setCell(undefined);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  /** Downloads the maps: as one picture, or as a table of all cells up to the diagonal. */
  async save(format: "svg" | "png" | "csv"): Promise<void> {
    const facts = this.source?.facts;
    if (!facts) return;
    const answer = this.#maps.value;
    if (format === "csv" && answer) {
      const T = facts.tokens.length;
      const rows: (string | number)[][] = [["target", "target token", "source", "source token", "attention", "contribution"]];
      for (let q = 0; q < T; q++) for (let k = 0; k <= q; k++) rows.push([q, facts.tokens[q].text, k, facts.tokens[k].text, answer.pattern.data[q * T + k], answer.contributions.data[q * T + k]]);
      return saveCsv(rows, "maps.csv");
    }
    if (format === "svg") return this.#saveSvg();
    const canvases = [...this.renderRoot.querySelectorAll<HTMLCanvasElement>("canvas")];
    if (canvases.length === 0) return;
    const sheet = document.createElement("canvas");
    const columns = this.multiples ? Math.ceil(Math.sqrt(canvases.length)) : canvases.length;
    const [width, height] = [canvases[0].width + 8, canvases[0].height + 8];
    sheet.width = columns * width;
    sheet.height = Math.ceil(canvases.length / columns) * height;
    canvases.forEach((canvas, i) => sheet.getContext("2d")?.drawImage(canvas, (i % columns) * width, Math.floor(i / columns) * height));
    return saveCanvas([sheet], undefined, "maps.png");
  }

  /** Each map with its title; its cells are an image with a pixel a cell, text is text. */
  #saveSvg(): void {
    const tokens = this.source?.facts.tokens ?? [];
    const T = tokens.length;
    const ramp = this.#ramp();
    const style = getComputedStyle(this);
    const color = (name: string): string => style.getPropertyValue(name).trim() || "#888";
    const text = (content: string, attributes: Readonly<Record<string, string | number>>): SVGElement =>
      svgElement("text", { fill: color("--_text"), "font-size": 11, "font-family": color("--_mono"), ...attributes }, content);
    const cells = (values: Float32Array, most: number, x: number, y: number, side: number): SVGElement[] => [
      svgElement("image", { x, y, width: side, height: side, href: drawn(values, T, most, ramp).toDataURL("image/png"), style: "image-rendering:pixelated" }),
      svgElement("rect", { x, y, width: side, height: side, fill: "none", stroke: color("--_line-strong") }),
    ];
    const all = this.#all.value?.contributions.data;
    if (this.multiples) {
      if (!all) return;
      const [side, title] = [140, 20];
      const heads = all.length / (T * T);
      const columns = Math.ceil(Math.sqrt(heads));
      const most = all.reduce((a, b) => Math.max(a, b), 1e-12);
      const marks = Array.from({ length: heads }, (_, head) => {
        const [x, y] = [8 + (head % columns) * (side + 16), Math.floor(head / columns) * (side + title + 12) + title];
        return [text(`Head ${head}`, { x, y: y - 6 }), ...cells(all.subarray(head * T * T, (head + 1) * T * T), most, x, y, side)];
      });
      return saveBuiltSvg(marks.flat(), { width: columns * (side + 16), height: Math.ceil(heads / columns) * (side + title + 12) + 8 }, this.renderRoot.firstElementChild ?? this, "maps.svg");
    }
    const { side, left, bottom, cell } = this.#geometry;
    const [width, title] = [left + side + 18, 24];
    const step = Math.max(1, Math.ceil(LABEL_HEIGHT / cell));
    const across = Math.max(1, Math.ceil(LABEL_HEIGHT / Math.sin((LABEL_ANGLE * Math.PI) / 180) / cell));
    const labels = tokens.map((token, t) => ({ t, label: shortText(token.text, 12) }));
    const labelled = labels.filter(({ t }) => t % step === 0);
    const views = this.#views();
    if (views.length === 0) return;
    const marks = views.flatMap((view, index) => {
      const x = index * width + left;
      return [
        text(`${view.title}, 0 to ${weight(view.most)}`, { x, y: title - 9 }),
        ...cells(view.values, view.most, x, title, side),
        ...labelled.map(({ t, label }) => text(label, { x: x - 5, y: title + (t + 0.5) * cell + 4, "text-anchor": "end" })),
        ...labels.filter(({ t }) => t % across === 0).map(({ t, label }) => {
          const [at, below] = [x + (t + 0.5) * cell + 3, title + side + 10];
          return text(label, { x: at, y: below, "text-anchor": "end", transform: `rotate(${-LABEL_ANGLE} ${at} ${below})` });
        }),
      ];
    });
    saveBuiltSvg(marks, { width: views.length * width, height: title + side + bottom }, this.renderRoot.firstElementChild ?? this, "maps.svg");
  }
}

function expectShape(map: WireTensor, shape: readonly number[]): void {
  if (map.shape.length !== shape.length || map.shape.some((n, i) => n !== shape[i])) {
    throw new ProtocolError("malformed", `These maps have the shape [${map.shape.join(", ")}], but the prompt needs [${shape.join(", ")}].`);
  }
}

function peak(values: Float32Array): number {
  let most = 1e-12;
  for (let i = 0; i < values.length; i++) if (values[i] > most) most = values[i];
  return most;
}

/** A [T, T] map made smaller, each cell the largest of those that it stands for. */
function pooled(values: Float32Array, T: number, cells: number): Float32Array {
  if (cells === T) return values;
  const small = new Float32Array(cells * cells);
  for (let q = 0; q < T; q++) {
    const row = Math.floor((q * cells) / T) * cells;
    for (let k = 0; k <= q; k++) {
      const i = row + Math.floor((k * cells) / T);
      if (values[q * T + k] > small[i]) small[i] = values[q * T + k];
    }
  }
  return small;
}

/** One pixel a cell, its colour by the root of the value: small contributions stay visible beside large ones. Cells above the diagonal stay transparent: they cannot be. */
function image(values: Float32Array, T: number, most: number, ramp: Uint8ClampedArray): ImageData {
  const pixels = new ImageData(T, T);
  const colors = new Uint32Array(ramp.buffer);
  const cells = new Uint32Array(pixels.data.buffer);
  for (let q = 0; q < T; q++) {
    for (let k = 0; k <= q; k++) cells[q * T + k] = colors[Math.max(0, Math.min(255, Math.round(255 * Math.sqrt(values[q * T + k] / most))))];
  }
  return pixels;
}

/** The same as a canvas of one pixel a cell. */
function drawn(values: Float32Array, T: number, most: number, ramp: Uint8ClampedArray): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = T;
  canvas.getContext("2d")?.putImageData(image(values, T, most, ramp), 0, 0);
  return canvas;
}

define("lmt-token-matrix", TokenMatrixElement);
