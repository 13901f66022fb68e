import { css, html, nothing } from "lit";
import type { PropertyValues, TemplateResult } from "lit";
import type { Focus } from "../../src/protocol";
import { mirroredSelection, routesQuestion, visibleText } from "../../src/protocol";
import { Ask } from "../core/ask";
import { define } from "../core/element";
import { saveCsv, savePictures } from "../core/export";
import { weight } from "../core/format";
import type { DrawnRoutes } from "../core/routes";
import { drawnRoutes, focusedEdge } from "../core/routes";
import { SelectionStore } from "../core/selection-store";
import type { FlowSource } from "../core/source";
import { sentenceOf } from "../core/source";
import type { FlowGraphElement } from "./graph/flow-graph";
import "./detail-panel";
import type { MenuItem } from "./menu";
import "./menu";
import { PanelElement } from "./panel";
import "./trace-bar";

/** Writers of the two selections that follow each other. */
const FROM_FIRST = "first";
const FROM_SECOND = "second";

/**
 * The routes of two runs, or of two targets of one: side by side, or as one graph of their difference, where both
 * prompts have as many tokens. Below them what is selected, in both. There is one selection: places are the same, with
 * tokens counted from the end; each side has its own contrast. Parts: `numbers`, `detail`.
 */
export class FlowCompareElement extends PanelElement {
  static override parts = [...PanelElement.parts, "numbers", "detail"];
  static override styles = [
    PanelElement.styles,
    css`
      .bar {
        padding-bottom: 8px;
      }
      .pair {
        display: grid;
        gap: 14px 24px;
      }
      .pair.wide {
        grid-template-columns: minmax(0, 1fr) minmax(0, 1fr);
      }
      .prompt {
        padding-bottom: 6px;
        overflow-wrap: anywhere;
      }
      .bar .end {
        margin-inline-start: auto;
      }
      .numbers {
        display: flex;
        flex-wrap: wrap;
        gap: 4px 22px;
        margin-top: 12px;
        padding-top: 10px;
        border-top: 1px solid var(--_line);
      }
      .detail {
        margin-top: 10px;
      }
      .hint {
        margin-top: 12px;
        padding-top: 10px;
        border-top: 1px solid var(--_line);
        color: var(--_text-soft);
      }
      .tag {
        display: inline-block;
        min-width: 18px;
        text-align: center;
        border-radius: 5px;
        border: 1px solid var(--_line-strong);
        margin-inline-end: 6px;
        font-weight: 600;
      }
      label {
        display: inline-flex;
        gap: 7px;
        align-items: center;
      }
    `,
  ];
  static override properties = {
    ...PanelElement.properties,
    second: { attribute: false },
    mode: {},
    detail: { type: Boolean },
  };

  /** Source of the second run. */
  declare second: FlowSource | undefined;
  /** "side" or "difference". */
  declare mode: string;

  /** Look closer at what is selected, below the graphs. */
  declare detail: boolean;

