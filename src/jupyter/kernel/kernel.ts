import { randomUUID } from "node:crypto";
import { setMaxListeners } from "node:events";
import { readFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Worker } from "node:worker_threads";
import { Router, XPublisher } from "zeromq";
import { mimeBundle, ownerOf } from "../ipywidgets/mime";
import { flushWidgets, serveWidgetControl } from "../ipywidgets/registry";
import {
  COMM_HOST,
  DISPLAY_ID,
  DISPLAYED,
  isLasting,
  type CommHost,
  type JsonObject,
  type MimeBundle,
} from "../comm-host";
import { INTERRUPT_CHECK } from "./cell-names";
import { Cells } from "./cells";
import { captureChildren } from "./child-output";
import { listenForGood } from "./own-listeners";
import { ownDescendants, signal } from "./processes";
import { receiveForEver } from "./receive";
import { refuseStandardInput } from "./standard-input";
import { cellOf, deletedCells } from "./shown";
import { CommManager } from "./comms";
import type { ControlThreadData, FromControlThread, ToControlThread } from "./control-thread";
import { CellSources, endedBySignal, ExitError, InterruptedError } from "./errors";
import { History } from "./history";
import { Outputs, type RequestContext } from "./outputs";
import { TypescriptService } from "./typescript-service";

import { newHeader, MESSAGING_VERSION, Wire, WireError, type Header, type Message } from "./wire";
import {
  JSON,
  Object,
  Buffer,
  Promise,
  Set,
  AbortController,
  restoreNatives,
  setTimeout,
  performance,
} from "../natives";

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
type Channel = "shell" | "control";

/** When a message came, and its number among the interrupts and shutdowns. */
type Origin = Pick<Extract<FromControlThread, { readonly type: "message" }>, "at" | "request">;

/** An execute request that waits or runs. */
interface QueuedCell {
  readonly message: Message;
}

interface RunningCell {
  /** When it began, by the clock `now`: an interrupt that came before was meant for another. */
  readonly since: bigint;
  readonly context: RequestContext;
  readonly abort: AbortController;
  /** Makes the cell's promise reject. */
  readonly giveUp: (reason: Error) => void;
}

/** Monotonic, in nanoseconds, the same in every thread; kept, because cells may replace what `process` has. */
const now: () => bigint = process.hrtime.bigint.bind(process.hrtime);

/** After an error, requests that are already on their way are collected for this long and aborted. */
const ABORT_WINDOW_MS = 20;
/** A comm's handler that takes longer than this is worth a "busy" in the front end. */
const NOTICED_MS = 100;
/** How long the listeners of `onShutdown` may take. */
const SHUTDOWN_MS = 2000;

/** A cell that asks for help on a name, as in IPython: `name?` or `?name`. */
const HELP = /^\s*(?:\?{1,2}\s*([\w$.]+)|([\w$.]+)\s*\?{1,2})\s*$/;

/** Time for the last messages to leave the process. */
const LINGER_MS = 100;

/**
 * Bytes of a frame: what is larger ends the connection that sends it, before it is in memory. Uploads come in frames of
 * tens of megabytes.
 */
const MAX_MESSAGE = 512 << 20;

/** To the server's log: there is no cell that this belongs to. */
const reportUnread = (error: unknown): void =>
  void writeSync(2, `lm-transparency kernel: a message could not be read: ${String(error)}\n`);

/** Child processes at once that are told from those that a cell sleeps for. */
const MOST_CHILDREN = 1024;

const PACKAGE_ROOT = join(__dirname, "../../..");

/**
 * A Jupyter kernel (messaging protocol 5.4) for TypeScript cells. Cells run here, in the main thread; translation has a
 * thread of its own, as have the control channel and the heartbeat.
 */
