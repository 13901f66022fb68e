/**
 * Puts our kernel, and what JupyterLab, Notebook and nbconvert need besides, into a data folder of Jupyter, and takes
 * exactly that away again. What was written is recorded beside the kernelspec, before anything of it is written.
 */
import { constants } from "node:fs";
import { access, copyFile, lstat, readdir, readFile, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { because, FileError, systemCode } from "../system/errors";
import { makeFolder } from "../system/folders";

/** Of this package: dist/install lies two below. */
export const PACKAGE_ROOT = join(__dirname, "../..");
export const KERNEL_PROGRAM = join(PACKAGE_ROOT, "dist", "jupyter", "kernel", "main.js");
export const KERNEL_NAME = "lm-transparency";
const SHARED = join(PACKAGE_ROOT, "share", "jupyter");
const RECORD = "lm-transparency.json";

/** What one install wrote, relative to the data folder and with slashes. */
interface InstallRecord {
  readonly version: string;
  readonly files: readonly string[];
  /** Folders that were not there before, inner ones last. */
  readonly folders: readonly string[];
}

/** A kernel that starts our program. */
export interface InstalledKernel {
  readonly name: string;
  readonly folder: string;
  /** Undefined where `kernel install` did not make it. */
  readonly version: string | undefined;
  readonly argv: readonly string[];
  /** What is wrong with it, in sentences. */
  readonly problems: readonly string[];
}

export async function packageVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(PACKAGE_ROOT, "package.json"), "utf8")) as { version: string };
  return version;
}

/** @throws FileError For a name that Jupyter does not take. */
export function checkName(name: string): void {
  if (!/^[A-Za-z0-9._-]+$/.test(name) || /^\.+$/.test(name))
    throw new FileError(`${JSON.stringify(name)} cannot name a kernel: letters, digits, ".", "_" and "-" are allowed.`);
}

const kernelFolder = (data: string, name: string): string => join(data, "kernels", name.toLowerCase());

/** Installs under a data folder; returns the kernelspec's folder. An earlier install of the same name is replaced. */
export async function installKernel(data: string, name: string): Promise<string> {
  checkName(name);
  const folder = kernelFolder(data, name);
  const within = (path: string): string => relative(data, path).split(sep).join("/");
  const spec = JSON.parse(await readFile(join(SHARED, "kernels", KERNEL_NAME, "kernel.json"), "utf8")) as Record<
    string,
    unknown
  > & { display_name: string };
  spec["argv"] = [process.execPath, KERNEL_PROGRAM, "{connection_file}"];
  if (name !== KERNEL_NAME) spec.display_name = `TypeScript (${name})`;
  const copies: [from: string, to: string][] = [];
  for (const source of await filesBelow(SHARED)) {
    const parts = relative(SHARED, source).split(sep);
    if (parts[0] === "kernels") {
      if (parts[2] !== "kernel.json") copies.push([source, join(folder, ...parts.slice(2))]);
    } else copies.push([source, join(data, ...parts)]);
  }
  const written = [...copies.map(([, to]) => to), join(folder, "kernel.json"), join(folder, RECORD)];
  const before = await readRecord(folder);
  const ours = new Set((await recordsIn(data)).flatMap(({ record }) => record.files));
  for (const path of written)
    if (!ours.has(within(path)) && (await exists(path)))
      throw new FileError(
        `${path} is there already, and "kernel install" did not write it: remove it (pip uninstall, jupyter kernelspec remove), or choose another --name or folder.`,
      );
  await onDisk(data, async () => {
    const folders: string[] = [];
    for (const file of written)
      for (
        let at = dirname(file);
        at.length > data.length && !folders.includes(at) && !(await exists(at));
        at = dirname(at)
      )
        folders.push(at);
    // Those that lead to the data folder as well.
    for (let at = data; !(await exists(at)); at = dirname(at)) folders.push(at);
    folders.sort((a, b) => a.length - b.length);
    const record: InstallRecord = {
      version: await packageVersion(),
      files: [...new Set([...written.map(within), ...(before?.files ?? [])])],
      folders: [...new Set([...(before?.folders ?? []), ...folders.map(within)])],
    };
    await makeFolder(folder);
    await writeFile(join(folder, RECORD), `${JSON.stringify(record, null, 1)}\n`);
    for (const [from, to] of copies) {
      await makeFolder(dirname(to));
      await copyFile(from, to);
    }
    // Last: with it the kernel is there.
    await writeFile(join(folder, "kernel.json"), `${JSON.stringify(spec, null, 2)}\n`);
    const others = new Set(
      (await recordsIn(data)).filter((one) => one.folder !== folder).flatMap((one) => one.record.files),
    );
    const now = new Set(written.map(within));
    for (const file of before?.files ?? [])
      if (!now.has(file) && !others.has(file)) await rm(join(data, file), { force: true });
    await writeFile(join(folder, RECORD), `${JSON.stringify({ ...record, files: [...now] }, null, 1)}\n`);
  });
  return folder;
}

