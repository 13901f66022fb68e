import { isTensor, pack, tensor, unpack } from "../protocol/codec";
import { nodeName, parseNode } from "../model/names";
import type { NodeKind } from "../model/names";
import type { ColumnPlace } from "./columns";
import type { ColumnValues } from "./columns";
import { ColumnReader, ColumnWriter, isCount } from "./columns";
import type { PayloadHead } from "./format";
import { checkStoredRun, MAX_INFLATED } from "./format";
import type { StoredPair, StoredWhole } from "./routes";
import { StoredRoutes } from "./routes";
import type { Answer, Question, QuestionKind, WireComponent, WireEffectToken, WireLensToken, WireToken } from "../protocol/questions";
import { isAnswer, questionKey, readQuestion } from "../protocol/questions";
import { readRunFacts, selectionFor } from "../protocol/state";
import { ProtocolError } from "../protocol/version";

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
/** Steps of what lies between 0 and a largest value. */
const STEPS = 65535;
/** Steps of contributions from 0 to 1: as fine, at the lowest threshold, as a float32 is read. */
const SHARES = 2 ** 22;
/** Steps of probabilities from 0 to 1: far more than are ever shown. */
const CHANCES = 1e6;
/** Probabilities of fewer steps follow from the logit alone. */
const FEW = 10;

// --- writing ---------------------------------------------------------------------------------------------------------

interface Decimals {
  /** Digits after the point. */
  readonly digits: number;
  readonly q: readonly number[];
}

/**
 * Numbers as people read them: whole multiples of the unit that gives the largest one four digits, and never less than two after the
 * point. Undefined for numbers that have no such form.
 */
function decimals(values: readonly number[]): Decimals | undefined {
  const most = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  const digits = most > 0 ? Math.max(2, 3 - Math.floor(Math.log10(most))) : 2;
  // Also where a value is not finite.
  if (!(most * 10 ** digits < 2 ** 30) || digits > 60) return undefined;
  const q = values.map((value) => Math.round(value * 10 ** digits) + 0);
  return q.every(Number.isSafeInteger) ? { digits, q } : undefined;
}

/** The same for a list in order. */
function ordered(values: readonly number[], down: boolean): Decimals | undefined {
  const list = decimals(values);
  return list?.q.every((value, i, { [i - 1]: before = value }) => (down ? value <= before : value >= before)) ? list : undefined;
}

const zigzag = (value: number): number => (value >= 0 ? 2 * value : -2 * value - 1);
const unzigzag = (value: number): number => (value % 2 === 0 ? value / 2 : -(value + 1) / 2);

/** Lists in order as columns: where each begins, and from there the differences. */
function orderedColumns(lists: readonly Decimals[], columns: ColumnWriter): { digits: ColumnPlace; first: ColumnPlace; gaps: ColumnPlace } {
  return {
    digits: columns.addWhole(lists.map(({ digits }) => digits)),
    first: columns.addWhole(lists.map(({ q }) => zigzag(q[0]))),
    gaps: columns.addWhole(lists.flatMap(({ q }) => q.slice(1).map((value, i) => Math.abs(value - q[i])))),
  };
}

/** Contributions, or anything else where they are no shares of a whole. */
function shareColumn(values: readonly number[], columns: ColumnWriter, delta = false): ColumnPlace {
  if (!values.every((value) => value >= 0 && value <= 1)) return columns.add("f24", values);
  // What is more than nothing stays so.
  const whole = values.map((value) => (value > 0 ? Math.max(1, Math.round(value * SHARES)) : 0));
  return delta ? columns.add("u32", whole, { delta }) : columns.addWhole(whole);
}

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
    return { ids: columns.addWhole(this.#ids, { delta: true }), texts: this.#ids.map((id) => this.#tokens.get(id)!.text) };
  }
}

/** The logarithm by which logits become probabilities. */
const normaliser = ([top]: readonly WireLensToken[]): number => Math.fround(top.logit - Math.log(top.probability));

/** Steps of the probability of a logit as it is read back. */
const chanceOf = (logit: number, logZ: number): number => Math.round(Math.min(1, Math.exp(logit - logZ)) * CHANCES);

