import { requireNode } from "../model/names";
import { Widget } from "../jupyter/ipywidgets/widget";
import type { ListenOptions } from "../jupyter/comm-host";
import type { Contrast, NodeName, Run, RouteGraph } from "../model/types";
import type { Focus, Pin, Removal, Selection, TokenContrast, WrittenSelection } from "../protocol";
import {
  changedSelection,
  covers,
  initialSelection,
  MOST_REMOVED,
  nodeName,
  parseNode,
  PIN_LIMITS,
  readBudget,
  readRemoval,
  readSelection,
  REMOVAL_PARTS,
  routesQuestion,
  stateBelow,
  WIDGET_MODULE,
} from "../protocol";
import { checkIndex, checkThreshold, oneToken } from "../model/check";
import { PACKAGE_VERSION } from "./version";

interface SelectionState {
  value: WrittenSelection;
}

interface SelectionEvents {
  /** Something else is selected, by a click or by code. */
  select: Selection;
}

/** What a cell may set: any part of a selection; tokens of a contrast by id, or by a text that is exactly one token. */
export type SelectionChange = Partial<Omit<Selection, "contrast" | "secondContrast">> & {
  readonly contrast?: Contrast | TokenContrast | null;
  readonly secondContrast?: Contrast | TokenContrast | null;
};

/** Who code in the kernel is, as a writer of a selection. */
const KERNEL = "kernel";

/**
 * What the pictures of one run have selected in common. Cells read it (`selection.value`), set it (`selection.select({
 * start: 3 })`) and listen to it (`selection.on("select", …)`).
 */
export class SharedSelection extends Widget<SelectionState, SelectionEvents> {
  readonly #run: Run;

  constructor(run: Run, initial: SelectionChange = {}) {
    super(
      {
        modelName: "SelectionModel",
        modelModule: WIDGET_MODULE,
        modelModuleVersion: PACKAGE_VERSION,
        viewName: null,
        viewModule: WIDGET_MODULE,
        viewModuleVersion: PACKAGE_VERSION,
      },
      {
        value: {
          ...changedSelection(initialSelection(run.tokens.length), checkedChange(run, initial)),
          writer: KERNEL,
        },
      },
    );
    this.#run = run;
    this.observe("value", (change) => this.emit("select", withoutWriter(change.new)));
  }

  /** What is selected now. */
  get value(): Selection {
    return withoutWriter(this.get("value"));
  }

