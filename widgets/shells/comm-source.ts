import type { Answer, Question, QuestionKind, RunFacts } from "../../src/protocol";
import {
  ASK,
  askPayload,
  ProtocolError,
  questionKey,
  readAnswerPayload,
  readResponse,
  responseError,
  unpack,
} from "../../src/protocol";
import { Requester } from "../../src/requester";
import { writerName } from "../core/selection-store";
import type { FlowSource } from "../core/source";

/** What a source needs of a widget's comm: nothing more of Jupyter than this. */
export interface Channel {
  send(content: unknown): void;
  /** Calls `listener` for every custom message until `signal` aborts. */
  onMessage(
    listener: (content: unknown, buffers: readonly (ArrayBufferView | ArrayBuffer)[]) => void,
    signal: AbortSignal,
  ): void;
  /** False where no kernel can answer. */
  readonly live: boolean;
}

const NO_KERNEL = "There is no kernel that could answer this: run the cell again to look closer.";
/**
 * The longest that an answer may take. Aggregates over a long prompt take a while; a dead kernel must not spin for
 * ever.
 */
const TIMEOUT_MS = 120_000;

/** Asks the kernel over a widget's comm. The same question asked twice at once is sent once. */
export class CommSource implements FlowSource {
  readonly #requests = new Requester<string, unknown>();
  readonly #name = writerName();
  #count = 0;
  readonly #pending = new Map<
    string,
    { readonly promise: Promise<unknown>; users: number; readonly withdraw: () => void }
  >();

  constructor(
    readonly facts: RunFacts,
    private readonly channel: Channel,
    signal: AbortSignal,
  ) {
    channel.onMessage((content, buffers) => this.#receive(content, buffers), signal);
    signal.addEventListener(
      "abort",
      () => {
        this.#requests.rejectAll(new ProtocolError("cancelled", "The picture was closed."));
      },
      { once: true },
    );
  }

  ask<K extends QuestionKind>(question: Question<K>, signal?: AbortSignal): Promise<Answer<K>>;
  ask(question: Question, signal?: AbortSignal): Promise<unknown> {
    const key = questionKey(question);
    let pending = this.#pending.get(key);
    if (!pending) {
      pending = this.#send(question);
      this.#pending.set(key, pending);
      const forget = (): void => void (this.#pending.get(key) === pending && this.#pending.delete(key));
      pending.promise.then(forget, forget);
    }
    const shared = pending;
    shared.users++;
    return new Promise<unknown>((resolve, reject) => {
      signal?.addEventListener("abort", () => {
        reject(new ProtocolError("cancelled", "The question was withdrawn."));
        if (--shared.users === 0) {
          this.#pending.delete(key);
          shared.withdraw();
        }
      });
      shared.promise.then(resolve, reject);
    });
  }

  #send(question: Question): { promise: Promise<unknown>; users: number; withdraw: () => void } {
    if (!this.channel.live)
      return { promise: Promise.reject(new ProtocolError("unavailable", NO_KERNEL)), users: 0, withdraw: () => {} };
    const id = `${this.#name}.${++this.#count}`;
    const withdrawn = new AbortController();
    const send = (): void => {
      try {
        this.channel.send({ request: id, kind: ASK, payload: askPayload(question) });
      } catch {
        throw new ProtocolError("unavailable", NO_KERNEL);
      }
    };
    const promise = this.#requests.ask(id, send, {
      signals: [withdrawn.signal],
      timeout: TIMEOUT_MS,
      late: () =>
        new ProtocolError("failed", "The kernel did not answer within two minutes; it may be busy with a cell."),
    });
    const withdraw = (): void => {
      if (!this.#requests.has(id)) return;
      withdrawn.abort(new ProtocolError("cancelled", "The question was withdrawn."));
      if (this.channel.live) this.channel.send({ cancel: id });
    };
    return { promise, users: 0, withdraw };
  }

  #receive(content: unknown, buffers: readonly (ArrayBufferView | ArrayBuffer)[]): void {
    const response = readResponse(content);
    if (!response) return;
    const id = response.response;
    // An answer that nobody waits for any more need not be unpacked.
    if (!this.#requests.has(id)) return;
    try {
      if ("error" in response) this.#requests.reject(id, responseError(response.error));
      else this.#requests.resolve(id, unpack(readAnswerPayload(response.payload), buffers));
    } catch (error) {
      this.#requests.reject(
        id,
        error instanceof ProtocolError ? error : new ProtocolError("malformed", "The kernel's answer cannot be read."),
      );
    }
  }
}
