import {
  commHost,
  JUPYTER_DISPLAY,
  type CellOutput,
  type JsonObject,
  type MimeBundle,
  type OutputSink,
} from "../comm-host";
import { isPlainObject } from "./buffers";
import { Button, Checkbox, Dropdown, FloatSlider, IntSlider, Text, VBox } from "./generated";
import { display } from "./mime";
import { Output } from "./output";
import type { RegisteredWidget } from "./registry";
import { Widget } from "./widget";

/** A slider: whole numbers where all that is given is whole. */
export interface Range {
  /** The smallest value. */
  readonly min: number;
  /** The largest value. */
  readonly max: number;
  /** Between two values. Default: 1, or a hundredth of the range where something is not whole. */
  readonly step?: number;
  /** Default: the middle. */
  readonly value?: number;
}

/**
 * What stands for a control: a number (a slider around it), true or false (a checkbox), text (a text field), a range, a
 * list or a record of labelled values (a drop-down), or a widget.
 */
export type Abbreviation =
  | number
  | boolean
  | string
  | Range
  | readonly unknown[]
  | ReadonlyMap<string, unknown>
  | RegisteredWidget
  | Readonly<Record<string, unknown>>;

/** The value that a control gives. */
export type ValueOf<A> = A extends { readonly modelId: string; value: infer V }
  ? V
  : A extends number | Range
    ? number
    : A extends boolean
      ? boolean
      : A extends string
        ? string
        : A extends readonly (infer V)[] | ReadonlyMap<string, infer V>
          ? V
          : A extends Readonly<Record<string, infer V>>
            ? V
            : never;

/** When the function runs. */
export interface InteractOptions {
  /** Run only when the button is clicked. Default false: at every change. */
  readonly manual?: boolean;
}

/** Controls with the output of a function of their values; shows itself as the last expression of a cell. */
export class Interactive<A extends Readonly<Record<string, Abbreviation>>, R> {
  readonly #made: Readonly<Record<string, Observable>>;
  /** What the function prints and shows. */
  readonly output = new Output();
  /** Controls and output together. */
  readonly box: VBox;
  /** What the newest finished run gave. */
  result: R | undefined;
  #running: AbortController | undefined;
  readonly #listening = new AbortController();

