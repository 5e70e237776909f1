// Saliency of weights, and scores of columns.
//
//   S_ij = (W_ij / d_j)^2        squared: Eq. (3) and Alg. 2, BiLLM
//   S_ij = W_ij (W_ij / d_j)     otherwise: Eq. (2), GPTQ
//   S_ij = |W_ij| f_j            Eq. (1), Wanda
//   score_j = sum_i |S_ij|       Alg. 2, BiLLM
//
// Layout   W, S (n, k) float32, d and f (k). Scores of weights: a warp a row. Scores of columns: blocks
//          of 32 columns by a slab of 256 rows; slab sums (slabs, k), added in a second
//          launch. Neighboring threads read neighboring columns.
// Traffic  a weight reads 4 bytes and writes 4 (its scores), then reads 4 (column scores).
// Sums     a thread adds 32 rows, eight threads meet in a tree of 3 levels, slabs in order:
//          depth p = 34 + ceil(n / 256), whatever the launch.
// Budget   up to 64 registers; 1 KB of shared memory.

#define SLAB 256
#define STRIPES 8

extern "C" __global__ void saliency(const float* W, const float* d, int n, int k, int squared,
                                    float* S) {
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  for (int j = lane_of(); j < k; j += WARP) {
    const size_t i = (size_t)row * k + j;
    const float w = W[i];
    const float ratio = w / d[j];
    S[i] = (squared ? ratio : w) * ratio;
  }
}

extern "C" __global__ void scaled_magnitude(const float* W, const float* f, int n, int k, float* S) {
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  for (int j = lane_of(); j < k; j += WARP)
    S[(size_t)row * k + j] = fabsf(W[(size_t)row * k + j]) * f[j];
}

extern "C" __global__ void __launch_bounds__(BLOCK)
    slab_sums(const float* S, int n, int k, float* sums) {
  __shared__ float part[STRIPES][WARP];
  const int lane = lane_of(), stripe = threadIdx.x / WARP;
  const int column = blockIdx.x * WARP + lane;
  const int first = blockIdx.y * SLAB;
  const int last = min(first + SLAB, n);
  float total = 0.0f;
  if (column < k)
    for (int i = first + stripe; i < last; i += STRIPES) total += fabsf(S[(size_t)i * k + column]);
  part[stripe][lane] = total;
  __syncthreads();
  for (int half = STRIPES / 2; half > 0; half /= 2) {
    if (stripe < half) part[stripe][lane] += part[stripe + half][lane];
    __syncthreads();
  }
  if (stripe == 0 && column < k) sums[(size_t)blockIdx.y * k + column] = part[0][lane];
}

extern "C" __global__ void add_slabs(const float* sums, int slabs, int k, float* scores) {
  const int column = blockIdx.x * BLOCK + threadIdx.x;
  if (column >= k) return;
  float total = 0.0f;
  for (int s = 0; s < slabs; ++s) total += sums[(size_t)s * k + column];
  scores[column] = total;
}
