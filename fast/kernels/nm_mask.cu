// The N largest of every M consecutive scores of a row.
//
//   M_ij = [#{l in group : S_il > S_ij, or = with l < j} < N]             Eq. (33), subbit
//
// Layout   S (n, m) float32, mask (n, m) bytes; groups of GROUP columns from the first one, and
//          `rest` last columns of a row that fill none and stay as they are. A thread has a group.
//          Its warp's 32 groups are read as they lie, 32 scores at a time, and change hands in
//          shared memory, where score i of the warp stands at place i ^ (i / 32): no two lanes
//          meet in a bank. Bytes of the mask are written as they lie as well.
// Traffic  a score reads 4 bytes and writes 1, once.
// Sorting  in registers, see sorted_group.cuh. No sums.
// Budget   up to 64 registers; 128 GROUP bytes of shared memory for a warp.

#define WARPS (BLOCK / WARP)

extern "C" __global__ void __launch_bounds__(BLOCK)
    nm_mask(const float* S, long long groups, int in_row, int rest, int keep, unsigned char* mask) {
  __shared__ float stage[WARPS][WARP * GROUP];
  const int lane = lane_of();
  float* own = stage[threadIdx.x / WARP];
  const long long first = (long long)blockIdx.x * BLOCK + threadIdx.x / WARP * WARP;
#pragma unroll
  for (int r = 0; r < GROUP; ++r) {
    const int i = WARP * r + lane;
    const long long q = first + i / GROUP;
    if (q < groups) own[i ^ r] = S[first * GROUP + i + (rest ? q / in_row * rest : 0)];
  }
  __syncwarp();
  float score[GROUP], ordered[GROUP];
  const bool real = first + lane < groups;
#pragma unroll
  for (int e = 0; e < GROUP; ++e) {
    const int i = GROUP * lane + e;
    score[e] = ordered[e] = real ? own[i ^ (i / WARP)] : 0.0f;
  }
  sort_descending(ordered);
  const unsigned kept = kept_of(score, ordered, keep);
#pragma unroll
  for (int r = 0; r < GROUP; ++r) {
    const int i = WARP * r + lane;
    const unsigned bits = __shfl_sync(ALL_LANES, kept, i / GROUP);
    const long long q = first + i / GROUP;
    if (q < groups)
      mask[first * GROUP + i + (rest ? q / in_row * rest : 0)] = bits >> i % GROUP & 1u;
  }
}
