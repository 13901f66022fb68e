import {
  BaseModel,
  BaseRun,
  type AttentionConstants,
  type BackwardOptions,
  type LayerBackward,
  type ModelInfo,
  type ResidualPoint,
  type Tensor,
  type Token,
} from "../../src/index";

export interface ToyShape {
  readonly nLayers: number;
  readonly nHeads: number;
  readonly dHead: number;
  readonly dModel: number;
  readonly dFfn: number;
  readonly dVocab: number;
  readonly parallelBlocks?: boolean;
  /** Value and output biases in attention. */
  readonly biases?: boolean;
  /** A norm over attention's output before it is added. */
  readonly postNorm?: boolean;
  readonly seed?: number;
}

/** Numbers in (-1, 1) that depend on the seed alone (xorshift32). */
export function random(seed: number): () => number {
  let state = (seed ^ 0x9e3779b9) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 31 - 1;
  };
}

type Matrix = Float64Array[];

interface ToyLayer {
  readonly query: Matrix[];
  readonly key: Matrix[];
  readonly value: Matrix[];
  readonly output: Matrix[];
  readonly valueBias: Matrix;
  readonly outputBias: Float64Array;
  readonly input: Matrix;
  readonly ffnOutput: Matrix;
}

/** y = x M, rows of M added up. */
function times(x: ArrayLike<number>, matrix: Matrix): Float64Array {
  const y = new Float64Array(matrix[0].length);
  for (let i = 0; i < x.length; i++) for (let j = 0; j < y.length; j++) y[j] += x[i] * matrix[i][j];
  return y;
}

/** A random transformer in float64 without norms before its blocks, small enough to check everything about it. */
export class ToyModel extends BaseModel {
  readonly info: ModelInfo;
  readonly layers: ToyLayer[];
  readonly embedding: Matrix;
  readonly unembedding: Matrix;

  constructor(readonly shape: ToyShape) {
    super();
    const { nLayers, nHeads, dHead, dModel, dFfn, dVocab, biases = false } = shape;
    const next = random(shape.seed ?? 1);
    const matrix = (rows: number, columns: number, scale = 1 / Math.sqrt(rows)): Matrix =>
      Array.from({ length: rows }, () => Float64Array.from({ length: columns }, () => next() * scale * 1.7));
    const heads = (rows: number, columns: number): Matrix[] =>
      Array.from({ length: nHeads }, () => matrix(rows, columns));
    this.embedding = matrix(dVocab, dModel, 1);
    this.unembedding = matrix(dModel, dVocab);
    this.layers = Array.from({ length: nLayers }, () => ({
      query: heads(dModel, dHead),
      key: heads(dModel, dHead),
      value: heads(dModel, dHead),
      output: heads(dHead, dModel),
      valueBias: matrix(nHeads, dHead, biases ? 0.5 : 0),
      outputBias: matrix(1, dModel, biases ? 0.3 : 0)[0],
      input: matrix(dModel, dFfn),
      ffnOutput: matrix(dFfn, dModel),
    }));
    this.info = {
      name: "toy",
      family: "toy",
      nParams: 0,
      nLayers,
      nHeads,
      nKeyValueHeads: nHeads,
      dModel,
      dHead,
      dFfn,
      dVocab,
      maxPositions: 64,
      parallelBlocks: shape.parallelBlocks ?? false,
      dtype: "float64",
      device: "cpu",
    };
  }

  tokenize(text: string): readonly Token[] {
    return [...text].map((character) => this.token(character.charCodeAt(0) % this.info.dVocab));
  }

  token(id: number): Token {
    return { id, text: `t${id}` };
  }

  async unembed(vector: Float32Array): Promise<Tensor> {
    return { data: Float32Array.from(times(vector, this.unembedding)), dims: [this.info.dVocab] };
  }

  async neuronOutput(layer: number, neuron: number): Promise<Tensor> {
    return { data: Float32Array.from(this.layers[layer].ffnOutput[neuron]), dims: [this.info.dModel] };
  }

  protected async forward(tokens: readonly Token[]): Promise<ToyRun> {
    return new ToyRun(this, tokens);
  }
}

interface ToyStates {
  readonly pre: Float64Array[];
  readonly mid: Float64Array[];
  readonly post: Float64Array[];
  readonly attention: Float64Array[];
  readonly ffnPre: Float64Array[];
  readonly ffnPost: Float64Array[];
  readonly values: Float64Array[][];
  readonly pattern: Float64Array[][];
  readonly scale: Float64Array;
}

const joined = (rows: readonly ArrayLike<number>[]): Float32Array =>
  Float32Array.from(rows.flatMap((row) => Array.from(row)));

class ToyRun extends BaseRun {
  private readonly states: ToyStates[] = [];

  constructor(
    readonly model: ToyModel,
    readonly tokens: readonly Token[],
  ) {
    super();
    let state: Float64Array[] = tokens.map(({ id }, t) => model.embedding[id].map((x, i) => x + 0.1 * Math.cos(t + i)));
    for (const layer of model.layers) {
      const states = this.layer(layer, state);
      this.states.push(states);
      state = states.post;
    }
  }

