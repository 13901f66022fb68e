import { checkIndex, checkOneOf, oneToken } from "../model/check";
import { probabilities, topIds } from "../lens/vocabulary";
import type { Metric, Run } from "../model/types";

/** A number that is read off runs of one prompt, and off changed ones. */
export interface Measure {
  /** The position that is looked at. */
  readonly position: number;
  of(run: Run): Promise<number>;
}

/** A metric with its tokens fixed: what `run` predicts best, where none are named. */
export async function measureOf(run: Run, asked: Metric = {}): Promise<Measure> {
  const metric = typeof asked === "string" ? { of: asked } : asked;
  const last = run.tokens.length - 1;
  if (typeof metric === "function")
    return {
      position: last,
      of: async (other) => {
        const value: unknown = await metric(other);
        if (typeof value === "number") return value;
        throw new TypeError(`A metric gives a number for a run, not ${String(value)}.`);
      },
    };
  if (typeof metric !== "object" || metric === null)
    throw new TypeError(
      `The metric is ${String(metric)}: give { token?, versus?, of?, position? } or a function of a run.`,
    );
  const { position = last, of = "logit" } = metric;
  checkIndex("position", position, run.tokens.length);
  checkOneOf("The metric's of", of, ["logit", "probability"]);
  const token =
    metric.token === undefined
      ? topIds((await run.logits({ position })).data, 1)[0]
      : oneToken(run.model, metric.token).id;
  if (metric.versus === undefined)
    return {
      position,
      of: async (other) => {
        const { data } = await other.logits({ position });
        return of === "probability" ? probabilities(data, [token])[0] : data[token];
      },
    };
  if (of === "probability")
    throw new RangeError("A probability is of one token: leave out versus, or measure the difference of the logits.");
  const versus = oneToken(run.model, metric.versus).id;
  if (versus === token)
    throw new RangeError(
      `Both tokens of the metric are ${JSON.stringify(run.model.token(token).text)} (${token}): their logits do not differ.`,
    );
  return {
    position,
    of: async (other) => {
      const { data } = await other.logits({ position });
      return data[token] - data[versus];
    },
  };
}
