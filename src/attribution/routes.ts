import { nodeName, stateBelow } from "../model/names";
import type { NodeName, OtherKeys, ProgressListener, RouteEdge, RouteNode } from "../model/types";
import type { AttentionRow } from "./attention-row";
import type { KeptColumn } from "./kept-column";
import { routeEdge } from "./route-edge";
import { FLOOR, notableTerms, sumOverHeads, type NotableTerms } from "./notable";

/** A row of which only the terms are known that can pass a threshold of at least `FLOOR`. */
export type NotableRow = Omit<AttentionRow, "terms"> & { readonly notable: NotableTerms };

/** Where a trace gets contributions from: it asks for the rows of a layer when it reaches them, and for no others. */
export interface ContributionSource {
  readonly nTokens: number;
  readonly nLayers: number;
  readonly nHeads: number;
  readonly parallelBlocks: boolean;
  /** Rows in the order of `positions`. */
  attention(layer: number, positions: readonly number[]): Promise<readonly AttentionRow[]>;
  /** The same, of the notable terms alone; asked instead where they are enough: from a threshold of `FLOOR` on. */
  notable?(layer: number, positions: readonly number[]): Promise<readonly NotableRow[]>;
  /** `notable` gives every term that is not 0: it is asked at any threshold. */
  readonly sparse?: boolean;
  /** `[ffn, residual]` for each of `positions`. Not asked where blocks are parallel. */
  ffn(layer: number, positions: readonly number[]): Promise<readonly (readonly [number, number])[]>;
}

export interface TraceOptions {
  readonly from: readonly RouteNode[];
  readonly threshold: number;
  readonly renormalize: boolean;
  /** See `RouteOptions`. */
  readonly joinSelf?: boolean;
  /** One token's parts by their logits: they stand for its contributions. */
  readonly column?: KeptColumn;
  readonly signal?: AbortSignal;
  readonly onProgress?: ProgressListener;
  /** Routes of more edges are refused with a `RangeError`. */
  readonly limit?: number;
}

/** The event loop gets its turn after this many milliseconds of work. */
const SLICE_MS = 8;

/** Lets other events run. Browsers, where stored contributions are traced, have no `setImmediate`. */
export function nextTurn(): Promise<void> {
  const { setImmediate = setTimeout } = globalThis as { setImmediate?: (callback: () => void) => unknown };
  return new Promise((resolve) => void setImmediate(resolve));
}

/**
 * Walks down from the start nodes over the edges that pass the threshold.
 *
 * With renormalisation, the parts of each whole with c ≤ threshold are dropped (attention: by single (key, head) term)
 * and the rest is scaled to sum 1; where nothing passes, the largest part stays. Without, edges with weight ≤ threshold
 * are dropped after summing over heads. Nodes come bottom layer first (A, M, I, each by position); edges by target,
 * then source.
 */
