// A row of a group that is being refined: entries, membership and the signs of each order.
//
// With HELD columns a lane everything is in registers, and signs go back to memory once. Wider
// rows read entries again in each pass, and their signs live in the result: a lane reads only what
// it wrote itself, so nothing has to be synchronized.

struct Row {
  int k, lane, which;
  float unit;
  size_t plane;
  const float* weights;
  const unsigned char* group;
  signed char* signs;
#if HELD
  float x[HELD], s[ORDERS][HELD];
  unsigned members;
#endif

  // `known` says how many planes of signs hold something; entries are multiplied by `unit`.
  __device__ inline Row(const float* W, const unsigned char* groups, int number, int row, int n,
                        int columns, signed char* all_signs, int known, float factor = 1.0f)
      : k(columns), lane(lane_of()), which(number), unit(factor), plane((size_t)n * columns) {
    const size_t base = (size_t)row * columns;
    weights = W + base;
    group = groups + base;
    signs = all_signs + base;
#if HELD
    members = 0;
#pragma unroll
    for (int t = 0; t < HELD; ++t) {
      const int j = lane + WARP * t;
      const bool own = j < k && group[j] == which;
      x[t] = own ? weights[j] * unit : 0.0f;
      members |= (unsigned)own << t;
#pragma unroll
      for (int p = 0; p < ORDERS; ++p) s[p][t] = own && p < known ? signs[p * plane + j] : 0.0f;
    }
#endif
  }

#if HELD
  __device__ inline bool belongs(int t) const { return members >> t & 1u; }
  __device__ inline float entry(int t) const { return x[t]; }
  __device__ inline float sign(int p, int t) const { return s[p][t]; }
  __device__ inline void set_sign(int p, int t, float value) { s[p][t] = value; }
  __device__ inline void store_signs() const {
#pragma unroll
    for (int t = 0; t < HELD; ++t) {
      if (!belongs(t)) continue;
#pragma unroll
      for (int p = 0; p < ORDERS; ++p) signs[p * plane + lane + WARP * t] = (signed char)s[p][t];
    }
  }
#else
  __device__ inline bool belongs(int t) const {
    const int j = lane + WARP * t;
    return j < k && group[j] == which;
  }
  __device__ inline float entry(int t) const { return weights[lane + WARP * t] * unit; }
  __device__ inline float sign(int p, int t) const { return signs[p * plane + lane + WARP * t]; }
  __device__ inline void set_sign(int p, int t, float value) {
    signs[p * plane + lane + WARP * t] = (signed char)value;
  }
  __device__ inline void store_signs() const {}
#endif

  // Eqs. (4) and (8), ARB-LLM: the signs of the level nearest to what the mean leaves.
  __device__ inline void set_nearest(int t, float z, const float* alpha, float zero) {
#if ORDERS == 1
    set_sign(0, t, sign_of(z, zero));
#else
    float first, second;
    nearest_level(z, alpha[0], alpha[1], first, second);
    set_sign(0, t, first);
    set_sign(1, t, second);
#endif
  }

  __device__ inline float size() const {
    float count = 0.0f;
#pragma unroll
    for (int t = 0; t < TILES; ++t)
      if (belongs(t)) count += 1.0f;
    return warp_sum(count);
  }
};