export class Kernel {
  private readonly session = randomUUID();
  /** Header of a cell's request → the cell's name in `Shown`: handlers show what they show there. */
  private readonly places = new WeakMap<object, string>();
  private readonly wire: Wire;
  private readonly iopub = new XPublisher({
    sendHighWaterMark: 0,
    sendTimeout: 0,
    linger: 500,
    verbosity: "allSubs",
    maxMessageSize: 1 << 20,
  });
  private readonly shell = new Router({
    sendHighWaterMark: 0,
    sendTimeout: 0,
    linger: 500,
    maxMessageSize: MAX_MESSAGE,
  });
  private readonly stdin = new Router({ sendHighWaterMark: 0, sendTimeout: 0, linger: 0, maxMessageSize: MAX_MESSAGE });
  private control: Worker | undefined;
  private readonly typescript: TypescriptService;
  private readonly outputs: Outputs;
  private readonly comms: CommManager;
  private readonly cells: Cells;
  private readonly sources = new CellSources();
  private readonly history = new History();
  private readonly queue: QueuedCell[] = [];
  private readonly shutdownListeners = new Set<() => void | Promise<void>>();
  private readonly questions: { header: Header; resolve(answer: string): void; reject(reason: Error): void }[] = [];
  private running: RunningCell | undefined;
  private readonly slowComms = new Set<unknown>();
  private pumping = false;
  private executionCount = 0;
  /** Aborted at each interrupt, for work that comm messages started. */
  private background = newController();
  /** How often the user has interrupted; as long as never, loops need not look whose they are. */
  private interruptions = 0;
  /** Ids of child processes that run beside the cells. */
  private readonly children = new Int32Array(new SharedArrayBuffer(4 * MOST_CHILDREN));
  private readonly exit = process.exit.bind(process);
  private ending = false;
  private closed = false;
  /** Shared with the control thread: the request for which loops shall end; how often that thread sent SIGINT. */
  private readonly interruptFlag = new Int32Array(new SharedArrayBuffer(8));
  /** The last of these requests that has been dealt with: the flag may be raised a moment later. */
  private requestTaken = 0;
  /** How many of these SIGINTs have arrived. */
  private signalsTaken = 0;

  constructor(
    private readonly connection: ConnectionInfo,
    cwd: string,
  ) {
    this.wire = new Wire(connection.key ?? "", connection.signature_scheme || "hmac-sha256");
    const { name } = JSON.parse(readFileSync(join(PACKAGE_ROOT, "package.json"), "utf8")) as { name: string };
    this.typescript = new TypescriptService({ cwd, packageRoot: PACKAGE_ROOT, packageName: name });
    this.outputs = new Outputs((type, content, parent) => this.publish(type, content, parent));
    this.comms = new CommManager(
      (type, content, metadata, buffers) => {
        this.outputs.flush();
        this.publish(type, content, this.outputs.current?.header ?? {}, metadata, buffers);
      },
      (error) => this.showError(error),
    );
    this.cells = new Cells({
      cwd,
      packageName: name,
      packageRoot: PACKAGE_ROOT,
      typescript: this.typescript,
      sources: this.sources,
      mend: () => this.mend(),
      signalTaken: () => void this.takeSignal(),
      loadTslab: () => this.loadTslab(),
    });
  }

  /** Binds the sockets, then starts what takes longer. Rejects where an address cannot be bound. */
  async start(): Promise<void> {
    const { connection } = this;
    this.control = await this.startControlThread();
    await Promise.all([
      this.iopub.bind(this.address(connection.iopub_port)),
      this.shell.bind(this.address(connection.shell_port)),
      this.stdin.bind(this.address(connection.stdin_port)),
    ]);
    this.sources.install();
    this.publish("status", { execution_state: "starting" }, {});
    this.installHost();
    this.outputs.captureProcess();
    captureChildren(this.children);
    refuseStandardInput();
    this.guardExit();
    listenForGood("SIGINT", () => {
      // The control thread's own comes with a message that interrupts; late, it would hit the next cell.
      if (!this.takeSignal()) this.interrupt(now());
    });
    listenForGood("uncaughtException", (error: unknown) => this.showError(error));
    listenForGood("unhandledRejection", (reason: unknown) => this.showError(reason));
    listenForGood("exit", () => this.outputs.flush());
    void this.welcomeSubscribers();
    void this.readShell();
    void this.readStdin();
    this.typescript.warmUp();
  }

