// The largest of some columns of a row, column by column in the lanes that hold them.
//
// `score(t)` is that of the lane's column of tile t, and 0 past the last column. Returned is how
// many of the columns from `first` to before `stop` come before the lane's column of tile r: a
// column comes before another if its score is larger, or equal and its number lower.

template <class Score>
__device__ inline int before(const Row& x, Score score, int r, int first, int stop) {
  const int k = x.k;
  const float own = score(r);
  int count = 0;
#pragma unroll
  for (int t = 0; t < TILES; ++t) {
    const int start = max(first - WARP * t, 0), end = min(stop - WARP * t, WARP);
    if (start >= end) continue;
    const float mine = score(t);
    for (int lane = start; lane < end; ++lane) {
      const float rival = __shfl_sync(ALL_LANES, mine, lane);
      count += rival > own || (rival == own && WARP * t + lane < WARP * r + x.lane);
    }
  }
  return count;
}
