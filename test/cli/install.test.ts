/** The commands that make the package known to Jupyter, as processes in folders of their own. */
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { defaultModelFile } from "../support/default-model";

const ROOT = path.resolve(__dirname, "..", "..");
const { version } = JSON.parse(fs.readFileSync(path.join(ROOT, "package.json"), "utf8")) as { version: string };
let home: string;
beforeEach(() => {
  home = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lmt-install-")));
});
afterEach(() => fs.rmSync(home, { recursive: true, force: true }));

let more: NodeJS.ProcessEnv = {};
beforeEach(() => (more = {}));

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(ROOT, "dist/cli/main.js"), ...args], {
    encoding: "utf8",
    cwd: home,
    timeout: 100_000,
    env: { ...process.env, HOME: home, JUPYTER_DATA_DIR: path.join(home, "data"), JUPYTER_PATH: "", ...more },
  });
  return { code: status, out: stdout, err: stderr };
}

/** All files and folders below, relative. */
const below = (folder: string): string[] =>
  fs.existsSync(folder) ? fs.readdirSync(folder, { recursive: true, encoding: "utf8" }).sort() : [];
const specOf = (data: string, name: string) =>
  JSON.parse(fs.readFileSync(path.join(data, "kernels", name, "kernel.json"), "utf8")) as {
    argv: string[];
    display_name: string;
  };

describe("kernel", () => {
  test("install writes absolute paths and everything of share/jupyter; uninstall leaves nothing", () => {
    const installed = run("kernel", "install");
    expect(installed).toEqual({ code: 0, out: `installed ${home}/data/kernels/lm-transparency\n`, err: "" });
    expect(specOf(`${home}/data`, "lm-transparency").argv).toEqual([
      process.execPath,
      path.join(ROOT, "dist", "jupyter", "kernel", "main.js"),
      "{connection_file}",
    ]);
    const shared = below(path.join(ROOT, "share", "jupyter"));
    expect(shared.length).toBeGreaterThan(10);
    expect(below(`${home}/data`)).toEqual([...shared, "kernels/lm-transparency/lm-transparency.json"].sort());
    for (const file of shared) {
      const source = path.join(ROOT, "share", "jupyter", file);
      if (fs.statSync(source).isFile() && !file.endsWith("kernel.json"))
        expect(fs.readFileSync(`${home}/data/${file}`).equals(fs.readFileSync(source))).toBe(true);
    }
    expect(run("kernel", "list").out).toBe(`lm-transparency  ${version}  ${home}/data/kernels/lm-transparency\n`);
    expect(run("kernel", "uninstall").code).toBe(0);
    expect(fs.existsSync(`${home}/data`)).toBe(false);
    expect(run("kernel", "uninstall").err).toMatch(/^lm-transparency: There is no kernel lm-transparency in /);
  });

  test("what was there before stays, and is never written over", () => {
    fs.mkdirSync(`${home}/p/share/jupyter/kernels/other`, { recursive: true });
    fs.writeFileSync(`${home}/p/share/jupyter/kernels/other/kernel.json`, "{}");
    const before = below(home);
    expect(run("kernel", "install", "--prefix", "p").code).toBe(0);
    expect(run("kernel", "uninstall", "--prefix", "p").code).toBe(0);
    expect(below(home)).toEqual(before);
    fs.mkdirSync(`${home}/p/share/jupyter/kernels/lm-transparency`);
    fs.writeFileSync(`${home}/p/share/jupyter/kernels/lm-transparency/kernel.json`, "theirs");
    const refused = run("kernel", "install", "--prefix", "p");
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/kernel\.json is there already, and "kernel install" did not write it/);
    expect(run("kernel", "uninstall", "--prefix", "p").err).toMatch(/was not written by "kernel install"/);
    expect(fs.readFileSync(`${home}/p/share/jupyter/kernels/lm-transparency/kernel.json`, "utf8")).toBe("theirs");
  });

  test("two names share the extension until the last is gone", () => {
    expect(run("kernel", "install").code).toBe(0);
    expect(run("kernel", "install", "--name", "Second").code).toBe(0);
    expect(specOf(`${home}/data`, "second").display_name).toBe("TypeScript (Second)");
    expect(run("kernel", "uninstall").code).toBe(0);
    expect(below(`${home}/data/labextensions`).length).toBeGreaterThan(3);
    expect(fs.existsSync(`${home}/data/kernels/lm-transparency`)).toBe(false);
    expect(run("kernel", "uninstall", "--name", "Second").code).toBe(0);
    expect(fs.existsSync(`${home}/data`)).toBe(false);
  });

  test("list and install again after the package has moved, or is of another version", () => {
    expect(run("kernel", "install").code).toBe(0);
    const folder = `${home}/data/kernels/lm-transparency`;
    const record = JSON.parse(fs.readFileSync(`${folder}/lm-transparency.json`, "utf8")) as { files: string[] };
    const old = "labextensions/lm-transparency/static/of-an-old-version.js";
    fs.writeFileSync(`${home}/data/${old}`, "");
    fs.writeFileSync(
      `${folder}/lm-transparency.json`,
      JSON.stringify({ ...record, version: "0.0.1", files: [...record.files, old] }),
    );
    const spec = specOf(`${home}/data`, "lm-transparency");
    fs.writeFileSync(
      `${folder}/kernel.json`,
      JSON.stringify({ ...spec, argv: ["/no/node", "/gone/lm-transparency/dist/jupyter/kernel/main.js"] }),
    );
    const { err } = run("kernel", "list");
    expect(err).toContain("its Node.js /no/node is gone");
    expect(err).toContain("main.js is gone");
    expect(err).toContain(`it is of version 0.0.1, and this is ${version}`);
    expect(run("kernel", "install").code).toBe(0);
    expect(fs.existsSync(`${home}/data/${old}`)).toBe(false);
    expect(run("kernel", "list").err).toBe("");
  });

  test("a record that names files elsewhere removes none of them", () => {
    expect(run("kernel", "install").code).toBe(0);
    fs.writeFileSync(`${home}/mine`, "");
    const file = `${home}/data/kernels/lm-transparency/lm-transparency.json`;
    const record = JSON.parse(fs.readFileSync(file, "utf8")) as { files: string[] };
    fs.writeFileSync(file, JSON.stringify({ ...record, files: [...record.files, "../mine", `${home}/mine`] }));
    expect(run("kernel", "uninstall").code).toBe(0);
    expect(below(home)).toEqual(["mine"]);
  });

  test.each([
    [["kernel"], /^lm-transparency: kernel does install, uninstall or list/],
    [["kernel", "install", "--user", "--prefix", "p"], /--user and --prefix exclude each other/],
    [["kernel", "install", "--name", "../x"], /cannot name a kernel/],
    [
      ["kernel", "install", "--sys-prefix", "--python", "/no/python"],
      /^lm-transparency: \/no\/python is no Python that runs/,
    ],
  ])("%j is refused", (args, sentence) => {
    const { code, err } = run(...args);
    expect(code).not.toBe(0);
    expect(err).toMatch(sentence);
    expect(err.trim().split("\n")).toHaveLength(1);
  });
});

