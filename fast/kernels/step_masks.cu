// Step masks of a schedule that takes one entry of every M at a time, as bit words.
//
//   P_t = the M - t largest of every M scores,  t = 1, ..., M - N         Eq. (53), subbit
//
// Layout   S (n, k) float32; words (t, n, w) uint32, w = ceil(k / 32): bit j of word u says whether
//          column 32 u + j is kept. Step t keeps `most` - t of GROUP, the last one `keep`. A thread
//          has a group, also the one that a row does not fill, which stays, and groups of columns
//          that there are not, to the end of a word. A warp's scores change hands in shared memory
//          as in nm_mask.cu; the 32 / GROUP threads of a word join their bits by a butterfly.
// Traffic  a score reads 4 bytes once; a step writes 1/8 byte.
// Sorting  in registers, see sorted_group.cuh, once for all steps. No sums.
// Budget   up to 64 registers; 128 GROUP bytes of shared memory for a warp.

#define WARPS (BLOCK / WARP)
#define PER_WORD (WARP / GROUP)

extern "C" __global__ void __launch_bounds__(BLOCK)
    step_masks(const float* S, int n, int k, int most, int keep, unsigned* words) {
  __shared__ float stage[WARPS][WARP * GROUP];
  const int lane = lane_of(), width = (k + WARP - 1) / WARP, in_row = width * PER_WORD;
  float* own = stage[threadIdx.x / WARP];
  const long long groups = (long long)n * in_row;
  const long long first = (long long)blockIdx.x * BLOCK + threadIdx.x / WARP * WARP;
  if (first >= groups) return;
#pragma unroll
  for (int r = 0; r < GROUP; ++r) {
    const int i = WARP * r + lane;
    const long long q = first + i / GROUP;
    const int column = (int)(q % in_row) * GROUP + i % GROUP;
    if (q < groups && column < k) own[i ^ r] = S[q / in_row * k + column];
  }
  __syncwarp();
  const long long q = first + lane;
  const int place = (int)(q % in_row), columns = k - place * GROUP;
  const bool whole = q < groups && columns >= GROUP;
  float score[GROUP], ordered[GROUP];
#pragma unroll
  for (int e = 0; e < GROUP; ++e) {
    const int i = GROUP * lane + e;
    score[e] = ordered[e] = whole ? own[i ^ (i / WARP)] : 0.0f;
  }
  sort_descending(ordered);
  const unsigned rest = columns > 0 ? (1u << min(columns, GROUP)) - 1u : 0u;
#pragma unroll 1
  for (int left = most; left >= keep; --left) {
    unsigned bits = (whole ? kept_of(score, ordered, left) : rest) << place % PER_WORD * GROUP;
#pragma unroll
    for (int distance = 1; distance < PER_WORD; distance *= 2)
      bits |= __shfl_xor_sync(ALL_LANES, bits, distance);
    if (q < groups && lane % PER_WORD == 0)
      words[((most - left) * (size_t)n + q / in_row) * width + place / PER_WORD] = bits;
  }
}
