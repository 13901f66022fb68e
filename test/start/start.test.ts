/**
 * `npm start` as a person meets it: what goes wrong is said in a sentence, and what is killed halfway works the next
 * time.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { eventually } from "../support/eventually";

const ROOT = path.resolve(__dirname, "..", "..");

interface Outcome {
  readonly code: number | null;
  readonly text: string;
}

class Start {
  text = "";
  readonly child: ChildProcess;
  readonly ended: Promise<Outcome>;
  constructor(folder: string, args: readonly string[], env: NodeJS.ProcessEnv, node: readonly string[] = []) {
    this.child = spawn(process.execPath, [...node, "scripts/start.mjs", ...args], {
      cwd: folder,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.setEncoding("utf8").on("data", (chunk: string) => (this.text += chunk));
    this.ended = new Promise((done) => this.child.once("close", (code) => done({ code, text: this.text })));
  }
  /** Resolves when the output matches; rejects when it ends before that. */
  async until(pattern: RegExp, timeout = 240_000): Promise<RegExpMatchArray> {
    const end = Date.now() + timeout;
    for (;;) {
      const match = this.text.match(pattern);
      if (match) return match;
      if (this.child.exitCode !== null || this.child.signalCode !== null || Date.now() > end)
        throw new Error(`${pattern} did not come:\n${this.text}`);
      await new Promise((done) => setTimeout(done, 50));
    }
  }
}