export async function trace(
  source: ContributionSource,
  options: TraceOptions,
): Promise<{ nodes: RouteNode[]; edges: RouteEdge[]; others?: OtherKeys[] }> {
  const { nLayers, parallelBlocks } = source;
  // Reached positions by layer; `inputs[l]` are states after layer l - 1, so `inputs[0]` are the embedded tokens.
  const inputs = positionSets(nLayers + 1);
  const middles = positionSets(nLayers);
  // Positions whose FFN is reached, with the weight of what it reads.
  const blocks = Array.from({ length: nLayers }, () => new Map<number, Share>());
  for (const { kind, layer, position } of options.from) {
    if (kind === "A") middles[layer].add(position);
    else if (kind === "M")
      // A start of its own: it has one input.
      blocks[layer].set(position, { weight: 1, contribution: 1 });
    else inputs[layer + 1].add(position);
  }
  /** A block is reached; one that is also a start keeps the weight of its one input. */
  const reachBlock = (layer: number, position: number, { weight, contribution }: Share): void => {
    if (!blocks[layer].has(position)) blocks[layer].set(position, { weight, contribution });
  };

  let sliceEnd = performance.now() + SLICE_MS;
  const breathe = async (): Promise<void> => {
    if (performance.now() < sliceEnd) return;
    await nextTurn();
    options.signal?.throwIfAborted();
    sliceEnd = performance.now() + SLICE_MS;
  };

  // Relevance of what is reached, by layer: how much of the start goes through it over these routes.
  const states = Array.from({ length: nLayers + 1 }, () => new Map<number, number>());
  const mids = Array.from({ length: nLayers }, () => new Map<number, number>());
  const written = Array.from({ length: nLayers }, () => new Map<number, number>());
  for (const { kind, layer, position } of options.from) {
    const own = kind === "A" ? mids[layer] : kind === "M" ? written[layer] : states[layer + 1];
    own.set(position, 1 / options.from.length);
  }
  const add = (relevances: Map<number, number>, position: number, relevance: number): number => {
    relevances.set(position, (relevances.get(position) ?? 0) + relevance);
    return relevance;
  };

  const ownColumn = (position: number, layer: number): KeptColumn["layers"][number] | undefined =>
    options.column?.position === position ? options.column.layers[layer] : undefined;

  const layers: RouteEdge[][] = [];
  const others: OtherKeys[][] = [];
  /** Stored contributions may not say what they leave out. */
  let known = true;
  let count = 0;
  for (let layer = nLayers - 1; layer >= 0; layer--) {
    options.signal?.throwIfAborted();
    const intoMiddles: RouteEdge[] = [];
    const intoBlocks: RouteEdge[] = [];
    const intoStates: RouteEdge[] = [];
    const below = (position: number): NodeName => stateBelow(layer, position);

    // The FFN block beside the residual.
    if (!parallelBlocks && inputs[layer + 1].size > 0) {
      const positions = ascending(inputs[layer + 1]);
      const parts = await source.ffn(layer, positions);
      for (let i = 0; i < positions.length; i++) {
        const position = positions[i];
        const target = nodeName("I", layer, position);
        const own = ownColumn(position, layer);
        const { ffn, residual } = own ? { ffn: own.ffn, residual: own.mid } : keep(parts[i], options);
        const here = states[layer + 1].get(position) ?? 0;
        if (residual) {
          middles[layer].add(position);
          const relevance = add(mids[layer], position, here * residual.contribution);
          intoStates.push(
            routeEdge({ source: nodeName("A", layer, position), target, kind: "residual", ...residual, relevance }),
          );
        }
        if (ffn) {
          reachBlock(layer, position, ffn);
          const relevance = add(written[layer], position, here * ffn.contribution);
          intoStates.push(
            routeEdge({ source: nodeName("M", layer, position), target, kind: "ffn-out", ...ffn, relevance }),
          );
        }
        await breathe();
      }
    }
    // What a block reads is what it wrote.
    if (!parallelBlocks)
      for (const position of blocks[layer].keys()) {
        middles[layer].add(position);
        add(mids[layer], position, written[layer].get(position) ?? 0);
      }

    // The attention block; where blocks are parallel the FFN is a part of the same whole.
    const positions = ascending(parallelBlocks ? inputs[layer + 1] : middles[layer]);
    if (positions.length > 0) {
      const rows = await wholes(source, layer, positions, options);
      const left: OtherKeys[] = [];
      others.push(left);
      const edges = parallelBlocks ? intoStates : intoMiddles;
      for (let i = 0; i < positions.length; i++) {
        const position = positions[i];
        const target = nodeName(parallelBlocks ? "I" : "A", layer, position);
        const own = ownColumn(position, layer);
        const { keys, residual, ffn, rest } = own
          ? { keys: own.keys, residual: own.pre, ffn: parallelBlocks ? own.ffn : undefined, rest: undefined }
          : rows[i]();
        if (rest) left.push({ target, ...rest });
        else if (!own) known = false;
        const here = (parallelBlocks ? states[layer + 1] : mids[layer]).get(position) ?? 0;
        // The residual comes before the attention of a token to itself, whose key is the last.
        const self = keys.length > 0 && keys[keys.length - 1].key === position ? keys.length - 1 : keys.length;
        for (let j = 0; j <= keys.length; j++) {
          if (j === self && residual) {
            inputs[layer].add(position);
            const relevance = add(states[layer], position, here * residual.contribution);
            edges.push(routeEdge({ source: below(position), target, kind: "residual", ...residual, relevance }));
          }
          if (j === keys.length) break;
          const { key, ...carried } = keys[j];
          inputs[layer].add(key);
          const relevance = add(states[layer], key, here * carried.contribution);
          edges.push(routeEdge({ source: below(key), target, kind: "attention", ...carried, relevance }));
        }
        if (options.limit !== undefined && count + edges.length > options.limit)
          throw new RangeError(`These routes have more than ${options.limit} edges: choose a higher threshold.`);
        if (ffn) {
          reachBlock(layer, position, ffn);
          const relevance = add(written[layer], position, here * ffn.contribution);
          edges.push(routeEdge({ source: nodeName("M", layer, position), target, kind: "ffn-out", ...ffn, relevance }));
        }
        await breathe();
      }
    }
    for (const position of ascending(blocks[layer].keys())) {
      const relevance = written[layer].get(position) ?? 0;
      if (parallelBlocks) {
        inputs[layer].add(position);
        add(states[layer], position, relevance);
      }
      intoBlocks.push(
        routeEdge({
          source: parallelBlocks ? below(position) : nodeName("A", layer, position),
          target: nodeName("M", layer, position),
          kind: "ffn-in",
          ...(blocks[layer].get(position) as Share),
          relevance,
        }),
      );
    }
    layers.push(intoMiddles.concat(intoBlocks, intoStates));
    count += layers[layers.length - 1].length;
    options.onProgress?.({ stage: "routes", done: nLayers - layer, total: nLayers, unit: "layers" });
  }

  const nodes: RouteNode[] = [];
  const list = (kind: RouteNode["kind"], layer: number, positions: Iterable<number>): void => {
    for (const position of ascending(positions))
      nodes.push({ name: nodeName(kind, layer, position), kind, layer, position });
  };
  list("X", -1, inputs[0]);
  for (let layer = 0; layer < nLayers; layer++) {
    await breathe();
    list("A", layer, middles[layer]);
    list("M", layer, blocks[layer].keys());
    list("I", layer, inputs[layer + 1]);
  }
  return { nodes, edges: layers.reverse().flat(), ...(known ? { others: others.reverse().flat() } : {}) };
}

