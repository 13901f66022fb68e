/**
 * The thread that holds tslab's TypeScript service: it type-checks and translates cells, completes and inspects. Loading it
 * takes seconds and checking a cell tens of milliseconds; here neither keeps the kernel from answering messages.
 */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import type { CompletionInfo, ConvertResult, Converter, Diagnostic } from "tslab/dist/converter";

export interface TypescriptThreadData {
  /** Folder that cells resolve imports from: the notebook's. */
  readonly cwd: string;
  /** Root of the package that this kernel is part of, and its name. */
  readonly packageRoot: string;
  readonly packageName: string;
}

/** Two source maps in a row, as JSON: from the JavaScript that runs to ES modules, and from there to the cell. */
export type SourceMaps = readonly [string, string];

export interface Converted extends ConvertResult {
  /** Maps of `output`. */
  readonly maps?: SourceMaps;
  /** Name that a cell gives itself by `@module`. */
  readonly moduleName?: string;
}

export interface Inspection {
  readonly text: string;
  readonly documentation: string;
}

export interface Completeness {
  readonly status: "complete" | "incomplete" | "invalid";
  readonly indent?: string;
}

/** Requests by kind, with what they take and give. Positions count UTF-16 units. */
export interface TypescriptRequests {
  convert: { request: { declarations: string; code: string }; answer: Converted };
  complete: { request: { declarations: string; code: string; position: number }; answer: CompletionInfo };
  inspect: { request: { declarations: string; code: string; position: number }; answer: Inspection | null };
  isComplete: { request: { code: string }; answer: Completeness };
}

export type TypescriptRequest = { [K in keyof TypescriptRequests]: { readonly id: number; readonly kind: K } & TypescriptRequests[K]["request"] }[keyof TypescriptRequests];
export type TypescriptAnswer = { readonly id: number } & ({ readonly answer: unknown } | { readonly error: string });

/** Global function that translated loops call; the kernel defines it. */
export const INTERRUPT_CHECK = "__interruptCheck__";

type Ts = typeof import("@tslab/typescript-for-tslab");

const port = parentPort;
if (port !== null) serve(workerData as TypescriptThreadData, port);

function serve(data: TypescriptThreadData, main: NonNullable<typeof parentPort>): void {
  const tslab = createRequire(require.resolve("tslab/package.json"));
  const compilerPath = tslab.resolve("@tslab/typescript-for-tslab");
  const { ts, maps } = adapt(tslab(compilerPath) as Ts, data);
  // The compiler's own exports cannot be assigned to; the converter, loaded only now, gets the adapted ones.
  (tslab.cache[compilerPath] as NodeJS.Module).exports = ts;
  const { createConverter, isCompleteCode } = tslab("./dist/converter.js") as typeof import("tslab/dist/converter");
  const { getCodeMetadata } = tslab("./dist/metadata.js") as typeof import("tslab/dist/metadata");
  const { printQuickInfo } = tslab("./dist/inspect.js") as typeof import("tslab/dist/inspect");
  let made: Converter | undefined;
  const converter = (): Converter => (made ??= createConverter({ isJS: false, isBrowser: false }));

  const handlers: { [K in keyof TypescriptRequests]: (request: TypescriptRequests[K]["request"]) => TypescriptRequests[K]["answer"] } = {
    convert: ({ declarations, code }) => {
      const meta = getCodeMetadata(code);
      if (meta.module !== undefined) {
        const diagnostics: Diagnostic[] = converter().addModule(meta.module, code, meta);
        return { diagnostics, declOutput: declarations, moduleName: meta.module };
      }
      maps.clear();
      const result = converter().convert(declarations, withoutExports(ts, code));
      const found = result.output === undefined ? undefined : maps.get(result.output);
      return { ...result, ...(found === undefined ? {} : { maps: found }) };
    },
    complete: ({ declarations, code, position }) => {
      const { start, end, candidates } = converter().complete(declarations, withoutExports(ts, code), position);
      return start === end ? inString(code, position, candidates) : { start, end, candidates };
    },
    inspect: ({ declarations, code, position }) => {
      const info = converter().inspect(declarations, withoutExports(ts, code), position);
      if (info === undefined || info === null) return null;
      const text = printQuickInfo({ ...info, documentation: [], tags: [] });
      // So the compiler speaks of a name that nothing declares.
      if (text.trim() === "any") return null;
      return { text, documentation: printQuickInfo({ ...info, displayParts: [] }).trim() };
    },
    isComplete: ({ code }) => completeness(ts, code, isCompleteCode(code)),
  };

  main.on("message", (request: TypescriptRequest) => {
    try {
      const handler = handlers[request.kind] as (request: TypescriptRequest) => unknown;
      main.postMessage({ id: request.id, answer: handler(request) } satisfies TypescriptAnswer);
    } catch (error) {
      // The converter may be left half-changed; a fresh one is slow, a wrong one is worse.
      try {
        made?.close();
      } catch {
        // It was broken already.
      }
      made = undefined;
      main.postMessage({ id: request.id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) } satisfies TypescriptAnswer);
    }
  });
}

