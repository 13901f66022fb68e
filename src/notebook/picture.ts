import { extname } from "node:path";
import type { LastingDisplayable, MimeBundle } from "../jupyter/comm-host";
import { commHost, DISPLAY_ID, DISPLAYED, GONE, JUPYTER_DISPLAY } from "../jupyter/comm-host";
import { frontEndSeen } from "../jupyter/ipywidgets/registry";
import { savePicture } from "../export/page";
import { writeFileAtomically } from "../system/write";
import { collectGarbage } from "../threads/reclaim";
import { hear, RequestError, Widget, WIDGET_VIEW } from "../jupyter/ipywidgets/widget";
import { follow } from "../signals";
import type { RouteGraph, Run } from "../model/types";
import type { PictureName, PicturePart, RunFacts, Selection } from "../protocol";
import {
  answerPayload,
  ASK,
  describePicture,
  EXPORT,
  pack,
  PICTURE_PARTS,
  ProtocolError,
  readAskPayload,
  styleProblem,
  visibleText,
  WIDGET_MODULE,
} from "../protocol";
import type { Payload, ShareLevel } from "../payload/format";
import { DEFAULT_SHARE_BUDGET, PAYLOAD_MIME, SHARE_LEVELS } from "../payload/format";
import { asked, quiet } from "./clicks";
import { answererOf, predictionsOf, runFacts } from "./answers";
import type { Answerer } from "./answers";
import type { SelectionChange, SharedSelection } from "./selection";
import { selectedRoutes, selectionOf } from "./selection";
import { PictureShare } from "./share";
import type { ShareInput } from "./share";
import { staticHtml, staticPdf, staticSvg } from "./static-picture";
import { checkOneOf } from "../model/check";
import { PACKAGE_VERSION } from "./version";

export interface PictureState {
  picture: PictureName;
  facts: RunFacts;
  /** Shared with the other pictures of the run. */
  link: SharedSelection;
  options: Record<string, unknown>;
  /** How far collecting for the notebook is, 0 to 1; −1 while nothing is collected. */
  keeping: number;
}

interface PictureEvents {
  select: Selection;
}

/** Options that every picture takes. */
export interface PictureOptions {
  /**
   * What is selected at first: start token, threshold, focus, … Changes the selection that the run's pictures share.
   */
  readonly selection?: SelectionChange;
  /** CSS variables for this picture alone, such as `{ "--lmt-attention": "crimson" }`; `docs/widgets.md` names them. */
  readonly style?: Readonly<Record<string, string>>;
  /** Share another selection than the run's own. */
  readonly link?: SharedSelection;
  /**
   * What the notebook keeps, to be looked at without the kernel: what was clicked ("seen"), all that can be clicked in
   * the routes ("routes"), everything about the run ("all"), or only a still picture ("none"). Default "routes".
   */
  readonly share?: ShareLevel;
  /** Bytes that this may take in the notebook. Default 2 000 000. */
  readonly shareBudget?: number;
}

export interface SaveOptions {
  /** Default: the picture as a whole. */
  readonly part?: PicturePart;
}

/** The widget in whose display a picture stands, where it is not displayed by itself. */
export interface PictureHolder {
  readonly modelId: string;
  readonly displayId: string;
}

/** Clicks are stored this many milliseconds after the last one. */
const CLICK_MS = 1500;

/** A page that shows the picture makes a file of it within this time. */
const EXPORT_MS = 20_000;

/** When a cell runs again, what its picture held is free only once the cell has made something new. */
const GONE_MS = 1000;
let collecting: NodeJS.Timeout | undefined;

/** A run's tensors are shared memory, which V8 does not count: without being asked it would not collect them for long. */
function collectSoon(): void {
  // Not put off by the next one: cells may run again faster than that.
  collecting ??= setTimeout(() => {
    collecting = undefined;
    void collectGarbage();
  }, GONE_MS).unref();
}

