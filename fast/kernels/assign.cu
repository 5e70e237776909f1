// A block's entries go to the nearest values of their groups, column by column and with feedback.
//
//   B_ij = argmin |w_ij - mu_i - sum_p B_p r_p,i c_p,j|                            Eq. (93), subbit
//   e_i = (w_i - q_i) / U_ii,  w_j <- w_j - e_i U_ij  for j > i that may move      Eq. (92), subbit
//
// Layout   W (n, k) float32, overwritten; U (k, k); group (n, k) bytes, the number of each entry's
//          group from 1, and from `groups` + 1 none; its planes are first[number - 1] to
//          first[number], of scales (planes, n) and columns (planes, k), read where `scaled`;
//          mean (groups, n); movable (n, k) bytes, read where `some`; signs (largest order, n, k)
//          bytes; image (n, k). Rows do not meet: one warp a row, 8 rows a block, the row in HELD
//          registers of each lane.
// Traffic  a weight reads 5 bytes and writes 9, at order 2 10, of which 4 are W again; U is read once a row, from cache, and
//          so are the bytes of movable weights, k / 2 times.
// Sums     a weight takes part in up to k fused steps: depth p = k.
// Budget   up to 56 registers, no shared memory.

extern "C" __global__ void assign_columns(float* W, const float* U, const unsigned char* group,
                                          const unsigned char* movable, const int* first,
                                          const float* mean, const float* scale,
                                          const float* columns, int n, int k, int groups,
                                          int scaled, int some, signed char* signs, float* image) {
  const int row = row_of();
  if (row >= n) return;
  Row x(W, row, k);
  const size_t at = (size_t)row * k;
  const auto quantize = [&](int i, int owner, float value) {
    const int g = group[at + i];
    float q = 0.0f;
    if (g > 0 && g <= groups) {
      const int plane = first[g - 1], order = first[g] - plane;
      const auto level = [&](int p) {
        return scale[(size_t)p * n + row] * (scaled ? columns[(size_t)p * k + i] : 1.0f);
      };
      q = mean[(size_t)(g - 1) * n + row];
      const float z = value - q;
      float one = 0.0f, two = 0.0f;
      if (order == 1) {
        const float u = level(plane);
        one = sign_of(u < 0.0f ? -z : z, 1.0f);
        q += one * u;
      } else if (order == 2) {
        const float u = level(plane), v = level(plane + 1);
        nearest_level(z, u, v, one, two);
        q = q + one * u + two * v;
      }
      if (x.lane == owner && order > 0) signs[at + i] = (signed char)one;
      if (x.lane == owner && order > 1) signs[(size_t)n * k + at + i] = (signed char)two;
    }
    if (x.lane == owner) image[at + i] = q;
    return q;
  };
  column_loop(x, U, quantize, [&](int j) { return !some || movable[at + j]; });
}
