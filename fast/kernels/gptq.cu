// GPTQ inside a block: round a column, move the columns right of it, and so on.
//
//   q_i = clip(round(w_i / s) + z, 0, 2^b - 1),  e_i = (w_i - s (q_i - z)) / U_ii     Alg. 1, GPTQ
//   w_j <- w_j - e_i U_ij  for j > i                                                 Eq. (2), GPTQ
//
// Layout   W (n, k) float32, overwritten; U (k, k); codes (n, k) bytes; scale, zero (groups, n),
//          column i has those of group (first + i) / group_size - first_group. Rows do not meet:
//          one warp a row, 8 rows a block, the row in HELD registers of each lane.
// Traffic  a weight reads 4 bytes and writes 5; U is read once a row, from cache.
// Sums     a weight takes part in up to k fused steps: depth p = k.
// Budget   up to 48 registers, no shared memory.

extern "C" __global__ void gptq_codes(float* W, const float* U, const float* scale,
                                      const float* zero, int n, int k, int first, int group_size,
                                      int first_group, float top, unsigned char* codes) {
  const int lane = lane_of();
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  float* const w = W + (size_t)row * k;
#if HELD
  float x[HELD];
#pragma unroll
  for (int t = 0; t < HELD; ++t) x[t] = lane + WARP * t < k ? w[lane + WARP * t] : 0.0f;
#define ENTRY(t) x[t]
#else
#define ENTRY(t) w[lane + WARP * (t)]
#endif
#pragma unroll
  for (int t = 0; t < TILES; ++t) {
    for (int owner = 0; owner < WARP && WARP * t + owner < k; ++owner) {
      const int i = WARP * t + owner;
      const size_t grid = (size_t)((first + i) / group_size - first_group) * n + row;
      const float s = scale[grid], z = zero[grid];
      const float mine = lane + WARP * t < k ? ENTRY(t) : 0.0f;
      const float value = __shfl_sync(ALL_LANES, mine, owner);
      const float code = fminf(fmaxf(rintf(value / s) + z, 0.0f), top);
      const float error = (value - s * (code - z)) / U[(size_t)i * k + i];
      if (lane == owner) codes[(size_t)row * k + i] = (unsigned char)code;
#pragma unroll
      for (int r = 0; r < TILES; ++r) {
        const int j = lane + WARP * r;
        if (r >= t && j > i && j < k) ENTRY(r) = fmaf(-error, U[(size_t)i * k + j], ENTRY(r));
      }
    }
  }
#if HELD
#pragma unroll
  for (int t = 0; t < HELD; ++t)
    if (lane + WARP * t < k) w[lane + WARP * t] = x[t];
#endif
}
