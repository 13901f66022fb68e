import { stat } from "node:fs/promises";
import { basename, delimiter, dirname, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { askPython } from "../install/jupyter-folders";
import { PACKAGE_ROOT } from "../install/kernel-install";
import { ownCache } from "../model/default-model";
import { makeFolder } from "../system/folders";
import { parseOptionsAndFiles, UsageError, type Command, type Context } from "./command";

/** What `npm start` is made of: scripts/lib, plain JavaScript because a clone has nothing else. */
interface Scripts {
  readonly lab: {
    choosePort(wish: number | undefined, how: { readonly host: string; readonly option: string }): Promise<number>;
    networkOptions(given: { host?: string; token?: string; baseUrl?: string }): Network;
    startLab(options: Network & Record<string, unknown>): Promise<Lab>;
  };
  readonly install: {
    findPython(): Promise<{ readonly command: string }>;
    installVenv(python: unknown, files: readonly string[], note: (text: string) => void, venv: string): Promise<string>;
    pythonOf(venv: string): string;
  };
  readonly lock: {
    withLock<T>(folder: string, work: () => Promise<T>, waiting: (pid: number) => void): Promise<T>;
  };
  readonly explorer: {
    checkConfig(root: string, file: string, cwd: string): void;
    writeExplorerNotebook(root: string, file: string, cwd: string): string;
    runOnOpen(folder: string, notebook: string): string;
  };
}

interface Network {
  readonly host: string;
  readonly token?: string;
  readonly baseUrl: string;
}

interface Lab {
  readonly url: string;
  readonly ended: Promise<{ readonly code?: number | null; readonly signal?: string | null }>;
  stop(): Promise<void>;
}

/** An error of the scripts. */
interface StepError extends Error {
  readonly detail?: string;
  readonly exitCode?: number;
}

const load = async <K extends keyof Scripts>(name: K): Promise<Scripts[K]> =>
  (await import(pathToFileURL(join(PACKAGE_ROOT, "scripts", "lib", `${name}.mjs`)).href)) as Scripts[K];

/** `lm-transparency lab`. */
export const lab: Command = {
  name: "lab",
  summary: "open JupyterLab with the kernel in it",
  usage: `lm-transparency lab [DIR | NOTEBOOK.ipynb] [options]

Opens JupyterLab on a folder (without one: the folder you are in) with the kernel and the pictures in it. It takes the JupyterLab of
--python, or of the python3 on the PATH where that has JupyterLab and ipywidgets; else it makes an environment with both in the
user's cache, once. Ctrl-C ends it and its kernels.

  --python PY          a Python that has JupyterLab
  --host H             the address to listen on; default 127.0.0.1. Any that other machines reach needs --token
  --port N             the port; without it the first free one from 8888 on
  --token T            the secret that the page asks for; without it one is made up
  --base-url U         the path below which it answers, for a proxy in front of it
  --no-browser         print the address instead of opening a browser
  --config FILE        open the Explorer with this configuration (docs/configuration.md)`,
  async run(args, context) {
    const { values, files } = parseOptionsAndFiles(args, {
      python: { type: "string" },
      host: { type: "string" },
      port: { type: "string" },
      token: { type: "string" },
      "base-url": { type: "string" },
      "no-browser": { type: "boolean" },
      config: { type: "string" },
    });
    if (files.length > 1) throw new UsageError(`one folder at a time, not ${files.length}`);
    const port = values.port === undefined ? undefined : Number(values.port);
    if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65535))
      throw new UsageError(`--port must be a number from 1 to 65535, not ${JSON.stringify(values.port)}`);
    try {
      const { networkOptions, choosePort, startLab } = await load("lab");
      const network = networkOptions({
        ...(values.host === undefined ? {} : { host: values.host }),
        ...(values.token === undefined ? {} : { token: values.token }),
        ...(values["base-url"] === undefined ? {} : { baseUrl: values["base-url"] }),
      });
      const place = await placeOf(files[0] ?? ".");
      const python = await jupyterPython(values.python, context);
      context.signal.throwIfAborted();
      const home = join(ownCache(), "jupyter");
      await makeFolder(join(home, "runtime"));
      const environment: NodeJS.ProcessEnv = {
        ...process.env,
        ORT_DISABLE_TELEMETRY: "1",
        PYTHONUNBUFFERED: "1",
        JUPYTER_PATH: joined(join(PACKAGE_ROOT, "share", "jupyter"), process.env["JUPYTER_PATH"]),
        JUPYTER_RUNTIME_DIR: join(home, "runtime"),
        LM_TRANSPARENCY_PYTHON: python,
        // The kernelspec says "node": the one that runs this.
        PATH: joined(dirname(process.execPath), process.env["PATH"]),
      };
      delete environment["JUPYTER_TOKEN"];
      let { show } = place;
      if (values.config !== undefined) {
        const explorer = await load("explorer");
        const file = resolve(values.config);
        explorer.checkConfig(PACKAGE_ROOT, file, process.cwd());
        show = explorer.writeExplorerNotebook(place.folder, file, process.cwd());
        environment["JUPYTER_CONFIG_PATH"] = joined(
          explorer.runOnOpen(join(home, "explorer", basename(show)), show),
          process.env["JUPYTER_CONFIG_PATH"],
        );
      }
      const option = "--port N";
      const server = await startLab({
        ...network,
        port: await choosePort(port, { host: network.host, option }),
        folder: place.folder,
        show,
        python,
        environment,
        option,
        browser: !values["no-browser"] && hasDisplay(),
      });
      const stop = (): void => void server.stop();
      context.signal.addEventListener("abort", stop);
      if (context.signal.aborted) stop();
      await context.write(`JupyterLab is up:  ${server.url}\nCtrl-C ends it and its kernels.\n`);
      const { code, signal } = await server.ended;
      if (!context.signal.aborted && code !== 0)
        throw new Error(`JupyterLab ended by itself (${signal ?? `exit code ${code}`}).`);
    } catch (error) {
      const { detail, exitCode, message } = error as StepError;
      if (exitCode === 2) throw new UsageError(message);
      throw detail ? new Error(`${message} ${detail}`) : error;
    }
  },
};

