import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import type { ControlStatus } from "../../src/protocol";
import { ControlElement } from "../core/controls";
import { define } from "../core/element";
import { whole } from "../core/format";

const STAGES: Readonly<Record<string, string>> = { load: "Loading the model", forward: "Running the prompt" };

const MB = 2 ** 20;

/** What is under way: words for it and, where known, how much of it is done. */
export function statusText(status: ControlStatus): string {
  if (status.phase === "idle") return "";
  if (status.phase === "error") return status.message;
  const named = STAGES[status.stage] ?? status.stage;
  const what =
    named === ""
      ? status.phase === "loading"
        ? "Loading the model"
        : "Running the prompt"
      : named[0].toUpperCase() + named.slice(1);
  if (status.unit === "bytes") {
    const done = (status.done / MB).toFixed(0);
    return status.total === null ? `${what}: ${done} MB` : `${what}: ${done} of ${(status.total / MB).toFixed(0)} MB`;
  }
  if (status.total === null || status.unit === "") return what;
  return `${what}: ${whole(status.done)} of ${whole(status.total)} ${status.unit}`;
}

/**
 * A line that says what the session is doing, with a bar and a way to end it; or what went wrong, with a way to try
 * again.
 */
export class ControlStatusElement extends ControlElement {
  static override styles = [
    ControlElement.styles,
    css`
      .row {
        display: flex;
        align-items: center;
        gap: 10px;
        margin-top: 8px;
        min-height: 26px;
      }
      .row > span {
        flex: 0 1 auto;
        min-width: 0;
        color: var(--_text-soft);
        overflow-wrap: anywhere;
      }
      .track {
        flex: 1 1 80px;
        max-width: 260px;
        height: 4px;
        border-radius: 2px;
        overflow: hidden;
        background: var(--_wash);
      }
      .track i {
        display: block;
        height: 100%;
        background: var(--_attention);
        transition: width 0.15s linear;
      }
      .track .busy {
        height: 4px;
      }
      .error {
        margin-top: 8px;
        white-space: pre-line;
      }
    `,
  ];

  protected override render(): TemplateResult | typeof nothing {
    const controls = this.controls;
    if (!controls) return nothing;
    const { status } = controls;
    const text = statusText(status);
    if (status.phase === "error") {
      return html`<div class="error" role="alert"><span>${text}</span>${status.retry ? html`<button @click=${() => this.choose({})}>Try again</button>` : nothing}</div>
        ${this.refused ? html`<p class="soft" role="alert">${this.refused}</p>` : nothing}`;
    }
    if (status.phase === "idle") return html`<div role="status" class="visually-hidden"></div>`;
    const share = status.total !== null && status.total > 0 ? Math.min(1, status.done / status.total) : undefined;
    return html`<div class="row">
      <span role="status">${text}</span>
      <div class="track" role="progressbar" aria-label=${text} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${share === undefined ? nothing : Math.round(100 * share)}>
        ${share === undefined ? html`<div class="busy" data-on></div>` : html`<i style="width:${100 * share}%"></i>`}
      </div>
      <button @click=${() => this.take((all) => all.stop())}>Stop</button>
    </div>`;
  }
}

define("lmt-control-status", ControlStatusElement);
