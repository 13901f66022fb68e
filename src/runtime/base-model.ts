import { inspect } from "node:util";
import { readBytes } from "../model/tokenizer";
import { checkMessages, isMessage, renderMessages, type ChatFormat } from "../model/chat";
import type {
  ChatMessage,
  ChatOptions,
  ModelInfo,
  RenderedChat,
  RunOptions,
  Tensor,
  Token,
  TransparentModel,
  Turn,
} from "../model/types";
import type { BaseRun } from "./base-run";
import { checkTokenIds } from "../model/check";

const COUNT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** A prompt as it was given: a text, or token ids that are used exactly as they are. */
export type Prompt = string | readonly number[];

/** A prompt, or a conversation. */
type Input = Prompt | readonly ChatMessage[];

const ENCODER = new TextEncoder();

/** A token's text as bytes: what shows as `<0xE2>` is that byte. */
function* spelledBytes(text: string): Iterable<number> {
  for (const part of text.split(/(<0x[0-9A-F]{2}>)/)) {
    if (/^<0x[0-9A-F]{2}>$/.test(part)) yield Number.parseInt(part.slice(3, 5), 16);
    else yield* ENCODER.encode(part);
  }
}

/**
 * The part of `TransparentModel` that is the same for every model: prompts, batches, checks. A model adds its
 * vocabulary, its forward pass and its weights.
 */
export abstract class BaseModel<R extends BaseRun = BaseRun> implements TransparentModel {
  abstract readonly info: ModelInfo;
  abstract tokenize(text: string, options?: { readonly addSpecialTokens?: boolean }): readonly Token[];
  abstract token(id: number): Token;
  abstract unembed(vector: Float32Array, options?: { readonly normalize?: boolean }): Promise<Tensor>;
  abstract neuronOutput(layer: number, neuron: number): Promise<Tensor>;

  /** One forward pass over checked token ids. */
  protected abstract forward(tokens: readonly Token[], options: RunOptions): Promise<R>;

  async dispose(): Promise<void> {}

  /** The text of these tokens; see `TransparentModel.decode`. Throws a `RangeError` for an id that is none. */
  decode(ids: readonly number[]): string {
    if (!Array.isArray(ids))
      throw new TypeError("decode takes a list of token ids, such as run.tokens.map((token) => token.id).");
    const texts = ids.map((id: number) => this.token(id).text);
    return readBytes(Uint8Array.from(texts.flatMap((text) => [...spelledBytes(text)])));
  }

  /** One line in a console and under a cell, instead of weights and sessions. */
  [inspect.custom](): string {
    const { name, family, nParams, nLayers, nHeads, nKeyValueHeads, dModel, dVocab, dtype, device } = this.info;
    const heads = nKeyValueHeads === nHeads ? `${nHeads} heads` : `${nHeads} heads (${nKeyValueHeads} KV heads)`;
    return `${name} (${family}): ${COUNT.format(nParams)} parameters, ${nLayers} layers, ${heads}, width ${dModel}, vocabulary ${dVocab}, ${dtype} on ${device}`;
  }

  /** What the model says of conversations; a model of your own has templates here. Default: nothing. */
  protected get chat(): ChatFormat | undefined {
    return undefined;
  }

  /** A conversation as a prompt; see `TransparentModel.renderChat`. */
  renderChat(messages: readonly ChatMessage[], options: ChatOptions = {}): RenderedChat {
    checkMessages(messages);
    const { text, turns } = renderMessages(this.chat, this.info.name, messages, options);
    const tokenize = (part: string): readonly Token[] => this.tokenize(part, { addSpecialTokens: false });
    const tokens = tokenize(text);
    /** Number of tokens that lie before a place in the text; one that reaches over it does not. */
    const before = (place: number): number => {
      if (place >= text.length) return tokens.length;
      const own = tokenize(text.slice(0, place));
      let n = 0;
      while (n < own.length && n < tokens.length && own[n].id === tokens[n].id) n++;
      return n;
    };
    let end = 0;
    return {
      text,
      tokens,
      turns: turns.map(({ role, to, contentFrom, contentTo }): Turn => {
        const from = end;
        end = Math.max(from, before(to));
        if (contentFrom === undefined || contentTo === undefined) return { role, from, to: end };
        const first = Math.min(end, Math.max(from, before(contentFrom)));
        return {
          role,
          from,
          to: end,
          contentFrom: first,
          contentTo: Math.min(end, Math.max(first, before(contentTo))),
        };
      }),
    };
  }

  /** Runs a prompt: see `TransparentModel.run`. */
  run(prompt: Prompt, options?: RunOptions): Promise<R>;
  /** Runs a conversation, rendered as `renderChat` does it. */
  run(messages: readonly ChatMessage[], options?: RunOptions): Promise<R>;
  /** Runs several prompts, one after the other. */
  run(
    prompts: readonly string[] | readonly (readonly number[])[] | readonly (readonly ChatMessage[])[],
    options?: RunOptions,
  ): Promise<R[]>;
  async run(input: Input | readonly Input[], options: RunOptions = {}): Promise<R | R[]> {
    const batch = Array.isArray(input) && input.length > 0 && typeof input[0] !== "number" && !isMessage(input[0]);
    if (!batch) return this.runOne(input as Input, options, "The prompt");
    const prompts = (input as readonly Input[]).map((prompt, i) => this.read(prompt, options, `Prompt ${i}`));
    const runs: R[] = [];
    try {
      for (const { tokens, turns } of prompts) {
        const run = await this.forward(tokens, options);
        runs.push(turns === undefined ? run : run.remember({ turns }));
        options.onProgress?.({ stage: "prompts", done: runs.length, total: prompts.length, unit: "prompts" });
      }
    } catch (error) {
      await Promise.all(runs.map((run) => run.dispose()));
      throw error;
    }
    return runs;
  }

  private async runOne(prompt: Input, options: RunOptions, what: string): Promise<R> {
    const { tokens, turns } = this.read(prompt, options, what);
    const run = await this.forward(tokens, options);
    return turns === undefined ? run : run.remember({ turns });
  }

  private read(
    prompt: Input,
    options: RunOptions,
    what: string,
  ): { readonly tokens: readonly Token[]; readonly turns?: readonly Turn[] } {
    options.signal?.throwIfAborted();
    if (Array.isArray(prompt) && isMessage(prompt[0])) {
      const { tokens, turns } = this.renderChat(prompt as readonly ChatMessage[], options.chat);
      checkTokenIds(
        tokens.map(({ id }) => id),
        this.info,
        what,
      );
      return { tokens, turns };
    }
    if (typeof prompt !== "string" && !(Array.isArray(prompt) && prompt.every((id) => typeof id === "number"))) {
      throw new TypeError(
        `${what} is ${prompt === null ? "null" : Array.isArray(prompt) ? "an array of something else" : `of type ${typeof prompt}`}: give a text or an array of token ids.`,
      );
    }
    const tokens =
      typeof prompt === "string" ? this.tokenize(prompt, { addSpecialTokens: options.addSpecialTokens }) : undefined;
    const ids = tokens ? tokens.map(({ id }) => id) : (prompt as readonly number[]);
    checkTokenIds(ids, this.info, what);
    return { tokens: tokens ?? ids.map((id) => this.token(id)) };
  }
}
