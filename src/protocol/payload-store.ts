import { isTensor, pack, tensor, unpack } from "./codec";
import { nodeName, parseNode } from "./names";
import type { NodeKind } from "./names";
import type { ColumnPlace } from "./payload-columns";
import { ColumnReader, ColumnWriter, isCount } from "./payload-columns";
import type { PayloadHead } from "./payload";
import { checkStoredRun, MAX_INFLATED } from "./payload";
import type { StoredPair, StoredWhole } from "./payload-routes";
import { StoredRoutes } from "./payload-routes";
import type { Answer, Question, QuestionKind, WireComponent, WireEffectToken, WireLensToken, WireToken } from "./questions";
import { questionKey, readQuestion } from "./questions";
import { readRunFacts, selectionFor } from "./state";
import { ProtocolError } from "./version";

/**
 * The inside of a stored payload: `[length of JSON, u32 little-endian][JSON][columns]`. Written in the kernel, read in the
 * browser; README.md has the layout.
 */

/** A question with its answer. */
export interface Answered<K extends QuestionKind = QuestionKind> {
  readonly question: Question<K>;
  readonly answer: Answer<K>;
}

/** Everything that goes into a payload. */
export interface Holdings {
  readonly head: PayloadHead;
  readonly wholes: readonly StoredWhole[];
  readonly pairs: readonly StoredPair[];
  /** Lens, effect, neurons and maps become columns; other kinds are kept as they are. */
  readonly answers: Iterable<Answered>;
}

interface Section {
  readonly kind: string;
  readonly [option: string]: unknown;
}

const NODE_KINDS: readonly NodeKind[] = ["X", "A", "M", "I"];
const KINDS = ["attention", "ffn"] as const;
/** Steps between the ends of a list: logits are read to two decimals, scores of effects are short lists of small numbers. */
const STEPS = 65535;
const EFFECT_STEPS = 4095;

// --- writing ---------------------------------------------------------------------------------------------------------

/** A list that runs from one value to another, as its ends and equal steps between. Undefined where it does not. */
function steps(values: readonly number[], levels: number): { first: number; last: number; q: number[] } | undefined {
  if (!values.every(Number.isFinite)) return undefined;
  const first = Math.fround(values[0] ?? 0);
  const last = Math.fround(values[values.length - 1] ?? 0);
  if (first === last) return values.every((value) => Math.fround(value) === first) ? { first, last, q: values.map(() => 0) } : undefined;
  const q = values.map((value) => Math.round(((Math.fround(value) - first) / (last - first)) * levels));
  return q.every((step, i) => step >= 0 && step <= levels && (i === 0 || step >= q[i - 1])) ? { first, last, q } : undefined;
}

const unstep = (first: number, last: number, q: number, levels: number): number => first + ((last - first) * q) / levels;

/** Tokens that answers mention, each once; the most frequent first, so that indices are small. */
class Vocabulary {
  readonly #tokens = new Map<number, { readonly text: string; uses: number }>();
  #ids: number[] = [];
  #index = new Map<number, number>();

  note({ id, text }: WireToken): void {
    const known = this.#tokens.get(id);
    if (known) known.uses++;
    else this.#tokens.set(id, { text, uses: 1 });
  }

  /** Call when all tokens were noted. */
  close(): void {
    this.#ids = [...this.#tokens].sort(([a, { uses }], [b, { uses: others }]) => others - uses || a - b).map(([id]) => id);
    this.#index = new Map(this.#ids.map((id, i) => [id, i]));
  }

  index(id: number): number {
    return this.#index.get(id)!;
  }

