import type { ModelInfo, NodeName, RouteEdge, RouteGraph, RouteNode, Token } from "../model/types";
import { parseNode } from "../model/names";
import { exportRoutes } from "./route-formats";
import { ROUTE_GRAPH_SCHEMA, type RouteGraphJson } from "./route-schema";

/** An edge that knows its places, which no file repeats: its names say them. */
function withPlaces(edge: RouteEdge): RouteEdge {
  const place = (name: NodeName): PropertyDescriptor => ({ get: () => parseNode(name), enumerable: false });
  return Object.defineProperties({ ...edge }, { from: place(edge.source), to: place(edge.target) });
}

/** A route graph that writes itself in the formats that graph tools read; `importRoutes` reads each of them back. */
export class LocalRouteGraph implements RouteGraph {
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
  readonly others?: RouteGraph["others"];

  constructor({
    model,
    tokens,
    from,
    threshold,
    renormalize,
    joinSelf,
    select,
    method,
    counterfactual,
    contrast,
    nodes,
    edges,
    others,
  }: Omit<RouteGraphJson, "schema">) {
    this.model = model;
    this.tokens = tokens;
    this.from = from;
    this.threshold = threshold;
    this.renormalize = renormalize;
    if (joinSelf) this.joinSelf = joinSelf;
    if (select) this.select = select;
    if (method) this.method = method;
    if (counterfactual) this.counterfactual = counterfactual;
    if (contrast) this.contrast = contrast;
    this.nodes = nodes;
    this.edges = edges.map(withPlaces);
    if (others) this.others = others;
  }

  toJSON(): RouteGraphJson {
    return { schema: ROUTE_GRAPH_SCHEMA, ...this };
  }

  /** For Gephi, Cytoscape, networkx, igraph, yEd. */
  toGraphML(): string {
    return exportRoutes(this, "graphml");
  }

  /** For Graphviz. */
  toDOT(): string {
    return exportRoutes(this, "dot");
  }

  /** An edge list with a header line; what is no edge stands in comment lines that begin with #. */
  toCSV(): string {
    return exportRoutes(this, "csv");
  }
}

/** A route graph from its data. */
export function routeGraph(data: Omit<RouteGraphJson, "schema">): LocalRouteGraph {
  return new LocalRouteGraph(data);
}
