// Threshold search on a layer's outputs: the calibrated error of every candidate, in one launch.
//
//   L2(p) = r S r^T,  r = w - What        Eq. (9), ARB-LLM
//   What: key <= p (closed) or key < p (open) binarized for itself, the zone's others for
//   themselves; outside of the zone the image
//
// Layout   target, image, key (n, k) float32; codes bytes, the zone of each entry (n, k), or with
//          `stride` 0 of each column (k); S (k, k); thresholds (c); errors (c, n) out. One warp
//          for a row and a candidate, HELD entries of r in each lane; a row of S is read by a
//          whole warp, column by column, and r_j comes from the lane that holds it.
// Traffic  9 bytes read for a weight and a candidate, and 4 k of S, from cache; from memory 13
//          for a weight, and S. Wider rows (HELD 0) recompute r_j for every 32 columns.
// Sums     depth p = ceil(k / 32) + 4 for means and scales; k for a product with a column of S,
//          then p for their sum.
// Budget   up to 64 registers, no shared memory.

struct Residual : Sides<ByMagnitude> {
  const float* image;
#if HELD
  float r[HELD];
#endif

  __device__ inline Residual(const float* target, const float* fixed, int columns,
                             const ByMagnitude& which, float zero_sign)
      : Sides<ByMagnitude>(target, columns, which, zero_sign), image(fixed) {}

#if HELD
  __device__ inline void hold() {
#pragma unroll
    for (int t = 0; t < HELD; ++t) {
      const int j = lane + WARP * t;
      if (part[t] != NEITHER)
        r[t] = remainder(x[t], part[t], ORDERS);
      else
        r[t] = j < k ? row[j] - image[j] : 0.0f;
    }
  }

  // All lanes go through the rows of S together; each adds up its own HELD columns.
  __device__ inline float quadratic(const float* S) const {
    float product[HELD] = {};
#pragma unroll
    for (int t = 0; t < HELD; ++t) {
      const int rows = min(WARP, k - WARP * t);
      for (int l = 0; l < rows; ++l) {
        const float value = __shfl_sync(ALL_LANES, r[t], l);
        const float* line = S + (size_t)(WARP * t + l) * k;
#pragma unroll
        for (int u = 0; u < HELD; ++u)
          if (lane + WARP * u < k) product[u] = fmaf(value, line[lane + WARP * u], product[u]);
      }
    }
    float total = 0.0f;
#pragma unroll
    for (int u = 0; u < HELD; ++u) total = fmaf(product[u], r[u], total);
    return warp_sum(total);
  }
#else
  __device__ inline void hold() {}

  __device__ inline float residual(int j) const {
    const int s = cut(j);
    return s == NEITHER ? row[j] - image[j] : remainder(row[j], s, ORDERS);
  }

  __device__ inline float quadratic(const float* S) const {
    float total = 0.0f;
    for (int i = lane; i < k; i += WARP) {
      float product = 0.0f;
      for (int j = 0; j < k; ++j) product = fmaf(residual(j), S[(size_t)j * k + i], product);
      total = fmaf(product, residual(i), total);
    }
    return warp_sum(total);
  }
#endif
};

extern "C" __global__ void calibrated_split_errors(
    const float* target, const float* image, const float* key, const unsigned char* codes,
    int stride, const float* thresholds, int zone, int order_0, int order_1, const float* S, int n,
    int k, int center, float zero, int closed, float* errors) {
  const int row = blockIdx.y * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  const size_t base = (size_t)row * k;
  const ByMagnitude cut = {key + base, codes + (size_t)row * stride, zone, thresholds[blockIdx.x],
                           closed};
  Residual sides(target + base, image + base, k, cut, zero);
  sides.fit({order_0, order_1}, center);
  sides.hold();
  const float error = sides.quadratic(S);
  if (lane_of() == 0) errors[(size_t)blockIdx.x * n + row] = error;
}
