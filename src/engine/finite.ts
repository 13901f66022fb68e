/** Index of the first value that is NaN or infinite; -1 where there is none. */
export function firstNotFinite(values: Float32Array): number {
  let sum = 0;
  // A product with 0 is 0 for every finite number, NaN for all others.
  for (let i = 0; i < values.length; i++) sum += values[i] * 0;
  return sum === 0 ? -1 : values.findIndex((value) => !Number.isFinite(value));
}

/** Throws where the states [n, d] before layer `index` are not finite. `from`: the position of the first row. */
export function notFinite(
  states: Float32Array,
  index: number,
  {
    dModel,
    tokenIds,
    from = 0,
  }: { readonly dModel: number; readonly tokenIds: readonly number[]; readonly from?: number },
): void {
  const bad = firstNotFinite(states);
  if (bad < 0) return;
  const row = Math.floor(bad / dModel);
  throw new Error(
    `The state ${index === 0 ? "before the first layer" : `after layer ${index - 1}`} is not finite at position ${from + row} (token id ${tokenIds[row]}): ${index === 0 ? "the embedding holds" : "the layer's weights hold"} NaN or infinity, or values too large for float32. Check the model's files.`,
  );
}
