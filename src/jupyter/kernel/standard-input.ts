import { closeSync, openSync } from "node:fs";
import { Readable } from "node:stream";

const SENTENCE = 'A notebook has no standard input to read from: ask with const answer = await input("Your name?").';

/** Events by which reading a stream begins. */
const READING: ReadonlySet<unknown> = new Set(["data", "readable", "end", "keypress"]);

type Method = (...args: unknown[]) => unknown;

/**
 * A stream that cannot be read: each way to begin throws, so that code that waits for a line is told instead of waiting
 * for ever.
 */
function unreadable(): Readable {
  const refuse = (): never => {
    throw new Error(SENTENCE);
  };
  const stream = new Readable({ read: refuse });
  const methods = stream as unknown as Record<string | symbol, Method>;
  for (const name of ["on", "once", "addListener", "prependListener"]) {
    const original = methods[name];
    methods[name] = (...args) => (READING.has(args[0]) ? refuse() : original.apply(stream, args));
  }
  for (const name of ["read", "resume", "pipe", "setRawMode", Symbol.asyncIterator]) methods[name] = refuse;
  return Object.assign(stream, { fd: 0, isTTY: false });
}

/**
 * Reading from `process.stdin` in a cell, as `readline.question` does, is an error of one sentence: nobody can type
 * there, and it would wait for ever. The descriptor itself reads as an empty file.
 */
export function refuseStandardInput(): void {
  const stdin = unreadable();
  Object.defineProperty(process, "stdin", { configurable: true, enumerable: true, get: () => stdin });
  if (process.platform === "win32") return;
  try {
    // The lowest free descriptor is taken: 0 again.
    closeSync(0);
    openSync("/dev/null", "r");
  } catch {
    // It was closed already.
  }
}
