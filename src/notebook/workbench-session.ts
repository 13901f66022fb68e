import { RequestError, Widget } from "../jupyter/ipywidgets/widget";
import type { ConfiguredModel, ExplorerSettings } from "../config";
import { readConfig, readDataset } from "../config";
import { checkDtype, DTYPES } from "../model/check";
import type { Progress, Run, TransparentModel } from "../model/types";
import type { Choice, ControlChoices, ControlCurrent, ControlStatus, GraphSettings, ModelCard } from "../protocol";
import {
  CHOOSE,
  OPEN_DATASET,
  promptLength,
  PROTOCOL_VERSION,
  readChoosePayload,
  readDatasetPayload,
  STOP,
  WIDGET_MODULE,
} from "../protocol";
import { loadModel } from "../runtime/load";
import { availableDevices, unavailableDevices } from "../engine/devices";
import { commHost, DISPLAYED, GONE } from "../jupyter/comm-host";
import { Picture } from "./picture";
import type { PictureHolder } from "./picture";
import { PACKAGE_VERSION } from "./version";

interface SessionState {
  choices: ControlChoices;
  current: ControlCurrent;
  status: ControlStatus;
  /** The picture of the run that is looked at. */
  picture: Picture | null;
}

interface SessionEvents {
  /** A model was loaded. */
  model: TransparentModel;
  /** A prompt went through the model. */
  run: Run;
}

/** Where progress is told at most this often, in milliseconds. */
const PROGRESS_INTERVAL = 100;

const cardOf = ({ info }: TransparentModel): ModelCard => ({
  name: info.name,
  family: info.family,
  nParams: info.nParams,
  nLayers: info.nLayers,
  nHeads: info.nHeads,
  nKeyValueHeads: info.nKeyValueHeads,
  dModel: info.dModel,
  dFfn: info.dFfn,
  dVocab: info.dVocab,
  device: info.device,
  dtype: info.dtype,
});

/**
 * One model, one prompt and the picture of them, chosen by controls: what `ModelPanel`, `PromptBar` and `Workbench`
 * share. It has no view. A newer choice ends the work for an older one. What it loaded itself it disposes of when
 * another model takes its place.
 */
export class WorkbenchSession extends Widget<SessionState, SessionEvents> {
  readonly #settings: ExplorerSettings;
  readonly #given: TransparentModel | undefined;
  #graph: GraphSettings;
  #model: { readonly value: TransparentModel; readonly key: string } | undefined;
  #run: Run | undefined;
  /** The user holds the run: it is not ours to dispose of any more. */
  #taken = false;
  #task: AbortController | undefined;
  #work: Promise<void> = Promise.resolve();
  #started = false;
  #holder: PictureHolder | undefined;

