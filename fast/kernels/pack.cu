// What a decoder needs of a block's groups and signs, as bits.
//
//   planes 0, 1, ..., bits - 1:                the digits of group_ij, the lowest first
//   planes bits + 2p, bits + 2p + 1:           [signs_pij = +1], [signs_pij = -1]
//
// Layout   group (n, k) and signs (ORDERS, n, k) bytes; words (bits + 2 ORDERS, n, ceil(k / 32)),
//          column 32 w + b in bit b of word w; bits beyond column k are 0. One warp a word: its 32
//          lanes vote once a plane.
// Traffic  an entry reads 1 + ORDERS bytes and writes bits + 2 ORDERS bits. No sums.
// Budget   up to 32 registers, no shared memory.

extern "C" __global__ void pack_block(const unsigned char* group, const signed char* signs, int n,
                                      int k, int bits, unsigned* words) {
  const int width = (k + WARP - 1) / WARP;
  const size_t word = (size_t)blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  const size_t plane = (size_t)n * width;
  if (word >= plane) return;
  const int j = (int)(word % width) * WARP + lane_of();
  const size_t entry = word / width * k + j;
  const bool inside = j < k;
  const unsigned number = inside ? group[entry] : 0;
#pragma unroll 1
  for (int b = 0; b < bits; ++b) {
    const unsigned digits = __ballot_sync(ALL_LANES, number >> b & 1u);
    if (lane_of() == 0) words[b * plane + word] = digits;
  }
#pragma unroll
  for (int p = 0; p < ORDERS; ++p) {
    const signed char s = inside ? signs[(size_t)p * n * k + entry] : 0;
    const unsigned plus = __ballot_sync(ALL_LANES, s > 0);
    const unsigned minus = __ballot_sync(ALL_LANES, s < 0);
    if (lane_of() == 0) {
      words[(bits + 2 * p) * plane + word] = plus;
      words[(bits + 2 * p + 1) * plane + word] = minus;
    }
  }
}
