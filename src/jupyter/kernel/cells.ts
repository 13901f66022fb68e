import { existsSync } from "node:fs";
import Module, { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Script } from "node:vm";
import type { CellState, Completion } from "./cell-compiler";
import { IMPORT_META } from "./cell-names";
import { CellSources, CellTypeError, endedBySignal } from "./errors";
import { importMeta, LocalModules } from "./local-modules";
import type { Completeness, Inspection } from "./typescript-thread";
import { NO_CELLS, type TypescriptService } from "./typescript-service";
import { Promise, Map, Set } from "../natives";
import { handOver } from "./own-listeners";

export interface CellsOptions {
  readonly cwd: string;
  /** Name and root folder of the package that cells can import from any folder. */
  readonly packageName: string;
  readonly packageRoot: string;
  readonly typescript: TypescriptService;
  readonly sources: CellSources;
  /** Called when code of a cell has run: puts back what it has replaced and the kernel needs. */
  readonly mend: () => void;
  /** Hears that a SIGINT has ended a stretch of code, instead of coming to the listeners. */
  readonly signalTaken: () => void;
  /** Gives the module for `import … from "tslab"`. */
  readonly loadTslab: () => unknown;
}

/**
 * Runs cells one after the other. Translated code is wrapped in an async function that gets `exports`, where the
 * variables of all cells live, and `require`, which resolves from the notebook's folder.
 */
export class Cells {
  #state: CellState = NO_CELLS;
  /** Names that got a value since the newest cell began. */
  readonly #assigned = new Set<string | symbol>();
  readonly #variables: Record<string, unknown>;
  readonly #exports: Record<string, unknown>;
  readonly #local: LocalModules;
  readonly #rootRequire: NodeJS.Require;
  /** ES modules with top-level await, which `require` refuses, once they were imported. */
  readonly #imported = new Map<string, unknown>();

