/** Checks cells against all earlier ones and translates them, with TypeScript's own language service. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import ts from "typescript";
import { LAST_EXPRESSION } from "./cell-names";
import { lastExpressionStep, runtimeStep, variablesStep } from "./cell-steps";
import { declaredNames, isJsx, namesOf, withoutExports } from "./cell-syntax";
import { meaningOf, neededDeclarations, ownDeclarations, remainingDeclarations, type Meaning } from "./declarations";
import { foldersAbove, isOfPackage, LocalFiles, type LocalModule } from "./local-files";
import { OwnFolder } from "./own-folder";

/**
 * All that later cells need to know of earlier ones. Kept by the main thread, so that a new TypeScript thread can go
 * on.
 */
export interface CellState {
  /** Declarations of what later cells can name, as the text of a .d.ts file. */
  readonly declarations: string;
  /** Cells whose types no declaration can write; declarations import from them. By the name of the module. */
  readonly kept: Readonly<Record<string, { readonly text: string; readonly declarations: string }>>;
  /** Texts of `@module` cells by path. */
  readonly modules: Readonly<Record<string, string>>;
}

/** Line and character count from 0. */
interface Position {
  readonly line: number;
  readonly character: number;
}

export interface Diagnostic {
  readonly start: Position;
  readonly end: Position;
  readonly messageText: string;
  readonly code: number;
  /** Relative to the notebook's folder; left out for the cell itself. */
  readonly fileName?: string;
}

export interface Converted {
  /** When there are any, the cell must not run. */
  readonly diagnostics: readonly Diagnostic[];
  readonly state: CellState;
  readonly output?: string;
  /** Source map of `output`, as JSON. */
  readonly map?: string;
  /** The variable with the value of the last expression, if there is one. */
  readonly lastExpressionVar?: string;
  /** Local files that the cell's imports name, and all that these need. */
  readonly imports: Readonly<Record<string, string>>;
  readonly modules: readonly LocalModule[];
}

export interface Completion {
  readonly start: number;
  readonly end: number;
  readonly candidates: string[];
}

export interface CellCompilerOptions {
  readonly cwd: string;
  readonly packageRoot: string;
  readonly packageName: string;
}

/**
 * What CommonJS cannot do and our wrapper does: top-level await, `import.meta`, import attributes, `using` at the top.
 */
const ALLOWED = new Set([1343, 1375, 1378, 1431, 1432, 1470, 2821, 2823, 2836, 2852, 2853, 2854, 2856]);
/** An expected error is missing: the file was written for stricter options than ours. */
const UNUSED_EXPECTATION = 2578;
/** More modules than this are kept for their types only when cells build on each other without end. */
const MOST_KEPT = 200;

export class CellCompiler {
  readonly #files: LocalFiles;
  readonly #service: ts.LanguageService;
  #options: ts.CompilerOptions;
  #generation = 0;
  #turn = 0;
  #roots: string[] = [];
  /** Files whose names for earlier cells' variables are found in another one, by path. */
  #scopes: [string, string][] = [];
  #virtual = new Map<string, string>();
  readonly #snapshots = new Map<string, { readonly version: string; readonly snapshot: ts.IScriptSnapshot }>();
  #invalidated = new Set<string>();
  /** Packages came or went: every import of every file is looked up again. */
  #everything = true;
  /** How the local files of the last program resolved their imports. */
  readonly #resolutions = new Map<string, Map<string, readonly [ts.ResolutionMode, string | undefined]>>();
  /** Sets of local files that had no mistakes. */
  readonly #checked = new Set<string>();
  #jsx = false;

  constructor(private readonly data: CellCompilerOptions) {
    this.#options = this.#makeOptions();
    this.#files = new LocalFiles({ ...data, options: () => this.#options });
    this.#service = ts.createLanguageService(this.#makeHost());
  }

  close(): void {
    this.#service.dispose();
  }

