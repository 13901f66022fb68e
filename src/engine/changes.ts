/** Changes inside a layer, as the graph with inputs for them takes them. Runs in the engine's thread. */
import type { PlainArchitecture } from "./messages";
import type { RowPlace } from "./layer-graph";
import type { Scratch } from "./scratch";
import type { Array32 } from "./sessions";
import type { Affine, LayerChanges, LayerTensorName } from "./types";

const OWN: ReadonlySet<LayerTensorName> = new Set(["head_mix", "attn_raw", "ffn_raw", "value_used"]);

/** Whether a layer's plain graph is not enough. */
export function needsChangeable(changes: LayerChanges | undefined, names: readonly LayerTensorName[]): boolean {
  return changes !== undefined || names.some((name) => OWN.has(name));
}

/** A place where nothing happens: broadcast over the whole tensor. */
const ONE: Array32 = { data: Float32Array.of(1), dims: [1, 1] };
const ZERO: Array32 = { data: Float32Array.of(0), dims: [1, 1] };
const ALL_WEIGHTS: Array32 = { data: Float32Array.of(1), dims: [1, 1, 1] };

/** The inputs beside those of a plain layer. `mask` is the plain layer's. */
export function changeFeeds(
  changes: LayerChanges | undefined,
  mask: Array32,
  sizes: Pick<PlainArchitecture, "nHeads" | "dHead" | "dModel" | "dFfn"> & { readonly nTokens: number },
  scratch: Scratch,
): Record<string, Array32> {
  const { nHeads, dHead, dModel, dFfn, nTokens } = sizes;
  const square = nTokens * nTokens;
  const feeds: Record<string, Array32> = {
    mask: changes?.blocked
      ? blockedMask(changes.blocked, mask, scratch.take("blocked_mask", [nHeads, nTokens, nTokens]), square)
      : { data: mask.data, dims: mask.dims.length === 2 ? [1, ...mask.dims] : mask.dims },
    weights: changes?.weights ? scratch.copy("weights", changes.weights, [nHeads, nTokens, nTokens]) : ALL_WEIGHTS,
  };
  const row = (place: RowPlace, width: number, perRow: number): void => {
    const affine = changes?.[place];
    feeds[`${place}_gain`] = affine ? gainOf(place, affine.gain, nTokens, width, perRow, scratch) : ONE;
    feeds[`${place}_add`] = affine?.add ? scratch.copy(`${place}_add`, affine.add, [nTokens, width]) : ZERO;
  };
  row("heads", nHeads * dHead, nHeads);
  row("attention", dModel, 1);
  row("mid", dModel, 1);
  row("neurons", dFfn, dFfn);
  row("ffn", dModel, 1);
  return feeds;
}

/** `[T, 1]` or [T, width] out of `perRow` numbers a row. */
function gainOf(
  place: RowPlace,
  gain: Float32Array,
  nTokens: number,
  width: number,
  perRow: number,
  scratch: Scratch,
): Array32 {
  if (perRow === 1 || perRow === width) return scratch.copy(`${place}_gain`, gain, [nTokens, perRow]);
  const whole = scratch.take(`${place}_gain`, [nTokens, width]);
  const each = width / perRow;
  gain.forEach((factor, i) => whole.data.fill(factor, i * each, (i + 1) * each));
  return whole;
}

function blockedMask(blocked: Uint8Array, mask: Array32, into: Array32, square: number): Array32 {
  for (let i = 0; i < blocked.length; i++)
    into.data[i] = blocked[i] ? -Infinity : mask.data[mask.dims.length === 2 ? i % square : i];
  return into;
}

/** A state [T, d] in place. */
export function applyTo(state: Float32Array, affine: Affine | undefined, dModel: number): void {
  if (!affine) return;
  const { gain, add } = affine;
  for (let t = 0; t < gain.length; t++)
    for (let i = t * dModel; i < (t + 1) * dModel; i++)
      // What is replaced is not looked at.
      state[i] = (gain[t] === 0 ? 0 : state[i] * gain[t]) + (add ? add[i] : 0);
}
