/**
 * The process listeners without which the kernel would end. Cells share the process: one that calls
 * `process.removeAllListeners()`, or removes what it finds, must not take the kernel's own with it.
 */

type Listener = (...args: never[]) => void;

const own: { readonly event: string; readonly listener: Listener }[] = [];

/** Adds a listener that stays. */
export function listenForGood(event: string, listener: Listener): void {
  if (own.length === 0) guard();
  own.push({ event, listener });
  process.on(event, listener as (...args: unknown[]) => void);
}

let handedOver = 0;

/**
 * Runs `fn`, during which Node may take listeners away and give them back itself, as it does around code that SIGINT
 * shall end. What is missing afterwards is put back then.
 */
export function handOver<T>(fn: () => T): T {
  handedOver++;
  try {
    return fn();
  } finally {
    handedOver--;
    putBack();
  }
}

function putBack(): void {
  for (const { event, listener } of own) {
    if (!process.listeners(event as "exit").includes(listener as never))
      process.on(event, listener as (...args: unknown[]) => void);
  }
}

function guard(): void {
  // Node's own, by which a listener of a signal begins to hear it.
  for (const event of ["newListener", "removeListener"])
    for (const listener of process.listeners(event as "exit")) own.push({ event, listener: listener });
  for (const name of ["removeAllListeners", "removeListener", "off"] as const) {
    const original = process[name] as (...args: unknown[]) => unknown;
    Object.defineProperty(process, name, {
      configurable: true,
      writable: true,
      value: function (this: NodeJS.Process, ...args: unknown[]): unknown {
        const result = original.apply(this, args);
        if (handedOver === 0) putBack();
        return result;
      },
    });
  }
}