function positionSets(n: number): Set<number>[] {
  return Array.from({ length: n }, () => new Set<number>());
}

function ascending(positions: Iterable<number>): number[] {
  return [...positions].sort((a, b) => a - b);
}

/** A part of a whole that is kept: its share of what is kept, and of everything. */
export interface Share {
  readonly weight: number;
  readonly contribution: number;
}

/** Two parts of one whole after the threshold; undefined where dropped. */
function keep(
  [a, b]: readonly [number, number],
  { threshold, renormalize }: TraceOptions,
): { readonly ffn: Share | undefined; readonly residual: Share | undefined } {
  let [first, second] = [a > threshold, b > threshold];
  // A state that an intervention put there has no parts.
  if (renormalize && !first && !second && a + b > 0) [first, second] = [a >= b, a < b];
  const share = (c: number): Share => ({ weight: renormalize && first !== second ? 1 : c, contribution: c });
  return { ffn: first ? share(a) : undefined, residual: second ? share(b) : undefined };
}

interface KeyEdge extends Share {
  readonly key: number;
  readonly heads: Readonly<Record<number, number>>;
}

interface WholeEdges {
  readonly keys: readonly KeyEdge[];
  readonly residual: Share | undefined;
  readonly ffn: Share | undefined;
  /** What is no edge; undefined where it is not known. */
  readonly rest: Omit<OtherKeys, "target"> | undefined;
}

/**
 * What of a whole is no edge.
 *
 * @param sums [H]: of all terms
 * @param drawn [H]: of those that passed
 * @param dropped what did not pass beside them
 */
export function restOf(
  sums: ArrayLike<number>,
  drawn: ArrayLike<number>,
  dropped: number,
  threshold: number,
): Omit<OtherKeys, "target"> {
  const heads: Record<number, number> = {};
  let hidden = dropped;
  for (let head = 0; head < sums.length; head++) {
    // What is left of rounding is nothing.
    const rest = Math.max(0, sums[head] - drawn[head]);
    if (rest > threshold && rest > 1e-6) heads[head] = rest;
    else hidden += rest;
  }
  return { heads, hidden };
}

/** A part that passed with a weight; undefined where it did not. */
const passed = (weight: number, contribution: number): Share | undefined =>
  weight > 0 ? { weight, contribution } : undefined;

