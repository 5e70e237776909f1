// Columns by falling score; of equal scores the lower number comes first.
//
//   place_j = #{i : score_i > score_j, or score_i = score_j and i < j}      Alg. 2, BiLLM
//   ranking_{place_j} = j
//
// Layout   scores (k) float32, alive (k) bytes; place (k), -1 for columns that are not alive;
//          ranking (a) of the alive ones. A thread a column, all reading the same score at a time.
// Traffic  5 k^2 bytes, from cache: a block has 128 columns. No sums.
// Budget   up to 32 registers, no shared memory.

extern "C" __global__ void rank_columns(const float* scores, const unsigned char* alive, int k,
                                        int* place, int* ranking) {
  const int j = blockIdx.x * BLOCK + threadIdx.x;
  if (j >= k) return;
  if (!alive[j]) {
    place[j] = -1;
    return;
  }
  const float mine = scores[j];
  int rank = 0;
  for (int i = 0; i < k; ++i) {
    const float other = scores[i];
    if (alive[i] && (other > mine || (other == mine && i < j))) ++rank;
  }
  place[j] = rank;
  ranking[rank] = j;
}
