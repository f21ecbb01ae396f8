// Head shapes, head dimensions, element types and mixed masks, each with strategies and numbers of
// ranks that take turns.

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

using model::DType;
using model::HeadShape;

// Masks of all kinds in one batch.
std::vector<model::Document> MixedDocuments(uint64_t seed) {
  const std::vector<model::Mask> masks = {model::Mask::Causal(), model::Mask::Window(1),
                                          model::Mask::Full(), model::Mask::Window(40),
                                          model::Mask::Window(1000)};
  std::vector<model::Document> documents;
  for (int64_t length : testing::RandomLengths(testing::LengthKind::kMixed, seed, 400)) {
    documents.push_back({length, masks[documents.size() % masks.size()]});
  }
  return documents;
}

// Case i of a test that covers many shapes: strategy, exchange, ranks and slack follow from it.
void ExpectExactCase(int i, const HeadShape& heads, DType dtype) {
  const std::vector<std::string> strategies = solver::StrategyNames();
  const std::string& strategy = strategies[i % strategies.size()];
  SCOPED_TRACE(absl::StrCat("case ", i, ", ", strategy, ", heads ", heads.query, ":",
                            heads.key_value, " of ", heads.dim));
  solver::Problem problem = testing::SmallProblem(MixedDocuments(i), 2 + i % 5);
  problem.heads = heads;
  problem.dtype = dtype;
  problem.exchange = i % 4 == 3 ? model::Exchange::kAllGather : model::Exchange::kNeeded;
  problem.slack_percent = i % 3 == 2 ? 10 : 0;
  Compiler compiler;
  testing::ExpectExactPlan(&compiler, {problem, strategy});
}

class ShapesTest : public ::testing::TestWithParam<DType> {};

TEST_P(ShapesTest, HeadsAndDimensions) {
  int i = static_cast<int>(GetParam());
  for (int dim : {8, 40, 64, 128, 256}) {
    for (HeadShape heads : {HeadShape{3, 3, dim}, HeadShape{6, 2, dim}, HeadShape{4, 1, dim}}) {
      ExpectExactCase(i++, heads, GetParam());
    }
  }
}

// From weights that are all but equal to those of one key alone; the default is 0.18.
TEST_P(ShapesTest, Scales) {
  Compiler compiler;
  for (float scale : {1e-6f, 0.01f, 0.5f, 1.0f, 20.0f}) {
    SCOPED_TRACE(absl::StrCat("scale ", scale));
    CompileRequest request{testing::SmallProblem(MixedDocuments(3), 3), "per-doc"};
    request.problem.heads = {4, 2, 32};
    request.problem.dtype = GetParam();
    request.scale = scale;
    testing::ExpectExactPlan(&compiler, request);
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, ShapesTest,
                         ::testing::Values(DType::kF32, DType::kBF16, DType::kF16));

TEST(MixedMasksTest, ManyBatches) {
  for (int i = 0; i < 60; ++i) ExpectExactCase(100 + i, {2, 1, 8}, DType::kF32);
}

// Most documents are shorter than the number of ranks, or than the chunks that they are cut into.
TEST(MixedMasksTest, MoreRanksThanANodeHas) {
  for (const std::string& strategy : solver::StrategyNames()) {
    SCOPED_TRACE(strategy);
    solver::Problem problem = testing::SmallProblem(MixedDocuments(7), 19);
    Compiler compiler;
    testing::ExpectExactPlan(&compiler, {problem, strategy});
  }
}

}  // namespace
}  // namespace flashcp
