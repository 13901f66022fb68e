import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import { ControlElement } from "../core/controls";
import { define } from "../core/element";
import "./control-status";
import "./explorer";
import "./model-panel";
import "./prompt-bar";

/** The whole tool: controls for model and prompt, and the Explorer of the run that came of them. */
export class ExploreElement extends ControlElement {
  static override styles = [
    ControlElement.styles,
    css`
      :host {
        background: var(--_surface);
      }
      .controls {
        padding: 12px 14px;
        background: var(--_raised);
        border-bottom: 1px solid var(--_line);
        display: grid;
        gap: 14px 28px;
      }
      .controls.wide {
        grid-template-columns: minmax(300px, 5fr) 7fr;
      }
      .controls > * {
        min-width: 0;
      }
      .below {
        padding: 0 14px;
      }
      .below:empty {
        display: none;
      }
      .hint {
        padding: 26px 14px;
        text-align: center;
        color: var(--_text-soft);
      }
      .times {
        padding: 4px 14px 8px;
        color: var(--_text-soft);
        font-size: 11.5px;
      }
      lmt-control-status {
        padding: 0 14px 6px;
      }
    `,
  ];

  /** Of the picture that was shown last: while the next one comes, what is below it on the page stays where it is. */
  #height = 0;

  protected override updated(): void {
    const shown = this.renderRoot.querySelector<HTMLElement>("lmt-explorer");
    if (shown) this.#height = shown.offsetHeight || this.#height;
  }

  protected override render(): TemplateResult {
    const controls = this.controls;
    if (!controls) return html`<div class="note">Nothing to explore yet.</div>`;
    const { current, status, choices } = controls;
    const parts = { controls, selection: this.store };
    return html`
      <div class="controls ${this.width >= 760 ? "wide" : ""}">
        <lmt-model-panel .hideStatus=${true} .controls=${parts.controls} .selection=${parts.selection}></lmt-model-panel>
        <lmt-prompt-bar .hideStatus=${true} .hideSettings=${true} .controls=${parts.controls} .selection=${parts.selection}></lmt-prompt-bar>
      </div>
      <lmt-control-status .controls=${controls} .selection=${this.store}></lmt-control-status>
      ${
        this.source
          ? html`<lmt-explorer aria-busy=${status.phase === "running" || status.phase === "loading"} .source=${this.source} .selection=${this.store}></lmt-explorer>`
          : status.phase === "loading" || status.phase === "running"
            ? html`<div style="min-height:${this.#height}px"></div>`
            : status.phase === "idle"
              ? html`<div class="hint">${current.model === "" ? "Choose a model to begin." : current.prompt === "" ? "Choose or type a prompt to begin." : "Nothing was run yet."}</div>`
              : nothing
      }
      ${
        choices.debug && (current.loadTime !== null || current.runTime !== null)
          ? html`<div class="times">${current.loadTime === null ? nothing : html`model loaded in ${(current.loadTime / 1000).toFixed(2)} s · `}${current.runTime === null ? nothing : html`prompt run in ${current.runTime.toFixed(0)} ms`}</div>`
          : nothing
      }
    `;
  }
}

define("lmt-explore", ExploreElement);
