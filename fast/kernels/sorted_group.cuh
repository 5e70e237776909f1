// Scores of a group of GROUP columns, sorted in the registers of a thread.
//
// Values alone, by Batcher's merging network of 5, 19 or 63 minima and maxima. The N-th largest is
// the cut; scores above it are kept, and of those that equal it the first ones, as many as are
// left. So ties need no indices.

__device__ inline void exchange(float& larger, float& smaller) {
  const float high = fmaxf(larger, smaller);
  smaller = fminf(larger, smaller);
  larger = high;
}

// In decreasing order: runs of p are sorted, and pairs of them merged.
__device__ inline void sort_descending(float (&x)[GROUP]) {
#pragma unroll
  for (int p = 1; p < GROUP; p *= 2)
#pragma unroll
    for (int q = p; q > 0; q /= 2)
#pragma unroll
      for (int i = 0; i < GROUP; ++i) {
        const bool first = i >= q % p && (i - q % p) / q % 2 == 0;
        if (first && i + q < GROUP && i / (2 * p) == (i + q) / (2 * p)) exchange(x[i], x[i + q]);
      }
}

// Bit e says whether score e of the group is kept; x are the scores in decreasing order.
__device__ inline unsigned kept_of(const float (&score)[GROUP], const float (&x)[GROUP], int keep) {
  float cut = x[0];
  int above = 0;
#pragma unroll
  for (int e = 1; e < GROUP; ++e) cut = e < keep ? x[e] : cut;
#pragma unroll
  for (int e = 0; e < GROUP; ++e) above += score[e] > cut;
  unsigned kept = 0;
#pragma unroll
  for (int e = 0; e < GROUP; ++e) {
    const bool tie = score[e] == cut && above < keep;
    above += tie;
    if (tie || score[e] > cut) kept |= 1u << e;
  }
  return kept;
}
