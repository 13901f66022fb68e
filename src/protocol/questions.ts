import { isTensor, type WireTensor } from "./codec";
import { parseNode } from "../model/names";
import type { NodeName } from "../model/types";
import type { RouteBudget, TokenContrast } from "./selection";
import { MOST_REMOVED, readRemoval, type Removal } from "./removals";
import { readBudget, readContrast } from "./selection";
import { ProtocolError, shown } from "./version";

/**
 * Every question that a picture asks about one run, and the shape of its answer. The live kernel, a stored payload and
 * the test gallery answer the same questions. T tokens, L layers, H heads, E edges.
 */

export interface WireToken {
  readonly id: number;
  readonly text: string;
}

export interface WireLensToken extends WireToken {
  readonly logit: number;
  readonly probability: number;
  /** 0 for the most likely token. */
  readonly rank: number;
  /** Ranks gained against the state below (positive: rose); left out at the embedding. */
  readonly rankChange?: number;
}

/** A token that a trace can be about, with its place among the predictions. */
export interface WireTarget extends WireToken {
  readonly logit: number;
  readonly probability: number;
}

/** A prediction, and the same without what was removed. */
export interface WireChangedToken extends WireTarget {
  readonly logitAfter: number;
  readonly probabilityAfter: number;
}

export interface WireEffectToken extends WireToken {
  readonly score: number;
}

export type WireComponent =
  | { readonly kind: "attention" | "ffn"; readonly layer: number; readonly position: number }
  /** With `key`: what the head wrote from that one token. */
  | {
      readonly kind: "attention";
      readonly layer: number;
      readonly position: number;
      readonly head: number;
      readonly key?: number;
    }
  | { readonly kind: "ffn"; readonly layer: number; readonly position: number; readonly neuron: number };

/** Edge kinds by their number in `RoutesAnswer.kinds`. */
export const EDGE_KINDS = ["attention", "residual", "ffn-in", "ffn-out"] as const;

/** The tokens of a contrast; the difference of their logits, and what of it no edge carries. */
export interface WireContrast {
  readonly token: WireToken;
  readonly versus?: WireToken;
  readonly logit?: number;
  readonly constant?: number;
  readonly rest?: { readonly supports: number; readonly opposes: number };
}

export interface RoutesAnswer {
  readonly from: readonly NodeName[];
  readonly threshold: number;
  readonly renormalize: boolean;
  /** The contrast that was traced. Without numbers where it was stored before contributions to it had a sign. */
  readonly contrast?: WireContrast;
  /** Names of the nodes that were reached. */
  readonly nodes: readonly NodeName[];
  /** `[E]` indices into `nodes`. */
  readonly sources: WireTensor<Uint32Array>;
  /** `[E]` indices into `nodes`. */
  readonly targets: WireTensor<Uint32Array>;
  /** `[E]` indices into `EDGE_KINDS`. */
  readonly kinds: WireTensor<Uint8Array>;
  /** `[E]` */
  readonly weights: WireTensor<Float32Array>;
  /** `[E + 1]`: heads of edge e are entries `headStarts[e]` to `headStarts[e + 1]` of the next two. */
  readonly headStarts: WireTensor<Uint32Array>;
  readonly heads: WireTensor<Uint16Array>;
  readonly headWeights: WireTensor<Float32Array>;
  /** `[E]`: share of everything that makes up the target. Missing in what earlier versions stored, as all that follow. */
  readonly contributions?: WireTensor<Float32Array>;
  /** `[E]`: how much of the start goes through the edge. */
  readonly relevances?: WireTensor<Float32Array>;
  /** `[E]`: of a contrast, what edges into its token's stream add to the logits; 0 for others. */
  readonly logits?: WireTensor<Float32Array>;
  /** The same by head, beside `headWeights`. */
  readonly headLogits?: WireTensor<Float32Array>;
  /**
   * Heads whose other keys together are more than an edge has to be (`OtherKeys`): entry o is head `otherHeads[o]` at
   * `nodes[otherTargets[o]]`, with a share of everything there. Missing where it is not known.
   */
  readonly otherTargets?: WireTensor<Uint32Array>;
  readonly otherHeads?: WireTensor<Uint16Array>;
  readonly otherShares?: WireTensor<Float32Array>;
}

