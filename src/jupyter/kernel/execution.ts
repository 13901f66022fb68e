import { DISPLAY_ID, DISPLAYED, isLasting, type JsonObject } from "../comm-host";
import { mimeBundle, ownerOf } from "../ipywidgets/mime";
import { flushWidgets } from "../ipywidgets/registry";
import { Object, Promise, setTimeout } from "../natives";
import type { Cells } from "./cells";
import type { Channels } from "./channels";
import type { CellSources } from "./errors";
import type { History } from "./history";
import { help } from "./info";
import { interruption, newController, now } from "./interrupts";
import type { Outputs, RequestContext } from "./outputs";
import { cellOf, deletedCells } from "./shown";
import type { Header, Message } from "./wire";

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

/** After an error, requests that are already on their way are collected for this long and aborted. */
const ABORT_WINDOW_MS = 20;

/** What cells run with. */
export interface ExecutionParts {
  readonly channels: Channels;
  readonly outputs: Outputs;
  readonly cells: Cells;
  readonly sources: CellSources;
  readonly history: History;
  /** Puts back what code of a cell has replaced and the kernel needs. */
  readonly mend: () => void;
}

/** Runs cells, one after the other. */
export class Execution {
  readonly #channels: Channels;
  /** Header of a cell's request → the cell's name in `Shown`: handlers show what they show there. */
  readonly #places = new WeakMap<object, string>();
  readonly #queue: QueuedCell[] = [];
  readonly #questions: { resolve(answer: string): void; reject(reason: Error): void }[] = [];
  #running: RunningCell | undefined;
  #pumping = false;
  #executionCount = 0;
  #ended = false;

  constructor(private readonly parts: ExecutionParts) {
    this.#channels = parts.channels;
  }

  /** Runs the cell of a request after those that wait already. */
  add(message: Message): void {
    this.#queue.push({ message });
    void this.#pump();
  }

  /** The request whose cell runs now. */
  get header(): Header | undefined {
    return this.#running?.context.header;
  }

  /** Where what a cell's handlers show belongs; undefined for a request that was no cell's. */
  placeOf(header: object): string | undefined {
    return this.#places.get(header);
  }

  /** The user's answer to the oldest question. */
  answer(value: string): void {
    this.#questions.shift()?.resolve(value);
  }

  /** Gives up the cell that runs, unless it began after `at`, and takes back what was asked. */
  interrupt(reason: Error, at: bigint): void {
    for (const question of this.#questions.splice(0)) question.reject(reason);
    const running = this.#running;
    if (running !== undefined && running.since <= at) {
      running.abort.abort(reason);
      running.giveUp(reason);
    }
  }

  /** No further cell begins. */
  end(): void {
    this.#ended = true;
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined && !this.#ended; next = this.#queue.shift())
        await this.#execute(next.message);
    } finally {
      this.#pumping = false;
    }
  }

