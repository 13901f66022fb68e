import childProcess, { ChildProcess } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

type Stdio = unknown;
type AnyFunction = (...args: unknown[]) => unknown;

/** The method behind `spawn`, `exec`, `fork` and the rest; not part of the published types. */
interface Spawning {
  spawn(this: ChildProcess, options: { stdio?: Stdio; detached?: boolean }): unknown;
}

const STREAMS = [undefined, process.stdout, process.stderr] as const;

/**
 * Which of its parent's streams a child is given to write to: `1` (stdout), `2` (stderr), or neither, by its first
 * three stdio entries.
 */
function inherited(stdio: Stdio): (1 | 2 | undefined)[] {
  const entries: readonly unknown[] = Array.isArray(stdio) ? stdio : [stdio, stdio, stdio];
  return [0, 1, 2].map((place) => {
    const entry = entries[place];
    if (place === 0) return undefined;
    if (entry === "inherit") return place as 1 | 2;
    if (entry === 1 || entry === process.stdout) return 1;
    return entry === 2 || entry === process.stderr ? 2 : undefined;
  });
}

function withEntries(
  stdio: Stdio,
  targets: readonly (1 | 2 | undefined)[],
  entry: (target: 1 | 2) => unknown,
): unknown[] {
  const entries: unknown[] = Array.isArray(stdio) ? [...(stdio as unknown[])] : [stdio, stdio, stdio];
  targets.forEach((target, place) => target !== undefined && (entries[place] = entry(target)));
  return entries;
}

/**
 * What child processes write to streams they share with this process goes to `process.stdout` and `process.stderr` as
 * its own output does, so it shows below the cell; by themselves they would write to the server's log. Detached
 * children, which may outlive the kernel, are left alone.
 *
 * @param running ids of the children that run beside the cells, 0 where there is none; shared with the control thread
 */
export function captureChildren(running: Int32Array): void {
  const prototype = ChildProcess.prototype as unknown as Spawning;
  const { spawn: start } = prototype;
  const spawn: Spawning["spawn"] = function (options) {
    const result = start.call(this, options);
    if (options.detached !== true) note(this, running);
    return result;
  };
  prototype.spawn = function (options) {
    const targets = inherited(options.stdio);
    if (options.detached === true || targets.every((target) => target === undefined)) return spawn.call(this, options);
    const result = spawn.call(this, { ...options, stdio: withEntries(options.stdio, targets, () => "pipe") });
    const child = this as { stdout: unknown; stderr: unknown; stdio: unknown[] };
    targets.forEach((target, place) => {
      if (target === undefined) return;
      const stream = this.stdio[place] as NodeJS.ReadableStream | null | undefined;
      stream?.on("data", (chunk: Buffer) => STREAMS[target]?.write(chunk));
      // As for any inherited stream there is nothing to read from the child.
      child.stdio[place] = null;
      child[place === 1 ? "stdout" : "stderr"] = null;
    });
    return result;
  };
  const own = childProcess as unknown as Record<string, AnyFunction>;
  for (const name of ["spawnSync", "execSync", "execFileSync"]) own[name] = throughFiles(own[name]);
  syncBuiltinESMExports();
}

/** Writes a child's id into the table of those that run beside the cells, until it has ended. */
function note(child: ChildProcess, running: Int32Array): void {
  const { pid } = child;
  if (pid === undefined) return;
  for (let at = 0; at < running.length; at++) {
    if (Atomics.compareExchange(running, at, 0, pid) !== 0) continue;
    child.once("exit", () => Atomics.store(running, at, 0));
    return;
  }
}

/**
 * A synchronous call blocks this process, which so can read no pipe: the child writes to files, which are read when it
 * is done.
 */
function throughFiles(call: AnyFunction): AnyFunction {
  return function (this: unknown, ...args: unknown[]): unknown {
    const at = args.findLastIndex((arg) => typeof arg === "object" && arg !== null && !Array.isArray(arg));
    const options = args[at] as { stdio?: Stdio } | undefined;
    const targets = inherited(options?.stdio);
    if (options === undefined || targets.every((target) => target === undefined)) return call.apply(this, args);
    const folder = mkdtempSync(join(tmpdir(), "lm-transparency-child-"));
    const files = [1, 2].map((target) => join(folder, String(target)));
    const open = files.map((file) => openSync(file, "a"));
    try {
      return call.apply(
        this,
        args.with(at, { ...options, stdio: withEntries(options.stdio, targets, (target) => open[target - 1]) }),
      );
    } finally {
      for (const file of open) closeSync(file);
      files.forEach((file, n) => {
        const text = readFileSync(file);
        if (text.length > 0) STREAMS[n + 1]?.write(text);
      });
      rmSync(folder, { recursive: true, force: true });
    }
  };
}
