// A band of (query, key) pairs: the only form in which plans, kernels and references know masks.
//
// Query i sees key j if lower <= j - i <= upper, i and j being positions in the document. A side
// without a limit has the extreme number of its type, which no difference of positions passes: the
// inequality is the whole meaning, and code needs no case of its own for it.

#ifndef FLASHCP_MODEL_BAND_H_
#define FLASHCP_MODEL_BAND_H_

#include <algorithm>
#include <cstdint>
#include <limits>

namespace flashcp::model {

// Tokens of one batch: positions and rows of a plan are 32-bit, their differences 32-bit signed.
inline constexpr int64_t kMaxTokens = int64_t{1} << 31;

// Tokens [begin, end) of a document, by position.
struct TokenRange {
  int64_t begin = 0;
  int64_t end = 0;
};

struct Band {
  static constexpr int32_t kNoLower = std::numeric_limits<int32_t>::min();
  static constexpr int32_t kNoUpper = std::numeric_limits<int32_t>::max();

  int32_t lower = kNoLower;
  int32_t upper = kNoUpper;

  friend bool operator==(const Band& a, const Band& b) {
    return a.lower == b.lower && a.upper == b.upper;
  }
  friend bool operator!=(const Band& a, const Band& b) { return !(a == b); }
};

// Keys [0, length) that at least one of the queries sees. Both ends rise with the queries, also if
// they see none: the range is then empty, at the end of the document that the queries are nearer
// to.
inline TokenRange KeysSeen(const Band& band, TokenRange queries, int64_t length) {
  if (queries.begin >= queries.end) return {};
  const int64_t begin = std::clamp<int64_t>(queries.begin + band.lower, 0, length);
  return {begin, std::clamp(queries.end + band.upper, begin, length)};
}

// Returns the band with queries and keys swapped: KeysSeen() of it are queries that see keys. It is
// also the band of the document read from its end.
inline Band Reversed(const Band& band) {
  return {band.upper == Band::kNoUpper ? Band::kNoLower : -band.upper,
          band.lower == Band::kNoLower ? Band::kNoUpper : -band.lower};
}

// Number of pairs of these queries and keys in the band, by a closed form. Positions are at most
// kMaxTokens.
int64_t CountPairs(const Band& band, TokenRange queries, TokenRange keys);

}  // namespace flashcp::model

#endif  // FLASHCP_MODEL_BAND_H_