  constructor(
    private readonly fn: (values: { readonly [K in keyof A]: ValueOf<A[K]> }, signal: AbortSignal) => R | Promise<R>,
    abbreviations: A,
    options: InteractOptions = {},
  ) {
    this.#made = Object.fromEntries(
      Object.entries(abbreviations).map(([name, abbreviation]) => [name, controlFor(name, abbreviation)]),
    );
    const children: RegisteredWidget[] = Object.values(this.#made);
    if (options.manual) {
      const button = new Button({ description: "Run" });
      button.on("click", () => void this.update());
      children.push(button);
    } else {
      for (const control of Object.values(this.#made))
        control.observe("value", () => void this.update(), { signal: this.#listening.signal });
      void this.update();
    }
    this.box = new VBox([...children, this.output]);
  }

  /** The controls by name. */
  get controls(): { readonly [K in keyof A]: RegisteredWidget } {
    return this.#made as { readonly [K in keyof A]: RegisteredWidget };
  }

  /** Values of the controls now. */
  get values(): { readonly [K in keyof A]: ValueOf<A[K]> } {
    return Object.fromEntries(Object.entries(this.#made).map(([name, control]) => [name, control.value])) as {
      readonly [K in keyof A]: ValueOf<A[K]>;
    };
  }

  /**
   * Runs the function with the values as they are. A run that is under way gets its signal aborted, and what it still
   * shows is dropped: only the newest is seen.
   */
  async update(): Promise<void> {
    this.#running?.abort(new Error("The values changed: a newer run has begun."));
    const own = (this.#running = new AbortController());
    const shown = new RunOutput(this.output, own.signal);
    const host = commHost();
    await host.capture(shown, async () => {
      try {
        const result = await this.fn(this.values, own.signal);
        if (own.signal.aborted) return;
        this.result = result;
        if (result !== undefined && result !== null) await display(result);
      } catch (error) {
        host.showError(error);
      }
    });
    shown.end();
  }

  /** Stops listening and closes the widgets that were made. */
  close(): void {
    this.#listening.abort();
    this.#running?.abort();
    this.box.close();
    this.output.close();
  }

  /** Shows the box. */
  [JUPYTER_DISPLAY](): MimeBundle | Promise<MimeBundle> {
    return this.box[JUPYTER_DISPLAY]();
  }
}

/** Output of one run: it replaces what was there with its first piece, and is silent once a newer run has begun. */
class RunOutput implements OutputSink {
  #begun = false;

  constructor(
    private readonly target: Output,
    private readonly signal: AbortSignal,
  ) {}

  output(output: CellOutput, owner?: object | null): void {
    if (this.signal.aborted) return;
    if (!this.#begun) this.target.clear(true);
    this.#begun = true;
    this.target.output(output, owner);
  }

  update(displayId: string, data: MimeBundle, metadata: JsonObject, owner?: object | null): void {
    if (!this.signal.aborted) this.target.update(displayId, data, metadata, owner);
  }

  clear(wait: boolean): void {
    if (!this.signal.aborted) this.target.clear(wait);
  }

  /** A run that showed nothing leaves nothing of the one before. */
  end(): void {
    if (!this.#begun && !this.signal.aborted) this.target.clear();
  }
}

/**
 * The control that an abbreviation stands for; whole numbers get whole-number sliders from their negative to three
 * times them.
 */
function controlFor(name: string, abbreviation: Abbreviation): Observable {
  const description = name;
  if (isObservable(abbreviation)) return abbreviation;
  switch (typeof abbreviation) {
    case "boolean":
      return new Checkbox({ value: abbreviation, description });
    case "string":
      return new Text({ value: abbreviation, description });
    case "number": {
      const ends = abbreviation === 0 ? [0, 1] : [-abbreviation, 3 * abbreviation].sort((a, b) => a - b);
      const [min, max] = ends as [number, number];
      if (Number.isInteger(abbreviation)) return new IntSlider({ value: abbreviation, min, max, description });
      return new FloatSlider({ value: abbreviation, min, max, description });
    }
  }
  if (isRange(abbreviation)) {
    const { min, max, step } = abbreviation;
    const whole = [min, max, step ?? 1, abbreviation.value ?? min].every(Number.isInteger);
    const middle = (min + max) / 2;
    const value = abbreviation.value ?? (whole ? Math.floor(middle) : middle);
    if (whole) return new IntSlider({ value, min, max, step: step ?? 1, description });
    return new FloatSlider({ value, min, max, step: step ?? (max - min) / 100, description });
  }
  if (Array.isArray(abbreviation) || abbreviation instanceof Map || isPlainObject(abbreviation)) {
    return new Dropdown<unknown>({
      options: abbreviation as readonly unknown[] | ReadonlyMap<string, unknown>,
      description,
    });
  }
  throw new TypeError(
    `The control "${name}" must be a number, true or false, text, { min, max }, a list, a record, or a widget with a value.`,
  );
}

/** What `interact` needs of a widget. */
type Observable = RegisteredWidget & {
  readonly value: unknown;
  observe(name: "value", listener: () => void, options: { signal: AbortSignal }): unknown;
};

function isObservable(value: Abbreviation): value is Observable {
  return value instanceof Widget && "value" in value;
}

function isRange(value: Abbreviation): value is Range {
  return isPlainObject(value) && typeof value["min"] === "number" && typeof value["max"] === "number";
}

/** Makes interactive controls for a function: `interact(({ x }) => x ** 2, { x: 5 })`. */
export function interact<const A extends Readonly<Record<string, Abbreviation>>, R>(
  fn: (values: { readonly [K in keyof A]: ValueOf<A[K]> }, signal: AbortSignal) => R | Promise<R>,
  controls: A,
  options: InteractOptions = {},
): Interactive<A, R> {
  return new Interactive(fn, controls, options);
}
