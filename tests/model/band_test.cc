// The closed forms of a band against counting pair by pair, on all small inputs.

#include "model/band.h"

#include <algorithm>
#include <vector>

#include "gtest/gtest.h"

namespace flashcp::model {
namespace {

bool Sees(const Band& band, int64_t query, int64_t key) {
  return band.lower <= key - query && key - query <= band.upper;
}

// All bands of documents of 6 tokens, the limits on both sides of what can differ, and the empty
// one.
std::vector<Band> SmallBands() {
  std::vector<Band> bands;
  std::vector<int32_t> limits = {Band::kNoLower, Band::kNoUpper};
  for (int32_t limit = -7; limit <= 7; ++limit) limits.push_back(limit);
  for (int32_t lower : limits) {
    for (int32_t upper : limits) bands.push_back({lower, upper});
  }
  return bands;
}

TEST(BandTest, CountPairsIsTheNumberOfPairs) {
  constexpr int64_t kLength = 6;
  for (const Band& band : SmallBands()) {
    for (int64_t q0 = 0; q0 <= kLength; ++q0) {
      for (int64_t q1 = q0; q1 <= kLength; ++q1) {
        for (int64_t k0 = 0; k0 <= kLength; ++k0) {
          for (int64_t k1 = k0; k1 <= kLength; ++k1) {
            int64_t count = 0;
            for (int64_t q = q0; q < q1; ++q) {
              for (int64_t k = k0; k < k1; ++k) count += Sees(band, q, k);
            }
            ASSERT_EQ(CountPairs(band, {q0, q1}, {k0, k1}), count)
                << band.lower << " to " << band.upper << " [" << q0 << ", " << q1 << ") x [" << k0
                << ", " << k1 << ")";
          }
        }
      }
    }
  }
}

// Bands without gaps between the keys of neighbouring queries: their hull has no other keys.
TEST(BandTest, KeysSeenIsTheHullOfTheKeysSeen) {
  constexpr int64_t kLength = 6;
  for (const Band& band : SmallBands()) {
    if (band.lower > band.upper) continue;
    for (int64_t q0 = 0; q0 <= kLength; ++q0) {
      for (int64_t q1 = q0; q1 <= kLength; ++q1) {
        TokenRange hull = {kLength, 0};
        for (int64_t q = q0; q < q1; ++q) {
          for (int64_t k = 0; k < kLength; ++k) {
            if (Sees(band, q, k)) hull = {std::min(hull.begin, k), std::max(hull.end, k + 1)};
          }
        }
        const TokenRange seen = KeysSeen(band, {q0, q1}, kLength);
        if (hull.begin >= hull.end) {
          ASSERT_EQ(seen.begin, seen.end) << band.lower << " to " << band.upper;
          continue;
        }
        ASSERT_EQ(seen.begin, hull.begin) << band.lower << " to " << band.upper;
        ASSERT_EQ(seen.end, hull.end) << band.lower << " to " << band.upper;
      }
    }
  }
}

TEST(BandTest, ReversedSwapsQueriesAndKeysAndTheEndsOfTheDocument) {
  constexpr int64_t kLength = 6;
  for (const Band& band : SmallBands()) {
    if (band.lower == Band::kNoUpper || band.upper == Band::kNoLower) continue;
    const Band reversed = Reversed(band);
    EXPECT_EQ(Reversed(reversed), band);
    for (int64_t i = 0; i < kLength; ++i) {
      for (int64_t j = 0; j < kLength; ++j) {
        ASSERT_EQ(Sees(reversed, j, i), Sees(band, i, j)) << band.lower << " to " << band.upper;
        ASSERT_EQ(Sees(reversed, kLength - 1 - i, kLength - 1 - j), Sees(band, i, j))
            << band.lower << " to " << band.upper;
      }
    }
  }
}

// What the sweeps over documents rest on.
TEST(BandTest, BothEndsOfKeysSeenRiseWithTheQueries) {
  constexpr int64_t kLength = 6;
  for (const Band& band : SmallBands()) {
    if (band.lower > band.upper) continue;
    TokenRange before;
    for (int64_t query = 0; query < kLength; ++query) {
      const TokenRange seen = KeysSeen(band, {query, query + 1}, kLength);
      ASSERT_LE(before.begin, seen.begin) << band.lower << " to " << band.upper;
      ASSERT_LE(before.end, seen.end) << band.lower << " to " << band.upper;
      ASSERT_LE(seen.begin, seen.end) << band.lower << " to " << band.upper;
      before = seen;
    }
  }
}

TEST(BandTest, PairsOfTheLongestDocumentFit) {
  const TokenRange all = {0, kMaxTokens};
  EXPECT_EQ(CountPairs({Band::kNoLower, 0}, all, all), (int64_t{1} << 61) + (int64_t{1} << 30));
  EXPECT_EQ(CountPairs({}, all, all), int64_t{1} << 62);
  EXPECT_EQ(CountPairs({1 - Band::kNoUpper, 0}, all, all),
            (int64_t{1} << 61) + (int64_t{1} << 30) - 1);
}

}  // namespace
}  // namespace flashcp::model
