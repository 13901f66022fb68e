import { setMaxListeners } from "node:events";
import { AbortController } from "../natives";
import { endedBySignal, InterruptedError } from "./errors";

/** Monotonic, in nanoseconds, the same in every thread; kept, because cells may replace what `process` has. */
export const now: () => bigint = process.hrtime.bigint.bind(process.hrtime);

/**
 * What the main thread and the control thread know together of interrupts. A loop that keeps the main thread is ended by a
 * flag, which names the request that it was raised for, and by SIGINT, which is counted where it arrives: neither hits
 * the cell after the one that was meant.
 */
export class Interrupts {
  /** Shared with the control thread: the request for which loops shall end; how often that thread sent SIGINT. */
  readonly flag = new Int32Array(new SharedArrayBuffer(8));
  /** The last of these requests that has been dealt with: the flag may be raised a moment later. */
  #requestTaken = 0;
  /** How many of these SIGINTs have arrived. */
  #signalsTaken = 0;
  /** How often the user has interrupted; as long as never, loops need not look whose they are. */
  #count = 0;
  #current = newController();

  /** Aborted at each interrupt, for work that comm messages started. */
  get background(): AbortSignal {
    return this.#current.signal;
  }

  /** True when a SIGINT that has arrived is the control thread's. */
  takeSignal(): boolean {
    if (this.#signalsTaken === Atomics.load(this.flag, 1)) return false;
    this.#signalsTaken++;
    return true;
  }

  /**
   * The user has interrupted.
   * @param request The request's number, where the control thread may have raised the flag for it.
   */
  take(reason: Error, request = 0): void {
    this.#count++;
    this.#requestTaken = Math.max(this.#requestTaken, request);
    const before = this.#current;
    this.#current = newController();
    before.abort(reason);
  }

  /**
   * What each loop of a cell calls in every turn. A loop that waits in every turn is ended when it goes on: the work of a
   * handler, or of a cell that was given up; `own` is the signal that its work listens to.
   */
  check(own: () => AbortSignal | undefined): void {
    if (this.#count > 0 && own()?.aborted === true) throw new InterruptedError();
    const request = Atomics.load(this.flag, 0);
    if (request <= this.#requestTaken) return;
    this.#requestTaken = request;
    throw new InterruptedError();
  }
}

/** Every step of a long computation listens to the one signal of its cell. */
export function newController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/** SIGINT in a loop without an await gives an error of Node's; in a cell it is an interrupt like any other. */
export function interruption(error: unknown): InterruptedError | undefined {
  return endedBySignal(error) ? new InterruptedError() : undefined;
}
