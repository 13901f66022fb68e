import { nodeName, stateBelow } from "../model/names";
import type { ProgressListener, RouteEdge, RouteNode, RouteSelection } from "../model/types";
import { dot, type Readout } from "./readout";
import { edgesInOrder, firstWhere, nodesInOrder, type Shape } from "./relevance";

/*
 * RelP (Rezaei Jafari et al. 2025, arXiv 2508.21258): a number that is read out of the last state is followed backwards
 * through the model as a linear map. Every state gets coefficients g, and a part z of it the relevance g · z.
 * docs/method.md has the rules.
 */

/** One layer backwards, n tokens; H heads, d model width, f FFN width. All relevances in the number's unit. */
export interface LayerRelevance {
  /** `[n, d]`: coefficients of the state before the layer. */
  readonly toPre: Float32Array;
  /** `[n, d]`: of the state after attention; not where blocks are parallel. */
  readonly toMid?: Float32Array;
  /** `[H, n, n]`: what each head carried from each key, query before key. */
  readonly terms: Float32Array;
  /** `[n]`: what the FFN wrote. */
  readonly ffn: Float32Array;
  /** `[n, f]`, where asked for: what each neuron wrote. */
  readonly neurons?: Float32Array;
  /** `[n]`: what the biases of the attention block, and of the norm before it, added. */
  readonly attentionConstant: Float32Array;
  /** `[n]`: the same of the FFN. */
  readonly ffnConstant: Float32Array;
}

/** Where a walk backwards gets its layers from. */
export interface RelevanceSource extends Shape {
  readonly dModel: number;
  readonly dFfn: number;
  /** `coefficients` [n, d] of the state behind the layer; n is `nTokens`. */
  backward(layer: number, coefficients: Float32Array): Promise<LayerRelevance>;
  /** `[≥ n, d]`: the state before the layer, or after its attention. */
  state(layer: number, point: "pre" | "mid"): Promise<Float32Array>;
}

/** How a walk can be watched and ended. */
export interface WalkOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: ProgressListener;
}

/**
 * Walks down from the state at the last of the source's tokens. `visit` gets each layer, from the last one on, with the
 * coefficients of the state behind it.
 */
export async function walkBack(
  source: RelevanceSource,
  readout: Readout,
  visit: (layer: number, relevance: LayerRelevance, coefficients: Float32Array) => void | Promise<void>,
  { signal, onProgress }: WalkOptions,
): Promise<{
  /** Relevance of each embedded token. */
  readonly tokens: Float64Array;
  /** What all biases add: `logit = Σ tokens + constant`. */
  readonly constant: number;
}> {
  const { nTokens, nLayers, dModel } = source;
  let coefficients = new Float32Array(nTokens * dModel);
  coefficients.set(readout.direction, (nTokens - 1) * dModel);
  let { constant } = readout;
  for (let layer = nLayers - 1; layer >= 0; layer--) {
    signal?.throwIfAborted();
    const relevance = await source.backward(layer, coefficients);
    for (let t = 0; t < nTokens; t++) constant += relevance.attentionConstant[t] + relevance.ffnConstant[t];
    await visit(layer, relevance, coefficients);
    coefficients = relevance.toPre as Float32Array<ArrayBuffer>;
    onProgress?.({ stage: "relevance", done: nLayers - layer, total: nLayers, unit: "layers" });
  }
  const embedded = await source.state(0, "pre");
  const tokens = new Float64Array(nTokens);
  for (let t = 0; t < nTokens; t++) tokens[t] = along(coefficients, embedded, t, dModel);
  return { tokens, constant };
}

/** The dot product of row t of both. */
function along(coefficients: Float32Array, states: Float32Array, t: number, dModel: number): number {
  return dot(coefficients.subarray(t * dModel, (t + 1) * dModel), states, t * dModel);
}