  /**
   * @param source a loaded model, which is then the only one; or a configuration (`loadConfig`, `readConfig`).
   * @param options.prompts instead of the configuration's.
   */
  constructor(
    source: TransparentModel | ExplorerSettings = readConfig({}),
    options: { readonly prompts?: readonly string[] } = {},
  ) {
    const given = "info" in source ? source : undefined;
    const settings = "info" in source ? readConfig({ models: {} }) : source;
    const prompts = options.prompts ?? settings.prompts;
    const graph = { threshold: settings.threshold, renormalize: settings.renormalize, normalize: settings.normalize };
    super(
      {
        modelName: "SessionModel",
        modelModule: WIDGET_MODULE,
        modelModuleVersion: PACKAGE_VERSION,
        viewName: null,
        viewModule: WIDGET_MODULE,
        viewModuleVersion: PACKAGE_VERSION,
        references: ["picture"],
      },
      {
        choices: {
          protocol: PROTOCOL_VERSION,
          models: given ? [given.info.name] : settings.models.map(({ name }) => name),
          devices: given ? [given.info.device] : [...new Set(["auto", "cpu", "gpu", settings.device])],
          dtypes: given ? [given.info.dtype] : DTYPES,
          unavailable: {},
          prompts,
          dataset: options.prompts ? "" : settings.dataset,
          ownModels: !given && !settings.demo,
          ownPrompts: !settings.demo,
          datasets: settings.allowDatasets,
          maxPromptLength: settings.maxPromptLength,
          debug: settings.debug,
          settings: graph,
        },
        current: {
          model: given ? given.info.name : settings.defaultModel,
          device: given ? given.info.device : settings.device,
          dtype: given ? given.info.dtype : settings.dtype,
          // As in the published tool the last one is the first to be looked at.
          prompt: prompts[prompts.length - 1] ?? "",
          card: given ? cardOf(given) : null,
          loadTime: null,
          runTime: null,
        },
        status: { phase: "idle" },
        picture: null,
      },
    );
    this.#settings = settings;
    this.#given = given;
    this.#graph = graph;
    if (given) this.#model = { value: given, key: "" };
    this.handle(CHOOSE, ({ payload }) => {
      const choice = readChoosePayload(payload);
      this.#check(choice);
      this.#begin(choice);
    });
    this.handle(OPEN_DATASET, ({ payload }) => this.openDataset(readDatasetPayload(payload)));
    this.handle(STOP, () => this.stop());
    this.on("close", () => void this.#end());
  }

  /** The model, once one is loaded. */
  get model(): TransparentModel | undefined {
    return this.#model?.value;
  }

  /** The run that is looked at. Whoever asks for it keeps it: it stays usable when another prompt is chosen. */
  get run(): Run | undefined {
    this.#taken = true;
    return this.#run;
  }

  /** The picture of the run that was chosen last; undefined before there is one. */
  get picture(): Picture | undefined {
    return this.get("picture") ?? undefined;
  }

  /** The configuration, defaults filled in. */
  get settings(): ExplorerSettings {
    return this.#settings;
  }

  /** Loads and runs what is chosen at first, once. Does not wait for it. */
  start(): void {
    if (!this.#given) void this.#tryDevices();
    if (this.#started) return;
    this.#begin({});
  }

  #tried = false;

  /** Finds out which of the devices on offer this machine has. */
  async #tryDevices(): Promise<void> {
    if (this.#tried) return;
    this.#tried = true;
    const reports = await availableDevices();
    // Should the trial itself fail, all stay on offer: loading says what is wrong.
    if (reports.length === 0 || this.closed) return;
    const choices = this.get("choices");
    this.set({ choices: { ...choices, unavailable: unavailableDevices(choices.devices, reports) } });
  }

  /** From now on pictures stand in this widget's display, which holds what a notebook keeps of them. */
  showIn(holder: PictureHolder): void {
    this.#holder = holder;
  }

  /** Resolves when nothing is under way any more. Errors are in the state, not here. */
  async settled(): Promise<void> {
    for (let work; work !== this.#work;) await (work = this.#work);
  }

  /**
   * Chooses a model, device, precision or prompt, and resolves with the run when it is there (undefined where no prompt
   * or no model is chosen). Rejects with a `RequestError` for what cannot be chosen, and with one sentence where
   * loading or running fails.
   */
  async choose(choice: Choice): Promise<Run | undefined> {
    this.#check(choice);
    this.#begin(choice);
    await this.settled();
    const status = this.get("status");
    if (status.phase === "error") throw new RequestError("failed", status.message);
    return this.run;
  }

  /** Ends what is under way. */
  stop(): void {
    this.#task?.abort();
  }

  /** Takes the prompts of another file. Throws a `RequestError` where that is not allowed or not possible. */
  openDataset(file: string): void {
    if (!this.get("choices").datasets)
      throw new RequestError("range", "The configuration does not allow other files of prompts.");
    let dataset;
    try {
      dataset = readDataset(file, this.#settings.folders);
    } catch (error) {
      throw new RequestError("range", (error as Error).message);
    }
    this.set({ choices: { ...this.get("choices"), prompts: dataset.prompts, dataset: dataset.path } });
    this.#begin({ prompt: dataset.prompts[dataset.prompts.length - 1] });
  }

  #check(choice: Choice): void {
    const { models, prompts, devices, dtypes, ownModels, ownPrompts, maxPromptLength } = this.get("choices");
    const { model, prompt, device, dtype } = choice;
    if (model !== undefined && model !== "" && !ownModels && !models.includes(model)) {
      throw new RequestError(
        "range",
        `There is no model ${JSON.stringify(model)} here; there are ${models.map((name) => JSON.stringify(name)).join(", ") || "none"}.`,
      );
    }
    for (const [name, value, allowed] of [
      ["device", device, devices],
      ["dtype", dtype, dtypes],
    ] as const) {
      // A device by the name of an execution provider is for the engine to judge.
      if (value !== undefined && !allowed.includes(value) && (name === "dtype" || this.#given !== undefined)) {
        throw new RequestError(
          "range",
          `${name} is ${JSON.stringify(value)}, but has to be one of ${allowed.map((item) => JSON.stringify(item)).join(", ")}.`,
        );
      }
    }
    if (prompt === undefined || prompts.includes(prompt)) return;
    if (!ownPrompts)
      throw new RequestError("range", "Only the prompts of the configuration can be chosen here (demo_mode).");
    if (prompt === "") throw new RequestError("range", "The prompt is empty: type some text.");
    const length = promptLength(prompt);
    if (maxPromptLength !== null && length > maxPromptLength) {
      throw new RequestError(
        "range",
        `The prompt has ${length} characters; the configuration allows ${maxPromptLength} (max_user_string_length).`,
      );
    }
  }

  /** Starts the work for a choice, after what is under way was told to end. */
  #begin(choice: Choice): void {
    this.#started = true;
    const { settings, ...chosen } = choice;
    if (settings) this.#graph = settings;
    const choices = this.get("choices");
    if (chosen.prompt !== undefined && !choices.prompts.includes(chosen.prompt)) {
      this.set({ choices: { ...choices, prompts: [...choices.prompts, chosen.prompt] } });
    }
    this.set({ current: { ...this.get("current"), ...chosen } });
    this.#task?.abort();
    const task = (this.#task = new AbortController());
    const before = this.#work;
    this.#work = before.then(() => this.#do(task.signal));
  }

  async #do(signal: AbortSignal): Promise<void> {
    if (this.closed) return;
    try {
      signal.throwIfAborted();
      const model = await this.#load(signal);
      const { prompt } = this.get("current");
      if (model && prompt !== "") await this.#look(model, prompt, signal);
      this.set({ status: { phase: "idle" } });
    } catch (error) {
      if (this.closed) return;
      // An older choice's end is no news where a newer one is at work.
      if (signal.aborted) {
        if (this.#task?.signal === signal) this.set({ status: { phase: "error", message: "Stopped.", retry: true } });
      } else
        this.set({
          status: { phase: "error", message: error instanceof Error ? error.message : String(error), retry: true },
        });
    }
  }

  /** The chosen model, loaded where another one is; undefined where none is chosen. */
  async #load(signal: AbortSignal): Promise<TransparentModel | undefined> {
    const { model: name, device, dtype } = this.get("current");
    if (this.#given) return this.#given;
    const key = JSON.stringify([name, device, dtype]);
    if (this.#model?.key === key) return this.#model.value;
    // Two models at once may be more than the memory holds.
    await this.#drop();
    if (name === "") return undefined;
    const begun = performance.now();
    const configured: ConfiguredModel | undefined = this.#settings.models.find((item) => item.name === name);
    this.#progress("loading", { stage: "load", done: 0, unit: "" }, true);
    const value = await loadModel(configured?.source ?? name, {
      device,
      dtype: checkDtype(dtype),
      signal,
      onProgress: (progress) => this.#progress("loading", progress),
    });
    if (signal.aborted || this.closed) {
      await value.dispose();
      signal.throwIfAborted();
      return undefined;
    }
    this.#model = { value, key };
    this.set({ current: { ...this.get("current"), card: cardOf(value), loadTime: performance.now() - begun } });
    this.emit("model", value);
    return value;
  }

  async #look(model: TransparentModel, prompt: string, signal: AbortSignal): Promise<void> {
    const begun = performance.now();
    this.#progress("running", { stage: "forward", done: 0, unit: "" }, true);
    const run = await model.run(prompt, { signal, onProgress: (progress) => this.#progress("running", progress) });
    const selection = this.picture?.selection;
    const { threshold, budget, renormalize, normalize } = selection ?? this.#graph;
    const picture = new Picture(run, "explorer", {
      selection: { threshold, budget: budget ?? null, renormalize, normalize },
      share: this.#settings.share,
      holder: () => this.#holder,
    });
    try {
      await picture.prepare();
      signal.throwIfAborted();
    } catch (error) {
      picture.close();
      await run.dispose();
      throw error;
    }
    const before = { picture: this.picture, run: this.#taken ? undefined : this.#run };
    this.#run = run;
    this.#taken = false;
    this.set({
      picture,
      status: { phase: "idle" },
      current: { ...this.get("current"), runTime: performance.now() - begun },
    });
    this.flush();
    before.picture?.close();
    await before.run?.dispose();
    this.emit("run", run);
    // Puts it into the display, should the cell have ended before it was there.
    if (this.#holder && this.#displayed) picture[DISPLAYED]().catch((error: unknown) => commHost().showError(error));
  }

  /** Frees the run and the model that are looked at, as far as they are ours. */
  async #drop(): Promise<void> {
    const { picture } = this;
    const run = this.#taken ? undefined : this.#run;
    const model = this.#model;
    if (picture) {
      const { threshold, budget, renormalize, normalize } = picture.selection;
      this.#graph = { threshold, budget, renormalize, normalize };
    }
    this.#run = this.#model = undefined;
    this.#taken = false;
    if (!this.closed)
      this.set({ picture: null, current: { ...this.get("current"), card: null, loadTime: null, runTime: null } });
    this.flush();
    picture?.close();
    await run?.dispose();
    if (model && model.value !== this.#given) await model.value.dispose();
  }

  async #end(): Promise<void> {
    this.#task?.abort();
    await this.#work;
    await this.#drop();
  }

  #displayed = false;

  /** Called when the holder was displayed. */
  async displayed(): Promise<void> {
    this.#displayed = true;
    await this.picture?.[DISPLAYED]();
  }

  /** Called when the holder's output is gone. */
  gone(): void {
    this.#displayed = false;
    this.picture?.[GONE]();
  }

  #told = 0;

  #progress(phase: "loading" | "running", { stage, done, total, unit }: Progress, always = false): void {
    const now = performance.now();
    if (!always && now - this.#told < PROGRESS_INTERVAL && done !== total) return;
    this.#told = now;
    if (!this.closed) this.set({ status: { phase, stage, done, total: total ?? null, unit } });
  }
}

/** @deprecated Use {@link WorkbenchSession}. */
export const ExploreSession = WorkbenchSession;
/** @deprecated Use {@link WorkbenchSession}. */
export type ExploreSession = WorkbenchSession;
