import { css, html, nothing } from "lit";
import type { PropertyValues, TemplateResult } from "lit";
import { live } from "lit/directives/live.js";
import type { WireTarget, WireToken } from "../../src/protocol";
import { visibleText } from "../../src/protocol";
import { Ask } from "../core/ask";
import { define, LmtElement } from "../core/element";
import { percent } from "../core/format";

const SHOWN = 12;
/** Typing rests this many milliseconds before it is looked up. */
const REST_MS = 150;

/**
 * A field to choose a token by: it offers the likeliest ones after `position`, and those that begin with what is typed.
 * A combobox as the ARIA practices have it: arrows, Enter, Escape. Says `lmt-token` (detail: the token, or null for
 * none) when one is chosen.
 */
export class TokenPickerElement extends LmtElement {
  static override styles = [
    LmtElement.styles,
    css`
      :host {
        display: inline-block;
        position: relative;
      }
      input {
        width: 15ch;
        height: 24px;
        padding: 0 7px;
        font: 12px var(--_mono);
        color: inherit;
        background: var(--_surface);
        border: 1px solid var(--_line-strong);
        border-radius: 6px;
      }
      input::placeholder {
        color: var(--_text-soft);
        opacity: 1;
        font-family: var(--_sans);
      }
      .list {
        position: absolute;
        z-index: 12;
        inset-inline-start: 0;
        top: calc(100% + 3px);
        min-width: 200px;
        max-width: 300px;
        margin: 0;
        padding: 4px;
        list-style: none;
        border: 1px solid var(--_line);
        border-radius: 8px;
        background: var(--_raised);
        box-shadow: 0 6px 20px rgb(0 0 0 / 18%);
      }
      .item {
        display: flex;
        justify-content: space-between;
        gap: 12px;
        padding: 3px 8px;
        border-radius: 5px;
        cursor: pointer;
      }
      .item .token {
        overflow: hidden;
        text-overflow: ellipsis;
      }
      .item[aria-selected="true"] {
        background: var(--_wash);
        box-shadow: inset 0 0 0 1px var(--_attention);
      }
      .item[aria-disabled="true"] {
        cursor: default;
        color: var(--_text-soft);
      }
      .list .error,
      .hint {
        padding: 6px 8px;
      }
    `,
  ];
  static override properties = {
    ...LmtElement.properties,
    label: {},
    none: {},
    token: { attribute: false },
    taken: { attribute: false },
    open: { state: true },
    typed: { state: true },
    looked: { state: true },
    at: { state: true },
  };

