/** What was here before any cell ran: cells may replace it. */
const { Map: OwnMap, Promise: OwnPromise, setTimeout: startTimer, clearTimeout: stopTimer } = globalThis;

interface Pending<Answer, Context> {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
  readonly context: Context | undefined;
}

export interface RequestTerms<Context> {
  /** Each gives the request up when it aborts, with its reason. */
  readonly signals?: readonly (AbortSignal | undefined)[];
  /** Milliseconds after which it is given up. Default: none. */
  readonly timeout?: number;
  /** What a request that took too long rejects with. */
  readonly late?: () => Error;
  /** Called when a signal or the time gives it up: tells the other side. */
  readonly givenUp?: () => void;
  /** What who asked keeps beside the request. */
  readonly context?: Context;
}

/**
 * Requests that another side has not answered yet: a thread, a front end, a kernel. Each ends once, by its answer, an
 * error, a signal or its time; what comes later, or for an id that nobody asked under, is passed over.
 */
export class Requester<Id, Answer, Context = never> {
  readonly #pending = new OwnMap<Id, Pending<Answer, Context>>();

  /** @param idle called when the last request has ended. */
  constructor(private readonly idle: () => void = () => undefined) {}

  /** How many are under way. */
  get size(): number {
    return this.#pending.size;
  }

  /** Whether a request of this id is under way. */
  has(id: Id): boolean {
    return this.#pending.has(id);
  }

  /** What was given with a request; undefined where it has ended. */
  context(id: Id): Context | undefined {
    return this.#pending.get(id)?.context;
  }

  /**
   * @param send sends the request, after room was made for its answer; what it throws is what the request rejects with
   */
  ask(id: Id, send: () => void, terms: RequestTerms<Context> = {}): Promise<Answer> {
    const signals = (terms.signals ?? []).filter((signal) => signal !== undefined);
    const aborted = signals.find((signal) => signal.aborted);
    if (aborted) return OwnPromise.reject(aborted.reason as Error);
    return new OwnPromise<Answer>((resolve, reject) => {
      let timer: ReturnType<typeof startTimer> | undefined;
      const listeners = signals.map((signal) => {
        const listener = (): void => giveUp(signal.reason);
        signal.addEventListener("abort", listener);
        return (): void => signal.removeEventListener("abort", listener);
      });
      const end = (how: () => void): void => {
        if (!this.#pending.delete(id)) return;
        stopTimer(timer);
        for (const remove of listeners) remove();
        how();
        if (this.#pending.size === 0) this.idle();
      };
      const giveUp = (reason: unknown): void =>
        end(() => {
          reject(reason);
          terms.givenUp?.();
        });
      this.#pending.set(id, {
        resolve: (answer) => end(() => resolve(answer)),
        reject: (error) => end(() => reject(error)),
        context: terms.context,
      });
      if (terms.timeout !== undefined)
        timer = startTimer(
          () => giveUp(terms.late?.() ?? new Error(`There was no answer within ${terms.timeout} ms.`)),
          terms.timeout,
        );
      try {
        send();
      } catch (error) {
        end(() => reject(error));
      }
    });
  }

  resolve(id: Id, answer: Answer): void {
    this.#pending.get(id)?.resolve(answer);
  }

  reject(id: Id, error: unknown): void {
    this.#pending.get(id)?.reject(error);
  }

  /** The other side is gone. */
  rejectAll(error: unknown): void {
    for (const { reject } of [...this.#pending.values()]) reject(error);
  }
}
