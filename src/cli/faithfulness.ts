import type { Faithfulness, FaithfulnessRow, ModelInfo, Token } from "../model/types";
import { loadModel } from "../runtime/load";
import { pairLines, type FilePair } from "../runtime/prompt-file";
import { writeFileAtomically } from "../system/write";
import {
  choiceOption,
  loadOptions,
  MODEL_OPTIONS,
  MODEL_USAGE,
  numberOption,
  parseOptions,
  UsageError,
  type Command,
  type Context,
} from "./command";
import { checkWritable, reading } from "./output";

/** What `faithfulness` prints. */
export interface FaithfulnessOutput {
  readonly schema: "lm-transparency/faithfulness@1";
  readonly model: ModelInfo;
  readonly prompts: readonly (Faithfulness & {
    /** Line of the file, from 1. */
    readonly line: number;
    readonly tokens: readonly Token[];
    readonly others: "zero" | "mean" | "patch";
  })[];
  /** Over all prompts whose full and ablated metric differ, by threshold. */
  readonly summary: readonly FaithfulnessSummary[];
}

/** Means and medians of normalised metrics over prompts: 1 the full model, 0 everything replaced. */
export interface FaithfulnessSummary {
  readonly threshold: number;
  /** Number of prompts. */
  readonly n: number;
  readonly share: Middle;
  readonly kept: Middle;
  readonly removed: Middle;
  readonly randomKept?: Middle;
  readonly randomRemoved?: Middle;
  readonly attentionKept?: Middle;
  readonly attentionRemoved?: Middle;
}

interface Middle {
  readonly mean: number;
  readonly median: number;
}

const usage = `lm-transparency faithfulness --model M --prompts FILE [options]
Measures whether routes say what predictions depend on: the metric with only the routes kept, with only the routes removed,
and the same for as many edges chosen by chance and by attention weight.

${MODEL_USAGE}
  --prompts FILE       one prompt a line; .jsonl: a text or {"text": …, "counterfactual": …, "token": …, "versus": …}; the
                       counterfactual is a prompt of as many tokens, token and versus the right answer and the wrong one
  --limit N            read only the first N prompts
  --thresholds LIST    with commas between them; default 0.01,0.02,0.04,0.06,0.08,0.1
  --others O           what stands in place of what is not kept: patch (from the counterfactual; the default where there is
                       one), zero, or mean (over all positions of both prompts)
  --metric M           logit (default; with versus the difference of both) or probability
  --controls N         random sets for each threshold; 0: no controls; default 3
  --seed N             default 0
  --json FILE          write to a file instead of standard output ("-")
  --csv FILE           write a table too: a row for each prompt and threshold`;

