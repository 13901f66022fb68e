import type { MimeBundle } from "../jupyter/comm-host";
import { JUPYTER_DISPLAY } from "../jupyter/comm-host";
import type { Run } from "../model/types";
import type { WirePrediction } from "../protocol";
import { visibleText } from "../protocol";
import { predictionsOf } from "./answers";
import { escapeXml } from "../export/xml";

/** Of which position, and how many. */
export interface PredictionOptions {
  /** Position after which the next token is predicted. Default: the last. */
  readonly position?: number;
  /** Default 10. */
  readonly topK?: number;
}

/** The most likely next tokens as a table: an array of them that shows itself in a notebook. */
export class PredictionTable extends Array<WirePrediction> {
  /** Array methods make plain arrays: a mapped table is no table of predictions. */
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }

  /** A table of tokens, probabilities and logits. */
  [JUPYTER_DISPLAY](): MimeBundle {
    const widest = Math.max(5, ...this.map((p) => [...visibleText(p.text)].length));
    const lines = this.map(
      (p) =>
        `${visibleText(p.text).padEnd(widest)}  ${(100 * p.probability).toFixed(2).padStart(6)} %  ${p.logit.toFixed(2).padStart(7)}`,
    );
    const rows = this.map((p, rank) => {
      const bar = `<div style="background:#0b7285;opacity:.75;height:.6em;border-radius:3px;width:${Math.max(1, Math.round(120 * p.probability))}px"></div>`;
      return `<tr><td>${rank + 1}</td><td style="text-align:left"><code>${escapeXml(visibleText(p.text))}</code></td><td>${(100 * p.probability).toFixed(2)} %</td><td style="text-align:left">${bar}</td><td>${p.logit.toFixed(2)}</td></tr>`;
    });
    return {
      "text/plain": ["token".padEnd(widest) + "  probability    logit", ...lines].join("\n"),
      "text/html": `<table><thead><tr><th></th><th style="text-align:left">Next token</th><th>Probability</th><th></th><th>Logit</th></tr></thead><tbody>${rows.join("")}</tbody></table>`,
    };
  }
}

/** The most likely tokens after a position, best first. Rejects with a `RangeError` outside the prompt. */
export async function topPredictions(run: Run, options: PredictionOptions = {}): Promise<PredictionTable> {
  const { position = run.tokens.length - 1, topK = 10 } = options;
  return PredictionTable.from(await predictionsOf(run, position, topK)) as PredictionTable;
}
