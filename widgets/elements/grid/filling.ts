import type { Answer, WireToken } from "../../../src/protocol";
import { nodeName, ProtocolError, shortText, visibleText } from "../../../src/protocol";
import type { FlowSource } from "../../core/source";
import { sentenceOf } from "../../core/source";

/** Columns of a row that are asked for at once: small enough to be stopped soon, large enough to be worth the way. */
const SPAN = 128;
/** Questions under way at once: while one answer travels, the next is computed. */
const AT_ONCE = 2;

/** A token with its texts: finding where letters end is slow, and most tokens are in many cells. */
export interface ShownToken extends WireToken {
  readonly short: string;
  readonly visible: string;
}

/**
 * The tables of a grid while they come, part by part: the top layers first, and of those the columns near the start
 * token.
 */
export class Filling {
  readonly nTokens: number;
  readonly tops: Int32Array;
  readonly probabilities: Float32Array;
  readonly entropies: Float32Array;
  /** States that are there, of how many. */
  done = 0;
  readonly total: number;
  /** Largest entropy so far, in bits. */
  most = 1e-9;
  error = "";
  readonly #tokens: ShownToken[] = [];
  readonly #places = new Map<number, number>();
  readonly #open: { readonly row: number; readonly first: number; readonly count: number }[] = [];
  #abort: AbortController | undefined;

  constructor(
    readonly source: FlowSource,
    readonly normalize: boolean,
    nearest: number,
    private readonly changed: () => void,
  ) {
    const { tokens, model } = source.facts;
    this.nTokens = tokens.length;
    this.total = this.nTokens * (model.nLayers + 1);
    this.tops = new Int32Array(this.total).fill(-1);
    this.probabilities = new Float32Array(this.total);
    this.entropies = new Float32Array(this.total);
    const spans = Array.from({ length: Math.ceil(this.nTokens / SPAN) }, (_, i) => i * SPAN).sort(
      (a, b) => Math.abs(a + SPAN / 2 - nearest) - Math.abs(b + SPAN / 2 - nearest),
    );
    for (const first of spans)
      for (let row = model.nLayers; row >= 0; row--)
        this.#open.push({ row, first, count: Math.min(SPAN, this.nTokens - first) });
  }

  token(i: number): ShownToken | undefined {
    return this.#tokens[this.tops[i]];
  }

  /** Asks for what is missing. Does nothing while that is under way, or after an error. */
  start(): void {
    if (this.#abort || this.error || this.#open.length === 0) return;
    const abort = (this.#abort = new AbortController());
    for (let i = 0; i < AT_ONCE; i++) void this.#work(abort.signal);
  }

  /** Withdraws what is asked; what came stays. */
  stop(): void {
    this.#abort?.abort();
    this.#abort = undefined;
  }

  async #work(signal: AbortSignal): Promise<void> {
    for (;;) {
      const part = this.#open.shift();
      if (!part) return;
      try {
        const answer = await this.source.ask({ kind: "gridPart", ...part, normalize: this.normalize }, signal);
        if (signal.aborted) throw new ProtocolError("cancelled", "The question was withdrawn.");
        this.#take(part, answer);
      } catch (error) {
        this.#open.unshift(part);
        if (signal.aborted) return;
        this.error = sentenceOf(error);
        this.stop();
      }
      this.changed();
      if (signal.aborted) return;
    }
  }

  #take(
    { row, first, count }: { readonly row: number; readonly first: number; readonly count: number },
    answer: Answer<"gridPart">,
  ): void {
    const sizes = [answer.tops, answer.probabilities, answer.entropies].map(({ data }) => data.length);
    if (sizes.some((size) => size !== count))
      throw new ProtocolError("malformed", "This answer's tables do not have one cell for every state.");
    const places = answer.tokens.map((token) => {
      let place = this.#places.get(token.id);
      if (place === undefined)
        this.#places.set(
          token.id,
          (place =
            this.#tokens.push({ ...token, short: shortText(token.text, 9), visible: visibleText(token.text) }) - 1),
        );
      return place;
    });
    const at = row * this.nTokens + first;
    for (let i = 0; i < count; i++) {
      this.tops[at + i] = places[answer.tops.data[i]] ?? -1;
      this.probabilities[at + i] = answer.probabilities.data[i];
      this.entropies[at + i] = answer.entropies.data[i];
      this.most = Math.max(this.most, answer.entropies.data[i]);
    }
    this.done += count;
  }
}

/** The state of a row: row 0 is the embedding, row l + 1 the state after layer l. */
export function stateOf(row: number, position: number): string {
  return row === 0 ? nodeName("X", -1, position) : nodeName("I", row - 1, position);
}
