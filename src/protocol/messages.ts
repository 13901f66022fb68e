import type { Question } from "./questions";
import { readQuestion } from "./questions";
import type { ErrorCode } from "./version";
import { checkVersion, PROTOCOL_VERSION, ProtocolError } from "./version";

/** Envelopes of the custom messages between a widget's front end and the kernel. Tensors lie in the message's buffers. */

/** Front end → kernel: a question. */
export interface AskMessage {
  readonly protocol: number;
  readonly type: "ask";
  readonly id: number;
  readonly question: Question;
}

/** Front end → kernel: the answer is no longer wanted. */
export interface CancelMessage {
  readonly protocol: number;
  readonly type: "cancel";
  readonly id: number;
}

/** Kernel → front end. `answer` is packed (`codec.ts`). */
export interface AnswerMessage {
  readonly protocol: number;
  readonly type: "answer";
  readonly id: number;
  readonly answer: unknown;
}

/** Kernel → front end. */
export interface ErrorMessage {
  readonly protocol: number;
  readonly type: "error";
  readonly id: number;
  readonly error: { readonly code: ErrorCode; readonly message: string };
}

export type FrontMessage = AskMessage | CancelMessage;
export type KernelMessage = AnswerMessage | ErrorMessage;

export const askMessage = (id: number, question: Question): AskMessage => ({ protocol: PROTOCOL_VERSION, type: "ask", id, question });
export const cancelMessage = (id: number): CancelMessage => ({ protocol: PROTOCOL_VERSION, type: "cancel", id });
export const answerMessage = (id: number, answer: unknown): AnswerMessage => ({ protocol: PROTOCOL_VERSION, type: "answer", id, answer });
export const errorMessage = (id: number, code: ErrorCode, message: string): ErrorMessage => ({ protocol: PROTOCOL_VERSION, type: "error", id, error: { code, message } });

function envelope(content: unknown, what: string): Record<string, unknown> & { id: number } {
  if (typeof content !== "object" || content === null || Array.isArray(content)) throw new ProtocolError("malformed", `${what} is not an object.`);
  const message = content as Record<string, unknown>;
  checkVersion(message.protocol, what);
  if (!Number.isSafeInteger(message.id)) throw new ProtocolError("malformed", `${what} has no id.`);
  return message as Record<string, unknown> & { id: number };
}

/** Reads what a front end sent. Throws a `ProtocolError`. */
export function readFrontMessage(content: unknown): FrontMessage {
  const message = envelope(content, "A message from the widget");
  if (message.type === "ask") return askMessage(message.id, readQuestion(message.question));
  if (message.type === "cancel") return cancelMessage(message.id);
  throw new ProtocolError("malformed", `A message from the widget has the type ${JSON.stringify(message.type)}; known are "ask" and "cancel".`);
}

/** Reads what the kernel sent. Throws a `ProtocolError`. */
export function readKernelMessage(content: unknown): KernelMessage {
  const message = envelope(content, "A message from the kernel");
  if (message.type === "answer") return answerMessage(message.id, message.answer);
  if (message.type === "error") {
    const error = (message.error ?? {}) as { code?: unknown; message?: unknown };
    return errorMessage(message.id, (typeof error.code === "string" ? error.code : "failed") as ErrorCode, String(error.message ?? "The kernel gave no reason."));
  }
  throw new ProtocolError("malformed", `A message from the kernel has the type ${JSON.stringify(message.type)}; known are "answer" and "error".`);
}
