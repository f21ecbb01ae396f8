// Every strategy, exchange, mask and number of ranks is exact on documents of every kind.

#include <cstdint>
#include <string>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "compiler/solver/strategies.h"
#include "gtest/gtest.h"
#include "tests/e2e/compiled_case.h"
#include "tests/testing/random_lengths.h"

namespace flashcp {
namespace {

using testing::LengthKind;

using Case = std::tuple<std::string, model::Exchange, std::string, int>;

std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  auto [strategy, exchange, mask, ranks] = info.param;
  return absl::StrCat(absl::StrReplaceAll(strategy, {{"-", "_"}}),
                      exchange == model::Exchange::kNeeded ? "_needed_" : "_all_gather_",
                      mask.substr(0, mask.find(':')), "_", ranks, "_ranks");
}

class ExactnessTest : public ::testing::TestWithParam<Case> {};

TEST_P(ExactnessTest, OnDocumentsOfEveryKind) {
  auto [strategy, exchange, mask, ranks] = GetParam();
  Compiler compiler;
  for (LengthKind kind : testing::AllLengthKinds()) {
    for (uint64_t seed : {1, 2}) {
      SCOPED_TRACE(absl::StrCat(testing::LengthKindName(kind), ", seed ", seed));
      solver::Problem problem = testing::SmallProblem(
          testing::Documents(testing::RandomLengths(kind, seed, 300), *model::ParseMask(mask)),
          ranks);
      problem.exchange = exchange;
      testing::ExpectExactPlan(&compiler, {problem, strategy});
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ExactnessTest,
                         ::testing::Combine(::testing::ValuesIn(solver::StrategyNames()),
                                            ::testing::Values(model::Exchange::kNeeded,
                                                              model::Exchange::kAllGather),
                                            ::testing::Values("causal", "full", "window:23"),
                                            ::testing::Values(1, 2, 3, 4, 7, 8)),
                         CaseName);

}  // namespace
}  // namespace flashcp