/** A part, by its place. Which of the numbers mean anything depends on what is ranked. */
export interface RankedPart {
  readonly layer: number;
  readonly position: number;
  /** A head's or neuron's number; -1: the whole FFN. */
  readonly index: number;
  readonly key: number;
  readonly relevance: number;
}

/** The event loop gets its turn after this many parts. */
const SLICE_PARTS = 1 << 17;

/** The `n`-th largest value, n from 1 on (Hoare's selection). The values change their order. */
function largest(values: Float64Array, n: number): number {
  let [low, high] = [0, values.length - 1];
  while (low < high) {
    const pivot = values[(low + high) >> 1];
    let [left, right] = [low, high];
    while (left <= right) {
      while (values[left] > pivot) left++;
      while (values[right] < pivot) right--;
      if (left > right) break;
      [values[left], values[right]] = [values[right], values[left]];
      left++;
      right--;
    }
    if (n - 1 <= right) high = right;
    else if (n - 1 >= left) low = left;
    else break;
  }
  return values[n - 1];
}

/** The strongest of many parts, whichever way they point. */
export class Strongest {
  /** Σ |relevance| of all parts. */
  size = 0;
  /** Sums of all parts by their sign. */
  supports = 0;
  opposes = 0;
  /** Whether some had to go. */
  #full = false;
  #length = 0;
  /** What is no larger has no place. */
  #cut = -1;
  #relevances: Float64Array;
  /** Layer, position, index and key of each. */
  #places: Int32Array;

  /** `most`: how many are kept at least, where there are as many. */
  constructor(private readonly most: number) {
    const room = Math.min(2 * most, 4096);
    this.#relevances = new Float64Array(room);
    this.#places = new Int32Array(4 * room);
  }

  get byteLength(): number {
    return this.#relevances.byteLength + this.#places.byteLength;
  }

  /** Whether `top` chooses from all parts there were. */
  get complete(): boolean {
    return !this.#full && this.#length <= this.most;
  }