  async #execute(message: Message): Promise<void> {
    const { header, content } = message;
    this.#channels.status("busy", header);
    const code = content["code"];
    if (typeof code !== "string") {
      this.#channels.reply("shell", message, "execute_reply", {
        status: "error",
        ...this.parts.sources.report(new TypeError("An execute_request needs its code as text.")),
        execution_count: this.#executionCount,
      });
      return this.#channels.status("idle", header);
    }
    const silent = content["silent"] === true;
    const store = !silent && content["store_history"] !== false;
    if (store) this.parts.history.add(++this.#executionCount, code);
    const count = this.#executionCount;
    if (!silent) this.#channels.publish("execute_input", { code, execution_count: count }, header);
    const cell = this.#enterCell(message, silent, silent ? undefined : count);
    const failed = await this.parts.outputs.run(cell.context, () =>
      this.#runCell(message, code, count, cell, silent, store),
    );
    this.parts.mend();
    this.#running = undefined;
    // Promises that raced against it hold what the cell gave; work that goes on, or a run that is kept, holds the cell.
    cell.giveUp(new Error("The cell has ended."));
    if (failed && content["stop_on_error"] !== false) {
      // What the front end sent before it could know of the error may still be in the socket.
      await new Promise((resolve) => setTimeout(resolve, ABORT_WINDOW_MS));
    }
    const aborted = failed && content["stop_on_error"] !== false ? this.#queue.splice(0) : [];
    cell.reply();
    this.#channels.status("idle", header);
    for (const one of aborted) {
      this.#channels.status("busy", one.message.header);
      this.#channels.reply("shell", one.message, "execute_reply", {
        status: "aborted",
        execution_count: this.#executionCount,
      });
      this.#channels.status("idle", one.message.header);
    }
  }

  #enterCell(
    message: Message,
    silent: boolean,
    count: number | undefined,
  ): RunningCell & { readonly interrupted: Promise<never>; reply: () => void } {
    const abort = newController();
    let giveUp: (reason: Error) => void = () => {};
    const interrupted = new Promise<never>((_, reject) => (giveUp = reject));
    interrupted.catch(() => {});
    const place = cellOf(message.metadata, String(message.content["code"]));
    this.#places.set(message.header, place);
    if (!silent) for (const gone of [place, ...deletedCells(message.metadata)]) this.parts.outputs.shown.clear(gone);
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
        ? { input: (prompt: string, password: boolean) => this.#ask(message, prompt, password, abort.signal) }
        : {}),
    };
    const running = { since: now(), context, abort, giveUp, interrupted, reply: () => {} };
    this.#running = running;
    if (!silent) this.parts.outputs.setFallback(context);
    return running;
  }

  /** Runs a cell's code and prepares its reply. True when it failed. */
  async #runCell(
    message: Message,
    code: string,
    count: number,
    cell: RunningCell & { readonly interrupted: Promise<never>; reply: () => void },
    silent: boolean,
    store: boolean,
  ): Promise<boolean> {
    const name = store ? `cell [${count}]` : `cell [*]`;
    try {
      const page = await help(this.parts.cells, code);
      if (page !== undefined) {
        cell.reply = () =>
          this.#channels.reply("shell", message, "execute_reply", {
            status: "ok",
            execution_count: count,
            user_expressions: {},
            payload: [{ source: "page", data: page, start: 0 }],
          });
        return false;
      }
      const value = await this.parts.cells.run(code, name, cell.interrupted);
      const bundle =
        value === undefined || value === null || silent
          ? undefined
          : await Promise.race([mimeBundle(value), cell.interrupted]);
      const expressions = await this.#evaluate(message.content["user_expressions"], cell);
      flushWidgets();
      this.parts.outputs.flush();
      if (bundle !== undefined) {
        const owner = ownerOf(value);
        if (isLasting(value)) this.parts.outputs.display(bundle, {}, value[DISPLAY_ID], owner);
        else {
          if (cell.context.place !== undefined)
            this.parts.outputs.shown.add(cell.context.place, bundle, undefined, owner);
          this.#channels.publish(
            "execute_result",
            { execution_count: count, data: bundle, metadata: {} },
            message.header,
          );
        }
        if (store)
          this.parts.history.setOutput(count, typeof bundle["text/plain"] === "string" ? bundle["text/plain"] : "");
        if (isLasting(value)) {
          await Promise.race([value[DISPLAYED](), cell.interrupted]);
          this.parts.outputs.flush();
        }
      }
      cell.reply = () =>
        this.#channels.reply("shell", message, "execute_reply", {
          status: "ok",
          execution_count: count,
          user_expressions: expressions,
          payload: [],
        });
      return false;
    } catch (error) {
      const interrupted = interruption(error);
      const report = this.parts.sources.report(interrupted ?? error, name);
      flushWidgets();
      this.parts.outputs.error(report);
      cell.reply = () =>
        this.#channels.reply("shell", message, "execute_reply", { status: "error", execution_count: count, ...report });
      return true;
    }
  }

  /** Values of `user_expressions`, each a bundle or an error. */
  async #evaluate(expressions: unknown, cell: { readonly interrupted: Promise<never> }): Promise<JsonObject> {
    const values: JsonObject = {};
    if (typeof expressions !== "object" || expressions === null) return values;
    for (const [key, code] of Object.entries(expressions)) {
      try {
        const value = await this.parts.cells.run(`(${String(code)})`, `expression [${key}]`, cell.interrupted, false);
        values[key] = { status: "ok", data: await mimeBundle(value), metadata: {} };
      } catch (error) {
        values[key] = { status: "error", ...this.parts.sources.report(error) };
      }
    }
    return values;
  }

  #ask(message: Message, prompt: string, password: boolean, signal: AbortSignal): Promise<string> {
    this.parts.outputs.flush();
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      this.#questions.push({ resolve, reject });
      this.#channels.ask(message, prompt, password);
    });
  }
}
