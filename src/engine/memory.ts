import * as os from "node:os";
import type { Architecture } from "../model/architecture";

/** Bytes that this process can still take. */
export function availableMemory(): number {
  const free = process.availableMemory();
  // Elsewhere than on Linux "free" leaves out what caches would give back.
  return process.platform === "linux" ? free : Math.max(free, os.totalmem() / 2);
}

type Sizes = Pick<Architecture, "nLayers" | "nHeads" | "nKeyValueHeads" | "dModel" | "dHead" | "dFfn" | "layers">;

/**
 * Bytes that a forward pass of n tokens takes beside the weights: the states of all layers, and what is alive at once
 * inside one layer. Onnxruntime frees tensors when their last reader has run: of the scores [H, T, T] three exist at a
 * time, and the mask; of the FFN's tensors [T, f] four.
 */
export function forwardBytes(sizes: Sizes, n: number): number {
  const { nLayers, nHeads, nKeyValueHeads, dModel, dHead, dFfn, layers } = sizes;
  const states = (nLayers + 1) * n * dModel;
  const masks = new Set(layers.map(({ attention }) => `${attention.window} ${attention.alibiSlopes?.join()}`));
  let maskRows = 0;
  for (const mask of masks) maskRows += mask.endsWith("undefined") ? 1 : nHeads;
  const scores = (3 * nHeads + maskRows) * n * n;
  const attention = 3 * n * (nHeads + 2 * nKeyValueHeads) * dHead;
  const ffn = 4 * n * dFfn;
  return 4 * (states + Math.max(scores + attention, ffn) + 6 * n * dModel);
}

/** The most tokens whose forward pass fits into `bytes`. */
export function longestPrompt(sizes: Sizes, bytes: number): number {
  let [fits, tooMany] = [0, 1];
  while (tooMany < 2 ** 30 && forwardBytes(sizes, tooMany) <= bytes) [fits, tooMany] = [tooMany, 2 * tooMany];
  while (tooMany - fits > 1) {
    const middle = Math.floor((fits + tooMany) / 2);
    if (forwardBytes(sizes, middle) <= bytes) fits = middle;
    else tooMany = middle;
  }
  return fits;
}

export function formatBytes(bytes: number): string {
  return bytes < 1e9 ? `${Math.max(0, Math.round(bytes / 1e6))} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