const env = (changes: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => {
  const base: NodeJS.ProcessEnv = { ...process.env, ...changes };
  for (const name of ["LM_TRANSPARENCY_PYTHON", "npm_lifecycle_event", "INIT_CWD"]) delete base[name];
  return { ...base, ...changes };
};

let scratch: string;
beforeAll(() => {
  scratch = fs.mkdtempSync(path.join(os.tmpdir(), "lmt-start-"));
});
afterAll(() => fs.rmSync(scratch, { recursive: true, force: true, maxRetries: 3 }));

/** A copy of what git has (with changes not committed yet), as a clone would be. */
function clone(name: string): string {
  const folder = path.join(scratch, name);
  const files = execFileSync("git", ["ls-files", "-z", "--cached"], { cwd: ROOT, encoding: "utf8" })
    .split("\0")
    .filter((file) => file && fs.existsSync(path.join(ROOT, file)));
  for (const file of files) {
    fs.mkdirSync(path.join(folder, path.dirname(file)), { recursive: true });
    fs.copyFileSync(path.join(ROOT, file), path.join(folder, file));
  }
  return folder;
}

/** A folder for PATH with Node and the given programs (shell scripts) alone. */
function onlyPath(name: string, programs: Readonly<Record<string, string>> = {}): string {
  const folder = path.join(scratch, name);
  fs.mkdirSync(folder, { recursive: true });
  fs.symlinkSync(process.execPath, path.join(folder, "node"));
  for (const [program, body] of Object.entries(programs))
    fs.writeFileSync(path.join(folder, program), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  return folder;
}

const probe = (version: readonly number[], venv: boolean, ensurepip: boolean) =>
  `echo '${JSON.stringify({ version, executable: "/opt/python", venv, ensurepip })}'`;

describe("says which step cannot work and what to do", () => {
  let bare: string;
  beforeAll(() => {
    bare = clone("bare");
  });
  const fails = async (
    args: readonly string[],
    changes: NodeJS.ProcessEnv,
    node: readonly string[] = [],
    folder = bare,
  ): Promise<string> => {
    const { code, text } = await new Start(folder, args, env(changes), node).ended;
    expect(code).toBeGreaterThan(0);
    expect(text).not.toMatch(/^ {4}at /m); // no stack trace
    return text.trim().split("\n").pop() ?? "";
  };

  test("an old Node", async () => {
    const fake = path.join(scratch, "old.cjs");
    fs.writeFileSync(fake, `Object.defineProperty(process.versions, "node", { value: "18.20.4" });`);
    expect(await fails([], {}, ["--require", fake])).toMatch(
      /Node\.js 20\.19 or newer is needed, this is 18\.20\.4 .*install/,
    );
  });

  test("no Python", async () => {
    expect(await fails([], { PATH: onlyPath("no-python") })).toMatch(
      /^npm start: step "Python": no Python found on the PATH: Python 3\.10 or newer is needed/,
    );
  });

  test("a Python that is too old", async () => {
    expect(await fails([], { PATH: onlyPath("old-python", { python3: probe([3, 8, 10], true, true) }) })).toMatch(
      /step "Python": Python 3\.10 or newer is needed, found only 3\.8\.10 \(\/opt\/python\)/,
    );
  });

  test.each([
    ["venv", false, true],
    ["ensurepip", true, false],
  ] as const)("a Python without the module %s", async (module, venv, ensurepip) => {
    const line = await fails([], { PATH: onlyPath(`no-${module}`, { python3: probe([3, 11, 2], venv, ensurepip) }) });
    expect(line).toMatch(new RegExp(`step "Python": Python 3\\.11\\.2 .* its module ${module} is missing`));
    if (process.platform === "linux") expect(line).toContain('"apt install python3-venv"');
  });

  test("a Python of the user's that is none", async () => {
    expect(await fails([], { LM_TRANSPARENCY_PYTHON: "/nowhere/python" })).toMatch(
      /LM_TRANSPARENCY_PYTHON is set to "\/nowhere\/python", which is no Python that runs/,
    );
  });

  test("a newer Python further down the PATH serves where the first is too old", async () => {
    const folder = onlyPath("two-pythons", {
      python3: probe([3, 8, 10], true, true),
      "python3.12": probe([3, 12, 1], true, true),
    });
    // npm is not there: the next step is reached.
    const { text } = await new Start(bare, [], { ...env({ PATH: folder }), npm_execpath: "" }).ended;
    expect(text).toMatch(/Python: 3\.12\.1/);
    expect(text.trim().split("\n").pop()).toMatch(
      /step "npm dependencies": npm was not found beside .*: install Node\.js with npm/,
    );
  });

  /** An npm that fails as the given text says. */
  const npm = (name: string, says: string): string => {
    const file = path.join(scratch, name, "npm-cli.js");
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(
      file,
      `if (process.argv[2] === "view") process.exit(0); console.error(${JSON.stringify(says)}); process.exit(228);`,
    );
    return file;
  };

  test("npm fails", async () => {
    expect(await fails([], { npm_execpath: npm("npm-a", "npm error code EUSAGE\nnpm error something else") })).toMatch(
      /step "npm dependencies": "npm ci" failed: it ended with exit code 228; its last lines are below/,
    );
  });

  test("the disk is full", async () => {
    expect(
      await fails([], {
        npm_execpath: npm("npm-b", "npm error code ENOSPC\nnpm error nospc ENOSPC: no space left on device, write"),
      }),
    ).toMatch(/step "npm dependencies": "npm ci" failed: the disk is full: free about 2 GB/);
  });

  test("npm offline", async () => {
    const line = await fails([], {
      npm_config_registry: "http://127.0.0.1:9/",
      npm_config_cache: path.join(scratch, "empty-npm-cache"),
      npm_config_fetch_retries: "0",
    });
    expect(line).toMatch(
      /step "npm dependencies": "npm ci" failed: the npm registry cannot be reached: check the network/,
    );
  }, 120_000);

  test("pip offline; nothing half made is taken for an environment", async () => {
    const folder = clone("no-pip");
    fs.symlinkSync(path.join(ROOT, "node_modules"), path.join(folder, "node_modules"));
    const offline = {
      PIP_INDEX_URL: "http://127.0.0.1:9/simple",
      PIP_CONFIG_FILE: os.devNull,
      PIP_FIND_LINKS: "",
      PIP_EXTRA_INDEX_URL: "",
      PIP_CACHE_DIR: path.join(scratch, "empty-pip-cache"),
    };
    for (let call = 0; call < 2; call++) {
      const line = await fails(["--no-browser"], offline, [], folder);
      expect(line).toMatch(
        /step "JupyterLab in \.venv": "pip install" in \.venv failed: the Python package registry cannot be reached/,
      );
    }
  }, 180_000);

  test.each([
    [["--port"], '--port must be a number from 1 to 65535, not ""'],
    [["--port", "http"], '--port must be a number from 1 to 65535, not "http"'],
    [["--port=70000"], 'not "70000"'],
    [["--browser"], "unknown option --browser; allowed are --no-browser, --host H, --port N"],
    [["--host", "0.0.0.0"], "--host 0.0.0.0 can be reached from other machines"],
    [["--host", "0.0.0.0", "--token="], "--token must be letters"],
    [["nowhere.ipynb"], "nowhere.ipynb does not exist"],
  ])("wrong arguments: %j", async (args, sentence) => {
    const { code, text } = await new Start(bare, args, env()).ended;
    expect(code).toBe(2);
    expect(text).toContain(sentence);
    expect(text).not.toContain("[1/");
  });
});

const get = (url: string, method = "GET", body?: object, token = ""): Promise<{ status: number; text: string }> =>
  new Promise((done, fail) => {
    const request = http.request(
      url,
      { method, headers: { Authorization: `token ${token}`, "Content-Type": "application/json" } },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () => done({ status: response.statusCode ?? 0, text }));
      },
    );
    request.on("error", fail);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

const gone = async (pid: number, timeout = 20_000): Promise<boolean> => {
  const end = Date.now() + timeout;
  while (alive(pid) && Date.now() < end) await new Promise((done) => setTimeout(done, 100));
  return !alive(pid);
};

/** Process ids whose command line has `text` in it. */
const processesWith = (text: string): number[] =>
  fs
    .readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((name) => {
      try {
        return fs.readFileSync(`/proc/${name}/cmdline`, "utf8").includes(text);
      } catch {
        return false;
      }
    })
    .map(Number);

const freePort = (): Promise<number> =>
  new Promise((done) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => done(port));
    });
  });

