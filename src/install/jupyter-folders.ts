/** Where Jupyter looks for kernels and extensions. */
import { spawn } from "node:child_process";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { FileError } from "../system/errors";

/** The user's own data folder, as `jupyter --data-dir` says it. */
export function userDataFolder(env: NodeJS.ProcessEnv = process.env, home = homedir()): string {
  if (env["JUPYTER_DATA_DIR"]) return env["JUPYTER_DATA_DIR"];
  if (process.platform === "darwin") return join(home, "Library", "Jupyter");
  if (process.platform === "win32")
    return join(env["APPDATA"] || join(home, ".jupyter"), env["APPDATA"] ? "jupyter" : "data");
  return join(env["XDG_DATA_HOME"] || join(home, ".local", "share"), "jupyter");
}

/** Data folders of the whole system. */
export function systemDataFolders(env: NodeJS.ProcessEnv = process.env): string[] {
  if (process.platform === "win32") return [join(env["PROGRAMDATA"] || "C:\\ProgramData", "jupyter")];
  return ["/usr/local/share/jupyter", "/usr/share/jupyter"];
}

/** The folders of JUPYTER_PATH. */
export function namedDataFolders(env: NodeJS.ProcessEnv = process.env): string[] {
  return (env["JUPYTER_PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
}

/** What a program wrote to its end; `code` is null where it could not be started or was ended. */
export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end; never rejects. */
export function runProgram(
  file: string,
  args: readonly string[],
  {
    timeoutMs = 60_000,
    env = process.env,
    signal,
  }: { timeoutMs?: number; env?: NodeJS.ProcessEnv; signal?: AbortSignal } = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env,
      signal,
      windowsHide: true,
    });
    // Not the option of spawn: that keeps the process waiting where the program does not exist.
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    const end = (ran: Ran): void => {
      clearTimeout(timer);
      resolve(ran);
    };
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr = (stderr + text).slice(-20_000)));
    child.on("error", (error) => end({ code: null, stdout, stderr: error.message }));
    child.on("close", (code) => end({ code, stdout, stderr }));
  });
}

/** A Python interpreter and what it has. */
export interface Python {
  readonly executable: string;
  readonly version: string;
  readonly prefix: string;
  /** Versions of packages, by name; null where one is not installed. */
  readonly packages: Readonly<Record<string, string | null>>;
}

const PROBE = `import sys, json
from importlib import metadata
def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
print(json.dumps({"executable": sys.executable, "version": ".".join(map(str, sys.version_info[:3])), "prefix": sys.prefix,
    "packages": {name: version(name) for name in sys.argv[1:]}}))`;

/** What Jupyter needs of Python's packages. */
export const JUPYTER_PACKAGES = ["jupyterlab", "notebook", "jupyter_server", "ipywidgets", "jupyterlab_widgets"];

/** Asks an interpreter; undefined where there is none that answers. */
export async function askPython(command: string): Promise<Python | undefined> {
  const { code, stdout } = await runProgram(command, ["-c", PROBE, ...JUPYTER_PACKAGES]);
  if (code !== 0) return undefined;
  try {
    return JSON.parse(stdout.trim().split("\n").pop() ?? "") as Python;
  } catch {
    return undefined;
  }
}

/**
 * The interpreter that was named, or the first on the PATH.
 * @throws FileError Where there is none.
 */
export async function findPython(named: string | undefined): Promise<Python> {
  const wish = named ?? process.env["LM_TRANSPARENCY_PYTHON"];
  for (const command of wish ? [wish] : process.platform === "win32" ? ["python", "py"] : ["python3", "python"]) {
    const python = await askPython(command);
    if (python !== undefined) return python;
  }
  throw new FileError(
    wish
      ? `${wish} is no Python that runs: name another one with --python.`
      : "There is no Python on the PATH: name one with --python, or install it (python.org).",
  );
}
