import type { Alignment, Focus, ModelFacts, NodeName, NodePlace, RoutesAnswer } from "../../src/protocol";
import { otherKeysOf } from "../../src/payload/routes";
import { EDGE_KINDS, focusEdgeKind, nodeName, parseNode, ProtocolError } from "../../src/protocol";

export type EdgeKind = (typeof EDGE_KINDS)[number];

/** An edge as it is drawn. */
export interface DrawnEdge {
  readonly key: string;
  readonly source: NodeName;
  readonly target: NodeName;
  readonly from: NodePlace;
  readonly to: NodePlace;
  readonly kind: EdgeKind;
  /** 0 to 1. */
  readonly weight: number;
  /** Attention only: its heads and their shares of the weight, largest first. */
  readonly heads: readonly { readonly head: number; readonly weight: number; readonly logit?: number }[];
  /** Share of everything that makes up the target; undefined in what earlier versions stored. */
  readonly contribution?: number;
  /** How much of the start goes through it. */
  readonly relevance?: number;
  /** Of a contrast: what an edge into its token's stream adds to the logits, negative where it speaks against it. */
  readonly logit?: number;
  /**
   * What it stands out by: in a comparison which routes have more of it, in a contrast what it speaks for. What a block
   * reads goes with what it writes; the sums that residual edges carry have none.
   */
  readonly side?: "more" | "less" | "supports" | "opposes";
  /**
   * In a comparison: contribution in the first run less that in the second, -1 to 1; of contrasts, logits. `weight` is
   * then its size on a scale that ends at `FULL_DIFFERENCE`.
   */
  readonly delta?: number;
  /** In a comparison: what it contributes in the first and in the second run; undefined where that is not known. */
  readonly both?: readonly [number | undefined, number | undefined];
  /** In a comparison: the routes on which it is not, since it is below the threshold there. */
  readonly below?: "A" | "B";
}

/** Routes, checked against the model they are said to belong to and ready to draw. */
export interface DrawnRoutes {
  readonly nodes: ReadonlySet<string>;
  readonly edges: readonly DrawnEdge[];
  /** Edges by `key`. */
  readonly byKey: ReadonlyMap<string, DrawnEdge>;
  /** By state: heads whose other keys together are more than an edge has to be, none of them one; largest first. */
  readonly others?: ReadonlyMap<string, readonly { readonly head: number; readonly share: number }[]>;
}

export const edgeKey = (source: string, target: string, kind: string): string => `${source}>${target}:${kind}`;

/** Throws a `ProtocolError` where the columns do not fit each other, or name places that the model does not have. */
export function drawnRoutes(answer: RoutesAnswer, model: ModelFacts, nTokens: number): DrawnRoutes {
  const count = answer.kinds.data.length;
  const { sources, targets, weights, headStarts, heads, headWeights } = answer;
  const { contributions, relevances, logits, headLogits } = answer;
  const start = answer.contrast && parseNode(answer.from[0] ?? "")?.position;
  if (
    sources.data.length !== count ||
    targets.data.length !== count ||
    weights.data.length !== count ||
    headStarts.data.length !== count + 1 ||
    heads.data.length !== headWeights.data.length ||
    [contributions, relevances, logits].some((column) => column && column.data.length !== count) ||
    (headLogits && headLogits.data.length !== heads.data.length)
  ) {
    throw new ProtocolError(
      "malformed",
      "The routes in this answer are cut off: their columns have different lengths.",
    );
  }
  const places = answer.nodes.map((name) => {
    const place = parseNode(name);
    if (!place || place.layer >= model.nLayers || place.position >= nTokens) {
      throw new ProtocolError(
        "malformed",
        `The routes name the node ${JSON.stringify(name)}, which a model of ${model.nLayers} layers and ${nTokens} tokens does not have.`,
      );
    }
    return place;
  });
  const edges: DrawnEdge[] = [];
  for (let e = 0; e < count; e++) {
    const from = places[sources.data[e]];
    const to = places[targets.data[e]];
    const kind = EDGE_KINDS[answer.kinds.data[e]];
    if (!from || !to || !kind)
      throw new ProtocolError("malformed", `Edge ${e} of the routes leads to a node that is not listed.`);
    const source = answer.nodes[sources.data[e]];
    const target = answer.nodes[targets.data[e]];
    // What a block reads is no part of the stream that it is read from.
    const signed = logits !== undefined && to.position === start && kind !== "ffn-in";
    const own: { head: number; weight: number; logit?: number }[] = [];
    for (let i = headStarts.data[e]; i < Math.min(headStarts.data[e + 1], heads.data.length); i++)
      own.push({
        head: heads.data[i],
        weight: headWeights.data[i],
        ...(signed && headLogits ? { logit: headLogits.data[i] } : {}),
      });
    own.sort((a, b) => b.weight - a.weight);
    edges.push({
      key: edgeKey(source, target, kind),
      source,
      target,
      from,
      to,
      kind,
      weight: Math.max(0, Math.min(1, weights.data[e])),
      heads: own,
      ...(contributions ? { contribution: contributions.data[e] } : {}),
      ...(relevances ? { relevance: relevances.data[e] } : {}),
      ...(signed ? { logit: logits.data[e] } : {}),
      ...(signed && kind !== "residual" ? { side: logits.data[e] < 0 ? "opposes" : "supports" } : {}),
    });
  }
  const sideOf = new Map(
    edges.flatMap(({ kind, source, side }) => (kind === "ffn-out" && side ? [[source, side]] : [])),
  );
  edges.forEach((edge, e) => {
    const side = edge.kind === "ffn-in" ? sideOf.get(edge.target) : undefined;
    if (side) edges[e] = { ...edge, side };
  });
  const others = new Map<string, { head: number; share: number }[]>();
  for (const [name, heads] of otherKeysOf(answer))
    others.set(
      name,
      Object.entries(heads)
        .map(([head, share]) => ({ head: Number(head), share }))
        .sort((a, b) => b.share - a.share),
    );
  return { nodes: new Set(answer.nodes), edges, byKey: new Map(edges.map((edge) => [edge.key, edge])), others };
}

