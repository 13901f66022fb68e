/** Interventions: what a changed run is computed from. docs/interventions.md says what each of them means. */
import { availableMemory, formatBytes } from "../engine/memory";
import type { ChangedPass, WholePass } from "../engine/types";
import { checkOneOf } from "../model/check";
import { parseNode } from "../model/names";
import type {
  Intervention,
  InterventionOptions,
  InterventionTarget,
  KeepIntervention,
  RouteGraph,
  Run,
} from "../model/types";
import { ChangePlan, writeVector } from "./change-plan";
import { describePlace, placeOf, readAt, writtenAt, type Place, type VectorPlace } from "./intervention-places";
import { meanTerms, meanVector, termReader, vectorReader, type Model, type Readable } from "./intervention-values";
import { applyPaths, type Path } from "./path-patching";

/** What is changed: a run that nothing was done to. */
export interface Ground extends Readable, Model {
  readonly pass: WholePass;
  /** The run as one that can be read; undefined where it is another model's, or none of this library's. */
  readable(run: Run): Readable | undefined;
}

/** Terms and FFN blocks that stay, by layer. */
export interface KeptParts {
  /** `[H, T, T]` of each layer, query before key: 1 stays. */
  readonly terms: readonly Uint8Array[];
  /** `[T]` of each layer: 1 stays. */
  readonly blocks: readonly Uint8Array[];
}

/** What stands in place of parts that do not stay. */
export interface Replacement {
  readonly others: "zero" | "mean" | "patch";
  readonly of: readonly Readable[];
}

/** Something that is written into a plan. */
export type Write = (plan: ChangePlan) => void;

/**
 * Bytes that factors of attention weights take while a run that keeps only some terms is made: here and in the engine's
 * thread, and what is kept.
 */
const BYTES_A_TERM = 9;

/** Refuses what would take most of the memory: all layers' weights are there at once. */
export function checkRoom({ info: { nLayers, nHeads }, tokens }: Ground, free = availableMemory()): void {
  const bytes = BYTES_A_TERM * nLayers * nHeads * tokens.length ** 2;
  if (bytes > 0.5 * free)
    throw new RangeError(
      `Keeping some terms of ${tokens.length} tokens in ${nLayers} layers takes ${formatBytes(bytes)}, and ${formatBytes(free)} are free: take a shorter prompt.`,
    );
}

/** The run with these changes. */
export async function intervene(
  ground: Ground,
  interventions: readonly Intervention[],
  options: InterventionOptions = {},
): Promise<ChangedPass> {
  options.signal?.throwIfAborted();
  const plan = newPlan(ground);
  const claims = new Claims(ground);
  const writes: Promise<Write>[] = [];
  const paths: { readonly sender: Place; readonly write: Promise<Write>; readonly into: readonly Place[] }[] = [];
  // All is checked before anything is computed.
  const works = interventions.map((intervention, number) => {
    if (typeof intervention !== "object" || intervention === null)
      throw new TypeError(
        `Intervention ${number} is ${String(intervention)}: give { target, do, … } or { keep, others }.`,
      );
    if ("keep" in intervention)
      // Alone it meets nobody.
      return { work: readKeep(ground, intervention, interventions.length > 1 ? claims : undefined, number) };
    return readChange(ground, intervention, claims, number);
  });
  blockedRows(ground, interventions);
  for (const { work, into, sender } of works as readonly Work[]) {
    const write = work();
    // Whoever fails first ends all; the others must not go unheard.
    write.catch(() => undefined);
    if (into && sender) paths.push({ sender, write, into });
    else writes.push(write);
  }
  for (const write of await Promise.all(writes)) write(plan);
  options.signal?.throwIfAborted();
  if (paths.length === 0) return ground.pass.change(plan.finish(), options);
  const ready: Path[] = [];
  for (const { sender, write, into } of paths) ready.push({ sender, write: await write, into });
  return applyPaths(ground, plan, ready, options);
}

/** The run in which only these parts stay. */
export async function keepParts(
  ground: Ground,
  kept: KeptParts,
  replacement: Replacement,
  options: InterventionOptions = {},
): Promise<ChangedPass> {
  const plan = newPlan(ground);
  (await writeKept(ground, kept, replacement))(plan);
  options.signal?.throwIfAborted();
  return ground.pass.change(plan.finish(), options);
}

interface Work {
  readonly work: () => Promise<Write>;
  readonly sender?: Place;
  readonly into?: readonly Place[];
}

