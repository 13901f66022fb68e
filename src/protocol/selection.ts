import { isNodeName, nodeName, parseNode } from "../model/names";
import type { NodeName } from "../model/types";
import { alignTokens } from "./align";
import type { Alignment } from "./align";
import type { Question, WireToken } from "./questions";
import { mirroredRemoval, readRemovals, sortedRemovals, type Removal } from "./removals";

/** What is looked at. Every part is optional: nothing is selected where it is null. */
export type Focus =
  | { readonly kind: "node"; readonly node: NodeName }
  | {
      readonly kind: "edge";
      readonly source: NodeName;
      readonly target: NodeName;
      /**
       * What the edge is: of a token's attention to itself and what flows past the block, which have the same ends, one.
       * Left out: attention where the ends allow it.
       */
      readonly edge?: "attention" | "residual";
    }
  | { readonly kind: "ffn"; readonly layer: number; readonly position: number };

/** What the edge of a focus is. */
export function focusEdgeKind({ source, target, edge }: Extract<Focus, { kind: "edge" }>): "attention" | "residual" {
  if (edge !== undefined) return edge;
  const [from, to] = [parseNode(source), parseNode(target)];
  return from?.kind === "A" && to?.kind === "I" && from.layer === to.layer ? "residual" : "attention";
}

/** A person's reading of a part of the circuit: places that belong together, their name, and why. */
export interface Pin {
  readonly name: string;
  readonly note: string;
  /** States, and feed-forward blocks as "M5_3". */
  readonly nodes: readonly NodeName[];
}

/** More than these, or longer ones, are not kept. */
export const PIN_LIMITS = { pins: 100, nodes: 200, name: 80, note: 2000 } as const;

/**
 * Ids of the tokens that a trace is about. `token` null: the best prediction; `versus` null: `token` alone, beside no
 * other.
 */
export interface TokenContrast {
  readonly token: number | null;
  readonly versus: number | null;
}

/** What everything that shows one run has in common: what is looked at, and how the graph is cut. */
export interface Selection {
  /** Position whose routes are drawn. */
  readonly start: number;
  /** State or block at which the routes begin instead, at the position `start`; null: at the last state of `start`. */
  readonly origin: NodeName | null;
  /**
   * Routes of what speaks for one token rather than another, always from the last state of `start`; null: of the whole
   * state.
   */
  readonly contrast: TokenContrast | null;
  /** The same for the second graph of a comparison. */
  readonly secondContrast: TokenContrast | null;
  readonly focus: Focus | null;
  /** Head of the layer of the focused edge or of `layer`; null: all heads, their sum. */
  readonly head: { readonly layer: number; readonly head: number } | null;
  readonly neuron: { readonly layer: number; readonly position: number; readonly neuron: number } | null;
  /** Id of a token that is followed through the layers. */
  readonly token: number | null;
  /** Parts with a contribution up to this are left out. 0 to 1. */
  readonly threshold: number;
  /** The graph is cut by what reaches the start instead (`RouteOptions.select`); null: by the threshold. */
  readonly budget: RouteBudget | null;
  /** Scale what passed the threshold to sum 1. */
  readonly renormalize: boolean;
  /** Apply the final norm before the unembedding. */
  readonly normalize: boolean;
  /** What a person wrote at places of the graph; kept in a shared file like all of the selection. */
  readonly pins: readonly Pin[];
  /** What is taken out of the computation, to see what the model then predicts. */
  readonly removed: readonly Removal[];
}

/** A selection and who wrote it last, so that a writer can tell its own change when it comes back. */
export interface WrittenSelection extends Selection {
  readonly writer: string;
}

export const DEFAULT_THRESHOLD = 0.04;
/** Edges that a graph shows which is cut by their number for the first time. */
export const DEFAULT_EDGES = 300;
/** More edges than these are not asked for: a page cuts all smaller graphs out of this one, sets being nested. */
export const MOST_EDGES = 4000;

/** How many edges a graph has, or what share of the start its parts carry. */
export type RouteBudget = { readonly edges: number } | { readonly relevance: number };

/** Nothing selected; the routes of the last of `nTokens` tokens. */
export function initialSelection(nTokens: number): Selection {
  return {
    start: Math.max(0, nTokens - 1),
    origin: null,
    contrast: null,
    secondContrast: null,
    focus: null,
    head: null,
    neuron: null,
    token: null,
    threshold: DEFAULT_THRESHOLD,
    budget: null,
    renormalize: true,
    normalize: true,
    pins: [],
    removed: [],
  };
}

/**
 * `current` with a part of it changed. A new start has its own routes again, an origin its own position; a contrast is
 * traced from a last state, so that of the two the one that is given now stays. A new threshold ends a budget.
 */
export function changedSelection<S extends Selection>(current: S, change: Partial<Selection>): S {
  const next = { ...current, ...change };
  // Who sets a threshold means to see what passes it.
  if (change.threshold !== undefined && change.threshold !== current.threshold && change.budget === undefined)
    return changedSelection(current, { ...change, budget: null });
  if (change.start !== undefined && change.origin === undefined) return { ...next, origin: null };
  if (change.contrast && !change.origin) return { ...next, origin: null };
  if (typeof next.origin !== "string") return next;
  return { ...next, start: parseNode(next.origin)?.position ?? next.start, contrast: null, secondContrast: null };
}