export interface NeuronAnswer {
  readonly neuron: number;
  readonly activation: number;
  readonly contribution: number;
  /** What it adds to the logit that was asked about. */
  readonly logit?: number;
}

/** Top tokens of states; three tables of one shape. */
export interface GridAnswer {
  /** Indices into `tokens`. */
  readonly tops: WireTensor<Uint32Array>;
  readonly tokens: readonly WireToken[];
  readonly probabilities: WireTensor<Float32Array>;
  /** In bits. */
  readonly entropies: WireTensor<Float32Array>;
}

/** Cuts a part out of a whole grid of `nTokens` columns; undefined where the grid does not have it. */
export function partOfGrid(
  grid: GridAnswer,
  { row, first, count }: { readonly row: number; readonly first: number; readonly count: number },
): GridAnswer | undefined {
  const [rows, columns] = grid.tops.shape;
  if (row >= rows || first + count > columns) return undefined;
  const begin = row * columns + first;
  const cut = <A extends Uint32Array | Float32Array>({ dtype, data }: WireTensor<A>): WireTensor<A> => ({
    dtype,
    data: data.slice(begin, begin + count) as A,
    shape: [1, count],
  });
  return {
    tops: cut(grid.tops),
    tokens: grid.tokens,
    probabilities: cut(grid.probabilities),
    entropies: cut(grid.entropies),
  };
}

/** States that one question asks about at most. */
export const MAX_INFLOW = 2000;
/** Sources that contribute less are counted together. */
export const LEAST_INFLOW = 1e-4;

