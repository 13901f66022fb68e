/** The steps of `npm start`; docs/start.md describes them. */
import fs from "node:fs";
import path from "node:path";
import {
  JUPYTER_HOME,
  ROOT,
  VENV,
  VENV_PYTHON,
  findPython,
  installDefaultModel,
  installDependencies,
  installVenv,
} from "./install.mjs";
import { checkConfig, runOnOpen, writeExplorerNotebook } from "./explorer.mjs";
import { choosePort, networkOptions, startLab } from "./lab.mjs";
import { withLock } from "./lock.mjs";
import { StepError, Steps, causeOf } from "./steps.mjs";

const HELP = `npm start -- [--no-browser] [--host H] [--port N] [--token T] [--base-url U] [--no-model] [--config FILE | notebook]

Installs what is missing, builds what changed, and opens JupyterLab with our kernel.

  --no-browser   print the address instead of opening a browser (for servers)
  --port N       use this port; without it the first free one from 8888 on
  --host H       the address to listen on, 127.0.0.1 without it; any that other machines reach needs --token
  --token T      the secret that the page asks for; without it one is made up
  --base-url U   the path below which it answers, for a proxy in front of it
  --no-model     do not fetch the default model now
  --config FILE  open the Explorer with this configuration (docs/configuration.md)
  notebook       what to open; notebooks/01-first-look.ipynb without it

Environment: LM_TRANSPARENCY_PYTHON is the Python to make .venv with.`;

/** npm runs scripts in the package's folder and says where it was called. */
const calledFrom = () =>
  process.env.npm_lifecycle_event === "start" && process.env.INIT_CWD ? process.env.INIT_CWD : process.cwd();

function parse(args) {
  const options = {
    browser: true,
    port: undefined,
    model: true,
    network: {},
    show: path.join("notebooks", "01-first-look.ipynb"),
  };
  const rest = [...args];
  while (rest.length > 0) {
    const arg = rest.shift();
    if (arg === "--no-browser") options.browser = false;
    else if (arg === "--no-model") options.model = false;
    else if (arg === "--config" || arg.startsWith("--config=")) {
      const value = arg === "--config" ? rest.shift() : arg.slice("--config=".length);
      if (!value) throw new StepError("--config needs the path of a JSON file.", { exitCode: 2 });
      options.config = path.resolve(calledFrom(), value);
      if (!fs.existsSync(options.config)) throw new StepError(`${value} does not exist.`, { exitCode: 2 });
    } else if (arg === "--help" || arg === "-h") options.help = true;
    else if (arg === "--port" || arg.startsWith("--port=")) {
      const value = arg === "--port" ? rest.shift() : arg.slice("--port=".length);
      const port = Number(value);
      if (!/^\d+$/.test(value ?? "") || port < 1 || port > 65535)
        throw new StepError(`--port must be a number from 1 to 65535, not ${JSON.stringify(value ?? "")}.`, {
          exitCode: 2,
        });
      options.port = port;
    } else if (/^--(?:host|token|base-url)(?:=|$)/.test(arg)) {
      const [name] = arg.split("=", 1);
      const value = arg === name ? rest.shift() : arg.slice(name.length + 1);
      if (value === undefined) throw new StepError(`${name} has no value.`, { exitCode: 2 });
      options.network[name === "--base-url" ? "baseUrl" : name.slice(2)] = value;
    } else if (!arg.startsWith("-")) {
      const file = path.relative(ROOT, path.resolve(calledFrom(), arg));
      if (file.startsWith("..") || path.isAbsolute(file))
        throw new StepError(
          `${arg} lies outside ${ROOT}: copy it into the clone, or call jupyter yourself (docs/start.md).`,
          { exitCode: 2 },
        );
      if (!fs.existsSync(path.join(ROOT, file))) throw new StepError(`${arg} does not exist.`, { exitCode: 2 });
      options.show = file;
    } else
      throw new StepError(
        `unknown option ${arg}; allowed are --no-browser, --host H, --port N, --token T, --base-url U, --no-model, --config FILE and --help.`,
        { exitCode: 2 },
      );
  }
  options.network = networkOptions(options.network);
  return options;
}

