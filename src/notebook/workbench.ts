import type { LastingDisplayable, MimeBundle } from "../jupyter/comm-host";
import { DISPLAY_ID, DISPLAYED, GONE, JUPYTER_DISPLAY } from "../jupyter/comm-host";
import { frontEndSeen } from "../jupyter/ipywidgets/registry";
import { hear, Widget, WIDGET_VIEW } from "../jupyter/ipywidgets/widget";
import type { ExplorerConfig, ExplorerSettings } from "../config";
import { loadConfig, readConfig } from "../config";
import type { Run, TransparentModel } from "../model/types";
import type { Choice, Selection } from "../protocol";
import { visibleText, WIDGET_MODULE } from "../protocol";
import type { Payload } from "../payload/format";
import { PAYLOAD_MIME, PAYLOAD_VERSION } from "../payload/format";
import type { Picture, SaveOptions } from "./picture";
import { inVsCode } from "./picture";
import { WorkbenchSession } from "./workbench-session";
import { escapeXml } from "../export/xml";
import { PACKAGE_VERSION } from "./version";

/** Parts of the controls: each is an element, and a class here. */
export type ControlPart = "model-panel" | "prompt-bar" | "explore";

interface ControlState {
  session: WorkbenchSession;
  part: ControlPart;
}

interface ControlEvents {
  model: TransparentModel;
  run: Run;
  select: Selection;
}

/** Prompts of one's own. */
export interface WorkbenchOptions {
  /** Prompts to choose from, instead of the configuration's; the last one is looked at first. */
  readonly prompts?: readonly string[];
  /** One prompt; the same as `prompts: [prompt]`. */
  readonly prompt?: string;
}

/**
 * Where the controls' model comes from: a loaded model, a name for `loadModel`, a configuration or the `.json` file of
 * one, or other controls to share with.
 */
export type WorkbenchSource =
  TransparentModel | string | ExplorerConfig | ExplorerSettings | WorkbenchSession | SessionControl;

function sessionOf(source: WorkbenchSource | undefined, options: WorkbenchOptions): WorkbenchSession {
  const prompts = options.prompts ?? (options.prompt === undefined ? undefined : [options.prompt]);
  if (source instanceof WorkbenchSession) return source;
  if (source instanceof SessionControl) return source.session;
  if (source === undefined) return new WorkbenchSession(undefined, { prompts });
  if (typeof source === "string") {
    const settings = source.endsWith(".json")
      ? loadConfig(source)
      : readConfig({ models: { [source]: null }, default_model: source });
    return new WorkbenchSession(settings, { prompts });
  }
  if (typeof source !== "object" || source === null)
    throw new TypeError("workbench() takes a loaded model, a model's name, a configuration or the .json file of one.");
  if ("info" in source) return new WorkbenchSession(source, { prompts });
  return new WorkbenchSession("maxPromptLength" in source ? source : readConfig(source), {
    prompts,
  });
}

const tell =
  (what: "model" | "run" | "select" | "picture") =>
  (control: SessionControl, detail: unknown): void =>
    control.heard(what, detail as never);
/** Made outside of the controls, which they must not hold. */
const TELL = { model: tell("model"), run: tell("run"), select: tell("select"), picture: tell("picture") };

/** A control of a session, shown alone. Several of one session follow each other. */
export class SessionControl extends Widget<ControlState, ControlEvents> {
  #following: (() => void) | undefined;

  constructor(part: ControlPart, source?: WorkbenchSource, options: WorkbenchOptions = {}) {
    super(
      {
        modelName: "ControlModel",
        modelModule: WIDGET_MODULE,
        modelModuleVersion: PACKAGE_VERSION,
        viewName: "ControlView",
        viewModule: WIDGET_MODULE,
        viewModuleVersion: PACKAGE_VERSION,
        references: ["session"],
      },
      { session: sessionOf(source, options), part },
    );
    const { session } = this;
    // Weakly: controls that nobody sees any more may share their session with others.
    const ended = [
      hear<SessionControl, TransparentModel>(this, session, (listener) => session.on("model", listener), TELL.model),
      hear<SessionControl, Run>(this, session, (listener) => session.on("run", listener), TELL.run),
      hear<SessionControl, { readonly new: Picture | null }>(
        this,
        session,
        (listener) => session.observe("picture", listener),
        TELL.picture,
      ),
    ];
    this.on("close", () => {
      for (const end of ended) end();
      this.#following?.();
    });
  }

