import { join, resolve } from "node:path";
import { findPython, namedDataFolders, systemDataFolders, userDataFolder } from "../install/jupyter-folders";
import { installedKernels, installKernel, KERNEL_NAME, PACKAGE_ROOT, uninstallKernel } from "../install/kernel-install";
import { parseOptionsAndFiles, UsageError, type Command, type OptionValues } from "./command";

const USAGE = `lm-transparency kernel install [--user | --sys-prefix | --prefix P] [--python PY] [--name N]
lm-transparency kernel uninstall [the same options]
lm-transparency kernel list [--prefix P] [--python PY]

Makes the kernel known to a Jupyter of your own: the kernelspec with the absolute paths of this Node.js and this program, the
extension for JupyterLab and Notebook, and the template for nbconvert. Uninstall removes exactly what install wrote. List shows
every kernel that starts this program, and what is wrong with it.

  --user               into your own data folder of Jupyter (default)
  --sys-prefix         into the environment of the Python that --python names
  --prefix P           into P/share/jupyter
  --python PY          the Python of that Jupyter; without it LM_TRANSPARENCY_PYTHON, or python3 on the PATH
  --name N             the kernel's name in Jupyter; default ${KERNEL_NAME}`;

const OPTIONS = {
  user: { type: "boolean" },
  "sys-prefix": { type: "boolean" },
  prefix: { type: "string" },
  python: { type: "string" },
  name: { type: "string", default: KERNEL_NAME },
} as const;

/** The data folder that the options say. */
async function dataFolder(values: OptionValues<typeof OPTIONS>): Promise<string> {
  const given = (["user", "sys-prefix", "prefix"] as const).filter((name) => values[name] !== undefined);
  if (given.length > 1) throw new UsageError(`--${given[0]} and --${given[1]} exclude each other`);
  if (values.prefix !== undefined) return join(resolve(values.prefix), "share", "jupyter");
  if (values["sys-prefix"]) return join((await findPython(values.python)).prefix, "share", "jupyter");
  return userDataFolder();
}

/** `lm-transparency kernel`. */
export const kernel: Command = {
  name: "kernel",
  summary: "make the kernel known to a Jupyter of your own",
  usage: USAGE,
  endsAtOnce: true,
  async run(args, context) {
    const { values, files } = parseOptionsAndFiles(args, OPTIONS);
    const [action, ...rest] = files;
    if (rest.length > 0 || !["install", "uninstall", "list"].includes(action))
      throw new UsageError(`kernel does install, uninstall or list, not ${JSON.stringify(files.join(" "))}`);
    if (action === "list") {
      const python = await findPython(values.python).catch((error: unknown) => {
        if (values.python !== undefined) throw error;
        return undefined;
      });
      const kernels = await installedKernels([
        ...(values.prefix === undefined ? [] : [join(resolve(values.prefix), "share", "jupyter")]),
        ...namedDataFolders(),
        userDataFolder(),
        ...(python === undefined ? [] : [join(python.prefix, "share", "jupyter")]),
        ...systemDataFolders(),
      ]);
      for (const { name, folder, version, problems } of kernels) {
        await context.write(`${name}  ${version ?? "(not by kernel install)"}  ${folder}\n`);
        for (const problem of problems) context.warn(`kernel ${name}: ${problem}; run "kernel install" again.`);
      }
      if (kernels.length === 0) await context.write(`No kernel of lm-transparency is installed.\n`);
      return;
    }
    const data = await dataFolder(values);
    if (action === "uninstall") {
      await context.write(`removed ${await uninstallKernel(data, values.name)}\n`);
      return;
    }
    for (const one of await installedKernels([data, userDataFolder(), ...namedDataFolders(), ...systemDataFolders()]))
      if (one.problems.length > 0 && one.folder !== join(data, "kernels", values.name.toLowerCase()))
        context.warn(`there is another kernel in ${one.folder}: ${one.problems.join(", and ")}.`);
    if (/[\\/]_npx[\\/]/.test(PACKAGE_ROOT))
      context.warn(
        `this copy lies in npx's cache (${PACKAGE_ROOT}), which npm may empty: install the package (npm install -g lm-transparency) to keep the kernel.`,
      );
    await context.write(`installed ${await installKernel(data, values.name)}\n`);
  },
};
