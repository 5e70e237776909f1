// GPTQ inside a block: round a column, move the columns right of it, and so on.
//
//   q_i = clip(round(w_i / s) + z, 0, 2^b - 1),  e_i = (w_i - s (q_i - z)) / U_ii     Alg. 1, GPTQ
//
// Layout   W (n, k) float32, overwritten; U (k, k); codes (n, k) bytes; scale, zero (groups, n),
//          column i has those of group (first + i) / group_size - first_group. Rows do not meet:
//          one warp a row, 8 rows a block, the row in HELD registers of each lane.
// Traffic  a weight reads 4 bytes and writes 5; U is read once a row, from cache.
// Sums     a weight takes part in up to k fused steps: depth p = k.
// Budget   up to 48 registers, no shared memory.

extern "C" __global__ void gptq_codes(float* W, const float* U, const float* scale,
                                      const float* zero, int n, int k, int first, int group_size,
                                      int first_group, float top, unsigned char* codes) {
  const int row = row_of();
  if (row >= n) return;
  Row x(W, row, k);
  column_loop(x, U, [=](int i, int owner, float value) {
    const size_t grid = (size_t)((first + i) / group_size - first_group) * n + row;
    const float s = scale[grid], z = zero[grid];
    const float code = fminf(fmaxf(rintf(value / s) + z, 0.0f), top);
    if (lane_of() == owner) codes[(size_t)row * k + i] = (unsigned char)code;
    return s * (code - z);
  });
}
