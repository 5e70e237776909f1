// One pass over a group with row and column scales: r of plane PLANE, and slab sums for its c.
//
//   r_i = sum_j c_j B W' / sum_j c_j^2 B^2,  W' = W - other plane       Eq. (13), ARB-LLM
//   c_j = sum_i r_i B W' / sum_i r_i^2 B^2                               Eq. (13), ARB-LLM
//   start: r_i = mean_j |W'|,  c_j = mean_i |W'| / r_i,  B = sign(W')    Eq. (12), ARB-LLM
//   B = sign(W), or the nearest of +-r c +- r c                          Eq. (8), ARB-LLM
//
// Layout   W (n, k) float32; group (n, k) bytes, an entry belongs where group = which; rows
//          (ORDERS, n), columns (ORDERS, k), signs (ORDERS, n, k), image (n, k); sums (2, slabs, k)
//          of numerators and denominators. A block a slab of 32 rows, a warp 4 of them, one after
//          the other, HELD columns in each lane. `steps` says what the pass does: choose signs,
//          fit r, sum for c with the new r, write the image. A second launch adds the slabs.
// Traffic  a weight reads 5 + ORDERS bytes, and writes ORDERS where signs change, 4 in the last
//          pass; a warp reads the column scales once, from cache. Wider rows (HELD 0) read once
//          more for each of these steps.
// Sums     r: depth p = ceil(k / 32) + 4. c: 4 rows of a warp, a tree of 3 levels, slabs in order:
//          depth p = 7 + ceil(n / 32), whatever the launch.
// Budget   up to 80 registers; 8 KB of shared memory.
//
// Squares of row scales are summed, so entries are worked on as multiples of `unit`, a power of two
// near the largest. Rows smaller than 2^-63 of that have no say in column scales.

// SIGNS, START, ROWS, COLUMNS and IMAGE are bits of `steps`, defined by the launches.
#define SLAB 32
#define WARPS (BLOCK / WARP)

#if HELD
#define SPAN HELD
#else
#define SPAN 1
#endif

struct Columns {
#if HELD
  float c[ORDERS][HELD];
  __device__ inline Columns(const float* columns, int k) {
#pragma unroll
    for (int p = 0; p < ORDERS; ++p)
#pragma unroll
      for (int t = 0; t < HELD; ++t) {
        const int j = lane_of() + WARP * t;
        c[p][t] = j < k ? columns[p * k + j] : 0.0f;
      }
  }
  __device__ inline float operator()(int p, int t) const { return c[p][t]; }
#else
  const float* c;
  int k;
  __device__ inline Columns(const float* columns, int width) : c(columns), k(width) {}
  __device__ inline float operator()(int p, int t) const { return c[p * k + lane_of() + WARP * t]; }
#endif
};

struct Scaled : Row {
  float r[ORDERS];

  using Row::Row;

  __device__ inline void load(const float* rows, int row, int n) {
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) r[p] = rows[(size_t)p * n + row] * unit;
  }

  // What planes before `orders` leave, but for plane `without`.
  __device__ inline float rest(const Columns& c, int t, int orders, int without) const {
    float left = entry(t);
#pragma unroll
    for (int p = 0; p < ORDERS; ++p)
      if (p < orders && p != without) left -= r[p] * c(p, t) * sign(p, t);
    return left;
  }

  __device__ inline void refine_signs(const Columns& c, float zero) {
#pragma unroll
    for (int t = 0; t < TILES; ++t) {
      if (!belongs(t)) continue;
#if ORDERS == 1
      set_sign(0, t, sign_of(entry(t), zero));
#else
      float first, second;
      nearest_level(entry(t), r[0] * c(0, t), r[1] * c(1, t), first, second);
      set_sign(0, t, first);
      set_sign(1, t, second);
#endif
    }
  }

  __device__ inline float start(const Columns& c, float zero) {
    float total = 0.0f;
#pragma unroll
    for (int t = 0; t < TILES; ++t) {
      if (!belongs(t)) continue;
      const float left = rest(c, t, PLANE, ORDERS);
      total += fabsf(left);
      set_sign(PLANE, t, sign_of(left, zero));
    }
    return warp_sum(total) / fmaxf(size(), 1.0f);
  }

  __device__ inline float fit(const Columns& c, float eps) const {
    float numerator = 0.0f, denominator = 0.0f;
#pragma unroll
    for (int t = 0; t < TILES; ++t) {
      if (!belongs(t)) continue;
      const float signed_scale = c(PLANE, t) * sign(PLANE, t);
      numerator += signed_scale * rest(c, t, ORDERS, PLANE);
      denominator += signed_scale * signed_scale;
    }
    return quotient(warp_sum(numerator), warp_sum(denominator) + eps, 0.0f, r[PLANE]);
  }

  // The terms of column 32 t + lane in the sums for c.
  __device__ inline void add_terms(const Columns& c, int t, bool starting, float& numerator,
                                   float& denominator) const {
    if (!belongs(t)) return;
    if (starting) {
      if (r[PLANE] > 0.0f) {
        numerator += fabsf(rest(c, t, PLANE, ORDERS)) / r[PLANE];
        denominator += 1.0f;
      }
    } else {
      const float signed_scale = r[PLANE] * sign(PLANE, t);
      numerator += signed_scale * rest(c, t, ORDERS, PLANE);
      denominator += signed_scale * signed_scale;
    }
  }
};

