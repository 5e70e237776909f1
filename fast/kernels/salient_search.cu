// Salient-column search: the error of every candidate count, in one launch.
//
//   error(s) = ||W_sal - Q_sal||^2 + ||W_rest - Q_rest||^2,   Eq. (5) and Alg. 2, BiLLM
//   W_sal = the s columns that rank first
//
// Layout   target (n, k) float32; place (k) the rank of each column, or (n, k) with place_stride = k
//          that of each entry's column, -1 for columns or entries that take no part; counts (c);
//          errors (c, n) out. One warp for a row and a candidate, candidates fastest over blocks,
//          so that the c warps of a row find it in cache.
// Traffic  8 bytes read for a weight and a candidate, from cache; from memory 4 for a weight, 8 with
//          ranks of entries.
// Sums     depth p = ceil(k / 32) + 4 for means, scales and the error.
// Budget   up to 64 registers, no shared memory.
//
// A side of order 0 is left out of the error.

struct ByRank {
  const int* place;
  int count, order_0, order_1;
  __device__ inline int operator()(int j) const {
    const int rank = place[j];
    if (rank < 0) return NEITHER;
    if (rank < count) return order_0 ? 0 : NEITHER;
    return order_1 ? 1 : NEITHER;
  }
};

extern "C" __global__ void salient_errors(const float* target, const int* place, int place_stride,
                                          const int* counts, int n, int k, int order_0,
                                          int order_1, int center, float zero, float* errors) {
  const int row = blockIdx.y * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  const ByRank cut = {place + (size_t)row * place_stride, counts[blockIdx.x], order_0, order_1};
  Sides<ByRank> sides(target + (size_t)row * k, k, cut, zero);
  sides.fit({order_0, order_1}, center);
  const float error = sides.error();
  if (lane_of() == 0) errors[(size_t)blockIdx.x * n + row] = error;
}
