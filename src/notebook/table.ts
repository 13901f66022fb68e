import { escapeXml } from "../export/xml";
import type { MimeBundle } from "../jupyter/comm-host";
import { JUPYTER_DISPLAY } from "../jupyter/comm-host";
import { visibleText } from "../protocol";

/** What a table shows of its rows. */
export interface TableOptions {
  /** Names of the columns, in order. Default: all properties, in the order in which rows first have them. */
  readonly columns?: readonly string[];
  /** Rows shown at most; a line below says how many there are. Default 100. */
  readonly limit?: number;
}

/** Rows that show themselves in a notebook as a table: see `table`. */
export class RowTable {
  /** Names of the columns that are shown. */
  readonly columns: readonly string[];
  readonly #limit: number;

  constructor(
    /** All rows, also those that are not shown. */
    readonly rows: readonly Readonly<Record<string, unknown>>[],
    options: TableOptions = {},
  ) {
    const { limit = 100, columns } = options;
    if (!Number.isInteger(limit) || limit < 1)
      throw new RangeError(`limit is ${String(limit)}, but has to be a whole number from 1 on.`);
    const known = [...new Set(rows.flatMap((row) => Object.keys(row)))];
    const unknown = columns?.find((name) => rows.length > 0 && !known.includes(name));
    if (unknown !== undefined)
      throw new RangeError(`No row has the column ${JSON.stringify(unknown)}; they have ${known.join(", ")}.`);
    this.columns = columns ?? known;
    this.#limit = limit;
  }

  /** The table as text and as HTML; numbers of a column have one number of decimals, texts are escaped. */
  [JUPYTER_DISPLAY](): MimeBundle {
    const { columns } = this;
    const shown = this.rows.slice(0, this.#limit);
    const written = columns.map((name) => columnText(shown.map((row) => row[name])));
    const numeric = columns.map((name) => shown.every((row) => row[name] == null || typeof row[name] === "number"));
    const widths = columns.map((name, c) => Math.max(length(name), ...written[c].map(length)));
    const pad = (text: string, c: number): string => {
      const blanks = " ".repeat(widths[c] - length(text));
      return numeric[c] ? blanks + text : text + blanks;
    };
    const more = this.rows.length > shown.length ? `${shown.length} of ${this.rows.length} rows` : "";
    const align = (c: number): string => ` style="text-align:${numeric[c] ? "right" : "left"}"`;
    const head = columns.map((name, c) => `<th${align(c)}>${escapeXml(name)}</th>`).join("");
    const body = shown.map(
      (_, r) => `<tr>${columns.map((_, c) => `<td${align(c)}>${escapeXml(written[c][r])}</td>`).join("")}</tr>`,
    );
    const line = (texts: readonly string[]): string => texts.map(pad).join("  ").trimEnd();
    return {
      "text/plain": [line(columns), ...shown.map((_, r) => line(written.map((column) => column[r]))), more]
        .filter((text) => text !== "")
        .join("\n"),
      "text/html": `<table><thead><tr>${head}</tr></thead><tbody>${body.join("")}</tbody></table>${more ? `<p>${more}</p>` : ""}`,
    };
  }
}

const length = (text: string): number => [...text].length;

/** Values of a column as they are written. */
function columnText(values: readonly unknown[]): string[] {
  const numbers = values.filter((value): value is number => typeof value === "number" && Number.isFinite(value));
  const largest = numbers.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const whole = numbers.every((value) => Number.isInteger(value));
  const decimals = whole ? 0 : largest >= 100 ? 1 : largest >= 10 ? 2 : largest >= 0.1 ? 3 : 5;
  return values.map((value) => {
    if (value === undefined || value === null) return "";
    if (typeof value === "number") return Number.isFinite(value) ? value.toFixed(decimals) : String(value);
    if (typeof value === "string") return visibleText(value);
    if (typeof value === "object") return JSON.stringify(value);
    return typeof value === "boolean" || typeof value === "bigint" ? String(value) : typeof value;
  });
}

/**
 * Shows rows of plain objects as a table: `table(await run.neuronContributions(5, 3))`, `table(graph.edges, { columns:
 * ["source", "target", "contribution"] })`.
 *
 * @param rows objects; a property is a column
 * @throws RangeError for a column that no row has, or a limit below 1
 */
export function table(rows: Iterable<object>, options?: TableOptions): RowTable {
  return new RowTable([...rows] as Readonly<Record<string, unknown>>[], options);
}