describe("models and pull", () => {
  test("what is in the cache is listed, and pulled without a download", async () => {
    const file = await defaultModelFile();
    const cache = path.dirname(file);
    const { models } = JSON.parse(run("models", "--json", "--cache-dir", cache).out) as { models: unknown[] };
    expect(models).toEqual([{ name: "default", path: file, bytes: fs.statSync(file).size }]);
    expect(run("pull", "--cache-dir", cache)).toEqual({ code: 0, out: `${file}\n`, err: "" });
    const blob = `${home}/hub/models--some--model/blobs/b`;
    fs.mkdirSync(path.dirname(blob), { recursive: true });
    fs.writeFileSync(blob, "x".repeat(2_500_000));
    for (const commit of ["1", "2"]) {
      fs.mkdirSync(`${home}/hub/models--some--model/snapshots/${commit}`, { recursive: true });
      fs.symlinkSync(blob, `${home}/hub/models--some--model/snapshots/${commit}/model.safetensors`);
    }
    expect(run("models", "--cache-dir", "hub").out).toBe("some/model       3 MB  hub/models--some--model\n");
    expect(run("models", "--cache-dir", "nowhere").out).toMatch(/^No model is in nowhere: "lm-transparency pull"/);
  });

  test("what is no model of the hub is refused", () => {
    expect(run("pull", "./x").err).toMatch(/is no model of the hub/);
  });
});

