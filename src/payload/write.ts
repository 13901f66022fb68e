/** Writes what an output keeps. Kernel side only. */
import { parseNode } from "../model/names";
import { pack } from "../protocol/codec";
import type { Answer, WireComponent, WireLensToken, WireToken } from "../protocol/questions";
import type { ColumnPlace } from "./columns";
import { ColumnWriter, isCount } from "./columns";
import type { Answered, Holdings, Section } from "./holdings";
import { NODE_KINDS, KINDS, STEPS, SHARES, CHANCES, zigzag, chanceOf } from "./holdings";
import type { StoredPair, StoredWhole } from "./routes";

interface Decimals {
  /** Digits after the point. */
  readonly digits: number;
  readonly q: readonly number[];
}

/**
 * Numbers as people read them: whole multiples of the unit that gives the largest one four digits, and never less than
 * two after the point. Undefined for numbers that have no such form.
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
  return list?.q.every((value, i, { [i - 1]: before = value }) => (down ? value <= before : value >= before))
    ? list
    : undefined;
}

/** Lists in order as columns: where each begins, and from there the differences. */
function orderedColumns(
  lists: readonly Decimals[],
  columns: ColumnWriter,
): { digits: ColumnPlace; first: ColumnPlace; gaps: ColumnPlace } {
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
    this.#ids = [...this.#tokens]
      .sort(([a, { uses }], [b, { uses: others }]) => others - uses || a - b)
      .map(([id]) => id);
    this.#index = new Map(this.#ids.map((id, i) => [id, i]));
  }

  index(id: number): number {
    return this.#index.get(id)!;
  }

  write(columns: ColumnWriter): { ids: ColumnPlace; texts: string[] } {
    return {
      ids: columns.addWhole(this.#ids, { delta: true }),
      texts: this.#ids.map((id) => this.#tokens.get(id)!.text),
    };
  }
}

/** The logarithm by which logits become probabilities. */
const normaliser = ([top]: readonly WireLensToken[]): number => Math.fround(top.logit - Math.log(top.probability));

function storableLens({ answer }: Answered<"lens">): boolean {
  const { tokens } = answer;
  if (
    tokens.length === 0 ||
    !ordered(
      tokens.map((token) => token.logit),
      true,
    )
  )
    return false;
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
  if (Object.keys(question.component).some((name) => !["kind", "layer", "position", "head", "neuron"].includes(name)))
    return false;
  const lists = [answer.promoted, answer.suppressed];
  return lists.every(
    (list, i) =>
      list.length > 0 &&
      list.every((token) => isCount(token.id)) &&
      ordered(
        list.map((token) => token.score),
        i === 0,
      ) !== undefined,
  );
}

function lensSection(
  items: readonly Answered<"lens">[],
  normalize: boolean,
  topK: number,
  vocabulary: Vocabulary,
  columns: ColumnWriter,
): Section {
  const places = items.map((item) => ({ item, place: parseNode(item.question.node)! }));
  // Neighbours in a column have most of their tokens in common.
  places.sort(
    (a, b) =>
      a.place.position - b.place.position ||
      a.place.layer - b.place.layer ||
      NODE_KINDS.indexOf(a.place.kind) - NODE_KINDS.indexOf(b.place.kind),
  );
  const lists = places.map(({ item }) => item.answer.tokens);
  const logits = lists.map((tokens) =>
    ordered(
      tokens.map((token) => token.logit),
      true,
    )!,
  );
  const changes = lists.map((tokens) => tokens[0].rankChange !== undefined);
  return {
    kind: "lens",
    normalize,
    topK,
    nodeKinds: columns.add(
      "u8",
      places.map(({ place }) => NODE_KINDS.indexOf(place.kind)),
    ),
    layers: columns.addWhole(places.map(({ place }) => place.layer + 1)),
    positions: columns.addWhole(
      places.map(({ place }) => place.position),
      { delta: true },
    ),
    counts: columns.addWhole(lists.map((tokens) => tokens.length)),
    tokens: columns.addWhole(lists.flatMap((tokens) => tokens.map((token) => vocabulary.index(token.id)))),
    ...orderedColumns(logits, columns),
    logZ: columns.add("f32", lists.map(normaliser)),
    // What logits of two decimals do not say about probabilities: mostly nothing.
    chances: columns.addWhole(
      lists.flatMap((tokens, i) =>
        tokens.map(({ probability }, j) =>
          zigzag(
            Math.round(probability * CHANCES) - chanceOf(logits[i].q[j] / 10 ** logits[i].digits, normaliser(tokens)),
          ),
        ),
      ),
    ),
    changed: columns.add("u8", changes.map(Number)),
    changes: columns.addWhole(
      lists.flatMap((tokens, i) => (changes[i] ? tokens.map((token) => zigzag(token.rankChange ?? 0)) : [])),
    ),
  };
}

