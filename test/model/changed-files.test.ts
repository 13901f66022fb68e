/** Files of a model that change while it is loaded: one sentence at the next use, or no harm; the process lives. */
import { spawn, type ChildProcess } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  mkdirSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { modelFolder, root } from "../support/fixtures";

/** Loads a model and runs what it is told to; without `ids` what is asked is asked of the last run. */
const PROGRAM = `
const { loadModel } = require("./index.js");
let model, run;
process.on("message", async ({ load, ids, lens }) => {
  try {
    if (load !== undefined) model = await loadModel(load.source, load.options);
    if (ids !== undefined) run = await model.run(ids);
    if (lens) return process.send({ lens: (await run.lens(lens)).map(({ id, probability }) => [id, probability]) });
    process.send({ logits: Array.from((await run.logits()).data.slice(-model.info.dVocab)) });
  } catch (error) {
    process.send({ error: error.message, name: error.name });
  }
});
`;

interface Answer {
  readonly logits?: readonly number[];
  readonly lens?: readonly unknown[];
  readonly error?: string;
  readonly name?: string;
}

class Loaded {
  readonly #child: ChildProcess = spawn(process.execPath, ["-e", PROGRAM], {
    cwd: join(root, "dist"),
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });

  ask(question: object): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null, signal: string | null): void =>
        reject(new Error(`the process ended (${signal ?? code})`));
      this.#child.once("exit", onExit);
      this.#child.once("message", (answer: unknown) => {
        this.#child.off("exit", onExit);
        resolve(answer as Answer);
      });
      this.#child.send(question);
    });
  }

  close(): void {
    this.#child.kill("SIGKILL");
  }
}

let folder: string;
let loaded: Loaded | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lmt-changed-"));
});
afterEach(() => {
  loaded?.close();
  rmSync(folder, { recursive: true, force: true });
});

const [FIRST, SECOND] = [
  [1, 2, 3],
  [4, 5],
];

/** Copies of models of float32 safetensors (used in place), and of quantised GGUF. */
function copied(kind: "safetensors" | "gguf"): { readonly source: string; readonly file: string } {
  if (kind === "safetensors") {
    const source = join(folder, "model");
    cpSync(modelFolder("llama-tiny"), source, { recursive: true });
    return { source, file: join(source, "model.safetensors") };
  }
  const file = join(folder, "model.gguf");
  copyFileSync(join(__dirname, "data/gguf/llama.gguf"), file);
  return { source: file, file };
}

/** Other bytes of the same length: the data's second half upside down. */
function spoiled(file: string): Buffer {
  const bytes = readFileSync(file);
  const middle = bytes.length >> 1;
  return Buffer.concat([bytes.subarray(0, middle), Buffer.from(bytes.subarray(middle)).reverse()]);
}

const CHANGES: readonly (readonly [string, (file: string) => void, RegExp | undefined])[] = [
  [
    "cut to nothing",
    (file) => truncateSync(file, 0),
    /changed its size from \d+ to 0 bytes since the model was loaded/,
  ],
  ["cut", (file) => truncateSync(file, 4096), /changed its size from \d+ to 4096 bytes since the model was loaded/],
  ["longer", (file) => writeFileSync(file, "x", { flag: "a" }), /changed its size from \d+ to \d+ bytes/],
  [
    "overwritten",
    (file) => writeFileSync(file, spoiled(file)),
    /was written to since the model was loaded, so its weights are no longer those of the model: load it again\.$/,
  ],
  [
    "replaced",
    (file) => {
      const other = `${file}.new`;
      writeFileSync(other, spoiled(file));
      const { atime, mtime } = statSync(file);
      utimesSync(other, atime, mtime);
      renameSync(other, file);
    },
    /was replaced by another file since/,
  ],
  [
    "replaced by a folder",
    (file) => {
      unlinkSync(file);
      mkdirSync(file);
    },
    /since the model was loaded/,
  ],
  ["deleted", (file) => unlinkSync(file), undefined],
  ["moved away", (file) => renameSync(file, `${file}.old`), undefined],
];

describe.each(["safetensors", "gguf"] as const)("a %s file", (kind) => {
  const OPTIONS: readonly object[] = kind === "safetensors" ? [{}] : [{}, { dtype: "float32" }];
  test.each(CHANGES)("that is %s", async (_, change, message) => {
    for (const options of OPTIONS) {
      rmSync(join(folder, "model"), { recursive: true, force: true });
      const { source, file } = copied(kind);
      loaded?.close();
      loaded = new Loaded();
      const before = await loaded.ask({ load: { source, options }, ids: FIRST });
      expect(before.error).toBeUndefined();
      const plain = await loaded.ask({ ids: SECOND });
      const lens = await loaded.ask({ lens: "I1_0" });
      expect(lens.error).toBeUndefined();
      change(file);
      // Of a run that is there, then runs of their own.
      for (const [question, expected] of [
        [{ lens: "I1_0" }, lens],
        [{ lens: "I0_1" }, undefined],
        [{ ids: FIRST }, before],
        [{ ids: SECOND }, plain],
      ] as const) {
        const after = await loaded.ask(question);
        if (after.error === undefined) {
          // Where nothing is read any more, what was read is right.
          if (expected !== undefined) expect(after).toEqual(expected);
          if ("ids" in question && kind === "safetensors") expect(message).toBeUndefined();
        } else {
          expect(after.name).toBe("ModelFileError");
          expect(after.error).toMatch(message!);
          expect(after.error).not.toContain("\n");
        }
      }
      rmSync(file, { recursive: true, force: true });
    }
  });
});

test("a link that leads elsewhere now is the same model: its real file is what counts", async () => {
  const { source, file } = copied("safetensors");
  renameSync(file, join(folder, "one"));
  writeFileSync(join(folder, "two"), spoiled(join(folder, "one")));
  symlinkSync("../one", file);
  loaded = new Loaded();
  const before = await loaded.ask({ load: { source }, ids: FIRST });
  unlinkSync(file);
  symlinkSync("../two", file);
  expect(await loaded.ask({ ids: FIRST })).toEqual(before);
  truncateSync(join(folder, "one"), 0);
  expect((await loaded.ask({ ids: FIRST })).error).toMatch(/one changed its size from \d+ to 0 bytes/);
});
