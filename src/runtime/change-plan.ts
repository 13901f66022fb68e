import type { Affine, LayerChanges, PassChanges } from "../engine/types";
import type { VectorPlace } from "./intervention-places";

/** Sizes of a plan: T tokens, and those of the model. */
export interface PlanSizes {
  readonly nTokens: number;
  readonly nHeads: number;
  readonly dHead: number;
  readonly dModel: number;
  readonly dFfn: number;
}

/** Places of a layer whose rows are one vector each. */
export type RowPlace = "attention" | "mid" | "ffn";

interface Rows {
  gain: Float32Array;
  add?: Float32Array;
}

const ones = (n: number): Float32Array => new Float32Array(n).fill(1);

const copyRows = (rows: Rows | undefined): Rows | undefined =>
  rows && { gain: rows.gain.slice(), add: rows.add?.slice() };

/** Changes of one layer as they are put together. Arrays are made where something is changed. */
class LayerPlan {
  blocked?: Uint8Array;
  weights?: Float32Array;
  /** `[T, H * dHead]`: terms that stand in for those of edges; scaled with their head. */
  edges?: Float32Array;
  heads?: Rows;
  neurons?: Rows;
  readonly rows: Partial<Record<RowPlace, Rows>> = {};

  copy(): LayerPlan {
    const copy = new LayerPlan();
    copy.blocked = this.blocked?.slice();
    copy.weights = this.weights?.slice();
    copy.edges = this.edges?.slice();
    copy.heads = copyRows(this.heads);
    copy.neurons = copyRows(this.neurons);
    for (const place of ["attention", "mid", "ffn"] as const) copy.rows[place] = copyRows(this.rows[place]);
    return copy;
  }

  finish({ nTokens, nHeads, dHead }: PlanSizes): LayerChanges {
    let heads: Affine | undefined = this.heads;
    if (this.edges && !this.heads) heads = { gain: ones(nTokens * nHeads), add: this.edges };
    else if (this.edges && this.heads) {
      const { gain, add: own } = this.heads;
      const add = this.edges.map((term, i) => term * gain[Math.floor(i / dHead)] + (own ? own[i] : 0));
      heads = { gain, add };
    }
    const { blocked, weights, neurons, rows } = this;
    return {
      ...(blocked ? { blocked } : {}),
      ...(weights ? { weights } : {}),
      ...(heads ? { heads } : {}),
      ...(neurons ? { neurons } : {}),
      ...(rows.attention ? { attention: rows.attention } : {}),
      ...(rows.mid ? { mid: rows.mid } : {}),
      ...(rows.ffn ? { ffn: rows.ffn } : {}),
    };
  }
}

/** Everything that is changed in a pass, put together piece by piece. */
export class ChangePlan {
  private readonly layers = new Map<number, LayerPlan>();
  private readonly states = new Map<number, Rows>();

  constructor(readonly sizes: PlanSizes) {}

  /** Another plan that begins with what this one has. */
  copy(): ChangePlan {
    const copy = new ChangePlan(this.sizes);
    for (const [layer, plan] of this.layers) copy.layers.set(layer, plan.copy());
    for (const [index, rows] of this.states) copy.states.set(index, copyRows(rows) as Rows);
    return copy;
  }

  /** A row becomes `row · gain + add`. */
  row(place: RowPlace, layer: number, position: number, gain: number, add?: Float32Array): void {
    const { nTokens, dModel } = this.sizes;
    const rows = (this.layer(layer).rows[place] ??= { gain: ones(nTokens) });
    setRow(rows, nTokens, dModel, position, gain, add);
  }

  /** What W_O is multiplied with, of one head. */
  head(layer: number, head: number, position: number, gain: number, add?: Float32Array): void {
    const { nTokens, nHeads, dHead } = this.sizes;
    const rows = (this.layer(layer).heads ??= { gain: ones(nTokens * nHeads) });
    setRow(rows, nTokens * nHeads, dHead, position * nHeads + head, gain, add);
  }

