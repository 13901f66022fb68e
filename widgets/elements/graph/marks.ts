import type { Focus, NodeName, NodePlace } from "../../../src/protocol";
import { focusEdgeKind, nodeName, parseNode } from "../../../src/protocol";
import type { DrawnEdge, DrawnRoutes } from "../../core/routes";
import { edgeKey, reached, streamsOf } from "../../core/routes";

/** Something in the graph that can be pointed at. */
export type Mark =
  | { readonly kind: "node"; readonly node: NodeName }
  | { readonly kind: "edge"; readonly edge: DrawnEdge }
  | { readonly kind: "ffn"; readonly layer: number; readonly position: number };

/** What a mark is to the selection. */
export const markFocus = (mark: Mark): Focus =>
  mark.kind === "edge"
    ? {
        kind: "edge",
        source: mark.edge.source,
        target: mark.edge.target,
        ...(mark.edge.kind === "residual" ? { edge: "residual" as const } : {}),
      }
    : mark;

/** Nodes that a focus names. */
export function focusNodes(focus: Focus | null): readonly NodeName[] {
  if (!focus) return [];
  if (focus.kind === "node") return [focus.node];
  return focus.kind === "edge" ? [focus.source, focus.target] : [nodeName("M", focus.layer, focus.position)];
}

/** Edges up and down the stream of a mark, those of the mark itself among them; empty where it is not on the routes. */
export function streamOf(mark: Mark, routes: DrawnRoutes | undefined): readonly DrawnEdge[] | undefined {
  if (!routes) return undefined;
  const own = mark.kind === "edge" ? [mark.edge] : [];
  const [first, last] =
    mark.kind === "edge"
      ? [mark.edge.source, mark.edge.target]
      : ((node) => [node, node])(mark.kind === "node" ? mark.node : nodeName("M", mark.layer, mark.position));
  if (mark.kind !== "edge" && !routes.nodes.has(first)) return undefined;
  const { into, outOf } = streamsOf(routes);
  const found = new Set([
    ...own,
    ...reached(first, into, (edge) => edge.source),
    ...reached(last, outOf, (edge) => edge.target),
  ]);
  return [...found].sort((a, b) => a.weight - b.weight);
}

export const sameMark = (a: Mark | undefined, b: Mark | undefined): boolean => markKey(a) === markKey(b);

const markKey = (mark: Mark | undefined): string => (mark ? JSON.stringify(markFocus(mark)) : "");

export const placeName = (place: NodePlace): NodeName => nodeName(place.kind, place.layer, place.position);

/** Where a mark is; an edge is where it ends. Undefined for a name that is none. */
export function markPlace(mark: Mark): NodePlace | undefined {
  if (mark.kind === "node") return parseNode(mark.node);
  return mark.kind === "edge" ? mark.edge.to : { kind: "M", layer: mark.layer, position: mark.position };
}

/** The mark that shows a focus; undefined where the routes do not have it. */
export function focusMark(focus: Focus | null, routes: DrawnRoutes | undefined): Mark | undefined {
  if (!focus) return undefined;
  if (focus.kind !== "edge") return focus;
  const edge = routes?.byKey.get(edgeKey(focus.source, focus.target, focusEdgeKind(focus)));
  return edge && { kind: "edge", edge };
}

/** The mark of an edge: those of a feed-forward block are the block's. */
export function edgeMark(edge: DrawnEdge): Mark {
  return edge.kind === "ffn-in" || edge.kind === "ffn-out"
    ? { kind: "ffn", layer: edge.to.layer, position: edge.to.position }
    : { kind: "edge", edge };
}

/** The edge by which a feed-forward block writes; undefined where it is not on the routes. */
export function ffnEdge(routes: DrawnRoutes | undefined, layer: number, position: number): DrawnEdge | undefined {
  return routes?.byKey.get(edgeKey(nodeName("M", layer, position), nodeName("I", layer, position), "ffn-out"));
}
