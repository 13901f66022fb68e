/** A run continued token by token. */
import type { GeneratedToken, GenerateOptions, StopReason, Token, Turn } from "../model/types";
import { probabilityOf, sampler } from "./sampling";

/** A token sequence that grows. */
export interface Grower<R> {
  /** Appends a token and gives the logits [V] after it, unless `logits` is false. */
  append(token: Token, logits: boolean): Promise<Float32Array | undefined>;
  /** The run of all tokens. */
  finish(): Promise<R>;
  dispose(): Promise<void>;
}

/** What is continued. */
export interface Beginning<R> {
  readonly tokens: readonly Token[];
  /** Of a conversation. */
  readonly turns?: readonly Turn[];
  readonly maxPositions: number;
  readonly dVocab: number;
  /** Ids after which an answer is over. */
  readonly endIds: ReadonlySet<number>;
  token(id: number): Token;
  /** The text of some tokens. */
  decode(ids: readonly number[]): string;
  /** Logits [V] after the last token, and the sequence to grow. Rejects where the signal ends it. */
  begin(signal: AbortSignal | undefined): Promise<{ readonly logits: Float32Array; readonly grower: Grower<R> }>;
  /** The run as it is, where nothing was added. */
  unchanged(): Promise<R>;
}

/** What a generated run knows beside its tokens. */
export interface Generated {
  readonly promptLength: number;
  readonly turns: readonly Turn[];
  readonly stopReason: StopReason;
}

/** Longest text that is looked at for stop strings, in tokens beside the string's own length. */
const TAIL = 16;

/** Yields tokens as they come; returns the run of all of them, and why it is over. */
export async function* generate<R>(
  beginning: Beginning<R>,
  options: GenerateOptions,
): AsyncGenerator<GeneratedToken, { readonly run: R; readonly facts: Generated }, undefined> {
  const { maxTokens = 40, signal, onToken } = options;
  const { dVocab } = beginning;
  checkOptions(options);
  const stops = typeof options.stop === "string" ? [options.stop] : (options.stop ?? []);
  const draw = sampler(options);
  const tokens = [...beginning.tokens];
  const promptLength = tokens.length;
  const facts = (stopReason: StopReason): Generated => ({
    promptLength,
    turns: grownTurns(beginning.turns ?? [], tokens.length),
    stopReason,
  });
  const room = Math.min(maxTokens, beginning.maxPositions - promptLength);
  if (room <= 0) return { run: await beginning.unchanged(), facts: facts("length") };
  if (signal?.aborted) return { run: await beginning.unchanged(), facts: facts("aborted") };
  const begun = await beginning.begin(signal).catch((error: unknown) => {
    if (signal?.aborted) return undefined;
    throw error;
  });
  if (begun === undefined) return { run: await beginning.unchanged(), facts: facts("aborted") };
  const { grower } = begun;
  try {
    let logits: Float32Array = begun.logits;
    let reason: StopReason = "length";
    for (let i = 0; i < room; i++) {
      if (signal?.aborted) {
        reason = "aborted";
        break;
      }
      const id = options.sampler === undefined ? draw(logits) : await options.sampler(logits, tokens);
      if (!Number.isInteger(id) || id < 0 || id >= dVocab)
        throw new RangeError(`The sampler gave ${String(id)}: token ids go from 0 to ${dVocab - 1}.`);
      const token: GeneratedToken = {
        ...beginning.token(id),
        position: tokens.length,
        probability: probabilityOf(logits, id),
      };
      tokens.push(beginning.token(id));
      // Appended before it is told: what was seen is in the answer, whenever that is ended.
      const over = beginning.endIds.has(id) || ended(beginning, tokens, promptLength, stops);
      const next = await grower.append(beginning.token(id), !over && i + 1 < room);
      onToken?.(token);
      yield token;
      if (over) {
        reason = "stop";
        break;
      }
      if (next) logits = next;
    }
    return {
      run: tokens.length === promptLength ? await beginning.unchanged() : await grower.finish(),
      facts: facts(reason),
    };
  } finally {
    await grower.dispose();
  }
}

/** The answer's turn is the last one; what was generated belongs to it. */
function grownTurns(turns: readonly Turn[], nTokens: number): readonly Turn[] {
  const last = turns[turns.length - 1];
  if (last === undefined) return [];
  if (last.to === nTokens) return turns;
  // An answer that was begun by hand, or went on after its end.
  const contentFrom = last.contentFrom ?? last.to;
  return last.role === "assistant"
    ? [...turns.slice(0, -1), { ...last, to: nTokens, contentFrom, contentTo: nTokens }]
    : [...turns, { role: "assistant", from: last.to, to: nTokens, contentFrom: last.to, contentTo: nTokens }];
}

/** Whether a text that ends the answer ends in its last token. */
function ended<R>(
  beginning: Beginning<R>,
  tokens: readonly Token[],
  promptLength: number,
  stops: readonly string[],
): boolean {
  if (stops.length === 0) return false;
  const longest = Math.max(...stops.map((stop) => Buffer.byteLength(stop)));
  const from = Math.max(promptLength, tokens.length - longest - TAIL);
  const text = beginning.decode(tokens.slice(from).map(({ id }) => id));
  return stops.some((stop) => text.includes(stop));
}

function checkOptions({
  maxTokens,
  temperature,
  topK,
  topP,
  seed,
  stop,
  sampler: own,
  onToken,
}: GenerateOptions): void {
  const refuse = (name: string, value: unknown, wanted: string): never => {
    throw new RangeError(
      `${name} is ${typeof value === "number" ? value : (JSON.stringify(value) ?? typeof value)}, but has to be ${wanted}.`,
    );
  };
  const whole = (value: unknown, least: number): boolean => Number.isSafeInteger(value) && (value as number) >= least;
  if (maxTokens !== undefined && maxTokens !== Infinity && !whole(maxTokens, 1))
    refuse("maxTokens", maxTokens, "a whole number from 1");
  if (temperature !== undefined && !(Number.isFinite(temperature) && temperature >= 0))
    refuse("temperature", temperature, "a number from 0");
  if (topK !== undefined && !whole(topK, 1)) refuse("topK", topK, "a whole number from 1");
  if (topP !== undefined && !(typeof topP === "number" && topP > 0 && topP <= 1))
    refuse("topP", topP, "a number over 0, up to 1");
  if (seed !== undefined && !whole(seed, 0)) refuse("seed", seed, "a whole number from 0");
  const stops: unknown = typeof stop === "string" ? [stop] : (stop ?? []);
  if (!Array.isArray(stops) || stops.some((text) => typeof text !== "string" || text === ""))
    refuse("stop", stop, "a text, or a list of texts, none of them empty");
  for (const [name, value] of Object.entries({ sampler: own, onToken }))
    if (value !== undefined && typeof value !== "function") refuse(name, value, "a function");
}
