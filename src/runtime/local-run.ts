import type { Readout } from "../attribution/readout";
import type { BackwardTensorName, LayerConstants, LayerTensorName, Pass, WholePass } from "../engine/types";
import type {
  Faithfulness,
  FaithfulnessOptions,
  Intervention,
  InterventionOptions,
  ResidualPoint,
  Tensor,
  Token,
} from "../model/types";
import type { Grower } from "./generate";
import type { BackwardOptions, LayerBackward } from "./attribute";
import { BaseRun, type AttentionInputs } from "./base-run";
import { answerBudget, ByteCache } from "./byte-cache";
import { faithfulness } from "./faithfulness";
import type { LocalModel } from "./local-model";

/**
 * What is fetched with the forward pass itself, as far as the engine's memory allows: all that routes and clicks need.
 * What is small for what it saves comes first; states between layers are kept in any case.
 */
export function keptTensors(parallelBlocks: boolean): readonly LayerTensorName[] {
  return [
    "term_scale",
    "ffn_scale",
    ...(parallelBlocks ? [] : ["resid_mid" as const]),
    "ffn_out",
    "attn_out",
    "pattern",
    "value_out",
    "ffn_post",
  ];
}

type BlockTensors = Partial<Record<"resid_mid" | "attn_out" | "ffn_out", Tensor>>;

/** A run whose states come from a pass of the engine. */
export class LocalRun extends BaseRun {
  /** This run, where somebody has wrapped it. */
  readonly origin: LocalRun = this;
  /** What interventions on other runs took from this one. */
  private readonly references = new ByteCache(answerBudget);
  /** The layer that was asked about last. */
  private blocks?: { readonly layer: number; readonly tensors: Promise<BlockTensors> };

  /** Of a run under interventions: the run that they were made on. */
  declare readonly base?: LocalRun;

  constructor(
    readonly model: LocalModel,
    readonly tokens: readonly Token[],
    protected readonly pass: Pass,
  ) {
    super();
  }

  protected async readResidual(layer: number, point: ResidualPoint): Promise<Float32Array> {
    return this.fetchOne(layer, `resid_${point}`);
  }

  protected readPattern(layer: number): Promise<Float32Array> {
    return this.fetchOne(layer, "pattern");
  }

  protected readValueOut(layer: number): Promise<Float32Array> {
    return this.fetchOne(layer, "value_out");
  }

  protected override async readTermScale(layer: number): Promise<Float32Array | undefined> {
    return this.model.hasPostAttentionNorm(layer) ? this.fetchOne(layer, "term_scale") : undefined;
  }

  protected override async readFfnScale(layer: number): Promise<Float32Array | undefined> {
    return this.model.hasPostFfnNorm(layer) ? this.fetchOne(layer, "ffn_scale") : undefined;
  }

  protected override readAttentionOut(layer: number): Promise<Float32Array> {
    return this.fetchOne(layer, "attn_out");
  }

  protected override readFfnOut(layer: number): Promise<Float32Array> {
    return this.fetchOne(layer, "ffn_out");
  }

  protected async readNeurons(layer: number, position: number, point: "pre" | "post"): Promise<Float32Array> {
    const { dFfn } = this.info;
    const all = await this.fetchOne(layer, `ffn_${point}`);
    return all.slice(position * dFfn, (position + 1) * dFfn);
  }

  protected override async readLogits(position: number): Promise<Float32Array> {
    return (await this.pass.logits(position)).data;
  }

  protected override async readAllLogits(): Promise<Float32Array> {
    return (await this.pass.logits()).data;
  }

  protected override readConstants(layer: number): Promise<LayerConstants> {
    return this.model.constants(layer);
  }

  protected override unembedAll(vectors: readonly Float32Array[], normalize: boolean): Promise<Float32Array[]> {
    return this.model.unembedAll(vectors, normalize);
  }

  protected override async readReadouts(position: number, ids: readonly number[]): Promise<Readout[]> {
    const { nLayers, dModel } = this.info;
    const { data } = await this.residual(nLayers - 1, "post");
    return this.model.readouts(data.slice(position * dModel, (position + 1) * dModel), ids);
  }

  protected override readNeuronProximities(layer: number, position: number): Promise<Float32Array> {
    return this.pass.neuronProximities(layer, position);
  }

  protected override readNeuronLogits(layer: number, position: number, direction: Float64Array): Promise<Float64Array> {
    return this.pass.neuronLogits(layer, position, direction);
  }

  protected override async readUpdateLogits(position: number, update: Float32Array): Promise<Float32Array> {
    const { nLayers, dModel } = this.info;
    const { data } = await this.residual(nLayers - 1, "post");
    return this.model.updateLogits(
      data.slice(position * dModel, (position + 1) * dModel),
      update,
      (await this.logits({ position })).data,
    );
  }

