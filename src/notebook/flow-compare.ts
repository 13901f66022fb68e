import type { Run } from "../model/types";
import type { Answer, Question, QuestionKind } from "../protocol";
import { Answerer, answererOf, runFacts } from "./answers";
import { Picture } from "./picture";
import type { PictureOptions } from "./picture";
import { selectionOf } from "./selection";

/** Answers for the first run, and what is asked of the second one from there. */
class PairAnswerer extends Answerer {
  constructor(
    first: Run,
    private readonly second: Run,
  ) {
    super(first);
  }

  protected override async answer(question: Question, signal?: AbortSignal): Promise<Answer<QuestionKind>> {
    if (question.kind === "second") return { answer: await answererOf(this.second).ask(question.question as Question, signal) };
    return answererOf(this.run).ask(question, signal);
  }
}

export interface FlowCompareOptions extends PictureOptions {
  /** "side": two graphs; "difference": one graph of what differs, where both prompts have as many tokens. Default "side". */
  readonly mode?: "side" | "difference";
}

/** The information flow of two runs, side by side or as their difference. */
export class FlowCompare extends Picture {
  readonly #answers: PairAnswerer;

  constructor(
    first: Run,
    readonly second: Run,
    options: FlowCompareOptions = {},
  ) {
    const { mode = "side", ...rest } = options;
    if (mode !== "side" && mode !== "difference") throw new RangeError(`mode is ${JSON.stringify(mode)}, but has to be "side" or "difference".`);
    const answers = new PairAnswerer(first, second);
    super(first, "flow-compare", { ...rest, answerer: answers, own: { mode, second: runFacts(second) } });
    this.#answers = answers;
  }

  override async prepare(): Promise<void> {
    await super.prepare();
    const { start, threshold, renormalize } = this.selection;
    // What a notebook shows without a kernel has the second run's routes too.
    const across = Math.max(0, Math.min(this.second.tokens.length - 1, this.second.tokens.length - this.run.tokens.length + start));
    await this.#answers.ask({ kind: "second", question: { kind: "routes", from: across, threshold, renormalize } });
  }
}

/** Compares two runs: two prompts, or two models on one prompt. */
export function flowCompare(first: Run, second: Run, options?: FlowCompareOptions): FlowCompare {
  return new FlowCompare(first, second, { link: selectionOf(first), ...options });
}
