import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import { define, LmtElement } from "../core/element";

/** Event on the document: how far collecting for a notebook is, of the widget that is named. */
export const KEEPING = "lmt-keeping";

export interface KeepingDetail {
  readonly widget: string;
  /** 0 to 1; below 0: done. */
  readonly share: number;
}

const known = new Map<string, number>();

/** Tells every picture of a widget on this page. */
export function tellKeeping(detail: KeepingDetail): void {
  if (detail.share < 0) known.delete(detail.widget);
  else known.set(detail.widget, detail.share);
  document.dispatchEvent(new CustomEvent<KeepingDetail>(KEEPING, { detail }));
}

/** "keeping clicks … 40 %": what a notebook that is saved now would not have yet. */
export class KeepingElement extends LmtElement {
  static override styles = [
    LmtElement.styles,
    css`
      :host {
        display: inline;
        color: var(--_text-soft);
        font-size: 11.5px;
      }
    `,
  ];
  #listening: AbortController | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    const { signal } = (this.#listening = new AbortController());
    document.addEventListener(
      KEEPING,
      (event) => {
        if ((event as CustomEvent<KeepingDetail>).detail.widget === this.#widget) this.requestUpdate();
      },
      { signal },
    );
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#listening?.abort();
  }

  /** Id of the widget whose picture this is in: the outermost element says it. */
  get #widget(): string {
    let widget = "";
    for (let root = this.getRootNode(); root instanceof ShadowRoot; root = root.host.getRootNode())
      widget = (root.host as HTMLElement).dataset.widget ?? widget;
    return widget;
  }

  protected override render(): TemplateResult | typeof nothing {
    const share = known.get(this.#widget);
    return share === undefined
      ? nothing
      : html`<span title="What can be clicked is being put into the notebook: saved now, it would lack the rest">keeping clicks … ${Math.round(share * 100)} %</span>`;
  }
}

define("lmt-keeping", KeepingElement);
