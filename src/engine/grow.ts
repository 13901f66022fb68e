/**
 * Token sequences that grow: the keys and values of each layer are kept, so that further tokens cost their own rows and
 * nothing that was computed before is computed again. Runs in the engine's thread.
 */
import type { Tensor } from "../model/types";
import type { Step } from "./computer";
import { notFinite } from "./finite";
import type { EngineAnswer, EngineQuestion, PlainArchitecture } from "./messages";
import { mask, rotaryTable, type Queries } from "./position-inputs";
import type { Scratch } from "./scratch";
import type { Array32, Session } from "./sessions";

/** What growing needs of the computer. */
export interface GrowthParts {
  readonly scratch: Scratch;
  session(layer: number): Promise<Session>;
  /** Whether the layer's session stays; others are released after use. */
  isHeld(layer: number): boolean;
  /** `[n, d]`: tokens at positions from `from` on. */
  embed(tokenIds: readonly number[], from: number): Float32Array;
  /** `[V]` in scratch memory, from [d]. */
  unembed(vector: Float32Array): Promise<Float32Array>;
  inTurn<R>(work: () => Promise<R>): Promise<R>;
  shared(length: number): Float32Array;
  /** Lets go of what a long prompt needed. */
  trim(): void;
}

/** Keys and values of one sequence. Slots behind its length hold anything finite: they are masked. */
interface Growth {
  slots: number;
  /** By layer: keys [K, slots, dHead] and values [slots, K * dHead]. */
  readonly keys: Float32Array[];
  readonly values: Float32Array[];
}

/** Slots come in steps, so that the room is not made anew for every token. */
const SLOTS = 64;

export class Growths {
  readonly #growths = new Map<number, Growth>();

  constructor(
    private readonly architecture: PlainArchitecture,
    private readonly parts: GrowthParts,
  ) {}

  /** Appends tokens; what the sequence was stays as it is where this fails or is cancelled. */
  async grow(
    { growth: id, from, frequencies, tokenIds, logits }: EngineQuestion<"grow">,
    step: Step,
  ): Promise<EngineAnswer<"grow">> {
    const { architecture, parts } = this;
    const { nLayers, dModel } = architecture;
    const growth = this.#growths.get(id) ?? { slots: 0, keys: [], values: [] };
    this.#growths.set(id, growth);
    const n = tokenIds.length;
    const size = n * dModel;
    const rows = parts.shared((nLayers + 1) * size);
    rows.set(parts.embed(tokenIds, from));
    const state = (index: number) => rows.subarray(index * size, (index + 1) * size);
    notFinite(state(0), 0, { dModel, tokenIds, from });
    const queries: Queries = { from, nTokens: n, slots: from === 0 ? 0 : growth.slots };
    const inputs = new Map<string, Array32>();
    const written: { readonly key: Float32Array; readonly value: Float32Array }[] = [];
    for (let layer = 0; layer < nLayers; layer++) {
      step.check();
      await parts.inTurn(async () => {
        written.push(await this.#layer(layer, growth, queries, frequencies, inputs, state(layer), state(layer + 1)));
      });
      notFinite(state(layer + 1), layer + 1, { dModel, tokenIds, from });
      step.progress(layer + 1, nLayers);
    }
    // Whoever cancelled may have asked for other tokens at these positions.
    step.check();
    this.#append(growth, queries, written);
    const last = logits ? parts.shared(architecture.dVocab) : undefined;
    if (last) await parts.inTurn(async () => last.set(await parts.unembed(state(nLayers).subarray(size - dModel))));
    // A long prompt's buffers go; those of single tokens are small.
    if (n > 1) parts.trim();
    return { rows, logits: last };
  }

  /** Forgets a sequence. */
  letGo({ growth }: EngineQuestion<"letGo">): EngineAnswer<"letGo"> {
    this.#growths.delete(growth);
    return {};
  }

  /** One layer on the new rows: writes their states after it, and gives their keys and values. */
  async #layer(
    index: number,
    growth: Growth,
    queries: Queries,
    frequencies: readonly Float64Array[],
    inputs: Map<string, Array32>,
    before: Float32Array,
    after: Float32Array,
  ): Promise<{ readonly key: Float32Array; readonly value: Float32Array }> {
    const { nKeyValueHeads, dHead, dModel, layers } = this.architecture;
    const { scratch } = this.parts;
    const { nTokens: n, slots = 0 } = queries;
    const layer = layers[index];
    const { window, alibiSlopes, alibiRounded, scale, rotary } = layer.attention;
    const remember = (key: string, make: () => Array32): Array32 => {
      const known = inputs.get(key) ?? make();
      inputs.set(key, known);
      return known;
    };
    const roundedScale = alibiRounded ? scale : undefined;
    const feeds: Record<string, Array32> = {
      x: scratch.copy("x", before, [n, dModel]),
      past_key: { data: slots > 0 ? growth.keys[index] : NOTHING, dims: [nKeyValueHeads, slots, dHead] },
      past_value: { data: slots > 0 ? growth.values[index] : NOTHING, dims: [slots, nKeyValueHeads * dHead] },
      mask: remember(`mask ${window} ${alibiSlopes?.join()} ${roundedScale}`, () =>
        mask(queries, window, alibiSlopes, roundedScale),
      ),
    };
    const { rotaryIndex } = layer;
    if (rotary && rotaryIndex !== undefined) {
      for (const of of ["cos", "sin"] as const)
        feeds[of] = remember(`${of} ${rotaryIndex} ${rotary.scale}`, () =>
          rotaryTable(of, frequencies[rotaryIndex], rotary.scale ?? 1, queries),
        );
    }
    const outputs = {
      resid_post: scratch.take("resid_post", [n, dModel]),
      key: { data: new Float32Array(nKeyValueHeads * n * dHead), dims: [nKeyValueHeads, n, dHead] },
      value: { data: new Float32Array(n * nKeyValueHeads * dHead), dims: [n, nKeyValueHeads * dHead] },
    };
    const session = await this.parts.session(index);
    try {
      await session.run(feeds, outputs);
    } finally {
      if (!this.parts.isHeld(index)) await session.release();
    }
    after.set(outputs.resid_post.data);
    return { key: outputs.key.data, value: outputs.value.data };
  }

