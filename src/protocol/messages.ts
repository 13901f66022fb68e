import type { Question } from "./questions";
import { readQuestion } from "./questions";
import type { ErrorCode } from "./version";
import { checkVersion, PROTOCOL_VERSION, ProtocolError } from "./version";

/**
 * Custom messages between a widget's front end and the kernel. The envelope, `{request, kind, payload}` answered by
 * `{response, payload}` or `{response, error}` and withdrawn by `{cancel}`, serves either direction and any widget;
 * what is said about questions lies in the payloads. Tensors lie in the message's buffers.
 */

/** Kind of the request that carries a question. */
export const ASK = "ask";
/**
 * Kind of the kernel's request for a file of what a page shows: payload `{format}`, perhaps with the `part` that is
 * wanted, answered with the file as one buffer.
 */
export const EXPORT = "export";

export interface RequestMessage {
  readonly request: string;
  readonly kind: string;
  readonly payload: unknown;
}

export interface CancelMessage {
  readonly cancel: string;
}

export type ResponseMessage =
  | { readonly response: string; readonly payload: unknown }
  | { readonly response: string; readonly error: { readonly code: ErrorCode; readonly message: string } };

/** Payload of a request of kind "ask". */
export interface AskPayload {
  readonly protocol: number;
  readonly question: Question;
}

/** Payload of its response; `answer` is packed (`codec.ts`). */
export interface AnswerPayload {
  readonly protocol: number;
  readonly answer: unknown;
}

export const askPayload = (question: Question): AskPayload => ({ protocol: PROTOCOL_VERSION, question });
export const answerPayload = (answer: unknown): AnswerPayload => ({ protocol: PROTOCOL_VERSION, answer });

const object = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};

/** Reads what a front end asked. Throws a `ProtocolError`. */
export function readAskPayload(value: unknown): Question {
  const payload = object(value);
  checkVersion(payload.protocol, "A question from the picture");
  return readQuestion(payload.question);
}

/** Reads what the kernel answered: the packed answer. Throws a `ProtocolError`. */
export function readAnswerPayload(value: unknown): unknown {
  const payload = object(value);
  checkVersion(payload.protocol, "An answer from the kernel");
  return payload.answer;
}

/** Reads a response; undefined where `content` is some other message. */
export function readResponse(content: unknown): ResponseMessage | undefined {
  const message = object(content);
  if (typeof message.response !== "string") return undefined;
  if (message.error === undefined) return { response: message.response, payload: message.payload };
  const error = object(message.error);
  const code = (typeof error.code === "string" ? error.code : "failed") as ErrorCode;
  return {
    response: message.response,
    error: { code, message: typeof error.message === "string" ? error.message : "The kernel gave no reason." },
  };
}

/** The error of a response as something to throw. */
export function responseError(error: { readonly code: ErrorCode; readonly message: string }): ProtocolError {
  return new ProtocolError(error.code, error.message);
}
