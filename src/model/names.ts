/**
 * Names of the graph's nodes, read and written in this one place: `X0_t`, `A{l}_t`, `M{l}_t`, `I{l}_t`, as the
 * published tool writes them.
 */
import type { NodeName, RouteNode } from "./types";

/** "X" embedded token, "A" state after attention, "M" feed-forward block, "I" state after the layer. */
export type NodeKind = RouteNode["kind"];

/** What a node's name says. The layer of `X0_t` is -1. */
export type NodePlace = Omit<RouteNode, "name">;

/** One spelling a node: no leading zeros, and numbers that stay exact. */
const NAME = /^(?:X0|([AMI])(0|[1-9]\d{0,8}))_(0|[1-9]\d{0,8})$/;

/**
 * The name of a node: `nodeName("I", 20, 4)` is "I20_4". `X0_t` ignores the layer.
 * Where a template literal is given straight to a method, as in ``run.lens(`I${layer}_4`)``, it needs no call.
 */
export function nodeName(kind: NodeKind, layer: number, position: number): NodeName {
  return kind === "X" ? `X0_${position}` : `${kind}${layer}_${position}`;
}

/** Kind, layer (-1 for `X0_t`) and position of a node by its name; undefined where `name` is not a node's name. */
export function parseNode(name: string): NodePlace | undefined {
  const match = NAME.exec(name);
  if (!match) return undefined;
  return {
    kind: (match[1] as NodeKind | undefined) ?? "X",
    layer: match[2] === undefined ? -1 : Number(match[2]),
    position: Number(match[3]),
  };
}

/** True where `name` is a node's name; it says nothing about any one model's layers or tokens. */
export function isNodeName(name: string): name is NodeName {
  return NAME.test(name);
}

/**
 * The node with this name in a model of `nLayers` layers over `nTokens` tokens.
 * @throws RangeError that says which names exist.
 */
export function requireNode(name: string, nLayers: number, nTokens: number, parallelBlocks: boolean): RouteNode {
  const place = typeof name === "string" ? parseNode(name) : undefined;
  const kinds = parallelBlocks ? "X0_t, M{l}_t or I{l}_t" : "X0_t, A{l}_t, M{l}_t or I{l}_t";
  const range = `with layer l from 0 to ${nLayers - 1} and token t from 0 to ${nTokens - 1}`;
  if (!place || place.layer >= nLayers || place.position >= nTokens) {
    throw new RangeError(`There is no node ${JSON.stringify(name)}: nodes are ${kinds} ${range}.`);
  }
  if (parallelBlocks && place.kind === "A") {
    throw new RangeError(
      `There is no node ${JSON.stringify(name)}: this model's attention and feed-forward blocks are parallel, so there is no state between them; nodes are ${kinds} ${range}.`,
    );
  }
  return { name: name as NodeName, ...place };
}

/** The state of the stream below layer l at a position: `I{l-1}` or, below the first layer, `X0`. */
export function stateBelow(layer: number, position: number): NodeName {
  return layer === 0 ? nodeName("X", -1, position) : nodeName("I", layer - 1, position);
}

/** One short phrase for people, e.g. "after layer 5, token 7". */
export function describeNode(name: string): string {
  const place = parseNode(name);
  if (!place) return name;
  const where = `token ${place.position}`;
  switch (place.kind) {
    case "X":
      return `embedding, ${where}`;
    case "A":
      return `after attention of layer ${place.layer}, ${where}`;
    case "M":
      return `feed-forward block of layer ${place.layer}, ${where}`;
    case "I":
      return `after layer ${place.layer}, ${where}`;
  }
}
