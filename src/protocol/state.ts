import { parseNode } from "../model/names";
import type { WireToken } from "./questions";
import { initialSelection, readSelection } from "./selection";
import type { Selection } from "./selection";
import { checkVersion, ProtocolError, shown } from "./version";
import type { PictureName } from "./pictures";

/** Module under which the front end registers models and views; equal to the npm package's name. */
export const WIDGET_MODULE = "lm-transparency";

/** Facts about the model that pictures need; the fields of `ModelInfo` by the same names. */
export interface ModelFacts {
  readonly name: string;
  readonly family: string;
  readonly nLayers: number;
  readonly nHeads: number;
  readonly dFfn: number;
  readonly parallelBlocks: boolean;
  readonly device: string;
  readonly dtype: string;
  /** What `loadModel` was given; "" for nothing. Missing for models of one's own and in older outputs. */
  readonly source?: string;
}

/** A prediction of the next token. */
export interface WirePrediction extends WireToken {
  readonly logit: number;
  readonly probability: number;
}

/** What is known of a run before anything is asked. */
export interface RunFacts {
  readonly protocol: number;
  readonly model: ModelFacts;
  readonly tokens: readonly WireToken[];
  /** Most likely tokens after the last one, best first. */
  readonly predictions: readonly WirePrediction[];
  /** Nothing can be removed: the runs of this model are not changed. Left out where they are. */
  readonly unchangeable?: true;
}

/**
 * Prompts longer than this are not drawn: a picture of more columns tells nothing, and a hostile one would hang the
 * page.
 */
export const MAX_TOKENS = 4096;
const MAX_LAYERS = 1024;

/** Reads a run's facts that came over the wire or out of a stored notebook. Throws a `ProtocolError`. */
export function readRunFacts(value: unknown): RunFacts {
  const facts = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  checkVersion(facts.protocol, "This output");
  const model = (facts.model ?? {}) as Record<string, unknown>;
  for (const name of ["nLayers", "nHeads", "dFfn"] as const) {
    const n = model[name];
    if (!Number.isSafeInteger(n) || (n as number) < 0 || (name === "nLayers" && (n as number) > MAX_LAYERS)) {
      throw new ProtocolError(
        "malformed",
        `This output says that its model has ${name} = ${shown(n)}, which cannot be drawn.`,
      );
    }
  }
  if (!Array.isArray(facts.tokens) || facts.tokens.length === 0 || facts.tokens.length > MAX_TOKENS) {
    throw new ProtocolError("malformed", `This output does not hold between 1 and ${MAX_TOKENS} tokens.`);
  }
  const text = (v: unknown): string => (typeof v === "string" ? v : "");
  const number = (v: unknown): number => (typeof v === "number" && Number.isFinite(v) ? v : 0);
  const token = (v: unknown): WireToken => {
    const t = (typeof v === "object" && v !== null ? v : {}) as Record<string, unknown>;
    return { id: number(t.id), text: text(t.text) };
  };
  return {
    protocol: facts.protocol as number,
    model: {
      name: text(model.name),
      family: text(model.family),
      nLayers: model.nLayers as number,
      nHeads: model.nHeads as number,
      dFfn: model.dFfn as number,
      parallelBlocks: model.parallelBlocks === true,
      device: text(model.device),
      dtype: text(model.dtype),
      ...(typeof model.source === "string" ? { source: model.source.slice(0, 500) } : {}),
    },
    tokens: facts.tokens.map(token),
    predictions: (Array.isArray(facts.predictions) ? facts.predictions.slice(0, 100) : []).map((v) => {
      const p = v as Record<string, unknown>;
      return { ...token(p), logit: number(p?.logit), probability: number(p?.probability) };
    }),
    ...(facts.unchangeable === true ? { unchangeable: true as const } : {}),
  };
}

/** State of every picture's widget, besides ipywidgets' own. */
export interface PictureState {
  readonly picture: PictureName;
  readonly facts: RunFacts;
  readonly selection: Selection & { readonly writer: string };
  /** Options of this picture alone, by name. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** A selection within `facts`: the start is a token that exists. */
export function selectionFor(facts: RunFacts, value: unknown): Selection {
  const initial = initialSelection(facts.tokens.length);
  const selection = readSelection(value, initial);
  const origin = selection.origin === null ? undefined : parseNode(selection.origin);
  const there = origin && origin.layer < facts.model.nLayers && origin.position < facts.tokens.length;
  const { contrast, secondContrast } = selection;
  return {
    ...selection,
    start: there ? origin.position : selection.start < facts.tokens.length ? selection.start : initial.start,
    origin: there ? selection.origin : null,
    contrast: there ? null : contrast,
    secondContrast: there ? null : secondContrast,
  };
}

/**
 * Why a CSS variable of a picture cannot be set; undefined where it can. Nothing that would fetch anything is a value.
 */
export function styleProblem(name: string, value: unknown): string | undefined {
  if (!/^--lmt-[a-z-]+$/.test(name))
    return `${shown(name)} is not a variable of a picture: their names begin with --lmt-, such as --lmt-attention.`;
  if (
    typeof value !== "string" ||
    !/^[\w\s#%.,()+*/-]{1,200}$/.test(value) ||
    /url|image|src|element|cross/i.test(value)
  ) {
    return `${name} is ${value === undefined ? "undefined" : shown(value)}, but has to be a colour, length or list of fonts as CSS writes them, without quotes.`;
  }
  return undefined;
}

/** The CSS variables among what is given for a style; others are left out. */
export function readStyle(value: unknown): Readonly<Record<string, string>> {
  const given = Object.entries(typeof value === "object" && value !== null ? value : {});
  return Object.fromEntries(given.filter((entry): entry is [string, string] => styleProblem(...entry) === undefined));
}
