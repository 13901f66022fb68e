/**
 * The frame of every fuzzer: saved inputs first, then N new ones from a seed. `npm run fuzz -- TARGET N [SEED]` runs
 * many; in `npm test` each target runs its short number. A finding is written to test/.artifacts/fuzz/TARGET and named
 * by its seed; once understood, its input is kept in test/fuzz/saved/TARGET and is tried first for ever after.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Random numbers from a 32-bit seed (mulberry32): the same on every machine. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
  /** A whole number in [from, to). */
  int(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from));
  }
  pick<T>(values: readonly T[]): T {
    return values[this.int(0, values.length)];
  }
  chance(probability: number): boolean {
    return this.next() < probability;
  }
}

/**
 * Bytes with one to eight small damages: flips, cuts, repeated and moved stretches, numbers that are typical of
 * trouble.
 */
export function damaged(bytes: Uint8Array, random: Random): Buffer {
  let result = Buffer.from(bytes);
  for (let n = random.int(1, 9); n > 0 && result.length > 0; n--) {
    const at = random.int(0, result.length);
    const length = Math.min(random.int(1, 33), result.length - at);
    switch (random.int(0, 7)) {
      case 0:
        result[at] ^= 1 << random.int(0, 8);
        break;
      case 1:
        result[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, 0x22, 0x5b, 0x7b, 0x0a]);
        break;
      case 2:
        result = Buffer.from(result.subarray(0, at));
        break;
      case 3:
        result = Buffer.concat([result.subarray(0, at), result.subarray(at + length)]);
        break;
      case 4:
        result = Buffer.concat([result.subarray(0, at + length), result.subarray(at)]);
        break;
      case 5:
        if (at + 8 <= result.length)
          result.writeBigUInt64LE(
            random.pick([0n, 1n, 0xffffffffn, 0x7fffffffffffffffn, 0xffffffffffffffffn, 1000000000n]),
            at,
          );
        break;
      default:
        if (at + 4 <= result.length)
          result.writeUInt32LE(random.pick([0, 1, 0xff, 0xffff, 0x7fffffff, 0xffffffff]), at);
    }
  }
  return result;
}

/** Characters and texts that have been trouble somewhere. */
export const NASTY = [
  "",
  " ",
  "\0",
  "\ufeff",
  "\ufffd",
  "\ud800",
  "\udc00x",
  "é",
  "e\u0301",
  "日本",
  "👩‍👩‍👧",
  "\u202e",
  "\u2028",
  "\r",
  "\r\n",
  "\t",
  "</script>",
  "<!--",
  "]]>",
  "&amp;",
  "\\",
  "..",
  "../..",
  "%00",
  "%E0%A4%A",
  "__proto__",
  "constructor",
  "NaN",
  "-0",
  "1e999",
  "\x1b[31m",
] as const;

/**
 * A JSON value with some of its parts replaced: wrong kinds, huge and negative numbers, nasty texts, missing and
 * repeated members.
 */
export function damagedJson(value: unknown, random: Random, probability = 0.05): unknown {
  if (random.chance(probability)) {
    return random.pick<() => unknown>([
      () => null,
      () => true,
      () => -1,
      () => 0,
      () => 1e9,
      () => 2 ** 53,
      () => 1e308,
      () => 0.5,
      () => random.pick(NASTY),
      () => "x".repeat(random.int(0, 5000)),
      () => [],
      () => ({}),
      () => [value],
      () => ({ value }),
      () => [[[[[value]]]]],
    ])();
  }
  if (Array.isArray(value))
    return value
      .flatMap((entry) => (random.chance(probability / 2) ? (random.chance(0.5) ? [] : [entry, entry]) : [entry]))
      .map((entry) => damagedJson(entry, random, probability));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value)
        .filter(() => !random.chance(probability / 2))
        .map(([key, entry]) => [
          random.chance(probability / 4) ? random.pick(NASTY) : key,
          damagedJson(entry, random, probability),
        ]),
    );
  }
  return value;
}

