import { MemoryBudget, type Holding } from "../threads/budget";

/** Bytes of the larger answers that all runs of this process remember together. */
const ANSWER_BYTES = 256 << 20;
/** Beside that, what routes need to be traced again: small, and dear to compute; large answers must not push it out. */
const DIGEST_BYTES = 128 << 20;

/** The budget of answers of all runs. */
export const answerBudget = new MemoryBudget(ANSWER_BYTES);
/** The budget of what routes are traced from. */
export const digestBudget = new MemoryBudget(DIGEST_BYTES);

interface Entry {
  readonly value: Promise<unknown>;
  readonly holding: Holding;
}

/**
 * Remembers the answers of one run within a budget that it shares with other runs; the one used longest ago goes first.
 * An answer being made is shared by all who ask.
 */
export class ByteCache {
  private readonly entries = new Map<string, Entry>();

  constructor(private readonly budget: MemoryBudget) {}

  /** The answer under `key`, made by `make` where it is not there. A failure is not remembered. */
  get<T>(key: string, make: () => Promise<T>, bytes: (value: T) => number): Promise<T> {
    const known = this.entries.get(key);
    if (known) {
      this.budget.touch(known.holding);
      return known.value as Promise<T>;
    }
    const value = make();
    const entry: Entry = { value, holding: this.budget.hold<ByteCache>(this, 0, dropper(key)) };
    this.entries.set(key, entry);
    value.then(
      (made) => {
        if (this.entries.get(key) === entry) this.budget.resize(entry.holding, bytes(made));
      },
      () => {
        if (this.entries.get(key) === entry) this.forget(key, entry);
      },
    );
    return value;
  }

  /** Says that what lies under `key` takes so many bytes now; with `more`, so many more. */
  grown(key: string, bytes: number, more = false): void {
    const entry = this.entries.get(key);
    if (entry) this.budget.resize(entry.holding, more ? entry.holding.bytes + bytes : bytes);
  }

  clear(): void {
    for (const [key, entry] of [...this.entries]) this.forget(key, entry);
  }

  private forget(key: string, { holding }: Entry): void {
    this.entries.delete(key);
    this.budget.release(this, holding);
  }

  /** For the budget, which has let go of it already. */
  dropped(key: string): void {
    this.entries.delete(key);
  }
}

/** Outside of the class: a closure made there would hold the cache. */
function dropper(key: string): (cache: ByteCache) => void {
  return (cache) => cache.dropped(key);
}
