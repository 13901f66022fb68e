import type { KeptColumn, LogitKey, LogitShare } from "../attribution/kept-column";
import {
  BESIDE,
  cutOf,
  FFN,
  flowOf,
  relevantRoutes,
  RelevantParts,
  RESIDUAL,
  TERM,
  type Shape,
} from "../attribution/relevance";
import { parseNode, type NodePlace } from "../model/names";
import { EDGE_KINDS, type RoutesAnswer } from "../protocol/questions";
import type { RouteBudget } from "../protocol/selection";
import { otherKeysOf, routesAnswer } from "./routes";

/** An answer's parts, ready to be cut: made once for all positions of a slider. */
export interface CuttableRoutes {
  readonly shape: Shape;
  readonly answer: RoutesAnswer;
  readonly parts: RelevantParts;
  readonly column: KeptColumn | undefined;
}

type EdgeKind = (typeof EDGE_KINDS)[number];

interface Edge {
  readonly kind: EdgeKind;
  readonly source: NodePlace;
  readonly target: NodePlace;
  readonly weight: number;
  readonly contribution: number;
  readonly relevance: number;
  readonly logit: number;
  readonly heads: readonly { readonly head: number; readonly weight: number; readonly logit: number }[];
}

/** The edges of routes that have relevances. */
function edgesOf(answer: RoutesAnswer): Edge[] {
  const { sources, targets, kinds, weights, headStarts, heads, headWeights } = answer;
  const places = answer.nodes.map((name) => parseNode(name)!);
  return Array.from(kinds.data, (kind, e): Edge => ({
    kind: EDGE_KINDS[kind],
    source: places[sources.data[e]],
    target: places[targets.data[e]],
    weight: weights.data[e],
    contribution: answer.contributions!.data[e],
    relevance: answer.relevances!.data[e],
    logit: answer.logits?.data[e] ?? 0,
    heads: Array.from({ length: headStarts.data[e + 1] - headStarts.data[e] }, (_, i) => {
      const at = headStarts.data[e] + i;
      return { head: heads.data[at], weight: headWeights.data[at], logit: answer.headLogits?.data[at] ?? 0 };
    }),
  }));
}

/**
 * The parts of the routes with the largest budget (`largestRoutes`). Undefined for routes without relevances: those of a
 * model of one's own that knows no budgets.
 */
export function cuttableRoutes(answer: RoutesAnswer, shape: Shape): CuttableRoutes | undefined {
  if (!answer.contributions || !answer.relevances) return undefined;
  const parts = new RelevantParts(
    answer.from.map((name) => ({ name, ...parseNode(name)! })),
    0,
  );
  parts.inputs = 1;
  const edges = edgesOf(answer).filter(({ kind }) => kind !== "ffn-in");
  const column = columnOf(answer, edges, shape.nLayers);
  const found = edges.flatMap(({ kind, source, target, weight, contribution, relevance, heads }) => {
    const { layer, position: query } = target;
    const part = kind === "ffn-out" ? FFN : kind === "attention" ? TERM : source.kind === "A" ? BESIDE : RESIDUAL;
    // In the order in which a state's parts are walked: from the top, what stands beside attention first.
    const above = !shape.parallelBlocks && (part === FFN || part === BESIDE) ? 0 : 1;
    const rank = [-layer, above, query, part === TERM ? 1 : 0, source.position];
    if (part !== TERM)
      return [
        {
          rank: [...rank, part],
          part,
          place: [layer, query, query, 0] as const,
          c: contribution,
          contribution,
          relevance,
        },
      ];
    return heads.map(({ head, weight: share }) => {
      // Of a contrast's own token weights are sizes of logits, in the same proportions.
      const c = column?.position === query ? (contribution * share) / weight : share;
      const place = [layer, query, source.position, head] as const;
      return { rank: [...rank, head], part, place, c, contribution, relevance: (relevance / contribution) * c };
    });
  });
  found.sort((a, b) => a.rank.map((value, i) => value - b.rank[i]).find((difference) => difference !== 0) ?? 0);
  for (const { part, place, c, contribution, relevance } of found) parts.add(part, place, c, contribution, relevance);
  return { shape, answer, parts, column };
}

/** What is drawn of a contrast's token, out of the edges into it. */
function columnOf(answer: RoutesAnswer, edges: readonly Edge[], nLayers: number): KeptColumn | undefined {
  const position = parseNode(answer.from[0] ?? "")?.position;
  if (!answer.contrast || !answer.logits || position === undefined) return undefined;
  const none: LogitShare = { logit: 0, weight: 0, contribution: 0 };
  const layers = Array.from({ length: nLayers }, () => ({
    keys: [] as LogitKey[],
    ffn: undefined as LogitShare | undefined,
    pre: none,
    mid: none,
  }));
  for (const { kind, source, target, logit, weight, contribution, heads } of edges) {
    if (target.position !== position) continue;
    const own = layers[target.layer];
    const share = { logit, weight, contribution };
    if (kind === "ffn-out") own.ffn = share;
    else if (kind === "residual") own[source.kind === "A" ? "mid" : "pre"] = share;
    else
      own.keys.push({
        ...share,
        key: source.position,
        heads: Object.fromEntries(heads.map((one) => [one.head, one.weight])),
        headLogits: Object.fromEntries(heads.map((one) => [one.head, one.logit])),
      });
  }
  return { position, layers };
}

/** The routes within a budget, out of those with the largest. Undefined where those are not enough for it. */
export function cutRoutes(
  { shape, answer, parts, column }: CuttableRoutes,
  budget: RouteBudget,
  renormalize: boolean,
): RoutesAnswer | undefined {
  const cut = cutOf(shape, parts, budget);
  if ("relevance" in budget && cut === 0 && flowOf(shape, parts) < budget.relevance * (1 - 1e-5)) return undefined;
  const graph = relevantRoutes(shape, parts, cut, { renormalize, column, unseen: otherKeysOf(answer) });
  const { from, threshold, contrast } = answer;
  const own = routesAnswer({ from, threshold, renormalize, ...graph, ...(contrast ? { contrast } : {}) });
  if (!contrast?.rest || !column) return own;
  // What is no longer drawn joins what was not.
  const [before, after] = [answer, own].map((routes) => signedSums(edgesOf(routes), column.position));
  const rest = {
    supports: contrast.rest.supports + before.supports - after.supports,
    opposes: contrast.rest.opposes + before.opposes - after.opposes,
  };
  return { ...own, contrast: { ...contrast, rest } };
}

/** Logits that edges carry into a token's stream, by their sign. */
function signedSums(edges: readonly Edge[], position: number): { supports: number; opposes: number } {
  const parts = edges
    .filter(({ kind, target }) => target.position === position && (kind === "attention" || kind === "ffn-out"))
    .flatMap(({ kind, logit, heads }) => (kind === "attention" ? heads.map((one) => one.logit) : [logit]));
  const sum = (sign: 1 | -1): number => parts.reduce((total, x) => (x * sign > 0 ? total + x : total), 0);
  return { supports: sum(1), opposes: sum(-1) };
}
