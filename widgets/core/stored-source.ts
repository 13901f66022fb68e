import type { Answer, Question, QuestionKind, RunFacts, Selection } from "../../src/protocol";
import { partOfGrid, ProtocolError } from "../../src/protocol";
import type { Payload } from "../../src/payload/format";
import { MAX_INFLATED } from "../../src/payload/format";
import { StoredAnswers } from "../../src/payload/read";
import type { FlowSource } from "./source";

const damaged = (what: string): ProtocolError =>
  new ProtocolError("malformed", `The data stored in this output is damaged: ${what}. Run the cell again.`);

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  let characters: string;
  try {
    characters = atob(base64);
  } catch {
    throw damaged("it is not base64");
  }
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

/** Inflates a zlib stream to exactly `size` bytes; stops where it would become more, whatever it claims. */
async function inflate(bytes: Uint8Array<ArrayBuffer>, size: number): Promise<Uint8Array> {
  if (size > MAX_INFLATED) throw damaged("it is too large");
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const all = new Uint8Array(size);
  let length = 0;
  for (;;) {
    let part: ReadableStreamReadResult<Uint8Array>;
    try {
      part = await reader.read();
    } catch {
      throw damaged("it is cut off or was changed");
    }
    if (part.done) break;
    if (length + part.value.length > size) {
      reader.cancel().catch(() => {});
      throw damaged("it is larger than it says");
    }
    all.set(part.value, length);
    length += part.value.length;
  }
  if (length !== size) throw damaged("it is cut off");
  return all;
}

/**
 * What is stored in an output, as a source for elements. It never computes more than the routes that follow from stored
 * contributions.
 */
export class StoredSource implements FlowSource {
  private constructor(
    private readonly stored: StoredAnswers,
    private readonly payload: Payload,
  ) {}

  /** Rejects with a `ProtocolError` for data that cannot be read. */
  static async open(payload: Payload): Promise<StoredSource> {
    if (payload.size === 0)
      throw new ProtocolError(
        "unavailable",
        "This output was saved as a still picture only. Run the cell to look closer.",
      );
    return new StoredSource(new StoredAnswers(await inflate(bytesOf(payload.data), payload.size)), payload);
  }

  get facts(): RunFacts {
    return this.stored.head.facts;
  }

  get selection(): Selection {
    return this.stored.head.selection;
  }

  ask<K extends QuestionKind>(question: Question<K>, signal?: AbortSignal): Promise<Answer<K>>;
  async ask(question: Question, signal?: AbortSignal): Promise<unknown> {
    const answer =
      (await this.stored.answer(question, signal)) ?? (await this.#cut(question)) ?? (await this.#ownSize(question));
    if (answer === undefined) throw new ProtocolError("unavailable", this.#why(question));
    return answer;
  }

  /** What follows from another stored answer. */
  async #cut(question: Question): Promise<unknown> {
    if (question.kind !== "gridPart") return undefined;
    const whole = await this.stored.answer<"grid">({ kind: "grid", normalize: question.normalize });
    return whole && partOfGrid(whole, question);
  }

  /** Effects as versions before 0.3 stored them. */
  async #ownSize(question: Question): Promise<unknown> {
    if (question.kind === "second") {
      const answer = await this.#ownSize(question.question);
      return answer && { answer };
    }
    if (question.kind !== "effect" || question.normalize !== "position") return undefined;
    const answer = await this.stored.answer<"effect">({ ...question, normalize: true });
    return answer && { ...answer, ownSize: true };
  }

  #why(asked: Question): string {
    const question = asked.kind === "second" ? asked.question : asked;
    const { threshold, budget, omitted, unfinished } = this.stored.head;
    const again = "It needs the kernel: run the cell again.";
    if (question.kind === "targets") return `Only the kernel can look up other tokens. Run the cell again.`;
    if (question.kind === "routes" && question.contrast)
      return `This notebook keeps the routes of no contrast but the one that it was saved with, at that threshold. ${again}`;
    if (question.kind === "routes" && question.select)
      return `This notebook keeps the routes by threshold; those by number of edges only of the token that it was saved with, where it was saved so. ${again}`;
    if (asked.kind === "second" && question.kind === "routes")
      return `Of the second run this notebook keeps the routes that it was saved with. ${again}`;
    if (question.kind === "routes" && question.threshold < threshold)
      return `This notebook keeps the routes from threshold ${threshold} up, not at ${question.threshold}. ${again}`;
    if (this.payload.share === "seen")
      return `Nobody looked at this before the notebook was saved, and only what was looked at is stored in it (share: "seen"). ${again}`;
    if ((omitted[asked.kind] ?? 0) > 0)
      return `This did not fit into the ${budget < 1e6 ? `${+(budget / 1e3).toPrecision(3)} kB` : `${(budget / 1e6).toFixed(1)} MB`} that this output may take (shareBudget). ${again}`;
    if (unfinished)
      return `The notebook was saved before this was collected: wait until the picture no longer says “keeping clicks”, then save. ${again}`;
    return `This is not stored in the notebook, which keeps ${this.payload.share === "all" ? "everything about the run but this" : 'what can be clicked in the routes it was saved with (share: "routes")'}. ${again}`;
  }
}

/** Asks the kernel while it is there, and what is stored where it is not. */
export class FallbackSource implements FlowSource {
  constructor(
    private readonly live: FlowSource,
    private readonly stored: FlowSource,
  ) {}

  get facts(): RunFacts {
    return this.live.facts;
  }

  async ask<K extends QuestionKind>(question: Question<K>, signal?: AbortSignal): Promise<Answer<K>> {
    try {
      return await this.live.ask(question, signal);
    } catch (error) {
      if (!(error instanceof ProtocolError && error.code === "unavailable")) throw error;
      return this.stored.ask(question, signal);
    }
  }
}
