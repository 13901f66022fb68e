/**
 * Requests to the hub: the token for it alone, redirects that are looked at, limits on silence and on size, and answers
 * that are checked before anything is made of them.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { follow } from "../signals";
import { ModelFileError } from "./errors";
import { climbs, shown } from "./hub-names";
import type { ListFileEntry } from "@huggingface/hub";

/** What the hub may cost before we give up. Tests shorten it. */
export const hubLimits = {
  /** In so many ms there must come an answer's head, and then each time so many bytes (or the end). */
  silenceMs: 30_000,
  progressBytes: 4096,
  /** Of questions (which commit, which files): ms and bytes of one answer, of all pages of a list, and their number. */
  answerMs: 120_000,
  answerBytes: 32 * 2 ** 20,
  listMs: 300_000,
  listPages: 200,
  listEntries: 200_000,
  /** Redirects in a row. */
  redirects: 10,
  /** ms that we wait in all where the hub asks to (Retry-After). */
  patienceMs: 30_000,
  /** First pause between attempts, in ms; each further one is twice as long. */
  pauseMs: 250,
  longestPauseMs: 8000,
  /** Bytes of config.json, tokenizer.json and the like. */
  smallBytes: 256 * 2 ** 20,
};

/**
 * The hub does not give now what it may give later: the cache serves where it can. `message` is why; `sentence` where
 * that says more.
 */
export class Unavailable extends Error {
  constructor(
    reason: string,
    readonly sentence?: string,
  ) {
    super(reason);
  }
}

/** An answer with status 500 and up: as good as none, but worth another attempt. */
export class ServerTrouble extends Error {}

/** Nothing, or next to nothing, comes. */
export class Stalled extends Error {}

/** A response, and its body in pieces. */
export interface Answer {
  readonly response: Response;
  readonly body: () => AsyncGenerator<Uint8Array, void>;
}

export interface RequestOptions {
  readonly method?: "GET" | "HEAD";
  readonly headers?: Readonly<Record<string, string>>;
  /** Give redirects back instead of following them. */
  readonly manual?: boolean;
  /** Limit in ms on all of it. */
  readonly totalMs?: number;
}

export class HubRequests {
  token: string | undefined;
  /** ms that may still be waited because the hub asks to. */
  patience = hubLimits.patienceMs;

  constructor(
    /** The hub, without a slash at its end. */
    readonly hub: string,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /**
   * Requests and hands the answer to `use`, which reads as much of the body as it wants. Rejects with the caller's
   * reason, a `Stalled`, an `Unavailable`, what `fetch` or `use` throw. Statuses are left to `use`, but a short
   * Retry-After has been waited for.
   */
  async exchange<T>(address: string, options: RequestOptions, use: (answer: Answer) => Promise<T>): Promise<T> {
    const end = options.totalMs === undefined ? Infinity : performance.now() + options.totalMs;
    for (let attempt = 1; ; attempt++) {
      const left = end - performance.now();
      if (left <= 0) throw new Stalled("no whole answer in time");
      // A wait of 0 seconds is no leave to ask without end.
      const outcome = await this.#once(address, options, left, pause(attempt), use);
      if (!("wait" in outcome)) return outcome.value;
      this.patience -= outcome.wait;
      await sleep(outcome.wait, undefined, { signal: this.signal }).catch(() => undefined);
      this.signal?.throwIfAborted();
    }
  }

  async #once<T>(
    address: string,
    options: RequestOptions,
    totalMs: number,
    leastWait: number,
    use: (answer: Answer) => Promise<T>,
  ): Promise<{ readonly value: T } | { readonly wait: number }> {
    const watch = new Watch(this.signal, totalMs);
    let response: Response | undefined;
    try {
      response = await this.#fetch(address, options, watch);
      watch.progress(Infinity);
      const asked = response.status === 429 || response.status === 503 ? retryAfter(response) : undefined;
      const wait = Math.max(asked ?? Infinity, leastWait);
      if (wait < this.patience) return { wait };
      const { body } = response;
      return { value: await use({ response, body: () => watch.read(body) }) };
    } catch (error) {
      watch.throwIfOver();
      throw error;
    } finally {
      watch.end();
      // Not waited for: a server may let that hang too.
      if (response?.body?.locked === false) response.body.cancel().catch(() => undefined);
    }
  }

