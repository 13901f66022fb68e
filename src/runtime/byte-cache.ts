/** Remembers answers up to a number of bytes; the one used longest ago goes first. An answer being made is shared by all who ask. */
export class ByteCache {
  private readonly entries = new Map<string, { readonly value: Promise<unknown>; bytes: number }>();
  private used = 0;

  constructor(readonly budget: number) {}

  /** The answer under `key`, made by `make` where it is not there. A failure is not remembered. */
  get<T>(key: string, make: () => Promise<T>, bytes: (value: T) => number): Promise<T> {
    const known = this.entries.get(key);
    if (known) {
      this.entries.delete(key);
      this.entries.set(key, known);
      return known.value as Promise<T>;
    }
    const value = make();
    const entry = { value, bytes: 0 };
    this.entries.set(key, entry);
    value.then(
      made => this.resize(key, entry, bytes(made)),
      () => {
        if (this.entries.get(key) === entry) this.entries.delete(key);
      },
    );
    return value;
  }

  /** Says that what lies under `key` takes so many bytes now; with `more`, so many more. */
  grown(key: string, bytes: number, more = false): void {
    const entry = this.entries.get(key);
    if (entry) this.resize(key, entry, more ? entry.bytes + bytes : bytes);
  }

  clear(): void {
    this.entries.clear();
    this.used = 0;
  }

  private resize(key: string, entry: { bytes: number }, bytes: number): void {
    if (this.entries.get(key) !== entry) return;
    this.used += bytes - entry.bytes;
    entry.bytes = bytes;
    for (const [oldKey, old] of this.entries) {
      if (this.used <= this.budget) return;
      if (old === entry || old.bytes === 0) continue;
      this.entries.delete(oldKey);
      this.used -= old.bytes;
    }
  }
}
