import { inspect } from "node:util";
import { attentionRows, restOfBlock, type AttentionBlock, type AttentionRow } from "../attribution/attention";
import { neuronContributions, pairContributions, proximity, sizeOfRow } from "../attribution/contributions";
import { signedRows } from "../attribution/signed";
import type { KeptColumn } from "../attribution/kept-column";
import {
  attentionLogits,
  keptColumn,
  restOfColumn,
  type LogitColumn,
  type LogitLayer,
} from "../attribution/logit-column";
import { difference as readoutDifference, dot, type Readout } from "../attribution/readout";
import { nodeName, requireNode } from "../model/names";
import { notableTerms } from "../attribution/notable";
import { cutOf, relevantParts, relevantRoutes } from "../attribution/relevance";
import { routeGraph, type LocalRouteGraph } from "../attribution/route-graph";
import { trace, type ContributionSource, type NotableRow } from "../attribution/routes";
import { effectTokens, lensTokens } from "../lens/lens";
import { topIds } from "../lens/vocabulary";
import type {
  AttentionContributions,
  Attribution,
  AttributionOptions,
  AttentionProximities,
  Component,
  ContributionOptions,
  Contrast,
  Effect,
  EffectOptions,
  Faithfulness,
  FaithfulnessOptions,
  FfnContributions,
  GeneratedToken,
  GenerateOptions,
  Intervention,
  InterventionOptions,
  LensToken,
  LogitAttribution,
  LogitAttributionOptions,
  LogitPart,
  ModelInfo,
  NeuronContribution,
  NeuronOptions,
  NodeName,
  OtherKeys,
  ResidualPoint,
  RouteContrast,
  RouteEdge,
  RouteGraph,
  RouteNode,
  RouteOptions,
  RouteSelection,
  Run,
  StopReason,
  Tensor,
  Token,
  TransparentModel,
  Turn,
  ValueBias,
  VocabularyOptions,
} from "../model/types";
import {
  attribute,
  checkAttribution,
  relevanceRoutes,
  type AttributedLogit,
  type AttributedRun,
  type BackwardOptions,
  type LayerBackward,
} from "./attribute";
import { generate, type Generated, type Grower } from "./generate";
import { answerBudget, ByteCache, digestBudget } from "./byte-cache";
import {
  checkIndex,
  checkOneOf,
  checkSelection,
  checkTopK,
  checkValueBias,
  oneToken,
  startNodes,
} from "../model/check";

/** Constants of one layer's attention block, each [.., d]. */
export interface AttentionConstants {
  /** `[H, d]`: `b_V[h] W_O^h`. */
  readonly valueBiasOut?: Float32Array;
  /** `[d]`: b_O. */
  readonly outputBias?: Float32Array;
}

/** A `BaseRun` that was generated. */
export type GeneratedRun = BaseRun & Generated;

/** A run whose model can be changed in between: every run of `loadModel`. */
export interface ChangeableRun extends BaseRun {
  /** The same prompt with something changed in between; see `Run.intervene`. */
  intervene(interventions: readonly Intervention[], options?: InterventionOptions): Promise<ChangeableRun>;
  /** Whether the routes say what the prediction depends on; see `Run.faithfulness`. */
  faithfulness(options?: FaithfulnessOptions): Promise<Faithfulness>;
}

/** What the attention contributions of a layer are made from; shapes as in `AttentionBlock`. */
export type AttentionInputs = Pick<AttentionBlock, "pattern" | "valueOut" | "termScale" | "whole" | "residual" | "ffn">;

/** The event loop gets its turn after this many multiplications. */
const SLICE_STEPS = 1 << 20;
/** What an entry of a table of rows takes beside its numbers, roughly. */
const ROW_BYTES = 1024;
/** Tokens of a prompt that a console shows. */
const SHOWN_TOKENS = 24;
/** Axes that are unembedded together where a readout has to be found. */
const AXES = 64;

const yieldToEvents = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Every question of `Run`, answered from a few primitives that a subclass reads out of its model. Arguments are checked
 * here: primitives are only called with valid ones. Letters: T tokens, H heads, d width, f FFN width, V vocabulary.
 */
export abstract class BaseRun implements Run {
  abstract readonly model: TransparentModel;
  abstract readonly tokens: readonly Token[];

  private readonly cache = new ByteCache(answerBudget);
  /** Small answers that would cost much to compute again; large ones must not push them out. */
  private readonly digests = new ByteCache(digestBudget);
  private readonly queues = new Map<string, Promise<unknown>>();
  private disposed = false;
  private facts: Partial<Generated> = {};

  /** Where the prompt was a conversation: its messages. */
  get turns(): readonly Turn[] | undefined {
    return this.facts.turns;
  }

  /** Where the run was generated: number of tokens that were there before. */
  get promptLength(): number | undefined {
    return this.facts.promptLength;
  }

  /** Where the run was generated: why it is over. */
  get stopReason(): StopReason | undefined {
    return this.facts.stopReason;
  }

  /** Of a run under interventions: the run that they were made on. */
  declare readonly base?: BaseRun;

  /** Of a run under interventions: what was changed. */
  declare readonly interventions?: readonly Intervention[];

  /** The same prompt with something changed in between; see `Run.intervene`. A model of your own has none of itself. */
  intervene?(interventions: readonly Intervention[], options?: InterventionOptions): Promise<BaseRun>;

  /** Whether the routes say what the prediction depends on; see `Run.faithfulness`. */
  faithfulness?(options?: FaithfulnessOptions): Promise<Faithfulness>;

  /** For who made the run: what it knows of its conversation. */
  remember(facts: Partial<Generated>): this {
    this.facts = facts;
    return this;
  }

  /** One line in a console and under a cell, instead of everything that a run keeps. */
  [inspect.custom](): string {
    const shown = this.tokens.slice(0, SHOWN_TOKENS).map(({ text }) => JSON.stringify(text));
    const rest = this.tokens.length - shown.length;
    return `Run of ${this.model.info.name}, ${this.tokens.length} token${this.tokens.length === 1 ? "" : "s"}: ${shown.join(" ")}${rest > 0 ? ` … ${rest} more` : ""}`;
  }

  // What a model has to say.

  /** `[T, d]`; "mid" is not asked where blocks are parallel. */
  protected abstract readResidual(layer: number, point: ResidualPoint): Promise<Float32Array>;
  /** `[H, T, T]`: attention, query before key; exactly 0 after the query. */
  protected abstract readPattern(layer: number): Promise<Float32Array>;
  /** `[T, H, d]`: what head h writes per unit of attention to key k: `v[k, h] W_O^h`, value bias left out. */
  protected abstract readValueOut(layer: number): Promise<Float32Array>;
  /** `[f]` at one position: before the (gate's) activation function, or what multiplies W_out's rows. */
  protected abstract readNeurons(layer: number, position: number, point: "pre" | "post"): Promise<Float32Array>;