  /** Number of parts from which `top` chooses. */
  get length(): number {
    return Math.min(this.#length, this.most);
  }

  add(layer: number, position: number, index: number, key: number, relevance: number): void {
    if (relevance > 0) this.supports += relevance;
    else this.opposes += relevance;
    const size = Math.abs(relevance);
    this.size += size;
    if (!(size > this.#cut)) return;
    if (this.#length === this.#relevances.length) {
      this.#makeRoom();
      if (!(size > this.#cut)) return;
    }
    const at = this.#length++;
    const places = this.#places;
    this.#relevances[at] = relevance;
    places[4 * at] = layer;
    places[4 * at + 1] = position;
    places[4 * at + 2] = index;
    places[4 * at + 3] = key;
  }

  /** Sizes of the parts, largest first. */
  sizes(): Float64Array {
    return this.#relevances.subarray(0, this.#length).map(Math.abs).sort().reverse();
  }

  /** Number of parts that are larger than this. */
  above(size: number): number {
    let count = 0;
    for (let i = 0; i < this.#length; i++) if (Math.abs(this.#relevances[i]) > size) count++;
    return Math.min(count, this.most);
  }

  /** The `count` strongest, the strongest first; of equal ones those that were added first. */
  top(count: number): RankedPart[] {
    const [relevances, places] = [this.#relevances, this.#places];
    const n = Math.min(count, this.length);
    if (n === 0) return [];
    return this.#best(n, largest(this.#relevances.subarray(0, this.#length).map(Math.abs), n))
      .sort((a, b) => Math.abs(relevances[b]) - Math.abs(relevances[a]) || a - b)
      .map((at) => ({
        layer: places[4 * at],
        position: places[4 * at + 1],
        index: places[4 * at + 2],
        key: places[4 * at + 3],
        relevance: relevances[at],
      }));
  }

  /** Where the `count` strongest are, as they were added. `least`: the size of the weakest of them. */
  #best(count: number, least: number): number[] {
    const relevances = this.#relevances;
    // Of those as small as the last one as many as are left for them.
    let equal = count;
    for (let i = 0; i < this.#length; i++) if (Math.abs(relevances[i]) > least) equal--;
    const best: number[] = [];
    for (let i = 0; i < this.#length; i++) {
      const size = Math.abs(relevances[i]);
      if (size > least || (size === least && equal-- > 0)) best.push(i);
    }
    return best;
  }

  #makeRoom(): void {
    const room = this.#relevances.length;
    if (room < 2 * this.most) {
      const [relevances, places] = [this.#relevances, this.#places];
      const more = Math.min(2 * this.most, 4 * room);
      (this.#relevances = new Float64Array(more)).set(relevances);
      (this.#places = new Int32Array(4 * more)).set(places);
      return;
    }
    this.#full = true;
    this.#cut = largest(this.#relevances.map(Math.abs), this.most);
    this.#best(this.most, this.#cut).forEach((from, to) => {
      this.#relevances[to] = this.#relevances[from];
      this.#places.copyWithin(4 * to, 4 * from, 4 * from + 4);
    });
    this.#length = this.most;
  }
}

/** Attention terms of a layer, query by query: `take` gets query, head, key and relevance. Zeros are left out. */
export async function eachTerm(
  { nTokens, nHeads }: Shape,
  terms: Float32Array,
  take: (query: number, head: number, key: number, relevance: number) => void,
): Promise<void> {
  let steps = 0;
  for (let query = 0; query < nTokens; query++) {
    for (let head = 0; head < nHeads; head++) {
      const row = (head * nTokens + query) * nTokens;
      for (let key = 0; key <= query; key++) if (terms[row + key] !== 0) take(query, head, key, terms[row + key]);
    }
    if ((steps += nHeads * query) > SLICE_PARTS) {
      steps = 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** Most parts that are kept to choose routes from. */
const MOST_PARTS = 200_000;

/** What routes are chosen from: all parts that count, and how much the states between them carry. */
export interface BackwardParts {
  /** Attention terms, and FFNs with index -1. */
  readonly strongest: Strongest;
  /** The largest |relevance| that an edge carries: of all heads from a key together, or of an FFN. */
  readonly most: number;
  /** `[L][n]`: of the state below a layer where it stays beside attention, and of the one beside the FFN. */
  readonly residuals: readonly Float64Array[];
  readonly mids: readonly Float64Array[];
  /** `[L][n]`: what the FFN read, the biases' share left out. */
  readonly reads: readonly Float64Array[];
  /** What all biases add. */
  readonly constant: number;
  readonly byteLength: number;
}

/** Every part of every state, with its relevance. */
export async function backwardParts(
  source: RelevanceSource,
  readout: Readout,
  options: WalkOptions,
): Promise<BackwardParts> {
  const { nTokens, nLayers, dModel, parallelBlocks } = source;
  const strongest = new Strongest(MOST_PARTS);
  const columns = () => Array.from({ length: nLayers }, () => new Float64Array(nTokens));
  const [residuals, mids, reads] = [columns(), columns(), columns()];
  let most = 0;
  const { constant } = await walkBack(
    source,
    readout,
    async (layer, { terms, ffn, ffnConstant, toMid }, coefficients) => {
      const pre = await source.state(layer, "pre");
      const mid = parallelBlocks ? pre : await source.state(layer, "mid");
      for (let t = 0; t < nTokens; t++) {
        residuals[layer][t] = along(toMid ?? coefficients, pre, t, dModel);
        mids[layer][t] = along(coefficients, mid, t, dModel);
        reads[layer][t] = ffn[t] - ffnConstant[t];
        if (ffn[t] !== 0) strongest.add(layer, t, -1, t, ffn[t]);
        most = Math.max(most, Math.abs(ffn[t]));
      }
      const sizes = new Float64Array(nTokens);
      let row = 0;
      const next = (): void => {
        most = sizes.reduce((largest, size) => Math.max(largest, size), most);
        sizes.fill(0);
      };
      await eachTerm(source, terms, (query, head, key, relevance) => {
        if (query !== row) {
          next();
          row = query;
        }
        sizes[key] += Math.abs(relevance);
        strongest.add(layer, query, head, key, relevance);
      });
      next();
    },
    options,
  );
  const byteLength = strongest.byteLength + 24 * nLayers * nTokens;
  return { strongest, most, residuals, mids, reads, constant, byteLength };
}

/** Parts that hang together with the start, and the piece of each token's stream that they are on. */
interface Connected {
  readonly parts: readonly RankedPart[];
  /** By token: the layers between whose states its stream runs, the lowest one's input left out. */
  readonly streams: ReadonlyMap<number, Stream>;
  readonly edges: number;
}

interface Stream {
  /** The state below this layer is the highest that is read; L is the last state. */
  readonly top: number;
  /** The lowest layer that something is written in, and whether it is the FFN alone that writes there. */
  bottom: number;
  ffnOnly: boolean;
}

/** Of the first `count` parts those that something above them reads, down from the last token. */
function connected(
  { nTokens, nLayers, parallelBlocks }: Shape,
  ranked: readonly RankedPart[],
  count: number,
): Connected {
  const byLayer = Array.from({ length: nLayers }, (): RankedPart[] => []);
  for (let i = 0; i < count; i++) byLayer[ranked[i].layer].push(ranked[i]);
  const streams = new Map<number, Stream>([[nTokens - 1, { top: nLayers, bottom: nLayers, ffnOnly: false }]]);
  const parts: RankedPart[] = [];
  const attention = new Set<string>();
  let edges = 0;
  for (let layer = nLayers - 1; layer >= 0; layer--) {
    const read: number[] = [];
    for (const part of byLayer[layer]) {
      const stream = streams.get(part.position);
      if (!stream) continue;
      parts.push(part);
      const ffn = part.index < 0;
      stream.ffnOnly = stream.bottom === layer ? stream.ffnOnly && ffn : ffn;
      stream.bottom = layer;
      if (ffn) edges += 2;
      else {
        read.push(part.key);
        const edge = `${layer} ${part.position} ${part.key}`;
        if (!attention.has(edge)) edges++;
        attention.add(edge);
      }
    }
    for (const key of read) if (!streams.has(key)) streams.set(key, { top: layer, bottom: layer, ffnOnly: false });
  }
  for (const stream of streams.values()) edges += residualEdges(stream, parallelBlocks).length;
  return { parts, streams, edges };
}

/** Residual edges of a token's stream: by layer, past attention or past the FFN. */
function residualEdges(
  { top, bottom, ffnOnly }: Stream,
  parallelBlocks: boolean,
): { readonly layer: number; readonly past: "attention" | "ffn" }[] {
  const edges: { readonly layer: number; readonly past: "attention" | "ffn" }[] = [];
  for (let layer = top - 1; layer >= bottom; layer--) {
    const lowest = layer === bottom;
    if (parallelBlocks) {
      if (!lowest) edges.push({ layer, past: "attention" });
      continue;
    }
    // Where the lowest part is an FFN, the block itself is the way on; attention writes below the edge past the FFN.
    if (!lowest || !ffnOnly) edges.push({ layer, past: "ffn" });
    if (!lowest) edges.push({ layer, past: "attention" });
  }
  return edges;
}

/** Routes of the parts that `selection` keeps. */
export function backwardRoutes(
  shape: Shape,
  all: BackwardParts,
  selection: RouteSelection,
): { readonly nodes: RouteNode[]; readonly edges: RouteEdge[] } {
  const { nTokens, nLayers, parallelBlocks } = shape;
  const { strongest, most } = all;
  const { size } = strongest;
  const chosen = partsOf(shape, all, selection);
  const { parts, streams } = connected(shape, chosen, chosen.length);
  const nodes = new Map<string, RouteNode>();
  const reach = (kind: RouteNode["kind"], layer: number, position: number) => {
    const name = nodeName(kind, layer, position);
    if (!nodes.has(name)) nodes.set(name, { name, kind, layer, position });
    return name;
  };
  const below = (layer: number, position: number) => {
    reach(layer === 0 ? "X" : "I", layer - 1, position);
    return stateBelow(layer, position);
  };
  reach("I", nLayers - 1, nTokens - 1);
  const weight = (logit: number): number => (most > 0 ? Math.min(1, Math.abs(logit) / most) : 0);
  const share = (logit: number): number => (size > 0 ? Math.abs(logit) / size : 0);
  const edges: RouteEdge[] = [];
  const heads = new Map<string, { readonly part: RankedPart; readonly logits: Record<number, number> }>();
  for (const part of parts) {
    const { layer, position, index, key, relevance: logit } = part;
    if (index < 0) {
      const block = reach("M", layer, position);
      const numbers = { weight: weight(logit), relevance: share(logit) };
      edges.push({ source: block, target: reach("I", layer, position), kind: "ffn-out", ...numbers, logit });
      const source = parallelBlocks ? below(layer, position) : reach("A", layer, position);
      edges.push({ source, target: block, kind: "ffn-in", ...numbers, logit: all.reads[layer][position] });
      continue;
    }
    const id = `${layer} ${position} ${key}`;
    const edge = heads.get(id) ?? { part, logits: {} };
    heads.set(id, edge);
    edge.logits[index] = logit;
  }
  for (const { part, logits } of heads.values()) {
    const { layer, position, key } = part;
    const values = Object.values(logits);
    edges.push({
      source: below(layer, key),
      target: reach(parallelBlocks ? "I" : "A", layer, position),
      kind: "attention",
      weight: values.reduce((sum, logit) => sum + weight(logit), 0),
      heads: Object.fromEntries(Object.entries(logits).map(([head, logit]) => [head, weight(logit)])),
      relevance: values.reduce((sum, logit) => sum + share(logit), 0),
      logit: values.reduce((sum, logit) => sum + logit, 0),
      headLogits: logits,
    });
  }
  for (const [position, stream] of streams) {
    for (const { layer, past } of residualEdges(stream, parallelBlocks)) {
      const logit = (past === "ffn" ? all.mids : all.residuals)[layer][position];
      const source = past === "ffn" ? reach("A", layer, position) : below(layer, position);
      const target = reach(past === "ffn" || parallelBlocks ? "I" : "A", layer, position);
      edges.push({ source, target, kind: "residual", weight: weight(logit), logit });
    }
  }
  return { nodes: nodesInOrder([...nodes.values()]), edges: edgesInOrder(edges, nodes) };
}

/** The strongest parts, as many as a selection keeps. */
function partsOf(shape: Shape, { strongest, most }: BackwardParts, selection: RouteSelection): readonly RankedPart[] {
  const { length } = strongest;
  let chosen: readonly RankedPart[];
  if ("edges" in selection) {
    // Few of many: from the number of edges on upward.
    let ranked = strongest.top(selection.edges);
    const tooMany = (count: number) => connected(shape, ranked, count).edges > selection.edges;
    while (ranked.length < length && !tooMany(ranked.length)) ranked = strongest.top(2 * ranked.length);
    chosen = ranked.slice(
      0,
      firstWhere(ranked.length, (i) => tooMany(i + 1)),
    );
  } else if ("threshold" in selection) {
    chosen = strongest.top(strongest.above(selection.threshold * most));
  } else {
    // Summed in another order, everything may miss itself by a rounding.
    const wanted = selection.relevance * strongest.size * (1 - 1e-12);
    const sizes = strongest.sizes();
    let [sum, count] = [0, 0];
    for (; count < length && sum < wanted; count++) sum += sizes[count];
    chosen = strongest.top(count);
  }
  if (chosen.length === length && !strongest.complete)
    throw new RangeError(`These routes have more than ${length} parts: choose fewer of them with select.`);
  return chosen;
}