function storableLens({ answer }: Answered<"lens">): boolean {
  const { tokens } = answer;
  if (tokens.length === 0 || !ordered(tokens.map((token) => token.logit), true)) return false;
  const top = tokens[0];
  const logZ = normaliser(tokens);
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
  return lists.every((list, i) => list.length > 0 && list.every((token) => isCount(token.id)) && ordered(list.map((token) => token.score), i === 0) !== undefined);
}

function lensSection(items: readonly Answered<"lens">[], normalize: boolean, topK: number, vocabulary: Vocabulary, columns: ColumnWriter): Section {
  const places = items.map((item) => ({ item, place: parseNode(item.question.node)! }));
  // Neighbours in a column have most of their tokens in common.
  places.sort((a, b) => a.place.position - b.place.position || a.place.layer - b.place.layer || NODE_KINDS.indexOf(a.place.kind) - NODE_KINDS.indexOf(b.place.kind));
  const lists = places.map(({ item }) => item.answer.tokens);
  const logits = lists.map((tokens) => ordered(tokens.map((token) => token.logit), true)!);
  const changes = lists.map((tokens) => tokens[0].rankChange !== undefined);
  return {
    kind: "lens",
    normalize,
    topK,
    nodeKinds: columns.add("u8", places.map(({ place }) => NODE_KINDS.indexOf(place.kind))),
    layers: columns.addWhole(places.map(({ place }) => place.layer + 1)),
    positions: columns.addWhole(places.map(({ place }) => place.position), { delta: true }),
    counts: columns.addWhole(lists.map((tokens) => tokens.length)),
    tokens: columns.addWhole(lists.flatMap((tokens) => tokens.map((token) => vocabulary.index(token.id)))),
    ...orderedColumns(logits, columns),
    logZ: columns.add("f32", lists.map(normaliser)),
    // What logits of two decimals do not say about probabilities: mostly nothing.
    chances: columns.addWhole(
      lists.flatMap((tokens, i) => tokens.map(({ probability }, j) => zigzag(Math.round(probability * CHANCES) - chanceOf(logits[i].q[j] / 10 ** logits[i].digits, normaliser(tokens))))),
    ),
    changed: columns.add("u8", changes.map(Number)),
    changes: columns.addWhole(lists.flatMap((tokens, i) => (changes[i] ? tokens.map((token) => zigzag(token.rankChange ?? 0)) : []))),
  };
}

const storableNeurons = ({ answer }: Answered<"neurons">): boolean =>
  decimals(answer.neurons.map(({ activation }) => activation)) !== undefined && answer.neurons.every(({ neuron, contribution }) => isCount(neuron) && Number.isFinite(contribution));

/** Head or neuron of a component plus one; 0 for the whole block. */
function partOf(component: WireComponent): number {
  return "head" in component && component.head !== undefined ? component.head + 1 : "neuron" in component && component.neuron !== undefined ? component.neuron + 1 : 0;
}

function effectSection(given: readonly Answered<"effect">[], normalize: boolean, topK: number, vocabulary: Vocabulary, columns: ColumnWriter): Section {
  // A neuron says the same at every position, only louder.
  const rank = ({ question: { component } }: Answered<"effect">): number[] => [KINDS.indexOf(component.kind), component.layer, partOf(component), component.position];
  const items = given
    .map((item) => ({ item, place: rank(item) }))
    .sort((a, b) => a.place.map((value, i) => value - b.place[i]).find((difference) => difference !== 0) ?? 0)
    .map(({ item }) => item);
  const lists = items.flatMap(({ answer }) => [answer.promoted, answer.suppressed]);
  const components = items.map(({ question }) => question.component);
  return {
    kind: "effect",
    normalize,
    topK,
    kinds: columns.add("u8", components.map((component) => KINDS.indexOf(component.kind))),
    layers: columns.addWhole(components.map((component) => component.layer)),
    positions: columns.addWhole(components.map((component) => component.position)),
    parts: columns.addWhole(components.map(partOf), { delta: true }),
    counts: columns.addWhole(lists.map((list) => list.length)),
    tokens: columns.addWhole(lists.flatMap((list) => list.map((token) => vocabulary.index(token.id)))),
    ...orderedColumns(lists.map((list, i) => ordered(list.map((token) => token.score), i % 2 === 0)!), columns),
  };
}

