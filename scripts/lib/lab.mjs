/** A JupyterLab of ours: started on 127.0.0.1, known to be up, ended with its kernels. */
import { spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { ROOT, VENV_PYTHON, jupyterEnvironment } from "./install.mjs";
import { StepError, lastLines } from "./steps.mjs";

/** True where nobody listens on this port of an address. Rejects where it may not be used at all. */
export function portIsFree(port, host = "127.0.0.1") {
  return new Promise((done, fail) => {
    const server = net.createServer();
    server.once("error", (error) => (error.code === "EADDRINUSE" ? done(false) : fail(error)));
    server.listen({ port, host, exclusive: true }, () => server.close(() => done(true)));
  });
}

/** How the option is given, in a sentence's end. */
const PORT_OPTION = '"npm start -- --port N"';

/** The port that was asked for, or the first free one from 8888 on. */
export async function choosePort(wish, { host = "127.0.0.1", option = PORT_OPTION } = {}) {
  const check = (port) =>
    portIsFree(port, host).catch((error) => {
      throw new StepError(
        error.code === "EADDRNOTAVAIL" || error.code === "ENOTFOUND"
          ? `${host} is no address of this machine (${error.code}): choose another --host.`
          : `port ${port} of ${host} cannot be used (${error.code}): choose one above 1023 with ${option}.`,
      );
    });
  if (wish !== undefined) {
    if (await check(wish)) return wish;
    throw new StepError(
      `port ${wish} is taken by another program: end that program or choose another port with ${option}.`,
    );
  }
  for (let port = 8888; port < 8988; port++) if (await check(port)) return port;
  throw new StepError(`ports 8888 to 8987 are all taken: choose one with ${option}.`);
}

const isLoopback = (host) => /^(?:127(?:\.\d{1,3}){3}|localhost|::1)$/i.test(host);

/**
 * Checks `--host`, `--token` and `--base-url` and returns them for `startLab`. What other machines reach needs a token
 * that somebody chose: whoever has it can run programs here.
 */
export function networkOptions({ host = "127.0.0.1", token, baseUrl = "/" }) {
  const refuse = (sentence) => {
    throw new StepError(sentence, { exitCode: 2 });
  };
  if (!/^[A-Za-z0-9.:_-]+$/.test(host)) refuse(`--host must be an address or a name, not ${JSON.stringify(host)}.`);
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    refuse("--token must be letters, digits and signs without blanks, and cannot be empty.");
  if (!isLoopback(host) && token === undefined)
    refuse(
      `--host ${host} can be reached from other machines, and whoever has the address could run programs here: choose a secret with --token.`,
    );
  if (!/^[\w./~%-]*$/.test(baseUrl))
    refuse(`--base-url must be a path such as /lab-of-ada/, not ${JSON.stringify(baseUrl)}.`);
  return { host, token, baseUrl: `/${baseUrl}/`.replace(/\/+/g, "/") };
}

/** Warnings and errors among the lines of a starting server, without the address it prints (we print it). */
const warningsOf = (text) =>
  (text.match(/^\[[WE] .*(?:\n(?!\[).*)*/gm) ?? []).map((line) => `${line.trimEnd()}\n`).join("");

function answers(url) {
  return new Promise((done) => {
    const request = http.get(url, { timeout: 2000 }, (response) => {
      response.resume();
      done(response.statusCode === 200);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => done(false));
  });
}

/**
 * Starts JupyterLab and waits until it answers. `home` holds what Jupyter would keep in the home folder, `folder` is
 * what its file browser shows, `show` the notebook (relative to `folder`) it opens. Returns `{ url, port, token,
 * process, stop, ended }`.
 */
export async function startLab({
  port,
  home,
  folder = ROOT,
  show,
  browser = false,
  app = "lab",
  env = {},
  args = [],
  log = (text) => process.stderr.write(text),
  environment = jupyterEnvironment(home),
  python = VENV_PYTHON,
  host = "127.0.0.1",
  token = undefined,
  baseUrl = "/",
  option = PORT_OPTION,
}) {
  const runtime = environment.JUPYTER_RUNTIME_DIR;
  fs.mkdirSync(runtime, { recursive: true });
  const options = [
    `--ServerApp.ip=${host}`,
    ...(baseUrl === "/" ? [] : [`--ServerApp.base_url=${baseUrl}`]),
    `--ServerApp.port=${port}`,
    "--ServerApp.port_retries=0",
    `--ServerApp.root_dir=${folder}`,
    "--ServerApp.log_level=WARN",
    `--${app === "lab" ? "LabApp" : "JupyterNotebookApp"}.log_level=WARN`,
    `--ServerApp.open_browser=${browser ? "True" : "False"}`,
    // Pictures and their data come as one message each; the default of 1000 messages a second is for endless loops.
    "--ZMQChannelsWebsocketConnection.iopub_msg_rate_limit=3000",
    ...(show
      ? [
          `--${app === "lab" ? "LabApp" : "JupyterNotebookApp"}.default_url=/${app === "lab" ? "lab/tree" : "notebooks"}/${show.split(path.sep).map(encodeURIComponent).join("/")}`,
        ]
      : []),
    ...(process.getuid?.() === 0 ? ["--allow-root"] : []),
    ...args,
  ];
  const child = spawn(python, [path.join(ROOT, "scripts", "lab.py"), ...(app === "lab" ? [] : [app]), ...options], {
    cwd: folder,
    // By the environment: other users see a program's arguments.
    env: { ...environment, ...env, ...(token === undefined ? {} : { JUPYTER_TOKEN: token }) },
    stdio: ["pipe", "pipe", "pipe"],
    // Its own group: Ctrl-C in the terminal reaches only us, and we end it without its question.
    detached: process.platform !== "win32",
  });
  child.stdin.on("error", () => {});
  // What it says while it starts is kept for the case that it fails; from then on (kernels write there too) it is
  // passed on.
  let up = false;
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      if (up) log(text);
      else said += text;
    });
  }
  let gone;
  const ended = new Promise((done) => {
    child.once("error", (error) => done((gone = { error })));
    child.once("exit", (code, signal) => done((gone = { code, signal })));
  });
  const file = path.join(runtime, `jpserver-${child.pid}.json`);
  const deadline = Date.now() + 120_000;
  const any = host === "0.0.0.0" || host === "::";
  const bracketed = (name) => (name.includes(":") ? `[${name}]` : name);
  const asked = bracketed(any ? "127.0.0.1" : host);
  const shown = bracketed(any ? os.hostname() : host);
  for (;;) {
    if (gone !== undefined) {
      if (!(await portIsFree(port, host).catch(() => false)))
        throw new StepError(`port ${port} was taken by another program meanwhile: choose another with ${option}.`);
      throw new StepError(
        `JupyterLab ended at once (${gone.error?.message ?? gone.signal ?? `exit code ${gone.code}`}): its messages are below; if they say that a module is missing, remove .venv and call the command again.`,
        { detail: lastLines(said) },
      );
    }
    if (Date.now() > deadline) {
      child.kill("SIGKILL");
      throw new StepError(
        `JupyterLab did not answer on port ${port} within two minutes: call the command again, and look for proxies or firewalls on 127.0.0.1.`,
        { detail: lastLines(said) },
      );
    }
    let info;
    try {
      info = JSON.parse(fs.readFileSync(file, "utf8"));
    } catch {
      info = undefined;
    }
    if (info !== undefined && (await answers(`http://${asked}:${port}${info.base_url}api`))) {
      up = true;
      log(warningsOf(said));
      const base = `http://${shown}:${port}${info.base_url}`;
      const stop = async () => {
        if (gone !== undefined) return;
        up = false; // its last words are no news
        child.stdin.end();
        child.kill("SIGTERM");
        const kill = setTimeout(() => child.kill("SIGKILL"), 15_000);
        await ended;
        clearTimeout(kill);
      };
      const page = show
        ? `${app === "lab" ? "lab/tree" : "notebooks"}/${show.split(path.sep).map(encodeURIComponent).join("/")}`
        : app === "lab"
          ? "lab"
          : "tree";
      return { base, token: info.token, url: `${base}${page}?token=${info.token}`, port, process: child, stop, ended };
    }
    await Promise.race([ended, new Promise((done) => setTimeout(done, 100))]);
  }
}
