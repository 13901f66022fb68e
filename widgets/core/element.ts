import { LitElement } from "lit";
import type { CSSResultGroup, PropertyValues } from "lit";
import type { Selection, WrittenSelection } from "../../src/protocol";
import { initialSelection } from "../../src/protocol";
import type { SaveFormat } from "./export";
import type { FlowSource } from "./source";
import { SelectionStore, writerName } from "./selection-store";
import { theme } from "./styles";
import { onThemeChange, pageTheme } from "./theme";

/**
 * What all our elements have in common: they follow the page's theme, take a source and a selection, know their width,
 * and know whether they are in view. Everything subscribed while connected ends with one abort signal.
 */
export abstract class LmtElement extends LitElement {
  static override styles: CSSResultGroup = theme;
  static override properties = {
    source: { attribute: false },
    selection: { attribute: false },
  };

  /** Where numbers come from. Without one the element says that it is empty. */
  declare source: FlowSource | undefined;
  /** Shared with other pictures of the run; an element without one makes its own. */
  declare selection: SelectionStore | undefined;

  /** Who this element is as a writer of the selection. */
  readonly writer = writerName();
  /** Width of the element's content box in CSS pixels; 0 before it is laid out. */
  protected width = 0;
  /** Whether any of it can be seen: what is hidden asks nothing. */
  protected inView = false;

  #connected: AbortController | undefined;
  #subscribed: AbortController | undefined;
  #own: { readonly store: SelectionStore; readonly source: FlowSource | undefined } | undefined;

  /** The selection in force. */
  get store(): SelectionStore {
    if (this.selection) return this.selection;
    // Another run has another selection.
    if (!this.#own || this.#own.source !== this.source) {
      this.#own = {
        store: new SelectionStore(initialSelection(this.source?.facts.tokens.length ?? 1)),
        source: this.source,
      };
    }
    return this.#own.store;
  }

  get selected(): WrittenSelection {
    return this.store.value;
  }

  /** Whether questions may be asked now. */
  get asking(): boolean {
    return this.inView;
  }

  protected select(change: Partial<Selection>): void {
    this.store.set(change, this.writer);
  }

  /** Formats that the element's `save` knows; none where it has no `save`. */
  static formats: readonly SaveFormat[] = [];

  /** Names of the parts that style sheets outside can reach, its own and those of elements within it. */
  static parts: readonly string[] = [];

  override connectedCallback(): void {
    super.connectedCallback();
    // Parts of an element within another one are the other one's too.
    const { parts } = this.constructor as typeof LmtElement;
    if (parts.length > 0 && this.getRootNode() instanceof ShadowRoot)
      this.setAttribute("exportparts", parts.join(", "));
    const connected = (this.#connected = new AbortController());
    const showTheme = (): void => {
      if (this.dataset.theme === pageTheme()) return;
      this.dataset.theme = pageTheme();
      this.themeChanged();
    };
    showTheme();
    onThemeChange(showTheme, connected.signal);
    // Text on a canvas keeps the font that was there when it was drawn.
    document.fonts.addEventListener("loadingdone", () => this.requestUpdate(), { signal: connected.signal });

    // A part that appears in what is being looked at may ask at once; the observer below says soon whether it is in
    // view itself.
    const holder = this.getRootNode();
    if (holder instanceof ShadowRoot && holder.host instanceof LmtElement && holder.host.inView) this.inView = true;
    const resized = new ResizeObserver(([entry]) => {
      const width = Math.round(entry.contentRect.width);
      if (width === this.width) return;
      this.width = width;
      this.requestUpdate();
    });
    resized.observe(this);
    const seen = new IntersectionObserver(
      (entries) => {
        const inView = entries[entries.length - 1].isIntersecting;
        if (inView === this.inView) return;
        this.inView = inView;
        this.requestUpdate();
      },
      { rootMargin: "200px" },
    );
    seen.observe(this);
    connected.signal.addEventListener("abort", () => {
      resized.disconnect();
      seen.disconnect();
    });
    this.#subscribe();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#connected?.abort();
    this.#subscribed?.abort();
    this.inView = false;
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("selection") || changed.has("source")) this.#subscribe();
  }

  protected override update(changed: PropertyValues): void {
    const root = this.shadowRoot;
    const had = root?.activeElement ?? null;
    const before = had && root ? stops(root) : [];
    super.update(changed);
    if (!had || !root || (had.isConnected && !had.matches(":disabled"))) return;
    // What had the focus is gone: its neighbour takes it, or else the reader would be at the page's beginning again.
    const at = before.indexOf(had as HTMLElement);
    const left = stops(root);
    const near =
      [...before.slice(0, Math.max(0, at)).reverse(), ...before.slice(at + 1)].find((element) =>
        left.includes(element),
      ) ?? left[0];
    // An element that is being replaced has not drawn itself yet.
    void this.updateComplete.then(() => {
      if (root.activeElement && root.activeElement !== had) return;
      if (near && focusInto(near)) return;
      this.tabIndex = -1;
      this.focus({ preventScroll: true });
    });
  }

  #subscribe(): void {
    if (!this.isConnected) return;
    this.#subscribed?.abort();
    this.#subscribed = new AbortController();
    this.store.subscribe(() => this.requestUpdate(), this.#subscribed.signal);
  }

  /** The page went from light to dark or back. */
  protected themeChanged(): void {
    this.requestUpdate();
  }
}

/** Names of all elements that were registered here. */
const names: string[] = [];

export const elementNames = (): readonly string[] => names;

/** What Tab may stop at in a root, or at elements of ours within it. */
function stops(root: ShadowRoot): HTMLElement[] {
  return [
    ...root.querySelectorAll<HTMLElement>(
      [
        "button:enabled",
        "input:enabled",
        "select:enabled",
        "textarea:enabled",
        "summary",
        "[tabindex='0']",
        ...names,
      ].join(),
    ),
  ];
}

/** Gives the focus to an element, or to the first stop within it. */
function focusInto(element: HTMLElement): boolean {
  if (element.shadowRoot) return stops(element.shadowRoot).some(focusInto);
  element.focus({ preventScroll: true });
  return (element.getRootNode() as ShadowRoot).activeElement === element;
}

/** Registers an element once: two bundles on one page may both bring it. */
export function define(name: string, element: CustomElementConstructor): void {
  names.push(name);
  if (!customElements.get(name)) customElements.define(name, element);
}
