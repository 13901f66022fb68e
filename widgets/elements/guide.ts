import { css, html, nothing } from "lit";
import type { TemplateResult } from "lit";
import { define, LmtElement } from "../core/element";

/** One step of the tour: what it says, and the part of the Explorer that it is about. */
const STEPS: readonly { readonly title: string; readonly text: string; readonly part: string }[] = [
  {
    title: "The prompt and what comes next",
    text: "Above are the prompt's tokens and the most likely next ones. A click on a token asks why the model predicted what it did after that one.",
    part: "lmt-prompt-strip",
  },
  {
    title: "The routes",
    text: "One column a token, one band a layer, upward. Lines show where the prediction came from: attention moves information between tokens, feed-forward blocks ■ add to a token, the grey line is what was there before. Thicker is more. What contributes less than the threshold is left out; “Edges” cuts by what reaches the prediction instead.",
    part: "lmt-flow-graph",
  },
  {
    title: "One edge, its heads",
    text: "The strongest edge into the start token is selected. The list says which of the layer's heads carried it. Choose one to see what it attends to, and what it wrote.",
    part: "[part=blocks]",
  },
  {
    title: "What it says",
    text: "The tabs read a state or an update in the vocabulary: the tokens that it would predict, those that a head, block or neuron promotes and suppresses, and a token's way through the layers.",
    part: "[role=tablist]",
  },
  {
    title: "Go on from there",
    text: "“Why this prediction …” asks what speaks for one token rather than another; “Trace from here” shows the routes of any state. Routes say what a prediction was made of, not what it would be without a part: “Remove” shows that (docs/validity.md has measured it). ‹ and › go back and forward; pins keep your reading with the notebook.",
    part: "lmt-trace-bar",
  },
];

const KEYS: readonly (readonly [string, string])[] = [
  ["arrows", "move between states"],
  ["E, Shift E", "through the edges into a state"],
  ["F", "its feed-forward block"],
  ["Enter", "select"],
  ["S", "start at this token"],
  ["T", "trace from this state"],
  ["X", "remove what is selected, or put it back"],
  ["Alt ← →", "back, forward"],
  ["+ − 0", "zoom, all in view"],
  ["Esc", "nothing selected"],
];

/** The "?" of the Explorer: what the marks are, what the keys do, and a tour of five steps. */
export class GuideElement extends LmtElement {
  static override styles = [
    LmtElement.styles,
    css`
      :host {
        display: inline-block;
        position: relative;
        text-align: start;
      }
      .open {
        width: 24px;
        height: 22px;
        padding: 0;
        margin-top: 3px;
        border-radius: 50%;
      }
      .card {
        position: absolute;
        z-index: 8;
        inset-inline-end: 0;
        top: 28px;
        width: min(340px, 86vw);
        padding: 12px 14px;
        border: 1px solid var(--_line-strong);
        border-radius: 10px;
        background: var(--_raised);
        color: var(--_text);
        box-shadow: 0 8px 30px rgb(0 0 0 / 22%);
        font-size: 12.5px;
      }
      .card p {
        margin: 6px 0 10px;
      }
      dl {
        display: grid;
        grid-template-columns: auto 1fr;
        gap: 3px 12px;
        margin: 8px 0;
      }
      dt {
        font-weight: 600;
        white-space: nowrap;
      }
      dd {
        margin: 0;
        color: var(--_text-soft);
      }
      .row {
        display: flex;
        gap: 6px;
        align-items: center;
      }
      .row .soft {
        margin-inline-end: auto;
      }
    `,
  ];
  static override properties = { ...LmtElement.properties, step: { state: true } };

  /** −2: closed, −1: legend and keys, else the step of the tour. */
  declare protected step: number;
  #marked: HTMLElement | undefined;

  constructor() {
    super();
    this.step = -2;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#mark(undefined);
  }

  protected override render(): TemplateResult {
    return html`<button class="open" aria-expanded=${this.step > -2} aria-label="Help: what the marks are, keys, tour" title="What the marks are, keys, a tour" @click=${() => this.#go(this.step > -2 ? -2 : -1)}>?</button>
      ${this.step === -2 ? nothing : html`<div class="card" role="dialog" aria-label="Help" @keydown=${this.#key}>${this.step === -1 ? this.#renderLegend() : this.#renderStep()}</div>`}`;
  }

  #renderLegend(): TemplateResult {
    return html`<h3>What you see</h3>
      <dl>
        <dt>●</dt>
        <dd>a token's state in a layer; click: what it would predict, what flows into it</dd>
        <dt>╱</dt>
        <dd>attention from one token to another; click: its heads</dd>
        <dt>■</dt>
        <dd>a feed-forward block; click: its neurons</dd>
        <dt>▼</dt>
        <dd>start token: whose prediction is explained</dd>
        <dt>⋯</dt>
        <dd>tokens off the routes, folded; click: open</dd>
      </dl>

      <h3>Keys in the graph</h3>
      <dl>${KEYS.map(([key, what]) => html`<dt>${key}</dt><dd>${what}</dd>`)}</dl>
      <div class="row"><span class="soft"></span><button data-act="tour" @click=${() => this.#go(0)}>Tour</button><button @click=${() => this.#go(-2)}>Close</button></div>`;
  }

  #renderStep(): TemplateResult {
    const { title, text } = STEPS[this.step];
    const last = this.step === STEPS.length - 1;
    return html`<h3>${title}</h3>
      <p>${text}</p>
      <div class="row">
        <span class="soft">${this.step + 1} of ${STEPS.length}</span>
        ${this.step > 0 ? html`<button @click=${() => this.#go(this.step - 1)}>Back</button>` : nothing}
        ${last ? nothing : html`<button data-act="next" @click=${() => this.#go(this.step + 1)}>Next</button>`}
        <button @click=${() => this.#go(-2)}>Close</button>
      </div>`;
  }

  #go(step: number): void {
    this.step = step;
    this.#mark(step >= 0 ? found(STEPS[step].part, this.getRootNode() as ShadowRoot | Document) : undefined);
    if (step >= -1)
      void this.updateComplete.then(() =>
        this.renderRoot
          .querySelector<HTMLElement>("[data-act=next], [data-act=tour], .card button")
          ?.focus({ preventScroll: true }),
      );
  }

  /** Outlines the part that a step is about. */
  #mark(part: HTMLElement | undefined): void {
    if (this.#marked) this.#marked.style.outline = this.#marked.style.outlineOffset = "";
    this.#marked = part;
    if (!part) return;
    part.style.outline = "2px solid var(--_selected)";
    part.style.outlineOffset = "3px";
  }

  readonly #key = (event: KeyboardEvent): void => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    this.#go(-2);
    this.renderRoot.querySelector<HTMLElement>(".open")?.focus();
  };
}

/** A part, also within elements of ours that the root holds. */
function found(selector: string, root: ShadowRoot | Document): HTMLElement | undefined {
  const own = root.querySelector<HTMLElement>(selector);
  if (own) return own;
  for (const element of root.querySelectorAll<HTMLElement>("*")) {
    const inner = element.shadowRoot && found(selector, element.shadowRoot);
    if (inner) return inner;
  }
  return undefined;
}

define("lmt-guide", GuideElement);