const joined = (first: string, others: string | undefined): string => [first, others].filter(Boolean).join(delimiter);

/** The folder that is shown, and the notebook in it where one was named. */
async function placeOf(path: string): Promise<{ readonly folder: string; readonly show?: string }> {
  const full = resolve(path);
  const info = await stat(full).catch(() => undefined);
  if (info?.isDirectory()) return { folder: full };
  if (info?.isFile() && full.endsWith(".ipynb")) return { folder: dirname(full), show: relative(dirname(full), full) };
  throw new UsageError(`${path} is no folder and no notebook`);
}

/** A Python with JupyterLab and ipywidgets: the named one, the first on the PATH, or that of an environment of ours. */
async function jupyterPython(named: string | undefined, context: Context): Promise<string> {
  const lacks = (packages: Readonly<Record<string, string | null>>): string[] =>
    ["jupyterlab", "ipywidgets"].filter((name) => !packages[name]);
  const wish = named ?? process.env["LM_TRANSPARENCY_PYTHON"];
  if (named !== undefined) {
    const python = await askPython(named);
    if (python === undefined)
      throw new UsageError(`--python is ${JSON.stringify(named)}, which is no Python that runs`);
    const missing = lacks(python.packages);
    if (missing.length > 0)
      throw new Error(
        `${named} lacks ${missing.join(" and ")}: install it (${named} -m pip install ${missing.join(" ")}), or leave --python out for an environment of its own.`,
      );
    return python.executable;
  }
  const there = await askPython(wish ?? (process.platform === "win32" ? "python" : "python3"));
  if (there !== undefined && lacks(there.packages).length === 0) return there.executable;
  const { findPython, installVenv, pythonOf } = await load("install");
  const { withLock } = await load("lock");
  const venv = join(ownCache(), "venv");
  await makeFolder(ownCache());
  await withLock(
    join(ownCache(), "venv.lock"),
    async () => {
      context.warn(`JupyterLab goes into ${venv}, unless it is there already.`);
      await installVenv(await findPython(), ["requirements.txt"], () => undefined, venv);
    },
    (pid) => context.warn(`waiting for process ${pid}, which installs JupyterLab.`),
  );
  return pythonOf(venv);
}

/** True where opening a browser has a chance: the address is printed in any case. */
function hasDisplay(): boolean {
  const { DISPLAY, WAYLAND_DISPLAY, BROWSER, WSL_DISTRO_NAME } = process.env;
  return process.platform !== "linux" || Boolean(DISPLAY ?? WAYLAND_DISPLAY ?? BROWSER ?? WSL_DISTRO_NAME);
}
