import type { CellOutput } from "../comm-host";
import type { Codec } from "./widget";
import { isPlainObject } from "./buffers";

/** A time of day without a date. */
export interface TimeOfDay {
  /** 0 to 23. */
  readonly hours: number;
  /** 0 to 59. */
  readonly minutes: number;
  /** 0 to 59. */
  readonly seconds: number;
  /** 0 to 999. */
  readonly milliseconds: number;
}

/** A file that the user chose in a FileUpload. `size` in bytes. */
export interface UploadedFile {
  /** As it is called on the user's machine, without folders. */
  readonly name: string;
  /** MIME type as the browser says it. */
  readonly type: string;
  /** In bytes. */
  readonly size: number;
  /** When it was written last. */
  readonly lastModified: Date;
  /** Its bytes. */
  readonly content: Uint8Array;
}

function numberOf(wire: Record<string, unknown>, key: string): number {
  const value = wire[key];
  if (typeof value !== "number" || !Number.isFinite(value))
    throw new TypeError(`A date or time from the front end has no number "${key}".`);
  return value;
}

/** A text; anything else counts as none. */
const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

function objectOf(wire: unknown, what: string): Record<string, unknown> {
  if (!isPlainObject(wire)) throw new TypeError(`${what} from the front end must be an object.`);
  return wire;
}

/** null stays null in both directions. */
function nullable<T>(codec: Codec<T>): Codec<T | null> {
  return {
    toWire: (value) => (value === null ? null : codec.toWire(value)),
    fromWire: (wire) => (wire === null ? null : codec.fromWire(wire)),
  };
}

/** A calendar day as a `Date` at midnight UTC, so that `new Date("2026-01-31")` is that day in every time zone. */
const day: Codec<Date> = {
  toWire: (value) => ({ year: value.getUTCFullYear(), month: value.getUTCMonth(), date: value.getUTCDate() }),
  fromWire: (wire) => {
    const parts = objectOf(wire, "A date");
    const date = new Date(0);
    // Not Date.UTC: years below 100 mean the 1900s there.
    date.setUTCFullYear(numberOf(parts, "year"), numberOf(parts, "month"), numberOf(parts, "date"));
    return date;
  },
};

const moment: Codec<Date> = {
  toWire: (value) => ({
    ...(day.toWire(value) as object),
    hours: value.getUTCHours(),
    minutes: value.getUTCMinutes(),
    seconds: value.getUTCSeconds(),
    milliseconds: value.getUTCMilliseconds(),
  }),
  fromWire: (wire) => {
    const parts = objectOf(wire, "A date");
    const date = day.fromWire(parts);
    date.setUTCHours(
      numberOf(parts, "hours"),
      numberOf(parts, "minutes"),
      numberOf(parts, "seconds"),
      numberOf(parts, "milliseconds"),
    );
    return date;
  },
};

const time: Codec<TimeOfDay> = {
  toWire: ({ hours, minutes, seconds, milliseconds }) => ({ hours, minutes, seconds, milliseconds }),
  fromWire: (wire) => {
    const parts = objectOf(wire, "A time");
    return {
      hours: numberOf(parts, "hours"),
      minutes: numberOf(parts, "minutes"),
      seconds: numberOf(parts, "seconds"),
      milliseconds: numberOf(parts, "milliseconds"),
    };
  },
};

/** Bytes of a view, as a copy: received ones may lie in a larger, shared block. */
function bytes(wire: unknown): Uint8Array {
  if (!ArrayBuffer.isView(wire)) throw new TypeError("Bytes from the front end must come as a buffer.");
  return new Uint8Array(wire.buffer, wire.byteOffset, wire.byteLength).slice();
}

const files: Codec<readonly UploadedFile[]> = {
  toWire: (value) =>
    value.map(({ name, type, size, lastModified, content }) => ({
      name,
      type,
      size,
      last_modified: lastModified.getTime(),
      content,
    })),
  fromWire: (wire) => {
    if (!Array.isArray(wire)) throw new TypeError("Uploaded files must come as a list.");
    return wire.map((one: unknown) => {
      const file = objectOf(one, "An uploaded file");
      return {
        name: textOf(file["name"]),
        type: textOf(file["type"]),
        size: numberOf(file, "size"),
        lastModified: new Date(numberOf(file, "last_modified")),
        content: bytes(file["content"]),
      };
    });
  },
};

const outputs: Codec<readonly CellOutput[]> = {
  toWire: (value) => value,
  fromWire: (wire) => {
    if (!Array.isArray(wire)) throw new TypeError("Outputs must come as a list.");
    return wire as CellOutput[];
  },
};

/** Codecs by the trait kinds of the schema. Other kinds cross as they are. */
export const CODECS: { readonly [kind: string]: Codec<never> } = {
  Date: nullable(day),
  Datetime: nullable(moment),
  Time: nullable(time),
  bytes: { toWire: (value: Uint8Array) => value, fromWire: bytes },
  files,
  outputs,
} as unknown as { readonly [kind: string]: Codec<never> };
