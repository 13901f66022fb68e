import type { Selection, WrittenSelection } from "../../src/protocol";
import { changedSelection } from "../../src/protocol";

/**
 * The one selection that the pictures of a run share. Pictures listen to it, never to each other; every write says
 * who wrote.
 */
export class SelectionStore {
  #value: WrittenSelection;
  readonly #listeners = new Set<(selection: WrittenSelection) => void>();

  constructor(initial: Selection) {
    this.#value = { ...initial, writer: "" };
  }

  get value(): WrittenSelection {
    return this.#value;
  }

  /** Changes parts of the selection. Nothing happens where they are what they were. */
  set(change: Partial<Selection>, writer: string): void {
    const next = changedSelection(this.#value, change);
    if (JSON.stringify({ ...next, writer: "" }) === JSON.stringify({ ...this.#value, writer: "" })) return;
    this.#value = { ...next, writer };
    for (const listener of [...this.#listeners]) listener(this.#value);
  }

  /** Calls `listener` on each change until `signal` aborts. */
  subscribe(listener: (selection: WrittenSelection) => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#listeners.add(listener);
    signal.addEventListener("abort", () => this.#listeners.delete(listener), { once: true });
  }
}

let counter = 0;

/** A name for a writer, unlike any other on this page and, in all likelihood, anywhere. */
export function writerName(): string {
  return `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}-${++counter}`;
}
