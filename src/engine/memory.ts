import * as fs from "node:fs";
import * as os from "node:os";
import type { Architecture } from "../model/architecture";

/** What is asked of the system. */
export interface MemorySource {
  readonly platform: NodeJS.Platform;
  /**
   * Bytes: of the machine; free there, with what caches would give back; left below a container's limit; that limit, or
   * something absurd.
   */
  readonly total: number;
  readonly free: number;
  readonly available: number;
  readonly limit: number;
  /** The container's account of its memory; undefined where there is none. */
  readonly account: () => string | undefined;
}

const ACCOUNTS = ["/sys/fs/cgroup/memory.stat", "/sys/fs/cgroup/memory/memory.stat"];

const here = (): MemorySource => ({
  platform: process.platform,
  total: os.totalmem(),
  free: os.freemem(),
  available: process.availableMemory(),
  limit: process.constrainedMemory(),
  account: () => {
    for (const file of ACCOUNTS) {
      try {
        return fs.readFileSync(file, "utf8");
      } catch {
        // The other version of control groups, or none.
      }
    }
    return undefined;
  },
});

/** Bytes that this process can still take. */
export function availableMemory(source: MemorySource = here()): number {
  const { platform, total, free, available, limit } = source;
  // Elsewhere than on Linux "free" leaves out what caches would give back.
  if (platform !== "linux") return Math.max(available, total / 2);
  if (!(limit > 0 && limit < total)) return available;
  // A container's limit counts files that were read, such as the model's own, though they go as soon as memory is
  // needed; and the machine may have less than the limit.
  const account = source.account() ?? "";
  const files = Number(
    (/^total_inactive_file (\d+)$/m.exec(account) ?? /^inactive_file (\d+)$/m.exec(account))?.[1] ?? 0,
  );
  return Math.min(free, available + files);
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
