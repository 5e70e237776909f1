// Residual binarization of one group, ORDERS times.
//
//   r_0 = W,  mu_p = mean of r_p,  alpha_p = mean of |r_p - mu_p|          Eq. (1), BiLLM
//   B_p = sign(r_p - mu_p),  r_{p+1} = r_p - mu_p - alpha_p B_p            Eq. (6), BiLLM
//   image = sum_p mu_p + sum_p alpha_p B_p                                 Eq. (7), BiLLM
//
// Layout   W (n, k) float32; group (n, k) bytes, an entry belongs where group = which; signs
//          (ORDERS, n, k) and image (n, k) are written where the entry belongs and stay as they
//          are elsewhere. One warp a row, 8 rows a block, the row in HELD registers of each lane.
// Traffic  a weight reads 5 bytes and writes 4 + ORDERS; wider rows (HELD 0) read 2 ORDERS times.
// Sums     depth p = ceil(k / 32) + 4, then one division; counts are exact below 2^24.
// Budget   up to 48 registers, no shared memory.
//
// A remainder is not stored. Each pass derives it from the statistics of the orders before, by the
// same operations, so that a wide row needs no scratch memory.

__device__ inline float remainder_of(float x, const float* mu, const float* alpha, int orders,
                                     float zero) {
#pragma unroll
  for (int p = 0; p < ORDERS; ++p) {
    if (p < orders) {
      x -= mu[p];
      x -= alpha[p] * sign_of(x, zero);
    }
  }
  return x;
}

extern "C" __global__ void residual_binarize(const float* W, const unsigned char* group, int which,
                                             int n, int k, int center, float zero, float* mean,
                                             float* scale, signed char* signs, float* image) {
  const int lane = lane_of();
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  const size_t base = (size_t)row * k;
#if HELD
  float x[HELD];
  unsigned members = 0;
#pragma unroll
  for (int t = 0; t < HELD; ++t) {
    const int j = lane + WARP * t;
    x[t] = 0.0f;
    if (j < k && group[base + j] == which) {
      x[t] = W[base + j];
      members |= 1u << t;
    }
  }
#define ENTRY(t) x[t]
#define BELONGS(t) (members >> (t) & 1u)
#else
#define ENTRY(t) W[base + lane + WARP * (t)]
#define BELONGS(t) (lane + WARP * (t) < k && group[base + lane + WARP * (t)] == which)
#endif
  float count = 0.0f;
#pragma unroll
  for (int t = 0; t < TILES; ++t)
    if (BELONGS(t)) count += 1.0f;
  count = fmaxf(warp_sum(count), 1.0f);

  float mu[ORDERS], alpha[ORDERS];
#pragma unroll
  for (int p = 0; p < ORDERS; ++p) {
    mu[p] = 0.0f;
    if (center) {
      float total = 0.0f;
#pragma unroll
      for (int t = 0; t < TILES; ++t)
        if (BELONGS(t)) total += remainder_of(ENTRY(t), mu, alpha, p, zero);
      mu[p] = warp_sum(total) / count;
    }
    float distance = 0.0f;
#pragma unroll
    for (int t = 0; t < TILES; ++t)
      if (BELONGS(t)) distance += fabsf(remainder_of(ENTRY(t), mu, alpha, p, zero) - mu[p]);
    alpha[p] = warp_sum(distance) / count;
  }

  float shift = 0.0f;
#pragma unroll
  for (int p = 0; p < ORDERS; ++p) shift += mu[p];
#pragma unroll
  for (int t = 0; t < TILES; ++t) {
    if (!BELONGS(t)) continue;
    const size_t place = base + lane + WARP * t;
    float rest = ENTRY(t), value = shift;
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) {
      rest -= mu[p];
      const float s = sign_of(rest, zero);
      signs[(size_t)p * n * k + place] = (signed char)s;
      value += alpha[p] * s;
      rest -= alpha[p] * s;
    }
    image[place] = value;
  }
  if (lane == 0) {
    mean[row] = shift;
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) scale[(size_t)p * n + row] = alpha[p];
  }
}
