/** The engine's thread: answers the main thread's requests, in the order in which native calls become free. */
import { parentPort, workerData } from "node:worker_threads";

// onnxruntime reads this when its native library loads. This thread shares the environment of the process.
process.env.ORT_DISABLE_TELEMETRY = "1";

import { createWeightSource } from "../model/weight-source";
import { ComputeWeights } from "./compute-weights";
import { Computer, type Step } from "./computer";
import { deviceFailure, providersFor } from "./devices";
import type { EngineAnswer, FromWorker, EngineQuestion, RequestKind, ToWorker, WorkerData } from "./messages";
import { Reclaimer } from "../threads/reclaim";
import { Sessions, StoppedError } from "./sessions";

const port = parentPort!;
const { architecture, entries, control, settings } = workerData as WorkerData;

let opened: Computer | undefined;
const computer = (): Computer => {
  if (!opened) throw new Error("The model is not open.");
  return opened;
};

/** Finds the device, plans the memory, and loads the layers. */
async function open(step: Step): Promise<EngineAnswer<"open">> {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- after the environment is set
  const runtime = require("onnxruntime-node") as typeof import("onnxruntime-node");
  // Its errors reach us as exceptions; on the terminal they would be lines of source paths.
  runtime.env.logLevel = "fatal";
  const weights = new ComputeWeights(createWeightSource(entries), settings.dtype);
  const reclaimer = new Reclaimer(64 << 20);
  const failures: string[] = [];
  for (const provider of providersFor(settings.device, runtime.listSupportedBackends())) {
    const sessions = new Sessions(runtime, weights, provider, settings.threads, control, reclaimer);
    try {
      await sessions.probe();
    } catch (error) {
      // Every platform has the CPU: what fails there is no missing device.
      if (error instanceof StoppedError || provider === "cpu") throw error;
      failures.push(deviceFailure(provider, error instanceof Error ? error.message : String(error)));
      continue;
    }
    opened = new Computer(architecture, weights, sessions, reclaimer, settings.memoryBytes);
    await opened.open(step);
    return { device: provider, plan: opened.plan };
  }
  throw new Error(failures.join(" "));
}

const post = (message: FromWorker) => port.postMessage(message);

type Handlers = {
  [K in RequestKind]: (question: EngineQuestion<K>, step: Step) => EngineAnswer<K> | Promise<EngineAnswer<K>>;
};

const handlers: Handlers = {
  open: (_, step) => open(step),
  forward: (question, step) => computer().forward(question, step),
  layer: (question) => computer().layer(question),
  backward: (question) => computer().backwards.backward(question),
  change: (question, step) => computer().change(question, step),
  headOutputs: (question) => computer().headOutputs(question),
  neuronProximities: (question) => computer().neuronProximities(question),
  neuronLogits: (question) => computer().neuronLogits(question),
  constants: (question) => computer().constants(question),
  neuronOutput: (question) => computer().neuronOutput(question),
  unembed: (question, step) => computer().unembed(question, step),
  grow: (question, step) => computer().growths.grow(question, step),
  letGo: (question) => computer().growths.letGo(question),
};

class CancelledError extends Error {}

async function answer<K extends RequestKind>(
  id: number,
  kind: K,
  question: EngineQuestion<K>,
  cancel: Int32Array,
): Promise<void> {
  const step: Step = {
    check: () => {
      if (Atomics.load(cancel, 0) !== 0) throw new CancelledError();
    },
    progress: (done, total) => post({ type: "progress", id, done, total }),
  };
  try {
    step.check();
    post({ type: "answer", id, answer: await handlers[kind](question, step) });
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    post({ type: "failure", id, name, message });
  }
}

const pending = new Set<Promise<void>>();

port.on("message", (message: ToWorker) => {
  if (message.type === "leave") {
    // Whatever runs fails at its next native call; then nothing holds the thread.
    void Promise.all(pending)
      .then(() => opened?.close())
      // A session that could not be made cannot be released either.
      .catch(() => undefined)
      .finally(() => port.close());
    return;
  }
  const work = answer(message.id, message.kind, message.question as never, message.cancel);
  pending.add(work);
  void work.finally(() => pending.delete(work));
});
