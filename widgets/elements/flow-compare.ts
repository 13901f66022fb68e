import { css, html, nothing } from "lit";
import type { PropertyValues, TemplateResult } from "lit";
import type { Alignment, Focus, Question, WireToken } from "../../src/protocol";
import {
  alignmentOf,
  EDGE_KINDS,
  focusEdgeKind,
  LEAST_INFLOW,
  MAX_INFLOW,
  mirroredSelection,
  nodeName,
  routesQuestion,
  unseenTargets,
  visibleText,
} from "../../src/protocol";
import { Ask } from "../core/ask";
import { define } from "../core/element";
import { saveCsv, savePictures } from "../core/export";
import { percent, signed, weight } from "../core/format";
import { focusWords } from "../core/places";
import type { ComparedRoutes, DrawnEdge, DrawnRoutes, PlacedEdge, Unseen } from "../core/routes";
import { comparedRoutes, drawnRoutes, edgeKey, focusedEdge, measure, placedEdges } from "../core/routes";
import { SelectionStore } from "../core/selection-store";
import type { FlowSource } from "../core/source";
import { sentenceOf } from "../core/source";
import type { FlowGraphElement } from "./graph/flow-graph";
import { graphToolbarStyles } from "./graph/styles";
import { graphToolbar } from "./graph/toolbar";
import "./detail-panel";
import type { MenuItem } from "./menu";
import { PanelElement } from "./panel";
import "./trace-bar";

/** Writers of the two selections that follow each other. */
const FROM_FIRST = "first";
const FROM_SECOND = "second";

/** From this width on what is selected stands beside both graphs. */
const DETAIL_BESIDE = 900;

interface Side {
  readonly tag: "A" | "B";
  readonly source: FlowSource;
  readonly selection: SelectionStore;
  readonly routes: SideRoutes;
}

/**
 * The routes of two runs, or of two targets of one: side by side, or as one graph of their difference. Beside them what
 * is selected, in both. There is one selection: places are the same, tokens aligned by their texts; each side has its
 * own contrast. Parts: `numbers`, `detail`.
 */
