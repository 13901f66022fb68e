import { deflate } from "node:zlib";
import { promisify } from "node:util";
import type { NodeName, RouteEdge, RouteGraph, RouteOptions, Run } from "../model/types";
import type {
  Answer,
  PictureName,
  Question,
  QuestionKind,
  RoutesAnswer,
  RunFacts,
  Removal,
  Selection,
  SingleQuestion,
  WireComponent,
} from "../protocol";
import {
  describePicture,
  largestRoutes,
  EDGE_KINDS,
  effectNormalize,
  alignmentOf,
  MAX_INFLOW,
  mirroredSelection,
  unseenTargets,
  nodeName,
  parseNode,
  ProtocolError,
  questionKey,
  readRunFacts,
  removedQuestion,
  routesQuestion,
  stateKinds,
} from "../protocol";
import type { Payload, ShareLevel } from "../payload/format";
import { MAX_INFLATED, PAYLOAD_VERSION } from "../payload/format";
import type { StoredPair, StoredWhole } from "../payload/routes";
import { passingKeys, routesAnswer, StoredRoutes } from "../payload/routes";
import type { Answered } from "../payload/holdings";
import { encodeHoldings } from "../payload/write";
import { MemoryBudget, type Holding } from "../threads/budget";
import { frontEndSeen } from "../jupyter/ipywidgets/registry";
import type { Answerer } from "./answers";
import { answerQuestion } from "./answers";
import { calmly, quiet } from "./clicks";
import { askedRoutes } from "./selection";

/**
 * What of a run an output keeps, so that the picture works without the kernel. Answers are collected in the order in
 * which people click: the routes in view first, other start tokens later, maps last; what no longer fits the budget is
 * left out.
 */

const deflated = promisify(deflate);

/** As many as the elements show. */
const LENS_TOP = 30;
const EFFECT_TOP = 15;
const NEURONS = 20;
/** Neurons of a block whose effects are kept where it is not on the routes in view, but on those of another token. */
const OTHER_NEURONS = 5;
/** Routes can be cut at any threshold from here up, even where the output was made at a higher one. */
const LOWEST_THRESHOLD = 0.01;
/** Questions that are asked at once: the unembedding takes many vectors in little more time than one. */
const BATCH = 64;
/** The same while a page is open: a click that comes meanwhile waits for no more than these. */
const POLITE_BATCH = 12;

/** Bytes in the notebook for an answer, before the first measurement says better. */
const GUESS: Readonly<Record<string, number>> = {
  lens: 170,
  effect: 120,
  neurons: 150,
  grid: 8000,
  follow: 800,
  removed: 900,
};

/** Not kept for having been asked: only what is planned is. */
const UNKEPT: ReadonlySet<QuestionKind> = new Set(["routes", "heads", "targets"]);

type Batch = readonly Question[];

/** Questions that ask for many states: between two of them is too seldom to look for clicks. */
const LONG: ReadonlySet<Question["kind"]> = new Set(["grid", "follow"]);

/** In a plan: what follows depends on the answers to what came before. */
const ANSWERS: Batch = [];

/** Everything that was answered about one run for sharing, once for all its pictures. */
class RunAnswers {
  readonly answers = new Map<string, Answered>();

  constructor(
    readonly run: Run,
    private readonly answerer: Answerer,
  ) {}

  has(question: Question): boolean {
    return this.answers.has(questionKey(question));
  }

  async ask(question: Question, signal: AbortSignal): Promise<Answered> {
    const key = questionKey(question);
    const known = this.answers.get(key);
    if (known) return known;
    // A second run is known to the answerer alone.
    const answer =
      this.answerer.seen.get(key) ??
      (await (question.kind === "second"
        ? this.answerer.ask(question, signal)
        : answerQuestion(this.run, question, signal)));
    const item = { question, answer };
    this.answers.set(key, item);
    return item;
  }
}

const collected = new WeakMap<Answerer, RunAnswers>();

function answersOf(answerer: Answerer): RunAnswers {
  let answers = collected.get(answerer);
  if (!answers) collected.set(answerer, (answers = new RunAnswers(answerer.run, answerer)));
  return answers;
}

export interface ShareInput {
  readonly picture: PictureName;
  readonly options: Readonly<Record<string, unknown>>;
  readonly facts: RunFacts;
  readonly selection: Selection;
  readonly widget?: string;
  readonly link?: string;
}

