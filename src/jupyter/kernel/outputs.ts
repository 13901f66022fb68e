import { AsyncLocalStorage } from "node:async_hooks";
import { StringDecoder } from "node:string_decoder";
import type { CellContext, CellOutput, JsonObject, MimeBundle, OutputSink } from "../comm-host";
import { Shown } from "./shown";
import type { Header } from "./wire";
import { Buffer, setTimeout, clearTimeout } from "../natives";

/** What code that runs belongs to; follows it through awaits, timers and callbacks. */
export interface RequestContext {
  /** Parent of what answers the request itself: comm messages and their echoes. */
  readonly header: Header;
  /** Parent of what is shown: for a comm message the cell that opened the comm. */
  readonly outputHeader: Header | JsonObject;
  readonly cell: CellContext;
  /** The cell's name in `Shown`: where what is shown stands. Undefined where that is not known. */
  readonly place?: string;
  /** Nothing is shown. */
  readonly silent: boolean;
  /** Takes the output instead of the cell. */
  readonly sink?: OutputSink;
  /** Asks the user; undefined where the front end allows no input. */
  readonly input?: (prompt: string, password: boolean) => Promise<string>;
}

type Publish = (type: string, content: JsonObject, parent: Header | JsonObject) => void;

/** Text is sent in pieces of at most this many characters … */
const MAX_PIECE = 1 << 16;
/** … and after at most this many milliseconds. */
const HOLD_MS = 10;

/**
 * All output of cells. Text is gathered for some milliseconds, so that thousands of `console.log` make a few messages;
 * anything else that is published sends the gathered text first, so that order is kept.
 */
export class Outputs {
  readonly contexts = new AsyncLocalStorage<RequestContext>();
  readonly shown = new Shown();
  /** Where output goes that belongs to nothing: below the newest cell. */
  #fallback: RequestContext | undefined;
  #held: { header: Header | JsonObject; name: "stdout" | "stderr"; pieces: string[]; length: number } | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly publish: Publish) {}

  get current(): RequestContext | undefined {
    return this.contexts.getStore() ?? this.#fallback;
  }

  run<T>(context: RequestContext, fn: () => T): T {
    return this.contexts.run(context, fn);
  }

  /** Makes a cell the place for output that belongs to nothing. */
  setFallback(context: RequestContext): void {
    this.#fallback = context;
  }

  stream(name: "stdout" | "stderr", text: string, context = this.current): void {
    if (text === "" || context === undefined || context.silent) return;
    if (context.sink !== undefined) return context.sink.output({ output_type: "stream", name, text });
    if (context.place !== undefined) this.shown.outputs(context.place);
    const held = this.#held;
    if (held !== undefined && (held.name !== name || held.header !== context.outputHeader)) this.flush();
    this.#held ??= { header: context.outputHeader, name, pieces: [], length: 0 };
    this.#held.pieces.push(text);
    this.#held.length += text.length;
    if (this.#held.length >= MAX_PIECE) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), HOLD_MS);
  }

  /** Sends the text that is held back. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.publish("stream", { name: held.name, text: held.pieces.join("") }, held.header);
  }

  display(data: MimeBundle, metadata: JsonObject, displayId?: string, owner?: object | null): void {
    const context = this.current;
    if (context === undefined || context.silent) return;
    const transient = displayId === undefined ? {} : { display_id: displayId };
    if (context.sink !== undefined)
      return context.sink.output({ output_type: "display_data", data, metadata, transient }, owner);
    if (context.place !== undefined) this.shown.add(context.place, data, displayId, owner);
    this.#send("display_data", { data, metadata, transient }, context);
  }

  update(displayId: string, data: MimeBundle, metadata: JsonObject, owner?: object | null): void {
    const context = this.current;
    if (context === undefined || context.silent) return;
    context.sink?.update(displayId, data, metadata, owner);
    this.shown.update(displayId, data, owner);
    // Also where output is captured: the display to change may be a cell's.
    this.#send("update_display_data", { data, metadata, transient: { display_id: displayId } }, context);
  }

  clear(wait: boolean): void {
    const context = this.current;
    if (context === undefined || context.silent) return;
    if (context.sink !== undefined) context.sink.clear(wait);
    else {
      if (context.place !== undefined) this.shown.clear(context.place, wait);
      this.#send("clear_output", { wait }, context);
    }
  }

  error(report: Omit<Extract<CellOutput, { output_type: "error" }>, "output_type">): void {
    const context = this.current;
    if (context === undefined || context.silent) return;
    if (context.sink !== undefined) return context.sink.output({ output_type: "error", ...report });
    if (context.place !== undefined) this.shown.outputs(context.place);
    this.#send("error", { ...report }, context);
  }

  #send(type: string, content: JsonObject, context: RequestContext): void {
    this.flush();
    this.publish(type, content, context.outputHeader);
  }

  /** Sends everything that the process writes to its standard streams to the cells. */
  captureProcess(): void {
    for (const name of ["stdout", "stderr"] as const) {
      const decoder = new StringDecoder("utf8");
      const write = (chunk: string | Uint8Array, encoding?: unknown, callback?: unknown): boolean => {
        this.stream(name, typeof chunk === "string" ? chunk : decoder.write(Buffer.from(chunk)));
        const done = typeof encoding === "function" ? encoding : callback;
        if (typeof done === "function") process.nextTick(done);
        return true;
      };
      process[name].write = write;
    }
  }
}
