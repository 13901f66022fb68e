import type { NodePlace, RunFacts } from "../../../src/protocol";
import { nodeName, stateKinds } from "../../../src/protocol";
import type { DrawnRoutes } from "../../core/routes";
import type { Mark } from "./marks";
import { markPlace, placeName } from "./marks";

export type Arrow = "ArrowUp" | "ArrowDown" | "ArrowLeft" | "ArrowRight";

/** What keys do in the graph. */
export interface GraphKeys {
  move(arrow: Arrow): void;
  /** The next edge that enters the state, 1, or the one before, -1. */
  edge(step: 1 | -1): void;
  block(): void;
  start(): void;
  trace(): void;
  /** Removes, or puts back. */
  remove(): void;
  choose(): void;
  clear(): void;
  zoom(factor: number): void;
  showAll(): void;
  back(): void;
  forward(): void;
}

/** What a key does; undefined where it does nothing here. */
function actionOf(event: KeyboardEvent, keys: GraphKeys): (() => void) | undefined {
  switch (event.key) {
    case "ArrowUp":
    case "ArrowDown":
    case "ArrowLeft":
    case "ArrowRight": {
      const arrow = event.key;
      return () => keys.move(arrow);
    }
    case "e":
    case "E":
      return () => keys.edge(event.shiftKey ? -1 : 1);
    case "f":
    case "F":
      return () => keys.block();
    case "s":
    case "S":
      return () => keys.start();
    case "t":
    case "T":
      return () => keys.trace();
    case "x":
    case "X":
      return () => keys.remove();
    case "Enter":
    case " ":
      return () => keys.choose();
    case "Escape":
      return () => keys.clear();
    case "+":
    case "=":
      return () => keys.zoom(1.4);
    case "-":
      return () => keys.zoom(1 / 1.4);
    case "0":
      return () => keys.showAll();
  }
  return undefined;
}

/** Does what a key does, and keeps the event from everyone else where it does something. */
export function pressed(event: KeyboardEvent, keys: GraphKeys): void {
  if (event.ctrlKey || event.metaKey) return;
  const through = event.key === "ArrowLeft" ? keys.back : event.key === "ArrowRight" ? keys.forward : undefined;
  const action = event.altKey ? through : actionOf(event, keys);
  if (!action) return;
  action();
  event.preventDefault();
  event.stopPropagation();
}

/** Where the cursor is; before it was moved, at the state on top of the start token. */
export function cursorPlace(cursor: Mark | undefined, facts: RunFacts, start: number): NodePlace {
  return (cursor && markPlace(cursor)) ?? { kind: "I", layer: facts.model.nLayers - 1, position: start };
}

/** Where an arrow leads from the cursor. The first one only shows it. */
export function movedCursor(cursor: Mark | undefined, arrow: Arrow, facts: RunFacts, start: number): Mark {
  const { nLayers, parallelBlocks } = facts.model;
  const kinds = stateKinds(parallelBlocks);
  const place = cursorPlace(cursor, facts, start);
  // States of a column are numbered upward, the embedding is 0; a feed-forward block stands for the state above it.
  let level = place.kind === "X" ? 0 : 1 + place.layer * kinds.length + (place.kind === "A" ? 0 : kinds.length - 1);
  let position = place.position;
  if (cursor) {
    if (arrow === "ArrowUp") level++;
    if (arrow === "ArrowDown") level--;
    if (arrow === "ArrowLeft") position--;
    if (arrow === "ArrowRight") position++;
  }
  level = Math.max(0, Math.min(nLayers * kinds.length, level));
  position = Math.max(0, Math.min(facts.tokens.length - 1, position));
  const node =
    level === 0
      ? nodeName("X", -1, position)
      : nodeName(kinds[(level - 1) % kinds.length], Math.floor((level - 1) / kinds.length), position);
  return { kind: "node", node };
}

/** The next of the edges that enter the cursor's state, largest first, or the one before; undefined where none does. */
export function nextEdge(
  cursor: Mark | undefined,
  place: NodePlace,
  step: 1 | -1,
  routes: DrawnRoutes | undefined,
): Mark | undefined {
  const target = placeName(place);
  const entering = (routes?.edges ?? [])
    .filter((edge) => edge.target === target && edge.kind !== "ffn-in")
    .sort((a, b) => b.weight - a.weight);
  if (entering.length === 0) return undefined;
  const current = cursor?.kind === "edge" ? entering.findIndex((edge) => edge.key === cursor.edge.key) : -1;
  const next = entering[(current + step + entering.length + (current < 0 && step < 0 ? 1 : 0)) % entering.length];
  return next.kind === "ffn-out"
    ? { kind: "ffn", layer: next.to.layer, position: next.to.position }
    : { kind: "edge", edge: next };
}