  /** What multiplies a neuron's row of W_out. */
  neuron(layer: number, neuron: number, position: number, gain: number, add?: Float32Array): void {
    const { nTokens, dFfn } = this.sizes;
    const rows = (this.layer(layer).neurons ??= { gain: ones(nTokens * dFfn) });
    setRow(rows, nTokens * dFfn, 1, position * dFfn + neuron, gain, add);
  }

  /** A state before layer `index`, or after the last. */
  state(index: number, position: number, gain: number, add?: Float32Array): void {
    const { nTokens, dModel } = this.sizes;
    const rows = this.states.get(index) ?? { gain: ones(nTokens) };
    this.states.set(index, rows);
    setRow(rows, nTokens, dModel, position, gain, add);
  }

  /** An attention weight after the softmax. */
  edge(layer: number, head: number, query: number, key: number, gain: number): void {
    this.weights(layer)[this.at(head, query, key)] = gain;
  }

  /** A term [dHead] beside what a head reads at a query. */
  addTerm(layer: number, head: number, query: number, term: ArrayLike<number>, factor = 1): void {
    const { nTokens, nHeads, dHead } = this.sizes;
    const edges = (this.layer(layer).edges ??= new Float32Array(nTokens * nHeads * dHead));
    const at = (query * nHeads + head) * dHead;
    for (let i = 0; i < dHead; i++) edges[at + i] += factor * term[i];
  }

  /** A score before the softmax. */
  block(layer: number, head: number, query: number, key: number): void {
    const { nTokens, nHeads } = this.sizes;
    const blocked = (this.layer(layer).blocked ??= new Uint8Array(nHeads * nTokens * nTokens));
    blocked[this.at(head, query, key)] = 1;
  }

  /** `[H, T, T]`: the attention weights' factors of a layer, to write into. */
  weights(layer: number): Float32Array {
    const { nTokens, nHeads } = this.sizes;
    return (this.layer(layer).weights ??= ones(nHeads * nTokens * nTokens));
  }

  /** `[H, T, T]`: 1 where a score is blocked. */
  blockedOf(layer: number): Uint8Array | undefined {
    return this.layers.get(layer)?.blocked;
  }

  /** Layers in which something is changed. */
  changedLayers(): number[] {
    return [...this.layers.keys()];
  }

  /** What happens inside one layer. */
  changesOf(layer: number): LayerChanges | undefined {
    return this.layers.get(layer)?.finish(this.sizes);
  }

  finish(): PassChanges {
    return {
      layers: new Map([...this.layers].map(([layer, plan]) => [layer, plan.finish(this.sizes)])),
      states: new Map([...this.states].map(([index, rows]) => [index, { ...rows }])),
    };
  }

  private layer(layer: number): LayerPlan {
    const known = this.layers.get(layer) ?? new LayerPlan();
    this.layers.set(layer, known);
    return known;
  }

  private at(head: number, query: number, key: number): number {
    const { nTokens } = this.sizes;
    return (head * nTokens + query) * nTokens + key;
  }
}

function setRow(rows: Rows, count: number, width: number, index: number, gain: number, add?: Float32Array): void {
  rows.gain[index] = gain;
  if (!add) return;
  rows.add ??= new Float32Array(count * width);
  rows.add.set(add, index * width);
}

/** The vector of a place at a position becomes `vector · gain + add`. */
export function writeVector(
  plan: ChangePlan,
  place: VectorPlace,
  position: number,
  gain: number,
  add?: Float32Array,
): void {
  switch (place.kind) {
    case "state":
      return plan.state(place.index, position, gain, add);
    case "head":
      return plan.head(place.layer, place.head, position, gain, add);
    case "neuron":
      return plan.neuron(place.layer, place.neuron, position, gain, add);
    default:
      return plan.row(place.kind, place.layer, position, gain, add);
  }
}
