import type { NodeName } from "../model/types";
import { tensor } from "./codec";
import { EDGE_KINDS } from "./questions";
import type { Answer } from "./questions";

/** What flows into one state. */
export interface Inflow {
  readonly sources: readonly {
    readonly source: NodeName;
    readonly kind: "residual" | "attention" | "ffn-out";
    readonly contribution: number;
  }[];
  /** The others together; undefined where nothing is known of this state. */
  readonly rest: number | undefined;
}

/**
 * What flows into several states, as the answer to the question about it.
 *
 * @param least what a source that is not listed contributes at most
 */
export function inflowAnswer(inflows: readonly Inflow[], least: number): Answer<"inflow"> {
  const starts = new Uint32Array(inflows.length + 1);
  inflows.forEach(({ sources }, n) => (starts[n + 1] = starts[n] + sources.length));
  const all = inflows.flatMap(({ sources }) => sources);
  return {
    starts: tensor(starts),
    sources: all.map(({ source }) => source),
    kinds: tensor(Uint8Array.from(all, ({ kind }) => EDGE_KINDS.indexOf(kind))),
    contributions: tensor(Float32Array.from(all, ({ contribution }) => contribution)),
    rests: tensor(Float32Array.from(inflows, ({ rest }) => rest ?? -1)),
    least,
  };
}
