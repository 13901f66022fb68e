import { sharedPool } from "../attribution/pool";
import { capFactor, readoutOf, throughNorm, type ReadoutNorm, type Readout } from "../attribution/readout";
import type { Engine, LayerConstants, WholePass } from "../engine/types";
import { endOfTurn, type ChatFormat } from "../model/chat";
import type { ModelFiles } from "../model/files";
import type { Intervention, InterventionOptions, ModelInfo, Run, RunOptions, Tensor, Token } from "../model/types";
import { BaseModel } from "./base-model";
import { Batch } from "./batch";
import type { Grower } from "./generate";
import { checkIndex } from "../model/check";
import { CutRun } from "./cut-run";
import { intervene, keepParts, type Ground, type KeptParts, type Replacement } from "./interventions";
import { keptTensors, LocalRun } from "./local-run";

/** A control token, as `<|im_end|>`, `</s>`, `<end_of_turn>`; not a byte. */
const MARKUP = /^<(?!0x[0-9A-F]{2}>)[^<>\s]+>$/;

/** Most vectors of one pass over the unembedding: their logits are held at once. */
const UNEMBED_ROWS = 64;

/** Closes the files of a model that nobody holds; its engine ends by itself. */
const unreachable = new FinalizationRegistry<ModelFiles["weights"]>((weights) => weights.close());

/** The run that nothing was done to. */
function rootOf(run: LocalRun): LocalRun {
  return run.base === undefined ? run.origin : rootOf(run.base);
}

function checkList(interventions: readonly Intervention[]): readonly Intervention[] {
  if (Array.isArray(interventions)) return interventions as readonly Intervention[];
  throw new TypeError('Interventions are a list, such as [{ target: "I5_3", do: "zero" }].');
}

/** A model computed on this machine, from its files. */
export class LocalModel extends BaseModel<LocalRun> {
  readonly info: ModelInfo;
  private disposed = false;
  /** What the template puts behind an answer. */
  private endOfTurn?: string;
  /** Weakly: a run that nobody holds is collected, with all it remembers. */
  private readonly runs = new Set<WeakRef<LocalRun>>();
  /** Of runs that nothing was done to. */
  private readonly passes = new WeakMap<LocalRun, WholePass>();
  private readonly normalized: Batch;
  private readonly raw: Batch;

  constructor(
    private readonly files: ModelFiles,
    private readonly engine: Engine,
  ) {
    super();
    sharedPool().start();
    unreachable.register(this, files.weights, this);
    const { architecture } = files;
    const unembed = (normalize: boolean) => (vectors: readonly Float32Array[]) =>
      this.unembedTogether(vectors, normalize);
    this.normalized = new Batch(unembed(true), UNEMBED_ROWS);
    this.raw = new Batch(unembed(false), UNEMBED_ROWS);
    this.info = Object.freeze({
      name: files.name,
      family: architecture.family,
      nParams: files.nParams,
      nLayers: architecture.nLayers,
      nHeads: architecture.nHeads,
      nKeyValueHeads: architecture.nKeyValueHeads,
      dModel: architecture.dModel,
      dHead: architecture.dHead,
      dFfn: architecture.dFfn,
      dVocab: architecture.dVocab,
      maxPositions: architecture.maxPositions,
      parallelBlocks: architecture.layers.some(({ block }) => block === "parallel"),
      dtype: engine.dtype,
      device: engine.device,
    });
  }

  tokenize(text: string, options?: { readonly addSpecialTokens?: boolean }): readonly Token[] {
    if (typeof text !== "string")
      throw new TypeError(
        `A text is needed to tokenize, not ${text === null ? "null" : `a value of type ${typeof text}`}.`,
      );
    // A tokenizer may have tokens that the model has no embedding for: these have ids and texts, and `run` refuses them.
    return this.files.tokenizer.encode(text, options).map((id) => this.files.tokenizer.token(id));
  }

  token(id: number): Token {
    checkIndex("token id", id, this.info.dVocab);
    return this.files.tokenizer.token(id);
  }

  protected async forward(tokens: readonly Token[], options: RunOptions): Promise<LocalRun> {
    this.check();
    const pass = await this.engine.forward(
      tokens.map(({ id }) => id),
      { signal: options.signal, onProgress: options.onProgress, keep: keptTensors(this.info.parallelBlocks) },
    );
    return this.runOf(tokens, pass);
  }

