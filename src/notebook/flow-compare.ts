import type { Contrast, RouteGraph, Run } from "../model/types";
import type { Answer, Question, QuestionKind, RunFacts, Selection, TokenContrast } from "../protocol";
import { mirroredSelection, routesQuestion } from "../protocol";
import { checkHeight, oneToken } from "../model/check";
import { Answerer, answererOf, predictionsOf, runFacts } from "./answers";
import { Picture } from "./picture";
import type { PictureOptions } from "./picture";
import type { SelectionChange } from "./selection";
import { selectedRoutes, selectionOf } from "./selection";

/** A contrast with the ids that its texts have in this run's model. */
function ofModel({ model }: Run, contrast: Contrast | TokenContrast | null | undefined): TokenContrast | null {
  if (!contrast) return null;
  const id = (token: number | string | null | undefined): number | null =>
    token === undefined || token === null ? null : oneToken(model, token).id;
  return { token: id(contrast.token), versus: id(contrast.versus) };
}

/** Answers for the first run, and what is asked of the second one from there. */
class PairAnswerer extends Answerer {
  constructor(
    first: Run,
    private readonly second: Run,
  ) {
    super(first);
  }

  protected override async answer(question: Question, signal?: AbortSignal): Promise<Answer<QuestionKind>> {
    if (question.kind === "second") return { answer: await answererOf(this.second).ask(question.question, signal) };
    return answererOf(this.run).ask(question, signal);
  }
}

export interface FlowCompareOptions extends PictureOptions {
  /**
   * "side": two graphs; "difference": one graph of what differs, tokens aligned by their texts. Default "side".
   */
  readonly mode?: "side" | "difference";
  /**
   * What each graph's routes speak for: two targets, such as `[{ token: " Paris" }, { token: " London" }]` of one run
   * (given twice), or a contrast each. null: routes of the whole state.
   */
  readonly contrasts?: readonly [Contrast | null, Contrast | null];
  /** Height of the graphs and the detail in CSS pixels. Default: what fits into the window, about 70 % of it. */
  readonly height?: number;
  /** All tokens and layers in view, however small. Default false. */
  readonly fit?: boolean;
}

/** The information flow of two runs, side by side or as their difference. */
export class FlowCompare extends Picture {
  readonly #answers: PairAnswerer;

  constructor(
    first: Run,
    /** The run on the right, B. */
    readonly second: Run,
    options: FlowCompareOptions = {},
  ) {
    const { mode = "side", contrasts, height, fit = false, ...rest } = options;
    checkHeight(height);
    if (mode !== "side" && mode !== "difference")
      throw new RangeError(`mode is ${JSON.stringify(mode)}, but has to be "side" or "difference".`);
    const answers = new PairAnswerer(first, second);
    const [contrast, secondContrast] = contrasts ?? [];
    const selection = contrasts
      ? { ...rest.selection, contrast, secondContrast: ofModel(second, secondContrast) }
      : rest.selection;
    super(first, "flow-compare", {
      ...rest,
      ...(selection ? { selection } : {}),
      answerer: answers,
      own: { mode, second: runFacts(second), height: height ?? 0, fit },
    });
    this.#answers = answers;
  }

  override select(change: SelectionChange): void {
    super.select({
      ...change,
      ...(change.secondContrast ? { secondContrast: ofModel(this.second, change.secondContrast) } : {}),
    });
  }

  /** What the second graph has selected. */
  get #across(): Selection {
    return mirroredSelection(this.selection, this.get("facts"), runFacts(this.second));
  }

  protected override async graphs(): Promise<readonly RouteGraph[]> {
    return [...(await super.graphs()), await selectedRoutes(this.second, this.#across)];
  }

  override async prepare(): Promise<void> {
    await super.prepare();
    const { second } = this.get("options") as { second: RunFacts };
    if (second.predictions.length === 0) {
      const { info } = this.second.model;
      const predictions = await predictionsOf(this.second, this.second.tokens.length - 1, Math.min(10, info.dVocab));
      this.set({ options: { ...this.get("options"), second: runFacts(this.second, predictions) } });
    }
    // What a notebook shows without a kernel has the second run's routes too.
    await this.#answers.ask({ kind: "second", question: routesQuestion(this.#across) });
  }
}

/** Compares two runs: two prompts, two models on one prompt, or with `contrasts` two targets of one run. */
export function flowCompare(first: Run, second: Run, options?: FlowCompareOptions): FlowCompare {
  return new FlowCompare(first, second, { link: selectionOf(first), ...options });
}
