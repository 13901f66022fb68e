/**
 * The thread that answers heartbeats and reads the control channel, so that both work while a cell keeps the main
 * thread busy. It passes control messages on; when the main thread does not take an interrupt or shutdown in time,
 * because it is in a loop without an await, it raises the flag that loops of cells look at, and the signal that ends a
 * cell's first stretch.
 */
import { writeSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { Router } from "zeromq";
import { ownDescendants, signal } from "./processes";
import { receiveForEver } from "./receive";
import { Wire, WireError } from "./wire";

/** What the thread is started with. */
export interface ControlThreadData {
  readonly control: string;
  readonly heartbeat: string;
  readonly key: string;
  readonly scheme: string;
  /** Two Int32: the number of the request for which the loops of cells shall end; how often this thread sent SIGINT. */
  readonly flag: SharedArrayBuffer;
  /** Int32: ids of the children that run beside the cells, which an interrupt leaves alone. */
  readonly children: SharedArrayBuffer;
  /** Watch this process and end the kernel when it is gone; 0: don't. */
  readonly parentPid: number;
}

export type ToControlThread =
  | { readonly type: "taken" }
  | { readonly type: "send"; readonly frames: readonly Uint8Array[] }
  | { readonly type: "close" };

export type FromControlThread =
  | { readonly type: "bound" }
  | { readonly type: "failed"; readonly message: string }
  /** `at`: when it came, by `process.hrtime.bigint`; `request`: which interrupt or shutdown this is, counted from 1. */
  | {
      readonly type: "message";
      readonly frames: readonly Uint8Array[];
      readonly at: bigint;
      readonly request?: number;
    };

/** Bytes of a frame: what is larger ends the connection that sends it, before it is in memory. */
const MAX_CONTROL = 64 << 20;
const MAX_BEAT = 1 << 20;

/** How long a child may take to end by itself. */
const GRACE_MS = 1000;

/** How long the main thread may take to notice an interrupt before it is stopped. */
const PATIENCE_MS = 250;

/**
 * How long after the signal the flag is raised, for loops that the signal does not end. Raised with it, the flag could
 * end a loop a moment before the signal comes, which would then hit the process while Node changes its handlers.
 */
const FLAG_MS = 20;

const port = parentPort;
if (port !== null) void serve(workerData as ControlThreadData, port);

async function serve(data: ControlThreadData, main: NonNullable<typeof parentPort>): Promise<void> {
  const post = (message: FromControlThread): void => main.postMessage(message);
  const wire = new Wire(data.key, data.scheme);
  const control = new Router({ sendHighWaterMark: 0, sendTimeout: 0, linger: 500, maxMessageSize: MAX_CONTROL });
  // Not a Reply, which is in a state between question and answer that garbage can leave it in.
  const heartbeat = new Router({ linger: 0, sendTimeout: 0, maxMessageSize: MAX_BEAT });
  try {
    await Promise.all([control.bind(data.control), heartbeat.bind(data.heartbeat)]);
  } catch (error) {
    post({ type: "failed", message: error instanceof Error ? error.message : String(error) });
    return;
  }
  let patience: NodeJS.Timeout | undefined;
  let requests = 0;
  const watch = data.parentPid === 0 ? undefined : setInterval(() => endWithParent(data.parentPid), 1000);
  main.on("message", (message: ToControlThread) => {
    switch (message.type) {
      case "taken":
        clearTimeout(patience);
        return;
      case "send":
        control.send(message.frames.map((frame) => Buffer.from(frame))).catch(() => {});
        return;
      case "close":
        clearTimeout(patience);
        clearInterval(watch);
        heartbeat.close();
        control.close();
        main.close();
    }
  });
  post({ type: "bound" });
  // To the server's log: there is no cell that this belongs to.
  const report = (error: unknown): void =>
    void writeSync(2, `lm-transparency kernel: a control message could not be read: ${String(error)}\n`);
  void receiveForEver(heartbeat, (frames) => heartbeat.send(frames).catch(() => undefined), report);
  await receiveForEver(
    control,
    (frames) => {
      let type: string;
      try {
        type = wire.decode(frames).header.msg_type;
      } catch (error) {
        if (error instanceof WireError) return;
        throw error;
      }
      const message = { type: "message", frames, at: process.hrtime.bigint() } as const;
      if (type !== "interrupt_request" && type !== "shutdown_request") return post(message);
      const request = ++requests;
      clearTimeout(patience);
      patience = setTimeout(() => {
        sendSignals(data);
        patience = setTimeout(() => Atomics.store(new Int32Array(data.flag), 0, request), FLAG_MS);
      }, PATIENCE_MS);
      post({ ...message, request });
    },
    report,
  );
}

/**
 * Not `Runtime.terminateExecution` of the inspector, which would end any code: on Node 20 it leaves the bookkeeping of
 * async contexts unbalanced, and the process aborts.
 */
function sendSignals({ flag, children }: ControlThreadData): void {
  Atomics.add(new Int32Array(flag), 1, 1);
  // On Windows this would end the process; there the flag alone must do.
  if (process.platform !== "win32") process.kill(process.pid, "SIGINT");
  // What the main thread may be waiting for: `execSync` and the like return when their child has ended.
  const waitedFor = ownDescendants(new Set(new Int32Array(children)));
  signal(waitedFor, "SIGINT");
  if (waitedFor.length > 0) {
    setTimeout(() => {
      const left = new Set(ownDescendants(new Set(new Int32Array(children))));
      signal(
        waitedFor.filter((pid) => left.has(pid)),
        "SIGKILL",
      );
    }, GRACE_MS);
  }
}

function endWithParent(pid: number): void {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM means that it lives under another user.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") return;
    signal(ownDescendants(), "SIGKILL");
    process.kill(process.pid, "SIGKILL");
  }
}