export function newPlan({ tokens, info }: Pick<Ground, "tokens" | "info">): ChangePlan {
  const { nHeads, dHead, dModel, dFfn } = info;
  return new ChangePlan({ nTokens: tokens.length, nHeads, dHead, dModel, dFfn });
}

const windowOf = ({ architecture }: Ground, layer: number): number | undefined =>
  architecture.layers[layer].attention.window;

const target = (ground: Ground, of: InterventionTarget): Place =>
  placeOf(of, ground.info, ground.tokens.length, (layer) => windowOf(ground, layer));

/** Which intervention changes which place. */
class Claims {
  private readonly places = new Map<string, number>();
  private readonly edges = new Map<number, Int32Array>();

  constructor(private readonly ground: Ground) {}

  take(place: Place, number: number): void {
    if (place.kind === "edge") {
      for (const head of place.heads) this.takeEdge(place.layer, head, place.query, place.key, number);
      return;
    }
    const part = place.kind === "head" ? place.head : place.kind === "neuron" ? place.neuron : "";
    const layer = place.kind === "state" ? place.index : place.layer;
    for (const position of place.positions)
      this.takeKey(`${place.kind} ${layer} ${part} ${position}`, number, () => describePlace(place, position));
  }

  takeEdge(layer: number, head: number, query: number, key: number, number: number): void {
    const { nHeads } = this.ground.info;
    const nTokens = this.ground.tokens.length;
    const owners = this.edges.get(layer) ?? new Int32Array(nHeads * nTokens * nTokens).fill(-1);
    this.edges.set(layer, owners);
    const at = (head * nTokens + query) * nTokens + key;
    if (owners[at] >= 0 && owners[at] !== number)
      this.refuse(owners[at], number, describePlace({ kind: "edge", layer, heads: [head], query, key }));
    owners[at] = number;
  }

  takeKey(key: string, number: number, what: () => string): void {
    const owner = this.places.get(key);
    if (owner !== undefined && owner !== number) this.refuse(owner, number, what());
    this.places.set(key, number);
  }

  private refuse(first: number, second: number, what: string): never {
    throw new RangeError(`Interventions ${first} and ${second} are both for ${what}: only one can be.`);
  }
}

function readChange(
  ground: Ground,
  intervention: Exclude<Intervention, KeepIntervention>,
  claims: Claims,
  number: number,
): Work {
  if (intervention.target === undefined)
    throw new TypeError(`Intervention ${number} has no target: give { target, do, … } or { keep, others }.`);
  const place = target(ground, intervention.target);
  const kinds = ["zero", "scale", "mean", "patch", "add", "block"] as const;
  checkOneOf(`What to do in intervention ${number},`, intervention.do, kinds);
  const into = readInto(ground, intervention, place);
  if (into === undefined) claims.take(place, number);
  else for (const receiver of into) claims.take(receiver, PATHS);
  const work = changeOf(ground, intervention, place);
  return { work, ...(into ? { into, sender: place } : {}) };
}

/** All paths together: several senders may have one reader. */
const PATHS = 1e9;

function readInto(
  ground: Ground,
  intervention: Exclude<Intervention, KeepIntervention>,
  sender: Place,
): readonly Place[] | undefined {
  const { into } = intervention as { readonly into?: InterventionTarget | readonly InterventionTarget[] };
  if (into === undefined) return undefined;
  if (!["zero", "mean", "patch"].includes(intervention.do))
    throw new RangeError(
      `A path is for zero, mean and patch: ${intervention.do} reaches everybody above, without into.`,
    );
  const targets: readonly InterventionTarget[] = Array.isArray(into)
    ? (into as readonly InterventionTarget[])
    : [into as InterventionTarget];
  if (targets.length === 0) throw new RangeError("A path needs a reader: into is an empty list.");
  return targets.map((one) => {
    const receiver = target(ground, one);
    if (!reads(receiver, sender, ground.info.parallelBlocks))
      throw new RangeError(
        `${capital(describePlace(receiver))} does not read ${describePlace(sender)}: it is computed before, or at once.`,
      );
    return receiver;
  });
}

const capital = (text: string): string => text[0].toUpperCase() + text.slice(1);

function reads(receiver: Place, sender: Place, parallelBlocks: boolean): boolean {
  return readAt(receiver, parallelBlocks) >= writtenAt(sender, parallelBlocks);
}