  #follow(picture: Picture | null): void {
    this.#following?.();
    this.#following =
      picture === null
        ? undefined
        : hear<SessionControl, Selection>(this, picture, (listener) => picture.on("select", listener), TELL.select);
  }

  /** What `TELL` passes on. */
  heard(what: "model" | "run" | "select" | "picture", detail: never): void {
    if (what === "picture") this.#follow((detail as { readonly new: Picture | null }).new);
    else this.emit(what, detail);
  }

  /** What the controls share. */
  get session(): WorkbenchSession {
    return this.get("session");
  }

  /** The loaded model; undefined while none is. */
  get model(): TransparentModel | undefined {
    return this.session.model;
  }

  /** The run that is looked at; undefined while there is none. */
  get run(): Run | undefined {
    return this.session.run;
  }

  /** What is selected in the picture; undefined while there is none. */
  get selection(): Selection | undefined {
    return this.session.picture?.selection;
  }

  /** Changes parts of the selection. Throws where nothing is shown yet. */
  select(change: Partial<Selection>): void {
    const { picture } = this.session;
    if (!picture) throw new Error("There is no picture yet to select in: await choose({ prompt }) first.");
    picture.select(change);
  }

  /** Chooses a model, device, precision or prompt as the controls do; resolves with the run. */
  choose(choice: Choice): Promise<Run | undefined> {
    return this.session.choose(choice);
  }

  /** Shows the control, and begins to load what was chosen. */
  override async [JUPYTER_DISPLAY](): Promise<MimeBundle> {
    // Shown at once, with its progress.
    this.session.start();
    const bundle = await super[JUPYTER_DISPLAY]();
    return { ...bundle, "text/plain": this.toString(), "text/html": `<p>${escapeXml(this.toString())}</p>` };
  }

  override toString(): string {
    const { current, status } = this.session.state;
    const name = { "model-panel": "ModelPanel", "prompt-bar": "PromptBar", explore: "Workbench" }[this.get("part")];
    const doing = status.phase === "error" ? `; ${status.message}` : status.phase === "idle" ? "" : `; ${status.phase}`;
    return `${name} of ${current.model || "no model"}${current.prompt ? `, ${JSON.stringify(visibleText(current.prompt).replaceAll("·", " "))}` : ""}${doing}`;
  }
}

/** Model, device and precision. */
export class ModelPanel extends SessionControl {
  constructor(source?: WorkbenchSource, options?: WorkbenchOptions) {
    super("model-panel", source, options);
  }
}

/** Prompts, a prompt of one's own, threshold and normalisation. */
export class PromptBar extends SessionControl {
  constructor(source?: WorkbenchSource, options?: WorkbenchOptions) {
    super("prompt-bar", source, options);
  }
}

/**
 * All controls, and the Explorer of what they chose. A notebook keeps the Explorer's picture as it keeps any other: it
 * can be looked at without a kernel, then without the controls.
 */
export class Workbench extends SessionControl implements LastingDisplayable {
  constructor(source?: WorkbenchSource, options?: WorkbenchOptions) {
    super("explore", source, options);
  }

  /** Under which the notebook keeps its output. */
  get [DISPLAY_ID](): string {
    return `lm-transparency-${this.modelId}`;
  }

  /** Shows the controls, and the picture as soon as there is one. */
  override async [JUPYTER_DISPLAY](): Promise<MimeBundle> {
    this.session.showIn({ modelId: this.modelId, displayId: this[DISPLAY_ID] });
    const bundle = await super[JUPYTER_DISPLAY]();
    // A model that is there already is not worth a first view without a picture.
    if (this.model) await this.session.settled();
    const { picture } = this.session;
    if (picture) return { ...(await picture[JUPYTER_DISPLAY]()), "text/plain": this.toString() };
    // Where the kernel is gone, a widget's view would say "loading" for ever.
    const { [WIDGET_VIEW]: view, ...plain } = bundle;
    return { ...plain, ...(inVsCode() ? { [WIDGET_VIEW]: view } : {}), [PAYLOAD_MIME]: this.#nothingYet };
  }

  /** Puts what the notebook keeps into the display; what is chosen later follows by itself. */
  async [DISPLAYED](): Promise<void> {
    // Without a front end nobody waits for a first view, and what comes after the cell is lost.
    if (!frontEndSeen()) await this.session.settled();
    await this.session.displayed();
  }

  /** Lets go of what only a shown output needs. */
  [GONE](): void {
    this.session.gone();
  }

  /** Saves the picture: see `Picture.save`. Rejects while there is none. */
  async save(file: string, options?: SaveOptions): Promise<void> {
    const { picture } = this.session;
    if (!picture) throw new Error("There is no picture yet to save: await choose({ prompt }) first.");
    await picture.save(file, options);
  }

  get #nothingYet(): Payload {
    return {
      payload: PAYLOAD_VERSION,
      picture: "explorer",
      options: {},
      share: this.session.settings.share,
      widget: this.modelId,
      size: 0,
      data: "",
    };
  }
}

/**
 * The whole tool in a cell: controls for model and prompt, and below them the Explorer of the run.
 *
 * @param source a loaded model; a name for `loadModel`; a configuration, or the path of its `.json` file; or controls
 *   to share with.
 *   Default: the default model and a few prompts.
 * @throws ConfigError where a configuration is wrong.
 */
export function workbench(source?: WorkbenchSource, options?: WorkbenchOptions): Workbench {
  return new Workbench(source, options);
}

/** The choice of model, device and precision alone; arguments as of `workbench`. */
export function modelPanel(source?: WorkbenchSource, options?: WorkbenchOptions): ModelPanel {
  return new ModelPanel(source, options);
}

/** The choice of a prompt, and the routes' threshold, alone; arguments as of `workbench`. */
export function promptBar(source?: WorkbenchSource, options?: WorkbenchOptions): PromptBar {
  return new PromptBar(source, options);
}

/** @deprecated Use {@link Workbench}: its old name was one letter from `Explorer`, the picture in it. */
export const Explore = Workbench;
/** @deprecated Use {@link Workbench}. */
export type Explore = Workbench;
/** @deprecated Use {@link workbench}. */
export const explore = workbench;