  convert(state: CellState, source: string): Converted {
    const code = withoutExports(source);
    const names = declaredNames(code, isJsx(code));
    const program = this.#open(state, code, names);
    const cell = program.getSourceFile(this.#cellPath) as ts.SourceFile;
    const earlier = program.getSourceFile(this.#earlierPath) as ts.SourceFile;
    const checker = program.getTypeChecker();
    const graph = this.#files.graph(code, this.#cellPath);
    const { imports, modules } = graph;

    const found = [...program.getSyntacticDiagnostics(cell), ...program.getSemanticDiagnostics(cell)].filter(
      (one) => !ALLOWED.has(one.code),
    );
    const diagnostics = found
      .filter((one) => one.file !== undefined)
      .map((one) => this.#diagnostic(one as ts.DiagnosticWithLocation, code.length));
    diagnostics.push(...this.#checkLocalFiles(program, graph));
    if (diagnostics.length > 0) return { diagnostics, state, imports, modules };

    let output = "";
    let map: string | undefined;
    let emitted: string | undefined;
    let hasLast = false;
    const write: ts.WriteFileCallback = (path, text) => {
      if (path.endsWith(".map")) map = text;
      else if (path.endsWith(".d.ts")) emitted = text;
      else output = text;
    };
    const earlierNames = (earlier as { locals?: ts.SymbolTable }).locals;
    program.emit(cell, write, undefined, false, {
      before: [variablesStep(checker, earlierNames), runtimeStep, lastExpressionStep(() => (hasLast = true))],
    });
    // Cells were never strict: what a cell writes to a frozen object is not an error.
    output = output
      .replace(/^"use strict";/, (word) => " ".repeat(word.length))
      .replace(/\n?\/\/# sourceMappingURL=[^\n]*\s*$/, "");
    if (this.#jsx) output = withJsxFactory(output, this.#options, earlierNames, names);

    const unwritable = this.#unwritable(program, cell, code.length, names);
    if (emitted === undefined)
      emitted =
        this.#service.getEmitOutput(this.#cellPath, true, true).outputFiles.find(({ name }) => name.endsWith(".d.ts"))
          ?.text ?? "";
    const next = this.#nextState(state, { cell, earlier, checker, emitted, unwritable, names });
    return {
      diagnostics,
      state: next,
      output,
      imports,
      modules,
      ...(map === undefined ? {} : { map }),
      ...(hasLast ? { lastExpressionVar: LAST_EXPRESSION } : {}),
    };
  }

  /** Takes a cell that is a module of its own: others import it as `./NAME`. */
  addModule(state: CellState, name: string, code: string, jsx: boolean): Converted {
    const path = join(this.data.cwd, `${name}.${jsx ? "tsx" : "ts"}`);
    const next: CellState = {
      ...state,
      modules: { ...state.modules, [path]: /^\s*(?:import|export)\b/m.test(code) ? code : `${code}\nexport {};` },
    };
    const converted = this.convert(next, `import ${JSON.stringify(`./${name}`)};`);
    return {
      diagnostics: converted.diagnostics,
      state: converted.diagnostics.length > 0 ? state : next,
      imports: {},
      modules: converted.modules,
    };
  }

  /** Local files for what a running program imports by a name that is in no text. */
  find(
    state: CellState,
    name: string,
    from: string,
  ): { readonly path?: string; readonly modules: readonly LocalModule[] } {
    this.#files.refresh();
    this.#setVirtual(state);
    const path = this.#files.runtimeFile(name, from)?.path;
    if (path === undefined) return { modules: [] };
    return { path, modules: this.#files.graph(`import ${JSON.stringify(name)};`, from).modules };
  }

  complete(state: CellState, source: string, position: number): Completion {
    const code = withoutExports(source);
    this.#open(state, code, declaredNames(code, isJsx(code)));
    const info = this.#service.getCompletionsAtPosition(this.#cellPath, position, {});
    const entries = info?.entries ?? [];
    const before = code.slice(0, position);
    const inside = /(?:\bfrom|\bimport|\bimport\s*\(|\brequire\s*\()\s*(["'`])([^"'`\n]*)$/.exec(before);
    if (inside !== null) {
      const typed = inside[2];
      const names = entries.map(({ name }) => name).filter((name) => !/^__(?:cell|earlier)_|^@[^/]*$/.test(name));
      return moduleCompletion(typed, position, /^[./]/.test(typed) ? names : [...names, ...this.#files.packageNames()]);
    }
    const head = /#?[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u.exec(before)?.[0] ?? "";
    const tail = /^[\p{ID_Continue}$\u200c\u200d]*/u.exec(code.slice(position))?.[0] ?? "";
    const word = head + (head !== "" || /^[\p{ID_Start}$_]/u.test(tail) ? tail : "");
    if (word === "") {
      const sorted = [...entries].sort((a, b) => compare(a.sortText, b.sortText) || a.name.localeCompare(b.name));
      return inText(
        code,
        position,
        sorted.map(({ name }) => name),
      );
    }
    const rank = (name: string): number => {
      if (name.startsWith(word)) return 0;
      const lower = name.toLowerCase();
      return lower.startsWith(word.toLowerCase()) ? 1 : lower.includes(word.toLowerCase()) ? 2 : 3;
    };
    const ranked = entries.map((entry) => ({ entry, rank: rank(entry.name) })).filter((one) => one.rank < 3);
    ranked.sort((a, b) => a.rank - b.rank || compare(a.entry.sortText, b.entry.sortText));
    return {
      start: position - head.length,
      end: position - head.length + word.length,
      candidates: ranked.map(({ entry }) => entry.name),
    };
  }

  inspect(state: CellState, source: string, position: number): ts.QuickInfo | undefined {
    const code = withoutExports(source);
    this.#open(state, code, declaredNames(code, isJsx(code)));
    return this.#service.getQuickInfoAtPosition(this.#cellPath, position);
  }

  get #cellPath(): string {
    return join(this.data.cwd, this.#jsx ? "__cell__.tsx" : "__cell__.ts");
  }

  get #earlierPath(): string {
    return join(this.data.cwd, "__earlier__.d.ts");
  }

  /** A program of the cell, what went before it and all that these import. */
  #open(state: CellState, code: string, names: readonly string[]): ts.Program {
    this.#turn++;
    this.#jsx = isJsx(code);
    this.#files.refresh();
    this.#setVirtual(state);
    // The list makes the file a module and its variables those of later cells. It comes last: places stay what they
    // are.
    this.#virtual.set(this.#cellPath, cellText(code, names));
    this.#virtual.set(this.#earlierPath, `${state.declarations}export {};\n`);
    this.#roots = [this.#cellPath, this.#earlierPath];
    this.#scopes = [[this.#cellPath, this.#earlierPath]];
    for (const [name, { declarations }] of Object.entries(state.kept)) {
      const scope = join(this.data.cwd, `${name}.earlier.d.ts`);
      this.#virtual.set(scope, `${declarations}export {};\n`);
      this.#roots.push(scope);
      this.#scopes.push([this.#keptPath(state, name), scope]);
    }
    if (this.#files.generation !== this.#generation) {
      this.#generation = this.#files.generation;
      this.#options = this.#makeOptions();
      this.#everything = true;
      this.#checked.clear();
    }
    this.#options = this.#withJsx(this.#options);
    this.#invalidated = this.#changedResolutions();
    const program = this.#service.getProgram() as ts.Program;
    this.#everything = false;
    // Binds all files; only then may a file be put into another one's scope.
    program.getTypeChecker();
    for (const [path, scope] of this.#scopes) {
      const file = program.getSourceFile(path) as { parent?: ts.Node; original?: ts.Node } | undefined;
      if (file === undefined) continue;
      // The one trick of it all (tslab's): names that the cell lacks are looked up in the file of earlier declarations.
      file.parent = program.getSourceFile(scope);
      // A file whose top-level `await` is parsed twice keeps its first parse, which has no path; the compiler then
      // fails to name types by it.
      file.original = undefined;
    }
    for (const file of program.getSourceFiles())
      if (!isOfPackage(file.fileName)) (file as { original?: ts.Node }).original = undefined;
    return program;
  }

  #setVirtual(state: CellState): void {
    this.#virtual = new Map(Object.entries(state.modules));
    for (const [name, { text }] of Object.entries(state.kept)) this.#virtual.set(this.#keptPath(state, name), text);
    this.#files.virtual = this.#virtual;
  }

  #keptPath(state: CellState, name: string): string {
    return join(this.data.cwd, `${name}.${isJsx(state.kept[name]?.text ?? "") ? "tsx" : "ts"}`);
  }

  /** The last member is one that the compiler asks for and does not declare. */
  #makeHost(): ts.LanguageServiceHost & { hasInvalidatedResolutions(path: string): boolean } {
    const files = this.#files;
    return {
      getCompilationSettings: () => this.#options,
      getProjectVersion: () => String(this.#turn),
      getScriptFileNames: () => this.#roots,
      getScriptVersion: (path) => files.version(path),
      getScriptSnapshot: (path) => {
        const version = files.version(path);
        const before = this.#snapshots.get(path);
        if (before?.version === version) return before.snapshot;
        const text = files.read(path);
        if (text === undefined) return undefined;
        const snapshot = ts.ScriptSnapshot.fromString(text);
        this.#snapshots.set(path, { version, snapshot });
        return snapshot;
      },
      getCurrentDirectory: () => this.data.cwd,
      getDefaultLibFileName: (options) => ts.getDefaultLibFilePath(options),
      useCaseSensitiveFileNames: () => true,
      fileExists: files.host.fileExists,
      readFile: files.host.readFile,
      directoryExists: files.host.directoryExists,
      getDirectories: files.host.getDirectories,
      readDirectory: ts.sys.readDirectory,
      realpath: files.host.realpath,
      resolveModuleNameLiterals: (literals, containing, _redirect, options, source) => {
        const local = !isOfPackage(containing);
        const known = local ? new Map<string, readonly [ts.ResolutionMode, string | undefined]>() : undefined;
        if (known !== undefined) this.#resolutions.set(containing, known);
        return literals.map((literal) => {
          const mode = ts.getModeForUsageLocation(source, literal, options);
          const resolvedModule = files.resolve(literal.text, containing, mode);
          known?.set(literal.text, [mode, resolvedModule?.resolvedFileName]);
          return { resolvedModule };
        });
      },
      hasInvalidatedResolutions: (path) => this.#everything || this.#invalidated.has(path),
    };
  }

  /** Local files whose imports mean other files than in the last program. */
  #changedResolutions(): Set<string> {
    const changed = new Set<string>();
    for (const [path, known] of this.#resolutions) {
      for (const [name, [mode, before]] of known)
        if (this.#files.resolve(name, path, mode)?.resolvedFileName !== before) changed.add(path);
    }
    for (const path of changed) this.#resolutions.delete(path);
    return changed;
  }

  #makeOptions(): ts.CompilerOptions {
    const { cwd, packageRoot } = this.data;
    return {
      // Modules are found as `require` finds them, for so they are loaded.
      module: ts.ModuleKind.CommonJS,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      target: ts.ScriptTarget.ES2022,
      lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts", "lib.decorators.d.ts", "lib.decorators.legacy.d.ts"],
      esModuleInterop: true,
      declaration: true,
      sourceMap: true,
      newLine: ts.NewLineKind.LineFeed,
      experimentalDecorators: true,
      resolveJsonModule: true,
      preserveConstEnums: true,
      jsx: ts.JsxEmit.React,
      allowJs: true,
      checkJs: false,
      skipLibCheck: true,
      allowImportingTsExtensions: true,
      types: ["node", new OwnFolder(packageRoot).nameable(join(__dirname, "cell-globals"))],
      // The notebook's own types first; ours come last.
      typeRoots: [...typeRootsAbove(cwd), ...nodeTypeRoots(packageRoot)],
    };
  }

  /** What the notebook's tsconfig.json says of JSX. */
  #withJsx(options: ts.CompilerOptions): ts.CompilerOptions {
    const { jsx, jsxFactory, jsxFragmentFactory, jsxImportSource } = this.#files.optionsFor(this.#cellPath);
    // Left to a bundler it would not be JavaScript.
    const mode =
      jsx === ts.JsxEmit.Preserve || jsx === ts.JsxEmit.ReactNative || jsx === undefined ? ts.JsxEmit.React : jsx;
    if (
      options.jsx === mode &&
      options.jsxFactory === jsxFactory &&
      options.jsxFragmentFactory === jsxFragmentFactory &&
      options.jsxImportSource === jsxImportSource
    )
      return options;
    return { ...options, jsx: mode, jsxFactory, jsxFragmentFactory, jsxImportSource };
  }

  #checkLocalFiles(
    program: ts.Program,
    { modules, mistakes, ofPackages }: ReturnType<LocalFiles["graph"]>,
  ): Diagnostic[] {
    if (mistakes.length > 0)
      return mistakes.map(({ path, start, length, messageText, code }) =>
        this.#placed(path, this.#files.read(path) ?? "", start, length, messageText, code),
      );
    const files = modules.map(({ path }) => path).filter((path) => /\.[cm]?tsx?$/.test(path) && !ofPackages.has(path));
    if (files.length === 0) return [];
    const key = createHash("sha1")
      .update(modules.map(({ path, version }) => `${path} ${version}`).join("\n"))
      .digest("base64");
    if (this.#checked.has(key)) return [];
    const found: Diagnostic[] = [];
    for (const path of files) {
      const file = program.getSourceFile(path);
      if (file === undefined) continue;
      for (const one of program.getSemanticDiagnostics(file)) {
        if (ALLOWED.has(one.code) || one.code === UNUSED_EXPECTATION || one.start === undefined) continue;
        found.push(
          this.#placed(
            path,
            file.text,
            one.start,
            one.length ?? 0,
            ts.flattenDiagnosticMessageText(one.messageText, "\n"),
            one.code,
          ),
        );
      }
    }
    if (found.length === 0) this.#checked.add(key);
    return found;
  }

  #placed(path: string, text: string, start: number, length: number, messageText: string, code: number): Diagnostic {
    const file = ts.createSourceFile("any.ts", text, ts.ScriptTarget.Latest);
    const at = (offset: number): Position => ts.getLineAndCharacterOfPosition(file, Math.min(offset, text.length));
    return { start: at(start), end: at(start + length), messageText, code, fileName: this.#files.shown(path) };
  }

  #diagnostic(one: ts.DiagnosticWithLocation, length: number): Diagnostic {
    const at = (offset: number): Position => ts.getLineAndCharacterOfPosition(one.file, Math.min(offset, length));
    return {
      start: at(one.start),
      end: at(one.start + one.length),
      messageText: ts.flattenDiagnosticMessageText(one.messageText, "\n"),
      code: one.code,
    };
  }

  /**
   * Names of a cell whose types no declaration can write: they need types that are not exported, private members of
   * expressions, and such.
   */
  #unwritable(program: ts.Program, cell: ts.SourceFile, length: number, names: readonly string[]): Set<string> {
    const found = new Set<string>();
    for (const { start } of program.getDeclarationDiagnostics(cell)) {
      if (start === undefined) continue;
      const statement = cell.statements.find((one) => one.pos <= start && start < one.end);
      if (statement === undefined || start >= length) continue;
      if (ts.isVariableStatement(statement)) {
        const one = statement.declarationList.declarations.find(
          (declaration) => declaration.pos <= start && start < declaration.end,
        );
        const within =
          one === undefined ? namesOf(statement) : namesOf(ts.factory.createVariableStatement(undefined, [one]));
        for (const name of within) found.add(name);
      } else for (const name of namesOf(statement)) found.add(name);
    }
    return new Set([...found].filter((name) => names.includes(name)));
  }

  #nextState(
    state: CellState,
    made: {
      cell: ts.SourceFile;
      earlier: ts.SourceFile;
      checker: ts.TypeChecker;
      emitted: string;
      unwritable: Set<string>;
      names: readonly string[];
    },
  ): CellState {
    const { cell, earlier, checker, emitted, names } = made;
    // A `var` in a block is in no declaration either.
    const written = new Set(
      ts.createSourceFile("cell.d.ts", emitted, ts.ScriptTarget.Latest, true).statements.flatMap(namesOf),
    );
    const unwritable = new Set([...made.unwritable, ...names.filter((name) => !written.has(name))]);
    const text = cell.text;
    const module = `__cell_${createHash("sha1").update(`${state.declarations}\n${text}`).digest("hex").slice(0, 12)}__`;
    const added = ownDeclarations(emitted, unwritable, cell, module);
    const locals = (cell as { locals?: ts.SymbolTable }).locals;
    const declared = new Map<string, Meaning>(
      names.map((name) => [name, meaningOf(locals?.get(ts.escapeLeadingUnderscores(name)), checker)]),
    );
    const declarations = added + remainingDeclarations(earlier, added, declared, checker);
    const all: Record<string, { text: string; declarations: string }> = { ...state.kept };
    if (unwritable.size > 0) all[module] = { text, declarations: neededDeclarations(earlier, cell, new Set(names)) };
    return { declarations, kept: stillNamed(declarations, all), modules: state.modules };
  }
}

/** Of the cells kept for their types those that declarations still name, directly or through another one. */
function stillNamed(declarations: string, all: CellState["kept"]): CellState["kept"] {
  const kept: Record<string, { readonly text: string; readonly declarations: string }> = {};
  const texts = [declarations];
  for (let text = texts.pop(); text !== undefined; text = texts.pop()) {
    for (const [, name] of text.matchAll(/"\.\/(__cell_[0-9a-f]+__)"/g)) {
      const one = all[name];
      if (one === undefined || name in kept || Object.keys(kept).length >= MOST_KEPT) continue;
      kept[name] = one;
      texts.push(one.declarations);
    }
  }
  return kept;
}

function cellText(code: string, names: readonly string[]): string {
  return `${code}\nexport { ${names.join(", ")} };\n`;
}

/** JSX calls a factory that may be an earlier cell's variable. */
function withJsxFactory(
  output: string,
  options: ts.CompilerOptions,
  earlier: ts.SymbolTable | undefined,
  names: readonly string[],
): string {
  const factory = /\/\*\*?\s*@jsx\s+([\w$]+)/.exec(output)?.[1] ?? options.jsxFactory?.split(".")[0] ?? "React";
  if (
    names.includes(factory) ||
    earlier?.has(ts.escapeLeadingUnderscores(factory)) !== true ||
    options.jsx !== ts.JsxEmit.React
  )
    return output;
  return `const ${factory} = exports.${factory};${output}`;
}

/** Module names: what is replaced is the longest piece before the cursor that a candidate begins with. */
function moduleCompletion(typed: string, position: number, candidates: string[]): Completion {
  const whole = candidates.filter((name) => name.startsWith(typed));
  if (typed.startsWith(".") || typed.startsWith("/") || whole.length === 0) {
    const piece = typed.slice(typed.lastIndexOf("/") + 1);
    const start = position - piece.length;
    return {
      start,
      end: position,
      candidates: [...new Set(candidates.filter((name) => name.startsWith(piece)))].sort(),
    };
  }
  return { start: position - typed.length, end: position, candidates: [...new Set(whole)].sort() };
}

/** In a text that is no module's name TypeScript leaves open what a candidate replaces. */
function inText(code: string, position: number, candidates: string[]): Completion {
  const typed = /["'`]([^"'`\n]*)$/.exec(code.slice(0, position))?.[1] ?? "";
  for (let from = 0; from < typed.length; from++) {
    const piece = typed.slice(from);
    const fitting = candidates.filter((candidate) => candidate.startsWith(piece));
    if (fitting.length > 0) return { start: position - piece.length, end: position, candidates: fitting };
  }
  return { start: position, end: position, candidates };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `node_modules/@types` folders with Node's types that a file in `folder` sees, nearest first. */
function typeRootsAbove(folder: string): string[] {
  return foldersAbove(folder)
    .map((at) => join(at, "node_modules", "@types"))
    .filter((root) => existsSync(join(root, "node")));
}

/** `@types` folders that hold Node's types, however npm laid the packages out. */
function nodeTypeRoots(packageRoot: string): string[] {
  const roots: string[] = [];
  for (const from of [join(packageRoot, "package.json"), require.resolve("tslab/package.json")]) {
    try {
      const types = dirname(dirname(createRequire(from).resolve("@types/node/package.json")));
      if (existsSync(types)) roots.push(types);
    } catch {
      // Not installed there.
    }
  }
  return roots;
}
