// Threshold search: the error of every candidate magnitude, in one launch.
//
//   theta^2(p) = ||W_s - alpha_s B_s||^2 + ||W_c - alpha_c B_c||^2        Eqs. (11), (13), BiLLM
//   W_c: key <= p (closed) or key < p (open), W_s: the others
//
// Layout   target, key (n, k) float32; codes (k) bytes, column j takes part where it is 1;
//          thresholds (c); errors (c, n) out. One warp for a row and a candidate, candidates
//          fastest over blocks, so that the c warps of a row find it in cache.
// Traffic  9 bytes read for a weight and a candidate, from cache; from memory 8 for a weight.
// Sums     depth p = ceil(k / 32) + 4 for means, scales and the error.
// Budget   up to 64 registers, no shared memory.

struct ByMagnitude {
  const float* key;
  const unsigned char* codes;
  float threshold;
  int closed;
  __device__ int operator()(int j) const {
    if (codes[j] != 1) return NEITHER;
    return (closed ? key[j] <= threshold : key[j] < threshold) ? 0 : 1;
  }
};

extern "C" __global__ void split_errors(const float* target, const float* key,
                                        const unsigned char* codes, const float* thresholds, int n,
                                        int k, int center, float zero, int closed, float* errors) {
  const int row = blockIdx.y * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  const size_t base = (size_t)row * k;
  const ByMagnitude side = {key + base, codes, thresholds[blockIdx.x], closed};
  const float error = two_sided_error(target + base, k, side, 1, 1, center, zero);
  if (lane_of() == 0) errors[(size_t)blockIdx.x * n + row] = error;
}
