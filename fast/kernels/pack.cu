// What a decoder needs of a block's masks and signs, as bits.
//
//   planes 0, 1, 2:          [group_ij = 1], [group_ij = 2], [group_ij = 3]
//   planes 3 + 2p, 4 + 2p:   [signs_pij = +1], [signs_pij = -1]
//
// Layout   group (n, k) and signs (ORDERS, n, k) bytes; words (3 + 2 ORDERS, n, ceil(k / 32)),
//          column 32 w + b in bit b of word w; bits beyond column k are 0. One warp a word: its 32
//          lanes vote once a plane.
// Traffic  an entry reads 1 + ORDERS bytes and writes 3 + 2 ORDERS bits. No sums.
// Budget   up to 32 registers, no shared memory.

extern "C" __global__ void pack_block(const signed char* group, const signed char* signs, int n,
                                      int k, unsigned* words) {
  const int width = (k + WARP - 1) / WARP;
  const size_t word = (size_t)blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  const size_t plane = (size_t)n * width;
  if (word >= plane) return;
  const int j = (int)(word % width) * WARP + lane_of();
  const size_t entry = word / width * k + j;
  const bool inside = j < k;
  const signed char number = inside ? group[entry] : 0;
#pragma unroll
  for (int g = 0; g < 3; ++g) {
    const unsigned bits = __ballot_sync(ALL_LANES, number == g + 1);
    if (lane_of() == 0) words[g * plane + word] = bits;
  }
#pragma unroll
  for (int p = 0; p < ORDERS; ++p) {
    const signed char s = inside ? signs[(size_t)p * n * k + entry] : 0;
    const unsigned plus = __ballot_sync(ALL_LANES, s > 0);
    const unsigned minus = __ballot_sync(ALL_LANES, s < 0);
    if (lane_of() == 0) {
      words[(3 + 2 * p) * plane + word] = plus;
      words[(4 + 2 * p) * plane + word] = minus;
    }
  }
}