function changeOf(
  ground: Ground,
  intervention: Exclude<Intervention, KeepIntervention>,
  place: Place,
): () => Promise<Write> {
  const { dModel } = ground.info;
  const gain =
    (factor: number): Write =>
    (plan) =>
      writeGain(plan, place, factor);
  switch (intervention.do) {
    case "zero":
      return async () => gain(0);
    case "scale": {
      const { by } = intervention;
      if (typeof by !== "number" || !Number.isFinite(by))
        throw new RangeError(`A scale is a finite number in "by", not ${String(by)}.`);
      return async () => gain(by);
    }
    case "add": {
      const { vector, by = 1 } = intervention;
      if (place.kind !== "state" && place.kind !== "mid")
        throw new RangeError(`A vector is added to a state, such as "I5_3", not to ${describePlace(place)}.`);
      const isVector = ArrayBuffer.isView(vector) && vector[Symbol.toStringTag] === "Float32Array";
      if (!isVector || vector.length !== dModel || !vector.every(Number.isFinite))
        throw new RangeError(
          `A vector to add is a Float32Array of ${dModel} finite numbers${isVector ? `, this one has ${vector.length}` : ""}.`,
        );
      if (!Number.isFinite(by))
        throw new RangeError(`A vector is multiplied with a finite number in "by", not ${String(by)}.`);
      const added = Float32Array.from(vector, (x) => x * by);
      return async () => (plan) => place.positions.forEach((position) => writeVector(plan, place, position, 1, added));
    }
    case "block": {
      if (place.kind !== "edge")
        throw new RangeError(
          `Only an edge can be blocked, such as { kind: "edge", layer: 0, query: 1, key: 0 }, not ${describePlace(place)}.`,
        );
      const { layer, heads, query, key } = place;
      return async () => (plan) => heads.forEach((head) => plan.block(layer, head, query, key));
    }
    case "mean": {
      const of = readRuns(ground, intervention.of, "of");
      return async () => meanOf(place, of, ground);
    }
    case "patch": {
      const [from] = readRuns(ground, intervention.from, "from");
      if (Array.isArray(intervention.from)) throw new TypeError("A patch comes from one run: give one in from.");
      return patchOf(ground, place, from, intervention.position);
    }
  }
}

function patchOf(ground: Ground, place: Place, from: Readable, position: number | undefined): () => Promise<Write> {
  const [here, there] = [ground.tokens.length, from.tokens.length];
  if (place.kind === "edge") {
    if (position !== undefined)
      throw new RangeError("The patch of an edge is that edge in the other run: it takes no position.");
    if (here !== there) refuseLengths(here, there);
    return async () => {
      const term = await termReader(from, place.layer, ground);
      return (plan) =>
        place.heads.forEach((head) => {
          plan.edge(place.layer, head, place.query, place.key, 0);
          plan.addTerm(place.layer, head, place.query, term(head, place.query, place.key));
        });
    };
  }
  if (position === undefined) {
    if (here !== there) refuseLengths(here, there);
  } else if (!Number.isInteger(position) || position < 0 || position >= there)
    throw new RangeError(
      `There is no position ${String(position)} in the run to patch from: they go from 0 to ${there - 1}.`,
    );
  return async () => {
    const row = await vectorReader(from, place, ground);
    return (plan) => {
      for (const own of place.positions) writeVector(plan, place, own, 0, row(position ?? own));
    };
  };
}

function refuseLengths(here: number, there: number): never {
  throw new RangeError(
    `The run to patch from has ${there} tokens and this one ${here}: name one of its positions, or take a prompt of as many tokens.`,
  );
}

/** Runs that values come from. */
function readRuns(ground: Ground, runs: Run | readonly Run[] | undefined, name: string): readonly Readable[] {
  const list: readonly (Run | undefined)[] = Array.isArray(runs) ? (runs as readonly Run[]) : [runs as Run | undefined];
  if (list.length === 0) throw new RangeError(`"${name}" is an empty list: give at least one run.`);
  return list.map((run) => {
    if (typeof run !== "object" || run === null) throw new TypeError(`"${name}" is missing: give a run of this model.`);
    const readable = ground.readable(run);
    if (!readable)
      throw new RangeError(
        `A run in "${name}" is not of this model (${ground.info.name}): values are only taken from runs of the same loaded model.`,
      );
    return readable;
  });
}