/**
 * Bytes of collected answers that all pictures of this process hold together; of a picture that was long not clicked
 * they are collected again with the next click.
 */
const collections = new MemoryBudget(96 << 20);
/** Bytes in memory for one in the notebook: answers are objects there, compressed columns here. */
const EXPANSION = 10;

const dropCollected = (share: PictureShare): void => share.drop();

/** What one picture's output keeps of its run. */
export class PictureShare {
  #collecting = 0;
  /** Everything that belongs into the output was collected, or did not fit. */
  #finished = false;
  /** Called with how far collecting is, from 0 to 1, of what may be kept. */
  onProgress: (share: number) => void = () => undefined;
  #holding: Holding | undefined;
  readonly #answers: RunAnswers;
  #items: Answered[] = [];
  #omitted: Record<string, number> = {};
  #wholes: StoredWhole[] = [];
  #pairs: StoredPair[] = [];
  #threshold = 1;
  /** Bytes in the file for a byte that was guessed. */
  #ratio = 1;

  constructor(
    private readonly answerer: Answerer,
    readonly level: ShareLevel,
    /** Bytes that `data` may take in the notebook. */
    readonly budget: number,
  ) {
    this.#answers = answersOf(answerer);
  }

  /**
   * Collects what belongs into the output. Interrupted by `signal`, it keeps what it has. Rejects only where the run
   * itself fails before its first answer.
   */
  async collect(input: ShareInput, signal: AbortSignal): Promise<void> {
    if (this.level === "none") return;
    this.#collecting++;
    this.#finished = false;
    try {
      await this.#collect(input, signal);
      this.#finished = true;
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#collecting--;
    }
  }