const storableNeurons = ({ question, answer }: Answered<"neurons">): boolean =>
  question.by === undefined &&
  decimals(answer.neurons.map(({ activation }) => activation)) !== undefined &&
  answer.neurons.every(({ neuron, contribution }) => isCount(neuron) && Number.isFinite(contribution));

/** Head or neuron of a component plus one; 0 for the whole block. */
function partOf(component: WireComponent): number {
  return "head" in component && component.head !== undefined
    ? component.head + 1
    : "neuron" in component && component.neuron !== undefined
      ? component.neuron + 1
      : 0;
}

function effectSection(
  given: readonly Answered<"effect">[],
  normalize: boolean | "position",
  topK: number,
  vocabulary: Vocabulary,
  columns: ColumnWriter,
): Section {
  // A neuron says the same at every position, only louder.
  const rank = ({ question: { component } }: Answered<"effect">): number[] => [
    KINDS.indexOf(component.kind),
    component.layer,
    partOf(component),
    component.position,
  ];
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
    kinds: columns.add(
      "u8",
      components.map((component) => KINDS.indexOf(component.kind)),
    ),
    layers: columns.addWhole(components.map((component) => component.layer)),
    positions: columns.addWhole(components.map((component) => component.position)),
    parts: columns.addWhole(components.map(partOf), { delta: true }),
    counts: columns.addWhole(lists.map((list) => list.length)),
    tokens: columns.addWhole(lists.flatMap((list) => list.map((token) => vocabulary.index(token.id)))),
    ...orderedColumns(
      lists.map((list, i) =>
        ordered(
          list.map((token) => token.score),
          i % 2 === 0,
        )!,
      ),
      columns,
    ),
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
    contributions: shareColumn(
      all.map(({ contribution }) => contribution),
      columns,
      true,
    ),
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
    for (let query = 0; query < T; query++)
      for (let key = 0; key < T; key++)
        if (
          !Number.isFinite(data[query * T + key]) ||
          data[query * T + key] < 0 ||
          (key > query && data[query * T + key] !== 0)
        )
          return false;
    return true;
  });
}

function mapsSection(items: readonly Answered<"maps">[], T: number, columns: ColumnWriter): Section {
  // All heads' sum exceeds 1: each map has its own scale.
  const largest = (data: ArrayLike<number>): number =>
    Math.fround(triangle(data, T).reduce((most, value) => Math.max(most, value), 0));
  const scaled = (data: ArrayLike<number>): number[] => {
    const most = largest(data) || 1;
    return triangle(data, T).map((value) => Math.min(STEPS, Math.round((value / most) * STEPS)));
  };
  return {
    kind: "maps",
    layers: columns.addWhole(items.map(({ question }) => question.layer)),
    heads: columns.addWhole(items.map(({ question }) => (question.head === null ? 0 : question.head + 1))),
    scales: columns.add(
      "f32",
      items.flatMap(({ answer }) => [largest(answer.pattern.data), largest(answer.contributions.data)]),
    ),
    patterns: columns.add(
      "u16",
      items.flatMap(({ answer }) => scaled(answer.pattern.data)),
    ),
    contributions: columns.add(
      "u16",
      items.flatMap(({ answer }) => scaled(answer.contributions.data)),
    ),
  };
}

