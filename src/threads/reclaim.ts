import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * V8 does not count shared memory as its own: a thread that drops many shared tensors would not collect them before its
 * small heap fills up, gigabytes later. This asks for a collection after so many bytes have passed through the thread.
 */
export class Reclaimer {
  #bytes = 0;
  #collect?: () => unknown;

  constructor(private readonly limit: number) {}

  note(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < this.limit) return;
    this.#bytes = 0;
    // Not at once: what the current task still holds would survive.
    setImmediate(() => (this.#collect ??= collector())()).unref();
  }
}

let collect: (() => unknown) | undefined;

/** Collects at once what nobody holds, and lets those know who wait for it to be collected. */
export async function collectGarbage(): Promise<void> {
  // The current task's own values survive a collection within it.
  await new Promise<void>((resolve) => setImmediate(resolve));
  (collect ??= collector())();
  await new Promise<void>((resolve) => setImmediate(resolve));
}

function collector(): () => unknown {
  setFlagsFromString("--expose-gc");
  const gc: unknown = runInNewContext("typeof gc === 'function' ? gc : undefined");
  return typeof gc === "function" ? (gc as () => unknown) : () => undefined;
}