async function meanOf(place: Place, runs: readonly Readable[], ground: Ground): Promise<Write> {
  if (place.kind === "edge") {
    const { dHead } = ground.info;
    const means = await meanTerms(runs, place.layer, ground);
    return (plan) =>
      place.heads.forEach((head) => {
        plan.edge(place.layer, head, place.query, place.key, 0);
        plan.addTerm(place.layer, head, place.query, means.subarray(head * dHead, (head + 1) * dHead));
      });
  }
  const mean = await meanVector(place, runs, ground);
  return (plan) => place.positions.forEach((position) => writeVector(plan, place, position, 0, mean));
}

// Into the plan.

function writeGain(plan: ChangePlan, place: Place, gain: number): void {
  if (place.kind === "edge") place.heads.forEach((head) => plan.edge(place.layer, head, place.query, place.key, gain));
  else for (const position of place.positions) writeVector(plan, place, position, gain);
}

/** Refuses a query of which nothing that it sees is left. */
function blockedRows(ground: Ground, interventions: readonly Intervention[]): void {
  const rows = new Map<
    string,
    { readonly place: Extract<Place, { readonly kind: "edge" }>; count: number; head: number }
  >();
  for (const intervention of interventions) {
    if (!("do" in intervention) || intervention.do !== "block") continue;
    const place = target(ground, intervention.target);
    if (place.kind !== "edge") continue;
    for (const head of place.heads) {
      const name = `${place.layer} ${head} ${place.query}`;
      const row = rows.get(name) ?? { place, count: 0, head };
      row.count++;
      rows.set(name, row);
      if (row.count === Math.min(place.query + 1, windowOf(ground, place.layer) ?? Infinity))
        throw new RangeError(
          `Head ${head} of layer ${place.layer} sees nothing at query ${place.query} any more: leave one key, or use "zero".`,
        );
    }
  }
}

// Routes alone.

function readKeep(
  ground: Ground,
  intervention: KeepIntervention,
  claims: Claims | undefined,
  number: number,
): () => Promise<Write> {
  const { keep, others, of } = intervention;
  checkOneOf("What stands in place of others,", others, ["zero", "mean", "patch"]);
  checkRoom(ground);
  const kept = keptParts(ground, keep);
  const replacement = readReplacement(ground, others, of);
  if (claims) claimRest(ground, kept, claims, number);
  return () => writeKept(ground, kept, replacement);
}

/** Everything that does not stay is taken. */
function claimRest(ground: Ground, kept: KeptParts, claims: Claims, number: number): void {
  const nTokens = ground.tokens.length;
  const { nLayers, nHeads } = ground.info;
  for (let layer = 0; layer < nLayers; layer++) {
    for (let position = 0; position < nTokens; position++)
      if (!kept.blocks[layer][position]) claims.take({ kind: "ffn", layer, positions: [position] }, number);
    const window = windowOf(ground, layer) ?? Infinity;
    for (let head = 0; head < nHeads; head++)
      for (let query = 0; query < nTokens; query++)
        for (let key = Math.max(0, query - window + 1); key <= query; key++)
          if (!kept.terms[layer][(head * nTokens + query) * nTokens + key])
            claims.takeEdge(layer, head, query, key, number);
  }
}

/** What stands in place of others, checked. */
export function readReplacement(
  ground: Ground,
  others: Replacement["others"],
  of: Run | readonly Run[] | undefined,
): Replacement {
  if (others === "zero") return { others, of: [] };
  const runs = readRuns(ground, of, "of");
  if (others === "patch") {
    if (runs.length > 1) throw new RangeError(`Others are patched from one run; "of" has ${runs.length}.`);
    if (runs[0].tokens.length !== ground.tokens.length)
      throw new RangeError(
        `Others are patched from a run of as many tokens: "of" has ${runs[0].tokens.length}, this one ${ground.tokens.length}.`,
      );
  }
  return { others, of: runs };
}