/** VS Code has no renderers of ours, but loads our widgets where its own support can find them. */
export const inVsCode = (): boolean => process.env["VSCODE_PID"] !== undefined;

/**
 * Kernel side of every picture of a run: its facts, the selection that it shares, and the answers to what its front end
 * asks, each computed when it is asked for. A picture is a value: the last expression of a cell shows it.
 */
export class Picture extends Widget<PictureState, PictureEvents> implements LastingDisplayable {
  readonly #answerer: Answerer;
  readonly #share: PictureShare;
  readonly #holder: () => PictureHolder | undefined;
  /** Payload that was displayed last; undefined before the first one is complete. */
  #stored: Payload | undefined;
  #collecting: { readonly abort: AbortController; readonly done: Promise<void> } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #shown = false;
  /** Outputs of others that it stands in. */
  readonly #holding = new Set<() => void>();
  #prepared: Promise<void> | undefined;
  #following: (() => void) | undefined;

  constructor(
    /** The run that it shows. */
    readonly run: Run,
    picture: PictureName,
    options: PictureOptions & {
      readonly own?: Record<string, unknown>;
      readonly answerer?: Answerer;
      readonly holder?: () => PictureHolder | undefined;
    } = {},
  ) {
    const { share = "routes", shareBudget = DEFAULT_SHARE_BUDGET } = options;
    if (!SHARE_LEVELS.includes(share))
      throw new RangeError(`share is ${JSON.stringify(share)}, but has to be one of ${SHARE_LEVELS.join(", ")}.`);
    if (!(shareBudget >= 0))
      throw new RangeError(`shareBudget is ${shareBudget}, but has to be a number of bytes from 0 on.`);
    const style = options.style ?? {};
    for (const [name, value] of Object.entries(style)) {
      const problem = styleProblem(name, value);
      if (problem !== undefined) throw new RangeError(problem);
    }
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
      {
        picture,
        facts: runFacts(run),
        link,
        options: { ...options.own, ...(options.style ? { style } : {}) },
        keeping: -1,
      },
    );
    this.#answerer = options.answerer ?? answererOf(run);
    this.#holder = options.holder ?? (() => undefined);
    this.#share = new PictureShare(this.#answerer, share, shareBudget);
    this.#share.onProgress = (part) => {
      // A few times for a bar, not for every answer.
      if (this.#shown && part - this.get("keeping") >= 0.04) this.set({ keeping: part });
    };
    this.handle(ASK, async ({ payload, signal }) => {
      try {
        const question = readAskPayload(payload);
        const answer = await asked(() => this.#answerer.ask(question, signal));
        this.#storeSoon();
        const { json, buffers } = pack(answer);
        return { payload: answerPayload(json), buffers };
      } catch (error) {
        throw asRequestError(error);
      }
    });
    this.#follow(link);
    this.observe("link", (change) => this.#follow(change.new));
    this.on("close", () => {
      this.#following?.();
      this.#collecting?.abort.abort();
      clearTimeout(this.#timer);
    });
  }

  #follow(link: SharedSelection): void {
    this.#following?.();
    // Weakly: a run has one selection for all its pictures, those too that nobody sees any more.
    this.#following = hear<Picture, Selection>(
      this,
      link,
      (listener) => link.on("select", listener),
      Picture.#selected,
    );
  }

