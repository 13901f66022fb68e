/**
 * Jinja as Python renders it: `@huggingface/jinja`, with Python's ways where it has JavaScript's (how values print,
 * what equals what, what `strip("\n")` takes away, what stands before a `continue`) and some filters and methods more.
 * What neither knows is an error, never another text. test/model/chat-jinja.test.ts compares it with jinja2.
 */
import * as jinja from "@huggingface/jinja";

/** A value of a template. */
interface Value {
  readonly type: string;
  readonly value: unknown;
  __bool__(): { readonly value: boolean };
}

/** A part of a parsed template. */
interface Node {
  readonly type: string;
}
interface Name extends Node {
  readonly value: string;
}
interface Call extends Node {
  readonly callee: Name;
  readonly args: readonly Node[];
}
interface For extends Node {
  readonly iterable: Node & { readonly lhs?: Node };
  readonly body: readonly Node[];
}
interface Member extends Node {
  readonly object: Node;
  readonly property: Node & { readonly value: unknown };
  readonly computed: boolean;
}
interface Binary extends Node {
  readonly left: Node;
  readonly right: Node;
  readonly operator: { readonly value: string };
}
interface Test extends Node {
  readonly operand: Node;
  readonly test: Name;
  readonly negate: boolean;
}
type Keywords = ReadonlyMap<string, Value>;

/** Variables by name. */
interface Scope {
  readonly tests: ReadonlyMap<string, (...values: readonly (Value | undefined)[]) => boolean>;
  set(name: string, value: unknown): Value;
}

/** The parts of the package that are used here; its declarations name fewer. */
interface Interpreting {
  run(program: object): { readonly value: string };
  evaluate(node: Node | undefined, scope: Scope): Value;
  evaluateBlock(nodes: readonly Node[], scope: Scope): Value;
  evaluateFor(node: For, scope: Scope): Value;
  evaluateMemberExpression(node: Member, scope: Scope): Value;
  evaluateBinaryExpression(node: Binary, scope: Scope): Value;
  evaluateTestExpression(node: Test, scope: Scope): Value;
  evaluateArguments(nodes: readonly Node[], scope: Scope): readonly [readonly Value[], Keywords];
  applyFilter(operand: Value, filter: Name | Call, scope: Scope): Value;
}
interface Package {
  tokenize(source: string, options: { readonly lstrip_blocks: boolean; readonly trim_blocks: boolean }): unknown;
  parse(tokens: unknown): object;
  readonly Environment: new () => Scope;
  readonly Interpreter: new (scope: Scope) => Interpreting;
}
const { Environment, Interpreter, parse, tokenize } = jinja as unknown as Package;

/** A template that was read. Throws where it is none. */
export function parseTemplate(source: string): object {
  // As jinja2 reads it: lines end in one way.
  return parse(tokenize(source.replace(/\r\n?/g, "\n"), { lstrip_blocks: true, trim_blocks: true }));
}

/** Renders a template with these variables. Throws what the template throws. */
export function renderTemplate(program: object, variables: Readonly<Record<string, unknown>>): string {
  const scope = new Environment();
  for (const [name, value] of Object.entries(variables)) scope.set(name, value);
  return new PythonInterpreter(scope).run(program).value;
}

/** A text, number, truth value or null as a template's value. */
const valueOf = (plain: string | number | boolean | null): Value => new Environment().set("value", plain);
const nothing = (): Value => new Environment().set("value", undefined);
const ListValue = new Environment().set("value", []).constructor as new (items: readonly Value[]) => Value;
const FunctionValue = new Environment().set("value", () => null).constructor as new (
  call: (args: readonly Value[]) => Value,
) => Value;

const isText = (value: Value): value is Value & { readonly value: string } => value.type === "StringValue";
const isList = (value: Value): value is Value & { readonly value: readonly Value[] } =>
  value.type === "ArrayValue" || value.type === "TupleValue";
const isMapping = (value: Value): value is Value & { readonly value: ReadonlyMap<string, Value> } =>
  value.type === "ObjectValue";
const isNumber = (value: Value): value is Value & { readonly value: number | boolean } =>
  value.type === "IntegerValue" || value.type === "FloatValue" || value.type === "BooleanValue";

/** Python's `str`. */
function str(value: Value): string {
  if (isText(value)) return value.value;
  return value.type === "UndefinedValue" ? "" : repr(value);
}

