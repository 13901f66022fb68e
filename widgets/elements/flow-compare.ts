import { css, html, nothing } from "lit";
import type { PropertyValues, TemplateResult } from "lit";
import { visibleText } from "../../src/protocol";
import { Ask } from "../core/ask";
import { define, LmtElement } from "../core/element";
import type { DrawnRoutes } from "../core/routes";
import { drawnRoutes } from "../core/routes";
import { SelectionStore } from "../core/selection-store";
import type { FlowSource } from "../core/source";
import { sentenceOf } from "../core/source";
import type { FlowGraphElement } from "./flow-graph";
import "./flow-graph";

/**
 * The routes of two runs: side by side, or as one graph of their difference, where both prompts have as many tokens. Threshold, renormalisation and
 * what is looked at are common; the second run starts at the same token, counted from the end.
 */
export class FlowCompareElement extends LmtElement {
  static override styles = [
    LmtElement.styles,
    css`
      :host {
        padding: 12px 14px 14px;
        background: var(--_surface);
      }
      .bar {
        display: flex;
        flex-wrap: wrap;
        gap: 6px 16px;
        align-items: center;
        padding-bottom: 8px;
      }
      .pair {
        display: grid;
        gap: 14px 24px;
      }
      .pair.wide {
        grid-template-columns: minmax(0, 1fr) minmax(0, 1fr);
      }
      .pair > section {
        min-width: 0;
      }
      .prompt {
        padding-bottom: 6px;
        overflow-wrap: anywhere;
      }
      .tag {
        display: inline-block;
        min-width: 18px;
        text-align: center;
        border-radius: 5px;
        border: 1px solid var(--_line-strong);
        margin-inline-end: 6px;
        font-weight: 600;
      }
      label {
        display: inline-flex;
        gap: 7px;
        align-items: center;
      }
    `,
  ];
  static override properties = { ...LmtElement.properties, second: { attribute: false }, mode: {} };

  /** Source of the second run. */
  declare second: FlowSource | undefined;
  /** "side" or "difference". */
  declare mode: string;

  /** The second graph's selection: follows the first's, and the other way round. */
  #mirror: SelectionStore | undefined;
  #mirroring: AbortController | undefined;
  readonly #probe = new SecondRoutes(this);

  constructor() {
    super();
    this.mode = "side";
  }

  /** Why there can be no difference; "" where there can. */
  get #hurdle(): string {
    const a = this.source?.facts;
    const b = this.second?.facts;
    if (!a || !b) return "";
    if (a.tokens.length !== b.tokens.length) return `A difference needs prompts of as many tokens; these have ${a.tokens.length} and ${b.tokens.length}.`;
    if (a.model.nLayers !== b.model.nLayers || a.model.parallelBlocks !== b.model.parallelBlocks) return "A difference needs models of as many layers and of one kind.";
    return "";
  }

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed);
    if (changed.has("source") || changed.has("second") || changed.has("selection") || !this.#mirroring) this.#link();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#mirroring?.abort();
    this.#mirroring = undefined;
  }

  #link(): void {
    this.#mirroring?.abort();
    const [a, b] = [this.source?.facts.tokens.length, this.second?.facts.tokens.length];
    if (a === undefined || b === undefined) return;
    const linked = (this.#mirroring = new AbortController());
    const across = (start: number, from: number, to: number): number => Math.max(0, Math.min(to - 1, to - (from - start)));
    const mirror = (this.#mirror = new SelectionStore({ ...this.selected, start: across(this.selected.start, a, b), focus: null }));
    const shared = ({ threshold, renormalize, normalize }: { threshold: number; renormalize: boolean; normalize: boolean }): object => ({ threshold, renormalize, normalize });
    this.store.subscribe((value) => mirror.set({ ...shared(value), start: across(value.start, a, b) }, "mirror"), linked.signal);
    mirror.subscribe((value) => {
      if (value.writer !== "mirror") this.store.set({ ...shared(value), start: across(value.start, b, a), ...(b === a ? { focus: value.focus } : {}) }, this.writer);
    }, linked.signal);
  }

  /** Downloads the first graph or the difference, or its edges. */
  async save(format: "svg" | "png" | "csv"): Promise<void> {
    await this.renderRoot.querySelector<FlowGraphElement>("lmt-flow-graph")?.save(format);
  }

  protected override render(): TemplateResult {
    if (!this.source || !this.second) return html`<div class="note">Two runs are needed to compare.</div>`;
    const hurdle = this.#hurdle;
    const difference = this.mode === "difference" && !hurdle;
    const prompt = (source: FlowSource, tag: string): TemplateResult =>
      html`<div class="prompt"><span class="tag">${tag}</span><span class="token" style="white-space:normal">${source.facts.tokens.slice(0, 200).map((token) => visibleText(token.text)).join("")}</span></div>`;
    return html`
      <div class="bar" role="group" aria-label="How to compare">
        <button aria-pressed=${!difference} @click=${() => (this.mode = "side")}>Side by side</button>
        <button aria-pressed=${difference} ?disabled=${hurdle !== ""} title=${hurdle} @click=${() => (this.mode = "difference")}>Difference</button>
        ${hurdle ? html`<span class="soft">${hurdle}</span>` : nothing}
      </div>
      ${difference
        ? html`${prompt(this.source, "A")}${prompt(this.second, "B")} ${this.#probe.error ? html`<div class="error" role="alert">${this.#probe.error}</div>` : this.#probe.ask.renderStatus()}
            <lmt-flow-graph .source=${this.source} .selection=${this.store} .other=${this.#probe.routes} .otherTokens=${this.second.facts.tokens}></lmt-flow-graph>`
        : html`<div class="pair ${this.width >= 700 ? "wide" : ""}">
            <section>${prompt(this.source, "A")}<lmt-flow-graph .source=${this.source} .selection=${this.store}></lmt-flow-graph></section>
            <section>${prompt(this.second, "B")}<lmt-flow-graph .source=${this.second} .selection=${this.#mirror}></lmt-flow-graph></section>
          </div>`}
    `;
  }
}

/** The second run's routes for the difference: asked of the second source as the first graph asks its own. */
class SecondRoutes {
  readonly ask: Ask<"routes">;
  error = "";
  #read: { readonly answer: unknown; readonly routes: DrawnRoutes | undefined } | undefined;

  constructor(private readonly host: FlowCompareElement) {
    this.ask = new Ask(
      host,
      () => {
        if (host.mode !== "difference") return undefined;
        const { start, threshold, renormalize } = host.selected;
        return { kind: "routes" as const, from: start, threshold, renormalize };
      },
      () => host.second,
    );
  }

  get routes(): DrawnRoutes | undefined {
    const answer = this.ask.value;
    const facts = this.host.second?.facts;
    if (!answer || !facts) return undefined;
    if (this.#read?.answer !== answer) {
      this.error = "";
      try {
        this.#read = { answer, routes: drawnRoutes(answer, facts.model, facts.tokens.length) };
      } catch (error) {
        this.error = sentenceOf(error);
        this.#read = { answer, routes: undefined };
      }
    }
    return this.#read.routes;
  }
}

define("lmt-flow-compare", FlowCompareElement);