export interface Fuzzer {
  /** One of the targets of `npm run fuzz`. */
  readonly target: string;
  /** Inputs of the short run. */
  readonly runs: number;
  /** The next input, from these random numbers alone. */
  readonly generate: (random: Random) => Uint8Array;
  /**
   * Tries one input. "accepted": it was of use; "refused": it was turned away with one sentence (check that it is one,
   * of the documented class). Anything else throws, and is a finding.
   */
  readonly check: (input: Buffer) => Promise<"accepted" | "refused"> | "accepted" | "refused";
  /** An input that takes longer than this many ms is a finding. */
  readonly slowMs?: number;
  /** Memory of the process may grow by this many MB over all inputs. */
  readonly growthMb?: number;
  /** Resident memory in bytes, where it is another process that is tried. */
  readonly resident?: () => number;
}

/** The one sentence that every refusal is: not empty, one line, no stack, ends like a sentence. */
export function isSentence(error: unknown): error is Error {
  return (
    error instanceof Error &&
    error.message.length > 10 &&
    !error.message.includes("\n") &&
    /[.…!?)"]$/.test(error.message)
  );
}

const SAVED = join(__dirname, "saved");
const FOUND = join(__dirname, "../.artifacts/fuzz");

/** Declares the test of one fuzzer. */
export function fuzz(fuzzer: Fuzzer): void {
  const { target, generate, check, slowMs = 5000, growthMb = 600, resident = () => process.memoryUsage().rss } = fuzzer;
  const runs = Number(process.env.LM_TRANSPARENCY_FUZZ_RUNS ?? fuzzer.runs);
  const first = Number(process.env.LM_TRANSPARENCY_FUZZ_SEED ?? 1);
  const saved = existsSync(join(SAVED, target)) ? readdirSync(join(SAVED, target)).sort() : [];

  async function tryOne(input: Buffer, name: string): Promise<{ outcome: string; ms: number }> {
    const start = performance.now();
    try {
      const outcome = await check(Buffer.from(input));
      const ms = performance.now() - start;
      if (ms > slowMs) throw new Error(`took ${ms.toFixed(0)} ms, allowed are ${slowMs}`);
      return { outcome, ms };
    } catch (error) {
      mkdirSync(join(FOUND, target), { recursive: true });
      const file = join(FOUND, target, name);
      writeFileSync(file, input);
      throw new Error(
        `${target}, input ${name} (kept in ${file}): ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      );
    }
  }

  describe(`fuzz ${target}`, () => {
    test.each(saved.length > 0 ? saved : [undefined])(
      "saved input %s",
      async (name) => {
        if (name !== undefined) await tryOne(readFileSync(join(SAVED, target, name)), name);
      },
      120_000,
    );

    test(
      `${runs} inputs from seed ${first}`,
      async () => {
        const counts = { accepted: 0, refused: 0, slowest: 0 };
        const before = resident();
        const start = performance.now();
        for (let seed = first; seed < first + runs; seed++) {
          const { outcome, ms } = await tryOne(Buffer.from(generate(new Random(seed))), `seed-${seed}`);
          counts[outcome as "accepted" | "refused"]++;
          counts.slowest = Math.max(counts.slowest, ms);
          // Native code and jest's own hooks get their turn.
          if (seed % 64 === 0) await new Promise((done) => setImmediate(done));
        }
        const growth = (resident() - before) / 2 ** 20;
        const figures = `${target}: ${runs} inputs, ${counts.accepted} accepted, ${counts.refused} refused in a sentence, slowest ${counts.slowest.toFixed(0)} ms, memory +${growth.toFixed(0)} MB, ${((performance.now() - start) / 1000).toFixed(0)} s`;
        if (process.env.LM_TRANSPARENCY_FUZZ_FIGURES)
          appendFileSync(process.env.LM_TRANSPARENCY_FUZZ_FIGURES, `${figures}\n`);
        expect(growth).toBeLessThan(growthMb);
      },
      Number(process.env.LM_TRANSPARENCY_FUZZ_LIMIT_MS ?? 120_000),
    );
  });
}
