import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { JsonObject } from "../comm-host";
import { JSON, Promise, restoreNatives, Set, setTimeout, performance } from "../natives";
import { Cells } from "./cells";
import { Channels, type Channel, type ConnectionInfo, type Origin } from "./channels";
import { captureChildren } from "./child-output";
import { CommManager } from "./comms";
import { CellSources, ExitError, InterruptedError } from "./errors";
import { Execution } from "./execution";
import { History } from "./history";
import { installHost, loadTslab } from "./host";
import { completeness, completions, inspection, kernelInfo } from "./info";
import { interruption, Interrupts, now } from "./interrupts";
import { Outputs, type RequestContext } from "./outputs";
import { listenForGood } from "./own-listeners";
import { ownDescendants, signal } from "./processes";
import { refuseStandardInput } from "./standard-input";
import { TypescriptService } from "./typescript-service";
import type { Header, Message } from "./wire";

/** A comm's handler that takes longer than this is worth a "busy" in the front end. */
const NOTICED_MS = 100;
/** How long the listeners of `onShutdown` may take. */
const SHUTDOWN_MS = 2000;
/** How long sockets and threads may take to close. */
const CLOSE_MS = 1100;

/** Child processes at once that are told from those that a cell sleeps for. */
const MOST_CHILDREN = 1024;

const PACKAGE_ROOT = join(__dirname, "../../..");

/**
 * A Jupyter kernel (messaging protocol 5.4) for TypeScript cells. Cells run here, in the main thread; translation has a
 * thread of its own, as have the control channel and the heartbeat.
 */
export class Kernel {
  readonly #channels: Channels;
  readonly #execution: Execution;
  readonly #typescript: TypescriptService;
  readonly #outputs: Outputs;
  readonly #comms: CommManager;
  readonly #cells: Cells;
  readonly #sources = new CellSources();
  readonly #history = new History();
  readonly #shutdownListeners = new Set<() => void | Promise<void>>();
  readonly #slowComms = new Set<unknown>();
  readonly #interrupts = new Interrupts();
  /** Ids of child processes that run beside the cells. */
  readonly #children = new Int32Array(new SharedArrayBuffer(4 * MOST_CHILDREN));
  readonly #exit = process.exit.bind(process);
  #ending = false;

