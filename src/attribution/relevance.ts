import { nodeName, parseNode, type NodePlace } from "../model/names";
import type { NodeName, OtherKeys, ProgressListener, RouteEdge, RouteNode } from "../model/types";
import type { KeptColumn } from "./kept-column";
import { sumOverHeads } from "./notable";
import { routeEdge } from "./route-edge";
import { nextTurn, restOf, type ContributionSource } from "./routes";

/*
 * Routes by what reaches the start: R(start) = 1, every part of a state carries R(state) · c, and states add up what
 * they give to others. Where a local threshold draws every edge into a state that was reached at all, a part counts here
 * by the products along the paths that lead from it to the start.
 */

/** Kinds of parts: the FFN and the stream beside it; a (key, head) term of attention and the stream beside attention. */
export const FFN = 0;
export const BESIDE = 1;
export const TERM = 2;
export const RESIDUAL = 3;

/** Where there are more terms than this, those of less relevance than the floor are left out. */
const MANY_TERMS = 2_000_000;
const FLOOR = 1e-6;

/** The event loop gets its turn after this many terms. */
const SLICE_TERMS = 1 << 20;

/** Columns of numbers that grow. */
class Column<A extends Uint8Array | Uint16Array | Uint32Array | Float64Array> {
  constructor(
    private readonly make: new (length: number) => A,
    public data: A = new make(1024),
  ) {}

  set(index: number, value: number): void {
    if (index >= this.data.length) {
      const grown = new this.make(2 * this.data.length);
      grown.set(this.data);
      this.data = grown;
    }
    this.data[index] = value;
  }
}

/** Parts with their relevance, as they are reached: by layer from the top, FFNs first, then by query, key and head. */
export class RelevantParts {
  length = 0;
  /** Relevance that reaches the embedded tokens over all paths: 1, less what biases hold where they are parts. */
  inputs = 0;
  readonly kinds = new Column(Uint8Array);
  readonly layers = new Column(Uint16Array);
  readonly queries = new Column(Uint32Array);
  readonly keys = new Column(Uint32Array);
  readonly heads = new Column(Uint16Array);
  /** Share of the state that the part belongs to. */
  readonly contributions = new Column(Float64Array);
  /** Of a term: the share of all heads together from its key. */
  readonly wholes = new Column(Float64Array);
  readonly relevances = new Column(Float64Array);
  #ranked: Float64Array | undefined;

  constructor(
    readonly from: readonly RouteNode[],
    readonly floor: number,
  ) {}

  get byteLength(): number {
    return this.length * 45;
  }

  add(
    kind: number,
    place: readonly [layer: number, query: number, key: number, head: number],
    contribution: number,
    whole: number,
    relevance: number,
  ): void {
    if (!(relevance > this.floor)) return;
    const i = this.length++;
    this.kinds.set(i, kind);
    this.layers.set(i, place[0]);
    this.queries.set(i, place[1]);
    this.keys.set(i, place[2]);
    this.heads.set(i, place[3]);
    this.contributions.set(i, contribution);
    this.wholes.set(i, whole);
    this.relevances.set(i, relevance);
  }

  /** Relevances, largest first. */
  get ranked(): Float64Array {
    this.#ranked ??= this.relevances.data.slice(0, this.length).sort().reverse();
    return this.#ranked;
  }
}

/** What a walk over the parts needs to know. */
export type Shape = Pick<ContributionSource, "nTokens" | "nLayers" | "nHeads" | "parallelBlocks">;

