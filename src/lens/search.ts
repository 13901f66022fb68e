import { checkIndex, checkTopK } from "../model/check";
import type { Run, Token, TransparentModel } from "../model/types";
import { probabilities } from "./vocabulary";

/** Tokens whose texts are read before other events get their turn. */
const TEXTS = 8192;

/** Texts of a model's vocabulary, read once. */
const vocabularies = new WeakMap<TransparentModel, Promise<readonly string[]>>();

function textsOf(model: TransparentModel): Promise<readonly string[]> {
  let texts = vocabularies.get(model);
  if (!texts) {
    texts = (async () => {
      const all: string[] = [];
      for (let id = 0; id < model.info.dVocab; id++) {
        all.push(model.token(id).text);
        if (id % TEXTS === TEXTS - 1) await new Promise((resolve) => setImmediate(resolve));
      }
      return all;
    })();
    vocabularies.set(model, texts);
    texts.catch(() => vocabularies.delete(model));
  }
  return texts;
}

/** A token that may come next. */
export interface PredictedToken extends Token {
  /** Its score. */
  readonly logit: number;
  /** Its probability among the whole vocabulary, 0 to 1. */
  readonly probability: number;
}

/** Which tokens are searched for. */
export interface SearchOptions {
  /** Whose next token is predicted. Default: the last token. */
  readonly position?: number;
  /** How many tokens are listed, at least 1. Default 30. */
  readonly topK?: number;
}

/**
 * Tokens that may come next, likeliest first, of those that begin with a text: blanks before it and capitals aside.
 * Tokens that are just that text are always among them. An empty text: all tokens.
 * @throws RangeError for a position that does not exist
 * @example const [best] = await searchTokens(run, "par");
 */
export async function searchTokens(
  run: Run,
  text: string,
  { position = run.tokens.length - 1, topK = 30 }: SearchOptions = {},
): Promise<readonly PredictedToken[]> {
  checkIndex("position", position, run.tokens.length);
  checkTopK(topK);
  const { data } = await run.logits({ position });
  const texts = text === "" ? [] : await textsOf(run.model);
  const typed = text.trim().toLowerCase();
  const begins = (token: string): boolean =>
    typed === "" ? token.startsWith(text) : token.trim().toLowerCase().startsWith(typed);
  const found: number[] = [];
  for (let id = 0; id < data.length; id++) if (text === "" || (id < texts.length && begins(texts[id]))) found.push(id);
  found.sort((a, b) => data[b] - data[a] || a - b);
  const listed = found.slice(0, topK);
  const whole =
    text === "" ? [] : found.slice(topK).filter((id) => texts[id] === text || texts[id].trim() === text.trim());
  listed.splice(Math.max(0, topK - whole.length), whole.length, ...whole.slice(0, topK));
  const shares = probabilities(data, listed);
  return listed.map((id, i) => ({ ...run.model.token(id), logit: data[id], probability: shares[i] }));
}
