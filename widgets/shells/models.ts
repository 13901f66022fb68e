import { DOMWidgetModel } from "@jupyter-widgets/base";
import { WIDGET_MODULE } from "../../src/protocol";
import { registerLive } from "./live";
import type { LiveElement, LivePicture } from "./live";

/** What the models of our widgets have in common. */

declare const LMT_VERSION: string;

/** The names under which a model and its view are found. The version is the package's. `view` null: it has none. */
export function namesOf(model: string, view: string | null): Backbone.ObjectHash {
  return {
    _model_name: model,
    _model_module: WIDGET_MODULE,
    _model_module_version: LMT_VERSION,
    _view_name: view,
    _view_module: WIDGET_MODULE,
    _view_module_version: LMT_VERSION,
  };
}

/** Of a view's Lumino widget, what is used; its class has the way to put it into the page. */
interface Attachable {
  readonly constructor: { attach(widget: unknown, host: HTMLElement): void };
}

/** A view of any model of the same page, by the widget manager of one of ours. */
async function viewOf(model: DOMWidgetModel, id: string, signal: AbortSignal): Promise<(element: HTMLElement) => void> {
  const manager = model.widget_manager;
  const view = await manager.create_view(await manager.get_model(id), {});
  signal.addEventListener("abort", () => void view.remove(), { once: true });
  if (signal.aborted) void view.remove();
  const widget = view as unknown as { luminoWidget?: Attachable; pWidget?: Attachable };
  return (element) => {
    const attachable = widget.luminoWidget ?? widget.pWidget;
    // Boxes and tabs lay themselves out when they are told that they are on the page.
    if (attachable) attachable.constructor.attach(attachable, element);
    else element.append(view.el);
  };
}

/** A model with a view, known to the outputs of this page: those that were drawn from stored data become it. */
export abstract class ShownModel extends DOMWidgetModel {
  readonly #closed = new AbortController();

  /** What an output shows of it. Throws a `ProtocolError` where its state cannot be read. */
  abstract parts(): LivePicture | LiveElement;

  /** Events after which that is another. */
  protected get changes(): string {
    return "comm_live_update";
  }

  /** Aborted when the widget is closed. */
  protected get closing(): AbortSignal {
    return this.#closed.signal;
  }

  override initialize(attributes: Backbone.ObjectHash, options: Parameters<DOMWidgetModel["initialize"]>[1]): void {
    super.initialize(attributes, options);
    // Backbone calls this before the fields of classes are there.
    queueMicrotask(() => this.begin());
  }

  /** Called once the model is complete. */
  protected begin(): void {
    // eslint-disable-next-line @typescript-eslint/no-this-alias
    const model = this;
    const changed = registerLive(
      this.model_id,
      {
        get live() {
          return model.comm_live;
        },
        parts: () => this.parts(),
        viewOf: (id, signal) => viewOf(this, id, signal),
      },
      this.closing,
    );
    this.on(this.changes, changed);
  }

  override close(comm_closed?: boolean): Promise<void> {
    this.#closed.abort();
    return super.close(comm_closed);
  }
}
