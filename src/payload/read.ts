/** Reads what an output keeps: everything in it is foreign, and checked before it is used. */
import { nodeName, parseNode } from "../model/names";
import { isTensor, tensor, unpack } from "../protocol/codec";
import type { Answer, Question, QuestionKind, WireEffectToken, WireLensToken, WireToken } from "../protocol/questions";
import { isAnswer, questionKey, readQuestion } from "../protocol/questions";
import { readRunFacts, selectionFor } from "../protocol/state";
import { ProtocolError } from "../protocol/version";
import type { ColumnValues } from "./columns";
import { ColumnReader, isCount } from "./columns";
import type { PayloadHead } from "./format";
import { checkStoredRun, MAX_INFLATED } from "./format";
import { NODE_KINDS, KINDS, STEPS, SHARES, CHANCES, FEW, unzigzag, chanceOf } from "./holdings";
import type { StoredPair, StoredWhole } from "./routes";
import { StoredRoutes } from "./routes";

/** No honest data of the size that is read holds more: an answer takes a hundred bytes and more. */
const MAX_ANSWERS = 400_000;
/** Bytes of the description, and values in it: texts of a large vocabulary, and answers of rare kinds. */
const MAX_DESCRIPTION = 24 * 2 ** 20;
const MAX_VALUES = 1_500_000;

const malformed = (what: string): ProtocolError =>
  new ProtocolError("malformed", `The data stored in this output is damaged: ${what}.`);

const record = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};

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

/** Steps between the ends of a list of scores in version 1. */
const EFFECT_STEPS = 4095;