  /** Follows redirects. The token goes to the hub alone, and not on again once we were sent elsewhere. */
  async #fetch(
    address: string,
    { method = "GET", headers = {}, manual = false }: RequestOptions,
    watch: Watch,
  ): Promise<Response> {
    const origin = new URL(this.hub).origin;
    let url = new URL(address);
    let atHome = true;
    for (let hops = 0; ; hops++) {
      atHome &&= url.origin === origin;
      const response = await watch.race(
        fetch(url.href, {
          method,
          headers: {
            ...headers,
            "user-agent": "lm-transparency",
            ...(atHome && this.token !== undefined && { authorization: `Bearer ${this.token}` }),
          },
          redirect: "manual",
          signal: watch.signal,
        }),
      );
      const to = [301, 302, 303, 307, 308].includes(response.status) ? response.headers.get("location") : null;
      if (manual || to === null) return response;
      response.body?.cancel().catch(() => undefined);
      if (hops === hubLimits.redirects)
        throw new Unavailable(
          "it sends round in circles",
          `${this.hub} sends round in circles (more than ${hubLimits.redirects} redirects, the last to ${shown(to, 100)}): look for a proxy in between, or check HF_ENDPOINT.`,
        );
      const next = URL.canParse(to, url.href) ? new URL(to, url) : undefined;
      if (next === undefined || !/^https?:$/.test(next.protocol) || next.username !== "" || next.password !== "") {
        throw new Unavailable(
          "it sends to what is no web address",
          `${this.hub} sends to "${shown(to, 100)}", which is no address that may be followed: look for a proxy in between, or check HF_ENDPOINT.`,
        );
      }
      url = next;
      watch.progress(Infinity);
    }
  }

  /**
   * A question to the hub's API that is answered in JSON; `check` says what is wrong with the value, or nothing. For
   * `@huggingface/hub`.
   */
  asking(refuse: (response: Response) => Error, check: (value: unknown) => string | undefined): typeof fetch {
    return async (input, init) => {
      const address = input instanceof Request ? input.url : String(input);
      const headers = Object.fromEntries(new Headers(init?.headers).entries());
      return this.#again(() =>
        this.exchange(address, { headers, totalMs: hubLimits.answerMs }, async ({ response, body }) => {
          if (!response.ok)
            throw response.status >= 500 && retryAfter(response) === undefined
              ? new ServerTrouble(`status ${response.status}`)
              : refuse(response);
          const pieces: Uint8Array[] = [];
          let size = 0;
          for await (const piece of body()) {
            size += piece.length;
            if (size > hubLimits.answerBytes)
              throw this.wrongAnswer(`an answer of more than ${Math.floor(hubLimits.answerBytes / 2 ** 20)} MiB`);
            pieces.push(piece);
          }
          const text = new TextDecoder().decode(Buffer.concat(pieces));
          let value: unknown;
          try {
            value = JSON.parse(text) as unknown;
          } catch {
            throw isWebPage(response) || /^\s*</.test(text)
              ? webPage(this.hub, response)
              : this.wrongAnswer(text === "" ? "an empty answer" : "what is no JSON");
          }
          const wrong = check(value);
          if (wrong !== undefined) throw this.wrongAnswer(wrong);
          const link = response.headers.get("link");
          return new Response(text, {
            headers: { "content-type": "application/json", ...(link !== null && { link }) },
          });
        }),
      );
    };
  }

  /** The headers of a file. */
  head(
    address: string,
    refuse: (response: Response) => Error,
  ): Promise<{ readonly headers: Headers; readonly status: number }> {
    return this.#again(() =>
      this.exchange(
        address,
        { method: "HEAD", headers: { "accept-encoding": "identity" }, manual: true, totalMs: hubLimits.answerMs },
        ({ response }) => {
          const { headers, status } = response;
          if (!response.ok && !(status >= 300 && status < 400))
            throw status >= 500 && retryAfter(response) === undefined
              ? new ServerTrouble(`status ${status}`)
              : refuse(response);
          return Promise.resolve({ headers, status });
        },
      ),
    );
  }

  wrongAnswer(what: string): Unavailable {
    return new Unavailable(
      `it answers with ${what}`,
      `${this.hub} answers with ${what}, which no hub does: check HF_ENDPOINT, and look for a proxy in between.`,
    );
  }

  /** Runs a request again where the network failed; after that an `Unavailable` tells why. Other errors pass. */
  async #again<T>(request: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await request();
      } catch (error) {
        this.signal?.throwIfAborted();
        if (error instanceof ModelFileError || error instanceof Unavailable) throw error;
        // Who was silent for so long is not asked again.
        if (error instanceof Stalled) throw new Unavailable(error.message);
        if (!isNetwork(error)) throw error;
        if (attempt === 3) throw new Unavailable(reasonOf(error));
        await sleep(pause(attempt), undefined, { signal: this.signal }).catch(() => undefined);
      }
    }
  }
}

