/** What interventions are about, checked. Everything here throws one sentence, or says where something is changed. */
import { checkIndex, checkOneOf } from "../model/check";
import { parseNode, requireNode } from "../model/names";
import type { BlockTarget, EdgeTarget, InterventionTarget, ModelInfo, NodeName } from "../model/types";

/** A place of the computation, at some positions (edges: one query). */
export type Place =
  /** Before layer `index`, or after the last. */
  | { readonly kind: "state"; readonly index: number; readonly positions: readonly number[] }
  | { readonly kind: "mid" | "attention" | "ffn"; readonly layer: number; readonly positions: readonly number[] }
  | { readonly kind: "head"; readonly layer: number; readonly head: number; readonly positions: readonly number[] }
  | { readonly kind: "neuron"; readonly layer: number; readonly neuron: number; readonly positions: readonly number[] }
  | {
      readonly kind: "edge";
      readonly layer: number;
      readonly heads: readonly number[];
      readonly query: number;
      readonly key: number;
    };

/** A place that has a vector at each position. */
export type VectorPlace = Exclude<Place, { readonly kind: "edge" }>;

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/**
 * Where a target is.
 * @param window how many tokens, itself included, a query of a layer looks back
 */
export function placeOf(
  target: InterventionTarget,
  info: ModelInfo,
  nTokens: number,
  window: (layer: number) => number | undefined,
): Place {
  if (typeof target === "string") return statePlace(target, info, nTokens);
  if (typeof target !== "object" || target === null)
    throw new TypeError(
      `The target is ${String(target)}: give a state's name, { kind: "attention" | "ffn", layer, … } or { kind: "edge", layer, query, key }.`,
    );
  checkOneOf("The target's kind", target.kind, ["attention", "ffn", "edge"]);
  checkIndex("layer", target.layer, info.nLayers);
  return target.kind === "edge"
    ? edgePlace(target, info, nTokens, window(target.layer))
    : blockPlace(target, info, nTokens);
}

function statePlace(name: NodeName, info: ModelInfo, nTokens: number): Place {
  const { kind, layer, position } = requireNode(name, info.nLayers, nTokens, info.parallelBlocks);
  if (kind === "M")
    throw new RangeError(
      `${name} is a block, not a state of the residual stream: change what it writes with { kind: "ffn", layer: ${layer}, position: ${position} }.`,
    );
  if (kind === "A") return { kind: "mid", layer, positions: [position] };
  return { kind: "state", index: layer + 1, positions: [position] };
}

function blockPlace({ kind, layer, position, head, neuron }: BlockTarget, info: ModelInfo, nTokens: number): Place {
  if (position !== undefined) checkIndex("position", position, nTokens);
  const positions = position === undefined ? range(nTokens) : [position];
  if (kind === "attention") {
    if (neuron !== undefined) throw new RangeError('Attention has no neurons: neurons are of { kind: "ffn" }.');
    if (head === undefined) return { kind, layer, positions };
    checkIndex("head", head, info.nHeads);
    return { kind: "head", layer, head, positions };
  }
  if (head !== undefined)
    throw new RangeError('A feed-forward block has no heads: heads are of { kind: "attention" }.');
  if (neuron === undefined) return { kind, layer, positions };
  checkIndex("neuron", neuron, info.dFfn);
  return { kind: "neuron", layer, neuron, positions };
}

function edgePlace(
  { layer, query, key, head }: EdgeTarget,
  info: ModelInfo,
  nTokens: number,
  window: number | undefined,
): Place {
  checkIndex("query", query, nTokens);
  if (!Number.isInteger(key) || key < 0 || key > query)
    throw new RangeError(`There is no key ${String(key)} for the query ${query}: keys go from 0 to ${query}.`);
  if (window !== undefined && query - key >= window)
    throw new RangeError(
      `Query ${query} does not see key ${key} in layer ${layer}, which looks back ${window} tokens: its keys go from ${query - window + 1} to ${query}.`,
    );
  if (head !== undefined) checkIndex("head", head, info.nHeads);
  return { kind: "edge", layer, heads: head === undefined ? range(info.nHeads) : [head], query, key };
}

/** When a place reads the stream. Four moments a layer: 0 its beginning, 1 attention has written, 2 the FFN reads, 3 it has written. */
export function readAt(place: Place, parallelBlocks: boolean): number {
  switch (place.kind) {
    case "state":
      return 4 * place.index;
    case "mid":
      return 4 * place.layer + 2;
    case "ffn":
    case "neuron":
      return 4 * place.layer + (parallelBlocks ? 0 : 2);
    default:
      return 4 * place.layer;
  }
}

/** When what a place writes is in the stream. */
export function writtenAt(place: Place, parallelBlocks: boolean): number {
  switch (place.kind) {
    case "state":
      return 4 * place.index;
    case "mid":
      return 4 * place.layer + 2;
    case "ffn":
    case "neuron":
      return 4 * place.layer + 4;
    default:
      return 4 * place.layer + (parallelBlocks ? 4 : 1);
  }
}

/** A place in words, at one position. */
export function describePlace(place: Place, position?: number): string {
  const at = position === undefined ? "" : ` at position ${position}`;
  switch (place.kind) {
    case "state":
      return place.index === 0 ? `the embedding${at}` : `the state after layer ${place.index - 1}${at}`;
    case "mid":
      return `the state after attention of layer ${place.layer}${at}`;
    case "attention":
      return `the attention block of layer ${place.layer}${at}`;
    case "ffn":
      return `the feed-forward block of layer ${place.layer}${at}`;
    case "head":
      return `head ${place.head} of layer ${place.layer}${at}`;
    case "neuron":
      return `neuron ${place.neuron} of layer ${place.layer}${at}`;
    case "edge":
      return `the edge from key ${place.key} to query ${place.query} of layer ${place.layer}`;
  }
}

/**
 * A target written as in a shell: `head:20.3`, `head:20.3@5`, `attention:4`, `ffn:12@4`, `neuron:12.77`, `edge:9.2:8>3`
 * (query > key), `edge:9:8>3`, or a state's name. Undefined where it is none.
 */
export function parseTarget(text: string): InterventionTarget | undefined {
  if (parseNode(text)) return text as NodeName;
  const edge = /^edge:(\d+)(?:\.(\d+))?:(\d+)>(\d+)$/.exec(text);
  if (edge)
    return {
      kind: "edge",
      layer: Number(edge[1]),
      query: Number(edge[3]),
      key: Number(edge[4]),
      ...(edge[2] === undefined ? {} : { head: Number(edge[2]) }),
    };
  const block = /^(attention|ffn|head|neuron):(\d+)(?:\.(\d+))?(?:@(\d+))?$/.exec(text);
  if (!block) return undefined;
  const [, kind, layer, part, at] = block;
  const whole = kind === "attention" || kind === "ffn";
  if (whole !== (part === undefined)) return undefined;
  const place = { layer: Number(layer), ...(at === undefined ? {} : { position: Number(at) }) };
  if (kind === "attention" || kind === "ffn") return { kind, ...place };
  return kind === "head"
    ? { kind: "attention", ...place, head: Number(part) }
    : { kind: "ffn", ...place, neuron: Number(part) };
}
