import { commHost, type MimeBundle } from "../comm-host";
import { FloatProgress, HBox, Label } from "./generated";
import { WIDGET_VIEW } from "./widget";

/** What a bar says beside its number. */
export interface ProgressOptions {
  /** What is done, before the bar. */
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
/** What is over sooner than this is not worth a bar, where nobody asked for one. */
const WORTH_MS = 300;

/** How a bar begins and what it leaves behind. */
interface Appearance {
  /** Milliseconds of work before there is anything to see. */
  readonly after: number;
  /** At the end: the bar itself, or a line of text in its place. */
  readonly leave: "bar" | "text";
}

/**
 * A progress bar below the running cell; lines of text on stderr where there is no notebook. It appears with the first
 * `update`, goes on when `update` is called and turns green or red at its end. A notebook that is saved without its
 * widgets' state says in text how far it came.
 */
export class ProgressBar {
  #widgets:
    { readonly bar: FloatProgress; readonly label: Label; readonly box: HBox; readonly displayId: string } | undefined;
  readonly #live = commHost().live;
  readonly #begun = performance.now();
  #shownAt = -Infinity;
  /** What the last line of text said. */
  #printed: number | undefined;
  #done = 0;
  #total: number | undefined;
  #description: string;
  #unit: string;
  #finished = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    options: ProgressOptions = {},
    private readonly appearance: Appearance = { after: 0, leave: "bar" },
  ) {
    this.#total = options.total;
    this.#description = options.description ?? "";
    this.#unit = options.unit ?? "";
  }

  /** Says how far the task is. */
  update(done: number, total: number | undefined = this.#total, description: string = this.#description): void {
    if (this.#finished) return;
    this.#done = done;
    this.#total = total;
    this.#description = description;
    const now = performance.now();
    const wait = this.#live && this.#widgets === undefined ? this.#begun + this.appearance.after - now : 0;
    if (wait > 0) {
      // Where no further report comes for long, the bar appears all the same.
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.update(this.#done), wait + 1);
      this.#timer.unref();
      return;
    }
    if (now - this.#shownAt < (this.#live ? SHOWN_MS : PRINTED_MS) && done !== total) return;
    this.#shownAt = now;
    this.#show();
  }

  /** Ends the bar: green, or red with `failed`. */
  close(failed = false): void {
    if (this.#finished) return;
    this.#finished = true;
    clearTimeout(this.#timer);
    if (!this.#live) return this.#show();
    const widgets = this.#widgets;
    if (widgets === undefined) return;
    this.#show();
    widgets.bar.set({
      bar_style: failed ? "danger" : "success",
      ...(this.#total === undefined && !failed ? { value: 1 } : {}),
    });
    if (this.appearance.leave === "bar") return commHost().updateDisplay(widgets.displayId, this.#bundle(widgets.box));
    commHost().updateDisplay(widgets.displayId, { "text/plain": this.#line() }, { owner: null });
    for (const widget of [widgets.box, widgets.label, widgets.bar]) widget.close();
  }

  #show(): void {
    if (!this.#live) {
      if (this.#printed !== this.#done) commHost().stream("stderr", `${this.#line()}\n`);
      this.#printed = this.#done;
      return;
    }
    const state = {
      value: this.#fraction(),
      description: this.#description,
      bar_style: this.#total === undefined ? "info" : "",
    } as const;
    if (this.#widgets === undefined) {
      const bar = new FloatProgress({ min: 0, max: 1, style: { description_width: "initial" }, ...state });
      const label = new Label({ value: this.#text() });
      const box = new HBox([bar, label]);
      this.#widgets = { bar, label, box, displayId: box.modelId };
      commHost().display(this.#bundle(box), { displayId: box.modelId });
      return;
    }
    this.#widgets.bar.set(state);
    this.#widgets.label.value = this.#text();
  }

  #bundle(box: HBox): MimeBundle {
    box.flush();
    return { "text/plain": this.#line(), [WIDGET_VIEW]: { version_major: 2, version_minor: 0, model_id: box.modelId } };
  }

  #line(): string {
    return `${this.#description === "" ? "" : `${this.#description}: `}${this.#text()}`;
  }

  #fraction(): number {
    return this.#total === undefined || this.#total <= 0 ? 0 : Math.min(1, this.#done / this.#total);
  }

  #text(): string {
    const seconds = (performance.now() - this.#begun) / 1000;
    const [done, total] = [
      amount(this.#done, this.#unit),
      this.#total === undefined ? undefined : amount(this.#total, this.#unit),
    ];
    const unit = this.#unit === "" || this.#unit === "bytes" ? "" : ` ${this.#unit}`;
    const left =
      this.#total === undefined || this.#done === 0 || this.#finished
        ? undefined
        : (seconds / this.#done) * (this.#total - this.#done);
    return `${done}${total === undefined ? "" : ` / ${total}`}${unit}, ${duration(seconds)}${left === undefined || left < 1 ? "" : `, ${duration(left)} left`}`;
  }
}

/**
 * Shows how far an iteration is: `for await (const prompt of progress(prompts)) …`. A throw or `break` in the loop ends
 * the bar too.
 */
export async function* progress<T>(
  items: Iterable<T> | AsyncIterable<T>,
  options: ProgressOptions = {},
): AsyncGenerator<T, void, undefined> {
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

/**
 * A listener for `onProgress` options: one bar a stage, for stages that take longer than a moment. At its end a stage
 * leaves a line of text, which needs no kernel to be read later; what was over at once leaves nothing.
 */
export function progressListener(): (report: ProgressReport) => void {
  let current: { stage: string; bar: ProgressBar } | undefined;
  return ({ stage, done, total, unit }) => {
    if (current?.stage !== stage) {
      current?.bar.close();
      current = {
        stage,
        bar: new ProgressBar(
          { description: stage, unit, ...(total === undefined ? {} : { total }) },
          { after: WORTH_MS, leave: "text" },
        ),
      };
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
