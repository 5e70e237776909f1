// Two signs at once: the nearest of the four levels that two scales make.
//
//   (B_1, B_2) = argmin |Z - (+-u +- v)|        Eq. (8), ARB-LLM
//
// Layout   Z (n, k) float32; u, v (n, 1) or (n, k), which `wide` tells by its bits 0 and 1; signs
//          (2, n, k) bytes. A warp a row.
// Traffic  an entry reads 4 bytes, 4 more for each wide scale, and writes 2. No sums.
// Budget   up to 40 registers, no shared memory.

extern "C" __global__ void nearest_signs(const float* Z, const float* u, const float* v, int n,
                                         int k, int wide, signed char* signs) {
  const int row = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP;
  if (row >= n) return;
  for (int j = lane_of(); j < k; j += WARP) {
    const size_t i = (size_t)row * k + j;
    float first, second;
    nearest_level(Z[i], u[wide & 1 ? i : row], v[wide & 2 ? i : row], first, second);
    signs[i] = (signed char)first;
    signs[(size_t)n * k + i] = (signed char)second;
  }
}
