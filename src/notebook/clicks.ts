/**
 * Clicks come first: what is only prepared (for the notebook file, say) waits while a page asks, and for a moment
 * after, because clicks come in rows. One for the process: pictures of several runs share a model and its threads.
 */
import { follow } from "../signals";

/** Milliseconds without a question after which there is time for other work. */
const PAUSE_MS = 700;
/** Other work is not put off longer than this in one go: a page that asks without end must not stop it. */
const MOST_MS = 20_000;

/** Work that was interrupted as often goes through in the end. */
const MOST_INTERRUPTIONS = 30;

const interrupts = new Set<() => void>();
let open = 0;
let last = -Infinity;

/** Computes the answer to a page's question; other work waits meanwhile. */
export async function asked<T>(answer: () => Promise<T>): Promise<T> {
  open++;
  last = performance.now();
  for (const interrupt of [...interrupts]) interrupt();
  try {
    return await answer();
  } finally {
    open--;
    last = performance.now();
  }
}

/** Whether a page asks, or has just asked. */
export const clicking = (): boolean => open > 0 || performance.now() - last < PAUSE_MS;

/** Resolves when no page has asked for a moment. Rejects when `signal` aborts. */
export async function quiet(signal: AbortSignal): Promise<void> {
  const begun = performance.now();
  while (clicking() && performance.now() - begun < MOST_MS) {
    signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  signal.throwIfAborted();
}

/**
 * Does long work when no page asks, and ends it where one does, to begin again later: for work that remembers what it
 * has done so far. Rejects when `signal` aborts.
 */
export async function calmly<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  for (let interruptions = 0; ; interruptions++) {
    await quiet(signal);
    const click = new AbortController();
    const interrupt = (): void => click.abort();
    if (interruptions < MOST_INTERRUPTIONS) interrupts.add(interrupt);
    const both = follow(signal, click.signal);
    try {
      return await work(both.signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!click.signal.aborted) throw error;
    } finally {
      both.release();
      interrupts.delete(interrupt);
    }
  }
}
