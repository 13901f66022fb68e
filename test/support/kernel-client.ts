/**
 * A small Jupyter client for tests: starts a real kernel process and speaks the wire protocol to it, with an
 * implementation of its own (nothing of the kernel's code is used here).
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createHmac, randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Dealer, Request, Subscriber } from "zeromq";

export type Json = Record<string, unknown>;

export interface Received {
  readonly channel: "shell" | "control" | "stdin" | "iopub";
  readonly header: Json & { readonly msg_id: string; readonly msg_type: string };
  readonly parent: Json & { readonly msg_id?: string };
  readonly metadata: Json;
  readonly content: Json;
  readonly buffers: readonly Buffer[];
}

export interface Executed {
  readonly reply: Json;
  /** All iopub messages of this request, up to its idle. */
  readonly messages: readonly Received[];
  /** Everything written to stdout. */
  readonly stdout: string;
  readonly stderr: string;
  /** Bundle of the execute_result. */
  readonly result: Json | undefined;
  readonly error:
    { readonly ename: string; readonly evalue: string; readonly traceback: readonly string[] } | undefined;
}

export interface StartOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Default: this package's built kernel. */
  readonly main?: string;
}

export const packageRoot = resolve(__dirname, "..", "..");

export class KernelClient {
  readonly session = randomUUID();
  readonly key = randomUUID();
  readonly iopub: Received[] = [];
  readonly #waiting = new Set<() => void>();
  /** Replies of all channels but iopub. */
  readonly replies: Received[] = [];
  readonly shell = new Dealer({ linger: 0 });
  readonly control = new Dealer({ linger: 0 });
  readonly stdin = new Dealer({ linger: 0 });
  readonly heartbeat = new Request({ linger: 0 });
  readonly #subscriber = new Subscriber({ linger: 0, receiveHighWaterMark: 0 });
  process!: ChildProcess;
  /** What the process itself wrote to its standard streams: not meant for cells. */
  log = "";
  #folder = "";
  /** Ports of its channels on 127.0.0.1. */
  ports!: {
    readonly shell: number;
    readonly iopub: number;
    readonly control: number;
    readonly stdin: number;
    readonly heartbeat: number;
  };
  exited: Promise<number | null> = Promise.resolve(null);

  static readonly #open = new Set<KernelClient>();

