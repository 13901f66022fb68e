interface Waiting<A> {
  readonly items: readonly Float32Array[];
  readonly resolve: (answers: A[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Joins questions into one call: those asked in the same turn of the event loop, and those that come while a call is
 * under way. Questions keep their order; a call has at most `limit` items unless one question has more.
 */
export class Batch<A = Float32Array> {
  private waiting: Waiting<A>[] = [];
  private running = false;

  constructor(
    private readonly ask: (items: readonly Float32Array[]) => Promise<A[]>,
    private readonly limit: number,
  ) {}

  add(items: readonly Float32Array[]): Promise<A[]> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ items, resolve, reject });
      if (this.running) return;
      this.running = true;
      queueMicrotask(() => void this.work());
    });
  }

  private async work(): Promise<void> {
    while (this.waiting.length > 0) {
      let count = this.waiting[0].items.length;
      let taken = 1;
      while (taken < this.waiting.length && count + this.waiting[taken].items.length <= this.limit)
        count += this.waiting[taken++].items.length;
      const group = this.waiting.splice(0, taken);
      try {
        const answers = await this.ask(group.flatMap(({ items }) => items));
        let at = 0;
        for (const { items, resolve } of group) resolve(answers.slice(at, (at += items.length)));
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.running = false;
  }
}
