// Threshold search: the error of every candidate magnitude of one or two zones, in one launch.
//
//   theta^2(p) = ||W_s - alpha_s B_s||^2 + ||W_c - alpha_c B_c||^2        Eqs. (11), (13), BiLLM
//   W_c: key <= p (closed) or key < p (open), W_s: the others
//
// Layout   target, key (n, k) float32; codes bytes, the zone of each entry (n, k), or with
//          `stride` 0 of each column (k); thresholds (c), the first `first` of them for zone_0,
//          the others for zone_1; errors (c, n) out. One warp for a row and a candidate,
//          candidates fastest over blocks, so that the c warps of a row find it in cache.
// Traffic  9 bytes read for a weight and a candidate, from cache; from memory 9 for a weight.
// Sums     depth p = ceil(k / 32) + 4 for means, scales and the error.
// Budget   up to 64 registers, no shared memory.
//
// Orders of a zone's concentrated and sparse side: order_00 and order_01, or order_10 and order_11.

extern "C" __global__ void split_errors(const float* target, const float* key,
                                        const unsigned char* codes, int stride,
                                        const float* thresholds, int first, int zone_0, int zone_1,
                                        int order_00, int order_01, int order_10, int order_11,
                                        int n, int k, int center, float zero, int closed,
                                        float* errors) {
  const int row = blockIdx.y * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  const size_t base = (size_t)row * k;
  const bool second = (int)blockIdx.x >= first;
  const ByMagnitude cut = {key + base, codes + (size_t)row * stride, second ? zone_1 : zone_0,
                           thresholds[blockIdx.x], closed};
  Sides<ByMagnitude> sides(target + base, k, cut, zero);
  sides.fit({second ? order_10 : order_00, second ? order_11 : order_01}, center);
  const float error = sides.error();
  if (lane_of() == 0) errors[(size_t)blockIdx.x * n + row] = error;
}
