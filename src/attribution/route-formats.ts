import type { RouteEdge, RouteGraph, RouteNode } from "../model/types";
import { ROUTE_GRAPH_SCHEMA, type RouteGraphJson } from "./route-schema";

/**
 * Route graphs as text that graph tools read; `route-import.ts` reads it back. Each format holds nodes and edges in its
 * own terms and, in one place that tools leave alone, the rest (model, tokens, start, threshold) as JSON, so that
 * reading gives the same graph.
 */
export const ROUTE_FORMATS = ["json", "graphml", "dot", "csv"] as const;
/** A text format of route graphs. */
export type RouteFormat = (typeof ROUTE_FORMATS)[number];

/** Everything of a graph but its nodes and edges. */
export type Rest = Omit<RouteGraphJson, "nodes" | "edges">;

function restOf(graph: RouteGraph): Rest {
  const { model, tokens, from, threshold, renormalize, joinSelf, select, method, counterfactual, contrast, others } =
    graph;
  return {
    schema: ROUTE_GRAPH_SCHEMA,
    model,
    tokens,
    from,
    threshold,
    renormalize,
    ...(joinSelf ? { joinSelf } : {}),
    ...(select ? { select } : {}),
    ...(method ? { method } : {}),
    ...(counterfactual ? { counterfactual } : {}),
    ...(contrast ? { contrast } : {}),
    ...(others ? { others } : {}),
  };
}

/** A name of one line for pictures: the node and its token, blanks made visible, control characters as code points. */
function label(graph: RouteGraph, node: RouteNode): string {
  const text = graph.tokens[node.position]?.text ?? "";
  const visible = text
    .replace(/ /g, "·")
    .replace(
      /[\u0000-\u001f\u007f-\u009f\ud800-\udfff\ufffe\uffff]/gu,
      (c) => `U+${(c.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, "0")}`,
    );
  return `${node.name} ${visible}`;
}

/** Heads as `head:number` with blanks between them. */
function headsText(heads: RouteEdge["heads"]): string {
  return Object.entries(heads ?? {})
    .map(([head, weight]) => `${head}:${weight}`)
    .join(" ");
}

/** What an edge may have besides its weight, in the order of the columns; files of earlier versions have none of them. */
export const EDGE_NUMBERS = ["contribution", "relevance", "logit"] as const;

/** All of an edge's optional parts as texts, left out where it has them not. */
function partsOf(edge: RouteEdge): [name: string, text: string][] {
  const parts: [string, string][] = [];
  if (edge.heads) parts.push(["heads", headsText(edge.heads)]);
  for (const name of EDGE_NUMBERS) if (edge[name] !== undefined) parts.push([name, String(edge[name])]);
  if (edge.headLogits) parts.push(["headLogits", headsText(edge.headLogits)]);
  return parts;
}

// GraphML

const XML_ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escapeXml = (text: string): string => text.replace(/[&<>"]/g, (c) => XML_ESCAPES[c]);
/** JSON with everything escaped that XML cannot hold, escaped or not. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function toGraphml(graph: RouteGraph): string {
  const keys = [
    ["rest", "graph", "routes", "string"],
    ["label", "node", "label", "string"],
    ["kind", "node", "kind", "string"],
    ["layer", "node", "layer", "int"],
    ["position", "node", "position", "int"],
    ["edgeKind", "edge", "kind", "string"],
    ["weight", "edge", "weight", "double"],
    ["heads", "edge", "heads", "string"],
    ...EDGE_NUMBERS.map((name) => [name, "edge", name, "double"]),
    ["headLogits", "edge", "headLogits", "string"],
  ];
  const data = (key: string, value: string | number): string => `<data key="${key}">${escapeXml(String(value))}</data>`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">',
    ...keys.map(
      ([id, scope, name, type]) => `  <key id="${id}" for="${scope}" attr.name="${name}" attr.type="${type}"/>`,
    ),
    '  <graph id="routes" edgedefault="directed">',
    `    ${data("rest", asciiJson(restOf(graph)))}`,
    ...graph.nodes.map(
      (node) =>
        `    <node id="${node.name}">${data("label", label(graph, node))}${data("kind", node.kind)}${data("layer", node.layer)}${data("position", node.position)}</node>`,
    ),
    ...graph.edges.map(
      (edge, i) =>
        `    <edge id="e${i}" source="${edge.source}" target="${edge.target}">${data("edgeKind", edge.kind)}${data("weight", edge.weight)}${partsOf(
          edge,
        )
          .map(([name, text]) => data(name, text))
          .join("")}</edge>`,
    ),
    "  </graph>",
    "</graphml>",
    "",
  ].join("\n");
}

// DOT

/**
 * A quoted string of DOT (in labels, Graphviz reads character entities too): only the quote is escaped there, and a
 * backslash stays one unless it ends the string.
 */
const quoteDot = (text: string): string => `"${text.replace(/\\/g, "\\\\").replace(/"/g, '\\"')}"`;
function toDot(graph: RouteGraph): string {
  return [
    "digraph routes {",
    `  graph [rankdir=BT, routes=${quoteDot(asciiJson(restOf(graph)))}];`,
    ...graph.nodes.map(
      (node) =>
        `  ${quoteDot(node.name)} [label=${quoteDot(label(graph, node).replace(/&/g, "&amp;"))}, shape=${node.kind === "M" ? "box" : "ellipse"}];`,
    ),
    ...graph.edges.map(
      (edge) =>
        `  ${quoteDot(edge.source)} -> ${quoteDot(edge.target)} [kind=${quoteDot(edge.kind)}, weight=${quoteDot(String(edge.weight))}, ${partsOf(
          edge,
        )
          .map(([name, text]) => `${name}=${quoteDot(text)}, `)
          .join("")}penwidth=${(0.5 + 4 * edge.weight).toFixed(2)}];`,
    ),
    "}",
    "",
  ].join("\n");
}

// CSV

/** Columns of an edge list; those of earlier versions end at `heads`. */
export const CSV_COLUMNS = ["source", "target", "kind", "weight", "heads", ...EDGE_NUMBERS, "headLogits"] as const;
/** How many of them every file has. */
export const CSV_REQUIRED = 5;

/**
 * An edge list. What is no edge stands in comment lines before it (`comment="#"` in pandas and R); their number tells a
 * file that was cut off.
 */
function toCsv(graph: RouteGraph): string {
  const lines = graph.edges.map((edge) =>
    CSV_COLUMNS.map((name) => {
      const value = edge[name];
      return typeof value === "object" ? headsText(value) : (value ?? "");
    }).join(","),
  );
  return [
    `# routes ${asciiJson(restOf(graph))}`,
    `# nodes ${graph.nodes.map(({ name }) => name).join(" ")}`,
    `# edges ${graph.edges.length}`,
    CSV_COLUMNS.join(","),
    ...lines,
    "",
  ].join("\n");
}

const WRITERS: Readonly<Record<RouteFormat, (graph: RouteGraph) => string>> = {
  json: (graph) => `${JSON.stringify(graph.toJSON())}\n`,
  graphml: toGraphml,
  dot: toDot,
  csv: toCsv,
};

/** @throws RangeError that lists the formats */
export function checkFormat(format: RouteFormat): void {
  if (!ROUTE_FORMATS.includes(format))
    throw new RangeError(`There is no format ${JSON.stringify(format)}: use ${ROUTE_FORMATS.join(", ")}.`);
}

/** A route graph as text. */
export function exportRoutes(graph: RouteGraph, format: RouteFormat): string {
  checkFormat(format);
  return WRITERS[format](graph);
}