  /** What the field is for, for screen readers. */
  declare label: string;
  /** Words for no token at all; "" where there has to be one. */
  declare none: string;
  /** The token that is chosen. */
  declare token: WireToken | undefined;
  /** Id of a token that cannot be chosen: no token is contrasted with itself. */
  declare taken: number | undefined;
  declare protected open: boolean;
  /** What is being typed; undefined while nothing is. */
  declare protected typed: string | undefined;
  /** What of it is looked up. */
  declare protected looked: string;
  /** Option under the cursor, -1 for none. */
  declare protected at: number;

  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    this.label = "Token";
    this.none = "";
    this.token = undefined;
    this.taken = undefined;
    this.open = false;
    this.typed = undefined;
    this.looked = "";
    this.at = -1;
  }

  readonly #found = new Ask(this, () =>
    this.open ? { kind: "targets" as const, position: this.selected.start, text: this.looked, topK: SHOWN } : undefined,
  );

  override connectedCallback(): void {
    super.connectedCallback();
    this.addEventListener("focusout", this.#left);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.removeEventListener("focusout", this.#left);
    clearTimeout(this.#timer);
  }

  override focus(): void {
    this.renderRoot.querySelector<HTMLElement>("input")?.focus();
  }

  /** What can be chosen now; null: none. Old while another answer is awaited. */
  get #options(): readonly (WireTarget | null)[] {
    const found = this.#found.value?.tokens ?? [];
    return this.none !== "" && this.looked === "" ? [null, ...found] : found;
  }

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed);
    if (changed.has("token") || changed.has("source")) this.typed = undefined;
    if (this.at >= this.#options.length) this.at = this.#options.length - 1;
  }

  protected override render(): TemplateResult {
    const chosen = this.token ? visibleText(this.token.text) : "";
    return html`<input
        role="combobox"
        aria-label=${this.label}
        aria-autocomplete="list"
        aria-expanded=${this.open}
        aria-controls="list"
        aria-activedescendant=${this.open && this.at >= 0 ? `option-${this.at}` : nothing}
        autocomplete="off"
        spellcheck="false"
        maxlength="200"
        placeholder=${this.none || "type a word"}
        .value=${live(this.typed ?? chosen)}
        @input=${this.#type}
        @click=${this.#show}
        @focus=${(event: FocusEvent) => (event.target as HTMLInputElement).select()}
        @keydown=${this.#key}
      />
      <div id="list" class=${this.open ? "list" : ""} role="listbox" aria-label="Tokens to choose from" ?hidden=${!this.open}>${this.open ? this.#renderList() : nothing}</div>`;
  }

  #renderList(): TemplateResult {
    const options = this.#options;
    if (this.#found.state === "error")
      return html`<div role="option" aria-disabled="true" aria-selected="false">${this.#found.error}</div>`;
    if (options.length === 0) {
      return html`<div class="hint soft" role="option" aria-disabled="true" aria-selected="false">${this.#found.state === "loading" ? "Looking …" : `No token of this model begins with “${this.looked.trim()}”.`}</div>`;
    }
    return html`${options.map(
      (token, i) =>
        html`<div class="item" role="option" id="option-${i}" data-token-id=${token?.id ?? nothing} aria-disabled=${this.#isTaken(token)} aria-selected=${i === this.at} @pointerdown=${(event: Event) => event.preventDefault()} @click=${() => this.#choose(token)}>
          ${token ? html`<span class="token">${visibleText(token.text)}</span><span class="soft">${this.#isTaken(token) ? "is the other one" : percent(token.probability)}</span>` : html`<span class="soft">${this.none}</span>`}
        </div>`,
    )}`;
  }

  readonly #show = (): void => {
    this.open = true;
  };

  readonly #left = (event: FocusEvent): void => {
    if (this.shadowRoot?.contains(event.relatedTarget as Node | null)) return;
    this.#close();
  };

  #close(): void {
    clearTimeout(this.#timer);
    this.open = false;
    this.typed = undefined;
    this.looked = "";
    this.at = -1;
  }

  readonly #type = (event: Event): void => {
    const text = (this.typed = (event.target as HTMLInputElement).value);
    this.open = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      // The dots that stand for blanks are typed as blanks.
      this.looked = text.replaceAll("·", " ");
      this.at = text.trim() === "" ? -1 : 0;
    }, REST_MS);
  };

  readonly #key = (event: KeyboardEvent): void => {
    // Jupyter's own shortcuts are not for text that is typed here.
    if (event.key !== "Tab" && event.key !== "Escape") event.stopPropagation();
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step !== 0) {
      const count = this.#options.length;
      if (!this.open) this.open = true;
      else if (count > 0) this.at = (this.at + step + (this.at < 0 && step < 0 ? 1 : 0) + count) % count;
    } else if (event.key === "Enter") {
      // What was typed a moment ago is not looked up yet.
      const option = this.#options[this.at];
      if (!this.open) this.open = true;
      else if (
        option !== undefined &&
        (this.typed === undefined || this.looked === this.typed.replaceAll("·", " ")) &&
        !this.#found.stale
      )
        this.#choose(option);
    } else if (event.key === "Escape") {
      if (!this.open) return;
      event.stopPropagation();
      this.#close();
    } else return;
    event.preventDefault();
  };

  #isTaken(token: WireTarget | null): boolean {
    return token !== null && token.id === this.taken;
  }

  #choose(token: WireTarget | null): void {
    if (this.#isTaken(token)) return;
    this.#close();
    this.dispatchEvent(
      new CustomEvent<WireToken | null>("lmt-token", { detail: token && { id: token.id, text: token.text } }),
    );
  }
}

define("lmt-token-picker", TokenPickerElement);
