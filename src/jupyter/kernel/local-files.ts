/** Files that cells import, as the TypeScript thread sees them: found, read, translated. */
import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import ts from "typescript";
import { awaitsAtTop } from "./cell-syntax";
import { runtimeStep } from "./cell-steps";
import { isNameable, OwnFolder } from "./own-folder";

/** A file outside of node_modules that a cell imports, directly or through others. */
export interface LocalModule {
  readonly path: string;
  /** Changes with everything that can change what the module does. */
  readonly version: string;
  /** Paths of the files that its imports name; what is missing here is Node's to find. */
  readonly imports: Readonly<Record<string, string>>;
  /** CommonJS, or the text of a JSON file; left out where this version was sent before. */
  readonly code?: string;
  readonly map?: string;
  readonly isAsync: boolean;
}

/** Something that keeps a local file from being run. */
export interface LocalMistake {
  readonly path: string;
  readonly start: number;
  readonly length: number;
  readonly messageText: string;
  readonly code: number;
}

export interface Graph {
  /** Of the text that the graph begins with. */
  readonly imports: Readonly<Record<string, string>>;
  /** Whatever is imported comes before what imports it, as far as there are no circles. */
  readonly modules: readonly LocalModule[];
  readonly mistakes: readonly LocalMistake[];
  /** Files that are reached by a package's name only; their types are their authors' concern. */
  readonly ofPackages: ReadonlySet<string>;
}

interface Translated {
  readonly version: string;
  readonly code: string;
  readonly map?: string;
  readonly isAsync: boolean;
  readonly specifiers: readonly string[];
  readonly mistakes: readonly LocalMistake[];
}

export interface LocalFilesOptions {
  readonly cwd: string;
  readonly packageRoot: string;
  readonly packageName: string;
  /** Options of the compiler that hold for all files. */
  options(): ts.CompilerOptions;
}

/**
 * Of a tsconfig.json only what says where modules are and what JSX means is taken, the rest is written for other files
 * than cells.
 */
const TAKEN = [
  "paths",
  "baseUrl",
  "pathsBasePath",
  "rootDirs",
  "jsx",
  "jsxFactory",
  "jsxFragmentFactory",
  "jsxImportSource",
  "customConditions",
] as const;

const SCRIPT = /\.[cm]?[jt]sx?$/;
const LIBRARY = dirname(ts.getDefaultLibFilePath({})).replaceAll("\\", "/");

export class LocalFiles {
  /** Files that exist in cells only, by path. */
  virtual: ReadonlyMap<string, string> = new Map();
  readonly #texts = new Map<string, { readonly version: string; readonly text: string | undefined }>();
  readonly #existing = new Map<string, boolean>();
  readonly #versions = new Map<string, string>();
  readonly #configs = new Map<string, ts.CompilerOptions>();
  readonly #readConfigs = new Map<
    string,
    { readonly stamp: string; readonly options: ts.CompilerOptions; readonly files: readonly string[] }
  >();
  readonly #translated = new Map<string, Translated>();
  #resolved = new Map<string, ts.ResolvedModuleFull | undefined>();
  #caches = new Map<ts.CompilerOptions, ts.ModuleResolutionCache>();
  #packages = "";
  #turn = 0;
  readonly #scopes = new Map<string, { readonly stamp: string; readonly folders: readonly string[] }>();
  /** Grows when packages were installed or removed. */
  generation = 0;

  readonly #own: OwnFolder;

  constructor(private readonly data: LocalFilesOptions) {
    this.#own = new OwnFolder(data.packageRoot);
  }