export interface Questions {
  /**
   * Routes of the token at position `from`, or of the node of that name; of a contrast where one is given; by relevance
   * instead of the threshold with `select`.
   */
  routes: {
    ask: {
      from: number | NodeName;
      threshold: number;
      renormalize: boolean;
      select?: RouteBudget;
      contrast?: TokenContrast;
    };
    answer: RoutesAnswer;
  };
  /** Tokens that may come after `position`, likeliest first: all, or those that are or begin with `text`. */
  targets: { ask: { position: number; text: string; topK: number }; answer: { tokens: readonly WireTarget[] } };
  /** The most likely tokens of a state. */
  lens: { ask: { node: NodeName; normalize: boolean; topK: number }; answer: { tokens: readonly WireLensToken[] } };
  /** What a block, head or neuron promotes and suppresses; `normalize` as that of `EffectOptions`. */
  effect: {
    ask: { component: WireComponent; normalize: boolean | "position"; topK: number };
    answer: {
      readonly promoted: readonly WireEffectToken[];
      readonly suppressed: readonly WireEffectToken[];
      /** Asked for logits, but stored by an earlier version, whose scores take each update at a size of its own. */
      readonly ownSize?: boolean;
    };
  };
  /** Every head of the attention of `query` to `key`: contribution [H] and attention weight [H]. */
  heads: {
    ask: { layer: number; query: number; key: number };
    answer: { contributions: WireTensor<Float32Array>; weights: WireTensor<Float32Array> };
  };
  /**
   * Everything that flows into states, whatever the threshold: S sources of N nodes, those of a node one after another,
   * its residual first.
   */
  inflow: {
    ask: { nodes: readonly NodeName[] };
    answer: {
      /** `[N + 1]`: sources of node n are entries `starts[n]` to `starts[n + 1]` of the next three. */
      readonly starts: WireTensor<Uint32Array>;
      readonly sources: readonly NodeName[];
      /** `[S]` index into `EDGE_KINDS`; a feed-forward block's is "ffn-out". */
      readonly kinds: WireTensor<Uint8Array>;
      /** `[S]` shares of everything that makes up the node. */
      readonly contributions: WireTensor<Float32Array>;
      /** `[N]` what all other sources contribute together; -1: nothing is known. */
      readonly rests: WireTensor<Float32Array>;
      /** What each of the others contributes at most: 1e-4, in a stored answer up to its threshold. */
      readonly least: number;
    };
  };
  /**
   * What works against a state: parts without which it would be larger, which no contribution counts (signed proximity:
   * `AttentionProximities`), at most `topK`, the most opposed first.
   */
  opponents: {
    ask: { node: NodeName; topK: number };
    answer: {
      readonly sources: readonly NodeName[];
      /** `[S]` index into `EDGE_KINDS`; a feed-forward block's is "ffn-out". */
      readonly kinds: WireTensor<Uint8Array>;
      /** `[S]` head of an attention term, -1 of others. */
      readonly heads: WireTensor<Int32Array>;
      /** `[S]` below 0: by how much of the state's size it would grow without the part. */
      readonly proximities: WireTensor<Float32Array>;
      /** How many parts there are below 0. */
      readonly count: number;
    };
  };
  /**
   * The neurons that contributed most to the state after the FFN; with `by` those that move a logit most: that of the
   * contrast, or of the best prediction at this position.
   */
  neurons: {
    ask: { layer: number; position: number; topK: number; by?: "logit"; contrast?: TokenContrast };
    answer: {
      readonly neurons: readonly NeuronAnswer[];
      /** Whose logit, with `by`. */
      readonly about?: { readonly token: WireToken; readonly versus?: WireToken };
    };
  };
  /** One head's attention map and contribution map, both [query, key]; `head` null: all heads together (their sum). */
  maps: {
    ask: { layer: number; head: number | null };
    answer: { pattern: WireTensor<Float32Array>; contributions: WireTensor<Float32Array> };
  };
  /** All heads' maps of a layer, both [H, query, key]. */
  layerMaps: {
    ask: { layer: number };
    answer: { pattern: WireTensor<Float32Array>; contributions: WireTensor<Float32Array> };
  };
  /** The top token of the state after each layer: row 0 the embedding, row l + 1 after layer l. All [L + 1, T]. */
  grid: { ask: { normalize: boolean }; answer: GridAnswer };
  /** Columns `first` to `first + count - 1` of one row of the same, [1, count]: a large grid is asked for in parts. */
  gridPart: { ask: { row: number; first: number; count: number; normalize: boolean }; answer: GridAnswer };
  /** What the heads of this model attend to, measured once a model on random tokens that repeat. */
  headLabels: {
    ask: Record<never, never>;
    answer: {
      /** Names of the patterns. */
      readonly patterns: readonly string[];
      /** `[L, H]` index into `patterns`; 255 where a head follows none of them. */
      readonly labels: WireTensor<Uint8Array>;
      /** `[L, H]` share of the head's attention that follows its pattern. */
      readonly scores: WireTensor<Float32Array>;
    };
  };
  /**
   * What is predicted after `position` without what is removed: the `topK` likeliest tokens before and those after,
   * likeliest before first, and how the target fares: that of the contrast, or else the best prediction before.
   */
  removed: {
    ask: { removals: readonly Removal[]; position: number; topK: number; contrast?: TokenContrast };
    answer: {
      readonly tokens: readonly WireChangedToken[];
      readonly target: WireChangedToken;
      /** The contrast's other token. */
      readonly versus?: WireChangedToken;
    };
  };
  /** A question to the second run of a comparison. */
  second: { ask: { question: SingleQuestion }; answer: { answer: unknown } };
  /** One token's way through the states of a position, bottom to top. All [number of states]. */
  follow: {
    ask: { position: number; token: number; normalize: boolean };
    answer: {
      nodes: readonly NodeName[];
      token: WireToken;
      ranks: WireTensor<Uint32Array>;
      probabilities: WireTensor<Float32Array>;
    };
  };
}