/**
 * The edge that a focus is about: of a block, the one by which it writes. Undefined where it is not on the routes, or
 * the focus is a state.
 */
export function focusedEdge(routes: DrawnRoutes | undefined, focus: Focus | null): DrawnEdge | undefined {
  if (focus?.kind === "ffn")
    return routes?.byKey.get(
      edgeKey(nodeName("M", focus.layer, focus.position), nodeName("I", focus.layer, focus.position), "ffn-out"),
    );
  if (focus?.kind !== "edge") return undefined;
  return routes?.byKey.get(edgeKey(focus.source, focus.target, focusEdgeKind(focus)));
}

/** A difference of this much, or more, is drawn at full width: the same scale for all pairs of runs. */
export const FULL_DIFFERENCE = 0.1;
/** The same for contrasts, in logits. */
export const FULL_LOGITS = 2;

/** Which edge it is, without what it carries. */
type EdgeName = Pick<DrawnEdge, "source" | "target" | "kind">;

/** What an edge that is not on a side's routes contributes there, in that side's places; undefined where nobody knows. */
export type Unseen = (edge: EdgeName) => number | undefined;

/** Two routes as one, in the places of the first run. */
export interface ComparedRoutes extends DrawnRoutes {
  /** Edges of the second routes at tokens that the first prompt does not have: they cannot be drawn. */
  readonly unplaced: number;
  /** Edges of which one side is not known: they are not drawn. */
  readonly unknown: number;
}

/** An edge of the second routes in the places of the first, with the edge as it is there. */
export interface PlacedEdge {
  readonly edge: DrawnEdge;
  readonly there: DrawnEdge;
}

/**
 * Edges of the second routes by their keys in the places of the first; those at tokens that the first prompt does not
 * have are left out.
 *
 * @param back for each token of the second prompt its place in the first, −1 where it has none
 */
export function placedEdges(second: DrawnRoutes, back: Int32Array): ReadonlyMap<string, PlacedEdge> {
  const placed = new Map<string, PlacedEdge>();
  for (const there of second.edges) {
    const edge = movedEdge(there, back);
    if (edge) placed.set(edge.key, { edge, there });
  }
  return placed;
}

/** The same edge in the places of the other prompt; undefined where that has no such token. */
function movedEdge(edge: DrawnEdge, places: Int32Array): DrawnEdge | undefined {
  const [from, to] = [edge.from, edge.to].map((place) => ({ ...place, position: places[place.position] ?? -1 }));
  if (from.position < 0 || to.position < 0) return undefined;
  const [source, target] = [from, to].map(({ kind, layer, position }) => nodeName(kind, layer, position));
  return { ...edge, key: edgeKey(source, target, edge.kind), source, target, from, to };
}

/** What carries an edge's number: what a block reads goes with what it writes. */
const written = ({ source, target, kind, to }: Pick<DrawnEdge, "source" | "target" | "kind" | "to">): EdgeName =>
  kind === "ffn-in"
    ? { source: target, target: nodeName("I", to.layer, to.position), kind: "ffn-out" }
    : { source, target, kind };

const keyOf = ({ source, target, kind }: EdgeName): string => edgeKey(source, target, kind);

/** The edge's part of everything, or in a contrast its logits. */
export const measure = ({ logit, contribution, weight }: DrawnEdge): number => logit ?? contribution ?? weight;

/**
 * Two routes as one: every edge of either, with the difference of what it contributes, whatever the threshold is: an
 * edge just below it is no edge of 0. A part of a contrast that only one side draws has logits on the other that nobody
 * knows: it is drawn by its own size, and `both` says so.
 *
 * @param back for each token of the second prompt its place in the first, −1 where it has none
 * @param forth the same the other way round
 * @param unseen what edges contribute that are not on the first, and not on the second routes
 */
