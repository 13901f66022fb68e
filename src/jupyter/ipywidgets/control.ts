import { inspect } from "node:util";
import { CODECS, type TimeOfDay } from "./codecs";
import { isPlainObject } from "./buffers";
import type { RegisteredWidget } from "./registry";
import { Widget, type Codec, type WidgetSpec } from "./widget";

/** One key of a stock control, as its schema has it. */
export interface Trait {
  readonly kind: string;
  /** A function makes a fresh value for each control. */
  readonly default: unknown;
  readonly nullable?: boolean;
  readonly oneOf?: readonly string[];
  /** Kept in the kernel, not sent. */
  readonly local?: boolean;
}

export interface Definition<S> {
  readonly name: string;
  readonly modelName: string;
  readonly modelModule: string;
  readonly modelModuleVersion: string;
  readonly viewName: string | null;
  readonly viewModule: string;
  readonly viewModuleVersion: string;
  readonly traits: { readonly [K in keyof S]: Trait };
  /** What else must change when `changed` keys of `next` do; throws where they contradict each other. */
  readonly reconcile?: (next: S, changed: ReadonlySet<string>) => Partial<S>;
}

export interface ClickEvents {
  /** The button was clicked. */
  click: undefined;
}

export interface SubmitEvents {
  /** The user pressed Enter. */
  submit: undefined;
}

/** One end of a link: a widget and the name of its key. */
export type LinkEnd = readonly [widget: RegisteredWidget, name: string];

/** What has a state that can be given as a plain object. */
interface Stateful<X> {
  /** All of its keys and their values. */
  readonly state: X;
}

/** Values for a new control. Layouts and styles can be given as plain objects. */
export type ControlInit<S> = {
  readonly [K in keyof S]?: S[K] extends Stateful<infer X> ? S[K] | Partial<X> : S[K];
};

type ControlArguments<S> = S extends { children: infer C }
  ? [children?: C | ControlInit<S>, init?: ControlInit<S>]
  : [init?: ControlInit<S>];

/** A stock control: its state's keys are properties. Setting one sends it. */
export type Control<S extends object, E extends object = object> = ControlBase<S, E> & S;

/** What makes controls of one kind: `new IntSlider({ value: 3 })`. */
export interface ControlClass<S extends object, E extends object = object> {
  new (...args: ControlArguments<S>): Control<S, E>;
  /** Its traits and its classes in the front end. */
  readonly definition: Definition<S>;
}

/** What all stock controls share. */
export class ControlBase<S extends object, E extends object = object> extends Widget<S, E> {
  constructor(
    /** Its traits and its classes in the front end. */
    protected readonly definition: Definition<S>,
    init: ControlInit<S>,
  ) {
    super(specOf(definition), initialState(definition, init));
    this.on("message", ({ content }) => {
      const { event } = content;
      if (typeof event === "string") this.emit(event as never, undefined as never);
    });
  }

  /** Adds a CSS class to the control's element. */
  addClass(name: string): this {
    const classes = this.#classes();
    if (!classes.includes(name)) this.set({ _dom_classes: [...classes, name] } as unknown as Partial<S>);
    return this;
  }

