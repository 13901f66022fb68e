import { parseNode } from "./names";

/** What is looked at. Every part is optional: nothing is selected where it is null. */
export type Focus =
  | { readonly kind: "node"; readonly node: string }
  | { readonly kind: "edge"; readonly source: string; readonly target: string }
  | { readonly kind: "ffn"; readonly layer: number; readonly position: number };

/** What everything that shows one run has in common: what is looked at, and how the graph is cut. */
export interface Selection {
  /** Position whose routes are drawn. */
  readonly start: number;
  readonly focus: Focus | null;
  /** Head of the layer of the focused edge or of `layer`; null: all heads, their sum. */
  readonly head: { readonly layer: number; readonly head: number } | null;
  readonly neuron: { readonly layer: number; readonly position: number; readonly neuron: number } | null;
  /** Id of a token that is followed through the layers. */
  readonly token: number | null;
  /** Parts with a contribution up to this are left out. 0 to 1. */
  readonly threshold: number;
  /** Scale what passed the threshold to sum 1. */
  readonly renormalize: boolean;
  /** Apply the final norm before the unembedding. */
  readonly normalize: boolean;
}

/** A selection and who wrote it last, so that a writer can tell its own change when it comes back. */
export interface WrittenSelection extends Selection {
  readonly writer: string;
}

export const DEFAULT_THRESHOLD = 0.04;

/** Nothing selected; the routes of the last of `nTokens` tokens. */
export function initialSelection(nTokens: number): Selection {
  return {
    start: Math.max(0, nTokens - 1),
    focus: null,
    head: null,
    neuron: null,
    token: null,
    threshold: DEFAULT_THRESHOLD,
    renormalize: true,
    normalize: true,
  };
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function readFocus(value: unknown): Focus | null {
  const focus = value as Record<string, unknown> | null;
  if (typeof focus !== "object" || focus === null) return null;
  if (focus.kind === "node" && typeof focus.node === "string" && parseNode(focus.node)) return { kind: "node", node: focus.node };
  if (focus.kind === "ffn" && isCount(focus.layer) && isCount(focus.position)) return { kind: "ffn", layer: focus.layer, position: focus.position };
  if (focus.kind === "edge" && typeof focus.source === "string" && typeof focus.target === "string" && parseNode(focus.source) && parseNode(focus.target)) {
    return { kind: "edge", source: focus.source, target: focus.target };
  }
  return null;
}

/** Reads a selection that came over the wire; what is missing or malformed takes the value of `fallback`. */
export function readSelection(value: unknown, fallback: Selection): Selection {
  const given = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const head = given.head as Record<string, unknown> | null | undefined;
  const neuron = given.neuron as Record<string, unknown> | null | undefined;
  return {
    start: isCount(given.start) ? given.start : fallback.start,
    focus: given.focus === undefined ? fallback.focus : readFocus(given.focus),
    head: head === undefined ? fallback.head : head && isCount(head.layer) && isCount(head.head) ? { layer: head.layer, head: head.head } : null,
    neuron:
      neuron === undefined
        ? fallback.neuron
        : neuron && isCount(neuron.layer) && isCount(neuron.position) && isCount(neuron.neuron)
          ? { layer: neuron.layer, position: neuron.position, neuron: neuron.neuron }
          : null,
    token: given.token === undefined ? fallback.token : isCount(given.token) ? given.token : null,
    threshold: typeof given.threshold === "number" && given.threshold >= 0 && given.threshold <= 1 ? given.threshold : fallback.threshold,
    renormalize: typeof given.renormalize === "boolean" ? given.renormalize : fallback.renormalize,
    normalize: typeof given.normalize === "boolean" ? given.normalize : fallback.normalize,
  };
}
