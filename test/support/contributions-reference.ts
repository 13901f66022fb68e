/**
 * The formulas of the contributions written down once more, in float64 and as literally as possible, to check the fast
 * ones.
 */

const EPSILON = 1e-5;

const norm = (x: ArrayLike<number>): number => Array.from(x).reduce((sum, v) => sum + Math.abs(v), 0);

/** `c(z) = max(‖y‖₁ − ‖z − y‖₁, ε) / Σ` for all parts of the whole y. */
export function shares(parts: readonly ArrayLike<number>[], whole: ArrayLike<number>): number[] {
  const proximities = parts.map((part) =>
    Math.max(norm(whole) - norm(Array.from(part, (z, i) => z - whole[i])), EPSILON),
  );
  const sum = proximities.reduce((a, b) => a + b, 0);
  return proximities.map((proximity) => proximity / sum);
}

export const row = (data: ArrayLike<number>, index: number, length: number): number[] =>
  Array.from({ length }, (_, i) => data[index * length + i]);

export interface ReferenceBlock {
  readonly nTokens: number;
  readonly nHeads: number;
  readonly dModel: number;
  readonly pattern: ArrayLike<number>;
  readonly valueOut: ArrayLike<number>;
  readonly valueBiasOut?: ArrayLike<number>;
  readonly termScale?: ArrayLike<number>;
  readonly whole: ArrayLike<number>;
  readonly residual: ArrayLike<number>;
  readonly bias?: ArrayLike<number>;
  readonly ffn?: ArrayLike<number>;
}

/** Shares at one query: terms [q + 1][H], then residual, bias (where given), FFN (where given). */
export function referenceRow(
  block: ReferenceBlock,
  q: number,
): { readonly terms: number[]; readonly residual: number; readonly bias: number; readonly ffn: number } {
  const { nTokens: T, nHeads: H, dModel: d } = block;
  const scale = block.termScale?.[q] ?? 1;
  const parts: number[][] = [];
  for (let k = 0; k <= q; k++) {
    for (let h = 0; h < H; h++) {
      const a = block.pattern[(h * T + q) * T + k];
      parts.push(
        Array.from(
          { length: d },
          (_, i) => a * (block.valueOut[(k * H + h) * d + i] + (block.valueBiasOut?.[h * d + i] ?? 0)) * scale,
        ),
      );
    }
  }
  const nTerms = parts.length;
  parts.push(row(block.residual, q, d));
  if (block.bias) parts.push(Array.from(block.bias, (b) => b * scale));
  if (block.ffn) parts.push(row(block.ffn, q, d));
  const all = shares(parts, row(block.whole, q, d));
  const rest = all.slice(nTerms + 1);
  return {
    terms: all.slice(0, nTerms),
    residual: all[nTerms],
    bias: block.bias ? (rest.shift() as number) : 0,
    ffn: block.ffn ? (rest.shift() as number) : 0,
  };
}
