// SparseGPT inside a block: zero a column's pruned entries, move the columns right of it.
//
//   q_i = w_i where kept, 0 elsewhere,  e_i = (w_i - q_i) / U_ii                 Alg. 1, SparseGPT
//
// With a group M > 0 the kept entries are chosen here, at the first column of each M, from the
// row as the columns before have left it: the N largest of w_j^2 / U_jj^2, of equal ones the lower
// column. The order is that of |w_j| / U_jj, which is computed instead: no square can be flushed.
// A last group that is not full is kept whole. With M = 0 `kept` says what stays.
//
// Layout   W (n, k) float32, overwritten by what each column was before it was pruned; U (k, k);
//          d (k) its diagonal; kept (n, k) bytes. Rows do not meet: one warp a row, 8 rows a
//          block, the row in HELD registers of each lane. Each byte is its own lane's affair.
// Traffic  a weight reads 4 bytes and writes 4, and a byte goes each way; U comes from cache.
// Sums     a weight takes part in up to k fused steps: depth p = k.
// Budget   up to 48 registers, no shared memory.

__device__ inline float score(Row& x, const float* d, int t) {
  return x.inside(t) ? fabsf(x.at(t)) / d[x.lane + WARP * t] : 0.0f;
}

extern "C" __global__ void prune_columns(float* W, const float* U, const float* d, int n, int k,
                                         int keep, int group, unsigned char* kept) {
  const int row = row_of();
  if (row >= n) return;
  Row x(W, row, k);
  unsigned char* const own = kept + (size_t)row * k;
  const auto scores = [&](int t) { return score(x, d, t); };
  column_loop(x, U, [&](int i, int owner, float value) {
    if (group > 0 && i % group == 0) {
      const int stop = i + group;
#pragma unroll
      for (int r = 0; r < TILES; ++r) {
        const int j = x.lane + WARP * r;
        if (WARP * r >= stop || WARP * (r + 1) <= i) continue;
        const int rank = stop > k ? 0 : before(x, scores, r, i, stop);
        if (j >= i && j < stop && j < k) own[j] = rank < keep;
      }
    }
    const int mine = x.lane == owner ? own[i] : 0;
    return __shfl_sync(ALL_LANES, mine, owner) ? value : 0.0f;
  });
}