/**
 * Sets what tslab hard-codes, before it reads it: modern module resolution (`exports`, self-reference), top-level await in every
 * form, types of Node and of this package from any folder, and source maps. The maps are found by the output they belong to.
 */
function adapt(ts: Ts, data: TypescriptThreadData): { ts: Ts; maps: Map<string, SourceMaps> } {
  const compiler: { -readonly [K in keyof Ts]: Ts[K] } = { ...ts };
  const createHost = ts.createWatchCompilerHost as (...args: unknown[]) => unknown;
  compiler.createWatchCompilerHost = ((files: unknown, options: Record<string, unknown>, ...rest: unknown[]) => {
    const adapted = {
      ...options,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      disableTopLevelAwait: false,
      allowImportingTsExtensions: true,
      inlineSourceMap: true,
      lib: [...(options["lib"] as string[]).filter((lib) => !/es20\d\d/.test(lib)), "lib.es2023.d.ts"],
      types: ["node", join(__dirname, "cell-globals")],
      // The notebook's own types first; ours before tslab's, whose Node types are those of Node 18.
      typeRoots: [...typeRootsAbove(data.cwd), ...nodeTypeRoots(data.packageRoot), ...(options["typeRoots"] as string[])],
    };
    const probe = ts.resolveModuleName(data.packageName, join(data.cwd, "__tslab__.ts"), adapted, ts.sys);
    if (probe.resolvedModule === undefined) {
      Object.assign(adapted, { pathsBasePath: data.cwd, paths: ownPaths(data) });
    }
    return withSteps(ts, createHost(files, adapted, ...rest) as { afterProgramCreate?: (builder: Builder) => void });
  }) as Ts["createWatchCompilerHost"];

  const maps = new Map<string, SourceMaps>();
  const transpileModule = ts.transpileModule;
  compiler.transpileModule = (input, options) => {
    const inline = /\n?\/\/# sourceMappingURL=data:application\/json;base64,([A-Za-z0-9+/=]+)\s*$/.exec(input);
    if (inline === null) return transpileModule(input, options);
    const first = Buffer.from(inline[1] as string, "base64").toString("utf8");
    const result = transpileModule(input.slice(0, inline.index), { ...options, compilerOptions: { ...options.compilerOptions, sourceMap: true, inlineSourceMap: false } });
    const output = result.outputText.replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "");
    if (result.sourceMapText !== undefined) maps.set(output, [result.sourceMapText, first]);
    return { ...result, outputText: output };
  };
  return { ts: compiler, maps };
}

