import { commHost, type Comm, type CommHost, type CommMessage, type JsonObject } from "../comm-host";
import { splitBuffers } from "./buffers";
import { Map } from "../natives";

/** What the registry needs to know of a widget. */
export interface RegisteredWidget {
  readonly modelId: string;
  readonly modelName: string;
  readonly modelModule: string;
  readonly modelModuleVersion: string;
  /** State as it goes over the wire, buffers still inside. */
  wireState(): JsonObject;
  /** Sends what has been held back to keep the message rate low. */
  flush(): void;
}

const WIDGETS = Symbol.for("lm-transparency.widgets");

/**
 * Open widgets by model id. They are not kept alive by being open, but by what uses them: variables, other widgets, and
 * the outputs that show them (`DisplayOptions.owner`). One that nothing uses any more is collected, and its comm
 * closed.
 */
export class WidgetRegistry {
  readonly #widgets = new Map<string, WeakRef<RegisteredWidget>>();
  readonly #collected = new FinalizationRegistry<{ readonly modelId: string; readonly comm: Comm }>(
    ({ modelId, comm }) => {
      this.#widgets.delete(modelId);
      if (!comm.closed) comm.close();
    },
  );

  add(widget: RegisteredWidget, comm: Comm): void {
    this.#widgets.set(widget.modelId, new WeakRef(widget));
    this.#collected.register(widget, { modelId: widget.modelId, comm }, widget);
  }

  get(modelId: string): RegisteredWidget | undefined {
    return this.#widgets.get(modelId)?.deref();
  }

  delete(widget: RegisteredWidget): void {
    this.#widgets.delete(widget.modelId);
    this.#collected.unregister(widget);
  }

  get size(): number {
    return this.#widgets.size;
  }

  /** In the order in which they were opened. */
  *values(): Generator<RegisteredWidget> {
    for (const reference of this.#widgets.values()) {
      const widget = reference.deref();
      if (widget !== undefined) yield widget;
    }
  }
}

/** All open widgets, shared by every copy of this package in the process. */
export function openWidgets(): WidgetRegistry {
  const holder = globalThis as { [WIDGETS]?: WidgetRegistry };
  return (holder[WIDGETS] ??= new WidgetRegistry());
}

const FRONT_END = Symbol.for("lm-transparency.front-end");

/** Whether a front end that shows widgets has asked for them: false in headless runs. */
export function frontEndSeen(): boolean {
  return (globalThis as { [FRONT_END]?: boolean })[FRONT_END] === true;
}

/** Target name of the comm over which a front end asks for all widgets at once (ipywidgets ≥ 7.7). */
export const CONTROL_TARGET = "jupyter.widget.control";

/**
 * Answers `request_states` on the control comm. A kernel calls this at its start, because JupyterLab opens that comm as
 * soon as it connects and waits for the answer, whether or not any cell has made a widget.
 */
export function serveWidgetControl(host: CommHost = commHost()): void {
  host.registerTarget(CONTROL_TARGET, (comm) => {
    comm.onMessage((message) => answer(comm, message));
  });
}

function answer(comm: Comm, message: CommMessage): void {
  if (message.data["method"] !== "request_states") return;
  (globalThis as { [FRONT_END]?: boolean })[FRONT_END] = true;
  const states: JsonObject = {};
  for (const widget of openWidgets().values()) {
    states[widget.modelId] = {
      model_name: widget.modelName,
      model_module: widget.modelModule,
      model_module_version: widget.modelModuleVersion,
      state: widget.wireState(),
    };
  }
  const split = splitBuffers(states);
  comm.send(
    { method: "update_states", states: split.state, buffer_paths: split.bufferPaths },
    { buffers: split.buffers },
  );
}

/** Sends everything that widgets hold back. A kernel calls it before it says that a cell is done. */
export function flushWidgets(): void {
  for (const widget of openWidgets().values()) widget.flush();
}
