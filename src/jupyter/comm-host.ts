/**
 * The bridge between a kernel and whatever runs inside its cells. A kernel puts a `CommHost` under a registered symbol
 * before any cell runs; libraries take it from there with `commHost()` and know nothing else of Jupyter. Where no
 * kernel is (a script, a test), `commHost()` gives a headless host: comms go nowhere, displays print their text.
 *
 * Registered by symbol, not by import, because a cell may load another copy of this package than the kernel's.
 */

/** A JSON object on the wire: whatever `JSON.stringify` takes. */
export type JsonObject = Record<string, unknown>;

/** What can be sent as a binary buffer. Sent as the bytes that the view covers. */
export type OutgoingBuffer = ArrayBuffer | SharedArrayBuffer | ArrayBufferView;

/** MIME type → payload: text, or a JSON value for JSON types; binary types are base64 text. */
export type MimeBundle = Record<string, unknown>;

/** A message that came in over a comm. `buffers` may be misaligned for typed arrays: copy before viewing. */
export interface CommMessage {
  readonly data: JsonObject;
  readonly metadata: JsonObject;
  readonly buffers: readonly DataView[];
  /** Header of the Jupyter message that carried it (`msg_id`, `session`, …); empty in a headless host. */
  readonly header: JsonObject;
}

export interface SendOptions {
  readonly metadata?: JsonObject;
  readonly buffers?: readonly OutgoingBuffer[];
}

export interface OpenOptions extends SendOptions {
  readonly data?: JsonObject;
  /** Default: a fresh random id. */
  readonly id?: string;
}

export interface ListenOptions {
  /** Ends the subscription. */
  readonly signal?: AbortSignal;
}

/** One open channel to the front end. Sending on a closed comm does nothing. */
export interface Comm {
  readonly id: string;
  readonly targetName: string;
  readonly closed: boolean;
  send(data: JsonObject, options?: SendOptions): void;
  onMessage(listener: (message: CommMessage) => void | Promise<void>, options?: ListenOptions): void;
  /** Called once, when the front end or the kernel's shutdown closes the comm (not by our own `close`). */
  onClose(listener: (message: CommMessage) => void, options?: ListenOptions): void;
  /** Sends `comm_close`. Harmless when closed already. */
  close(data?: JsonObject, options?: SendOptions): void;
}

/** The cell (or other request) that the running code belongs to, also in what it awaits and in its timers. */
export interface CellContext {
  /** `msg_id` of the request; outputs that carry it as parent appear under that cell. */
  readonly messageId: string;
  /** Number of the cell as in `[3]:`; undefined for a comm message or a silent request. */
  readonly executionCount?: number;
  /** Aborted when the user interrupts the kernel, or when it shuts down. */
  readonly signal: AbortSignal;
  /**
   * Says that `work` is over soon after `signal` aborts, with what is there by then: an interrupt gives the cell a
   * moment to take it. Absent where nothing can be interrupted.
   */
  finishing?(work: Promise<unknown>): void;
}

/** One entry of a cell's output, in the notebook format (nbformat 4). */
export type CellOutput =
  | { readonly output_type: "stream"; readonly name: "stdout" | "stderr"; readonly text: string }
  | {
      readonly output_type: "display_data";
      readonly data: MimeBundle;
      readonly metadata: JsonObject;
      readonly transient?: { readonly display_id?: string };
    }
  | {
      readonly output_type: "error";
      readonly ename: string;
      readonly evalue: string;
      readonly traceback: readonly string[];
    };

/** What code gets that captures output; `clear` is `clear_output`. */
export interface OutputSink {
  /** `owner`: what is shown, which stays usable as long as the output is there. */
  output(output: CellOutput, owner?: object | null): void;
  update(displayId: string, data: MimeBundle, metadata: JsonObject, owner?: object | null): void;
  clear(wait: boolean): void;
}

export interface DisplayOptions {
  readonly metadata?: JsonObject;
  /** Names this display, so that `updateDisplay` can change it later. */
  readonly displayId?: string;
  /**
   * What the bundle shows: it is kept alive as long as the output is there, as widgets named in the bundle are in any
   * case.
   */
  readonly owner?: object | null;
}

