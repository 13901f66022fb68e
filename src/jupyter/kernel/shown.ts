import { createHash } from "node:crypto";
import { openWidgets } from "../ipywidgets/registry";
import { WIDGET_VIEW } from "../ipywidgets/widget";
import { GONE, type JsonObject, type MimeBundle } from "../comm-host";
import { Array, Map, Set } from "../natives";

/**
 * What stands in the outputs of cells, and by that is kept alive: a widget in an output can be used, whether or not a
 * variable holds it. When the output is gone, because its cell ran again, was deleted or cleared its output, only
 * variables hold it.
 */
export class Shown {
  /** Cell → display (its id, or an own one) → what is shown there. */
  readonly #cells = new Map<string, Map<string | symbol, Set<object>>>();
  /** Cells whose outputs go when something new comes. */
  readonly #clearing = new Set<string>();

  /** A cell shows a bundle, which is what `owner` looks like where it is given. */
  add(cell: string, data: MimeBundle, displayId: string | undefined, owner: object | null | undefined): void {
    this.outputs(cell);
    const owners = ownersOf(data, owner);
    if (owners.size === 0 && displayId === undefined) return;
    let displays = this.#cells.get(cell);
    if (!displays) this.#cells.set(cell, (displays = new Map<string | symbol, Set<object>>()));
    displays.set(displayId ?? Symbol(), owners);
  }

  /**
   * All displays of this id show another bundle; without an owner they belong to whom they did, with null to nobody.
   */
  update(displayId: string, data: MimeBundle, owner: object | null | undefined): void {
    const owners = ownersOf(data, owner);
    if (owner === undefined && owners.size === 0) return;
    const before: Set<object>[] = [];
    for (const displays of this.#cells.values()) {
      const replaced = displays.get(displayId);
      if (replaced === undefined) continue;
      before.push(replaced);
      displays.set(displayId, owners);
    }
    this.#tell(before);
  }

  /** The cell's outputs are gone; with `wait` when something new comes. */
  clear(cell: string, wait = false): void {
    if (wait) {
      this.#clearing.add(cell);
      return;
    }
    this.#clearing.delete(cell);
    const displays = this.#cells.get(cell);
    if (!displays) return;
    this.#cells.delete(cell);
    this.#tell(displays.values());
  }

  /** The cell puts out something. */
  outputs(cell: string): void {
    if (this.#clearing.has(cell)) this.clear(cell);
  }

  /** Tells those that are shown nowhere any more. */
  #tell(before: Iterable<ReadonlySet<object>>): void {
    const left = new Set<object>();
    for (const displays of this.#cells.values())
      for (const owners of displays.values()) for (const owner of owners) left.add(owner);
    for (const owners of before) {
      for (const owner of owners) if (!left.has(owner)) (owner as { [GONE]?: () => void })[GONE]?.();
    }
  }
}

function ownersOf(data: MimeBundle, owner: object | null | undefined): Set<object> {
  const owners = new Set<object>();
  if (owner) owners.add(owner);
  const view = data[WIDGET_VIEW] as { readonly model_id?: unknown } | undefined;
  const widget = typeof view?.model_id === "string" ? openWidgets().get(view.model_id) : undefined;
  if (widget) owners.add(widget);
  return owners;
}

/**
 * Which cell a request runs. Front ends name their cells in the request's metadata; from one that does not, the same
 * code again is the same cell.
 */
export function cellOf(metadata: JsonObject, code: string): string {
  const id = metadata["cellId"];
  return typeof id === "string" && id !== "" ? `cell ${id}` : `code ${createHash("sha256").update(code).digest("hex")}`;
}

/** Cells that the front end says it deleted. */
export function deletedCells(metadata: JsonObject): string[] {
  const ids = metadata["deletedCells"];
  return Array.isArray(ids) ? ids.filter((id) => typeof id === "string").map((id) => `cell ${String(id)}`) : [];
}
