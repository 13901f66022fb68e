import { existsSync } from "node:fs";
import Module, { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { Script } from "node:vm";
import type { CompletionInfo } from "tslab/dist/converter";
import { CellSources, CellTypeError } from "./errors";
import type { Completeness, Inspection } from "./typescript-thread";
import type { TypescriptService } from "./typescript-service";

/** Node's own pieces of its CommonJS loader that a module made from text needs. */
interface ModuleInternals {
  new (id: string, parent?: Module): Module & { _compile(code: string, filename: string): void };
  _nodeModulePaths(from: string): string[];
}

export interface CellsOptions {
  readonly cwd: string;
  /** Name and root folder of the package that cells can import from any folder. */
  readonly packageName: string;
  readonly packageRoot: string;
  readonly typescript: TypescriptService;
  readonly sources: CellSources;
  /** Gives the module for `import … from "tslab"`. */
  readonly loadTslab: () => unknown;
}

/**
 * Runs cells one after the other. Translated code is wrapped in an async function that gets `exports`, where the variables of all
 * cells live, and `require`, which resolves from the notebook's folder.
 */
export class Cells {
  private declarations = "";
  /** Names that got a value since the newest cell began. */
  private readonly assigned = new Set<string | symbol>();
  private readonly variables: Record<string, unknown>;
  private readonly exports: Record<string, unknown>;
  /** JavaScript of local TypeScript files and of `@module` cells, by path. */
  private readonly localOutputs = new Map<string, string>();
  private readonly localModules = new Map<string, Module>();
  private readonly require: NodeJS.Require;
  private readonly rootRequire: NodeJS.Require;
  /** ES modules with top-level await, which `require` refuses, once they were imported. */
  private readonly imported = new Map<string, unknown>();

  constructor(private readonly options: CellsOptions) {
    this.variables = {};
    this.exports = new Proxy(this.variables, {
      set: (target, key, value) => {
        this.assigned.add(key);
        target[key as string] = value;
        return true;
      },
      // Imports are defined by getters; later cells may declare the same names anew.
      defineProperty: (target, key, attributes) => {
        this.assigned.add(key);
        if (key !== "__esModule") target[key as string] = attributes.get === undefined ? (attributes.value as unknown) : (attributes.get() as unknown);
        return true;
      },
    });
    this.rootRequire = createRequire(join(options.cwd, "cell.js"));
    this.require = this.wrapRequire(this.rootRequire, options.cwd);
  }

  /**
   * Runs one cell and gives the value of its last expression; a promise there is awaited. Rejects with what the cell throws,
   * or with a `CellTypeError` where it does not type-check.
   * @param name How stack frames call the cell.
   * @param interrupt Rejects when the cell is to be given up.
   * @param keep False: what the code declares is forgotten.
   */
  async run(code: string, name: string, interrupt: Promise<never>, keep = true): Promise<unknown> {
    const { typescript, sources } = this.options;
    sources.add({ name, code });
    const converted = await Promise.race([typescript.ask("convert", { declarations: this.declarations, code }), interrupt]);
    for (const { path, data } of converted.sideOutputs ?? []) {
      this.localOutputs.set(path, data);
      this.localModules.delete(path);
    }
    if (converted.diagnostics.length > 0) throw new CellTypeError(converted.diagnostics);
    if (converted.moduleName !== undefined) return undefined;
    const { output, lastExpressionVar } = converted;
    if (output !== undefined && output !== "") {
      sources.add({ name, code, ...(converted.maps === undefined ? {} : { maps: converted.maps }) });
      await this.importAsyncModules(output);
      // The compiler begins with `exports.a = exports.b = void 0`, which would take the old values away before there are new ones.
      const hoisted = HOISTED.exec(output);
      const names = [...(hoisted?.[0] ?? "").matchAll(/exports\.([^\s=]+) =/g)].map(([, one]) => one as string);
      // The wrapper's line is before the first one, so that lines are those of the output.
      const script = new Script(`(async function (exports, require) {\n${output.replace(HOISTED, ";")}\n})`, { filename: `${name}.js`, lineOffset: -1 });
      const run = script.runInThisContext() as (exports: unknown, require: unknown) => Promise<unknown>;
      this.assigned.clear();
      try {
        const result = interruptible(() => run(this.exports, this.require));
        // Given up by an interrupt, it may still reject later; that is then nobody's concern.
        result.catch(() => {});
        await Promise.race([result, interrupt]);
      } catch (error) {
        // What failed after its last declaration leaves its variables, as in any other kernel: a model that took minutes to load, say.
        if (keep && names.every((one) => one === lastExpressionVar || this.assigned.has(one))) this.declarations = converted.declOutput ?? "";
        throw error;
      }
    }
    if (keep) this.declarations = converted.declOutput ?? "";
    if (lastExpressionVar === undefined) return undefined;
    const value = this.variables[lastExpressionVar];
    delete this.variables[lastExpressionVar];
    // An anonymous function got the variable's name, which is none of the cell's.
    if (typeof value === "function" && value.name === lastExpressionVar) Object.defineProperty(value, "name", { value: "", configurable: true });
    return await Promise.race([value, interrupt]);
  }

  complete(code: string, position: number): Promise<CompletionInfo> {
    return this.options.typescript.ask("complete", { declarations: this.declarations, code, position });
  }

  inspect(code: string, position: number): Promise<Inspection | null> {
    return this.options.typescript.ask("inspect", { declarations: this.declarations, code, position });
  }

  isComplete(code: string): Promise<Completeness> {
    return this.options.typescript.ask("isComplete", { code });
  }

  /** Resolves like the notebook's folder does, with this package as a last resort. */
  private resolve(require: NodeJS.Require, id: string): string {
    try {
      return require.resolve(id);
    } catch (error) {
      if (!this.isOwn(id) || (error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw error;
      // From its own root a package can be resolved by its own name.
      return createRequire(join(this.options.packageRoot, "package.json")).resolve(id);
    }
  }

  private isOwn(id: string): boolean {
    return id === this.options.packageName || id.startsWith(`${this.options.packageName}/`);
  }

  private wrapRequire(require: NodeJS.Require, folder: string): NodeJS.Require {
    const load = (id: string): unknown => {
      if (id === "tslab") return this.options.loadTslab();
      const local = this.localModule(id, folder);
      if (local !== undefined) return local.exports;
      const imported = this.imported.get(id);
      if (imported !== undefined) return imported;
      if (this.isOwn(id)) return require(this.resolve(require, id));
      return require(id);
    };
    return Object.assign(load, { resolve: require.resolve, main: require.main, extensions: require.extensions, cache: require.cache }) as NodeJS.Require;
  }

  private localModule(id: string, folder: string): Module | undefined {
    let path = join(folder, id).replaceAll("\\", "/");
    if (extname(path) !== ".js") path = path.replace(/\.tsx?$/, "") + ".js";
    const loaded = this.localModules.get(path);
    if (loaded !== undefined) return loaded;
    const code = this.localOutputs.get(path);
    if (code === undefined) return undefined;
    const internals = Module as unknown as ModuleInternals;
    const made = new internals(path);
    made.filename = path;
    made.paths = internals._nodeModulePaths(dirname(path));
    const inner = this.wrapRequire(createRequire(path), dirname(path));
    (made as { require: unknown }).require = inner;
    // Before it runs: modules may import each other in a circle.
    this.localModules.set(path, made);
    try {
      made._compile(code, path);
    } catch (error) {
      this.localModules.delete(path);
      throw error;
    }
    return made;
  }

  /** `require` loads ES modules, except those that await at their top: these are imported before the cell runs. */
  private async importAsyncModules(output: string): Promise<void> {
    for (const [, id] of output.matchAll(/\brequire\("([^"\n]+)"\)/g)) {
      if (id === undefined || id.startsWith(".") || id === "tslab" || this.imported.has(id) || Module.isBuiltin(id)) continue;
      let path: string;
      try {
        path = this.resolve(this.rootRequire, id);
      } catch {
        continue;
      }
      if (!/\.m?js$/.test(path) || !existsSync(path)) continue;
      try {
        this.rootRequire(path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ERR_REQUIRE_ASYNC_MODULE") continue;
        this.imported.set(id, await import(pathToFileURL(path).href));
      }
    }
  }
}

/** The compiler's first line in a module that exports something. */
const HOISTED = /^(?:exports\.[^\s=]+ = )+void 0;$/m;

/** Calls `fn` so that SIGINT ends even a loop in it that never awaits. */
function interruptible<T>(fn: () => T): T {
  const holder = globalThis as { [CALL]?: () => T };
  holder[CALL] = fn;
  try {
    return CALLER.runInThisContext({ breakOnSigint: true }) as T;
  } finally {
    delete holder[CALL];
    rearmSigint();
  }
}

/**
 * Node takes its own handler of SIGINT away when such a stretch ends. If the code in it has added a listener (many libraries do when they
 * are loaded), the process would be left without any handler, and the next SIGINT would end it.
 */
function rearmSigint(): void {
  const listeners = process.rawListeners("SIGINT") as NodeJS.SignalsListener[];
  process.removeAllListeners("SIGINT");
  for (const listener of listeners) process.on("SIGINT", listener);
}

const CALL = Symbol.for("lm-transparency.call");
const CALLER = new Script(`globalThis[Symbol.for("lm-transparency.call")]()`, { filename: join(__dirname, "call.js") });
