import type { EdgeKind, RouteEdge, RouteGraph, RouteNode } from "../model/types";
import { parseNodeName } from "./names";
import { ROUTE_GRAPH_SCHEMA, routeGraph, type RouteGraphJson } from "./route-graph";

/**
 * Route graphs as text that graph tools read, and back. Each format holds nodes and edges in its own terms and, in one place
 * that tools leave alone, the rest (model, tokens, start, threshold) as JSON, so that reading gives the same graph.
 */
export const ROUTE_FORMATS = ["json", "graphml", "dot", "csv"] as const;
export type RouteFormat = (typeof ROUTE_FORMATS)[number];

type Rest = Omit<RouteGraphJson, "nodes" | "edges">;

const KINDS: readonly EdgeKind[] = ["attention", "residual", "ffn-in", "ffn-out"];

function restOf(graph: RouteGraph): Rest {
  const { model, tokens, from, threshold, renormalize, contrast } = graph;
  return { schema: ROUTE_GRAPH_SCHEMA, model, tokens, from, threshold, renormalize, ...(contrast ? { contrast } : {}) };
}

/** A name of one line for pictures: the node and its token, blanks made visible, control characters as code points. */
function label(graph: RouteGraph, node: RouteNode): string {
  const text = graph.tokens[node.position]?.text ?? "";
  const visible = text.replace(/ /g, "·").replace(/[\u0000-\u001f\u007f-\u009f\ud800-\udfff\ufffe\uffff]/gu, c => `U+${(c.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, "0")}`);
  return `${node.name} ${visible}`;
}

/** Heads of an edge as `head:weight` with blanks between them. */
function headsText(edge: RouteEdge): string {
  return Object.entries(edge.heads ?? {}).map(([head, weight]) => `${head}:${weight}`).join(" ");
}

function readHeads(text: string): Record<number, number> | undefined {
  if (text === "") return undefined;
  return Object.fromEntries(text.split(" ").map(part => {
    const [head, weight] = part.split(":");
    return [Number(head), number(weight, "a head's weight")];
  }));
}

function number(text: string | undefined, what: string): number {
  const value = text === undefined || text.trim() === "" ? NaN : Number(text);
  if (Number.isNaN(value)) throw new RangeError(`Routes cannot be read: ${what} is ${JSON.stringify(text)}, which is no number.`);
  return value;
}

function readEdge(source: string, target: string, kind: string, weight: string, heads: string): RouteEdge {
  const known = KINDS.find(name => name === kind);
  if (!known) throw new RangeError(`Routes cannot be read: an edge is of kind ${JSON.stringify(kind)}; kinds are ${KINDS.join(", ")}.`);
  for (const name of [source, target]) readNode(name);
  const byHead = readHeads(heads);
  return { source, target, kind: known, weight: number(weight, "an edge's weight"), ...(byHead ? { heads: byHead } : {}) };
}

function readNode(name: string): RouteNode {
  const node = parseNodeName(name);
  if (!node) throw new RangeError(`Routes cannot be read: ${JSON.stringify(name)} is no node's name.`);
  return node;
}

function assemble(rest: unknown, nodes: readonly RouteNode[], edges: readonly RouteEdge[]): RouteGraph {
  const { schema, ...fields } = rest as Rest;
  if (schema !== ROUTE_GRAPH_SCHEMA) throw new RangeError(`Routes cannot be read: their schema is ${JSON.stringify(schema)}, not ${ROUTE_GRAPH_SCHEMA}.`);
  return routeGraph({ ...fields, nodes, edges });
}

function parseJson(text: string, format: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // Said below.
  }
  throw new RangeError(`Routes cannot be read: this is no ${format} that was written here.`);
}

// GraphML