  write(columns: ColumnWriter): { ids: ColumnPlace; texts: string[] } {
    return { ids: columns.addWhole(this.#ids), texts: this.#ids.map((id) => this.#tokens.get(id)!.text) };
  }
}

function storableLens({ answer }: Answered<"lens">): boolean {
  const { tokens } = answer;
  if (tokens.length === 0 || !steps(tokens.map((token) => token.logit), STEPS)) return false;
  const top = tokens[0];
  const logZ = Math.fround(top.logit - Math.log(top.probability));
  return (
    Number.isFinite(logZ) &&
    tokens.every(
      (token, i) =>
        isCount(token.id) &&
        token.rank === i &&
        (token.rankChange === undefined) === (top.rankChange === undefined) &&
        Number.isSafeInteger(token.rankChange ?? 0) &&
        Math.abs(Math.exp(token.logit - logZ) - token.probability) <= 1e-6 + 1e-3 * token.probability,
    )
  );
}

function storableEffect({ question, answer }: Answered<"effect">): boolean {
  // What a head wrote from one key alone has no column.
  if (Object.keys(question.component).some((name) => !["kind", "layer", "position", "head", "neuron"].includes(name))) return false;
  const lists = [answer.promoted, answer.suppressed];
  return lists.every((list) => list.length > 0 && list.every((token) => isCount(token.id)) && steps(list.map((token) => token.score), EFFECT_STEPS) !== undefined);
}

function lensSection(items: readonly Answered<"lens">[], normalize: boolean, topK: number, vocabulary: Vocabulary, columns: ColumnWriter): Section {
  const places = items.map((item) => ({ item, place: parseNode(item.question.node)! }));
  // Neighbours in a column have most of their tokens in common.
  places.sort((a, b) => a.place.position - b.place.position || a.place.layer - b.place.layer || NODE_KINDS.indexOf(a.place.kind) - NODE_KINDS.indexOf(b.place.kind));
  const lists = places.map(({ item }) => item.answer.tokens);
  const quantised = lists.map((tokens) => steps(tokens.map((token) => token.logit), STEPS)!);
  const changes = lists.map((tokens) => tokens[0].rankChange !== undefined);
  const zigzag = (n: number): number => (n >= 0 ? 2 * n : -2 * n - 1);
  return {
    kind: "lens",
    normalize,
    topK,
    nodeKinds: columns.add("u8", places.map(({ place }) => NODE_KINDS.indexOf(place.kind))),
    layers: columns.addWhole(places.map(({ place }) => place.layer + 1)),
    positions: columns.addWhole(places.map(({ place }) => place.position), { delta: true }),
    counts: columns.addWhole(lists.map((tokens) => tokens.length)),
    tokens: columns.addWhole(lists.flatMap((tokens) => tokens.map((token) => vocabulary.index(token.id)))),
    first: columns.add("f32", quantised.map(({ first }) => first)),
    last: columns.add("f32", quantised.map(({ last }) => last)),
    steps: columns.add("u16", quantised.flatMap(({ q }) => q), { delta: true }),
    logZ: columns.add("f32", lists.map(([top]) => top.logit - Math.log(top.probability))),
    changed: columns.add("u8", changes.map(Number)),
    changes: columns.addWhole(lists.flatMap((tokens, i) => (changes[i] ? tokens.map((token) => zigzag(token.rankChange ?? 0)) : []))),
  };
}

/** Head or neuron of a component plus one; 0 for the whole block. */
function partOf(component: WireComponent): number {
  return "head" in component && component.head !== undefined ? component.head + 1 : "neuron" in component && component.neuron !== undefined ? component.neuron + 1 : 0;
}

function effectSection(items: readonly Answered<"effect">[], normalize: boolean, topK: number, vocabulary: Vocabulary, columns: ColumnWriter): Section {
  const lists = items.flatMap(({ answer }) => [answer.promoted, answer.suppressed]);
  const quantised = lists.map((list) => steps(list.map((token) => token.score), EFFECT_STEPS)!);
  const components = items.map(({ question }) => question.component);
  return {
    kind: "effect",
    normalize,
    topK,
    kinds: columns.add("u8", components.map((component) => KINDS.indexOf(component.kind))),
    layers: columns.addWhole(components.map((component) => component.layer)),
    positions: columns.addWhole(components.map((component) => component.position)),
    parts: columns.addWhole(components.map(partOf)),
    counts: columns.addWhole(lists.map((list) => list.length)),
    tokens: columns.addWhole(lists.flatMap((list) => list.map((token) => vocabulary.index(token.id)))),
    first: columns.add("f32", quantised.map(({ first }) => first)),
    last: columns.add("f32", quantised.map(({ last }) => last)),
    steps: columns.add("u16", quantised.flatMap(({ q }) => q), { delta: true }),
  };
}

function neuronsSection(items: readonly Answered<"neurons">[], topK: number, columns: ColumnWriter): Section {
  const all = items.flatMap(({ answer }) => answer.neurons);
  return {
    kind: "neurons",
    topK,
    layers: columns.addWhole(items.map(({ question }) => question.layer)),
    positions: columns.addWhole(items.map(({ question }) => question.position)),
    counts: columns.addWhole(items.map(({ answer }) => answer.neurons.length)),
    neurons: columns.addWhole(all.map(({ neuron }) => neuron)),
    activations: columns.add("f24", all.map(({ activation }) => activation)),
    contributions: columns.add("f24", all.map(({ contribution }) => contribution)),
  };
}

/** The lower triangle of a [T, T] map. */
function triangle(data: ArrayLike<number>, T: number): number[] {
  const values: number[] = [];
  for (let query = 0; query < T; query++) for (let key = 0; key <= query; key++) values.push(data[query * T + key]);
  return values;
}

function storableMap({ answer }: Answered<"maps">, T: number): boolean {
  return [answer.pattern, answer.contributions].every(({ data, shape }) => {
    if (shape.length !== 2 || shape[0] !== T || shape[1] !== T) return false;
    for (let query = 0; query < T; query++) for (let key = 0; key < T; key++) if (!Number.isFinite(data[query * T + key]) || data[query * T + key] < 0 || (key > query && data[query * T + key] !== 0)) return false;
    return true;
  });
}

function mapsSection(items: readonly Answered<"maps">[], T: number, columns: ColumnWriter): Section {
  // All heads' sum exceeds 1: each map has its own scale.
  const largest = (data: ArrayLike<number>): number => Math.fround(triangle(data, T).reduce((most, value) => Math.max(most, value), 0));
  const scaled = (data: ArrayLike<number>): number[] => {
    const most = largest(data) || 1;
    return triangle(data, T).map((value) => Math.min(STEPS, Math.round((value / most) * STEPS)));
  };
  return {
    kind: "maps",
    layers: columns.addWhole(items.map(({ question }) => question.layer)),
    heads: columns.addWhole(items.map(({ question }) => (question.head === null ? 0 : question.head + 1))),
    scales: columns.add("f32", items.flatMap(({ answer }) => [largest(answer.pattern.data), largest(answer.contributions.data)])),
    patterns: columns.add("u16", items.flatMap(({ answer }) => scaled(answer.pattern.data))),
    contributions: columns.add("u16", items.flatMap(({ answer }) => scaled(answer.contributions.data))),
  };
}

function contributionsSection(wholes: readonly StoredWhole[], pairs: readonly StoredPair[], nHeads: number, columns: ColumnWriter): Section {
  return {
    kind: "contributions",
    nHeads,
    layers: columns.addWhole(wholes.map((whole) => whole.layer)),
    queries: columns.addWhole(wholes.map((whole) => whole.query)),
    residuals: columns.add("f24", wholes.map((whole) => whole.residual)),
    ffns: columns.add("f24", wholes.map((whole) => whole.ffn)),
    biases: columns.add("f24", wholes.map((whole) => whole.bias)),
    counts: columns.addWhole(wholes.map((whole) => whole.keys.length)),
    keys: columns.addWhole(wholes.flatMap((whole) => whole.keys)),
    terms: columns.add("f24", wholes.flatMap((whole) => Array.from(whole.terms))),
    weights: columns.add("u16", wholes.flatMap((whole) => Array.from(whole.weights, (weight) => Math.max(0, Math.min(STEPS, Math.round(weight * STEPS)))))),
    pairLayers: columns.addWhole(pairs.map((pair) => pair.layer)),
    pairPositions: columns.addWhole(pairs.map((pair) => pair.position)),
    pairFfns: columns.add("f24", pairs.map((pair) => pair.ffn)),
    pairResiduals: columns.add("f24", pairs.map((pair) => pair.residual)),
  };
}

/** Items by the JSON of what they share. */
function grouped<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return [...groups.values()];
}

/** The bytes that `decodeHoldings` reads. The same holdings give the same bytes. */
export function encodeHoldings({ head, wholes, pairs, answers }: Holdings): Uint8Array {
  const T = head.facts.tokens.length;
  const of = { lens: [] as Answered<"lens">[], effect: [] as Answered<"effect">[], neurons: [] as Answered<"neurons">[], maps: [] as Answered<"maps">[], other: [] as Answered[] };
  for (const item of answers) {
    if (item.question.kind === "lens" && storableLens(item as Answered<"lens">)) of.lens.push(item as Answered<"lens">);
    else if (item.question.kind === "effect" && storableEffect(item as Answered<"effect">)) of.effect.push(item as Answered<"effect">);
    else if (item.question.kind === "neurons") of.neurons.push(item as Answered<"neurons">);
    else if (item.question.kind === "maps" && storableMap(item as Answered<"maps">, T)) of.maps.push(item as Answered<"maps">);
    else of.other.push(item);
  }
  const vocabulary = new Vocabulary();
  for (const { answer } of of.lens) answer.tokens.forEach((token) => vocabulary.note(token));
  for (const { answer } of of.effect) for (const token of [...answer.promoted, ...answer.suppressed]) vocabulary.note(token);
  vocabulary.close();
  const columns = new ColumnWriter();
  const options = ({ question }: Answered<"lens"> | Answered<"effect">): string => `${question.normalize} ${question.topK}`;
  const sections: Section[] = [
    contributionsSection(wholes, pairs, head.facts.model.nHeads, columns),
    ...grouped(of.lens, options).map((items) => lensSection(items, items[0].question.normalize, items[0].question.topK, vocabulary, columns)),
    ...grouped(of.effect, options).map((items) => effectSection(items, items[0].question.normalize, items[0].question.topK, vocabulary, columns)),
    ...grouped(of.neurons, ({ question }) => String(question.topK)).map((items) => neuronsSection(items, items[0].question.topK, columns)),
    ...(of.maps.length ? [mapsSection(of.maps, T, columns)] : []),
    ...of.other.map(({ question, answer }) => {
      const { json, buffers } = pack(answer);
      return { kind: "other", question, answer: json, buffers: buffers.map((view) => columns.add("u8", new Uint8Array(view.buffer, view.byteOffset, view.byteLength))) };
    }),
  ];
  const json = new TextEncoder().encode(JSON.stringify({ head, vocabulary: vocabulary.write(columns), sections }));
  const rest = columns.bytes();
  const bytes = new Uint8Array(4 + json.length + rest.length);
  new DataView(bytes.buffer).setUint32(0, json.length, true);
  bytes.set(json, 4);
  bytes.set(rest, 4 + json.length);
  return bytes;
}

// --- reading ---------------------------------------------------------------------------------------------------------

const malformed = (what: string): ProtocolError => new ProtocolError("malformed", `The data stored in this output is damaged: ${what}.`);

const record = (value: unknown): Record<string, unknown> => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {});

