import type { Focus, ModelFacts, NodeName, NodePlace, RoutesAnswer } from "../../src/protocol";
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
  return { nodes: new Set(answer.nodes), edges, byKey: new Map(edges.map((edge) => [edge.key, edge])) };
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

/** What is known of edges that are not on a side's routes: their contribution by `edgeKey`, of that side's places. */
export type Unseen = (edge: Pick<DrawnEdge, "source" | "target" | "kind">) => number | undefined;

/** Two routes as one, in the places of the first run. */
export interface ComparedRoutes extends DrawnRoutes {
  /** Edges of the second routes at tokens that the first prompt does not have: they cannot be drawn. */
  readonly unplaced: number;
  /** Edges of which one side is not known. */
  readonly unknown: number;
}

/**
 * Two routes as one: every edge of either, with the difference of what it contributes, whatever the threshold is: an
 * edge just below it is no edge of 0.
 *
 * @param back for each token of the second prompt its place in the first, −1 where it has none
 * @param unseen contributions on the first and on the second side of edges that are not on their routes
 */
export function comparedRoutes(
  first: DrawnRoutes,
  second: DrawnRoutes,
  back?: Int32Array,
  unseen: readonly [Unseen, Unseen] = [() => 0, () => 0],
): ComparedRoutes {
  const placed = new Map<string, DrawnEdge>();
  let unplaced = 0;
  const moved = (place: NodePlace): NodePlace | undefined => {
    const position = back ? (back[place.position] ?? -1) : place.position;
    return position < 0 ? undefined : { ...place, position };
  };
  for (const edge of second.edges) {
    const [from, to] = [moved(edge.from), moved(edge.to)];
    if (!from || !to) {
      unplaced++;
      continue;
    }
    const [source, target] = [from, to].map(({ kind, layer, position }) => nodeName(kind, layer, position));
    const key = edgeKey(source, target, edge.kind);
    placed.set(key, { ...edge, key, source, target, from, to });
  }
  const places = back && inverted(back);
  const there = ({
    source,
    target,
    kind,
    from,
    to,
  }: DrawnEdge): Pick<DrawnEdge, "source" | "target" | "kind"> | undefined => {
    if (!places) return { source, target, kind };
    const [a, b] = [places.get(from.position), places.get(to.position)];
    return a === undefined || b === undefined
      ? undefined
      : { source: nodeName(from.kind, from.layer, a), target: nodeName(to.kind, to.layer, b), kind };
  };
  // What a block reads goes with what it writes: the number is of that edge.
  const written = (edge: DrawnEdge, of: ReadonlyMap<string, DrawnEdge>): DrawnEdge | undefined =>
    edge.kind !== "ffn-in"
      ? of.get(edge.key)
      : of.get(edgeKey(edge.target, nodeName("I", edge.to.layer, edge.to.position), "ffn-out"));
  const outOf = (edge: DrawnEdge): DrawnEdge =>
    edge.kind === "ffn-in"
      ? {
          ...edge,
          source: edge.target,
          from: edge.to,
          kind: "ffn-out",
          target: nodeName("I", edge.to.layer, edge.to.position),
          to: { kind: "I", layer: edge.to.layer, position: edge.to.position },
        }
      : edge;
  const signed = [...first.edges, ...second.edges].some(({ logit }) => logit !== undefined);
  let unknown = 0;
  const edges = [...new Set([...first.byKey.keys(), ...placed.keys()])].flatMap((key): DrawnEdge[] => {
    const [a, b] = [first.byKey.get(key), placed.get(key)];
    const edge = (a ?? b)!;
    const own = (side: DrawnEdge | undefined, routes: ReadonlyMap<string, DrawnEdge>): number | undefined => {
      const found = side && (written(side, routes) ?? side);
      return found && (found.logit ?? found.contribution ?? found.weight);
    };
    const elsewhere = there(outOf(edge));
    // A part of a contrast that is not drawn has logits of its own, which nobody was asked for.
    const both = [
      own(a, first.byKey) ?? (signed ? 0 : unseen[0](outOf(edge))),
      own(b, placed) ?? (signed ? 0 : elsewhere && unseen[1](elsewhere)),
    ] as const;
    if (both[0] === undefined || both[1] === undefined) {
      unknown++;
      return [];
    }
    const delta = both[0] - both[1];
    return [
      {
        ...edge,
        delta,
        both,
        side: delta >= 0 ? "more" : "less",
        weight: Math.min(1, Math.abs(delta) / (signed ? FULL_LOGITS : FULL_DIFFERENCE)),
        ...(a && b ? {} : { below: a ? ("B" as const) : ("A" as const) }),
      },
    ];
  });
  const names = new Set<string>(first.nodes);
  for (const { source, target } of placed.values()) names.add(source).add(target);
  return { nodes: names, edges, byKey: new Map(edges.map((edge) => [edge.key, edge])), unplaced, unknown };
}

const inverted = (back: Int32Array): ReadonlyMap<number, number> =>
  new Map([...back].flatMap((first, second) => (first < 0 ? [] : [[first, second] as const])));

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
  const into = new Map<string, DrawnEdge[]>();
  let [all, hidden, count] = [0, 0, 0];
  for (const edge of routes.edges) {
    if (edge.kind === "attention") all += edge.weight;
    if (isSink(edge)) {
      hidden += edge.weight;
      count++;
      continue;
    }
    const list = into.get(edge.target);
    if (list) list.push(edge);
    else into.set(edge.target, [edge]);
  }
  const nodes = new Set<string>([begin]);
  const waiting: string[] = [begin];
  const edges: DrawnEdge[] = [];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop())
    for (const edge of into.get(name) ?? []) {
      edges.push(edge);
      if (nodes.has(edge.source)) continue;
      nodes.add(edge.source);
      waiting.push(edge.source);
    }
  return {
    routes: { nodes, edges, byKey: new Map(edges.map((edge) => [edge.key, edge])) },
    hidden: { edges: count, share: all > 0 ? hidden / all : 0 },
  };
}
