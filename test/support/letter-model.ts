import { BaseModel, BaseRun, type ModelInfo, type ResidualPoint, type Tensor, type Token } from "../../src/index";

/** Layers, heads, width, width of a head, neurons, vocabulary. */
const [L, H, D, K, F, V] = [2, 3, 8, 4, 16, 27];
let seed = 1;
const random = (): number => (seed = (seed * 16807) % 2147483647) / 1073741824 - 1;
const matrix = (rows: number, columns: number): number[][] => Array.from({ length: rows }, () => Array.from({ length: columns }, random));
const times = (x: number[], m: number[][]): number[] => m[0].map((_, j) => x.reduce((sum, value, i) => sum + value * m[i][j], 0));
const plus = (x: number[], y: number[]): number[] => x.map((value, i) => value + y[i]);
const flat = (rows: number[][]): Float32Array => Float32Array.from(rows.flat());

/** A transformer over letters with random weights: attention, then a ReLU network, in each layer. */
export class LetterModel extends BaseModel {
  readonly embedding = matrix(V, D);
  readonly layers = Array.from({ length: L }, () => ({
    heads: Array.from({ length: H }, () => ({ query: matrix(D, K), key: matrix(D, K), value: matrix(D, K), output: matrix(K, D) })),
    input: matrix(D, F),
    output: matrix(F, D),
  }));
  readonly info: ModelInfo = {
    name: "letters", family: "letters", nParams: V * D + L * (4 * H * D * K + 2 * D * F), nLayers: L, nHeads: H, nKeyValueHeads: H,
    dModel: D, dHead: K, dFfn: F, dVocab: V, maxPositions: 100, parallelBlocks: false, dtype: "float64", device: "cpu",
  };
  tokenize = (text: string): Token[] => [...text.toLowerCase()].map((letter) => this.token(Math.max(0, " abcdefghijklmnopqrstuvwxyz".indexOf(letter))));
  token = (id: number): Token => ({ id, text: " abcdefghijklmnopqrstuvwxyz"[id] });
  unembed = async (vector: Float32Array): Promise<Tensor> => ({ data: flat([this.embedding.map((row) => times([...vector], row.map((x) => [x]))[0])]), dims: [V] });
  neuronOutput = async (layer: number, neuron: number): Promise<Tensor> => ({ data: flat([this.layers[layer].output[neuron]]), dims: [D] });
  protected forward = async (tokens: readonly Token[]): Promise<LetterRun> => new LetterRun(this, tokens);
}

class LetterRun extends BaseRun {
  private readonly states: { pre: number[][]; mid: number[][]; post: number[][]; pattern: number[][]; written: number[][]; active: { pre: number[][]; post: number[][] } }[] = [];

  constructor(readonly model: LetterModel, readonly tokens: readonly Token[]) {
    super();
    let pre = tokens.map(({ id }, position) => plus(model.embedding[id], Array.from({ length: D }, (_, i) => Math.cos(position + i))));
    for (const { heads, input, output } of model.layers) {
      // [H * T][T], query before key: softmax of the scores of keys that are not after the query.
      const pattern = heads.flatMap(({ query, key }) => pre.map((x, q) => {
        const weights = pre.map((y, k) => (k > q ? 0 : Math.exp(times(times(x, query), times(y, key).map((value) => [value]))[0] / 2)));
        return weights.map((weight) => weight / weights.reduce((a, b) => a + b));
      }));
      // [T * H][d]: what a head writes per unit of attention to a key.
      const written = pre.flatMap((x) => heads.map(({ value, output }) => times(times(x, value), output)));
      const mid = pre.map((x, q) => heads.reduce((sum, _, h) => plus(sum, times(pattern[h * pre.length + q], pre.map((_, k) => written[k * H + h]))), x));
      const active = { pre: mid.map((x) => times(x, input)), post: mid.map((x) => times(x, input).map((value) => Math.max(value, 0))) };
      const post = mid.map((x, t) => plus(x, times(active.post[t], output)));
      this.states.push({ pre, mid, post, pattern, written, active });
      pre = post;
    }
  }

  protected readResidual = async (layer: number, point: ResidualPoint): Promise<Float32Array> => flat(this.states[layer][point]);
  protected readPattern = async (layer: number): Promise<Float32Array> => flat(this.states[layer].pattern);
  protected readValueOut = async (layer: number): Promise<Float32Array> => flat(this.states[layer].written);
  protected readNeurons = async (layer: number, position: number, point: "pre" | "post"): Promise<Float32Array> => flat([this.states[layer].active[point][position]]);
}