  /** Removes a CSS class from the control's element. */
  removeClass(name: string): this {
    this.set({ _dom_classes: this.#classes().filter((one) => one !== name) } as unknown as Partial<S>);
    return this;
  }

  #classes(): readonly string[] {
    return (this.state as { _dom_classes?: readonly string[] })._dom_classes ?? [];
  }

  protected override validate<K extends keyof S & string>(name: K, value: S[K]): S[K] {
    return checkTrait(this.definition, name, value);
  }

  protected override reconcile(next: S, changed: ReadonlySet<string>): Partial<S> {
    return reconcileAll(this.definition, next, changed);
  }
}

/** Makes the class of a stock control from its schema. */
export function defineControl<S extends object, E extends object = object>(
  definition: Definition<S>,
): ControlClass<S, E> {
  class Defined extends ControlBase<S, E> {
    static readonly definition = definition;
    constructor(...args: unknown[]) {
      const [first, second] = args;
      const init = Array.isArray(first)
        ? { ...(second as object | undefined), children: first as unknown }
        : (first ?? {});
      super(definition, init);
    }
  }
  Object.defineProperty(Defined, "name", { value: definition.name });
  for (const name of Object.keys(definition.traits) as (keyof S & string)[]) {
    Object.defineProperty(Defined.prototype, name, {
      configurable: true,
      enumerable: true,
      get(this: Defined) {
        return this.get(name);
      },
      set(this: Defined, value: S[typeof name]) {
        this.set({ [name]: value } as unknown as Partial<S>);
      },
    });
  }
  return Defined as unknown as ControlClass<S, E>;
}

const specs = new WeakMap<object, WidgetSpec<never>>();

function specOf<S extends object>(definition: Definition<S>): WidgetSpec<S> {
  const known = specs.get(definition);
  if (known !== undefined) return known as unknown as WidgetSpec<S>;
  const names = Object.keys(definition.traits) as (keyof S & string)[];
  const codecs: { [K in keyof S & string]?: Codec<S[K]> } = {};
  for (const name of names) {
    const codec = CODECS[definition.traits[name].kind];
    if (codec !== undefined) codecs[name] = codec;
  }
  const { modelName, modelModule, modelModuleVersion, viewName, viewModule, viewModuleVersion } = definition;
  const spec: WidgetSpec<S> = {
    modelName,
    modelModule,
    modelModuleVersion,
    viewName,
    viewModule,
    viewModuleVersion,
    codecs,
    references: names.filter((name) => ["widget", "widgets", "end"].includes(definition.traits[name].kind)),
    local: names.filter((name) => definition.traits[name].local),
  };
  specs.set(definition, spec as unknown as WidgetSpec<never>);
  return spec;
}

/** Defaults with `init` over them, checked. */
function initialState<S extends object>(definition: Definition<S>, init: ControlInit<S>): S {
  const state: Record<string, unknown> = {};
  for (const name of Object.keys(init) as (keyof S & string)[]) {
    if (definition.traits[name] === undefined) {
      throw new RangeError(
        `${definition.name} has no "${name}"; it has: ${Object.keys(definition.traits)
          .filter((one) => !one.startsWith("_"))
          .join(", ")}.`,
      );
    }
  }
  for (const [name, trait] of Object.entries(definition.traits) as [keyof S & string, Trait][]) {
    const given: unknown = init[name];
    const fresh = (): unknown =>
      typeof trait.default === "function" ? (trait.default as () => unknown)() : trait.default;
    if (given === undefined) state[name] = fresh();
    else if (trait.kind === "widget" && isPlainObject(given)) {
      const part = fresh() as Widget<object>;
      part.set(given);
      state[name] = part;
    } else state[name] = checkTrait(definition, name, given as S[typeof name]);
  }
  const extra = reconcileAll(definition, state as S, new Set(Object.keys(init)));
  return { ...(state as S), ...extra };
}

/** Throws where a value is not what its key takes. */
function checkTrait<S, K extends keyof S & string>(definition: Definition<S>, name: K, value: S[K]): S[K] {
  const trait = definition.traits[name];
  if (value === null && trait.nullable) return value;
  const { kind, oneOf } = trait;
  const wanted =
    oneOf !== undefined ? `one of ${oneOf.map((one) => JSON.stringify(one)).join(", ")}` : KINDS[kind]?.wanted;
  const fits = oneOf !== undefined ? oneOf.includes(value as string) : (KINDS[kind]?.fits(value) ?? true);
  if (!fits) {
    const shown = inspect(value, { depth: 1, breakLength: Infinity }).slice(0, 80);
    throw new TypeError(
      `${definition.name}.${name} must be ${String(wanted)}${trait.nullable ? ", or null" : ""}, not ${shown}.`,
    );
  }
  return value;
}

interface Kind {
  readonly wanted: string;
  fits(value: unknown): boolean;
}

const isNumber = (value: unknown): value is number => typeof value === "number" && !Number.isNaN(value);
const list =
  (fits: (item: unknown) => boolean, length?: number) =>
  (value: unknown): boolean =>
    Array.isArray(value) && (length === undefined || value.length === length) && value.every(fits);
const isString = (value: unknown): value is string => typeof value === "string";
const isWidget = (value: unknown): boolean => typeof value === "object" && value !== null && "modelId" in value;

const KINDS: { readonly [kind: string]: Kind } = {
  string: { wanted: "a string", fits: isString },
  bool: { wanted: "true or false", fits: (value) => typeof value === "boolean" },
  int: { wanted: "a whole number", fits: Number.isInteger },
  float: { wanted: "a number", fits: isNumber },
  intOrAny: { wanted: 'a whole number or "any"', fits: (value) => value === "any" || Number.isInteger(value) },
  floatOrAny: { wanted: 'a number or "any"', fits: (value) => value === "any" || isNumber(value) },
  strings: { wanted: "a list of strings", fits: list(isString) },
  ints: { wanted: "a list of whole numbers", fits: list(Number.isInteger) },
  floats: { wanted: "a list of numbers", fits: list(isNumber) },
  intRange: { wanted: "a pair of whole numbers", fits: list(Number.isInteger, 2) },
  floatRange: { wanted: "a pair of numbers", fits: list(isNumber, 2) },
  widget: { wanted: "a widget", fits: isWidget },
  widgets: { wanted: "a list of widgets", fits: list(isWidget) },
  end: {
    wanted: "a widget and the name of its key",
    fits: (value) =>
      Array.isArray(value) && (value.length === 0 || (value.length === 2 && isWidget(value[0]) && isString(value[1]))),
  },
  bytes: { wanted: "bytes (a Uint8Array)", fits: (value) => ArrayBuffer.isView(value) },
  Date: { wanted: "a valid Date", fits: (value) => value instanceof Date && !Number.isNaN(value.getTime()) },
  Datetime: { wanted: "a valid Date", fits: (value) => value instanceof Date && !Number.isNaN(value.getTime()) },
  Time: {
    wanted: "{ hours, minutes, seconds, milliseconds }",
    fits: (value) =>
      isPlainObject(value) && ["hours", "minutes", "seconds", "milliseconds"].every((key) => isNumber(value[key])),
  },
  files: { wanted: "a list of files", fits: Array.isArray },
  outputs: { wanted: "a list of outputs", fits: Array.isArray },
};

function reconcileAll<S>(definition: Definition<S>, next: S, changed: ReadonlySet<string>): Partial<S> {
  const own = definition.reconcile?.(next, changed) ?? {};
  const bounds = "min" in definition.traits && "max" in definition.traits && "value" in definition.traits;
  return bounds
    ? {
        ...own,
        ...(keepWithin(
          definition as unknown as Definition<Bounded>,
          { ...next, ...own } as unknown as Bounded,
        ) as Partial<S>),
      }
    : own;
}

interface Bounded {
  min: unknown;
  max: unknown;
  value: unknown;
  base?: number;
}

/**
 * As Python does: a value outside of its bounds is moved to the nearer one; bounds or ends in the wrong order are
 * refused.
 */
function keepWithin(definition: Definition<Bounded>, state: Bounded): Partial<Bounded> {
  const [low, high] = [order(state.min), order(state.max)];
  if (low !== undefined && high !== undefined && low > high) {
    throw new RangeError(
      `${definition.name}.min must not be greater than max, but it is ${show(state.min)} and max is ${show(state.max)}.`,
    );
  }
  // A logarithmic slider has the exponents of its base as bounds.
  const scale = (bound: unknown): unknown =>
    state.base === undefined || typeof bound !== "number" ? bound : state.base ** bound;
  const clamp = (value: unknown): unknown => {
    const at = order(value);
    if (at === undefined) return value;
    const [from, to] = [scale(state.min), scale(state.max)];
    if (order(from) !== undefined && at < (order(from) as number)) return from;
    if (order(to) !== undefined && at > (order(to) as number)) return to;
    return value;
  };
  if (!Array.isArray(state.value)) {
    const value = clamp(state.value);
    return value === state.value ? {} : { value };
  }
  const [first, second] = state.value as [number, number];
  if (first > second)
    throw new RangeError(
      `The lower end of ${definition.name}.value must not be greater than the upper one, but they are ${first} and ${second}.`,
    );
  const value = [clamp(first), clamp(second)];
  return value[0] === first && value[1] === second ? {} : { value };
}

/** Where a value lies among others of its kind; undefined for none. */
function order(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  if (value instanceof Date) return value.getTime();
  if (isPlainObject(value)) {
    const { hours, minutes, seconds, milliseconds } = value as unknown as TimeOfDay;
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds;
  }
  return undefined;
}

function show(value: unknown): string {
  return inspect(value, { breakLength: Infinity });
}
