import { randomUUID } from "node:crypto";
import {
  commHost,
  JUPYTER_DISPLAY,
  type Comm,
  type CommHost,
  type CommMessage,
  type JsonObject,
  type ListenOptions,
  type MimeBundle,
  type OutgoingBuffer,
} from "../comm-host";
import { isPlainObject, joinBuffers, splitBuffers } from "./buffers";
import { openWidgets, type RegisteredWidget } from "./registry";
import { Requester } from "../../requester";
import { follow } from "../../signals";
import { JSON, Object, Array, Promise, Map, Set, AbortController, setTimeout, performance } from "../natives";

/** Version of the Jupyter widget messaging protocol that is spoken here. */
export const WIDGET_PROTOCOL_VERSION = "2.1.0";
const WIDGET_TARGET = "jupyter.widget";
export const WIDGET_VIEW = "application/vnd.jupyter.widget-view+json";

/** Which classes of the front end show a widget. `viewName` null: a model without a view (a layout, a style). */
export interface WidgetSpec<State> {
  /** Class of the model in the front end. */
  readonly modelName: string;
  /** Package that has it. */
  readonly modelModule: string;
  /** A range of versions of that package. */
  readonly modelModuleVersion: string;
  /** Class of the view; null: none. */
  readonly viewName: string | null;
  /** Package that has it. */
  readonly viewModule: string;
  /** A range of versions of that package. */
  readonly viewModuleVersion: string;
  /** Keys whose values are widgets or hold widgets: only there are references from the front end resolved. */
  readonly references?: readonly (keyof State & string)[];
  /** How values of a key look on the wire, where that differs from the value itself. */
  readonly codecs?: { readonly [K in keyof State & string]?: Codec<State[K]> };
  /** Keys kept in the kernel: never sent. */
  readonly local?: readonly (keyof State & string)[];
}

/** Both directions of one key. `fromWire` gets buffers as `DataView` and throws on what it cannot be. */
export interface Codec<T> {
  /** A value as it crosses to the front end. */
  toWire(value: T): unknown;
  /** A value out of what the front end sent; throws where it can be none. */
  fromWire(wire: unknown): T;
}

/** One key of a widget's state that got another value. */
export interface Change<State, K extends keyof State = keyof State> {
  /** The key. */
  readonly name: K;
  /** Its value before. */
  readonly old: State[K];
  /** Its value now. */
  readonly new: State[K];
  /** Who changed it: code in the kernel, or the user in a browser. */
  readonly source: "kernel" | "frontend";
}

/** A custom message that is neither request nor answer. */
export interface CustomMessage {
  /** The message, as JSON. */
  readonly content: JsonObject;
  /** What crossed as bytes. */
  readonly buffers: readonly DataView[];
}

/** Events of every widget. */
export interface BaseEvents<State> {
  /** Any key changed. */
  change: Change<State>;
  /** A custom message came from the front end. */
  message: CustomMessage;
  /** The widget was closed, here or by the front end. */
  close: undefined;
}

/** How a request is sent. */
export interface RequestOptions {
  /** Bytes that cross beside the payload. */
  readonly buffers?: readonly OutgoingBuffer[];
  /** Milliseconds until the request is given up. Default 30 000. */
  readonly timeout?: number;
  /** Gives the request up, and tells the other side. */
  readonly signal?: AbortSignal;
}

/** An answer, or what a request carried. */
export interface Payload {
  /** JSON. */
  readonly payload: unknown;
  /** What crossed as bytes. */
  readonly buffers: readonly DataView[];
}

/** What a handler may answer with. */
export interface Answer {
  /** JSON. */
  readonly payload: unknown;
  /** Bytes that cross beside it. */
  readonly buffers?: readonly OutgoingBuffer[];
}

/**
 * Answers one kind of request. `signal` is aborted when the asker gives up, the widget closes or the kernel is
 * interrupted.
 */
export type RequestHandler = (
  request: Payload & { readonly signal: AbortSignal },
) => Answer | undefined | void | Promise<Answer | undefined | void>;