/** Terms and blocks on routes. */
export function keptParts({ info, tokens }: Pick<Ground, "info" | "tokens">, routes: RouteGraph): KeptParts {
  const { nLayers, nHeads } = info;
  const nTokens = tokens.length;
  const edges: unknown = typeof routes === "object" && routes !== null ? routes.edges : undefined;
  if (!Array.isArray(edges)) throw new TypeError("The routes to keep are a RouteGraph, such as await run.routes().");
  const same = routes.tokens.length === nTokens && routes.tokens.every(({ id }, t) => id === tokens[t].id);
  if (!same) throw new RangeError("The routes to keep are of another prompt: trace them on this run.");
  const { model } = routes;
  if (model.nLayers !== nLayers || model.nHeads !== nHeads || model.parallelBlocks !== info.parallelBlocks)
    throw new RangeError(`The routes to keep are of another model (${model.name}): trace them on this run.`);
  const terms = Array.from({ length: nLayers }, () => new Uint8Array(nHeads * nTokens * nTokens));
  const blocks = Array.from({ length: nLayers }, () => new Uint8Array(nTokens));
  for (const { name } of routes.nodes) {
    const place = parseNode(name);
    if (place?.kind === "M") blocks[place.layer][place.position] = 1;
  }
  for (const { kind, source, target, heads } of routes.edges) {
    if (kind !== "attention") continue;
    const [from, to] = [parseNode(source), parseNode(target)];
    const carriers = heads ? Object.keys(heads).map(Number) : Array.from({ length: nHeads }, (_, head) => head);
    if (!from || !to || to.layer >= nLayers || carriers.some((head) => !(head < nHeads)))
      throw new RangeError(`The routes to keep have an edge from ${source} to ${target} that this model has not.`);
    for (const head of carriers) terms[to.layer][(head * nTokens + to.position) * nTokens + from.position] = 1;
  }
  return { terms, blocks };
}

/** Everything that does not stay, replaced. */
async function writeKept(ground: Ground, kept: KeptParts, { others, of }: Replacement): Promise<Write> {
  const { nLayers, nHeads, nKeyValueHeads, dHead, dModel } = ground.info;
  const nTokens = ground.tokens.length;
  const group = nHeads / nKeyValueHeads;
  const works: Write[] = [];
  for (let layer = 0; layer < nLayers; layer++) {
    const terms = kept.terms[layer];
    const window = windowOf(ground, layer) ?? Infinity;
    const first = (query: number): number => Math.max(0, query - window + 1);
    /** Terms that go, by head and query; those that the query does not see are not there. */
    const gone = new Int32Array(nHeads * nTokens);
    let any = false;
    for (let row = 0; row < gone.length; row++) {
      const query = row % nTokens;
      for (let key = first(query); key <= query; key++) if (!terms[row * nTokens + key]) gone[row]++;
      any ||= gone[row] > 0;
    }
    if (any) {
      const [reference] = of;
      const means = others === "mean" ? await meanTerms(of, layer, ground) : undefined;
      const values =
        others === "patch" ? await reference.reference(layer, ["pattern", "value_used", "head_mix"]) : undefined;
      works.push((plan) => {
        const weights = plan.weights(layer);
        const term = new Float64Array(dHead);
        for (let row = 0; row < gone.length; row++) {
          if (gone[row] === 0) continue;
          const [head, query] = [Math.floor(row / nTokens), row % nTokens];
          for (let key = first(query); key <= query; key++)
            if (!terms[row * nTokens + key]) weights[row * nTokens + key] = 0;
          if (means) plan.addTerm(layer, head, query, means.subarray(head * dHead, (head + 1) * dHead), gone[row]);
          if (!values) continue;
          // The sum of those that go, or the whole less those that stay: whichever has fewer.
          const { pattern, value_used, head_mix } = values;
          const stay = query - first(query) + 1 - gone[row] < gone[row];
          const mix = (query * nHeads + head) * dHead;
          for (let i = 0; i < dHead; i++) term[i] = stay ? head_mix.data[mix + i] : 0;
          for (let key = first(query); key <= query; key++) {
            if ((terms[row * nTokens + key] === 1) !== stay) continue;
            const weight = (stay ? -1 : 1) * pattern.data[row * nTokens + key];
            const at = (key * nKeyValueHeads + Math.floor(head / group)) * dHead;
            for (let i = 0; i < dHead; i++) term[i] += weight * value_used.data[at + i];
          }
          plan.addTerm(layer, head, query, term);
        }
      });
    }
    const blocks = kept.blocks[layer];
    if (!blocks.includes(0)) continue;
    const place: VectorPlace = { kind: "ffn", layer, positions: [] };
    const mean = others === "mean" ? await meanVector(place, of, ground) : undefined;
    const written = others === "patch" ? (await of[0].reference(layer, ["ffn_raw"])).ffn_raw.data : undefined;
    works.push((plan) => {
      for (let position = 0; position < nTokens; position++)
        if (!blocks[position])
          plan.row("ffn", layer, position, 0, mean ?? written?.subarray(position * dModel, (position + 1) * dModel));
    });
  }
  return (plan) => works.forEach((write) => write(plan));
}