  /** Closes every client that a test has left open, because it failed before its end. */
  static async closeAll(): Promise<void> {
    await Promise.all([...KernelClient.#open].map((client) => client.close()));
  }

  static async start(options: StartOptions = {}): Promise<KernelClient> {
    const client = new KernelClient();
    KernelClient.#open.add(client);
    await client.#begin(options);
    return client;
  }

  async #begin(options: StartOptions): Promise<void> {
    const ports = await freePorts(5);
    this.#folder = mkdtempSync(join(tmpdir(), "kernel-client-"));
    const file = join(this.#folder, "connection.json");
    const [shell, iopub, control, stdin, heartbeat] = ports as [number, number, number, number, number];
    this.ports = { shell, iopub, control, stdin, heartbeat };
    writeFileSync(
      file,
      JSON.stringify({
        transport: "tcp",
        ip: "127.0.0.1",
        key: this.key,
        signature_scheme: "hmac-sha256",
        shell_port: shell,
        iopub_port: iopub,
        control_port: control,
        stdin_port: stdin,
        hb_port: heartbeat,
      }),
    );
    this.process = spawn(
      process.execPath,
      [options.main ?? join(packageRoot, "dist", "jupyter", "kernel", "main.js"), file],
      {
        cwd: options.cwd ?? this.#folder,
        env: { ...process.env, ...options.env },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    this.exited = new Promise((done) => this.process.once("exit", (code) => done(code)));
    for (const stream of [this.process.stdout, this.process.stderr])
      stream?.on("data", (chunk: Buffer) => (this.log += chunk.toString()));
    const address = (port: number): string => `tcp://127.0.0.1:${port}`;
    this.shell.routingId = this.stdin.routingId = this.session;
    this.shell.connect(address(shell));
    this.control.connect(address(control));
    this.stdin.connect(address(stdin));
    this.heartbeat.connect(address(heartbeat));
    this.#subscriber.connect(address(iopub));
    this.#subscriber.subscribe();
    for (const [channel, socket] of [
      ["shell", this.shell],
      ["control", this.control],
      ["stdin", this.stdin],
      ["iopub", this.#subscriber],
    ] as const) {
      void (async () => {
        for await (const frames of socket) this.#receive(channel, frames);
      })();
    }
    // A subscription takes effect some time after the connection: ask until the status of an answer is seen on iopub.
    for (let attempt = 0; ; attempt++) {
      const id = this.send("shell", "kernel_info_request", {});
      const seen = await this.until(
        () =>
          this.iopub.find((message) => message.parent.msg_id === id && message.content["execution_state"] === "idle"),
        500,
      ).catch(() => undefined);
      if (seen !== undefined) break;
      if (attempt > 240 || this.process.exitCode !== null) throw new Error(`The kernel did not start. ${this.log}`);
    }
  }

  #receive(channel: Received["channel"], frames: readonly Buffer[]): void {
    const at = frames.findIndex((frame) => frame.toString() === "<IDS|MSG>");
    const parts = frames.slice(at + 2);
    const signature = createHmac("sha256", this.key);
    for (const part of parts.slice(0, 4)) signature.update(part);
    if (signature.digest("hex") !== frames[at + 1]?.toString())
      throw new Error("The kernel sent a message with a wrong signature.");
    const [header, parent, metadata, content] = parts
      .slice(0, 4)
      .map((part) => JSON.parse(part.toString()) as Received["header"]);
    const received = {
      channel,
      header,
      parent,
      metadata,
      content,
      buffers: parts.slice(4).map((part) => Buffer.from(part)),
    } as Received;
    (channel === "iopub" ? this.iopub : this.replies).push(received);
    for (const check of [...this.#waiting]) check();
  }

  /** Resolves when `find` gives something; looks again at each message. */
  until<T>(find: () => T | undefined, timeout = 90_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        const found = find();
        if (found === undefined) return;
        this.#waiting.delete(check);
        clearTimeout(limit);
        resolve(found);
      };
      const limit = setTimeout(() => {
        this.#waiting.delete(check);
        reject(
          new Error(
            `What the test waits for did not come within ${timeout} ms. Newest messages: ${JSON.stringify(this.iopub.slice(-4).map((message) => [message.header.msg_type, message.content])).slice(0, 1500)} ${this.log.slice(-1500)}`,
          ),
        );
      }, timeout);
      this.#waiting.add(check);
      check();
    });
  }

  /** Frames of a signed message. */
  frames(
    type: string,
    content: unknown,
    options: {
      readonly buffers?: readonly Uint8Array[];
      readonly metadata?: Json;
      readonly parent?: Json;
      readonly id?: string;
    } = {},
  ): { id: string; frames: Buffer[] } {
    const id = options.id ?? randomUUID();
    const header = {
      msg_id: id,
      msg_type: type,
      session: this.session,
      username: "test",
      date: new Date().toISOString(),
      version: "5.3",
    };
    const parts = [header, options.parent ?? {}, options.metadata ?? {}, content].map((part) =>
      Buffer.from(JSON.stringify(part)),
    );
    const signature = createHmac("sha256", this.key);
    for (const part of parts) signature.update(part);
    return {
      id,
      frames: [
        Buffer.from("<IDS|MSG>"),
        Buffer.from(signature.digest("hex")),
        ...parts,
        ...(options.buffers ?? []).map((buffer) => Buffer.from(buffer)),
      ],
    };
  }

  /** The same frames with the signature that they should have. */
  signed(frames: readonly Buffer[]): Buffer[] {
    const signature = createHmac("sha256", this.key);
    for (const part of frames.slice(2, 6)) signature.update(part);
    return [frames[0], Buffer.from(signature.digest("hex")), ...frames.slice(2)];
  }

  /** Sends a message and gives its id. */
  send(
    channel: "shell" | "control" | "stdin",
    type: string,
    content: unknown,
    options: {
      readonly buffers?: readonly Uint8Array[];
      readonly metadata?: Json;
      readonly parent?: Json;
      readonly id?: string;
    } = {},
  ): string {
    const { id, frames } = this.frames(type, content, options);
    this.sendRaw(channel, frames);
    return id;
  }

  #outgoing = Promise.resolve();

  sendRaw(channel: "shell" | "control" | "stdin", frames: readonly Uint8Array[]): void {
    // One after the other: a socket takes one send at a time.
    this.#outgoing = this.#outgoing
      .then(() => this[channel].send(frames.map((frame) => Buffer.from(frame))))
      .catch(() => {});
  }

  /** The reply to a message that was sent. */
  reply(id: string, timeout?: number): Promise<Received> {
    return this.until(() => this.replies.find((message) => message.parent.msg_id === id), timeout);
  }

  async request(
    type: string,
    content: Json = {},
    channel: "shell" | "control" = "shell",
    timeout?: number,
  ): Promise<Json> {
    return (await this.reply(this.send(channel, type, content), timeout)).content;
  }

  /** Messages on iopub that belong to a request. */
  messagesOf(id: string): Received[] {
    return this.iopub.filter((message) => message.parent.msg_id === id);
  }

  isIdle(id: string): boolean {
    return this.iopub.some((message) => message.parent.msg_id === id && message.content["execution_state"] === "idle");
  }

  /** Sends a cell without waiting for it. */
  submit(code: string, options: Json = {}): string {
    return this.send("shell", "execute_request", {
      code,
      silent: false,
      store_history: true,
      user_expressions: {},
      allow_stdin: false,
      stop_on_error: true,
      ...options,
    });
  }

  /** Waits for the end of a cell that was submitted. */
  async finished(id: string, timeout = 120_000): Promise<Executed> {
    const reply = await this.reply(id, timeout);
    await this.until(() => (this.isIdle(id) ? true : undefined));
    const messages = this.messagesOf(id);
    const text = (name: string): string =>
      messages
        .filter((message) => message.header.msg_type === "stream" && message.content["name"] === name)
        .map((message) => String(message.content["text"]))
        .join("");
    const content = (type: string): Json | undefined =>
      messages.find((message) => message.header.msg_type === type)?.content;
    return {
      reply: reply.content,
      messages,
      stdout: text("stdout"),
      stderr: text("stderr"),
      result: content("execute_result")?.["data"] as Json | undefined,
      error: content("error") as Executed["error"],
    };
  }

  /** Runs a cell to its end. */
  execute(code: string, options: Json = {}, timeout?: number): Promise<Executed> {
    return this.finished(this.submit(code, options), timeout);
  }

  /** Shuts the kernel down, by force where it does not listen, and removes what was made for it. */
  async close(): Promise<void> {
    if (!KernelClient.#open.delete(this)) return;
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.send("control", "shutdown_request", { restart: false });
      const killed = setTimeout(() => this.process.kill("SIGKILL"), 5000);
      await this.exited;
      clearTimeout(killed);
    }
    await this.#outgoing;
    for (const socket of [this.shell, this.control, this.stdin, this.heartbeat, this.#subscriber]) socket.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((done) => {
          const server = createServer().listen(0, "127.0.0.1", () => done(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}
