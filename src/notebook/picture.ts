import type { MimeBundle } from "../protocol/comm-host";
import { JUPYTER_DISPLAY } from "../protocol/comm-host";
import { RequestError, Widget } from "../ipywidgets/widget";
import type { Run } from "../model/types";
import type { PictureName, RunFacts, Selection } from "../protocol";
import { answerPayload, ASK, pack, ProtocolError, readAskPayload, visibleText, WIDGET_MODULE } from "../protocol";
import { answererOf, predictionsOf, runFacts } from "./answers";
import type { Answerer } from "./answers";
import type { SharedSelection } from "./selection";
import { selectionOf } from "./selection";
import { staticHtml } from "./static-picture";
import { PACKAGE_VERSION } from "./version";

export interface PictureState {
  picture: PictureName;
  facts: RunFacts;
  /** Shared with the other pictures of the run. */
  link: SharedSelection;
  options: Record<string, unknown>;
}

interface PictureEvents {
  select: Selection;
}

/** Options that every picture takes. */
export interface PictureOptions {
  /** What is selected at first: start token, threshold, focus, … Changes the selection that the run's pictures share. */
  readonly selection?: Partial<Selection>;
  /** Share another selection than the run's own. */
  readonly link?: SharedSelection;
}

/**
 * Kernel side of every picture of a run: its facts, the selection that it shares, and the answers to what its front end asks, each
 * computed when it is asked for. A picture is a value: the last expression of a cell shows it.
 */
export class Picture extends Widget<PictureState, PictureEvents> {
  readonly #answerer: Answerer;
  #prepared: Promise<void> | undefined;
  #following: (() => void) | undefined;

  constructor(
    readonly run: Run,
    picture: PictureName,
    options: PictureOptions & { readonly own?: Record<string, unknown> } = {},
  ) {
    const link = options.link ?? selectionOf(run);
    if (options.selection) link.select(options.selection);
    super(
      {
        modelName: "PictureModel",
        modelModule: WIDGET_MODULE,
        modelModuleVersion: PACKAGE_VERSION,
        viewName: "PictureView",
        viewModule: WIDGET_MODULE,
        viewModuleVersion: PACKAGE_VERSION,
        references: ["link"],
      },
      { picture, facts: runFacts(run), link, options: options.own ?? {} },
    );
    this.#answerer = answererOf(run);
    this.handle(ASK, async ({ payload, signal }) => {
      try {
        const answer = await this.#answerer.ask(readAskPayload(payload), signal);
        const { json, buffers } = pack(answer);
        return { payload: answerPayload(json), buffers };
      } catch (error) {
        throw asRequestError(error);
      }
    });
    this.#follow(link);
    this.observe("link", (change) => this.#follow(change.new));
    this.on("close", () => this.#following?.());
  }

  #follow(link: SharedSelection): void {
    this.#following?.();
    this.#following = link.on("select", (selection) => this.emit("select", selection));
  }

  /** What is selected; shared with the other pictures of the run. */
  get selection(): Selection {
    return this.get("link").value;
  }

  /** Changes parts of the selection; every linked picture follows. */
  select(change: Partial<Selection>): void {
    this.get("link").select(change);
  }

  /** Follows another picture's selection from now on. */
  linkTo(other: Picture): void {
    this.set({ link: other.get("link") });
  }

  /** Computes what the first view needs: the predictions. Showing a picture does it by itself. */
  prepare(): Promise<void> {
    return (this.#prepared ??= (async () => {
      const predictions = await predictionsOf(this.run, this.run.tokens.length - 1, Math.min(10, this.run.model.info.dVocab));
      this.set({ facts: runFacts(this.run, predictions) });
    })());
  }

  override async [JUPYTER_DISPLAY](): Promise<MimeBundle> {
    await this.prepare();
    const bundle = await super[JUPYTER_DISPLAY]();
    const { start, threshold, renormalize } = this.selection;
    const graph = await this.run.routes({ from: start, threshold, renormalize });
    return { ...bundle, "text/plain": this.toString(), "text/html": staticHtml(graph, this.get("facts"), this.selection) };
  }

  override toString(): string {
    const { tokens, predictions, model } = this.get("facts");
    const text = tokens.map((token) => token.text).join("");
    const said = predictions.slice(0, 3).map((p) => `${visibleText(p.text)} ${(100 * p.probability).toFixed(1)} %`);
    const name = this.get("picture").replace(/(^|-)([a-z])/g, (_, __, letter: string) => letter.toUpperCase());
    return `${name} of ${JSON.stringify(text)} in ${model.name}${said.length ? `; predicts ${said.join(", ")}` : ""}`;
  }
}

function asRequestError(error: unknown): RequestError {
  if (error instanceof RequestError) return error;
  if (error instanceof ProtocolError) return new RequestError(error.code, error.message);
  if (error instanceof RangeError) return new RequestError("range", error.message);
  if (error instanceof Error && error.name === "AbortError") return new RequestError("cancelled", "The question was withdrawn.");
  return new RequestError("failed", error instanceof Error ? error.message : String(error));
}