// Adds what the warps of a block have for SPAN times 32 columns from `first`.
__device__ inline void add_warps(const float* numerator, const float* denominator, int first, int k,
                                 float* sums) {
  __shared__ float part[2][WARPS][SPAN * WARP];
  const int warp = threadIdx.x / WARP, lane = lane_of();
#pragma unroll
  for (int t = 0; t < SPAN; ++t) {
    part[0][warp][lane + WARP * t] = numerator[t];
    part[1][warp][lane + WARP * t] = denominator[t];
  }
  __syncthreads();
  for (int half = WARPS / 2; half > 0; half /= 2) {
    if (warp < half) {
#pragma unroll
      for (int t = 0; t < SPAN; ++t) {
        part[0][warp][lane + WARP * t] += part[0][warp + half][lane + WARP * t];
        part[1][warp][lane + WARP * t] += part[1][warp + half][lane + WARP * t];
      }
    }
    __syncthreads();
  }
  if (warp) return;
#pragma unroll
  for (int t = 0; t < SPAN; ++t) {
    const int j = first + lane + WARP * t;
    if (j >= k) continue;
    sums[(size_t)blockIdx.x * k + j] = part[0][0][lane + WARP * t];
    sums[((size_t)gridDim.x + blockIdx.x) * k + j] = part[1][0][lane + WARP * t];
  }
}

extern "C" __global__ void __launch_bounds__(BLOCK, 3)
    rc_pass(const float* W, const unsigned char* group, int which, int n, int k, int steps,
            float zero, const float* eps, const float* unit, float* rows, const float* columns,
            signed char* signs, float* sums, float* image) {
  const float down = unit[0], up = unit[1], added = *eps;
  const int first = blockIdx.x * SLAB + threadIdx.x / WARP, last = min(blockIdx.x * SLAB + SLAB, n);
  const int known = steps & START ? PLANE : ORDERS;
  const Columns c(columns, k);
  float numerator[SPAN] = {}, denominator[SPAN] = {};
#pragma unroll 1
  for (int row = first; row < last; row += WARPS) {
    Scaled s(W, group, which, row, n, k, signs, known, down);
    s.load(rows, row, n);
    if (steps & SIGNS) s.refine_signs(c, zero);
    if (steps & (START | ROWS)) {
      // Kept as it is stored, so that fused passes and half steps see the same bits.
      const float fitted = (steps & START ? s.start(c, zero) : s.fit(c, added)) * up;
      s.r[PLANE] = fitted * down;
      __syncwarp();  // Every lane has read what the first one writes.
      if (s.lane == 0) rows[(size_t)PLANE * n + row] = fitted;
    }
    if (steps & (START | SIGNS)) s.store_signs();
#pragma unroll
    for (int t = 0; t < TILES; ++t) {
#if HELD
      s.add_terms(c, t, steps & START, numerator[t], denominator[t]);
#endif
      if (!(steps & IMAGE) || !s.belongs(t)) continue;
      float value = 0.0f;
#pragma unroll
      for (int p = 0; p < ORDERS; ++p) value += s.r[p] * up * c(p, t) * s.sign(p, t);
      image[(size_t)row * k + s.lane + WARP * t] = value;
    }
  }
  if (!(steps & COLUMNS)) return;
#if HELD
  add_warps(numerator, denominator, 0, k, sums);
#else
  // Row scales were written by another lane of the warp.
  __syncwarp();
  for (int t = 0; t < TILES; ++t) {
    numerator[0] = denominator[0] = 0.0f;
    for (int row = first; row < last; row += WARPS) {
      Scaled s(W, group, which, row, n, k, signs, ORDERS, down);
      s.load(rows, row, n);
      s.add_terms(c, t, steps & START, numerator[0], denominator[0]);
    }
    add_warps(numerator, denominator, WARP * t, k, sums);
    __syncthreads();
  }
#endif
}
