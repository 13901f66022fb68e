import { checkIndex } from "../model/check";
import type { Run } from "../model/types";

/**
 * States that go through the vocabulary at once: a model may do them in one pass over its weights. What is under way
 * delays a click: not many.
 */
const VECTORS = 16;
/** Positions of a row that are computed and remembered together. */
const SPAN = 128;

/** Top token, its probability and the entropy of some states of one row. */
interface Span {
  readonly tops: Uint32Array;
  readonly probabilities: Float32Array;
  readonly entropies: Float32Array;
}

/** Index of the largest logit, its probability, and the entropy in bits: two passes, no copy. */
export function summary(logits: Float32Array): {
  readonly top: number;
  readonly probability: number;
  readonly entropy: number;
} {
  let top = 0;
  let most = logits[0];
  for (let i = 1; i < logits.length; i++) {
    if (logits[i] > most) {
      most = logits[i];
      top = i;
    }
  }
  let sum = 0;
  let weighted = 0;
  for (let i = 0; i < logits.length; i++) {
    const shifted = logits[i] - most;
    const share = Math.exp(shifted);
    sum += share;
    weighted += share * shifted;
  }
  return { top, probability: 1 / sum, entropy: (Math.log(sum) - weighted / sum) / Math.LN2 };
}

/**
 * Computed spans of a run, by normalisation, row and first position: a grid is asked for in parts, and stored as a
 * whole.
 */
const known = new WeakMap<Run, Map<string, Span>>();

async function computed(
  run: Run,
  row: number,
  first: number,
  normalize: boolean,
  signal: AbortSignal | undefined,
): Promise<Span> {
  let spans = known.get(run);
  if (!spans) known.set(run, (spans = new Map<string, Span>()));
  const key = `${normalize} ${row} ${first}`;
  const ready = spans.get(key);
  if (ready) return ready;
  const count = Math.min(SPAN, run.tokens.length - first);
  const { data, dims } = await (row === 0 ? run.residual(0, "pre") : run.residual(row - 1, "post"));
  const d = dims[1];
  const span: Span = {
    tops: new Uint32Array(count),
    probabilities: new Float32Array(count),
    entropies: new Float32Array(count),
  };
  const unembedded = (begin: number): Promise<readonly Float32Array[]> => {
    const states = Array.from({ length: Math.max(0, Math.min(VECTORS, count - begin)) }, (_, i) =>
      Float32Array.from(data.subarray((first + begin + i) * d, (first + begin + i + 1) * d)),
    );
    return Promise.all(states.map(async (state) => (await run.model.unembed(state, { normalize })).data));
  };
  let next = unembedded(0);
  for (let begin = 0; begin < count; begin += VECTORS) {
    const rows = await next;
    signal?.throwIfAborted();
    // The engine goes on with the next states while these are read.
    next = unembedded(begin + VECTORS);
    next.catch(() => undefined); // thrown where it is waited for
    for (const [i, logits] of rows.entries()) {
      const { top, probability, entropy } = summary(logits);
      span.tops[begin + i] = top;
      span.probabilities[begin + i] = probability;
      span.entropies[begin + i] = entropy;
      // Interrupts, clicks and cancellations come through.
      if (i % 8 === 7) {
        await new Promise((resolve) => setImmediate(resolve));
        signal?.throwIfAborted();
      }
    }
  }
  spans.set(key, span);
  return span;
}

/**
 * What each of some states would predict. Shapes `[rows, columns]`: row 0 is the embedding, row l + 1 the state after
 * layer l; columns are positions.
 */
export interface LensTable {
  /** Number of states from below: L + 1 where all are asked for. */
  readonly rows: number;
  /** Number of positions. */
  readonly columns: number;
  /** Ids of the most likely tokens. */
  readonly tops: Uint32Array;
  /** Their probabilities, 0 to 1. */
  readonly probabilities: Float32Array;
  /** Entropy of each state's prediction, in bits. */
  readonly entropies: Float32Array;
}

/** Which states a table has. */
export interface LensTableOptions {
  /** The first row. Default 0, the embedding. */
  readonly firstRow?: number;
  /** Number of rows. Default: all that follow; L + 1 in all. */
  readonly rows?: number;
  /** The first position. Default 0. */
  readonly first?: number;
  /** Number of positions. Default: all that follow. */
  readonly count?: number;
  /** Apply the final norm first. Default true. */
  readonly normalize?: boolean;
  /** Ends the computation: the call rejects with the signal's reason. What was computed is remembered. */
  readonly signal?: AbortSignal;
}

/**
 * The logit lens of all states after a layer (nostalgebraist 2020): most likely token, its probability, entropy.
 * @throws RangeError for rows or positions that do not exist
 * @example const { tops, columns } = await lensTable(run); tops[12 * columns + 3]; // after layer 11, token 3
 */
export async function lensTable(run: Run, options: LensTableOptions = {}): Promise<LensTable> {
  const { firstRow = 0, first = 0, normalize = true, signal } = options;
  const { nLayers } = run.model.info;
  const { rows = nLayers + 1 - firstRow, count: columns = run.tokens.length - first } = options;
  checkIndex("row", firstRow, nLayers + 1);
  checkIndex("row", firstRow + rows - 1, nLayers + 1);
  checkIndex("position", first, run.tokens.length);
  checkIndex("position", first + columns - 1, run.tokens.length);
  const table = {
    rows,
    columns,
    tops: new Uint32Array(rows * columns),
    probabilities: new Float32Array(rows * columns),
    entropies: new Float32Array(rows * columns),
  };
  for (let row = 0; row < rows; row++) {
    for (let begin = Math.floor(first / SPAN) * SPAN; begin < first + columns; begin += SPAN) {
      signal?.throwIfAborted();
      const span = await computed(run, firstRow + row, begin, normalize, signal);
      const from = Math.max(begin, first);
      const to = Math.min(begin + span.tops.length, first + columns);
      const at = row * columns - first;
      for (const name of ["tops", "probabilities", "entropies"] as const)
        table[name].set(span[name].subarray(from - begin, to - begin), at + from);
    }
  }
  return table;
}

/** Whether every part of a run's table was computed already, so that the whole of it costs nothing. */
export function isLensTableKnown(run: Run, normalize: boolean): boolean {
  const parts = [...(known.get(run)?.keys() ?? [])].filter((key) => key.startsWith(`${normalize} `)).length;
  return parts === (run.model.info.nLayers + 1) * Math.ceil(run.tokens.length / SPAN);
}