  // What has a default.

  /** Default: a model without biases in attention. */
  protected async readConstants(_layer: number): Promise<AttentionConstants> {
    return {};
  }

  /** `[T]`: multiplies all terms of a query (a norm behind the block, its statistic fixed). Default: none. */
  protected async readTermScale(_layer: number): Promise<Float32Array | undefined> {
    return undefined;
  }

  /** `[T]`: the same for the FFN's updates. Default: none. */
  protected async readFfnScale(_layer: number): Promise<Float32Array | undefined> {
    return undefined;
  }

  /** `[T, d]`. Default: mid − pre. Where blocks are parallel there is no default. */
  protected async readAttentionOut(layer: number): Promise<Float32Array> {
    if (this.info.parallelBlocks) throw new Error("A model with parallel blocks has to implement readAttentionOut.");
    return difference(await this.state(layer, "mid"), await this.state(layer, "pre"));
  }

  /** `[T, d]`. Default: what is missing to post. */
  protected async readFfnOut(layer: number): Promise<Float32Array> {
    if (!this.info.parallelBlocks) return difference(await this.state(layer, "post"), await this.state(layer, "mid"));
    const attention = await this.attentionOut(layer);
    return difference(difference(await this.state(layer, "post"), await this.state(layer, "pre")), attention.data);
  }

  /** `[V]` at a position. Default: unembedding of the last state. */
  protected async readLogits(position: number): Promise<Float32Array> {
    const [logits] = await this.unembedAll([await this.vector(this.topNode(position))], true);
    return logits;
  }

  /** `[V]` for each of some [d] vectors. Default: one after the other. */
  protected async unembedAll(vectors: readonly Float32Array[], normalize: boolean): Promise<Float32Array[]> {
    const all: Float32Array[] = [];
    for (const vector of vectors) all.push((await this.model.unembed(vector, { normalize })).data);
    return all;
  }

  /**
   * `[f]`: `‖y‖₁ − ‖y − z_n‖₁` of each neuron's update z_n to y = resid_post. Default: from W_out's rows, one by one.
   */
  protected async readNeuronProximities(layer: number, position: number): Promise<Float32Array> {
    const { dModel, dFfn } = this.info;
    const whole = await this.state(layer, "post");
    const activations = await this.readNeurons(layer, position, "post");
    const scale = (await this.readFfnScale(layer))?.[position] ?? 1;
    const result = new Float32Array(dFfn);
    for (let n = 0; n < dFfn; n++) {
      const row = (await this.model.neuronOutput(layer, n)).data;
      result[n] = proximity(
        row.map((w) => w * activations[n] * scale),
        0,
        whole,
        position * dModel,
        dModel,
      );
    }
    return result;
  }

  /** Everything the attention contributions need, together, where that is cheaper than one by one. */
  protected async readAttentionInputs(layer: number): Promise<AttentionInputs> {
    return {
      pattern: (await this.attentionPattern(layer)).data,
      valueOut: await this.readValueOut(layer),
      termScale: await this.readTermScale(layer),
      residual: await this.state(layer, "pre"),
      ...(this.info.parallelBlocks
        ? { whole: await this.state(layer, "post"), ffn: (await this.ffnOut(layer)).data }
        : { whole: await this.state(layer, "mid") }),
    };
  }

  /**
   * How the logit of each token is read out of the last state at a position, the final norm's statistic fixed. Default:
   * found by asking `unembed` about every axis, which holds for a LayerNorm, an RMSNorm or none before a linear
   * unembedding; better given.
   */
  protected async readReadouts(position: number, ids: readonly number[]): Promise<Readout[]> {
    const { dModel } = this.info;
    const state = await this.vector(this.topNode(position));
    const ask = async (vectors: readonly Float32Array[]): Promise<number[][]> =>
      (await this.unembedAll(vectors, true)).map((logits) => ids.map((id) => logits[id]));
    const [zero, here] = await ask([new Float32Array(dModel), state]);
    const directions = ids.map(() => new Float64Array(dModel));
    for (let begin = 0; begin < dModel; begin += AXES) {
      const axes = Array.from({ length: Math.min(AXES, dModel - begin) }, (_, i) => {
        const axis = new Float32Array(dModel);
        // Large, so that the norm's epsilon does not count.
        axis[begin + i] = 1e4;
        return axis;
      });
      (await ask(axes)).forEach((logits, i) =>
        logits.forEach((logit, n) => {
          directions[n][begin + i] = logit - zero[n];
        }),
      );
    }
    // Every axis has the same statistic; what that of this state is shows in its logits.
    const along = directions.map((direction) => dot(direction, state, 0));
    const best = along.reduce((largest, x, n) => (Math.abs(x) > Math.abs(along[largest]) ? n : largest), 0);
    const factor = along[best] === 0 ? 1 : (here[best] - zero[best]) / along[best];
    return directions.map((direction, n) => ({ direction: direction.map((x) => x * factor), constant: zero[n] }));
  }

  /**
   * `[f]`: what each neuron's update at a position adds along a direction [d]. Default: from W_out's rows, one by one.
   */
  protected async readNeuronLogits(layer: number, position: number, direction: Float64Array): Promise<Float64Array> {
    const activations = await this.readNeurons(layer, position, "post");
    const scale = (await this.readFfnScale(layer))?.[position] ?? 1;
    const result = new Float64Array(this.info.dFfn);
    for (let n = 0; n < result.length; n++)
      result[n] = dot(direction, (await this.model.neuronOutput(layer, n)).data, 0) * activations[n] * scale;
    return result;
  }

