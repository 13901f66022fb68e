import type {
  EdgeKind,
  ModelInfo,
  NodeName,
  OtherKeys,
  RouteContrast,
  RouteEdge,
  RouteGraph,
  RouteNode,
  Token,
} from "../model/types";
import { isNodeName, parseNode } from "../model/names";
import { routeEdge } from "./route-edge";
import { checkFormat, CSV_COLUMNS, CSV_REQUIRED, EDGE_NUMBERS, type Rest, type RouteFormat } from "./route-formats";
import { routeGraph } from "./route-graph";
import { ROUTE_GRAPH_SCHEMA } from "./route-schema";

const KINDS: readonly EdgeKind[] = ["attention", "residual", "ffn-in", "ffn-out"];

const unreadable = (why: string): RangeError => new RangeError(`Routes cannot be read: ${why}.`);

const short = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}…` : text);

/** A piece of a file for a sentence. */
function show(value: unknown): string {
  if (typeof value === "string" && value.length > 60) return short(JSON.stringify(value.slice(0, 61)));
  try {
    return short(JSON.stringify(value) ?? String(value));
  } catch {
    return "something nested without end";
  }
}

const HEAD = /^(?:0|[1-9]\d{0,8})$/;

function readHeads(text: string): Record<number, number> | undefined {
  if (text === "") return undefined;
  return Object.fromEntries(
    text.split(" ").map((part) => {
      const [head, weight] = part.split(":");
      if (!HEAD.test(head)) throw unreadable(`a head is ${show(head)}, which is no head's number`);
      return [Number(head), number(weight, "a head's weight")];
    }),
  );
}

function number(text: string | undefined, what: string): number {
  const value = text === undefined || text.trim() === "" ? NaN : Number(text);
  if (!Number.isFinite(value)) throw unreadable(`${what} is ${show(text)}, which is no number`);
  return value;
}

/** An edge of texts: what it may have and has not is an empty text, or none. */
function readEdge(text: (name: keyof RouteEdge) => string | undefined): RouteEdge {
  const [heads, headLogits] = [readHeads(text("heads") ?? ""), readHeads(text("headLogits") ?? "")];
  const numbers: Partial<Record<(typeof EDGE_NUMBERS)[number], number>> = {};
  for (const name of EDGE_NUMBERS) {
    const value = text(name) ?? "";
    if (value !== "") numbers[name] = number(value, `an edge's ${name}`);
  }
  return {
    source: readNode(text("source") ?? "").name,
    target: readNode(text("target") ?? "").name,
    kind: edgeKind(text("kind") ?? ""),
    weight: number(text("weight") ?? "", "an edge's weight"),
    ...(heads ? { heads } : {}),
    ...numbers,
    ...(headLogits ? { headLogits } : {}),
  };
}

function edgeKind(kind: unknown): EdgeKind {
  const known = KINDS.find((name) => name === kind);
  if (!known) throw unreadable(`an edge is of kind ${show(kind)}; kinds are ${KINDS.join(", ")}`);
  return known;
}

