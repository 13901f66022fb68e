import type { RunFacts } from "../../src/protocol";
import type { SelectionStore } from "../core/selection-store";
import type { FlowSource } from "../core/source";

/**
 * Widgets of this page by their model's id, for outputs that were drawn from stored data and become live when the model
 * appears. Whoever makes models registers them; nothing here knows Jupyter.
 */

/** A live picture, in parts, so that what is drawn already can be connected instead of drawn again. */
export interface LivePicture {
  readonly kind: "picture";
  readonly source: FlowSource;
  readonly facts: RunFacts;
  readonly selection: SelectionStore;
}

/** Any other widget of ours: it brings its own element. */
export interface LiveElement {
  readonly kind: "element";
  /** Makes an element; it ends with the signal. */
  element(signal: AbortSignal): HTMLElement | Promise<HTMLElement>;
}

export interface LiveModel {
  /** Whether a kernel answers it now. */
  readonly live: boolean;
  /**
   * A view of another model of the same page, such as the box that it stands in: a function that puts it into an element
   * of the page. It ends with the signal. Rejects where the page does not have it.
   */
  viewOf?(id: string, signal: AbortSignal): Promise<(element: HTMLElement) => void>;
  /** Throws where its state cannot be drawn. */
  parts(): LivePicture | LiveElement;
}

const models = new Map<string, LiveModel>();
const listeners = new Map<string, Set<() => void>>();

const tell = (id: string): void => [...(listeners.get(id) ?? [])].forEach((listener) => listener());

/** Makes a model known until `signal` aborts. Call the returned function whenever it changed or became live. */
export function registerLive(id: string, model: LiveModel, signal: AbortSignal): () => void {
  models.set(id, model);
  signal.addEventListener(
    "abort",
    () => {
      if (models.get(id) !== model) return;
      models.delete(id);
      tell(id);
    },
    { once: true },
  );
  tell(id);
  return () => tell(id);
}

/** The model with this id, where a kernel answers it. */
export function liveModel(id: string): LiveModel | undefined {
  const model = models.get(id);
  return model?.live ? model : undefined;
}

/** Calls `listener` when the model with this id comes, changes or goes, until `signal` aborts. */
export function onLive(id: string, listener: () => void, signal: AbortSignal): void {
  const own = listeners.get(id) ?? new Set();
  listeners.set(id, own.add(listener));
  signal.addEventListener(
    "abort",
    () => {
      own.delete(listener);
      if (own.size === 0) listeners.delete(id);
    },
    { once: true },
  );
}
