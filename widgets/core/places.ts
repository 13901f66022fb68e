import type { Focus, WireToken } from "../../src/protocol";
import { focusEdgeKind, parseNode, shortText } from "../../src/protocol";

/** Places of the graph in words, the same in all pictures: names such as A23_13 are for code and tips. */

/** "·to after attention, layer 23". */
export function placeWords(node: string, tokens: readonly Pick<WireToken, "text">[]): string {
  const place = parseNode(node);
  if (!place) return node;
  const token = shortText(tokens[place.position]?.text ?? `token ${place.position}`, 16);
  switch (place.kind) {
    case "X":
      return `${token} as embedded`;
    case "A":
      return `${token} after attention, layer ${place.layer}`;
    case "M":
      return `feed-forward of layer ${place.layer} at ${token}`;
    case "I":
      return `${token} after layer ${place.layer}`;
  }
}

/** What is selected, in words. */
export function focusWords(focus: Focus, tokens: readonly Pick<WireToken, "text">[]): string {
  if (focus.kind === "node") return placeWords(focus.node, tokens);
  if (focus.kind === "ffn") return placeWords(`M${focus.layer}_${focus.position}`, tokens);
  const [from, to] = [parseNode(focus.source), parseNode(focus.target)];
  const token = (position = -1): string => shortText(tokens[position]?.text ?? "", 16);
  const layer = to?.layer ?? 0;
  return focusEdgeKind(focus) === "attention"
    ? `attention ${token(from?.position)} → ${token(to?.position)}, layer ${layer}`
    : `${token(to?.position)} past the ${to?.kind === "A" ? "attention" : "feed-forward"} block of layer ${layer}`;
}
