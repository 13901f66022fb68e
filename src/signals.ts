/**
 * One signal out of several, without `AbortSignal.any`: on Node 20 that holds its sources weakly, so that a timeout
 * which nothing else holds is collected and never comes, and each call leaves an entry at a source that lives long.
 */
export interface Followed {
  /** Aborts with the reason of the first source that does. */
  readonly signal: AbortSignal;
  /** Lets go of the sources. Call it when the work is over; afterwards `signal` aborts no more. */
  readonly release: () => void;
}

/** Follows signals; those that are undefined or null count as none. Until `release`, each source holds the result. */
export function follow(...sources: readonly (AbortSignal | null | undefined)[]): Followed {
  const controller = new AbortController();
  const held = sources.filter((source) => source !== undefined && source !== null);
  const abort = (event: Event): void => {
    release();
    controller.abort((event.target as AbortSignal).reason);
  };
  const release = (): void => {
    for (const source of held.splice(0)) source.removeEventListener("abort", abort);
  };
  const over = held.find((source) => source.aborted);
  if (over !== undefined) {
    held.length = 0;
    controller.abort(over.reason);
  }
  for (const source of held) source.addEventListener("abort", abort);
  return { signal: controller.signal, release };
}
