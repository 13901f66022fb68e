/**
 * The inner loops of the attention contributions, AssemblyScript with SIMD. Memory is laid out by `../worker.ts`.
 *
 * For a part `z = s·v` of a whole y: `Σ_i min(σ_i s v_i, 2|y_i| − σ_i s v_i)`, σ = sign of y, which is `‖y‖₁ − ‖y − z‖₁`
 * without subtracting large sums. `d4` is d rounded up to a multiple of 4; the padding is zero and adds zero.
 */

/**
 * Writes for one whole: at `out`, per 4 values, the vector 2|y| and the sign bits of y; `stride` bytes from one pair to the
 * next. So four wholes interleave: row r starts at `out + 32 r` with a stride of 128.
 */
export function prepare(y: usize, d4: i32, out: usize, stride: usize): void {
  const signBit = i32x4.splat(0x80000000);
  for (let i = 0; i < d4; i += 4) {
    const v = v128.load(y);
    const magnitude = f32x4.abs(v);
    v128.store(out, f32x4.add(magnitude, magnitude));
    v128.store(out, v128.and(v, signBit), 16);
    y += 16;
    out += stride;
  }
}

function sum(v: v128): f32 {
  return (f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

/**
 * Proximities of `nTerms` parts to four wholes. `v`: [nTerms, d4]; `s`: [nTerms, 4], the factor of each part in each of the
 * four wholes (not negative); `wholes`: four interleaved by `prepare`; `out`: [nTerms, 4].
 */
export function proximity4(v: usize, s: usize, wholes: usize, d4: i32, nTerms: i32, out: usize): void {
  const zero = f32x4.splat(0);
  const bytes = (<usize>d4) << 2;
  for (let j = 0; j < nTerms; j++) {
    const factors = v128.load(s);
    if (!v128.any_true(factors)) {
      v128.store(out, zero);
      v += bytes;
    } else {
      const s0 = f32x4.splat(f32x4.extract_lane(factors, 0));
      const s1 = f32x4.splat(f32x4.extract_lane(factors, 1));
      const s2 = f32x4.splat(f32x4.extract_lane(factors, 2));
      const s3 = f32x4.splat(f32x4.extract_lane(factors, 3));
      let a0 = zero, a1 = zero, a2 = zero, a3 = zero;
      let w = wholes;
      const end = v + bytes;
      while (v < end) {
        const x = v128.load(v);
        const z0 = f32x4.mul(s0, v128.xor(x, v128.load(w, 16)));
        a0 = f32x4.add(a0, f32x4.pmin(z0, f32x4.sub(v128.load(w), z0)));
        const z1 = f32x4.mul(s1, v128.xor(x, v128.load(w, 48)));
        a1 = f32x4.add(a1, f32x4.pmin(z1, f32x4.sub(v128.load(w, 32), z1)));
        const z2 = f32x4.mul(s2, v128.xor(x, v128.load(w, 80)));
        a2 = f32x4.add(a2, f32x4.pmin(z2, f32x4.sub(v128.load(w, 64), z2)));
        const z3 = f32x4.mul(s3, v128.xor(x, v128.load(w, 112)));
        a3 = f32x4.add(a3, f32x4.pmin(z3, f32x4.sub(v128.load(w, 96), z3)));
        v += 16;
        w += 128;
      }
      f32.store(out, sum(a0));
      f32.store(out, sum(a1), 4);
      f32.store(out, sum(a2), 8);
      f32.store(out, sum(a3), 12);
    }
    s += 16;
    out += 16;
  }
}

/** The same for a single whole: `s`: [nTerms]; `whole`: one, by `prepare` with a stride of 32; `out`: [nTerms]. */
export function proximity1(v: usize, s: usize, whole: usize, d4: i32, nTerms: i32, out: usize): void {
  const zero = f32x4.splat(0);
  const bytes = (<usize>d4) << 2;
  for (let j = 0; j < nTerms; j++) {
    const factor = f32.load(s);
    const end = v + bytes;
    if (factor == 0) {
      f32.store(out, 0);
      v = end;
    } else {
      const s0 = f32x4.splat(factor);
      let a = zero, b = zero;
      let w = whole;
      const pairsEnd = v + (bytes & ~31);
      while (v < pairsEnd) {
        const z0 = f32x4.mul(s0, v128.xor(v128.load(v), v128.load(w, 16)));
        a = f32x4.add(a, f32x4.pmin(z0, f32x4.sub(v128.load(w), z0)));
        const z1 = f32x4.mul(s0, v128.xor(v128.load(v, 16), v128.load(w, 48)));
        b = f32x4.add(b, f32x4.pmin(z1, f32x4.sub(v128.load(w, 32), z1)));
        v += 32;
        w += 64;
      }
      if (v < end) {
        const z0 = f32x4.mul(s0, v128.xor(v128.load(v), v128.load(w, 16)));
        a = f32x4.add(a, f32x4.pmin(z0, f32x4.sub(v128.load(w), z0)));
        v = end;
      }
      f32.store(out, sum(f32x4.add(a, b)));
    }
    s += 4;
    out += 4;
  }
}