  /** A cell that calls `process.exit` ends itself, not the kernel and with it everybody's variables. */
  private guardExit(): void {
    process.exit = (code?: number | string | null) => {
      if (this.outputs.contexts.getStore() === undefined) return this.exit(code);
      throw new ExitError(code ?? process.exitCode ?? 0);
    };
  }

  private address(port: number): string {
    const { transport, ip } = this.connection;
    return transport === "ipc" ? `ipc://${ip}-${port}` : `${transport}://${ip}:${port}`;
  }

  private startControlThread(): Promise<Worker> {
    const { connection } = this;
    const data: ControlThreadData = {
      control: this.address(connection.control_port),
      heartbeat: this.address(connection.hb_port),
      key: connection.key ?? "",
      scheme: connection.signature_scheme || "hmac-sha256",
      flag: this.interruptFlag.buffer,
      children: this.children.buffer,
      parentPid: Number(process.env["JPY_PARENT_PID"] ?? 0) || 0,
    };
    const worker = new Worker(join(__dirname, "control-thread.js"), { workerData: data });
    return new Promise((resolve, reject) => {
      worker.on("message", (message: FromControlThread) => {
        if (message.type === "bound") resolve(worker);
        else if (message.type === "failed") reject(new Error(message.message));
        else this.receive("control", message.frames, message);
      });
      worker.on("error", reject);
    });
  }

  /** Tells each subscriber that from now on it gets everything (iopub_welcome of protocol 5.4). */
  private async welcomeSubscribers(): Promise<void> {
    await receiveForEver(
      this.iopub,
      ([frame]) => {
        if (frame === undefined || frame[0] !== 1) return;
        const topic = Buffer.from(frame.subarray(1));
        this.sendTo(this.iopub, {
          identities: [topic],
          header: newHeader("iopub_welcome", this.session),
          parent: {},
          metadata: {},
          content: { subscription: topic.toString() },
          buffers: [],
        });
      },
      reportUnread,
    );
  }

  private async readShell(): Promise<void> {
    await receiveForEver(this.shell, (frames) => this.receive("shell", frames), reportUnread);
  }

  private async readStdin(): Promise<void> {
    await receiveForEver(
      this.stdin,
      (frames) => {
        const message = this.decode(frames);
        if (message?.header.msg_type !== "input_reply") return;
        const { value } = message.content;
        const question = this.questions.shift();
        question?.resolve(typeof value === "string" ? value : "");
      },
      reportUnread,
    );
  }

  private decode(frames: readonly Uint8Array[]): Message | undefined {
    try {
      return this.wire.decode(frames);
    } catch (error) {
      if (error instanceof WireError) return undefined;
      throw error;
    }
  }

  /** Takes one message; never throws. What is not a correctly signed message is dropped without an answer. */
  private receive(channel: Channel, frames: readonly Uint8Array[], origin: Origin = { at: now() }): void {
    this.mend();
    const message = this.decode(frames);
    if (message === undefined || this.ending) return;
    if (message.header.msg_type === "execute_request" && channel === "shell") {
      this.queue.push({ message });
      void this.pump();
      return;
    }
    // A front end repaints when it hears "busy"; that must not stand between a click and its answer.
    const answerFirst = message.header.msg_type === "comm_msg" && !this.slowComms.has(message.content["comm_id"]);
    if (!answerFirst) this.status("busy", message.header);
    const begun = performance.now();
    const finish = (): void => {
      if (answerFirst) this.status("busy", message.header);
      this.idle(message.header);
    };
    try {
      const work = this.handle(channel, message, origin);
      this.noteSpeed(message, performance.now() - begun);
      if (work instanceof Promise) work.catch((error: unknown) => this.fail(channel, message, error)).finally(finish);
      else finish();
    } catch (error) {
      this.fail(channel, message, error);
      finish();
    }
  }

  /** A comm whose handler kept the kernel busy says so first the next time. */
  private noteSpeed({ header, content }: Message, milliseconds: number): void {
    if (header.msg_type === "comm_msg" && milliseconds > NOTICED_MS) this.slowComms.add(content["comm_id"]);
    else if (header.msg_type.startsWith("comm_")) this.slowComms.delete(content["comm_id"]);
  }

