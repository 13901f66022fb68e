import { SourceMap, type SourceMapPayload } from "node:module";
import { inspect, stripVTControlCharacters, types } from "node:util";
import type { Diagnostic } from "./cell-compiler";
import { JSON, Array, Map, Set } from "../natives";

/** What Jupyter shows of an error. `traceback` lines may carry ANSI colours. */
export interface ErrorReport {
  readonly ename: string;
  readonly evalue: string;
  readonly traceback: string[];
}

/** A cell's code with what is needed to find a place of the running JavaScript in it. */
export interface CellSource {
  /** As stack frames name it: `cell [3]`. */
  readonly name: string;
  readonly code: string;
  /** Source map, as JSON, of the JavaScript that runs. */
  readonly map?: string;
}

/** A line of a stack; with a cell, line and column in it (from 1). */
interface Frame {
  readonly text: string;
  readonly cell?: CellSource;
  readonly line: number;
  readonly column: number;
}

/** Whether Node ended a stretch of code because SIGINT came. */
export function endedBySignal(error: unknown): boolean {
  try {
    return error instanceof Error && (error as NodeJS.ErrnoException).code === "ERR_SCRIPT_EXECUTION_INTERRUPTED";
  } catch {
    // Whatever was thrown, a proxy for one, may throw when it is looked at.
    return false;
  }
}

/** Thrown in a cell that the user interrupts; also the reason of its AbortSignal. */
export class InterruptedError extends Error {
  override readonly name = "InterruptedError";
  constructor() {
    super("The cell was interrupted.");
  }
}

/** Thrown by `process.exit` in a cell. */
export class ExitError extends Error {
  override readonly name = "ExitError";
  constructor(code: number | string) {
    super(
      `process.exit(${code}) was called: it ends the cell. To end the kernel, restart it or shut it down in Jupyter.`,
    );
  }
}

/** A cell that does not type-check; it was not run. */
export class CellTypeError extends Error {
  override readonly name = "TypeScriptError";
  constructor(readonly diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map((one) => `${place(one)}: ${one.messageText}`).join("\n"));
  }
}

const RED = "\u001b[31m";
const BOLD_RED = "\u001b[1;31m";
const DIM = "\u001b[2m";
const RESET = "\u001b[0m";

function place(diagnostic: Diagnostic): string {
  return `${diagnostic.fileName === undefined ? "" : `${diagnostic.fileName}, `}line ${diagnostic.start.line + 1}, column ${diagnostic.start.character + 1}`;
}

/** Cells that ran, by the name their stack frames carry; turns errors into reports that point into them. */
export class CellSources {
  readonly #cells = new Map<string, CellSource>();
  /** Local files that were run, by the name that stack frames give them. */
  readonly #files = new Map<string, { readonly path: string; readonly map: string | undefined }>();
  readonly #decoded = new WeakMap<object, SourceMap | null>();

  /**
   * From now on stacks name places in cells, wherever they are shown, and leave out how the kernel came to run them.
   */
  install(): void {
    Error.stackTraceLimit = 30;
    // A call site's own text is the line that V8 would write.
    const lineOf = (site: { toString(): string }): string => `    at ${site.toString()}`;
    Error.prepareStackTrace = (error, sites) => {
      const lines = sites.map((site) => this.#frame(lineOf(site))?.text);
      const own = lines.filter((line) => line !== undefined);
      return [heading(error), ...(own.length > 0 ? own : sites.map(lineOf))].join("\n");
    };
  }

  add(cell: CellSource): void {
    this.#cells.set(cell.name, cell);
  }

  addFile(frameName: string, path: string, map: string | undefined): void {
    this.#files.set(frameName, { path, map });
  }

  clear(): void {
    this.#cells.clear();
    this.#files.clear();
  }

  /** Never throws, whatever was thrown in the cell: that may be an object whose every property throws. */
  report(error: unknown, current?: string): ErrorReport {
    try {
      return this.#describe(error, current);
    } catch {
      return {
        ename: "Thrown",
        evalue: "something that cannot be shown",
        traceback: [`${BOLD_RED}Thrown${RESET}: something that cannot be shown`],
      };
    }
  }

  #describe(error: unknown, current?: string): ErrorReport {
    if (error instanceof CellTypeError) return this.#reportDiagnostics(error, current);
    if (!isError(error)) {
      const text = stripVTControlCharacters(inspect(error));
      return { ename: "Thrown", evalue: text, traceback: [`${BOLD_RED}Thrown${RESET}: ${text}`] };
    }
    const ename = textOf(error, "name") || "Error";
    const evalue = textOf(error, "message");
    return { ename, evalue, traceback: this.#traceback(error, new Set()) };
  }

  #reportDiagnostics(error: CellTypeError, current?: string): ErrorReport {
    const cell = current === undefined ? undefined : this.#cells.get(current);
    const traceback = [`${BOLD_RED}TypeScriptError${RESET}: the cell does not type-check and was not run.`];
    for (const one of error.diagnostics) {
      traceback.push(`${RED}${place(one)}${RESET}: ${one.messageText} ${DIM}(TS${one.code})${RESET}`);
      if (one.fileName === undefined && cell !== undefined)
        traceback.push(...excerpt(cell.code, one.start.line + 1, one.start.character + 1));
    }
    return { ename: error.name, evalue: error.message, traceback };
  }