/** For each position, what of its whole passes the threshold; worked out when called. */
async function wholes(
  source: ContributionSource,
  layer: number,
  positions: readonly number[],
  options: TraceOptions,
): Promise<(() => WholeEdges)[]> {
  const { nHeads } = source;
  const { threshold, renormalize } = options;
  if (source.notable && (source.sparse || threshold >= FLOOR)) {
    const rows = await source.notable(layer, positions);
    return rows.map(
      (row) => () => (renormalize ? renormalizedEdges(row, nHeads, threshold) : summedEdges(row, nHeads, options)),
    );
  }
  const rows = await source.attention(layer, positions);
  return rows.map(({ terms, ...rest }) => () => {
    const row = { ...rest, notable: notableTerms(terms, nHeads, Math.min(threshold, FLOOR)) };
    return renormalize ? renormalizedEdges(row, nHeads, threshold) : summedEdges(row, nHeads, options);
  });
}

/** Without renormalisation: edges whose sum over heads passes. */
function summedEdges(row: NotableRow, nHeads: number, { threshold, joinSelf }: TraceOptions): WholeEdges {
  const { keys: known, terms } = row.notable.keys;
  const keys: KeyEdge[] = [];
  const drawn = new Float64Array(nHeads);
  let residual = row.residual > threshold ? row.residual : 0;
  for (let i = 0; i < known.length; i++) {
    const key = known[i];
    const weight = sumOverHeads(terms, i, nHeads);
    const joined = joinSelf === true && key === row.position;
    if (joined) residual = weight + row.residual > threshold ? row.residual : 0;
    if (joined ? residual === 0 : weight <= threshold) continue;
    const heads: Record<number, number> = {};
    for (let head = 0; head < nHeads; head++) {
      const c = terms[i * nHeads + head];
      if (c > 0) heads[head] = c;
      drawn[head] += c;
    }
    keys.push({ key, weight, contribution: weight, heads });
  }
  const ffn = row.ffn > threshold ? row.ffn : 0;
  return {
    keys,
    residual: passed(residual, residual),
    ffn: passed(ffn, row.ffn),
    rest:
      row.notable.heads &&
      restOf(row.notable.heads, drawn, row.residual - residual + row.ffn - ffn + row.bias, threshold),
  };
}

/** With renormalisation. The bias is a part like the others, but no edge: weights then sum to less than 1. */
function renormalizedEdges(row: NotableRow, nHeads: number, threshold: number): WholeEdges {
  const { indices, values, best, bestValue } = row.notable;
  const keys: KeyEdge[] = [];
  let sum = 0;
  const passing: { readonly j: number; readonly c: number }[] = [];
  for (let i = 0; i < indices.length; i++) {
    if (values[i] > threshold) {
      passing.push({ j: indices[i], c: values[i] });
      sum += values[i];
    }
  }
  const rest = [row.residual, row.bias, row.ffn].map((c) => (c > threshold ? c : 0));
  sum += rest[0] + rest[1] + rest[2];
  if (sum === 0) {
    const largest = Math.max(row.residual, row.bias, row.ffn);
    if (bestValue > largest) {
      passing.push({ j: best, c: bestValue });
      sum = bestValue;
    } else {
      // Equal ones: the residual first. Exactly one stays.
      rest[[row.residual, row.bias, row.ffn].indexOf(largest)] = largest;
      sum = largest;
    }
  }
  const drawn = new Float64Array(nHeads);
  for (const { j, c } of passing) drawn[j % nHeads] += c;
  for (let i = 0; i < passing.length;) {
    const key = Math.floor(passing[i].j / nHeads);
    const heads: Record<number, number> = {};
    let weight = 0;
    for (; i < passing.length && passing[i].j < (key + 1) * nHeads; i++) {
      const share = passing[i].c / sum;
      heads[passing[i].j - key * nHeads] = share;
      weight += share;
    }
    keys.push({ key, weight, contribution: wholeKey(row.notable, key, nHeads) ?? weight * sum, heads });
  }
  const dropped = row.residual - rest[0] + row.ffn - rest[2] + row.bias;
  return {
    keys,
    residual: passed(rest[0] / sum, row.residual),
    ffn: passed(rest[2] / sum, row.ffn),
    rest: row.notable.heads && restOf(row.notable.heads, drawn, dropped, threshold),
  };
}

/** What all heads together carried from a key; undefined where too little did to be kept. */
function wholeKey({ keys: { keys, terms } }: NotableTerms, key: number, nHeads: number): number | undefined {
  const index = keys.indexOf(key);
  return index < 0 ? undefined : sumOverHeads(terms, index, nHeads);
}
