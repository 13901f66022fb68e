import type { EdgeKind, NodeName, RouteEdge, RouteGraph, RouteNode } from "../model/types";
import { isNodeName, parseNode } from "../model/names";
import { checkFormat, CSV_HEADER, type Rest, type RouteFormat } from "./route-formats";
import { routeGraph } from "./route-graph";
import { ROUTE_GRAPH_SCHEMA } from "./route-schema";

const KINDS: readonly EdgeKind[] = ["attention", "residual", "ffn-in", "ffn-out"];

const unreadable = (why: string): RangeError => new RangeError(`Routes cannot be read: ${why}.`);

/** A piece of a file for a sentence. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function readHeads(text: string): Record<number, number> | undefined {
  if (text === "") return undefined;
  return Object.fromEntries(text.split(" ").map(part => {
    const [head, weight] = part.split(":");
    if (!/^\d+$/.test(head)) throw unreadable(`a head is ${show(head)}, which is no head's number`);
    return [Number(head), number(weight, "a head's weight")];
  }));
}

function number(text: string | undefined, what: string): number {
  const value = text === undefined || text.trim() === "" ? NaN : Number(text);
  if (!Number.isFinite(value)) throw unreadable(`${what} is ${show(text)}, which is no number`);
  return value;
}

function readEdge(source: string, target: string, kind: string, weight: string, heads: string): RouteEdge {
  const byHead = readHeads(heads);
  return { source: readNode(source).name, target: readNode(target).name, kind: edgeKind(kind), weight: number(weight, "an edge's weight"), ...(byHead ? { heads: byHead } : {}) };
}

function edgeKind(kind: unknown): EdgeKind {
  const known = KINDS.find(name => name === kind);
  if (!known) throw unreadable(`an edge is of kind ${show(kind)}; kinds are ${KINDS.join(", ")}`);
  return known;
}

function readNode(name: unknown): RouteNode {
  const place = typeof name === "string" && isNodeName(name) ? parseNode(name) : undefined;
  if (!place) throw unreadable(`${show(name)} is no node's name`);
  return { name: name as NodeName, ...place };
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === "object" && value !== null && !Array.isArray(value);

const isToken = (value: unknown): boolean => isObject(value) && Number.isInteger(value.id) && typeof value.text === "string";

/** Whoever draws a graph may rely on it, wherever its file came from: every part is checked. */
function assemble(rest: unknown, nodes: readonly RouteNode[], edges: readonly RouteEdge[]): RouteGraph {
  const { schema, ...fields } = rest as Rest;
  if (schema !== ROUTE_GRAPH_SCHEMA) throw unreadable(`their schema is ${show(schema)}, not ${ROUTE_GRAPH_SCHEMA}`);
  const { model, tokens, from, threshold, renormalize, joinSelf, contrast } = fields as Readonly<Record<string, unknown>>;
  const damaged = !isObject(model) || typeof model.name !== "string" ? "model" :
    !Array.isArray(tokens) || !tokens.every(isToken) ? "tokens" :
    !Array.isArray(from) ? "from" :
    typeof threshold !== "number" ? "threshold" :
    typeof renormalize !== "boolean" ? "renormalize" :
    joinSelf !== undefined && typeof joinSelf !== "boolean" ? "joinSelf" :
    contrast !== undefined && !(isObject(contrast) && isToken(contrast.token) && (contrast.versus === undefined || isToken(contrast.versus))) ? "contrast" : undefined;
  if (damaged) throw unreadable(`${show(damaged)} is missing or damaged`);
  const names = new Set(nodes.map(({ name }) => name));
  const outside = nodes.find(({ position }) => position >= fields.tokens.length);
  if (outside) throw unreadable(`there is a node ${outside.name}, and only ${fields.tokens.length} tokens`);
  for (const name of fields.from) if (!names.has(readNode(name).name)) throw unreadable(`they start at ${name}, which is none of their nodes`);
  for (const { source, target } of edges) {
    for (const name of [source, target]) if (!names.has(readNode(name).name)) throw unreadable(`an edge is at ${name}, which is none of the nodes`);
  }
  return routeGraph({ ...fields, nodes, edges });
}

function parseJson(text: string, format: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Said below.
  }
  throw unreadable(`this is no ${format} that was written here`);
}

const CUT_OFF = "the file was cut off";