/** Every part that the start is made of, with its relevance. All rows of all states that are reached are computed. */
export async function relevantParts(
  source: ContributionSource,
  options: {
    readonly from: readonly RouteNode[];
    /** One token's parts by their logits, all of them: they stand for its contributions. */
    readonly column?: KeptColumn;
    readonly signal?: AbortSignal;
    readonly onProgress?: ProgressListener;
  },
): Promise<RelevantParts> {
  const { nTokens, nLayers, nHeads, parallelBlocks } = source;
  const { from, column, signal, onProgress } = options;
  const many = (nTokens * (nTokens + 1) * nHeads * nLayers) / 2 > MANY_TERMS;
  const parts = new RelevantParts(from, many ? FLOOR : 0);
  const { states, mids } = starts(source, from, () => undefined);
  let steps = 0;
  for (let layer = nLayers - 1; layer >= 0; layer--) {
    signal?.throwIfAborted();
    const [above, middle, below] = [states[layer + 1], mids[layer], states[layer]];
    const reached = (relevances: Float64Array): number[] =>
      Array.from(relevances.keys()).filter((position) => relevances[position] > 0);
    if (!parallelBlocks) {
      const positions = reached(above);
      const pairs = positions.length > 0 ? await source.ffn(layer, positions) : [];
      positions.forEach((position, i) => {
        const own = column?.position === position ? column.layers[layer] : undefined;
        const [ffn, beside] = own ? [own.ffn?.contribution ?? 0, own.mid.contribution] : pairs[i];
        const here = above[position];
        parts.add(FFN, [layer, position, position, 0], ffn, ffn, here * ffn);
        parts.add(BESIDE, [layer, position, position, 0], beside, beside, here * beside);
        // What a block reads is what it wrote.
        middle[position] += here * (ffn + beside);
      });
    }
    const whole = parallelBlocks ? above : middle;
    const positions = reached(whole);
    const rows = positions.length > 0 ? await source.attention(layer, positions) : [];
    for (let i = 0; i < positions.length; i++) {
      const position = positions[i];
      const here = whole[position];
      const own = column?.position === position ? column.layers[layer] : undefined;
      const row = rows[i];
      const residual = own ? own.pre.contribution : row.residual;
      parts.add(RESIDUAL, [layer, position, position, 0], residual, residual, here * residual);
      below[position] += here * residual;
      if (parallelBlocks) {
        const ffn = own ? (own.ffn?.contribution ?? 0) : row.ffn;
        parts.add(FFN, [layer, position, position, 0], ffn, ffn, here * ffn);
        below[position] += here * ffn;
      }
      if (own) {
        for (const { key, contribution, weight, heads } of own.keys) {
          for (const [head, share] of Object.entries(heads)) {
            const c = (contribution * share) / weight;
            parts.add(TERM, [layer, position, key, Number(head)], c, contribution, here * c);
          }
          below[key] += here * contribution;
        }
      } else {
        for (let key = 0; key <= position; key++) {
          const sum = sumOverHeads(row.terms, key, nHeads);
          below[key] += here * sum;
          if (!(here * sum > parts.floor)) continue;
          for (let head = 0; head < nHeads; head++) {
            const c = row.terms[key * nHeads + head];
            parts.add(TERM, [layer, position, key, head], c, sum, here * c);
          }
        }
      }
      if ((steps += position * nHeads) > SLICE_TERMS) {
        steps = 0;
        await nextTurn();
        signal?.throwIfAborted();
      }
    }
    onProgress?.({ stage: "routes", done: nLayers - layer, total: nLayers, unit: "layers" });
  }
  parts.inputs = states[0].reduce((sum, relevance) => sum + relevance, 0);
  return parts;
}

/** Flow by state, `[L + 1][T]` and `[L][T]`, with the starts in it; `reach` hears what the starts reach. */
function starts(
  { nTokens, nLayers, parallelBlocks }: Shape,
  from: readonly RouteNode[],
  reach: (block: number, position: number) => void,
): { readonly states: readonly Float64Array[]; readonly mids: readonly Float64Array[] } {
  const states = Array.from({ length: nLayers + 1 }, () => new Float64Array(nTokens));
  const mids = Array.from({ length: nLayers }, () => new Float64Array(nTokens));
  for (const { kind, layer, position } of from) {
    const block = kind === "M";
    if (block) reach(layer, position);
    // A block reads the state beside it.
    const own = block && parallelBlocks ? states[layer] : kind === "A" || block ? mids[layer] : states[layer + 1];
    own[position] += 1 / from.length;
  }
  return { states, mids };
}