function neuronsSection(items: readonly Answered<"neurons">[], topK: number, columns: ColumnWriter): Section {
  const all = items.flatMap(({ answer }) => answer.neurons);
  const activations = items.map(({ answer }) => decimals(answer.neurons.map(({ activation }) => activation))!);
  return {
    kind: "neurons",
    topK,
    layers: columns.addWhole(items.map(({ question }) => question.layer)),
    positions: columns.addWhole(items.map(({ question }) => question.position)),
    counts: columns.addWhole(items.map(({ answer }) => answer.neurons.length)),
    neurons: columns.addWhole(all.map(({ neuron }) => neuron)),
    digits: columns.addWhole(activations.map(({ digits }) => digits)),
    activations: columns.addWhole(activations.flatMap(({ q }) => q.map(zigzag))),
    contributions: shareColumn(all.map(({ contribution }) => contribution), columns, true),
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
    terms: shareColumn(wholes.flatMap((whole) => Array.from(whole.terms)), columns),
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
  const seconds = new Set<Answered>();
  const of = { lens: [] as Answered<"lens">[], effect: [] as Answered<"effect">[], neurons: [] as Answered<"neurons">[], maps: [] as Answered<"maps">[], other: [] as Answered[] };
  for (const whole of answers) {
    // What was asked of the second run of a comparison lies in columns of its own.
    const { question, answer } = whole;
    const item = question.kind === "second" ? ({ question: question.question, answer: (answer as Answer<"second">).answer } as Answered) : whole;
    if (item !== whole) seconds.add(item);
    const { kind } = item.question;
    if (kind === "lens" && storableLens(item as Answered<"lens">)) of.lens.push(item as Answered<"lens">);
    else if (kind === "effect" && storableEffect(item as Answered<"effect">)) of.effect.push(item as Answered<"effect">);
    else if (kind === "neurons" && storableNeurons(item as Answered<"neurons">)) of.neurons.push(item as Answered<"neurons">);
    else if (item === whole && kind === "maps" && storableMap(item as Answered<"maps">, T)) of.maps.push(item as Answered<"maps">);
    else of.other.push(whole);
  }
  const vocabulary = new Vocabulary();
  for (const { answer } of of.lens) answer.tokens.forEach((token) => vocabulary.note(token));
  for (const { answer } of of.effect) for (const token of [...answer.promoted, ...answer.suppressed]) vocabulary.note(token);
  vocabulary.close();
  const columns = new ColumnWriter();
  const isSecond = (item: unknown): boolean => seconds.has(item as Answered);
  const options = (item: Answered<"lens"> | Answered<"effect">): string => `${isSecond(item)} ${item.question.normalize} ${item.question.topK}`;
  const marked = (item: unknown, section: Section): Section => (isSecond(item) ? { ...section, second: true } : section);
  const sections: Section[] = [
    contributionsSection(wholes, pairs, head.facts.model.nHeads, columns),
    ...grouped(of.lens, options).map((items) => marked(items[0], lensSection(items, items[0].question.normalize, items[0].question.topK, vocabulary, columns))),
    ...grouped(of.effect, options).map((items) => marked(items[0], effectSection(items, items[0].question.normalize, items[0].question.topK, vocabulary, columns))),
    ...grouped(of.neurons, (item) => `${isSecond(item)} ${item.question.topK}`).map((items) => marked(items[0], neuronsSection(items, items[0].question.topK, columns))),
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

/** No honest data of the size that is read holds more: an answer takes a hundred bytes and more. */
const MAX_ANSWERS = 400_000;
/** Bytes of the description, and values in it: texts of a large vocabulary, and answers of rare kinds. */
const MAX_DESCRIPTION = 24 * 2 ** 20;
const MAX_VALUES = 1_500_000;

// --- reading ---------------------------------------------------------------------------------------------------------

const malformed = (what: string): ProtocolError => new ProtocolError("malformed", `The data stored in this output is damaged: ${what}.`);

const record = (value: unknown): Record<string, unknown> => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {});

/** Whether JSON has more values than are read: many small ones take a hundred times their text in memory. */
function manyValues(json: Uint8Array): boolean {
  let values = 0;
  for (const byte of json) if (byte === 0x2c || byte === 0x3a || byte === 0x5b || byte === 0x7b) values++;
  return values > MAX_VALUES;
}

/** Where the entries of each item begin, from how many each one has. */
function starts(counts: ArrayLike<number>): Float64Array {
  const all = new Float64Array(counts.length + 1);
  for (let i = 0; i < counts.length; i++) all[i + 1] = all[i] + counts[i];
  return all;
}

/** Columns of contributions: steps, or floats as they were. */
const sharesOf = (place: unknown, values: ColumnValues): Float32Array => (values instanceof Float32Array && record(place).t === "f24" ? values : Float32Array.from(values, (value) => value / SHARES));

/** A run's stored answers. Nothing is decoded before it is asked for. */
export class StoredAnswers {
  readonly head: PayloadHead;
  readonly #reader: ColumnReader;
  readonly #sections: readonly Record<string, unknown>[];
  readonly #vocabulary: { readonly ids: ColumnValues; readonly texts: readonly unknown[] };
  /** How to decode an answer, by the question's key; filled kind by kind. */
  readonly #answers = new Map<string, () => unknown>();
  readonly #indexed = new Set<string>();
  #routes: StoredRoutes | undefined;

  /** Throws a `ProtocolError` for bytes that are not a payload's. */
  constructor(bytes: Uint8Array) {
    if (bytes.length > MAX_INFLATED) throw malformed("it is too large");
    const length = bytes.length >= 4 ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) : Infinity;
    if (4 + length > bytes.length) throw malformed("its beginning is cut off");
    if (length > MAX_DESCRIPTION || manyValues(bytes.subarray(4, 4 + length))) throw malformed("its description is too large");
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
      // What speaks for a token does not follow from contributions.
      if (asked.contrast) return undefined;
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
    if (question.kind === "second") this.#index(question.question.kind);
    this.#index("other");
    return this.#answers.get(questionKey(question))?.();
  }

  /** Keys of the answers of one kind that are stored as such. */
  keys(kind: string): string[] {
    this.#index(kind);
    if (kind === "second") for (const inner of ["lens", "effect", "neurons", "other"]) this.#index(inner);
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

  #remember({ second }: Record<string, unknown>, question: unknown, decode: () => unknown): void {
    this.#expect(1);
    if (second === true) this.#answers.set(questionKey(readQuestion({ kind: "second", question })), () => ({ answer: decode() }));
    else this.#answers.set(questionKey(readQuestion(question)), decode);
  }

  /** How many answers a section says it has, before room is made for them. */
  #expect(n: number): number {
    if (this.#answers.size + n > MAX_ANSWERS) throw malformed(`it claims more than ${MAX_ANSWERS} answers`);
    return n;
  }

  #token(index: number): WireToken {
    if (!(index < this.#vocabulary.ids.length)) throw malformed("a token is missing");
    const text = this.#vocabulary.texts[index];
    return { id: this.#vocabulary.ids[index], text: typeof text === "string" ? text : "" };
  }

  /** Lists that `orderedColumns` wrote, by their number. */
  #ordered(section: Record<string, unknown>, counts: ColumnValues, down: (i: number) => boolean): (i: number) => number[] {
    const [digits, first] = ["digits", "first"].map((name) => this.#reader.read(section[name], counts.length));
    const at = starts(counts.map((count) => Math.max(0, count - 1)));
    const gaps = this.#reader.read(section.gaps, at[counts.length]);
    return (i) => {
      const unit = 10 ** digits[i];
      let q = unzigzag(first[i]);
      return Array.from({ length: counts[i] }, (_, j) => {
        if (j > 0) q += (down(i) ? -1 : 1) * gaps[at[i] + j - 1];
        return q / unit;
      });
    };
  }

  #indexLens(section: Record<string, unknown>): void {
    const read = (name: string, n?: number): ColumnValues => this.#reader.read(section[name], n);
    const kinds = read("nodeKinds");
    const n = this.#expect(kinds.length);
    const layers = read("layers", n);
    const positions = read("positions", n);
    const counts = read("counts", n);
    const at = starts(counts);
    const total = at[n];
    const tokens = read("tokens", total);
    const logits = this.#ordered(section, counts, () => true);
    const logZ = read("logZ", n);
    const chances = read("chances", total);
    const changed = read("changed", n);
    const changeAt = starts(counts.map((count, i) => (changed[i] ? count : 0)));
    const changes = read("changes", changeAt[n]);
    for (let i = 0; i < n; i++) {
      const kind = NODE_KINDS[kinds[i]];
      const node = kind && nodeName(kind, layers[i] - 1, positions[i]);
      if (node === undefined || !parseNode(node)) throw malformed("a state has no name");
      this.#remember(section, { kind: "lens", node, normalize: section.normalize, topK: section.topK }, () => {
        const list: WireLensToken[] = [];
        const own = logits(i);
        for (let j = 0; j < counts[i]; j++) {
          const logit = own[j];
          const chance = chanceOf(logit, logZ[i]) + unzigzag(chances[at[i] + j]);
          const change = changes[changeAt[i] + j];
          list.push({
            ...this.#token(tokens[at[i] + j]),
            logit,
            probability: Math.max(0, Math.min(1, chance < FEW ? Math.exp(logit - logZ[i]) : chance / CHANCES)),
            rank: j,
            ...(changed[i] ? { rankChange: unzigzag(change) } : {}),
          });
        }
        return { tokens: list };
      });
    }
  }

  #indexEffects(section: Record<string, unknown>): void {
    const read = (name: string, n?: number): ColumnValues => this.#reader.read(section[name], n);
    const kinds = read("kinds");
    const n = this.#expect(kinds.length);
    const layers = read("layers", n);
    const positions = read("positions", n);
    const parts = read("parts", n);
    const counts = read("counts", 2 * n);
    const at = starts(counts);
    const tokens = read("tokens", at[2 * n]);
    const scores = this.#ordered(section, counts, (i) => i % 2 === 0);
    const list = (i: number): WireEffectToken[] => scores(i).map((score, j) => ({ ...this.#token(tokens[at[i] + j]), score }));
    for (let i = 0; i < n; i++) {
      const kind = KINDS[kinds[i]];
      const part = parts[i] === 0 ? {} : kind === "attention" ? { head: parts[i] - 1 } : { neuron: parts[i] - 1 };
      this.#remember(section, { kind: "effect", component: { kind, layer: layers[i], position: positions[i], ...part }, normalize: section.normalize, topK: section.topK }, () => ({
        promoted: list(2 * i),
        suppressed: list(2 * i + 1),
      }));
    }
  }

  #indexNeurons(section: Record<string, unknown>): void {
    const read = (name: string, n?: number): ColumnValues => this.#reader.read(section[name], n);
    const layers = read("layers");
    const n = this.#expect(layers.length);
    const positions = read("positions", n);
    const counts = read("counts", n);
    const at = starts(counts);
    const neurons = read("neurons", at[n]);
    const digits = read("digits", n);
    const activations = read("activations", at[n]);
    const contributions = sharesOf(section.contributions, read("contributions", at[n]));
    for (let i = 0; i < n; i++) {
      this.#remember(section, { kind: "neurons", layer: layers[i], position: positions[i], topK: section.topK }, () => ({
        neurons: Array.from({ length: counts[i] }, (_, j) => ({ neuron: neurons[at[i] + j], activation: unzigzag(activations[at[i] + j]) / 10 ** digits[i], contribution: contributions[at[i] + j] })),
      }));
    }
  }

  #indexMaps(section: Record<string, unknown>): void {
    const T = this.head.facts.tokens.length;
    const size = (T * (T + 1)) / 2;
    const read = (name: string, n?: number): ColumnValues => this.#reader.read(section[name], n);
    const layers = read("layers");
    const n = this.#expect(layers.length);
    const heads = read("heads", n);
    const scales = read("scales", 2 * n);
    const patterns = read("patterns", n * size);
    const contributions = read("contributions", n * size);
    const square = (values: ColumnValues, i: number, scale: number): Float32Array => {
      const data = new Float32Array(T * T);
      let at = i * size;
      for (let query = 0; query < T; query++) for (let key = 0; key <= query; key++) data[query * T + key] = (values[at++] / STEPS) * scale;
      return data;
    };
    for (let i = 0; i < n; i++) {
      this.#remember(section, { kind: "maps", layer: layers[i], head: heads[i] === 0 ? null : heads[i] - 1 }, () => ({
        pattern: tensor(square(patterns, i, scales[2 * i]), [T, T]),
        contributions: tensor(square(contributions, i, scales[2 * i + 1]), [T, T]),
      }));
    }
  }

  #indexOther(section: Record<string, unknown>): void {
    this.#remember({}, section.question, () => {
      const buffers = this.#reader.bytesAt(Array.isArray(section.buffers) ? section.buffers : []);
      const answer = unpack(section.answer, buffers);
      if (!isAnswer(readQuestion(section.question), answer)) throw malformed("an answer is none to its question");
      return answer;
    });
  }

  /** All heads' maps, where every one of them is stored. */
  #layerMaps(layer: number): Answer<"layerMaps"> | undefined {
    const H = this.head.facts.model.nHeads;
    const T = this.head.facts.tokens.length;
    // Before room is made for maps that are only claimed.
    this.#index("maps");
    this.#index("other");
    for (let head = 0; head < H; head++) if (!this.#answers.has(questionKey({ kind: "maps", layer, head } as Question))) return undefined;
    const pattern = new Float32Array(H * T * T);
    const contributions = new Float32Array(H * T * T);
    for (let head = 0; head < H; head++) {
      const map = this.#stored({ kind: "maps", layer, head }) as Answer<"maps"> | undefined;
      if (!map || ![map.pattern, map.contributions].every((one) => isTensor(one) && one.data.length === T * T)) return undefined;
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
      const read = (name: string, n?: number): ColumnValues => this.#reader.read(section[name], n);
      const layers = read("layers");
      const n = layers.length;
      if (n > facts.model.nLayers * T) throw malformed("it has more rows than there are tokens and layers");
      const [queries, residuals, ffns, biases, counts] = ["queries", "residuals", "ffns", "biases", "counts"].map((name) => read(name, n));
      const at = starts(counts);
      const keys = read("keys", at[n]);
      const terms = sharesOf(section.terms, read("terms", at[n] * H));
      const weights = Float32Array.from(read("weights", at[n] * H), (weight) => weight / STEPS);
      for (let i = 0; i < n; i++) {
        const own = Array.from(keys.subarray(at[i], at[i + 1]));
        if (!within(layers[i], queries[i]) || own.some((key, j) => key > queries[i] || (j > 0 && key <= own[j - 1]))) throw malformed("a row belongs to no token");
        const range = [at[i] * H, at[i + 1] * H] as const;
        wholes.push({ layer: layers[i], query: queries[i], residual: residuals[i], ffn: ffns[i], bias: biases[i], keys: own, terms: terms.subarray(...range), weights: weights.subarray(...range) });
      }
      const pairLayers = read("pairLayers");
      const m = pairLayers.length;
      if (m > facts.model.nLayers * T) throw malformed("it has more rows than there are tokens and layers");
      const [positions, pairFfns, pairResiduals] = ["pairPositions", "pairFfns", "pairResiduals"].map((name) => read(name, m));
      for (let i = 0; i < m; i++) {
        if (!within(pairLayers[i], positions[i])) throw malformed("a row belongs to no token");
        pairs.push({ layer: pairLayers[i], position: positions[i], ffn: pairFfns[i], residual: pairResiduals[i] });
      }
    }
    return (this.#routes = new StoredRoutes(facts.model, T, wholes, pairs, threshold));
  }
}

