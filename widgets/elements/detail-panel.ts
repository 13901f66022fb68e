import { css, html, nothing } from "lit";
import type { PropertyValues, TemplateResult } from "lit";
import type { Focus, Selection } from "../../src/protocol";
import { focusEdgeKind, nodeName, parseNode } from "../../src/protocol";
import { define, LmtElement } from "../core/element";
import { focusWords, placeWords } from "../core/places";
import { canRemove, isRemoved, removables, removalWords, toggled, UNCHANGEABLE } from "../core/removals";
import "./effect-table";
import "./follow-chart";
import "./grid/lens-grid";
import "./head-bars";
import "./inflow";
import "./menu";
import "./matrix/token-matrix";
import "./neuron-bars";
import "./pins";
import "./story";
import "./token-table";
import { traceable } from "./trace-bar";

type Tab = "tokens" | "neurons" | "effect" | "maps" | "lens" | "follow" | "pins";

const NAMES: Readonly<Record<Tab, string>> = {
  tokens: "Tokens",
  neurons: "Neurons",
  effect: "Effect",
  maps: "Maps",
  lens: "Lens",
  follow: "Follow",
  pins: "Pins",
};

/** Pixels of a row of a table, and of what stands above and below its rows. */
const ROW = 24;
const AROUND_BLOCKS = 132;
const AROUND_TABLE = 92;
/** What stands above and below two maps: story, three heads, tabs, the maps' own bars. */
const AROUND_MAPS = 374;

/**
 * What there is to know of what was clicked: above, what it is made of (an attention edge's heads, a feed-forward
 * block's neurons, what flows into a state); below, in tabs, what it says. The tab that answers the last click is open.
 * Parts: `blocks`, `tokens`, `effect`, `maps`, `lens`, `follow`.
 */
export class DetailPanelElement extends LmtElement {
  static override parts = ["blocks", "tokens", "effect", "maps", "lens", "follow"];
  static override styles = [
    LmtElement.styles,
    css`
      :host {
        --lmt-table-height: none;
      }
      .hint {
        padding: 14px 16px;
        border: 1px dashed var(--_line-strong);
        border-radius: 8px;
        color: var(--_text-soft);
      }
      .hint p {
        margin: 0 0 8px;
      }
      ul {
        margin: 0;
        padding: 0;
        list-style: none;
        display: grid;
        gap: 5px;
      }
      li span {
        display: inline-block;
        width: 20px;
        text-align: center;
      }
      /* The sentence flows around the buttons: what it says is longer than what is left beside them. */
      .head {
        display: flow-root;
        margin-bottom: 4px;
      }
      .acts {
        float: inline-end;
        display: flex;
        gap: 6px;
        margin-inline-start: 8px;
      }
      .head button {
        height: 22px;
        padding: 0 7px;
      }
      .wide {
        display: grid;
        grid-template-columns: minmax(0, 5fr) minmax(0, 7fr);
        gap: 0 20px;
      }
      [role="tablist"] {
        display: flex;
        flex-wrap: wrap;
        gap: 2px;
        margin: 4px 0 4px;
        border-bottom: 1px solid var(--_line);
      }
      [role="tab"] {
        border: 0;
        border-radius: 6px 6px 0 0;
        padding: 2px 8px;
        color: var(--_text-soft);
      }
      [role="tab"][aria-selected="true"] {
        color: var(--_text);
        font-weight: 600;
        box-shadow: inset 0 -2px var(--_attention);
      }
      .end {
        margin-inline-start: auto;
        display: inline-flex;
        gap: 5px;
        align-items: center;
        font-size: 11.5px;
        color: var(--_text-soft);
      }
      label.end {
        padding: 8px 0 4px 6px;
      }
      .stack {
        position: relative;
      }
      /* What is not shown asks all the same, so that a tab opens with its answer there; it takes no room. */
      [role="tabpanel"]:not(.open) {
        position: absolute;
        inset: 0 0 auto 0;
        height: 1px;
        overflow: hidden;
        visibility: hidden;
      }
    `,
  ];

