import { DISPLAY_ID, DISPLAYED, isLasting, type JsonObject } from "../comm-host";
import { mimeBundle, ownerOf } from "../ipywidgets/mime";
import { flushWidgets } from "../ipywidgets/registry";
import { Object, Promise, Set, setTimeout } from "../natives";
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
  /** Work that is over soon after `abort`, with what is there by then. */
  readonly finishing: Set<Promise<unknown>>;
  /** The user has interrupted it. */
  interrupted: boolean;
}

/** After an error, requests that are already on their way are collected for this long and aborted. */
const ABORT_WINDOW_MS = 20;

/** An interrupt waits this long for work that says that it is finishing. */
const FINISH_MS = 1000;
/** A cell then has this long to take what the work gave. */
const TAKE_MS = 10;

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
      const again = running.interrupted;
      running.interrupted = true;
      running.abort.abort(reason);
      if (again || running.finishing.size === 0) return running.giveUp(reason);
      const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
      void Promise.race([Promise.allSettled([...running.finishing]), pause(FINISH_MS)])
        .then(() => pause(TAKE_MS))
        .then(() => running.giveUp(reason));
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
    // Who interrupts a cell means those that wait too, also where it ended with what it had.
    const stop = (failed || cell.interrupted) && content["stop_on_error"] !== false;
    if (stop) {
      // What the front end sent before it could know of the error may still be in the socket.
      await new Promise((resolve) => setTimeout(resolve, ABORT_WINDOW_MS));
    }
    const aborted = stop ? this.#queue.splice(0) : [];
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
  ): RunningCell & { readonly givenUp: Promise<never>; reply: () => void } {
    const abort = newController();
    let giveUp: (reason: Error) => void = () => {};
    const givenUp = new Promise<never>((_, reject) => (giveUp = reject));
    givenUp.catch(() => {});
    const finishing = new Set<Promise<unknown>>();
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
        finishing: (work) => {
          const over = (): boolean => finishing.delete(work);
          finishing.add(work);
          work.then(over, over);
        },
        ...(count === undefined ? {} : { executionCount: count }),
      },
      silent,
      ...(silent ? {} : { place }),
      ...(allowInput
        ? { input: (prompt: string, password: boolean) => this.#ask(message, prompt, password, abort.signal) }
        : {}),
    };
    const running = {
      since: now(),
      context,
      abort,
      giveUp,
      givenUp,
      finishing,
      interrupted: false,
      reply: () => {},
    };
    this.#running = running;
    if (!silent) this.parts.outputs.setFallback(context);
    return running;
  }

  /** Runs a cell's code and prepares its reply. True when it failed. */
  async #runCell(
    message: Message,
    code: string,
    count: number,
    cell: RunningCell & { readonly givenUp: Promise<never>; reply: () => void },
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
      const value = await this.parts.cells.run(code, name, cell.givenUp);
      const bundle =
        value === undefined || value === null || silent
          ? undefined
          : await Promise.race([mimeBundle(value), cell.givenUp]);
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
          await Promise.race([value[DISPLAYED](), cell.givenUp]);
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
  async #evaluate(expressions: unknown, cell: { readonly givenUp: Promise<never> }): Promise<JsonObject> {
    const values: JsonObject = {};
    if (typeof expressions !== "object" || expressions === null) return values;
    for (const [key, code] of Object.entries(expressions)) {
      try {
        const value = await this.parts.cells.run(`(${String(code)})`, `expression [${key}]`, cell.givenUp, false);
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