  /** An error reply for a request that could not be answered. */
  private fail(channel: Channel, message: Message, error: unknown): void {
    const type = message.header.msg_type.replace(/_request$/, "_reply");
    if (type !== message.header.msg_type)
      this.reply(channel, message, type, { status: "error", ...this.sources.report(error) });
    else this.showError(error);
  }

  private handle(channel: Channel, message: Message, { at, request }: Origin): void | Promise<void> {
    const { content } = message;
    switch (message.header.msg_type) {
      case "kernel_info_request":
        return this.reply(channel, message, "kernel_info_reply", kernelInfo());
      case "comm_info_request": {
        const target = content["target_name"];
        return this.reply(channel, message, "comm_info_reply", {
          status: "ok",
          comms: this.comms.info(typeof target === "string" ? target : undefined),
        });
      }
      case "comm_open":
      case "comm_msg":
      case "comm_close":
        return this.outputs.run(this.commContext(message), () => this.comms.receive(message));
      case "complete_request":
        return this.complete(channel, message);
      case "inspect_request":
        return this.inspect(channel, message);
      case "is_complete_request":
        return this.isComplete(channel, message);
      case "history_request":
        return this.reply(channel, message, "history_reply", { status: "ok", history: this.history.query(content) });
      case "interrupt_request":
        this.tellControl({ type: "taken" });
        this.interrupt(at, request);
        return this.reply(channel, message, "interrupt_reply", { status: "ok" });
      case "shutdown_request":
        this.tellControl({ type: "taken" });
        return this.shutdown(channel, message, request);
      default:
        // As the protocol asks: no reply to what is not known.
        return;
    }
  }

  private commContext(message: Message): RequestContext {
    const { header } = message;
    const outputHeader = this.comms.owner(message) ?? header;
    const place = this.places.get(outputHeader);
    return {
      header,
      outputHeader,
      ...(place === undefined ? {} : { place }),
      cell: { messageId: header.msg_id, signal: this.background.signal },
      silent: false,
    };
  }

  // Sending

  private publish(
    type: string,
    content: JsonObject,
    parent: Header | JsonObject,
    metadata: JsonObject = {},
    buffers: readonly Uint8Array[] = [],
  ): void {
    this.sendTo(this.iopub, {
      identities: [Buffer.from(`kernel.${this.session}.${type}`)],
      header: newHeader(type, this.session),
      parent,
      metadata,
      content,
      buffers,
    });
  }

  private reply(
    channel: Channel,
    request: Message,
    type: string,
    content: JsonObject,
    metadata: JsonObject = {},
  ): void {
    const message: Message = {
      identities: request.identities,
      header: newHeader(type, this.session),
      parent: request.header,
      metadata,
      content,
      buffers: [],
    };
    if (channel === "control") this.tellControl({ type: "send", frames: this.wire.encode(message) });
    else this.sendTo(this.shell, message);
  }

  private sendTo(socket: XPublisher | Router, message: Message): void {
    if (this.closed) return;
    // Copied: zeromq may read large frames later, when the sender has changed them.
    const frames = this.wire.encode(message).map((frame) => Buffer.from(frame));
    // With no high-water mark a send is done at once; it fails only when the socket is closed, or its reader gone.
    socket.send(frames).catch((error: unknown) => {
      // To the server's log: the process' own streams lead to cells.
      if (!this.closed)
        writeSync(2, `lm-transparency kernel: a ${message.header.msg_type} could not be sent: ${String(error)}\n`);
    });
  }

  private tellControl(message: ToControlThread): void {
    this.control?.postMessage(message);
  }

  private status(state: "busy" | "idle", parent: Header): void {
    this.publish("status", { execution_state: state }, parent);
  }

  private idle(parent: Header): void {
    this.outputs.flush();
    this.status("idle", parent);
    // The kernel shows as what the last status says; while a cell runs that is busy.
    if (this.running !== undefined) this.status("busy", this.running.context.header);
  }

  // Cells

