// Split of each row at the best of its own thresholds, and both sides binarized.
//
//   small: |x| < t, large: |x| >= t                                          Eq. (124), subbit
//   mu = mean of a side, or of the row;  d = x - mu
//   alpha = mean of |d|, or the root of the mean of d^2                      Eq. (125), subbit
//   t = the first of the row's thresholds with the least sum of (d - alpha sign(d))^2
//
// Layout   X (n, k) float32, each row's magnitudes at most 1; cuts (n, c); mean, scale (2, n); group
//          (n, k) bytes, 1 for small and 2 for large; signs (n, k); image (n, k). A warp a row, the
//          row in HELD registers of each lane.
// Traffic  a value reads 4 bytes and writes 6; wider rows (HELD 0) read 3 c + 3 times.
// Sums     depth p = ceil(k / 32) + 4 for means, scales and the error; counts are exact below 2^24.
// Budget   up to 40 registers, no shared memory.

struct Halves {
  const float* row;
  int k, lane, rms, shared;
  float common, zero;
  float mu[2], alpha[2];
#if HELD
  float x[HELD];
#endif

  __device__ inline Halves(const float* entries, int columns, int root, int one, float zero_sign)
      : row(entries), k(columns), lane(lane_of()), rms(root), shared(one), common(0.0f),
        zero(zero_sign) {
#if HELD
#pragma unroll
    for (int t = 0; t < HELD; ++t) x[t] = inside(t) ? row[lane + WARP * t] : 0.0f;
#endif
    if (!shared) return;
    float total = 0.0f;
#pragma unroll
    for (int t = 0; t < TILES; ++t)
      if (inside(t)) total += entry(t);
    common = warp_sum(total) / (float)k;
  }

  __device__ inline bool inside(int t) const { return lane + WARP * t < k; }
#if HELD
  __device__ inline float entry(int t) const { return x[t]; }
#else
  __device__ inline float entry(int t) const { return row[lane + WARP * t]; }
#endif

  __device__ inline void fit(float threshold) {
    float count[2] = {0.0f, 0.0f}, total[2] = {0.0f, 0.0f};
#pragma unroll
    for (int t = 0; t < TILES; ++t) {
      if (!inside(t)) continue;
      const float value = entry(t);
      const bool large = fabsf(value) >= threshold;
      count[0] += large ? 0.0f : 1.0f;
      count[1] += large ? 1.0f : 0.0f;
      total[0] += large ? 0.0f : value;
      total[1] += large ? value : 0.0f;
    }
#pragma unroll
    for (int s = 0; s < 2; ++s) {
      count[s] = fmaxf(warp_sum(count[s]), 1.0f);
      mu[s] = shared ? common : warp_sum(total[s]) / count[s];
      total[s] = 0.0f;
    }
#pragma unroll
    for (int t = 0; t < TILES; ++t) {
      if (!inside(t)) continue;
      const bool large = fabsf(entry(t)) >= threshold;
      const float d = entry(t) - (large ? mu[1] : mu[0]);
      const float term = rms ? d * d : fabsf(d);
      total[0] += large ? 0.0f : term;
      total[1] += large ? term : 0.0f;
    }
#pragma unroll
    for (int s = 0; s < 2; ++s) {
      const float level = warp_sum(total[s]) / count[s];
      alpha[s] = rms ? sqrtf(level) : level;
    }
  }

  __device__ inline float error(float threshold) const {
    float total = 0.0f;
#pragma unroll
    for (int t = 0; t < TILES; ++t) {
      if (!inside(t)) continue;
      const bool large = fabsf(entry(t)) >= threshold;
      const float d = entry(t) - (large ? mu[1] : mu[0]);
      const float rest = d - (large ? alpha[1] : alpha[0]) * sign_of(d, zero);
      total = fmaf(rest, rest, total);
    }
    return warp_sum(total);
  }
};

extern "C" __global__ void row_split(const float* X, const float* cuts, int c, int n, int k,
                                     int rms, int shared, float zero, float* mean, float* scale,
                                     unsigned char* group, signed char* signs, float* image) {
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  const size_t base = (size_t)row * k;
  Halves sides(X + base, k, rms, shared, zero);
  float best = cuts[(size_t)row * c], least = 0.0f;
  for (int l = 0; l < c; ++l) {
    const float threshold = cuts[(size_t)row * c + l];
    sides.fit(threshold);
    const float error = sides.error(threshold);
    if (l == 0 || error < least) {
      best = threshold;
      least = error;
    }
  }
  sides.fit(best);
#pragma unroll
  for (int t = 0; t < TILES; ++t) {
    if (!sides.inside(t)) continue;
    const size_t place = base + sides.lane + WARP * t;
    const float value = sides.entry(t);
    const bool large = fabsf(value) >= best;
    const float mu = large ? sides.mu[1] : sides.mu[0];
    const float s = sign_of(value - mu, zero);
    group[place] = large ? 2 : 1;
    signs[place] = (signed char)s;
    image[place] = mu + (large ? sides.alpha[1] : sides.alpha[0]) * s;
  }
  if (sides.lane == 0) {
#pragma unroll
    for (int q = 0; q < 2; ++q) {
      mean[(size_t)q * n + row] = sides.mu[q];
      scale[(size_t)q * n + row] = sides.alpha[q];
    }
  }
}
