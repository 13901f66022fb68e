import type { Answer, GenerateOptions, ModelInfo, StopReason, Token, Turn } from "../model/types";
import type { BaseModel } from "../runtime/base-model";
import { loadModel } from "../runtime/load";
import {
  loadOptions,
  MODEL_OPTIONS,
  MODEL_USAGE,
  numberOption,
  parseOptions,
  UsageError,
  type Command,
  type Context,
} from "./command";
import { checkWritable, writePieces } from "./output";
import { PROMPT_OPTIONS, PROMPT_USAGE, readPrompt, runPrompt } from "./prompt";

/** What `generate --json` prints. */
export interface GenerateOutput {
  readonly schema: "lm-transparency/generate@1";
  readonly model: ModelInfo;
  /** All tokens, the new ones from `promptLength` on. */
  readonly tokens: readonly Token[];
  readonly promptLength: number;
  readonly turns: readonly Turn[];
  readonly stopReason: StopReason;
  /** The new tokens as text. */
  readonly text: string;
}

/** Most tokens that one character is made of. */
const LONGEST_CHARACTER = 4;

const usage = `lm-transparency generate --model M (--text T | --token-ids 1,2,3 | --chat FILE) [options]
Continues a prompt or answers a conversation; the text is printed as it comes. An interrupt ends it and keeps what is there.

${MODEL_USAGE}
${PROMPT_USAGE}
  --max-tokens N       most tokens that are added; default 40
  --temperature X      0 (default) takes the best token each time, 1 draws by the model's probabilities
  --top-k N            draw from the N best tokens only
  --top-p X            draw from the smallest set of best tokens whose probabilities sum to this
  --seed N             equal seeds draw equal tokens
  --stop TEXT          end where the answer comes to this text
  --json FILE          write tokens, turns and text as JSON to a file, or instead of the text to standard output ("-")`;

export const generate: Command = {
  name: "generate",
  summary: "continue a prompt, or answer a conversation",
  usage,
  async run(args: readonly string[], context: Context): Promise<void> {
    const values = parseOptions(args, {
      ...MODEL_OPTIONS,
      ...PROMPT_OPTIONS,
      "max-tokens": { type: "string", default: "40" },
      temperature: { type: "string", default: "0" },
      "top-k": { type: "string" },
      "top-p": { type: "string" },
      seed: { type: "string" },
      stop: { type: "string" },
      json: { type: "string" },
    });
    if (values.model === undefined)
      throw new UsageError("--model is missing: name a hub id, a folder, a .gguf file, or default");
    const prompt = await readPrompt(values);
    const whole = (name: "top-k" | "seed", least: number): number | undefined =>
      values[name] === undefined ? undefined : numberOption(name, values[name], least, Infinity, true);
    const options: GenerateOptions = {
      maxTokens: numberOption("max-tokens", values["max-tokens"], 1, Infinity, true),
      temperature: numberOption("temperature", values.temperature, 0, Infinity),
      topK: whole("top-k", 1),
      topP: values["top-p"] === undefined ? undefined : numberOption("top-p", values["top-p"], 0, 1),
      seed: whole("seed", 0),
      stop: values.stop,
      signal: context.signal,
    };
    await checkWritable(values.json);
    const { signal } = context;
    const model = await loadModel(values.model, { ...loadOptions(values), signal, onProgress: context.progress });
    try {
      const run = await runPrompt(model, prompt, values, { signal, onProgress: context.progress });
      // Tokens whose text is not written yet: bytes of a character that is not whole.
      let pending: number[] = [];
      const stream = run.stream(options);
      let step = await stream.next();
      for (; !step.done; step = await stream.next()) {
        pending.push(step.value.id);
        const text = model.decode(pending);
        if (values.json === "-" || (/<0x[0-9A-F]{2}>$/.test(text) && pending.length < LONGEST_CHARACTER)) continue;
        await context.write(shown(text));
        pending = [];
      }
      const answer = step.value;
      if (values.json !== "-") await context.write(`${shown(model.decode(pending))}\n`);
      if (values.json !== undefined) await writePieces(values.json, pieces(json(model, answer)), context);
      signal.throwIfAborted();
    } finally {
      await model.dispose();
    }
  },
};

/** A model's text, in which nothing can steer the terminal. */
const shown = (text: string): string => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd");

function json(model: BaseModel, answer: Answer): GenerateOutput {
  const { tokens, promptLength, turns, stopReason } = answer;
  return {
    schema: "lm-transparency/generate@1",
    model: model.info,
    tokens,
    promptLength,
    turns,
    stopReason,
    text: model.decode(tokens.slice(promptLength).map(({ id }) => id)),
  };
}

async function* pieces(output: GenerateOutput): AsyncGenerator<string> {
  yield `${JSON.stringify(output)}\n`;
}
