import { randomUUID } from "node:crypto";
import { writeSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { Router, XPublisher } from "zeromq";
import type { JsonObject } from "../comm-host";
import { Buffer, Promise, setTimeout } from "../natives";
import type { ControlThreadData, FromControlThread, ToControlThread } from "./control-thread";
import { now } from "./interrupts";
import { receiveForEver } from "./receive";
import { newHeader, Wire, WireError, type Header, type Message } from "./wire";

/** What a Jupyter connection file holds. */
export interface ConnectionInfo {
  readonly transport: string;
  readonly ip: string;
  readonly shell_port: number;
  readonly iopub_port: number;
  readonly control_port: number;
  readonly stdin_port: number;
  readonly hb_port: number;
  readonly key: string;
  readonly signature_scheme?: string;
}

/** Where a reply goes. */
export type Channel = "shell" | "control";

/** When a message came, and its number among the interrupts and shutdowns. */
export type Origin = Pick<Extract<FromControlThread, { readonly type: "message" }>, "at" | "request">;

/** Who is told what comes in. None of these may throw. */
export interface Receivers {
  readonly message: (channel: Channel, message: Message, origin: Origin) => void;
  /** The user has answered a question. */
  readonly answer: (value: string) => void;
  /** Called before anything of a message is looked at. */
  readonly before: () => void;
}

/** Bytes of a frame: what is larger ends the connection that sends it, before it is in memory. Uploads come in frames of tens of megabytes. */
const MAX_MESSAGE = 512 << 20;

/** Time for the last messages to leave the process. */
const LINGER_MS = 100;

/** To the server's log: there is no cell that this belongs to. */
const reportUnread = (error: unknown): void =>
  void writeSync(2, `lm-transparency kernel: a message could not be read: ${String(error)}\n`);

/** The kernel's sockets: shell, iopub and stdin here, control and heartbeat in a thread of their own. */
export class Channels {
  readonly #session = randomUUID();
  readonly #wire: Wire;
  readonly #iopub = new XPublisher({
    sendHighWaterMark: 0,
    sendTimeout: 0,
    linger: 500,
    verbosity: "allSubs",
    maxMessageSize: 1 << 20,
  });
  readonly #shell = new Router({
    sendHighWaterMark: 0,
    sendTimeout: 0,
    linger: 500,
    maxMessageSize: MAX_MESSAGE,
  });
  readonly #stdin = new Router({ sendHighWaterMark: 0, sendTimeout: 0, linger: 0, maxMessageSize: MAX_MESSAGE });
  #control: Worker | undefined;
  #closed = false;

  constructor(
    private readonly connection: ConnectionInfo,
    private readonly receivers: Receivers,
  ) {
    this.#wire = new Wire(connection.key ?? "", connection.signature_scheme || "hmac-sha256");
  }

  /**
   * Binds the sockets. Rejects where an address cannot be bound. Messages of the control channel come from here on, all
   * others once `read` was called.
   */
  async bind(shared: Pick<ControlThreadData, "flag" | "children">): Promise<void> {
    const { connection } = this;
    this.#control = await this.#startControlThread(shared);
    await Promise.all([
      this.#iopub.bind(this.#address(connection.iopub_port)),
      this.#shell.bind(this.#address(connection.shell_port)),
      this.#stdin.bind(this.#address(connection.stdin_port)),
    ]);
  }

  /** Begins to read what comes. */
  read(): void {
    void this.#welcomeSubscribers();
    void receiveForEver(this.#shell, (frames) => this.#receive("shell", frames, { at: now() }), reportUnread);
    void this.#readStdin();
  }

  #address(port: number): string {
    const { transport, ip } = this.connection;
    return transport === "ipc" ? `ipc://${ip}-${port}` : `${transport}://${ip}:${port}`;
  }

  #startControlThread(shared: Pick<ControlThreadData, "flag" | "children">): Promise<Worker> {
    const { connection } = this;
    const data: ControlThreadData = {
      control: this.#address(connection.control_port),
      heartbeat: this.#address(connection.hb_port),
      key: connection.key ?? "",
      scheme: connection.signature_scheme || "hmac-sha256",
      ...shared,
      parentPid: Number(process.env["JPY_PARENT_PID"] ?? 0) || 0,
    };
    const worker = new Worker(join(__dirname, "control-thread.js"), { workerData: data });
    return new Promise((resolve, reject) => {
      worker.on("message", (message: FromControlThread) => {
        if (message.type === "bound") resolve(worker);
        else if (message.type === "failed") reject(new Error(message.message));
        else this.#receive("control", message.frames, message);
      });
      worker.on("error", reject);
    });
  }

  /** Tells each subscriber that from now on it gets everything (iopub_welcome of protocol 5.4). */
  async #welcomeSubscribers(): Promise<void> {
    await receiveForEver(
      this.#iopub,
      ([frame]) => {
        if (frame === undefined || frame[0] !== 1) return;
        const topic = Buffer.from(frame.subarray(1));
        this.#sendTo(this.#iopub, {
          identities: [topic],
          header: newHeader("iopub_welcome", this.#session),
          parent: {},
          metadata: {},
          content: { subscription: topic.toString() },
          buffers: [],
        });
      },
      reportUnread,
    );
  }

  async #readStdin(): Promise<void> {
    await receiveForEver(
      this.#stdin,
      (frames) => {
        const message = this.#decode(frames);
        if (message?.header.msg_type !== "input_reply") return;
        const { value } = message.content;
        this.receivers.answer(typeof value === "string" ? value : "");
      },
      reportUnread,
    );
  }

  /** What is not a correctly signed message is dropped without an answer. */
  #receive(channel: Channel, frames: readonly Uint8Array[], origin: Origin): void {
    this.receivers.before();
    const message = this.#decode(frames);
    if (message !== undefined) this.receivers.message(channel, message, origin);
  }

  #decode(frames: readonly Uint8Array[]): Message | undefined {
    try {
      return this.#wire.decode(frames);
    } catch (error) {
      if (error instanceof WireError) return undefined;
      throw error;
    }
  }

  /** Sends on iopub, to everybody. */
  publish(
    type: string,
    content: JsonObject,
    parent: Header | JsonObject,
    metadata: JsonObject = {},
    buffers: readonly Uint8Array[] = [],
  ): void {
    this.#sendTo(this.#iopub, {
      identities: [Buffer.from(`kernel.${this.#session}.${type}`)],
      header: newHeader(type, this.#session),
      parent,
      metadata,
      content,
      buffers,
    });
  }

  status(state: "busy" | "idle" | "starting", parent: Header | JsonObject): void {
    this.publish("status", { execution_state: state }, parent);
  }

  /** Answers a request, to who sent it. */
  reply(channel: Channel, request: Message, type: string, content: JsonObject): void {
    const message = this.#messageTo(request, type, content);
    if (channel === "control") this.#tellControl({ type: "send", frames: this.#wire.encode(message) });
    else this.#sendTo(this.#shell, message);
  }

  /** Asks the user who sent a request; the answer comes to the receivers. */
  ask(request: Message, prompt: string, password: boolean): void {
    this.#sendTo(this.#stdin, this.#messageTo(request, "input_request", { prompt, password }));
  }

  /** The main thread has taken an interrupt or shutdown: no flag, no signal is needed. */
  taken(): void {
    this.#tellControl({ type: "taken" });
  }

  /** Closes all sockets when the last messages have left; resolves when the control thread has ended. */
  async close(): Promise<void> {
    // zeromq's own thread reads the frames from this process' heap: it must be done with them before any heap is torn
    // down.
    await new Promise((resolve) => setTimeout(resolve, LINGER_MS));
    const control = this.#control;
    const ended = control === undefined ? undefined : new Promise((resolve) => control.once("exit", resolve));
    this.#tellControl({ type: "close" });
    this.#closed = true;
    this.#iopub.close();
    this.#shell.close();
    this.#stdin.close();
    await ended;
  }

  #messageTo(request: Message, type: string, content: JsonObject): Message {
    return {
      identities: request.identities,
      header: newHeader(type, this.#session),
      parent: request.header,
      metadata: {},
      content,
      buffers: [],
    };
  }

  #sendTo(socket: XPublisher | Router, message: Message): void {
    if (this.#closed) return;
    // Copied: zeromq may read large frames later, when the sender has changed them.
    const frames = this.#wire.encode(message).map((frame) => Buffer.from(frame));
    // With no high-water mark a send is done at once; it fails only when the socket is closed, or its reader gone.
    socket.send(frames).catch((error: unknown) => {
      // To the server's log: the process' own streams lead to cells.
      if (!this.#closed)
        writeSync(2, `lm-transparency kernel: a ${message.header.msg_type} could not be sent: ${String(error)}\n`);
    });
  }

  #tellControl(message: ToControlThread): void {
    this.#control?.postMessage(message);
  }
}
