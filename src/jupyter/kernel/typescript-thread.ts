/**
 * The thread that holds TypeScript: it type-checks and translates cells, completes and inspects. Loading it takes a
 * good part of a second and checking a cell some milliseconds; here neither keeps the kernel from answering messages.
 */
import { createRequire } from "node:module";
import { parentPort, workerData, type MessagePort } from "node:worker_threads";
import ts from "typescript";
import {
  CellCompiler,
  type CellCompilerOptions,
  type CellState,
  type Completion,
  type Converted,
} from "./cell-compiler";
import type { LocalModule } from "./local-files";

export type TypescriptThreadData = CellCompilerOptions;

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
  convert: { request: { state: CellState; code: string }; answer: Converted };
  find: {
    request: { state: CellState; name: string; from: string };
    answer: { readonly path?: string; readonly modules: readonly LocalModule[] };
  };
  complete: { request: { state: CellState; code: string; position: number }; answer: Completion };
  inspect: { request: { state: CellState; code: string; position: number }; answer: Inspection | null };
  isComplete: { request: { code: string }; answer: Completeness };
}

/** Where a caller that sleeps meanwhile looks for the answer, and what wakes it. */
export interface Sleeper {
  readonly port: MessagePort;
  readonly flag: Int32Array;
}

export type TypescriptRequest = {
  [K in keyof TypescriptRequests]: {
    readonly id: number;
    readonly kind: K;
    readonly sleeper?: Sleeper;
  } & TypescriptRequests[K]["request"];
}[keyof TypescriptRequests];
export type TypescriptAnswer = { readonly id: number } & ({ readonly answer: unknown } | { readonly error: string });

const port = parentPort;
if (port !== null) serve(workerData as TypescriptThreadData, port);

function serve(data: TypescriptThreadData, main: NonNullable<typeof parentPort>): void {
  const tslab = createRequire(require.resolve("tslab/package.json"));
  shareCompiler(tslab);
  const { isCompleteCode } = tslab("./dist/converter.js") as typeof import("tslab/dist/converter");
  const { getCodeMetadata } = tslab("./dist/metadata.js") as typeof import("tslab/dist/metadata");
  const { printQuickInfo } = tslab("./dist/inspect.js") as { printQuickInfo: (info: ts.QuickInfo) => string };
  let made: CellCompiler | undefined;
  const compiler = (): CellCompiler => (made ??= new CellCompiler(data));
  const unsent = unsentOnes();

  const handlers: {
    [K in keyof TypescriptRequests]: (request: TypescriptRequests[K]["request"]) => TypescriptRequests[K]["answer"];
  } = {
    convert: ({ state, code }) => {
      const meta = getCodeMetadata(code);
      const converted =
        meta.module === undefined
          ? compiler().convert(state, code)
          : compiler().addModule(state, meta.module, code, meta.jsx === true);
      return { ...converted, modules: unsent(converted.modules) };
    },
    find: ({ state, name, from }) => {
      const found = compiler().find(state, name, from);
      return { ...found, modules: unsent(found.modules) };
    },
    complete: ({ state, code, position }) => compiler().complete(state, code, position),
    inspect: ({ state, code, position }) => {
      const info = compiler().inspect(state, code, position);
      if (info === undefined) return null;
      const text = printQuickInfo({ ...info, documentation: [], tags: [] });
      // So the compiler speaks of a name that nothing declares.
      if (text.trim() === "any") return null;
      return { text, documentation: printQuickInfo({ ...info, displayParts: [] }).trim() };
    },
    isComplete: ({ code }) => completeness(code, isCompleteCode(code)),
  };

  main.on("message", (request: TypescriptRequest) => {
    const { id, sleeper } = request;
    const reply = (answer: TypescriptAnswer): void => {
      if (sleeper === undefined) return main.postMessage(answer);
      sleeper.port.postMessage(answer);
      Atomics.store(sleeper.flag, 0, 1);
      Atomics.notify(sleeper.flag, 0);
    };
    try {
      const handler = handlers[request.kind] as (request: TypescriptRequest) => unknown;
      reply({ id, answer: handler(request) });
    } catch (error) {
      // The service may be left half-changed; a fresh one is slow, a wrong one is worse.
      try {
        made?.close();
      } catch {
        // It was broken already.
      }
      made = undefined;
      reply({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  });
}

/**
 * tslab's parts that are used here get the compiler that all the rest uses, not one of their own: it would cost time,
 * memory and agreement.
 */
function shareCompiler(tslab: NodeJS.Require): void {
  const path = tslab.resolve("@tslab/typescript-for-tslab");
  const shared = require.cache[require.resolve("typescript")];
  if (shared !== undefined) tslab.cache[path] = shared;
}

/** Leaves out the code of what the main thread has. */
function unsentOnes(): (modules: readonly LocalModule[]) => LocalModule[] {
  const sent = new Map<string, string>();
  return (modules) =>
    modules.map((module) => {
      const { path, version, imports, isAsync } = module;
      if (sent.get(path) === version) return { path, version, imports, isAsync };
      sent.set(path, version);
      return module;
    });
}

/** tslab tells complete from incomplete; what no further line can mend is invalid. */
function completeness(code: string, tslab: { completed: boolean; indent?: string }): Completeness {
  if (!tslab.completed) return { status: "incomplete", indent: tslab.indent ?? "" };
  const source = ts.createSourceFile(
    "cell.ts",
    code,
    ts.ScriptTarget.Latest,
    undefined,
    ts.ScriptKind.TSX,
  ) as unknown as {
    parseDiagnostics?: readonly { start?: number; code: number }[];
  };
  const first = source.parseDiagnostics?.[0];
  if (first === undefined) return { status: "complete" };
  // 1160 unterminated template, 1010 unterminated comment: more lines can end them.
  if (first.code === 1160 || first.code === 1010) return { status: "incomplete", indent: "" };
  return { status: "invalid" };
}
