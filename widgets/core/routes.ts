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
   * In a comparison: weight in the first routes less that in the second, -1 to 1. `weight` is then its size beside the
   * largest one's.
   */
  readonly delta?: number;
  /** In a comparison: the weight in the first and in the second routes; undefined where it is not on them. */
  readonly both?: readonly [number | undefined, number | undefined];
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

/**
 * Two routes as one: every edge of either, with the difference of its weights; what is only in one counts 0 in the
 * other.
 */
export function comparedRoutes(first: DrawnRoutes, second: DrawnRoutes): DrawnRoutes {
  const compared = [...new Set([...first.byKey.keys(), ...second.byKey.keys()])].map((key) => {
    const a = first.byKey.get(key);
    const b = second.byKey.get(key);
    return { edge: (a ?? b)!, both: [signedWeight(a), signedWeight(b)] as const };
  });
  const differences = compared.map(({ both, ...rest }) => ({ ...rest, both, delta: (both[0] ?? 0) - (both[1] ?? 0) }));
  // Two routes mostly agree: on the scale of contributions their differences would hardly show.
  const most = differences.reduce((largest, { delta }) => Math.max(largest, Math.abs(delta)), 1e-6);
  const edges = differences.map(({ edge, both, delta }): DrawnEdge => ({
    ...edge,
    delta,
    both,
    side: delta >= 0 ? "more" : "less",
    weight: Math.abs(delta) / most,
  }));
  return {
    nodes: new Set([...first.nodes, ...second.nodes]),
    edges,
    byKey: new Map(edges.map((edge) => [edge.key, edge])),
  };
}

/** An edge's weight; of a contrast's, below 0 where it speaks against the token. */
const signedWeight = (edge: DrawnEdge | undefined): number | undefined =>
  edge && (edge.side === "opposes" ? -edge.weight : edge.weight);
