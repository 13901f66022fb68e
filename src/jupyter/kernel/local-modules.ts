/** Runs local files that cells import; what was edited, and what depends on it, is run anew by the next import. */
import Module, { createRequire } from "node:module";
import { dirname, extname } from "node:path";
import { pathToFileURL } from "node:url";
import { Script } from "node:vm";
import { IMPORT_META } from "./cell-names";
import type { LocalModule } from "./local-files";
import { JSON, Object, Map, Set } from "../natives";

/** Node's own piece of its CommonJS loader that a module made from text needs. */
interface ModuleInternals {
  _nodeModulePaths(from: string): string[];
}

interface Loaded {
  readonly module: Module;
  readonly version: string;
  /** Local modules that it got, as they were then. */
  readonly parts: Map<string, Loaded>;
  /** For a module that awaits at its top. */
  readonly done?: Promise<unknown>;
}

export interface LocalModulesOptions {
  /** Gives what is no local file. */
  readonly requireOther: (require: NodeJS.Require, id: string) => unknown;
  /** Looks for a local file whose name is in no text; undefined where there is none. */
  readonly find: (id: string, from: string) => { readonly path?: string; readonly modules: readonly LocalModule[] };
  /** Told of each file that is run, with the name that stack frames give it. */
  readonly onSource: (frameName: string, path: string, map: string | undefined) => void;
}

export class LocalModules {
  /** The newest known version of each file. */
  readonly #sources = new Map<string, LocalModule & { readonly code: string }>();
  readonly #loaded = new Map<string, Loaded>();

  constructor(private readonly options: LocalModulesOptions) {}

  /** Takes what a cell imports as it is now; of what has changed nothing stays loaded. */
  update(modules: readonly LocalModule[]): void {
    for (const module of modules) {
      const before = this.#sources.get(module.path);
      const { code, map } =
        module.code === undefined ? (before ?? { code: "", map: undefined }) : { code: module.code, map: module.map };
      this.#sources.set(module.path, {
        path: module.path,
        version: module.version,
        imports: module.imports,
        isAsync: module.isAsync,
        code,
        ...(map === undefined ? {} : { map }),
      });
    }
    const stale = new Set<string>();
    for (let grown = true; grown;) {
      grown = false;
      for (const [path, { version, parts }] of this.#loaded) {
        if (stale.has(path)) continue;
        const changed =
          this.#sources.get(path)?.version !== version ||
          [...parts].some(([part, was]) => stale.has(part) || this.#loaded.get(part) !== was);
        if (!changed) continue;
        stale.add(path);
        grown = true;
      }
    }
    for (const path of stale) this.#loaded.delete(path);
  }

  /** Runs those that await at their top, which `require` cannot. */
  async prepare(modules: readonly LocalModule[]): Promise<void> {
    for (const { path, isAsync } of modules) if (isAsync) await this.#load(path)?.done;
  }

  /** `require` of a cell or a local file. */
  requireFor(file: string, imports: Readonly<Record<string, string>>, importer?: Loaded): NodeJS.Require {
    const require = createRequire(file);
    const load = (id: string): unknown => {
      const path = imports[id];
      const found = path === undefined ? this.#dynamic(id, file) : path;
      if (found === undefined) return this.options.requireOther(require, id);
      const part = this.#load(found);
      if (part === undefined) return require(found);
      importer?.parts.set(found, part);
      return part.module.exports;
    };
    const resolve = Object.assign(
      (id: string, options?: { paths?: string[] }) => imports[id] ?? require.resolve(id, options),
      { paths: require.resolve.paths },
    );
    return Object.assign(load, {
      resolve,
      main: require.main,
      extensions: require.extensions,
      cache: require.cache,
    }) as NodeJS.Require;
  }

  /** A name that was put together while the program ran. */
  #dynamic(id: string, from: string): string | undefined {
    if (typeof id !== "string" || !/^(?:\.{0,2}\/|#|[A-Za-z]:[\\/])/.test(id)) return undefined;
    const { path, modules } = this.options.find(id, from);
    if (path !== undefined) this.update(modules);
    return path;
  }

  #load(path: string): Loaded | undefined {
    const before = this.#loaded.get(path);
    if (before !== undefined) return before;
    const source = this.#sources.get(path);
    if (source === undefined) return undefined;
    const module = new Module(path);
    module.filename = path;
    (module as { paths: string[] }).paths = (Module as unknown as ModuleInternals)._nodeModulePaths(dirname(path));
    const parts = new Map<string, Loaded>();
    const loaded: { -readonly [K in keyof Loaded]: Loaded[K] } = { module, version: source.version, parts };
    // Before it runs: modules may import each other in a circle.
    this.#loaded.set(path, loaded);
    try {
      if (extname(path) === ".json") module.exports = parseJson(path, source.code);
      else {
        const done = this.#run(source, loaded);
        if (source.isAsync) {
          loaded.done = (done as Promise<unknown>).catch((error: unknown) => {
            this.#loaded.delete(path);
            throw error;
          });
        }
      }
      module.loaded = true;
    } catch (error) {
      this.#loaded.delete(path);
      throw error;
    }
    return loaded;
  }

  #run({ path, code, map, imports, isAsync }: LocalModule & { readonly code: string }, loaded: Loaded): unknown {
    const { module } = loaded;
    // The ending tells a place in what the file was translated to from one in the file.
    const filename = `${path}.js`;
    this.options.onSource(filename, path, map);
    const script = new Script(
      `(${isAsync ? "async " : ""}function (exports, require, module, __filename, __dirname, ${IMPORT_META}) {\n${code}\n})`,
      { filename, lineOffset: -1 },
    );
    const run = script.runInThisContext() as (...args: unknown[]) => unknown;
    const require = this.requireFor(path, imports, loaded);
    (module as { require: unknown }).require = require;
    return Reflect.apply(run, module.exports, [
      module.exports,
      require,
      module,
      path,
      dirname(path),
      importMeta(path, require),
    ]);
  }
}

/** `import.meta` of a file, as Node makes it. */
export function importMeta(path: string, require: NodeJS.Require): { readonly [key: string]: unknown } {
  const resolve = (id: string): string => {
    const found = require.resolve(id);
    return found === id ? `node:${id.replace(/^node:/, "")}` : pathToFileURL(found).href;
  };
  return { url: pathToFileURL(path).href, filename: path, dirname: dirname(path), resolve };
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\ufeff/, ""));
  } catch (error) {
    throw new SyntaxError(`${path} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}
