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
