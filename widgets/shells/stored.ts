import type { Answer, Question, QuestionKind, RunFacts } from "../../src/protocol";
import type { Payload } from "../../src/payload/format";
import { readPayload } from "../../src/payload/format";
import type { LmtElement } from "../core/element";
import { svgAddress } from "../core/export";
import { SelectionStore } from "../core/selection-store";
import type { FlowSource } from "../core/source";
import { CachedSource } from "../core/source";
import { FallbackSource, StoredSource } from "../core/stored-source";
import { liveModel, onLive } from "./live";
import { pictureElement, sentenceElement } from "./picture";

/** Outputs that are drawn from what is stored in them, in a notebook or a page. Nothing here knows Jupyter. */

export interface ShowOptions {
  /** May become live: what is shown was made here, or its maker is trusted. */
  readonly trusted: boolean;
  /** A still picture (SVG document) for outputs without data. Shown as an image: nothing in it runs. */
  readonly still?: unknown;
  /** A still picture stands on the page already. */
  readonly beside?: boolean;
}

/** A source that can be connected to another one under an element that is drawn already. */
class SwitchSource implements FlowSource {
  constructor(public target: FlowSource) {}

  get facts(): RunFacts {
    return this.target.facts;
  }

  ask<K extends QuestionKind>(question: Question<K>, signal?: AbortSignal): Promise<Answer<K>> {
    return this.target.ask(question, signal);
  }
}

/** Whether two sets of facts are of the same run. */
function sameRun(a: RunFacts, b: RunFacts): boolean {
  const key = ({ model, tokens }: RunFacts): string =>
    JSON.stringify([model.name, model.nLayers, model.nHeads, tokens.map(({ id }) => id)]);
  return key(a) === key(b);
}

/**
 * Selections of stored pictures that are linked, by the link's id and the run: other pictures of it on this page
 * follow. They live as long as one of these.
 */
const links = new Map<string, WeakRef<SelectionStore>>();
const unlinked = new FinalizationRegistry<string>((key) => {
  if (links.get(key)?.deref() === undefined) links.delete(key);
});

function linkedStore(payload: Payload, source: StoredSource): SelectionStore {
  if (payload.link === undefined) return new SelectionStore(source.selection);
  const key = `${payload.link} ${source.facts.tokens.map(({ id }) => id).join(" ")}`;
  let store = links.get(key)?.deref();
  if (!store) {
    links.set(key, new WeakRef((store = new SelectionStore(source.selection))));
    unlinked.register(store, key);
  }
  return store;
}

function stillElement(still: unknown): HTMLElement | undefined {
  const text = Array.isArray(still) ? still.join("") : still;
  if (typeof text !== "string" || !text.includes("<svg")) return undefined;
  const image = document.createElement("img");
  image.alt = "Still picture of the information flow";
  image.style.cssText = "max-width:100%;display:block;background:#fff";
  image.src = svgAddress(text);
  return image;
}

const ONLY_STILL = 'A still picture: it was saved without data (share: "none"). To click in it, run the cell again.';
const NOTHING_FITS =
  "A still picture: the data to click in it did not fit into what this output may take in the notebook (shareBudget). It needs the kernel: run the cell again.";

function captionElement(text: string): HTMLElement {
  const caption = document.createElement("p");
  caption.style.cssText =
    "margin:6px 4px;font:13px/1.5 var(--jp-ui-font-family, system-ui, sans-serif);color:var(--jp-ui-font-color1, inherit)";
  caption.textContent = text;
  return caption;
}

/**
 * One output's picture in `host`. `host.dataset.state` says what it shows: "stored", "live", "still" or "error".
 */
export class StoredPicture {
  #payload: Payload | undefined;
  #stored: StoredSource | undefined;
  #shown: { readonly element: LmtElement; readonly source: SwitchSource } | undefined;
  #options: ShowOptions = { trusted: false };
  #round = 0;
  #watch = new AbortController();
  #elements = new AbortController();

  constructor(readonly host: HTMLElement) {}

