// Column scales from the sums of slabs.
//
//   c_j = numerator_j / (denominator_j + eps)        Eqs. (12) and (13), ARB-LLM
//
// Layout   sums (2, slabs, k) float32, numerators and denominators; columns (k). A thread a column.
// Traffic  8 bytes read for a slab and a column, 1/4 byte for a weight.
// Sums     slabs in order: depth p = ceil(n / 32) behind the 7 of a slab.
// Budget   up to 40 registers, no shared memory.

extern "C" __global__ void fit_columns(const float* sums, int slabs, int k, int start,
                                       const float* eps, float* columns) {
  const int j = blockIdx.x * BLOCK + threadIdx.x;
  if (j >= k) return;
  float numerator = 0.0f, denominator = 0.0f;
  for (int s = 0; s < slabs; ++s) {
    numerator += sums[(size_t)s * k + j];
    denominator += sums[((size_t)slabs + s) * k + j];
  }
  // A column without entries starts from 0; later it stays as it is.
  columns[j] = quotient(numerator, denominator + *eps, 0.0f, start ? 0.0f : columns[j]);
}