  /**
   * Changes parts of the selection, in every picture that shares it. Throws a `RangeError` or `TypeError` of one
   * sentence for what this run does not have.
   */
  select(change: SelectionChange): void {
    this.set({ value: { ...changedSelection(this.get("value"), checkedChange(this.#run, change)), writer: KERNEL } });
  }

  /** A shorthand for `on("select", …)`. */
  onSelect(listener: (selection: Selection) => void | Promise<void>, options?: ListenOptions): () => void {
    return this.on("select", listener, options);
  }

  protected override validate<K extends keyof SelectionState>(_name: K, value: SelectionState[K]): SelectionState[K] {
    const current = this.get("value");
    const writer = (value as { writer?: unknown }).writer;
    return { ...readSelection(value, current), writer: typeof writer === "string" ? writer : KERNEL };
  }
}

function withoutWriter({ writer: _writer, ...selection }: WrittenSelection): Selection {
  return selection;
}

const shown = (value: unknown): string => JSON.stringify(value) ?? String(value);

type Check = (run: Run, value: unknown) => unknown;

function record(name: string, value: unknown, example: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new TypeError(`${name} is ${shown(value)}, but has to be ${example}, or null.`);
}

const flag =
  (name: string): Check =>
  (_, value) => {
    if (typeof value !== "boolean") throw new TypeError(`${name} is ${shown(value)}, but has to be true or false.`);
    return value;
  };

function checkLayer(run: Run, layer: unknown): void {
  checkIndex("layer", layer as number, run.model.info.nLayers);
}

function checkPosition(run: Run, position: unknown): void {
  checkIndex("token", position as number, run.tokens.length);
}

function node(run: Run, name: unknown): NodeName {
  const { nLayers, parallelBlocks } = run.model.info;
  return requireNode(name as string, nLayers, run.tokens.length, parallelBlocks).name;
}

function checkFocus(run: Run, value: unknown): Focus | null {
  if (value === null) return null;
  const { parallelBlocks } = run.model.info;
  const focus = record(
    "focus",
    value,
    'a node ({ kind: "node", node: "I5_3" }), an edge ({ kind: "edge", source, target, edge: "attention" or "residual" }) or a block ({ kind: "ffn", layer, position })',
  );
  if (focus.kind === "node") {
    const name = node(run, focus.node);
    const { kind, layer, position } = parseNode(name)!;
    // What pictures have for a feed-forward block is the block, by whatever name.
    return kind === "M" ? { kind: "ffn", layer, position } : { kind: "node", node: name };
  }
  if (focus.kind === "ffn") {
    checkLayer(run, focus.layer);
    checkPosition(run, focus.position);
    return { kind: "ffn", layer: focus.layer as number, position: focus.position as number };
  }
  if (focus.kind !== "edge")
    throw new RangeError(`focus.kind is ${shown(focus.kind)}, but has to be "node", "edge" or "ffn".`);
  const [source, target] = [node(run, focus.source), node(run, focus.target)];
  const [from, to] = [parseNode(source)!, parseNode(target)!];
  if (to.kind === "M" || from.kind === "M") {
    const block = to.kind === "M" ? to : from;
    return { kind: "ffn", layer: block.layer, position: block.position };
  }
  const kinds = [undefined, "attention", "residual"] as const;
  const edge = kinds.find((kind) => kind === focus.edge);
  if (focus.edge !== edge)
    throw new RangeError(`focus.edge is ${shown(focus.edge)}, but has to be "attention" or "residual".`);
  const attention =
    edge !== "residual" &&
    to.kind === (parallelBlocks ? "I" : "A") &&
    source === stateBelow(to.layer, from.position) &&
    from.position <= to.position;
  // Past the attention block as past the feed-forward block; where they are parallel past both at once.
  const past =
    to.kind === "A" || parallelBlocks ? stateBelow(to.layer, to.position) : nodeName("A", to.layer, to.position);
  const residual = edge !== "attention" && to.kind !== "X" && source === past;
  if (!attention && !residual)
    throw new RangeError(
      `There is no ${edge === undefined ? "" : `${edge} `}edge from ${source} to ${target}: edges lead from a state to the next one up, of the same or a later token.`,
    );
  return { kind: "edge", source, target, ...(edge === undefined ? {} : { edge }) };
}

function checkPins(run: Run, value: unknown): readonly Pin[] {
  if (!Array.isArray(value) || value.length > PIN_LIMITS.pins)
    throw new TypeError(
      `pins is ${shown(value).slice(0, 200)}, but has to be a list of up to ${PIN_LIMITS.pins} pins such as { name: "mover", note: "copies the name", nodes: ["A23_13"] }.`,
    );
  return value.map((given: unknown, i) => {
    const pin = record(`pins[${i}]`, given, '{ name: "mover", note: "copies the name", nodes: ["A23_13"] }');
    const text = (part: "name" | "note"): string => {
      const value = pin[part] ?? "";
      if (typeof value !== "string" || value.length > PIN_LIMITS[part])
        throw new TypeError(`pins[${i}].${part} has to be a text of up to ${PIN_LIMITS[part]} characters.`);
      return value;
    };
    if (!Array.isArray(pin.nodes) || pin.nodes.length === 0 || pin.nodes.length > PIN_LIMITS.nodes)
      throw new TypeError(`pins[${i}].nodes has to be a list of 1 to ${PIN_LIMITS.nodes} nodes such as ["A23_13"].`);
    return { name: text("name"), note: text("note"), nodes: pin.nodes.map((name: unknown) => node(run, name)) };
  });
}

const EXAMPLE_REMOVAL = '{ kind: "attention", layer: 20, head: 3 }';

function checkRemoved(run: Run, value: unknown): readonly Removal[] {
  if (!Array.isArray(value) || value.length > MOST_REMOVED)
    throw new TypeError(
      `removed is ${shown(value).slice(0, 200)}, but has to be a list of up to ${MOST_REMOVED} parts such as ${EXAMPLE_REMOVAL}.`,
    );
  const { nLayers, nHeads, dFfn } = run.model.info;
  const most = { layer: nLayers, head: nHeads, neuron: dFfn } as const;
  const checked = value.map((given: unknown, i): Removal => {
    const removal = record(`removed[${i}]`, given, EXAMPLE_REMOVAL);
    const { kind } = removal;
    if (kind !== "attention" && kind !== "ffn" && kind !== "edge")
      throw new RangeError(`removed[${i}].kind is ${shown(kind)}, but has to be "attention", "ffn" or "edge".`);
    const { needed, optional } = REMOVAL_PARTS[kind];
    const names: readonly string[] = [...needed, ...optional];
    for (const name of Object.keys(removal))
      if (name !== "kind" && !names.includes(name))
        throw new RangeError(`removed[${i}] of kind "${kind}" has no ${shown(name)}; it has ${names.join(", ")}.`);
    for (const name of names) {
      if (removal[name] === undefined && (optional as readonly string[]).includes(name)) continue;
      const count = most[name as keyof typeof most] ?? run.tokens.length;
      checkIndex(`removed[${i}].${name}`, removal[name] as number, count);
    }
    const read = readRemoval(removal);
    if (!read)
      throw new RangeError(
        `removed[${i}] reads token ${shown(removal.key)} at token ${shown(removal.query)}: a token sees none after itself.`,
      );
    return read;
  });
  checked.forEach((removal, i) => {
    const twice = checked.findIndex((other, j) => i !== j && covers(other, removal));
    if (twice >= 0) throw new RangeError(`removed[${i}] is gone with removed[${twice}] already: leave one out.`);
  });
  return checked;
}

/** Ids of the second graph of a comparison belong to its own model. */
const contrast =
  (name: "contrast" | "secondContrast"): Check =>
  (run, value): TokenContrast | null => {
    if (value === null) return null;
    const given = record(name, value, '{ token: " Paris", versus: " London" }');
    const id = (part: "token" | "versus"): number | null => {
      const token = given[part] ?? null;
      if (token === null) return null;
      if (typeof token !== "string" && typeof token !== "number")
        throw new TypeError(
          `${name}.${part} is ${shown(token)}, but has to be a token's id, or a text that is exactly one token.`,
        );
      if (name === "secondContrast" && Number.isSafeInteger(token) && (token as number) >= 0) return token as number;
      return oneToken(run.model, token).id;
    };
    const [token, versus] = [id("token"), id("versus")];
    if (token !== null && token === versus)
      throw new RangeError(`Both tokens of ${name} are ${shown(value)}: their logits do not differ.`);
    return { token, versus };
  };

/** For each part of a selection, how what a cell gives for it is checked, and what is kept of it. */
const CHECKS: { readonly [K in keyof Selection]: Check } = {
  start: (run, value) => {
    const count = run.tokens.length;
    if (!(Number.isInteger(value) && (value as number) >= 0 && (value as number) < count))
      throw new RangeError(`start is ${shown(value)}, but has to be a position from 0 to ${count - 1}.`);
    return value;
  },
  origin: (run, value) => (value === null ? null : node(run, value)),
  contrast: contrast("contrast"),
  secondContrast: contrast("secondContrast"),
  focus: checkFocus,
  head: (run, value) => {
    if (value === null) return null;
    const { layer, head } = record("head", value, "{ layer, head }");
    checkLayer(run, layer);
    checkIndex("head", head as number, run.model.info.nHeads);
    return { layer, head };
  },
  neuron: (run, value) => {
    if (value === null) return null;
    const { layer, position, neuron } = record("neuron", value, "{ layer, position, neuron }");
    checkLayer(run, layer);
    checkPosition(run, position);
    checkIndex("neuron", neuron as number, run.model.info.dFfn);
    return { layer, position, neuron };
  },
  token: (run, value) => {
    if (value !== null) checkIndex("token id", value as number, run.model.info.dVocab);
    return value;
  },
  threshold: (_, value) => {
    checkThreshold(value as number);
    return value;
  },
  budget: (_, value) => {
    const budget = readBudget(value);
    if (budget === undefined)
      throw new RangeError(
        `budget is ${shown(value)}, but has to be { edges: 60 }, at least 1, { relevance: 0.8 }, from 0 to 1, or null: the threshold.`,
      );
    return budget;
  },
  renormalize: flag("renormalize"),
  normalize: flag("normalize"),
  pins: checkPins,
  removed: checkRemoved,
};

function checkedChange(run: Run, change: SelectionChange): Partial<Selection> {
  if (typeof change !== "object" || change === null)
    throw new TypeError(`A selection is changed by an object such as { start: 3 }, not ${shown(change)}.`);
  const checked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(change)) {
    if (!Object.hasOwn(CHECKS, name))
      throw new RangeError(`A selection has no ${shown(name)}; it has ${Object.keys(CHECKS).join(", ")}.`);
    if (value !== undefined) checked[name] = CHECKS[name as keyof Selection](run, value);
  }
  return checked;
}

/** The routes that a graph with this selection shows. */
export function selectedRoutes(run: Run, selection: Selection, signal?: AbortSignal): Promise<RouteGraph> {
  return askedRoutes(run, routesQuestion(selection), signal);
}

/** The routes that are asked for. */
export function askedRoutes(
  run: Run,
  { from, threshold, renormalize, select, contrast: asked }: ReturnType<typeof routesQuestion>,
  signal?: AbortSignal,
): Promise<RouteGraph> {
  const tokens = asked && {
    ...(asked.token === null ? {} : { token: asked.token }),
    ...(asked.versus === null ? {} : { versus: asked.versus }),
  };
  const cut = select ? { select } : { threshold };
  return run.routes({ from, ...cut, renormalize, ...(tokens ? { contrast: tokens } : {}), signal });
}

const selections = new WeakMap<Run, SharedSelection>();

/** The selection that all pictures of a run share unless they are told otherwise. */
export function selectionOf(run: Run): SharedSelection {
  let selection = selections.get(run);
  if (!selection || selection.closed) selections.set(run, (selection = new SharedSelection(run)));
  return selection;
}