/**
 * Ends an exchange that comes to a standstill, lasts too long, or is called off. Reads by itself: `fetch` may lose its
 * signal once there are headers.
 */
class Watch {
  readonly #stop = new AbortController();
  readonly #followed;
  readonly #total;
  #timer: (() => void) | undefined;
  #bytes = 0;

  constructor(caller: AbortSignal | undefined, totalMs: number) {
    this.#followed = follow(caller, this.#stop.signal);
    this.#total =
      totalMs < Infinity ? after(totalMs, () => this.#stop.abort(new Stalled("no whole answer in time"))) : undefined;
    this.progress(Infinity);
  }

  get signal(): AbortSignal {
    return this.#followed.signal;
  }

  throwIfOver(): void {
    this.signal.throwIfAborted();
  }

  progress(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < hubLimits.progressBytes) return;
    this.#bytes = 0;
    this.#timer?.();
    this.#timer = after(hubLimits.silenceMs, () => this.#stop.abort(new Stalled("no answer in time")));
  }

  end(): void {
    this.#timer?.();
    this.#total?.();
    this.#followed.release();
  }

  /** The response, or the reason of the signal, whichever comes first. */
  async race(response: Promise<Response>): Promise<Response> {
    let abort: (() => void) | undefined;
    const over = new Promise<never>((_, reject) => {
      abort = () => reject(this.signal.reason as Error);
      if (this.signal.aborted) abort();
      else this.signal.addEventListener("abort", abort);
    });
    try {
      return await Promise.race([response, over]);
    } catch (error) {
      response
        .then(
          ({ body }) => body?.cancel(),
          () => undefined,
        )
        .catch(() => undefined);
      throw error;
    } finally {
      if (abort !== undefined) this.signal.removeEventListener("abort", abort);
    }
  }

  async *read(body: Response["body"]): AsyncGenerator<Uint8Array, void> {
    if (body === null) return;
    const reader = body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    // Ends a read that waits.
    const cancel = (): void => void reader.cancel().catch(() => undefined);
    this.signal.addEventListener("abort", cancel);
    try {
      for (;;) {
        this.throwIfOver();
        const { done, value } = await reader.read();
        this.throwIfOver();
        if (done) return;
        this.progress(value.length);
        yield value;
      }
    } finally {
      this.signal.removeEventListener("abort", cancel);
      cancel();
    }
  }
}

/**
 * Calls `act` in `ms`; returns what calls it off. Where this thread itself was busy so long that the timer is late, the
 * network gets its turn first: a cell that computes is no silent server.
 */
function after(ms: number, act: () => void): () => void {
  let due = performance.now() + ms;
  const ring = (): void => {
    if (performance.now() - due < Math.max(ms / 4, 100)) return act();
    due = performance.now() + ms;
    timer = setTimeout(ring, ms);
  };
  let timer = setTimeout(ring, ms);
  return () => clearTimeout(timer);
}

/** ms that an answer asks to wait; undefined where it does not. RFC 9110: seconds, or a date. */
export function retryAfter(response: Response): number | undefined {
  const text = response.headers.get("retry-after")?.trim() ?? "";
  if (/^\d+(\.\d+)?$/.test(text)) return Math.min(Number(text) * 1000, LONGEST_WAIT_MS);
  const date = /^[A-Za-z]{3}/.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(date) ? undefined : Math.min(Math.max(date - Date.now(), 0), LONGEST_WAIT_MS);
}