/** Where the entries of each item begin, from how many each one has. */
function starts(counts: ArrayLike<number>): number[] {
  const all = [0];
  for (let i = 0; i < counts.length; i++) all.push(all[i] + counts[i]);
  return all;
}

/** A run's stored answers. Nothing is decoded before it is asked for. */
export class StoredAnswers {
  readonly head: PayloadHead;
  readonly #reader: ColumnReader;
  readonly #sections: readonly Record<string, unknown>[];
  readonly #vocabulary: { readonly ids: Float64Array; readonly texts: readonly unknown[] };
  /** How to decode an answer, by the question's key; filled kind by kind. */
  readonly #answers = new Map<string, () => unknown>();
  readonly #indexed = new Set<string>();
  #routes: StoredRoutes | undefined;

  /** Throws a `ProtocolError` for bytes that are not a payload's. */
  constructor(bytes: Uint8Array) {
    if (bytes.length > MAX_INFLATED) throw malformed("it is too large");
    const length = bytes.length >= 4 ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) : Infinity;
    if (4 + length > bytes.length) throw malformed("its beginning is cut off");
    let json: Record<string, unknown>;
    try {
      json = record(JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length))));
    } catch {
      throw malformed("its description is not JSON");
    }
    const head = record(json.head);
    const facts = readRunFacts(head.facts);
    checkStoredRun(facts);
    const omitted = Object.entries(record(head.omitted)).filter(([, count]) => isCount(count)) as [string, number][];
    this.head = {
      facts,
      selection: selectionFor(facts, head.selection),
      threshold: typeof head.threshold === "number" && head.threshold >= 0 ? head.threshold : 1,
      budget: typeof head.budget === "number" && head.budget > 0 ? head.budget : 0,
      omitted: Object.fromEntries(omitted),
    };
    this.#reader = new ColumnReader(bytes.subarray(4 + length));
    this.#sections = Array.isArray(json.sections) ? json.sections.map(record) : [];
    const vocabulary = record(json.vocabulary);
    const texts = Array.isArray(vocabulary.texts) ? vocabulary.texts : [];
    this.#vocabulary = { ids: this.#reader.read(vocabulary.ids, texts.length), texts };
  }

  /** Undefined where it is not stored. Throws a `ProtocolError` where what is stored is damaged. */
  async answer<K extends QuestionKind>(question: Question<K>, signal?: AbortSignal): Promise<Answer<K> | undefined> {
    const found = this.#stored(question as unknown as Question);
    if (found !== undefined) return found as Answer<K>;
    const asked = question as unknown as Question;
    if (asked.kind === "routes") {
      if (asked.from >= this.head.facts.tokens.length) return undefined;
      try {
        return (await this.#contributions().routes(asked.from, asked.threshold, asked.renormalize, signal)) as Answer<K>;
      } catch (error) {
        if (error instanceof ProtocolError && error.code === "unavailable") return undefined;
        throw error;
      }
    }
    if (asked.kind === "heads") return this.#contributions().heads(asked.layer, asked.query, asked.key) as Answer<K> | undefined;
    if (asked.kind === "layerMaps") return this.#layerMaps(asked.layer) as Answer<K> | undefined;
    return undefined;
  }

  #stored(question: Question): unknown {
    this.#index(question.kind);
    this.#index("other");
    return this.#answers.get(questionKey(question))?.();
  }

  /** Keys of the answers of one kind that are stored as such. */
  keys(kind: string): string[] {
    this.#index(kind);
    return [...this.#answers.keys()].filter((key) => (JSON.parse(key) as { kind: string }).kind === kind);
  }

  #index(kind: string): void {
    if (this.#indexed.has(kind)) return;
    this.#indexed.add(kind);
    for (const section of this.#sections) {
      if (section.kind !== kind) continue;
      if (kind === "lens") this.#indexLens(section);
      else if (kind === "effect") this.#indexEffects(section);
      else if (kind === "neurons") this.#indexNeurons(section);
      else if (kind === "maps") this.#indexMaps(section);
      else if (kind === "other") this.#indexOther(section);
    }
  }

  #remember(question: unknown, decode: () => unknown): void {
    this.#answers.set(questionKey(readQuestion(question)), decode);
  }

  #token(index: number): WireToken {
    if (!(index < this.#vocabulary.ids.length)) throw malformed("a token is missing");
    const text = this.#vocabulary.texts[index];
    return { id: this.#vocabulary.ids[index], text: typeof text === "string" ? text : "" };
  }

  #indexLens(section: Record<string, unknown>): void {
    const read = (name: string, n?: number): Float64Array => this.#reader.read(section[name], n);
    const kinds = read("nodeKinds");
    const n = kinds.length;
    const layers = read("layers", n);
    const positions = read("positions", n);
    const counts = read("counts", n);
    const at = starts(counts);
    const total = at[n];
    const tokens = read("tokens", total);
    const first = read("first", n);
    const last = read("last", n);
    const stepped = read("steps", total);
    const logZ = read("logZ", n);
    const changed = read("changed", n);
    const changeAt = starts(counts.map((count, i) => (changed[i] ? count : 0)));
    const changes = read("changes", changeAt[n]);
    for (let i = 0; i < n; i++) {
      const kind = NODE_KINDS[kinds[i]];
      const node = kind && nodeName(kind, layers[i] - 1, positions[i]);
      if (node === undefined || !parseNode(node)) throw malformed("a state has no name");
      this.#remember({ kind: "lens", node, normalize: section.normalize, topK: section.topK }, () => {
        const list: WireLensToken[] = [];
        for (let j = 0; j < counts[i]; j++) {
          const logit = unstep(first[i], last[i], stepped[at[i] + j], STEPS);
          const change = changes[changeAt[i] + j];
          list.push({
            ...this.#token(tokens[at[i] + j]),
            logit,
            probability: Math.min(1, Math.exp(logit - logZ[i])),
            rank: j,
            ...(changed[i] ? { rankChange: change % 2 === 0 ? change / 2 : -(change + 1) / 2 } : {}),
          });
        }
        return { tokens: list };
      });
    }
  }

  #indexEffects(section: Record<string, unknown>): void {
    const read = (name: string, n?: number): Float64Array => this.#reader.read(section[name], n);
    const kinds = read("kinds");
    const n = kinds.length;
    const layers = read("layers", n);
    const positions = read("positions", n);
    const parts = read("parts", n);
    const counts = read("counts", 2 * n);
    const at = starts(counts);
    const tokens = read("tokens", at[2 * n]);
    const first = read("first", 2 * n);
    const last = read("last", 2 * n);
    const stepped = read("steps", at[2 * n]);
    const list = (i: number): WireEffectToken[] =>
      Array.from({ length: counts[i] }, (_, j) => ({ ...this.#token(tokens[at[i] + j]), score: unstep(first[i], last[i], stepped[at[i] + j], EFFECT_STEPS) }));
    for (let i = 0; i < n; i++) {
      const kind = KINDS[kinds[i]];
      const part = parts[i] === 0 ? {} : kind === "attention" ? { head: parts[i] - 1 } : { neuron: parts[i] - 1 };
      this.#remember({ kind: "effect", component: { kind, layer: layers[i], position: positions[i], ...part }, normalize: section.normalize, topK: section.topK }, () => ({
        promoted: list(2 * i),
        suppressed: list(2 * i + 1),
      }));
    }
  }

  #indexNeurons(section: Record<string, unknown>): void {
    const read = (name: string, n?: number): Float64Array => this.#reader.read(section[name], n);
    const layers = read("layers");
    const n = layers.length;
    const positions = read("positions", n);
    const counts = read("counts", n);
    const at = starts(counts);
    const neurons = read("neurons", at[n]);
    const activations = read("activations", at[n]);
    const contributions = read("contributions", at[n]);
    for (let i = 0; i < n; i++) {
      this.#remember({ kind: "neurons", layer: layers[i], position: positions[i], topK: section.topK }, () => ({
        neurons: Array.from({ length: counts[i] }, (_, j) => ({ neuron: neurons[at[i] + j], activation: activations[at[i] + j], contribution: contributions[at[i] + j] })),
      }));
    }
  }

  #indexMaps(section: Record<string, unknown>): void {
    const T = this.head.facts.tokens.length;
    const size = (T * (T + 1)) / 2;
    const read = (name: string, n?: number): Float64Array => this.#reader.read(section[name], n);
    const layers = read("layers");
    const n = layers.length;
    const heads = read("heads", n);
    const scales = read("scales", 2 * n);
    const patterns = read("patterns", n * size);
    const contributions = read("contributions", n * size);
    const square = (values: Float64Array, i: number, scale: number): Float32Array => {
      const data = new Float32Array(T * T);
      let at = i * size;
      for (let query = 0; query < T; query++) for (let key = 0; key <= query; key++) data[query * T + key] = (values[at++] / STEPS) * scale;
      return data;
    };
    for (let i = 0; i < n; i++) {
      this.#remember({ kind: "maps", layer: layers[i], head: heads[i] === 0 ? null : heads[i] - 1 }, () => ({
        pattern: tensor(square(patterns, i, scales[2 * i]), [T, T]),
        contributions: tensor(square(contributions, i, scales[2 * i + 1]), [T, T]),
      }));
    }
  }

  #indexOther(section: Record<string, unknown>): void {
    this.#remember(section.question, () => {
      const buffers = (Array.isArray(section.buffers) ? section.buffers : []).map((place) => Uint8Array.from(this.#reader.read(place)));
      return unpack(section.answer, buffers);
    });
  }

  /** All heads' maps, where every one of them is stored. */
  #layerMaps(layer: number): Answer<"layerMaps"> | undefined {
    const H = this.head.facts.model.nHeads;
    const T = this.head.facts.tokens.length;
    const pattern = new Float32Array(H * T * T);
    const contributions = new Float32Array(H * T * T);
    for (let head = 0; head < H; head++) {
      const map = this.#stored({ kind: "maps", layer, head }) as Answer<"maps"> | undefined;
      if (!map || !isTensor(map.pattern)) return undefined;
      pattern.set(map.pattern.data, head * T * T);
      contributions.set(map.contributions.data, head * T * T);
    }
    return { pattern: tensor(pattern, [H, T, T]), contributions: tensor(contributions, [H, T, T]) };
  }

  #contributions(): StoredRoutes {
    if (this.#routes) return this.#routes;
    const { facts, threshold } = this.head;
    const T = facts.tokens.length;
    const H = facts.model.nHeads;
    const wholes: StoredWhole[] = [];
    const pairs: StoredPair[] = [];
    const within = (layer: number, position: number): boolean => layer < facts.model.nLayers && position < T;
    for (const section of this.#sections) {
      if (section.kind !== "contributions") continue;
      if (section.nHeads !== H) throw malformed("its heads are not those of the model");
      const read = (name: string, n?: number): Float64Array => this.#reader.read(section[name], n);
      const layers = read("layers");
      const n = layers.length;
      const [queries, residuals, ffns, biases, counts] = ["queries", "residuals", "ffns", "biases", "counts"].map((name) => read(name, n));
      const at = starts(counts);
      const keys = read("keys", at[n]);
      const terms = read("terms", at[n] * H);
      const weights = read("weights", at[n] * H).map((weight) => weight / STEPS);
      for (let i = 0; i < n; i++) {
        const own = Array.from(keys.subarray(at[i], at[i + 1]));
        if (!within(layers[i], queries[i]) || own.some((key) => key > queries[i])) throw malformed("a row belongs to no token");
        const range = [at[i] * H, at[i + 1] * H] as const;
        wholes.push({ layer: layers[i], query: queries[i], residual: residuals[i], ffn: ffns[i], bias: biases[i], keys: own, terms: terms.subarray(...range), weights: weights.subarray(...range) });
      }
      const pairLayers = read("pairLayers");
      const m = pairLayers.length;
      const [positions, pairFfns, pairResiduals] = ["pairPositions", "pairFfns", "pairResiduals"].map((name) => read(name, m));
      for (let i = 0; i < m; i++) {
        if (!within(pairLayers[i], positions[i])) throw malformed("a row belongs to no token");
        pairs.push({ layer: pairLayers[i], position: positions[i], ffn: pairFfns[i], residual: pairResiduals[i] });
      }
    }
    return (this.#routes = new StoredRoutes(facts.model, T, wholes, pairs, threshold));
  }
}

