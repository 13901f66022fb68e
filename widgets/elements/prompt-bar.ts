import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import { live } from "lit/directives/live.js";
import { promptLength, shortText } from "../../src/protocol";
import { ControlElement } from "../core/controls";
import { define } from "../core/element";
import { cutControl } from "./cut-control";
import { whole } from "../core/format";
import { controlStyles } from "./control-styles";
import "./control-status";

/**
 * Which prompt: from a list, from a file, or typed; and how its graph is cut and read: threshold, renormalisation, norm
 * before the unembedding (these are the selection's, which every picture of the run follows).
 */
export class PromptBarElement extends ControlElement {
  static override styles = [
    ControlElement.styles,
    controlStyles,
    css`
      .prompts {
        flex: 1 1 100%;
      }
      .prompts select {
        width: 100%;
        text-overflow: ellipsis;
      }
      .own {
        flex: 1 1 260px;
      }
      .own > span {
        display: flex;
        justify-content: space-between;
      }
      .settings {
        display: flex;
        flex-wrap: wrap;
        gap: 6px 18px;
        align-items: center;
        margin-top: 10px;
      }
      .settings label {
        display: inline-flex;
        gap: 6px;
        align-items: center;
      }
      .settings input[type="range"] {
        width: 130px;
      }
      .settings .cut {
        display: inline-flex;
        gap: 6px;
        align-items: center;
      }
      .settings output {
        min-width: 2.8em;
      }
      .over {
        color: var(--_error);
        font-weight: 600;
      }
      details {
        margin-top: 8px;
        color: var(--_text-soft);
      }
      details .fields {
        margin-top: 6px;
      }
      summary {
        cursor: pointer;
        width: fit-content;
      }
    `,
  ];
  static override properties = {
    ...ControlElement.properties,
    hideStatus: { type: Boolean, attribute: "hide-status" },
    hideSettings: { type: Boolean, attribute: "hide-settings" },
    typed: { state: true },
  };

  /** Do not show what is under way: a surrounding element does. */
  declare hideStatus: boolean;
  /** Do not show threshold and normalisation: a surrounding element does. */
  declare hideSettings: boolean;
  /** What is in the field; undefined where it follows the prompt that was run. */
  declare protected typed: string | undefined;

  constructor() {
    super();
    this.hideStatus = false;
    this.hideSettings = false;
    this.typed = undefined;
  }

  protected override render(): TemplateResult {
    const controls = this.controls;
    if (!controls) return html`<div class="note">No prompt to choose yet.</div>`;
    const { choices, current } = controls;
    return html`
      <div class="fields" role="group" aria-label="Prompt">
        <label class="field prompts"
          ><span>Prompt</span>
          <select .value=${live(current.prompt)} ?disabled=${choices.prompts.length === 0} @change=${this.#pick}>
            ${choices.prompts.includes(current.prompt) ? nothing : html`<option value=${current.prompt} selected>${current.prompt === "" ? "none" : current.prompt}</option>`}
            ${choices.prompts.map((prompt) => html`<option value=${prompt} ?selected=${prompt === current.prompt}>${shortText(prompt, 160).replaceAll("·", " ")}</option>`)}
          </select></label
        >
        ${choices.ownPrompts ? this.#renderOwn(choices.maxPromptLength, current.model === "") : nothing}
      </div>
      ${this.hideSettings ? nothing : this.#renderSettings()} ${choices.datasets ? this.#renderDataset(choices.dataset) : nothing}
      ${choices.ownPrompts ? nothing : html`<p class="soft">Only these prompts are offered here (demo mode).</p>`}
      ${this.refused ? html`<p class="refused" role="alert">${this.refused}</p>` : nothing}
      ${!this.hideStatus ? html`<lmt-control-status .controls=${controls} .selection=${this.store}></lmt-control-status>` : nothing}
    `;
  }

  #renderOwn(limit: number | null, noModel: boolean): TemplateResult {
    const text = this.typed ?? "";
    const length = promptLength(text);
    const over = limit !== null && length > limit;
    return html`<label class="field own"
        ><span>A prompt of your own ${limit === null ? nothing : html`<span class=${over ? "over" : ""} id="length">${whole(length)} of ${whole(limit)} characters</span>`}</span>
        <textarea
          id="own"
          rows="1"
          dir="auto"
          placeholder="Type here, Enter runs"
          aria-invalid=${over}
          aria-describedby=${limit === null ? nothing : "length"}
          .value=${live(text)}
          @input=${(event: Event) => (this.typed = (event.target as HTMLTextAreaElement).value)}
          @keydown=${this.#key}
        ></textarea
      ></label>
      <div class="field">
        <button class="main" ?disabled=${text === "" || over || noModel} title=${noModel ? "Choose a model first" : "Run this prompt (Enter; Shift+Enter makes a new line)"} @click=${this.#runOwn}>Run</button>
      </div>`;
  }

  #renderSettings(): TemplateResult {
    const { renormalize, normalize } = this.selected;
    const flag = (name: "renormalize" | "normalize", label: string, title: string, value: boolean): TemplateResult =>
      html`<label title=${title}><input type="checkbox" name=${name} .checked=${live(value)} @change=${(event: Event) => this.select({ [name]: (event.target as HTMLInputElement).checked })} />${label}</label>`;
    return html`<div class="settings" role="group" aria-label="Graph">
      ${cutControl({ selected: this.selected, edges: undefined, select: (change) => this.select(change) })}
      ${flag("renormalize", "Renormalise", "Scale the contributions that passed the threshold so that they sum to 1", renormalize)}
      ${flag("normalize", "Normalise before unembedding", "Apply the final norm before the unembedding, for all tokens that are shown", normalize)}
    </div>`;
  }

  #renderDataset(file: string): TemplateResult {
    return html`<details>
      <summary>Prompts from a file</summary>
      <div class="fields">
        <label class="field grow"><span>Text file on the kernel's machine, one prompt a line</span><input type="text" id="file" spellcheck="false" .value=${file} @keydown=${(event: KeyboardEvent) => event.key === "Enter" && this.#openFile()} /></label>
        <div class="field"><button @click=${this.#openFile}>Read</button></div>
      </div>
    </details>`;
  }

  readonly #pick = (event: Event): void => void this.choose({ prompt: (event.target as HTMLSelectElement).value });

  readonly #key = (event: KeyboardEvent): void => {
    // Jupyter's own shortcuts (Shift+Enter runs the cell) are not for text that is typed here.
    event.stopPropagation();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    void this.#runOwn();
  };

  readonly #runOwn = async (): Promise<void> => {
    const prompt = this.typed ?? "";
    const limit = this.controls?.choices.maxPromptLength ?? null;
    if (prompt === "" || (limit !== null && promptLength(prompt) > limit)) return;
    await this.choose({ prompt });
  };

  readonly #openFile = (): void => {
    const file = this.renderRoot.querySelector<HTMLInputElement>("#file")?.value.trim() ?? "";
    if (file !== "") void this.take((controls) => controls.openDataset(file));
  };
}

define("lmt-prompt-bar", PromptBarElement);