/** What is left of the parts from a relevance of `cut` on, as far as it hangs together with the start. */
function walk(
  shape: Shape,
  parts: RelevantParts,
  cut: number,
  visit?: (i: number) => void,
): { readonly flow: number; readonly edges: number } {
  const { parallelBlocks } = shape;
  let edges = 0;
  const { states, mids } = starts(shape, parts.from, () => edges++);
  const kinds = parts.kinds.data;
  const layers = parts.layers.data;
  const queries = parts.queries.data;
  const keys = parts.keys.data;
  const contributions = parts.contributions.data;
  const relevances = parts.relevances.data;
  // The last attention edge that was counted: its heads follow each other.
  let [edgeLayer, edgeQuery, edgeKey] = [-1, -1, -1];
  for (let i = 0; i < parts.length; i++) {
    if (relevances[i] < cut) continue;
    const kind = kinds[i];
    const [layer, query] = [layers[i], queries[i]];
    const whole = parallelBlocks || kind === FFN || kind === BESIDE ? states[layer + 1] : mids[layer];
    if (!(whole[query] > 0)) continue;
    const flow = whole[query] * contributions[i];
    if (kind === TERM) {
      const key = keys[i];
      states[layer][key] += flow;
      if (layer !== edgeLayer || query !== edgeQuery || key !== edgeKey) {
        [edgeLayer, edgeQuery, edgeKey] = [layer, query, key];
        edges++;
      }
    } else {
      edges += kind === FFN ? 2 : 1;
      const reads = kind !== RESIDUAL && !parallelBlocks ? mids[layer] : states[layer];
      reads[query] += flow;
    }
    visit?.(i);
  }
  return { flow: states[0].reduce((sum, relevance) => sum + relevance, 0), edges };
}

/** How much of the start reaches the embedded tokens through all of the parts. */
export const flowOf = (shape: Shape, parts: RelevantParts): number => walk(shape, parts, 0).flow;

