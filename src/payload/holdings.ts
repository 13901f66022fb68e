/**
 * The inside of a stored payload: `[length of JSON, u32 little-endian][JSON][columns]`. Written in the kernel
 * (`write.ts`), read in the browser (`read.ts`); `src/protocol/README.md` has the layout.
 */
import type { NodeKind } from "../model/names";
import type { Answer, Question, QuestionKind } from "../protocol/questions";
import type { PayloadHead } from "./format";
import type { StoredPair, StoredWhole } from "./routes";

/** A question with its answer. */
export interface Answered<K extends QuestionKind = QuestionKind> {
  readonly question: Question<K>;
  readonly answer: Answer<K>;
}

/** Everything that goes into a payload. */
export interface Holdings {
  readonly head: PayloadHead;
  readonly wholes: readonly StoredWhole[];
  readonly pairs: readonly StoredPair[];
  /** Lens, effect, neurons and maps become columns; other kinds are kept as they are. */
  readonly answers: Iterable<Answered>;
}

/** One kind of answers in the JSON: where their columns are. */
export interface Section {
  readonly kind: string;
  readonly [option: string]: unknown;
}

export const NODE_KINDS: readonly NodeKind[] = ["X", "A", "M", "I"];
export const KINDS = ["attention", "ffn"] as const;
/** Steps of what lies between 0 and a largest value. */
export const STEPS = 65535;
/** Steps of contributions from 0 to 1: as fine, at the lowest threshold, as a float32 is read. */
export const SHARES = 2 ** 22;
/** Steps of probabilities from 0 to 1: far more than are ever shown. */
export const CHANCES = 1e6;
/** Probabilities of fewer steps follow from the logit alone. */
export const FEW = 10;

export const zigzag = (value: number): number => (value >= 0 ? 2 * value : -2 * value - 1);
export const unzigzag = (value: number): number => (value % 2 === 0 ? value / 2 : -(value + 1) / 2);
/** Steps of the probability of a logit as it is read back. */
export const chanceOf = (logit: number, logZ: number): number =>
  Math.round(Math.min(1, Math.exp(logit - logZ)) * CHANCES);
