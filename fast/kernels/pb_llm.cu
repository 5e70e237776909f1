// PB-LLM inside a block: round a column, each entry to its part, move the columns right of it.
//
//   q_i = mu + alpha sign(w_i - mu) in the low part, s (c_i - z) in the high one,
//   c_i = clip(round(w_i / s) + z, 0, 2^b - 1),  e_i = (w_i - q_i) / U_ii           Alg. 1, GPTQ
//
// Layout   W (n, k) float32, overwritten; U (k, k); low (n, k) and codes (n, k) bytes, a low entry's
//          code is its sign + 1; mu, alpha, s, z (n). Rows do not meet: one warp a row, 8 rows a
//          block, the row in HELD registers of each lane.
// Traffic  a weight reads 5 bytes and writes 5; U is read once a row, from cache.
// Sums     a weight takes part in up to k fused steps: depth p = k.
// Budget   up to 48 registers, no shared memory.

extern "C" __global__ void mixed_codes(float* W, const float* U, const unsigned char* low,
                                       const float* mean, const float* alpha, const float* scale,
                                       const float* zero, int n, int k, float top, float sign_zero,
                                       unsigned char* codes) {
  const int row = row_of();
  if (row >= n) return;
  Row x(W, row, k);
  const float mu = mean[row], a = alpha[row], s = scale[row], z = zero[row];
  column_loop(x, U, [=](int i, int owner, float value) {
    const size_t entry = (size_t)row * k + i;
    const bool binary = low[entry];
    const float sign = sign_of(value - mu, sign_zero);
    const float code = fminf(fmaxf(rintf(value / s) + z, 0.0f), top);
    if (lane_of() == owner) codes[entry] = (unsigned char)(binary ? sign + 1.0f : code);
    return binary ? mu + a * sign : s * (code - z);
  });
}
