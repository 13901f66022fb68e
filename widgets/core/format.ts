/** Numbers as people read them, the same in all pictures. */

/** A share, e.g. "12.3 %", "0.04 %". */
export function percent(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const p = value * 100;
  if (p === 0) return "0 %";
  if (Math.abs(p) < 0.01) return "<0.01 %";
  return `${p.toFixed(Math.abs(p) < 1 ? 2 : Math.abs(p) < 99.95 ? 1 : 0)} %`;
}

/** A contribution or weight from 0 to 1. */
export function weight(value: number): string {
  return Number.isFinite(value) ? value.toFixed(value !== 0 && Math.abs(value) < 0.01 ? 4 : 3) : "–";
}

/** How contributions of one column are written: all with the same number of decimals, enough for the largest. */
export function weightColumn(values: Iterable<number>): (value: number) => string {
  let largest = 0;
  for (const value of values) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
  const decimals = largest >= 0.1 ? 3 : largest >= 0.01 ? 4 : 5;
  return (value) => (Number.isFinite(value) ? value.toFixed(decimals) : "–");
}

/** The same for logits, scores and activations. */
export function scoreColumn(values: Iterable<number>): (value: number) => string {
  let largest = 0;
  for (const value of values) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
  const decimals = largest >= 100 ? 1 : largest >= 0.1 ? 2 : 3;
  return (value) => (Number.isFinite(value) ? value.toFixed(decimals) : "–");
}

/** A logit, score or activation. */
export function score(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return value.toFixed(size < 0.1 ? 3 : size < 100 ? 2 : 1);
}

/** A logit that speaks for something or against it: always with its sign. */
export function signed(value: number): string {
  if (!Number.isFinite(value)) return "–";
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
}

/** A whole number with thin spaces between thousands. */
export function whole(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, "\u202f");
}
