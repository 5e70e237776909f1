// Alternating refined binarization of one group: start values and all rounds in one launch.
//
//   mu <- mu + mean(W - What)                                      Eq. (3), ARB-LLM
//   alpha_p <- sum B_p (W - mu - other) / (sum B_p^2 + eps)        Eqs. (4) and (7), ARB-LLM
//   B <- sign(W - mu), or the nearest of four levels               Eqs. (4) and (8), ARB-LLM
//   (mu, alpha) by the normal equations, L D L^T                   Eqs. (21) and (22), subbit
//
// Layout   W (n, k) float32; group (n, k) bytes, an entry belongs where group = which; mean (n),
//          scale (ORDERS, n), signs (ORDERS, n, k), image (n, k), written where the entry belongs.
//          One warp a row, 8 rows a block, the row in HELD registers of each lane. `steps` says
//          what a round does; a half step alone is one round of one step from the state in memory,
//          by the same code and so with the same bits.
// Traffic  a weight reads 5 bytes and writes 4 + ORDERS, however many rounds; ORDERS more are read
//          where the launch does not start the group. Wider rows (HELD 0) read in each pass.
// Sums     depth p = ceil(k / 32) + 4, then one division; counts are exact below 2^24.
// Budget   up to 64 registers, no shared memory.
//
// Sums run over what the current mean and scales leave, so that large common parts cancel before
// anything is added. The Gram matrices of signs are counts, and their minors are exact integers
// for up to 2^20 entries: which sign planes depend on each other is no question of rounding.

// START, MEAN, SCALE (of the first plane; twice that of the second), LEVELS and SIGNS are bits of
// `steps`, defined by the launches.

struct Group : Row {
  float mu, alpha[ORDERS], count;

  using Row::Row;

  // What the mean and the planes leave, but for plane `without`.
  __device__ inline float rest(int t, int without) const {
    float left = entry(t) - mu;
#pragma unroll
    for (int p = 0; p < ORDERS; ++p)
      if (p != without) left -= alpha[p] * sign(p, t);
    return left;
  }

