// Stepwise pruning of one group: all masks and the fit of its levels after each, in one launch.
//
//   What = P (alpha B + mu), or with a shared mean alpha P B + mu         Eq. (55), subbit
//   G = e S e^T,  g = e S (w - mu m)^T,  e = (m, P b_1, P b_2)            Eq. (25), subbit
//   x by alternation or elimination, as in calibrated.cuh                 Eqs. (26) and (27), subbit
//   B <- P sign(W - mu), where signs are recomputed                       Eq. (56), subbit
//
// Layout   W (n, k) float32; group (n, k) bytes, an entry belongs where group = which; S (k, k) and
//          its diagonal; words (steps, n, w) uint32, w = ceil(k / 32): bit j of word u keeps column
//          32 u + j; signs (ORDERS, n, k); mean (n), scale (ORDERS, n), image (n, k). One warp a
//          row, 8 rows a block. m is P, or the whole group with a shared mean.
// Products e S of a row are sums of rows of S, one for each bit of a word: what is pruned costs
//          nothing, and nothing is taken away from sums that hold it, so the masks' order has no
//          bearing on rounding. They lie in shared memory, where that of a shared mean, which
//          no step changes, is made once; wider rows (HELD 0) make 32 columns at a time.
// Traffic  a weight reads 5 + ORDERS bytes and writes 4 + ORDERS, and a step reads 1/8; S comes
//          from cache, 4 k bytes for each kept entry, fit and row.
// Sums     depth p = ceil(k / 32) + 4 behind that of the products, k, whose terms are exact.
// Budget   up to 128 registers; 128 P max(HELD, 1) bytes of shared memory for a warp.

#if HELD
#define SLOTS HELD
#else
#define SLOTS 1
#endif

struct Stepwise : Row, Levels {
  const float* S;
  float* products;  // [P][SLOTS * WARP], those of this lane's columns are its own
  const unsigned* words;
  bool shared_mean;

  using Row::Row;

  __device__ inline bool kept(int t) const { return belongs(t) && words[t] >> lane & 1u; }
  __device__ inline bool has_mean(int t) const { return shared_mean ? belongs(t) : kept(t); }
  __device__ inline float sign_at(int p, int t) const { return belongs(t) ? sign(p, t) : 0.0f; }

  __device__ inline void prune() {
#pragma unroll
    for (int t = 0; t < TILES; ++t)
      if (belongs(t) && !kept(t)) {
#pragma unroll
        for (int p = 0; p < ORDERS; ++p) set_sign(p, t, 0.0f);
      }
  }

  // e S in the columns of SLOTS tiles; that of m only where `mean` asks for it.
  __device__ inline void multiply(int first, bool mean) {
    float sum[P][SLOTS];
#pragma unroll
    for (int p = 0; p < P; ++p)
#pragma unroll
      for (int t = 0; t < SLOTS; ++t) sum[p][t] = 0.0f;
#pragma unroll
    for (int u = 0; u < TILES; ++u) {
      unsigned plus[ORDERS], minus[ORDERS], left = __ballot_sync(ALL_LANES, mean && has_mean(u));
#pragma unroll
      for (int p = 0; p < ORDERS; ++p) {
        plus[p] = __ballot_sync(ALL_LANES, sign_at(p, u) > 0.0f);
        minus[p] = __ballot_sync(ALL_LANES, sign_at(p, u) < 0.0f);
        left |= plus[p] | minus[p];
      }
      for (; left; left &= left - 1) {
        const int bit = __ffs(left) - 1;
        const float* line = S + (size_t)(WARP * u + bit) * k;
#pragma unroll
        for (int t = 0; t < SLOTS; ++t) {
          const int j = lane + WARP * (first + t);
          const float value = j < k ? line[j] : 0.0f;
          sum[0][t] += value;
#pragma unroll
          for (int p = 0; p < ORDERS; ++p)
            sum[p + 1][t] += plus[p] >> bit & 1u ? value : minus[p] >> bit & 1u ? -value : 0.0f;
        }
      }
    }
#pragma unroll
    for (int p = 0; p < P; ++p)
#pragma unroll
      for (int t = 0; t < SLOTS; ++t)
        if (p || mean) products[(SLOTS * p + t) * WARP + lane] = sum[p][t];
  }

  // With `whole`, what lies outside of the group counts as well; with `masked`, nothing pruned.
  __device__ inline void sums(const float* diagonal, bool whole, bool masked, bool mean,
                              float vanishing) {
    clear();
#pragma unroll
    for (int first = 0; first < TILES; first += SLOTS) {
      multiply(first, mean);
#pragma unroll
      for (int s = 0; s < SLOTS; ++s) {
        const int t = first + s, j = lane + WARP * t;
        if (j >= k || !(belongs(t) || whole)) continue;
        float value = masked && !kept(t) ? 0.0f : belongs(t) ? entry(t) : weights[j];
        float e[P];
        e[0] = has_mean(t) ? 1.0f : 0.0f;
        value -= e[0] * mu;
#pragma unroll
        for (int p = 0; p < ORDERS; ++p) e[p + 1] = sign_at(p, t);
#pragma unroll
        for (int p = 0; p < P; ++p)
          add(p, products[(SLOTS * p + s) * WARP + lane], e, value, diagonal[j]);
      }
    }
    add_lanes(vanishing);
  }

  __device__ inline void resign(float zero) {
#pragma unroll
    for (int t = 0; t < TILES; ++t)
      if (kept(t)) set_nearest(t, entry(t) - mu, alpha, zero);
  }

  __device__ inline float decoded(int t) const {
    float value = has_mean(t) ? mu : 0.0f;
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) value += alpha[p] * sign(p, t);
    return value;
  }
};

extern "C" __global__ void __launch_bounds__(BLOCK, 2)
    prune_stepwise(const float* W, const unsigned char* group, int which, int n, int k,
                   const float* S, const float* diagonal, const unsigned* words, int steps,
                   int whole, int shared_mean, int masked, int resigned, float zero, int exact,
                   int rounds, float vanishing, float dependent, const float* eps, float* mean,
                   float* scale, signed char* signs, float* image) {
  __shared__ float products[BLOCK / WARP][P * SLOTS * WARP];
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  Stepwise s(W, group, which, row, n, k, signs, ORDERS);
  s.S = S;
  s.products = products[threadIdx.x / WARP];
  s.shared_mean = shared_mean;
  s.load(mean, scale, row, n);
  const int width = (k + WARP - 1) / WARP;
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    s.words = words + ((size_t)step * n + row) * width;
    s.prune();
    s.sums(diagonal, whole, masked, !(HELD && shared_mean && step), vanishing);
    if (exact)
      s.solve(dependent);
    else
      s.alternate(rounds, eps);
    if (resigned) s.resign(zero);
  }
  s.store_signs();
#pragma unroll
  for (int t = 0; t < TILES; ++t)
    if (s.belongs(t)) image[(size_t)row * k + s.lane + WARP * t] = s.decoded(t);
  __syncwarp();  // Every lane has read what the first one writes.
  if (s.lane == 0) s.store(mean, scale, row, n);
}