function readNode(name: unknown): RouteNode {
  const place = typeof name === "string" && isNodeName(name) ? parseNode(name) : undefined;
  if (!place) throw unreadable(`${show(name)} is no node's name`);
  return { name: name as NodeName, ...place };
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Data of one level: what is nested in it nobody reads, and it may be nested deeper than can be written again. */
const isFlat = (value: Readonly<Record<string, unknown>>): boolean =>
  Object.values(value).every((entry) => typeof entry !== "object" || entry === null);

const isToken = (value: unknown): value is Token =>
  isObject(value) && Number.isSafeInteger(value.id) && typeof value.text === "string" && isFlat(value);

const isNumber = (value: unknown): boolean => typeof value === "number" && Number.isFinite(value);

const isSelection = (value: unknown): value is NonNullable<RouteGraph["select"]> => {
  const entries = isObject(value) ? Object.entries(value) : [];
  return entries.length === 1 && ["relevance", "edges"].includes(entries[0][0]) && isNumber(entries[0][1]);
};

const isContrast = (value: unknown): value is RouteContrast =>
  isObject(value) &&
  isToken(value.token) &&
  (value.versus === undefined || isToken(value.versus)) &&
  [value.logit, value.constant].every((part) => part === undefined || isNumber(part)) &&
  (value.rest === undefined || (isObject(value.rest) && isNumber(value.rest.supports) && isNumber(value.rest.opposes)));

const isShare = (value: unknown): boolean => isNumber(value) && (value as number) >= 0;

const isOtherKeys = (value: unknown): value is OtherKeys =>
  isObject(value) &&
  typeof value.target === "string" &&
  isShare(value.hidden) &&
  isObject(value.heads) &&
  Object.entries(value.heads).every(([head, share]) => HEAD.test(head) && isShare(share));

/** Only what a contrast has. */
const contrastOf = ({ token, versus, logit, constant, rest }: RouteContrast): RouteContrast => ({
  token,
  ...(versus ? { versus } : {}),
  ...(logit === undefined ? {} : { logit }),
  ...(constant === undefined ? {} : { constant }),
  ...(rest ? { rest: { supports: rest.supports, opposes: rest.opposes } } : {}),
});

/** Larger models cannot be drawn, and their files would only claim to be of one. */
const MAX_LAYERS = 1024;
const MAX_HEADS = 1024;

function readModel(model: unknown): ModelInfo {
  const damaged =
    !isObject(model) || typeof model.name !== "string" || !isFlat(model) || typeof model.parallelBlocks !== "boolean";
  if (damaged) throw unreadable('"model" is missing or damaged');
  for (const [field, unit, most] of [
    ["nLayers", "layers", MAX_LAYERS],
    ["nHeads", "heads", MAX_HEADS],
  ] as const) {
    const count = model[field];
    if (!Number.isSafeInteger(count) || (count as number) < 1 || (count as number) > most)
      throw unreadable(`their model has ${show(count ?? null)} ${unit}, and only 1 to ${most} can be drawn`);
  }
  return model as unknown as ModelInfo;
}

/**
 * Whether a model's computation has such an edge: up by one step, from the same token or, with attention, from an
 * earlier one.
 */
function fits(kind: EdgeKind, source: RouteNode, target: RouteNode, parallel: boolean): boolean {
  // The state that a block of the target's layer reads.
  const below = source.kind === (target.layer === 0 ? "X" : "I") && source.layer === target.layer - 1;
  const within = source.layer === target.layer;
  const same = source.position === target.position;
  const mixed = target.kind === (parallel ? "I" : "A");
  switch (kind) {
    case "attention":
      return mixed && below && source.position <= target.position;
    case "residual":
      return same && ((mixed && below) || (!parallel && target.kind === "I" && source.kind === "A" && within));
    case "ffn-in":
      return same && target.kind === "M" && (parallel ? below : source.kind === "A" && within);
    case "ffn-out":
      return same && target.kind === "I" && source.kind === "M" && within;
  }
}

/** Whoever draws a graph may rely on it, wherever its file came from: every part is checked. */
function assemble(rest: unknown, nodes: readonly RouteNode[], edges: readonly RouteEdge[]): RouteGraph {
  const { schema, ...fields } = rest as Omit<Rest, "schema"> & { readonly schema: unknown };
  if (schema !== ROUTE_GRAPH_SCHEMA) throw unreadable(`their schema is ${show(schema)}, not ${ROUTE_GRAPH_SCHEMA}`);
  const {
    model: given,
    tokens,
    from,
    threshold,
    renormalize,
    joinSelf,
    select,
    method,
    counterfactual,
    contrast,
    others,
  } = fields as Readonly<Record<string, unknown>>;
  const model = readModel(given);
  const damaged =
    !Array.isArray(tokens) || !tokens.every(isToken)
      ? "tokens"
      : !Array.isArray(from) || from.length === 0
        ? "from"
        : typeof threshold !== "number" || !Number.isFinite(threshold)
          ? "threshold"
          : typeof renormalize !== "boolean"
            ? "renormalize"
            : joinSelf !== undefined && typeof joinSelf !== "boolean"
              ? "joinSelf"
              : select !== undefined && !isSelection(select)
                ? "select"
                : method !== undefined && method !== "relp"
                  ? "method"
                  : counterfactual !== undefined && !(Array.isArray(counterfactual) && counterfactual.every(isToken))
                    ? "counterfactual"
                    : contrast !== undefined && !isContrast(contrast)
                      ? "contrast"
                      : others !== undefined && !(Array.isArray(others) && others.every(isOtherKeys))
                        ? "others"
                        : undefined;
  if (damaged) throw unreadable(`${show(damaged)} is missing or damaged`);
  const byName = new Map<string, RouteNode>();
  for (const node of nodes) {
    const { name, kind, layer, position } = node;
    if (position >= fields.tokens.length)
      throw unreadable(`there is a node ${short(name)}, and only ${fields.tokens.length} tokens`);
    if (layer >= model.nLayers)
      throw unreadable(`there is a node ${short(name)}, and the model has only ${model.nLayers} layers`);
    if (kind === "A" && model.parallelBlocks)
      throw unreadable(`there is a node ${name}, and a model with parallel blocks has no state after attention`);
    if (byName.has(name)) throw unreadable(`the node ${name} is there twice`);
    byName.set(name, node);
  }
  for (const name of fields.from)
    if (!byName.has(readNode(name).name))
      throw unreadable(`they start at ${short(name)}, which is none of their nodes`);
  const known = new Set<string>();
  for (const { source, target, kind, weight, heads, headLogits, ...numbers } of edges) {
    const [from, to] = [source, target].map((name) => {
      const node = byName.get(readNode(name).name);
      if (!node) throw unreadable(`an edge is at ${short(name)}, which is none of the nodes`);
      return node;
    });
    const edge = `the ${kind} edge from ${source} to ${target}`;
    if (!fits(kind, from, to, model.parallelBlocks))
      throw unreadable(`${edge} is none that a model${model.parallelBlocks ? " with parallel blocks" : ""} has`);
    const key = `${source} ${target} ${kind}`;
    if (known.has(key)) throw unreadable(`${edge} is there twice`);
    known.add(key);
    if (!(weight >= 0 && weight < Infinity)) throw unreadable(`${edge} has the weight ${weight}, which is no share`);
    for (const name of EDGE_NUMBERS) {
      const value = numbers[name];
      if (value !== undefined && !(Number.isFinite(value) && (name === "logit" || value >= 0)))
        throw unreadable(`${edge} has the ${name} ${value}, which is none`);
    }
    for (const [head, logit] of Object.entries(headLogits ?? {})) {
      if (heads?.[Number(head)] === undefined || !Number.isFinite(logit))
        throw unreadable(`${edge} has the logit ${logit} at head ${head}, which is no head of it or no number`);
    }
    for (const [head, share] of Object.entries(heads ?? {})) {
      if (kind !== "attention") throw unreadable(`${edge} has heads, and only attention has them`);
      if (Number(head) >= model.nHeads)
        throw unreadable(`${edge} names head ${head}, and the model has only ${model.nHeads}`);
      if (!(share >= 0 && share < Infinity))
        throw unreadable(`${edge} has the weight ${share} at head ${head}, which is no share`);
    }
  }
  for (const { target, heads } of fields.others ?? []) {
    if (byName.get(target)?.kind !== (model.parallelBlocks ? "I" : "A"))
      throw unreadable(`other keys are at ${short(target)}, which is none of the nodes that attention writes to`);
    for (const head of Object.keys(heads))
      if (Number(head) >= model.nHeads)
        throw unreadable(`other keys at ${target} name head ${head}, and the model has only ${model.nHeads}`);
  }
  return routeGraph({
    ...fields,
    ...(fields.others ? { others: fields.others.map(({ target, heads, hidden }) => ({ target, heads, hidden })) } : {}),
    ...(fields.contrast ? { contrast: contrastOf(fields.contrast) } : {}),
    nodes,
    edges,
  });
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

const unescapeXml = (text: string): string =>
  text.replace(/&(amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);/g, (_, name: string) => {
    if (name.startsWith("#")) {
      const code = name.startsWith("#x") ? parseInt(name.slice(2), 16) : Number(name.slice(1));
      if (code > 0x10ffff) throw unreadable(`&${short(name)}; is no character`);
      return String.fromCodePoint(code);
    }
    return { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" }[name] as string;
  });

/**
 * Where the tag ends that begins at `at`: at the first ">" that stands in no attribute. Each character is looked at
 * once.
 */
function endOfTag(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    const c = text[i];
    if (c === ">") return i;
    if (c === '"' || c === "'") {
      i = text.indexOf(c, i + 1);
      if (i < 0) break;
    }
  }
  throw unreadable(CUT_OFF);
}

/** A tag's attributes, its name and brackets left out. */
function attributesOf(tag: string): ReadonlyMap<string, string> {
  const attributes = new Map<string, string>();
  const attribute = /\s+([^\s=]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/y;
  for (let match = attribute.exec(tag); match; match = attribute.exec(tag))
    attributes.set(match[1], unescapeXml(match[2] ?? match[3]));
  return attributes;
}

interface GraphmlElement {
  readonly attributes: ReadonlyMap<string, string>;
  /** Texts of its data elements by key. */
  readonly data: Map<string, string>;
}

function fromGraphml(text: string): RouteGraph {
  const graph: GraphmlElement = { attributes: new Map(), data: new Map() };
  const found: Readonly<Record<"node" | "edge", GraphmlElement[]>> = { node: [], edge: [] };
  let inside = graph;
  for (let at = text.indexOf("<"); at >= 0; at = text.indexOf("<", at)) {
    if (text.startsWith("<!--", at)) {
      at = text.indexOf("-->", at);
      if (at < 0) throw unreadable(CUT_OFF);
      continue;
    }
    const end = endOfTag(text, at);
    const [, closing, name] = /^<(\/?)([\w:.-]*)/.exec(text.slice(at, Math.min(end, at + 64))) ?? [];
    const empty = text[end - 1] === "/";
    const attributes = (): ReadonlyMap<string, string> =>
      attributesOf(text.slice(at + 1 + name.length, empty ? end - 1 : end));
    if (name === "node" || name === "edge") {
      if (closing) inside = graph;
      else {
        const element = { attributes: attributes(), data: new Map<string, string>() };
        found[name].push(element);
        inside = empty ? graph : element;
      }
    } else if (name === "data" && !closing && !empty) {
      const next = text.indexOf("<", end);
      if (next < 0) throw unreadable(CUT_OFF);
      inside.data.set(attributes().get("key") ?? "", unescapeXml(text.slice(end + 1, next)));
    }
    at = end + 1;
  }
  const rest = parseJson(graph.data.get("rest") ?? "", "GraphML");
  if (!/<\/graphml\s*>$/.test(text.slice(-1000).trimEnd())) throw unreadable(CUT_OFF);
  const nodes = found.node.map(({ attributes }) => readNode(attributes.get("id") ?? ""));
  const edges = found.edge.map(({ attributes, data }) =>
    readEdge((name) =>
      name === "source" || name === "target" ? attributes.get(name) : data.get(name === "kind" ? "edgeKind" : name),
    ),
  );
  return assemble(rest, nodes, edges);
}

const unquoteDot = (text: string): string => text.replace(/\\([\\"])/g, "$1");

/** The quoted string of DOT that begins at `at`, and where it ends; undefined where none begins there. */
function quotedDot(line: string, at: number): { readonly text: string; readonly end: number } | undefined {
  if (line[at] !== '"') return undefined;
  for (let i = at + 1; i < line.length; i++) {
    if (line[i] === "\\") i++;
    else if (line[i] === '"') return { text: unquoteDot(line.slice(at + 1, i)), end: i + 1 };
  }
  return undefined;
}

/**
 * The attributes in brackets from `at` on, as they are written here: `name="text"` or `name=word`, with commas between
 * them.
 */
function attributesOfDot(line: string, at: number): ReadonlyMap<string, string> {
  const attributes = new Map<string, string>();
  const attribute = /[\s,]*(\w+)=/y;
  attribute.lastIndex = at;
  for (let match = attribute.exec(line); match; match = attribute.exec(line)) {
    const value = quotedDot(line, attribute.lastIndex);
    if (value) attributes.set(match[1], value.text);
    const word = /[^\s,"\]]*/y;
    word.lastIndex = value?.end ?? attribute.lastIndex;
    const [bare] = word.exec(line) ?? [""];
    if (!value) attributes.set(match[1], bare);
    attribute.lastIndex = word.lastIndex;
  }
  return attributes;
}

function fromDot(text: string): RouteGraph {
  let rest: unknown;
  const nodes: RouteNode[] = [];
  const edges: RouteEdge[] = [];
  for (const whole of text.split(/\r?\n/)) {
    const line = whole.trim();
    const first = quotedDot(line, 0);
    const second = first && line.startsWith(" -> ", first.end) ? quotedDot(line, first.end + 4) : undefined;
    if (first && second) {
      if (!line.startsWith(" [", second.end) || !line.endsWith("];")) throw unreadable(CUT_OFF);
      const given = attributesOfDot(line, second.end + 2);
      const ends: Readonly<Record<string, string>> = { source: first.text, target: second.text };
      edges.push(readEdge((name) => ends[name] ?? given.get(name)));
    } else if (first && line.startsWith(" [", first.end)) nodes.push(readNode(first.text));
    else if (line.startsWith("graph ["))
      rest = parseJson(attributesOfDot(line, "graph [".length).get("routes") ?? "", "DOT");
  }
  if (rest === undefined) throw unreadable("this is no DOT that was written here");
  if (!text.trimEnd().endsWith("}")) throw unreadable(CUT_OFF);
  return assemble(rest, nodes, edges);
}

function fromCsv(text: string): RouteGraph {
  const lines = text.split(/\r?\n/);
  const comment = (name: string): string =>
    lines.find((line) => line.startsWith(`# ${name} `))?.slice(name.length + 3) ?? "";
  const rest = parseJson(comment("routes"), "CSV");
  const rows = lines.filter((line) => line !== "" && !line.startsWith("#"));
  const columns = (rows[0] ?? "").split(",");
  const known =
    CSV_COLUMNS.slice(0, CSV_REQUIRED).every((name, i) => columns[i] === name) &&
    columns.every((name) => (CSV_COLUMNS as readonly string[]).includes(name));
  if (!known) throw unreadable(`the columns are ${show(rows[0] ?? "")}, not ${CSV_COLUMNS.join(",")}`);
  if (!text.endsWith("\n")) throw unreadable(CUT_OFF);
  const count = comment("edges");
  if (count !== "" && Number(count) !== rows.length - 1)
    throw unreadable(
      `there are ${rows.length - 1} edges, and the line "# edges" says ${show(count)}: the file was cut off, or edited (remove that line if it was)`,
    );
  const nodes = comment("nodes")
    .split(" ")
    .filter((name) => name !== "")
    .map(readNode);
  return assemble(
    rest,
    nodes,
    rows.slice(1).map((row) => {
      const cells = row.split(",");
      return readEdge((name) => cells[columns.indexOf(name)]);
    }),
  );
}

function fromJson(text: string): RouteGraph {
  const { nodes, edges, ...rest } = parseJson(text, "JSON");
  if (!Array.isArray(nodes) || !Array.isArray(edges)) throw unreadable("this is no JSON that was written here");
  return assemble(
    rest,
    nodes.map((node: unknown) => readNode(isObject(node) ? node.name : node)),
    edges.map((edge: unknown) => {
      if (!isObject(edge)) throw unreadable(`${show(edge)} is no edge`);
      const { source, target, kind, weight } = edge;
      if (typeof weight !== "number") throw unreadable(`an edge's weight is ${show(weight)}, which is no number`);
      const parts: Record<string, unknown> = {};
      for (const name of EDGE_NUMBERS) {
        if (edge[name] === undefined) continue;
        if (typeof edge[name] !== "number")
          throw unreadable(`an edge's ${name} is ${show(edge[name])}, which is no number`);
        parts[name] = edge[name];
      }
      for (const name of ["heads", "headLogits"] as const) {
        const heads = edge[name];
        if (heads === undefined) continue;
        if (
          !isObject(heads) ||
          !Object.entries(heads).every(([head, share]) => HEAD.test(head) && typeof share === "number")
        )
          throw unreadable(`an edge's ${name} are ${show(heads)}`);
        if (Object.keys(heads).length > 0) parts[name] = heads;
      }
      return routeEdge({
        source: readNode(source).name,
        target: readNode(target).name,
        kind: edgeKind(kind),
        weight,
        ...parts,
      });
    }),
  );
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
  if (typeof text !== "string")
    throw new TypeError(
      `Routes are read from a text, not from ${text === null ? "null" : `a value of type ${typeof text}`}.`,
    );
  const plain = text.replace(/^\ufeff/, "");
  const chosen = format ?? detect(plain);
  checkFormat(chosen);
  return READERS[chosen](plain);
}

function detect(text: string): RouteFormat {
  const start = text.trimStart();
  if (/^[{[]/.test(start)) return "json";
  if (start.startsWith("<")) return "graphml";
  if (/^(strict\s+)?(di)?graph\b/.test(start.slice(0, 100))) return "dot";
  return "csv";
}