const unescapeXml = (text: string): string => text.replace(/&(amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);/g, (_, name: string) => {
  if (name.startsWith("#")) {
    const code = name.startsWith("#x") ? parseInt(name.slice(2), 16) : Number(name.slice(1));
    if (code > 0x10ffff) throw unreadable(`&${name}; is no character`);
    return String.fromCodePoint(code);
  }
  return { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" }[name] as string;
});

function fromGraphml(text: string): RouteGraph {
  const attribute = (tag: string, name: string): string => unescapeXml(new RegExp(`\\s${name}\\s*=\\s*"([^"]*)"`).exec(tag)?.[1] ?? "");
  const data = (body: string, key: string): string => unescapeXml(new RegExp(`<data\\s+key="${key}"\\s*>([^<]*)</data>`).exec(body)?.[1] ?? "");
  const rest = parseJson(data(text, "rest"), "GraphML");
  if (!/<\/graphml\s*>\s*$/.test(text)) throw unreadable(CUT_OFF);
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
  for (const line of text.split(/\r?\n/)) {
    const edge = new RegExp(`^\\s*${string} -> ${string} \\[(.*)\\];$`).exec(line);
    const node = new RegExp(`^\\s*${string} \\[`).exec(line);
    if (edge) edges.push(readEdge(unquoteDot(edge[1]), unquoteDot(edge[2]), attribute(edge[3], "kind"), attribute(edge[3], "weight"), attribute(edge[3], "heads")));
    else if (node) nodes.push(readNode(unquoteDot(node[1])));
    else if (/^\s*graph \[/.test(line)) rest = parseJson(attribute(line, "routes"), "DOT");
  }
  if (rest === undefined) throw unreadable("this is no DOT that was written here");
  if (!/\}\s*$/.test(text)) throw unreadable(CUT_OFF);
  return assemble(rest, nodes, edges);
}

function fromCsv(text: string): RouteGraph {
  const lines = text.split(/\r?\n/);
  const comment = (name: string): string => lines.find(line => line.startsWith(`# ${name} `))?.slice(name.length + 3) ?? "";
  const rest = parseJson(comment("routes"), "CSV");
  const rows = lines.filter(line => line !== "" && !line.startsWith("#"));
  if (rows[0] !== CSV_HEADER) throw unreadable(`the columns are ${show(rows[0] ?? "")}, not ${CSV_HEADER}`);
  if (!text.endsWith("\n")) throw unreadable(CUT_OFF);
  const count = comment("edges");
  if (count !== "" && Number(count) !== rows.length - 1) throw unreadable(`there are ${rows.length - 1} edges, and the line "# edges" says ${show(count)}: the file was cut off, or edited (remove that line if it was)`);
  const nodes = comment("nodes").split(" ").filter(name => name !== "").map(readNode);
  return assemble(rest, nodes, rows.slice(1).map(row => {
    const [source, target, kind, weight, heads = ""] = row.split(",");
    return readEdge(source, target, kind, weight, heads);
  }));
}

function fromJson(text: string): RouteGraph {
  const { nodes, edges, ...rest } = parseJson(text, "JSON");
  if (!Array.isArray(nodes) || !Array.isArray(edges)) throw unreadable("this is no JSON that was written here");
  return assemble(rest, nodes.map((node: unknown) => readNode(isObject(node) ? node.name : node)), edges.map((edge: unknown) => {
    if (!isObject(edge)) throw unreadable(`${show(edge)} is no edge`);
    const { source, target, kind, weight, heads } = edge;
    const ends = { source: readNode(source).name, target: readNode(target).name, kind: edgeKind(kind) };
    if (typeof weight !== "number") throw unreadable(`an edge's weight is ${show(weight)}, which is no number`);
    if (heads === undefined) return { ...ends, weight };
    if (!isObject(heads) || !Object.entries(heads).every(([head, share]) => /^\d+$/.test(head) && typeof share === "number")) throw unreadable(`an edge's heads are ${show(heads)}`);
    return { ...ends, weight, heads: heads as Readonly<Record<number, number>> };
  }));
}

const READERS: Readonly<Record<RouteFormat, (text: string) => RouteGraph>> = {
  json: fromJson,
  graphml: fromGraphml,
  dot: fromDot,
  csv: fromCsv,
};

/**
 * A route graph out of text that `exportRoutes` wrote.
 * @param format found by the text's beginning where left out
 * @throws RangeError where the text is something else
 */
export function importRoutes(text: string, format?: RouteFormat): RouteGraph {
  if (typeof text !== "string") throw new TypeError(`Routes are read from a text, not from ${text === null ? "null" : `a value of type ${typeof text}`}.`);
  const plain = text.replace(/^\ufeff/, "");
  const chosen = format ?? detect(plain);
  checkFormat(chosen);
  return READERS[chosen](plain);
}

function detect(text: string): RouteFormat {
  const start = text.trimStart();
  if (/^[{[]/.test(start)) return "json";
  if (start.startsWith("<")) return "graphml";
  if (/^(strict\s+)?(di)?graph\b/.test(start)) return "dot";
  return "csv";
}
