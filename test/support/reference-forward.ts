import type { Activation, Architecture, Attention, Linear, Norm } from "../../src/model/architecture";
import type { WeightSource } from "../../src/model/weights";

/** A matrix as rows. */
type Rows = number[][];

/** What a layer computes, by the engine's names. */
export interface ReferenceLayer {
  readonly resid_pre: Rows;
  readonly resid_mid?: Rows;
  readonly resid_post: Rows;
  readonly attn_out: Rows;
  readonly ffn_out: Rows;
  /** [H][query][key] */
  readonly pattern: Rows[];
  readonly ffn_pre: Rows;
  readonly ffn_post: Rows;
}

/**
 * The forward pass of any described architecture, written down once more in float64, one number at a time and as near
 * to the description's words as possible. Slow: for tiny models.
 */
export function referenceForward(
  architecture: Architecture,
  weights: WeightSource,
  tokenIds: readonly number[],
): { readonly layers: ReferenceLayer[]; readonly logits: Rows } {
  const { nHeads, nKeyValueHeads, dModel, dHead, dFfn, dVocab, embedding } = architecture;
  const nTokens = tokenIds.length;
  const vector = (ref: { readonly name: string } | undefined) => ref && Array.from(weights.read(ref).data);

  const linear = (x: Rows, layer: Linear, nOutputs: number): Rows => {
    const matrix = weights.read(layer.weight).data;
    const bias = vector(layer.bias);
    const nInputs = x[0].length;
    return x.map((row) =>
      Array.from({ length: nOutputs }, (_, output) => {
        let sum = bias?.[output] ?? 0;
        for (let input = 0; input < nInputs; input++)
          sum += row[input] * matrix[layer.layout === "out-in" ? output * nInputs + input : input * nOutputs + output];
        return sum;
      }),
    );
  };
  const normalize = (
    x: readonly number[],
    norm: Norm,
    scales = vector(norm.weight),
    biases = vector(norm.bias),
  ): number[] => {
    const mean = norm.kind === "layernorm" ? x.reduce((sum, value) => sum + value, 0) / x.length : 0;
    const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
    return x.map(
      (value, i) =>
        ((value - mean) / Math.sqrt(variance + norm.epsilon)) * (scales ? scales[i] + (norm.unitOffset ? 1 : 0) : 1) +
        (biases?.[i] ?? 0),
    );
  };
  const normRows = (x: Rows, norm: Norm | undefined) => (norm ? x.map((row) => normalize(row, norm)) : x);
  const sum = (...parts: Rows[]): Rows =>
    parts[0].map((row, t) => row.map((_, i) => parts.reduce((total, part) => total + part[t][i], 0)));

  const attend = (x: Rows, attention: Attention): { out: Rows; pattern: Rows[] } => {
    const [nQuery, nKey] = [nHeads * dHead, nKeyValueHeads * dHead];
    const group = nHeads / nKeyValueHeads;
    let [query, key, value]: Rows[] = [[], [], []];
    if (attention.qkv.kind === "separate") {
      query = linear(x, attention.qkv.query, nQuery);
      key = linear(x, attention.qkv.key, nKey);
      value = linear(x, attention.qkv.value, nKey);
    } else {
      const { order } = attention.qkv;
      for (const row of linear(x, attention.qkv.linear, nQuery + 2 * nKey)) {
        if (order === "concat") {
          query.push(row.slice(0, nQuery));
          key.push(row.slice(nQuery, nQuery + nKey));
          value.push(row.slice(nQuery + nKey));
          continue;
        }
        const parts: Record<"query" | "key" | "value", number[]> = { query: [], key: [], value: [] };
        for (let at = 0; at < row.length;) {
          for (const [kind, heads] of [
            ["query", group],
            ["key", 1],
            ["value", 1],
          ] as const) {
            parts[kind].push(...row.slice(at, at + heads * dHead));
            at += heads * dHead;
          }
        }
        query.push(parts.query);
        key.push(parts.key);
        value.push(parts.value);
      }
    }
    const { queryKeyNorm, rotary } = attention;
    if (queryKeyNorm) {
      const apply = (rows: Rows, norm: Norm, heads: number) =>
        rows.map((row) => {
          if (queryKeyNorm.over === "all") return normalize(row, norm);
          const scales = vector(norm.weight);
          return Array.from({ length: heads }, (_, head) => {
            const own = queryKeyNorm.over === "per-head" ? scales?.slice(head * dHead, (head + 1) * dHead) : scales;
            return normalize(row.slice(head * dHead, (head + 1) * dHead), norm, own);
          }).flat();
        });
      query = apply(query, queryKeyNorm.query, nHeads);
      key = apply(key, queryKeyNorm.key, nKeyValueHeads);
    }
    if (rotary) {
      const frequencies = rotary.frequencies(nTokens);
      const turn = (rows: Rows) =>
        rows.map((row, position) => {
          const turned = [...row];
          for (let head = 0; head < row.length; head += dHead) {
            for (let i = 0; i < rotary.dims / 2; i++) {
              const first = head + (rotary.pairing === "half" ? i : 2 * i);
              const second = head + (rotary.pairing === "half" ? i + rotary.dims / 2 : 2 * i + 1);
              const [cos, sin] = [Math.cos(position * frequencies[i]), Math.sin(position * frequencies[i])].map(
                (part) => part * (rotary.scale ?? 1),
              );
              turned[first] = row[first] * cos - row[second] * sin;
              turned[second] = row[second] * cos + row[first] * sin;
            }
          }
          return turned;
        });
      query = turn(query);
      key = turn(key);
    }
    const pattern: Rows[] = [];
    const joined = x.map(() => [] as number[]);
    for (let head = 0; head < nHeads; head++) {
      const own = Math.floor(head / group);
      pattern.push(
        query.map((row, q) => {
          const scores = key.map((other, k) => {
            if (k > q || q - k >= (attention.window ?? Infinity)) return -Infinity;
            let score = 0;
            for (let i = 0; i < dHead; i++) score += row[head * dHead + i] * other[own * dHead + i];
            score *= attention.scale;
            if (attention.softcap !== undefined) score = attention.softcap * Math.tanh(score / attention.softcap);
            return score - (attention.alibiSlopes?.[head] ?? 0) * (q - k);
          });
          const largest = Math.max(...scores);
          const weightsOfKeys = scores.map((score) => Math.exp(score - largest));
          const total = weightsOfKeys.reduce((a, b) => a + b, 0);
          return weightsOfKeys.map((weight) => weight / total);
        }),
      );
      pattern[head].forEach((row, q) => {
        for (let i = 0; i < dHead; i++)
          joined[q].push(row.reduce((total, weight, k) => total + weight * value[k][own * dHead + i], 0));
      });
    }
    return { out: linear(joined, attention.output, dModel), pattern };
  };

  let states: Rows = tokenIds.map((id, position) => {
    const scale = Math.fround(embedding.scale ?? 1);
    const row = Array.from(weights.readRows(embedding.token, [id]), (value) => value * scale);
    const positions =
      embedding.position && weights.readRows(embedding.position.weight, [position + embedding.position.offset]);
    const whole = row.map((value, i) => value + (positions?.[i] ?? 0));
    return embedding.norm ? normalize(whole, embedding.norm) : whole;
  });
  const layers = architecture.layers.map((layer): ReferenceLayer => {
    const pre = states;
    const normed = normRows(pre, layer.attentionNorm);
    const attended = attend(normed, layer.attention);
    const attnOut = normRows(attended.out, layer.postAttentionNorm);
    const mid = sum(pre, attnOut);
    const input =
      layer.block === "sequential"
        ? normRows(mid, layer.ffnNorm)
        : layer.ffnNorm
          ? normRows(pre, layer.ffnNorm)
          : normed;
    const { ffn } = layer;
    const first = linear(input, ffn.input, ffn.fusedGate ? 2 * dFfn : dFfn);
    const ffnPre = first.map((row) => row.slice(0, dFfn));
    const up = ffn.fusedGate ? first.map((row) => row.slice(dFfn)) : ffn.up && linear(input, ffn.up, dFfn);
    const ffnPost = ffnPre.map((row, t) =>
      row.map((value, n) => activations[ffn.activation](value) * (up ? up[t][n] : 1)),
    );
    const ffnOut = normRows(linear(ffnPost, ffn.output, dModel), layer.postFfnNorm);
    states = sum(mid, ffnOut);
    return {
      resid_pre: pre,
      resid_mid: layer.block === "sequential" ? mid : undefined,
      resid_post: states,
      attn_out: attnOut,
      ffn_out: ffnOut,
      pattern: attended.pattern,
      ffn_pre: ffnPre,
      ffn_post: ffnPost,
    };
  });
  const { logitScale = 1, logitSoftcap } = architecture;
  const logits = linear(normRows(states, architecture.finalNorm), architecture.unembedding, dVocab).map((row) =>
    row
      .map((value) => value * logitScale)
      .map((value) => (logitSoftcap === undefined ? value : logitSoftcap * Math.tanh(value / logitSoftcap))),
  );
  return { layers, logits };
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

const activations: Readonly<Record<Activation, (x: number) => number>> = {
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  quick_gelu: (x) => x * sigmoid(1.702 * x),
  relu: (x) => Math.max(0, x),
  relu2: (x) => Math.max(0, x) ** 2,
  silu: (x) => x * sigmoid(x),
};

/**
 * Error function: its Taylor series near 0, 1 far away (Abramowitz & Stegun 7.1.5); the terms cancel to 1e-10 at |x| =
 * 4.
 */
function erf(x: number): number {
  if (Math.abs(x) > 4) return Math.sign(x);
  let term = x;
  let total = x;
  for (let n = 1; n < 120; n++) {
    term *= -(x * x) / n;
    total += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}
