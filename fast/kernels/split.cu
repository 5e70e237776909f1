// Groups of a block, from choices that stay on the device.
//
//   code_j = salient where place_j < counts[best], rest where not, 0 for no place     Eq. (5), BiLLM
//   group_ij = the zone itself (concentrated) where key_ij <= p, its number for large entries
//              (sparse) where key_ij > p                                      Eq. (11), BiLLM
//              and a third number where also key_ij > f p                       Alg. 2, STBLLM
//   G_s = 1 C_s^T o G,  G_ns = 1 C_ns^T o G                                   Eq. (14), ARB-LLM
//
// Layout   place (k), codes bytes: (k), the zone of each column, which `stride` 0 says, or (n, k),
//          that of each entry; key, group (n, k), group in bytes; thresholds (zones, c), best
//          (zones) the chosen ones; zone_0 and zone_1 the two that are cut, of which the second
//          may be -1; a zone that has no third number is given the second once more. A warp a row.
//          `closed` 0 sends an entry at a threshold to those above it.
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
                                     int zone_1, int large_0, int large_1, int largest_0,
                                     int largest_1, float factor_0, float factor_1, int n, int k,
                                     int closed, unsigned char* group) {
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  const float p = thresholds[best[0]];
  const float q = zone_1 < 0 ? p : thresholds[c + best[1]];
  for (int j = lane_of(); j < k; j += WARP) {
    const size_t i = (size_t)row * k + j;
    const int code = codes[(size_t)row * stride + j];
    const bool second = code == zone_1;
    const float threshold = second ? q : p;
    const float further = (second ? factor_1 : factor_0) * threshold;
    const bool large = closed ? key[i] > threshold : key[i] >= threshold;
    const bool largest = closed ? key[i] > further : key[i] >= further;
    const int number = second ? (largest ? largest_1 : large_1) : largest ? largest_0 : large_0;
    group[i] = large && (second || code == zone_0) ? number : code;
  }
}