  protected override async readAttentionInputs(layer: number): Promise<AttentionInputs> {
    const scale: LayerTensorName[] = this.model.hasPostAttentionNorm(layer) ? ["term_scale"] : [];
    const whole = this.info.parallelBlocks ? "resid_post" : "resid_mid";
    const ffn: LayerTensorName[] = this.info.parallelBlocks ? ["ffn_out"] : [];
    const tensors: Partial<Record<LayerTensorName, { readonly data: Float32Array }>> = await this.pass.fetch(layer, [
      "pattern",
      "value_out",
      "resid_pre",
      whole,
      ...scale,
      ...ffn,
    ]);
    const data = (name: LayerTensorName): Float32Array => (tensors[name] as { readonly data: Float32Array }).data;
    return {
      pattern: data("pattern"),
      valueOut: data("value_out"),
      residual: data("resid_pre"),
      whole: data(whole),
      termScale: tensors.term_scale?.data,
      ffn: tensors.ffn_out?.data,
    };
  }

  protected override async readBackward(
    layer: number,
    coefficients: Float32Array,
    { neurons, biasTerms, midCoefficients, signal }: BackwardOptions,
  ): Promise<LayerBackward> {
    const names: BackwardTensorName[] = ["to_pre", "terms", "ffn", "attention_constant", "ffn_constant"];
    if (!this.info.parallelBlocks) names.push("to_mid");
    if (neurons) names.push("neurons");
    if (biasTerms && (await this.readConstants(layer)).valueBiasOut) names.push("bias_terms");
    // A changed one is refused by the run that has it.
    const whole = this.pass as WholePass;
    const tensors: Partial<Record<BackwardTensorName, Tensor>> = await whole.backward(layer, coefficients, names, {
      signal,
      midGradient: midCoefficients,
    });
    const data = (name: BackwardTensorName): Float32Array => (tensors[name] as Tensor).data;
    return {
      toPre: data("to_pre"),
      toMid: tensors.to_mid?.data,
      terms: data("terms"),
      biasTerms: tensors.bias_terms?.data,
      ffn: data("ffn"),
      neurons: tensors.neurons?.data,
      attentionConstant: data("attention_constant"),
      ffnConstant: data("ffn_constant"),
    };
  }

  protected override grow(
    signal: AbortSignal | undefined,
  ): Promise<{ readonly logits: Float32Array; readonly grower: Grower<LocalRun> }> {
    return this.model.grow(this.tokens, signal);
  }

  protected override endIds(): ReadonlySet<number> {
    return this.model.endIds(this.turns !== undefined);
  }

  /** The same prompt with something changed in between; see `Run.intervene`. */
  override async intervene(
    interventions: readonly Intervention[],
    options: InterventionOptions = {},
  ): Promise<LocalRun> {
    this.check();
    return this.model.intervene(this, interventions, options);
  }

  /** Whether the routes say what the prediction depends on; see `Run.faithfulness`. */
  override async faithfulness(options: FaithfulnessOptions = {}): Promise<Faithfulness> {
    this.check();
    return faithfulness(this, options);
  }

  /** Tensors of a layer for interventions on other runs, remembered. */
  reference<N extends LayerTensorName>(layer: number, names: readonly N[]): Promise<Record<N, Tensor>> {
    this.check(layer);
    return this.references.get(
      `${layer} ${names.join(" ")}`,
      () => this.pass.fetch(layer, names),
      // States are the pass's own memory.
      (tensors) =>
        names.reduce((sum, name) => (name.startsWith("resid_p") ? sum : sum + tensors[name].data.byteLength), 0),
    );
  }

  override async dispose(): Promise<void> {
    await super.dispose();
    this.references.clear();
    this.blocks = undefined;
    await this.pass.dispose();
  }

  private async fetchOne(layer: number, name: LayerTensorName): Promise<Float32Array> {
    if (name !== "resid_mid" && name !== "attn_out" && name !== "ffn_out")
      return (await this.pass.fetch(layer, [name]))[name].data;
    return (await this.fetchBlocks(layer))[name]?.data as Float32Array;
  }

  /** States inside a layer, all at once: where the pass did not keep them, each fetch runs the layer again. */
  private fetchBlocks(layer: number): Promise<BlockTensors> {
    if (this.blocks?.layer !== layer) {
      const names = ["attn_out", "ffn_out", ...(this.info.parallelBlocks ? [] : ["resid_mid" as const])] as const;
      const tensors: Promise<BlockTensors> = this.pass.fetch(layer, names);
      this.blocks = { layer, tensors };
      tensors.catch(() => {
        this.blocks = undefined;
      });
    }
    return this.blocks.tensors;
  }
}