/** Columns of contributions: steps, or floats as they were. */
const sharesOf = (place: unknown, values: ColumnValues): Float32Array =>
  values instanceof Float32Array && record(place).t === "f24"
    ? values
    : Float32Array.from(values, (value) => value / SHARES);

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
    if (length > MAX_DESCRIPTION || manyValues(bytes.subarray(4, 4 + length)))
      throw malformed("its description is too large");
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
  answer<K extends QuestionKind>(question: Question<K>, signal?: AbortSignal): Promise<Answer<K> | undefined>;
  async answer(asked: Question, signal?: AbortSignal): Promise<unknown> {
    const found = this.#stored(asked);
    if (found !== undefined) return found;
    if (asked.kind === "routes") {
      // Neither what speaks for a token follows from the contributions that are stored, nor what reaches the start.
      if (asked.contrast || asked.select) return undefined;
      try {
        return await this.#contributions().routes(asked.from, asked.threshold, asked.renormalize, signal);
      } catch (error) {
        if (error instanceof ProtocolError && error.code === "unavailable") return undefined;
        throw error;
      }
    }
    if (asked.kind === "heads") return this.#contributions().heads(asked.layer, asked.query, asked.key);
    if (asked.kind === "inflow") return this.#contributions().inflow(asked.nodes);
    if (asked.kind === "layerMaps") return this.#layerMaps(asked.layer);
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
    if (second === true)
      this.#answers.set(questionKey(readQuestion({ kind: "second", question })), () => ({ answer: decode() }));
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
  #ordered(
    section: Record<string, unknown>,
    counts: ColumnValues,
    down: (i: number) => boolean,
  ): (i: number) => number[] {
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

  /** Lists as version 1 wrote them: their ends, and equal steps between. */
  #stepped(section: Record<string, unknown>, counts: ColumnValues, levels: number): (i: number) => number[] {
    const [first, last] = ["first", "last"].map((name) => this.#reader.read(section[name], counts.length));
    const at = starts(counts);
    const steps = this.#reader.read(section.steps, at[counts.length]);
    return (i) =>
      Array.from({ length: counts[i] }, (_, j) => first[i] + ((last[i] - first[i]) * steps[at[i] + j]) / levels);
  }

  /** Lists in order, of either version. */
  #lists(
    section: Record<string, unknown>,
    counts: ColumnValues,
    down: (i: number) => boolean,
    levels: number,
  ): (i: number) => number[] {
    return "steps" in section ? this.#stepped(section, counts, levels) : this.#ordered(section, counts, down);
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
    const logits = this.#lists(section, counts, () => true, STEPS);
    const logZ = read("logZ", n);
    // In version 1 probabilities follow from logits alone.
    const chances = "chances" in section ? read("chances", total) : undefined;
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
          const chance = chances ? chanceOf(logit, logZ[i]) + unzigzag(chances[at[i] + j]) : 0;
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
    const scores = this.#lists(section, counts, (i) => i % 2 === 0, EFFECT_STEPS);
    const list = (i: number): WireEffectToken[] =>
      scores(i).map((score, j) => ({ ...this.#token(tokens[at[i] + j]), score }));
    for (let i = 0; i < n; i++) {
      const kind = KINDS[kinds[i]];
      const part = parts[i] === 0 ? {} : kind === "attention" ? { head: parts[i] - 1 } : { neuron: parts[i] - 1 };
      this.#remember(
        section,
        {
          kind: "effect",
          component: { kind, layer: layers[i], position: positions[i], ...part },
          normalize: section.normalize,
          topK: section.topK,
        },
        () => ({
          promoted: list(2 * i),
          suppressed: list(2 * i + 1),
        }),
      );
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
    // In version 1 activations are floats.
    const digits = "digits" in section ? read("digits", n) : undefined;
    const activations = read("activations", at[n]);
    const contributions = sharesOf(section.contributions, read("contributions", at[n]));
    for (let i = 0; i < n; i++) {
      this.#remember(
        section,
        { kind: "neurons", layer: layers[i], position: positions[i], topK: section.topK },
        () => ({
          neurons: Array.from({ length: counts[i] }, (_, j) => ({
            neuron: neurons[at[i] + j],
            activation: digits ? unzigzag(activations[at[i] + j]) / 10 ** digits[i] : activations[at[i] + j],
            contribution: contributions[at[i] + j],
          })),
        }),
      );
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
      for (let query = 0; query < T; query++)
        for (let key = 0; key <= query; key++) data[query * T + key] = (values[at++] / STEPS) * scale;
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
    for (let head = 0; head < H; head++)
      if (!this.#answers.has(questionKey({ kind: "maps", layer, head } as Question))) return undefined;
    const pattern = new Float32Array(H * T * T);
    const contributions = new Float32Array(H * T * T);
    for (let head = 0; head < H; head++) {
      const map = this.#stored({ kind: "maps", layer, head }) as Answer<"maps"> | undefined;
      if (!map || ![map.pattern, map.contributions].every((one) => isTensor(one) && one.data.length === T * T))
        return undefined;
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
      const [queries, residuals, ffns, biases, counts] = ["queries", "residuals", "ffns", "biases", "counts"].map(
        (name) => read(name, n),
      );
      const at = starts(counts);
      const keys = read("keys", at[n]);
      const terms = sharesOf(section.terms, read("terms", at[n] * H));
      const weights = Float32Array.from(read("weights", at[n] * H), (weight) => weight / STEPS);
      const sums = "headSums" in section ? sharesOf(section.headSums, read("headSums", n * H)) : undefined;
      for (let i = 0; i < n; i++) {
        const own = Array.from(keys.subarray(at[i], at[i + 1]));
        if (!within(layers[i], queries[i]) || own.some((key, j) => key > queries[i] || (j > 0 && key <= own[j - 1])))
          throw malformed("a row belongs to no token");
        const range = [at[i] * H, at[i + 1] * H] as const;
        wholes.push({
          layer: layers[i],
          query: queries[i],
          residual: residuals[i],
          ffn: ffns[i],
          bias: biases[i],
          keys: own,
          terms: terms.subarray(...range),
          weights: weights.subarray(...range),
          ...(sums ? { heads: sums.subarray(i * H, (i + 1) * H) } : {}),
        });
      }
      const pairLayers = read("pairLayers");
      const m = pairLayers.length;
      if (m > facts.model.nLayers * T) throw malformed("it has more rows than there are tokens and layers");
      const [positions, pairFfns, pairResiduals] = ["pairPositions", "pairFfns", "pairResiduals"].map((name) =>
        read(name, m),
      );
      for (let i = 0; i < m; i++) {
        if (!within(pairLayers[i], positions[i])) throw malformed("a row belongs to no token");
        pairs.push({ layer: pairLayers[i], position: positions[i], ffn: pairFfns[i], residual: pairResiduals[i] });
      }
    }
    return (this.#routes = new StoredRoutes(facts.model, T, wholes, pairs, threshold));
  }
}