/** The question that a graph asks for its routes. */
export function routesQuestion(selection: Selection): Question<"routes"> {
  const { start, origin, contrast, threshold, budget, renormalize } = selection;
  return {
    kind: "routes",
    from: origin ?? start,
    // Of a budget the threshold says nothing: the same routes are one question.
    threshold: budget ? 0 : threshold,
    renormalize,
    ...(budget ? { select: budget } : {}),
    ...(contrast && origin === null ? { contrast } : {}),
  };
}

/** Tokens that are compared before and after. */
const REMOVED_TOP = 6;

/** The question what the model predicts without what is removed; undefined where nothing is. */
export function removedQuestion({ start, contrast, removed }: Selection): Question<"removed"> | undefined {
  if (removed.length === 0) return undefined;
  return {
    kind: "removed",
    removals: sortedRemovals(removed),
    position: start,
    topK: REMOVED_TOP,
    ...(contrast ? { contrast } : {}),
  };
}

/**
 * The question whose answer holds those to all budgets: the largest graph, its weights not scaled. Undefined for
 * questions without a budget, and for shares of a contrast, whose whole no answer has.
 */
export function largestRoutes(question: Question): Question<"routes"> | undefined {
  if (question.kind !== "routes" || !question.select || (question.contrast && "relevance" in question.select))
    return undefined;
  return { ...question, renormalize: false, select: { edges: MOST_EDGES } };
}

/** Of a run, what says which states it has. */
export interface StatesOf {
  readonly tokens: readonly unknown[];
  readonly model: { readonly nLayers: number; readonly parallelBlocks: boolean };
}

const alignments = new WeakMap<readonly unknown[], WeakMap<readonly unknown[], Alignment>>();

/** Which token of one run is which of the other; found once for two runs. */
export function alignmentOf(from: Pick<StatesOf, "tokens">, to: Pick<StatesOf, "tokens">): Alignment {
  const known = alignments.get(from.tokens)?.get(to.tokens);
  if (known) return known;
  const texts = (tokens: readonly unknown[]): (string | undefined)[] =>
    tokens.map((token) => (token as Partial<WireToken> | undefined)?.text);
  const found = alignTokens(texts(from.tokens), texts(to.tokens));
  const remember = (a: readonly unknown[], b: readonly unknown[], alignment: Alignment): void => {
    const others = alignments.get(a) ?? new WeakMap<readonly unknown[], Alignment>();
    alignments.set(a, others.set(b, alignment));
  };
  // Of several as good ones each way round might find another: the way back is the way there.
  remember(to.tokens, from.tokens, { forth: found.back, back: found.forth });
  remember(from.tokens, to.tokens, found);
  return found;
}

/** The partner of a position, or of the next one that has one; the last token where none has. */
function nearestPartner(forth: Int32Array, position: number, count: number): number {
  for (let at = position; at < forth.length; at++) if (forth[at] >= 0) return forth[at];
  for (let at = Math.min(position, forth.length) - 1; at >= 0; at--) if (forth[at] >= 0) return forth[at];
  return Math.max(0, count - 1);
}

/**
 * What the other graph of a comparison has selected, from either side: the same places, tokens aligned by their texts
 * (`alignTokens`). What it does not have is not selected there.
 */
