// Masks of a block, from choices that stay on the device.
//
//   code_j  = 3 salient, 1 other, 0 dead:  salient where place_j < counts[best]   Eq. (5), BiLLM
//   group_ij = 1 (concentrated) where key_ij <= p, 2 (sparse) where key_ij > p    Eq. (11), BiLLM
//
// Layout   place, codes (k); key, group (n, k), group in bytes; p = thresholds[best]. A warp
//          a row. `closed` 0 sends an entry at the threshold to the sparse side.
// Traffic  an entry reads 5 bytes and writes 1. No sums.
// Budget   up to 32 registers, no shared memory.

#define SALIENT 3

extern "C" __global__ void mark_columns(const int* place, const int* counts, const int* best,
                                        int k, unsigned char* codes) {
  const int j = blockIdx.x * BLOCK + threadIdx.x;
  if (j >= k) return;
  const int rank = place[j];
  codes[j] = rank < 0 ? 0 : rank < counts[*best] ? SALIENT : 1;
}

extern "C" __global__ void bell_split(const float* key, const unsigned char* codes,
                                      const float* thresholds, const int* best, int n, int k,
                                      int closed, unsigned char* group) {
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  const float p = thresholds[*best];
  for (int j = lane_of(); j < k; j += WARP) {
    const size_t i = (size_t)row * k + j;
    const bool below = closed ? key[i] <= p : key[i] < p;
    group[i] = codes[j] == 1 ? (below ? 1 : 2) : codes[j];
  }
}
