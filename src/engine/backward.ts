/**
 * One layer backwards, from coefficients of the state behind it to coefficients of the states before it, with everything
 * that is not linear held at what it was. Runs in the engine's thread.
 */
import { buildBackwardGraph } from "./backward-graph";
import { matricesOf, type ComputeWeights, type SizedLinear } from "./compute-weights";
import type { EngineAnswer, EngineQuestion, PlainArchitecture } from "./messages";
import type { Scratch } from "./scratch";
import type { Array32, Session, Sessions } from "./sessions";
import type { BackwardTensorName } from "./types";

/** What going backwards needs of the computer. */
export interface BackwardParts {
  readonly sessions: Sessions;
  readonly weights: ComputeWeights;
  readonly scratch: Scratch;
  inTurn<R>(work: () => Promise<R>): Promise<R>;
  shared(length: number): Float32Array;
  /** Lets go of what a long prompt needed. */
  trim(): void;
}

export class Backwards {
  readonly #sessions: (Promise<Session> | undefined)[];
  /** Layers from this one on are loaded for each run. */
  readonly #nHeld: number;

  /** `memoryBytes`: what the matrices may take, beside those that lie in files. */
  constructor(
    private readonly architecture: PlainArchitecture,
    private readonly parts: BackwardParts,
    memoryBytes: number,
  ) {
    const { nLayers } = architecture;
    this.#sessions = new Array<undefined>(nLayers).fill(undefined);
    let [held, bytes] = [0, 0];
    for (; held < nLayers; held++) {
      bytes += this.#bytes(held);
      if (bytes > memoryBytes) break;
    }
    this.#nHeld = held;
  }

  async backward(question: EngineQuestion<"backward">): Promise<EngineAnswer<"backward">> {
    const answer = await this.parts.inTurn(() => this.#run(question));
    this.parts.trim();
    return answer;
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) await (await session)?.release();
  }

  async #run({
    layer,
    nTokens,
    names,
    gradient,
    midGradient,
    tensors,
  }: EngineQuestion<"backward">): Promise<EngineAnswer<"backward">> {
    const { dModel, nHeads, layers } = this.architecture;
    const { scratch } = this.parts;
    const rows = (name: string, values: Float32Array, width: number) =>
      scratch.copy(`backward ${name}`, values.subarray(0, nTokens * width), [nTokens, width]);
    const inputs: Record<string, Array32> = {
      gradient: rows("gradient", gradient, dModel),
      x: rows("x", tensors.resid_pre!.data, dModel),
      pattern: this.#pattern(tensors.pattern!.data, nTokens),
    };
    if (layers[layer].block === "sequential") {
      inputs.mid = rows("mid", tensors.resid_mid!.data, dModel);
      inputs.own = { data: Float32Array.of(midGradient ? 0 : 1), dims: [1] };
      inputs.mid_gradient = rows("mid_gradient", midGradient ?? new Float32Array(nTokens * dModel), dModel);
    }
    if (layers[layer].postAttentionNorm) inputs.term_scale = rows("term_scale", tensors.term_scale!.data, 1);
    if (layers[layer].postFfnNorm) inputs.ffn_scale = rows("ffn_scale", tensors.ffn_scale!.data, 1);
    const outputs: Record<string, Array32> = {};
    for (const name of names) outputs[name] = scratch.take(`backward to ${name}`, this.#dims(name, nTokens, nHeads));
    const streamed = layer >= this.#nHeld;
    const session = this.#sessions[layer] ?? this.#create(layer);
    if (!streamed) this.#sessions[layer] = session;
    try {
      await (await session).run(inputs, outputs);
    } finally {
      if (streamed) await (await session).release();
    }
    const result: EngineAnswer<"backward">["tensors"] = {};
    for (const name of names) {
      const { data, dims } = outputs[name];
      const shared = this.parts.shared(data.length);
      shared.set(data);
      result[name] = { data: shared, dims };
    }
    return { tensors: result };
  }

  /** `[H, n, n]`, the first n tokens of [H, T, T]. */
  #pattern(pattern: Float32Array, nTokens: number): Array32 {
    const { nHeads } = this.architecture;
    const all = Math.round(Math.sqrt(pattern.length / nHeads));
    const result = this.parts.scratch.take("backward pattern", [nHeads, nTokens, nTokens]);
    if (all === nTokens) {
      result.data.set(pattern);
      return result;
    }
    for (let row = 0; row < nHeads * nTokens; row++) {
      const at = (Math.floor(row / nTokens) * all + (row % nTokens)) * all;
      result.data.set(pattern.subarray(at, at + nTokens), row * nTokens);
    }
    return result;
  }

  #create(layer: number): Promise<Session> {
    const { architecture, parts } = this;
    return parts.sessions.create(
      `layer ${layer} backwards`,
      "layer",
      (parameters) => buildBackwardGraph(`backward_${layer}`, architecture, architecture.layers[layer], parameters),
      // Packed matrices would be third copies of them.
      true,
    );
  }

  /** Of the matrices that go into a layer's graph, as far as they are no part of a file. */
  #bytes(layer: number): number {
    const { architecture } = this;
    const { weights } = this.parts;
    const { qkv } = architecture.layers[layer].attention;
    const left: readonly unknown[] = qkv.kind === "separate" ? [qkv.query, qkv.key] : [];
    return matricesOf(architecture, architecture.layers[layer])
      .filter(([linear]) => !left.includes(linear))
      .reduce((sum, matrix: SizedLinear) => sum + (weights.inPlace(...matrix) ? 0 : 4 * matrix[1] * matrix[2]), 0);
  }

  #dims(name: BackwardTensorName, nTokens: number, nHeads: number): number[] {
    switch (name) {
      case "to_pre":
      case "to_mid":
        return [nTokens, this.architecture.dModel];
      case "terms":
        return [nHeads, nTokens, nTokens];
      case "bias_terms":
        return [nHeads, nTokens];
      case "neurons":
        return [nTokens, this.architecture.dFfn];
      case "ffn":
      case "attention_constant":
      case "ffn_constant":
        return [nTokens];
    }
  }
}