  #traceback(error: Error, seen: Set<unknown>): string[] {
    seen.add(error);
    const name = textOf(error, "name") || "Error";
    const message = textOf(error, "message");
    const lines = [`${BOLD_RED}${name}${RESET}: ${message}`];
    const frames = this.#frames(error);
    const first = frames.find((frame) => frame.cell !== undefined);
    if (first?.cell !== undefined) lines.push(...excerpt(first.cell.code, first.line, first.column));
    lines.push(...frames.map((frame) => `${DIM}${frame.text}${RESET}`));
    const cause: unknown = (error as { cause?: unknown }).cause;
    if (cause !== undefined && !seen.has(cause)) {
      lines.push("Caused by:", ...(isError(cause) ? this.#traceback(cause, seen) : [inspect(cause)]));
    }
    const errors: unknown = (error as { errors?: unknown }).errors;
    if (Array.isArray(errors)) {
      for (const one of errors.slice(0, 5) as unknown[]) {
        if (!seen.has(one)) lines.push("Contains:", ...(isError(one) ? this.#traceback(one, seen) : [inspect(one)]));
      }
    }
    return lines;
  }

  #frames(error: Error): Frame[] {
    const lines = textOf(error, "stack")
      .split("\n")
      .filter((text) => /^\s+at /.test(text));
    // What Node does on the way is nothing that the cell's author can act on.
    return lines
      .filter((text) => !/\(?node:/.test(text))
      .map((text) => this.#frame(text))
      .filter((frame) => frame !== undefined);
  }

  /** One line of a stack, with its place in the cell where it is one; undefined for a frame of the kernel. */
  #frame(text: string): Frame | undefined {
    // With .js it is a place in what the cell was translated to, without it one in the cell.
    const at = /(cell \[[^\]]*\])(\.js)?:(\d+):(\d+)/.exec(text);
    const cell = at === null ? undefined : this.#cells.get(at[1]);
    if (at === null || cell === undefined) {
      if (text.includes(__dirname) || /\(node:vm:|sigintHandlersWrap/.test(text)) return undefined;
      return { text: this.#inFile(text), line: 0, column: 0 };
    }
    const [line, column] =
      at[2] === undefined ? [Number(at[3]), Number(at[4])] : this.#original(cell, Number(at[3]), Number(at[4]));
    if (line < 1) return undefined;
    // The object that holds the variables of all cells is a proxy.
    return {
      text: text.replace(at[0], `${cell.name}:${line}:${column}`).replace(/^(\s+at (?:async )?)Proxy\./, "$1"),
      cell,
      line,
      column,
    };
  }

  /** A frame in what a local file was translated to names the place in the file. */
  #inFile(text: string): string {
    return text.replace(
      /(?<=\(|\bat (?:async )?)([^()]+?\.js):(\d+):(\d+)(?=\)?$)/,
      (whole, name: string, line: string, column: string) => {
        const file = this.#files.get(name);
        return file === undefined
          ? whole
          : [file.path, ...this.#original(file, Number(line), Number(column))].join(":");
      },
    );
  }

  /** Line and column (from 1) in the source for a place in the JavaScript that ran. */
  #original(source: { readonly map?: string | undefined }, line: number, column: number): [number, number] {
    let map = this.#decoded.get(source);
    if (map === undefined) {
      map = source.map === undefined ? null : decode(source.map);
      this.#decoded.set(source, map);
    }
    if (map === null) return [line, column];
    const [originalLine, originalColumn] = lookUp(map, line - 1, column - 1) ?? [-1, -1];
    return [originalLine + 1, originalColumn + 1];
  }
}

function decode(map: string): SourceMap {
  return new SourceMap(JSON.parse(map) as SourceMapPayload);
}

function lookUp(map: SourceMap, line: number, column: number): [number, number] | undefined {
  const entry = map.findEntry(line, column);
  return "originalLine" in entry && entry.originalLine !== undefined
    ? [entry.originalLine, entry.originalColumn]
    : undefined;
}

/** The line with two around it and a mark under the column. */
function excerpt(code: string, line: number, column: number): string[] {
  const lines = code.split("\n");
  const from = Math.max(1, line - 2);
  const to = Math.min(lines.length, line + 2);
  const width = String(to).length;
  const shown: string[] = [];
  for (let n = from; n <= to; n++) {
    const text = (lines[n - 1] ?? "").slice(0, 200);
    shown.push(`${n === line ? `${RED}>${RESET}` : " "} ${String(n).padStart(width)} | ${text}`);
    if (n === line && column <= 200)
      shown.push(`  ${" ".repeat(width)} | ${text.slice(0, column - 1).replace(/[^\t]/g, " ")}${RED}^${RESET}`);
  }
  return shown;
}

/** The first line of a stack, as Node makes it. */
function heading(error: unknown): string {
  try {
    const { name, code, message } = error as { name?: unknown; code?: unknown; message?: unknown };
    return typeof code === "string" && code.startsWith("ERR_")
      ? `${String(name)} [${code}]: ${String(message)}`
      : Error.prototype.toString.call(error);
  } catch {
    return "Error";
  }
}

function isError(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof Error;
}

/** A property as text, whatever its getter does. */
function textOf(error: Error, key: "name" | "message" | "stack"): string {
  try {
    const value: unknown = error[key];
    // eslint-disable-next-line @typescript-eslint/no-base-to-string -- whatever was thrown, as JavaScript itself writes it
    return typeof value === "string" ? value : value === undefined ? "" : String(value);
  } catch {
    return "";
  }
}
