// Levels of one group on the calibrated error: row dots, then all rounds in registers.
//
//   G_pq = e_p S e_q^T,  g_p = e_p S (w - mu m)^T,  e = (m, b_1, b_2)     Eq. (25), subbit
//   x_p <- (g_p - sum_{q != p} G_pq x_q) / (G_pp + eps_p)                 Eq. (27), subbit
//   x = G^-1 g                                                            Eq. (26), subbit
//   mu, or alpha, from the dot with what the others leave                 Eq. (11), ARB-LLM
//
// Layout   target (n, k) float32; products (P, n, k) = e_p S, P = ORDERS + 1, or one of them for
//          a single fit; group (n, k) bytes, an entry belongs where group = which; signs
//          (ORDERS, n, k); diagonal (k) of S; mean (n), scale (ORDERS, n), image (n, k). One warp
//          a row, 8 rows a block; membership and signs of HELD columns stay in each lane.
// Traffic  a weight reads 5 + ORDERS + 4 P bytes and writes 4, however many rounds; wider rows
//          (HELD 0) read group and signs twice. The diagonal comes from cache.
// Sums     depth p = ceil(k / 32) + 4 behind that of the products.
// Budget   up to 64 registers, no shared memory.

struct Calibrated : Row, Levels {
  using Row::Row;

  __device__ inline float basis(int p, int t) const { return p ? sign(p - 1, t) : 1.0f; }

  // With `whole`, what lies outside of the group counts as well.
  __device__ inline void sums(const float* products, const float* diagonal, bool whole,
                              float vanishing) {
    clear();
#pragma unroll
    for (int t = 0; t < TILES; ++t) {
      const int j = lane + WARP * t;
      const bool own = belongs(t);
      if (j >= k || !(own || whole)) continue;
      const float value = own ? entry(t) - mu : weights[j], own_energy = own ? diagonal[j] : 0.0f;
      float e[P];
#pragma unroll
      for (int p = 0; p < P; ++p) e[p] = own ? basis(p, t) : 0.0f;
#pragma unroll
      for (int p = 0; p < P; ++p) add(p, products[p * plane + j], e, value, own_energy);
    }
    add_lanes(vanishing);
  }
};

extern "C" __global__ void __launch_bounds__(BLOCK)
    calibrated_levels(const float* target, const float* products, const unsigned char* group,
                      int which, int n, int k, const float* diagonal, signed char* signs, int whole,
                      int exact, int rounds, float vanishing, float dependent, const float* eps,
                      float* mean, float* scale, float* image) {
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  const size_t base = (size_t)row * k;
  Calibrated c(target, group, which, row, n, k, signs, ORDERS);
  c.load(mean, scale, row, n);
  c.sums(products + base, diagonal, whole, vanishing);
  if (exact)
    c.solve(dependent);
  else
    c.alternate(rounds, eps);
#pragma unroll
  for (int t = 0; t < TILES; ++t) {
    if (!c.belongs(t)) continue;
    float value = c.mu;
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) value += c.alpha[p] * c.sign(p, t);
    image[base + c.lane + WARP * t] = value;
  }
  __syncwarp();  // Every lane has read what the first one writes.
  if (c.lane == 0) c.store(mean, scale, row, n);
}

extern "C" __global__ void __launch_bounds__(BLOCK)
    calibrated_sums(const float* target, const float* products, const unsigned char* group,
                    int which, int n, int k, const float* diagonal, signed char* signs, int whole,
                    float* gram, float* right) {
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  Calibrated c(target, group, which, row, n, k, signs, ORDERS);
  c.mu = 0.0f;
  c.sums(products + (size_t)row * k, diagonal, whole, 0.0f);
  if (c.lane) return;
#pragma unroll
  for (int p = 0; p < P; ++p) {
    right[(size_t)row * P + p] = c.g[p];
#pragma unroll
    for (int q = 0; q < P; ++q) gram[((size_t)row * P + p) * P + q] = c.G[p][q];
  }
}

// One level alone, 0 the mean and p the scale of plane p - 1; `product` is that of its own e.
extern "C" __global__ void __launch_bounds__(BLOCK)
    calibrated_fit(const float* W, const float* product, const unsigned char* group, int which,
                   int n, int k, const float* diagonal, signed char* signs, int level,
                   float vanishing, const float* eps, float* mean, float* scale) {
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  const size_t base = (size_t)row * k;
  Calibrated c(W, group, which, row, n, k, signs, ORDERS);
  c.load(mean, scale, row, n);
  float numerator = 0.0f, denominator = 0.0f, squares = 0.0f, energy = 0.0f;
#pragma unroll
  for (int t = 0; t < TILES; ++t) {
    if (!c.belongs(t)) continue;
    const int j = c.lane + WARP * t;
    float rest = level ? c.entry(t) - c.mu : c.entry(t), e = 1.0f;
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) {
      if (level == p + 1)
        e = c.sign(p, t);
      else
        rest -= c.alpha[p] * c.sign(p, t);
    }
    numerator += product[base + j] * rest;
    denominator += product[base + j] * e;
    squares += e * e;
    energy += e * e * diagonal[j];
  }
  float current = c.mu;
#pragma unroll
  for (int p = 0; p < ORDERS; ++p) current = level == p + 1 ? c.alpha[p] : current;
  const float least = vanishing * warp_sum(squares) * warp_sum(energy);
  const float fitted = quotient(warp_sum(numerator), warp_sum(denominator) + *eps, least, current);
  __syncwarp();
  if (c.lane == 0) *(level ? scale + (size_t)(level - 1) * n + row : mean + row) = fitted;
}
