// Which side of a threshold an entry lies on, among the entries of one zone.
//
// `code` holds the row's zones: of every entry, or of every column, the same for all rows.

struct ByMagnitude {
  const float* key;
  const unsigned char* code;
  int zone;
  float threshold;
  int closed;
  __device__ inline int operator()(int j) const {
    if (code[j] != zone) return NEITHER;
    return (closed ? key[j] <= threshold : key[j] < threshold) ? 0 : 1;
  }
};