export type QuestionKind = keyof Questions;
/** A question to one run. */
export type SingleQuestion = {
  [P in Exclude<QuestionKind, "second">]: { readonly kind: P } & Readonly<Questions[P]["ask"]>;
}[Exclude<QuestionKind, "second">];
/** A question: its kind, and what that kind asks. */
export type Question<K extends QuestionKind = QuestionKind> = {
  [P in K]: { readonly kind: P } & Readonly<Questions[P]["ask"]>;
}[K];
export type Answer<K extends QuestionKind> = Questions[K]["answer"];

type Check = (value: unknown) => string | undefined;

const count: Check = (value) =>
  Number.isSafeInteger(value) && (value as number) >= 0 ? undefined : "a whole number from 0 on";
const flag: Check = (value) => (typeof value === "boolean" ? undefined : "true or false");
const share: Check = (value) =>
  typeof value === "number" && value >= 0 && value <= 1 ? undefined : "a number from 0 to 1";
const topK: Check = (value) =>
  Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= 1000
    ? undefined
    : "a whole number from 1 to 1000";
const node: Check = (value) =>
  typeof value === "string" && parseNode(value) ? undefined : "a node's name such as I5_7";
const contrast: Check = (value) => (readContrast(value) ? undefined : "two tokens' ids, either of which may be null");
/** May be left out. */
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined ? undefined : check(value);
const component: Check = (value) => {
  const c = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const sub = c.kind === "attention" ? "head" : "neuron";
  const fits =
    (c.kind === "attention" || c.kind === "ffn") &&
    Object.values(c).every((part) => typeof part !== "object") &&
    count(c.layer) === undefined &&
    count(c.position) === undefined &&
    (c[sub] === undefined || count(c[sub]) === undefined) &&
    (c.key === undefined || (c.kind === "attention" && c.head !== undefined && count(c.key) === undefined));
  return fits ? undefined : "a block, head or neuron with its layer and position";
};

/** For each kind of question, what each of its values has to be. */
const CHECKS: { readonly [K in QuestionKind]: { readonly [N in keyof Questions[K]["ask"]]-?: Check } } = {
  routes: {
    from: (value) =>
      typeof value === "string" ? node(value) && "a position or a node's name such as I5_7" : count(value),
    threshold: share,
    renormalize: flag,
    select: optional((value) =>
      readBudget(value) ? undefined : "a number of edges from 1 ({ edges: 60 }) or a share ({ relevance: 0.8 })",
    ),
    contrast: optional(contrast),
  },
  targets: {
    position: count,
    text: (value) =>
      typeof value === "string" && value.length <= 200 ? undefined : "a text of at most 200 characters",
    topK,
  },
  lens: { node, normalize: flag, topK },
  effect: {
    component,
    normalize: (value) => (value === "position" ? undefined : flag(value) && 'true, false or "position"'),
    topK,
  },
  heads: { layer: count, query: count, key: count },
  inflow: {
    nodes: (value) =>
      Array.isArray(value) &&
      value.length >= 1 &&
      value.length <= MAX_INFLOW &&
      value.every((name) => ["A", "I"].includes(parseNode(String(name))?.kind ?? ""))
        ? undefined
        : `a list of 1 to ${MAX_INFLOW} states such as A5_7 or I5_7`,
  },
  opponents: {
    node: (value) =>
      ["A", "I"].includes(parseNode(String(value))?.kind ?? "") ? undefined : "a state such as A5_7 or I5_7",
    topK,
  },
  neurons: {
    layer: count,
    position: count,
    topK,
    by: optional((value) => (value === "logit" ? undefined : '"logit"')),
    contrast: optional(contrast),
  },
  maps: { layer: count, head: (value) => (value === null ? undefined : count(value)) },
  layerMaps: { layer: count },
  grid: { normalize: flag },
  gridPart: { row: count, first: count, count, normalize: flag },
  headLabels: {},
  removed: {
    removals: (value) =>
      Array.isArray(value) &&
      value.length >= 1 &&
      value.length <= MOST_REMOVED &&
      value.every((removal) => readRemoval(removal) !== undefined)
        ? undefined
        : `a list of 1 to ${MOST_REMOVED} blocks, heads, neurons or edges such as { kind: "attention", layer: 20, head: 3 }`,
    position: count,
    topK,
    contrast: optional(contrast),
  },
  second: {
    question: (value) =>
      typeof value === "object" && value !== null && (value as { kind?: unknown }).kind !== "second"
        ? undefined
        : "a question to one run",
  },
  follow: { position: count, token: count, normalize: flag },
};

