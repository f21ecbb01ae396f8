// Bands of every shape are exact: ends on both sides or one, with and without the diagonal, queries
// that see no key and keys that no query sees.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "compiler/solver/strategies.h"
#include "gtest/gtest.h"
#include "tests/e2e/compiled_case.h"
#include "tests/testing/random_lengths.h"

namespace flashcp {
namespace {

using model::Band;
using testing::LengthKind;

constexpr int64_t kTokens = 400;
constexpr int kMostRanks = 8;

class BandsTest : public ::testing::TestWithParam<Band> {};

// Each number of ranks under each strategy and exchange, the kinds of lengths in turn.
TEST_P(BandsTest, AreExact) {
  Compiler compiler;
  const std::vector<LengthKind> kinds = testing::AllLengthKinds();
  uint64_t number = 0;
  for (const std::string& strategy : solver::StrategyNames()) {
    for (model::Exchange exchange : {model::Exchange::kNeeded, model::Exchange::kAllGather}) {
      for (int ranks = 1; ranks <= kMostRanks; ++ranks, ++number) {
        const LengthKind kind = kinds[number % kinds.size()];
        SCOPED_TRACE(absl::StrCat(strategy, ", ", ranks, " ranks, ", LengthKindName(kind)));
        solver::Problem problem = testing::SmallProblem(
            testing::Documents(testing::RandomLengths(kind, /*seed=*/1, kTokens),
                               model::Mask(GetParam())),
            ranks);
        problem.exchange = exchange;
        problem.cluster.ranks_per_node = number % 3 == 0 ? 2 : 8;  // with relays or without
        testing::ExpectExactPlan(&compiler, {problem, strategy});
        if (HasFailure()) return;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, BandsTest,
                         ::testing::Values(Band{-300, 200}, Band{-20, 9}, Band{5, 5}, Band{-40, -7},
                                           Band{Band::kNoLower, -3}, Band{Band::kNoLower, 30},
                                           Band{-10, Band::kNoUpper}, Band{0, Band::kNoUpper},
                                           Band{6, Band::kNoUpper}));

// Documents of unlike bands in one batch, one of which shows no pair at all.
TEST(MixedBandsTest, AreExact) {
  Compiler compiler;
  for (const std::string& strategy : solver::StrategyNames()) {
    for (int ranks : {2, 5}) {
      SCOPED_TRACE(absl::StrCat(strategy, ", ", ranks, " ranks"));
      testing::ExpectExactPlan(&compiler, {testing::SmallProblem({{130, model::Mask({-9, 20})},
                                                                  {70, model::Mask::Causal()},
                                                                  {40, model::Mask({50, 90})},
                                                                  {90, model::Mask({-300, -1})},
                                                                  {1, model::Mask({3, 3})},
                                                                  {60, model::Mask::Full()}},
                                                                 ranks),
                                           strategy});
    }
  }
}

}  // namespace
}  // namespace flashcp
