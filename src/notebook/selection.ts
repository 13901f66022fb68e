import { Widget } from "../ipywidgets/widget";
import type { ListenOptions } from "../protocol/comm-host";
import type { Run } from "../model/types";
import type { Selection, WrittenSelection } from "../protocol";
import { initialSelection, parseNode, readSelection, WIDGET_MODULE } from "../protocol";
import { PACKAGE_VERSION } from "./version";

interface SelectionState {
  value: WrittenSelection;
}

interface SelectionEvents {
  /** Something else is selected, by a click or by code. */
  select: Selection;
}

/** Who code in the kernel is, as a writer of a selection. */
const KERNEL = "kernel";

/**
 * What the pictures of one run have selected in common. Cells read it (`selection.value`), set it (`selection.select({ start: 3 })`) and
 * listen to it (`selection.on("select", …)`).
 */
export class SharedSelection extends Widget<SelectionState, SelectionEvents> {
  readonly #nTokens: number;
  readonly #nLayers: number;

  constructor(run: Run, initial: Partial<Selection> = {}) {
    const value = { ...initialSelection(run.tokens.length), ...initial, writer: KERNEL };
    super(
      {
        modelName: "SelectionModel",
        modelModule: WIDGET_MODULE,
        modelModuleVersion: PACKAGE_VERSION,
        viewName: null,
        viewModule: WIDGET_MODULE,
        viewModuleVersion: PACKAGE_VERSION,
      },
      { value },
    );
    this.#nTokens = run.tokens.length;
    this.#nLayers = run.model.info.nLayers;
    this.#check(value);
    this.observe("value", (change) => this.emit("select", withoutWriter(change.new)));
  }

  get value(): Selection {
    return withoutWriter(this.get("value"));
  }

  /** Changes parts of the selection, in every picture that shares it. Throws a `RangeError` for what this run does not have. */
  select(change: Partial<Selection>): void {
    this.#check(change);
    this.set({ value: { ...this.get("value"), ...change, writer: KERNEL } });
  }

  /** A shorthand for `on("select", …)`. */
  onSelect(listener: (selection: Selection) => void | Promise<void>, options?: ListenOptions): () => void {
    return this.on("select", listener, options);
  }

  protected override validate<K extends keyof SelectionState & string>(_name: K, value: SelectionState[K]): SelectionState[K] {
    const current = this.get("value");
    const writer = (value as { writer?: unknown }).writer;
    return { ...readSelection(value, current), writer: typeof writer === "string" ? writer : KERNEL };
  }

  #check(change: Partial<Selection>): void {
    const { start, threshold, focus } = change;
    if (start !== undefined && !(Number.isInteger(start) && start >= 0 && start < this.#nTokens)) {
      throw new RangeError(`start is ${start}, but has to be a position from 0 to ${this.#nTokens - 1}.`);
    }
    if (threshold !== undefined && !(threshold >= 0 && threshold <= 1)) throw new RangeError(`threshold is ${threshold}, but has to be from 0 to 1.`);
    const names = focus?.kind === "node" ? [focus.node] : focus?.kind === "edge" ? [focus.source, focus.target] : focus ? [`M${focus.layer}_${focus.position}`] : [];
    for (const name of names) {
      const place = parseNode(name);
      if (!place || place.layer >= this.#nLayers || place.position >= this.#nTokens) {
        throw new RangeError(`${name} is not a node of this run: layers are 0 to ${this.#nLayers - 1}, positions 0 to ${this.#nTokens - 1}, names such as I5_3.`);
      }
    }
  }
}

function withoutWriter({ writer: _writer, ...selection }: WrittenSelection): Selection {
  return selection;
}

const selections = new WeakMap<Run, SharedSelection>();

/** The selection that all pictures of a run share unless they are told otherwise. */
export function selectionOf(run: Run): SharedSelection {
  let selection = selections.get(run);
  if (!selection || selection.closed) selections.set(run, (selection = new SharedSelection(run)));
  return selection;
}
