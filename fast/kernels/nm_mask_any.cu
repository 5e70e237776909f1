// The N largest of every M consecutive scores of a row, for any M.
//
//   M_ij = [#{l in group : S_il > S_ij, or = with l < j} < N]             Eq. (33), subbit
//
// Layout   S (n, m) float32, mask (n, m) bytes; groups of M columns from the first one. Last
//          columns that fill none stay as they are. A warp a row, a lane a column, which counts
//          those of its group that come before it.
// Traffic  a score reads 4 (M + 1) bytes, of which the warp's neighbors have most at hand, and
//          writes 1. No sums.
// Budget   up to 40 registers, no shared memory.

extern "C" __global__ void nm_mask_any(const float* S, int n, int m, int group, int keep,
                                       unsigned char* mask) {
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  const float* scores = S + (size_t)row * m;
  for (int j = lane_of(); j < m / group * group; j += WARP) {
    const int first = j / group * group;
    const float own = scores[j];
    int before = 0;
    for (int l = first; l < first + group; ++l)
      before += scores[l] > own || (scores[l] == own && l < j);
    mask[(size_t)row * m + j] = before < keep;
  }
}
