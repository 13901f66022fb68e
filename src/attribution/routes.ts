import type { EdgeKind, NodeName, ProgressListener, RouteEdge, RouteNode } from "../model/types";
import type { AttentionRow } from "./attention-row";
import { compareNodes } from "./names";

/** Where a trace gets contributions from: it asks for the rows of a layer when it reaches them, and for no others. */
export interface ContributionSource {
  readonly nTokens: number;
  readonly nLayers: number;
  readonly nHeads: number;
  readonly parallelBlocks: boolean;
  /** Rows in the order of `positions`. */
  attention(layer: number, positions: readonly number[]): Promise<readonly AttentionRow[]>;
  /** `[ffn, residual]` for each of `positions`. Not asked where blocks are parallel. */
  ffn(layer: number, positions: readonly number[]): Promise<readonly (readonly [number, number])[]>;
}

export interface TraceOptions {
  readonly from: readonly RouteNode[];
  readonly threshold: number;
  readonly renormalize: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: ProgressListener;
}

/** The event loop gets its turn after this many milliseconds of work. */
const SLICE_MS = 8;

/** Lets other events run. Browsers, where stored contributions are traced, have no `setImmediate`. */
function nextTurn(): Promise<void> {
  const { setImmediate = setTimeout } = globalThis as { setImmediate?: (callback: () => void) => unknown };
  return new Promise(resolve => void setImmediate(resolve));
}

/**
 * Walks down from the start nodes over the edges that pass the threshold.
 *
 * With renormalisation, the parts of each whole with c ≤ threshold are dropped (attention: by single (key, head) term) and the
 * rest is scaled to sum 1; where nothing passes, the largest part stays. Without, edges with weight ≤ threshold are
 * dropped after summing over heads. Nodes and edges come bottom layer first.
 */
export async function trace(source: ContributionSource, options: TraceOptions): Promise<{ nodes: RouteNode[]; edges: RouteEdge[] }> {
  const { nLayers, parallelBlocks } = source;
  const nodes = new Map<NodeName, RouteNode>();
  // Reached positions by layer; `inputs[l]` are states after layer l - 1, so `inputs[0]` are the embedded tokens.
  const inputs = positionSets(nLayers + 1);
  const middles = positionSets(nLayers);
  const blocks = positionSets(nLayers);
  for (const node of options.from) {
    nodes.set(node.name, node);
    if (node.kind === "A") middles[node.layer].add(node.position);
    else if (node.kind === "M") blocks[node.layer].add(node.position);
    else inputs[node.layer + 1].add(node.position);
  }
  const layers: RouteEdge[][] = [];
  const reach = (kind: RouteNode["kind"], layer: number, position: number): NodeName => {
    const name = kind === "X" ? `X0_${position}` : `${kind}${layer}_${position}`;
    if (!nodes.has(name)) nodes.set(name, { name, kind, layer, position });
    return name;
  };
  const reachInput = (layer: number, position: number): NodeName => {
    inputs[layer].add(position);
    return reach(layer === 0 ? "X" : "I", layer - 1, position);
  };

  let sliceEnd = performance.now() + SLICE_MS;
  const breathe = async (): Promise<void> => {
    if (performance.now() < sliceEnd) return;
    await nextTurn();
    options.signal?.throwIfAborted();
    sliceEnd = performance.now() + SLICE_MS;
  };

  for (let layer = nLayers - 1; layer >= 0; layer--) {
    options.signal?.throwIfAborted();
    const edges: RouteEdge[] = [];
    const attentionTargets = parallelBlocks ? inputs[layer + 1] : middles[layer];

    // The FFN block: `X -> M -> I` beside the residual.
    const readsFfn = new Map<number, number>();
    for (const position of blocks[layer]) readsFfn.set(position, 1); // a start of its own: it has one input
    if (!parallelBlocks && inputs[layer + 1].size > 0) {
      const positions = ascending(inputs[layer + 1]);
      const parts = await source.ffn(layer, positions);
      for (let i = 0; i < positions.length; i++) {
        const position = positions[i];
        const [ffn, residual] = keep(parts[i], options);
        const target: NodeName = `I${layer}_${position}`;
        if (residual > 0) {
          middles[layer].add(position);
          edges.push({ source: reach("A", layer, position), target, kind: "residual", weight: residual });
        }
        if (ffn > 0) {
          readsFfn.set(position, ffn);
          edges.push({ source: reach("M", layer, position), target, kind: "ffn-out", weight: ffn });
        }
        await breathe();
      }
    }
    if (!parallelBlocks) {
      for (const [position, weight] of readsFfn) {
        middles[layer].add(position);
        edges.push({ source: reach("A", layer, position), target: `M${layer}_${position}`, kind: "ffn-in", weight });
      }
    }

    // The attention block; where blocks are parallel the FFN is a part of the same whole.
    const positions = ascending(attentionTargets);
    if (positions.length > 0) {
      const rows = await source.attention(layer, positions);
      for (let i = 0; i < positions.length; i++) {
        const position = positions[i];
        const target: NodeName = `${parallelBlocks ? "I" : "A"}${layer}_${position}`;
        const whole = attentionEdges(rows[i], source.nHeads, options);
        if (whole.residual > 0) {
          edges.push({ source: reachInput(layer, position), target, kind: "residual", weight: whole.residual });
        }
        for (const { key, weight, heads } of whole.keys) {
          edges.push({ source: reachInput(layer, key), target, kind: "attention", weight, heads });
        }
        if (whole.ffn > 0) {
          readsFfn.set(position, whole.ffn);
          edges.push({ source: reach("M", layer, position), target, kind: "ffn-out", weight: whole.ffn });
        }
        await breathe();
      }
    }
    if (parallelBlocks) {
      for (const [position, weight] of readsFfn) {
        edges.push({ source: reachInput(layer, position), target: `M${layer}_${position}`, kind: "ffn-in", weight });
      }
    }
    layers.push(edges);
    options.onProgress?.({ stage: "routes", done: nLayers - layer, total: nLayers, unit: "layers" });
  }
  const sorted = [...nodes.values()].sort(compareNodes);
  return { nodes: sorted, edges: sortEdges(layers.reverse().flat(), sorted) };
}

