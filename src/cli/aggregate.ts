import { aggregate as aggregatePrompts, PromptError, type AggregateState } from "../runtime/aggregate";
import { loadModel } from "../runtime/load";
import { promptLines } from "../runtime/prompt-file";
import { systemCode } from "../system/errors";
import { readTextFile } from "../system/read";
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

const usage = `lm-transparency aggregate --model M --prompts FILE [options]
Averages the importance of each head and each feed-forward block over the prompts of a file, and scores the patterns of heads.

${MODEL_USAGE}
  --prompts FILE       one prompt a line (empty lines are skipped); with the ending .jsonl one JSON value a line:
                       a text, {"text": …} or {"token_ids": […]}
  --limit N            take the first N prompts
  --positions P        query positions that count: all (default) or last
  --threshold X        of the routes of each prompt's last token; default 0.04
  --value-bias V       output (default) or term
  --state FILE         keep what was reached in this file, and go on from it where it is there
  --json FILE          write the result to a file instead of standard output ("-")
  --csv FILE           write the table as comma-separated values too`;

/** A state is written at most this often. */
const SAVE_MS = 5000;

/** What a file of states holds; undefined where there is none yet. */
async function readState(file: string | undefined): Promise<AggregateState | undefined> {
  if (file === undefined) return undefined;
  const text = await readTextFile(file).catch((error: unknown) => {
    if (systemCode((error as Error).cause) === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    const state: unknown = JSON.parse(text);
    if (typeof state === "object" && state !== null) return state as AggregateState;
  } catch {
    // Said below.
  }
  throw new UsageError(`${file} is no state of an aggregate: delete it to start anew`);
}

async function count(items: AsyncIterable<unknown>): Promise<number> {
  let n = 0;
  for await (const item of items) n += item === undefined ? 0 : 1;
  return n;
}

export const aggregate: Command = {
  name: "aggregate",
  summary: "importance of components over a file of prompts",
  usage,
  async run(args: readonly string[], context: Context): Promise<void> {
    const values = parseOptions(args, {
      ...MODEL_OPTIONS,
      prompts: { type: "string" },
      limit: { type: "string" },
      positions: { type: "string", default: "all" },
      threshold: { type: "string", default: "0.04" },
      "value-bias": { type: "string", default: "output" },
      state: { type: "string" },
      json: { type: "string", default: "-" },
      csv: { type: "string" },
    });
    if (values.model === undefined)
      throw new UsageError("--model is missing: name a hub id, a folder, a .gguf file, or default");
    const file = values.prompts;
    if (file === undefined) throw new UsageError("--prompts is missing: name a file with one prompt a line");
    const limit = values.limit === undefined ? Infinity : numberOption("limit", values.limit, 1, Infinity, true);
    const options = {
      positions: choiceOption("positions", values.positions, ["all", "last"]),
      threshold: numberOption("threshold", values.threshold, 0, 1),
      valueBias: choiceOption("value-bias", values["value-bias"], ["output", "term"]),
    };
    await checkWritable(values.json, values.csv, values.state);
    const resume = await readState(values.state);
    const total = await reading(file, count(promptLines(file, limit)));
    const { signal } = context;
    const model = await loadModel(values.model, { ...loadOptions(values), signal, onProgress: context.progress });
    let last: (() => AggregateState) | undefined;
    // The first prompt's is written at once: an unwritable file is found early.
    let saved = -Infinity;
    const save = async (): Promise<void> => {
      if (values.state === undefined || !last) return;
      await writeFileAtomically(values.state, JSON.stringify(last()));
      saved = performance.now();
    };
    try {
      let line = 0;
      const prompts = async function* (): AsyncGenerator<string | number[]> {
        for await (const next of promptLines(file, limit)) {
          line = next.line;
          yield next.prompt;
        }
      };
      const result = await aggregatePrompts(model, prompts(), {
        ...options,
        resume,
        total,
        signal,
        onProgress: context.progress,
        onState: async (state) => {
          last = state;
          if (performance.now() - saved > SAVE_MS) await save();
        },
      }).catch((error: unknown) => {
        throw error instanceof PromptError ? new UsageError(`${file}, line ${line}: ${error.reason}`) : error;
      });
      const text = `${JSON.stringify(result)}\n`;
      if (values.csv !== undefined) await writeFileAtomically(values.csv, result.toCSV());
      if (values.json === "-") await context.write(text);
      else await writeFileAtomically(values.json, text);
    } finally {
      await save();
      await model.dispose();
    }
  },
};
