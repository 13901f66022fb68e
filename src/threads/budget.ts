/** Something remembered that could be computed again. */
export interface Holding {
  /** Bytes that it takes, as far as they were counted. */
  readonly bytes: number;
}

interface Entry extends Holding {
  bytes: number;
  /** Takes it away from its owner, which it does not hold. */
  readonly drop: () => void;
}

/**
 * One budget of memory for what all owners in this process remember. What was used longest ago goes first, whoever owns
 * it; what a collected owner held counts no longer. Nothing is held strongly here: an owner that nobody else holds is
 * collected with all it remembers.
 */
export class MemoryBudget {
  /** Least recently used first. */
  readonly #entries = new Set<Entry>();
  #used = 0;
  readonly #owned = new WeakMap<object, Set<Entry>>();
  readonly #collected = new FinalizationRegistry<Set<Entry>>((entries) => {
    for (const entry of entries) this.#remove(entry);
  });

  /** @param bytes that may be held; more only while a single holding is larger. */
  constructor(readonly bytes: number) {}

  /** Bytes that are held now. */
  get held(): number {
    return this.#used;
  }

  /**
   * Counts something that `owner` remembers. `drop` is called with the owner when it has to go.
   * @param drop must not hold the owner: it would never be collected
   */
  hold<T extends object>(owner: T, bytes: number, drop: (owner: T) => void): Holding {
    const reference = new WeakRef(owner);
    const entry: Entry = {
      bytes,
      drop: () => {
        const alive = reference.deref();
        if (alive !== undefined) drop(alive);
      },
    };
    let entries = this.#owned.get(owner);
    if (entries === undefined) {
      this.#owned.set(owner, (entries = new Set()));
      this.#collected.register(owner, entries);
    }
    entries.add(entry);
    this.#entries.add(entry);
    this.#used += bytes;
    this.#shrink(entry);
    return entry;
  }

  /** It was used: others go before it. */
  touch(holding: Holding): void {
    if (this.#entries.delete(holding as Entry)) this.#entries.add(holding as Entry);
  }

  /** It takes so many bytes now. */
  resize(holding: Holding, bytes: number): void {
    const entry = holding as Entry;
    if (!this.#entries.has(entry)) return;
    this.#used += bytes - entry.bytes;
    entry.bytes = bytes;
    this.#shrink(entry);
  }

  /** Its owner has let it go by itself. */
  release<T extends object>(owner: T, holding: Holding): void {
    this.#owned.get(owner)?.delete(holding as Entry);
    this.#remove(holding as Entry);
  }

  #remove(entry: Entry): void {
    if (this.#entries.delete(entry)) this.#used -= entry.bytes;
  }

  #shrink(newest: Entry): void {
    for (const entry of this.#entries) {
      if (this.#used <= this.bytes) return;
      if (entry === newest || entry.bytes === 0) continue;
      this.#remove(entry);
      entry.drop();
    }
  }
}