export class FlowCompareElement extends PanelElement {
  static override parts = [...PanelElement.parts, "numbers", "detail"];
  static override styles = [
    PanelElement.styles,
    graphToolbarStyles,
    css`
      .bar {
        padding-bottom: 6px;
      }
      .all {
        display: grid;
        gap: 14px 20px;
      }
      .all.beside {
        grid-template-columns: minmax(0, 1fr) minmax(270px, 340px);
      }
      .pair {
        display: grid;
        gap: 12px 20px;
        align-items: start;
      }
      .pair.wide {
        grid-template-columns: minmax(0, 1fr) minmax(0, 1fr);
      }
      .whole {
        grid-column: 1 / -1;
      }
      .side {
        padding-bottom: 4px;
      }
      .side > div {
        display: flex;
        flex-wrap: wrap;
        gap: 2px 10px;
        align-items: baseline;
      }
      .prompt {
        max-height: 42px;
        overflow: auto;
        overflow-wrap: anywhere;
        white-space: pre-wrap;
      }
      .prompt mark {
        background: color-mix(in oklab, var(--_selected) 22%, transparent);
        color: inherit;
        border-radius: 3px;
        text-decoration: underline;
        text-underline-offset: 3px;
      }
      .bar .end {
        margin-inline-start: auto;
      }
      .numbers {
        display: grid;
        gap: 2px;
        padding-bottom: 8px;
        margin-bottom: 8px;
        border-bottom: 1px solid var(--_line);
      }
      .detail section + section {
        margin-top: 10px;
        padding-top: 8px;
        border-top: 1px solid var(--_line);
      }
      .which {
        display: flex;
        gap: 5px;
        margin-bottom: 6px;
      }
      .hint {
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
    looked: { state: true },
  };

  /** Source of the second run. */
  declare second: FlowSource | undefined;
  /** "side" or "difference". */
  declare mode: string;

  /** Look closer at what is selected, beside the graphs. */
  declare detail: boolean;

  /** Whose detail is shown where there is room for one: that of the graph that was clicked last. */
  declare protected looked: "A" | "B";

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
  /** What edges of the other side contribute where they are below the threshold; see `comparedRoutes`. */
  readonly #inflows = [
    new Ask(
      this,
      () => this.#unseen(this.#first.routes, this.#other.routes, this.#alignment?.back),
      () => this.source,
    ),
    new Ask(
      this,
      () => this.#unseen(this.#other.routes, this.#first.routes, this.#alignment?.forth),
      () => this.second,
    ),
  ] as const;
  #partnered:
    { readonly alignment: Alignment | undefined; readonly tokens: readonly (WireToken | undefined)[] } | undefined;
  #compared: { readonly of: readonly unknown[]; readonly routes: ComparedRoutes } | undefined;

  constructor() {
    super();
    this.mode = "side";
    this.detail = true;
    this.looked = "A";
  }

  get #alignment(): Alignment | undefined {
    const [a, b] = [this.source?.facts, this.second?.facts];
    return a && b && alignmentOf(a, b);
  }

  /** Why there can be no difference; "" where there can. */
  get #hurdle(): string {
    const a = this.source?.facts;
    const b = this.second?.facts;
    if (!a || !b) return "";
    if (a.model.nLayers !== b.model.nLayers || a.model.parallelBlocks !== b.model.parallelBlocks)
      return "A difference needs models of as many layers and of one kind.";
    return "";
  }

  /** For each token of the first prompt its partner in the second; the same array while the runs are the same. */
  get #partners(): readonly (WireToken | undefined)[] {
    const [a, b, alignment] = [this.source?.facts.tokens, this.second?.facts.tokens, this.#alignment];
    if (this.#partnered?.alignment !== alignment)
      this.#partnered = { alignment, tokens: (a ?? []).map((_, position) => b?.[alignment?.forth[position] ?? -1]) };
    return this.#partnered?.tokens ?? [];
  }

  #unseen(
    own: DrawnRoutes | undefined,
    other: DrawnRoutes | undefined,
    forth: Int32Array | undefined,
  ): Question<"inflow"> | undefined {
    if (!own || !other || !forth || this.#hurdle) return undefined;
    // Side by side, only of what is selected.
    const wanted =
      this.mode === "difference" ? other.edges : other.edges.filter((edge) => edge.key === this.#selectedKey(other));
    const nodes = unseenTargets(own.edges, wanted, forth).slice(0, MAX_INFLOW);
    return nodes.length ? { kind: "inflow", nodes } : undefined;
  }

  /** Key of the edge that is selected on a side, where its routes have it. */
  #selectedKey(routes: DrawnRoutes): string | undefined {
    const selection = routes === this.#first.routes ? this.store : this.#mirror;
    return focusedEdge(routes, selection?.value.focus ?? null)?.key;
  }

  /** The difference; undefined before both sides are known. */
  get #difference(): ComparedRoutes | undefined {
    const [a, b, alignment] = [this.#first.routes, this.#other.routes, this.#alignment];
    if (!a || !b || !alignment) return undefined;
    // What is still being asked is not drawn as if it were 0.
    if (this.#inflows.some((ask) => ask.state === "loading")) return this.#compared?.routes;
    const of = [a, b, alignment, ...this.#inflows.map((ask) => ask.value)];
    if (!this.#compared || of.some((value, i) => value !== this.#compared?.of[i]))
      this.#compared = {
        of,
        routes: comparedRoutes(a, b, alignment, [unseenIn(this.#inflows[0]), unseenIn(this.#inflows[1])]),
      };
    return this.#compared.routes;
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
      if (value.writer === FROM_SECOND) return;
      this.looked = "A";
      mirror.set(mirroredSelection(value, a, b), FROM_FIRST);
    }, linked.signal);
    mirror.subscribe((value) => {
      if (value.writer !== FROM_FIRST) {
        this.looked = "B";
        // Pins, and what is removed, are the first run's: one at a token that the second prompt lacks is not lost for it.
        const seen = mirroredSelection(value, b, a);
        this.store.set({ ...seen, pins: this.selected.pins, removed: this.selected.removed }, FROM_SECOND);
      }
      this.requestUpdate();
    }, linked.signal);
  }

  get #graphs(): readonly FlowGraphElement[] {
    return [...this.renderRoot.querySelectorAll<FlowGraphElement>("lmt-flow-graph")];
  }

  /** Downloads both graphs or the difference, or their edges. */
  override async save(format: "svg" | "png" | "csv"): Promise<void> {
    const graphs = this.#graphs;
    if (graphs.length === 1) return graphs[0].save(format);
    if (format !== "csv")
      return savePictures(
        graphs.flatMap(({ picture }) => picture ?? []),
        "information-flow-compared",
        format,
      );
    return this.#saveEdges();
  }

  /** A line an edge, in the places of the first run; what only the second has at tokens of its own, in its places. */
  #saveEdges(): void {
    const [first, second, alignment] = [this.#first.routes, this.#other.routes, this.#alignment];
    const placed = second && alignment ? placedEdges(second, alignment.back) : new Map<string, PlacedEdge>();
    const there = new Set([...placed.values()].map((one) => one.there));
    const line = (a: DrawnEdge | undefined, b: DrawnEdge | undefined): (string | number)[] => {
      const { source, target, kind } = (a ?? b)!;
      const number = (edge: DrawnEdge | undefined): string | number => (edge ? measure(edge) : "");
      return [source, target, kind, a?.weight ?? "", b?.weight ?? "", number(a), number(b)];
    };
    const keys = [...new Set([...(first?.byKey.keys() ?? []), ...placed.keys()])];
    const rows = [
      ...keys.map((key) => [...line(first?.byKey.get(key), placed.get(key)?.edge), "A"]),
      ...(second?.edges ?? []).filter((edge) => !there.has(edge)).map((edge) => [...line(undefined, edge), "B"]),
    ];
    const columns = [
      "source",
      "target",
      "kind",
      "weight A",
      "weight B",
      "contribution A",
      "contribution B",
      "tokens of",
    ];
    saveCsv([columns, ...rows], "information-flow-compared.csv");
  }

  protected override render(): TemplateResult {
    const [first, second] = [this.source, this.second];
    const mirror = this.#mirror;
    if (!first || !second || !mirror) return html`<div class="note">Two runs are needed to compare.</div>`;
    const hurdle = this.#hurdle;
    const difference = this.mode === "difference" && !hurdle;
    const sides: readonly Side[] = [
      { tag: "A", source: first, selection: this.store, routes: this.#first },
      { tag: "B", source: second, selection: mirror, routes: this.#other },
    ];
    const wide = this.width >= 700 ? "wide" : "";
    const beside = this.detail && this.width >= DETAIL_BESIDE ? "beside" : "";
    const alignment = this.#alignment;
    const shown = difference ? this.#difference : undefined;
    // A side's name, prompt and predictions stand above its graph.
    const room = Math.max(300, this.room - 170);
    return html`
      <div class="bar" role="group" aria-label="How to compare">
        <button aria-pressed=${!difference} @click=${() => (this.mode = "side")}>Side by side</button>
        <button aria-pressed=${difference} ?disabled=${hurdle !== ""} title=${hurdle} @click=${() => (this.mode = "difference")}>Difference</button>
        ${hurdle ? html`<span class="soft">${hurdle}</span>` : nothing}
        <lmt-keeping></lmt-keeping>
        ${graphToolbar({
          selected: this.selected,
          edges: this.#graphs[0]?.routes?.edges.length,
          menu: this.#menu,
          select: (change) => this.select(change),
          zoom: (factor) => this.#graphs.forEach((graph) => graph.zoomBy(factor)),
          showAll: () => (this.fit = !this.fit),
          fit: this.fit,
          history: this.store,
          back: () => this.store.back(this.writer),
          forward: () => this.store.forward(this.writer),
          trace: undefined,
        })}
      </div>
      <div class="all ${beside}">
        <div class="pair ${wide}">
          ${sides.map(
            (side) => html`<section aria-label=${side.tag}>
              ${this.#renderSide(side, alignment)}${
                difference
                  ? nothing
                  : html`<lmt-flow-graph no-trace no-remove no-toolbar .fit=${this.fit} .height=${room} .source=${side.source} .selection=${side.selection}></lmt-flow-graph>`
              }
            </section>`,
          )}
          ${
            difference
              ? html`<div class="whole">${this.#other.error ? html`<div class="error" role="alert">${this.#other.error}</div>` : this.#other.ask.renderStatus()}
                  ${this.#inflows.map((ask) => (ask.state === "loading" ? ask.renderStatus() : nothing))}
                  ${shown ? html`<lmt-flow-graph no-trace no-remove no-toolbar .fit=${this.fit} .height=${room} .source=${first} .selection=${this.store} .differences=${shown} .otherTokens=${this.#partners}></lmt-flow-graph>` : nothing}</div>`
              : nothing
          }
        </div>
        ${this.detail ? this.#renderBoth(sides, beside ? "" : wide) : nothing}
      </div>
    `;
  }

  /** Which model and prompt a side is, what it predicts, and what its routes are of. */
  #renderSide({ tag, source, selection, routes }: Side, alignment: Alignment | undefined): TemplateResult {
    const { facts } = source;
    const other = (tag === "A" ? this.second : this.source)?.facts;
    const partners = tag === "A" ? alignment?.forth : alignment?.back;
    const differs = (text: string, position: number): boolean =>
      other !== undefined && other.tokens[partners?.[position] ?? -1]?.text !== text;
    return html`<div class="side">
        <div><span><span class="tag">${tag}</span>${facts.model.name}</span><span class="soft">${facts.model.dtype}, ${facts.model.device}</span></div>
        <div class="prompt token"><span>${facts.tokens
          .slice(0, 200)
          .map(({ text }, position) =>
            differs(text, position)
              ? html`<mark title="differs">${visibleText(text)}</mark><wbr />`
              : html`${visibleText(text)}<wbr />`,
          )}${facts.tokens.length > 200 ? " …" : ""}</span></div>
        ${
          facts.predictions.length
            ? html`<div><span class="soft">predicts</span>${facts.predictions
                .slice(0, 3)
                .map(
                  (one) =>
                    html`<span><span class="token">${visibleText(one.text)}</span> <span class="soft">${percent(one.probability)}</span></span>`,
                )}</div>`
            : nothing
        }
      </div>
      <lmt-trace-bar .source=${source} .selection=${selection} .answered=${routes.ask.value?.contrast}></lmt-trace-bar>`;
  }

  /** What is selected, in both runs: the two numbers, and each side's heads, neurons or tokens. */
  #renderBoth(sides: readonly Side[], wide: string): TemplateResult {
    const focuses = sides.map(({ selection }) => selection.value.focus);
    if (focuses.every((focus) => focus === null)) {
      return html`<div class="hint">Click a state, an edge or a feed-forward square to look closer at it in both.</div>`;
    }
    // Beside the graphs there is room for one; below them for both.
    const shown = wide ? sides : sides.filter(({ tag }) => tag === this.looked);
    return html`<div class="detail" part="detail">${this.#renderNumbers(focuses)}
      ${
        wide
          ? nothing
          : html`<div class="which" role="group" aria-label="Whose detail">${sides.map(
              ({ tag }) =>
                html`<button data-side=${tag} aria-pressed=${tag === this.looked} @click=${() => (this.looked = tag)}>Detail of ${tag}</button>`,
            )}</div>`
      }
      <div class=${wide ? `pair ${wide}` : ""}>
        ${shown.map(
          ({ tag, source, selection }) => html`<section aria-label="Detail of ${tag}">
            ${wide ? html`<div><span class="tag">${tag}</span></div>` : nothing}
            ${
              selection.value.focus
                ? html`<lmt-detail-panel no-remove .noPins=${tag === "B"} .room=${Math.max(300, this.room - 110)} .source=${source} .selection=${selection}></lmt-detail-panel>`
                : html`<div class="note">This side has no such place: its prompt has no token that corresponds.</div>`
            }
          </section>`,
        )}
      </div></div>`;
  }

  #renderNumbers([a, b]: readonly (Focus | null)[]): TemplateResult | typeof nothing {
    const focus = a ?? b;
    if (!focus || focus.kind === "node") return nothing;
    const [first, second] = [focusedEdge(this.#first.routes, a), focusedEdge(this.#other.routes, b)];
    const unseen = (side: number, at: Focus | null): number | undefined => {
      const name = at && focusEdgeName(at);
      return name ? unseenIn(this.#inflows[side])(name) : undefined;
    };
    // Logits of a part that a contrast does not draw are known to nobody.
    const inLogits = (first ?? second)?.logit !== undefined;
    const values = [
      first ? measure(first) : inLogits ? undefined : unseen(0, a),
      second ? measure(second) : inLogits ? undefined : unseen(1, b),
    ] as const;
    const number = (edge: DrawnEdge | undefined, value: number | undefined): TemplateResult => {
      if (!edge)
        return value === undefined
          ? html`<span class="soft">not on the routes</span>`
          : html`<span class="soft">not on the routes,</span> ${weight(value)} <span class="soft">of everything</span>`;
      if (edge.logit !== undefined) return html`<b>${signed(edge.logit)}</b> <span class="soft">logits</span>`;
      const { contribution } = edge;
      return contribution === undefined || weight(contribution) === weight(edge.weight)
        ? html`<b>${weight(edge.weight)}</b>`
        : html`<b>${weight(edge.weight)}</b> <span class="soft">of what passed,</span> ${weight(contribution)} <span class="soft">of everything</span>`;
    };
    const difference = values[0] === undefined || values[1] === undefined ? undefined : values[0] - values[1];
    const tokens = (a ? this.source : this.second)?.facts.tokens ?? [];
    return html`<div class="numbers" part="numbers" role="status">
      <span>${focusWords(focus, tokens)}</span>
      <span data-side="A"><span class="tag">A</span>${number(first, values[0])}</span>
      <span data-side="B"><span class="tag">B</span>${number(second, values[1])}</span>
      ${difference !== undefined ? html`<span data-side="difference">A − B <b>${difference < 0 ? "−" : "+"}${weight(Math.abs(difference))}</b><span class="soft">${inLogits ? " logits" : " of everything"}</span></span>` : nothing}
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

/** The edge that a focus is about, by name: of a block, the one by which it writes. */
function focusEdgeName(focus: Focus): Parameters<Unseen>[0] | undefined {
  if (focus.kind === "node") return undefined;
  if (focus.kind === "edge") return { source: focus.source, target: focus.target, kind: focusEdgeKind(focus) };
  const { layer, position } = focus;
  return { source: nodeName("M", layer, position), target: nodeName("I", layer, position), kind: "ffn-out" };
}

/** What an answer says of edges that are not on the routes. */
function unseenIn(ask: Ask<"inflow">): Unseen {
  const { value, answered } = ask;
  const known = new Map<string, number>();
  const nodes = new Set<string>();
  answered?.nodes.forEach((node, n) => {
    if (!value || value.rests.data[n] < 0) return;
    nodes.add(node);
    for (let i = value.starts.data[n]; i < value.starts.data[n + 1]; i++)
      known.set(edgeKey(value.sources[i], node, EDGE_KINDS[value.kinds.data[i]]), value.contributions.data[i]);
  });
  // A source that is not listed is next to nothing, unless the answer is a stored one that left more out than that.
  const rest = value && value.least <= LEAST_INFLOW ? 0 : undefined;
  return ({ source, target, kind }) =>
    known.get(edgeKey(source, target, kind)) ?? (nodes.has(target) ? rest : undefined);
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
