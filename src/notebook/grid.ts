import type { Run } from "../model/types";
import type { Answer, GridAnswer, Question, WireToken } from "../protocol";
import { ProtocolError, tensor } from "../protocol";

/** States that go through the vocabulary at once: a model may do them in one pass over its weights. What is under way delays a click: not many. */
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
export function summary(logits: Float32Array): { readonly top: number; readonly probability: number; readonly entropy: number } {
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

/** Computed spans of a run, by normalisation, row and first position: a grid is asked for in parts, and stored as a whole. */
const known = new WeakMap<Run, Map<string, Span>>();

async function computed(run: Run, row: number, first: number, normalize: boolean, signal: AbortSignal): Promise<Span> {
  let spans = known.get(run);
  if (!spans) known.set(run, (spans = new Map()));
  const key = `${normalize} ${row} ${first}`;
  const ready = spans.get(key);
  if (ready) return ready;
  const count = Math.min(SPAN, run.tokens.length - first);
  const { data, dims } = await (row === 0 ? run.residual(0, "pre") : run.residual(row - 1, "post"));
  const d = dims[1];
  const span: Span = { tops: new Uint32Array(count), probabilities: new Float32Array(count), entropies: new Float32Array(count) };
  const unembedded = (begin: number): Promise<readonly Float32Array[]> => {
    const states = Array.from({ length: Math.max(0, Math.min(VECTORS, count - begin)) }, (_, i) => Float32Array.from(data.subarray((first + begin + i) * d, (first + begin + i + 1) * d)));
    return Promise.all(states.map(async (state) => (await run.model.unembed(state, { normalize })).data));
  };
  let next = unembedded(0);
  for (let begin = 0; begin < count; begin += VECTORS) {
    const rows = await next;
    signal.throwIfAborted();
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
        signal.throwIfAborted();
      }
    }
  }
  spans.set(key, span);
  return span;
}

/** Puts token ids into a table of its own, in the order in which they come. */
class Vocabulary {
  readonly tokens: WireToken[] = [];
  readonly #places = new Map<number, number>();

  constructor(private readonly run: Run) {}

  place(token: number): number {
    const at = this.#places.get(token);
    if (at !== undefined) return at;
    const { id, text } = this.run.model.token(token);
    this.#places.set(token, this.tokens.length);
    return this.tokens.push({ id, text }) - 1;
  }
}

async function part(run: Run, firstRow: number, rows: number, first: number, count: number, normalize: boolean, signal: AbortSignal): Promise<GridAnswer> {
  const size = rows * count;
  const tops = new Uint32Array(size);
  const probabilities = new Float32Array(size);
  const entropies = new Float32Array(size);
  const vocabulary = new Vocabulary(run);
  for (let row = 0; row < rows; row++) {
    for (let begin = Math.floor(first / SPAN) * SPAN; begin < first + count; begin += SPAN) {
      signal.throwIfAborted();
      const span = await computed(run, firstRow + row, begin, normalize, signal);
      for (let i = 0; i < span.tops.length; i++) {
        const position = begin + i;
        if (position < first || position >= first + count) continue;
        const at = row * count + position - first;
        tops[at] = vocabulary.place(span.tops[i]);
        probabilities[at] = span.probabilities[i];
        entropies[at] = span.entropies[i];
      }
    }
  }
  const shape = [rows, count];
  return { tops: tensor(tops, shape), tokens: vocabulary.tokens, probabilities: tensor(probabilities, shape), entropies: tensor(entropies, shape) };
}

/** The whole grid. */
export function grid(run: Run, { normalize }: Question<"grid">, signal: AbortSignal): Promise<Answer<"grid">> {
  return part(run, 0, run.model.info.nLayers + 1, 0, run.tokens.length, normalize, signal);
}

/** Some columns of one row. */
export async function gridPart(run: Run, { row, first, count, normalize }: Question<"gridPart">, signal: AbortSignal): Promise<Answer<"gridPart">> {
  const { nLayers } = run.model.info;
  const T = run.tokens.length;
  if (row > nLayers) throw new ProtocolError("range", `The row is ${row}, but has to be from 0 (the embedding) to ${nLayers} (the state after the last layer).`);
  if (count < 1 || first + count > T) throw new ProtocolError("range", `The columns ${first} to ${first + count - 1} do not lie within the ${T} tokens.`);
  return part(run, row, 1, first, count, normalize, signal);
}

/** Whether every part of the grid was computed already, so that the whole of it costs nothing. */
export function isComplete(run: Run, normalize: boolean): boolean {
  const parts = [...(known.get(run)?.keys() ?? [])].filter((key) => key.startsWith(`${normalize} `)).length;
  return parts === (run.model.info.nLayers + 1) * Math.ceil(run.tokens.length / SPAN);
}
