/** Whether routes say what a prediction depends on: what is left of it with the routes alone, and without them. */
import { checkThreshold } from "../model/check";
import type {
  Faithfulness,
  FaithfulnessOptions,
  FaithfulnessPair,
  FaithfulnessRow,
  FaithfulnessScore,
  FaithfulnessSpread,
} from "../model/types";
import { checkRoom, keptParts, readReplacement, type KeptParts } from "./interventions";
import type { LocalRun } from "./local-run";
import { measureOf } from "./metrics";
import { uniform } from "./sampling";

const THRESHOLDS = [0.01, 0.02, 0.04, 0.06, 0.08, 0.1];

/** Terms and FFN blocks that can reach one position's prediction, numbered: what sets of equal size are drawn from. */
class Reach {
  readonly nTerms: number;
  readonly nBlocks: number;

  constructor(
    private readonly sizes: {
      readonly nLayers: number;
      readonly nHeads: number;
      readonly nTokens: number;
      readonly position: number;
      readonly window: (layer: number) => number | undefined;
    },
  ) {
    let terms = 0;
    this.eachTerm(() => terms++);
    this.nTerms = terms;
    const { nLayers, position } = sizes;
    this.nBlocks = (nLayers - 1) * (position + 1) + 1;
  }

  /** Every term, by its layer and its place in [H, T, T]. */
  eachTerm(visit: (layer: number, at: number) => void): void {
    const { nLayers, nHeads, nTokens, position, window } = this.sizes;
    for (let layer = 0; layer < nLayers; layer++) {
      const back = window(layer) ?? Infinity;
      // Above the last attention nobody reads other tokens.
      const first = layer === nLayers - 1 ? position : 0;
      for (let head = 0; head < nHeads; head++)
        for (let query = first; query <= position; query++)
          for (let key = Math.max(0, query - back + 1); key <= query; key++)
            visit(layer, (head * nTokens + query) * nTokens + key);
    }
  }

  eachBlock(visit: (layer: number, position: number) => void): void {
    const { nLayers, position } = this.sizes;
    for (let layer = 0; layer < nLayers; layer++)
      for (let t = layer === nLayers - 1 ? position : 0; t <= position; t++) visit(layer, t);
  }

  /** Nothing stays. */
  empty(): KeptParts {
    const { nLayers, nHeads, nTokens } = this.sizes;
    return {
      terms: Array.from({ length: nLayers }, () => new Uint8Array(nHeads * nTokens * nTokens)),
      blocks: Array.from({ length: nLayers }, () => new Uint8Array(nTokens)),
    };
  }

  /** How many of these can reach the position. */
  count({ terms, blocks }: KeptParts): { readonly nTerms: number; readonly nBlocks: number } {
    let [nTerms, nBlocks] = [0, 0];
    this.eachTerm((layer, at) => (nTerms += terms[layer][at]));
    this.eachBlock((layer, at) => (nBlocks += blocks[layer][at]));
    return { nTerms, nBlocks };
  }

  /** So many of each, by chance. */
  draw(nTerms: number, nBlocks: number, next: () => number): KeptParts {
    const kept = this.empty();
    const pick = (wanted: number, all: number, parts: readonly Uint8Array[]) => {
      let [need, left] = [wanted, all];
      return (layer: number, at: number): void => {
        if (next() * left-- >= need) return;
        parts[layer][at] = 1;
        need--;
      };
    };
    this.eachTerm(pick(nTerms, this.nTerms, kept.terms));
    this.eachBlock(pick(nBlocks, this.nBlocks, kept.blocks));
    return kept;
  }

  /**
   * Into each state as many terms as `kept` has there, those of the largest weights [H, T, T] by layer, the first of
   * equal ones; and the same blocks. Of all terms at once the largest weights are those of the first token to itself,
   * which are 1 always.
   */
  byWeight(weights: readonly Float32Array[], { terms, blocks }: KeptParts): KeptParts {
    const { nHeads, nTokens, position } = this.sizes;
    const chosen = { ...this.empty(), blocks };
    terms.forEach((own, layer) => {
      for (let query = 0; query <= position; query++) {
        const places: number[] = [];
        let count = 0;
        for (let head = 0; head < nHeads; head++)
          for (let key = 0; key <= query; key++) {
            const at = (head * nTokens + query) * nTokens + key;
            places.push(at);
            count += own[at];
          }
        if (count === 0) continue;
        places.sort((a, b) => weights[layer][b] - weights[layer][a] || a - b);
        for (const at of places.slice(0, count)) chosen.terms[layer][at] = 1;
      }
    });
    return chosen;
  }
}

