/** What a stored number type is to its readers, and float16, in which most of them keep scales. */

/** One stored type: blocks of `block` values, each `bytes` long. `decode` writes `blocks * block` values at `to`. */
export interface StoredType {
  readonly block: number;
  readonly bytes: number;
  decode(from: Uint8Array, blocks: number, target: Float32Array, to: number): void;
}

let halfTable: Float32Array | undefined;

/** `[65536]`: the value of every float16 bit pattern. */
export function halfValues(): Float32Array {
  if (halfTable === undefined) {
    halfTable = new Float32Array(65536);
    for (let bits = 0; bits < 65536; bits++) {
      const exponent = (bits >> 10) & 31;
      const fraction = bits & 1023;
      const magnitude =
        exponent === 0
          ? fraction * 2 ** -24
          : exponent === 31
            ? fraction === 0
              ? Infinity
              : NaN
            : (1 + fraction / 1024) * 2 ** (exponent - 15);
      halfTable[bits] = bits & 0x8000 ? -magnitude : magnitude;
    }
  }
  return halfTable;
}

/** Reads the float16 at byte `p`. */
export function halfAt(half: Float32Array, from: Uint8Array, p: number): number {
  return half[from[p] | (from[p + 1] << 8)];
}