const kindOrder: Readonly<Record<EdgeKind, number>> = { residual: 0, attention: 1, "ffn-in": 2, "ffn-out": 3 };

/** By target, then source, as the nodes are ordered. */
function sortEdges(edges: RouteEdge[], nodes: readonly RouteNode[]): RouteEdge[] {
  const order = new Map(nodes.map((node, i) => [node.name, i]));
  const keyed = edges.map(edge => ({ edge, key: (order.get(edge.target) as number) * nodes.length + (order.get(edge.source) as number) }));
  keyed.sort((a, b) => a.key - b.key || kindOrder[a.edge.kind] - kindOrder[b.edge.kind]);
  return keyed.map(({ edge }) => edge);
}

function positionSets(n: number): Set<number>[] {
  return Array.from({ length: n }, () => new Set<number>());
}

function ascending(positions: Iterable<number>): number[] {
  return [...positions].sort((a, b) => a - b);
}

/** The weights of two parts of one whole after the threshold; 0 where dropped. */
function keep([a, b]: readonly [number, number], { threshold, renormalize }: TraceOptions): [number, number] {
  const first = a > threshold;
  const second = b > threshold;
  if (!renormalize) return [first ? a : 0, second ? b : 0];
  if (first && second) return [a, b];
  return first || (!second && a >= b) ? [1, 0] : [0, 1];
}

interface KeyEdge {
  readonly key: number;
  readonly weight: number;
  readonly heads: Readonly<Record<number, number>>;
}

interface WholeEdges {
  readonly keys: KeyEdge[];
  readonly residual: number;
  readonly ffn: number;
}

/** What of one whole passes the threshold, as edges. The bias is a part like the others, but no edge: weights then sum to less than 1. */
function attentionEdges(row: AttentionRow, nHeads: number, { threshold, renormalize }: TraceOptions): WholeEdges {
  const { terms } = row;
  const keys: KeyEdge[] = [];
  if (!renormalize) {
    for (let key = 0; key <= row.position; key++) {
      const at = key * nHeads;
      let weight = 0;
      for (let head = 0; head < nHeads; head++) weight += terms[at + head];
      if (weight <= threshold) continue;
      const heads: Record<number, number> = {};
      for (let head = 0; head < nHeads; head++) if (terms[at + head] > 0) heads[head] = terms[at + head];
      keys.push({ key, weight, heads });
    }
    return { keys, residual: row.residual > threshold ? row.residual : 0, ffn: row.ffn > threshold ? row.ffn : 0 };
  }

  let sum = 0;
  const passing: number[] = [];
  for (let j = 0; j < terms.length; j++) {
    if (terms[j] > threshold) {
      passing.push(j);
      sum += terms[j];
    }
  }
  const rest = [row.residual, row.bias, row.ffn].map(c => (c > threshold ? c : 0));
  sum += rest[0] + rest[1] + rest[2];
  if (sum === 0) {
    const largest = Math.max(row.residual, row.bias, row.ffn);
    let best = -1;
    for (let j = 0; j < terms.length; j++) if (terms[j] > (best < 0 ? largest : terms[best])) best = j;
    if (best >= 0) {
      passing.push(best);
      sum = terms[best];
    } else {
      // Equal ones: the residual first. Exactly one stays.
      rest[[row.residual, row.bias, row.ffn].indexOf(largest)] = largest;
      sum = largest;
    }
  }
  for (let i = 0; i < passing.length; ) {
    const key = Math.floor(passing[i] / nHeads);
    const heads: Record<number, number> = {};
    let weight = 0;
    for (; i < passing.length && passing[i] < (key + 1) * nHeads; i++) {
      const share = terms[passing[i]] / sum;
      heads[passing[i] - key * nHeads] = share;
      weight += share;
    }
    keys.push({ key, weight, heads });
  }
  return { keys, residual: rest[0] / sum, ffn: rest[2] / sum };
}

