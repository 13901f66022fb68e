import { SourceMap, type SourceMapPayload } from "node:module";
import { inspect, stripVTControlCharacters, types } from "node:util";
import type { Diagnostic } from "tslab/dist/converter";
import type { SourceMaps } from "./typescript-thread";

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
  readonly maps?: SourceMaps;
}

/** Thrown in a cell that the user interrupts; also the reason of its AbortSignal. */
export class InterruptedError extends Error {
  override readonly name = "InterruptedError";
  constructor() {
    super("The cell was interrupted.");
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
  private readonly cells = new Map<string, CellSource>();
  private readonly decoded = new WeakMap<CellSource, [SourceMap, SourceMap] | null>();

  add(cell: CellSource): void {
    this.cells.set(cell.name, cell);
  }

  clear(): void {
    this.cells.clear();
  }

  report(error: unknown, current?: string): ErrorReport {
    if (error instanceof CellTypeError) return this.reportDiagnostics(error, current);
    if (!isError(error)) {
      const text = stripVTControlCharacters(inspect(error));
      return { ename: "Thrown", evalue: text, traceback: [`${BOLD_RED}Thrown${RESET}: ${text}`] };
    }
    const ename = textOf(error, "name") || "Error";
    const evalue = textOf(error, "message");
    return { ename, evalue, traceback: this.traceback(error, new Set()) };
  }

  private reportDiagnostics(error: CellTypeError, current?: string): ErrorReport {
    const cell = current === undefined ? undefined : this.cells.get(current);
    const traceback = [`${BOLD_RED}TypeScriptError${RESET}: the cell does not type-check and was not run.`];
    for (const one of error.diagnostics) {
      traceback.push(`${RED}${place(one)}${RESET}: ${one.messageText} ${DIM}(TS${one.code})${RESET}`);
      if (one.fileName === undefined && cell !== undefined) traceback.push(...excerpt(cell.code, one.start.line + 1, one.start.character + 1));
    }
    return { ename: error.name, evalue: error.message, traceback };
  }

  private traceback(error: Error, seen: Set<unknown>): string[] {
    seen.add(error);
    const name = textOf(error, "name") || "Error";
    const message = textOf(error, "message");
    const lines = [`${BOLD_RED}${name}${RESET}: ${message}`];
    const frames = this.frames(error);
    const first = frames.find((frame) => frame.cell !== undefined);
    if (first?.cell !== undefined) lines.push(...excerpt(first.cell.code, first.line, first.column));
    lines.push(...frames.map((frame) => `${DIM}${frame.text}${RESET}`));
    const cause: unknown = (error as { cause?: unknown }).cause;
    if (cause !== undefined && !seen.has(cause)) {
      lines.push("Caused by:", ...(isError(cause) ? this.traceback(cause, seen) : [inspect(cause)]));
    }
    const errors: unknown = (error as { errors?: unknown }).errors;
    if (Array.isArray(errors)) {
      for (const one of errors.slice(0, 5) as unknown[]) {
        if (!seen.has(one)) lines.push("Contains:", ...(isError(one) ? this.traceback(one, seen) : [inspect(one)]));
      }
    }
    return lines;
  }

  private frames(error: Error): { text: string; cell?: CellSource; line: number; column: number }[] {
    const stack = textOf(error, "stack");
    const found: { text: string; cell?: CellSource; line: number; column: number }[] = [];
    for (const text of stack.split("\n")) {
      if (!/^\s+at /.test(text)) continue;
      const at = /(cell \[[^\]]*\]):(\d+):(\d+)/.exec(text);
      const cell = at === null ? undefined : this.cells.get(at[1] as string);
      if (at === null || cell === undefined) {
        // How the kernel came to run the cell is nothing that the cell's author can act on.
        if (!text.includes(__dirname) && !/\(?node:/.test(text)) found.push({ text, line: 0, column: 0 });
        continue;
      }
      const [line, column] = this.original(cell, Number(at[2]), Number(at[3]));
      if (line < 1) continue;
      found.push({ text: text.replace(at[0], `${cell.name}:${line}:${column}`), cell, line, column });
    }
    return found;
  }

  /** Line and column (from 1) in the cell for a place in the JavaScript that ran. */
  private original(cell: CellSource, line: number, column: number): [number, number] {
    let maps = this.decoded.get(cell);
    if (maps === undefined) {
      maps = cell.maps === undefined ? null : [decode(cell.maps[0]), decode(cell.maps[1])];
      this.decoded.set(cell, maps);
    }
    if (maps === null) return [line, column];
    const [second, first] = maps;
    const middle = lookUp(second, line - 1, column - 1);
    const source = middle === undefined ? undefined : lookUp(first, middle[0], middle[1]);
    // tslab puts one line before the cell, which makes it a module.
    return source === undefined ? [0, 0] : [source[0], source[1] + 1];
  }
}

function decode(map: string): SourceMap {
  return new SourceMap(JSON.parse(map) as SourceMapPayload);
}

function lookUp(map: SourceMap, line: number, column: number): [number, number] | undefined {
  const entry = map.findEntry(line, column);
  return "originalLine" in entry && entry.originalLine !== undefined ? [entry.originalLine, entry.originalColumn] : undefined;
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
    if (n === line && column <= 200) shown.push(`  ${" ".repeat(width)} | ${text.slice(0, column - 1).replace(/[^\t]/g, " ")}${RED}^${RESET}`);
  }
  return shown;
}

function isError(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof Error;
}

/** A property as text, whatever its getter does. */
function textOf(error: Error, key: "name" | "message" | "stack"): string {
  try {
    const value: unknown = error[key];
    return typeof value === "string" ? value : value === undefined ? "" : String(value);
  } catch {
    return "";
  }
}
