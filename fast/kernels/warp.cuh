// What the kernels share: a warp works on a row, and lane l holds columns l, l + 32, l + 64, ...
//
// HELD is the number of columns a lane keeps in registers; 0 reads them from memory again in each
// pass, for rows wider than 128. Both orders of summation are the same, and so are their bits:
// each lane adds its ceil(k / 32) columns from left to right, then a butterfly of 5 levels adds
// the lanes, so a row sum has the depth p = ceil(k / 32) + 4.

#define WARP 32
#define ALL_LANES 0xffffffffu
#define BLOCK 256

#if HELD
#define TILES HELD
#else
#define TILES ((k + WARP - 1) / WARP)
#endif

__device__ inline int lane_of() { return threadIdx.x % WARP; }

// Every lane gets the sum, with the same bits: addition is commutative.
__device__ inline float warp_sum(float x) {
#pragma unroll
  for (int distance = WARP / 2; distance > 0; distance /= 2)
    x += __shfl_xor_sync(ALL_LANES, x, distance);
  return x;
}

// Eq. (2): +1 or -1; `zero` is the sign of zero, 1 or 0.
__device__ inline float sign_of(float x, float zero) {
  return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : zero;
}