/** Python's `repr`. */
function repr(value: Value): string {
  if (isText(value)) return quoted(value.value);
  if (value.type === "NullValue") return "None";
  if (value.type === "UndefinedValue") return "Undefined";
  if (value.type === "BooleanValue") return value.value === true ? "True" : "False";
  if (value.type === "TupleValue" && isList(value))
    return value.value.length === 1 ? `(${repr(value.value[0])},)` : `(${value.value.map(repr).join(", ")})`;
  if (isList(value)) return `[${value.value.map(repr).join(", ")}]`;
  if (isMapping(value)) return `{${[...value.value].map(([key, item]) => `${quoted(key)}: ${repr(item)}`).join(", ")}}`;
  return `${value as unknown as string}`;
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = text.replace(/[\\\n\r\t'\u0000-\u001f\u007f-\u00a0\u00ad]/g, (char) => {
    if (char === "'") return quote === "'" ? "\\'" : char;
    return ESCAPES[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return `${quote}${inner}${quote}`;
}

/** Python's `==`. */
function equal(a: Value, b: Value): boolean {
  if (isNumber(a) && isNumber(b)) return Number(a.value) === Number(b.value);
  if (isList(a) && isList(b))
    return (
      a.type === b.type && a.value.length === b.value.length && a.value.every((item, i) => equal(item, b.value[i]))
    );
  if (isMapping(a) && isMapping(b))
    return (
      a.value.size === b.value.size &&
      [...a.value].every(([key, item]) => {
        const other = b.value.get(key);
        return other !== undefined && equal(item, other);
      })
    );
  return a.type === b.type && a.value === b.value;
}

const SPACE = /[\t-\r\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/** Python's `strip`: characters of a set, white space by default, from the ends that are named. */
function stripped(text: string, ends: "both" | "left" | "right", set: Value | undefined): string {
  const chars = Array.from(text);
  const gone = set !== undefined && isText(set) ? new Set(set.value) : undefined;
  const goes = (char: string): boolean => (gone ? gone.has(char) : SPACE.test(char));
  let [from, to] = [0, chars.length];
  if (ends !== "right") while (from < to && goes(chars[from])) from++;
  if (ends !== "left") while (to > from && goes(chars[to - 1])) to--;
  return chars.slice(from, to).join("");
}

const capitalized = (text: string): string => {
  const [first = "", ...rest] = Array.from(text);
  return first.toUpperCase() + rest.join("").toLowerCase();
};

/** The filter `title`; the method of texts capitalises behind everything that is no letter. */
const titled = (text: string): string =>
  text
    .split(/([-\s({[<]+)/)
    .map(capitalized)
    .join("");

/** The filter `int`. */
function whole(value: Value): number | undefined {
  if (isNumber(value)) return Math.trunc(Number(value.value));
  if (!isText(value) || !/^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(value.value)) return undefined;
  return Math.trunc(Number(value.value));
}

/** What a method needs and did not get is an error. */
function textOf(args: readonly Value[], i: number): string {
  const value = args[i] as Value | undefined;
  if (value === undefined || !isText(value)) throw new Error("A method of texts was called without a text.");
  return value.value;
}

/** `rsplit` with at most so many cuts, from the right. */
function splitFromRight(text: string, separator: string, most: Value | undefined): string[] {
  const parts = text.split(separator);
  const cuts = most?.type === "IntegerValue" && (most.value as number) >= 0 ? (most.value as number) : Infinity;
  if (parts.length - 1 <= cuts) return parts;
  const joined = parts.length - cuts;
  return [parts.slice(0, joined).join(separator), ...parts.slice(joined)];
}

const TEXT_METHODS: Readonly<
  Record<string, (text: string, args: readonly Value[]) => string | number | boolean | string[]>
> = {
  strip: (text, [set]) => stripped(text, "both", set),
  lstrip: (text, [set]) => stripped(text, "left", set),
  rstrip: (text, [set]) => stripped(text, "right", set),
  capitalize: capitalized,
  title: (text) => text.replace(/\p{L}+/gu, capitalized),
  removeprefix: (text, args) => {
    const prefix = textOf(args, 0);
    return text.startsWith(prefix) ? text.slice(prefix.length) : text;
  },
  removesuffix: (text, args) => {
    const suffix = textOf(args, 0);
    return suffix !== "" && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text;
  },
  rsplit: (text, args) => splitFromRight(text, textOf(args, 0), args[1]),
  splitlines: (text) =>
    text
      .replace(/(\r\n|[\n-\r\u001c-\u001e\u0085\u2028\u2029])$/, "")
      .split(/\r\n|[\n-\r\u001c-\u001e\u0085\u2028\u2029]/),
  find: (text, args) => text.indexOf(textOf(args, 0)),
  rfind: (text, args) => text.lastIndexOf(textOf(args, 0)),
  count: (text, args) => text.split(textOf(args, 0)).length - 1,
  isdigit: (text) => /^\p{Nd}+$/u.test(text),
  isalpha: (text) => /^\p{L}+$/u.test(text),
  isspace: (text) => text !== "" && stripped(text, "left", undefined) === "",
  join: (text, [items]) => {
    if (!isList(items) || !items.value.every(isText)) throw new Error("join takes a list of texts.");
    return items.value.map(({ value }) => value).join(text);
  },
};

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&#34;",
  "'": "&#39;",
};

/** A `break` or `continue` on its way to its loop, and what the loop's body had written. */
interface Leaving {
  readonly kind: string;
  readonly error: unknown;
  text: string;
}

/** How a part of a template is called in errors. */
function said(node: Node): string {
  const { value, property } = node as Partial<Member & { readonly value: unknown }>;
  const name = property === undefined ? value : property.value;
  return typeof name === "string" || typeof name === "number" ? `"${name}"` : "a value";
}

/** A value as a part of a template that gives it. */
class Known implements Node {
  readonly type = "Known";
  constructor(readonly known: Value) {}
}

/** Statements that print nothing, whatever they give. */
const SILENT: ReadonlySet<string> = new Set(["Set", "Macro", "Comment", "Break", "Continue"]);

class PythonInterpreter extends Interpreter {
  readonly #bodies = new WeakSet<readonly Node[]>();
  #iterable?: Node;
  #leaving?: Leaving;
  /** What the body of a loop had written when it was left for good. */
  #last = "";

  override evaluate(node: Node | undefined, scope: Scope): Value {
    if (node instanceof Known) return node.known;
    const iterable = node !== undefined && node === this.#iterable;
    if (iterable) this.#iterable = undefined;
    try {
      const value = super.evaluate(node, scope);
      if (!iterable) return value;
      if (value.type === "UndefinedValue") return new ListValue([]);
      return isText(value) ? new ListValue(Array.from(value.value, valueOf)) : value;
    } catch (error) {
      if (node?.type === "Break" || node?.type === "Continue") this.#leaving = { kind: node.type, error, text: "" };
      throw error;
    }
  }

  override evaluateBlock(nodes: readonly Node[], scope: Scope): Value {
    let text = "";
    for (const node of nodes) {
      let value: Value;
      try {
        value = this.evaluate(node, scope);
      } catch (error) {
        const leaving = this.#leaving;
        if (leaving === undefined || leaving.error !== error) throw error;
        leaving.text = text + leaving.text;
        if (!this.#bodies.has(nodes)) throw error;
        this.#leaving = undefined;
        if (leaving.kind === "Continue") return valueOf(leaving.text);
        this.#last = leaving.text;
        throw error;
      }
      if (!SILENT.has(node.type)) text += str(value);
    }
    return valueOf(text);
  }

  override evaluateFor(node: For, scope: Scope): Value {
    this.#bodies.add(node.body);
    this.#iterable = node.iterable.type === "SelectExpression" ? node.iterable.lhs : node.iterable;
    const value = super.evaluateFor(node, scope);
    const last = this.#last;
    this.#last = "";
    return last === "" ? value : valueOf(str(value) + last);
  }

  override evaluateMemberExpression(node: Member, scope: Scope): Value {
    const object = this.evaluate(node.object, scope);
    if (object.type === "UndefinedValue") throw new Error(`${said(node.object)} is undefined`);
    // Evaluated once: what it is stands in for how it was said.
    const known = { ...node, object: new Known(object) };
    if (!isText(object)) return super.evaluateMemberExpression(known, scope);
    if (node.computed) {
      // A character, not half of one.
      const value = node.property.type === "SliceExpression" ? undefined : this.evaluate(node.property, scope);
      if (value?.type !== "IntegerValue") return super.evaluateMemberExpression(known, scope);
      const char = Array.from(object.value).at(value.value as number);
      return char === undefined ? nothing() : valueOf(char);
    }
    const name = node.property.value;
    if (typeof name !== "string" || !Object.hasOwn(TEXT_METHODS, name))
      return super.evaluateMemberExpression(known, scope);
    return new FunctionValue((args) => {
      const result = TEXT_METHODS[name](object.value, args);
      return Array.isArray(result) ? new ListValue(result.map(valueOf)) : valueOf(result);
    });
  }

  override evaluateBinaryExpression(node: Binary, scope: Scope): Value {
    const operator = node.operator.value;
    if (operator === "and" || operator === "or") return super.evaluateBinaryExpression(node, scope);
    const [left, right] = [this.evaluate(node.left, scope), this.evaluate(node.right, scope)];
    if (operator === "~") return valueOf(str(left) + str(right));
    if (operator === "==" || operator === "!=") return valueOf(equal(left, right) === (operator === "=="));
    if ((operator === "in" || operator === "not in") && isList(right))
      return valueOf(right.value.some((item) => equal(item, left)) === (operator === "in"));
    if (operator === "%" && left.type === "IntegerValue" && right.type === "IntegerValue" && right.value !== 0) {
      const [a, b] = [left.value as number, right.value as number];
      return valueOf(((a % b) + b) % b);
    }
    if (operator === "+" && isText(left) !== isText(right))
      throw new Error(`${repr(left)} and ${repr(right)} cannot be added`);
    return super.evaluateBinaryExpression({ ...node, left: new Known(left), right: new Known(right) }, scope);
  }

  override evaluateTestExpression(node: Test, scope: Scope): Value {
    const name = node.test.value;
    if (name !== "float" && name !== "iterable") return super.evaluateTestExpression(node, scope);
    const operand = this.evaluate(node.operand, scope);
    const holds =
      name === "float"
        ? operand.type === "FloatValue"
        : isText(operand) || isList(operand) || isMapping(operand) || operand.type === "UndefinedValue";
    return valueOf(holds !== node.negate);
  }

  override applyFilter(operand: Value, filter: Name | Call, scope: Scope): Value {
    const call = "callee" in filter ? filter : undefined;
    const name = "callee" in filter ? filter.callee.value : filter.value;
    const [args, keywords] = call && OWN_FILTERS.has(name) ? this.evaluateArguments(call.args, scope) : [[], NONE];
    const [first] = args as readonly (Value | undefined)[];
    switch (name) {
      case "string":
        return valueOf(str(operand));
      case "count":
      case "length":
        if (isText(operand)) return valueOf(Array.from(operand.value).length);
        if (operand.type === "UndefinedValue") return valueOf(0);
        return super.applyFilter(operand, { type: "Identifier", value: "length" }, scope);
      case "tojson":
        if (operand.type === "UndefinedValue") throw new Error("What is undefined is no JSON");
        break;
      case "first":
      case "last": {
        const items = isText(operand)
          ? Array.from(operand.value, valueOf)
          : isList(operand)
            ? operand.value
            : undefined;
        if (items === undefined) break;
        return items.at(name === "first" ? 0 : -1) ?? nothing();
      }
      case "int": {
        const number = whole(operand);
        return number === undefined ? (first ?? keywords.get("default") ?? valueOf(0)) : valueOf(number);
      }
      case "title":
        return valueOf(titled(str(operand)));
      case "trim":
        return valueOf(stripped(str(operand), "both", first ?? keywords.get("chars")));
      case "capitalize":
        return valueOf(capitalized(str(operand)));
      case "e":
      case "escape":
        return valueOf(str(operand).replace(/[&<>"']/g, (char) => ENTITIES[char]));
      case "d":
      case "default":
        if (call)
          return super.applyFilter(operand, { ...call, callee: { type: "Identifier", value: "default" } }, scope);
        return operand.type === "UndefinedValue" ? valueOf("") : operand;
      case "reverse":
        if (isText(operand)) return valueOf(Array.from(operand.value).reverse().join(""));
        break;
      case "list":
        if (isText(operand)) return new ListValue(Array.from(operand.value, valueOf));
        if (isMapping(operand)) return new ListValue([...operand.value.keys()].map(valueOf));
        break;
      case "join": {
        const attribute = keywords.get("attribute");
        if (!isList(operand)) break;
        const separator = first ?? keywords.get("d");
        const shown = (item: Value): Value =>
          attribute === undefined
            ? item
            : ((isMapping(item) ? item.value.get(str(attribute)) : undefined) ?? nothing());
        return valueOf(
          operand.value.map((item) => str(shown(item))).join(separator === undefined ? "" : str(separator)),
        );
      }
      case "map": {
        if (!isList(operand) || first === undefined || !isText(first) || args.length > 1) break;
        const { value } = first;
        return new ListValue(operand.value.map((item) => this.applyFilter(item, { type: "Identifier", value }, scope)));
      }
      case "select":
      case "reject": {
        if (!isList(operand)) break;
        const test = first === undefined ? undefined : scope.tests.get(str(first));
        if (first !== undefined && test === undefined) throw new Error(`Unknown test: ${str(first)}`);
        const holds = (item: Value): boolean => (test ? test(item, args[1]) : item.__bool__().value);
        return new ListValue(operand.value.filter((item) => holds(item) === (name === "select")));
      }
      case "sum":
        if (isList(operand) && operand.value.every(isNumber) && !call)
          return valueOf(operand.value.reduce((total, { value }) => total + Number(value), 0));
        break;
      case "max":
      case "min":
        if (isList(operand) && operand.value.length > 0 && operand.value.every(isNumber) && !call)
          return operand.value.reduce((best, item) =>
            (name === "max" ? Number(item.value) > Number(best.value) : Number(item.value) < Number(best.value))
              ? item
              : best,
          );
        break;
    }
    return super.applyFilter(operand, filter, scope);
  }
}

const NONE: Keywords = new Map();
const OWN_FILTERS: ReadonlySet<string> = new Set(["trim", "int", "join", "map", "select", "reject"]);
