// The column loop of GPTQ, for whatever quantizes an entry: a column becomes q(w_i), its error
// moves the columns right of it, and so on.
//
//   e_i = (w_i - q(w_i)) / U_ii,  w_j <- w_j - e_i U_ij  for j > i                   Eq. (2), GPTQ
//
// Rows do not meet: one warp a row, in HELD registers of each lane. A weight takes part in up to
// k fused steps.

struct Row {
  float* w;
  int k, lane;
#if HELD
  float x[HELD];
#endif

  __device__ inline Row(float* W, int row, int k) : w(W + (size_t)row * k), k(k), lane(lane_of()) {
#if HELD
#pragma unroll
    for (int t = 0; t < HELD; ++t) x[t] = inside(t) ? w[lane + WARP * t] : 0.0f;
#endif
  }

  __device__ inline bool inside(int t) const { return lane + WARP * t < k; }

  __device__ inline float& at(int t) {
#if HELD
    return x[t];
#else
    return w[lane + WARP * t];
#endif
  }

  __device__ inline float or_zero(int t) { return inside(t) ? at(t) : 0.0f; }

  __device__ inline void store() {
#if HELD
#pragma unroll
    for (int t = 0; t < HELD; ++t)
      if (inside(t)) w[lane + WARP * t] = x[t];
#endif
  }
};

__device__ inline int row_of() { return blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP; }

// `quantize(i, owner, value)` is called by all lanes; `owner` is the lane that holds column i.
// `moves(j)` tells whether the row's weight in column j may move.
template <class Quantize, class Moves>
__device__ inline void column_loop(Row& row, const float* U, Quantize quantize, Moves moves) {
  const int k = row.k;
#pragma unroll
  for (int t = 0; t < TILES; ++t) {
    for (int owner = 0; owner < WARP && WARP * t + owner < k; ++owner) {
      const int i = WARP * t + owner;
      const float value = __shfl_sync(ALL_LANES, row.or_zero(t), owner);
      const float error = (value - quantize(i, owner, value)) / U[(size_t)i * k + i];
#pragma unroll
      for (int r = 0; r < TILES; ++r) {
        const int j = row.lane + WARP * r;
        if (r >= t && j > i && j < k && moves(j))
          row.at(r) = fmaf(-error, U[(size_t)i * k + j], row.at(r));
      }
    }
  }
  row.store();
}

template <class Quantize>
__device__ inline void column_loop(Row& row, const float* U, Quantize quantize) {
  column_loop(row, U, quantize, [](int) { return true; });
}
