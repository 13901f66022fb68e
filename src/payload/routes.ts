import { trace } from "../attribution/routes";
import type { ContributionSource, NotableRow } from "../attribution/routes";
import type { Answer, RoutesAnswer } from "../protocol/questions";
import { EDGE_KINDS, LEAST_INFLOW } from "../protocol/questions";
import { tensor } from "../protocol/codec";
import { nodeName, parseNode, stateBelow } from "../model/names";
import type { NodeName, OtherKeys } from "../model/types";
import type { ModelFacts } from "../protocol/state";
import { ProtocolError } from "../protocol/version";
import type { Inflow } from "../protocol/inflow";
import { inflowAnswer } from "../protocol/inflow";

/** A row of an attention block that a route may pass: contributions of a query's parts. H heads. */
export interface StoredWhole {
  readonly layer: number;
  readonly query: number;
  readonly residual: number;
  /** 0 where blocks are not parallel. */
  readonly ffn: number;
  readonly bias: number;
  /** Ascending. */
  readonly keys: readonly number[];
  /** `[keys, H]` */
  readonly terms: ArrayLike<number>;
  /** `[keys, H]`: attention weights. */
  readonly weights: ArrayLike<number>;
  /** `[H]`: contributions of all keys together. Missing in what earlier versions stored. */
  readonly heads?: ArrayLike<number>;
}

/** The two parts of the state after a feed-forward block. */
export interface StoredPair {
  readonly layer: number;
  readonly position: number;
  readonly ffn: number;
  readonly residual: number;
}

interface GraphParts {
  readonly from: readonly NodeName[];
  readonly threshold: number;
  readonly renormalize: boolean;
  readonly contrast?: RoutesAnswer["contrast"];
  readonly nodes: readonly { readonly name: NodeName }[];
  readonly edges: readonly {
    readonly source: NodeName;
    readonly target: NodeName;
    readonly kind: string;
    readonly weight: number;
    readonly heads?: Readonly<Record<number, number>>;
    readonly contribution?: number;
    readonly relevance?: number;
    readonly logit?: number;
    readonly headLogits?: Readonly<Record<number, number>>;
  }[];
  readonly others?: readonly OtherKeys[];
}

/** A route graph as the answer to a question about it. */
export function routesAnswer(graph: GraphParts): RoutesAnswer {
  const nodes = graph.nodes.map((node) => node.name);
  const index = new Map(nodes.map((name, i) => [name, i]));
  const count = graph.edges.length;
  const sources = new Uint32Array(count);
  const targets = new Uint32Array(count);
  const kinds = new Uint8Array(count);
  const weights = new Float32Array(count);
  const headStarts = new Uint32Array(count + 1);
  const heads: number[] = [];
  const headWeights: number[] = [];
  const headLogits: number[] = [];
  const numbers = (name: "contribution" | "relevance" | "logit"): Float32Array =>
    Float32Array.from(graph.edges, (edge) => edge[name] ?? 0);
  graph.edges.forEach((edge, e) => {
    sources[e] = index.get(edge.source)!;
    targets[e] = index.get(edge.target)!;
    kinds[e] = (EDGE_KINDS as readonly string[]).indexOf(edge.kind);
    weights[e] = edge.weight;
    for (const [head, weight] of Object.entries(edge.heads ?? {})) {
      heads.push(Number(head));
      headWeights.push(weight);
      headLogits.push(edge.headLogits?.[Number(head)] ?? 0);
    }
    headStarts[e + 1] = heads.length;
  });
  return {
    from: graph.from,
    threshold: graph.threshold,
    renormalize: graph.renormalize,
    ...(graph.contrast ? { contrast: graph.contrast } : {}),
    nodes,
    sources: tensor(sources),
    targets: tensor(targets),
    kinds: tensor(kinds),
    weights: tensor(weights),
    headStarts: tensor(headStarts),
    heads: tensor(Uint16Array.from(heads)),
    headWeights: tensor(Float32Array.from(headWeights)),
    // Graphs of earlier versions have none of these.
    ...(graph.edges.every(({ relevance }) => relevance !== undefined)
      ? { contributions: tensor(numbers("contribution")), relevances: tensor(numbers("relevance")) }
      : {}),
    ...(graph.contrast?.logit === undefined
      ? {}
      : { logits: tensor(numbers("logit")), headLogits: tensor(Float32Array.from(headLogits)) }),
    ...(graph.others ? othersColumns(graph.others, index) : {}),
  };
}

