// The closed forms of the mask against counting pair by pair, on all small inputs.

#include "runtime/plan/mask.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"

namespace flashcp {
namespace {

bool Sees(const fbs::Document& document, uint64_t query, uint64_t key) {
  switch (document.mask()) {
    case fbs::MaskKind::causal:
      return key <= query;
    case fbs::MaskKind::full:
      return true;
    case fbs::MaskKind::window:
      return key <= query && query < key + document.window();
  }
  return false;
}

std::vector<fbs::Document> SmallDocuments() {
  std::vector<fbs::Document> documents;
  for (uint32_t length : {1, 2, 7}) {
    documents.emplace_back(length, 0, fbs::MaskKind::causal);
    documents.emplace_back(length, 0, fbs::MaskKind::full);
    for (uint32_t window : {1, 2, 3, 7, 9}) {
      documents.emplace_back(length, window, fbs::MaskKind::window);
    }
  }
  return documents;
}

TEST(MaskTest, CountPairsIsTheNumberOfPairs) {
  for (const fbs::Document& document : SmallDocuments()) {
    const uint64_t n = document.length();
    for (uint64_t q0 = 0; q0 <= n; ++q0) {
      for (uint64_t q1 = q0; q1 <= n; ++q1) {
        for (uint64_t k0 = 0; k0 <= n; ++k0) {
          for (uint64_t k1 = k0; k1 <= n; ++k1) {
            uint64_t count = 0;
            for (uint64_t q = q0; q < q1; ++q) {
              for (uint64_t k = k0; k < k1; ++k) count += Sees(document, q, k);
            }
            ASSERT_EQ(CountPairs(document, {q0, q1}, {k0, k1}), count)
                << fbs::EnumNameMaskKind(document.mask()) << " " << document.window() << " [" << q0
                << ", " << q1 << ") x [" << k0 << ", " << k1 << ")";
          }
        }
      }
    }
  }
}

TEST(MaskTest, KeysSeenIsTheHullOfTheKeysSeen) {
  for (const fbs::Document& document : SmallDocuments()) {
    for (uint64_t q0 = 0; q0 < document.length(); ++q0) {
      for (uint64_t q1 = q0 + 1; q1 <= document.length(); ++q1) {
        uint64_t first = document.length();
        uint64_t last = 0;
        for (uint64_t q = q0; q < q1; ++q) {
          for (uint64_t k = 0; k < document.length(); ++k) {
            if (!Sees(document, q, k)) continue;
            first = std::min(first, k);
            last = std::max(last, k + 1);
          }
        }
        PositionRange seen = KeysSeen(document, {q0, q1});
        EXPECT_EQ(seen.begin, first);
        EXPECT_EQ(seen.end, last);
      }
    }
  }
}

TEST(MaskTest, CountsTheLongestDocumentWithoutOverflow) {
  const uint64_t n = (uint64_t{1} << 32) - 1;
  fbs::Document causal(n, 0, fbs::MaskKind::causal);
  EXPECT_EQ(CountPairs(causal, {0, n}, {0, n}), n << 31);
  fbs::Document full(n, 0, fbs::MaskKind::full);
  EXPECT_EQ(CountPairs(full, {0, n}, {0, n}), n * n);
}

}  // namespace
}  // namespace flashcp
