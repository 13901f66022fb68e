/** Steps with progress, and failures that say which step, what happened and what to do. */
import { spawn } from "node:child_process";
import fs from "node:fs";

/**
 * A failure a person can act on. `message` is one sentence or two, `detail` the last lines of the program that failed.
 */
export class StepError extends Error {
  constructor(message, { detail = "", exitCode = 1 } = {}) {
    super(message);
    this.detail = detail;
    this.exitCode = exitCode;
  }
}

/**
 * Prints `[2/6] name …` and then how it ended. In a terminal the line ticks; elsewhere there is a sign of life every 20
 * s.
 */
export class Steps {
  #number = 0;
  constructor(total, out = process.stdout) {
    this.total = total;
    this.out = out;
  }

  /** `task(note)` may call `note("42 MB of 98 MB")`; what it returns is printed behind the name. */
  async run(name, task) {
    const label = `[${++this.#number}/${this.total}] ${name}`;
    const start = performance.now();
    const seconds = () => Math.round((performance.now() - start) / 1000);
    const live = this.out.isTTY === true;
    let text = "";
    let shown = "";
    const show = (line) => {
      if (!live) return;
      this.out.write(`\r${line.padEnd(shown.length)}`.slice(0, (this.out.columns ?? 80) + 1));
      shown = line;
    };
    if (live) show(`${label} …`);
    else this.out.write(`${label} …\n`);
    const tick = setInterval(
      () => {
        const line = `${label} … ${text}${text ? ", " : ""}${seconds()} s`;
        if (live) show(line);
        else this.out.write(`${line}\n`);
      },
      live ? 500 : 20000,
    );
    const end = (line) => {
      clearInterval(tick);
      if (live) {
        show(line);
        this.out.write("\n");
      } else this.out.write(`${line}\n`);
    };
    try {
      const result = await task((note) => (text = note));
      end(`${label}: ${result ?? "done"}${seconds() >= 1 ? ` (${seconds()} s)` : ""}`);
    } catch (error) {
      end(`${label}: failed`);
      if (error instanceof StepError) error.step ??= name;
      throw error;
    }
  }
}

/** Runs a program to its end. Never rejects: `code` is null where it could not start (`error`) or a signal ended it. */
export function runProgram(file, args, { cwd, env = process.env, onLine, shell = false } = {}) {
  return new Promise((done) => {
    const child = spawn(file, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], shell, windowsHide: true });
    let output = "";
    let rest = "";
    const take = (chunk) => {
      output = (output + chunk).slice(-200_000);
      const lines = (rest + chunk).split(/\r?\n|\r/);
      rest = lines.pop();
      if (onLine) for (const line of lines) onLine(line);
    };
    child.stdout.setEncoding("utf8").on("data", take);
    child.stderr.setEncoding("utf8").on("data", take);
    const stop = () => child.kill("SIGTERM");
    process.once("exit", stop);
    child.once("error", (error) => {
      process.off("exit", stop);
      done({ code: null, signal: null, output, error });
    });
    child.once("close", (code, signal) => {
      process.off("exit", stop);
      done({ code, signal, output, error: undefined });
    });
  });
}

export const lastLines = (text, count = 12) => text.trim().split("\n").slice(-count).join("\n");

/**
 * What a failed installer's output says about the cause, in words of what to do; undefined where it says nothing known.
 */
export function causeOf(output, what) {
  if (/ENOSPC|No space left on device|Errno 28\b/i.test(output))
    return `the disk is full: free about 2 GB and call the command again`;
  if (/EDQUOT|Disk quota exceeded/i.test(output))
    return `the disk quota is used up: free about 2 GB and call the command again`;
  if (/EACCES|EPERM|EROFS|Permission denied|Read-only file system/.test(output))
    return `a file or folder cannot be written (see below): check who owns the clone and the ${what} cache, then call the command again`;
  if (/CERT_|SELF_SIGNED|unable to get local issuer|certificate verify failed|CERTIFICATE_VERIFY_FAILED/i.test(output))
    return `the registry's certificate is not trusted here (a proxy?): set NODE_EXTRA_CA_CERTS and PIP_CERT to your proxy's certificate and call the command again`;
  if (
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT|network timeout|Temporary failure in name resolution|Name or service not known|NewConnectionError|Connection refused|Max retries exceeded|ProxyError|ReadTimeout|Network is unreachable|getaddrinfo|ENOTCACHED/i.test(
      output,
    )
  )
    return `the ${what} registry cannot be reached: check the network or the proxy settings and call the command again (what is there already is kept)`;
  return undefined;
}

/** Free bytes where `folder` lies; undefined where the system does not tell. */
export function freeBytes(folder) {
  try {
    const stat = fs.statfsSync(folder);
    return stat.bavail * stat.bsize;
  } catch {
    return undefined;
  }
}

/** Removes what was half made; a failure to do so is said in words. */
export function removeFolder(folder) {
  try {
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  } catch (error) {
    throw new StepError(`${folder} cannot be removed (${error.code}): remove it by hand and call the command again`);
  }
}