/** True where opening a browser has a chance: the server prints the address in any case. */
const hasDisplay = () =>
  process.platform !== "linux" ||
  Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY || process.env.BROWSER || process.env.WSL_DISTRO_NAME);

export async function main(args) {
  let lab;
  let stopping = false;
  const stop = async (signal) => {
    if (stopping) process.exit(130);
    stopping = true;
    if (lab === undefined) process.exit(signal === "SIGINT" ? 130 : 143);
    console.log("\nending JupyterLab and its kernels …");
    await lab.stop();
    process.exit(0);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => void stop(signal));

  try {
    const options = parse(args);
    if (options.help) {
      console.log(HELP);
      return;
    }
    await withLock(
      path.join(ROOT, ".cache", "start.lock"),
      async () => {
        const steps = new Steps(options.model ? 6 : 5);
        let python;
        await steps.run("Python", async () => {
          // A finished .venv needs no other Python any more.
          try {
            python = await findPython();
          } catch (error) {
            if (!fs.existsSync(path.join(VENV, "lm-transparency.json")) || !fs.existsSync(VENV_PYTHON)) throw error;
            python = {
              command: VENV_PYTHON,
              args: [],
              version: JSON.parse(fs.readFileSync(path.join(VENV, "lm-transparency.json"), "utf8"))
                .python.split(".")
                .map(Number),
              executable: VENV_PYTHON,
            };
          }
          return `${python.version.join(".")} (${python.executable})`;
        });
        await steps.run("npm dependencies", installDependencies);
        await steps.run("JupyterLab in .venv", (note) => installVenv(python, ["requirements.txt"], note));
        await steps.run("build", async (note) => {
          const { build, BuildError } = await import("../build.mjs");
          try {
            const built = await build({ say: () => {}, begin: note });
            return built.length > 0 ? built.join(", ") : "up to date";
          } catch (error) {
            if (error instanceof BuildError)
              throw new StepError(
                causeOf(error.message, "npm")?.concat(".") ??
                  "the sources do not build: if you changed none, this is our mistake; its messages are below.",
                { detail: error.message },
              );
            throw error;
          }
        });
        if (options.config) checkConfig(ROOT, options.config, calledFrom());
        if (options.model) await steps.run("default model", installDefaultModel);
        await steps.run("JupyterLab", async () => {
          const port = await choosePort(options.port, { host: options.network.host });
          const browser = options.browser && hasDisplay();
          const show = options.config ? writeExplorerNotebook(ROOT, options.config, calledFrom()) : options.show;
          const env = options.config
            ? { JUPYTER_CONFIG_PATH: runOnOpen(path.join(ROOT, ".cache", "explorer", path.basename(show)), show) }
            : {};
          lab = await startLab({ port, home: JUPYTER_HOME, show, browser, env, ...options.network });
          return `port ${port}`;
        });
      },
      (pid) => console.log(`waiting for process ${pid}, which is installing in this clone`),
    );
  } catch (error) {
    const known = error instanceof StepError;
    const cause = known ? undefined : (causeOf(String(error?.code ?? error?.message ?? error), "npm") ?? undefined);
    if (known && error.detail) console.error(`\n${error.detail}`);
    if (!known && cause === undefined) console.error(error);
    console.error(
      `\nnpm start: ${known && error.step ? `step "${error.step}": ` : ""}${known ? error.message : (cause ?? "unexpected error, see above: this is our mistake.")}`,
    );
    process.exit(known ? error.exitCode : 1);
  }

  console.log(`\nJupyterLab is up:  ${lab.url}\nCtrl-C ends it and its kernels.`);
  const { code, signal } = await lab.ended;
  if (stopping) return;
  console.error(`\nnpm start: JupyterLab ended by itself (${signal ?? `exit code ${code}`}).`);
  process.exit(code === 0 ? 0 : 1);
}
