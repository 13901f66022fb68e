/** Names of the graph's nodes, as the published tool writes them, and what they mean. */
import type { NodeName, RouteNode } from "../model/types";

const pattern = /^([XAMI])(0|[1-9][0-9]*)_(0|[1-9][0-9]*)$/;

/** What a name says; undefined where it is no node's name. The layer of `X0_t` is -1. */
export function parseNodeName(name: NodeName): RouteNode | undefined {
  const match = pattern.exec(name);
  if (!match) return undefined;
  const kind = match[1] as RouteNode["kind"];
  const number = Number(match[2]);
  if (kind === "X" && number !== 0) return undefined;
  return { name, kind, layer: kind === "X" ? -1 : number, position: Number(match[3]) };
}

/**
 * The node with this name in a model of `nLayers` layers over `nTokens` tokens.
 * @throws RangeError that says which names exist.
 */
export function requireNode(name: NodeName, nLayers: number, nTokens: number, parallelBlocks: boolean): RouteNode {
  const node = parseNodeName(name);
  const kinds = parallelBlocks ? "X0_t, M{l}_t or I{l}_t" : "X0_t, A{l}_t, M{l}_t or I{l}_t";
  const range = `with layer l from 0 to ${nLayers - 1} and token t from 0 to ${nTokens - 1}`;
  if (!node || node.layer >= nLayers || node.position >= nTokens) {
    throw new RangeError(`There is no node ${JSON.stringify(name)}: nodes are ${kinds} ${range}.`);
  }
  if (parallelBlocks && node.kind === "A") {
    throw new RangeError(`There is no node ${JSON.stringify(name)}: this model's attention and feed-forward blocks are parallel, so there is no state between them; nodes are ${kinds} ${range}.`);
  }
  return node;
}
