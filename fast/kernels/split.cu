// Groups of a block, from choices that stay on the device.
//
//   code_j = salient where place_j < counts[best], rest where not, 0 for no place     Eq. (5), BiLLM
//   group_ij = the zone itself (concentrated) where key_ij <= p, its number for large entries
//              (sparse) where key_ij > p                                      Eq. (11), BiLLM
//   G_s = 1 C_s^T o G,  G_ns = 1 C_ns^T o G                                   Eq. (14), ARB-LLM
//
// Layout   place (k), codes bytes: (k), the zone of each column, which `stride` 0 says, or (n, k),
//          that of each entry; key, group (n, k), group in bytes; thresholds (zones, c), best
//          (zones) the chosen ones; zone_0 and zone_1 the two that are cut, of which the second
//          may be -1. A warp a row. `closed` 0 sends an entry at the threshold to the large ones.
// Traffic  an entry reads 5 bytes and writes 1. No sums.
// Budget   up to 40 registers, no shared memory.

extern "C" __global__ void mark_columns(const int* place, const int* counts, const int* best,
                                        int k, int salient, int rest, unsigned char* codes) {
  const int j = blockIdx.x * BLOCK + threadIdx.x;
  if (j >= k) return;
  const int rank = place[j];
  codes[j] = rank < 0 ? 0 : rank < counts[*best] ? salient : rest;
}

extern "C" __global__ void cut_zones(const float* key, const unsigned char* codes, int stride,
                                     const float* thresholds, const int* best, int c, int zone_0,
                                     int zone_1, int large_0, int large_1, int n, int k, int closed,
                                     unsigned char* group) {
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  const float p = thresholds[best[0]];
  const float q = zone_1 < 0 ? p : thresholds[c + best[1]];
  for (int j = lane_of(); j < k; j += WARP) {
    const size_t i = (size_t)row * k + j;
    const int code = codes[(size_t)row * stride + j];
    const float threshold = code == zone_1 ? q : p;
    const bool large = closed ? key[i] > threshold : key[i] >= threshold;
    group[i] = !large ? code : code == zone_0 ? large_0 : code == zone_1 ? large_1 : code;
  }
}