  // Alg. 1, ARB-LLM: plain binarization; sums are divided by the entries or by the width.
  __device__ inline void start(bool width, bool plain, float zero) {
    const float divisor = width ? (float)k : fmaxf(count, 1.0f);
    float part[ORDERS];
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) {
      float total = 0.0f, distance = 0.0f;
#pragma unroll
      for (int t = 0; t < TILES; ++t)
        if (belongs(t)) total += remainder(t, part, p);
      part[p] = warp_sum(total) / divisor;
#pragma unroll
      for (int t = 0; t < TILES; ++t)
        if (belongs(t)) distance += fabsf(remainder(t, part, p) - part[p]);
      alpha[p] = warp_sum(distance) / divisor;
#pragma unroll
      for (int t = 0; t < TILES; ++t)
        if (belongs(t))
          set_sign(p, t, sign_of(remainder(t, part, p) - (plain ? 0.0f : part[p]), zero));
    }
    mu = 0.0f;
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) mu += part[p];
  }

  __device__ inline float remainder(int t, const float* part, int orders) const {
    float left = entry(t);
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) {
      if (p < orders) {
        left -= part[p];
        left -= alpha[p] * sign(p, t);
      }
    }
    return left;
  }

  __device__ inline void refine_mean() {
    float total = 0.0f;
#pragma unroll
    for (int t = 0; t < TILES; ++t)
      if (belongs(t)) total += rest(t, ORDERS);
    mu += warp_sum(total) / fmaxf(count, 1.0f);
  }

  __device__ inline void refine_scale(int p, float eps) {
    float numerator = 0.0f, squares = 0.0f;
#pragma unroll
    for (int t = 0; t < TILES; ++t) {
      if (!belongs(t)) continue;
      numerator += sign(p, t) * rest(t, p);
      squares += sign(p, t) * sign(p, t);
    }
    alpha[p] = quotient(warp_sum(numerator), warp_sum(squares) + eps, 0.0f, alpha[p]);
  }

  __device__ inline void refine_signs(float zero) {
#pragma unroll
    for (int t = 0; t < TILES; ++t)
      if (belongs(t)) set_nearest(t, entry(t) - mu, alpha, zero);
  }

  __device__ inline long long signs_dot(int p, int q) const {
    float total = 0.0f;
#pragma unroll
    for (int t = 0; t < TILES; ++t)
      if (belongs(t)) total += sign(p, t) * (q < ORDERS ? sign(q, t) : 1.0f);
    return (long long)warp_sum(total);
  }

  __device__ inline void solve_levels() {
    float g[ORDERS + 1];
#pragma unroll
    for (int p = 0; p <= ORDERS; ++p) {
      float total = 0.0f;
#pragma unroll
      for (int t = 0; t < TILES; ++t)
        if (belongs(t)) total += (p ? sign(p - 1, t) : 1.0f) * (entry(t) - mu);
      g[p] = warp_sum(total);
    }
    const long long c = (long long)count;
    const float size = fmaxf(count, 1.0f);
    const long long s1 = signs_dot(0, ORDERS), q1 = signs_dot(0, 0);
    const long long d1 = c * q1 - s1 * s1;
    const float y1 = g[1] - (float)s1 / size * g[0];
    float change = g[0];
#if ORDERS == 2
    const long long s2 = signs_dot(1, ORDERS), q2 = signs_dot(1, 1), q12 = signs_dot(0, 1);
    const long long m12 = c * q12 - s1 * s2, d2 = c * q2 - s2 * s2;
    const long long det =
        c * (q1 * q2 - q12 * q12) - s1 * (s1 * q2 - q12 * s2) + s2 * (s1 * q12 - q1 * s2);
    const float factor = d1 ? (float)m12 / (float)d1 : 0.0f;
    const float y2 = g[2] - (float)s2 / size * g[0] - factor * y1;
    const float pivot = d1 ? (float)det / (float)d1 : (float)d2 / size;
    alpha[1] = quotient(y2, pivot, 0.0f, 0.0f);
    alpha[0] = d1 ? y1 / ((float)d1 / size) - factor * alpha[1] : 0.0f;
    change -= (float)s2 * alpha[1];
#else
    alpha[0] = d1 ? y1 / ((float)d1 / size) : 0.0f;
#endif
    change -= (float)s1 * alpha[0];
    mu += change / size;
  }
};

extern "C" __global__ void __launch_bounds__(BLOCK, 4)
    arb_refine(const float* W, const unsigned char* group, int which, int n, int k, int steps,
               int rounds, int width, int plain, float zero, const float* eps, float* mean,
               float* scale, signed char* signs, float* image) {
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  Group g(W, group, which, row, n, k, signs, steps & START ? 0 : ORDERS);
  g.count = g.size();
  if (steps & START) {
    g.start(width, plain, zero);
  } else {
    g.mu = mean[row];
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) g.alpha[p] = scale[(size_t)p * n + row];
  }
  const float added = *eps;
#pragma unroll 1
  for (int round = 0; round < rounds; ++round) {
    if (steps & LEVELS) g.solve_levels();
    if (steps & MEAN) g.refine_mean();
#pragma unroll
    for (int p = 0; p < ORDERS; ++p)
      if (steps & (SCALE << p)) g.refine_scale(p, added);
    if (steps & SIGNS) g.refine_signs(zero);
  }
  g.store_signs();
#pragma unroll
  for (int t = 0; t < TILES; ++t) {
    if (!g.belongs(t)) continue;
    float value = g.mu;
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) value += g.alpha[p] * g.sign(p, t);
    image[(size_t)row * k + g.lane + WARP * t] = value;
  }
  __syncwarp();  // Every lane has read what the first one writes.
  if (g.lane == 0) {
    mean[row] = g.mu;
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) scale[(size_t)p * n + row] = g.alpha[p];
  }
}
