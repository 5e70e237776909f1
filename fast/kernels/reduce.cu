// Objectives of a search, and the first of their minima.
//
//   objective_c = sum_i errors_ci,   best = min argmin_c objective_c      Eqs. (5), (13), BiLLM
//
// Layout   errors (c, n) float32, one block of 256 threads a candidate; objective (c), or (zones, c)
//          for several searches of as many candidates, a block each; best (zones).
// Traffic  4 bytes read for a row and a candidate.
// Sums     thread t adds rows t, t + 256, ... in order; warps and then the 8 warp sums by
//          butterflies: depth p = ceil(n / 256) + 9, whatever the launch.
// Budget   up to 40 registers; 32 bytes of shared memory to sum, 2 KB to find the minimum.

extern "C" __global__ void __launch_bounds__(BLOCK)
    sum_rows(const float* errors, int n, float* objective) {
  __shared__ float part[BLOCK / WARP];
  const float* row = errors + (size_t)blockIdx.x * n;
  float total = 0.0f;
  for (int i = threadIdx.x; i < n; i += BLOCK) total += row[i];
  total = warp_sum(total);
  if (lane_of() == 0) part[threadIdx.x / WARP] = total;
  __syncthreads();
  if (threadIdx.x >= WARP) return;
  total = warp_sum(threadIdx.x < BLOCK / WARP ? part[threadIdx.x] : 0.0f);
  if (threadIdx.x == 0) objective[blockIdx.x] = total;
}

// A block a search. A candidate beats another if it is smaller, or equal and earlier.
extern "C" __global__ void __launch_bounds__(BLOCK)
    first_minimum(const float* objectives, int candidates, int* best) {
  const float* objective = objectives + (size_t)blockIdx.x * candidates;
  __shared__ float value[BLOCK];
  __shared__ int index[BLOCK];
  const int t = threadIdx.x;
  value[t] = t < candidates ? objective[t] : __int_as_float(0x7f800000);
  index[t] = t;
  for (int i = t + BLOCK; i < candidates; i += BLOCK) {
    if (objective[i] < value[t]) {
      value[t] = objective[i];
      index[t] = i;
    }
  }
  __syncthreads();
  for (int half = BLOCK / 2; half > 0; half /= 2) {
    if (t < half) {
      const float other = value[t + half];
      const bool tie = other == value[t] && index[t + half] < index[t];
      if (other < value[t] || tie) {
        value[t] = other;
        index[t] = index[t + half];
      }
    }
    __syncthreads();
  }
  if (t == 0) best[blockIdx.x] = index[0];
}