function othersColumns(
  others: readonly OtherKeys[],
  index: ReadonlyMap<NodeName, number>,
): Pick<RoutesAnswer, "otherTargets" | "otherHeads" | "otherShares"> {
  const all = others.flatMap(({ target, heads }) =>
    Object.entries(heads).map(([head, share]) => ({ target: index.get(target)!, head: Number(head), share })),
  );
  return {
    otherTargets: tensor(Uint32Array.from(all, ({ target }) => target)),
    otherHeads: tensor(Uint16Array.from(all, ({ head }) => head)),
    otherShares: tensor(Float32Array.from(all, ({ share }) => share)),
  };
}

/** Heads by state whose other keys are known together. */
export function otherKeysOf(answer: RoutesAnswer): Map<NodeName, Record<number, number>> {
  const found = new Map<NodeName, Record<number, number>>();
  answer.otherTargets?.data.forEach((target, o) => {
    const name = answer.nodes[target];
    const heads = found.get(name) ?? {};
    heads[answer.otherHeads!.data[o]] = answer.otherShares!.data[o];
    found.set(name, heads);
  });
  return found;
}

/**
 * The keys of a row that a route can pass at `threshold` or above, with renormalisation or without: all others are
 * below it even in sum.
 */
export function passingKeys(
  terms: ArrayLike<number>,
  nKeys: number,
  nHeads: number,
  rest: readonly number[],
  threshold: number,
): number[] {
  const keys: number[] = [];
  let best = -1;
  let largest = 0;
  for (let key = 0; key < nKeys; key++) {
    let sum = 0;
    for (let head = 0; head < nHeads; head++) {
      const c = terms[key * nHeads + head];
      sum += c;
      if (c > largest) {
        largest = c;
        best = key;
      }
    }
    if (sum > threshold) keys.push(key);
  }
  // Where nothing passes, the largest part stays.
  if (largest <= threshold && largest > Math.max(...rest) && !keys.includes(best)) keys.push(best);
  return keys.sort((a, b) => a - b);
}

/** More edges than a page can draw. */
const MAX_EDGES = 250_000;

const notStored = (): ProtocolError =>
  new ProtocolError(
    "unavailable",
    "These routes are not stored in this notebook: only those at the thresholds it was saved for are. Run the cell again to see them.",
  );

/**
 * Contributions that are stored, as the route tracer wants them. A row that is not stored is refused with a sentence.
 */
class StoredContributions implements ContributionSource {
  readonly nHeads: number;
  readonly nLayers: number;
  readonly parallelBlocks: boolean;
  readonly sparse = true;
  readonly #wholes = new Map<number, StoredWhole>();
  readonly #pairs = new Map<number, StoredPair>();

  constructor(
    model: Pick<ModelFacts, "nHeads" | "nLayers" | "parallelBlocks">,
    readonly nTokens: number,
    wholes: Iterable<StoredWhole>,
    pairs: Iterable<StoredPair>,
  ) {
    ({ nHeads: this.nHeads, nLayers: this.nLayers, parallelBlocks: this.parallelBlocks } = model);
    for (const whole of wholes) this.#wholes.set(whole.layer * nTokens + whole.query, whole);
    for (const pair of pairs) this.#pairs.set(pair.layer * nTokens + pair.position, pair);
  }

  pair(layer: number, position: number): StoredPair | undefined {
    return this.#pairs.get(layer * this.nTokens + position);
  }

  whole(layer: number, query: number): StoredWhole | undefined {
    return this.#wholes.get(layer * this.nTokens + query);
  }

  /** Nothing is made as long as a whole row of the model: a few bytes could claim ten thousand of them. */
  async notable(layer: number, positions: readonly number[]): Promise<NotableRow[]> {
    const { nHeads } = this;
    return positions.map((position) => {
      const whole = this.whole(layer, position);
      if (!whole) throw notStored();
      const indices: number[] = [];
      const values: number[] = [];
      // The first of the largest, as in a row that has all keys.
      let best = 0;
      let bestValue = 0;
      whole.keys.forEach((key, i) => {
        for (let head = 0; head < nHeads; head++) {
          const value = whole.terms[i * nHeads + head];
          if (!(value > 0)) continue;
          indices.push(key * nHeads + head);
          values.push(value);
          if (value > bestValue) [best, bestValue] = [key * nHeads + head, value];
        }
      });
      const own = whole.keys[whole.keys.length - 1] === position ? whole.keys : [...whole.keys, position];
      const terms = new Float32Array(own.length * nHeads);
      terms.set(whole.terms);
      const notable = {
        indices: Uint32Array.from(indices),
        values: Float32Array.from(values),
        best,
        bestValue,
        keys: { keys: Uint32Array.from(own), terms },
        ...(whole.heads ? { heads: Float32Array.from(whole.heads) } : {}),
      };
      return { position, notable, residual: whole.residual, ffn: whole.ffn, bias: whole.bias };
    });
  }

