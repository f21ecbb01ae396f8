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

using solver::MaskKind;
using testing::LengthKind;

using Case = std::tuple<std::string, solver::Exchange, MaskKind, int>;

std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  auto [strategy, exchange, mask, ranks] = info.param;
  static constexpr const char* kMasks[] = {"causal", "full", "window"};
  return absl::StrCat(absl::StrReplaceAll(strategy, {{"-", "_"}}),
                      exchange == solver::Exchange::kNeeded ? "_needed_" : "_all_gather_",
                      kMasks[static_cast<int>(mask)], "_", ranks, "_ranks");
}

class ExactnessTest : public ::testing::TestWithParam<Case> {};

TEST_P(ExactnessTest, OnDocumentsOfEveryKind) {
  auto [strategy, exchange, mask, ranks] = GetParam();
  const int64_t window = mask == MaskKind::kWindow ? 23 : 0;
  Compiler compiler;
  for (LengthKind kind : testing::AllLengthKinds()) {
    for (uint64_t seed : {1, 2}) {
      SCOPED_TRACE(absl::StrCat(testing::LengthKindName(kind), ", seed ", seed));
      solver::Problem problem = testing::SmallProblem(
          testing::Documents(testing::RandomLengths(kind, seed, 300), {mask, window}), ranks);
      problem.exchange = exchange;
      testing::ExpectExactPlan(&compiler, problem, strategy);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, ExactnessTest,
    ::testing::Combine(::testing::ValuesIn(solver::StrategyNames()),
                       ::testing::Values(solver::Exchange::kNeeded, solver::Exchange::kAllGather),
                       ::testing::Values(MaskKind::kCausal, MaskKind::kFull, MaskKind::kWindow),
                       ::testing::Values(1, 2, 3, 4, 7, 8)),
    CaseName);

}  // namespace
}  // namespace flashcp
