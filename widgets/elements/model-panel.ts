import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import { live } from "lit/directives/live.js";
import type { ModelCard } from "../../src/protocol";
import { ControlElement } from "../core/controls";
import { define } from "../core/element";
import { whole } from "../core/format";
import { controlStyles } from "./control-styles";
import "./control-status";

/** Value of the menu's entry that asks for a name. */
const OTHER = "\u0000other";

/** Which model, on which device, in which precision; and what the loaded model is. */
export class ModelPanelElement extends ControlElement {
  static override styles = [
    ControlElement.styles,
    controlStyles,
    css`
      .model {
        flex: 1 1 180px;
        max-width: 420px;
      }
      .missing {
        margin-top: 8px;
        color: var(--_text-soft);
        font-size: 11.5px;
      }
      .missing summary {
        cursor: pointer;
        width: fit-content;
      }
      .missing p {
        margin: 4px 0 0;
        overflow-wrap: anywhere;
      }
      .model select {
        text-overflow: ellipsis;
      }
    `,
  ];
  static override properties = {
    ...ControlElement.properties,
    hideStatus: { type: Boolean, attribute: "hide-status" },
    asksName: { state: true },
  };

  /** Do not show what is under way: a surrounding element does. */
  declare hideStatus: boolean;
  declare protected asksName: boolean;

  constructor() {
    super();
    this.hideStatus = false;
    this.asksName = false;
  }

  protected override render(): TemplateResult {
    const controls = this.controls;
    if (!controls) return html`<div class="note">No model to choose yet.</div>`;
    const { choices, current } = controls;
    const models =
      choices.models.includes(current.model) || current.model === ""
        ? choices.models
        : [...choices.models, current.model];
    const fixed = !choices.ownModels && models.length < 2;
    return html`
      <div class="fields" role="group" aria-label="Model">
        <label class="field model"
          ><span>Model</span>
          <select .value=${live(this.asksName ? OTHER : current.model)} ?disabled=${fixed} @change=${this.#chooseModel}>
            <option value="" ?selected=${current.model === "" && !this.asksName} ?disabled=${current.model === "" && fixed}>none chosen</option>
            ${models.map((name) => html`<option value=${name} ?selected=${name === current.model && !this.asksName}>${name}</option>`)}
            ${choices.ownModels ? html`<option value=${OTHER} ?selected=${this.asksName}>another model …</option>` : nothing}
          </select></label
        >
        ${
          this.asksName
            ? html`<label class="field grow"
                ><span>Hub id, folder or .gguf file</span><input type="text" id="name" spellcheck="false" autocomplete="off" @keydown=${(event: KeyboardEvent) => event.key === "Enter" && this.#chooseName()}
              /></label>
              <div class="field"><button class="main" @click=${this.#chooseName}>Load</button></div>`
            : nothing
        }
        ${this.#renderMenu("Device", choices.devices, current.device, (device) => void this.choose({ device }))}
        ${this.#renderMenu("Precision", choices.dtypes, current.dtype, (dtype) => void this.choose({ dtype }))}
      </div>
      ${this.#renderMissing(choices.unavailable)} ${this.refused ? html`<p class="refused" role="alert">${this.refused}</p>` : nothing} ${current.card ? this.#renderCard(current.card) : nothing}
      ${!this.hideStatus ? html`<lmt-control-status .controls=${controls} .selection=${this.store}></lmt-control-status>` : nothing}
    `;
  }

  #renderMenu(name: string, values: readonly string[], value: string, choose: (value: string) => void): TemplateResult {
    const shown = values.includes(value) ? values : [...values, value];
    const reasons = this.controls?.choices.unavailable ?? {};
    return html`<label class="field"
      ><span>${name}</span>
      <select .value=${live(value)} ?disabled=${shown.length < 2} @change=${(event: Event) => choose((event.target as HTMLSelectElement).value)}>
        ${shown.map((item) => {
          const reason = reasons[item];
          return html`<option value=${item} ?selected=${item === value} ?disabled=${reason !== undefined && item !== value} title=${reason ?? nothing}>${item}${reason === undefined ? "" : " (not here)"}</option>`;
        })}
      </select></label
    >`;
  }

  /** Why something in the menus cannot be chosen. */
  #renderMissing(unavailable: Readonly<Record<string, string>>): TemplateResult | typeof nothing {
    const missing = Object.entries(unavailable);
    if (missing.length === 0) return nothing;
    return html`<details class="missing">
      <summary title="Why ${missing.map(([name]) => name).join(", ")} cannot be used here"
        >not here?<span class="visually-hidden"> Why ${missing.map(([name]) => name).join(", ")} cannot be used here</span></summary
      >
      ${missing.map(([name, reason]) => html`<p><b>${name}</b> ${reason}</p>`)}
    </details>`;
  }

  #renderCard(card: ModelCard): TemplateResult {
    const params =
      card.nParams >= 1e9
        ? `${(card.nParams / 1e9).toFixed(1)} B`
        : card.nParams >= 1e6
          ? `${(card.nParams / 1e6).toFixed(card.nParams >= 1e7 ? 0 : 1)} M`
          : whole(card.nParams);
    const fact = (value: string, name: string): TemplateResult => html`<span><b>${value}</b> ${name}</span>`;
    const heads =
      card.nKeyValueHeads > 0 && card.nKeyValueHeads !== card.nHeads
        ? `heads (${card.nKeyValueHeads} key/value)`
        : "heads";
    return html`<div class="facts" aria-label="Facts of the model" role="group">
      ${card.name === "" ? nothing : html`<span><b>${card.name}</b></span>`} ${fact(card.family, "family")} ${fact(params, "parameters")} ${fact(whole(card.nLayers), "layers")} ${fact(whole(card.nHeads), heads)} ${fact(whole(card.dModel), "wide")}
      ${fact(whole(card.dFfn), "neurons a layer")} ${fact(whole(card.dVocab), "tokens known")} ${fact(card.dtype, `on ${card.device}`)}
    </div>`;
  }

  readonly #chooseModel = async (event: Event): Promise<void> => {
    const { value } = event.target as HTMLSelectElement;
    this.asksName = value === OTHER;
    if (!this.asksName) return void this.choose({ model: value });
    await this.updateComplete;
    this.renderRoot.querySelector<HTMLInputElement>("#name")?.focus();
  };

  readonly #chooseName = async (): Promise<void> => {
    const model = this.renderRoot.querySelector<HTMLInputElement>("#name")?.value.trim() ?? "";
    if (model !== "" && (await this.choose({ model }))) this.asksName = false;
  };
}

define("lmt-model-panel", ModelPanelElement);
