import { stat } from "node:fs/promises";
import { join } from "node:path";
import { findPython, namedDataFolders, systemDataFolders, userDataFolder } from "../install/jupyter-folders";
import { installedKernels, isWritable, KERNEL_PROGRAM } from "../install/kernel-install";
import { tryKernel } from "../install/try-kernel";
import { DEFAULT_MODEL, modelCache } from "../model/default-model";
import { hubCache } from "../model/hub";
import { because } from "../system/errors";
import { host } from "../system/platform";
import { parseOptions, type Command } from "./command";

/** One thing that was looked at. */
interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** What was found. */
  readonly found: string;
  /** What to do where it is not as it should be. */
  readonly remedy?: string;
}

/** What `doctor --json` prints. */
export interface DoctorOutput {
  readonly schema: "lm-transparency/doctor@1";
  readonly ok: boolean;
  readonly checks: readonly Check[];
}

type Look = readonly [name: string, look: () => Promise<Omit<Check, "name">>];

const CELLS = [
  'import { parseNode } from "lm-transparency";\nconst place = parseNode("A3_17");',
  "place.position * 2 + place.layer",
];

/** `lm-transparency doctor`. */
export const doctor: Command = {
  name: "doctor",
  summary: "whether everything that is needed is there and works",
  usage: `lm-transparency doctor [--python PY] [--json]

Looks at Node.js, the native libraries, Jupyter, the installed kernel, the caches and the default model, starts the kernel and runs
two cells. One line for each, with what to do where something is wrong; the exit code is then 1. Nothing is changed or downloaded.

  --python PY          the Python of your Jupyter; without it LM_TRANSPARENCY_PYTHON, or python3 on the PATH
  --json               as JSON, for programs`,
  endsAtOnce: true,
  async run(args, context) {
    const values = parseOptions(args, { python: { type: "string" }, json: { type: "boolean" } });
    const checks: Check[] = [];
    for (const [name, look] of looks(values.python)) {
      const check = { name, ...(await look()) };
      checks.push(check);
      if (!values.json)
        await context.write(
          `${check.ok ? "ok  " : "--  "}${name.padEnd(14)}${check.found}${check.remedy === undefined ? "" : `: ${check.remedy}`}\n`,
        );
    }
    const ok = checks.every((check) => check.ok);
    const output: DoctorOutput = { schema: "lm-transparency/doctor@1", ok, checks };
    if (values.json) await context.write(`${JSON.stringify(output)}\n`);
    if (!ok)
      throw new Error(
        `${checks.filter((check) => !check.ok).length} of ${checks.length} checks found something wrong.`,
      );
  },
};