export function comparedRoutes(
  first: DrawnRoutes,
  second: DrawnRoutes,
  { forth, back }: Alignment,
  unseen: readonly [Unseen, Unseen],
): ComparedRoutes {
  const placed = placedEdges(second, back);
  let unknown = 0;
  const edges = [...new Set([...first.byKey.keys(), ...placed.keys()])].flatMap((key): DrawnEdge[] => {
    const [a, b] = [first.byKey.get(key), placed.get(key)];
    const edge = (a ?? b?.edge)!;
    const name = written(edge);
    const [mine, theirs] = [first.byKey.get(keyOf(name)), placed.get(keyOf(name))?.edge];
    const inLogits = (mine ?? theirs ?? edge).logit !== undefined;
    const there = b?.there ?? movedEdge(edge, forth);
    const both = [
      mine ? measure(mine) : inLogits ? undefined : unseen[0](name),
      theirs ? measure(theirs) : inLogits ? undefined : there && unseen[1](written(there)),
    ] as const;
    if (both.includes(undefined) && !inLogits) {
      unknown++;
      return [];
    }
    const delta = (both[0] ?? 0) - (both[1] ?? 0);
    return [
      {
        ...edge,
        delta,
        both,
        side: delta >= 0 ? "more" : "less",
        weight: Math.min(1, Math.abs(delta) / (inLogits ? FULL_LOGITS : FULL_DIFFERENCE)),
        ...(a && b ? {} : { below: a ? ("B" as const) : ("A" as const) }),
      },
    ];
  });
  const names = new Set<string>(first.nodes);
  for (const { edge } of placed.values()) names.add(edge.source).add(edge.target);
  const byKey = new Map(edges.map((edge) => [edge.key, edge]));
  return { nodes: names, edges, byKey, unplaced: second.edges.length - placed.size, unknown };
}

/** Edges by the node they lead to, and by the node they come from; found once for the same routes. */
export interface Streams {
  readonly into: ReadonlyMap<string, readonly DrawnEdge[]>;
  readonly outOf: ReadonlyMap<string, readonly DrawnEdge[]>;
}

const streams = new WeakMap<DrawnRoutes, Streams>();

export function streamsOf(routes: DrawnRoutes): Streams {
  let known = streams.get(routes);
  if (!known) {
    const by = (end: (edge: DrawnEdge) => string): Map<string, DrawnEdge[]> => {
      const edges = new Map<string, DrawnEdge[]>();
      for (const edge of routes.edges) {
        const list = edges.get(end(edge));
        if (list) list.push(edge);
        else edges.set(end(edge), [edge]);
      }
      return edges;
    };
    streams.set(routes, (known = { into: by(({ target }) => target), outOf: by(({ source }) => source) }));
  }
  return known;
}

/** Edges that are reached from a node, over those that `passes` lets through. */
export function reached(
  from: string,
  edges: ReadonlyMap<string, readonly DrawnEdge[]>,
  next: (edge: DrawnEdge) => string,
  passes: (edge: DrawnEdge) => boolean = () => true,
): DrawnEdge[] {
  const found: DrawnEdge[] = [];
  const seen = new Set([from]);
  const waiting = [from];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop())
    for (const edge of edges.get(name) ?? []) {
      if (!passes(edge)) continue;
      found.push(edge);
      if (seen.has(next(edge))) continue;
      seen.add(next(edge));
      waiting.push(next(edge));
    }
  return found;
}

/** What is hidden where attention to the first token is. */
export interface HiddenSinks {
  readonly edges: number;
  /** Their share of the weight of all attention edges. */
  readonly share: number;
}

/**
 * Routes without attention from later tokens to the first one, which takes what a head has no other use for (attention
 * sinks: Xiao et al. 2023, arXiv:2309.17453), and without what is reached through it alone.
 *
 * @param begin the node at which the routes begin
 */
export function withoutSinks(
  routes: DrawnRoutes,
  begin: NodeName,
): { readonly routes: DrawnRoutes; readonly hidden: HiddenSinks } {
  const isSink = ({ kind, from, to }: DrawnEdge): boolean =>
    kind === "attention" && from.position === 0 && to.position !== 0;
  const weightOf = (edges: readonly DrawnEdge[]): number => edges.reduce((sum, { weight }) => sum + weight, 0);
  const attention = routes.edges.filter(({ kind }) => kind === "attention");
  const sinks = attention.filter(isSink);
  const { into } = streamsOf(routes);
  const edges = reached(
    begin,
    into,
    ({ source }) => source,
    (edge) => !isSink(edge),
  );
  return {
    routes: {
      nodes: new Set([begin, ...edges.map(({ source }) => source)]),
      edges,
      byKey: new Map(edges.map((edge) => [edge.key, edge])),
      others: routes.others,
    },
    hidden: { edges: sinks.length, share: sinks.length ? weightOf(sinks) / weightOf(attention) : 0 },
  };
}
