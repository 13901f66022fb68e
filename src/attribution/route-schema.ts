import type { ModelInfo, NodeName, OtherKeys, RouteEdge, RouteGraph, RouteNode, Token } from "../model/types";

export const ROUTE_GRAPH_SCHEMA = "lm-transparency/route-graph@1";

/** A route graph as plain data, as `JSON.stringify` writes it. */
export interface RouteGraphJson {
  readonly schema: typeof ROUTE_GRAPH_SCHEMA;
  readonly model: ModelInfo;
  readonly tokens: readonly Token[];
  readonly from: readonly NodeName[];
  readonly threshold: number;
  readonly renormalize: boolean;
  readonly joinSelf?: boolean;
  readonly select?: RouteGraph["select"];
  readonly method?: RouteGraph["method"];
  readonly counterfactual?: RouteGraph["counterfactual"];
  readonly contrast?: RouteGraph["contrast"];
  readonly nodes: readonly RouteNode[];
  readonly edges: readonly RouteEdge[];
  readonly others?: readonly OtherKeys[];
}
