/** Names of the graph's nodes, read and written in one place: `X0_t`, `A{l}_t`, `M{l}_t`, `I{l}_t`. */

export type NodeKind = "X" | "A" | "M" | "I";

export interface NodePlace {
  readonly kind: NodeKind;
  /** -1 for `X0`. */
  readonly layer: number;
  readonly position: number;
}

/** `X0_t` ignores the layer. */
export function nodeName(kind: NodeKind, layer: number, position: number): string {
  return kind === "X" ? `X0_${position}` : `${kind}${layer}_${position}`;
}

/** Undefined where `name` is not a node's name. */
export function parseNode(name: string): NodePlace | undefined {
  const match = /^(?:X0|([AMI])(\d{1,6}))_(\d{1,9})$/.exec(name);
  if (!match) return undefined;
  return { kind: (match[1] as NodeKind | undefined) ?? "X", layer: match[2] === undefined ? -1 : Number(match[2]), position: Number(match[3]) };
}

/** The state of the stream below layer l at a position: `I{l-1}` or, below the first layer, `X0`. */
export function stateBelow(layer: number, position: number): string {
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
