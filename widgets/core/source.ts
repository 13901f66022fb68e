import type { Answer, Question, QuestionKind, RoutesAnswer, RunFacts } from "../../src/protocol";
import { largestRoutes, ProtocolError, questionKey } from "../../src/protocol";
import { cutRoutes, cuttableRoutes, type CuttableRoutes } from "../../src/payload/cut";

/** All that an element knows of where its numbers come from: facts of a run, and a way to ask for more. */
export interface FlowSource {
  readonly facts: RunFacts;
  /** Rejects with a `ProtocolError`; its message is one sentence for people. Aborting withdraws the question. */
  ask<K extends QuestionKind>(question: Question<K>, signal?: AbortSignal): Promise<Answer<K>>;
}

/**
 * Remembers answers, newest kept, up to about `budget` bytes of tensors. Errors are not remembered. Routes within a
 * budget are cut out of the largest ones: another budget asks nothing.
 */
export class CachedSource implements FlowSource {
  readonly #answers = new Map<string, { readonly answer: unknown; readonly bytes: number }>();
  readonly #cuttable = new WeakMap<RoutesAnswer, CuttableRoutes>();
  #bytes = 0;

  constructor(
    readonly inner: FlowSource,
    readonly budget = 64 * 2 ** 20,
  ) {}

  get facts(): RunFacts {
    return this.inner.facts;
  }

  /** The answer, if it is there already. */
  peek<K extends QuestionKind>(question: Question<K>): Answer<K> | undefined {
    return this.#answers.get(questionKey(question))?.answer as Answer<K> | undefined;
  }

  /** Routes out of larger ones; undefined where they have to be asked for as they are. */
  async #cut<K extends QuestionKind>(question: Question<K>, signal?: AbortSignal): Promise<Answer<K> | undefined> {
    const asked = question as Question;
    if (asked.kind === "second") {
      const whole = largestRoutes(asked.question);
      if (!whole || questionKey(whole) === questionKey(asked.question)) return undefined;
      const { answer } = await this.ask({ kind: "second", question: whole }, signal);
      const cut = this.#within(answer as RoutesAnswer, asked.question);
      return cut && ({ answer: cut } as Answer<K>);
    }
    const whole = largestRoutes(asked);
    if (!whole || questionKey(whole) === questionKey(asked)) return undefined;
    return this.#within(await this.ask(whole, signal), asked);
  }

  #within(answer: RoutesAnswer, question: Question): RoutesAnswer | undefined {
    if (question.kind !== "routes" || !question.select) return undefined;
    const { model, tokens } = this.facts;
    const known = this.#cuttable.get(answer) ?? cuttableRoutes(answer, { ...model, nTokens: tokens.length });
    if (!known) return undefined;
    this.#cuttable.set(answer, known);
    return cutRoutes(known, question.select, question.renormalize);
  }

  async ask<K extends QuestionKind>(question: Question<K>, signal?: AbortSignal): Promise<Answer<K>> {
    const key = questionKey(question);
    const known = this.#answers.get(key);
    if (known) {
      this.#answers.delete(key);
      this.#answers.set(key, known);
      return known.answer as Answer<K>;
    }
    const answer = (await this.#cut(question, signal)) ?? (await this.inner.ask(question, signal));
    const bytes = sizeOf(answer);
    this.#answers.set(key, { answer, bytes });
    this.#bytes += bytes;
    for (const [oldest, { bytes: size }] of this.#answers) {
      if (this.#bytes <= this.budget || oldest === key) break;
      this.#answers.delete(oldest);
      this.#bytes -= size;
    }
    return answer;
  }
}

function sizeOf(value: unknown): number {
  if (ArrayBuffer.isView(value)) return value.byteLength;
  if (Array.isArray(value)) return value.reduce((sum: number, inner) => sum + sizeOf(inner), 16);
  if (typeof value === "object" && value !== null)
    return Object.values(value).reduce((sum: number, inner) => sum + sizeOf(inner), 32);
  return 16;
}

/** The sentence of whatever was thrown. */
export function sentenceOf(error: unknown): string {
  if (error instanceof ProtocolError) return error.message;
  return error instanceof Error && error.message ? error.message : "The answer did not come.";
}