function looks(named: string | undefined): Look[] {
  const python = findPython(named);
  python.catch(() => undefined);
  const kernels = python
    .then(({ prefix }) => [join(prefix, "share", "jupyter")])
    .catch((): string[] => [])
    .then((folders) => installedKernels([...namedDataFolders(), userDataFolder(), ...folders, ...systemDataFolders()]));
  kernels.catch(() => undefined);
  return [
    ["Node.js", () => Promise.resolve({ ok: true, found: `${process.versions.node} (${process.execPath})` })],
    [
      "platform",
      () => {
        // The command itself does not start where there are no binaries.
        const { platform, arch } = host();
        return Promise.resolve({ ok: true, found: `${platform} ${arch}` });
      },
    ],
    ["zeromq", () => loading(async () => `libzmq ${(await import("zeromq")).version}`)],
    [
      "onnxruntime",
      () =>
        loading(async () => {
          const { env } = await import("onnxruntime-node");
          return env.versions.common ?? "loads";
        }),
    ],
    [
      "Python",
      async () => {
        try {
          const { version, executable } = await python;
          return { ok: true, found: `${version} (${executable})` };
        } catch (error) {
          return { ok: false, found: "none", remedy: (error as Error).message };
        }
      },
    ],
    [
      "Jupyter",
      async () => {
        const one = await python.catch(() => undefined);
        const { jupyterlab, notebook, jupyter_server: server } = one?.packages ?? {};
        const found = [
          jupyterlab && `JupyterLab ${jupyterlab}`,
          notebook && `Notebook ${notebook}`,
          server && `server ${server}`,
        ]
          .filter(Boolean)
          .join(", ");
        const ok = Boolean(jupyterlab ?? notebook);
        return ok
          ? { ok, found }
          : {
              ok,
              found: found || "none",
              remedy: `${pip(one?.executable)} install jupyterlab, or name its Python with --python`,
            };
      },
    ],
    [
      "ipywidgets",
      async () => {
        const one = await python.catch(() => undefined);
        const version = one?.packages["ipywidgets"] ?? one?.packages["jupyterlab_widgets"];
        return version
          ? { ok: true, found: version }
          : {
              ok: false,
              found: "none",
              remedy: `${pip(one?.executable)} install ipywidgets, without which pictures do not answer clicks`,
            };
      },
    ],
    [
      "kernelspec",
      async () => {
        const all = await kernels;
        const bad = all.find((one) => one.problems.length > 0);
        if (bad !== undefined)
          return {
            ok: false,
            found: `${bad.folder}: ${bad.problems.join(", ")}`,
            remedy: 'run "lm-transparency kernel install" again',
          };
        return all.length > 0
          ? { ok: true, found: all.map(({ folder }) => folder).join(", ") }
          : { ok: false, found: "none", remedy: 'run "lm-transparency kernel install"' };
      },
    ],
    [
      "caches",
      async () => {
        for (const [folder, variable] of [
          [modelCache(), "LM_TRANSPARENCY_CACHE"],
          [hubCache(), "HF_HUB_CACHE"],
        ])
          if (!(await isWritable(folder)))
            return { ok: false, found: `${folder} cannot be written`, remedy: `set ${variable} to a folder that can` };
        return { ok: true, found: `${modelCache()}, ${hubCache()}` };
      },
    ],
    [
      "default model",
      async () => {
        const path = join(modelCache(), DEFAULT_MODEL.file.name);
        const info = await stat(path).catch(() => undefined);
        if (info?.size === DEFAULT_MODEL.file.bytes) return { ok: true, found: path };
        return { ok: false, found: "not downloaded", remedy: 'run "lm-transparency pull"' };
      },
    ],
    [
      "GPU",
      async () => {
        try {
          const { listSupportedBackends } = await import("onnxruntime-node");
          const others = listSupportedBackends()
            .map(({ name }) => name)
            .filter((name) => name !== "cpu");
          return {
            ok: true,
            found:
              others.length > 0
                ? `ONNX Runtime can use ${others.join(", ")} where a driver is there`
                : "none that ONNX Runtime offers; the processor is used",
          };
        } catch (error) {
          return { ok: true, found: `not known (${because(error)})` };
        }
      },
    ],
    [
      "kernel",
      async () => {
        const installed = (await kernels).find(
          ({ problems, version }) => problems.length === 0 && version !== undefined,
        );
        const argv = installed?.argv ?? [process.execPath, KERNEL_PROGRAM, "{connection_file}"];
        try {
          const value = await tryKernel(argv, CELLS);
          if (value !== "37") throw new Error(`two cells gave ${value} and not 37`);
          return { ok: true, found: "started, and ran two cells" };
        } catch (error) {
          return {
            ok: false,
            found: (error as Error).message,
            remedy: "install the package again, and report it if that does not help",
          };
        }
      },
    ],
  ];
}

const pip = (python: string | undefined): string => `${python ?? "python3"} -m pip`;

/** A native library, which may have no binary here. */
async function loading(load: () => Promise<string>): Promise<Omit<Check, "name">> {
  try {
    return { ok: true, found: await load() };
  } catch (error) {
    return {
      ok: false,
      found: `does not load (${(error as Error).message.split("\n")[0]})`,
      remedy: "install the package again (npm install lm-transparency), with optional dependencies",
    };
  }
}
