import { commHost } from "../protocol/comm-host";
import { FloatProgress, HBox, Label } from "./generated";
import { display } from "./mime";

export interface ProgressOptions {
  readonly description?: string;
  /** How many steps there will be; default: what the iterable itself says (`length`, `size`). */
  readonly total?: number;
  /** What is counted, after the number: "prompts", "bytes", … */
  readonly unit?: string;
}

/** A step of a longer task, as library functions report it to an `onProgress` listener. */
export interface ProgressReport {
  readonly stage: string;
  readonly done: number;
  readonly total?: number;
  readonly unit: string;
}

/** Changes are shown at most this often; as text, at most that often. */
const SHOWN_MS = 100;
const PRINTED_MS = 2000;

/**
 * A progress bar below the running cell; lines of text on stderr where there is no notebook. It goes on when `update` is called and
 * turns green or red at its end.
 */
export class ProgressBar {
  private readonly widgets: { readonly bar: FloatProgress; readonly label: Label; readonly box: HBox } | undefined;
  private readonly begun = performance.now();
  private shownAt = -Infinity;
  private done = 0;
  private total: number | undefined;
  private description: string;
  private unit: string;
  private finished = false;

  constructor(options: ProgressOptions = {}) {
    this.total = options.total;
    this.description = options.description ?? "";
    this.unit = options.unit ?? "";
    if (!commHost().live) return;
    const bar = new FloatProgress({ min: 0, max: 1, description: this.description, style: { description_width: "initial" } });
    const label = new Label();
    const box = new HBox([bar, label]);
    this.widgets = { bar, label, box };
    // Not awaited: a bundle without promises is published before anything else is.
    void display(box);
  }

  /** Says how far the task is. */
  update(done: number, total: number | undefined = this.total, description: string = this.description): void {
    if (this.finished) return;
    this.done = done;
    this.total = total;
    this.description = description;
    const now = performance.now();
    if (now - this.shownAt < (this.widgets === undefined ? PRINTED_MS : SHOWN_MS) && done !== total) return;
    this.shownAt = now;
    this.show();
  }

  /** Ends the bar: green, or red with `failed`. */
  close(failed = false): void {
    if (this.finished) return;
    this.finished = true;
    this.show();
    this.widgets?.bar.set({ bar_style: failed ? "danger" : "success", ...(this.total === undefined && !failed ? { value: 1 } : {}) });
  }

  private show(): void {
    const { widgets } = this;
    if (widgets === undefined) {
      commHost().stream("stderr", `${this.description === "" ? "" : `${this.description}: `}${this.text()}\n`);
      return;
    }
    widgets.bar.set({ value: this.fraction(), description: this.description, bar_style: this.total === undefined ? "info" : "" });
    widgets.label.value = this.text();
  }

  private fraction(): number {
    return this.total === undefined || this.total <= 0 ? 0 : Math.min(1, this.done / this.total);
  }

  private text(): string {
    const seconds = (performance.now() - this.begun) / 1000;
    const [done, total] = [amount(this.done, this.unit), this.total === undefined ? undefined : amount(this.total, this.unit)];
    const unit = this.unit === "" || this.unit === "bytes" ? "" : ` ${this.unit}`;
    const left = this.total === undefined || this.done === 0 || this.finished ? undefined : (seconds / this.done) * (this.total - this.done);
    return `${done}${total === undefined ? "" : ` / ${total}`}${unit}, ${duration(seconds)}${left === undefined || left < 1 ? "" : `, ${duration(left)} left`}`;
  }
}

/** Shows how far an iteration is: `for await (const prompt of progress(prompts)) …`. A throw or `break` in the loop ends the bar too. */
export async function* progress<T>(items: Iterable<T> | AsyncIterable<T>, options: ProgressOptions = {}): AsyncGenerator<T, void, undefined> {
  const known = options.total ?? sizeOf(items);
  const bar = new ProgressBar(known === undefined ? options : { ...options, total: known });
  let done = 0;
  let complete = false;
  bar.update(0);
  try {
    for await (const item of items) {
      yield item;
      bar.update(++done);
      // Lets messages through also where nothing in the loop awaits.
      await new Promise((resolve) => setImmediate(resolve));
    }
    complete = true;
  } finally {
    bar.close(!complete);
  }
}

/** A listener for `onProgress` options: one bar a stage. */
export function progressListener(): (report: ProgressReport) => void {
  let current: { stage: string; bar: ProgressBar } | undefined;
  return ({ stage, done, total, unit }) => {
    if (current?.stage !== stage) {
      current?.bar.close();
      current = { stage, bar: new ProgressBar({ description: stage, unit, ...(total === undefined ? {} : { total }) }) };
    }
    current.bar.update(done, total);
    if (total !== undefined && done >= total) {
      current.bar.close();
      current = undefined;
    }
  };
}

function sizeOf(items: unknown): number | undefined {
  const { length, size } = items as { length?: unknown; size?: unknown };
  return typeof length === "number" ? length : typeof size === "number" ? size : undefined;
}

function amount(value: number, unit: string): string {
  if (unit !== "bytes") return String(value);
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  return `${(value / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${String(units[power])}`;
}

function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}
