import type { Effect, LensToken, Token } from "../model/types";
import { bottomIds, probabilities, ranks, topIds } from "./vocabulary";

type TokenOf = (id: number) => Token;

/**
 * The most likely tokens of a residual state (nostalgebraist 2020, "logit lens"), best first.
 *
 * @param logits [V] of the state
 * @param below [V] of the residual node below; none at `X0`
 */
export function lensTokens(
  logits: Float32Array,
  below: Float32Array | undefined,
  topK: number,
  token: TokenOf,
): LensToken[] {
  const ids = topIds(logits, topK);
  const p = probabilities(logits, ids);
  const ranksBelow = below && ranks(below, ids);
  return ids.map((id, rank) => ({
    ...token(id),
    logit: logits[id],
    probability: p[rank],
    rank,
    ...(ranksBelow ? { rankChange: ranksBelow[rank] - rank } : {}),
  }));
}

/** Both ends of what an update says in the vocabulary. `scores`: [V]. */
export function effectTokens(scores: Float32Array, topK: number, token: TokenOf): Effect {
  const read = (id: number) => ({ ...token(id), score: scores[id] });
  return { promoted: topIds(scores, topK).map(read), suppressed: bottomIds(scores, topK).map(read) };
}
