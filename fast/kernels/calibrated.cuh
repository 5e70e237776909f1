// Levels of one row on the calibrated error: sums of products with S, and what solves for levels.
//
//   G_pq = e_p S e_q^T,  g_p = e_p S (w - mu m)^T,  e = (m, b_1, b_2)     Eq. (25), subbit
//   x_p <- (g_p - sum_{q != p} G_pq x_q) / (G_pp + eps_p)                 Eq. (27), subbit
//   x = G^-1 g                                                            Eq. (26), subbit
//
// The mean that a group comes with is taken off first and what is solved for is its change, so
// that a large common part costs no digits. S is positive semi-definite up to rounding only:
// a denominator below `vanishing` (sum e^2) (sum e^2 diag S), which bounds the sum of its
// magnitudes, is rounding.

#define P (ORDERS + 1)

struct Levels {
  float mu, alpha[ORDERS];
  float G[P][P], g[P], least[P];
  float squares[P], energy[P];

  __device__ inline void load(const float* mean, const float* scale, int row, int n) {
    mu = mean[row];
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) alpha[p] = scale[(size_t)p * n + row];
  }

  __device__ inline void store(float* mean, float* scale, int row, int n) const {
    mean[row] = mu;
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) scale[(size_t)p * n + row] = alpha[p];
  }

  __device__ inline void clear() {
#pragma unroll
    for (int p = 0; p < P; ++p) {
      g[p] = squares[p] = energy[p] = 0.0f;
#pragma unroll
      for (int q = 0; q < P; ++q) G[p][q] = 0.0f;
    }
  }

  // A column of e_p S: with the e there, what has to be matched, and S on the diagonal.
  __device__ inline void add(int p, float product, const float (&e)[P], float value,
                             float diagonal) {
    g[p] += product * value;
#pragma unroll
    for (int q = 0; q < P; ++q) G[p][q] += product * e[q];
    squares[p] += e[p] * e[p];
    energy[p] += e[p] * e[p] * diagonal;
  }

  __device__ inline void add_lanes(float vanishing) {
#pragma unroll
    for (int p = 0; p < P; ++p) {
      g[p] = warp_sum(g[p]);
#pragma unroll
      for (int q = 0; q < P; ++q) G[p][q] = warp_sum(G[p][q]);
      least[p] = vanishing * warp_sum(squares[p]) * warp_sum(energy[p]);
    }
  }

  // The change of the mean is solved for, so eps draws it towards what takes the mean to zero.
  __device__ inline void alternate(int rounds, const float* eps) {
    float x[P], divisor[P];
    x[0] = 0.0f;
#pragma unroll
    for (int p = 0; p < P; ++p) {
      if (p) x[p] = alpha[p - 1];
      divisor[p] = G[p][p] + eps[p];
    }
    const float pull = quotient(eps[0], divisor[0], least[0], 0.0f) * mu;
#pragma unroll 1
    for (int round = 0; round < rounds; ++round) {
#pragma unroll
      for (int p = 0; p < P; ++p) {
        float rest = g[p];
#pragma unroll
        for (int q = 0; q < P; ++q)
          if (q != p) rest -= G[p][q] * x[q];
        const float own = p ? 0.0f : pull;
        x[p] = divisor[p] > least[p] ? rest / divisor[p] - own : x[p];
      }
    }
    mu += x[0];
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) alpha[p] = x[p + 1];
  }

  // Eq. (22), subbit: elimination; a variable that depends on those before it is zero.
  __device__ inline void solve(float dependent) {
    float whole[P];
    bool usable[P];
#pragma unroll
    for (int p = 0; p < P; ++p) whole[p] = G[p][p];
#pragma unroll
    for (int p = 0; p < P; ++p) {
      usable[p] = whole[p] > least[p] && G[p][p] > dependent * whole[p];
#pragma unroll
      for (int q = p + 1; q < P; ++q) {
        const float factor = usable[p] ? G[q][p] / G[p][p] : 0.0f;
#pragma unroll
        for (int r = p; r < P; ++r) G[q][r] -= factor * G[p][r];
        g[q] -= factor * g[p];
      }
    }
    float x[P];
#pragma unroll
    for (int p = P - 1; p >= 0; --p) {
      x[p] = g[p];
#pragma unroll
      for (int q = p + 1; q < P; ++q) x[p] -= G[p][q] * x[q];
      x[p] = usable[p] ? x[p] / G[p][p] : 0.0f;
    }
    mu = usable[0] ? mu + x[0] : 0.0f;
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) alpha[p] = x[p + 1];
  }
};