const complement = ({ terms, blocks }: KeptParts): KeptParts => ({
  terms: terms.map((own) => own.map((kept) => 1 - kept)),
  blocks: blocks.map((own) => own.map((kept) => 1 - kept)),
});

/** See `Run.faithfulness`. */
export async function faithfulness(run: LocalRun, options: FaithfulnessOptions): Promise<Faithfulness> {
  if (run.base) throw new RangeError("Faithfulness is measured on a run without interventions: ask its base.");
  const { thresholds = THRESHOLDS, of, controls = 3, seed = 0, signal, onProgress, onRow } = options;
  if (!Array.isArray(thresholds) || thresholds.length === 0)
    throw new TypeError("thresholds are a list of numbers from 0 to 1, at least one.");
  (thresholds as readonly number[]).forEach(checkThreshold);
  if (!Number.isInteger(controls) || controls < 0)
    throw new RangeError(`controls is ${String(controls)}: it is a number of random sets, 0 or more.`);
  if (!Number.isInteger(seed)) throw new RangeError(`seed is ${String(seed)}: it must be a whole number.`);
  const { model } = run;
  const ground = model.ground(run);
  checkRoom(ground);
  const replacement = readReplacement(ground, options.others ?? (of === undefined ? "zero" : "patch"), of);
  const measure = await measureOf(run, options.metric);
  const { nLayers, nHeads } = model.info;
  const reach = new Reach({
    nLayers,
    nHeads,
    nTokens: run.tokens.length,
    position: measure.position,
    window: (layer) => ground.architecture.layers[layer].attention.window,
  });

  const perRow = 2 * (1 + (controls > 0 ? 1 + controls : 0));
  const total = 1 + perRow * thresholds.length;
  let done = 0;
  const metricOf = async (kept: KeptParts): Promise<number> => {
    const cut = await model.keepParts(run, kept, replacement, { signal });
    try {
      return await measure.of(cut);
    } finally {
      await cut.dispose();
      onProgress?.({ stage: "faithfulness", done: ++done, total, unit: "runs" });
    }
  };
  const full = await measure.of(run);
  const ablated = await metricOf(reach.empty());
  const score = (metric: number): FaithfulnessScore => ({
    metric,
    normalized: full === ablated ? NaN : (metric - ablated) / (full - ablated),
  });
  const pairOf = async (kept: KeptParts): Promise<FaithfulnessPair> => ({
    kept: score(await metricOf(kept)),
    removed: score(await metricOf(complement(kept))),
  });

  const patterns: Float32Array[] = [];
  if (controls > 0)
    for (let layer = 0; layer < nLayers; layer++) patterns.push((await run.attentionPattern(layer)).data);
  const rows: FaithfulnessRow[] = [];
  for (const [number, threshold] of (thresholds as readonly number[]).entries()) {
    const kept = keptParts(ground, await run.routes({ from: measure.position, threshold, signal }));
    const { nTerms, nBlocks } = reach.count(kept);
    const row: FaithfulnessRow = {
      threshold,
      edges: nTerms + nBlocks,
      share: (nTerms + nBlocks) / (reach.nTerms + reach.nBlocks),
      ...(await pairOf(kept)),
    };
    if (controls > 0) {
      const sets: FaithfulnessPair[] = [];
      const next = uniform(seed + number);
      for (let set = 0; set < controls; set++) sets.push(await pairOf(reach.draw(nTerms, nBlocks, next)));
      const attention = await pairOf(reach.byWeight(patterns, kept));
      rows.push({ ...row, random: spreadOf(sets), attention });
    } else rows.push(row);
    onRow?.(rows[rows.length - 1]);
  }
  return { full, ablated, edges: reach.nTerms + reach.nBlocks, rows };
}

function spreadOf(sets: readonly FaithfulnessPair[]): FaithfulnessSpread {
  const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;
  const spread = (values: readonly number[]): number => {
    const middle = mean(values);
    const squares = values.reduce((sum, x) => sum + (x - middle) ** 2, 0);
    return values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0;
  };
  const over = (how: (values: readonly number[]) => number): FaithfulnessPair => {
    const of = (which: keyof FaithfulnessPair): FaithfulnessScore => ({
      metric: how(sets.map((set) => set[which].metric)),
      normalized: how(sets.map((set) => set[which].normalized)),
    });
    return { kept: of("kept"), removed: of("removed") };
  };
  return { mean: over(mean), spread: over(spread), sets };
}
