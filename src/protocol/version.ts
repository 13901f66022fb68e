/**
 * Version of everything that crosses between kernel and browser: state, messages, stored payloads. It counts up
 * whenever an older reader could misread what a newer writer says; see README.md for what changed when.
 */
export const PROTOCOL_VERSION = 1;

/** Why something that crossed the wire, or a question about it, was refused. */
export type ErrorCode =
  /** The message or payload is malformed. */
  | "malformed"
  /** Written by another version of the protocol. */
  | "version"
  /** A question whose values are out of range for this run. */
  | "range"
  /** Withdrawn by who asked. */
  | "cancelled"
  /** There is no kernel, and what was stored does not hold the answer. */
  | "unavailable"
  /** The computation failed. */
  | "failed";

/** An error that is shown to people as it is: `message` is one sentence. */
export class ProtocolError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
  ) {
    super(message);
    this.name = "ProtocolError";
  }
}

/** Throws a `ProtocolError` with code "version" unless `version` is the one this code was written for. */
export function checkVersion(version: unknown, what: string): void {
  if (version === PROTOCOL_VERSION) return;
  if (typeof version !== "number")
    throw new ProtocolError("malformed", `${what} does not say which protocol version it has.`);
  const age = version > PROTOCOL_VERSION ? "a newer" : "an older";
  throw new ProtocolError(
    "version",
    `${what} was written by ${age} lm-transparency (protocol ${version}; this one speaks ${PROTOCOL_VERSION}). Run the cell again, or install the matching version.`,
  );
}

/** A value for a sentence: its JSON, cut where it is long. */
export function shown(value: unknown): string {
  let text: string;
  try {
    text = JSON.stringify(typeof value === "string" ? value.slice(0, 200) : value) ?? "nothing";
  } catch {
    return "something nested without end";
  }
  return text.length > 100 ? `${text.slice(0, 99)}…` : text;
}
