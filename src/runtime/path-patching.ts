/**
 * Path patching: readers see a changed stream, everybody else what was there. A reader's input is the stream plus what
 * the senders below would write less what they do write; what it then writes is put in its place, and everything above
 * is computed again. docs/interventions.md has the definition.
 */
import type { ChangedPass, LayerChanges } from "../engine/types";
import type { InterventionOptions } from "../model/types";
import { writeVector, type ChangePlan } from "./change-plan";
import { readAt, writtenAt, type Place, type VectorPlace } from "./intervention-places";
import { termReader, vectorReader, type Readable } from "./intervention-values";
import { newPlan, type Ground, type Write } from "./interventions";

/** A change of what a sender writes, and who sees it. */
export interface Path {
  readonly sender: Place;
  /** The change, as if everybody saw it. */
  readonly write: Write;
  readonly into: readonly Place[];
}

interface Reader {
  readonly place: Place;
  /** Numbers of the paths that lead into it. */
  readonly paths: readonly number[];
}

/** The pass with everything that is in the plan, and with these paths. */
export async function applyPaths(
  ground: Ground,
  plan: ChangePlan,
  paths: readonly Path[],
  { signal, onProgress }: InterventionOptions,
): Promise<ChangedPass> {
  const { parallelBlocks, nLayers } = ground.info;
  const readers = readersOf(paths);
  const deltas: Float32Array[] = [];
  let current = await ground.pass.change(plan.finish(), { signal });
  for (let moment = 0; moment <= 4 * nLayers; moment++) {
    signal?.throwIfAborted();
    for (const [number, path] of paths.entries())
      if (writtenAt(path.sender, parallelBlocks) === moment)
        deltas[number] = await senderDelta(ground, plan, current, path);
    const writes: Write[] = [];
    for (const reader of readers)
      if (readAt(reader.place, parallelBlocks) === moment)
        writes.push(
          await readerWrite(ground, plan, current, reader, sumOf(reader.paths.map((number) => deltas[number]))),
        );
    if (writes.length === 0) continue;
    for (const write of writes) write(plan);
    await current.dispose();
    current = await ground.pass.change(plan.finish(), { signal, onProgress });
  }
  return current;
}

function readersOf(paths: readonly Path[]): Reader[] {
  const readers = new Map<string, { place: Place; paths: number[] }>();
  paths.forEach(({ into }, number) => {
    for (const place of into) {
      const name = JSON.stringify(place);
      const reader = readers.get(name) ?? { place, paths: [] };
      if (!reader.paths.includes(number)) reader.paths.push(number);
      readers.set(name, reader);
    }
  });
  return [...readers.values()];
}

const sum = (a: Float32Array, b: Float32Array): Float32Array => a.map((x, i) => x + b[i]);
const sumOf = (all: readonly Float32Array[]): Float32Array => all.reduce(sum);

/** `[T, d]`: what a sender would write to the stream less what it writes. */
async function senderDelta(
  ground: Ground,
  plan: ChangePlan,
  current: ChangedPass,
  { sender, write }: Path,
): Promise<Float32Array> {
  const { dModel } = ground.info;
  if (sender.kind === "state") {
    const own = newPlan(ground);
    write(own);
    const { gain, add } = own.finish().states.get(sender.index)!;
    const state = await stateOf(current, sender.index, ground.info.nLayers);
    return state.map((x, i) => x * (gain[Math.floor(i / dModel)] - 1) + (add ? add[i] : 0));
  }
  const { layer } = sender;
  const own = plan.copy();
  write(own);
  const name =
    sender.kind === "mid" ? "resid_mid" : sender.kind === "ffn" || sender.kind === "neuron" ? "ffn_out" : "attn_out";
  const state = await stateOf(current, layer, ground.info.nLayers);
  const changed = (await ground.pass.probe(layer, state, own.changesOf(layer), [name]))[name].data;
  const there = (await current.fetch(layer, [name]))[name].data;
  return changed.map((x, i) => x - there[i]);
}

/** What is to be done so that a reader sees the stream plus `delta`. */
async function readerWrite(
  ground: Ground,
  plan: ChangePlan,
  current: ChangedPass,
  { place }: Reader,
  delta: Float32Array,
): Promise<Write> {
  const { dModel, nLayers, parallelBlocks } = ground.info;
  if (place.kind === "state" || place.kind === "mid") {
    return (into) =>
      place.positions.forEach((position) =>
        writeVector(into, place, position, 1, delta.slice(position * dModel, (position + 1) * dModel)),
      );
  }
  const { layer } = place;
  const state = await stateOf(current, layer, nLayers);
  const inside = plan.changesOf(layer);
  const behindAttention = !parallelBlocks && (place.kind === "ffn" || place.kind === "neuron");
  const [seen, changes] = behindAttention ? [state, withMid(inside, delta, dModel)] : [sum(state, delta), inside];
  const probe: Readable = {
    model: ground.model,
    tokens: ground.tokens,
    reference: (of, names) => ground.pass.probe(of, seen, changes, names),
  };
  if (place.kind === "edge") {
    const { heads, query, key } = place;
    const term = await termReader(probe, layer, ground);
    return (into) =>
      heads.forEach((head) => {
        into.edge(layer, head, query, key, 0);
        into.addTerm(layer, head, query, term(head, query, key));
      });
  }
  const own: VectorPlace = place;
  const row = await vectorReader(probe, own, ground);
  return (into) => own.positions.forEach((position) => writeVector(into, own, position, 0, row(position)));
}

/** A layer's changes, with something added to the state after attention. */
function withMid(changes: LayerChanges | undefined, delta: Float32Array, dModel: number): LayerChanges {
  const { gain = new Float32Array(delta.length / dModel).fill(1), add } = changes?.mid ?? {};
  return { ...changes, mid: { gain, add: add ? sum(add, delta) : delta } };
}

async function stateOf(pass: ChangedPass, index: number, nLayers: number): Promise<Float32Array> {
  return index < nLayers
    ? (await pass.fetch(index, ["resid_pre"])).resid_pre.data
    : (await pass.fetch(index - 1, ["resid_post"])).resid_post.data;
}
