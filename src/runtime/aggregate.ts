import { createHash } from "node:crypto";
import { addPatterns, HEAD_PATTERNS, patternKeys, type HeadPattern } from "../attribution/head-patterns";
import type { ProgressListener, Run, Tensor, TransparentModel, ValueBias } from "../model/types";
import { checkOneOf, checkThreshold, checkValueBias } from "../model/check";

export const AGGREGATE_SCHEMA = "lm-transparency/aggregate@1";

/** What is averaged over the prompts, and how the work goes on. */
export interface AggregateOptions {
  /** Query positions that count: all of each prompt, or its last. Default "all". */
  readonly positions?: "all" | "last";
  /** Threshold of the routes of the last token. Default 0.04. */
  readonly threshold?: number;
  /** Whether value biases belong to the heads. Default "output". */
  readonly valueBias?: ValueBias;
  /** What an earlier call had come to. The prompts it had taken are read again, checked and skipped. */
  readonly resume?: AggregateState;
  /** Called after each prompt with what can be given as `resume`; cheap to take, so keep it only now and then. */
  readonly onState?: (state: () => AggregateState) => void | Promise<void>;
  /** Number of prompts, where it is known: for progress. */
  readonly total?: number;
  /** Called after each prompt. */
  readonly onProgress?: ProgressListener;
  /** Ends the work after the prompt that runs: the call rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A prompt of an aggregate's list that cannot be run. */
export class PromptError extends RangeError {
  /** @param index of the prompt, from 0 */
  constructor(
    readonly index: number,
    readonly reason: string,
  ) {
    super(`Prompt ${index + 1} of the list: ${reason}`);
  }
}

/** Sums over the prompts so far; plain data. L layers, H heads, arrays row-major. */
export interface AggregateState {
  /** Name and version of this format. */
  readonly schema: typeof AGGREGATE_SCHEMA;
  /** The model that ran; another one cannot go on with these sums. */
  readonly model: {
    /** As `ModelInfo.name`. */
    readonly name: string;
    /** L. */
    readonly nLayers: number;
    /** H. */
    readonly nHeads: number;
  };
  /** What was averaged, defaults filled in. */
  readonly options: {
    /** Query positions that count. */
    readonly positions: "all" | "last";
    /** Of the routes. */
    readonly threshold: number;
    /** Whether value biases belong to the heads. */
    readonly valueBias: ValueBias;
  };
  /** Prompts that were taken so far. */
  readonly nPrompts: number;
  /** Query positions that counted. */
  readonly nPositions: number;
  /** Of the prompts so far, in order: a list that changed is noticed. */
  readonly digest: string;
  /** Sums in float64 over the positions, or prompts, that counted. */
  readonly sums: {
    /** `[L, H]`: contributions of heads, summed over keys. */
    readonly heads: readonly number[];
    /** `[L]`: of the residual beside the attention block. */
    readonly attentionResidual: readonly number[];
    /** `[L]`: of the feed-forward blocks. */
    readonly ffn: readonly number[];
    /** `[L]`: of the residual beside the feed-forward block. */
    readonly ffnResidual: readonly number[];
    /** `[L, H]`: prompts whose routes have the head. */
    readonly headOnRoute: readonly number[];
    /** `[L]`: prompts whose routes have the feed-forward block. */
    readonly ffnOnRoute: readonly number[];
    /** By pattern [L, H]: attention. */
    readonly patterns: Readonly<Record<HeadPattern, readonly number[]>>;
    /** By pattern: queries that counted. */
    readonly patternQueries: Readonly<Record<HeadPattern, number>>;
  };
}

/** A head that follows a pattern. */
export interface HeadLabel {
  /** From 0 to L - 1. */
  readonly layer: number;
  /** From 0 to H - 1. */
  readonly head: number;
  /** What it attends to. */
  readonly pattern: HeadPattern;
  /** Share of the head's attention that follows the pattern, 0 to 1. */
  readonly score: number;
}

/** One component's row of the table. */
export interface AggregateRow {
  /** A head or a feed-forward block. */
  readonly component: "head" | "ffn";
  /** From 0 to L - 1. */
  readonly layer: number;
  /** Of a head, from 0 to H - 1. */
  readonly head?: number;
  /** Mean contribution to its block's whole over the positions that counted. */
  readonly contribution: number;
  /** Share of the prompts whose last token's routes have it. */
  readonly frequency: number;
  /** Heads: by pattern; NaN where no query had such keys. */
  readonly patterns?: Readonly<Record<HeadPattern, number>>;
}

/** Importance of components and patterns of heads, averaged over prompts. */
export class Aggregate {
  /** @param state Sums that an aggregate came to; `aggregate` makes them. */
  constructor(
    /** The sums, as plain data: what `resume` takes. */
    readonly state: AggregateState,
  ) {}