  /** From here on files are looked at anew. */
  refresh(): void {
    this.#turn++;
    this.#versions.clear();
    this.#configs.clear();
    this.#resolved = new Map();
    this.#caches = new Map();
    const packages = this.#packageStamp();
    if (packages !== this.#packages) {
      this.generation++;
      this.#existing.clear();
    }
    this.#packages = packages;
    // Packages come and go as a whole; hundreds of their files are looked for with each cell.
    for (const path of this.#existing.keys()) if (!isOfPackage(path)) this.#existing.delete(path);
  }

  readonly host: ts.ModuleResolutionHost & {
    directoryExists(path: string): boolean;
    getDirectories(path: string): string[];
  } = {
    fileExists: (path) => this.virtual.has(path) || this.#exists(path),
    readFile: (path) => this.read(path),
    directoryExists: (path) => ts.sys.directoryExists(this.#own.real(path)),
    getDirectories: (path) => ts.sys.getDirectories(this.#own.real(path)),
    realpath: (path) =>
      this.virtual.has(path) ? path : this.#own.nameable(ts.sys.realpath?.(this.#own.real(path)) ?? path),
    getCurrentDirectory: () => this.data.cwd,
    useCaseSensitiveFileNames: true,
  };

  read(path: string): string | undefined {
    const made = this.virtual.get(path);
    if (made !== undefined) return made;
    const version = isOfPackage(path) || path.startsWith(LIBRARY) ? this.version(path) : String(this.#turn);
    const before = this.#texts.get(path);
    if (before?.version === version) return before.text;
    const text = ts.sys.readFile(this.#own.real(path));
    this.#texts.set(path, { version, text });
    return text;
  }

  #exists(path: string): boolean {
    let exists = this.#existing.get(path);
    if (exists === undefined) this.#existing.set(path, (exists = ts.sys.fileExists(this.#own.real(path))));
    return exists;
  }

  /**
   * What changes with a file's contents. Packages' files are told apart by time and size: there are many, and they are
   * replaced as a whole.
   */
  version(path: string): string {
    let version = this.#versions.get(path);
    if (version === undefined) {
      if (path.startsWith(LIBRARY)) version = "library";
      else if (isOfPackage(path) && !this.virtual.has(path)) version = stamp(this.#own.real(path));
      else version = hash(this.read(path) ?? "");
      this.#versions.set(path, version);
    }
    return version;
  }

  /**
   * Finds a module as TypeScript does: with the nearest tsconfig.json's paths, and with this package from any folder.
   */
  resolve(name: string, from: string, mode: ts.ResolutionMode): ts.ResolvedModuleFull | undefined {
    const key = `${dirname(from)}\0${mode ?? ""}\0${name}`;
    if (this.#resolved.has(key)) return this.#resolved.get(key);
    const found = this.#nameable(this.#lookUp(name, this.#own.real(from), mode));
    this.#resolved.set(key, found);
    return found;
  }

  #lookUp(name: string, from: string, mode: ts.ResolutionMode): ts.ResolvedModuleFull | undefined {
    const options = this.optionsFor(from);
    const once = (file: string, as: ts.ResolutionMode): ts.ResolvedModuleFull | undefined =>
      ts.resolveModuleName(name, file, options, this.host, this.#cacheFor(options), undefined, as).resolvedModule;
    // A package that has no entry for `require` can be loaded by it all the same.
    const found = once(from, mode) ?? (mode === ts.ModuleKind.CommonJS ? once(from, ts.ModuleKind.ESNext) : undefined);
    if (found !== undefined || name.startsWith(".")) return found;
    if (this.#isOwn(name)) return once(join(this.data.packageRoot, "cell.ts"), mode);
    if (name === "tslab") return once(join(this.data.packageRoot, "cell.ts"), mode);
    return undefined;
  }

  #nameable(found: ts.ResolvedModuleFull | undefined): ts.ResolvedModuleFull | undefined {
    const resolvedFileName = this.#own.nameable(found?.resolvedFileName ?? "");
    if (found === undefined || !isNameable(resolvedFileName)) return found;
    // Without the path of a link to it (a member that TypeScript does not declare): that has `node_modules` in it.
    const named: ts.ResolvedModuleFull & { originalPath?: string } = { ...found, resolvedFileName };
    delete named.originalPath;
    delete named.packageId;
    return named;
  }

  #isOwn(name: string): boolean {
    return name === this.data.packageName || name.startsWith(`${this.data.packageName}/`);
  }

  #cacheFor(options: ts.CompilerOptions): ts.ModuleResolutionCache {
    let cache = this.#caches.get(options);
    if (cache === undefined)
      this.#caches.set(options, (cache = ts.createModuleResolutionCache(this.data.cwd, (path) => path, options)));
    return cache;
  }

  /** Options for one file: the common ones with what its tsconfig.json says. */
  optionsFor(file: string): ts.CompilerOptions {
    const folder = dirname(file);
    let options = this.#configs.get(folder);
    if (options === undefined) {
      options = this.data.options();
      const path = isOfPackage(file) ? undefined : ts.findConfigFile(folder, ts.sys.fileExists);
      if (path !== undefined) options = { ...options, ...this.#readConfig(path) };
      this.#configs.set(folder, options);
    }
    return options;
  }

  #readConfig(path: string): ts.CompilerOptions {
    const before = this.#readConfigs.get(path);
    if (before !== undefined && before.stamp === before.files.map(stamp).join()) return before.options;
    const files: string[] = [];
    const host: ts.ParseConfigHost = {
      useCaseSensitiveFileNames: true,
      fileExists: ts.sys.fileExists,
      readDirectory: () => [],
      readFile: (file) => {
        files.push(file);
        return ts.sys.readFile(file);
      },
    };
    const { config } = ts.readConfigFile(path, host.readFile) as { config?: unknown };
    const all = ts.parseJsonConfigFileContent(config ?? {}, host, dirname(path), undefined, path).options;
    const options = Object.fromEntries(
      TAKEN.filter((key) => all[key] !== undefined).map((key) => [key, all[key]]),
    ) as ts.CompilerOptions;
    this.#readConfigs.set(path, { stamp: files.map(stamp).join(), options, files });
    return options;
  }

  /** All local files that a text imports. */
  graph(text: string, from: string): Graph {
    const modules: LocalModule[] = [];
    const mistakes: LocalMistake[] = [];
    const seen = new Set<string>();
    const named = new Set<string>();
    const byPackage = new Set<string>();
    const importsOf = (specifiers: readonly string[], file: string, ofPackage: boolean): Record<string, string> => {
      const imports: Record<string, string> = {};
      for (const name of specifiers) {
        const found = this.runtimeFile(name, file);
        if (found === undefined) continue;
        imports[name] = found.path;
        if (found.isLocal) visit(found.path, ofPackage || found.isPackage);
      }
      return imports;
    };
    const visit = (path: string, ofPackage: boolean): void => {
      (ofPackage ? byPackage : named).add(path);
      if (seen.has(path)) return;
      seen.add(path);
      const one = this.#translate(path);
      if (one === undefined) return;
      const imports = importsOf(one.specifiers, path, ofPackage);
      mistakes.push(...one.mistakes);
      modules.push({
        path,
        imports,
        version: `${one.version} ${JSON.stringify(imports)}`,
        code: one.code,
        isAsync: one.isAsync,
        ...(one.map === undefined ? {} : { map: one.map }),
      });
    };
    const imports = importsOf(specifiersOf(text), from, false);
    return { imports, modules, mistakes, ofPackages: new Set([...byPackage].filter((path) => !named.has(path))) };
  }

  /** The file that runs when a module of this name is imported; undefined where Node finds it by itself. */
  runtimeFile(
    name: string,
    from: string,
  ): { readonly path: string; readonly isLocal: boolean; readonly isPackage: boolean } | undefined {
    if (this.#isOwn(name) || name.startsWith("node:")) return undefined;
    const found = this.resolve(name, from, ts.ModuleKind.CommonJS);
    if (found === undefined) return undefined;
    const path = found.resolvedFileName;
    const isPackage = found.isExternalLibraryImport === true;
    if (isOfPackage(path)) return isPackage ? this.#importOnly(name, from) : undefined;
    const declaration = /\.d\.([cm]?)ts$/.exec(path);
    if (declaration !== null) {
      const script = `${path.slice(0, declaration.index)}.${declaration[1]}js`;
      return isPackage || !existsSync(script) ? undefined : { path: script, isLocal: true, isPackage };
    }
    return SCRIPT.test(path) || path.endsWith(".json") ? { path, isLocal: true, isPackage } : undefined;
  }

  /** File of a package that says where it is to `import` only. */
  #importOnly(
    name: string,
    from: string,
  ): { readonly path: string; readonly isLocal: boolean; readonly isPackage: boolean } | undefined {
    const script = (mode: ts.ResolutionMode): string | undefined => {
      const options = { ...this.data.options(), noDtsResolution: true, allowJs: true };
      return ts.resolveModuleName(name, from, options, this.host, undefined, undefined, mode).resolvedModule
        ?.resolvedFileName;
    };
    if (this.#requirable(name, from)) return undefined;
    const path = script(ts.ModuleKind.CommonJS) === undefined ? script(ts.ModuleKind.ESNext) : undefined;
    return path === undefined || !/\.[cm]?js$/.test(path) ? undefined : { path, isLocal: false, isPackage: true };
  }

  /** Most packages need no second look: their types are found as `require` would find them. */
  #requirable(name: string, from: string): boolean {
    const options = this.optionsFor(from);
    return (
      ts.resolveModuleName(name, from, options, this.host, this.#cacheFor(options), undefined, ts.ModuleKind.CommonJS)
        .resolvedModule !== undefined
    );
  }

  #translate(path: string): Translated | undefined {
    const text = this.read(path);
    if (text === undefined) return undefined;
    if (path.endsWith(".json"))
      return { version: this.version(path), code: text, isAsync: false, specifiers: [], mistakes: [] };
    const options = this.optionsFor(path);
    const jsx = [options.jsx, options.jsxFactory, options.jsxFragmentFactory, options.jsxImportSource].join();
    const version = `${this.version(path)} ${jsx}`;
    const before = this.#translated.get(path);
    if (before?.version === version) return before;
    let isAsync = false;
    // The endings .mts and .cts would overrule what is asked for.
    const fileName = path.replace(/\.[cm]([jt]s)$/, ".$1");
    const { outputText, sourceMapText, diagnostics } = ts.transpileModule(text, {
      fileName,
      reportDiagnostics: true,
      compilerOptions: {
        ...options,
        paths: undefined,
        baseUrl: undefined,
        rootDirs: undefined,
        types: [],
        typeRoots: [],
        lib: undefined,
        declaration: false,
        sourceMap: true,
        module: ts.ModuleKind.CommonJS,
        moduleResolution: undefined,
        allowImportingTsExtensions: undefined,
        customConditions: undefined,
      },
      transformers: {
        before: [
          () => (file) => {
            isAsync = awaitsAtTop(file);
            return file;
          },
          runtimeStep,
        ],
      },
    });
    const code = outputText.replace(/\n?\/\/# sourceMappingURL=[^\n]*\s*$/, "");
    const mistakes = (diagnostics ?? [])
      .filter((one) => one.file !== undefined)
      .map((one) => ({
        path,
        start: one.start ?? 0,
        length: one.length ?? 0,
        messageText: ts.flattenDiagnosticMessageText(one.messageText, "\n"),
        code: one.code,
      }));
    // What the text imports for its types only is not in the code; JSX adds imports that are in the code only.
    const specifiers = [...new Set([...specifiersOf(text), ...specifiersOf(code)])];
    const made: Translated = {
      version,
      code,
      isAsync,
      specifiers,
      mistakes,
      ...(sourceMapText === undefined ? {} : { map: sourceMapText }),
    };
    this.#translated.set(path, made);
    return made;
  }

  /** Names of packages that can be imported from the notebook's folder. */
  packageNames(): string[] {
    const names = new Set<string>([this.data.packageName]);
    for (const folder of foldersAbove(this.data.cwd)) {
      for (const name of ts.sys.getDirectories(join(folder, "node_modules"))) {
        if (name.startsWith(".") || name === "@types") continue;
        if (name.startsWith("@"))
          for (const inner of ts.sys.getDirectories(join(folder, "node_modules", name))) names.add(`${name}/${inner}`);
        else names.add(name);
      }
    }
    return [...names];
  }

  #packageStamp(): string {
    const stamps: string[] = [];
    for (const folder of foldersAbove(this.data.cwd)) {
      const modules = join(folder, "node_modules");
      const own = stamp(modules);
      if (own === "") continue;
      stamps.push(
        own,
        ...this.#scopesIn(modules, own).map(stamp),
        stamp(join(modules, ".package-lock.json")),
        stamp(join(modules, ".modules.yaml")),
      );
    }
    return stamps.join();
  }

  /** Folders of packages with a scope: a new package in one leaves the folder above as it was. */
  #scopesIn(modules: string, stamp: string): readonly string[] {
    const before = this.#scopes.get(modules);
    if (before?.stamp === stamp) return before.folders;
    const folders = ts.sys
      .getDirectories(modules)
      .filter((name) => name.startsWith("@"))
      .map((name) => join(modules, name));
    this.#scopes.set(modules, { stamp, folders });
    return folders;
  }

  /** How an error names a file. */
  shown(path: string): string {
    return relative(this.data.cwd, path);
  }
}

export function isOfPackage(path: string): boolean {
  return path.includes("/node_modules/") || isNameable(path);
}

export function foldersAbove(folder: string): string[] {
  const folders: string[] = [];
  for (let at = folder; ; at = dirname(at)) {
    folders.push(at);
    if (dirname(at) === at) return folders;
  }
}

function specifiersOf(text: string): string[] {
  return ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName);
}

function hash(text: string): string {
  return createHash("sha1").update(text).digest("base64");
}

function stamp(path: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(path);
    return `${mtimeMs} ${size} ${ino}`;
  } catch {
    return "";
  }
}
