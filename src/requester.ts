/** What was here before any cell ran: cells may replace it. */
const { Map: OwnMap, Set: OwnSet, Promise: OwnPromise, setTimeout: startTimer, clearTimeout: stopTimer } = globalThis;

type GiveUp = (reason: unknown) => void;

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
  /** What each signal gives up: one listener for all, because Node takes more than ten on one signal for a leak. */
  readonly #signals = new OwnMap<AbortSignal, { readonly given: Set<GiveUp>; readonly listener: () => void }>();

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
      const giveUp: GiveUp = (reason) =>
        end(() => {
          reject(reason);
          terms.givenUp?.();
        });
      const end = (how: () => void): void => {
        if (!this.#pending.delete(id)) return;
        stopTimer(timer);
        for (const signal of signals) this.#leave(signal, giveUp);
        how();
        if (this.#pending.size === 0) this.idle();
      };
      for (const signal of signals) this.#listen(signal, giveUp);
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

  #listen(signal: AbortSignal, giveUp: GiveUp): void {
    const known = this.#signals.get(signal);
    if (known) return void known.given.add(giveUp);
    const given = new OwnSet([giveUp]);
    const listener = (): void => {
      const failures: unknown[] = [];
      // Each one leaves the set as it ends.
      for (const end of [...given]) {
        try {
          end(signal.reason);
        } catch (error) {
          failures.push(error);
        }
      }
      if (failures.length > 0) throw failures[0];
    };
    this.#signals.set(signal, { given, listener });
    signal.addEventListener("abort", listener);
  }

  #leave(signal: AbortSignal, giveUp: GiveUp): void {
    const known = this.#signals.get(signal);
    if (!known?.given.delete(giveUp) || known.given.size > 0) return;
    this.#signals.delete(signal);
    signal.removeEventListener("abort", known.listener);
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