  /** Prompts that were averaged over. */
  get nPrompts(): number {
    return this.state.nPrompts;
  }

  /** Query positions that counted, over all prompts. */
  get nPositions(): number {
    return this.state.nPositions;
  }

  /** `[L, H]`: mean of each head's contribution, summed over keys. */
  get heads(): Tensor {
    return this.mean(this.state.sums.heads, this.nPositions, true);
  }

  /** `[L]`: mean contribution of each feed-forward block to its whole. */
  get ffn(): Tensor {
    return this.mean(this.state.sums.ffn, this.nPositions, false);
  }

  /** `[L]`: mean contribution of the residual to the attention block's whole. */
  get attentionResidual(): Tensor {
    return this.mean(this.state.sums.attentionResidual, this.nPositions, false);
  }

  /** `[L]`: mean contribution of the residual to the FFN block's whole. */
  get ffnResidual(): Tensor {
    return this.mean(this.state.sums.ffnResidual, this.nPositions, false);
  }

  /** `[L, H]`: share of the prompts whose last token's routes have the head on an edge. */
  get headFrequency(): Tensor {
    return this.mean(this.state.sums.headOnRoute, this.nPrompts, true);
  }

  /** `[L]`: share of the prompts whose last token's routes have the feed-forward block. */
  get ffnFrequency(): Tensor {
    return this.mean(this.state.sums.ffnOnRoute, this.nPrompts, false);
  }

  /** `[L, H]`: mean attention that follows a pattern; NaN where no prompt had a query for it. */
  pattern(name: HeadPattern): Tensor {
    checkOneOf("The pattern", name, HEAD_PATTERNS);
    return this.mean(this.state.sums.patterns[name], this.state.sums.patternQueries[name], true);
  }

  /** Heads that follow a pattern with at least this share of their attention, the clearest first. */
  labels(atLeast = 0.4): HeadLabel[] {
    const { nHeads } = this.state.model;
    return HEAD_PATTERNS.flatMap((pattern) =>
      Array.from(this.pattern(pattern).data, (score, i) => ({
        layer: Math.floor(i / nHeads),
        head: i % nHeads,
        pattern,
        score,
      })),
    )
      .filter(({ score }) => score >= atLeast)
      .sort((a, b) => b.score - a.score || a.layer - b.layer || a.head - b.head);
  }

  /** All heads, then all FFNs, by layer. */
  table(): AggregateRow[] {
    const { nHeads } = this.state.model;
    const patterns = HEAD_PATTERNS.map((name) => [name, this.pattern(name).data] as const);
    const [contributions, frequencies] = [this.heads.data, this.headFrequency.data];
    const ffnFrequency = this.ffnFrequency.data;
    const heads = Array.from(contributions, (contribution, i): AggregateRow => ({
      component: "head",
      layer: Math.floor(i / nHeads),
      head: i % nHeads,
      contribution,
      frequency: frequencies[i],
      patterns: Object.fromEntries(patterns.map(([name, data]) => [name, data[i]])) as Record<HeadPattern, number>,
    }));
    return [
      ...heads,
      ...Array.from(this.ffn.data, (contribution, layer): AggregateRow => ({
        component: "ffn",
        layer,
        contribution,
        frequency: ffnFrequency[layer],
      })),
    ];
  }