/** The first index of `[0, length)` at which `holds` does, which stays so from there on; `length` where it never does. */
export function firstWhere(length: number, holds: (index: number) => boolean): number {
  let [low, high] = [0, length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * The relevance from which on parts are kept: of the smallest set through which `budget.relevance` of what reaches the
 * embedded tokens still does, or of the largest one with no more than `budget.edges` edges.
 */
export function cutOf(
  shape: Shape,
  parts: RelevantParts,
  budget: { readonly relevance: number } | { readonly edges: number },
): number {
  const { ranked } = parts;
  const at = (index: number): number => ranked[index] ?? Infinity;
  if ("edges" in budget) {
    const tooMany = firstWhere(ranked.length, (i) => walk(shape, parts, at(i)).edges > budget.edges);
    return tooMany === ranked.length ? 0 : tooMany === 0 ? Infinity : nextAbove(ranked, tooMany);
  }
  if (budget.relevance >= 1) return 0;
  // Summed in another order, everything may miss itself by a rounding.
  const wanted = budget.relevance * parts.inputs * (1 - 1e-12);
  const enough = firstWhere(ranked.length, (i) => walk(shape, parts, at(i)).flow >= wanted);
  return enough === ranked.length ? 0 : at(enough);
}

/** The smallest of the values, which fall, that is above the one at `index`. */
function nextAbove(ranked: Float64Array, index: number): number {
  for (let i = index - 1; i >= 0; i--) if (ranked[i] > ranked[index]) return ranked[i];
  return Infinity;
}

/** The routes of all parts from a relevance of `cut` on. Nodes and edges in the order that `trace` gives them. */
export function relevantRoutes(
  shape: Shape,
  parts: RelevantParts,
  cut: number,
  {
    renormalize,
    column,
    unseen,
  }: {
    readonly renormalize: boolean;
    readonly column?: KeptColumn;
    /** Shares of heads by state that the parts do not have, where they are not all. */
    readonly unseen?: ReadonlyMap<NodeName, Readonly<Record<number, number>>>;
  },
): { nodes: RouteNode[]; edges: RouteEdge[]; others: OtherKeys[] } {
  const { parallelBlocks } = shape;
  const kept: number[] = [];
  walk(shape, parts, cut, (i) => kept.push(i));

  const nodes = new Map<NodeName, RouteNode>();
  const reach = (kind: RouteNode["kind"], layer: number, position: number): NodeName => {
    const name = nodeName(kind, layer, position);
    if (!nodes.has(name)) nodes.set(name, { name, kind, layer, position });
    return name;
  };
  const reachBelow = (layer: number, position: number): NodeName =>
    layer === 0 ? reach("X", -1, position) : reach("I", layer - 1, position);
  for (const { kind, layer, position } of parts.from) reach(kind, layer, position);

  /** By target: what of it is kept, for the shares of that. */
  const sums = new Map<NodeName, number>();
  const drafts = new Map<
    string,
    { -readonly [K in keyof RouteEdge]: RouteEdge[K] } & { headShares: [number, number][] }
  >();
  const blocks = new Map<NodeName, { relevance: number; contribution: number }>();
  const [kinds, layers, queries, keys, heads, contributions, wholes, relevances] = [
    parts.kinds.data,
    parts.layers.data,
    parts.queries.data,
    parts.keys.data,
    parts.heads.data,
    parts.contributions.data,
    parts.wholes.data,
    parts.relevances.data,
  ];
  for (const i of kept) {
    const [kind, layer, query, c] = [kinds[i], layers[i], queries[i], contributions[i]];
    const state = kind === FFN || kind === BESIDE || parallelBlocks;
    const target = nodeName(state ? "I" : "A", layer, query);
    sums.set(target, (sums.get(target) ?? 0) + c);
    if (kind === TERM) {
      const source = reachBelow(layer, keys[i]);
      const id = `${source} ${target}`;
      let draft = drafts.get(id);
      if (!draft) {
        const relevance = (relevances[i] / c) * wholes[i];
        draft = { source, target, kind: "attention", weight: 0, contribution: wholes[i], relevance, headShares: [] };
        drafts.set(id, draft);
      }
      draft.weight += c;
      draft.headShares.push([heads[i], c]);
      continue;
    }
    const source =
      kind === FFN ? reach("M", layer, query) : kind === BESIDE ? reach("A", layer, query) : reachBelow(layer, query);
    const relevance = relevances[i];
    const edgeKind = kind === FFN ? "ffn-out" : "residual";
    drafts.set(`${source} ${target} ${edgeKind}`, {
      source,
      target,
      kind: edgeKind,
      weight: c,
      contribution: c,
      relevance,
      headShares: [],
    });
    if (kind === FFN) blocks.set(source, { relevance, contribution: c });
  }
  const edges: RouteEdge[] = [];
  const written = new Map<NodeName, number>();
  for (const { headShares, ...draft } of drafts.values()) {
    const sum = renormalize ? (sums.get(draft.target) as number) : 1;
    const own = logitsOf(draft, headShares, column, parallelBlocks);
    const weight = own ? own.weight : draft.weight / sum;
    const shares = own?.heads ?? Object.fromEntries(headShares.map(([head, c]) => [head, c / sum]));
    if (draft.kind === "ffn-out") written.set(draft.source, weight);
    edges.push({
      ...draft,
      weight,
      ...(draft.kind === "attention" ? { heads: shares } : {}),
      ...(own ? { logit: own.logit, ...(own.headLogits ? { headLogits: own.headLogits } : {}) } : {}),
    });
  }
  for (const { name, kind, layer, position } of [...nodes.values()]) {
    if (kind !== "M") continue;
    const { relevance, contribution } = blocks.get(name) ?? { relevance: 1 / parts.from.length, contribution: 1 };
    const source = parallelBlocks ? reachBelow(layer, position) : reach("A", layer, position);
    edges.push({ source, target: name, kind: "ffn-in", weight: written.get(name) ?? 1, contribution, relevance });
  }
  const listed = nodesInOrder([...nodes.values()]);
  return {
    nodes: listed,
    edges: edgesInOrder(edges, nodes),
    others: othersOf(shape, parts, kept, listed, cut, column, unseen),
  };
}

/** What of the reached states is no edge: heads whose keys together are as relevant as an edge has to be, and the rest. */
function othersOf(
  { nHeads, parallelBlocks }: Shape,
  parts: RelevantParts,
  kept: readonly number[],
  nodes: readonly RouteNode[],
  cut: number,
  column: KeptColumn | undefined,
  unseen: ReadonlyMap<NodeName, Readonly<Record<number, number>>> | undefined,
): OtherKeys[] {
  const states = new Map(
    nodes
      .filter(
        ({ kind, layer, position }) =>
          kind === (parallelBlocks ? "I" : "A") && layer >= 0 && position !== column?.position,
      )
      .map((node) => [
        node.name,
        // The state's own relevance: that of any of its parts, over the part's share.
        { sums: new Float64Array(nHeads), drawn: new Float64Array(nHeads), beside: 0, shown: 0, relevance: 0 },
      ]),
  );
  for (const [name, heads] of unseen ?? [])
    for (const [head, share] of Object.entries(heads)) {
      const state = states.get(name);
      if (state) state.sums[Number(head)] += share;
    }
  const drawn = new Set(kept);
  for (let i = 0; i < parts.length; i++) {
    const kind = parts.kinds.data[i];
    if (kind === BESIDE || (kind === FFN && !parallelBlocks)) continue;
    const state = states.get(nodeName(parallelBlocks ? "I" : "A", parts.layers.data[i], parts.queries.data[i]));
    if (!state) continue;
    const c = parts.contributions.data[i];
    state.relevance = Math.max(state.relevance, parts.relevances.data[i] / c);
    if (kind === TERM) {
      state.sums[parts.heads.data[i]] += c;
      if (drawn.has(i)) state.drawn[parts.heads.data[i]] += c;
    } else {
      state.beside += c;
      if (drawn.has(i)) state.shown += c;
    }
  }
  return [...states].map(([target, { sums, drawn: shown, beside, shown: own, relevance }]) => {
    // Parts below the floor, and a bias that is a part, are in none of the sums.
    const uncounted = Math.max(0, 1 - beside - sums.reduce((sum, c) => sum + c, 0));
    return { target, ...restOf(sums, shown, beside - own + uncounted, cut / relevance) };
  });
}

/** What an edge into the column of a contrast's token adds to the logit; undefined for other edges. */
function logitsOf(
  { source, target, kind }: Pick<RouteEdge, "source" | "target" | "kind">,
  headShares: readonly (readonly [number, number])[],
  column: KeptColumn | undefined,
  parallelBlocks: boolean,
):
  | {
      readonly logit: number;
      readonly weight: number;
      readonly heads?: Record<number, number>;
      readonly headLogits?: Record<number, number>;
    }
  | undefined {
  if (!column) return undefined;
  const { layer, position } = parseNode(target) as NodePlace;
  if (position !== column.position) return undefined;
  const own = column.layers[layer];
  if (kind === "ffn-out") return own.ffn;
  if (kind === "residual") return target.startsWith("A") || parallelBlocks ? own.pre : own.mid;
  const carried = own.keys.find(({ key }) => key === (parseNode(source) as NodePlace).position);
  if (!carried) return undefined;
  const heads: Record<number, number> = {};
  const headLogits: Record<number, number> = {};
  let [logit, weight] = [0, 0];
  for (const [head] of headShares) {
    weight += heads[head] = carried.heads[head];
    logit += headLogits[head] = carried.headLogits[head];
  }
  return { logit, weight, heads, headLogits };
}

const ORDER = { X: 0, A: 1, M: 2, I: 3 } as const;
const byPlace = (a: RouteNode, b: RouteNode): number =>
  a.layer - b.layer || ORDER[a.kind] - ORDER[b.kind] || a.position - b.position;

/** Bottom layer first, then by kind, then by position. */
export const nodesInOrder = (nodes: RouteNode[]): RouteNode[] => nodes.sort(byPlace);

/** By target, then by source, the residual before the attention of a token to itself, the FFN last. */
export function edgesInOrder(edges: RouteEdge[], nodes: ReadonlyMap<string, RouteNode>): RouteEdge[] {
  const node = (name: NodeName): RouteNode => nodes.get(name) as RouteNode;
  return edges
    .map(routeEdge)
    .sort(
      (a, b) =>
        byPlace(node(a.target), node(b.target)) ||
        Number(a.kind === "ffn-out") - Number(b.kind === "ffn-out") ||
        node(a.source).position - node(b.source).position ||
        Number(a.kind === "attention") - Number(b.kind === "attention"),
    );
}