  attention(): Promise<never> {
    return Promise.reject(notStored());
  }

  async ffn(layer: number, positions: readonly number[]): Promise<(readonly [number, number])[]> {
    return positions.map((position) => {
      const pair = this.pair(layer, position);
      if (!pair) throw notStored();
      return [pair.ffn, pair.residual] as const;
    });
  }
}

/** The questions that contributions alone answer. */
export class StoredRoutes {
  readonly #source: StoredContributions;

  /** `threshold`: the lowest that the stored rows are complete for. */
  constructor(
    private readonly model: Pick<ModelFacts, "nHeads" | "nLayers" | "parallelBlocks">,
    nTokens: number,
    wholes: Iterable<StoredWhole>,
    pairs: Iterable<StoredPair>,
    readonly threshold: number,
  ) {
    this.#source = new StoredContributions(model, nTokens, wholes, pairs);
  }

  /** Rejects with a `ProtocolError` where rows are missing. */
  async routes(
    from: number | NodeName,
    threshold: number,
    renormalize: boolean,
    signal?: AbortSignal,
  ): Promise<RoutesAnswer> {
    if (threshold < this.threshold) throw notStored();
    const name = typeof from === "string" ? from : nodeName("I", this.model.nLayers - 1, from);
    const place = parseNode(name);
    if (
      !place ||
      (place.kind === "A" && this.model.parallelBlocks) ||
      place.layer >= this.model.nLayers ||
      place.position >= this.#source.nTokens
    )
      throw notStored();
    const start = { name, ...place };
    const { nodes, edges, others } = await trace(this.#source, {
      from: [start],
      threshold,
      renormalize,
      signal,
      limit: MAX_EDGES,
    }).catch((error: unknown) => {
      throw error instanceof RangeError ? new ProtocolError("range", error.message) : error;
    });
    return routesAnswer({ from: [start.name], threshold, renormalize, nodes, edges, others });
  }

  /** What is stored of the parts of states; all else of a state is its rest. */
  inflow(nodes: readonly NodeName[]): Answer<"inflow"> {
    const { nHeads, parallelBlocks } = this.model;
    const unknown: Inflow = { sources: [], rest: undefined };
    return inflowAnswer(
      nodes.map((node): Inflow => {
        const place = parseNode(node);
        if (!place) return unknown;
        const { kind, layer, position } = place;
        const block = nodeName("M", layer, position);
        if (kind === "I" && !parallelBlocks) {
          const pair = this.#source.pair(layer, position);
          if (!pair) return unknown;
          const beside = nodeName("A", layer, position);
          return {
            sources: [
              { source: beside, kind: "residual", contribution: pair.residual },
              { source: block, kind: "ffn-out", contribution: pair.ffn },
            ],
            rest: 0,
          };
        }
        const whole = this.#source.whole(layer, position);
        if (!whole) return unknown;
        const attention = whole.keys.map((key, i) => {
          let contribution = 0;
          for (let head = 0; head < nHeads; head++) contribution += whole.terms[i * nHeads + head];
          return { source: stateBelow(layer, key), kind: "attention" as const, contribution };
        });
        const known = attention.reduce(
          (sum, { contribution }) => sum + contribution,
          whole.residual + whole.ffn + whole.bias,
        );
        return {
          sources: [
            { source: stateBelow(layer, position), kind: "residual", contribution: whole.residual },
            ...(parallelBlocks ? [{ source: block, kind: "ffn-out" as const, contribution: whole.ffn }] : []),
            ...attention,
          ],
          rest: Math.max(0, 1 - known),
        };
      }),
      Math.max(LEAST_INFLOW, this.threshold),
    );
  }

  heads(layer: number, query: number, key: number): Answer<"heads"> | undefined {
    const whole = this.#source.whole(layer, query);
    const at = whole ? whole.keys.indexOf(key) : -1;
    if (!whole || at < 0) return undefined;
    const pick = (values: ArrayLike<number>): Float32Array =>
      Float32Array.from({ length: this.model.nHeads }, (_, head) => values[at * this.model.nHeads + head]);
    return { contributions: tensor(pick(whole.terms)), weights: tensor(pick(whole.weights)) };
  }
}