  /** The table as comma-separated values with a header line. */
  toCSV(): string {
    const number = (value: number | undefined): string =>
      value === undefined || Number.isNaN(value) ? "" : String(value);
    const lines = this.table().map(({ component, layer, head, contribution, frequency, patterns }) =>
      [
        component,
        layer,
        number(head),
        number(contribution),
        number(frequency),
        ...HEAD_PATTERNS.map((name) => number(patterns?.[name])),
      ].join(","),
    );
    return `${["component,layer,head,contribution,frequency", ...HEAD_PATTERNS.map((name) => name.replace(" ", "_"))].join(",")}\n${lines.join("\n")}\n`;
  }

  /** The state with the table and the labels, for a file; `resume` takes it too. */
  toJSON(): AggregateState & {
    /** As `table()`. */
    readonly table: readonly AggregateRow[];
    /** As `labels()`. */
    readonly labels: readonly HeadLabel[];
  } {
    return { ...this.state, table: this.table(), labels: this.labels() };
  }

  private mean(sums: readonly number[], count: number, byHead: boolean): Tensor {
    const { nLayers, nHeads } = this.state.model;
    return { data: Float32Array.from(sums, (sum) => sum / count), dims: byHead ? [nLayers, nHeads] : [nLayers] };
  }
}

const SUMS = ["heads", "headOnRoute", "attentionResidual", "ffn", "ffnResidual", "ffnOnRoute"] as const;

type Prompt = string | readonly number[];

/** Sums that grow with each prompt. */
class Sums {
  nPrompts = 0;
  nPositions = 0;
  digest = "";
  readonly heads: Float64Array;
  readonly attentionResidual: Float64Array;
  readonly ffn: Float64Array;
  readonly ffnResidual: Float64Array;
  readonly headOnRoute: Float64Array;
  readonly ffnOnRoute: Float64Array;
  readonly patterns: Record<HeadPattern, Float64Array>;
  readonly patternQueries: Record<HeadPattern, number>;

  constructor(
    readonly model: AggregateState["model"],
    readonly options: AggregateState["options"],
  ) {
    const { nLayers, nHeads } = model;
    this.heads = new Float64Array(nLayers * nHeads);
    this.headOnRoute = new Float64Array(nLayers * nHeads);
    this.attentionResidual = new Float64Array(nLayers);
    this.ffn = new Float64Array(nLayers);
    this.ffnResidual = new Float64Array(nLayers);
    this.ffnOnRoute = new Float64Array(nLayers);
    this.patterns = byPattern(() => new Float64Array(nLayers * nHeads));
    this.patternQueries = byPattern(() => 0);
  }

  /** Counts a prompt as seen. */
  see(prompt: Prompt): void {
    this.digest = createHash("sha256")
      .update(this.digest)
      .update(typeof prompt === "string" ? `s${prompt}` : `i${prompt.join(",")}`)
      .digest("hex");
    this.nPrompts++;
  }

  /** Everything but the count and the digest, which `see` has made again. */
  restore({ sums, nPositions }: AggregateState): void {
    this.nPositions = nPositions;
    for (const name of SUMS) this[name].set(sums[name]);
    for (const name of HEAD_PATTERNS) {
      this.patterns[name].set(sums.patterns[name]);
      this.patternQueries[name] = sums.patternQueries[name];
    }
  }

