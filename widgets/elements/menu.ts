import { css, html, LitElement, nothing } from "lit";
import type { TemplateResult } from "lit";
import { define } from "../core/element";
import { theme } from "../core/styles";
import { onThemeChange, pageTheme } from "../core/theme";

export interface MenuItem {
  readonly label: string;
  /** Something that is on or off. */
  readonly checked?: boolean;
  readonly run: () => void;
}

/**
 * A small button with a menu: what can be done with a picture or table. Keyboard as menus have it: arrows, Enter,
 * Escape.
 */
export class MenuElement extends LitElement {
  static override styles = [
    theme,
    css`
      :host {
        display: inline-block;
        position: relative;
      }
      button.opener {
        height: 24px;
        min-width: 26px;
        padding: 0 6px;
        line-height: 1;
      }
      .list {
        position: absolute;
        z-index: 10;
        inset-inline-end: 0;
        top: calc(100% + 4px);
        min-width: 130px;
        padding: 4px;
        border: 1px solid var(--_line);
        border-radius: 8px;
        background: var(--_raised);
        box-shadow: 0 6px 20px rgb(0 0 0 / 18%);
      }
      .list button {
        display: block;
        width: 100%;
        text-align: start;
        border: 0;
        padding: 4px 10px;
        white-space: nowrap;
      }
    `,
  ];
  static override properties = { label: {}, items: { attribute: false }, open: { state: true } };

  declare label: string;
  declare items: readonly MenuItem[];
  declare open: boolean;
  #connected: AbortController | undefined;

  constructor() {
    super();
    this.label = "More";
    this.items = [];
    this.open = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    const connected = (this.#connected = new AbortController());
    const showTheme = (): void => void (this.dataset.theme = pageTheme());
    showTheme();
    onThemeChange(showTheme, connected.signal);
    this.addEventListener("focusout", this.#leave, { signal: connected.signal });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#connected?.abort();
  }

  readonly #leave = (event: FocusEvent): void => {
    if (
      !this.contains(event.relatedTarget as Node | null) &&
      !this.shadowRoot?.contains(event.relatedTarget as Node | null)
    )
      this.open = false;
  };

  protected override render(): TemplateResult {
    return html`<button
        class="opener"
        aria-haspopup="menu"
        aria-expanded=${this.open}
        aria-label=${this.label}
        title=${this.label}
        @click=${this.#toggle}
      >
        ⋯
      </button>
      ${
        this.open
          ? html`<div class="list" role="menu" aria-label=${this.label} @keydown=${this.#key}>
            ${this.items.map(
              (item) => html`<button
                role=${item.checked === undefined ? "menuitem" : "menuitemcheckbox"}
                aria-checked=${item.checked ?? nothing}
                tabindex="-1"
                @click=${() => this.#run(item)}
              >
                ${item.checked ? html`<span aria-hidden="true">✓ </span>` : nothing}${item.label}
              </button>`,
            )}
          </div>`
          : nothing
      }`;
  }

  readonly #toggle = async (): Promise<void> => {
    this.open = !this.open;
    await this.updateComplete;
    if (this.open) this.shadowRoot?.querySelector<HTMLElement>("[role^=menuitem]")?.focus();
  };

  #run(item: MenuItem): void {
    this.open = false;
    // The item that has the focus goes with the list.
    this.shadowRoot?.querySelector<HTMLElement>(".opener")?.focus();
    item.run();
  }

  readonly #key = (event: KeyboardEvent): void => {
    const items = [...(this.shadowRoot?.querySelectorAll<HTMLElement>("[role^=menuitem]") ?? [])];
    const at = items.indexOf(this.shadowRoot?.activeElement as HTMLElement);
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (event.key === "Escape") {
      this.open = false;
      this.shadowRoot?.querySelector<HTMLElement>(".opener")?.focus();
    } else if (step) items[(at + step + items.length) % items.length]?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
}

define("lmt-menu", MenuElement);