describe("doctor", () => {
  interface Output {
    readonly ok: boolean;
    readonly checks: readonly {
      readonly name: string;
      readonly ok: boolean;
      readonly found: string;
      readonly remedy?: string;
    }[];
  }
  const doctor = (...args: string[]) => {
    const { code, out } = run("doctor", "--json", ...args);
    const { ok, checks } = JSON.parse(out) as Output;
    expect(code).toBe(ok ? 0 : 1);
    return { ok, wrong: checks.filter((check) => !check.ok), checks };
  };
  const python = process.env.LM_TRANSPARENCY_PYTHON ?? path.join(ROOT, ".venv", "bin", "python");

  test("all is well once the kernel is installed, and it ran two cells", async () => {
    more = { LM_TRANSPARENCY_CACHE: path.dirname(await defaultModelFile()) };
    expect(doctor("--python", python).wrong.map(({ name }) => name)).toEqual(["kernelspec"]);
    expect(run("kernel", "install").code).toBe(0);
    const { ok, wrong, checks } = doctor("--python", python);
    expect(wrong).toEqual([]);
    expect(ok).toBe(true);
    expect(checks.find(({ name }) => name === "kernel")?.found).toBe("started, and ran two cells");
  }, 120_000);

  test("each thing that is broken is named, with what to do", () => {
    expect(run("kernel", "install").code).toBe(0);
    const file = `${home}/data/kernels/lm-transparency/kernel.json`;
    fs.writeFileSync(file, fs.readFileSync(file, "utf8").replace(/"[^"]*main\.js"/, '"/gone/jupyter/kernel/main.js"'));
    fs.writeFileSync(`${home}/file`, "");
    more = { LM_TRANSPARENCY_CACHE: `${home}/file/below` };
    const { wrong } = doctor("--python", "/no/python");
    expect(wrong.map(({ name }) => name)).toEqual([
      "Python",
      "Jupyter",
      "ipywidgets",
      "kernelspec",
      "caches",
      "default model",
    ]);
    for (const { remedy } of wrong) expect(remedy).toBeTruthy();
    expect(wrong.find(({ name }) => name === "kernelspec")?.found).toContain("/gone/jupyter/kernel/main.js is gone");
  }, 120_000);
});

describe("lab", () => {
  test.each([
    [
      ["--host", "0.0.0.0"],
      /--host 0\.0\.0\.0 can be reached from other machines, .*: choose a secret with --token\.$/,
    ],
    [["--host", "0.0.0.0", "--token="], /--token must be /],
    [["--host", "a b"], /--host must be an address or a name/],
    [["--port", "0"], /--port must be a number from 1 to 65535/],
    [["--base-url", "a b"], /--base-url must be a path/],
    [["no-such-folder"], /no-such-folder is no folder and no notebook/],
    [["--python", "/no/python"], /which is no Python that runs/],
  ])("%j is refused", (args, sentence) => {
    const { code, err } = run("lab", "--no-browser", ...args);
    expect(err.trim()).toMatch(sentence);
    expect(code).toBe(2);
  });

  test("opens a folder below a base URL with our kernel in it, and ends with a signal", async () => {
    const python = process.env.LM_TRANSPARENCY_PYTHON ?? path.join(ROOT, ".venv", "bin", "python");
    fs.mkdirSync(`${home}/work`);
    fs.writeFileSync(`${home}/work/mine.txt`, "");
    const args = ["lab", "work", "--no-browser", "--python", python, "--token", "secret-1", "--base-url", "ada"];
    const child = spawn(process.execPath, [path.join(ROOT, "dist/cli/main.js"), ...args], {
      cwd: home,
      env: { ...process.env, HOME: home, XDG_CACHE_HOME: `${home}/cache`, JUPYTER_PATH: "" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const ended = new Promise<number | null>((done) => child.once("exit", done));
    let said = "";
    child.stderr.on("data", (text: Buffer) => (said += text.toString()));
    try {
      const url = await new Promise<string>((done, fail) => {
        child.stdout.on("data", (text: Buffer) => {
          const found = /JupyterLab is up: {2}(\S+)/.exec(text.toString());
          if (found) done(found[1]);
        });
        void ended.then((code) => fail(new Error(`exit code ${code}: ${said}`)));
      });
      expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/ada\/lab\?token=secret-1$/);
      const get = (name: string, token: string) =>
        fetch(new URL(`api/${name}?token=${token}`, url.replace(/lab\?.*/, "")));
      expect((await get("kernelspecs", "wrong")).status).toBe(403);
      const { kernelspecs } = (await (await get("kernelspecs", "secret-1")).json()) as { kernelspecs: object };
      expect(Object.keys(kernelspecs)).toContain("lm-transparency");
      const { content } = (await (await get("contents", "secret-1")).json()) as { content: { name: string }[] };
      expect(content.map(({ name }) => name)).toEqual(["mine.txt"]);
    } finally {
      child.kill("SIGTERM");
    }
    await ended;
  }, 120_000);
});
