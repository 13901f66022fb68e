import { checkOneOf } from "../model/check";
import type { Intervention, Metric, ProgressListener, Run, Tensor, Token } from "../model/types";
import { measureOf } from "./metrics";

/** What is patched, one place after the other. */
export type PatchGridOver = "residual" | "attention" | "ffn" | "heads" | "edges-into";

/** How a grid is made. */
export interface PatchGridOptions {
  /**
   * "residual": the state after layer l at token t. "attention", "ffn": what the block of layer l writes at t. "heads":
   * what head h of layer l writes, at all tokens. "edges-into": what the metric's token reads from token t in layer l,
   * all heads together.
   */
  readonly over: PatchGridOver;
  /** Default: the logit of what the clean run predicts best after its last token. */
  readonly metric?: Metric;
  /** Called with each value as it comes: row, column, recovered share. */
  readonly onValue?: (layer: number, column: number, recovered: number) => void;
  /** Called after each patched run. */
  readonly onProgress?: ProgressListener;
  /** Ends it: the call rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Recovered shares of a metric, `[L, T]`, over heads `[L, H]`: `(patched − corrupted) / (clean − corrupted)`: 0 the
 * corrupted run, 1 the clean one. NaN where both have the same metric, and where there is nothing to patch (tokens after
 * the metric's).
 */
export interface PatchGridValues extends Tensor {
  /** What was patched. */
  readonly over: PatchGridOver;
  /** The metric of the clean run. */
  readonly clean: number;
  /** The metric of the corrupted run. */
  readonly corrupted: number;
  /** The clean prompt. */
  readonly tokens: readonly Token[];
  /** The corrupted prompt. */
  readonly corruptedTokens: readonly Token[];
}

/**
 * Activation patching (Meng et al. 2022; Wang et al. 2022): into the run of a corrupted prompt, one place of the clean
 * run is put after the other; how much of the metric comes back says what that place carries. Only the layers above each
 * patch are computed again. Rejects with a `RangeError` where the prompts have different numbers of tokens.
 * @example const { data, dims } = await patchGrid(await model.run(clean), await model.run(corrupted), { over: "residual" });
 */
export async function patchGrid(clean: Run, corrupted: Run, options: PatchGridOptions): Promise<PatchGridValues> {
  const { over, signal, onProgress, onValue } = options;
  checkOneOf("What is patched,", over, ["residual", "attention", "ffn", "heads", "edges-into"]);
  const { intervene } = corrupted;
  if (intervene === undefined) throw new TypeError("This model has no interventions: its runs have no intervene.");
  const n = clean.tokens.length;
  if (corrupted.tokens.length !== n)
    throw new RangeError(
      `The prompts have different numbers of tokens: clean ${n} (${texts(clean)}), corrupted ${corrupted.tokens.length} (${texts(corrupted)}).`,
    );
  const measure = await measureOf(clean, options.metric);
  const [best, worst] = [await measure.of(clean), await measure.of(corrupted)];
  const { nLayers, nHeads } = clean.model.info;
  const columns = over === "heads" ? nHeads : n;
  const data = new Float32Array(nLayers * columns).fill(NaN);
  const last = over === "heads" ? columns - 1 : measure.position;
  const total = nLayers * (last + 1);
  let done = 0;
  for (let layer = 0; layer < nLayers; layer++) {
    const seen = over === "edges-into" ? await keysSeen([clean, corrupted], layer, measure.position) : undefined;
    for (let column = 0; column <= last; column++) {
      signal?.throwIfAborted();
      // Outside of a layer's window nothing is carried.
      if (seen && !seen[column]) {
        data[layer * columns + column] = 0;
        done++;
        continue;
      }
      const cut = await intervene.call(corrupted, [patchAt(over, layer, column, measure.position, clean)], { signal });
      const value = await measure.of(cut);
      await cut.dispose();
      const recovered = best === worst ? NaN : (value - worst) / (best - worst);
      data[layer * columns + column] = recovered;
      onValue?.(layer, column, recovered);
      onProgress?.({ stage: "patches", done: ++done, total, unit: "runs" });
    }
  }
  return {
    over,
    data,
    dims: [nLayers, columns],
    clean: best,
    corrupted: worst,
    tokens: clean.tokens,
    corruptedTokens: corrupted.tokens,
  };
}

/** `[T]`: which keys any head of a layer looks at from a query, in any of the runs. */
async function keysSeen(runs: readonly Run[], layer: number, query: number): Promise<boolean[]> {
  const n = runs[0].tokens.length;
  const seen = new Array<boolean>(n).fill(false);
  for (const run of runs) {
    const { data, dims } = await run.attentionPattern(layer);
    for (let head = 0; head < dims[0]; head++)
      for (let key = 0; key < n; key++) if (data[(head * n + query) * n + key] > 0) seen[key] = true;
  }
  return seen;
}

const texts = (run: Run): string => run.tokens.map(({ text }) => JSON.stringify(text)).join(" ");

function patchAt(over: PatchGridOver, layer: number, column: number, position: number, from: Run): Intervention {
  switch (over) {
    case "residual":
      return { target: `I${layer}_${column}`, do: "patch", from };
    case "attention":
    case "ffn":
      return { target: { kind: over, layer, position: column }, do: "patch", from };
    case "heads":
      return { target: { kind: "attention", layer, head: column }, do: "patch", from };
    case "edges-into":
      return { target: { kind: "edge", layer, query: position, key: column }, do: "patch", from };
  }
}
