import type { EdgeKind, RouteEdge, RouteGraph, RouteNode } from "../model/types";
import { parseNodeName } from "./names";
import { checkFormat, CSV_HEADER, type Rest, type RouteFormat } from "./route-formats";
import { routeGraph } from "./route-graph";
import { ROUTE_GRAPH_SCHEMA, type RouteGraphJson } from "./route-schema";

const KINDS: readonly EdgeKind[] = ["attention", "residual", "ffn-in", "ffn-out"];

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

const unescapeXml = (text: string): string => text.replace(/&(amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);/g, (_, name: string) => {
  if (name.startsWith("#x")) return String.fromCodePoint(parseInt(name.slice(2), 16));
  if (name.startsWith("#")) return String.fromCodePoint(Number(name.slice(1)));
  return { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" }[name] as string;
});

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

const unquoteDot = (text: string): string => text.replace(/\\([\\"])/g, "$1");

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
