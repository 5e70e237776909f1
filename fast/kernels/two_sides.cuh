// Squared error of a row whose entries are cut into two sides, each binarized for itself.
//
//   theta^2 = ||W_0 - Q_0||^2 + ||W_1 - Q_1||^2        Eqs. (5) and (11), BiLLM
//
// The error is the sum of the squared remainders themselves: formulas of the kind "energy minus
// what is explained" cancel, and in float32 that would decide searches by rounding.
// `side(j)` says 0, 1 or NEITHER for column j. ORDERS is the larger of the two orders; orders that
// a side lacks have mean and scale zero, which leaves a remainder as it is.

#define NEITHER 2

struct Side {
  float mu[ORDERS], alpha[ORDERS];
};

__device__ inline float remainder_of(float x, int part, const Side& a, const Side& b, int orders,
                                     float zero) {
#pragma unroll
  for (int p = 0; p < ORDERS; ++p) {
    if (p < orders) {
      x -= part ? b.mu[p] : a.mu[p];
      x -= (part ? b.alpha[p] : a.alpha[p]) * sign_of(x, zero);
    }
  }
  return x;
}

template <class Cut>
__device__ inline float two_sided_error(const float* row, int k, const Cut& side, int order_0,
                                        int order_1, int center, float zero) {
  const int lane = lane_of();
#if HELD
  float x[HELD];
  int part[HELD];
#pragma unroll
  for (int t = 0; t < HELD; ++t) {
    const int j = lane + WARP * t;
    part[t] = j < k ? side(j) : NEITHER;
    x[t] = part[t] == NEITHER ? 0.0f : row[j];
  }
#define ENTRY(t) x[t]
#define PART(t) part[t]
#else
#define ENTRY(t) row[lane + WARP * (t)]
#define PART(t) (lane + WARP * (t) < k ? side(lane + WARP * (t)) : NEITHER)
#endif
  float count_0 = 0.0f, count_1 = 0.0f;
#pragma unroll
  for (int t = 0; t < TILES; ++t) {
    const int s = PART(t);
    if (s == 0) count_0 += 1.0f;
    if (s == 1) count_1 += 1.0f;
  }
  count_0 = fmaxf(warp_sum(count_0), 1.0f);
  count_1 = fmaxf(warp_sum(count_1), 1.0f);

  Side a, b;
#pragma unroll
  for (int p = 0; p < ORDERS; ++p) {
    a.mu[p] = b.mu[p] = 0.0f;
    if (center) {
      float total_0 = 0.0f, total_1 = 0.0f;
#pragma unroll
      for (int t = 0; t < TILES; ++t) {
        const int s = PART(t);
        if (s == NEITHER) continue;
        const float rest = remainder_of(ENTRY(t), s, a, b, p, zero);
        if (s == 0) total_0 += rest;
        if (s == 1) total_1 += rest;
      }
      a.mu[p] = p < order_0 ? warp_sum(total_0) / count_0 : 0.0f;
      b.mu[p] = p < order_1 ? warp_sum(total_1) / count_1 : 0.0f;
    }
    float distance_0 = 0.0f, distance_1 = 0.0f;
#pragma unroll
    for (int t = 0; t < TILES; ++t) {
      const int s = PART(t);
      if (s == NEITHER) continue;
      const float rest = remainder_of(ENTRY(t), s, a, b, p, zero);
      if (s == 0) distance_0 += fabsf(rest - a.mu[p]);
      if (s == 1) distance_1 += fabsf(rest - b.mu[p]);
    }
    a.alpha[p] = p < order_0 ? warp_sum(distance_0) / count_0 : 0.0f;
    b.alpha[p] = p < order_1 ? warp_sum(distance_1) / count_1 : 0.0f;
  }

  float error = 0.0f;
#pragma unroll
  for (int t = 0; t < TILES; ++t) {
    const int s = PART(t);
    if (s == NEITHER) continue;
    const float rest = remainder_of(ENTRY(t), s, a, b, ORDERS, zero);
    error = fmaf(rest, rest, error);
  }
#undef ENTRY
#undef PART
  return warp_sum(error);
}