  async add(run: Run, signal?: AbortSignal): Promise<void> {
    const { nLayers, nHeads } = this.model;
    const nTokens = run.tokens.length;
    const positions = this.options.positions === "last" ? [nTokens - 1] : run.tokens.map((_, t) => t);
    const keys = patternKeys(run.tokens.map(({ id }) => id));
    // Sums of this prompt first: one that fails half-way leaves nothing behind.
    const own = new Sums(this.model, this.options);
    for (let layer = 0; layer < nLayers; layer++) {
      signal?.throwIfAborted();
      const { terms, residual } = await run.attentionContributions(layer, {
        positions,
        valueBias: this.options.valueBias,
        signal,
      });
      const ffn = await run.ffnContributions(layer);
      for (let row = 0; row < positions.length; row++) {
        const at = row * nTokens * nHeads;
        for (let j = 0; j < (positions[row] + 1) * nHeads; j++)
          own.heads[layer * nHeads + (j % nHeads)] += terms.data[at + j];
        own.attentionResidual[layer] += residual.data[row];
        own.ffn[layer] += ffn.ffn.data[positions[row]];
        own.ffnResidual[layer] += ffn.residual.data[positions[row]];
      }
      const pattern = (await run.attentionPattern(layer)).data;
      const views = byPattern((name) => own.patterns[name].subarray(layer * nHeads, (layer + 1) * nHeads));
      const counted = addPatterns(pattern, nHeads, keys, views);
      if (layer === 0) Object.assign(own.patternQueries, counted);
    }
    const { edges, others } = await run.routes({
      threshold: this.options.threshold,
      valueBias: this.options.valueBias,
      signal,
    });
    for (const { kind, target, heads } of edges) {
      const layer = Number(target.slice(1, target.indexOf("_")));
      if (kind === "ffn-out") own.ffnOnRoute[layer] = 1;
      for (const head of Object.keys(heads ?? {})) own.headOnRoute[layer * nHeads + Number(head)] = 1;
    }
    // A head that spreads over many keys is used too, though none of its edges passes.
    for (const { target, heads } of others ?? []) {
      const layer = Number(target.slice(1, target.indexOf("_")));
      for (const head of Object.keys(heads)) own.headOnRoute[layer * nHeads + Number(head)] = 1;
    }
    for (const name of SUMS)
      own[name].forEach((x, i) => {
        this[name][i] += x;
      });
    for (const name of HEAD_PATTERNS) {
      own.patterns[name].forEach((x, i) => {
        this.patterns[name][i] += x;
      });
      this.patternQueries[name] += own.patternQueries[name];
    }
    this.nPositions += positions.length;
  }

