/** Processes that this one has started, and what they have started, found out from the system. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { Set } from "../natives";

interface Found {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
}

function all(): Found[] {
  if (process.platform === "win32") return [];
  if (process.platform !== "linux") {
    const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid=,pgid="], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 2000,
    })
      .trim()
      .split("\n");
    return lines
      .map((line) => line.trim().split(/\s+/).map(Number))
      .map(([pid, parent, group]) => ({ pid, parent, group }));
  }
  const found: Found[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      // The name in brackets may hold anything: what follows the last bracket is state, parent, group.
      const text = readFileSync(`/proc/${name}/stat`, "latin1");
      const [, parent, group] = text.slice(text.lastIndexOf(")") + 2).split(" ");
      found.push({ pid: Number(name), parent: Number(parent), group: Number(group) });
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

/**
 * Descendants of this process that belong to its group: what was started detached has a group of its own and may
 * outlive it.
 * @param except direct children that are left out, with all that they have started
 */
export function ownDescendants(except: ReadonlySet<number> = new Set()): number[] {
  let processes: Found[];
  try {
    processes = all();
  } catch {
    return [];
  }
  const group = processes.find(({ pid }) => pid === process.pid)?.group;
  const result: number[] = [];
  const walk = (parent: number): void => {
    for (const one of processes) {
      if (one.parent !== parent || one.group !== group || (parent === process.pid && except.has(one.pid))) continue;
      result.push(one.pid);
      walk(one.pid);
    }
  };
  walk(process.pid);
  return result;
}

/** Sends a signal to those that are still there. */
export function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended meanwhile.
    }
  }
}