  private async pump(): Promise<void> {
    if (this.pumping) return;
    this.pumping = true;
    try {
      for (let next = this.queue.shift(); next !== undefined && !this.ending; next = this.queue.shift())
        await this.execute(next.message);
    } finally {
      this.pumping = false;
    }
  }

  private async execute(message: Message): Promise<void> {
    const { header, content } = message;
    this.status("busy", header);
    const code = content["code"];
    if (typeof code !== "string") {
      this.reply("shell", message, "execute_reply", {
        status: "error",
        ...this.sources.report(new TypeError("An execute_request needs its code as text.")),
        execution_count: this.executionCount,
      });
      return this.status("idle", header);
    }
    const silent = content["silent"] === true;
    const store = !silent && content["store_history"] !== false;
    if (store) this.history.add(++this.executionCount, code);
    const count = this.executionCount;
    if (!silent) this.publish("execute_input", { code, execution_count: count }, header);
    const cell = this.enterCell(message, silent, silent ? undefined : count);
    const failed = await this.outputs.run(cell.context, () => this.runCell(message, code, count, cell, silent, store));
    this.mend();
    this.running = undefined;
    // Promises that raced against it hold what the cell gave; work that goes on, or a run that is kept, holds the cell.
    cell.giveUp(new Error("The cell has ended."));
    if (failed && content["stop_on_error"] !== false) {
      // What the front end sent before it could know of the error may still be in the socket.
      await new Promise((resolve) => setTimeout(resolve, ABORT_WINDOW_MS));
    }
    const aborted = failed && content["stop_on_error"] !== false ? this.queue.splice(0) : [];
    cell.reply();
    this.status("idle", header);
    for (const one of aborted) {
      this.status("busy", one.message.header);
      this.reply("shell", one.message, "execute_reply", { status: "aborted", execution_count: this.executionCount });
      this.status("idle", one.message.header);
    }
  }

  private enterCell(
    message: Message,
    silent: boolean,
    count: number | undefined,
  ): RunningCell & { readonly interrupted: Promise<never>; reply: () => void } {
    const abort = newController();
    let giveUp: (reason: Error) => void = () => {};
    const interrupted = new Promise<never>((_, reject) => (giveUp = reject));
    interrupted.catch(() => {});
    const place = cellOf(message.metadata, String(message.content["code"]));
    this.places.set(message.header, place);
    if (!silent) for (const gone of [place, ...deletedCells(message.metadata)]) this.outputs.shown.clear(gone);
    const allowInput = message.content["allow_stdin"] !== false && message.content["allow_stdin"] !== undefined;
    const context: RequestContext = {
      header: message.header,
      outputHeader: message.header,
      cell: {
        messageId: message.header.msg_id,
        signal: abort.signal,
        ...(count === undefined ? {} : { executionCount: count }),
      },
      silent,
      ...(silent ? {} : { place }),
      ...(allowInput
        ? { input: (prompt: string, password: boolean) => this.ask(message, prompt, password, abort.signal) }
        : {}),
    };
    const running = { since: now(), context, abort, giveUp, interrupted, reply: () => {} };
    this.running = running;
    if (!silent) this.outputs.setFallback(context);
    return running;
  }

  /** Puts back what a cell has replaced and the kernel needs, and says so below the cell. */
  private mend(): void {
    const names = restoreNatives();
    if (names === undefined) return;
    const shown = names.slice(0, 5).join(", ") + (names.length > 5 ? ` and ${names.length - 5} more` : "");
    this.outputs.stream(
      "stderr",
      `${shown} had been replaced or removed, and ${names.length === 1 ? "was" : "were"} put back: the kernel, which shares the process with cells, needs ${names.length === 1 ? "it" : "them"}.\n`,
    );
  }