const XML_ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escapeXml = (text: string): string => text.replace(/[&<>"]/g, c => XML_ESCAPES[c]);
const unescapeXml = (text: string): string => text.replace(/&(amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);/g, (_, name: string) => {
  if (name.startsWith("#x")) return String.fromCodePoint(parseInt(name.slice(2), 16));
  if (name.startsWith("#")) return String.fromCodePoint(Number(name.slice(1)));
  return { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" }[name] as string;
});

/** JSON with everything escaped that XML cannot hold, escaped or not. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(/[^\x20-\x7e]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function toGraphml(graph: RouteGraph): string {
  const keys = [
    ["rest", "graph", "routes", "string"], ["label", "node", "label", "string"], ["kind", "node", "kind", "string"], ["layer", "node", "layer", "int"], ["position", "node", "position", "int"],
    ["edgeKind", "edge", "kind", "string"], ["weight", "edge", "weight", "double"], ["heads", "edge", "heads", "string"],
  ];
  const data = (key: string, value: string | number): string => `<data key="${key}">${escapeXml(String(value))}</data>`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">',
    ...keys.map(([id, scope, name, type]) => `  <key id="${id}" for="${scope}" attr.name="${name}" attr.type="${type}"/>`),
    '  <graph id="routes" edgedefault="directed">',
    `    ${data("rest", asciiJson(restOf(graph)))}`,
    ...graph.nodes.map(node => `    <node id="${node.name}">${data("label", label(graph, node))}${data("kind", node.kind)}${data("layer", node.layer)}${data("position", node.position)}</node>`),
    ...graph.edges.map((edge, i) => `    <edge id="e${i}" source="${edge.source}" target="${edge.target}">${data("edgeKind", edge.kind)}${data("weight", edge.weight)}${edge.heads ? data("heads", headsText(edge)) : ""}</edge>`),
    "  </graph>",
    "</graphml>",
    "",
  ].join("\n");
}

function fromGraphml(text: string): RouteGraph {
  const attribute = (tag: string, name: string): string => unescapeXml(new RegExp(`\\s${name}\\s*=\\s*"([^"]*)"`).exec(tag)?.[1] ?? "");
  const data = (body: string, key: string): string => unescapeXml(new RegExp(`<data\\s+key="${key}"\\s*>([^<]*)</data>`).exec(body)?.[1] ?? "");
  const rest = parseJson(data(text, "rest"), "GraphML");
  const nodes = [...text.matchAll(/<node\b([^>]*?)(?:\/>|>([\s\S]*?)<\/node>)/g)].map(([, tag]) => readNode(attribute(tag, "id")));
  const edges = [...text.matchAll(/<edge\b([^>]*?)>([\s\S]*?)<\/edge>/g)].map(([, tag, body]) =>
    readEdge(attribute(tag, "source"), attribute(tag, "target"), data(body, "edgeKind"), data(body, "weight"), data(body, "heads")),
  );
  return assemble(rest, nodes, edges);
}

// DOT

/** A quoted string of DOT: only the quote is escaped there, and a backslash stays one unless it ends the string. */
const quoteDot = (text: string): string => `"${text.replace(/\\/g, "\\\\").replace(/"/g, '\\"')}"`;
const unquoteDot = (text: string): string => text.replace(/\\([\\"])/g, "$1");

function toDot(graph: RouteGraph): string {
  return [
    "digraph routes {",
    `  graph [rankdir=BT, routes=${quoteDot(asciiJson(restOf(graph)))}];`,
    ...graph.nodes.map(node => `  ${quoteDot(node.name)} [label=${quoteDot(label(graph, node))}, shape=${node.kind === "M" ? "box" : "ellipse"}];`),
    ...graph.edges.map(edge => `  ${quoteDot(edge.source)} -> ${quoteDot(edge.target)} [kind=${quoteDot(edge.kind)}, weight=${quoteDot(String(edge.weight))}, heads=${quoteDot(headsText(edge))}, penwidth=${(0.5 + 4 * edge.weight).toFixed(2)}];`),
    "}",
    "",
  ].join("\n");
}

function fromDot(text: string): RouteGraph {
  const string = '"((?:[^"\\\\]|\\\\.)*)"';
  const attribute = (list: string, name: string): string => unquoteDot(new RegExp(`\\b${name}=${string}`).exec(list)?.[1] ?? "");
  let rest: unknown;
  const nodes: RouteNode[] = [];
  const edges: RouteEdge[] = [];
  for (const line of text.split("\n")) {
    const edge = new RegExp(`^\\s*${string} -> ${string} \\[(.*)\\];$`).exec(line);
    const node = new RegExp(`^\\s*${string} \\[`).exec(line);
    if (edge) edges.push(readEdge(unquoteDot(edge[1]), unquoteDot(edge[2]), attribute(edge[3], "kind"), attribute(edge[3], "weight"), attribute(edge[3], "heads")));
    else if (node) nodes.push(readNode(unquoteDot(node[1])));
    else if (/^\s*graph \[/.test(line)) rest = parseJson(attribute(line, "routes"), "DOT");
  }
  if (rest === undefined) throw new RangeError("Routes cannot be read: this is no DOT that was written here.");
  return assemble(rest, nodes, edges);
}

// CSV

const CSV_HEADER = "source,target,kind,weight,heads";

/** An edge list. What is no edge stands in comment lines before it (`comment="#"` in pandas and R). */
function toCsv(graph: RouteGraph): string {
  const lines = graph.edges.map(edge => [edge.source, edge.target, edge.kind, edge.weight, headsText(edge)].join(","));
  return [`# routes ${asciiJson(restOf(graph))}`, `# nodes ${graph.nodes.map(({ name }) => name).join(" ")}`, CSV_HEADER, ...lines, ""].join("\n");
}

function fromCsv(text: string): RouteGraph {
  const lines = text.split(/\r?\n/);
  const comment = (name: string): string => lines.find(line => line.startsWith(`# ${name} `))?.slice(name.length + 3) ?? "";
  const rest = parseJson(comment("routes"), "CSV");
  const rows = lines.filter(line => line !== "" && !line.startsWith("#"));
  if (rows[0] !== CSV_HEADER) throw new RangeError(`Routes cannot be read: the columns are ${JSON.stringify(rows[0] ?? "")}, not ${CSV_HEADER}.`);
  const nodes = comment("nodes").split(" ").filter(name => name !== "").map(readNode);
  return assemble(rest, nodes, rows.slice(1).map(row => {
    const [source, target, kind, weight, heads = ""] = row.split(",");
    return readEdge(source, target, kind, weight, heads);
  }));
}

const WRITERS: Readonly<Record<RouteFormat, (graph: RouteGraph) => string>> = {
  json: graph => `${JSON.stringify(graph.toJSON())}\n`,
  graphml: toGraphml,
  dot: toDot,
  csv: toCsv,
};

const READERS: Readonly<Record<RouteFormat, (text: string) => RouteGraph>> = {
  json: text => {
    const { nodes, edges, ...rest } = parseJson(text, "JSON") as RouteGraphJson;
    if (!Array.isArray(nodes) || !Array.isArray(edges)) throw new RangeError("Routes cannot be read: this is no JSON that was written here.");
    return assemble(rest, nodes as RouteNode[], edges as RouteEdge[]);
  },
  graphml: fromGraphml,
  dot: fromDot,
  csv: fromCsv,
};

function checkFormat(format: RouteFormat): void {
  if (!ROUTE_FORMATS.includes(format)) throw new RangeError(`There is no format ${JSON.stringify(format)}: use ${ROUTE_FORMATS.join(", ")}.`);
}

/** A route graph as text. */
export function exportRoutes(graph: RouteGraph, format: RouteFormat): string {
  checkFormat(format);
  return WRITERS[format](graph);
}

/**
 * A route graph out of text that `exportRoutes` wrote.
 * @param format found by the text's beginning where left out
 * @throws RangeError where the text is something else
 */
export function importRoutes(text: string, format: RouteFormat = detect(text)): RouteGraph {
  checkFormat(format);
  return READERS[format](text);
}

function detect(text: string): RouteFormat {
  const start = text.trimStart();
  if (start.startsWith("{")) return "json";
  if (start.startsWith("<")) return "graphml";
  if (/^(strict\s+)?(di)?graph\b/.test(start)) return "dot";
  return "csv";
}
