import type { PictureName } from "../protocol/pictures";
import { isPicture, PICTURES } from "../protocol/pictures";
import type { RunFacts } from "../protocol/state";
import { MAX_TOKENS } from "../protocol/state";
import type { Selection } from "../protocol/selection";
import { ProtocolError } from "../protocol/version";

/**
 * What is stored in a notebook so that a picture works without a kernel. The outer part is JSON that says what it is;
 * everything else lies in `data`, compressed: see README.md, "Stored payloads".
 */

export const PAYLOAD_MIME = "application/vnd.lm-transparency+json";
export const PAYLOAD_VERSION = 2;
/** The oldest version that is read. 1: lists of numbers as equal steps between their ends. */
export const OLDEST_PAYLOAD_VERSION = 1;

/**
 * How much of a run an output keeps: what was looked at ("seen"), all that can be clicked in the shown routes
 * ("routes"), everything about the run ("all"), or only the still picture ("none").
 */
export const SHARE_LEVELS = ["seen", "routes", "all", "none"] as const;
export type ShareLevel = (typeof SHARE_LEVELS)[number];

/** Bytes that the data of one output may take in the notebook file. */
export const DEFAULT_SHARE_BUDGET = 2_000_000;

export interface Payload {
  readonly payload: number;
  readonly picture: PictureName;
  readonly options: Readonly<Record<string, unknown>>;
  readonly share: ShareLevel;
  /** Id of the widget's model, for the renderer to become live. Left out in files without a kernel. */
  readonly widget?: string;
  /** Id of the selection that pictures share. */
  readonly link?: string;
  /** Bytes of `data` after inflating; 0 where nothing is stored. */
  readonly size: number;
  /** base64 of a zlib stream. */
  readonly data: string;
}

/** What the inflated data begins with, besides the columns' places. */
export interface PayloadHead {
  readonly facts: RunFacts;
  readonly selection: Selection;
  /** Thresholds from here up can be set without a kernel. */
  readonly threshold: number;
  /** Bytes that were allowed. */
  readonly budget: number;
  /** Answers that did not fit or were not ready, by kind of question. */
  readonly omitted: Readonly<Record<string, number>>;
  /** It was stored before everything was collected. */
  readonly unfinished?: boolean;
}

/** Data that inflates to more is refused, whoever wrote it. */
export const MAX_INFLATED = 48 * 2 ** 20;
/** Data of a picture deflates to a third or a tenth. Much more of it than that is there to fill memory. */
const MAX_RATIO = 100;
const MAX_ANY_RATIO = 4 * 2 ** 20;
const MAX_STORED = 64 * 2 ** 20;
const MAX_HEADS = 1024;

const MAX_DEPTH = 24;

function nestedDeeper(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return depth === 0 || Object.values(value).some((inner) => nestedDeeper(inner, depth - 1));
}

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value.length <= 200 ? value : undefined;

/** Reads the outer part, whoever wrote it. Throws a `ProtocolError` whose sentence can stand in the picture's place. */
export function readPayload(value: unknown): Payload {
  const given = (typeof value === "object" && value !== null && !Array.isArray(value) ? value : {}) as Record<
    string,
    unknown
  >;
  const { payload: version, picture, options, share, size, data } = given;
  if (typeof version !== "number")
    throw new ProtocolError(
      "malformed",
      "This output's stored data cannot be read: it does not say which version it has.",
    );
  if (!Number.isInteger(version) || version < OLDEST_PAYLOAD_VERSION || version > PAYLOAD_VERSION) {
    const age = version > PAYLOAD_VERSION ? "a newer" : "an older";
    throw new ProtocolError(
      "version",
      `This output was stored by ${age} lm-transparency (format ${version}; this one reads ${OLDEST_PAYLOAD_VERSION} to ${PAYLOAD_VERSION}). Run the cell again, or install the matching version.`,
    );
  }
  if (!isPicture(picture)) {
    throw new ProtocolError(
      "version",
      `This version of lm-transparency has no picture named ${typeof picture === "string" ? JSON.stringify(picture.slice(0, 60)) : `by a value of type ${typeof picture}`}; it has ${PICTURES.join(", ")}.`,
    );
  }
  if (typeof data !== "string" || typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    throw new ProtocolError("malformed", "This output's stored data is damaged: parts of it are missing.");
  }
  if (size > MAX_INFLATED || data.length > MAX_STORED)
    throw new ProtocolError(
      "malformed",
      `This output's stored data claims ${size} bytes; at most ${MAX_INFLATED} are read.`,
    );
  if (nestedDeeper(options, MAX_DEPTH))
    throw new ProtocolError("malformed", "This output's stored data is damaged: its options are nested too deep.");
  // base64: three bytes in four characters.
  if (size > MAX_ANY_RATIO && size > MAX_RATIO * 0.75 * data.length)
    throw new ProtocolError(
      "malformed",
      `This output's stored data claims ${size} bytes in ${data.length} characters, which no picture's data has.`,
    );
  return {
    payload: version,
    picture,
    options: typeof options === "object" && options !== null ? (options as Record<string, unknown>) : {},
    share: (SHARE_LEVELS as readonly unknown[]).includes(share) ? (share as ShareLevel) : "routes",
    widget: text(given.widget),
    link: text(given.link),
    size,
    data,
  };
}

/** Refuses a run that is too large to be drawn or traced in a page. */
export function checkStoredRun(facts: RunFacts): void {
  const { nHeads, nLayers } = facts.model;
  if (nHeads > MAX_HEADS || nLayers * facts.tokens.length > 64 * MAX_TOKENS) {
    throw new ProtocolError(
      "malformed",
      `This output says that its model has ${nLayers} layers of ${nHeads} heads over ${facts.tokens.length} tokens, which cannot be drawn.`,
    );
  }
}
