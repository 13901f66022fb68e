/** An attribution thread: takes chunks of terms of the job it was sent, until none is left. Started by `pool.ts`. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parentPort } from "node:worker_threads";
import { Reclaimer } from "../threads/reclaim";
import { proximity } from "./contributions";
import { CONTROL, EPSILON, type AttentionJob, type JobAnswer } from "./jobs";

interface KernelExports {
  prepare(y: number, d4: number, out: number, stride: number): void;
  proximity4(v: number, s: number, wholes: number, d4: number, nTerms: number, out: number): void;
  proximity1(v: number, s: number, whole: number, d4: number, nTerms: number, out: number): void;
}

/**
 * The part of the platform's WebAssembly that is used here (its types come with the browser's, which this library is
 * not compiled with).
 */
declare const WebAssembly: {
  readonly Memory: new (limits: { readonly initial: number }) => {
    readonly buffer: ArrayBuffer;
    grow(pages: number): number;
  };
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: Record<string, Record<string, unknown>>,
  ) => { readonly exports: unknown };
};

const PAGE = 65536;
const memory = new WebAssembly.Memory({ initial: 16 });
const kernel = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(join(__dirname, "kernel.wasm"))), {
  env: { memory },
}).exports as KernelExports;

/** Puts the job's wholes into memory from `address` on: blocks of four rows interleaved, then single rows. */
function prepareWholes(job: AttentionJob, d4: number, scratch: number, address: number, nBlocks: number): void {
  const { dModel, positions } = job;
  const y = new Float32Array(memory.buffer, scratch, d4);
  y.fill(0);
  positions.forEach((position, row) => {
    y.set(job.whole.subarray(position * dModel, (position + 1) * dModel));
    if (row < nBlocks * 4) kernel.prepare(scratch, d4, address + (row >> 2) * d4 * 32 + (row & 3) * 32, 128);
    else kernel.prepare(scratch, d4, address + row * d4 * 8, 32);
  });
}

function copyValues(job: AttentionJob, d4: number, address: number, begin: number, end: number): void {
  const { dModel, nHeads, valueOut, valueBiasOut } = job;
  const target = new Float32Array(memory.buffer, address, (end - begin) * d4);
  if (d4 === dModel && !valueBiasOut) {
    target.set(valueOut.subarray(begin * dModel, end * dModel));
    return;
  }
  target.fill(0);
  for (let j = begin; j < end; j++) {
    const at = (j - begin) * d4;
    target.set(valueOut.subarray(j * dModel, (j + 1) * dModel), at);
    if (valueBiasOut) {
      const from = (j % nHeads) * dModel;
      for (let i = 0; i < dModel; i++) target[at + i] += valueBiasOut[from + i];
    }
  }
}

/** Factors of terms begin..end at one query into every `step`-th slot; 0 for keys after the query. */
function copyFactors(
  job: AttentionJob,
  position: number,
  begin: number,
  end: number,
  target: Float32Array,
  lane: number,
  step: number,
): void {
  const { nTokens, nHeads, pattern, termScale } = job;
  const scale = termScale ? termScale[position] : 1;
  const past = Math.min(end, (position + 1) * nHeads);
  let key = Math.floor(begin / nHeads);
  let head = begin - key * nHeads;
  let slot = lane;
  for (let j = begin; j < end; j++, slot += step) {
    target[slot] = j < past ? pattern[(head * nTokens + position) * nTokens + key] * scale : 0;
    if (++head === nHeads) {
      head = 0;
      key++;
    }
  }
}

/** Start of each position's row in `terms`. */
function rowOffsets(job: AttentionJob): Float64Array {
  const offsets = new Float64Array(job.positions.length);
  let at = 0;
  job.positions.forEach((position, row) => {
    offsets[row] = at;
    at += (position + 1) * job.nHeads;
  });
  return offsets;
}

/** The parts that are no terms, then the division that makes each row's parts sum to 1. */
function finish(job: AttentionJob): void {
  const { dModel, nHeads, positions, terms, others, termScale } = job;
  const offsets = rowOffsets(job);
  positions.forEach((position, row) => {
    const at = position * dModel;
    const residual = Math.max(proximity(job.residual, at, job.whole, at, dModel), EPSILON);
    const bias = job.rest
      ? Math.max(proximity(job.rest, at, job.whole, at, dModel), EPSILON)
      : job.bias
        ? Math.max(proximity(job.bias, 0, job.whole, at, dModel, termScale ? termScale[position] : 1), EPSILON)
        : 0;
    const ffn = job.ffn ? Math.max(proximity(job.ffn, at, job.whole, at, dModel), EPSILON) : 0;
    const begin = offsets[row];
    const end = begin + (position + 1) * nHeads;
    let sum = residual + bias + ffn;
    for (let j = begin; j < end; j++) sum += terms[j] > EPSILON ? terms[j] : EPSILON;
    for (let j = begin; j < end; j++) terms[j] = (terms[j] > EPSILON ? terms[j] : EPSILON) / sum;
    others[row * 3] = residual / sum;
    others[row * 3 + 1] = bias / sum;
    others[row * 3 + 2] = ffn / sum;
  });
}

