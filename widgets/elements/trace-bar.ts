import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import type { NodeName, RoutesAnswer, Selection, TokenContrast, WireContrast, WireToken } from "../../src/protocol";
import { nodeName } from "../../src/protocol";
import { define, LmtElement } from "../core/element";
import { signed } from "../core/format";
import { placeWords } from "../core/places";
import type { TokenPickerElement } from "./token-picker";
import "./token-picker";

/**
 * What the routes are of: the whole state on top of the start token, one token that it may predict rather than another
 * (`contrast`), or any other state (`origin`). Writes these two parts of the selection.
 */
export class TraceBarElement extends LmtElement {
  static override styles = [
    LmtElement.styles,
    css`
      .bar {
        display: flex;
        flex-wrap: wrap;
        gap: 5px 8px;
        align-items: center;
        min-height: 24px;
      }
      button {
        height: 24px;
        padding: 0 8px;
      }
      .about {
        display: inline-flex;
        flex-wrap: wrap;
        gap: 5px 8px;
        align-items: center;
        padding: 2px 8px;
        border-radius: 7px;
        background: var(--_wash);
      }
    `,
  ];
  static override properties = {
    ...LmtElement.properties,
    answered: { attribute: false },
    known: { state: true },
    noHere: { type: Boolean, attribute: "no-here" },
  };

  /** Tokens of the contrast that is drawn, as its answer names them. */
  declare answered: RoutesAnswer["contrast"];
  /** The button for the selected state is elsewhere: beside what is said of it. */
  declare noHere: boolean;
  /** Tokens that were chosen here: their names are known before the answer is there. */
  declare protected known: ReadonlyMap<number, WireToken>;

  constructor() {
    super();
    this.answered = undefined;
    this.known = new Map();
    this.noHere = false;
  }

  protected override render(): TemplateResult | typeof nothing {
    const facts = this.source?.facts;
    if (!facts) return nothing;
    const { contrast, origin } = this.selected;
    const node = this.noHere ? undefined : traceable(this.selected, facts.model.nLayers);
    return html`<div class="bar" role="group" aria-label="What the routes are of">
      ${
        contrast
          ? this.#renderContrast(contrast)
          : html`${
              origin === null
                ? nothing
                : html`<span class="about" id="origin"
                  >Routes of <b title=${origin}>${placeWords(origin, facts.tokens)}</b>
                  <button data-act="top" title="Back to the routes that were drawn before" @click=${this.#leave}>Back to the top</button></span
                >`
            }
            <button data-act="why" title="Trace what speaks for one next token rather than another" @click=${this.#begin}>Why this prediction …</button>`
      }
      ${node ? html`<button data-act="here" title="Routes of ${placeWords(node, facts.tokens)}, ${node} (key T in the graph)" @click=${() => this.#traceFrom(node)}>Trace from here</button>` : nothing}
    </div>`;
  }

  #renderContrast(contrast: TokenContrast): TemplateResult {
    const { source, store } = this;
    const token = contrast.token === null ? this.answered?.token : this.#named(contrast.token, this.answered?.token);
    const versus = contrast.versus === null ? undefined : this.#named(contrast.versus, this.answered?.versus);
    const write = (part: "token" | "versus") => (event: CustomEvent<WireToken | null>) => {
      if (event.detail) this.known = new Map(this.known).set(event.detail.id, event.detail);
      this.#write(part, event.detail?.id ?? null);
    };
    return html`<span class="about">
      <span id="why">Why</span>
      <lmt-token-picker id="token" label="Why this token" none="the best prediction" .source=${source} .selection=${store} .token=${token} .taken=${versus?.id} @lmt-token=${write("token")}></lmt-token-picker>
      <span>rather than</span>
      <lmt-token-picker id="versus" label="Rather than this token" none="any other" .source=${source} .selection=${store} .token=${versus} .taken=${token?.id ?? this.answered?.token.id} @lmt-token=${write("versus")}></lmt-token-picker>
      ${this.answered ? html`<span class="soft" id="sum">${sumText(this.answered)}</span>` : nothing}
      <button data-act="clear" aria-label="Clear: routes of the whole state again" title="Routes of the whole state again" @click=${() => this.#end({ contrast: null })}>Clear</button>
    </span>`;
  }

  /** A token that the selection knows by its id alone. */
  #named(id: number, answered: WireToken | undefined): WireToken {
    const prediction = this.source?.facts.predictions.find((token) => token.id === id);
    return (answered?.id === id ? answered : undefined) ?? this.known.get(id) ?? prediction ?? { id, text: `#${id}` };
  }

  #write(part: "token" | "versus", id: number | null): void {
    const now = this.selected.contrast ?? { token: null, versus: null };
    this.select({ contrast: { ...now, [part]: id } });
  }

  readonly #begin = async (): Promise<void> => {
    this.select({ contrast: { token: null, versus: null } });
    await this.updateComplete;
    this.renderRoot.querySelector<TokenPickerElement>("#versus")?.focus();
  };

  readonly #leave = (): void => {
    this.store.leaveOrigin(this.writer);
    void this.#focusFirst();
  };

  /** Ends a contrast. */
  async #end(change: { contrast: null }): Promise<void> {
    this.select(change);
    await this.#focusFirst();
  }

  /** The focus stays in this bar. */
  async #focusFirst(): Promise<void> {
    await this.updateComplete;
    this.renderRoot.querySelector<HTMLElement>("[data-act=why]")?.focus();
  }

  async #traceFrom(node: NodeName): Promise<void> {
    this.select({ origin: node });
    await this.updateComplete;
    this.renderRoot.querySelector<HTMLElement>("[data-act=top]")?.focus();
  }
}

/** The selected state or block, where its routes are not drawn already. */
export function traceable({ contrast, origin, focus, start }: Selection, nLayers: number): NodeName | undefined {
  const node =
    focus?.kind === "node"
      ? focus.node
      : focus?.kind === "ffn"
        ? nodeName("M", focus.layer, focus.position)
        : undefined;
  const begin = origin ?? nodeName("I", nLayers - 1, start);
  return node === undefined || (node === begin && !contrast) ? undefined : node;
}

/** What a contrast's parts add up to, those that are not drawn among them. */
function sumText({ versus, logit, rest }: WireContrast): string {
  if (logit === undefined)
    return "Saved by an earlier version, which could draw what speaks against the token as if it spoke for it: run the cell again.";
  const what = versus ? "logit difference" : "logit";
  return `${what} ${signed(logit)}${rest ? `; not drawn: ${signed(rest.supports)} and ${signed(rest.opposes)}` : ""}`;
}

define("lmt-trace-bar", TraceBarElement);