function contributionsSection(
  wholes: readonly StoredWhole[],
  pairs: readonly StoredPair[],
  nHeads: number,
  columns: ColumnWriter,
): Section {
  return {
    kind: "contributions",
    nHeads,
    layers: columns.addWhole(wholes.map((whole) => whole.layer)),
    queries: columns.addWhole(wholes.map((whole) => whole.query)),
    residuals: columns.add(
      "f24",
      wholes.map((whole) => whole.residual),
    ),
    ffns: columns.add(
      "f24",
      wholes.map((whole) => whole.ffn),
    ),
    biases: columns.add(
      "f24",
      wholes.map((whole) => whole.bias),
    ),
    counts: columns.addWhole(wholes.map((whole) => whole.keys.length)),
    keys: columns.addWhole(wholes.flatMap((whole) => whole.keys)),
    terms: shareColumn(
      wholes.flatMap((whole) => Array.from(whole.terms)),
      columns,
    ),
    weights: columns.add(
      "u16",
      wholes.flatMap((whole) =>
        Array.from(whole.weights, (weight) => Math.max(0, Math.min(STEPS, Math.round(weight * STEPS)))),
      ),
    ),
    ...(wholes.every(({ heads }) => heads !== undefined)
      ? {
          headSums: shareColumn(
            wholes.flatMap((whole) => Array.from(whole.heads!)),
            columns,
          ),
        }
      : {}),
    pairLayers: columns.addWhole(pairs.map((pair) => pair.layer)),
    pairPositions: columns.addWhole(pairs.map((pair) => pair.position)),
    pairFfns: columns.add(
      "f24",
      pairs.map((pair) => pair.ffn),
    ),
    pairResiduals: columns.add(
      "f24",
      pairs.map((pair) => pair.residual),
    ),
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
  const of = {
    lens: [] as Answered<"lens">[],
    effect: [] as Answered<"effect">[],
    neurons: [] as Answered<"neurons">[],
    maps: [] as Answered<"maps">[],
    other: [] as Answered[],
  };
  for (const whole of answers) {
    // What was asked of the second run of a comparison lies in columns of its own.
    const { question, answer } = whole;
    const item =
      question.kind === "second"
        ? ({ question: question.question, answer: (answer as Answer<"second">).answer } as Answered)
        : whole;
    if (item !== whole) seconds.add(item);
    const { kind } = item.question;
    if (kind === "lens" && storableLens(item as Answered<"lens">)) of.lens.push(item as Answered<"lens">);
    else if (kind === "effect" && storableEffect(item as Answered<"effect">))
      of.effect.push(item as Answered<"effect">);
    else if (kind === "neurons" && storableNeurons(item as Answered<"neurons">))
      of.neurons.push(item as Answered<"neurons">);
    else if (item === whole && kind === "maps" && storableMap(item as Answered<"maps">, T))
      of.maps.push(item as Answered<"maps">);
    else of.other.push(whole);
  }
  const vocabulary = new Vocabulary();
  for (const { answer } of of.lens) answer.tokens.forEach((token) => vocabulary.note(token));
  for (const { answer } of of.effect)
    for (const token of [...answer.promoted, ...answer.suppressed]) vocabulary.note(token);
  vocabulary.close();
  const columns = new ColumnWriter();
  const isSecond = (item: unknown): boolean => seconds.has(item as Answered);
  const options = (item: Answered<"lens"> | Answered<"effect">): string =>
    `${isSecond(item)} ${item.question.normalize} ${item.question.topK}`;
  const marked = (item: unknown, section: Section): Section =>
    isSecond(item) ? { ...section, second: true } : section;
  const sections: Section[] = [
    contributionsSection(wholes, pairs, head.facts.model.nHeads, columns),
    ...grouped(of.lens, options).map((items) =>
      marked(items[0], lensSection(items, items[0].question.normalize, items[0].question.topK, vocabulary, columns)),
    ),
    ...grouped(of.effect, options).map((items) =>
      marked(items[0], effectSection(items, items[0].question.normalize, items[0].question.topK, vocabulary, columns)),
    ),
    ...grouped(of.neurons, (item) => `${isSecond(item)} ${item.question.topK}`).map((items) =>
      marked(items[0], neuronsSection(items, items[0].question.topK, columns)),
    ),
    ...(of.maps.length ? [mapsSection(of.maps, T, columns)] : []),
    ...of.other.map(({ question, answer }) => {
      const { json, buffers } = pack(answer);
      return {
        kind: "other",
        question,
        answer: json,
        buffers: buffers.map((view) =>
          columns.add("u8", new Uint8Array(view.buffer, view.byteOffset, view.byteLength)),
        ),
      };
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
