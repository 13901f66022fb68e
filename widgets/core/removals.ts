import type { Removal, RunFacts, Selection, WireToken } from "../../src/protocol";
import { covers, focusEdgeKind, parseNode, shortText, withRemoval } from "../../src/protocol";

/** What of the selection can be taken out of the computation, and how it is called. */

/** Why nothing is removed here. */
export const UNCHANGEABLE = "Nothing can be removed in this model: its runs have no interventions.";

/** "head 3 of layer 5 at ·to". */
export function removalWords(removal: Removal, tokens: readonly Pick<WireToken, "text">[]): string {
  const token = (position: number): string => shortText(tokens[position]?.text ?? `token ${position}`, 14);
  const { kind, layer } = removal;
  if (kind === "edge")
    return `${token(removal.key)} → ${token(removal.query)} in layer ${layer}${removal.head === undefined ? "" : `, head ${removal.head}`}`;
  const part =
    kind === "attention"
      ? removal.head === undefined
        ? "attention"
        : `head ${removal.head}`
      : removal.neuron === undefined
        ? "feed-forward"
        : `neuron ${removal.neuron}`;
  return `${part} of layer ${layer}${removal.position === undefined ? "" : ` at ${token(removal.position)}`}`;
}

/** What is meant by removing what is selected, the finest first; empty where that cannot be removed. */
export function removables({ focus, head, neuron }: Pick<Selection, "focus" | "head" | "neuron">): readonly Removal[] {
  const place = focus?.kind === "node" ? parseNode(focus.node) : focus?.kind === "ffn" ? focus : undefined;
  if (place && neuron?.layer === place.layer && neuron.position === place.position) {
    const { layer, position } = neuron;
    return [
      { kind: "ffn", layer, position, neuron: neuron.neuron },
      { kind: "ffn", layer, neuron: neuron.neuron },
      { kind: "ffn", layer, position },
    ];
  }
  if (focus?.kind === "ffn") {
    const { layer, position } = focus;
    return [
      { kind: "ffn", layer, position },
      { kind: "ffn", layer },
    ];
  }
  if (focus?.kind === "edge" && focusEdgeKind(focus) === "attention") {
    const [from, to] = [parseNode(focus.source), parseNode(focus.target)];
    if (!from || !to || to.layer < 0) return [];
    const { layer, position: query } = to;
    const edge = { kind: "edge", layer, query, key: from.position } as const;
    const block = { kind: "attention", layer, position: query } as const;
    if (head?.layer !== layer) return [edge, block];
    return [
      { kind: "attention", layer, head: head.head },
      { kind: "attention", layer, position: query, head: head.head },
      { ...edge, head: head.head },
      edge,
      block,
    ];
  }
  return head && !focus ? [{ kind: "attention", layer: head.layer, head: head.head }] : [];
}

/** Whether it is gone, by itself or with something larger. */
export const isRemoved = (all: readonly Removal[], removal: Removal): boolean =>
  all.some((one) => covers(one, removal));

/** Removes it, or puts back what it is gone with. */
export const toggled = (all: readonly Removal[], removal: Removal): readonly Removal[] =>
  isRemoved(all, removal) ? all.filter((one) => !covers(one, removal)) : withRemoval(all, removal);

/** Whether buttons that remove do something. */
export const canRemove = (facts: RunFacts | undefined): boolean => facts !== undefined && !facts.unchangeable;