  static override properties = {
    ...LmtElement.properties,
    full: { type: Boolean },
    wide: { type: Boolean },
    drawer: { type: Boolean },
    room: { type: Number },
    noPins: { type: Boolean, attribute: "no-pins" },
    noRemove: { type: Boolean, attribute: "no-remove" },
    tab: { state: true },
  };

  /** With maps, lens and a token's way through the layers. */
  declare full: boolean;
  /** What it is made of and what it says beside each other. */
  declare wide: boolean;
  /** It can be closed. */
  declare drawer: boolean;
  /** Height in CSS pixels that should not be passed: tables show as many rows as fit. */
  declare room: number;
  /** Nothing can be pinned here: pins are another run's. */
  declare noPins: boolean;
  /** Nothing is removed here: nobody would say what is then predicted. */
  declare noRemove: boolean;
  declare protected tab: Tab;

  #seen: Pick<Selection, "focus" | "head" | "neuron" | "token"> | undefined;

  constructor() {
    super();
    this.full = false;
    this.wide = false;
    this.drawer = false;
    this.room = 500;
    this.noPins = false;
    this.noRemove = false;
    this.tab = "tokens";
  }

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed);
    const { focus, head, neuron, token } = this.selected;
    const before = this.#seen;
    this.#seen = { focus, head, neuron, token };
    const tabs = this.#tabs;
    const differs = (a: unknown, b: unknown): boolean => JSON.stringify(a ?? null) !== JSON.stringify(b ?? null);
    // The tab of what was clicked last: the finest first, since a click on a head also says which edge it is of.
    // A click on a token changes nothing else; where all of a selection comes at once, the place comes first.
    const followed =
      token !== null &&
      differs(token, before?.token) &&
      (!focus || (before !== undefined && !differs(focus, before.focus)));
    if (followed && tabs.includes("follow")) this.tab = "follow";
    else if (neuron && differs(neuron, before?.neuron)) this.tab = "effect";
    else if (head && differs(head, before?.head)) this.tab = tabs.includes("maps") ? "maps" : "effect";
    else if (focus && differs(focus, before?.focus)) this.tab = defaultTab(focus);
    if (!tabs.includes(this.tab)) this.tab = tabs[0] ?? "tokens";
  }

  get #tabs(): readonly Tab[] {
    const { focus, token } = this.selected;
    const place = focus?.kind === "node" ? parseNode(focus.node) : undefined;
    const attention = (focus?.kind === "edge" && focusEdgeKind(focus) === "attention") || place?.kind === "A";
    const residual = focus?.kind === "edge" && !attention;
    const wrote = focus !== null && place?.kind !== "X" && !residual;
    return [
      ...(focus ? (["tokens"] as const) : []),
      ...(place?.kind === "I" ? (["neurons"] as const) : []),
      ...(wrote ? (["effect"] as const) : []),
      ...(this.full && attention ? (["maps"] as const) : []),
      ...(this.full ? (["lens"] as const) : []),
      ...(this.full || token !== null ? (["follow"] as const) : []),
      ...(this.noPins ? [] : (["pins"] as const)),
    ];
  }

  protected override render(): TemplateResult {
    const { focus, token } = this.selected;
    if (!this.source) return html`${nothing}`;
    if (!focus && token === null && !this.full && this.selected.pins.length === 0) return this.#renderHint();
    return html`
      ${this.#renderHead(focus)}
      <div class=${this.wide ? "wide" : ""}>
        <div part="blocks" ?hidden=${this.tab === "lens" && !this.wide}><section>${this.#renderBlocks(focus)}</section></div>
        <div>${this.#renderTabs()}</div>
      </div>
    `;
  }

  #renderHint(): TemplateResult {
    return html`<div class="hint">
      <p>Click in the graph to look closer.</p>
      <ul>
        <li><span aria-hidden="true">●</span> a state: what flows into it, the tokens that it would predict</li>
        <li><span aria-hidden="true">╱</span> an attention edge: its heads</li>
        <li><span aria-hidden="true">■</span> a feed-forward block: its neurons</li>
        <li><span aria-hidden="true">▼</span> a triangle: the routes of that token</li>
      </ul>
    </div>`;
  }

  #renderHead(focus: Focus | null): TemplateResult | typeof nothing {
    if (!focus) return nothing;
    const tokens = this.source?.facts.tokens ?? [];
    const here = traceable(this.selected, this.source?.facts.model.nLayers ?? 0);
    return html`<div class="head">
      <span class="acts">
      ${here ? html`<button data-act="here" title="Routes of ${placeWords(here, tokens)} (key T in the graph)" @click=${() => this.select({ origin: here })}>Trace from here</button>` : nothing}
      ${this.#renderRemove()}
      ${this.noPins ? nothing : html`<button data-act="pin" title="Pin ${focusWords(focus, tokens)}: give it a name and a note" @click=${this.#pin}>Pin</button>`}
      <button data-act="close" aria-label="Close" title="Nothing selected (Escape in the graph)" @click=${() => this.select({ focus: null, head: null, neuron: null, token: null })}>✕</button></span>
      <lmt-story .source=${this.source} .selection=${this.store}></lmt-story>
    </div>`;
  }

  /** "Remove", and beside it what else could be meant. */
  #renderRemove(): TemplateResult | typeof nothing {
    const facts = this.source?.facts;
    const [main, ...others] = this.noRemove ? [] : removables(this.selected);
    if (!facts || !main) return nothing;
    const { removed } = this.selected;
    const words = removalWords(main, facts.tokens);
    const toggle = (removal: typeof main) => () => this.select({ removed: toggled(removed, removal) });
    const able = canRemove(facts);
    const gone = isRemoved(removed, main);
    return html`<button data-act="remove" ?disabled=${!able} title=${able ? (gone ? `Put back ${words} (key X in the graph)` : `What is predicted without ${words} (key X in the graph)`) : UNCHANGEABLE} @click=${toggle(main)}>${gone ? "Put back" : "Remove"}</button>${
      able && others.length > 0
        ? html`<lmt-menu label="Remove something else" .items=${others.map((removal) => ({ label: capital(removalWords(removal, facts.tokens)), checked: isRemoved(removed, removal), run: toggle(removal) }))}></lmt-menu>`
        : nothing
    }`;
  }

  /** Rows that fit: into the upper part, and into a tab. */
  get #rows(): { readonly blocks: number; readonly table: number } {
    const { room, wide } = this;
    const share = wide ? 1 : 0.46;
    const fit = (height: number, around: number): number => Math.max(4, Math.floor((height - around) / ROW));
    return {
      // Maps need the room that rows would take.
      blocks: !wide && this.tab === "maps" ? 3 : fit(room * share, wide ? AROUND_BLOCKS + 40 : AROUND_BLOCKS - 30),
      table: fit(wide ? room : room * (1 - share), wide ? AROUND_TABLE + 70 : AROUND_TABLE + 14),
    };
  }

  #renderBlocks(focus: Focus | null): TemplateResult {
    const { source, store } = this;
    const rows = this.#rows.blocks;
    if (!focus) return this.#renderHint();
    if (focus.kind === "ffn")
      return html`<lmt-neuron-bars .rows=${rows} .source=${source} .selection=${store}></lmt-neuron-bars>`;
    if (focus.kind === "edge" && focusEdgeKind(focus) === "attention")
      return html`<lmt-head-bars .rows=${rows} .source=${source} .selection=${store}></lmt-head-bars>`;
    return html`<lmt-inflow .rows=${rows} .source=${source} .selection=${store}></lmt-inflow>`;
  }

  #renderTabs(): TemplateResult {
    const tabs = this.#tabs;
    return html`<div role="tablist" aria-label="What it says" @keydown=${this.#tabKey}>
        ${tabs.map(
          (tab) =>
            html`<button role="tab" id="tab-${tab}" data-tab=${tab} aria-selected=${this.tab === tab} aria-controls="panel-${tab}" tabindex=${this.tab === tab ? 0 : -1} @click=${() => (this.tab = tab)}>${NAMES[tab]}</button>`,
        )}
      </div>
      <div class="stack">
        ${tabs.map(
          (tab) =>
            html`<div role="tabpanel" id="panel-${tab}" class=${this.tab === tab ? "open" : ""} aria-labelledby="tab-${tab}" part=${tab}><section>${this.#renderTab(tab)}</section></div>`,
        )}
      </div>`;
  }

  #renderTab(tab: Tab): TemplateResult {
    const { source, store } = this;
    const rows = this.#rows.table;
    switch (tab) {
      case "tokens":
        return html`<lmt-token-table .rows=${rows} .source=${source} .selection=${store}></lmt-token-table
          ><label class="end" title="Apply the model's final norm before reading a state in the vocabulary"
            ><input type="checkbox" .checked=${this.selected.normalize} @change=${(event: Event) => this.select({ normalize: (event.target as HTMLInputElement).checked })} />Normalise before unembedding</label
          >`;
      case "neurons":
        return html`<lmt-neuron-bars .rows=${rows} .source=${source} .selection=${store}></lmt-neuron-bars>`;
      case "effect":
        return html`<lmt-effect-table .rows=${rows} .source=${source} .selection=${store}></lmt-effect-table>`;
      case "maps":
        return html`<lmt-token-matrix .room=${Math.max(100, this.wide ? this.room * 0.8 - 60 : this.room - AROUND_MAPS)} .source=${source} .selection=${store}></lmt-token-matrix>`;
      case "lens":
        // Every state of every token: only where someone looks.
        return this.tab === "lens"
          ? html`<lmt-lens-grid style="--lmt-grid-height:${Math.max(200, this.room - 150)}px" .source=${source} .selection=${store}></lmt-lens-grid>`
          : html`${nothing}`;
      case "follow":
        return this.selected.token === null
          ? html`<div class="note">Click a token in a table to follow it through the layers.</div>`
          : html`<lmt-follow-chart .source=${source} .selection=${store}></lmt-follow-chart>`;
      case "pins":
        return html`<lmt-pins .source=${source} .selection=${store}></lmt-pins>`;
    }
  }

  protected override updated(): void {
    // What had the focus is in a tab that was left: the reader stays here.
    const had = this.shadowRoot?.activeElement;
    if (had?.closest("[role=tabpanel]:not(.open)"))
      this.renderRoot.querySelector<HTMLElement>(`#tab-${this.tab}`)?.focus({ preventScroll: true });
  }

  readonly #tabKey = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    event.stopPropagation();
    const tabs = this.#tabs;
    this.tab = tabs[(tabs.indexOf(this.tab) + step + tabs.length) % tabs.length];
    void this.updateComplete.then(() => this.renderRoot.querySelector<HTMLElement>(`#tab-${this.tab}`)?.focus());
  };

  readonly #pin = (): void => {
    const { focus, pins } = this.selected;
    if (!focus) return;
    const nodes =
      focus.kind === "node"
        ? [focus.node]
        : focus.kind === "edge"
          ? [focus.source, focus.target]
          : [nodeName("M", focus.layer, focus.position)];
    this.select({ pins: [...pins, { name: focusWords(focus, this.source?.facts.tokens ?? []), note: "", nodes }] });
    this.tab = "pins";
  };
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** Where the answer to a click on something is. */
function defaultTab(focus: Focus): Tab {
  if (focus.kind === "node") return "tokens";
  return focus.kind === "edge" && focusEdgeKind(focus) === "residual" ? "tokens" : "effect";
}

define("lmt-detail-panel", DetailPanelElement);