  #append(
    growth: Growth,
    { from, nTokens: n }: Queries,
    written: readonly { readonly key: Float32Array; readonly value: Float32Array }[],
  ): void {
    const { nKeyValueHeads, dHead } = this.architecture;
    const width = nKeyValueHeads * dHead;
    if (from + n > growth.slots || growth.keys.length === 0) {
      const slots = SLOTS * Math.ceil((from + n) / SLOTS);
      written.forEach((_, layer) => {
        const keys = new Float32Array(width * slots);
        const values = new Float32Array(width * slots);
        if (from > 0) {
          for (let head = 0; head < nKeyValueHeads; head++) {
            const start = head * growth.slots * dHead;
            keys.set(growth.keys[layer].subarray(start, start + from * dHead), head * slots * dHead);
          }
          values.set(growth.values[layer].subarray(0, from * width));
        }
        growth.keys[layer] = keys;
        growth.values[layer] = values;
      });
      growth.slots = slots;
    }
    written.forEach(({ key, value }, layer) => {
      for (let head = 0; head < nKeyValueHeads; head++)
        growth.keys[layer].set(
          key.subarray(head * n * dHead, (head + 1) * n * dHead),
          (head * growth.slots + from) * dHead,
        );
      growth.values[layer].set(value, from * width);
    });
  }
}

const NOTHING = new Float32Array(0);

/** `[L + 1, T, d]` out of rows [L + 1, n, d] of one sequence, in their order. */
export function joinRows(pieces: readonly Float32Array[], nStates: number, dModel: number): Tensor {
  const nTokens = pieces.reduce((sum, piece) => sum + piece.length, 0) / (nStates * dModel);
  const data = new Float32Array(new SharedArrayBuffer(4 * nStates * nTokens * dModel));
  let at = 0;
  for (const piece of pieces) {
    const size = piece.length / nStates;
    for (let index = 0; index < nStates; index++)
      data.set(piece.subarray(index * size, (index + 1) * size), index * nTokens * dModel + at);
    at += size;
  }
  return { data, dims: [nStates, nTokens, dModel] };
}