  static #selected(picture: Picture, selection: Selection): void {
    picture.emit("select", selection);
    picture.#storeSoon();
  }

  /** What is selected; shared with the other pictures of the run. */
  get selection(): Selection {
    return this.get("link").value;
  }

  /** Changes parts of the selection; every linked picture follows. */
  select(change: SelectionChange): void {
    this.get("link").select(change);
  }

  /** Follows another picture's selection from now on. */
  linkTo(other: Picture): void {
    this.set({ link: other.get("link") });
  }

  /** Computes what the first view needs: the predictions. Showing a picture does it by itself. */
  prepare(): Promise<void> {
    return (this.#prepared ??= (async () => {
      const predictions = await predictionsOf(
        this.run,
        this.run.tokens.length - 1,
        Math.min(10, this.run.model.info.dVocab),
      );
      this.set({ facts: runFacts(this.run, predictions) });
    })());
  }

  override async [JUPYTER_DISPLAY](): Promise<MimeBundle> {
    await this.prepare();
    if (!this.#stored) await this.#share.begin(this.#input, this.#signal);
    return this.#bundle(this.#stored ?? (await this.#share.payload(this.#input)));
  }

  /** Under which the notebook keeps its output. */
  get [DISPLAY_ID](): string {
    return this.#holder()?.displayId ?? `lm-transparency-${this.modelId}`;
  }

  /** Collects what the notebook keeps and puts it into the display. */
  async [DISPLAYED](): Promise<void> {
    this.#shown = true;
    if (this.#share.level === "none") return;
    const done = this.#store();
    // With a page open the cell is done when the picture is there; the page says how far collecting is.
    if (!frontEndSeen()) return done;
    done.catch((error: unknown) => commHost().showError(error));
  }

  /**
   * What an output keeps of it, for one that shows it among others: its data, and what stands there without them.
   *
   * @internal
   */
  async kept(): Promise<{ readonly payload: Payload; readonly html: string }> {
    await this.prepare();
    if (!this.#stored) await this.#share.begin(this.#input, this.#signal);
    const payload = this.#stored ?? (await this.#share.payload(this.#input));
    const graphs = await this.graphs();
    return { payload, html: staticHtml(graphs[0], this.get("facts"), this.selection, staticSvg(graphs)) };
  }

  /**
   * Begins to collect what the notebook keeps; where no page is open, resolves when that is done.
   *
   * @internal
   */
  async collected(): Promise<void> {
    if (this.#share.level === "none") return;
    const done = this.#store();
    if (!frontEndSeen()) return done;
    done.catch((error: unknown) => commHost().showError(error));
  }

  /**
   * Calls `changed` when it keeps something else, until the returned function is called: it stands in another output.
   *
   * @internal
   */
  holdIn(changed: () => void): () => void {
    this.#holding.add(changed);
    return () => {
      this.#holding.delete(changed);
      if (this.#holding.size === 0 && !this.#shown) this[GONE]();
    };
  }

  /** Nobody sees what would be collected. Shown again, it is collected again. */
  [GONE](): void {
    this.#shown = false;
    if (this.#holding.size > 0) return;
    this.#collecting?.abort.abort();
    clearTimeout(this.#timer);
    collectSoon();
  }

  /**
   * Saves the picture. What is written follows the file's ending:
   *
   * - `.html`: the picture with all that `share` keeps, which needs nothing else: no kernel, no network
   * - `.svg`: a graph as a still picture; maps as a page shows them now
   * - `.png`, `.csv`: the picture, or its table, as a page shows it now; some page has to show it
   *
   * @param file path of the file, relative to the working directory; replaced where it exists
   * @param options `part`: of a graph with its detail, an Explorer or a comparison (there of the first run) only this,
   *   as a page shows it
   */
  async save(file: string, { part }: SaveOptions = {}): Promise<void> {
    const ending = extname(file).toLowerCase();
    if (part !== undefined) {
      checkOneOf("part", part, PICTURE_PARTS);
      if (![".svg", ".png", ".csv"].includes(ending))
        throw new RangeError(
          `${JSON.stringify(file)} has to end in .svg, .png or .csv: a part of a picture is saved as one of these.`,
        );
      return writeFileAtomically(file, await this.#shownAs(ending.slice(1), part));
    }
    if (ending === ".png" || ending === ".csv") return writeFileAtomically(file, await this.#shownAs(ending.slice(1)));
    if (ending === ".svg") {
      if (!describePicture(this.get("picture")).graph) return writeFileAtomically(file, await this.#shownAs("svg"));
      return writeFileAtomically(file, staticSvg(await this.graphs()));
    }
    if (ending !== ".html" && ending !== ".htm")
      throw new RangeError(`${JSON.stringify(file)} has to end in .html, .svg, .png or .csv: that says what is saved.`);
    await this.prepare();
    await this.#share.collect(this.#input, this.#signal);
    const payload = await this.#share.payload({ ...this.#input, widget: undefined });
    await savePicture(file, {
      title: this.toString(),
      payload,
      html: (await this.#bundle(payload))["text/html"] as string,
    });
  }

  /** The file that a page makes of the picture. */
  async #shownAs(format: string, part?: PicturePart): Promise<DataView> {
    try {
      const { buffers } = await this.request(
        EXPORT,
        { format, ...(part === undefined ? {} : { part }) },
        { timeout: EXPORT_MS },
      );
      return buffers[0];
    } catch (error) {
      if (!(error instanceof RequestError) || (error.code !== "timeout" && error.code !== "headless")) throw error;
      throw new RequestError(
        error.code,
        `A .${format} is made by a page that shows the picture, and none does: show it in a cell first, or save it as .html.`,
      );
    }
  }

  /** What a still picture draws, from left to right. */
  protected async graphs(): Promise<readonly RouteGraph[]> {
    return [await selectedRoutes(this.run, this.selection)];
  }

  get #input(): ShareInput {
    const { picture, facts, options, link } = {
      picture: this.get("picture"),
      facts: this.get("facts"),
      options: this.get("options"),
      link: this.get("link"),
    };
    return {
      picture,
      facts,
      options,
      selection: this.selection,
      widget: this.#holder()?.modelId ?? this.modelId,
      link: link.modelId,
    };
  }

  get #signal(): AbortSignal {
    return commHost().cell?.signal ?? new AbortController().signal;
  }

  async #bundle(payload: Payload): Promise<MimeBundle> {
    const { [WIDGET_VIEW]: view, ...plain } = await super[JUPYTER_DISPLAY]();
    const graphs = await this.graphs();
    const svg = staticSvg(graphs);
    return {
      ...plain,
      // Everywhere else it would hide what still works when the kernel is gone.
      ...(inVsCode() ? { [WIDGET_VIEW]: view } : {}),
      "text/plain": this.toString(),
      [PAYLOAD_MIME]: payload,
      "text/html": staticHtml(graphs[0], this.get("facts"), this.selection, svg),
      "image/svg+xml": svg,
      "application/pdf": staticPdf(graphs).toString("base64"),
    };
  }

  /** Clicks go into the notebook some time after the last one. */
  #storeSoon(): void {
    if ((!this.#shown && this.#holding.size === 0) || this.#share.level === "none" || this.closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#store().catch((error: unknown) => commHost().showError(error));
    }, CLICK_MS);
    this.#timer.unref();
  }

  /** Collects and updates the display. A new call ends the one before. */
  #store(): Promise<void> {
    this.#collecting?.abort.abort();
    const abort = new AbortController();
    const { signal, release } = follow(abort.signal, this.#signal);
    const before = this.#collecting?.done.catch(() => undefined);
    const done = (async () => {
      await before;
      await this.#share.collect(this.#input, signal);
      if (frontEndSeen()) await quiet(signal).catch(() => undefined);
      // Interrupted by a new selection, what was collected is stored with that one.
      if (abort.signal.aborted || this.closed) return;
      const payload = await this.#share.payload(this.#input);
      if (payload.data === this.#stored?.data) return;
      this.#stored = payload;
      for (const changed of this.#holding) changed();
      if (this.#shown) commHost().updateDisplay(this[DISPLAY_ID], await this.#bundle(payload));
    })().finally(() => {
      release();
      if (!abort.signal.aborted && !this.closed && this.get("keeping") !== -1) this.set({ keeping: -1 });
    });
    this.#collecting = { abort, done };
    return done;
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
  if (error instanceof Error && error.name === "AbortError")
    return new RequestError("cancelled", "The question was withdrawn.");
  return new RequestError("failed", error instanceof Error ? error.message : String(error));
}