  /** For the budget: others were collected later. What the notebook has stays there. */
  drop(): void {
    this.#holding = undefined;
    if (this.#collecting > 0) return;
    [this.#items, this.#wholes, this.#pairs, this.#threshold] = [[], [], [], 1];
    this.#answers.answers.clear();
  }

  /** Only what the first view draws: the routes. */
  async begin({ picture, selection }: ShareInput, signal: AbortSignal): Promise<void> {
    if (this.level === "none" || this.#wholes.length > 0 || !describePicture(picture).routes) return;
    // Other tokens follow when the picture is on the screen.
    await this.#collectRows(this.answerer.run, selection, selection.threshold, signal, [selection.start]);
  }

  async #collect(input: ShareInput, signal: AbortSignal): Promise<void> {
    const { run } = this.answerer;
    const { selection } = input;
    const threshold =
      this.level === "all"
        ? 0
        : this.level === "routes"
          ? Math.min(selection.threshold, LOWEST_THRESHOLD)
          : selection.threshold;
    if (describePicture(input.picture).routes) {
      await this.#collectRows(run, selection, threshold, signal);
      if (this.#rowBytes() > this.budget / 4 && threshold < selection.threshold)
        await this.#collectRows(run, selection, selection.threshold, signal);
    }
    this.#items = [];
    this.#omitted = {};
    let guessed = this.#rowBytes();
    let full = false;
    let pending = Promise.resolve();
    const take = async (part: Batch): Promise<void> => {
      signal.throwIfAborted();
      const cost = part.reduce((sum, question) => sum + this.#guess(question), 0);
      if (!full && (guessed + cost) * this.#ratio > this.budget) {
        await pending;
        // Guesses are on the safe side: how much it really is decides.
        const size = (await this.#encode(input)).data.length;
        this.#ratio = size / Math.max(1, guessed);
        full = (guessed + cost) * this.#ratio > 0.97 * this.budget;
      }
      if (full) return this.#omit(part);
      if (polite) {
        await pending;
        await quiet(signal);
      }
      guessed += cost;
      this.onProgress(Math.min(0.99, (guessed * this.#ratio) / this.budget));
      const ask = (question: Question): Promise<Answered> =>
        polite && LONG.has(question.kind)
          ? calmly(signal, (whenCalm) => this.#answers.ask(question, whenCalm))
          : this.#answers.ask(question, signal);
      const asked = Promise.allSettled(part.map(ask));
      const before = pending;
      // The engine computes a part while the one before is sorted out here.
      pending = (async () => {
        await before;
        const settled = await asked;
        for (const result of settled) if (result.status === "fulfilled") this.#items.push(result.value);
        const failed = settled.find((result) => result.status === "rejected");
        // What a model has no answer to (a range, a state that it lacks) is not stored; anything else is an error.
        if (failed?.status === "rejected" && !outOfRange(failed.reason)) throw failed.reason;
      })();
      pending.catch(() => undefined); // thrown where it is waited for
      await before;
      // Cells and clicks come first.
      await new Promise((resolve) => setImmediate(resolve));
    };
    const polite = frontEndSeen();
    const size = polite ? POLITE_BATCH : BATCH;
    const known = new Set<string>();
    const gathered: Question[] = [];
    for await (const batch of this.#plan(run, input, signal)) {
      for (const question of batch) {
        const key = questionKey(question);
        if (!known.has(key)) gathered.push(question);
        known.add(key);
      }
      while (gathered.length >= size || (batch === ANSWERS && gathered.length > 0))
        await take(gathered.splice(0, size));
      if (batch === ANSWERS) await pending;
    }
    if (gathered.length > 0) await take(gathered);
    await pending;
  }

  #omit(questions: Iterable<Question>): void {
    for (const { kind } of questions) this.#omitted[kind] = (this.#omitted[kind] ?? 0) + 1;
  }

  /** The payload of what was collected so far, within the budget. */
  async payload(input: ShareInput): Promise<Payload> {
    if (this.level === "none") return this.#outer(input, 0, "");
    let seen = this.#seen();
    for (;;) {
      const payload = await this.#encode(input, seen);
      const { length } = payload.data;
      if (length <= this.budget && payload.size <= MAX_INFLATED) {
        const bytes = EXPANSION * length;
        if (this.#holding === undefined) this.#holding = collections.hold<PictureShare>(this, bytes, dropCollected);
        else {
          collections.touch(this.#holding);
          collections.resize(this.#holding, bytes);
        }
        return payload;
      }
      const share = Math.min(0.98, (0.97 * this.budget) / length);
      // What was looked at goes last, and the newest of it at the very last.
      if (this.#items.length > 0)
        this.#omit(this.#items.splice(Math.floor(this.#items.length * share)).map(({ question }) => question));
      else if (seen.length > 0) {
        const kept = Math.floor(seen.length * share);
        this.#omit(seen.slice(0, seen.length - kept).map(({ question }) => question));
        seen = seen.slice(seen.length - kept);
      } else return this.#outer(input, 0, ""); // Not even the routes fit: what is left is the picture.
    }
  }

  /** What was asked, in order, as far as it is to be kept. */
  #seen(): Answered[] {
    return [...this.answerer.seen].flatMap(([key, answer]) => {
      const question = JSON.parse(key) as Question;
      // Routes follow from contributions; of others there may be one for each step of a slider.
      return UNKEPT.has((question.kind === "second" ? question.question : question).kind) ? [] : [{ question, answer }];
    });
  }

  async #encode(input: ShareInput, seen: readonly Answered[] = this.#seen()): Promise<Payload> {
    const { facts, selection } = input;
    const all = new Map<string, Answered>();
    for (const item of [...seen, ...this.#items]) all.set(questionKey(item.question), item);
    const bytes = encodeHoldings({
      head: {
        facts,
        selection,
        threshold: this.#threshold,
        budget: this.budget,
        omitted: this.#omitted,
        ...(this.#finished ? {} : { unfinished: true }),
      },
      wholes: this.#wholes,
      pairs: this.#pairs,
      answers: all.values(),
    });
    return this.#outer(input, bytes.length, (await deflated(bytes, { level: 9 })).toString("base64"));
  }

  #outer({ picture, options, widget, link }: ShareInput, size: number, data: string): Payload {
    return { payload: PAYLOAD_VERSION, picture, options, share: this.level, widget, link, size, data };
  }

  #rowBytes(): number {
    const { nHeads } = this.answerer.run.model.info;
    const keys = this.#wholes.reduce((sum, whole) => sum + whole.keys.length, 0);
    return Math.ceil(1.34 * (8 * this.#wholes.length + 6 * this.#pairs.length + keys * (1 + 4.5 * nHeads))) + 2000;
  }

  #guess(given: Question): number {
    const question: Question = given.kind === "second" ? given.question : given;
    const T = this.answerer.run.tokens.length;
    if (question.kind === "maps") return Math.ceil(1.34 * 1.7 * T * (T + 1)) + 40;
    if (question.kind === "grid") return 1.34 * 9 * T * (this.answerer.run.model.info.nLayers + 1);
    return GUESS[question.kind] ?? 1000;
  }

  /** The contributions that routes from the tokens in question can pass at `threshold` or above. */
  async #collectRows(
    run: Run,
    selection: Selection,
    threshold: number,
    signal: AbortSignal,
    only?: readonly number[],
  ): Promise<void> {
    const { nLayers, nHeads, parallelBlocks } = run.model.info;
    const T = run.tokens.length;
    const queries = Array.from({ length: nLayers }, () => new Set<number>());
    const states = Array.from({ length: nLayers }, () => new Set<number>());
    // What the first view draws is not put off.
    const politely = <V>(work: (signal: AbortSignal) => Promise<V>): Promise<V> =>
      !only && frontEndSeen() ? calmly(signal, work) : work(signal);
    const starts = only ?? (this.level === "seen" ? [selection.start, ...this.#seenStarts()] : undefined);
    const begins: RouteOptions["from"][] = [
      starts ? [...new Set(starts)] : "all",
      ...(selection.origin === null ? [] : [selection.origin]),
    ];
    for (const from of begins) {
      for (const renormalize of only ? [selection.renormalize] : [true, false]) {
        const graph = await politely((whenCalm) => run.routes({ from, threshold, renormalize, signal: whenCalm }));
        for (const { kind, layer, position } of graph.nodes) {
          if (kind === "A" || (parallelBlocks && kind === "I")) queries[layer].add(position);
          if (kind === "I") states[layer].add(position);
        }
      }
    }
    const wholes: StoredWhole[] = [];
    const pairs: StoredPair[] = [];
    for (let layer = 0; layer < nLayers; layer++) {
      const positions = [...queries[layer]].sort((a, b) => a - b);
      if (positions.length > 0) {
        const { terms, residual, ffn, bias } = await politely((whenCalm) =>
          run.attentionContributions(layer, { positions, signal: whenCalm }),
        );
        const pattern = await run.attentionPattern(layer);
        positions.forEach((query, row) => {
          const own = terms.data.subarray(row * T * nHeads, (row + 1) * T * nHeads);
          const rest = [residual.data[row], ffn?.data[row] ?? 0, bias?.data[row] ?? 0];
          const keys =
            threshold <= 0
              ? Array.from({ length: query + 1 }, (_, key) => key)
              : passingKeys(own, query + 1, nHeads, rest, threshold);
          wholes.push({
            layer,
            query,
            residual: rest[0],
            ffn: rest[1],
            bias: rest[2],
            keys,
            terms: keys.flatMap((key) => Array.from(own.subarray(key * nHeads, (key + 1) * nHeads))),
            heads: headSums(own, query + 1, nHeads),
            weights: keys.flatMap((key) =>
              Array.from({ length: nHeads }, (_, head) => pattern.data[(head * T + query) * T + key]),
            ),
          });
        });
      }
      if (!parallelBlocks && states[layer].size > 0) {
        const { ffn, residual } = await run.ffnContributions(layer);
        for (const position of [...states[layer]].sort((a, b) => a - b))
          pairs.push({ layer, position, ffn: ffn.data[position], residual: residual.data[position] });
      }
    }
    [this.#wholes, this.#pairs, this.#threshold] = [wholes, pairs, threshold];
  }

  #seenStarts(): number[] {
    return [...this.answerer.seen.keys()]
      .map((key) => JSON.parse(key) as Question)
      .flatMap((question) => (question.kind === "routes" && typeof question.from === "number" ? [question.from] : []));
  }

  /** All questions of the level, those first that are likely to be asked. */
  async *#plan(run: Run, input: ShareInput, signal: AbortSignal): AsyncGenerator<Batch> {
    const { picture, selection } = input;
    const { threshold, renormalize, normalize, start } = selection;
    const T = run.tokens.length;
    // A model of someone's own may have routes that do not follow from its contributions.
    const shown = routesQuestion(selection);
    const graph = await askedRoutes(run, shown, signal);
    // Neither have those of a contrast.
    if (!describePicture(picture).routes)
      yield []; // not drawn
    else if (shown.contrast || shown.select) yield [largestRoutes(shown) ?? shown, ...headsOf(graph)];
    else if (!(await this.#agrees(run, graph, shown.from))) {
      if (typeof shown.from === "string") yield [shown];
      yield Array.from({ length: T }, (_, i) => ({
        kind: "routes" as const,
        from: (start + T - i) % T,
        threshold,
        renormalize,
      }));
    }
    if (this.level === "seen") return;
    const rest = await (frontEndSeen()
      ? calmly(signal, (whenCalm) => run.routes({ from: "all", threshold, renormalize, signal: whenCalm }))
      : run.routes({ from: "all", threshold, renormalize, signal }));
    const asks = describePicture(picture).asks(input.options);
    const wanted = (batch: Batch): Batch =>
      batch === ANSWERS ? ANSWERS : batch.filter(({ kind }) => asks.includes(kind));
    // What says most for its bytes comes first: a small budget then holds a little of everything.
    for (const batch of clicksOn(graph, normalize)) yield wanted(batch);
    yield wanted(run.intervene ? removalsOn(graph, selection) : []);
    if (asks.includes("second")) yield* this.#secondClicks(input, graph, signal);
    yield wanted([{ kind: "grid", normalize }]);
    yield wanted(chosenMaps(input.options, run.model.info.nLayers, run.model.info.nHeads));
    yield wanted(shownMaps(graph));
    yield wanted(
      input.facts.predictions
        .slice(0, 3)
        .map(({ id }) => ({ kind: "follow" as const, position: T - 1, token: id, normalize })),
    );
    for await (const batch of this.#neuronClicks(graph, normalize, [0, OTHER_NEURONS], signal)) yield wanted(batch);
    for (const batch of clicksOn(rest, normalize)) yield wanted(batch);
    yield wanted(shownMaps(rest));
    for await (const batch of this.#neuronClicks(graph, normalize, [OTHER_NEURONS, NEURONS], signal))
      yield wanted(batch);
    for await (const batch of this.#neuronClicks(rest, normalize, [0, OTHER_NEURONS], signal)) yield wanted(batch);
    if (this.level === "all") yield* this.#everything(run, selection, signal);
  }

  /** What clicks in the second graph of a comparison ask. */
  async *#secondClicks(
    { facts, options, selection }: ShareInput,
    first: ClickedRoutes,
    signal: AbortSignal,
  ): AsyncGenerator<Batch> {
    const second = readRunFacts(options.second);
    const asked = routesQuestion(mirroredSelection(selection, facts, second));
    const routes = ofSecond(asked);
    yield [ofSecond(largestRoutes(asked) ?? asked)];
    yield ANSWERS;
    // Left out: no budget.
    if (!asked.select && !this.#answers.has(routes)) return;
    const { answer } = (await this.#answers.ask(routes, signal)) as Answered<"second">;
    const graph = routesOf(answer.answer as RoutesAnswer);
    // For the difference: what edges of one side contribute where the other leaves them out.
    const { forth, back } = alignmentOf(facts, second);
    const here = unseenTargets(first.edges, graph.edges, back).slice(0, MAX_INFLOW);
    const there = unseenTargets(graph.edges, first.edges, forth).slice(0, MAX_INFLOW);
    if (here.length > 0) yield [{ kind: "inflow", nodes: here }];
    if (there.length > 0) yield [ofSecond({ kind: "inflow", nodes: there })];
    yield headsOf(graph).map(ofSecond);
    yield* clicksOn(graph, selection.normalize, ofSecond);
    yield* this.#neuronClicks(graph, selection.normalize, [0, OTHER_NEURONS], signal, ofSecond);
  }

  /** What clicks on the neurons of blocks in these routes ask: those from one place in a block's list to another. */
  async *#neuronClicks(
    graph: ClickedRoutes,
    normalize: boolean,
    range: readonly [number, number],
    signal: AbortSignal,
    wrap: Wrap = plain,
  ): AsyncGenerator<Batch> {
    yield ANSWERS;
    for (const { kind, layer, position } of newestFirst(graph)) {
      if (kind !== "M") continue;
      const question = wrap({ kind: "neurons", layer, position, topK: NEURONS });
      if (!this.#answers.has(question)) continue;
      const { answer } = await this.#answers.ask(question, signal);
      const own = (question.kind === "second" ? (answer as Answer<"second">).answer : answer) as Answer<"neurons">;
      yield own.neurons
        .slice(...range)
        .map(({ neuron }) => wrap(effectOf({ kind: "ffn", layer, position, neuron }, normalize)));
    }
  }

  /** Everything else there is to ask about the run. */
  async *#everything(run: Run, { normalize }: Selection, signal: AbortSignal): AsyncGenerator<Batch> {
    const { nLayers, nHeads, parallelBlocks } = run.model.info;
    const T = run.tokens.length;
    const kinds = stateKinds(parallelBlocks);
    for (const normalized of [normalize, !normalize]) {
      const effect = (component: WireComponent): Question => ({
        kind: "effect",
        component,
        normalize: effectNormalize(normalized),
        topK: EFFECT_TOP,
      });
      yield [{ kind: "grid", normalize: normalized }];
      for (let position = T - 1; position >= 0; position--) {
        const nodes = [
          nodeName("X", -1, position),
          ...Array.from({ length: nLayers }, (_, layer) => kinds.map((kind) => nodeName(kind, layer, position))).flat(),
        ];
        yield nodes.map((node) => ({ kind: "lens", node, normalize: normalized, topK: LENS_TOP }));
        const layers = Array.from({ length: nLayers }, (_, i) => nLayers - 1 - i);
        for (const layer of layers) {
          yield [effect({ kind: "attention", layer, position }), effect({ kind: "ffn", layer, position })];
          yield Array.from({ length: nHeads }, (_, head) => effect({ kind: "attention", layer, position, head }));
        }
        const asked = layers.map((layer) => ({ kind: "neurons" as const, layer, position, topK: NEURONS }));
        yield asked;
        yield ANSWERS;
        for (const question of asked) {
          if (!this.#answers.has(question)) continue;
          const { answer } = (await this.#answers.ask(question, signal)) as Answered<"neurons">;
          yield answer.neurons.map(({ neuron }) => effect({ kind: "ffn", layer: question.layer, position, neuron }));
        }
      }
      if (normalized !== normalize) continue;
      for (let layer = nLayers - 1; layer >= 0; layer--)
        yield [null, ...Array.from({ length: nHeads }, (_, head) => head)].map((head) => ({
          kind: "maps" as const,
          layer,
          head,
        }));
    }
  }

  /** Whether the routes follow from the contributions that are stored. */
  async #agrees(run: Run, graph: RouteGraph, from: number | NodeName): Promise<boolean> {
    try {
      const stored = new StoredRoutes(run.model.info, run.tokens.length, this.#wholes, this.#pairs, this.#threshold);
      const own = await stored.routes(from, graph.threshold, graph.renormalize);
      const wanted = routesAnswer(graph);
      return (
        JSON.stringify(own.nodes) === JSON.stringify(wanted.nodes) &&
        own.weights.data.length === wanted.weights.data.length &&
        own.weights.data.every(
          (weight, e) =>
            Math.abs(weight - wanted.weights.data[e]) < 1e-4 &&
            own.sources.data[e] === wanted.sources.data[e] &&
            own.targets.data[e] === wanted.targets.data[e],
        )
      );
    } catch (error) {
      if (error instanceof ProtocolError) return false;
      throw error;
    }
  }
}

type Wrap = (question: SingleQuestion) => Question;
const plain: Wrap = (question) => question;

const effectOf = (component: WireComponent, normalize: boolean): SingleQuestion => ({
  kind: "effect",
  component,
  normalize: effectNormalize(normalize),
  topK: EFFECT_TOP,
});

/** Newest tokens and layers first: that is where routes begin. */
const newestFirst = ({ nodes }: ClickedRoutes): ClickedRoutes["nodes"][number][] =>
  [...nodes].sort((a, b) => b.position - a.position || b.layer - a.layer);

/** `[H]`: sums of terms [keys, H] over the keys. */
function headSums(terms: ArrayLike<number>, nKeys: number, nHeads: number): number[] {
  const sums = new Array<number>(nHeads).fill(0);
  for (let j = 0; j < nKeys * nHeads; j++) sums[j % nHeads] += terms[j];
  return sums;
}

/** What clicks in these routes ask, but for single neurons. */
function* clicksOn(graph: ClickedRoutes, normalize: boolean, wrap: Wrap = plain): Generator<Batch> {
  const nodes = newestFirst(graph);
  const states = nodes.filter(({ kind }) => kind !== "M");
  yield states.map(({ name }) => wrap({ kind: "lens", node: name, normalize, topK: LENS_TOP }));
  yield nodes
    .filter(({ kind }) => kind === "M")
    .map(({ layer, position }) => wrap({ kind: "neurons", layer, position, topK: NEURONS }));
  const effect = (component: WireComponent): Question => wrap(effectOf(component, normalize));
  yield states
    .filter(({ kind }) => kind !== "X")
    .map(({ kind, layer, position }) => effect({ kind: kind === "A" ? "attention" : "ffn", layer, position }));
  yield graph.edges
    .filter(({ kind }) => kind === "attention")
    .flatMap(({ target, heads }) => {
      const [layer, position] = target.slice(1).split("_").map(Number);
      return [
        effect({ kind: "attention", layer, position }),
        ...Object.keys(heads ?? {}).map((head) => effect({ kind: "attention", layer, position, head: Number(head) })),
      ];
    });
}

/** What was removed, and what a first click removes: the head, or the edge, with which the Explorer's story begins. */
function removalsOn(graph: RouteGraph, selection: Selection): Question[] {
  const story = graph.edges
    .map(({ kind, source, target, weight, heads }) => ({
      kind,
      from: parseNode(source)!,
      to: parseNode(target)!,
      weight,
      heads,
    }))
    .filter(
      ({ kind, from, to }) => kind === "attention" && to.position === selection.start && from.position < to.position,
    )
    .sort((a, b) => b.weight - a.weight)
    .at(0);
  const head = Object.entries(story?.heads ?? {}).sort(([, a], [, b]) => b - a)[0]?.[0];
  const first: Removal[] = story
    ? [
        ...(head === undefined ? [] : [{ kind: "attention" as const, layer: story.to.layer, head: Number(head) }]),
        { kind: "edge", layer: story.to.layer, query: story.to.position, key: story.from.position },
      ]
    : [];
  return [selection.removed, ...first.map((removal) => [removal])].flatMap(
    (removed) => removedQuestion({ ...selection, removed }) ?? [],
  );
}

const outOfRange = (error: unknown): boolean =>
  error instanceof RangeError || (error instanceof ProtocolError && error.code === "range");

/** Maps of the one layer that a picture was made for. */
function chosenMaps({ layer }: Readonly<Record<string, unknown>>, nLayers: number, nHeads: number): Question[] {
  if (typeof layer !== "number" || !(layer >= 0 && layer < nLayers)) return [];
  return [null, ...Array.from({ length: nHeads }, (_, head) => head)].map((head) => ({
    kind: "maps" as const,
    layer,
    head,
  }));
}

/** Of routes, what clicks in them depend on. */
type ClickedRoutes = Pick<RouteGraph, "nodes"> & {
  readonly edges: readonly Pick<RouteEdge, "source" | "target" | "kind" | "heads">[];
};

const ofSecond = (question: SingleQuestion): Question<"second"> => ({ kind: "second", question });

/** The routes of an answer as a graph again. */
function routesOf({ nodes, kinds, sources, targets, headStarts, heads, headWeights }: RoutesAnswer): ClickedRoutes {
  return {
    nodes: nodes.map((name) => ({ name, ...parseNode(name)! })),
    edges: Array.from(kinds.data, (kind, e) => ({
      source: nodes[sources.data[e]],
      target: nodes[targets.data[e]],
      kind: EDGE_KINDS[kind],
      heads: Object.fromEntries(
        Array.from(heads.data.subarray(headStarts.data[e], headStarts.data[e + 1]), (head, i) => [
          head,
          headWeights.data[headStarts.data[e] + i],
        ]),
      ),
    })),
  };
}

/** The heads of all attention edges of these routes. */
function headsOf(graph: ClickedRoutes): SingleQuestion[] {
  return graph.edges
    .filter(({ kind }) => kind === "attention")
    .map(({ source, target }) => {
      const { layer, position } = parseNode(target)!;
      return { kind: "heads", layer, query: position, key: parseNode(source)!.position };
    });
}

/** Maps of the heads in these routes, and of all heads together, layer by layer. */
function shownMaps(graph: RouteGraph): Question[] {
  const heads = new Map<number, Set<number>>();
  for (const edge of graph.edges) {
    if (edge.kind !== "attention") continue;
    const layer = Number(edge.target.slice(1).split("_")[0]);
    const own = heads.get(layer) ?? new Set();
    heads.set(layer, own);
    for (const head of Object.keys(edge.heads ?? {})) own.add(Number(head));
  }
  return [...heads]
    .sort(([a], [b]) => b - a)
    .flatMap(([layer, own]) =>
      [null, ...[...own].sort((a, b) => a - b)].map((head) => ({ kind: "maps" as const, layer, head })),
    );
}