export const faithfulness: Command = {
  name: "faithfulness",
  summary: "whether routes say what predictions depend on",
  usage,
  async run(args: readonly string[], context: Context): Promise<void> {
    const values = parseOptions(args, {
      ...MODEL_OPTIONS,
      prompts: { type: "string" },
      limit: { type: "string" },
      thresholds: { type: "string", default: "0.01,0.02,0.04,0.06,0.08,0.1" },
      others: { type: "string" },
      metric: { type: "string", default: "logit" },
      controls: { type: "string", default: "3" },
      seed: { type: "string", default: "0" },
      json: { type: "string", default: "-" },
      csv: { type: "string" },
    });
    if (values.model === undefined)
      throw new UsageError("--model is missing: name a hub id, a folder, a .gguf file, or default");
    const file = values.prompts;
    if (file === undefined) throw new UsageError("--prompts is missing: name a file with one prompt a line");
    const limit = values.limit === undefined ? Infinity : numberOption("limit", values.limit, 1, Infinity, true);
    const given =
      values.others === undefined ? undefined : choiceOption("others", values.others, ["zero", "mean", "patch"]);
    const options = {
      thresholds: values.thresholds.split(",").map((text) => numberOption("thresholds", text, 0, 1)),
      controls: numberOption("controls", values.controls, 0, Infinity, true),
      seed: numberOption("seed", values.seed, 0, 2 ** 32 - 1, true),
    };
    const of = choiceOption("metric", values.metric, ["logit", "probability"]);
    await checkWritable(values.json, values.csv);
    const pairs: FilePair[] = [];
    await reading(
      file,
      (async () => {
        for await (const pair of pairLines(file, limit)) pairs.push(pair);
      })(),
    );
    if (pairs.length === 0) throw new UsageError(`${file} has no prompts`);
    for (const { counterfactual, line } of pairs)
      if (given === "patch" && counterfactual === undefined)
        throw new UsageError(`${file}, line ${line}: there is no counterfactual to patch from`);
    const { signal } = context;
    const model = await loadModel(values.model, { ...loadOptions(values), signal, onProgress: context.progress });
    try {
      const prompts: FaithfulnessOutput["prompts"][number][] = [];
      for (const { prompt, counterfactual, token, versus, line } of pairs) {
        const run = await (typeof prompt === "string" ? model.run(prompt, { signal }) : model.run(prompt, { signal }));
        const other =
          counterfactual === undefined
            ? undefined
            : await (typeof counterfactual === "string"
                ? model.run(counterfactual, { signal })
                : model.run(counterfactual, { signal }));
        const others = given ?? (other ? "patch" : "zero");
        try {
          const result = await run.faithfulness({
            ...options,
            metric: { token, versus, of },
            others,
            of: others === "patch" ? other : [run, ...(other ? [other] : [])],
            signal,
          });
          prompts.push({ line, tokens: run.tokens, others, ...result });
        } catch (error) {
          if (error instanceof RangeError) throw new UsageError(`${file}, line ${line}: ${error.message}`);
          throw error;
        }
        context.progress({ stage: "faithfulness", done: prompts.length, total: pairs.length, unit: "prompts" });
        await Promise.all([run.dispose(), other?.dispose()]);
      }
      const output: FaithfulnessOutput = {
        schema: "lm-transparency/faithfulness@1",
        model: model.info,
        prompts,
        summary: options.thresholds.map((threshold, i) =>
          summary(
            threshold,
            prompts.map(({ rows }) => rows[i]),
          ),
        ),
      };
      if (values.csv !== undefined) await writeFileAtomically(values.csv, csv(output));
      const text = `${JSON.stringify(output)}\n`;
      if (values.json === "-") await context.write(text);
      else await writeFileAtomically(values.json, text);
    } finally {
      await model.dispose();
    }
  },
};

function summary(threshold: number, all: readonly FaithfulnessRow[]): FaithfulnessSummary {
  // Where nothing depends on what is replaced, there is no share of it.
  const rows = all.filter(({ kept }) => Number.isFinite(kept.normalized));
  const middle = (value: (row: FaithfulnessRow) => number): Middle => {
    const sorted = rows.map(value).sort((a, b) => a - b);
    const half = sorted.length / 2;
    return {
      mean: sorted.reduce((sum, x) => sum + x, 0) / sorted.length,
      median: (sorted[Math.ceil(half) - 1] + sorted[Math.floor(half)]) / 2,
    };
  };
  const controlled = rows.length > 0 && rows[0].random !== undefined;
  return {
    threshold,
    n: rows.length,
    share: middle(({ share }) => share),
    kept: middle(({ kept }) => kept.normalized),
    removed: middle(({ removed }) => removed.normalized),
    ...(controlled
      ? {
          randomKept: middle(({ random }) => random?.mean.kept.normalized ?? NaN),
          randomRemoved: middle(({ random }) => random?.mean.removed.normalized ?? NaN),
          attentionKept: middle(({ attention }) => attention?.kept.normalized ?? NaN),
          attentionRemoved: middle(({ attention }) => attention?.removed.normalized ?? NaN),
        }
      : {}),
  };
}

const COLUMNS =
  "line,threshold,edges,share,full,ablated,kept,removed,kept_normalized,removed_normalized,random_kept,random_kept_spread,random_removed,random_removed_spread,attention_kept,attention_removed";

/** A row for each prompt and threshold; controls are normalised. */
function csv({ prompts }: FaithfulnessOutput): string {
  const lines = prompts.flatMap(({ line, full, ablated, rows }) =>
    rows.map(({ threshold, edges, share, kept, removed, random, attention }) =>
      [
        ...[line, threshold, edges, share, full, ablated, kept.metric, removed.metric],
        ...[kept.normalized, removed.normalized],
        ...[random?.mean.kept.normalized, random?.spread.kept.normalized],
        ...[random?.mean.removed.normalized, random?.spread.removed.normalized],
        ...[attention?.kept.normalized, attention?.removed.normalized],
      ]
        .map((value) => (value === undefined || Number.isNaN(value) ? "" : String(value)))
        .join(","),
    ),
  );
  return `${[COLUMNS, ...lines].join("\n")}\n`;
}
