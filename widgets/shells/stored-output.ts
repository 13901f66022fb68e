import type { BoxKind, LayoutNode } from "../../src/payload/layout";
import { isLayout, readLayout } from "../../src/payload/layout";
import { liveModel, onLive } from "./live";
import { sentenceElement } from "./picture";
import type { ShowOptions } from "./stored";
import { StoredPicture } from "./stored";

const STYLES: Readonly<Record<BoxKind, string>> = {
  row: "display:flex;flex-wrap:wrap;gap:12px;align-items:flex-start",
  column: "display:grid;gap:12px;grid-template-columns:minmax(0,1fr)",
  tabs: "display:block",
  accordion: "display:block",
};

/**
 * What one output stores: a picture, or several in a layout. A layout whose box is live is that box, with its stock
 * controls; without a kernel its pictures are drawn from what is stored, and a line stands for each control.
 */
export class StoredOutput {
  #picture: StoredPicture | undefined;
  #parts: StoredPicture[] = [];
  #watch = new AbortController();
  #view: AbortController | undefined;
  #shown: { readonly value: unknown; readonly options: ShowOptions } | undefined;

  constructor(readonly host: HTMLElement) {}

  /** Draws what `value` holds, or a sentence. */
  async show(value: unknown, options: ShowOptions): Promise<void> {
    if (!isLayout(value)) {
      this.#end();
      this.#picture ??= new StoredPicture(this.host);
      return this.#picture.show(value, options);
    }
    this.#shown = { value, options };
    let layout;
    try {
      layout = readLayout(value);
    } catch (error) {
      this.#end();
      this.host.dataset.state = "error";
      this.host.replaceChildren(sentenceElement(error));
      return;
    }
    // Clicks that were stored meanwhile change nothing of what is live.
    if (this.host.dataset.state === "live" && this.#view) return;
    this.#end();
    const { signal } = (this.#watch = new AbortController());
    const { widget } = layout;
    const pictures: { readonly host: HTMLElement; readonly payload: unknown }[] = [];
    const element = this.#element(layout.layout, pictures);
    this.host.dataset.state = "stored";
    this.host.replaceChildren(element);
    await Promise.all(
      pictures.map(({ host, payload }) => {
        const picture = new StoredPicture(host);
        this.#parts.push(picture);
        return picture.show(payload, { trusted: options.trusted });
      }),
    );
    if (widget === undefined || !options.trusted || signal.aborted) return;
    for (const { payload } of pictures) {
      const id = (payload as { readonly widget?: unknown } | null)?.widget;
      if (typeof id !== "string") continue;
      onLive(id, () => void this.#connect(widget, id), signal);
      void this.#connect(widget, id);
    }
  }

  /** Ends everything; the host is left as it is. */
  dispose(): void {
    this.#end();
    this.#picture?.dispose();
  }

  #end(): void {
    this.#watch.abort();
    this.#view?.abort();
    this.#view = undefined;
    for (const part of this.#parts) part.dispose();
    this.#parts = [];
  }

  /** Shows the box itself, where the page has it: through the widget manager of a picture in it. */
  async #connect(box: string, picture: string): Promise<void> {
    const model = liveModel(picture);
    if (!model) {
      // The kernel is gone: what is stored goes on.
      const shown = this.#shown;
      if (!this.#view || !shown) return;
      this.#end();
      this.host.dataset.state = "stored";
      return this.show(shown.value, shown.options);
    }
    if (this.#view || !model.viewOf) return;
    const view = (this.#view = new AbortController());
    try {
      const element = document.createElement("div");
      const attach = await model.viewOf(box, view.signal);
      if (view.signal.aborted) return;
      for (const part of this.#parts) part.dispose();
      this.#parts = [];
      this.host.replaceChildren(element);
      this.host.dataset.state = "live";
      attach(element);
    } catch {
      // The page does not have the box: the pictures are live one by one.
      if (this.#view === view) this.#view = undefined;
    }
  }

  #element(node: LayoutNode, pictures: { readonly host: HTMLElement; readonly payload: unknown }[]): HTMLElement {
    const element = document.createElement("div");
    if ("picture" in node) {
      element.style.cssText = "flex:1 1 380px;min-width:0";
      pictures.push({ host: element, payload: node.picture });
      return element;
    }
    if ("text" in node) {
      element.style.cssText =
        "flex:none;padding:4px 8px;font:12px/1.5 var(--jp-ui-font-family,system-ui,sans-serif);opacity:.75";
      element.textContent = `${node.text} (needs the kernel: run the cell again)`;
      return element;
    }
    const children = node.children.map((child) => this.#element(child, pictures));
    element.style.cssText = STYLES[node.box];
    if (node.box !== "tabs" && node.box !== "accordion") {
      element.append(...children);
      return element;
    }
    // One mechanism for both: parts that open, of tabs one at a time.
    const name = `lmt-${Math.random().toString(36).slice(2)}`;
    children.forEach((child, i) => {
      const part = document.createElement("details");
      if (node.box === "tabs") part.name = name;
      part.open = i === 0;
      const title = document.createElement("summary");
      title.style.cssText =
        "cursor:pointer;padding:4px 6px;font:600 13px/1.5 var(--jp-ui-font-family,system-ui,sans-serif)";
      title.textContent = node.titles?.[i] || `${i + 1}`;
      part.append(title, child);
      element.append(part);
    });
    return element;
  }
}
