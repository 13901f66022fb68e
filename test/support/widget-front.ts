/** A front end's side of widgets, for tests: follows comm messages of a kernel and keeps the state of each model. */
import type { Json, KernelClient, Received } from "./kernel-client";

export interface Model {
  readonly id: string;
  readonly state: Json;
  readonly opened: Received;
  closed: boolean;
}

export class WidgetFront {
  readonly models = new Map<string, Model>();
  #read = 0;

  constructor(readonly kernel: KernelClient) {}

  /** Takes in the messages that have come since. */
  refresh(): void {
    for (; this.#read < this.kernel.iopub.length; this.#read++) {
      const message = this.kernel.iopub[this.#read];
      const { comm_id: id, data } = message.content as { comm_id: string; data: Json };
      const method = data?.["method"];
      if (message.header.msg_type === "comm_open" && message.content["target_name"] === "jupyter.widget") {
        this.models.set(id, {
          id,
          opened: message,
          closed: false,
          state: join(data["state"] as Json, data["buffer_paths"], message.buffers),
        });
      } else if (message.header.msg_type === "comm_msg" && (method === "update" || method === "echo_update")) {
        Object.assign(
          this.models.get(id)?.state ?? {},
          join(data["state"] as Json, data["buffer_paths"], message.buffers),
        );
      } else if (message.header.msg_type === "comm_close") {
        const model = this.models.get(id);
        if (model !== undefined) model.closed = true;
      }
    }
  }

  /** The newest open model of this name. */
  model(name: string): Model {
    this.refresh();
    const found = [...this.models.values()].findLast((model) => model.state["_model_name"] === name && !model.closed);
    if (found === undefined)
      throw new Error(
        `There is no ${name}; there are: ${[...this.models.values()].map((model) => String(model.state["_model_name"])).join(", ")}.`,
      );
    return found;
  }

  /** Sends a change as a browser does; gives the message's id. */
  update(model: Model, state: Json, buffers: readonly Uint8Array[] = [], paths: unknown[] = []): string {
    return this.kernel.send(
      "shell",
      "comm_msg",
      { comm_id: model.id, data: { method: "update", state, buffer_paths: paths } },
      { buffers },
    );
  }

  custom(model: Model, content: Json, buffers: readonly Uint8Array[] = []): string {
    return this.kernel.send(
      "shell",
      "comm_msg",
      { comm_id: model.id, data: { method: "custom", content } },
      { buffers },
    );
  }

  /** Waits until the kernel has dealt with a message. */
  async settled(id: string): Promise<void> {
    await this.kernel.until(() => (this.kernel.isIdle(id) ? true : undefined));
    this.refresh();
  }

  /** Messages that a model sent, by method. */
  sent(model: Model, method: string): Received[] {
    return this.kernel.iopub.filter(
      (message) =>
        message.content["comm_id"] === model.id && (message.content["data"] as Json | undefined)?.["method"] === method,
    );
  }
}

function join(state: Json, paths: unknown, buffers: readonly Buffer[]): Json {
  (paths as (string | number)[][] | undefined)?.forEach((path, n) => {
    let at = state as unknown as Record<string | number, unknown>;
    for (const key of path.slice(0, -1)) at = at[key] as Record<string | number, unknown>;
    at[path.at(-1) as string] = buffers[n];
  });
  return state;
}
