// NaN and infinity in the inputs go where float64 attention lets them go, through plans of several
// ranks; what they do not reach is exact.

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/kernel_spec.h"
#include "runtime/plan/conversion.h"
#include "tests/testing/common_nan.h"
#include "tests/testing/run_plan.h"
#include "tests/testing/toy_plan.h"

namespace flashcp {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// "row 3: nan", for every row of `row` elements that holds a NaN, one a line.
template <typename Element>
std::string RowsWithNan(const std::vector<Element>& elements, int row) {
  std::string rows;
  for (size_t begin = 0; begin < elements.size(); begin += row) {
    bool found = false;
    for (int i = 0; i < row; ++i) found |= std::isnan(elements[begin + i]);
    if (found) rows += "row " + std::to_string(begin / row) + ": nan\n";
  }
  return rows;
}

struct Spoil {
  const char* name;
  std::vector<float> testing::TestBatch::*tensor;
  float value;
};

class NotFiniteTest : public ::testing::TestWithParam<Spoil> {};

TEST_P(NotFiniteTest, PropagatesAsInTheReference) {
  testing::ToyProblem problem;
  problem.ranks = 3;
  problem.remote_stages = 2;
  for (uint32_t length : {24u, 13u}) {
    problem.documents.push_back({length, testing::DealZigzag(length, 6, 3)});
  }
  Plan plan = testing::MakeToyPlan(problem);
  const KernelSpec spec = KernelSpecOf(plan);
  testing::TestBatch batch(DocumentsOf(*plan), spec, 3);
  std::vector<float>& tensor = batch.*GetParam().tensor;
  const size_t row = tensor.size() / batch.tokens();
  for (int i = 0; i < spec.dim; ++i) tensor[9 * row + i] = GetParam().value;
  absl::StatusOr<testing::TestStep> step = testing::RunPlanBackward(plan, batch);
  ASSERT_TRUE(step.ok()) << step.status();
  DenseResult result = batch.Reference();
  DenseGradients gradients = batch.ReferenceGradients(result);
  EXPECT_EQ(RowsWithNan(step->result.output, spec.dim), RowsWithNan(result.output, spec.dim));
  EXPECT_EQ(RowsWithNan(step->result.lse, 1), RowsWithNan(result.lse, 1));
  EXPECT_EQ(RowsWithNan(step->gradients.query, spec.dim), RowsWithNan(gradients.query, spec.dim));
  EXPECT_EQ(RowsWithNan(step->gradients.key, spec.dim), RowsWithNan(gradients.key, spec.dim));
  EXPECT_EQ(RowsWithNan(step->gradients.value, spec.dim), RowsWithNan(gradients.value, spec.dim));
  testing::ForgetCommonNan(&result.output, &step->result.output);
  testing::ForgetCommonNan(&result.lse, &step->result.lse);
  testing::ForgetCommonNan(&gradients.query, &step->gradients.query);
  testing::ForgetCommonNan(&gradients.key, &step->gradients.key);
  testing::ForgetCommonNan(&gradients.value, &step->gradients.value);
  testing::ExpectExact(result, step->result);
  testing::ExpectExactGradients(gradients, step->gradients);
}

INSTANTIATE_TEST_SUITE_P(
    All, NotFiniteTest,
    ::testing::Values(Spoil{"NanInQ", &testing::TestBatch::query, kNan},
                      Spoil{"NanInK", &testing::TestBatch::key, kNan},
                      Spoil{"NanInV", &testing::TestBatch::value, kNan},
                      Spoil{"NanInDo", &testing::TestBatch::output_gradient, kNan},
                      Spoil{"InfinityInK", &testing::TestBatch::key, kInfinity},
                      Spoil{"MinusInfinityInK", &testing::TestBatch::key, -kInfinity}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace flashcp
