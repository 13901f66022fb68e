import { html, nothing } from "lit";
import type { ReactiveController, TemplateResult } from "lit";
import type { Answer, Question, QuestionKind } from "../../src/protocol";
import { ProtocolError, questionKey } from "../../src/protocol";
import type { LmtElement } from "./element";
import type { FlowSource } from "./source";
import { sentenceOf } from "./source";

/** Event that asks the page around a picture to run its cell and those above it. */
export const RUN_CELLS = "lmt-run-cells";

type State = "idle" | "loading" | "done" | "error";

/**
 * One question that an element keeps asking as its selection changes. Only the newest question's answer arrives: an
 * older one is withdrawn and, should it come all the same, dropped. Until a new answer is there the last one stays
 * (`value`).
 */
export class Ask<K extends QuestionKind> implements ReactiveController {
  state: State = "idle";
  /** Last answer that came; cleared when nothing is asked or another source is. */
  value: Answer<K> | undefined;
  /** The question that `value` answers. */
  answered: Question<K> | undefined;
  error = "";
  /** Nothing is wrong: there is just nobody who could answer this. */
  unavailable = false;

  #key = "";
  #source: FlowSource | undefined;
  #abort: AbortController | undefined;

  constructor(
    private readonly host: LmtElement,
    private readonly question: () => Question<K> | undefined,
    /** Who is asked; the element's own source unless said otherwise. */
    private readonly asked: () => FlowSource | undefined = () => host.source,
  ) {
    host.addController(this);
  }

  hostUpdate(): void {
    if (!this.host.asking) return;
    const source = this.asked();
    const question = source ? this.question() : undefined;
    const key = question ? questionKey(question) : "";
    if (key === this.#key && source === this.#source) return;
    if (source !== this.#source || !question) this.value = this.answered = undefined;
    this.#key = key;
    this.#source = source;
    this.#start(question);
  }

  hostDisconnected(): void {
    if (this.state !== "loading") return;
    this.#abort?.abort();
    this.#key = "";
    this.state = "idle";
  }

  /** Whether `value` answers another question than the one that is asked now: what is shown of it is old. */
  get stale(): boolean {
    if (!this.answered) return false;
    const question = this.question();
    return question === undefined || questionKey(question) !== questionKey(this.answered);
  }

  /** Asks again what failed. */
  retry = (): void => {
    this.#start(this.question());
    this.host.requestUpdate();
  };

  #start(question: Question<K> | undefined): void {
    this.#abort?.abort();
    if (!question || !this.#source) {
      this.state = "idle";
      return;
    }
    const abort = (this.#abort = new AbortController());
    this.state = "loading";
    this.#source.ask(question, abort.signal).then(
      (answer) => {
        if (abort.signal.aborted) return;
        this.state = "done";
        this.value = answer;
        this.answered = question;
        this.host.requestUpdate();
      },
      (error: unknown) => {
        if (abort.signal.aborted || (error instanceof ProtocolError && error.code === "cancelled")) return;
        this.state = "error";
        this.error = sentenceOf(error);
        this.unavailable = error instanceof ProtocolError && error.code === "unavailable";
        this.value = this.answered = undefined;
        this.host.requestUpdate();
      },
    );
  }

  /** In a notebook: the cells up to this one run again, which is what helps. */
  #renderRun(): TemplateResult | typeof nothing {
    if (document.documentElement.dataset.lmtRuns === undefined) return nothing;
    const run = (): void => void this.host.dispatchEvent(new CustomEvent(RUN_CELLS, { bubbles: true, composed: true }));
    return html` <button title="Run this cell and those above it" @click=${run}>Run</button>`;
  }

  /**
   * A thin bar while loading, after which what follows it is dimmed; the sentence and a button to try again after an
   * error.
   */
  renderStatus(): TemplateResult | typeof nothing {
    if (this.state === "error" && this.unavailable)
      return html`<div class="note unavailable" role="status"><span>${this.error}</span>${this.#renderRun()}</div>`;
    if (this.state === "error") {
      return html`<div class="error" role="alert"><span>${this.error}</span><button @click=${this.retry}>Try again</button></div>`;
    }
    const waiting = this.state === "loading" || this.stale;
    return html`<div class="busy" ?data-on=${waiting} role="progressbar" aria-label="Waiting for the answer" ?hidden=${!waiting}></div>`;
  }
}
