// Cosine of each token's input and output.
//
//   c_t = x_t . y_t / (|x_t| |y_t|),  0 where one of them is zero         Eq. (58), subbit
//
// Layout   x, y (n, k) float32, a token a row; cosines (n). One warp a row, 8 rows a block. Their
//          mean is a sum of reduce.cu over the rows: two stages, of fixed shapes.
// Traffic  an entry of either is read twice, 8 bytes, the second time from cache.
// Sums     three of depth p = ceil(k / 32) + 4, of entries whose largest is brought between 1/2 and
//          4 by a power of two; then two roots, a product and a division.
// Budget   up to 40 registers, no shared memory.

__device__ inline float largest_of(const float* x, int k) {
  float most = 0.0f;
  for (int j = lane_of(); j < k; j += WARP) most = fmaxf(most, fabsf(x[j]));
#pragma unroll
  for (int distance = WARP / 2; distance > 0; distance /= 2)
    most = fmaxf(most, __shfl_xor_sync(ALL_LANES, most, distance));
  return most;
}

// The inverse of the power of two above x; for the largest x one that float32 holds.
__device__ inline float inverse_power(float x) {
  return __int_as_float(max(253 - (__float_as_int(x) >> 23), 1) << 23);
}

extern "C" __global__ void __launch_bounds__(BLOCK)
    token_cosines(const float* x, const float* y, int n, int k, float* cosines) {
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  x += (size_t)row * k;
  y += (size_t)row * k;
  const float down_x = inverse_power(largest_of(x, k)), down_y = inverse_power(largest_of(y, k));
  float dot = 0.0f, first = 0.0f, second = 0.0f;
  for (int j = lane_of(); j < k; j += WARP) {
    const float u = x[j] * down_x, v = y[j] * down_y;
    dot += u * v;
    first += u * u;
    second += v * v;
  }
  dot = warp_sum(dot);
  const float lengths = sqrtf(warp_sum(first)) * sqrtf(warp_sum(second));
  if (lane_of() == 0) cosines[row] = lengths > 0.0f ? dot / lengths : 0.0f;
}