/** A request that the other side refused or that failed there; `code` is a short word, the message one sentence. */
export class RequestError extends Error {
  /** Tells it from other errors, also across threads. */
  override readonly name = "RequestError";
  constructor(
    /** A short word: "range", "unavailable", "cancelled", … */
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Spreads updates over time: front ends' servers drop messages when more than 1000 come in a second. */
class SendBudget {
  static readonly #capacity = 150;
  static readonly #perSecond = 300;
  #tokens = SendBudget.#capacity;
  #last = performance.now();

  take(): boolean {
    const now = performance.now();
    this.#tokens = Math.min(SendBudget.#capacity, this.#tokens + ((now - this.#last) / 1000) * SendBudget.#perSecond);
    this.#last = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

const budget = new SendBudget();
const waiting = new Set<RegisteredWidget>();
let timer: NodeJS.Timeout | undefined;

/** Sends the widgets that wait, oldest first, as the budget allows. */
function drain(): void {
  timer = undefined;
  for (const widget of waiting) {
    if (!budget.take()) {
      schedule();
      return;
    }
    widget.flush();
  }
}

function schedule(): void {
  timer ??= setTimeout(drain, 20);
  // A script without a kernel must be able to end.
  timer.unref();
}

/**
 * Kernel side of one widget: a typed state that is kept equal in the kernel and in every front end that shows it.
 *
 * `State` declares the keys and their types; all keys are given to the constructor, which opens the comm. Typed arrays,
 * `DataView`s and `ArrayBuffer`s anywhere in the state cross as binary buffers and come back as `DataView`s (or as the
 * key's codec makes them); widgets in the state cross as references.
 *
 * Protocol: Jupyter widget messaging, state sync 2.1 (packages/schema/messages.md of ipywidgets), with echo updates.
 * Requests and answers in custom messages: `{ request, kind, payload }` is answered by `{ response, payload }` or
 * `{ response, error: { code, message } }` with the same id; `{ cancel }` takes a request back.
 */
export class Widget<State extends object, Events extends object = object> implements RegisteredWidget {
  /** Name of its comm, and of its model in the front end. */
  readonly modelId: string;
  readonly #host: CommHost;
  readonly #comm: Comm;
  readonly #values: State;
  readonly #dirty = new Set<keyof State & string>();
  readonly #listeners = new Map<string, Set<(detail: never) => void>>();
  readonly #handlers = new Map<string, RequestHandler>();
  readonly #running = new Map<string, AbortController>();
  readonly #asked = new Requester<string, Payload>();
  /** Widgets without a view that live as long as this one. */
  readonly #joined = new Set<object>();
  #nextRequest = 0;
  #isClosed = false;
  #held = false;

  /** @param state Every key of the state with its first value. */
  constructor(
    /** Which classes of the front end show it. */
    readonly spec: WidgetSpec<State>,
    state: State,
  ) {
    this.#host = commHost();
    this.#values = { ...state };
    this.modelId = randomUUID().replaceAll("-", "");
    const split = splitBuffers(this.wireState());
    this.#comm = this.#host.openComm(WIDGET_TARGET, {
      id: this.modelId,
      data: { state: split.state, buffer_paths: split.bufferPaths },
      buffers: split.buffers,
      metadata: { version: WIDGET_PROTOCOL_VERSION },
    });
    listenWeakly(this.#comm, new WeakRef<CommEnd>(this));
    if (this.#host.live) openWidgets().add(this, this.#comm);
    this.#holdMe(spec.references ?? []);
  }

  /** Class of its model in the front end. */
  get modelName(): string {
    return this.spec.modelName;
  }

  /** Package that has that class. */
  get modelModule(): string {
    return this.spec.modelModule;
  }

  /** Range of versions of that package. */
  get modelModuleVersion(): string {
    return this.spec.modelModuleVersion;
  }

  /** True after `close()`, or after the front end closed it. */
  get closed(): boolean {
    return this.#isClosed;
  }

  /** The state now. A snapshot: changing it changes nothing. */
  get state(): Readonly<State> {
    return { ...this.#values };
  }

  /** The value of one key of the state. */
  get<K extends keyof State & string>(name: K): State[K] {
    return this.#values[name];
  }

  /** Changes keys and sends them in one update. Keys that keep their value are not sent. Unknown keys throw. */
  set(changes: Partial<State>): void {
    const changed = this.#assign(changes, "kernel");
    if (changed.length > 0) this.#sendSoon(changed);
  }

  /**
   * Called for every change that is about to be made; returns the value to take instead, or throws to refuse it. A
   * value that the front end sent and that is replaced here is sent back corrected.
   */
  protected validate<K extends keyof State & string>(_name: K, value: State[K]): State[K] {
    return value;
  }

  /**
   * Called with the state that is about to be; returns further changes that follow from it (a value moved into new
   * bounds), or throws to refuse all. `changed` are the keys that were set.
   */
  protected reconcile(_next: State, _changed: ReadonlySet<string>): Partial<State> {
    return {};
  }

  /** Sends keys whose value was changed in place (an array's item, an object's key). */
  resend(...names: (keyof State & string)[]): void {
    this.#sendSoon(names);
  }

  /** Calls `listener` for every change of the named key(s). Ends with the signal, or by the returned function. */
  observe<K extends keyof State & string>(
    names: K | readonly K[],
    listener: (change: Change<State, K>) => unknown,
    options: ListenOptions = {},
  ): () => void {
    const wanted = new Set<string>(typeof names === "string" ? [names] : names);
    for (const name of wanted) this.#checkName(name);
    return this.on(
      "change",
      (change) => {
        if (wanted.has(change.name as string)) return listener(change as unknown as Change<State, K>);
      },
      options,
    );
  }

  /**
   * Resolves with the new value at the key's next change. Rejects when the signal aborts, the cell is interrupted or
   * the widget closes.
   */
  changed<K extends keyof State & string>(name: K, options: ListenOptions = {}): Promise<State[K]> {
    this.#checkName(name);
    return new Promise<State[K]>((resolve, reject) => {
      const done = new AbortController();
      const signals = [options.signal, this.#host.cell?.signal].filter((signal) => signal !== undefined);
      for (const signal of signals) {
        const abort = (): void => {
          done.abort();
          reject(signal.reason);
        };
        if (signal.aborted) return abort();
        signal.addEventListener("abort", abort, { once: true, signal: done.signal });
      }
      this.observe(
        name,
        (change) => {
          done.abort();
          resolve(change.new);
        },
        { signal: done.signal },
      );
      this.on(
        "close",
        () => {
          done.abort();
          reject(new Error(`The widget ${this.modelName} was closed before "${name}" changed.`));
        },
        { signal: done.signal },
      );
    });
  }

  /** Calls `listener` for each event of this name. Ends with the signal, or by the returned function. */
  on<E extends keyof (BaseEvents<State> & Events) & string>(
    event: E,
    listener: (detail: (BaseEvents<State> & Events)[E]) => unknown,
    options: ListenOptions = {},
  ): () => void {
    let set = this.#listeners.get(event);
    if (set === undefined) this.#listeners.set(event, (set = new Set()));
    const own = (detail: never): void => this.#guard(() => listener(detail));
    const off = (): void => {
      set.delete(own);
      options.signal?.removeEventListener("abort", off);
    };
    if (options.signal?.aborted) return off;
    set.add(own);
    options.signal?.addEventListener("abort", off, { once: true });
    return off;
  }

  /** Calls the listeners of an event. A listener that throws is shown and does not stop the others. */
  protected emit<E extends keyof (BaseEvents<State> & Events) & string>(
    event: E,
    detail: (BaseEvents<State> & Events)[E],
  ): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) (listener as (detail: unknown) => void)(detail);
  }

  /** Sends a custom message to every view of this widget. State changed before is sent before. */
  send(content: JsonObject, buffers: readonly OutgoingBuffer[] = []): void {
    this.flush();
    this.#comm.send({ method: "custom", content }, { buffers });
  }

  /** Answers requests of this kind. The newest handler of a kind wins. */
  handle(kind: string, handler: RequestHandler): void {
    this.#handlers.set(kind, handler);
  }

  /**
   * Asks the front end. Rejects with a `RequestError` when it refuses (its code), does not answer in time ("timeout")
   * or the widget closes ("closed"), and with the signal's reason when that aborts.
   */
  request(kind: string, payload: unknown = {}, options: RequestOptions = {}): Promise<Payload> {
    const { timeout = 30_000, buffers = [] } = options;
    if (this.#isClosed)
      return Promise.reject(
        new RequestError("closed", `The widget ${this.modelName} is closed: it cannot be asked for "${kind}".`),
      );
    if (!this.#host.live)
      return Promise.reject(new RequestError("headless", `There is no notebook here that could answer "${kind}".`));
    const id = `k${++this.#nextRequest}`;
    return this.#asked.ask(id, () => this.send({ request: id, kind, payload }, buffers), {
      signals: [options.signal, this.#host.cell?.signal],
      timeout,
      late: () => new RequestError("timeout", `The front end did not answer "${kind}" within ${timeout} ms.`),
      givenUp: () => this.#comm.send({ method: "custom", content: { cancel: id } }),
    });
  }

  /** Closes the widget everywhere: its views vanish, what was asked is rejected. Harmless when closed already. */
  close(): void {
    if (this.#isClosed) return;
    this.flush();
    this.#comm.close();
    this.finish();
  }

  /** MIME bundle that shows the widget. Subclasses add their own types to what `super` gives. */
  [JUPYTER_DISPLAY](): MimeBundle | Promise<MimeBundle> {
    this.flush();
    const bundle: MimeBundle = { "text/plain": this.toString() };
    if (this.spec.viewName !== null && !this.#isClosed)
      bundle[WIDGET_VIEW] = { version_major: 2, version_minor: 0, model_id: this.modelId };
    return bundle;
  }

  /** Text for terminals and logs: the name and the plain values that differ from nothing. */
  toString(): string {
    const parts: string[] = [];
    for (const [name, value] of Object.entries(this.#values)) {
      if (name.startsWith("_") || value === null || value === undefined || value === "") continue;
      if (typeof value === "number" || typeof value === "boolean") parts.push(`${name}: ${value}`);
      else if (typeof value === "string")
        parts.push(`${name}: ${JSON.stringify(value.length > 60 ? value.slice(0, 59) + "…" : value)}`);
    }
    return `${this.modelName.replace(/Model$/, "")}(${parts.join(", ")})`;
  }

  wireState(): JsonObject {
    const state: JsonObject = {
      _model_name: this.spec.modelName,
      _model_module: this.spec.modelModule,
      _model_module_version: this.spec.modelModuleVersion,
      _view_name: this.spec.viewName,
      _view_module: this.spec.viewModule,
      _view_module_version: this.spec.viewModuleVersion,
    };
    for (const name of Object.keys(this.#values) as (keyof State & string)[]) {
      if (!this.#isLocal(name)) state[name] = this.#toWire(name);
    }
    return state;
  }

  flush(): void {
    waiting.delete(this);
    if (this.#dirty.size === 0 || this.#isClosed) return;
    const names = [...this.#dirty];
    this.#dirty.clear();
    this.#sendUpdate("update", Object.fromEntries(names.map((name) => [name, this.#toWire(name)])));
  }

  #isLocal(name: string): boolean {
    return this.spec.local?.includes(name as keyof State & string) ?? false;
  }

  #checkName(name: string): void {
    if (!Object.hasOwn(this.#values, name)) {
      throw new RangeError(`${this.modelName} has no "${name}"; it has: ${Object.keys(this.#values).join(", ")}.`);
    }
  }

  #toWire(name: keyof State & string): unknown {
    const codec = this.spec.codecs?.[name];
    const value = this.#values[name];
    return pack(codec === undefined ? value : codec.toWire(value));
  }

  #fromWire(name: keyof State & string, wire: unknown): State[keyof State & string] {
    const codec = this.spec.codecs?.[name];
    if (codec !== undefined) return codec.fromWire(wire);
    return (this.spec.references?.includes(name) ? unpack(wire) : wire) as State[keyof State & string];
  }

  /** Takes values over and tells listeners, when all of them are in. Returns the keys that changed. */
  #assign(changes: Partial<State>, source: "kernel" | "frontend"): (keyof State & string)[] {
    const accepted: [keyof State & string, State[keyof State & string]][] = [];
    for (const name of Object.keys(changes) as (keyof State & string)[]) {
      this.#checkName(name);
      // All are checked before any is taken, so that a refused one leaves the state as it was.
      accepted.push([name, this.validate(name, changes[name] as State[keyof State & string])]);
    }
    const next = { ...this.#values, ...(Object.fromEntries(accepted) as Partial<State>) };
    const further = this.reconcile(next, new Set(accepted.map(([name]) => name)));
    const events: Change<State>[] = [];
    for (const [name, value] of Object.entries({ ...Object.fromEntries(accepted), ...further }) as typeof accepted) {
      const old = this.#values[name];
      if (same(old, value)) continue;
      this.#values[name] = value;
      events.push({ name, old, new: value, source });
    }
    for (const event of events) this.emit("change", event as (BaseEvents<State> & Events)["change"]);
    return events.map((event) => event.name as keyof State & string);
  }

  #sendSoon(names: readonly (keyof State & string)[]): void {
    for (const name of names) if (!this.#isLocal(name)) this.#dirty.add(name);
    if (this.#dirty.size === 0 || this.#held) return;
    if (waiting.size === 0 && budget.take()) this.flush();
    else {
      waiting.add(this);
      schedule();
    }
  }

  #sendUpdate(method: "update" | "echo_update", wire: JsonObject): void {
    const split = splitBuffers(wire);
    this.#comm.send({ method, state: split.state, buffer_paths: split.bufferPaths }, { buffers: split.buffers });
  }

  /** A widget without a view that joins others (a link in the browser) lives as long as one of them. */
  #holdMe(references: readonly (keyof State & string)[]): void {
    if (this.spec.viewName !== null) return;
    for (const name of references)
      for (const widget of widgetsIn(this.#values[name])) if (widget instanceof Widget) widget.#joined.add(this);
  }

  /** For the comm. */
  receive(message: CommMessage): void {
    const { data } = message;
    switch (data["method"]) {
      case "update":
        return this.#receiveUpdate(message);
      case "request_state":
        return this.#sendUpdate("update", this.wireState());
      case "custom":
        if (isPlainObject(data["content"])) return this.#receiveCustom(data["content"], message.buffers);
        return;
      default:
        // Unknown methods are ignored, as the protocol says: a newer front end may speak more than we know.
        return;
    }
  }

  #receiveUpdate(message: CommMessage): void {
    const state = message.data["state"];
    if (!isPlainObject(state)) return;
    joinBuffers(state, message.data["buffer_paths"], message.buffers);
    const known = Object.keys(state).filter(
      (name) => Object.hasOwn(this.#values, name) && !this.#isLocal(name),
    ) as (keyof State & string)[];
    if (known.length === 0) return;
    // Other front ends learn of it by the echo; it comes before any correction, which then wins.
    this.#sendUpdate("echo_update", Object.fromEntries(known.map((name) => [name, state[name]])));
    const changes: Partial<State> = {};
    const wrong = new Set<keyof State & string>();
    const further: (keyof State & string)[] = [];
    this.#held = true;
    try {
      for (const name of known) {
        try {
          changes[name] = this.#fromWire(name, state[name]);
          this.validate(name, changes[name] as State[typeof name]);
        } catch (error) {
          delete changes[name];
          wrong.add(name);
          this.#host.showError(error);
        }
      }
      further.push(...this.#assign(changes, "frontend").filter((name) => !known.includes(name)));
    } catch (error) {
      this.#host.showError(error);
    } finally {
      this.#held = false;
      // What was refused, corrected or changed again by a listener is not what the front end shows.
      for (const name of known)
        if (!Object.hasOwn(changes, name) || !same(this.#values[name], changes[name])) wrong.add(name);
      this.#sendSoon([...wrong, ...further]);
    }
  }

  #receiveCustom(content: JsonObject, buffers: readonly DataView[]): void {
    if (typeof content["request"] === "string" && typeof content["kind"] === "string") {
      void this.#answer(content["request"], content["kind"], content["payload"], buffers);
    } else if (typeof content["response"] === "string") {
      const id = content["response"];
      const error = content["error"];
      if (isPlainObject(error))
        this.#asked.reject(
          id,
          new RequestError(
            typeof error["code"] === "string" ? error["code"] : "error",
            typeof error["message"] === "string" ? error["message"] : "The front end reported an error.",
          ),
        );
      else this.#asked.resolve(id, { payload: content["payload"], buffers });
    } else if (typeof content["cancel"] === "string") {
      this.#running.get(content["cancel"])?.abort(new RequestError("cancelled", "The request was taken back."));
    } else {
      this.emit("message", { content, buffers } as (BaseEvents<State> & Events)["message"]);
    }
  }

  async #answer(id: string, kind: string, payload: unknown, buffers: readonly DataView[]): Promise<void> {
    const respond = (content: JsonObject, out: readonly OutgoingBuffer[] = []): void => {
      // `send` flushes state first: what a handler changed is there before its answer is.
      if (!this.#isClosed) this.send({ response: id, ...content }, out);
    };
    const handler = this.#handlers.get(kind);
    if (handler === undefined) {
      const kinds = [...this.#handlers.keys()].join(", ") || "none";
      return respond({
        error: { code: "unknown-kind", message: `${this.modelName} does not answer "${kind}"; it answers: ${kinds}.` },
      });
    }
    const controller = new AbortController();
    this.#running.set(id, controller);
    const { signal, release } = follow(controller.signal, this.#host.cell?.signal);
    try {
      const answer = await handler({ payload, buffers, signal });
      respond({ payload: answer?.payload ?? null }, answer?.buffers);
    } catch (error) {
      const code = error instanceof RequestError ? error.code : error instanceof Error ? error.name : "Error";
      respond({ error: { code, message: error instanceof Error ? error.message : String(error) } });
    } finally {
      release();
      if (this.#running.get(id) === controller) this.#running.delete(id);
    }
  }

  /** For the comm: the other side closed it. */
  finish(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    waiting.delete(this);
    openWidgets().delete(this);
    const closed = new RequestError("closed", `The widget ${this.modelName} was closed.`);
    this.#asked.rejectAll(closed);
    for (const controller of this.#running.values()) controller.abort(closed);
    this.emit("close", undefined as (BaseEvents<State> & Events)["close"]);
    this.#listeners.clear();
  }

  /** Runs a listener so that what it throws, or rejects with, is shown and nothing else breaks. */
  #guard(fn: () => unknown): void {
    try {
      const result = fn();
      if (result instanceof Promise) result.catch((error: unknown) => this.#host.showError(error));
    } catch (error) {
      this.#host.showError(error);
    }
  }
}

interface Hearing {
  readonly source: WeakRef<object>;
  /** From the source to what ends the hearing, which holds the source: alive only as long as that is. */
  readonly ends: WeakMap<object, () => void>;
}

const deaf = new FinalizationRegistry<Hearing>(({ source, ends }) => {
  const alive = source.deref();
  if (alive !== undefined) ends.get(alive)?.();
});

/**
 * Has `owner` hear of something that may live longer, such as a selection that pictures share. Neither holds the other
 * by this.
 * @param listen begins to listen to `source`, and gives what ends it
 * @param receive must not hold the owner: it would never be collected
 * @returns what ends it before
 */
export function hear<O extends object, D>(
  owner: O,
  source: object,
  listen: (listener: (detail: D) => void) => () => void,
  receive: (owner: O, detail: D) => void,
): () => void {
  const token = {};
  const off = listen(weakListener(new WeakRef(owner), receive));
  deaf.register(owner, { source: new WeakRef(source), ends: new WeakMap([[source, off]]) }, token);
  return () => {
    deaf.unregister(token);
    off();
  };
}

/** Outside of `hear`, where a closure would hold the owner. */
function weakListener<O extends object, D>(
  owner: WeakRef<O>,
  receive: (owner: O, detail: D) => void,
): (detail: D) => void {
  return (detail) => {
    const alive = owner.deref();
    if (alive !== undefined) receive(alive, detail);
  };
}

/** Who a comm belongs to. */
interface CommEnd {
  receive(message: CommMessage): void;
  finish(): void;
}

/** A comm is open as long as the kernel: it must not hold the widget. */
function listenWeakly(comm: Comm, widget: WeakRef<CommEnd>): void {
  comm.onMessage((message) => widget.deref()?.receive(message));
  comm.onClose(() => widget.deref()?.finish());
}

const REFERENCE = "IPY_MODEL_";

/** Replaces widgets, anywhere in plain data, by references. */
function pack(value: unknown): unknown {
  if (isWidget(value)) return REFERENCE + value.modelId;
  if (Array.isArray(value)) return value.map(pack);
  if (isPlainObject(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, pack(item)]));
  return value === undefined ? null : value;
}

/** Replaces references by widgets. One that names no open widget throws. */
function unpack(wire: unknown): unknown {
  if (typeof wire === "string" && wire.startsWith(REFERENCE)) {
    const widget = openWidgets().get(wire.slice(REFERENCE.length));
    if (widget === undefined) throw new RangeError(`There is no open widget with id ${wire.slice(REFERENCE.length)}.`);
    return widget;
  }
  if (Array.isArray(wire)) return wire.map(unpack);
  if (isPlainObject(wire)) return Object.fromEntries(Object.entries(wire).map(([key, item]) => [key, unpack(item)]));
  return wire;
}

/** Widgets anywhere in plain data. */
function* widgetsIn(value: unknown): Generator<RegisteredWidget> {
  if (isWidget(value)) yield value;
  else if (Array.isArray(value)) for (const item of value) yield* widgetsIn(item);
  else if (isPlainObject(value)) for (const item of Object.values(value)) yield* widgetsIn(item);
}

function isWidget(value: unknown): value is RegisteredWidget {
  return typeof value === "object" && value !== null && "modelId" in value && "wireState" in value;
}

/**
 * Equal as values: what would look the same on the wire needs no message. Binary values are equal only to themselves.
 */
function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime();
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, index) => same(item, b[index]));
  if (isPlainObject(a) && isPlainObject(b)) {
    const keys = Object.keys(a);
    return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
  }
  return false;
}
