import type { RouteBudget } from "./selection";
import { DEFAULT_THRESHOLD, readBudget } from "./selection";
import { checkVersion, PROTOCOL_VERSION, ProtocolError } from "./version";

/**
 * What the controls around a picture show and send: which model, on which device, in which precision, which prompt. The
 * kernel holds the state (`SessionState`), the controls send what was chosen, and everything that comes of it
 * (progress, errors, a new picture) arrives as state again, in every tab.
 */

/** How the graph is cut and read, before there is a run to share a selection. */
export interface GraphSettings {
  readonly threshold: number;
  /** Null, or missing in what earlier versions wrote: cut by the threshold. */
  readonly budget?: RouteBudget | null;
  readonly renormalize: boolean;
  readonly normalize: boolean;
}

/** What there is to choose from; changes rarely. */
export interface ControlChoices {
  readonly protocol: number;
  /** Names of models. */
  readonly models: readonly string[];
  readonly devices: readonly string[];
  readonly dtypes: readonly string[];
  /** Of these, the ones that cannot be chosen on this machine: name → the sentence of why. */
  readonly unavailable: Readonly<Record<string, string>>;
  /** The first ones come from a file or from code, later ones were typed. */
  readonly prompts: readonly string[];
  /** File that the prompts came from, "" for none. */
  readonly dataset: string;
  /** Whether a model, prompt or file of one's own may be given. */
  readonly ownModels: boolean;
  readonly ownPrompts: boolean;
  readonly datasets: boolean;
  /** In code points; null: no limit. */
  readonly maxPromptLength: number | null;
  /** Show how long things took. */
  readonly debug: boolean;
  readonly settings: GraphSettings;
}

/** Facts of a loaded model for people. */
export interface ModelCard {
  readonly name: string;
  readonly family: string;
  readonly nParams: number;
  readonly nLayers: number;
  readonly nHeads: number;
  readonly nKeyValueHeads: number;
  readonly dModel: number;
  readonly dFfn: number;
  readonly dVocab: number;
  readonly device: string;
  readonly dtype: string;
}

/** What is chosen, and the model that came of it. */
export interface ControlCurrent {
  /** "" where none is. */
  readonly model: string;
  readonly device: string;
  readonly dtype: string;
  readonly prompt: string;
  /** null until the model is loaded. */
  readonly card: ModelCard | null;
  /** Milliseconds of the last load and run; null where there was none. */
  readonly loadTime: number | null;
  readonly runTime: number | null;
}

export type ControlStatus =
  | { readonly phase: "idle" }
  /** `stage` as the model says it; `total` null where unknown. */
  | {
      readonly phase: "loading" | "running";
      readonly stage: string;
      readonly done: number;
      readonly total: number | null;
      readonly unit: string;
    }
  /** One sentence; trying again is offered where it can help. */
  | { readonly phase: "error"; readonly message: string; readonly retry: boolean };

/** Kinds of requests. All are answered at once; what comes of them arrives as state. */
export const CHOOSE = "choose";
export const OPEN_DATASET = "dataset";
export const STOP = "stop";

/** Payload of a "choose": what is left out stays; without any change what failed is tried again. */
export interface Choice {
  readonly model?: string;
  readonly device?: string;
  readonly dtype?: string;
  readonly prompt?: string;
  /** How the next run's picture is cut at first. */
  readonly settings?: GraphSettings;
}

export const choosePayload = (choice: Choice): { readonly protocol: number; readonly choice: Choice } => ({
  protocol: PROTOCOL_VERSION,
  choice,
});
export const datasetPayload = (file: string): { readonly protocol: number; readonly file: string } => ({
  protocol: PROTOCOL_VERSION,
  file,
});

const object = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value : 0);
const numberOrNull = (value: unknown): number | null =>
  typeof value === "number" && Number.isFinite(value) ? value : null;
const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];

function readSettings(value: unknown): GraphSettings {
  const { threshold, budget, renormalize, normalize } = object(value);
  return {
    budget: readBudget(budget ?? null) ?? null,
    threshold: typeof threshold === "number" && threshold >= 0 && threshold <= 1 ? threshold : DEFAULT_THRESHOLD,
    renormalize: renormalize !== false,
    normalize: normalize !== false,
  };
}

/** Reads a "choose". Throws a `ProtocolError`. */
export function readChoosePayload(value: unknown): Choice {
  const payload = object(value);
  checkVersion(payload.protocol, "A choice from the controls");
  const given = object(payload.choice);
  const choice: Record<string, unknown> = {};
  for (const name of ["model", "device", "dtype", "prompt"] as const) {
    if (given[name] === undefined) continue;
    if (typeof given[name] !== "string")
      throw new ProtocolError(
        "malformed",
        `In a choice, ${name} has to be a text, not ${JSON.stringify(given[name])}.`,
      );
    choice[name] = given[name];
  }
  if (given.settings !== undefined) choice.settings = readSettings(given.settings);
  return choice;
}

/** Reads the file's name of a "dataset". Throws a `ProtocolError`. */
export function readDatasetPayload(value: unknown): string {
  const payload = object(value);
  checkVersion(payload.protocol, "A choice from the controls");
  if (typeof payload.file !== "string" || payload.file.trim() === "")
    throw new ProtocolError("malformed", "A file of prompts needs a name.");
  return payload.file;
}

/** Reads choices that came over the wire. Throws a `ProtocolError` for another version's. */
export function readChoices(value: unknown): ControlChoices {
  const given = object(value);
  checkVersion(given.protocol, "This output");
  return {
    protocol: PROTOCOL_VERSION,
    models: texts(given.models),
    devices: texts(given.devices),
    dtypes: texts(given.dtypes),
    unavailable: Object.fromEntries(
      Object.entries(object(given.unavailable)).filter(
        (entry): entry is [string, string] => typeof entry[1] === "string",
      ),
    ),
    prompts: texts(given.prompts),
    dataset: text(given.dataset),
    ownModels: given.ownModels === true,
    ownPrompts: given.ownPrompts === true,
    datasets: given.datasets === true,
    maxPromptLength: numberOrNull(given.maxPromptLength),
    debug: given.debug === true,
    settings: readSettings(given.settings),
  };
}

export function readCurrent(value: unknown): ControlCurrent {
  const given = object(value);
  const card = given.card === null || given.card === undefined ? null : object(given.card);
  return {
    model: text(given.model),
    device: text(given.device),
    dtype: text(given.dtype),
    prompt: text(given.prompt),
    card: card && {
      name: text(card.name),
      family: text(card.family),
      nParams: number(card.nParams),
      nLayers: number(card.nLayers),
      nHeads: number(card.nHeads),
      nKeyValueHeads: number(card.nKeyValueHeads),
      dModel: number(card.dModel),
      dFfn: number(card.dFfn),
      dVocab: number(card.dVocab),
      device: text(card.device),
      dtype: text(card.dtype),
    },
    loadTime: numberOrNull(given.loadTime),
    runTime: numberOrNull(given.runTime),
  };
}

export function readStatus(value: unknown): ControlStatus {
  const given = object(value);
  switch (given.phase) {
    case "loading":
    case "running":
      return {
        phase: given.phase,
        stage: text(given.stage),
        done: number(given.done),
        total: numberOrNull(given.total),
        unit: text(given.unit),
      };
    case "error":
      return {
        phase: "error",
        message: text(given.message) || "Something failed, and no reason was given.",
        retry: given.retry === true,
      };
    default:
      return { phase: "idle" };
  }
}

/** Length of a prompt as limits count it: in code points. */
export function promptLength(prompt: string): number {
  return [...prompt].length;
}