/** Removes what `installKernel` wrote under this name. @throws FileError Where it wrote nothing. */
export async function uninstallKernel(data: string, name: string): Promise<string> {
  checkName(name);
  const folder = kernelFolder(data, name);
  const record = await readRecord(folder);
  if (record === undefined)
    throw new FileError(
      (await exists(folder))
        ? `${folder} was not written by "kernel install": remove it with what did.`
        : `There is no kernel ${name} in ${data}: "lm-transparency kernel list" shows where there are.`,
    );
  await onDisk(data, async () => {
    const others = (await recordsIn(data)).filter((one) => one.folder !== folder);
    const shared = new Set(others.flatMap((one) => one.record.files));
    const own = `kernels/${name.toLowerCase()}/${RECORD}`;
    for (const file of record.files) if (!shared.has(file) && file !== own) await rm(join(data, file), { force: true });
    await rm(join(data, own), { force: true });
    const left: string[] = [];
    for (const inner of [...record.folders].reverse())
      await rmdir(join(data, inner)).catch((error: unknown) => {
        if (systemCode(error) !== "ENOENT") left.unshift(inner);
      });
    // Another install still needs them, and is the last to go.
    if (others.length > 0 && left.length > 0) {
      const [heir] = others;
      const folders = [...new Set([...left, ...heir.record.folders])].sort(
        (a, b) => join(data, a).length - join(data, b).length,
      );
      await writeFile(join(heir.folder, RECORD), `${JSON.stringify({ ...heir.record, folders }, null, 1)}\n`);
    }
  });
  return folder;
}

/** All kernels below these data folders that start our program, with what is wrong with them. */
export async function installedKernels(dataFolders: readonly string[]): Promise<InstalledKernel[]> {
  const version = await packageVersion();
  const found: InstalledKernel[] = [];
  for (const data of new Set(dataFolders)) {
    for (const name of await readdir(join(data, "kernels")).catch(() => [])) {
      const folder = join(data, "kernels", name);
      const argv = await readFile(join(folder, "kernel.json"), "utf8")
        .then((text) => (JSON.parse(text) as { argv?: unknown }).argv)
        .catch(() => undefined);
      if (!Array.isArray(argv) || !argv.every((one) => typeof one === "string")) continue;
      const record = await readRecord(folder);
      const program = argv.find((one) => /[\\/]jupyter[\\/]kernel[\\/]main\.js$/.test(one));
      if (record === undefined && (program === undefined || !/lm-transparency/.test(folder + program))) continue;
      const problems: string[] = [];
      const real = (path: string): string => path.replace("{resource_dir}", folder);
      if (/[\\/]/.test(argv[0]) && !(await exists(real(argv[0])))) problems.push(`its Node.js ${argv[0]} is gone`);
      if (program === undefined || !(await exists(real(program))))
        problems.push(`its program ${program ?? ""} is gone`);
      if (record !== undefined && record.version !== version)
        problems.push(`it is of version ${record.version}, and this is ${version}`);
      const missing = record === undefined ? 0 : (await missingOf(data, record.files)).length;
      if (missing > 0) problems.push(`${missing} of its files are missing`);
      found.push({ name, folder, version: record?.version, argv, problems });
    }
  }
  return found;
}

async function missingOf(data: string, files: readonly string[]): Promise<string[]> {
  const missing: string[] = [];
  for (const file of files) if (!(await exists(join(data, file)))) missing.push(file);
  return missing;
}

async function recordsIn(data: string): Promise<{ readonly folder: string; readonly record: InstallRecord }[]> {
  const records: { folder: string; record: InstallRecord }[] = [];
  for (const name of await readdir(join(data, "kernels")).catch(() => [])) {
    const folder = join(data, "kernels", name);
    const record = await readRecord(folder);
    if (record !== undefined) records.push({ folder, record });
  }
  return records;
}

async function readRecord(folder: string): Promise<InstallRecord | undefined> {
  try {
    const record = JSON.parse(await readFile(join(folder, RECORD), "utf8")) as InstallRecord;
    const inside = (path: unknown): boolean => typeof path === "string" && !/^(?:[\\/]|[A-Za-z]:)/.test(path);
    const files = record.files.filter((file) => inside(file) && !file.split("/").includes(".."));
    return { version: String(record.version), files, folders: record.folders.filter(inside) };
  } catch {
    return undefined;
  }
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

/** An error of the disk as one sentence. */
async function onDisk(data: string, work: () => Promise<void>): Promise<void> {
  await work().catch((error: unknown) => {
    if (systemCode(error) === undefined) throw error;
    const path = (error as NodeJS.ErrnoException).path ?? data;
    throw new FileError(`${path} cannot be changed: ${because(error)}; choose another folder with --user or --prefix.`);
  });
}

/** Whether files can be written below a folder, or below the first one above it that exists. */
export async function isWritable(folder: string): Promise<boolean> {
  for (let at = folder; ; at = dirname(at)) {
    const info = await stat(at).catch(() => undefined);
    if (info !== undefined)
      return (
        info.isDirectory() &&
        access(at, constants.W_OK).then(
          () => true,
          () => false,
        )
      );
    if (dirname(at) === at) return false;
  }
}
