import { inspect } from "node:util";
import type { ChangedPass } from "../engine/types";
import type { Intervention, ResidualPoint } from "../model/types";
import type { AttentionInputs, BaseRun } from "./base-run";
import type { Grower } from "./generate";
import type { LocalModel } from "./local-model";
import { LocalRun } from "./local-run";

/**
 * A run under interventions. What a head or neuron writes is what it writes after the change; what no part explains (a
 * vector that was added, a value from another run) belongs to the constants beside the parts.
 */
export class CutRun extends LocalRun {
  constructor(
    model: LocalModel,
    /** The run that it was made of. */
    override readonly base: LocalRun,
    /** The one that nothing was done to. */
    private readonly root: LocalRun,
    override readonly interventions: readonly Intervention[],
    protected override readonly pass: ChangedPass,
  ) {
    super(model, root.tokens, pass);
  }

  override [inspect.custom](): string {
    const n = this.interventions.length;
    return `${super[inspect.custom]()}, under ${n} intervention${n === 1 ? "" : "s"}`;
  }

  protected override get lower(): { readonly run: BaseRun; readonly nLayers: number } {
    return { run: this.root, nLayers: this.pass.firstState - 1 };
  }

  protected override async readResidual(layer: number, point: ResidualPoint): Promise<Float32Array> {
    return (await this.pass.fetch(layer, [`resid_${point}`]))[`resid_${point}`].data;
  }

  protected override async readTermScale(layer: number): Promise<Float32Array | undefined> {
    return this.pass.changesOf(layer)?.attention
      ? (await this.pass.fetch(layer, ["term_scale"])).term_scale.data
      : super.readTermScale(layer);
  }

  protected override async readFfnScale(layer: number): Promise<Float32Array | undefined> {
    return this.pass.changesOf(layer)?.ffn
      ? (await this.pass.fetch(layer, ["ffn_scale"])).ffn_scale.data
      : super.readFfnScale(layer);
  }

  /** Its logits depend on its parts through the changes too, which are no part of the way backwards. */
  protected override async readBackward(): Promise<never> {
    throw new Error("A run under interventions cannot go backwards: RelP is for runs as they are.");
  }

  protected override async readAttentionInputs(layer: number): Promise<AttentionInputs> {
    const inputs = await super.readAttentionInputs(layer);
    const { heads, attention } = this.pass.changesOf(layer) ?? {};
    const termScale = attention ? await this.readTermScale(layer) : inputs.termScale;
    if (!heads) return { ...inputs, termScale };
    // A term is what is left of it behind its head's factor.
    const n = this.nTokens;
    const { nHeads } = this.info;
    const pattern = new Float32Array(new SharedArrayBuffer(inputs.pattern.byteLength));
    for (let row = 0; row < nHeads * n; row++) {
      const gain = heads.gain[(row % n) * nHeads + Math.floor(row / n)];
      for (let i = row * n; i < (row + 1) * n; i++) pattern[i] = inputs.pattern[i] * gain;
    }
    return { ...inputs, pattern, termScale };
  }

  protected override async readHeadsAdded(layer: number, position: number): Promise<Float32Array | undefined> {
    const add = this.pass.changesOf(layer)?.heads?.add;
    if (!add) return undefined;
    const width = this.info.nHeads * this.info.dHead;
    return this.model.headOutputs(this.root, layer, add.slice(position * width, (position + 1) * width));
  }

  protected override hasRest(layer: number): boolean {
    return this.pass.changesOf(layer) !== undefined || this.pass.stateChange(layer + 1) !== undefined;
  }

  protected override isReplaced(layer: number, point: "mid" | "post", position: number): boolean {
    const change = point === "mid" ? this.pass.changesOf(layer)?.mid : this.pass.stateChange(layer + 1);
    return change?.gain[position] === 0;
  }

  protected override async readPut(layer: number): Promise<Float32Array | undefined> {
    if (!this.pass.changesOf(layer)?.mid && !this.pass.stateChange(layer + 1)) return undefined;
    const parts = [await this.residual(layer, "pre"), await this.attentionOut(layer), await this.ffnOut(layer)];
    const { data } = await this.residual(layer, "post");
    return data.map((x, i) => x - parts.reduce((sum, part) => sum + part.data[i], 0));
  }

  protected override grow(): Promise<{ readonly logits: Float32Array; readonly grower: Grower<LocalRun> }> {
    return Promise.reject(
      new RangeError("A run under interventions is not continued: generate on the run that it was made of."),
    );
  }
}