  private runOf(tokens: readonly Token[], pass: WholePass): LocalRun {
    const run = new LocalRun(this, tokens, pass);
    this.passes.set(run, pass);
    return this.registered(run);
  }

  private registered<R extends LocalRun>(run: R): R {
    this.runs.add(new WeakRef(run));
    for (const reference of this.runs) if (reference.deref() === undefined) this.runs.delete(reference);
    return run;
  }

  protected override get chat(): ChatFormat | undefined {
    return this.files.chat;
  }

  async unembed(vector: Float32Array, options: { readonly normalize?: boolean } = {}): Promise<Tensor> {
    this.check();
    // Not `instanceof`: arrays of a cell or a test come from another realm.
    const isVector = ArrayBuffer.isView(vector) && vector[Symbol.toStringTag] === "Float32Array";
    if (!isVector || vector.length !== this.info.dModel) {
      throw new RangeError(
        `A vector to unembed is a Float32Array of ${this.info.dModel} numbers${isVector ? `, not ${vector.length}` : ""}.`,
      );
    }
    const [data] = await this.unembedAll([vector], options.normalize ?? true);
    return { data, dims: [this.info.dVocab] };
  }

  async neuronOutput(layer: number, neuron: number): Promise<Tensor> {
    this.check();
    checkIndex("layer", layer, this.info.nLayers);
    checkIndex("neuron", neuron, this.info.dFfn);
    return { data: await this.engine.neuronOutput(layer, neuron), dims: [this.info.dModel] };
  }