  /** Runs a cell's code and prepares its reply. True when it failed. */
  private async runCell(
    message: Message,
    code: string,
    count: number,
    cell: RunningCell & { readonly interrupted: Promise<never>; reply: () => void },
    silent: boolean,
    store: boolean,
  ): Promise<boolean> {
    const name = store ? `cell [${count}]` : `cell [*]`;
    try {
      const question = HELP.exec(code);
      if (question !== null) {
        const page = await this.help(question[1] ?? question[2]);
        cell.reply = () =>
          this.reply("shell", message, "execute_reply", {
            status: "ok",
            execution_count: count,
            user_expressions: {},
            payload: [{ source: "page", data: page, start: 0 }],
          });
        return false;
      }
      const value = await this.cells.run(code, name, cell.interrupted);
      const bundle =
        value === undefined || value === null || silent
          ? undefined
          : await Promise.race([mimeBundle(value), cell.interrupted]);
      const expressions = await this.evaluate(message.content["user_expressions"], cell);
      flushWidgets();
      this.outputs.flush();
      if (bundle !== undefined) {
        const owner = ownerOf(value);
        if (isLasting(value)) this.outputs.display(bundle, {}, value[DISPLAY_ID], owner);
        else {
          if (cell.context.place !== undefined) this.outputs.shown.add(cell.context.place, bundle, undefined, owner);
          this.publish("execute_result", { execution_count: count, data: bundle, metadata: {} }, message.header);
        }
        if (store) this.history.setOutput(count, typeof bundle["text/plain"] === "string" ? bundle["text/plain"] : "");
        if (isLasting(value)) {
          await Promise.race([value[DISPLAYED](), cell.interrupted]);
          this.outputs.flush();
        }
      }
      cell.reply = () =>
        this.reply("shell", message, "execute_reply", {
          status: "ok",
          execution_count: count,
          user_expressions: expressions,
          payload: [],
        });
      return false;
    } catch (error) {
      const interrupted = interruption(error);
      const report = this.sources.report(interrupted ?? error, name);
      flushWidgets();
      this.outputs.error(report);
      cell.reply = () =>
        this.reply("shell", message, "execute_reply", { status: "error", execution_count: count, ...report });
      return true;
    }
  }

  /** Values of `user_expressions`, each a bundle or an error. */
  private async evaluate(expressions: unknown, cell: { readonly interrupted: Promise<never> }): Promise<JsonObject> {
    const values: JsonObject = {};
    if (typeof expressions !== "object" || expressions === null) return values;
    for (const [key, code] of Object.entries(expressions)) {
      try {
        const value = await this.cells.run(`(${String(code)})`, `expression [${key}]`, cell.interrupted, false);
        values[key] = { status: "ok", data: await mimeBundle(value), metadata: {} };
      } catch (error) {
        values[key] = { status: "error", ...this.sources.report(error) };
      }
    }
    return values;
  }

  /** True when a SIGINT that has arrived is the control thread's. */
  private takeSignal(): boolean {
    if (this.signalsTaken === Atomics.load(this.interruptFlag, 1)) return false;
    this.signalsTaken++;
    return true;
  }

  /**
   * @param at When it was asked for, by the clock `now`.
   * @param request Its number, where the control thread may have raised the flag for it.
   */
  private interrupt(at: bigint, request = 0): void {
    const reason = new InterruptedError();
    this.interruptions++;
    const { background, running } = this;
    this.requestTaken = Math.max(this.requestTaken, request);
    this.background = newController();
    background.abort(reason);
    for (const question of this.questions.splice(0)) question.reject(reason);
    if (running !== undefined && running.since <= at) {
      running.abort.abort(reason);
      running.giveUp(reason);
    }
  }