/** What asks for more is not believed: "later" then. */
const LONGEST_WAIT_MS = 7 * 24 * 3600 * 1000;

/** When to try again, for a sentence. */
export function whenAgain(response: Response): string {
  const wait = retryAfter(response);
  if (wait === undefined || wait === LONGEST_WAIT_MS) return "in a few minutes";
  const seconds = Math.max(1, Math.ceil(wait / 1000));
  if (seconds < 120) return `in ${seconds} ${seconds === 1 ? "second" : "seconds"}`;
  if (seconds < 7200) return `in ${Math.ceil(seconds / 60)} minutes`;
  return `after ${new Date(Date.now() + wait).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

export function isWebPage(response: Response): boolean {
  return /^\s*(text\/html|application\/xhtml)/i.test(response.headers.get("content-type") ?? "");
}

/** A page for people where data was asked for: what hotel networks and company proxies put in between. */
export function webPage(hub: string, response: Response, what?: string): Unavailable {
  const from =
    response.url !== "" && new URL(response.url).origin !== new URL(hub).origin
      ? ` (from ${new URL(response.url).origin})`
      : "";
  const status = response.ok ? "" : ` with status ${response.status}`;
  return new Unavailable(
    "it answers with a web page",
    `${hub} answers with a web page${from}${status}${what === undefined ? "" : ` instead of "${shown(what)}"`}: a login page of the network or a proxy stands in between (open ${hub} in a browser to see it), or HF_ENDPOINT is no hub.`,
  );
}

/** What is wrong with the answer to "which commit?"; nothing where it is right. */
export function wrongInfo(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "what is no description of a model";
  const { sha } = value as { sha?: unknown };
  return typeof sha === "string" && /^[\w-]{1,128}$/.test(sha) && !climbs(sha) ? undefined : "a model without a commit";
}

/** What is wrong with a list of files; nothing where it is right. */
export function wrongList(value: unknown): string | undefined {
  if (!Array.isArray(value)) return "what is no list of files";
  for (const entry of value as unknown[]) {
    if (typeof entry !== "object" || entry === null) return "what is no list of files";
    const { type, path, size, oid, lfs } = entry as Partial<Record<keyof ListFileEntry, unknown>>;
    if (typeof type !== "string" || typeof path !== "string" || path === "") return "a list of files without names";
    if (type !== "file") continue;
    if (climbs(path)) return `a file called "${shown(path, 100)}", a name that leads out of its folder`;
    if (!isSize(size) || !(oid === undefined || oid === null || typeof oid === "string"))
      return `the file "${shown(path, 100)}" in a wrong form (its size or its checksum)`;
    if (lfs === undefined || lfs === null) continue;
    const pointer = lfs as { oid?: unknown; size?: unknown };
    if (typeof pointer !== "object" || typeof pointer.oid !== "string" || !isSize(pointer.size))
      return `the file "${shown(path, 100)}" in a wrong form (its size or its checksum)`;
  }
  return undefined;
}

export function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Milliseconds before the next attempt. */
export function pause(fruitless: number): number {
  return Math.min(hubLimits.longestPauseMs, hubLimits.pauseMs * 2 ** fruitless);
}

/** `fetch` rejects with a TypeError for everything between us and an answer. */
export function isNetwork(error: unknown): boolean {
  // By name: errors of `fetch` can come from another realm.
  const { name, cause } = error as { readonly name?: string; readonly cause?: NodeJS.ErrnoException };
  return (
    error instanceof ServerTrouble || error instanceof Stalled || name === "TypeError" || cause?.code !== undefined
  );
}

export function reasonOf(error: unknown): string {
  const cause = (error as { cause?: NodeJS.ErrnoException }).cause;
  switch (cause?.code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "its name is not known here";
    case "ECONNREFUSED":
      return "the connection was refused";
    case "ECONNRESET":
    case "EPIPE":
    case "UND_ERR_SOCKET":
      return "the connection was cut";
    case "UND_ERR_CONNECT_TIMEOUT":
    case "ETIMEDOUT":
      return "no answer in time";
    default:
      if (/^HPE_|^UND_ERR_(RESPONSE|HEADERS|INVALID)/.test(cause?.code ?? "")) return "what it answers is no HTTP";
      return shown(cause?.message || (error as Error).message || String(error));
  }
}
