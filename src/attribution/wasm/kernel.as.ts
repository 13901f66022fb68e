/**
 * The inner loops of the attention contributions, AssemblyScript with SIMD. Memory is laid out by `../worker.ts`.
 *
 * For a part `z = s·v` of a whole y: `Σ_i min(σ_i s v_i, 2|y_i| − σ_i s v_i)`, σ = sign of y, which is `‖y‖₁ − ‖y −
 * z‖₁` without subtracting large sums. `d4` is d rounded up to a multiple of 4; the padding is zero and adds zero.
 */

/**
 * Writes for one whole: at `out`, per 4 values, the vector 2|y| and the sign bits of y; `stride` bytes from one pair to
 * the next. So four wholes interleave: row r starts at `out + 32 r` with a stride of 128.
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
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

/**
 * Proximities of `nTerms` parts to four wholes. `v`: [nTerms, d4]; `s`: [nTerms, 4], the factor of each part in each of
 * the four wholes (not negative); `wholes`: four interleaved by `prepare`; `out`: [nTerms, 4].
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
      let a0 = zero,
        a1 = zero,
        a2 = zero,
        a3 = zero;
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

/**
 * The same for a single whole: `s`: [nTerms]; `whole`: one, by `prepare` with a stride of 32; `out`: [nTerms]. Four
 * terms at a time, each added up in the order of `proximity4`: a row's numbers do not depend on which rows are asked
 * for with it.
 */
export function proximity1(v: usize, s: usize, whole: usize, d4: i32, nTerms: i32, out: usize): void {
  const zero = f32x4.splat(0);
  const bytes = (<usize>d4) << 2;
  let j = 0;
  for (; j + 4 <= nTerms; j += 4) {
    const factors = v128.load(s);
    if (!v128.any_true(factors)) {
      v128.store(out, zero);
    } else {
      const s0 = f32x4.splat(f32x4.extract_lane(factors, 0));
      const s1 = f32x4.splat(f32x4.extract_lane(factors, 1));
      const s2 = f32x4.splat(f32x4.extract_lane(factors, 2));
      const s3 = f32x4.splat(f32x4.extract_lane(factors, 3));
      let a0 = zero,
        a1 = zero,
        a2 = zero,
        a3 = zero;
      let w = whole;
      let v0 = v;
      let v1 = v0 + bytes;
      let v2 = v1 + bytes;
      let v3 = v2 + bytes;
      const end = v1;
      while (v0 < end) {
        const double = v128.load(w);
        const sign = v128.load(w, 16);
        const z0 = f32x4.mul(s0, v128.xor(v128.load(v0), sign));
        a0 = f32x4.add(a0, f32x4.pmin(z0, f32x4.sub(double, z0)));
        const z1 = f32x4.mul(s1, v128.xor(v128.load(v1), sign));
        a1 = f32x4.add(a1, f32x4.pmin(z1, f32x4.sub(double, z1)));
        const z2 = f32x4.mul(s2, v128.xor(v128.load(v2), sign));
        a2 = f32x4.add(a2, f32x4.pmin(z2, f32x4.sub(double, z2)));
        const z3 = f32x4.mul(s3, v128.xor(v128.load(v3), sign));
        a3 = f32x4.add(a3, f32x4.pmin(z3, f32x4.sub(double, z3)));
        v0 += 16;
        v1 += 16;
        v2 += 16;
        v3 += 16;
        w += 32;
      }
      f32.store(out, sum(a0));
      f32.store(out, sum(a1), 4);
      f32.store(out, sum(a2), 8);
      f32.store(out, sum(a3), 12);
    }
    v += bytes << 2;
    s += 16;
    out += 16;
  }
  for (; j < nTerms; j++) {
    const factor = f32x4.splat(f32.load(s));
    let a = zero;
    let w = whole;
    const end = v + bytes;
    while (v < end) {
      const z = f32x4.mul(factor, v128.xor(v128.load(v), v128.load(w, 16)));
      a = f32x4.add(a, f32x4.pmin(z, f32x4.sub(v128.load(w), z)));
      v += 16;
      w += 32;
    }
    f32.store(out, sum(a));
    s += 4;
    out += 4;
  }
}
