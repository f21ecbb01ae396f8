// The closed forms of bands against counting pair by pair, on random small inputs.

#include "runtime/plan/verify_bands.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>

#include "gtest/gtest.h"

namespace flashcp::verifier {
namespace {

constexpr int32_t kNoLower = std::numeric_limits<int32_t>::min();
constexpr int32_t kNoUpper = std::numeric_limits<int32_t>::max();

bool Sees(const fbs::Band& band, int64_t query, int64_t key) {
  return band.lower() <= key - query && key - query <= band.upper();
}

// Positions of queries or keys, up to 12 of them.
PositionRange RandomRange(std::mt19937& random) {
  const uint64_t begin = random() % 20;
  return {begin, begin + random() % 12};
}

// Limits across and beyond all differences of such positions, or none; one band in some has no
// pairs.
fbs::Band RandomBand(std::mt19937& random) {
  const int32_t lower = random() % 4 == 0 ? kNoLower : static_cast<int32_t>(random() % 80) - 40;
  const int32_t upper = random() % 4 == 0 ? kNoUpper : static_cast<int32_t>(random() % 80) - 40;
  if (lower > upper && random() % 8 != 0) return fbs::Band(upper, lower);
  return fbs::Band(lower, upper);
}

TEST(VerifyBandsTest, AgreesWithCountingPairs) {
  std::mt19937 random(1);
  for (int i = 0; i < 100000; ++i) {
    const fbs::Band band = RandomBand(random), other = RandomBand(random);
    const PositionRange queries = RandomRange(random), keys = RandomRange(random);
    uint64_t pairs = 0;
    bool same = true;
    PositionRange seen = {keys.end, keys.begin};
    for (uint64_t q = queries.begin; q < queries.end; ++q) {
      for (uint64_t k = keys.begin; k < keys.end; ++k) {
        same &= Sees(band, q, k) == Sees(other, q, k);
        if (!Sees(band, q, k)) continue;
        ++pairs;
        seen = {std::min(seen.begin, k), std::max(seen.end, k + 1)};
      }
    }
    ASSERT_EQ(CountPairs(band, queries, keys), pairs) << band.lower() << " to " << band.upper();
    const PositionRange found = KeysSeen(band, queries, keys);
    if (pairs == 0) {
      ASSERT_EQ(found.begin, found.end) << band.lower() << " to " << band.upper();
      continue;
    }
    ASSERT_EQ(found.begin, seen.begin) << band.lower() << " to " << band.upper();
    ASSERT_EQ(found.end, seen.end) << band.lower() << " to " << band.upper();
    ASSERT_EQ(ShowTheSame(band, other, queries, keys), same)
        << band.lower() << " to " << band.upper() << ", " << other.lower() << " to "
        << other.upper();
    ASSERT_TRUE(ShowTheSame(band, band, queries, keys));
  }
}

TEST(VerifyBandsTest, CountsTheLongestDocumentWithoutOverflow) {
  const uint64_t n = uint64_t{1} << 31;
  EXPECT_EQ(CountPairs(fbs::Band(kNoLower, 0), {0, n}, {0, n}), n * (n + 1) / 2);
  EXPECT_EQ(CountPairs(fbs::Band(kNoLower, kNoUpper), {0, n}, {0, n}), n * n);
  EXPECT_EQ(CountPairs(fbs::Band(0, kNoUpper), {0, n}, {0, n}), n * (n + 1) / 2);
}

}  // namespace
}  // namespace flashcp::verifier
