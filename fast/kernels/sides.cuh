// A row whose entries are cut into sides, each binarized for itself, and what that leaves.
//
//   theta^2 = sum_s ||W_s - Q_s||^2        Eqs. (5) and (11), BiLLM;  Alg. 2, STBLLM
//
// The error is the sum of the squared remainders themselves: formulas of the kind "energy minus
// what is explained" cancel, and in float32 that would decide searches by rounding.
// `side(j)` says 0 to SIDES - 1 or NEITHER for column j. ORDERS is the largest order there may be;
// orders that a side lacks have mean and scale zero, which leaves a remainder as it is.

#define NEITHER 255

template <class Cut, int SIDES = 2>
struct Sides {
  const float* row;
  int k, lane;
  Cut cut;
  float zero;
  float mu[ORDERS][SIDES], alpha[ORDERS][SIDES];
#if HELD
  float x[HELD];
  int part[HELD];
#endif

  __device__ inline Sides(const float* entries, int columns, const Cut& which, float zero_sign)
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

  // Selects instead of an index, so that the levels of all sides stay in registers.
  __device__ static inline float of(const float* levels, int s) {
    float level = levels[0];
#pragma unroll
    for (int q = 1; q < SIDES; ++q) level = s == q ? levels[q] : level;
    return level;
  }

  // What the first `orders` orders of its side leave of a value.
  __device__ inline float remainder(float value, int s, int orders) const {
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) {
      if (p < orders) {
        value -= of(mu[p], s);
        value -= of(alpha[p], s) * sign_of(value, zero);
      }
    }
    return value;
  }

  // Mean, over each side, of what `p` orders leave of its entries, or of its distance from the
  // next mean; `order` says which sides have a further order.
  template <bool DISTANCE>
  __device__ inline void average(int p, const int* order, const float* count, float* level) const {
    float total[SIDES] = {};
#pragma unroll
    for (int t = 0; t < TILES; ++t) {
      const int s = side(t);
      if (s == NEITHER) continue;
      const float rest = remainder(entry(t), s, p);
      const float term = DISTANCE ? fabsf(rest - of(mu[p], s)) : rest;
#pragma unroll
      for (int q = 0; q < SIDES; ++q)
        if (s == q) total[q] += term;
    }
#pragma unroll
    for (int q = 0; q < SIDES; ++q) level[q] = p < order[q] ? warp_sum(total[q]) / count[q] : 0.0f;
  }

  __device__ inline void fit(const int (&order)[SIDES], int center) {
    float count[SIDES] = {};
#pragma unroll
    for (int t = 0; t < TILES; ++t) {
      const int s = side(t);
#pragma unroll
      for (int q = 0; q < SIDES; ++q)
        if (s == q) count[q] += 1.0f;
    }
#pragma unroll
    for (int q = 0; q < SIDES; ++q) count[q] = fmaxf(warp_sum(count[q]), 1.0f);
#pragma unroll
    for (int p = 0; p < ORDERS; ++p) {
#pragma unroll
      for (int q = 0; q < SIDES; ++q) mu[p][q] = alpha[p][q] = 0.0f;
      bool more = false;
#pragma unroll
      for (int q = 0; q < SIDES; ++q) more |= p < order[q];
      if (!more) continue;
      if (center) average<false>(p, order, count, mu[p]);
      average<true>(p, order, count, alpha[p]);
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