export interface CommHost {
  /** Version of this interface. */
  readonly version: 1;
  /** False where nobody listens: no kernel. */
  readonly live: boolean;
  /** The cell that the calling code belongs to; undefined outside of any. */
  readonly cell: CellContext | undefined;
  openComm(targetName: string, options?: OpenOptions): Comm;
  /** Takes comms that the front end opens with this target name. Ends with the signal; the newest registration wins. */
  registerTarget(targetName: string, onOpen: (comm: Comm, message: CommMessage) => void, options?: ListenOptions): void;
  /** Shows a bundle under the current cell. */
  display(data: MimeBundle, options?: DisplayOptions): void;
  /** Changes every display that was shown with this id. */
  updateDisplay(displayId: string, data: MimeBundle, options?: Omit<DisplayOptions, "displayId">): void;
  /** Removes the current cell's output; with `wait` only when new output comes. */
  clearOutput(options?: { readonly wait?: boolean }): void;
  /** Writes text to a stream of the current cell. */
  stream(name: "stdout" | "stderr", text: string): void;
  /** Asks the user for a line (input_request). Rejects where the front end allows no input. */
  input(prompt: string, options?: { readonly password?: boolean }): Promise<string>;
  /** Calls `fn`; all output of it, also after awaits, goes to `sink` instead of the cell. */
  capture<T>(sink: OutputSink, fn: () => T): T;
  /** Runs `listener` before the kernel ends, so that native work under way can finish. It may take two seconds. */
  onShutdown(listener: () => void | Promise<void>, options?: ListenOptions): void;
  /** Shows an error as a cell would show it, for code that runs outside of a cell's own promise (handlers, timers). */
  showError(error: unknown): void;
}

/** Key under which a kernel puts its host into `globalThis`. */
export const COMM_HOST: unique symbol = Symbol.for("lm-transparency.comm-host") as never;

/** Method that gives a value's MIME bundle; the name is the one that Deno's kernel uses. May return a promise. */
export const JUPYTER_DISPLAY: unique symbol = Symbol.for("Jupyter.display") as never;

/** A value that shows itself in a notebook. */
export interface Displayable {
  /** The bundle of MIME types that the value shows as under its cell. */
  [JUPYTER_DISPLAY](): MimeBundle | Promise<MimeBundle>;
}

/**
 * Name under which a value is displayed, so that it can change its display later (`CommHost.updateDisplay`). As the
 * last expression of a cell it is then published as `display_data`: front ends update nothing else.
 */
export const DISPLAY_ID: unique symbol = Symbol.for("lm-transparency.display-id") as never;

/** Method that is called after a value was shown; the cell ends when its promise does. */
export const DISPLAYED: unique symbol = Symbol.for("lm-transparency.displayed") as never;

/** Method that is called when the last output that showed the value is gone: what goes on for that output may end. */
export const GONE: unique symbol = Symbol.for("lm-transparency.gone") as never;

/** A value that goes on after it was shown. */
export interface LastingDisplayable extends Displayable {
  readonly [DISPLAY_ID]: string;
  [DISPLAYED](): Promise<void>;
  [GONE]?(): void;
}

export function isLasting(value: unknown): value is LastingDisplayable {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as Partial<LastingDisplayable>)[DISPLAY_ID] === "string"
  );
}

/** The kernel's host, or the headless one where no kernel is. */
export function commHost(): CommHost {
  const host = (globalThis as { [COMM_HOST]?: CommHost })[COMM_HOST];
  return host ?? headless;
}

class HeadlessComm implements Comm {
  closed = false;
  constructor(
    readonly id: string,
    readonly targetName: string,
  ) {}
  send(): void {}
  onMessage(): void {}
  onClose(): void {}
  close(): void {
    this.closed = true;
  }
}

let headlessIds = 0;

/** Text of a bundle for a terminal; nothing where it has no text. */
function plainText(data: MimeBundle): string {
  const text = data["text/plain"];
  if (Array.isArray(text)) return text.join("");
  return typeof text === "string" ? text : "";
}

const headless: CommHost = {
  version: 1,
  live: false,
  cell: undefined,
  openComm: (targetName, options) => new HeadlessComm(options?.id ?? `headless-${++headlessIds}`, targetName),
  registerTarget: () => {},
  display: (data) => {
    const text = plainText(data);
    if (text !== "") process.stdout.write(text + "\n");
  },
  updateDisplay: () => {},
  clearOutput: () => {},
  stream: (name, text) => {
    (name === "stdout" ? process.stdout : process.stderr).write(text);
  },
  input: () => Promise.reject(new Error("input() needs a notebook: there is no Jupyter kernel here to ask.")),
  capture: (_sink, fn) => fn(),
  onShutdown: () => {},
  showError: (error) => {
    process.stderr.write((error instanceof Error ? (error.stack ?? error.message) : String(error)) + "\n");
  },
};
