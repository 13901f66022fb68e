import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { root } from "./fixtures";

/** What came of opening a model in another process. */
export interface Outcome {
  /** The refusal; undefined where the model opened. */
  readonly refusal?: string;
  /** False where the error was none of the documented class. */
  readonly known: boolean;
  /** Processor time of all threads. */
  readonly cpuMs: number;
  /** By how much the process' highest memory rose. */
  readonly memoryMb: number;
  /** Of the last token of `ids`, where they were given and the model opened. */
  readonly logits?: readonly number[];
}

/** Runs in the child. Opens what it is told to, and reads what of it depends on numbers in its files. */
const PROGRAM = `
const { openModel } = require("./model/open.js");
const { loadModel } = require("./index.js");
async function open(source, ids) {
  if (ids !== undefined) {
    const model = await loadModel(source);
    try {
      return Array.from((await (await model.run(ids)).logits()).data.slice(-model.info.dVocab));
    } finally {
      await model.dispose();
    }
  }
  const { architecture, weights, tokenizer } = await openModel(source);
  weights.readRows(architecture.embedding.token, [0, architecture.dVocab - 1]);
  weights.read(architecture.layers[architecture.layers.length - 1].attention.output.weight);
  weights.read(architecture.unembedding.weight);
  for (const { attention } of architecture.layers) if (!(attention.rotary?.frequencies(3) ?? [0]).every(Number.isFinite)) throw new Error("Frequencies that are not finite");
  tokenizer.token(0);
  weights.close();
}
process.on("message", async ({ source, ids }) => {
  const [before, cpu] = [process.resourceUsage().maxRSS, process.cpuUsage()];
  let answer = { known: true };
  try {
    answer.logits = await open(source, ids);
  } catch (error) {
    answer = { refusal: error.message, known: error.name === "ModelFileError" };
  }
  const { user, system } = process.cpuUsage(cpu);
  process.send({ ...answer, cpuMs: (user + system) / 1000, memoryMb: (process.resourceUsage().maxRSS - before) / 1024 });
});
`;

/** A process that opens models, so that a file that hangs or kills it harms nothing else. */
export class ModelProcess {
  #child: ChildProcess | undefined;

  /** Opens `source`, and with `ids` runs them. Rejects where the process ends, or gives no answer for `limitMs`. */
  open(source: string, ids?: readonly number[], limitMs = 30_000): Promise<Outcome> {
    this.#child ??= spawn(process.execPath, ["-e", PROGRAM], {
      cwd: join(root, "dist"),
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      serialization: "advanced",
    });
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        child.off("message", onMessage);
        child.off("exit", onExit);
      };
      const onMessage = (outcome: unknown): void => {
        end();
        resolve(outcome as Outcome);
      };
      const onExit = (code: number | null, signal: string | null): void => {
        end();
        this.#child = undefined;
        reject(new Error(`${source}: the process ended (${signal ?? code})`));
      };
      const timer = setTimeout(() => {
        end();
        this.close();
        reject(new Error(`${source}: no answer for ${limitMs / 1000} s`));
      }, limitMs);
      child.on("message", onMessage);
      child.on("exit", onExit);
      child.send({ source, ids });
    });
  }

  close(): void {
    this.#child?.kill("SIGKILL");
    this.#child = undefined;
  }
}