  /**
   * `[V]`: what an update [d] adds to every logit at a position, with the final norm's statistic of that position.
   * Default: a norm divides a vector by its size, so that of update and state together says how large each of them is
   * beside the other. Holds for a LayerNorm, an RMSNorm or none before a linear unembedding; better given.
   */
  protected async readUpdateLogits(position: number, update: Float32Array): Promise<Float32Array> {
    const state = await this.vector(this.topNode(position));
    const rms = (x: Float32Array): number => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length);
    const size = rms(update);
    if (size === 0) return new Float32Array(this.info.dVocab);
    // As large as the state, and both so large that a norm's epsilon does not count.
    const large = 1e4 / (rms(state) || 1);
    const grown = large * ((rms(state) || 1) / size);
    const x = update.map((v) => v * grown);
    const y = state.map((v) => v * large);
    const [zero, ofX, ofY, ofBoth] = await this.unembedAll(
      [new Float32Array(state.length), x, y, x.map((v, i) => v + y[i])],
      true,
    );
    // both = a · ofX + b · ofY by least squares; without a norm a = b = 1.
    let [xx, xy, yy, xs, ys] = [0, 0, 0, 0, 0];
    for (let id = 0; id < zero.length; id++) {
      const [u, v, s] = [ofX[id] - zero[id], ofY[id] - zero[id], ofBoth[id] - zero[id]];
      xx += u * u;
      xy += u * v;
      yy += v * v;
      xs += u * s;
      ys += v * s;
    }
    const determinant = xx * yy - xy * xy;
    const sizes = determinant > 1e-9 * xx * yy ? (xs * yy - ys * xy) / (ys * xx - xs * xy) : 1;
    // Through the norm, y has the size 1, x a size of `sizes` beside it; the state itself is y / large.
    const [here] = await this.unembedAll([state], true);
    let [along, square] = [0, 0];
    for (let id = 0; id < zero.length; id++) {
      along += (here[id] - zero[id]) * (ofY[id] - zero[id]);
      square += (ofY[id] - zero[id]) ** 2;
    }
    const factor = ((square > 0 ? along / square : 1) * sizes * large) / grown;
    return ofX.map((score, id) => (score - zero[id]) * factor);
  }

  /**
   * The run's tokens as a sequence that grows, and the logits [V] after the last of them. Default: a model of your own
   * is run again with each token.
   */
  protected async grow(
    _signal: AbortSignal | undefined,
  ): Promise<{ readonly logits: Float32Array; readonly grower: Grower<Run> }> {
    const ids = this.tokens.map(({ id }) => id);
    let run: Run | undefined;
    const last = async (of: Run): Promise<Float32Array> => (await of.logits({ position: ids.length - 1 })).data;
    return {
      logits: await last(this),
      grower: {
        append: async ({ id }, logits) => {
          ids.push(id);
          const next = await this.model.run(ids, { signal: undefined });
          await run?.dispose();
          run = next;
          return logits ? last(next) : undefined;
        },
        finish: async () => {
          const finished = run as Run;
          run = undefined;
          return finished;
        },
        dispose: async () => run?.dispose(),
      },
    };
  }

  /**
   * One layer backwards, from coefficients [n, d] of the state behind it, over the first n tokens: with norms'
   * statistics, attention patterns and the ratios activation(x) / x fixed, and products shared by halves. Default:
   * refused. Everything else of a run can be read from its states; this needs the weights.
   */
  protected async readBackward(
    _layer: number,
    _coefficients: Float32Array,
    _options: BackwardOptions,
  ): Promise<LayerBackward> {
    throw new Error(`${this.info.name} cannot go backwards: for RelP its run has to implement readBackward.`);
  }

  // What interventions change. Defaults: nothing.

  /** The run whose layers below `nLayers` are this one's too: what is known of them is asked there. */
  protected get lower(): { readonly run: BaseRun; readonly nLayers: number } | undefined {
    return undefined;
  }

  /** `[H, d]`: what each head writes at a position beside its terms, before `readTermScale`. */
  protected async readHeadsAdded(_layer: number, _position: number): Promise<Float32Array | undefined> {
    return undefined;
  }

  /** Whether terms, residual and the constants of `readConstants` do not make up the state after attention. */
  protected hasRest(_layer: number): boolean {
    return false;
  }

  /** Whether nothing below is a part of a state, because something was put in its place. */
  protected isReplaced(_layer: number, _point: "mid" | "post", _position: number): boolean {
    return false;
  }

  /** `[T, d]`: what was done to the states of a layer, beside what its blocks wrote. */
  protected async readPut(_layer: number): Promise<Float32Array | undefined> {
    return undefined;
  }

  /** Ids after which an answer is over. Default: none. */
  protected endIds(): ReadonlySet<number> {
    return new Set();
  }

  // Answers.

  /** Continues the run; see `Run.generate`. */
  async generate(options: GenerateOptions = {}): Promise<GeneratedRun> {
    const tokens = this.stream(options);
    for (;;) {
      const step = await tokens.next();
      if (step.done) return step.value;
    }
  }

  /** Continues the run, token by token; see `Run.stream`. */
  async *stream(options: GenerateOptions = {}): AsyncGenerator<GeneratedToken, GeneratedRun, undefined> {
    this.check();
    const { model, tokens } = this;
    const { run, facts } = yield* generate<Run>(
      {
        tokens,
        turns: this.turns,
        maxPositions: this.info.maxPositions,
        dVocab: this.info.dVocab,
        endIds: this.endIds(),
        token: (id) => model.token(id),
        decode: (ids) => model.decode?.(ids) ?? ids.map((id) => model.token(id).text).join(""),
        begin: (signal) => this.grow(signal),
        unchanged: () => model.run(tokens.map(({ id }) => id)),
      },
      options,
    );
    if (run instanceof BaseRun) return run.remember(facts) as GeneratedRun;
    throw new TypeError("The model's runs are no BaseRun: extend it, or write generate yourself.");
  }

  async logits(options: { readonly position?: number } = {}): Promise<Tensor> {
    this.check();
    const { dVocab } = this.info;
    const { position } = options;
    if (position !== undefined) {
      checkIndex("position", position, this.nTokens);
      return this.tensor(`logits ${position}`, [dVocab], () => this.readLogits(position));
    }
    return this.tensor("logits", [this.nTokens, dVocab], () => this.readAllLogits());
  }

  /** `[T, V]`. */
  protected async readAllLogits(): Promise<Float32Array> {
    const { dVocab } = this.info;
    const data = new Float32Array(this.nTokens * dVocab);
    for (let t = 0; t < this.nTokens; t++) data.set(await this.readLogits(t), t * dVocab);
    return data;
  }

  async residual(layer: number, point: ResidualPoint): Promise<Tensor> {
    this.check(layer);
    checkOneOf("The point", point, ["pre", "mid", "post"]);
    if (point === "mid" && this.info.parallelBlocks) {
      throw new RangeError(
        'There is no residual "mid" in this model: its attention and feed-forward blocks are parallel; use "pre" or "post".',
      );
    }
    return { data: await this.state(layer, point), dims: [this.nTokens, this.info.dModel] };
  }

  async attentionPattern(layer: number): Promise<Tensor> {
    this.check(layer);
    const owner = this.owner(layer);
    if (owner !== this) return owner.attentionPattern(layer);
    return this.tensor(`pattern ${layer}`, [this.info.nHeads, this.nTokens, this.nTokens], () =>
      this.readPattern(layer),
    );
  }

  async attentionOut(layer: number): Promise<Tensor> {
    this.check(layer);
    const owner = this.owner(layer);
    if (owner !== this) return owner.attentionOut(layer);
    return this.tensor(`attention out ${layer}`, [this.nTokens, this.info.dModel], () => this.readAttentionOut(layer));
  }

  async ffnOut(layer: number): Promise<Tensor> {
    this.check(layer);
    const owner = this.owner(layer);
    if (owner !== this) return owner.ffnOut(layer);
    return this.tensor(`ffn out ${layer}`, [this.nTokens, this.info.dModel], () => this.readFfnOut(layer));
  }

  async headOut(layer: number, position: number, options: { readonly valueBias?: ValueBias } = {}): Promise<Tensor> {
    this.check(layer, position);
    checkValueBias(options.valueBias);
    const { nHeads, dModel } = this.info;
    const withBias = options.valueBias === "term";
    return this.tensor(`head out ${layer} ${position} ${withBias}`, [nHeads, dModel], async () => {
      const { pattern, valueOut, termScale } = await this.readAttentionInputs(layer);
      const bias = withBias ? (await this.constants(layer)).valueBiasOut : undefined;
      const scale = termScale ? termScale[position] : 1;
      const added = await this.readHeadsAdded(layer, position);
      const data = new Float32Array(nHeads * dModel);
      let steps = 0;
      for (let head = 0; head < nHeads; head++) {
        const sum = new Float64Array(dModel);
        for (let key = 0; key <= position; key++) {
          const a = pattern[(head * this.nTokens + position) * this.nTokens + key];
          const at = (key * nHeads + head) * dModel;
          for (let i = 0; i < dModel; i++) sum[i] += a * valueOut[at + i];
          if (bias) for (let i = 0; i < dModel; i++) sum[i] += a * bias[head * dModel + i];
        }
        if (added) for (let i = 0; i < dModel; i++) sum[i] += added[head * dModel + i];
        for (let i = 0; i < dModel; i++) data[head * dModel + i] = sum[i] * scale;
        steps += (position + 1) * dModel;
        if (steps > SLICE_STEPS) {
          steps = 0;
          await yieldToEvents();
        }
      }
      return data;
    });
  }

  async neuronActivations(layer: number, position: number, point: "pre" | "post"): Promise<Tensor> {
    this.check(layer, position);
    checkOneOf("The point", point, ["pre", "post"]);
    return this.tensor(`neurons ${layer} ${position} ${point}`, [this.info.dFfn], () =>
      this.readNeurons(layer, position, point),
    );
  }

  async attentionContributions(layer: number, options: ContributionOptions = {}): Promise<AttentionContributions> {
    this.check(layer);
    checkValueBias(options.valueBias);
    const positions: readonly number[] = options.positions ?? Array.from(this.tokens, (_, t) => t);
    if (!isList(positions))
      throw new TypeError(
        `positions are a list of query positions, such as [${this.nTokens - 1}], not ${String(positions)}.`,
      );
    for (const position of positions) checkIndex("position", position, this.nTokens);
    const { nHeads, parallelBlocks } = this.info;
    const rows = await this.attentionRows(layer, positions, options);
    const n = rows.length;
    const terms = new Float32Array(n * this.nTokens * nHeads);
    rows.forEach((row, i) => terms.set(row.terms, i * this.nTokens * nHeads));
    const column = (value: (row: AttentionRow) => number): Tensor => ({
      data: Float32Array.from(rows, value),
      dims: [n],
    });
    return {
      positions: [...positions],
      terms: { data: terms, dims: [n, this.nTokens, nHeads] },
      residual: column((row) => row.residual),
      ...(options.includeBias || positions.some((position) => this.isReplaced(layer, this.afterAttention, position))
        ? { bias: column((row) => row.bias) }
        : {}),
      ...(parallelBlocks ? { ffn: column((row) => row.ffn) } : {}),
      ...(options.signed ? { proximities: await this.attentionProximities(layer, positions, options) } : {}),
    };
  }

  private async attentionProximities(
    layer: number,
    positions: readonly number[],
    options: ContributionOptions,
  ): Promise<AttentionProximities> {
    const { nHeads, parallelBlocks } = this.info;
    const rows = await signedRows(await this.attentionBlock(layer, options, positions), positions, options.signal);
    const terms = new Float32Array(rows.length * this.nTokens * nHeads);
    rows.forEach((row, i) => terms.set(row.terms, i * this.nTokens * nHeads));
    const column = (name: "residual" | "bias" | "ffn"): Tensor => ({
      data: Float32Array.from(rows, (row) => row[name]),
      dims: [rows.length],
    });
    return {
      terms: { data: terms, dims: [rows.length, this.nTokens, nHeads] },
      residual: column("residual"),
      ...(options.includeBias ? { bias: column("bias") } : {}),
      ...(parallelBlocks ? { ffn: column("ffn") } : {}),
    };
  }

  async ffnContributions(
    layer: number,
    { signed = false }: { readonly signed?: boolean } = {},
  ): Promise<FfnContributions> {
    this.check(layer);
    const positions = Array.from(this.tokens, (_, t) => t);
    const pairs = await this.ffnPairs(layer, positions);
    const column = (value: (position: number) => number): Tensor => ({
      data: Float32Array.from(positions, value),
      dims: [this.nTokens],
    });
    const replaced = positions.map((position) => Number(this.isReplaced(layer, "post", position)));
    const contributions = {
      ffn: column((t) => pairs[t][0]),
      residual: column((t) => pairs[t][1]),
      ...(replaced.includes(1) ? { replaced: column((t) => replaced[t]) } : {}),
    };
    if (!signed) return contributions;
    const { dModel } = this.info;
    const whole = await this.state(layer, "post");
    const signedColumn = (part: Float32Array): Tensor =>
      column((t) => proximity(part, t * dModel, whole, t * dModel, dModel) / (sizeOfRow(whole, t, dModel) || 1));
    return {
      ...contributions,
      proximities: {
        ffn: signedColumn((await this.ffnOut(layer)).data),
        residual: signedColumn(await this.besideFfn(layer)),
      },
    };
  }

  async neuronContributions(
    layer: number,
    position: number,
    options: NeuronOptions = {},
  ): Promise<readonly NeuronContribution[]> {
    this.check(layer, position);
    const { topK, by = "contribution" } = options;
    if (topK !== undefined) checkTopK(topK);
    checkOneOf("by", by, ["contribution", "logit"]);
    const { dModel } = this.info;
    const key = `neuron proximities ${layer} ${position}`;
    const { data } = await this.tensor(key, [this.info.dFfn], () => this.readNeuronProximities(layer, position));
    const activations = await this.neuronActivations(layer, position, "post");
    const other = proximity(
      await this.besideFfn(layer),
      position * dModel,
      await this.state(layer, "post"),
      position * dModel,
      dModel,
    );
    const logits =
      by === "logit"
        ? await this.readNeuronLogits(layer, position, (await this.readContrast(position, options)).readout.direction)
        : undefined;
    return neuronContributions(data, other, activations.data, topK, logits);
  }

  async routes(options: RouteOptions = {}): Promise<LocalRouteGraph> {
    this.check();
    const { method = "contributions", renormalize = true, joinSelf = false, signal, onProgress } = options;
    checkOneOf("The method", method, ["contributions", "relp"]);
    const selection = checkSelection(options);
    checkValueBias(options.valueBias);
    const from = startNodes(options.from, this.info, this.nTokens);
    if (method === "relp") return this.backwardRoutes(from, selection, options);
    if (options.counterfactual) throw new RangeError('A counterfactual has a meaning only with the method "relp".');
    const { nLayers, nHeads, parallelBlocks } = this.info;
    const source: ContributionSource = {
      nTokens: this.nTokens,
      nLayers,
      nHeads,
      parallelBlocks,
      attention: (layer, positions) => this.attentionRows(layer, positions, options),
      notable: (layer, positions) => this.notableRows(layer, positions, options),
      ffn: (layer, positions) => this.ffnPairs(layer, positions),
    };
    const about = options.contrast && (await this.startContrast(from, options.contrast, options));
    const column = about && keptColumn(about.column, "threshold" in selection ? selection.threshold : 0);
    const { nodes, edges, others } =
      "threshold" in selection
        ? await trace(source, { from, ...selection, renormalize, joinSelf, column, signal, onProgress })
        : await this.relevantRoutes(source, selection, {
            ...options,
            from,
            renormalize,
            column,
            contrast: about?.contrast,
          });
    const contrast = about && { ...about.contrast, rest: restOfColumn(about.column, edges) };
    return routeGraph({
      model: this.info,
      tokens: this.tokens,
      from: from.map(({ name }) => name),
      ...("threshold" in selection ? selection : { threshold: 0, select: selection }),
      renormalize,
      ...(joinSelf ? { joinSelf } : {}),
      contrast,
      nodes,
      edges,
      others,
    });
  }

  /** Routes of the parts that most of a logit goes through, by one pass backwards. */
  private async backwardRoutes(
    from: readonly RouteNode[],
    selection: RouteSelection,
    options: RouteOptions,
  ): Promise<LocalRouteGraph> {
    if (options.renormalize || options.joinSelf || options.includeBias) {
      throw new RangeError(
        'Routes of the method "relp" have relevances in logits: renormalize, joinSelf and includeBias have no meaning there.',
      );
    }
    const [start, ...others] = from;
    if (others.length > 0 || start.kind !== "I" || start.layer !== this.info.nLayers - 1) {
      throw new RangeError(
        `Routes of the method "relp" start at one token: give from as a number from 0 to ${this.nTokens - 1}.`,
      );
    }
    const about = await this.attributedLogit(start.position, options);
    const { token, versus, logit, counterfactual } = about;
    const { nodes, edges, constant } = await relevanceRoutes(
      this.attributedRun(),
      about,
      selection,
      this.digests,
      options,
    );
    return routeGraph({
      model: this.info,
      tokens: this.tokens,
      from: [start.name],
      ...("threshold" in selection ? selection : { threshold: 0, select: selection }),
      renormalize: false,
      method: "relp",
      counterfactual: counterfactual?.tokens,
      contrast: { token, ...(versus ? { versus } : {}), logit, constant },
      nodes,
      edges,
    });
  }

  /** RelP; see `Run.attribute`. */
  async attribute(options: AttributionOptions = {}): Promise<Attribution> {
    this.check();
    checkAttribution(options, this.nTokens);
    const { from = this.nTokens - 1 } = options;
    return attribute(this.attributedRun(), await this.attributedLogit(from, options), options);
  }

  private attributedRun(): AttributedRun {
    return {
      info: this.info,
      backward: (layer, coefficients, options) => this.readBackward(layer, coefficients, options),
      state: (layer, point) => this.state(layer, point),
      pattern: async (layer) => (await this.attentionPattern(layer)).data,
    };
  }

  private async attributedLogit(
    from: number,
    { contrast = {}, counterfactual }: Pick<AttributionOptions, "contrast" | "counterfactual">,
  ): Promise<AttributedLogit> {
    const { token, versus, readout } = await this.readContrast(from, contrast);
    const logitOf = async (run: Run): Promise<number> => {
      const { data } = await run.logits({ position: from });
      return data[token.id] - (versus ? data[versus.id] : 0);
    };
    const about = { from, token, ...(versus ? { versus } : {}), logit: await logitOf(this), readout };
    if (counterfactual === undefined) return about;
    if (!(counterfactual instanceof BaseRun) || counterfactual.model.info.name !== this.info.name)
      throw new RangeError(`The counterfactual has to be a run of the same model, ${this.info.name}.`);
    const { tokens } = counterfactual;
    if (tokens.length !== this.nTokens)
      throw new RangeError(
        `The counterfactual has ${tokens.length} tokens and this prompt ${this.nTokens}: tokens are compared one by one, so both need as many.`,
      );
    return {
      ...about,
      counterfactual: { tokens, logit: await logitOf(counterfactual) },
      other: counterfactual.attributedRun(),
    };
  }

  /** What a contrast is about, and everything that was written to its token by what it adds to it. */
  private async startContrast(
    [start, ...others]: readonly RouteNode[],
    asked: Contrast,
    options: ContributionOptions,
  ): Promise<{ readonly contrast: RouteContrast; readonly column: LogitColumn }> {
    if (others.length > 0 || start.kind !== "I" || start.layer !== this.info.nLayers - 1) {
      throw new RangeError(`A contrast is traced from one token: give from as a number from 0 to ${this.nTokens - 1}.`);
    }
    const { position } = start;
    const { readout, ...tokens } = await this.readContrast(position, asked);
    const { data } = await this.logits({ position });
    const logit = data[tokens.token.id] - (tokens.versus ? data[tokens.versus.id] : 0);
    return {
      contrast: { ...tokens, logit, constant: readout.constant },
      column: await this.logitColumn(readout.direction, position, options),
    };
  }

  /** Routes by relevance. What all states are made of is kept: another budget computes nothing again. */
  private async relevantRoutes(
    source: ContributionSource,
    budget: NonNullable<RouteGraph["select"]>,
    options: Omit<RouteOptions, "from" | "contrast"> & {
      readonly from: readonly RouteNode[];
      readonly renormalize: boolean;
      readonly column: KeptColumn | undefined;
      readonly contrast: RouteGraph["contrast"];
    },
  ): Promise<{ nodes: RouteNode[]; edges: RouteEdge[]; others: OtherKeys[] }> {
    const { from, valueBias, includeBias = false, contrast } = options;
    const about = contrast ? `${contrast.token.id} ${contrast.versus?.id}` : "";
    const key = `relevances ${from.map(({ name }) => name).join(",")} ${valueBias === "term"} ${includeBias} ${about}`;
    const parts = await this.digests.get(
      key,
      () => relevantParts(source, options),
      ({ byteLength }) => byteLength,
    );
    return relevantRoutes(source, parts, cutOf(source, parts, budget), options);
  }

  /**
   * Direct logit attribution (nostalgebraist 2020; Elhage et al. 2021): what the embedding, each head, each attention
   * block's output bias and each FFN add to the logit of a token, or to the difference of two, with the final norm's
   * statistic fixed.
   */
  async logitAttribution(options: LogitAttributionOptions = {}): Promise<LogitAttribution> {
    const { position = this.nTokens - 1, byKey = false, byNeuron = false, valueBias, signal } = options;
    this.check(undefined, position);
    checkValueBias(valueBias);
    const { nLayers, nHeads, dModel } = this.info;
    const { token, versus, readout } = await this.readContrast(position, options);
    const at = position * dModel;
    const read = (rows: Float32Array, offset: number): number => dot(readout.direction, rows, offset);
    const parts: LogitPart[] = [{ kind: "embedding", logit: read(await this.state(0, "pre"), at) }];
    for (let layer = 0; layer < nLayers; layer++) {
      signal?.throwIfAborted();
      const heads = (await this.headOut(layer, position, { valueBias })).data;
      let rest = read((await this.attentionOut(layer)).data, at);
      const terms = byKey
        ? (
            await attentionLogits(
              readout.direction,
              await this.attentionBlock(layer, { valueBias }, [position]),
              position,
            )
          ).terms
        : undefined;
      for (let head = 0; head < nHeads; head++) {
        if (terms) {
          for (let key = 0; key <= position; key++) {
            const logit = terms[key * nHeads + head];
            rest -= logit;
            parts.push({ kind: "head", layer, head, key, logit });
          }
          continue;
        }
        const logit = read(heads, head * dModel);
        rest -= logit;
        parts.push({ kind: "head", layer, head, logit });
      }
      parts.push({ kind: "attention-bias", layer, logit: rest });
      let block = read((await this.ffnOut(layer)).data, at);
      if (byNeuron)
        (await this.readNeuronLogits(layer, position, readout.direction)).forEach((logit, neuron) => {
          block -= logit;
          parts.push({ kind: "neuron", layer, neuron, logit });
        });
      parts.push({ kind: "ffn", layer, logit: block });
      const put = await this.readPut(layer);
      if (put) parts.push({ kind: "intervention", layer, logit: read(put, at) });
    }
    parts.push({ kind: "constant", logit: readout.constant });
    const logits = (await this.logits({ position })).data;
    return {
      position,
      token,
      ...(versus ? { versus } : {}),
      logit: logits[token.id] - (versus ? logits[versus.id] : 0),
      parts,
    };
  }

  lens(node: NodeName, options?: VocabularyOptions): Promise<readonly LensToken[]>;
  lens<N extends string>(
    node: string extends N ? N : never,
    options?: VocabularyOptions,
  ): Promise<readonly LensToken[]>;
  async lens(node: string, options: VocabularyOptions = {}): Promise<readonly LensToken[]> {
    this.check();
    const { normalize = true, topK = 30 } = options;
    checkTopK(topK);
    const here = requireNode(node, this.info.nLayers, this.nTokens, this.info.parallelBlocks);
    if (here.kind === "M") {
      throw new RangeError(
        `${node} is a block, not a state of the residual stream: read what it wrote with effect({ kind: "ffn", layer: ${here.layer}, position: ${here.position} }).`,
      );
    }
    const below = this.below(here);
    const [logits, logitsBelow] = await this.stateLogits(below ? [here, below] : [here], normalize);
    return lensTokens(logits, logitsBelow, topK, (id) => this.model.token(id));
  }

  async effect(component: Component, options: EffectOptions = {}): Promise<Effect> {
    this.check();
    const { normalize = "position", topK = 30 } = options;
    checkTopK(topK);
    checkOneOf("normalize", normalize, ["position", true, false]);
    const vector = await this.update(component, options.valueBias);
    const [scores] =
      normalize === "position"
        ? [await this.readUpdateLogits(component.position, vector)]
        : await this.unembedAll([vector], normalize);
    return effectTokens(scores, topK, (id) => this.model.token(id));
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    this.cache.clear();
    this.digests.clear();
  }

  // What the answers share.

  protected get info(): ModelInfo {
    return this.model.info;
  }

  protected get nTokens(): number {
    return this.tokens.length;
  }

  /** Refuses layers and positions that do not exist, and everything once the run was disposed. */
  protected check(layer?: number, position?: number): void {
    if (this.disposed) throw new Error("This run was disposed: run the prompt again.");
    if (layer !== undefined) checkIndex("layer", layer, this.info.nLayers);
    if (position !== undefined) checkIndex("position", position, this.nTokens);
  }

  /** `[d]`: what a component wrote into the residual stream. */
  async update(component: Component, valueBias?: ValueBias): Promise<Float32Array> {
    const { kind, layer, position } = component;
    checkOneOf("The component's kind", kind, ["attention", "ffn"]);
    checkValueBias(valueBias);
    this.check(layer, position);
    const { dModel, nHeads, dFfn } = this.info;
    const row = ({ data }: Tensor, i: number): Float32Array => data.slice(i * dModel, (i + 1) * dModel);
    if (kind === "attention") {
      if (!("head" in component)) return row(await this.attentionOut(layer), position);
      checkIndex("head", component.head, nHeads);
      if (component.key !== undefined) return this.headKeyUpdate(component, component.key, valueBias);
      return row(await this.headOut(layer, position, { valueBias }), component.head);
    }
    if (!("neuron" in component)) return row(await this.ffnOut(layer), position);
    checkIndex("neuron", component.neuron, dFfn);
    const { data } = await this.model.neuronOutput(layer, component.neuron);
    const activation = (await this.neuronActivations(layer, position, "post")).data[component.neuron];
    const scale = (await this.readFfnScale(layer))?.[position] ?? 1;
    return data.map((w) => w * activation * scale);
  }

  /** `[d]`: what a head wrote at a query out of one key. */
  private async headKeyUpdate(
    { layer, position, head }: { readonly layer: number; readonly position: number; readonly head: number },
    key: number,
    valueBias?: ValueBias,
  ): Promise<Float32Array> {
    if (!Number.isInteger(key) || key < 0 || key > position)
      throw new RangeError(`There is no key ${key} for the query at ${position}: keys go from 0 to ${position}.`);
    const { dModel, nHeads } = this.info;
    const { pattern, valueOut, termScale } = await this.readAttentionInputs(layer);
    const bias = valueBias === "term" ? (await this.constants(layer)).valueBiasOut : undefined;
    const factor =
      pattern[(head * this.nTokens + position) * this.nTokens + key] * (termScale ? termScale[position] : 1);
    const at = (key * nHeads + head) * dModel;
    return Float32Array.from(
      { length: dModel },
      (_, i) => factor * (valueOut[at + i] + (bias ? bias[head * dModel + i] : 0)),
    );
  }

  /** The tokens of a contrast, and how the difference of their logits is read out. */
  private async readContrast(
    position: number,
    contrast: Contrast,
  ): Promise<{ readonly token: Token; readonly versus?: Token; readonly readout: Readout }> {
    const token =
      contrast.token === undefined
        ? this.model.token(topIds((await this.logits({ position })).data, 1)[0])
        : oneToken(this.model, contrast.token);
    if (contrast.versus === undefined) {
      const [readout] = await this.readReadouts(position, [token.id]);
      return { token, readout };
    }
    const versus = oneToken(this.model, contrast.versus);
    if (versus.id === token.id)
      throw new RangeError(
        `Both tokens of the contrast are ${JSON.stringify(token.text)} (${token.id}): their logits do not differ.`,
      );
    const [a, b] = await this.readReadouts(position, [token.id, versus.id]);
    return { token, versus, readout: readoutDifference(a, b) };
  }

  /** Everything that was written to one token's residual stream, by what it adds along a direction. */
  private async logitColumn(
    direction: Float64Array,
    position: number,
    options: ContributionOptions,
  ): Promise<LogitColumn> {
    const { nLayers, nHeads, dModel, parallelBlocks } = this.info;
    const at = position * dModel;
    const layers: LogitLayer[] = [];
    for (let layer = 0; layer < nLayers; layer++) {
      options.signal?.throwIfAborted();
      const block = await this.attentionBlock(layer, { ...options, includeBias: true }, [position]);
      const pre = dot(direction, block.residual, at);
      const attention = await attentionLogits(direction, block, position);
      layers.push({
        ...attention,
        bias: attention.bias + (await this.putAfter(layer, direction, position)),
        ffn: dot(direction, (await this.ffnOut(layer)).data, at),
        pre,
        mid: parallelBlocks ? pre : dot(direction, block.whole, at),
      });
    }
    return { position, nHeads, parallelBlocks, layers };
  }

  /** What was done to the state after a layer, along a direction; where blocks are parallel it is part of attention's rest. */
  private async putAfter(layer: number, direction: Float64Array, position: number): Promise<number> {
    const put = this.info.parallelBlocks ? undefined : await this.readPut(layer);
    if (!put) return 0;
    const at = position * this.info.dModel;
    const parts = [await this.state(layer, "mid"), (await this.ffnOut(layer)).data];
    return parts.reduce(
      (rest, part) => rest - dot(direction, part, at),
      dot(direction, await this.state(layer, "post"), at),
    );
  }

  /** The state that attention is added to a part of. */
  private get afterAttention(): "mid" | "post" {
    return this.info.parallelBlocks ? "post" : "mid";
  }

  /** Who knows a layer: this run, or one whose layer it is too. */
  private owner(layer: number): BaseRun {
    return this.lower && layer < this.lower.nLayers ? this.lower.run : this;
  }

  private topNode(position: number): RouteNode {
    const layer = this.info.nLayers - 1;
    return { name: nodeName("I", layer, position), kind: "I", layer, position };
  }

  /** The residual node that a node's whole has as a part. */
  private below({ kind, layer, position }: RouteNode): RouteNode | undefined {
    if (kind === "X") return undefined;
    if (kind === "I" && !this.info.parallelBlocks)
      return { name: nodeName("A", layer, position), kind: "A", layer, position };
    if (layer === 0) return { name: nodeName("X", -1, position), kind: "X", layer: -1, position };
    return { name: nodeName("I", layer - 1, position), kind: "I", layer: layer - 1, position };
  }

  /** `[d]`: the state at a residual node. */
  private async vector({ kind, layer, position }: RouteNode): Promise<Float32Array> {
    const data = kind === "X" ? await this.state(0, "pre") : await this.state(layer, kind === "A" ? "mid" : "post");
    return data.slice(position * this.info.dModel, (position + 1) * this.info.dModel);
  }

  /** `[V]` for each residual node; those not known yet are unembedded together. */
  private async stateLogits(nodes: readonly RouteNode[], normalize: boolean): Promise<Float32Array[]> {
    const missing: { node: RouteNode; give: (logits: Float32Array) => void; fail: (error: unknown) => void }[] = [];
    const answers = nodes.map((node) =>
      this.cache.get(
        `lens ${node.name} ${normalize}`,
        () => new Promise<Float32Array>((give, fail) => missing.push({ node, give, fail })),
        ({ byteLength }) => byteLength,
      ),
    );
    if (missing.length > 0) {
      try {
        const all = await this.unembedAll(await Promise.all(missing.map(({ node }) => this.vector(node))), normalize);
        missing.forEach(({ give }, i) => give(all[i]));
      } catch (error) {
        for (const { fail } of missing) fail(error);
      }
    }
    return Promise.all(answers);
  }

  /** `[T, d]`: what the FFN's output is added to. */
  private async besideFfn(layer: number): Promise<Float32Array> {
    if (!this.info.parallelBlocks) return this.state(layer, "mid");
    const { data } = await this.tensor(`beside ffn ${layer}`, [this.nTokens, this.info.dModel], async () => {
      const pre = await this.state(layer, "pre");
      const attention = (await this.attentionOut(layer)).data;
      return pre.map((x, i) => x + attention[i]);
    });
    return data;
  }

  /** `[ffn, other]` at each of `positions`, computed where they are not known yet. */
  private async ffnPairs(layer: number, positions: readonly number[]): Promise<(readonly [number, number])[]> {
    const owner = this.owner(layer);
    if (owner !== this) return owner.ffnPairs(layer, positions);
    const { dModel } = this.info;
    const pairs = await this.digests.get(
      `ffn pairs ${layer}`,
      async () => new Map<number, readonly [number, number]>(),
      () => 64 * this.nTokens,
    );
    if (positions.some((position) => !pairs.has(position))) {
      const ffn = (await this.ffnOut(layer)).data;
      const other = await this.besideFfn(layer);
      const whole = await this.state(layer, "post");
      let steps = 0;
      for (const position of positions) {
        if (pairs.has(position)) continue;
        if (this.isReplaced(layer, "post", position)) {
          pairs.set(position, [0, 0]);
          continue;
        }
        pairs.set(position, pairContributions(ffn, other, whole, position, dModel));
        if ((steps += 2 * dModel) > SLICE_STEPS) {
          steps = 0;
          await yieldToEvents();
        }
      }
    }
    return positions.map((position) => pairs.get(position) as readonly [number, number]);
  }

  /** Contributions at `positions`, computed where they are not known yet. */
  private async attentionRows(
    layer: number,
    positions: readonly number[],
    options: ContributionOptions,
  ): Promise<AttentionRow[]> {
    const owner = this.owner(layer);
    if (owner !== this) return owner.attentionRows(layer, positions, options);
    const inTerms = options.valueBias === "term";
    const includeBias = options.includeBias ?? false;
    const key = `rows ${layer} ${inTerms} ${includeBias}`;
    // One after the other for each layer: who comes second finds the first one's rows.
    return this.inTurn(key, async () => {
      options.signal?.throwIfAborted();
      const rows = await this.cache.get(
        key,
        async () => new Map<number, AttentionRow>(),
        () => 0,
      );
      const missing = positions.filter((position) => !rows.has(position));
      if (missing.length > 0) {
        const block = await this.attentionBlock(layer, options, missing);
        for (const row of await attentionRows(block, missing, options.signal))
          rows.set(row.position, this.isReplaced(layer, this.afterAttention, row.position) ? replacedRow(row) : row);
        let bytes = 0;
        for (const row of rows.values()) bytes += row.terms.byteLength;
        this.cache.grown(key, bytes);
      }
      return positions.map((position) => rows.get(position) as AttentionRow);
    });
  }

  /** A layer's attention block as a sum of the parts that the options ask for. */
  private async attentionBlock(
    layer: number,
    { valueBias, includeBias = false, signal }: ContributionOptions,
    positions: readonly number[],
  ): Promise<AttentionBlock> {
    const { nHeads, dModel } = this.info;
    const inTerms = valueBias === "term";
    const constants = inTerms || includeBias ? await this.constants(layer) : {};
    const block = {
      nTokens: this.nTokens,
      nHeads,
      dModel,
      ...(await this.readAttentionInputs(layer)),
      valueBiasOut: inTerms ? constants.valueBiasOut : undefined,
    };
    if (includeBias && this.hasRest(layer)) return { ...block, rest: await restOfBlock(block, positions, signal) };
    return { ...block, bias: includeBias ? outputBias(constants, inTerms, nHeads, dModel) : undefined };
  }

  /**
   * What of the rows can pass a threshold. Small, so it stays when the rows themselves had to go: moving the threshold
   * computes nothing again, however long the prompt is.
   */
  private async notableRows(
    layer: number,
    positions: readonly number[],
    options: ContributionOptions,
  ): Promise<NotableRow[]> {
    const owner = this.owner(layer);
    if (owner !== this) return owner.notableRows(layer, positions, options);
    const key = `notable ${layer} ${options.valueBias === "term"} ${options.includeBias ?? false}`;
    const known = await this.digests.get(
      key,
      async () => new Map<number, NotableRow>(),
      () => 0,
    );
    const missing = positions.filter((position) => !known.has(position));
    if (missing.length > 0) {
      let steps = 0;
      let bytes = 0;
      for (const { position, terms: all, residual, bias, ffn } of await this.attentionRows(layer, missing, options)) {
        const notable = notableTerms(all, this.info.nHeads);
        bytes += notable.indices.length * 8 + notable.keys.terms.byteLength + notable.keys.keys.byteLength;
        known.set(position, { position, residual, bias, ffn, notable });
        if ((steps += all.length) > SLICE_STEPS) {
          steps = 0;
          await yieldToEvents();
        }
      }
      this.digests.grown(key, missing.length * ROW_BYTES + bytes, true);
    }
    return positions.map((position) => known.get(position) as NotableRow);
  }

  private constants(layer: number): Promise<AttentionConstants> {
    return this.cache.get(
      `constants ${layer}`,
      () => this.readConstants(layer),
      () => 0,
    );
  }

  private async state(layer: number, point: ResidualPoint): Promise<Float32Array> {
    // What a layer begins with is what the one below ends with.
    const owner = this.owner(point === "pre" && layer > 0 ? layer - 1 : layer);
    if (owner !== this) return owner.state(layer, point);
    const { data } = await this.tensor(`residual ${layer} ${point}`, [this.nTokens, this.info.dModel], () =>
      this.readResidual(layer, point),
    );
    return data;
  }

  private tensor(key: string, dims: readonly number[], read: () => Promise<Float32Array>): Promise<Tensor> {
    return this.cache.get(
      key,
      async () => ({ data: await read(), dims }),
      ({ data }) => data.byteLength,
    );
  }

  private inTurn<T>(key: string, task: () => Promise<T>): Promise<T> {
    const turn = (this.queues.get(key) ?? Promise.resolve()).then(task, task);
    const settled = turn.catch(() => undefined);
    this.queues.set(key, settled);
    void settled.then(() => {
      if (this.queues.get(key) === settled) this.queues.delete(key);
    });
    return turn;
  }
}

/** A row whose whole is nothing that the layer wrote. */
function replacedRow({ position, terms }: AttentionRow): AttentionRow {
  return { position, terms: new Float32Array(terms.length), residual: 0, bias: 1, ffn: 0 };
}

function difference(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((x, i) => x - b[i]);
}

/** `[d]`: the constant that is added beside all terms; undefined where there is none. */
function outputBias(
  { valueBiasOut, outputBias: bias }: AttentionConstants,
  inTerms: boolean,
  nHeads: number,
  d: number,
): Float32Array | undefined {
  if (inTerms || !valueBiasOut) return bias;
  const sum = bias ? Float64Array.from(bias) : new Float64Array(d);
  for (let head = 0; head < nHeads; head++) for (let i = 0; i < d; i++) sum[i] += valueBiasOut[head * d + i];
  return Float32Array.from(sum);
}

/** `Array.isArray`, which would forget what the list holds. */
const isList = (value: unknown): boolean => Array.isArray(value);
