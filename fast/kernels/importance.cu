// Importance of weights by their shares of column and row.
//
//   x_ij = |W_ij| / c_j + |W_ij| / r_i                         Eq. (32), subbit
//   S_ij = x_ij f_j, sigma(x_ij) f_j or sigma(x_ij f_j)        Eq. (2), STBLLM
//
// Layout   W, S (n, k) float32; c (k) the column sums of |W|, f (k) powers of the norms; r_i the
//          row's sum of |W|. sigma subtracts the row's mean and divides by its deviation; a sum or
//          a deviation of 0 gives 0. A warp a row, the row in HELD registers of each lane.
// Traffic  a weight reads 4 bytes and writes 4; wider rows (HELD 0) read 8, and 16 with sigma.
// Sums     depth p = ceil(k / 32) + 4 each.
// Budget   up to 48 registers, no shared memory.

#define NONE 0
#define BEFORE 1
#define AFTER 2

__device__ inline float share(float w, float total) { return total > 0.0f ? w / total : 0.0f; }

extern "C" __global__ void relative_importance(const float* W, const float* columns, const float* f,
                                               int n, int k, int standardize, float* S) {
  const int lane = lane_of();
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  const size_t base = (size_t)row * k;
  float sum = 0.0f;
#if HELD
  float x[HELD];
#pragma unroll
  for (int t = 0; t < HELD; ++t) {
    const int j = lane + WARP * t;
    x[t] = j < k ? fabsf(W[base + j]) : 0.0f;
    sum += x[t];
  }
#else
  for (int j = lane; j < k; j += WARP) sum += fabsf(W[base + j]);
#endif
  sum = warp_sum(sum);

  // What is standardized, of the magnitude of a weight.
  const auto value_of = [&](float w, int j) {
    const float both = share(w, columns[j]) + share(w, sum);
    return standardize == AFTER ? both * f[j] : both;
  };
#if HELD
#pragma unroll
  for (int t = 0; t < HELD; ++t)
    if (lane + WARP * t < k) x[t] = value_of(x[t], lane + WARP * t);
#define VALUE(t) x[t]
#else
#define VALUE(t) value_of(fabsf(W[base + lane + WARP * (t)]), lane + WARP * (t))
#endif

  float first = 0.0f, mean = 0.0f, deviation = 1.0f;
  if (standardize != NONE) {
    // Measured from one of them, equal values deviate by nothing at all.
    first = __shfl_sync(ALL_LANES, lane < k ? VALUE(0) : 0.0f, 0);
    float total = 0.0f, squares = 0.0f;
#pragma unroll
    for (int t = 0; t < TILES; ++t)
      if (lane + WARP * t < k) total += VALUE(t) - first;
    mean = warp_sum(total) / k;
#pragma unroll
    for (int t = 0; t < TILES; ++t) {
      if (lane + WARP * t >= k) continue;
      const float centered = VALUE(t) - first - mean;
      squares += centered * centered;
    }
    deviation = sqrtf(warp_sum(squares) / k);
  }
#pragma unroll
  for (int t = 0; t < TILES; ++t) {
    const int j = lane + WARP * t;
    if (j >= k) continue;
    const float unit = deviation > 0.0f ? (VALUE(t) - first - mean) / deviation : 0.0f;
    S[base + j] = standardize == AFTER ? unit : unit * f[j];
  }
}
