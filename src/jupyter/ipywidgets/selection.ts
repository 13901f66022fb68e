import { defineControl, type Control, type ControlInit, type Definition } from "./control";

/** What can be chosen from: values, labelled by themselves, or labels with their values. */
export type Options<V> = readonly V[] | Readonly<Record<string, V>> | ReadonlyMap<string, V>;

interface WithOptions<V> {
  /** What can be chosen from. New options choose the first one again. */
  options: Options<V>;
}

interface OneOf<V> extends WithOptions<V> {
  /** The chosen value; null: none. */
  value: V | null;
  /** Label of the chosen value; null: none. */
  label: string | null;
}

interface ManyOf<V> extends WithOptions<V> {
  /** The chosen values, in the order of the options. */
  value: readonly V[];
  label: readonly string[];
}

interface RangeOf<V> extends WithOptions<V> {
  /** First and last chosen value. */
  value: readonly [V, V];
  label: readonly [string, string];
}

/** A control that chooses one of its options. `index`, `label` and `value` always say the same. */
export type Selection<S extends object, V> = Control<S & OneOf<V>>;
/** A control that chooses any number of its options. */
export type MultipleSelection<S extends object, V> = Control<S & ManyOf<V>>;
/** A control that chooses a stretch of its options. */
export type RangeSelection<S extends object, V> = Control<S & RangeOf<V>>;

export interface SelectionClass<S extends object> {
  new <V = string>(init?: ControlInit<S & OneOf<V>>): Selection<S, V>;
}
export interface MultipleSelectionClass<S extends object> {
  new <V = string>(init?: ControlInit<S & ManyOf<V>>): MultipleSelection<S, V>;
}
export interface RangeSelectionClass<S extends object> {
  new <V = string>(init?: ControlInit<S & RangeOf<V>>): RangeSelection<S, V>;
}

/** The wire's part of a selection's state with the kernel's; `index` is a number, a list or a pair. */
interface State {
  _options_labels: readonly string[];
  index: unknown;
  options: Options<unknown>;
  value: unknown;
  label: unknown;
}

function entries(options: Options<unknown>): { labels: string[]; values: unknown[] } {
  if (Array.isArray(options)) return { labels: options.map(String), values: [...(options as unknown[])] };
  const pairs: readonly (readonly [string, unknown])[] =
    options instanceof Map ? [...(options as ReadonlyMap<string, unknown>)] : Object.entries(options);
  return { labels: pairs.map(([label]) => label), values: pairs.map(([, value]) => value) };
}

interface Shape {
  /** Index where nothing is given, for n options. */
  first(name: string, n: number): unknown;
  /** Applies a look-up to each single index of `index`. */
  map(index: unknown, look: (one: unknown) => unknown): unknown;
}

const ONE: Shape = {
  first: (_name, n) => (n > 0 ? 0 : null),
  map: (index, look) => (index === null ? null : look(index)),
};
const MANY: Shape = {
  first: () => [],
  map: (index, look) => (Array.isArray(index) ? index.map(look) : look(index)),
};
const RANGE: Shape = {
  first: () => [0, 0],
  map: MANY.map,
};

/** Keeps labels, index, label and value of a selection in step; whichever was given decides, index first. */
function reconcile(name: string, shape: Shape) {
  return (next: State, changed: ReadonlySet<string>): Partial<State> => {
    const { labels, values } = entries(next.options);
    const find =
      (list: readonly unknown[], what: string) =>
      (one: unknown): number => {
        const at = list.findIndex((other) => Object.is(other, one));
        if (at < 0)
          throw new RangeError(
            `${name} has no option with the ${what} ${JSON.stringify(one) ?? String(one)}; it has: ${labels.join(", ") || "none"}.`,
          );
        return at;
      };
    const within = (one: unknown): number => {
      if (typeof one !== "number" || !Number.isInteger(one) || one < 0 || one >= labels.length) {
        throw new RangeError(
          `The index of ${name} must be a whole number from 0 to ${labels.length - 1}, not ${String(one)}.`,
        );
      }
      return one;
    };
    let index: unknown;
    if (changed.has("index")) index = shape.map(next.index, within);
    else if (changed.has("value")) index = shape.map(next.value, find(values, "value"));
    else if (changed.has("label")) index = shape.map(next.label, find(labels, "label"));
    else if (changed.has("options") || changed.size === 0)
      index = labels.length > 0 ? shape.first(name, labels.length) : shape === ONE ? null : next.index;
    else return {};
    const look = (list: readonly unknown[]): unknown =>
      labels.length === 0 && shape !== ONE ? [] : shape.map(index, (one) => list[one as number]);
    return { _options_labels: labels, index, value: look(values), label: look(labels) };
  };
}

function define<C>(definition: object, shape: Shape, indexKind: string): C {
  const base = definition as Definition<State>;
  const full = {
    ...base,
    traits: {
      ...base.traits,
      index: { ...base.traits.index, kind: indexKind },
      options: { kind: "options", default: [], local: true },
      value: { kind: "value", default: shape === ONE ? null : [], local: true, nullable: true },
      label: { kind: "value", default: shape === ONE ? null : [], local: true, nullable: true },
    },
    reconcile: reconcile(base.name, shape),
  };
  return defineControl<State>(full) as unknown as C;
}

export function defineSelection<S extends object>(definition: Definition<S>): SelectionClass<S> {
  return define(definition, ONE, "int");
}

export function defineMultipleSelection<S extends object>(definition: Definition<S>): MultipleSelectionClass<S> {
  return define(definition, MANY, "ints");
}

export function defineRangeSelection<S extends object>(definition: Definition<S>): RangeSelectionClass<S> {
  return define(definition, RANGE, "intRange");
}