export function mirroredSelection(selection: Selection, from: StatesOf, to: StatesOf): Selection {
  const { forth } = alignmentOf(from, to);
  const partner = (position: number): number => forth[position] ?? -1;
  const { origin, focus, head, neuron, contrast, secondContrast } = selection;
  const has = (layer: number, position: number): boolean =>
    layer < to.model.nLayers && position >= 0 && position < to.tokens.length;
  const across = (name: NodeName): NodeName | null => {
    const place = parseNode(name);
    if (!place || !has(place.layer, partner(place.position)) || (place.kind === "A" && to.model.parallelBlocks))
      return null;
    return nodeName(place.kind, place.layer, partner(place.position));
  };
  const mirrored = (): Focus | null => {
    if (focus?.kind === "node") {
      const node = across(focus.node);
      return node === null ? null : { kind: "node", node };
    }
    if (focus?.kind === "edge") {
      const [source, target] = [across(focus.source), across(focus.target)];
      // Where blocks are parallel, edges end elsewhere.
      return source === null || target === null || from.model.parallelBlocks !== to.model.parallelBlocks
        ? null
        : { ...focus, source, target };
    }
    return focus && has(focus.layer, partner(focus.position)) ? { ...focus, position: partner(focus.position) } : null;
  };
  return {
    ...selection,
    start: nearestPartner(forth, selection.start, to.tokens.length),
    origin: origin === null ? null : across(origin),
    contrast: secondContrast,
    secondContrast: contrast,
    focus: mirrored(),
    head: head && head.layer < to.model.nLayers ? head : null,
    neuron:
      neuron && has(neuron.layer, partner(neuron.position)) ? { ...neuron, position: partner(neuron.position) } : null,
    pins: selection.pins
      .map((pin) => ({ ...pin, nodes: pin.nodes.flatMap((name) => across(name) ?? []) }))
      .filter((pin) => pin.nodes.length > 0),
    removed: selection.removed.flatMap((removal) => mirroredRemoval(removal, partner, has) ?? []),
  };
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function readFocus(value: unknown): Focus | null {
  const focus = value as Record<string, unknown> | null;
  if (typeof focus !== "object" || focus === null) return null;
  if (focus.kind === "node" && typeof focus.node === "string" && isNodeName(focus.node))
    return { kind: "node", node: focus.node };
  if (focus.kind === "ffn" && isCount(focus.layer) && isCount(focus.position))
    return { kind: "ffn", layer: focus.layer, position: focus.position };
  if (
    focus.kind === "edge" &&
    typeof focus.source === "string" &&
    typeof focus.target === "string" &&
    isNodeName(focus.source) &&
    isNodeName(focus.target)
  ) {
    const edge = focus.edge === "attention" || focus.edge === "residual" ? { edge: focus.edge } : {};
    return { kind: "edge", source: focus.source, target: focus.target, ...edge } as Focus;
  }
  return null;
}

/** Undefined where it is no list of pins; what is too long is cut. */
export function readPins(value: unknown): readonly Pin[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.slice(0, PIN_LIMITS.pins).flatMap((given: unknown) => {
    const pin = (typeof given === "object" && given !== null ? given : {}) as Record<string, unknown>;
    const nodes = (Array.isArray(pin.nodes) ? pin.nodes.slice(0, PIN_LIMITS.nodes) : []).filter(
      (name): name is NodeName => typeof name === "string" && isNodeName(name),
    );
    const text = (part: unknown, most: number): string => (typeof part === "string" ? part.slice(0, most) : "");
    if (nodes.length === 0) return [];
    return [{ name: text(pin.name, PIN_LIMITS.name), note: text(pin.note, PIN_LIMITS.note), nodes }];
  });
}

/** Undefined where it is not one. */
export function readBudget(value: unknown): RouteBudget | null | undefined {
  if (value === null) return null;
  const entries = typeof value === "object" ? Object.entries(value) : [];
  if (entries.length !== 1) return undefined;
  const [name, amount] = entries[0] as [string, unknown];
  if (name === "edges" && isCount(amount) && amount >= 1) return { edges: amount };
  if (name === "relevance" && typeof amount === "number" && amount >= 0 && amount <= 1) return { relevance: amount };
  return undefined;
}

/** Undefined where it is not one. */
export function readContrast(value: unknown): TokenContrast | null | undefined {
  if (value === null) return null;
  const { token, versus } = (typeof value === "object" ? value : {}) as Record<string, unknown>;
  const id = (given: unknown): boolean => given === null || isCount(given);
  return id(token) && id(versus) ? { token: token as number | null, versus: versus as number | null } : undefined;
}

/** Reads a selection that came over the wire; what is missing or malformed takes the value of `fallback`. */
export function readSelection(value: unknown, fallback: Selection): Selection {
  const given = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const head = given.head as Record<string, unknown> | null | undefined;
  const neuron = given.neuron as Record<string, unknown> | null | undefined;
  const contrast = (name: "contrast" | "secondContrast"): TokenContrast | null =>
    given[name] === undefined ? fallback[name] : (readContrast(given[name]) ?? null);
  return {
    start: isCount(given.start) ? given.start : fallback.start,
    origin:
      given.origin === undefined
        ? fallback.origin
        : typeof given.origin === "string" && isNodeName(given.origin)
          ? given.origin
          : null,
    contrast: contrast("contrast"),
    secondContrast: contrast("secondContrast"),
    focus: given.focus === undefined ? fallback.focus : readFocus(given.focus),
    head:
      head === undefined
        ? fallback.head
        : head && isCount(head.layer) && isCount(head.head)
          ? { layer: head.layer, head: head.head }
          : null,
    neuron:
      neuron === undefined
        ? fallback.neuron
        : neuron && isCount(neuron.layer) && isCount(neuron.position) && isCount(neuron.neuron)
          ? { layer: neuron.layer, position: neuron.position, neuron: neuron.neuron }
          : null,
    token: given.token === undefined ? fallback.token : isCount(given.token) ? given.token : null,
    threshold:
      typeof given.threshold === "number" && given.threshold >= 0 && given.threshold <= 1
        ? given.threshold
        : fallback.threshold,
    budget: given.budget === undefined ? fallback.budget : (readBudget(given.budget) ?? null),
    renormalize: typeof given.renormalize === "boolean" ? given.renormalize : fallback.renormalize,
    normalize: typeof given.normalize === "boolean" ? given.normalize : fallback.normalize,
    pins: readPins(given.pins) ?? fallback.pins,
    removed: readRemovals(given.removed) ?? fallback.removed,
  };
}
