import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import type { JsonObject, OutgoingBuffer } from "../comm-host";
import { JSON, Array, Number, Buffer, Date, Set } from "../natives";

/** A Jupyter message (messaging protocol 5.4) without its transport. */
export interface Message {
  /** ZeroMQ routing frames: who sent it, or whom it goes to; on iopub its topic. */
  readonly identities: readonly Uint8Array[];
  readonly header: Header;
  readonly parent: JsonObject;
  readonly metadata: JsonObject;
  readonly content: JsonObject;
  readonly buffers: readonly Uint8Array[];
}

export interface Header extends JsonObject {
  readonly msg_id: string;
  readonly msg_type: string;
  readonly session: string;
  readonly username: string;
  readonly date: string;
  readonly version: string;
}

export const MESSAGING_VERSION = "5.4";

/** Messages that are known when they come again. */
const REMEMBERED = 1 << 16;

/** Lists and objects in each other: what is deeper would not be written again without end of the stack. */
const MOST_DEPTH = 500;

const DELIMITER = Buffer.from("<IDS|MSG>");

/** A frame sequence that is no valid, correctly signed message. */
export class WireError extends Error {
  override readonly name = "WireError";
}

/** Signs and verifies messages with the key of the connection file; an empty key switches signing off. */
export class Wire {
  /** Signatures of messages that came, oldest first. */
  readonly #seen = new Set<string>();

  constructor(
    private readonly key: string,
    private readonly scheme = "hmac-sha256",
  ) {
    if (scheme !== "hmac-sha256")
      throw new Error(`The connection file asks for the signature scheme "${scheme}"; only hmac-sha256 is supported.`);
  }

  #sign(parts: readonly Uint8Array[]): string {
    if (this.key === "") return "";
    const hmac = createHmac("sha256", this.key);
    for (const part of parts) hmac.update(part);
    return hmac.digest("hex");
  }

  /**
   * Who listened to the wire could send a message again; what it asks for is done once. As in jupyter_client,
   * signatures are remembered for some time.
   */
  #refuseReplay(signature: Uint8Array): void {
    if (this.key === "") return;
    const text = Buffer.from(signature).toString("latin1");
    if (this.#seen.has(text)) throw new WireError("The message came before.");
    this.#seen.add(text);
    if (this.#seen.size > REMEMBERED) this.#seen.delete(this.#seen.values().next().value as string);
  }

  /**
   * Frames of a message: identities, delimiter, signature over the next four, header, parent, metadata, content,
   * buffers.
   */
  encode(message: Message): Uint8Array[] {
    const parts = [message.header, message.parent, message.metadata, message.content].map((part) =>
      Buffer.from(stringify(part)),
    );
    return [...message.identities, DELIMITER, Buffer.from(this.#sign(parts)), ...parts, ...message.buffers];
  }

  /** Throws a `WireError` for anything that is not a complete message with the right signature. */
  decode(frames: readonly Uint8Array[]): Message {
    const at = frames.findIndex((frame) => DELIMITER.equals(frame));
    if (at < 0) throw new WireError("The message has no <IDS|MSG> delimiter.");
    const [signature, ...rest] = frames.slice(at + 1);
    if (signature === undefined || rest.length < 4) throw new WireError("The message has fewer than four parts.");
    const parts = rest.slice(0, 4);
    const expected = Buffer.from(this.#sign(parts));
    if (expected.length !== signature.length || !timingSafeEqual(expected, signature))
      throw new WireError("The message has a wrong signature.");
    this.#refuseReplay(signature);
    const [header, parent, metadata, content] = parts.map(parseObject) as [
      JsonObject,
      JsonObject,
      JsonObject,
      JsonObject,
    ];
    if (typeof header["msg_type"] !== "string" || typeof header["msg_id"] !== "string")
      throw new WireError("The message's header has no msg_type or msg_id.");
    for (const name of ["session", "username", "date", "version"]) {
      if (header[name] !== undefined && typeof header[name] !== "string")
        throw new WireError(`The message's header has a ${name} that is no text.`);
    }
    return {
      identities: frames.slice(0, at),
      header: header as Header,
      parent,
      metadata,
      content,
      buffers: rest.slice(4),
    };
  }
}

export function newHeader(type: string, session: string, username = "kernel"): Header {
  return {
    msg_id: randomUUID(),
    msg_type: type,
    session,
    username,
    date: new Date().toISOString(),
    version: MESSAGING_VERSION,
  };
}

/** The bytes that a buffer covers, without a copy. */
export function bytesOf(buffer: OutgoingBuffer): Uint8Array {
  return ArrayBuffer.isView(buffer)
    ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    : new Uint8Array(buffer);
}

function parseObject(frame: Uint8Array): JsonObject {
  if (deeperThan(frame, MOST_DEPTH)) throw new WireError("A part of the message is nested too deeply.");
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString("utf8"));
  } catch {
    throw new WireError("A part of the message is not JSON.");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new WireError("A part of the message is not a JSON object.");
  return value as JsonObject;
}

/** Whether JSON has more brackets open at once than `most`. Brackets in texts count until their text ends. */
function deeperThan(json: Uint8Array, most: number): boolean {
  let depth = 0;
  let text = false;
  for (let i = 0; i < json.length; i++) {
    const byte = json[i];
    if (text) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) text = false;
    } else if (byte === 0x22) text = true;
    else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > most) return true;
    } else if (byte === 0x5d || byte === 0x7d) depth--;
  }
  return false;
}

/** JSON without what JSON cannot say: a bigint becomes a number or, where that loses digits, text. */
function stringify(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item !== "bigint") return item;
    return Number.isSafeInteger(Number(item)) ? Number(item) : item.toString();
  });
}