/** Reads a question that came over the wire. Throws a `ProtocolError` whose sentence says what is wrong. */
export function readQuestion(value: unknown): Question {
  const given = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const kind = given.kind;
  if (typeof kind !== "string" || !Object.hasOwn(CHECKS, kind)) {
    throw new ProtocolError(
      "malformed",
      `There is no question of kind ${kind === undefined ? "undefined" : shown(kind)}; known are ${Object.keys(CHECKS).join(", ")}.`,
    );
  }
  const question: Record<string, unknown> = { kind };
  for (const [name, check] of Object.entries<Check>(CHECKS[kind as QuestionKind])) {
    const allowed = check(given[name]);
    if (allowed !== undefined)
      throw new ProtocolError(
        "malformed",
        `In a question of kind "${kind}", ${name} has to be ${allowed}, not ${given[name] === undefined ? "undefined" : shown(given[name])}.`,
      );
    if (given[name] !== undefined) question[name] = given[name];
  }
  if (kind === "second") question.question = readQuestion(given.question);
  if (kind === "removed") question.removals = (given.removals as readonly unknown[]).map(readRemoval);
  return question as Question;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
/** JSON has no infinities: they come as null. */
const isNumber = (value: unknown): boolean => typeof value === "number" || value === null;
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every((text) => typeof text === "string");
const isToken = (value: unknown): boolean =>
  isObject(value) && typeof value.id === "number" && typeof value.text === "string";
const areTokens = (value: unknown, ...numbers: readonly string[]): boolean =>
  Array.isArray(value) &&
  value.every((token) => isToken(token) && numbers.every((name) => isNumber((token as Record<string, unknown>)[name])));
/** A tensor of one of the given types and number of axes. */
const isTensorOf = (value: unknown, dtypes: readonly string[], axes: number): value is WireTensor =>
  isTensor(value) && dtypes.includes(value.dtype) && value.shape.length === axes;
const isWhole = (value: unknown, axes: number): value is WireTensor =>
  isTensorOf(value, ["uint8", "uint16", "uint32", "int32"], axes);
const isReal = (value: unknown, axes: number): value is WireTensor => isTensorOf(value, ["float32", "float64"], axes);
const sameShape = (...tensors: readonly WireTensor[]): boolean =>
  tensors.every(({ shape }) => shape.join() === tensors[0].shape.join());

const isGrid = ({ tops, tokens, probabilities, entropies }: Readonly<Record<string, unknown>>): boolean =>
  isWhole(tops, 2) &&
  isReal(probabilities, 2) &&
  isReal(entropies, 2) &&
  sameShape(tops, probabilities, entropies) &&
  areTokens(tokens) &&
  tops.data.every((top: number) => top < (tokens as readonly unknown[]).length);
const isMaps = ({ pattern, contributions }: Readonly<Record<string, unknown>>, axes: number): boolean =>
  isReal(pattern, axes) && isReal(contributions, axes) && sameShape(pattern, contributions);

const isContrast = (value: unknown): boolean =>
  isObject(value) &&
  isToken(value.token) &&
  (value.versus === undefined || isToken(value.versus)) &&
  [value.logit, value.constant].every((part) => part === undefined || isNumber(part)) &&
  (value.rest === undefined || (isObject(value.rest) && isNumber(value.rest.supports) && isNumber(value.rest.opposes)));

/** For each kind of question, whether a value has the form of its answer. */
const ANSWERS: {
  readonly [K in Exclude<QuestionKind, "second">]: (answer: Readonly<Record<string, unknown>>) => boolean;
} = {
  routes: ({
    from,
    threshold,
    renormalize,
    contrast: about,
    nodes,
    sources,
    targets,
    kinds,
    weights,
    headStarts,
    heads,
    headWeights,
    contributions,
    relevances,
    logits,
    headLogits,
    otherTargets,
    otherHeads,
    otherShares,
  }) =>
    isTexts(from) &&
    isNumber(threshold) &&
    typeof renormalize === "boolean" &&
    isTexts(nodes) &&
    [sources, targets, kinds, headStarts, heads].every((column) => isWhole(column, 1)) &&
    isReal(weights, 1) &&
    isReal(headWeights, 1) &&
    [contributions, relevances, logits, headLogits].every((column) => column === undefined || isReal(column, 1)) &&
    (otherTargets === undefined ||
      (isWhole(otherTargets, 1) &&
        isWhole(otherHeads, 1) &&
        isReal(otherShares, 1) &&
        sameShape(otherTargets, otherHeads, otherShares))) &&
    (about === undefined || isContrast(about)),
  targets: ({ tokens }) => areTokens(tokens, "logit", "probability"),
  lens: ({ tokens }) => areTokens(tokens, "logit", "probability", "rank"),
  effect: ({ promoted, suppressed }) => areTokens(promoted, "score") && areTokens(suppressed, "score"),
  heads: ({ contributions, weights }) =>
    isReal(contributions, 1) && isReal(weights, 1) && sameShape(contributions, weights),
  inflow: ({ starts, sources, kinds, contributions, rests, least }) =>
    isNumber(least) &&
    isWhole(starts, 1) &&
    isTexts(sources) &&
    isWhole(kinds, 1) &&
    isReal(contributions, 1) &&
    isReal(rests, 1) &&
    starts.shape[0] === rests.shape[0] + 1 &&
    [kinds, contributions].every(({ shape }) => shape[0] === (sources as readonly unknown[]).length),
  opponents: ({ sources, kinds, heads, proximities, count: all }) =>
    isNumber(all) &&
    isTexts(sources) &&
    isWhole(kinds, 1) &&
    isWhole(heads, 1) &&
    isReal(proximities, 1) &&
    sameShape(kinds, heads, proximities) &&
    kinds.shape[0] === (sources as readonly unknown[]).length,
  neurons: ({ neurons }) =>
    Array.isArray(neurons) &&
    neurons.every(
      (one) =>
        isObject(one) && typeof one.neuron === "number" && isNumber(one.activation) && isNumber(one.contribution),
    ),
  maps: (answer) => isMaps(answer, 2),
  layerMaps: (answer) => isMaps(answer, 3),
  grid: isGrid,
  gridPart: isGrid,
  headLabels: ({ patterns, labels, scores }) =>
    isTexts(patterns) && isWhole(labels, 2) && isReal(scores, 2) && sameShape(labels, scores),
  removed: ({ tokens, target, versus }) =>
    [tokens, [target], versus === undefined ? [] : [versus]].every((list) =>
      areTokens(list, "logit", "probability", "logitAfter", "probabilityAfter"),
    ),
  follow: ({ nodes, token, ranks, probabilities }) =>
    isTexts(nodes) &&
    isToken(token) &&
    isWhole(ranks, 1) &&
    isReal(probabilities, 1) &&
    sameShape(ranks, probabilities) &&
    ranks.shape[0] === (nodes as readonly unknown[]).length,
};

/** Whether a value that someone stored has the form of an answer to the question: whoever shows it may rely on that. */
export function isAnswer(question: Question, answer: unknown): boolean {
  if (!isObject(answer)) return false;
  if (question.kind === "second") return isAnswer(question.question, answer.answer);
  return ANSWERS[question.kind](answer);
}

/** How effects are read where states are normalised before the unembedding, or not. */
export const effectNormalize = (normalize: boolean): "position" | false => (normalize ? "position" : false);

/** The same text for the same question, whatever the order of its keys: the key of caches and payloads. */
export function questionKey(question: { readonly kind: QuestionKind }): string {
  const sorted = (value: unknown): unknown =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(
          Object.entries(value)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([key, inner]) => [key, sorted(inner)]),
        )
      : value;
  return JSON.stringify(sorted(question));
}
