// Levels of a group of columns: their first choice, with feedback inside the group, and a sweep.
//
//   l(x) = 2 floor(x / 2) + 1, at most 2^p - 1 in size                            Eq. (77), subbit
//   q_i = r c_i l(w_i / (r c_i)),  e_i = (w_i - q_i) / U_ii                        Eq. (87), subbit
//   t_i = l_i + P_i / (r c_i H_ii),  P <- P - delta H                    Eqs. (83) and (84), subbit
//
// With `large` > 0 the `large` largest |x| of each 16 columns are at +-3 and the others at +-1, the
// last k % 16 columns among them. They are chosen at the first of the 16, from the row as the
// columns before have left it; in a sweep all 16 at once, by rows whose error falls.     Eq. (85)
//
// Layout   W (n, k) float32, overwritten: weights, in a sweep P = D H at the group's columns; U, H
//          (k, k); r (n), c (k) scales; levels (n, k) signed bytes. Rows do not meet: one warp a
//          row, 8 rows a block, the row in HELD registers of each lane. A byte is its lane's affair.
// Traffic  a weight reads 4 bytes and writes 5; U and H are read once a row, from cache.
// Sums     a weight takes part in up to k fused steps, in a sweep 2 k: depth p = k, 2 k. The change
//          of a row's error adds 16 products in a chain, then a butterfly of 5.
// Budget   up to 56 registers, no shared memory.

#define SPAN 16

__device__ inline float quotient(float value, float scale) {
  return scale != 0.0f ? value / scale : 0.0f;
}

__device__ inline float nearest(float x, float top) {
  return fminf(fmaxf(2.0f * floorf(0.5f * x) + 1.0f, -top), top);
}

extern "C" __global__ void level_codes(float* W, const float* U, const float* rows, const float* c,
                                       int n, int k, int large, float top, signed char* levels) {
  const int row = row_of();
  if (row >= n) return;
  Row x(W, row, k);
  signed char* const own = levels + (size_t)row * k;
  const float s = rows[row];
  const auto scores = [&](int t) {
    return x.inside(t) ? fabsf(quotient(x.at(t), s * c[x.lane + WARP * t])) : 0.0f;
  };
  column_loop(x, U, [&](int i, int owner, float value) {
    if (large > 0 && i % SPAN == 0) {
#pragma unroll
      for (int r = 0; r < TILES; ++r) {
        if (WARP * r > i || WARP * (r + 1) <= i) continue;
        const int j = x.lane + WARP * r;
        const int rank = i + SPAN > k ? large : before(x, scores, r, i, i + SPAN);
        if (j >= i && j < min(i + SPAN, k)) own[j] = rank < large ? 3 : 1;
      }
    }
    const float scale = s * c[i], q = quotient(value, scale);
    float level = nearest(q, top);
    if (large > 0) {
      const int size = __shfl_sync(ALL_LANES, x.lane == owner ? own[i] : 0, owner);
      level = q < 0.0f ? -size : size;
    }
    if (x.lane == owner) own[i] = (signed char)level;
    return scale * level;
  });
}

// One column's move by `delta`: P <- P - delta H_i.
__device__ inline void follow(Row& P, const float* H, int i, float delta) {
  const int k = P.k;
#pragma unroll
  for (int r = 0; r < TILES; ++r)
    if (P.inside(r)) P.at(r) = fmaf(-delta, H[(size_t)i * k + P.lane + WARP * r], P.at(r));
}

extern "C" __global__ void sweep_levels(float* W, const float* H, const float* rows, const float* c,
                                        int n, int k, int large, float top, signed char* levels) {
  const int row = row_of();
  if (row >= n) return;
  Row P(W, row, k);
  signed char* const own = levels + (size_t)row * k;
  const float s = rows[row];
  // What the lane's column of tile t would be without levels.
  const auto target = [&](int t) {
    const int j = P.lane + WARP * t;
    return j < k ? own[j] + quotient(P.at(t), s * c[j]) / H[(size_t)j * k + j] : 0.0f;
  };
  const auto scores = [&](int t) { return fabsf(target(t)); };
#pragma unroll
  for (int t = 0; t < TILES; ++t) {
    for (int half = 0; half < WARP / SPAN; ++half) {
      const int i = WARP * t + SPAN * half;
      if (large == 0 || i + SPAN > k) break;
      const int j = P.lane + WARP * t;
      const bool inside = j >= i && j < i + SPAN;
      const int size = before(P, scores, t, i, i + SPAN) < large ? 3 : 1;
      const int level = target(t) < 0.0f ? -size : size;
      const float delta = inside ? s * c[j] * (float)(level - own[j]) : 0.0f;
      float moved = 0.0f;
#pragma unroll 1
      for (int l = 0; l < SPAN; ++l) {
        const float other = __shfl_sync(ALL_LANES, delta, i % WARP + l);
        if (inside) moved = fmaf(other, H[(size_t)(i + l) * k + j], moved);
      }
      const float change = warp_sum(inside ? (moved - 2.0f * P.at(t)) * delta : 0.0f);
      if (!(change < 0.0f)) continue;
      if (inside) own[j] = level;
#pragma unroll 1
      for (int l = 0; l < SPAN; ++l)
        follow(P, H, i + l, __shfl_sync(ALL_LANES, delta, i % WARP + l));
    }
  }
#pragma unroll
  for (int t = 0; t < TILES; ++t) {
    for (int owner = 0; owner < WARP && WARP * t + owner < k; ++owner) {
      const int i = WARP * t + owner;
      const int old = __shfl_sync(ALL_LANES, P.lane == owner ? own[i] : 0, owner);
      const float scale = s * c[i], p = __shfl_sync(ALL_LANES, P.or_zero(t), owner);
      const float x = old + quotient(p, scale) / H[(size_t)i * k + i];
      const int size = abs(old), signed_size = x < 0.0f ? -size : size;
      const int level = large > 0 ? signed_size : (int)nearest(x, top);
      if (P.lane == owner) own[i] = level;
      follow(P, H, i, scale * (float)(level - old));
    }
  }
}
