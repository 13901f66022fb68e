import { checkIndex } from "../model/check";
import type { NodeName, Run, Token } from "../model/types";
import { logitsOf, statesOf } from "./states";

/** States that go through the vocabulary at once. */
const VECTORS = 32;

/** One token's way through the states of a position, bottom to top. */
export interface FollowedToken {
  /** The token that is followed. */
  readonly token: Token;
  /** Names of the states, n of them. */
  readonly nodes: readonly NodeName[];
  /** Shape `[n]`: how many tokens each state makes likelier than this one; 0 for its best. */
  readonly ranks: Uint32Array;
  /** Shape `[n]`: the token's probability, 0 to 1. */
  readonly probabilities: Float32Array;
}

/** How a token is followed. */
export interface FollowOptions {
  /** Whose next token is predicted. Default: the last token. */
  readonly position?: number;
  /** Apply the final norm first. Default true. */
  readonly normalize?: boolean;
  /** Ends the computation: the call rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Follows one token through all states of a position: where in the model its rank and its probability rise (the logit
 * lens of nostalgebraist 2020, read for one token).
 * @param token its id
 * @throws RangeError for a token or position that does not exist
 * @example const { nodes, ranks } = await followToken(run, run.model.tokenize(" Paris", { addSpecialTokens: false
 *   })[0].id);
 */
export async function followToken(
  run: Run,
  token: number,
  { position = run.tokens.length - 1, normalize = true, signal }: FollowOptions = {},
): Promise<FollowedToken> {
  checkIndex("position", position, run.tokens.length);
  checkIndex("token id", token, run.model.info.dVocab);
  const nodes = statesOf(run.model.info, position);
  const ranks = new Uint32Array(nodes.length);
  const probabilities = new Float32Array(nodes.length);
  for (let begin = 0; begin < nodes.length; begin += VECTORS) {
    signal?.throwIfAborted();
    const all = await logitsOf(run, nodes.slice(begin, begin + VECTORS), normalize);
    all.forEach((logits, at) => {
      const { rank, probability } = standing(logits, token);
      ranks[begin + at] = rank;
      probabilities[begin + at] = probability;
    });
  }
  return { token: run.model.token(token), nodes, ranks, probabilities };
}

/** How many logits are larger than one token's, and that token's probability. */
function standing(logits: Float32Array, token: number): { readonly rank: number; readonly probability: number } {
  const own = logits[token];
  let rank = 0;
  let most = own;
  for (let i = 0; i < logits.length; i++) {
    if (logits[i] <= own) continue;
    rank++;
    if (logits[i] > most) most = logits[i];
  }
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - most);
  return { rank, probability: Math.exp(own - most) / sum };
}
