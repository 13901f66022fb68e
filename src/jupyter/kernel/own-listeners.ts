/**
 * The process listeners without which the kernel would end. Cells share the process: one that calls `process.removeAllListeners()`, or removes what it
 * finds, must not take the kernel's own with it.
 */

type Listener = (...args: never[]) => void;

const own: { readonly event: string; readonly listener: Listener }[] = [];

/** Adds a listener that stays. */
export function listenForGood(event: string, listener: Listener): void {
  if (own.length === 0) guard();
  own.push({ event, listener });
  process.on(event, listener as (...args: unknown[]) => void);
}

function putBack(): void {
  for (const { event, listener } of own) {
    if (!process.listeners(event as "exit").includes(listener as never)) process.on(event, listener as (...args: unknown[]) => void);
  }
}

function guard(): void {
  for (const name of ["removeAllListeners", "removeListener", "off"] as const) {
    const original = process[name] as (...args: unknown[]) => unknown;
    Object.defineProperty(process, name, {
      configurable: true,
      writable: true,
      value: function (this: NodeJS.Process, ...args: unknown[]): unknown {
        const result = original.apply(this, args);
        putBack();
        return result;
      },
    });
  }
}
