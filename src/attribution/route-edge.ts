import type { RouteEdge } from "../model/types";

/** An edge with its parts in one order, wherever it comes from: the same graph is the same text. */
export function routeEdge(edge: RouteEdge): RouteEdge {
  const { source, target, kind, weight, heads, contribution, relevance, logit, headLogits } = edge;
  return {
    source,
    target,
    kind,
    weight,
    ...(heads ? { heads } : {}),
    ...(contribution === undefined ? {} : { contribution }),
    ...(relevance === undefined ? {} : { relevance }),
    ...(logit === undefined ? {} : { logit }),
    ...(headLogits ? { headLogits } : {}),
  };
}