  /** Ends the model and every run of it. */
  override async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    unreachable.unregister(this);
    await Promise.all([...this.runs].map(async (reference) => reference.deref()?.dispose()));
    await this.engine.dispose();
    this.files.weights.close();
  }

  // For the runs.

  /** A run with interventions beside those that it has. */
  async intervene(
    run: LocalRun,
    interventions: readonly Intervention[],
    options: InterventionOptions,
  ): Promise<LocalRun> {
    this.check();
    const all = [...(run.interventions ?? []), ...checkList(interventions)];
    const pass = await intervene(this.ground(run), all, options);
    const { turns, promptLength, stopReason } = run;
    const cut = new CutRun(this, run, rootOf(run), all, pass);
    return this.registered(cut.remember({ turns, promptLength, stopReason }));
  }

  /** A run in which only these parts stay. */
  async keepParts(
    run: LocalRun,
    kept: KeptParts,
    replacement: Replacement,
    options: InterventionOptions,
  ): Promise<LocalRun> {
    this.check();
    const pass = await keepParts(this.ground(run), kept, replacement, options);
    return this.registered(new CutRun(this, run, rootOf(run), [], pass));
  }

  /** `[H, d]`: what each head writes of one row [H * dHead] of what W_O is multiplied with. */
  headOutputs(root: LocalRun, layer: number, row: Float32Array): Promise<Float32Array> {
    return this.passes.get(root)!.headOutputs(layer, row);
  }

  /** What a run's interventions are made on. */
  ground(run: LocalRun): Ground {
    const root = rootOf(run);
    const pass = this.passes.get(root);
    if (!pass) throw new TypeError("This run was not made by its model: run the prompt again.");
    return {
      info: this.info,
      architecture: this.files.architecture,
      model: this,
      tokens: run.tokens,
      pass,
      reference: (layer, names) => root.reference(layer, names),
      readable: (other: Run) => (other instanceof LocalRun && other.model === this ? other : undefined),
    };
  }

  /** Tokens as a sequence that grows, and the logits [V] after the last of them. */
  async grow(
    tokens: readonly Token[],
    signal: AbortSignal | undefined,
  ): Promise<{ readonly logits: Float32Array; readonly grower: Grower<LocalRun> }> {
    this.check();
    const growth = this.engine.grow();
    const all = [...tokens];
    try {
      const logits = (await growth.append(
        tokens.map(({ id }) => id),
        { signal },
      )) as Float32Array;
      const grower: Grower<LocalRun> = {
        append: (token, wanted) => {
          all.push(token);
          return growth.append([token.id], { logits: wanted });
        },
        finish: async () => this.runOf(all, growth.pass()),
        dispose: async () => growth.dispose(),
      };
      return { logits, grower };
    } catch (error) {
      growth.dispose();
      throw error;
    }
  }

  /** Ids after which an answer is over; in a conversation the template's end of turn too. */
  endIds(inChat: boolean): ReadonlySet<number> {
    const { chat, tokenizer, name } = this.files;
    if (chat === undefined) return new Set();
    if (chat.unreadable) throw chat.unreadable;
    const one = (text: string | undefined): number[] => {
      if (text === undefined || tokenizer.size === 0) return [];
      const ids = tokenizer.encode(text, { addSpecialTokens: false });
      return ids.length === 1 ? ids : [];
    };
    const ids = new Set(chat.endIds.length > 0 ? chat.endIds : one(chat.specialTokens.eos_token));
    if (!inChat || tokenizer.size === 0) return ids;
    this.endOfTurn ??= endOfTurn(chat, name) ?? "";
    const [first] = this.endOfTurn === "" ? [] : tokenizer.encode(this.endOfTurn, { addSpecialTokens: false });
    // A blank line between messages is no end: only a token of the template's own is.
    if (first !== undefined && MARKUP.test(tokenizer.token(first).text)) ids.add(first);
    return ids;
  }

  /**
   * `[V]` for each vector [d]. What is asked at once, or while the engine is busy with the last, is one pass over the
   * unembedding.
   */
  unembedAll(vectors: readonly Float32Array[], normalize: boolean): Promise<Float32Array[]> {
    return (normalize ? this.normalized : this.raw).add(vectors);
  }

  /** The final norm as readouts need it. */
  private readoutNorm(): ReadoutNorm | undefined {
    const { architecture, weights } = this.files;
    const { finalNorm } = architecture;
    return (
      finalNorm && {
        kind: finalNorm.kind,
        epsilon: finalNorm.epsilon,
        weight: finalNorm.weight && weights.read(finalNorm.weight).data.map((w) => (finalNorm.unitOffset ? w + 1 : w)),
        bias: finalNorm.bias && weights.read(finalNorm.bias).data,
      }
    );
  }

  /**
   * `[V]`: what an update [d] adds to every logit, the final norm's statistic that of the last state [d], which has
   * `logits` [V].
   */
  async updateLogits(state: Float32Array, update: Float32Array, logits: Float32Array): Promise<Float32Array> {
    const { architecture, weights } = this.files;
    const { unembedding, logitScale = 1, logitSoftcap } = architecture;
    const [scores] = await this.unembedAll([throughNorm(update, state, this.readoutNorm())], false);
    const bias = unembedding.bias && weights.read(unembedding.bias).data;
    return scores.map((score, id) => (score - (bias?.[id] ?? 0)) * logitScale * capFactor(logits[id], logitSoftcap));
  }

  /** How the logits of `ids` are read out of the last state [d], the final norm's statistic fixed. */
  readouts(state: Float32Array, ids: readonly number[]): Readout[] {
    const { architecture, weights } = this.files;
    const { unembedding, logitScale, logitSoftcap } = architecture;
    const norm = this.readoutNorm();
    const bias = unembedding.bias && weights.read(unembedding.bias).data;
    const { dModel, dVocab } = this.info;
    const whole = unembedding.layout === "in-out" ? weights.read(unembedding.weight).data : undefined;
    const rows = whole
      ? ids.map((id) => Float32Array.from({ length: dModel }, (_, i) => whole[i * dVocab + id]))
      : ids.map((id) => weights.readRows(unembedding.weight, [id]));
    return ids.map((id, n) => readoutOf(state, rows[n], bias?.[id] ?? 0, norm, logitScale, logitSoftcap));
  }

  constants(layer: number): Promise<LayerConstants> {
    return this.engine.constants(layer);
  }

  hasPostAttentionNorm(layer: number): boolean {
    return this.files.architecture.layers[layer].postAttentionNorm !== undefined;
  }

  hasPostFfnNorm(layer: number): boolean {
    return this.files.architecture.layers[layer].postFfnNorm !== undefined;
  }

  private async unembedTogether(vectors: readonly Float32Array[], normalize: boolean): Promise<Float32Array[]> {
    const { dModel, dVocab } = this.info;
    const all = new Float32Array(vectors.length * dModel);
    vectors.forEach((vector, i) => all.set(vector, i * dModel));
    const { data } = await this.engine.unembed(all, { normalize });
    // Copies: who remembers one row must not hold all of them.
    return vectors.map((_, i) => data.slice(i * dVocab, (i + 1) * dVocab));
  }

  private check(): void {
    if (this.disposed) throw new Error(`The model ${this.info.name} was disposed: load it again.`);
  }
}
