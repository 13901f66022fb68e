import { join } from "node:path";
import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads";
import type { CellState } from "./cell-compiler";
import type { TypescriptAnswer, TypescriptRequests, TypescriptThreadData } from "./typescript-thread";
import { Promise } from "../natives";
import { Requester } from "../../requester";

/** What a kernel begins with. */
export const NO_CELLS: CellState = { declarations: "", kept: {}, modules: {} };

/** How long to sleep for an answer: the thread may have a long check before it. */
const PATIENCE_MS = 30_000;

/** Main-thread side of the TypeScript thread. A thread that dies is started again at the next question. */
export class TypescriptService {
  #worker: Worker | undefined;
  readonly #requests = new Requester<number, unknown>();
  #nextId = 0;
  #closed = false;

  constructor(private readonly data: TypescriptThreadData) {}

  /** Starts the thread and has it load everything that the first cell needs. */
  warmUp(): void {
    this.ask("convert", { state: NO_CELLS, code: "1;" }).catch(() => {});
  }

  ask<K extends keyof TypescriptRequests>(
    kind: K,
    request: TypescriptRequests[K]["request"],
  ): Promise<TypescriptRequests[K]["answer"]> {
    if (this.#closed) return Promise.reject(new Error("The kernel is shutting down."));
    const worker = (this.#worker ??= this.#start());
    const id = ++this.#nextId;
    const answer = this.#requests.ask(id, () => worker.postMessage({ id, kind, ...request }));
    return answer as Promise<TypescriptRequests[K]["answer"]>;
  }

  /**
   * Asks and sleeps until the answer is there: for code that cannot wait. Throws where there is none within half a
   * minute.
   */
  askAsleep<K extends keyof TypescriptRequests>(
    kind: K,
    request: TypescriptRequests[K]["request"],
  ): TypescriptRequests[K]["answer"] {
    if (this.#closed) throw new Error("The kernel is shutting down.");
    const worker = (this.#worker ??= this.#start());
    const { port1, port2 } = new MessageChannel();
    const flag = new Int32Array(new SharedArrayBuffer(4));
    try {
      worker.postMessage({ id: ++this.#nextId, kind, ...request, sleeper: { port: port2, flag } }, [port2]);
      Atomics.wait(flag, 0, 0, PATIENCE_MS);
      const received: { readonly message: TypescriptAnswer } | undefined = receiveMessageOnPort(port1);
      if (received === undefined) {
        // What it says later nobody would hear.
        void worker.terminate();
        throw new Error("The TypeScript service does not answer. It starts again with the next cell.");
      }
      if ("error" in received.message) throw new Error(`The TypeScript service failed: ${received.message.error}`);
      return received.message.answer as TypescriptRequests[K]["answer"];
    } finally {
      port1.close();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(join(__dirname, "typescript-thread.js"), {
      workerData: this.data,
      resourceLimits: { maxOldGenerationSizeMb: 4096 },
    });
    worker.on("message", (message: TypescriptAnswer) => {
      if ("answer" in message) this.#requests.resolve(message.id, message.answer);
      else this.#requests.reject(message.id, new Error(`The TypeScript service failed: ${message.error}`));
    });
    const end = (reason: string): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#requests.rejectAll(new Error(reason));
    };
    worker.on("error", (error) =>
      end(`The TypeScript service ended: ${error.message}. It starts again with the next cell.`),
    );
    worker.on("exit", () => end("The TypeScript service ended. It starts again with the next cell."));
    return worker;
  }
}