  private ask(message: Message, prompt: string, password: boolean, signal: AbortSignal): Promise<string> {
    this.outputs.flush();
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      this.questions.push({ header: message.header, resolve, reject });
      this.sendTo(this.stdin, {
        identities: message.identities,
        header: newHeader("input_request", this.session),
        parent: message.header,
        metadata: {},
        content: { prompt, password },
        buffers: [],
      });
    });
  }

  private showError(error: unknown): void {
    this.outputs.error(this.sources.report(interruption(error) ?? error));
  }

  // Help while typing

  private async complete(channel: Channel, message: Message): Promise<void> {
    const { code, position } = cursor(message.content);
    const { start, end, candidates } = await this.cells.complete(code, position);
    this.reply(channel, message, "complete_reply", {
      status: "ok",
      matches: [...new Set(candidates)],
      cursor_start: codePoints(code, start),
      cursor_end: codePoints(code, end),
      metadata: {},
    });
  }

  private async inspect(channel: Channel, message: Message): Promise<void> {
    const { code, position } = cursor(message.content);
    const data = await this.explain(code, position);
    this.reply(channel, message, "inspect_reply", {
      status: "ok",
      found: data !== undefined,
      data: data ?? {},
      metadata: {},
    });
  }

  /** What `name?` shows in the front end's pager. */
  private async help(name: string): Promise<MimeBundle> {
    return (await this.explain(name, name.length)) ?? { "text/plain": `There is nothing called "${name}" here.` };
  }

  /** Type and documentation of what is at a position. */
  private async explain(code: string, position: number): Promise<MimeBundle | undefined> {
    // At the end of a word the cursor is behind it; a tooltip is wanted all the same.
    const found =
      (await this.cells.inspect(code, position)) ??
      (position > 0 ? await this.cells.inspect(code, position - 1) : null);
    if (found === null) return undefined;
    return {
      "text/plain": found.documentation === "" ? found.text : `${found.text}\n\n${found.documentation}`,
      "text/markdown": `\`\`\`typescript\n${found.text}\n\`\`\`\n\n${found.documentation}`,
    };
  }

  private async isComplete(channel: Channel, message: Message): Promise<void> {
    const { code } = cursor(message.content);
    this.reply(channel, message, "is_complete_reply", { ...(await this.cells.isComplete(code)) });
  }

  // Beginning and end

  private installHost(): void {
    const { outputs, comms } = this;
    const background = (): CommHost["cell"] => outputs.current?.cell;
    const host: CommHost = {
      version: 1,
      live: true,
      get cell() {
        return background();
      },
      openComm: (targetName, options) => comms.open(targetName, options, outputs.current?.outputHeader),
      registerTarget: (targetName, onOpen, options) => comms.registerTarget(targetName, onOpen, options),
      display: (data, options = {}) => outputs.display(data, options.metadata ?? {}, options.displayId, options.owner),
      updateDisplay: (displayId, data, options = {}) =>
        outputs.update(displayId, data, options.metadata ?? {}, options.owner),
      clearOutput: (options = {}) => outputs.clear(options.wait ?? false),
      stream: (name, text) => outputs.stream(name, text),
      input: (prompt, options = {}) => {
        const ask = outputs.current?.input;
        if (ask === undefined)
          return Promise.reject(
            new Error("input() is not possible here: this front end takes no input from the user."),
          );
        return ask(prompt, options.password ?? false);
      },
      capture: (sink, fn) => {
        const current = outputs.current;
        return current === undefined ? fn() : outputs.run({ ...current, silent: false, sink }, fn);
      },
      onShutdown: (listener, options = {}) => {
        if (options.signal?.aborted) return;
        this.shutdownListeners.add(listener);
        options.signal?.addEventListener("abort", () => this.shutdownListeners.delete(listener), { once: true });
      },
      showError: (error) => this.showError(error),
    };
    const scope = globalThis as { [COMM_HOST]?: CommHost; input?: CommHost["input"] };
    scope[COMM_HOST] = host;
    scope.input = (prompt = "", options) => host.input(String(prompt), options);
    const { interruptFlag } = this;
    (scope as Record<string, unknown>)[INTERRUPT_CHECK] = (): void => {
      // A loop that waits in every turn is ended when it goes on: the work of a handler, or of a cell that was given
      // up.
      if (this.interruptions > 0 && outputs.contexts.getStore()?.cell.signal.aborted === true)
        throw new InterruptedError();
      const request = Atomics.load(interruptFlag, 0);
      if (request <= this.requestTaken) return;
      this.requestTaken = request;
      throw new InterruptedError();
    };
    serveWidgetControl(host);
  }

  /** tslab's own API for cells (`display`, `newDisplay`), showing through this kernel. */
  private loadTslab(): unknown {
    const require = createRequire(__filename);
    const folder = dirname(require.resolve("tslab/package.json"));
    interface TslabDisplay {
      data: MimeBundle;
      metadata: JsonObject;
      transient?: { display_id?: string };
    }
    const jupyter = require(join(folder, "dist", "jupyter.js")) as {
      lastWriteDisplayData: ((data: TslabDisplay, update: boolean) => void) | null;
    };
    jupyter.lastWriteDisplayData = ({ data, metadata, transient }, update) => {
      const id = transient?.display_id;
      if (update && id !== undefined) this.outputs.update(id, data, metadata);
      else this.outputs.display(data, metadata, id);
    };
    return require("tslab");
  }

  private async shutdown(channel: Channel, message: Message, request?: number): Promise<void> {
    this.ending = true;
    const restart = message.content["restart"] === true;
    this.interrupt(now(), request);
    // Children end with the kernel, as they would with a terminal; detached ones may outlive it.
    signal(ownDescendants(), "SIGTERM");
    const limit = new Promise((resolve) => setTimeout(resolve, SHUTDOWN_MS));
    await Promise.race([limit, Promise.allSettled([...this.shutdownListeners].map(async (listener) => listener()))]);
    this.reply(channel, message, "shutdown_reply", { status: "ok", restart });
    this.publish("shutdown_reply", { status: "ok", restart }, message.header);
    this.idle(message.header);
    // zeromq's own thread reads the frames from this process' heap: it must be done with them before any heap is torn
    // down.
    await new Promise((resolve) => setTimeout(resolve, LINGER_MS));
    const { control } = this;
    const ended = control === undefined ? undefined : new Promise((resolve) => control.once("exit", resolve));
    this.tellControl({ type: "close" });
    this.closed = true;
    this.iopub.close();
    this.shell.close();
    this.stdin.close();
    // A process that ends while its threads tear down native code may abort.
    await Promise.race([
      Promise.all([ended, this.typescript.close()]),
      new Promise((resolve) => setTimeout(resolve, 1000)),
    ]);
    signal(ownDescendants(), "SIGKILL");
    this.exit(0);
  }
}