  /** The second graph's selection: follows the first's, and the other way round. */
  #mirror: SelectionStore | undefined;
  #mirroring: AbortController | undefined;
  readonly #first = new SideRoutes(
    this,
    () => this.source,
    () => this.store,
  );
  readonly #other = new SideRoutes(
    this,
    () => this.second,
    () => this.#mirror,
  );

  constructor() {
    super();
    this.mode = "side";
    this.detail = true;
  }

  /** Why there can be no difference; "" where there can. */
  get #hurdle(): string {
    const a = this.source?.facts;
    const b = this.second?.facts;
    if (!a || !b) return "";
    if (a.tokens.length !== b.tokens.length)
      return `A difference needs prompts of as many tokens; these have ${a.tokens.length} and ${b.tokens.length}.`;
    if (a.model.nLayers !== b.model.nLayers || a.model.parallelBlocks !== b.model.parallelBlocks)
      return "A difference needs models of as many layers and of one kind.";
    return "";
  }

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed);
    if (changed.has("source") || changed.has("second") || changed.has("selection") || !this.#mirroring) this.#link();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#mirroring?.abort();
    this.#mirroring = undefined;
  }

  #link(): void {
    this.#mirroring?.abort();
    const [a, b] = [this.source?.facts, this.second?.facts];
    if (!a || !b) return;
    const linked = (this.#mirroring = new AbortController());
    const mirror = (this.#mirror = new SelectionStore(mirroredSelection(this.selected, a, b)));
    this.store.subscribe((value) => {
      // What was selected in the second graph stays there, also where the first has no such place.
      if (value.writer !== FROM_SECOND) mirror.set(mirroredSelection(value, a, b), FROM_FIRST);
    }, linked.signal);
    mirror.subscribe((value) => {
      if (value.writer !== FROM_FIRST) this.store.set(mirroredSelection(value, b, a), FROM_SECOND);
      this.requestUpdate();
    }, linked.signal);
  }

  /** Downloads both graphs or the difference, or their edges. */
  override async save(format: "svg" | "png" | "csv"): Promise<void> {
    const graphs = [...this.renderRoot.querySelectorAll<FlowGraphElement>("lmt-flow-graph")];
    if (graphs.length === 1) return graphs[0].save(format);
    if (format !== "csv")
      return savePictures(
        graphs.flatMap(({ picture }) => picture ?? []),
        "information-flow-compared",
        format,
      );
    const keys = new Set([this.#first, this.#other].flatMap(({ routes }) => [...(routes?.byKey.keys() ?? [])]));
    const rows = [...keys].map((key) => {
      const [a, b] = [this.#first.routes?.byKey.get(key), this.#other.routes?.byKey.get(key)];
      const { source, target, kind } = (a ?? b)!;
      return [source, target, kind, a?.weight ?? "", b?.weight ?? ""];
    });
    return saveCsv([["source", "target", "kind", "weight A", "weight B"], ...rows], "information-flow-compared.csv");
  }

  protected override render(): TemplateResult {
    const [first, second] = [this.source, this.second];
    const mirror = this.#mirror;
    if (!first || !second || !mirror) return html`<div class="note">Two runs are needed to compare.</div>`;
    const hurdle = this.#hurdle;
    const difference = this.mode === "difference" && !hurdle;
    const sides = [
      { tag: "A", source: first, selection: this.store, routes: this.#first },
      { tag: "B", source: second, selection: mirror, routes: this.#other },
    ];
    const wide = this.width >= 700 ? "wide" : "";
    const head = ({ tag, source, selection, routes }: (typeof sides)[number]): TemplateResult =>
      html`<div class="prompt"><span class="tag">${tag}</span><span class="token" style="white-space:normal">${source.facts.tokens
        .slice(0, 200)
        .map((token) => visibleText(token.text))
        .join("")}</span></div>
        <lmt-trace-bar .source=${source} .selection=${selection} .answered=${routes.ask.value?.contrast}></lmt-trace-bar>`;
    return html`
      <div class="bar" role="group" aria-label="How to compare">
        <button aria-pressed=${!difference} @click=${() => (this.mode = "side")}>Side by side</button>
        <button aria-pressed=${difference} ?disabled=${hurdle !== ""} title=${hurdle} @click=${() => (this.mode = "difference")}>Difference</button>
        ${hurdle ? html`<span class="soft">${hurdle}</span>` : nothing}
        <span class="end"><lmt-menu label="Save" .items=${this.#menu}></lmt-menu></span>
      </div>
      <div class="pair ${wide}">
        ${sides.map(
          (side) => html`<section aria-label=${side.tag}>
            ${head(side)}${difference ? nothing : html`<lmt-flow-graph no-trace .source=${side.source} .selection=${side.selection}></lmt-flow-graph>`}
          </section>`,
        )}
      </div>
      ${
        difference
          ? html`${this.#other.error ? html`<div class="error" role="alert">${this.#other.error}</div>` : this.#other.ask.renderStatus()}
            <lmt-flow-graph no-trace .source=${first} .selection=${this.store} .other=${this.#other.routes} .otherTokens=${second.facts.tokens}></lmt-flow-graph>`
          : nothing
      }
      ${this.detail ? this.#renderDetail(sides, wide) : nothing}
    `;
  }

  /** What is selected, in both runs: the two numbers, and below them each side's heads, neurons or tokens. */
  #renderDetail(
    sides: readonly { readonly tag: string; readonly source: FlowSource; readonly selection: SelectionStore }[],
    wide: string,
  ): TemplateResult {
    const focuses = sides.map(({ selection }) => selection.value.focus);
    if (focuses.every((focus) => focus === null)) {
      return html`<div class="hint">Click a state, an edge or a feed-forward square to look closer at it in both.</div>`;
    }
    return html`${this.#renderNumbers(focuses)}
      <div class="pair ${wide} detail" part="detail">
        ${sides.map(
          ({ tag, source, selection }) => html`<section aria-label="Detail of ${tag}">
            <div class="prompt"><span class="tag">${tag}</span></div>
            ${
              selection.value.focus
                ? html`<lmt-detail-panel .source=${source} .selection=${selection}></lmt-detail-panel>`
                : html`<div class="note">This side has nothing at that place: tokens are counted from the end.</div>`
            }
          </section>`,
        )}
      </div>`;
  }

  #renderNumbers([a, b]: readonly (Focus | null)[]): TemplateResult | typeof nothing {
    const focus = a ?? b;
    if (!focus || focus.kind === "node") return nothing;
    const weights = [focusedEdge(this.#first.routes, a)?.weight, focusedEdge(this.#other.routes, b)?.weight];
    const name =
      focus.kind === "ffn"
        ? `Feed-forward block of layer ${focus.layer}, token ${focus.position}`
        : `${focus.source} → ${focus.target}`;
    const number = (value: number | undefined): TemplateResult =>
      value === undefined ? html`<span class="soft">not on the routes</span>` : html`<b>${weight(value)}</b>`;
    const difference = (weights[0] ?? 0) - (weights[1] ?? 0);
    return html`<div class="numbers" part="numbers" role="status">
      <span>${name}, contribution</span>
      <span data-side="A"><span class="tag">A</span>${number(weights[0])}</span>
      <span data-side="B"><span class="tag">B</span>${number(weights[1])}</span>
      <span data-side="difference">A − B <b>${difference < 0 ? "−" : "+"}${weight(Math.abs(difference))}</b></span>
    </div>`;
  }

  get #menu(): readonly MenuItem[] {
    return [
      { label: "Save as SVG", run: () => void this.save("svg") },
      { label: "Save as PNG", run: () => void this.save("png") },
      { label: "Save edges as CSV", run: () => void this.save("csv") },
    ];
  }
}

/** One side's routes, asked for as its graph asks for them, which is answered once. */
class SideRoutes {
  readonly ask: Ask<"routes">;
  error = "";
  #read: { readonly answer: unknown; readonly routes: DrawnRoutes | undefined } | undefined;

  constructor(
    host: FlowCompareElement,
    private readonly source: () => FlowSource | undefined,
    selection: () => SelectionStore | undefined,
  ) {
    this.ask = new Ask(
      host,
      () => {
        const value = selection()?.value;
        return value && routesQuestion(value);
      },
      source,
    );
  }

  get routes(): DrawnRoutes | undefined {
    const answer = this.ask.value;
    const facts = this.source()?.facts;
    if (!answer || !facts) return undefined;
    if (this.#read?.answer !== answer) {
      this.error = "";
      try {
        this.#read = { answer, routes: drawnRoutes(answer, facts.model, facts.tokens.length) };
      } catch (error) {
        this.error = sentenceOf(error);
        this.#read = { answer, routes: undefined };
      }
    }
    return this.#read.routes;
  }
}

define("lmt-flow-compare", FlowCompareElement);