  constructor(connection: ConnectionInfo, cwd: string) {
    this.#channels = new Channels(connection, {
      before: () => this.#mend(),
      message: (channel, message, origin) => this.#receive(channel, message, origin),
      answer: (value) => this.#execution.answer(value),
    });
    const channels = this.#channels;
    const { name } = JSON.parse(readFileSync(join(PACKAGE_ROOT, "package.json"), "utf8")) as { name: string };
    this.#typescript = new TypescriptService({ cwd, packageRoot: PACKAGE_ROOT, packageName: name });
    this.#outputs = new Outputs((type, content, parent) => channels.publish(type, content, parent));
    this.#comms = new CommManager(
      (type, content, metadata, buffers) => {
        this.#outputs.flush();
        channels.publish(type, content, this.#outputs.current?.header ?? {}, metadata, buffers);
      },
      (error) => this.#showError(error),
    );
    this.#cells = new Cells({
      cwd,
      packageName: name,
      packageRoot: PACKAGE_ROOT,
      typescript: this.#typescript,
      sources: this.#sources,
      mend: () => this.#mend(),
      signalTaken: () => void this.#interrupts.takeSignal(),
      loadTslab: () => loadTslab(this.#outputs),
    });
    this.#execution = new Execution({
      channels,
      outputs: this.#outputs,
      cells: this.#cells,
      sources: this.#sources,
      history: this.#history,
      mend: () => this.#mend(),
    });
  }

  /** Binds the sockets, then starts what takes longer. Rejects where an address cannot be bound. */
  async start(): Promise<void> {
    const channels = this.#channels;
    await channels.bind({ flag: this.#interrupts.flag.buffer, children: this.#children.buffer });
    this.#sources.install();
    channels.status("starting", {});
    installHost({
      outputs: this.#outputs,
      comms: this.#comms,
      interrupts: this.#interrupts,
      onShutdown: (listener, signal) => {
        this.#shutdownListeners.add(listener);
        signal?.addEventListener("abort", () => this.#shutdownListeners.delete(listener), { once: true });
      },
      showError: (error) => this.#showError(error),
    });
    this.#outputs.captureProcess();
    captureChildren(this.#children);
    refuseStandardInput();
    this.#guardExit();
    listenForGood("SIGINT", () => {
      // The control thread's own comes with a message that interrupts; late, it would hit the next cell.
      if (!this.#interrupts.takeSignal()) this.#interrupt(now());
    });
    listenForGood("uncaughtException", (error: unknown) => this.#showError(error));
    listenForGood("unhandledRejection", (reason: unknown) => this.#showError(reason));
    listenForGood("exit", () => this.#outputs.flush());
    channels.read();
    this.#typescript.warmUp();
  }

  /** A cell that calls `process.exit` ends itself, not the kernel and with it everybody's variables. */
  #guardExit(): void {
    process.exit = (code?: number | string | null) => {
      if (this.#outputs.contexts.getStore() === undefined) return this.#exit(code);
      throw new ExitError(code ?? process.exitCode ?? 0);
    };
  }

  /** Takes one message; never throws. */
  #receive(channel: Channel, message: Message, origin: Origin): void {
    if (this.#ending) return;
    if (message.header.msg_type === "execute_request" && channel === "shell") return this.#execution.add(message);
    // A front end repaints when it hears "busy"; that must not stand between a click and its answer.
    const answerFirst = message.header.msg_type === "comm_msg" && !this.#slowComms.has(message.content["comm_id"]);
    if (!answerFirst) this.#channels.status("busy", message.header);
    const begun = performance.now();
    const finish = (): void => {
      if (answerFirst) this.#channels.status("busy", message.header);
      this.#idle(message.header);
    };
    try {
      const work = this.#handle(channel, message, origin);
      this.#noteSpeed(message, performance.now() - begun);
      if (work instanceof Promise) work.catch((error: unknown) => this.#fail(channel, message, error)).finally(finish);
      else finish();
    } catch (error) {
      this.#fail(channel, message, error);
      finish();
    }
  }

  /** A comm whose handler kept the kernel busy says so first the next time. */
  #noteSpeed({ header, content }: Message, milliseconds: number): void {
    if (header.msg_type === "comm_msg" && milliseconds > NOTICED_MS) this.#slowComms.add(content["comm_id"]);
    else if (header.msg_type.startsWith("comm_")) this.#slowComms.delete(content["comm_id"]);
  }

  /** An error reply for a request that could not be answered. */
  #fail(channel: Channel, message: Message, error: unknown): void {
    const type = message.header.msg_type.replace(/_request$/, "_reply");
    if (type !== message.header.msg_type)
      this.#channels.reply(channel, message, type, { status: "error", ...this.#sources.report(error) });
    else this.#showError(error);
  }

  #handle(channel: Channel, message: Message, { at, request }: Origin): void | Promise<void> {
    const { content } = message;
    switch (message.header.msg_type) {
      case "kernel_info_request":
        return this.#channels.reply(channel, message, "kernel_info_reply", kernelInfo(PACKAGE_ROOT));
      case "comm_info_request": {
        const target = content["target_name"];
        return this.#channels.reply(channel, message, "comm_info_reply", {
          status: "ok",
          comms: this.#comms.info(typeof target === "string" ? target : undefined),
        });
      }
      case "comm_open":
      case "comm_msg":
      case "comm_close":
        return this.#outputs.run(this.#commContext(message), () => this.#comms.receive(message));
      case "complete_request":
        return this.#answer(channel, message, completions(this.#cells, content));
      case "inspect_request":
        return this.#answer(channel, message, inspection(this.#cells, content));
      case "is_complete_request":
        return this.#answer(channel, message, completeness(this.#cells, content));
      case "history_request":
        return this.#channels.reply(channel, message, "history_reply", {
          status: "ok",
          history: this.#history.query(content),
        });
      case "interrupt_request":
        this.#channels.taken();
        this.#interrupt(at, request);
        return this.#channels.reply(channel, message, "interrupt_reply", { status: "ok" });
      case "shutdown_request":
        this.#channels.taken();
        return this.#shutdown(channel, message, request);
      default:
        // As the protocol asks: no reply to what is not known.
        return;
    }
  }

  async #answer(channel: Channel, message: Message, content: Promise<JsonObject>): Promise<void> {
    const type = message.header.msg_type.replace(/_request$/, "_reply");
    this.#channels.reply(channel, message, type, await content);
  }

  #commContext(message: Message): RequestContext {
    const { header } = message;
    const outputHeader = this.#comms.owner(message) ?? header;
    const place = this.#execution.placeOf(outputHeader);
    return {
      header,
      outputHeader,
      ...(place === undefined ? {} : { place }),
      cell: { messageId: header.msg_id, signal: this.#interrupts.background },
      silent: false,
    };
  }

  #idle(parent: Header): void {
    this.#outputs.flush();
    this.#channels.status("idle", parent);
    // The kernel shows as what the last status says; while a cell runs that is busy.
    const running = this.#execution.header;
    if (running !== undefined) this.#channels.status("busy", running);
  }

  /** Puts back what a cell has replaced and the kernel needs, and says so below the cell. */
  #mend(): void {
    const names = restoreNatives();
    if (names === undefined) return;
    const shown = names.slice(0, 5).join(", ") + (names.length > 5 ? ` and ${names.length - 5} more` : "");
    this.#outputs.stream(
      "stderr",
      `${shown} had been replaced or removed, and ${names.length === 1 ? "was" : "were"} put back: the kernel, which shares the process with cells, needs ${names.length === 1 ? "it" : "them"}.\n`,
    );
  }

  /**
   * @param at When it was asked for, by the clock `now`: a cell that began later was not meant.
   * @param request Its number, where the control thread may have raised the flag for it.
   */
  #interrupt(at: bigint, request = 0): void {
    const reason = new InterruptedError();
    this.#interrupts.take(reason, request);
    this.#execution.interrupt(reason, at);
  }

  #showError(error: unknown): void {
    this.#outputs.error(this.#sources.report(interruption(error) ?? error));
  }

  async #shutdown(channel: Channel, message: Message, request?: number): Promise<void> {
    this.#ending = true;
    this.#execution.end();
    const restart = message.content["restart"] === true;
    this.#interrupt(now(), request);
    // Children end with the kernel, as they would with a terminal; detached ones may outlive it.
    signal(ownDescendants(), "SIGTERM");
    const limit = new Promise((resolve) => setTimeout(resolve, SHUTDOWN_MS));
    await Promise.race([limit, Promise.allSettled([...this.#shutdownListeners].map(async (listener) => listener()))]);
    this.#channels.reply(channel, message, "shutdown_reply", { status: "ok", restart });
    this.#channels.publish("shutdown_reply", { status: "ok", restart }, message.header);
    this.#idle(message.header);
    // A process that ends while its threads tear down native code may abort.
    await Promise.race([
      Promise.all([this.#channels.close(), this.#typescript.close()]),
      new Promise((resolve) => setTimeout(resolve, CLOSE_MS)),
    ]);
    signal(ownDescendants(), "SIGKILL");
    this.#exit(0);
  }
}
