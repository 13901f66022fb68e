import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { Requester } from "../requester";
import { Reclaimer } from "../threads/reclaim";
import { CONTROL, type AttentionJob, type JobAnswer } from "./jobs";

/**
 * Threads that compute contributions. They start with the first job and are kept; they keep the process alive only
 * while a job is under way. A thread that dies takes its jobs with it (they reject) and is replaced with the next job.
 */
export class AttributionPool {
  #workers: Worker[] = [];
  readonly #requests = new Requester<number, void>(() => {
    for (const worker of this.#workers) worker.unref();
  });
  #lastId = 0;
  readonly #reclaimer = new Reclaimer(256 << 20);

  /** @param size number of threads. Default: one a core, at most 8. */
  constructor(private readonly size = Math.min(availableParallelism(), 8)) {}

  /** Runs a job on all threads. Rejects with the signal's reason once it is aborted. */
  run(job: Omit<AttentionJob, "id">, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.start();
    this.#reclaimer.note(job.terms.byteLength);
    const id = ++this.#lastId;
    const send = (): void => {
      for (const worker of this.#workers) {
        worker.ref();
        worker.postMessage({ ...job, id } satisfies AttentionJob);
      }
    };
    return this.#requests.ask(id, send, {
      signals: [signal],
      givenUp: () => Atomics.store(job.control, CONTROL.cancelled, 1),
    });
  }

  /** Starts the threads, where they are not running: the first job then does not wait for them. */
  start(): void {
    if (this.#workers.length > 0) return;
    for (let i = 0; i < this.size; i++) {
      const worker = new Worker(join(__dirname, "worker.js"));
      worker.on("message", (answer: JobAnswer) => {
        if (answer.error === undefined) this.#requests.resolve(answer.id);
        else this.#requests.reject(answer.id, new Error(`Contributions could not be computed: ${answer.error}`));
      });
      const lost = (why: string): void =>
        this.#fail(
          worker,
          new Error(`A thread that computes contributions ended: ${why}. Asking again starts new ones.`),
        );
      worker.on("error", (error) => lost(error.message));
      worker.on("exit", (code) => lost(`exit code ${code}`));
      // After the listeners: listening to messages keeps the process alive again.
      worker.unref();
      this.#workers.push(worker);
    }
  }

  #fail(worker: Worker, error: Error): void {
    if (!this.#workers.includes(worker)) return;
    // The dead thread may have held a chunk that no other takes: all jobs under way are lost.
    const others = this.#workers.filter((other) => other !== worker);
    this.#workers = [];
    for (const other of others) void other.terminate();
    this.#requests.rejectAll(error);
  }
}

let shared: AttributionPool | undefined;

/** The threads of this process. */
export function sharedPool(): AttributionPool {
  shared ??= new AttributionPool();
  return shared;
}