  private layer(layer: ToyLayer, pre: Float64Array[]): ToyStates {
    const { nHeads, dModel, dHead, parallelBlocks } = this.model.info;
    const values = pre.map((x) => layer.value.map((w, h) => times(times(x, w), layer.output[h])));
    const pattern = layer.query.map((_, h) =>
      pre.map((x, q) => {
        const query = times(x, layer.query[h]);
        const scores = pre.map((y, k) =>
          k > q ? -Infinity : times(y, layer.key[h]).reduce((sum, v, i) => sum + v * query[i], 0) / Math.sqrt(dHead),
        );
        const largest = Math.max(...scores);
        const weights = scores.map((score) => Math.exp(score - largest));
        const sum = weights.reduce((a, b) => a + b, 0);
        return Float64Array.from(weights, (weight) => weight / sum);
      }),
    );
    const scale = new Float64Array(pre.length).fill(1);
    const attention = pre.map((_, q) => {
      const out = Float64Array.from(layer.outputBias);
      for (let h = 0; h < nHeads; h++) {
        const bias = times(layer.valueBias[h], layer.output[h]);
        for (let k = 0; k <= q; k++)
          for (let i = 0; i < dModel; i++) out[i] += pattern[h][q][k] * (values[k][h][i] + bias[i]);
      }
      if (this.model.shape.postNorm) scale[q] = 1 / Math.sqrt(out.reduce((sum, x) => sum + x * x, 0) / dModel + 1e-6);
      return out.map((x) => x * scale[q]);
    });
    const mid = pre.map((x, t) => x.map((v, i) => v + attention[t][i]));
    const ffnPre = (parallelBlocks ? pre : mid).map((x) => times(x, layer.input));
    const ffnPost = ffnPre.map((x) => x.map((v) => v / (1 + Math.exp(-v))));
    const post = mid.map((x, t) => {
      const out = times(ffnPost[t], layer.ffnOutput);
      return x.map((v, i) => v + out[i]);
    });
    return { pre, mid, post, attention, ffnPre, ffnPost, values, pattern, scale };
  }

  protected async readResidual(layer: number, point: ResidualPoint): Promise<Float32Array> {
    return joined(this.states[layer][point]);
  }

  protected async readPattern(layer: number): Promise<Float32Array> {
    return joined(this.states[layer].pattern.flat());
  }

  protected override async readBackward(
    layer: number,
    coefficients: Float32Array,
    { midCoefficients }: BackwardOptions,
  ): Promise<LayerBackward> {
    const { dModel, dFfn, nHeads, parallelBlocks } = this.model.info;
    const { value, output, valueBias, outputBias, input, ffnOutput } = this.model.layers[layer];
    const { ffnPre, ffnPost, pattern, values, scale } = this.states[layer];
    const n = coefficients.length / dModel;
    const rows = (flat: Float32Array): Float64Array[] =>
      Array.from({ length: n }, (_, t) => Float64Array.from(flat.subarray(t * dModel, (t + 1) * dModel)));
    const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
      Array.from(a).reduce((sum, x, i) => sum + x * b[i], 0);
    const gradient = rows(coefficients);
    const ofPost = gradient.map((g) => ffnOutput.map((row) => dot(g, row)));
    const neurons = ofPost.map((g, t) => g.map((x, f) => x * ffnPost[t][f]));
    // The ratio silu(x) / x is the sigmoid.
    const throughFfn = ofPost.map((g, t) => {
      const ofPre = g.map((x, f) => x / (1 + Math.exp(-ffnPre[t][f])));
      return input.map((row) => dot(row, ofPre));
    });
    const add = (a: ArrayLike<number>, b: ArrayLike<number>): Float64Array =>
      Float64Array.from({ length: dModel }, (_, i) => a[i] + b[i]);
    const own = gradient.map((g, t) => add(g, throughFfn[t]));
    const toMid = parallelBlocks ? gradient : midCoefficients ? rows(midCoefficients) : own;
    const toPre = parallelBlocks ? own : toMid.map((g) => Float64Array.from(g));
    const terms = new Float32Array(nHeads * n * n);
    const biasTerms = new Float32Array(nHeads * n);
    const constant = toMid.map((g, q) => scale[q] * dot(g, outputBias));
    for (let h = 0; h < nHeads; h++) {
      for (let q = 0; q < n; q++) {
        const g = toMid[q].map((x) => x * scale[q]);
        const mixed = output[h].map((row) => dot(row, g));
        biasTerms[h * n + q] = dot(mixed, valueBias[h]);
        constant[q] += biasTerms[h * n + q];
        for (let k = 0; k <= q; k++) {
          terms[(h * n + q) * n + k] = pattern[h][q][k] * dot(g, values[k][h]);
          toPre[k] = add(
            toPre[k],
            value[h].map((row) => pattern[h][q][k] * dot(row, mixed)),
          );
        }
      }
    }
    return {
      toPre: joined(toPre),
      toMid: parallelBlocks ? undefined : joined(toMid),
      terms,
      biasTerms,
      ffn: Float32Array.from(neurons, (row) => row.reduce((a, b) => a + b, 0)),
      neurons: Float32Array.from({ length: n * dFfn }, (_, i) => neurons[Math.floor(i / dFfn)][i % dFfn]),
      attentionConstant: Float32Array.from(constant),
      ffnConstant: new Float32Array(n),
    };
  }

  protected async readValueOut(layer: number): Promise<Float32Array> {
    return joined(this.states[layer].values.flat());
  }

  protected async readNeurons(layer: number, position: number, point: "pre" | "post"): Promise<Float32Array> {
    return Float32Array.from(this.states[layer][point === "pre" ? "ffnPre" : "ffnPost"][position]);
  }

  protected override async readAttentionOut(layer: number): Promise<Float32Array> {
    return joined(this.states[layer].attention);
  }

  protected override async readTermScale(layer: number): Promise<Float32Array | undefined> {
    return this.model.shape.postNorm ? Float32Array.from(this.states[layer].scale) : undefined;
  }

  protected override async readConstants(layer: number): Promise<AttentionConstants> {
    if (!this.model.shape.biases) return {};
    const { valueBias, outputBias, output } = this.model.layers[layer];
    return {
      valueBiasOut: joined(valueBias.map((bias, h) => times(bias, output[h]))),
      outputBias: Float32Array.from(outputBias),
    };
  }
}
