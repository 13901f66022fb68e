import { randomUUID } from "node:crypto";
import type { Comm, CommMessage, JsonObject, ListenOptions, OpenOptions, SendOptions } from "../comm-host";
import { bytesOf, type Message } from "./wire";
import { Array, Map, Set } from "../natives";

/** Publishes a message on iopub, with the request that the calling code answers as its parent. */
export type CommPublish = (
  type: "comm_open" | "comm_msg" | "comm_close",
  content: JsonObject,
  metadata: JsonObject,
  buffers: readonly Uint8Array[],
) => void;

type Listener = (message: CommMessage) => void | Promise<void>;

class KernelComm implements Comm {
  closed = false;
  readonly messageListeners = new Set<Listener>();
  readonly closeListeners = new Set<Listener>();

  constructor(
    private readonly manager: CommManager,
    readonly id: string,
    readonly targetName: string,
    /** The cell that opened it, as parent of what its handlers show. */
    readonly owner: JsonObject | undefined,
  ) {}

  send(data: JsonObject, options: SendOptions = {}): void {
    if (!this.closed) this.manager.publish("comm_msg", { comm_id: this.id, data }, options);
  }

  onMessage(listener: Listener, options?: ListenOptions): void {
    listen(this.messageListeners, listener, options);
  }

  onClose(listener: Listener, options?: ListenOptions): void {
    listen(this.closeListeners, listener, options);
  }

  close(data: JsonObject = {}, options: SendOptions = {}): void {
    if (this.closed) return;
    this.manager.publish("comm_close", { comm_id: this.id, data }, options);
    this.manager.forget(this);
  }
}

function listen(set: Set<Listener>, listener: Listener, options: ListenOptions = {}): void {
  if (options.signal?.aborted) return;
  set.add(listener);
  options.signal?.addEventListener("abort", () => set.delete(listener), { once: true });
}

/** The open comms of a kernel and the targets that the front end can open comms to. */
export class CommManager {
  readonly #comms = new Map<string, KernelComm>();
  readonly #targets = new Map<string, (comm: Comm, message: CommMessage) => void>();

  constructor(
    private readonly send: CommPublish,
    private readonly showError: (error: unknown) => void,
  ) {}

  open(targetName: string, options: OpenOptions = {}, owner?: JsonObject): Comm {
    const id = options.id ?? randomUUID().replaceAll("-", "");
    if (this.#comms.has(id)) throw new RangeError(`There is an open comm with id "${id}" already.`);
    const comm = new KernelComm(this, id, targetName, owner);
    this.#comms.set(id, comm);
    this.publish("comm_open", { comm_id: id, target_name: targetName, data: options.data ?? {} }, options);
    return comm;
  }

  registerTarget(
    targetName: string,
    onOpen: (comm: Comm, message: CommMessage) => void,
    options: ListenOptions = {},
  ): void {
    if (options.signal?.aborted) return;
    this.#targets.set(targetName, onOpen);
    options.signal?.addEventListener(
      "abort",
      () => {
        if (this.#targets.get(targetName) === onOpen) this.#targets.delete(targetName);
      },
      { once: true },
    );
  }

  /** Content of a comm_info_reply. */
  info(targetName?: string): JsonObject {
    const comms: JsonObject = {};
    for (const comm of this.#comms.values()) {
      if (targetName === undefined || comm.targetName === targetName) comms[comm.id] = { target_name: comm.targetName };
    }
    return comms;
  }

  /** Parent header of the cell that opened the comm which a message is for. */
  owner(message: Message): JsonObject | undefined {
    const id = message.content["comm_id"];
    return typeof id === "string" ? this.#comms.get(id)?.owner : undefined;
  }

  /** Takes a comm message of the front end. What cannot be delivered is dropped, as the protocol asks. */
  receive(message: Message): void {
    const { comm_id: id, target_name: target, data } = message.content;
    if (typeof id !== "string") return;
    const received: CommMessage = {
      data: typeof data === "object" && data !== null && !Array.isArray(data) ? (data as JsonObject) : {},
      metadata: message.metadata,
      buffers: message.buffers.map((buffer) => new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)),
      header: message.header,
    };
    const comm = this.#comms.get(id);
    switch (message.header.msg_type) {
      case "comm_open":
        if (comm === undefined && typeof target === "string") this.#receiveOpen(id, target, received);
        return;
      case "comm_msg":
        if (comm !== undefined) this.#call(comm.messageListeners, received);
        return;
      case "comm_close":
        if (comm === undefined) return;
        this.forget(comm);
        this.#call(comm.closeListeners, received);
    }
  }

  #receiveOpen(id: string, target: string, message: CommMessage): void {
    const onOpen = this.#targets.get(target);
    const comm = new KernelComm(this, id, target, undefined);
    if (onOpen === undefined) {
      comm.close();
      return;
    }
    this.#comms.set(id, comm);
    try {
      onOpen(comm, message);
    } catch (error) {
      comm.close();
      this.showError(error);
    }
  }

  #call(listeners: Set<Listener>, message: CommMessage): void {
    for (const listener of [...listeners]) {
      try {
        const result = listener(message);
        if (result instanceof Promise) result.catch((error: unknown) => this.showError(error));
      } catch (error) {
        this.showError(error);
      }
    }
  }

  publish(type: "comm_open" | "comm_msg" | "comm_close", content: JsonObject, options: SendOptions): void {
    this.send(type, content, options.metadata ?? {}, (options.buffers ?? []).map(bytesOf));
  }

  forget(comm: KernelComm): void {
    comm.closed = true;
    if (this.#comms.get(comm.id) === comm) this.#comms.delete(comm.id);
  }
}