  constructor(private readonly options: CellsOptions) {
    this.#variables = {};
    this.#exports = new Proxy(this.#variables, {
      set: (target, key, value) => {
        this.#assigned.add(key);
        target[key as string] = value;
        return true;
      },
      // Imports are defined by getters; later cells may declare the same names anew.
      defineProperty: (target, key, attributes) => {
        this.#assigned.add(key);
        if (key !== "__esModule")
          target[key as string] =
            attributes.get === undefined ? (attributes.value as unknown) : (attributes.get() as unknown);
        return true;
      },
    });
    this.#rootRequire = createRequire(join(options.cwd, "cell.js"));
    this.#local = new LocalModules({
      requireOther: (require, id) => this.#requireOther(require, id),
      find: (name, from) => options.typescript.askAsleep("find", { state: this.#state, name, from }),
      onSource: (frameName, path, map) => options.sources.addFile(frameName, path, map),
    });
  }

  /**
   * Runs one cell and gives the value of its last expression; a promise there is awaited. Rejects with what the cell
   * throws, or with a `CellTypeError` where it does not type-check.
   * @param name How stack frames call the cell.
   * @param interrupt Rejects when the cell is to be given up.
   * @param keep False: what the code declares is forgotten.
   */
  async run(code: string, name: string, interrupt: Promise<never>, keep = true): Promise<unknown> {
    const { typescript, sources } = this.options;
    sources.add({ name, code });
    const asked = typescript.ask("convert", { state: this.#state, code }).then((answer) => {
      // Also of a cell that was given up meanwhile: what was sent once is not sent again.
      this.#local.update(answer.modules);
      return answer;
    });
    const converted = await Promise.race([asked, interrupt]);
    if (converted.diagnostics.length > 0) throw new CellTypeError(converted.diagnostics);
    const { output, lastExpressionVar } = converted;
    if (output !== undefined && output !== "") {
      sources.add({ name, code, ...(converted.map === undefined ? {} : { map: converted.map }) });
      await this.#importAsyncModules([output, ...converted.modules.map(({ code: text }) => text ?? "")]);
      await Promise.race([this.#local.prepare(converted.modules), interrupt]);
      // The compiler begins with `exports.a = exports.b = void 0`, which would take the old values away before there
      // are new ones.
      const names = [...output.matchAll(HOISTED)].flatMap(([line]) =>
        [...line.matchAll(/exports\.([^\s=]+) =/g)].map(([, one]) => one),
      );
      // The wrapper's line is before the first one, so that lines are those of the output.
      const script = new Script(
        `(async function (exports, require, ${IMPORT_META}) {\n${output.replace(HOISTED, ";")}\n})`,
        { filename: `${name}.js`, lineOffset: -1 },
      );
      const run = script.runInThisContext() as (exports: unknown, require: unknown, meta: unknown) => Promise<unknown>;
      const require = this.#local.requireFor(join(this.options.cwd, "cell.js"), converted.imports);
      const meta = importMeta(join(this.options.cwd, name), require);
      this.#assigned.clear();
      try {
        const result = interruptible(() => run(this.#exports, require, meta), this.options);
        // Given up by an interrupt, it may still reject later; that is then nobody's concern.
        result.catch(() => {});
        await Promise.race([result, interrupt]);
        this.options.mend();
      } catch (error) {
        // What failed after its last declaration leaves its variables, as in any other kernel: a model that took
        // minutes to load, say.
        if (keep && names.every((one) => this.#assigned.has(one))) this.#state = converted.state;
        throw error;
      }
    }
    if (keep) this.#state = converted.state;
    if (lastExpressionVar === undefined) return undefined;
    const value = this.#variables[lastExpressionVar];
    delete this.#variables[lastExpressionVar];
    return await Promise.race([value, interrupt]);
  }

  complete(code: string, position: number): Promise<Completion> {
    return this.options.typescript.ask("complete", { state: this.#state, code, position });
  }

  inspect(code: string, position: number): Promise<Inspection | null> {
    return this.options.typescript.ask("inspect", { state: this.#state, code, position });
  }

  isComplete(code: string): Promise<Completeness> {
    return this.options.typescript.ask("isComplete", { code });
  }

  /** Resolves like the notebook's folder does, with this package as a last resort. */
  #resolve(require: NodeJS.Require, id: string): string {
    try {
      return require.resolve(id);
    } catch (error) {
      if (!this.#isOwn(id) || (error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw error;
      // From its own root a package can be resolved by its own name.
      return createRequire(join(this.options.packageRoot, "package.json")).resolve(id);
    }
  }

  #isOwn(id: string): boolean {
    return id === this.options.packageName || id.startsWith(`${this.options.packageName}/`);
  }

  #requireOther(require: NodeJS.Require, id: string): unknown {
    if (id === "tslab") return this.options.loadTslab();
    if (this.#imported.has(id)) return this.#imported.get(id);
    return this.#isOwn(id) ? require(this.#resolve(require, id)) : require(id);
  }

  /** `require` loads ES modules, except those that await at their top: these are imported before the cell runs. */
  async #importAsyncModules(outputs: readonly string[]): Promise<void> {
    for (const [, id] of outputs.flatMap((output) => [...output.matchAll(/\brequire\("([^"\n]+)"\)/g)])) {
      if (id === undefined || id.startsWith(".") || id === "tslab" || this.#imported.has(id) || Module.isBuiltin(id))
        continue;
      let path: string;
      try {
        path = this.#resolve(this.#rootRequire, id);
      } catch {
        continue;
      }
      if (!/\.m?js$/.test(path) || !existsSync(path)) continue;
      try {
        this.#rootRequire(path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ERR_REQUIRE_ASYNC_MODULE") continue;
        this.#imported.set(id, await import(pathToFileURL(path).href));
      }
    }
  }
}

/** The compiler's first lines in a module that exports something. */
const HOISTED = /^(?:exports\.[^\s=]+ = )+void 0;$/gm;

/**
 * Calls `fn` so that SIGINT ends even a loop in it that never awaits. `mend` is called before anything else of ours
 * runs.
 */
function interruptible<T>(fn: () => T, { mend, signalTaken }: Pick<CellsOptions, "mend" | "signalTaken">): T {
  const holder = globalThis as { [CALL]?: () => T };
  holder[CALL] = fn;
  return handOver(() => {
    try {
      return CALLER.runInThisContext({ breakOnSigint: true }) as T;
    } catch (error) {
      if (endedBySignal(error)) signalTaken();
      throw error;
    } finally {
      mend();
      delete holder[CALL];
      rearmSigint();
    }
  });
}

/**
 * Node takes its own handler of SIGINT away when such a stretch ends. If the code in it has added a listener (many
 * libraries do when they are loaded), the process would be left without any handler, and the next SIGINT would end it.
 */
function rearmSigint(): void {
  const listeners = process.rawListeners("SIGINT") as NodeJS.SignalsListener[];
  process.removeAllListeners("SIGINT");
  for (const listener of listeners) process.on("SIGINT", listener);
}

const CALL = Symbol.for("lm-transparency.call");
const CALLER = new Script(`globalThis[Symbol.for("lm-transparency.call")]()`, { filename: join(__dirname, "call.js") });
