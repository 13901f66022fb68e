import type { Run } from "../model/types";
import { ProtocolError, sortedRemovals, type Removal } from "../protocol";

/** Runs that something was removed from, kept for the next question about them: as many for each run. */
const KEPT = 4;

interface Cut {
  readonly run: Promise<Run>;
  users: number;
}

/** What was removed from runs lately. A cut run shares everything below the first change with its base. */
export class CutRuns {
  readonly #runs = new WeakMap<Run, Map<string, Cut>>();

  /**
   * Does something with the run without these parts; it is not to be kept beyond that. Rejects with a `ProtocolError`
   * where runs of this model are not changed.
   */
  async use<V>(
    base: Run,
    removals: readonly Removal[],
    work: (run: Run) => Promise<V>,
    signal?: AbortSignal,
  ): Promise<V> {
    if (!base.intervene)
      throw new ProtocolError(
        "range",
        "Nothing can be removed in this model: its runs have no intervene (docs/interventions.md).",
      );
    const cuts = this.#runs.get(base) ?? new Map<string, Cut>();
    this.#runs.set(base, cuts);
    const sorted = sortedRemovals(removals);
    const key = JSON.stringify(sorted);
    let cut = cuts.get(key);
    if (!cut) {
      // Not withdrawn with the one who asked first: others may wait for it by then.
      const made: Cut = {
        run: base.intervene(sorted.map((target) => ({ target, do: "zero" as const }))),
        users: 0,
      };
      made.run.catch(() => cuts.get(key) === made && cuts.delete(key));
      cut = made;
    }
    // The newest is last.
    cuts.delete(key);
    cuts.set(key, cut);
    cut.users++;
    try {
      const run = await cut.run;
      signal?.throwIfAborted();
      return await work(run);
    } finally {
      cut.users--;
      for (const [old, { run, users }] of cuts) {
        if (cuts.size <= KEPT) break;
        if (users > 0) continue;
        cuts.delete(old);
        void run.then((gone) => gone.dispose()).catch(() => undefined);
      }
    }
  }
}