describe("in a clean clone with an empty home", () => {
  let folder: string;
  let home: string;
  let port: number;
  let clean: NodeJS.ProcessEnv;
  const running: Start[] = [];
  const start = (args: readonly string[] = ["--no-browser", "--port", String(port)]): Start => {
    const one = new Start(folder, args, clean);
    running.push(one);
    return one;
  };
  beforeAll(async () => {
    // As people have it: a folder of another alphabet with a blank, among packages that somebody else's npm workspaces
    // claim.
    folder = clone(path.join("wörk späce 日本", "clone"));
    fs.writeFileSync(
      path.join(folder, "..", "package.json"),
      JSON.stringify({ name: "outer", private: true, workspaces: ["*"] }),
    );
    home = path.join(scratch, "home");
    fs.mkdirSync(home);
    port = await freePort();
    const cache = (name: string) => path.join(os.homedir(), name);
    clean = {
      ...env({ HOME: home }),
      // The usual caches stay the user's, so that the test does not download everything once more.
      npm_config_cache: process.env.npm_config_cache ?? cache(".npm"),
      PIP_CACHE_DIR: process.env.PIP_CACHE_DIR ?? cache(".cache/pip"),
      LM_TRANSPARENCY_CACHE: process.env.LM_TRANSPARENCY_CACHE ?? cache(".cache/lm-transparency/models"),
    };
    delete clean.XDG_CACHE_HOME;
    delete clean.XDG_DATA_HOME;
  });
  afterAll(async () => {
    for (const one of running) {
      one.child.kill("SIGTERM");
      await one.ended;
    }
  });

  test("killed in the middle of each installation, it works when called again", async () => {
    for (const [moment, exists] of [
      [/npm dependencies …/, path.join(folder, "node_modules")],
      [/JupyterLab in \.venv …/, path.join(folder, ".venv", "pyvenv.cfg")],
      [/build …/, path.join(folder, "dist")],
    ] as const) {
      const one = start();
      await one.until(moment);
      const end = Date.now() + 120_000;
      while (!fs.existsSync(exists) && Date.now() < end && one.child.exitCode === null)
        await new Promise((done) => setTimeout(done, 20));
      one.child.kill("SIGKILL");
      await one.ended;
    }
    const last = start();
    await last.until(/JupyterLab is up: +(\S+)/);
    last.child.kill("SIGINT");
    expect((await last.ended).code).toBe(0);
  }, 900_000);

  test("a second call builds nothing, is up soon, serves our kernel; Ctrl-C ends server and kernels", async () => {
    const before = Date.now();
    const one = start();
    const [, url] = await one.until(/JupyterLab is up: +(\S+)/, 150_000);
    const seconds = (Date.now() - before) / 1000;
    for (const step of ["npm dependencies", "JupyterLab in .venv", "build"])
      expect(one.text).toContain(`${step}: up to date`);
    // A generous multiple of what is promised (10 s on an idle machine), so that a busy machine does not fail it.
    expect(seconds).toBeLessThan(120);
    expect(url).toContain(`http://127.0.0.1:${port}/lab/tree/notebooks/01-first-look.ipynb?token=`);
    const token = new URL(url).searchParams.get("token") ?? "";
    expect((await get(url, "GET", undefined, token)).status).toBe(200);
    expect((await get(`http://127.0.0.1:${port}/api/kernels`)).status).toBe(403); // not without the token
    const specs = JSON.parse((await get(`http://127.0.0.1:${port}/api/kernelspecs`, "GET", undefined, token)).text) as {
      kernelspecs: Record<string, unknown>;
    };
    expect(Object.keys(specs.kernelspecs)).toContain("lm-transparency");
    expect((await get(`http://127.0.0.1:${port}/api/kernels`, "POST", { name: "lm-transparency" }, token)).status).toBe(
      201,
    );
    const kernels = (): ReturnType<typeof processesWith> => processesWith(path.join(folder, ".cache", "jupyter"));
    if (process.platform === "linux")
      await eventually(
        async () => kernels().length,
        (count) => expect(count).toBeGreaterThan(0),
      );
    const processes = kernels();
    if (process.platform === "linux") expect(processes.length).toBeGreaterThanOrEqual(1); // the kernel, by its connection file
    one.child.kill("SIGINT");
    expect((await one.ended).code).toBe(0);
    for (const pid of processes) expect(await gone(pid)).toBe(true);
    if (process.platform === "linux") expect(processesWith(folder)).toEqual([]);
  }, 300_000);

  test("killed without a chance to clean up, server and kernels still end", async () => {
    const one = start();
    await one.until(/JupyterLab is up/, 150_000);
    one.child.kill("SIGKILL");
    await one.ended;
    const end = Date.now() + 60_000;
    while (processesWith(folder).length > 0 && Date.now() < end) await new Promise((done) => setTimeout(done, 200));
    expect(processesWith(folder)).toEqual([]);
  }, 300_000);

  test("a port that is taken is said so; without a wish the next free one is taken", async () => {
    const server = net.createServer();
    await new Promise<void>((done) => server.listen(port, "127.0.0.1", done));
    try {
      const { code, text } = await start().ended;
      expect(code).toBe(1);
      expect(text.trim().split("\n").pop()).toBe(
        `npm start: step "JupyterLab": port ${port} is taken by another program: end that program or choose another port with "npm start -- --port N".`,
      );
      const other = start(["--no-browser"]);
      await other.until(/JupyterLab is up: +http:\/\/127\.0\.0\.1:8[89]\d\d\//, 60_000);
      other.child.kill("SIGTERM");
      await other.ended;
    } finally {
      server.close();
    }
  }, 120_000);

  test("nothing was written into the home folder", () => {
    const files = fs
      .readdirSync(home, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => path.relative(home, path.join(entry.parentPath, entry.name)));
    // pip asks "rustc" for its version; where that is rustup's proxy, the proxy writes its own settings.
    expect(files.filter((file) => !file.startsWith(`.rustup${path.sep}`))).toEqual([]);
  });

  test("git sees no new file", () => {
    const ignored = execFileSync("git", ["check-ignore", "--no-index", "--stdin"], {
      cwd: ROOT,
      input: [".venv/x", "node_modules/x", "dist/x", "share/x", ".cache/x"].join("\n"),
      encoding: "utf8",
    });
    expect(ignored.trim().split("\n")).toHaveLength(5);
    const known = new Set(
      execFileSync("git", ["ls-files", "--cached"], { cwd: ROOT, encoding: "utf8" })
        .split("\n")
        .map((file) => file.split("/")[0]),
    );
    expect(
      fs
        .readdirSync(folder)
        .filter((name) => !known.has(name))
        .sort(),
    ).toEqual([".cache", ".venv", "dist", "node_modules", "share"]);
  });
});