function newController(): AbortController {
  const controller = new AbortController();
  // Every step of a long computation listens to the one signal of its cell.
  setMaxListeners(0, controller.signal);
  return controller;
}

/** SIGINT in a loop without an await gives an error of Node's; in a cell it is an interrupt like any other. */
function interruption(error: unknown): InterruptedError | undefined {
  return endedBySignal(error) ? new InterruptedError() : undefined;
}

/** Code and cursor of a request; the protocol counts code points, TypeScript counts UTF-16 units. */
function cursor(content: JsonObject): { code: string; position: number } {
  const { code, cursor_pos: position } = content;
  if (typeof code !== "string") throw new TypeError("The request needs its code as text.");
  if (typeof position !== "number") return { code, position: code.length };
  return { code, position: [...code].slice(0, Math.max(0, position)).join("").length };
}

function codePoints(code: string, position: number): number {
  return [...code.slice(0, position)].length;
}

function kernelInfo(): JsonObject {
  const version = (name: string, from = __filename): string => {
    try {
      return (createRequire(from)(`${name}/package.json`) as { version: string }).version;
    } catch {
      return "";
    }
  };
  const own = JSON.parse(readFileSync(join(PACKAGE_ROOT, "package.json"), "utf8")) as { name: string; version: string };
  const typescript = version("typescript");
  return {
    status: "ok",
    protocol_version: MESSAGING_VERSION,
    implementation: own.name,
    implementation_version: own.version,
    language_info: {
      name: "typescript",
      version: typescript,
      mimetype: "text/typescript",
      file_extension: ".ts",
      pygments_lexer: "typescript",
      codemirror_mode: { name: "javascript", typescript: true, mode: "typescript" },
      nbconvert_exporter: "script",
    },
    banner: `TypeScript ${typescript} on Node ${process.version}, ${own.name} ${own.version}`,
    help_links: [{ text: "TypeScript handbook", url: "https://www.typescriptlang.org/docs/" }],
    debugger: false,
  };
}