/** In a text (a module's name, say) tslab leaves open what a candidate replaces: the longest piece before the cursor that it begins with. */
function inString(code: string, position: number, candidates: string[]): CompletionInfo {
  const typed = /["'`]([^"'`\n]*)$/.exec(code.slice(0, position))?.[1] ?? "";
  for (let from = 0; from < typed.length; from++) {
    const piece = typed.slice(from);
    const fitting = candidates.filter((candidate) => candidate.startsWith(piece));
    if (fitting.length > 0) return { start: position - piece.length, end: position, candidates: fitting };
  }
  return { start: position, end: position, candidates };
}

/**
 * Every variable of a cell is there for the other cells; tslab exports it and takes a second `export` for a mistake. The word is blanked out, so that
 * places stay what they are: code from a module's file can be pasted into a cell.
 */
function withoutExports(ts: Ts, code: string): string {
  if (!/\bexport\b/.test(code)) return code;
  let result = code;
  for (const statement of ts.createSourceFile("cell.ts", code, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS).statements) {
    const modifiers = ts.canHaveModifiers(statement) ? (ts.getModifiers(statement) ?? []) : [];
    const word = modifiers.find((one) => one.kind === ts.SyntaxKind.ExportKeyword);
    if (word === undefined || modifiers.some((one) => one.kind === ts.SyntaxKind.DefaultKeyword)) continue;
    result = result.slice(0, word.getStart()) + " ".repeat("export".length) + result.slice(word.end);
  }
  return result;
}

type Builder = import("@tslab/typescript-for-tslab").EmitAndSemanticDiagnosticsBuilderProgram;
type Transformers = import("@tslab/typescript-for-tslab").CustomTransformers;
type Node = import("@tslab/typescript-for-tslab").Node;
type SourceFile = import("@tslab/typescript-for-tslab").SourceFile;

/** Adds our steps of translation before tslab's own. */
function withSteps<H extends { afterProgramCreate?: (builder: Builder) => void }>(ts: Ts, host: H): H {
  let given: ((builder: Builder) => void) | undefined;
  Object.defineProperty(host, "afterProgramCreate", {
    configurable: true,
    set: (fn: (builder: Builder) => void) => (given = fn),
    get: () => (builder: Builder) => {
      dropOriginals(builder);
      const emit = builder.emit.bind(builder);
      builder.emit = (file, write, token, onlyDts, transformers: Transformers = {}) =>
        emit(file, write, token, onlyDts, { ...transformers, after: [shorthandStep(ts, builder), interruptStep(ts), ...(transformers.after ?? [])] });
      given?.(builder);
    },
  });
  return host;
}

/**
 * A file whose top-level `await` is parsed twice keeps its first parse as `original`, which has no path; the compiler then fails to name
 * the module of a type that is inferred and not imported.
 */
function dropOriginals(builder: Builder): void {
  for (const file of builder.getSourceFiles()) (file as { original?: SourceFile }).original = undefined;
}

type Step = NonNullable<Transformers["after"]>[number];

/**
 * Begins the body of every loop with a call that throws when the user has interrupted: the one way to end a loop that runs
 * after an await. Optimised code inlines the call; it costs about a nanosecond a turn.
 */
function interruptStep(ts: Ts): Step {
  const { factory } = ts;
  const check = (): import("@tslab/typescript-for-tslab").Statement =>
    factory.createExpressionStatement(factory.createCallExpression(factory.createIdentifier(INTERRUPT_CHECK), undefined, []));
  return (context) => {
    const visit = (node: Node): Node => {
      const visited = ts.visitEachChild(node, visit, context);
      if (!ts.isIterationStatement(visited, false)) return visited;
      const { statement } = visited;
      const body = ts.isBlock(statement)
        ? factory.updateBlock(statement, [check(), ...statement.statements])
        : factory.createBlock([check(), statement], true);
      if (ts.isForStatement(visited)) return factory.updateForStatement(visited, visited.initializer, visited.condition, visited.incrementor, body);
      if (ts.isForOfStatement(visited)) return factory.updateForOfStatement(visited, visited.awaitModifier, visited.initializer, visited.expression, body);
      if (ts.isForInStatement(visited)) return factory.updateForInStatement(visited, visited.initializer, visited.expression, body);
      if (ts.isWhileStatement(visited)) return factory.updateWhileStatement(visited, visited.expression, body);
      if (ts.isDoStatement(visited)) return factory.updateDoStatement(visited, body, visited.expression);
      return visited;
    };
    return (node) => ts.visitNode(node, visit) as SourceFile;
  };
}

/**
 * tslab turns a variable of an earlier cell, `p`, into `exports.p`, but overlooks the shorthand property `{ p }`. This makes it
 * `{ p: exports.p }`.
 */
function shorthandStep(ts: Ts, builder: Builder): Step {
  const checker = builder.getProgram().getTypeChecker();
  return (context) => {
    const visit = (node: Node): Node => {
      if (!ts.isShorthandPropertyAssignment(node)) return ts.visitEachChild(node, visit, context);
      const declared = checker.getShorthandAssignmentValueSymbol(node)?.declarations ?? [];
      if (!declared.some((one) => one.getSourceFile().fileName.endsWith("/__prev__.d.ts"))) return node;
      const { factory } = ts;
      const variable = factory.createPropertyAccessExpression(factory.createIdentifier("exports"), node.name.text);
      const initial = node.objectAssignmentInitializer;
      const value = initial === undefined ? variable : factory.createAssignment(variable, ts.visitNode(initial, visit) as typeof initial);
      return ts.setTextRange(factory.createPropertyAssignment(factory.createIdentifier(node.name.text), value), node);
    };
    return (node) => ts.visitNode(node, visit) as SourceFile;
  };
}

/** Where the types of this package and of its subpaths are. */
function ownPaths({ packageName, packageRoot }: TypescriptThreadData): Record<string, string[]> {
  const { exports } = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8")) as { readonly exports: Readonly<Record<string, string | { readonly require?: { readonly types: string } }>> };
  const paths: Record<string, string[]> = {};
  for (const [name, entry] of Object.entries(exports)) {
    if (typeof entry === "object" && entry.require) paths[packageName + name.slice(1)] = [join(packageRoot, entry.require.types)];
  }
  return paths;
}

/** `node_modules/@types` folders with Node's types that a file in `folder` sees, nearest first. */
function typeRootsAbove(folder: string): string[] {
  const roots: string[] = [];
  for (let at = folder; ; at = dirname(at)) {
    const root = join(at, "node_modules", "@types");
    if (existsSync(join(root, "node"))) roots.push(root);
    if (dirname(at) === at) return roots;
  }
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

/** tslab tells complete from incomplete; what no further line can mend is invalid. */
function completeness(ts: Ts, code: string, tslab: { completed: boolean; indent?: string }): Completeness {
  if (!tslab.completed) return { status: "incomplete", indent: tslab.indent ?? "" };
  const source = ts.createSourceFile("cell.ts", code, ts.ScriptTarget.Latest, undefined, ts.ScriptKind.TS) as unknown as {
    parseDiagnostics?: readonly { start?: number; code: number }[];
  };
  const first = source.parseDiagnostics?.[0];
  if (first === undefined) return { status: "complete" };
  // 1160 unterminated template, 1010 unterminated comment: more lines can end them.
  if (first.code === 1160 || first.code === 1010) return { status: "incomplete", indent: "" };
  return { status: "invalid" };
}
