/** Prompts of the command line: a text, token ids, or a conversation in a file. */
import { checkMessages } from "../model/chat";
import type { ChatMessage, RunOptions } from "../model/types";
import type { BaseModel } from "../runtime/base-model";
import type { BaseRun } from "../runtime/base-run";
import { readTextFile } from "../system/read";
import { UsageError, type OptionValues } from "./command";
import { reading } from "./output";

/** Options that say the prompt. */
export const PROMPT_OPTIONS = {
  text: { type: "string" },
  "token-ids": { type: "string" },
  chat: { type: "string" },
  template: { type: "string" },
  "no-special-tokens": { type: "boolean" },
} as const;

export const PROMPT_USAGE = `  --text T             the prompt
  --token-ids IDS      the prompt as token ids with commas between them, used exactly as given
  --chat FILE          the prompt as a conversation: a JSON file with [{ "role": "user", "content": "…" }, …]
  --template NAME      which of the model's chat templates; default: its own default
  --no-special-tokens  do not put the tokenizer's special tokens before the text`;

/** What was given as the prompt. */
export type PromptInput = string | readonly number[] | readonly ChatMessage[];

/** Longest conversation in bytes. */
const MAX_CHAT = 64 << 20;

/** Token ids out of `1,2,3`. */
export function parseTokenIds(text: string): number[] {
  return text.split(",").map((part) => {
    if (!/^\s*\d+\s*$/.test(part))
      throw new UsageError(
        `--token-ids is ${JSON.stringify(text)}: it must be integers with commas between them, such as 1,2,3`,
      );
    return Number(part);
  });
}

/** Exactly one prompt. */
export async function readPrompt(values: OptionValues<typeof PROMPT_OPTIONS>): Promise<PromptInput> {
  const given = (["text", "token-ids", "chat"] as const).filter((name) => values[name] !== undefined);
  if (given.length !== 1) throw new UsageError("give the prompt either by --text, by --token-ids or by --chat");
  if (values.template !== undefined && values.chat === undefined)
    throw new UsageError("--template is about a conversation: give one by --chat");
  if (values.text !== undefined) return values.text;
  if (values["token-ids"] !== undefined) return parseTokenIds(values["token-ids"]);
  const file = values.chat as string;
  const text = await reading(file, readTextFile(file, MAX_CHAT));
  try {
    const parsed = JSON.parse(text) as unknown;
    const messages = typeof parsed === "object" && parsed !== null && "messages" in parsed ? parsed.messages : parsed;
    checkMessages(messages);
    return messages;
  } catch (error) {
    throw new UsageError(`${file} is no conversation: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Runs the prompt. */
export function runPrompt<R extends BaseRun>(
  model: BaseModel<R>,
  prompt: PromptInput,
  values: OptionValues<typeof PROMPT_OPTIONS>,
  options: Pick<RunOptions, "signal" | "onProgress">,
): Promise<R> {
  const { template } = values;
  const all = {
    ...options,
    addSpecialTokens: !values["no-special-tokens"],
    chat: template === undefined ? {} : { template },
  };
  if (typeof prompt === "string") return model.run(prompt, all);
  return isIds(prompt) ? model.run(prompt, all) : model.run(prompt, all);
}

function isIds(prompt: readonly number[] | readonly ChatMessage[]): prompt is readonly number[] {
  return typeof prompt[0] === "number";
}
