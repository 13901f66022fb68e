import type { Removal } from "../../../src/protocol";
import { nodeName } from "../../../src/protocol";
import type { DrawnEdge, DrawnRoutes } from "../../core/routes";
import { ffnEdge } from "./marks";

/** Something in the graph that was removed, all of it or a part. */
export type Cut =
  | { readonly kind: "edge"; readonly edge: DrawnEdge; readonly whole: boolean }
  | { readonly kind: "ffn"; readonly layer: number; readonly position: number; readonly whole: boolean };

const at = (position: number | undefined, place: number): boolean => position === undefined || position === place;

/** What a removal takes of an attention edge: all heads (true), one head, or nothing (false). */
function takenHead(removal: Removal, { from, to }: DrawnEdge): number | boolean {
  if (removal.layer !== to.layer || removal.kind === "ffn") return false;
  if (removal.kind === "edge" && (removal.query !== to.position || removal.key !== from.position)) return false;
  if (removal.kind === "attention" && !at(removal.position, to.position)) return false;
  return removal.head ?? true;
}

/** What is struck through: edges that are drawn, and blocks. */
export function cutsOf(removed: readonly Removal[], routes: DrawnRoutes | undefined): readonly Cut[] {
  if (removed.length === 0) return [];
  const cuts: Cut[] = [];
  for (const edge of routes?.edges ?? []) {
    if (edge.kind !== "attention") continue;
    const taken = removed.map((removal) => takenHead(removal, edge)).filter((one) => one !== false);
    const left = edge.heads.filter(({ head }) => !taken.includes(head));
    if (taken.includes(true) || (edge.heads.length > 0 && left.length === 0))
      cuts.push({ kind: "edge", edge, whole: true });
    else if (left.length < edge.heads.length) cuts.push({ kind: "edge", edge, whole: false });
  }
  const blocks = new Map<string, Cut>();
  for (const removal of removed) {
    if (removal.kind !== "ffn") continue;
    const { layer, neuron } = removal;
    // Where all tokens are meant, those blocks that are drawn; a single one is struck through wherever it is.
    const positions =
      removal.position !== undefined
        ? [removal.position]
        : (routes?.edges ?? [])
            .filter(({ kind, from }) => kind === "ffn-out" && from.layer === layer)
            .map(({ from }) => from.position);
    for (const position of positions) {
      if (neuron !== undefined && !ffnEdge(routes, layer, position)) continue;
      const name = nodeName("M", layer, position);
      const whole = neuron === undefined || blocks.get(name)?.whole === true;
      blocks.set(name, { kind: "ffn", layer, position, whole });
    }
  }
  return [...cuts, ...blocks.values()];
}
