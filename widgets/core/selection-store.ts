import type { Selection, WrittenSelection } from "../../src/protocol";
import { changedSelection } from "../../src/protocol";

/** So many places can be gone back to. */
const MOST_REMEMBERED = 200;

type LookedAt = Pick<
  Selection,
  "start" | "origin" | "contrast" | "secondContrast" | "focus" | "head" | "neuron" | "token"
>;

const lookedAt = ({ start, origin, contrast, secondContrast, focus, head, neuron, token }: Selection): LookedAt => ({
  start,
  origin,
  contrast,
  secondContrast,
  focus,
  head,
  neuron,
  token,
});

/**
 * The one selection that the pictures of a run share. Pictures listen to it, never to each other; every write says
 * who wrote.
 */
export class SelectionStore {
  #value: WrittenSelection;
  readonly #listeners = new Set<(selection: WrittenSelection) => void>();

  readonly #history: LookedAt[];
  #at = 0;
  #going = false;
  #beforeOrigin: Pick<Selection, "start" | "contrast" | "secondContrast"> | undefined;

  constructor(initial: Selection) {
    this.#value = { ...initial, writer: "" };
    this.#history = [lookedAt(initial)];
  }

  get value(): WrittenSelection {
    return this.#value;
  }

  /** Changes parts of the selection. Nothing happens where they are what they were. */
  set(change: Partial<Selection>, writer: string): void {
    const next = changedSelection(this.#value, change);
    if (JSON.stringify({ ...next, writer: "" }) === JSON.stringify({ ...this.#value, writer: "" })) return;
    this.#remember(this.#value, next);
    this.#value = { ...next, writer };
    for (const listener of [...this.#listeners]) listener(this.#value);
  }

  /** Whether there is something that was looked at before, or after it was gone back. */
  get canGoBack(): boolean {
    return this.#at > 0;
  }

  get canGoForward(): boolean {
    return this.#at < this.#history.length - 1;
  }

  /** Looks again at what was looked at before. */
  back(writer: string): void {
    if (this.canGoBack) this.#go(this.#at - 1, writer);
  }

  forward(writer: string): void {
    if (this.canGoForward) this.#go(this.#at + 1, writer);
  }

  /** Ends the routes of a state: back to the start token that was studied before, with its contrast. */
  leaveOrigin(writer: string): void {
    const { start = this.#value.start, contrast = null, secondContrast = null } = this.#beforeOrigin ?? {};
    this.set({ origin: null, start, contrast, secondContrast }, writer);
  }

  #go(to: number, writer: string): void {
    this.#at = to;
    this.#going = true;
    try {
      this.set(this.#history[to], writer);
    } finally {
      this.#going = false;
    }
  }

  /** Remembers what was looked at; settings such as the threshold are none of it. */
  #remember(before: Selection, now: Selection): void {
    if (now.origin !== null && before.origin === null) {
      const { start, contrast, secondContrast } = before;
      this.#beforeOrigin = { start, contrast, secondContrast };
    }
    if (this.#going) return;
    const seen = lookedAt(now);
    if (JSON.stringify(seen) === JSON.stringify(this.#history[this.#at])) return;
    this.#history.splice(this.#at + 1, Infinity, seen);
    if (this.#history.length > MOST_REMEMBERED) this.#history.shift();
    this.#at = this.#history.length - 1;
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