  /**
   * Draws what `value` holds, or a sentence. Called again when the output was updated, it changes only what is behind
   * the picture.
   */
  async show(value: unknown, options: ShowOptions): Promise<void> {
    const round = ++this.#round;
    this.#options = options;
    try {
      const payload = readPayload(value);
      this.#follow(payload, options.trusted);
      const stored = payload.size > 0 ? await StoredSource.open(payload) : undefined;
      if (round !== this.#round) return;
      const known =
        this.#payload?.picture === payload.picture &&
        JSON.stringify(this.#payload.options) === JSON.stringify(payload.options);
      this.#payload = payload;
      const before = this.#stored;
      this.#stored = stored;
      if (this.#connect()) return;
      if (!stored) return this.#still();
      if (known && this.#shown && before && sameRun(before.facts, stored.facts)) {
        this.#shown.source.target = new CachedSource(stored);
        return;
      }
      this.#draw(new CachedSource(stored), linkedStore(payload, stored), "stored");
    } catch (error) {
      if (round === this.#round) this.#fail(error);
    }
  }

  /** Ends everything; the host is left as it is. */
  dispose(): void {
    this.#round++;
    this.#watch.abort();
    this.#elements.abort();
  }

  /** Watches for the widget of this output. */
  #follow({ widget }: Payload, trusted: boolean): void {
    this.#watch.abort();
    this.#watch = new AbortController();
    if (widget !== undefined && trusted) onLive(widget, () => this.#changed(), this.#watch.signal);
  }

  #changed(): void {
    try {
      if (this.#connect() || !this.#payload) return;
      // The kernel is gone: what is stored goes on, with the same things selected.
      if (this.#shown && this.#stored && sameRun(this.#shown.source.facts, this.#stored.facts)) {
        this.#shown.source.target = new CachedSource(this.#stored);
        this.host.dataset.state = "stored";
      } else if (this.host.dataset.state === "live") void this.show(this.#payload, this.#options);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Connects the picture to the live widget, if there is one. */
  #connect(): boolean {
    const id = this.#payload?.widget;
    const model = id !== undefined && this.#options.trusted ? liveModel(id) : undefined;
    if (!model || !this.#payload) return false;
    const parts = model.parts();
    if (parts.kind === "element") {
      if (this.host.dataset.state === "live") return true;
      this.#elements.abort();
      this.#elements = new AbortController();
      this.#shown = undefined;
      this.host.dataset.state = "live";
      const { signal } = this.#elements;
      void Promise.resolve(parts.element(signal)).then(
        (element) => signal.aborted || this.host.replaceChildren(element),
        (error: unknown) => this.#fail(error),
      );
      return true;
    }
    const source =
      this.#stored && sameRun(parts.facts, this.#stored.facts)
        ? new FallbackSource(parts.source, this.#stored)
        : parts.source;
    if (this.#shown && sameRun(this.#shown.source.facts, parts.facts)) {
      this.#shown.source.target = source;
      if (this.#shown.element.selection !== parts.selection) this.#shown.element.selection = parts.selection;
      this.host.dataset.state = "live";
    } else this.#draw(source, parts.selection, "live");
    return true;
  }

  #draw(source: FlowSource, selection: SelectionStore, state: "stored" | "live"): void {
    if (!this.#payload) return;
    const switched = new SwitchSource(source);
    const element = pictureElement({
      picture: this.#payload.picture,
      options: this.#payload.options,
      source: switched,
      selection,
      widget: this.#payload.widget,
    });
    this.#shown = { element, source: switched };
    this.host.dataset.state = state;
    this.host.replaceChildren(element);
  }

  #still(): void {
    const still = stillElement(this.#options.still);
    this.#shown = undefined;
    this.host.dataset.state = "still";
    if (!still && !this.#options.beside)
      return this.host.replaceChildren(
        sentenceElement(new Error("This output was saved without data: run the cell to see its picture.")),
      );
    this.host.replaceChildren(
      ...(still ? [still] : []),
      captionElement(this.#payload?.share === "none" ? ONLY_STILL : NOTHING_FITS),
    );
  }

  #fail(error: unknown): void {
    const still = stillElement(this.#options.still);
    this.#shown = undefined;
    this.host.dataset.state = "error";
    this.host.replaceChildren(sentenceElement(error), ...(still ? [still] : []));
  }
}
