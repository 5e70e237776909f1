// Masked row statistics.
//
//   mean_i  = sum_j M_ij W_ij / c_i                     Eq. (6), subbit
//   scale_i = sum_j M_ij |W_ij - mean_i| / c_i          Eq. (12), BiLLM
//
// Layout   W (n, k) float32, M (n, k) bytes, one warp a row, 8 rows a block; wide rows stream.
// Traffic  5 bytes read for a weight: 4 of W, 1 of M. Nothing is kept, so any k runs.
// Sums     depth p = ceil(k / 32) + 4, then one division; counts are exact below 2^24.
// Budget   up to 32 registers, no shared memory.

__device__ inline float over_group(float total, float count) {
  return warp_sum(total) / fmaxf(warp_sum(count), 1.0f);
}

extern "C" __global__ void masked_mean(const float* W, const unsigned char* M, int n, int k,
                                       float* mean) {
  const int lane = lane_of();
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  const size_t base = (size_t)row * k;
  float total = 0.0f, count = 0.0f;
  for (int j = lane; j < k; j += WARP) {
    if (M[base + j]) {
      total += W[base + j];
      count += 1.0f;
    }
  }
  const float result = over_group(total, count);
  if (lane == 0) mean[row] = result;
}

extern "C" __global__ void masked_scale(const float* W, const unsigned char* M, const float* mean,
                                        int n, int k, float* scale) {
  const int lane = lane_of();
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  const size_t base = (size_t)row * k;
  const float mu = mean[row];
  float total = 0.0f, count = 0.0f;
  for (int j = lane; j < k; j += WARP) {
    if (M[base + j]) {
      total += fabsf(W[base + j] - mu);
      count += 1.0f;
    }
  }
  const float result = over_group(total, count);
  if (lane == 0) scale[row] = result;
}
