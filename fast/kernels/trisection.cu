// Trisection search: the error of every candidate magnitude of a zone, in one launch.
//
//   theta^2(t) = sum_g ||W_g - alpha_g B_g||^2                           Alg. 2, STBLLM
//   dense: key <= t (closed) or key < t (open), intermediate: the others up to f t, sparse: the rest
//
// Layout   target, key (n, k) float32; codes bytes, the zone of each entry (n, k), or with
//          `stride` 0 of each column (k); thresholds (c); errors (c, n) out. One warp for a row
//          and a candidate, candidates fastest over blocks, so that the c warps of a row find it
//          in cache. A lane adds to all three groups by selects, so no branch depends on where an
//          entry lies.
// Traffic  9 bytes read for a weight and a candidate, from cache; from memory 9 for a weight.
// Sums     depth p = ceil(k / 32) + 4 for means, scales and the error.
// Budget   up to 64 registers, no shared memory.

struct ByRegion {
  const float* key;
  const unsigned char* code;
  int zone;
  float lower, upper;
  int closed;
  __device__ inline int above(float value, float magnitude) const {
    return closed ? value > magnitude : value >= magnitude;
  }
  __device__ inline int operator()(int j) const {
    if (code[j] != zone) return NEITHER;
    const int outside = above(key[j], lower);
    return outside + (outside & above(key[j], upper));
  }
};

extern "C" __global__ void trisection_errors(const float* target, const float* key,
                                             const unsigned char* codes, int stride,
                                             const float* thresholds, float factor, int zone,
                                             int order_0, int order_1, int order_2, int n, int k,
                                             int center, float zero, int closed, float* errors) {
  const int row = blockIdx.y * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  const size_t base = (size_t)row * k;
  const float lower = thresholds[blockIdx.x];
  const ByRegion cut = {key + base, codes + (size_t)row * stride, zone, lower, factor * lower,
                        closed};
  Sides<ByRegion, 3> regions(target + base, k, cut, zero);
  regions.fit({order_0, order_1, order_2}, center);
  const float error = regions.error();
  if (lane_of() == 0) errors[(size_t)blockIdx.x * n + row] = error;
}
