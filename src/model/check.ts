/**
 * Checks of arguments. Each throws a RangeError (or TypeError) of one sentence: what was given, and what is allowed.
 */
import { nodeName, requireNode } from "./names";
import { list } from "./errors";
import type {
  Dtype,
  ModelInfo,
  NodeName,
  RouteNode,
  RouteOptions,
  RouteSelection,
  Token,
  TransparentModel,
  ValueBias,
} from "../model/types";

function show(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** An integer from 0 to `count - 1`. */
export function checkIndex(what: string, value: number, count: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= count) {
    throw new RangeError(`There is no ${what} ${show(value)}: ${what}s go from 0 to ${count - 1}.`);
  }
}

export function checkOneOf<T extends string | boolean>(what: string, value: T, allowed: readonly T[]): void {
  if (!allowed.includes(value))
    throw new RangeError(`${what} ${show(value)} is unknown: use ${allowed.map(show).join(" or ")}.`);
}

/** All that `dtype` can be. */
export const DTYPES = ["auto", "float32", "float16", "bfloat16", "q8", "q4"] as const satisfies readonly Dtype[];

/**
 * `value`, which is a dtype.
 * @throws RangeError that lists them.
 */
export function checkDtype(value: string): Dtype {
  const dtype = DTYPES.find((name) => name === value);
  if (dtype === undefined)
    throw new RangeError(`There is no dtype ${show(value)}; there are ${list(DTYPES.map(show))}.`);
  return dtype;
}

export function checkValueBias(value: ValueBias | undefined): void {
  if (value !== undefined) checkOneOf("valueBias", value, ["output", "term"]);
}

/** How many answers are wanted: an integer of at least 1. */
export function checkTopK(value: number): void {
  if (!Number.isInteger(value) || value < 1)
    throw new RangeError(`topK is ${show(value)}: it must be an integer of at least 1.`);
}

/** The token of an id, or of a text that is exactly one token. */
export function oneToken(model: Pick<TransparentModel, "info" | "token" | "tokenize">, token: number | string): Token {
  if (typeof token === "number") {
    checkIndex("token id", token, model.info.dVocab);
    return model.token(token);
  }
  const tokens = model.tokenize(token, { addSpecialTokens: false });
  if (tokens.length !== 1) {
    throw new RangeError(
      `${JSON.stringify(token)} is ${tokens.length} tokens (${tokens.map(({ text }) => JSON.stringify(text)).join(", ")}): give a text that is exactly one, or a token id.`,
    );
  }
  return tokens[0];
}

export function checkThreshold(value: number): void {
  if (typeof value !== "number" || !(value >= 0 && value <= 1))
    throw new RangeError(`The threshold is ${show(value)}: it must be a number from 0 to 1.`);
}

/**
 * What of the routes is kept.
 * @throws RangeError where it is none of the selections, or says the same as another option.
 */
export function checkSelection({ select, threshold }: Pick<RouteOptions, "select" | "threshold">): RouteSelection {
  if (select === undefined) {
    checkThreshold(threshold ?? 0.04);
    return { threshold: threshold ?? 0.04 };
  }
  const ways = typeof select === "object" && select !== null ? Object.entries(select) : [];
  const [[way, value] = []] = ways;
  if (ways.length !== 1 || !["threshold", "relevance", "edges"].includes(way as string))
    throw new RangeError(
      `select is ${JSON.stringify(select)}: give { threshold }, { relevance } or { edges }, and one of them.`,
    );
  if (threshold !== undefined) throw new RangeError("Routes are kept by threshold or by select: give one of the two.");
  if (way === "threshold") checkThreshold(value as number);
  else if (way === "relevance" && !(typeof value === "number" && value >= 0 && value <= 1))
    throw new RangeError(`The relevance to keep is ${show(value)}: it must be a number from 0 to 1.`);
  else if (way === "edges" && !(Number.isInteger(value) && (value as number) >= 1))
    throw new RangeError(`The number of edges to keep is ${show(value)}: it must be an integer of at least 1.`);
  return select;
}

/** The nodes a trace starts at, without repeats, in the order given. */
export function startNodes(from: RouteOptions["from"], info: ModelInfo, nTokens: number): RouteNode[] {
  const last = info.nLayers - 1;
  const top = (position: number): NodeName => {
    checkIndex("token", position, nTokens);
    return nodeName("I", last, position);
  };
  const list: readonly (number | NodeName)[] =
    from === undefined
      ? [nTokens - 1]
      : from === "all"
        ? Array.from({ length: nTokens }, (_, t) => t)
        : Array.isArray(from)
          ? (from as readonly (number | NodeName)[])
          : [from as number | NodeName];
  if (list.length === 0) throw new RangeError('A trace needs a start: give a token, several, a node\'s name or "all".');
  const names = new Set(list.map((start) => (typeof start === "number" ? top(start) : start)));
  return [...names].map((name) => requireNode(name, info.nLayers, nTokens, info.parallelBlocks));
}

/**
 * Token ids of a prompt.
 * @throws RangeError where there are none, one lies outside the vocabulary, or there are more than the model was made
 *   for.
 */
export function checkTokenIds(ids: readonly number[], info: ModelInfo, prompt = "The prompt"): void {
  if (ids.length === 0) throw new RangeError(`${prompt} is empty: it has no tokens, and a model needs at least one.`);
  for (let i = 0; i < ids.length; i++) {
    if (!Number.isInteger(ids[i]) || ids[i] < 0 || ids[i] >= info.dVocab) {
      throw new RangeError(
        `Token id ${show(ids[i])} at position ${i} of ${prompt.toLowerCase()} is outside the vocabulary: ids go from 0 to ${info.dVocab - 1}.`,
      );
    }
  }
  if (ids.length > info.maxPositions) {
    throw new RangeError(
      `${prompt} has ${ids.length} tokens, and ${info.name} was made for at most ${info.maxPositions}.`,
    );
  }
}

/** A height in CSS pixels that a picture can have, or none. */
export function checkHeight(height: unknown): void {
  if (height === undefined || (typeof height === "number" && height >= 160 && height <= 10_000)) return;
  throw new RangeError(
    `height is ${JSON.stringify(height) ?? typeof height}, but has to be a number of CSS pixels from 160 to 10000.`,
  );
}
