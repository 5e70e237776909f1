// A row whose entries are cut into two sides, each binarized for itself, and what that leaves.
//
//   theta^2 = ||W_0 - Q_0||^2 + ||W_1 - Q_1||^2        Eqs. (5) and (11), BiLLM
//
// The error is the sum of the squared remainders themselves: formulas of the kind "energy minus
// what is explained" cancel, and in float32 that would decide searches by rounding.
// `side(j)` says 0, 1 or NEITHER for column j. ORDERS is the largest order there may be; orders
// that a side lacks have mean and scale zero, which leaves a remainder as it is.

#define NEITHER 2

struct Side {
  float mu[ORDERS], alpha[ORDERS];
};

template <class Cut>
struct TwoSides {
  const float* row;
  int k, lane;
  Cut cut;
  float zero;
  Side a, b;
#if HELD
  float x[HELD];
  int part[HELD];
#endif

  __device__ inline TwoSides(const float* entries, int columns, const Cut& which, float zero_sign)
      : row(entries), k(columns), lane(lane_of()), cut(which), zero(zero_sign) {
#if HELD
#pragma unroll
    for (int t = 0; t < HELD; ++t) {
      const int j = lane + WARP * t;
      part[t] = j < k ? cut(j) : NEITHER;
      x[t] = part[t] == NEITHER ? 0.0f : row[j];
    }
#endif
  }

#if HELD
  __device__ inline int side(int t) const { return part[t]; }
  __device__ inline float entry(int t) const { return x[t]; }
#else
  __device__ inline int side(int t) const {
    const int j = lane + WARP * t;
    return j < k ? cut(j) : NEITHER;
  }
  __device__ inline float entry(int t) const { return row[lane + WARP * t]; }
#endif

  // What the first `orders` orders of its side leave of a value.
  __device__ inline float remainder(float value, int s, int orders) const {
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) {
      if (p < orders) {
        value -= s ? b.mu[p] : a.mu[p];
        value -= (s ? b.alpha[p] : a.alpha[p]) * sign_of(value, zero);
      }
    }
    return value;
  }

  __device__ inline void fit(int order_0, int order_1, int center) {
    float count_0 = 0.0f, count_1 = 0.0f;
#pragma unroll
    for (int t = 0; t < TILES; ++t) {
      const int s = side(t);
      if (s == 0) count_0 += 1.0f;
      if (s == 1) count_1 += 1.0f;
    }
    count_0 = fmaxf(warp_sum(count_0), 1.0f);
    count_1 = fmaxf(warp_sum(count_1), 1.0f);
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) {
      a.mu[p] = b.mu[p] = a.alpha[p] = b.alpha[p] = 0.0f;
      if (p >= order_0 && p >= order_1) continue;
      if (center) {
        float total_0 = 0.0f, total_1 = 0.0f;
#pragma unroll
        for (int t = 0; t < TILES; ++t) {
          const int s = side(t);
          if (s == NEITHER) continue;
          const float rest = remainder(entry(t), s, p);
          if (s == 0) total_0 += rest;
          if (s == 1) total_1 += rest;
        }
        a.mu[p] = p < order_0 ? warp_sum(total_0) / count_0 : 0.0f;
        b.mu[p] = p < order_1 ? warp_sum(total_1) / count_1 : 0.0f;
      }
      float distance_0 = 0.0f, distance_1 = 0.0f;
#pragma unroll
      for (int t = 0; t < TILES; ++t) {
        const int s = side(t);
        if (s == NEITHER) continue;
        const float rest = remainder(entry(t), s, p);
        if (s == 0) distance_0 += fabsf(rest - a.mu[p]);
        if (s == 1) distance_1 += fabsf(rest - b.mu[p]);
      }
      a.alpha[p] = p < order_0 ? warp_sum(distance_0) / count_0 : 0.0f;
      b.alpha[p] = p < order_1 ? warp_sum(distance_1) / count_1 : 0.0f;
    }
  }

  __device__ inline float error() const {
    float total = 0.0f;
#pragma unroll
    for (int t = 0; t < TILES; ++t) {
      const int s = side(t);
      if (s == NEITHER) continue;
      const float rest = remainder(entry(t), s, ORDERS);
      total = fmaf(rest, rest, total);
    }
    return warp_sum(total);
  }
};