/** Works on the job until no chunk is left; true where this thread did the last one. */
function work(job: AttentionJob): boolean {
  const { nHeads, positions, terms, control, chunkTerms } = job;
  const d4 = (job.dModel + 3) & ~3;
  const nRows = positions.length;
  // One row left over has its own loop; two or three are cheaper in a block with empty lanes.
  const nBlocks = nRows % 4 === 1 ? (nRows - 1) / 4 : Math.ceil(nRows / 4);
  const nSingles = nRows - Math.min(nRows, nBlocks * 4);
  const nTerms = (positions[nRows - 1] + 1) * nHeads;
  const nChunks = Math.ceil(nTerms / chunkTerms);

  // The module's own memory ends below 1024; every area starts at a multiple of 16.
  const valuesAt = 1024;
  const factorsAt = valuesAt + chunkTerms * d4 * 4;
  const resultsAt = factorsAt + chunkTerms * 16;
  const scratchAt = resultsAt + chunkTerms * 16;
  const wholesAt = scratchAt + d4 * 4;
  const end = wholesAt + (nBlocks * 4 + nSingles) * d4 * 8;
  const missing = Math.ceil(end / PAGE) - memory.buffer.byteLength / PAGE;
  if (missing > 0) memory.grow(missing);

  const offsets = rowOffsets(job);
  let prepared = false;
  for (;;) {
    const chunk = Atomics.add(control, CONTROL.nextChunk, 1);
    if (chunk >= nChunks) return false;
    if (Atomics.load(control, CONTROL.cancelled) === 0) {
      if (!prepared) {
        prepareWholes(job, d4, scratchAt, wholesAt, nBlocks);
        prepared = true;
      }
      const begin = chunk * chunkTerms;
      const stop = Math.min(begin + chunkTerms, nTerms);
      copyValues(job, d4, valuesAt, begin, stop);
      const factors = new Float32Array(memory.buffer, factorsAt, chunkTerms * 4);
      const results = new Float32Array(memory.buffer, resultsAt, chunkTerms * 4);
      for (let block = 0; block < nBlocks; block++) {
        const rows = Math.min(4, nRows - block * 4);
        // Positions ascend: the block's last row sees the most keys.
        const reach = Math.min(stop, (positions[block * 4 + rows - 1] + 1) * nHeads);
        if (reach <= begin) continue;
        if (rows < 4) factors.fill(0, 0, (reach - begin) * 4);
        for (let lane = 0; lane < rows; lane++)
          copyFactors(job, positions[block * 4 + lane], begin, reach, factors, lane, 4);
        kernel.proximity4(valuesAt, factorsAt, wholesAt + block * d4 * 32, d4, reach - begin, resultsAt);
        for (let lane = 0; lane < rows; lane++) {
          const row = block * 4 + lane;
          const past = Math.min(reach, (positions[row] + 1) * nHeads);
          let at = offsets[row] + begin;
          for (let j = begin, slot = lane; j < past; j++, slot += 4) terms[at++] = results[slot];
        }
      }
      if (nSingles > 0) {
        const row = nRows - 1;
        copyFactors(job, positions[row], begin, stop, factors, 0, 1);
        kernel.proximity1(valuesAt, factorsAt, wholesAt + row * d4 * 8, d4, stop - begin, resultsAt);
        terms.set(results.subarray(0, stop - begin), offsets[row] + begin);
      }
    }
    if (Atomics.sub(control, CONTROL.chunksLeft, 1) === 1) return true;
  }
}

const port = parentPort;
if (!port) throw new Error("This file is a worker thread's: it is started by pool.ts.");
const reclaimer = new Reclaimer(64 << 20);
port.on("message", (job: AttentionJob) => {
  for (const value of Object.values(job) as unknown[]) if (ArrayBuffer.isView(value)) reclaimer.note(value.byteLength);
  try {
    if (!work(job)) return;
    if (Atomics.load(job.control, CONTROL.cancelled) === 0) finish(job);
    port.postMessage({ id: job.id } satisfies JobAnswer);
  } catch (error) {
    port.postMessage({ id: job.id, error: error instanceof Error ? error.message : String(error) } satisfies JobAnswer);
  }
});