  state(): AggregateState {
    const list = (values: Float64Array): number[] => Array.from(values);
    return {
      schema: AGGREGATE_SCHEMA,
      model: this.model,
      options: this.options,
      nPrompts: this.nPrompts,
      nPositions: this.nPositions,
      digest: this.digest,
      sums: {
        heads: list(this.heads),
        attentionResidual: list(this.attentionResidual),
        ffn: list(this.ffn),
        ffnResidual: list(this.ffnResidual),
        headOnRoute: list(this.headOnRoute),
        ffnOnRoute: list(this.ffnOnRoute),
        patterns: byPattern((name) => list(this.patterns[name])),
        patternQueries: { ...this.patternQueries },
      },
    };
  }
}

function byPattern<T>(make: (name: HeadPattern) => T): Record<HeadPattern, T> {
  return Object.fromEntries(HEAD_PATTERNS.map((name) => [name, make(name)])) as Record<HeadPattern, T>;
}

/**
 * Averages the importance of each head and FFN over prompts, one after the other, in memory that does not grow with
 * their number.
 *
 * @param prompts a list, or what gives one after the other; `readPrompts(file)` for a text file
 * @throws RangeError where a prompt cannot be run (its number is named), or `resume` is of another model, other
 *   options or other prompts.
 */
export async function aggregate(
  model: TransparentModel,
  prompts: Iterable<Prompt> | AsyncIterable<Prompt>,
  options: AggregateOptions = {},
): Promise<Aggregate> {
  const {
    positions = "all",
    threshold = 0.04,
    valueBias = "output",
    resume,
    onState,
    total,
    onProgress,
    signal,
  } = options;
  const given: unknown = prompts;
  if (typeof given !== "object" || given === null || !(Symbol.iterator in given || Symbol.asyncIterator in given)) {
    throw new TypeError(`Prompts to aggregate are a list: give ["…", "…"], or readPrompts("FILE") for a text file.`);
  }
  checkOneOf("positions", positions, ["all", "last"]);
  checkThreshold(threshold);
  checkValueBias(valueBias);
  const { name, nLayers, nHeads } = model.info;
  const sums = new Sums({ name, nLayers, nHeads }, { positions, threshold, valueBias });
  if (resume) checkResume(resume, sums);
  for await (const prompt of prompts) {
    signal?.throwIfAborted();
    if (resume && sums.nPrompts < resume.nPrompts) {
      sums.see(prompt);
      if (sums.nPrompts === resume.nPrompts) {
        if (sums.digest !== resume.digest)
          throw new RangeError(
            `The first ${resume.nPrompts} prompts are not those that were aggregated before: start anew, or give the same prompts.`,
          );
        sums.restore(resume);
      }
      continue;
    }
    const run = await (
      typeof prompt === "string" ? model.run(prompt, { signal }) : model.run(prompt, { signal })
    ).catch((error: unknown) => {
      if (error instanceof RangeError) throw new PromptError(sums.nPrompts, error.message);
      throw error;
    });
    try {
      await sums.add(run, signal);
    } finally {
      await run.dispose();
    }
    sums.see(prompt);
    onProgress?.({ stage: "aggregate", done: sums.nPrompts, total, unit: "prompts" });
    await onState?.(() => sums.state());
  }
  if (resume && sums.nPrompts < resume.nPrompts)
    throw new RangeError(
      `There are ${sums.nPrompts} prompts, and ${resume.nPrompts} were aggregated before: start anew, or give the same prompts.`,
    );
  if (sums.nPrompts === 0) throw new RangeError("There are no prompts to aggregate.");
  return new Aggregate(sums.state());
}

/** States come out of files: nothing about them is taken for granted. */
function checkResume(resume: AggregateState, like: Sums): void {
  if (typeof resume !== "object" || resume === null || resume.schema !== AGGREGATE_SCHEMA) {
    throw new RangeError(
      `The state to resume is of schema ${JSON.stringify((resume as Partial<AggregateState> | null)?.schema)}, not ${AGGREGATE_SCHEMA}.`,
    );
  }
  const { model, options } = like;
  for (const key of ["name", "nLayers", "nHeads"] as const) {
    if (resume.model?.[key] !== model[key])
      throw new RangeError(
        `The state to resume is of a model with ${key} ${resume.model?.[key]}, not ${model[key]}: start anew.`,
      );
  }
  for (const key of ["positions", "threshold", "valueBias"] as const) {
    if (resume.options?.[key] !== options[key])
      throw new RangeError(
        `The state to resume was made with ${key} ${resume.options?.[key]}, not ${options[key]}: start anew, or give the same options.`,
      );
  }
  const count = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
  const numbers = (value: unknown, length: number): boolean =>
    Array.isArray(value) && value.length === length && value.every((x) => Number.isFinite(x) && x >= 0);
  const { sums } = resume;
  const whole =
    count(resume.nPrompts) &&
    count(resume.nPositions) &&
    resume.nPositions >= resume.nPrompts &&
    SUMS.every((name) => numbers(sums?.[name], like[name].length)) &&
    HEAD_PATTERNS.every(
      (name) => numbers(sums?.patterns?.[name], like.patterns[name].length) && count(sums?.patternQueries?.[name]),
    );
  if (!whole)
    throw new RangeError("The state to resume is damaged: numbers of it are missing or impossible; start anew.");
}

/**
 * Scores and labels heads on random tokens that are repeated once: nothing but the repetition can be attended to, which
 * tells induction and duplicate-token heads from those that follow meaning (Olsson et al. 2022).
 */
export async function headPatterns(
  model: TransparentModel,
  options: {
    readonly nPrompts?: number;
    readonly nTokens?: number;
    readonly seed?: number;
    readonly signal?: AbortSignal;
    readonly onProgress?: ProgressListener;
  } = {},
): Promise<Aggregate> {
  const { nPrompts = 4, nTokens = 25, seed = 1, signal, onProgress } = options;
  for (const [name, count] of Object.entries({ nPrompts, nTokens })) {
    if (!Number.isInteger(count) || count < 1)
      throw new RangeError(`${name} is ${String(count)}: it must be an integer of at least 1.`);
  }
  const start = model.tokenize("").map(({ id }) => id);
  let state = seed >>> 0;
  const next = (): number => {
    // A linear congruential generator: the same prompts everywhere.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const prompts = Array.from({ length: nPrompts }, () => {
    const half = Array.from({ length: nTokens }, () => Math.floor(next() * model.info.dVocab));
    return [...start, ...half, ...half];
  });
  return aggregate(model, prompts, { positions: "last", total: nPrompts, signal, onProgress });
}
