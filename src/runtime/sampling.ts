/** How the next token is drawn from logits. */
import type { GenerateOptions } from "../model/types";

/** Draws a token's id from logits [V]. */
export type Draw = (logits: Float32Array) => number;

/** Greedy at temperature 0; else what is left after `topK` and `topP`, by its probabilities. */
export function sampler({ temperature = 0, topK, topP = 1, seed }: GenerateOptions): Draw {
  if (temperature === 0) return best;
  const random = uniform(seed ?? Math.floor(Math.random() * 2 ** 32));
  return (logits) => {
    const ids = topK !== undefined && topK < logits.length ? largest(logits, topK) : everyId(logits);
    const top = logits[ids[0]];
    const weights = Float64Array.from(ids, (id) => Math.exp((logits[id] - top) / temperature));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    let kept = 0;
    let mass = 0;
    do mass += weights[kept++];
    while (kept < ids.length && mass < topP * total);
    let rest = random() * mass;
    for (let i = 0; i < kept; i++) {
      rest -= weights[i];
      if (rest < 0) return ids[i];
    }
    return ids[kept - 1];
  };
}

/** The first of the largest. */
function best(logits: Float32Array): number {
  let id = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[id]) id = i;
  return id;
}

/** All ids, the largest logit first; of equal ones the lower id. */
function everyId(logits: Float32Array): Uint32Array {
  return Uint32Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
}

/** The ids of the k largest, likewise. */
function largest(logits: Float32Array, k: number): Uint32Array {
  const threshold = Float32Array.from(logits).sort()[logits.length - k];
  const ids: number[] = [];
  for (let id = 0; id < logits.length; id++) if (logits[id] >= threshold) ids.push(id);
  return Uint32Array.from(ids.sort((a, b) => logits[b] - logits[a] || a - b).slice(0, k));
}

/** Numbers from 0 to 1, the same for the same seed (sfc32, seeded by splitmix32). */
export function uniform(seed: number): () => number {
  let mixed = seed >>> 0;
  const split = (): number => {
    mixed = (mixed + 0x9e3779b9) | 0;
    let z = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  };
  let [a, b, c, counter] = [split(), split(), split() ^ Math.floor(seed / 2 ** 32), 1];
  const next = (): number => {
    const result = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + result) | 0;
    return (result >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 12; i++) next();
  return next;
}

/** The softmax's value of one id, 0 to 1. */
export function probabilityOf(logits: Float32Array, id: number): number {
  let top = -Infinity;
  for (let i = 0; i < logits.length; i++) if (logits[i] > top) top = logits[i];
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - top);
  return Math.exp(logits[id] - top) / sum;
}
