// What all refinements do with a number.

// Eq. (20), subbit: the current value stays where there is nothing to divide by.
__device__ inline float quotient(float numerator, float divisor, float least, float current) {
  return divisor > least ? numerator / divisor : current;
}

// Eq. (8), ARB-LLM: of -u - v, -u + v, u - v, u + v the one nearest to z, the first of several.
// Four distances and three selections for every z: no branch, whatever the signs of u and v.
__device__ inline void nearest_level(float z, float u, float v, float& first, float& second) {
  const float sum = u + v, difference = u - v;
  float best = fabsf(z + sum);
  first = second = -1.0f;
  const float inner[] = {fabsf(z + difference), fabsf(z - difference), fabsf(z - sum)};
#pragma unroll
  for (int level = 1; level < 4; ++level) {
    const bool nearer = inner[level - 1] < best;
    best = nearer ? inner[level - 1] : best;
    first = nearer ? (level >= 2 ? 1.0f : -1.0f) : first;
    second = nearer ? (level % 2 ? 1.0f : -1.0f) : second;
  }
}
