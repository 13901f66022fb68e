import { commHost, type CellOutput, type JsonObject, type MimeBundle, type OutputSink } from "../comm-host";
import { Output as OutputControl, type OutputState } from "./generated";
import type { ControlInit } from "./control";
import { mimeBundle, ownerOf } from "./mime";
import { openWidgets } from "./registry";
import { WIDGET_VIEW } from "./widget";
import { Map, setTimeout, clearTimeout } from "../natives";

/** Changes of the output are sent together, at most this often. */
const INTERVAL_MS = 40;

/**
 * A place for output in a layout. What runs in `capture` shows here instead of below the cell: text, displays, errors;
 * each piece of code into its own, also where several run at the same time.
 *
 * The kernel itself gathers the outputs and keeps them in the widget's state (`outputs`), so they are saved with the
 * notebook; `msg_id`, by which Python has the front end catch messages, stays unused.
 */
export class Output extends OutputControl implements OutputSink {
  #pending: CellOutput[] | undefined;
  readonly #displayIds = new Map<string, number[]>();
  /** What the outputs show, by their place: kept alive with them. */
  #owners: (object | null | undefined)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #clearFirst = false;

  constructor(init: ControlInit<OutputState> = {}) {
    super(init);
  }

  /**
   * Runs `fn` with all its output going here, and gives what it gives. What it throws is shown here as an error and
   * passed on.
   */
  async capture<T>(fn: () => T | Promise<T>): Promise<T> {
    const host = commHost();
    return host.capture(this, async () => {
      try {
        return await fn();
      } catch (error) {
        host.showError(error);
        throw error;
      }
    });
  }

  /** Adds a value, shown as the last expression of a cell is. */
  async append(value: unknown): Promise<void> {
    this.output({ output_type: "display_data", data: await mimeBundle(value), metadata: {} }, ownerOf(value));
  }

  /** Adds text to a stream. */
  appendText(text: string, name: "stdout" | "stderr" = "stdout"): void {
    this.output({ output_type: "stream", name, text });
  }

  /** Removes everything; with `wait` only when something new comes, so that nothing flickers. */
  clear(wait: boolean | { readonly wait?: boolean } = false): void {
    this.#clearFirst = typeof wait === "boolean" ? wait : (wait.wait ?? false);
    if (this.#clearFirst) return;
    this.#empty();
    this.#later();
  }

  #empty(): void {
    this.#pending = [];
    this.#owners = [];
    this.#displayIds.clear();
  }

  output(output: CellOutput, owner?: object | null): void {
    if (this.#clearFirst) {
      this.#clearFirst = false;
      this.#empty();
    }
    const outputs = (this.#pending ??= [...this.outputs]);
    const last = outputs.at(-1);
    if (output.output_type === "stream" && last?.output_type === "stream" && last.name === output.name) {
      outputs[outputs.length - 1] = { ...last, text: last.text + output.text };
    } else {
      const id = output.output_type === "display_data" ? output.transient?.display_id : undefined;
      if (id !== undefined) this.#displayIds.set(id, [...(this.#displayIds.get(id) ?? []), outputs.length]);
      this.#owners[outputs.length] = owner ?? shownWidget(output);
      outputs.push(withoutTransient(output));
    }
    this.#later();
  }

  /** Replaces what the display of that id shows. */
  update(displayId: string, data: MimeBundle, metadata: JsonObject, owner?: object | null): void {
    const places = this.#displayIds.get(displayId);
    if (places === undefined) return;
    const outputs = (this.#pending ??= [...this.outputs]);
    for (const at of places) {
      if (owner !== undefined) this.#owners[at] = owner;
      outputs[at] = { output_type: "display_data", data, metadata };
    }
    this.#later();
  }

  /** Sends what was gathered. */
  override flush(): void {
    this.#commit();
    super.flush();
  }

  #later(): void {
    this.#timer ??= setTimeout(() => this.#commit(), INTERVAL_MS).unref();
  }

  #commit(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending !== undefined) this.set({ outputs: pending });
  }
}

/** The widget whose view an output is. */
function shownWidget(output: CellOutput): object | undefined {
  const view =
    output.output_type === "display_data"
      ? (output.data[WIDGET_VIEW] as { readonly model_id?: unknown } | undefined)
      : undefined;
  return typeof view?.model_id === "string" ? openWidgets().get(view.model_id) : undefined;
}

/** Ids of displays live as long as the kernel; a saved state has no use for them. */
function withoutTransient(output: CellOutput): CellOutput {
  return output.output_type === "display_data"
    ? { output_type: "display_data", data: output.data, metadata: output.metadata }
    : output;
}
